//! Files that were written elsewhere, most of them by PyTorch: `fixtures/checkpoints.py`.

use std::fs;
use std::path::{Path, PathBuf};

use engine::attack::Attack;
use engine::cancel::Cancel;
use engine::checkpoint::{self, Sidecar};
use engine::data::Split;
use engine::evaluate::{Measured, measure_samples};
use engine::import::{Found, detect};
use engine::model::Network;
use engine::read_out::ReadOut;
use engine::tensor_file::TensorFile;
use serde_json::{Value, json};
use shared::config::{Aggregation, Architecture, Inputs, ModelConfig, Norm, Normalization, PgdConfig, RunConfig, Subset};
use shared::dataset::Dataset;
use shared::eps::Eps;
use shared::record::Metrics;
use tch::{Device, Kind, Tensor};
use tempfile::TempDir;

use crate::assert_close;
use crate::golden::images;
use crate::worker::{directory, metrics, run, worker};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/import").join(name)
}

fn found(path: &Path) -> (Network, Found) {
    tch::set_num_threads(1);
    let file = TensorFile::open(path).unwrap();
    let found = detect(&file, None).unwrap();
    let network = Network::new(&found.model, &Dataset::Cifar10.info(), 0, Kind::Float, Device::Cpu);
    file.load_into(&network, &found.names).unwrap();
    (network, found)
}

#[test]
fn matrices_of_files_from_pytorch_are_those_of_pytorch() {
    let expected: Vec<Value> = serde_json::from_str(&fs::read_to_string(fixture("matrices.json")).unwrap()).unwrap();
    let labels = Tensor::arange(20, (Kind::Int64, Device::Cpu)).remainder(10);
    let split = Split::new(images(20).to_kind(Kind::Float), labels);
    for entry in &expected {
        let file = entry["file"].as_str().unwrap();
        let (network, found) = found(&fixture(file));
        assert_eq!(format!("{}.pth", found.model.architecture.id()), file);
        let attack = |norm, eps| Attack::to_measure(&PgdConfig { steps: 5, random_start: false, ..PgdConfig::of(norm, Eps::of_255(eps)) });
        let (linf, l2) = (attack(Norm::Linf, 8.0), attack(Norm::L2, 128.0));
        for (inputs, measured, tolerance) in [
            ("clean", Measured::Clean, 1e-5),
            ("linf", Measured::Attacked { attack: &linf, seed: 0 }, 1e-3),
            ("l2", Measured::Attacked { attack: &l2, seed: 0 }, 1e-3),
        ] {
            let read_out = ReadOut::penultimate(&network);
            let (_, samples) = measure_samples(&network, &read_out, &split, measured, &Cancel::default(), &mut |_, _| Ok(())).unwrap();
            let matrix = samples.attribute(Aggregation::AverageThenCosine, Subset::All).matrix;
            let expected: Vec<f64> = serde_json::from_value(entry[inputs].clone()).unwrap();
            assert_close(&format!("{file}, {inputs}"), &matrix.rows().collect::<Vec<_>>().concat(), &expected, tolerance);
        }
    }
}

#[test]
fn weights_are_found_wherever_a_file_keeps_them() {
    let (plain, _) = found(&fixture("plain.pth"));
    for (name, prefix, others) in [
        ("plain.pth", "", vec![]),
        ("nested.pth", "state_dict.module.", vec![]),
        ("best_and_last.pth", "best.", vec!["last."]),
        ("legacy.pth", "net.", vec![]),
        ("module.pth", "1.", vec![]),
    ] {
        let (network, found) = found(&fixture(name));
        assert_eq!((found.prefix.as_str(), found.others), (prefix, others.into_iter().map(str::to_owned).collect()), "{name}");
        assert_eq!((found.model.architecture, found.model.width, found.classes), (Architecture::PreactResnetSmall, Some(2), 10));
        assert_eq!(network.snapshot(), plain.snapshot(), "{name}");
        let own = (name == "module.pth").then(|| Normalization { mean: vec![0.5, 0.4, 0.3], std: vec![0.2, 0.25, 0.3] });
        assert_eq!(found.model.normalization, own, "{name}");
    }
}

#[test]
fn what_we_write_is_detected_as_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("e1.safetensors");
    for architecture in Architecture::ALL {
        let config = ModelConfig { width: Some(6), ..ModelConfig::of(architecture) };
        let network = Network::new(&config, &Dataset::Cifar10.info(), 1, Kind::Float, Device::Cpu);
        checkpoint::save(&path, &network.snapshot()).unwrap();
        let (read, found) = found(&path);
        assert_eq!((found.model, found.classes), (config, 10));
        assert_eq!(read.snapshot(), network.snapshot());
    }
}

