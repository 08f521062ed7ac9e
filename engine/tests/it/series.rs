//! Imports of folders of checkpoints: order, logs, what is refused, and going on after a kill.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use engine::checkpoint;
use engine::job;
use engine::model::Network;
use engine::stop::Stop;
use safetensors::SafeTensors;
use serde_json::{Value, json};
use shared::api::AttributionFile;
use shared::config::{Architecture, CheckpointConfig, Inputs, ModelConfig};
use shared::dataset::Dataset;
use shared::id::Which;
use shared::inspection::Inspection;
use tch::{Device, Kind};
use tempfile::TempDir;

use crate::tiny_config;
use crate::worker::{beside, metrics, outcome, run, train, wait_for, worker};

fn import(source: &Path, more: &Value) -> Value {
    let mut config = json!({
        "kind": "import", "source": source, "device": "cpu",
        "data": {"dataset": "synthetic", "test_samples": 20}, "normalization": "dataset",
        "attack": {"norm": "linf", "eps": "8/255", "steps": 2},
    });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    config
}

/// Writes a small network, another one for each seed.
fn network(folder: &TempDir, name: &str, seed: u32, width: u32) -> PathBuf {
    tch::set_num_threads(1);
    let config = ModelConfig { width: Some(width), ..ModelConfig::of(Architecture::PreactResnetSmall) };
    let network = Network::new(&config, &Dataset::Synthetic.info(), seed, Kind::Float, Device::Cpu);
    let path = folder.path().join(name);
    checkpoint::save(&path, &network.snapshot()).unwrap();
    path
}

