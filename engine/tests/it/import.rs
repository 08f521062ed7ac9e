//! Imports of files that were written elsewhere, most of them by PyTorch (`fixtures/checkpoints.py`).

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::attack::Attack;
use engine::checkpoint::{self, Sidecar};
use engine::data::Split;
use engine::evaluate::{EvalInputs, measure_samples};
use engine::import::{Reading, Request, Sample, read};
use engine::kept::Kept;
use engine::linear_probe::LinearProbe;
use engine::model::Network;
use serde_json::{Value, json};
use shared::config::{
    Activation, Aggregation, Architecture, BatchNormMode, ImportConfig, Inputs, ModelConfig, Norm, Normalization, NormalizationSource,
    PgdConfig, RunConfig, Subset,
};
use shared::dataset::Dataset;
use shared::eps::Eps;
use shared::id::Which;
use shared::inspection::Question;
use shared::record::Metrics;
use tch::{Device, Kind, Tensor, no_grad};
use tempfile::TempDir;

use crate::golden::{fill, images};
use crate::tensor_file::zip;
use crate::worker::{directory, metrics, run, worker};
use crate::{assert_close, values};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/import").join(name)
}

/// Reads a CIFAR-10 network with the given fields of an import configuration, and optional images to compare
/// readings on.
fn try_reading(path: &Path, choices: &Value, images: Option<&Split>) -> Result<Reading, engine::Error> {
    try_reading_in_series(path, choices, images, None)
}

/// Reads a network like the other checkpoints of its training, of which something is known.
fn try_reading_in_series(
    path: &Path,
    choices: &Value,
    images: Option<&Split>,
    as_in_series: Option<NormalizationSource>,
) -> Result<Reading, engine::Error> {
    tch::set_num_threads(1);
    let mut value = json!({"source": path, "data": {"dataset": "cifar10"}});
    value.as_object_mut().unwrap().extend(choices.as_object().unwrap().clone());
    let config: ImportConfig = serde_json::from_value(value).unwrap();
    let sample = images.map(|images| Sample { images, budget: Duration::from_secs(60) });
    let info = Dataset::Cifar10.info();
    let request =
        Request { config: &config, info: &info, device: Device::Cpu, sample, measure_all: false, from_public_code: false, as_in_series };
    read(path, &request)
}

fn reading(path: &Path, choices: &Value) -> Reading {
    try_reading(path, choices, None).unwrap()
}

/// Reads a network for which no question is open.
fn found(path: &Path) -> (Network, ModelConfig) {
    let Reading { network, model, .. } = reading(path, &json!({})).into_decided(path).unwrap();
    (network, model.unwrap())
}

/// Returns the error of an import whose questions are not answered.
#[track_caller]
fn undecided(path: &Path, choices: &Value, images: Option<&Split>) -> String {
    try_reading(path, choices, images).unwrap().into_decided(path).unwrap_err().to_string()
}

fn question<'a>(reading: &'a Reading, field: &str) -> &'a Question {
    reading.inspection.questions.iter().find(|question| question.field == field).unwrap()
}

#[test]
fn matrices_of_files_from_pytorch_are_those_of_pytorch() {
    let expected: Vec<Value> = serde_json::from_str(&fs::read_to_string(fixture("matrices.json")).unwrap()).unwrap();
    let labels = Tensor::arange(20, (Kind::Int64, Device::Cpu)).remainder(10);
    let split = Split::new(images(20).to_kind(Kind::Float), labels);
    for entry in &expected {
        let file = entry["file"].as_str().unwrap();
        let (network, model) = found(&fixture(file));
        assert_eq!(format!("{}.pth", model.architecture.id()), file);
        let logits = no_grad(|| network.forward(&images(3).to_kind(Kind::Float), BatchNormMode::Eval).logits);
        assert_close(file, &values(&logits), &serde_json::from_value::<Vec<f64>>(entry["logits"].clone()).unwrap(), 1e-5);
        let attack = |norm, eps| Attack::to_measure(&PgdConfig { steps: 5, random_start: false, ..PgdConfig::of(norm, Eps::of_255(eps)) });
        let (linf, l2) = (attack(Norm::Linf, 8.0), attack(Norm::L2, 128.0));
        for (inputs, measured, tolerance) in [
            ("clean", EvalInputs::Clean, 1e-5),
            ("linf", EvalInputs::Attacked { attack: &linf, seed: 0 }, 1e-3),
            ("l2", EvalInputs::Attacked { attack: &l2, seed: 0 }, 1e-3),
        ] {
            let probe = LinearProbe::penultimate(&network);
            let (_, samples) = measure_samples(&network, &probe, &split, measured, &mut Kept::default(), &mut |_, _| Ok(())).unwrap();
            let matrix = samples.of_classes(Subset::All).attribute(Aggregation::AverageThenCosine).matrix;
            let expected: Vec<f64> = serde_json::from_value(entry[inputs].clone()).unwrap();
            assert_close(&format!("{file}, {inputs}"), &matrix.rows().collect::<Vec<_>>().concat(), &expected, tolerance);
        }
    }
}