fn config(source: &Path) -> Value {
    json!({"kind": "import", "source": source, "data": {"dataset": "cifar10"}, "device": "cpu"})
}

#[track_caller]
fn imported(config: &Value) -> (TempDir, Metrics) {
    let directory = directory(config);
    let output = run(directory.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metrics = metrics(directory.path());
    (directory, metrics)
}

fn sidecar(directory: &TempDir, epoch: u32) -> Sidecar {
    serde_json::from_str(&fs::read_to_string(directory.path().join(format!("checkpoints/e{epoch}.json"))).unwrap()).unwrap()
}

#[test]
fn an_imported_file_is_a_checkpoint_like_any_other() {
    let (directory, metrics) = imported(&json!({
        "kind": "import", "source": fixture("module.pth"), "data": {"dataset": "synthetic", "test_samples": 20}, "epoch": 7,
        "attack": {"norm": "linf", "eps": "8/255", "steps": 2}, "attribution": {"inputs": ["clean", "adversarial"]}, "device": "cpu"
    }));
    let checkpoint = &metrics.checkpoints[0];
    let sidecar = sidecar(&directory, 7);
    assert_eq!((sidecar.checkpoint, sidecar.metrics), (checkpoint.clone(), None));
    assert_eq!(sidecar.model.normalization, Some(Normalization { mean: vec![0.5, 0.4, 0.3], std: vec![0.2, 0.25, 0.3] }));
    let (network, _) = found(&directory.path().join(&checkpoint.file));
    assert_eq!(network.snapshot(), found(&fixture("module.pth")).0.snapshot());
    assert_eq!(
        metrics.attributions.iter().map(|entry| (entry.epoch, entry.inputs)).collect::<Vec<_>>(),
        [(7, Inputs::Adversarial), (7, Inputs::Clean)]
    );
    let started = metrics.started.as_ref().unwrap();
    assert_eq!((started.parameters, started.test_samples), (network.parameter_count(), 20));
    assert_eq!((metrics.finished.as_ref().unwrap().best_epoch, metrics.fraction_done()), (7, 1.0));
    let message = &metrics.notices[0].message;
    for part in ["`module.pth` (PyTorch)", "PreActResNet, small of width 2 for 10 classes", "under `1.`", "[0.5, 0.4, 0.3]"] {
        assert!(message.contains(part), "{part}: {message}");
    }
}

#[test]
fn one_command_imports_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("imported");
    let command = |file: &str| {
        let mut command = worker();
        command.arg(&directory).args(["--dataset", "cifar10", "--norm", "l2", "--import"]).arg(fixture(file));
        command.output().unwrap()
    };
    let output = command("legacy.pth");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let written: Value = serde_json::from_str(&fs::read_to_string(directory.join("config.json")).unwrap()).unwrap();
    let Ok(RunConfig::Import(written)) = RunConfig::parse(&written) else { panic!("{written}") };
    assert_eq!(written.attack, PgdConfig::of(Norm::L2, Eps::of_255(128.0)));
    assert_eq!(metrics(&directory).checkpoints.len(), 1);
    let again = command("plain.pth");
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("config.json"), "nothing is overwritten");
    assert!(String::from_utf8_lossy(&command("none.pth").stderr).contains("none.pth"));
}

/// A folder as the public code leaves it, with `epochs` lines in its log and the best after the second.
fn train_log(epochs: u32) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let arguments = json!({
        "fname": "run", "dataset": "cifar10", "model": "PRN", "norm": "l2", "mode": "AT", "eps": 128.0, "alpha": 16.0, "steps": 10, "beta": 6,
        "test_eps": 64.0, "ne": 200, "lr": 0.1, "bs": 128, "device": 0, "debug": false, "save_interval": 2, "no_rand_init": false
    });
    fs::write(folder.path().join("config.json"), arguments.to_string()).unwrap();
    let line = |index: u32| {
        let robust = if index == 1 { 6.0 } else { 5.0 };
        format!("{index},{},20.0,50.0,8.0,{robust:?},10.0\n", 30 + index % 10)
    };
    fs::write(folder.path().join("log.csv"), format!(",0,1,2,3,4,5\n{}", (0..epochs).map(line).collect::<String>())).unwrap();
    for name in ["model_2", "model_4", "model_best", "model_last"] {
        fs::copy(fixture("plain.pth"), folder.path().join(format!("{name}.pth"))).unwrap();
    }
    fs::write(folder.path().join("opt_2.pth"), "not read").unwrap();
    folder
}