fn with_epoch(path: &Path, epoch: &str) {
    let bytes = fs::read(path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let metadata = HashMap::from([("epoch".to_owned(), epoch.to_owned())]);
    fs::write(path, safetensors::serialize(tensors.tensors(), Some(metadata)).unwrap()).unwrap();
}

fn folder(names: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    (0..).zip(names).for_each(|(seed, name)| drop(network(&folder, name, seed, 2)));
    folder
}

fn epochs_of(directory: &Path) -> Vec<u32> {
    metrics(directory).checkpoints.iter().map(|checkpoint| checkpoint.epoch).collect()
}

#[track_caller]
fn imported(config: &Value) -> TempDir {
    let directory = crate::worker::directory(config);
    let output = run(directory.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    directory
}

/// Trains 20 epochs and keeps every checkpoint.
fn trained() -> TempDir {
    let mut config = tiny_config();
    config.training.epochs = 20;
    config.training.milestones = vec![10];
    config.checkpoints = CheckpointConfig { every: 1, ..CheckpointConfig::default() };
    config.attribution.bootstrap = 0;
    let root = tempfile::tempdir().unwrap();
    train(&root, "base", config);
    root
}

fn of_base(root: &TempDir) -> Value {
    let config: Value = serde_json::from_str(&fs::read_to_string(root.path().join("base/config.json")).unwrap()).unwrap();
    let attack: Value = serde_json::from_str(&fs::read_to_string(root.path().join("base/checkpoints/e1.json")).unwrap()).unwrap();
    json!({
        "kind": "import", "source": root.path().join("base/checkpoints"), "device": "cpu", "data": config["data"], "seed": config["seed"],
        "normalization": "dataset", "attack": attack["attack"], "attribution": {"inputs": ["clean", "adversarial"], "bootstrap": 0},
    })
}

#[test]
fn a_folder_of_twenty_checkpoints_has_the_course_that_its_training_had() {
    let root = trained();
    let directory = beside(&root, "imported", &of_base(&root));
    job::run(&directory, &Stop::default()).unwrap();
    let (trained, imported) = (metrics(&root.path().join("base")), metrics(&directory));
    assert_eq!(epochs_of(&directory), (1..=20).collect::<Vec<_>>());
    assert_eq!(imported.attributions.len(), 40);
    let course = |metrics: &shared::record::Metrics| {
        metrics.attributions.iter().map(|entry| (entry.epoch, entry.inputs, entry.cas)).collect::<Vec<_>>()
    };
    assert_eq!(course(&imported), course(&trained));
    let accuracies = |metrics: &shared::record::Metrics| {
        metrics.epochs.iter().map(|epoch| (epoch.epoch, epoch.test_clean_accuracy, epoch.test_robust_accuracy)).collect::<Vec<_>>()
    };
    assert_eq!(accuracies(&imported), accuracies(&trained));
    let (found, expected) = (imported.finished.as_ref().unwrap(), trained.finished.as_ref().unwrap());
    assert_eq!((found.best_epoch, found.last_epoch), (expected.best_epoch, expected.last_epoch));
    assert_eq!(imported.checkpoint_epoch(Which::Best), trained.checkpoint_epoch(Which::Best));
    assert_eq!(imported.fraction_done(), 1.0);
    // What is the same of all is said once.
    let said: Vec<&str> = imported.notices.iter().map(|notice| notice.message.as_str()).collect();
    assert_eq!(said.len(), 1, "{said:?}");
    for part in ["20 checkpoints, from epoch 1 (`e1.safetensors`) to epoch 20", "no log that is known", "`e1.json`", "PreActResNet, small"]
    {
        assert!(said[0].contains(part), "{part}: {said:?}");
    }
}

#[test]
fn a_series_stopped_or_killed_anywhere_ends_in_the_same_bytes() {
    let root = trained();
    let config = of_base(&root);
    let whole = beside(&root, "whole", &config);
    job::run(&whole, &Stop::default()).unwrap();

    let pieces = beside(&root, "pieces", &config);
    let mut stopped = 0;
    while let Err(error) = job::run(&pieces, &Stop::at_check(31)) {
        assert!(matches!(error, engine::Error::Stopped(_)), "{error}");
        stopped += 1;
        assert!(stopped < 100);
    }
    assert!(stopped > 2, "{stopped} stops are too few");
    crate::stopping::assert_same("a series in pieces", &pieces, &whole);

    let killed = beside(&root, "killed", &config);
    for measured in [3, 17] {
        let mut child = worker().arg(&killed).spawn().unwrap();
        wait_for("matrices", || metrics(&killed).attributions.len() >= measured);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(metrics(&killed).finished.is_none());
    // What a worker leaves that is killed between two records.
    let text = fs::read_to_string(killed.join("metrics.jsonl")).unwrap();
    let last = text.lines().rev().find(|line| line.contains("\"type\":\"epoch\"")).unwrap();
    fs::write(killed.join("metrics.jsonl"), text.replace(&format!("{last}\n"), "")).unwrap();
    assert!(run(&killed).status.success());
    // Only a worker of its own tells how it ended.
    fs::remove_file(killed.join("exit_code")).unwrap();
    crate::stopping::assert_same("a killed series", &killed, &whole);
    assert_eq!(outcome(&killed), outcome(&whole));
}

#[test]
fn the_epochs_of_a_folder_are_its_numbers_or_those_in_its_files() {
    let folder = folder(&["epoch_10.pth", "epoch_5.pth", "epoch_100.pth", "other.pth", "model_best.pth"]);
    with_epoch(&folder.path().join("other.pth"), "7");
    fs::write(folder.path().join("README.md"), "Checkpoints of a training.").unwrap();
    fs::create_dir(folder.path().join("logs")).unwrap();
    let directory = imported(&import(folder.path(), &json!({})));
    assert_eq!(epochs_of(directory.path()), [5, 7, 10, 100]);
    let said = &metrics(directory.path()).notices[0].message;
    for part in ["`model_best.pth`: Left out, because neither its name nor its content", "they are not checkpoints: `README.md`"] {
        assert!(said.contains(part), "{part}: {said}");
    }

    // What the configuration lists counts, and nothing else.
    let list = json!([{"file": "model_best.pth", "epoch": 76}, {"file": "epoch_5.pth", "epoch": 6}]);
    let directory = imported(&import(folder.path(), &json!({"checkpoints": list})));
    assert_eq!(epochs_of(directory.path()), [6, 76]);
    let read = |name: &str| fs::read(directory.path().join(name)).unwrap();
    let alone = imported(&import(&folder.path().join("epoch_5.pth"), &json!({})));
    assert_eq!(read("checkpoints/e6.safetensors"), fs::read(alone.path().join("checkpoints/e1.safetensors")).unwrap());
}

#[test]
fn one_command_imports_a_folder() {
    let folder = folder(&["ckpt-1.safetensors", "ckpt-2.safetensors", "ckpt-3.safetensors"]);
    let root = tempfile::tempdir().unwrap();
    let import = |name: &str, more: &[&str]| {
        let output = worker()
            .arg(root.path().join(name))
            .args(["--dataset", "synthetic", "--normalization", "dataset", "--import"])
            .arg(folder.path())
            .args(more)
            .output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        epochs_of(&root.path().join(name))
    };
    assert_eq!(import("all", &[]), [1, 2, 3]);
    assert_eq!(import("two", &["--checkpoint", "ckpt-3.safetensors=30", "--checkpoint", "ckpt-1.safetensors=10"]), [10, 30]);
}

#[test]
fn the_log_of_a_folder_becomes_its_curves() {
    let folder = folder(&["model_0.pth", "model_1.pth", "model_best.pth"]);
    let names = "Epoch \t Train Time \t Test Time \t LR \t \t Train Loss \t Train Acc \t Train Robust Loss \t Train Robust Acc \t Test Loss \t Test Acc \t Test Robust Loss \t Test Robust Acc";
    let row = |epoch: u32, robust: f64| {
        format!("{epoch} \t 1.0 \t \t 1.0 \t \t 0.1000 \t 1.9 \t 0.3 \t 2.1 \t \t 0.22 \t \t 1.6 \t 0.42 \t 1.95 \t \t {robust:.4}")
    };
    let log = [names.to_owned(), row(0, 0.2), row(1, 0.3), row(2, 0.25)].map(|line| format!("[2020/02/01 10:00:00] - {line}\n")).concat();
    fs::write(folder.path().join("output.log"), log).unwrap();
    let directory = imported(&import(folder.path(), &json!({"attribution": {"inputs": ["adversarial"]}})));
    let metrics_of = metrics(directory.path());
    let robust = |metrics: &shared::record::Metrics| metrics.epochs.iter().map(|epoch| epoch.test_robust_accuracy).collect::<Vec<_>>();
    assert_eq!(robust(&metrics_of), [0.2, 0.3, 0.25].map(Some));
    assert_eq!((metrics_of.epochs[1].train_loss, metrics_of.epochs[1].learning_rate), (Some(2.1), 0.1));
    assert_eq!((metrics_of.checkpoint_epoch(Which::Best), epochs_of(directory.path())), (Ok(1), vec![0, 1]));
    let said = &metrics_of.notices[0].message;
    assert!(said.contains("`output.log` is the log of 3 epochs") && said.contains("`model_1.pth` is of the same epoch 1"), "{said}");

    // The code of TRADES does not tell robust accuracies: they are those measured here.
    let folder = self::folder(&["model-wideres-epoch5.pt", "model-wideres-epoch10.pt"]);
    let printed = |epoch: u32| {
        format!("Train Epoch: {epoch} [0/50000 (0%)]\tLoss: 2.3\nTest: Average loss: 1.6, Accuracy: {}/10000 (45%)\n", 4500 + epoch)
    };
    fs::write(folder.path().join("train.log"), (1..=10).map(printed).collect::<String>()).unwrap();
    let directory = imported(&import(folder.path(), &json!({"attribution": {"inputs": ["adversarial", "clean"]}})));
    let metrics_of = metrics(directory.path());
    assert_eq!(metrics_of.epochs[4].test_clean_accuracy, Some(0.4505), "the log's");
    let known = robust(&metrics_of).iter().map(Option::is_some).collect::<Vec<_>>();
    assert_eq!(known, [false, false, false, false, true, false, false, false, false, true]);
    let file = fs::read_to_string(directory.path().join("attributions/e5.adversarial.json")).unwrap();
    assert_eq!(robust(&metrics_of)[4], Some(serde_json::from_str::<AttributionFile>(&file).unwrap().accuracy));
    assert_eq!(metrics_of.cas(5, Inputs::Clean).map(f64::is_finite), Some(true));
}

/// Runs an import that must fail. The last line on standard error must contain all `parts`.
#[track_caller]
fn check(config: &Value, parts: &[&str]) {
    let directory = crate::worker::directory(config);
    let output = run(directory.path());
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    for part in parts {
        assert!(said.lines().last().unwrap().contains(part), "{part}: {said}");
    }
    assert_eq!(metrics(directory.path()).checkpoints, []);
}

#[test]
fn a_folder_that_is_no_series_is_named_with_what_to_do() {
    const WHAT: &str = "Set `checkpoints` to the files to import, each with its epoch, without those to be left out";
    let numberless = folder(&["epoch_5.pth", "weights.pth"]);
    check(&import(numberless.path(), &json!({})), &["`weights.pth` has no number in its name and no epoch stored in it", WHAT]);

    let twice = folder(&["a_5.pth", "b_5.pth", "c_6.pth"]);
    check(
        &import(twice.path(), &json!({})),
        &[
            "`a_5.pth` has the number 5 in its name, and so has `b_5.pth`",
            "`b_5.pth` has the number 5 in its name, and so has `a_5.pth`",
            WHAT,
        ],
    );

    let mixed = folder(&["epoch_1.pth", "epoch_2.pth", "epoch_3.pth"]);
    network(&mixed, "epoch_4.pth", 1, 6);
    let how = "`epoch_4.pth` holds PreActResNet, small of width 6 for 10 classes, unlike `epoch_1.pth`, which holds PreActResNet, small of width 2 for 10 classes";
    check(&import(mixed.path(), &json!({})), &[how, WHAT]);
    let list = json!([{"file": "epoch_4.pth", "epoch": 4}, {"file": "epoch_1.pth", "epoch": 1}]);
    check(&import(mixed.path(), &json!({"checkpoints": list})), &["checkpoints[", "unlike"]);
    let alone = imported(&import(mixed.path(), &json!({"checkpoints": [{"file": "epoch_4.pth", "epoch": 4}]})));
    assert_eq!(epochs_of(alone.path()), [4], "it fits itself");

    let half = folder(&["epoch_1.safetensors", "epoch_2.safetensors"]);
    let path = half.path().join("epoch_2.safetensors");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    check(&import(half.path(), &json!({})), &["`epoch_2.safetensors` is not a readable safetensors file", WHAT]);
    let plain = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/import/plain.pth")).unwrap();
    fs::write(&path, &plain[..plain.len() / 2]).unwrap();
    check(&import(half.path(), &json!({})), &["`epoch_2.safetensors` cannot be read as a checkpoint", WHAT]);

    let none = tempfile::tempdir().unwrap();
    check(&import(none.path(), &json!({})), &["holds no checkpoints; expected are files such as epoch_5.pth"]);
    fs::write(none.path().join("notes.txt"), "Dear diary").unwrap();
    check(&import(none.path(), &json!({})), &["holds no checkpoints", "`notes.txt`", "train_log folder"]);
    let best = folder(&["model_best.pth"]);
    check(
        &import(best.path(), &json!({})),
        &["`model_best.pth`: Left out, because neither its name nor its content tells its epoch", WHAT],
    );

    let list = json!([{"file": "epoch_9.pth", "epoch": 9}]);
    check(&import(mixed.path(), &json!({"checkpoints": list})), &["checkpoints[0].file: `epoch_9.pth` is not a checkpoint of the folder"]);
    let file = mixed.path().join("epoch_1.pth");
    check(&import(&file, &json!({"checkpoints": list})), &["checkpoints: lists files of a folder, but the source is a file"]);
}

#[test]
fn a_folder_is_looked_at_before_it_is_imported() {
    let folder = folder(&["epoch_5.pth", "epoch_10.pth", "weights.pth"]);
    network(&folder, "epoch_7.pth", 1, 6);
    let output = worker().arg("--inspect").arg(folder.path()).args(["--dataset", "synthetic"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let inspection: Inspection = serde_json::from_slice(&output.stdout).unwrap();
    let found: Vec<_> = inspection.checkpoints.iter().map(|found| (found.file.as_str(), found.epoch, found.problem.is_some())).collect();
    let expected =
        [("epoch_5.pth", Some(5), false), ("epoch_7.pth", Some(7), true), ("epoch_10.pth", Some(10), false), ("weights.pth", None, false)];
    assert_eq!(found, expected);
    assert!(inspection.facts[0].contains("not all can be imported yet"), "{:?}", inspection.facts);
    assert!(inspection.facts[1].contains("`epoch_10.pth`"), "the last is described: {:?}", inspection.facts);
    assert_eq!(inspection.checkpoints[3].note, "has no number in its name and no epoch stored in it");
}

#[test]
fn optimizers_beside_checkpoints_are_left_out() {
    let folder = folder(&["model_5.pth", "model_10.pth"]);
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/import/opt_5.pth");
    fs::copy(fixture, folder.path().join("opt_5.pth")).unwrap();
    let directory = imported(&import(folder.path(), &json!({})));
    assert_eq!(epochs_of(directory.path()), [5, 10]);
    let said = &metrics(directory.path()).notices[0].message;
    assert!(said.contains("they hold an optimizer and no network: `opt_5.pth`"), "{said}");
}