#[test]
fn what_pytorch_normalizes_with_is_used_whatever_it_is_called_and_its_matrices_come_out() {
    let expected: Vec<Value> = serde_json::from_str(&fs::read_to_string(fixture("outside.json")).unwrap()).unwrap();
    let labels = Tensor::arange(20, (Kind::Int64, Device::Cpu)).remainder(10);
    let split = Split::new(images(20).to_kind(Kind::Float), labels);
    let attack = Attack::to_measure(&PgdConfig { steps: 5, random_start: false, ..PgdConfig::of(Norm::Linf, Eps::of_255(8.0)) });
    for entry in &expected {
        let file = entry["file"].as_str().unwrap();
        let (network, _) = found(&fixture(file));
        for (inputs, measured, tolerance) in
            [("clean", EvalInputs::Clean, 1e-5), ("linf", EvalInputs::Attacked { attack: &attack, seed: 0 }, 1e-3)]
        {
            let probe = LinearProbe::penultimate(&network);
            let (_, samples) = measure_samples(&network, &probe, &split, measured, &mut Kept::default(), &mut |_, _| Ok(())).unwrap();
            let matrix = samples.of_classes(Subset::All).attribute(Aggregation::AverageThenCosine).matrix;
            let expected: Vec<f64> = serde_json::from_value(entry[inputs].clone()).unwrap();
            assert_close(&format!("{file}, {inputs}"), &matrix.rows().collect::<Vec<_>>().concat(), &expected, tolerance);
        }
    }
    let facts = |file: &str| reading(&fixture(file), &json!({})).inspection.facts.join(" ");
    assert!(facts("madry.pt").contains("`model.module.normalizer.new_mean`, `model.module.normalizer.new_std`"), "{}", facts("madry.pt"));
    assert!(
        facts("madry.pt").contains("the network under `model.module.attacker.model`, which has the same numbers"),
        "{}",
        facts("madry.pt")
    );
    assert!(facts("madry.pt").contains("`model.module.attacker.normalize.new_mean`"), "{}", facts("madry.pt"));
    assert!(facts("madry.pt").contains("`epoch`, 150"), "{}", facts("madry.pt"));
    assert!(facts("batch_norm.pth").contains("`0` is a layer of batch normalization"), "{}", facts("batch_norm.pth"));
    assert!(facts("of_255.pth").contains("divided by 255"), "{}", facts("of_255.pth"));
    assert!(facts("model-wideres-epoch10.pt").contains("`sub_block1`"), "{}", facts("model-wideres-epoch10.pt"));
}

type Tensors = Vec<(String, Tensor)>;

/// Writes the tensors of plain.pth with a prefix, together with other tensors.
fn written(folder: &TempDir, name: &str, prefix: &str, others: Tensors) -> PathBuf {
    let path = folder.path().join(name);
    let own = found(&fixture("plain.pth")).0.snapshot().into_iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor));
    checkpoint::save(&path, &own.chain(others).collect::<Vec<_>>()).unwrap();
    path
}

fn numbers(values: &[f32]) -> Tensor {
    Tensor::from_slice(values)
}