#[test]
fn a_folder_of_the_public_code_becomes_a_finished_run() {
    let folder = train_log(151);
    let (directory, metrics) = imported(&config(folder.path()));
    assert_eq!(metrics.epochs.len(), 151);
    let epoch = &metrics.epochs[1];
    let measured = [epoch.train_clean_accuracy, epoch.train_robust_accuracy, epoch.test_clean_accuracy, epoch.test_robust_accuracy];
    assert_eq!(measured, [0.62, 0.4, 0.8, 0.6].map(Some));
    assert_eq!((epoch.train_loss, epoch.test_loss), (None, None));
    let rates = [1, 100, 101, 150, 151].map(|epoch| metrics.epochs[epoch - 1].learning_rate);
    assert_close("learning rates", &rates, &[0.1, 0.1, 0.01, 0.01, 0.001], 1e-15);
    assert_eq!(metrics.checkpoints.iter().map(|checkpoint| checkpoint.epoch).collect::<Vec<_>>(), [2, 4, 151]);
    assert_eq!(metrics.best().unwrap().epoch, 2);
    let finished = metrics.finished.as_ref().unwrap();
    assert_eq!((finished.best_epoch, finished.last_epoch), (2, 151));
    let sidecar = sidecar(&directory, 2);
    assert_eq!(sidecar.metrics.as_ref(), Some(epoch));
    assert_eq!(sidecar.attack, Some(PgdConfig::of(Norm::L2, Eps::of_255(64.0))));
    assert!(metrics.notices[0].message.contains("PGD-20, ℓ2 64/255"), "{:?}", metrics.notices);
}

/// Runs an import that must fail, and holds the last line of its standard error to its parts.
#[track_caller]
fn check(config: &Value, parts: &[&str]) {
    let directory = directory(config);
    let output = worker().current_dir(directory.path()).arg(directory.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    let last = said.lines().last().unwrap();
    for part in parts {
        assert!(last.contains(part), "{part}: {said}");
    }
    assert_eq!(metrics(directory.path()).checkpoints, []);
    let left = crate::worker::files(directory.path());
    assert!(left.iter().all(|name| ["attributions", "checkpoints", "config.json", "metrics.jsonl"].contains(&name.as_str())), "{left:?}");
}

#[test]
fn a_file_that_is_no_checkpoint_of_a_known_network_is_named_with_what_was_expected() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let plain = fs::read(fixture("plain.pth")).unwrap();
    check(&config(&file("notes.pth", b"Dear diary")), &["notes.pth", "safetensors or a file of torch.save is expected"]);
    check(&config(&file("empty.pth", b"")), &["empty.pth", "safetensors or a file of torch.save is expected"]);
    check(&config(&file("cut.pth", &plain[..plain.len() / 2])), &["cut.pth", "cannot be read as a checkpoint"]);
    let legacy = fs::read(fixture("legacy.pth")).unwrap();
    check(&config(&file("cut-legacy.pth", &legacy[..legacy.len() - 100])), &["cut-legacy.pth", "cannot be read as a checkpoint"]);
    check(&config(&folder.path().join("none.pth")), &["none.pth", "No such file"]);
    // It would make a file.
    check(&config(&fixture("hostile.pth")), &["hostile.pth", "holds no tensors", "PreActResNet-18", "DeiT-Ti"]);

    let tensors = |name: &str, tensors: &[(&str, &[i64])]| {
        let path = folder.path().join(name);
        let zeros = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, Device::Cpu));
        checkpoint::save(&path, &tensors.iter().map(|(name, shape)| ((*name).to_owned(), zeros(shape))).collect::<Vec<_>>()).unwrap();
        path
    };
    let other = tensors("vgg.safetensors", &[("features.0.weight", &[8, 3, 3, 3])]);
    check(&config(&other), &["vgg.safetensors", "features.0.weight", "no network known here", "WideResNet-28"]);
    let wide = tensors("wrn.safetensors", &[("block1.layer.0.conv1.weight", &[16, 16, 3, 3]), ("fc.weight", &[10, 64])]);
    check(&config(&wide), &["wrn.safetensors", "WideResNet-10", "not known here"]);
    let large = tensors("large.safetensors", &[("layer1.0.conv1.weight", &[900, 1, 1, 1]), ("linear.weight", &[10, 1])]);
    check(
        &json!({"kind": "import", "source": large, "data": {"dataset": "cifar10"}, "model": {"architecture": "resnet18", "width": 900}}),
        &["large.safetensors", "width 900; 1 to 256"],
    );
}

#[test]
fn what_does_not_fit_the_network_is_listed_as_pytorch_lists_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.safetensors");
    let (network, _) = found(&fixture("plain.pth"));
    type Tensors = Vec<(String, Tensor)>;
    let spoiled = |spoil: &dyn Fn(&mut Tensors)| {
        let mut tensors = network.snapshot();
        spoil(&mut tensors);
        checkpoint::save(&path, &tensors).unwrap();
        config(&path)
    };
    let extra = || ("extra.weight".to_owned(), Tensor::zeros([2], (Kind::Float, Device::Cpu)));
    check(
        &spoiled(&|tensors| tensors.retain(|(name, _)| name != "bn.bias")),
        &["other.safetensors", r#"Missing key(s) in state_dict: "bn.bias""#],
    );
    check(&spoiled(&|tensors| tensors.push(extra())), &["other.safetensors", r#"Unexpected key(s) in state_dict: "extra.weight""#]);
    check(
        &spoiled(&|tensors| tensors.iter_mut().filter(|(name, _)| name == "bn.bias").for_each(|(_, bias)| *bias = extra().1)),
        &["size mismatch for bn.bias: copying a param with shape [2] from checkpoint, the shape in current model is [8]"],
    );
    check(
        &spoiled(&|tensors| tensors.iter_mut().filter(|(name, _)| name == "bn.bias").for_each(|(_, bias)| *bias = &*bias * f64::NAN)),
        &["`bn.bias` that are not finite"],
    );
    let mut hundred = config(&fixture("plain.pth"));
    hundred["data"]["dataset"] = "cifar100".into();
    check(&hundred, &["plain.pth", "tells 10 classes apart, and CIFAR-100 has 100"]);
    let mut digits = config(&fixture("plain.pth"));
    digits["data"]["dataset"] = "digits".into();
    check(&digits, &["size mismatch for conv1.weight", "[2, 3, 3, 3]", "[2, 1, 3, 3]"]);
}

#[test]
fn a_folder_that_is_no_training_log_is_named_with_what_was_expected() {
    let empty = tempfile::tempdir().unwrap();
    check(&config(empty.path()), &["config.json", "is missing", "model_*.pth"]);
    let spoiled = |spoil: &dyn Fn(&Path)| {
        let folder = train_log(4);
        spoil(folder.path());
        folder
    };
    let folder = spoiled(&|folder| fs::write(folder.join("log.csv"), ",0,1,2,3\n0,1,2,3,4\n").unwrap());
    check(&config(folder.path()), &["log.csv", "5 columns in line 1", "an index and 6 counts"]);
    let folder = spoiled(&|folder| fs::write(folder.join("log.csv"), ",0,1,2,3,4,5\n0,1,2,3,4,5,6\n1,2\n").unwrap());
    check(&config(folder.path()), &["log.csv", "2 columns in line 3"]);
    let folder = spoiled(&|folder| fs::write(folder.join("log.csv"), ",0,1,2,3,4,5\n0,1,2,3,4,five,6\n").unwrap());
    check(&config(folder.path()), &["log.csv", "`five` in line 2"]);
    let folder = spoiled(&|folder| fs::write(folder.join("log.csv"), ",0,1,2,3,4,5\n0,1,2,3,4,5,4\n").unwrap());
    check(&config(folder.path()), &["log.csv", "more images right than there are in line 2"]);
    let folder = spoiled(&|folder| fs::write(folder.join("config.json"), "{}").unwrap());
    check(&config(folder.path()), &["config.json", "train.py", "dataset"]);
    let folder = spoiled(&|folder| fs::write(folder.join("model_90.pth"), "").unwrap());
    check(&config(folder.path()), &["model_90.pth", "ends with epoch 4"]);
    let folder = spoiled(&|folder| {
        ["2", "4", "best", "last"].iter().for_each(|name| fs::remove_file(folder.join(format!("model_{name}.pth"))).unwrap())
    });
    check(&config(folder.path()), &["has no model_best.pth"]);
    let folder = train_log(4);
    let mut hundred = config(folder.path());
    hundred["data"]["dataset"] = "cifar100".into();
    check(&hundred, &["`cifar10`", "`cifar100`"]);
}