#[test]
fn a_normalization_is_known_by_any_of_its_names_and_brought_to_pixels_of_0_to_1() {
    let folder = tempfile::tempdir().unwrap();
    let (means, stds) = ([0.5_f32, 0.4, 0.3], [0.2_f32, 0.25, 0.5]);
    let expected = Normalization { mean: vec![0.5, 0.4, 0.3], std: vec![0.2, 0.25, 0.5] };
    let variances = stds.map(|std| std * std);
    let (means_255, stds_255) = (means.map(|mean| 255.0 * mean), stds.map(|std| 255.0 * std));
    let check = |mean: (&str, &[f32]), std: (&str, &[f32]), expected: &Normalization| {
        let tensors = vec![(mean.0.to_owned(), numbers(mean.1)), (std.0.to_owned(), numbers(std.1))];
        let path = written(&folder, "normalized.safetensors", "net.", tensors);
        let (_, model) = found(&path);
        let found = model.normalization.unwrap();
        assert_close(mean.0, &found.mean, &expected.mean, 1e-6);
        assert_close(std.0, &found.std, &expected.std, 1e-6);
    };
    for (mean, std) in [
        ("mean", "std"),
        ("mu", "sigma"),
        ("_mean", "_std"),
        ("normalize.mean", "normalize.std"),
        ("net.normalize.mean", "net.normalize.std"),
        ("normalizer.new_mean", "normalizer.new_std"),
        ("normalize_mean", "normalize_std"),
        ("net.image_mean", "net.image_std"),
        ("pixel_mean", "pixel_std"),
        ("data_normalizer.MEAN", "data_normalizer.STD"),
    ] {
        check((mean, &means), (std, &stds), &expected);
        check((mean, &means_255), (std, &stds_255), &expected);
    }
    check(("normalize.mean", &means), ("normalize.var", &variances), &expected);
    check(("mean", &[0.5]), ("std", &[0.25]), &Normalization { mean: vec![0.5; 3], std: vec![0.25; 3] });
    check(("mean", &[127.5]), ("std", &[127.5]), &Normalization { mean: vec![0.5; 3], std: vec![0.5; 3] });
    // A normalization in the configuration has priority over one in the file.
    let path = written(&folder, "given.safetensors", "", vec![("mean".to_owned(), numbers(&means)), ("std".to_owned(), numbers(&stds))]);
    let given = |choices: Value| reading(&path, &choices).into_decided(&path).unwrap().model.unwrap().normalization.unwrap();
    assert_eq!(given(json!({"normalization": {"mean": [0.1, 0.2, 0.3], "std": [1, 1, 1]}})).mean, [0.1, 0.2, 0.3]);
    assert_eq!(given(json!({"normalization": "none"})), Normalization::none(3));
    assert_eq!(given(json!({"normalization": "dataset"})), Normalization::of(&Dataset::Cifar10.info()));
    assert_eq!(given(json!({"normalization": "file"})).mean, [0.5, 0.4, 0.3]);
    let of_model = json!({"model": {
        "architecture": "preact_resnet_small", "width": 2, "normalization": {"mean": [0.1, 0.2, 0.3], "std": [1, 1, 1]}
    }});
    assert_eq!(given(of_model).mean, [0.1, 0.2, 0.3]);
    let error = try_reading(&fixture("plain.pth"), &json!({"normalization": "file"}), None).unwrap_err().to_string();
    assert!(error.contains("normalization: the file has no normalization"), "{error}");
    // Two different normalizations in the file lead to a question.
    let two = |name: &str, value: f32| [(format!("{name}.mean"), numbers(&[value; 3])), (format!("{name}.std"), numbers(&[0.2; 3]))];
    let path = written(&folder, "two.safetensors", "net.", two("a", 0.4).into_iter().chain(two("b", 0.5)).collect());
    let error = undecided(&path, &json!({}), None);
    assert!(error.contains("2 normalizations") && error.contains(r#"{"mean":[0.4,0.4,0.4]"#), "{error}");
}

/// Writes the network of a file with a bias that makes its predictions vary between images, together with
/// other tensors.
fn centered(folder: &TempDir, file: &str, others: Tensors) -> PathBuf {
    let network = reading(&fixture(file), &json!({"normalization": "none"})).network;
    let logits = tch::no_grad(|| network.forward(&images(200).to_kind(Kind::Float), BatchNormMode::Eval).logits);
    let center = logits.mean_dim([0].as_slice(), false, None);
    let shifted = |(name, tensor): (String, Tensor)| {
        let tensor = if ["linear.bias", "fc.bias"].contains(&name.as_str()) { tensor - &center } else { tensor };
        (name, tensor)
    };
    let path = folder.path().join("centered.safetensors");
    checkpoint::save(&path, &network.snapshot().into_iter().map(shifted).chain(others).collect::<Vec<_>>()).unwrap();
    path
}

/// Returns images labeled with the network's predictions under a normalization.
fn told_right_by(path: &Path, choices: &Value) -> Split {
    let network = reading(path, choices).network;
    let images = images(200).to_kind(Kind::Float);
    let labels = tch::no_grad(|| network.forward(&images, BatchNormMode::Eval).logits).argmax(-1, false);
    Split::new(images, labels)
}

#[test]
fn where_accuracy_tells_how_a_network_was_trained_it_is_asked_with_both_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let path = centered(&folder, "plain.pth", Vec::new());
    let none = told_right_by(&path, &json!({"normalization": "none"}));
    let error = undecided(&path, &json!({}), Some(&none));
    for part in ["normalization: ", "Set `normalization` to ", "\"dataset\" (that of CIFAR-10", "\"none\" (none", "clean accuracy 100.0 %"]
    {
        assert!(error.contains(part), "{part}: {error}");
    }
    let chosen = try_reading(&path, &json!({"normalization": "none"}), Some(&none)).unwrap();
    assert_eq!(chosen.into_decided(&path).unwrap().model.unwrap().normalization, Some(Normalization::none(3)));
    // If both classify the same images correctly, or there are no images, the data set's normalization is
    // assumed and reported.
    let all_wrong = Split::new(images(20).to_kind(Kind::Float), Tensor::full([20], 7, (Kind::Int64, Device::Cpu)));
    for images in [Some(&all_wrong), None] {
        let assumed = try_reading(&fixture("plain.pth"), &json!({}), images).unwrap().into_decided(&fixture("plain.pth")).unwrap();
        assert_eq!(assumed.model.unwrap().normalization, Some(Normalization::of(&Dataset::Cifar10.info())));
        assert!(assumed.inspection.facts[1].contains("is assumed"), "{:?}", assumed.inspection.facts);
        assert_eq!(assumed.undecided_without_images, images.is_none());
    }
}

#[test]
fn what_one_checkpoint_of_a_training_tells_of_its_normalization_holds_for_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = centered(&folder, "plain.pth", Vec::new());
    let none = told_right_by(&path, &json!({"normalization": "none"}));
    let chosen = try_reading(&path, &json!({"normalization": "none"}), Some(&none)).unwrap();
    assert_eq!(chosen.normalization_for_series(), Some(NormalizationSource::None));
    // Alone it is asked about; in the series it is not, with or without images.
    assert_eq!(try_reading(&path, &json!({}), Some(&none)).unwrap().normalization_for_series(), None);
    for source in [NormalizationSource::None, NormalizationSource::Dataset] {
        let reading = try_reading_in_series(&path, &json!({}), Some(&none), Some(source)).unwrap().into_decided(&path).unwrap();
        let expected =
            if source == NormalizationSource::None { Normalization::none(3) } else { Normalization::of(&Dataset::Cifar10.info()) };
        assert_eq!(reading.model.unwrap().normalization, Some(expected));
        assert!(!reading.undecided_without_images && reading.inspection.facts[1].contains("as for the other checkpoints"));
    }
    // One that has a normalization keeps it.
    let file = fixture("module.pth");
    let own = try_reading_in_series(&file, &json!({}), None, Some(NormalizationSource::None)).unwrap();
    assert_eq!(own.model.unwrap().normalization.unwrap().mean, [0.5, 0.4, 0.3]);
}

#[test]
fn a_file_of_the_code_of_trades_sees_pixels_as_they_are_unless_accuracy_speaks_against_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = centered(&folder, "model-wideres-epoch10.pt", vec![("sub_block1.layer.0.bn1.weight".to_owned(), numbers(&[1.0]))]);
    let none = told_right_by(&path, &json!({"normalization": "none"}));
    let known = try_reading(&path, &json!({}), Some(&none)).unwrap().into_decided(&path).unwrap();
    assert_eq!(known.model.unwrap().normalization, Some(Normalization::none(3)));
    assert!(known.inspection.facts[1].contains("100.0 % without any"), "{:?}", known.inspection.facts);
    let dataset = told_right_by(&path, &json!({"normalization": "dataset"}));
    assert!(undecided(&path, &json!({}), Some(&dataset)).contains("comes from code that trains without one"));
}

#[test]
fn of_several_networks_one_is_chosen_unless_they_have_the_same_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let own = || found(&fixture("plain.pth")).0.snapshot();
    let named = |prefix: &str, change: f64| -> Tensors {
        own()
            .into_iter()
            .map(|(name, tensor)| (format!("{prefix}{name}"), if name == "linear.weight" { tensor + change } else { tensor }))
            .collect()
    };
    let swa = written(&folder, "swa.safetensors", "state_dict.", named("swa_state_dict.", 0.5));
    let images = told_right_by(&fixture("plain.pth"), &json!({"normalization": "dataset"}));
    let error = undecided(&swa, &json!({"normalization": "dataset"}), Some(&images));
    for part in ["network: The file holds 2 networks.", "\"state_dict\" (", "\"swa_state_dict\" (", "clean accuracy 100.0 %"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    for (choice, change) in [("state_dict", 0.0), ("swa_state_dict", 0.5), ("swa_state_dict.", 0.5)] {
        let chosen = reading(&swa, &json!({"network": choice})).into_decided(&swa).unwrap();
        let weight = own().into_iter().find(|(name, _)| name == "linear.weight").unwrap().1;
        assert_eq!(*chosen.network.linear_weight(), weight + change, "{choice}");
        assert!(
            chosen.inspection.facts.iter().any(|fact| fact.starts_with("Left out: the network under")),
            "{:?}",
            chosen.inspection.facts
        );
    }
    let error = try_reading(&swa, &json!({"network": "ema"}), None).unwrap_err().to_string();
    assert!(error.contains("network: `ema` is not in the file, which holds `state_dict`, `swa_state_dict`"), "{error}");

    let same = written(&folder, "same.safetensors", "model.", named("model_ema.", 0.0));
    let reading = reading(&same, &json!({})).into_decided(&same).unwrap();
    assert_eq!(reading.inspection.networks[1].same_as.as_deref(), Some("model"));
    assert_eq!(question(&reading, "network").answer, Some(json!("model")));
}

#[test]
fn of_two_heads_one_is_chosen_and_the_other_named() {
    let folder = tempfile::tempdir().unwrap();
    let head = |rows: i64| {
        vec![
            ("fc.weight".to_owned(), Tensor::ones([rows, 8], (Kind::Float, Device::Cpu))),
            ("fc.bias".to_owned(), Tensor::zeros([rows], (Kind::Float, Device::Cpu))),
        ]
    };
    let path = written(&folder, "two_heads.safetensors", "", head(10));
    let error = undecided(&path, &json!({}), None);
    assert!(error.contains("head: ") && error.contains("\"linear\"") && error.contains("\"fc\""), "{error}");
    let chosen = |head: &str| reading(&path, &json!({"head": head})).into_decided(&path).unwrap();
    let (fc, linear) = (chosen("fc"), chosen("linear"));
    assert_eq!(question(&fc, "head").answer, Some(json!("fc")), "one may still change one's mind");
    assert_eq!(*fc.network.linear_weight(), Tensor::ones([10, 8], (Kind::Float, Device::Cpu)));
    assert_eq!(linear.network.snapshot(), found(&fixture("plain.pth")).0.snapshot());
    assert!(linear.inspection.facts.join(" ").contains("Left out: another head, `fc.bias`, `fc.weight`"), "{:?}", linear.inspection.facts);
    assert!(fc.inspection.facts.join(" ").contains("The logits come from `fc`"), "{:?}", fc.inspection.facts);
    // Only one of the two heads has as many classes as the data.
    let path = written(&folder, "two_sizes.safetensors", "", head(100));
    assert_eq!(found(&path).0.snapshot(), linear.network.snapshot());
}

#[test]
fn a_head_has_any_of_the_names_that_code_gives_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("renamed.safetensors");
    for (file, head, others) in
        [("plain.pth", "linear", ["fc", "classifier"]), ("model-wideres-epoch10.pt", "fc", ["linear", "classifier"])]
    {
        let own = reading(&fixture(file), &json!({})).network.snapshot();
        for other in others {
            let renamed =
                |(name, tensor): &(String, Tensor)| (name.replace(&format!("{head}."), &format!("{other}.")), tensor.shallow_clone());
            checkpoint::save(&path, &own.iter().map(renamed).collect::<Vec<_>>()).unwrap();
            let reading = reading(&path, &json!({})).into_decided(&path).unwrap();
            assert_eq!(reading.network.snapshot(), own, "{file}, {other}");
            assert!(!reading.inspection.facts.join(" ").contains("Left out"), "{:?}", reading.inspection.facts);
        }
    }
}

#[test]
fn keys_that_the_network_does_not_have_are_left_out_only_where_one_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let rotation =
        vec![("rot.weight".to_owned(), Tensor::ones([4, 8], (Kind::Float, Device::Cpu))), ("rot.bias".to_owned(), numbers(&[0.0; 4]))];
    let path = written(&folder, "rotation.safetensors", "", rotation);
    let error = undecided(&path, &json!({}), None);
    assert!(error.contains("strict: Unexpected key(s) in state_dict: `rot.bias`, `rot.weight`. Set `strict` to false"), "{error}");
    let left_out = reading(&path, &json!({"strict": false})).into_decided(&path).unwrap();
    assert_eq!(left_out.network.snapshot(), found(&fixture("plain.pth")).0.snapshot());
    assert!(left_out.inspection.facts.join(" ").contains("Left out: tensors that the network does not have, `rot.bias`, `rot.weight`."));
}

/// Labels are what the network says with ReLU, or with SiLU.
#[test]
fn an_activation_that_no_tensor_tells_is_asked_for_only_where_another_is_more_accurate() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dm.safetensors");
    let config =
        |activation| ModelConfig { width: Some(4), activation: Some(activation), ..ModelConfig::of(Architecture::DmPreactResnet18) };
    let images = images(40).to_kind(Kind::Float);
    let mut labeled = Activation::ALL.iter().map(|&activation| {
        let network = Network::new(&config(activation), &Dataset::Cifar10.info(), 1, Kind::Float, Device::Cpu);
        fill(&network, 0);
        checkpoint::save(&path, &network.snapshot()).unwrap();
        let logits = no_grad(|| network.forward(&images, BatchNormMode::Eval).logits);
        // Every class is the largest for some images once the mean of each is taken off.
        let bias = logits.mean_dim([0i64].as_slice(), false, Kind::Float);
        let labels = (&logits - &bias).argmax(1, false);
        let mut tensors = network.snapshot();
        tensors.iter_mut().filter(|(name, _)| name == "logits.bias").for_each(|(_, tensor)| *tensor = &*tensor - &bias);
        let path = folder.path().join(format!("{}.safetensors", activation.id()));
        checkpoint::save(&path, &tensors).unwrap();
        (path, Split::new(images.shallow_clone(), labels))
    });
    let [(relu, of_relu), (silu, of_silu)] = [labeled.next().unwrap(), labeled.next().unwrap()];
    let choices = json!({"normalization": "dataset"});
    let error = undecided(&relu, &choices, Some(&of_relu));
    assert!(error.contains("activation: No tensor tells the activation of DeepMind's PreActResNet-18. Set `activation` to"), "{error}");
    let activation = |path: &Path, choices: Value, images| {
        let reading = try_reading(path, &choices, images).unwrap().into_decided(path).unwrap();
        (reading.model.unwrap().activation.unwrap(), reading.inspection.facts.join(" "))
    };
    let chosen = activation(&relu, json!({"normalization": "dataset", "activation": "relu"}), Some(&of_relu));
    assert_eq!(chosen.0, Activation::Relu);
    assert!(!chosen.1.contains("No tensor tells"), "{}", chosen.1);
    for images in [Some(&of_silu), None] {
        let (found, facts) = activation(&silu, choices.clone(), images);
        assert_eq!(found, Activation::Silu);
        assert!(facts.contains("No tensor tells its activation; SiLU (Swish) is that of the published weights."), "{facts}");
    }
    let error = try_reading(&fixture("plain.pth"), &json!({"activation": "silu"}), None).unwrap_err().to_string();
    assert!(error.contains("activation: `silu` is not used: PreActResNet, small has one activation"), "{error}");
}

#[test]
fn what_lies_beside_a_network_is_named_and_passed_over() {
    let reading = reading(&fixture("beside.pth"), &json!({})).into_decided(&fixture("beside.pth")).unwrap();
    let facts = reading.inspection.facts.join(" ");
    for part in [
        "`by_eps`, a dictionary of 1",
        "`by_pair`",
        "`by_flag`",
        "`by_none`",
        "`by_bytes`",
        "`by_numpy`",
        "`callbacks`",
        "`history`",
        "`optimizer.",
        "`fourier`",
        "`sparse`",
        "`numpy`",
        "`mean`",
        "`std`",
        "is assumed",
    ] {
        assert!(facts.contains(part), "{part}: {facts}");
    }
    assert_eq!(
        reading.model.as_ref().unwrap().normalization,
        Some(Normalization::of(&Dataset::Cifar10.info())),
        "metrics are no normalization"
    );
    let plain = reading_of_floats(&reading.network);
    for file in ["protocol_5.pth", "deflated.pth", "before_0.1.10.pth"] {
        assert_eq!(reading_of_floats(&found(&fixture(file)).0), plain, "{file}");
    }
    // Lists beside a network may or may not be its normalization.
    let error = undecided(&fixture("lists.pth"), &json!({}), None);
    assert!(error.contains("beside the network") && error.contains("`mean`, `std`") && error.contains("\"file\""), "{error}");
    let file = fixture("lists.pth");
    let (mean, std) = (vec![0.5, 0.4, 0.3], vec![0.2, 0.25, 0.3]);
    let model = self::reading(&file, &json!({"normalization": "file"})).into_decided(&file).unwrap().model.unwrap();
    assert_eq!(model.normalization, Some(Normalization { mean, std }));
}

/// Returns all tensors except counters of batches, which not every file contains.
fn reading_of_floats(network: &Network) -> Tensors {
    network.snapshot().into_iter().filter(|(name, _)| !name.ends_with("num_batches_tracked")).collect()
}

#[test]
fn weights_are_found_wherever_a_file_keeps_them() {
    let (plain, _) = found(&fixture("plain.pth"));
    for (name, choices, networks) in [
        ("plain.pth", json!({}), vec![""]),
        ("nested.pth", json!({}), vec!["state_dict.module"]),
        ("best_and_last.pth", json!({"network": "best"}), vec!["best", "last"]),
        ("legacy.pth", json!({}), vec!["net"]),
        ("module.pth", json!({}), vec!["1"]),
    ] {
        let Reading { network, model, inspection, .. } = reading(&fixture(name), &choices).into_decided(&fixture(name)).unwrap();
        assert_eq!(inspection.networks.iter().map(|network| network.prefix.as_str()).collect::<Vec<_>>(), networks, "{name}");
        let model = model.unwrap();
        assert_eq!((model.architecture, model.width, inspection.classes), (Architecture::PreactResnetSmall, Some(2), 10));
        assert_eq!(network.snapshot(), plain.snapshot(), "{name}");
        let own = Normalization { mean: vec![0.5, 0.4, 0.3], std: vec![0.2, 0.25, 0.3] };
        assert_eq!(model.normalization == Some(own), name == "module.pth", "{name}");
    }
}

#[test]
fn what_we_write_is_detected_as_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("e1.safetensors");
    for &architecture in Architecture::ALL {
        let width = 6 * architecture.facts().width_multiple;
        let config = ModelConfig { width: Some(width), ..ModelConfig::of(architecture) };
        let network = Network::new(&config, &Dataset::Cifar10.info(), 1, Kind::Float, Device::Cpu);
        checkpoint::save(&path, &network.snapshot()).unwrap();
        let (read, model) = found(&path);
        assert_eq!(model, config.normalized_for(&Dataset::Cifar10.info()));
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

#[test]
fn a_configuration_without_choices_is_as_it_was_and_wrong_ones_are_named() {
    let read = |more: Value| {
        let mut value = json!({"kind": "import", "source": "/net.pth", "data": {"dataset": "cifar10"}});
        value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        RunConfig::parse(&value).map(|config| config.to_json()).map_err(|errors| errors[0].field.clone())
    };
    let plain = read(json!({})).unwrap();
    for field in ["network", "head", "activation", "normalization", "strict"] {
        assert!(plain.get(field).is_none(), "{field}: {plain}");
    }
    let chosen = json!({"network": "", "head": "fc", "normalization": "none", "strict": false});
    assert!(chosen.as_object().unwrap().iter().all(|(field, value)| read(chosen.clone()).unwrap()[field] == *value));
    let numbers = |mean: Value, std: Value| json!({"normalization": {"mean": mean, "std": std}});
    assert!(read(numbers(json!([0.5, 0.5, 0.5]), json!([0.2, 0.2, 0.2]))).is_ok());
    for (wrong, field) in [
        (json!({"normalization": "files"}), "normalization"),
        (numbers(json!([0.5]), json!([0.2, 0.2, 0.2])), "normalization.mean"),
        (numbers(json!([0.5, 0.5, 0.5]), json!([0.2, 0.2, 0.0])), "normalization.std"),
    ] {
        assert_eq!(read(wrong.clone()), Err(field.to_owned()), "{wrong}");
    }
    let both =
        json!({"normalization": "none", "model": {"architecture": "resnet18", "normalization": {"mean": [0, 0, 0], "std": [1, 1, 1]}}});
    assert_eq!(read(both), Err("normalization".to_owned()));
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
    assert_eq!(sidecar.model.unwrap().normalization, Some(Normalization { mean: vec![0.5, 0.4, 0.3], std: vec![0.2, 0.25, 0.3] }));
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
    for part in ["`module.pth` (PyTorch)", "PreActResNet, small of width 2 for 10 classes", "under `1`", "[0.5, 0.4, 0.3]"] {
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

#[test]
fn a_file_that_is_something_else_is_called_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(2);
    tar.append_data(&mut header, "model.pth", &b"hi"[..]).unwrap();
    let html = b"\n<!DOCTYPE html><html><head><title>Quota exceeded</title></head></html>".to_vec();
    for (content, part) in [
        (html, "is an HTML page with the title `Quota exceeded`"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n".to_vec(), "is a pointer of Git LFS"),
        (b"\x1f\x8b\x08\0\0\0".to_vec(), "is compressed with gzip; unpack it first"),
        (b"{\"error\": \"not found\"}".to_vec(), "is JSON text, which begins with `{\"error\": \"not found\"}`"),
        (b"\x89HDF\r\n\x1a\n".to_vec(), "is an HDF5 file"),
        (b"\x08\x07\x12\x07pytorch\x1a\x052.1.0".to_vec(), "is an ONNX file"),
        (vec![0; 4096], "nothing but zeros"),
        (b"Dear diary".to_vec(), "is text, which begins with `Dear diary`"),
        (b"\xfe\xfe\xfe\xfe".to_vec(), "of an unknown kind"),
        (Vec::new(), "is empty"),
        (tar.into_inner().unwrap(), "is a tar archive of `model.pth`, not a checkpoint: unpack it"),
        (zip(&[("weights.npy", b"")]), "is a ZIP archive of `weights.npy`, not a checkpoint: unpack it"),
    ] {
        let path = folder.path().join("model.pth");
        fs::write(&path, content).unwrap();
        let error = try_reading(&path, &json!({}), None).unwrap_err().to_string();
        assert!(error.contains(part) && error.contains("model.pth"), "{part}: {error}");
    }
}

#[test]
fn a_file_is_looked_at_before_it_is_imported() {
    let inspect = |arguments: &[&str], file: &str| {
        let output = worker().arg("--inspect").arg(fixture(file)).args(arguments).output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (done, said, _) = inspect(&["--dataset", "synthetic"], "best_and_last.pth");
    assert!(done);
    let inspection: shared::inspection::Inspection = serde_json::from_str(&said).unwrap();
    let fields: Vec<&str> = inspection.questions.iter().map(|question| question.field.as_str()).collect();
    assert_eq!(fields, ["network", "normalization"]);
    assert_eq!(inspection.questions[0].answer, None);
    assert!(inspection.test_images.is_some_and(|images| images > 0), "synthetic images are always here");
    assert!(inspection.questions.iter().flat_map(|question| &question.options).all(|option| option.clean_accuracy.is_some()));
    let (done, said, _) =
        inspect(&["--dataset", "cifar10", "--network", "last", "--normalization", "0.5,0.5,0.5/0.2,0.2,0.2"], "best_and_last.pth");
    assert!(done && serde_json::from_str::<shared::inspection::Inspection>(&said).unwrap().normalization.is_some(), "{said}");
    let (done, _, said) = inspect(&["--dataset", "cifar10"], "hostile.pth");
    assert!(!done && said.contains("hostile.pth"), "{said}");
}

/// Creates a folder as the public code writes it, with `epochs` lines in its log. The second epoch is the
/// best.
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

/// Runs an import that must fail. The last line on standard error must contain all `parts`.
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
    assert!(
        left.iter().all(|name| ["attributions", "checkpoints", "config.json", "exit_code", "metrics.jsonl"].contains(&name.as_str())),
        "{left:?}"
    );
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
    // Executing this pickle would create a file.
    check(&config(&fixture("hostile.pth")), &["hostile.pth", "holds no tensors", "PreActResNet-18", "DeiT-Ti"]);

    let tensors = |name: &str, tensors: &[(&str, &[i64])]| {
        let path = folder.path().join(name);
        let zeros = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, Device::Cpu));
        checkpoint::save(&path, &tensors.iter().map(|(name, shape)| ((*name).to_owned(), zeros(shape))).collect::<Vec<_>>()).unwrap();
        path
    };
    check(
        &config(&fixture("features.pth")),
        &["features.pth", "holds features of images, 4 of each for 3 classes", "import the model_N.pth"],
    );
    check(&config(&fixture("no_torch.pkl")), &["no_torch.pkl", "a pickle of a dictionary with `accuracy`, `name`"]);
    check(
        &config(&fixture("scripted.pt")),
        &["scripted.pt", "holds tensors such as `0.bias`", "no network known here", "set `program` to true"],
    );
    let mut bits = plain.clone();
    let middle = bits.len() / 2;
    bits[middle] ^= 1;
    check(&config(&file("flipped.pth", &bits)), &["flipped.pth", "is damaged"]);

    let other = tensors("vgg.safetensors", &[("features.0.weight", &[8, 3, 3, 3])]);
    check(&config(&other), &["vgg.safetensors", "features.0.weight", "no network known here", "DeepMind's WideResNet"]);
    let wide = tensors("wrn.safetensors", &[("block1.layer.0.conv1.weight", &[16, 16, 3, 3]), ("fc.weight", &[10, 64])]);
    check(&config(&wide), &["wrn.safetensors", "Missing key(s) in state_dict", "conv1.weight"]);
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
    check(&spoiled(&|tensors| tensors.push(extra())), &["other.safetensors", "strict: Unexpected key(s) in state_dict: `extra.weight`"]);
    check(
        &spoiled(&|tensors| tensors.iter_mut().filter(|(name, _)| name == "bn.bias").for_each(|(_, bias)| *bias = extra().1)),
        &["size mismatch for bn.bias: copying a param with shape [2] from checkpoint, the shape in current model is [8]"],
    );
    check(
        &spoiled(&|tensors| tensors.iter_mut().filter(|(name, _)| name == "bn.bias").for_each(|(_, bias)| *bias = &*bias * f64::NAN)),
        &["infinite or NaN values in `bn.bias`"],
    );
    let mut hundred = config(&fixture("plain.pth"));
    hundred["data"]["dataset"] = "cifar100".into();
    check(&hundred, &["plain.pth", "has 10 classes, but CIFAR-100 has 100"]);
    let mut digits = config(&fixture("plain.pth"));
    digits["data"]["dataset"] = "digits".into();
    check(&digits, &["size mismatch for conv1.weight", "[2, 3, 3, 3]", "[2, 1, 3, 3]"]);
}

#[test]
fn what_a_training_log_calls_best_is_best_or_missing() {
    let without = |names: &[&str]| {
        let folder = train_log(4);
        names.iter().for_each(|name| fs::remove_file(folder.path().join(format!("model_{name}.pth"))).unwrap());
        fs::write(folder.path().join("model_200.pth"), "left from a longer training").unwrap();
        let (directory, metrics) = imported(&config(folder.path()));
        drop(directory);
        metrics
    };
    let only_last = without(&["2", "4", "best"]);
    assert_eq!(only_last.best().unwrap().epoch, 2);
    let error = only_last.checkpoint_epoch(Which::Best).unwrap_err().to_string();
    assert_eq!(error, "best is epoch 2, whose checkpoint is not kept; the run has kept the epochs 4");
    let only_best = without(&["2", "4", "last"]);
    assert_eq!((only_best.checkpoint_epoch(Which::Best), only_best.checkpoint_epoch(Which::Last).is_err()), (Ok(2), true));
    let said = &only_last.notices[0].message;
    for part in ["no file of epoch 2, so the best checkpoint of this run is missing", "ends with epoch 4: `model_200.pth`", "`opt_2.pth`"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_folder_that_is_no_training_log_is_named_with_what_was_expected() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("log.csv"), ",0,1,2,3,4,5\n0,1,2,3,4,5,6\n").unwrap();
    check(&config(folder.path()), &["holds no checkpoints", "`log.csv`", "config.json, log.csv and model_*.pth"]);
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
    check(&config(folder.path()), &["log.csv", "more correct images than images in line 2"]);
    let folder = spoiled(&|folder| fs::write(folder.join("config.json"), "{}").unwrap());
    check(&config(folder.path()), &["config.json", "train.py", "dataset"]);
    let folder = spoiled(&|folder| {
        ["2", "4", "best", "last"].iter().for_each(|name| fs::remove_file(folder.join(format!("model_{name}.pth"))).unwrap())
    });
    check(&config(folder.path()), &["has no model_best.pth"]);
    let folder = train_log(4);
    let mut hundred = config(folder.path());
    hundred["data"]["dataset"] = "cifar100".into();
    check(&hundred, &["`cifar10`", "`cifar100`"]);
}
