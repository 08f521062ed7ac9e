//! Runs that are stopped or killed anywhere and go on: they end in the bytes of an undisturbed run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use engine::checkpoint::{self, Sidecar};
use engine::stop::Stop;
use engine::{Error, job};
use safetensors::SafeTensors;
use serde_json::{Value, json};
use shared::config::{AwpConfig, CheckpointConfig, DistillationConfig, Method, TrainConfig, WeightAveragingConfig};
use shared::fixtures;
use shared::record::{NoticeKind, Record};
use tempfile::TempDir;

use crate::tiny_config;
use crate::worker::{beside, files, json as config_json, metrics, outcome, wait_for, worker};

/// Runs a directory to its end with workers that are each stopped at their check number `check`. Returns how
/// many were stopped.
pub(crate) fn run_in_pieces(directory: &Path, check: u32) -> u32 {
    tch::set_num_threads(1);
    for stopped in 0..200 {
        match job::run(directory, &Stop::at_check(check)) {
            Ok(()) => return stopped,
            Err(Error::Stopped(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the workers get nowhere in {}", directory.display());
}

/// Returns every result in a directory by its path: bytes of weights, and JSON without durations.
fn results(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for name in files(&directory.join(&folder)) {
            let path = folder.join(&name);
            let whole = directory.join(&path);
            if whole.is_dir() {
                folders.push(path);
            } else if !["metrics.jsonl", "config.json", "lease.json"].contains(&name.as_str()) {
                let bytes = fs::read(&whole).unwrap();
                let bytes = if name.ends_with(".json") { timeless(serde_json::from_slice(&bytes).unwrap()) } else { bytes };
                found.insert(path.to_str().unwrap().to_owned(), bytes);
            }
        }
    }
    found
}

fn timeless(mut value: Value) -> Vec<u8> {
    fixtures::without_durations(&mut value);
    serde_json::to_vec(&value).unwrap()
}

#[track_caller]
pub(crate) fn assert_same(what: &str, found: &Path, expected: &Path) {
    let (found_results, expected_results) = (results(found), results(expected));
    assert_eq!(found_results.keys().collect::<Vec<_>>(), expected_results.keys().collect::<Vec<_>>(), "{what}");
    for (path, bytes) in &expected_results {
        assert!(found_results[path] == *bytes, "{what}: {path} differs");
    }
    assert_eq!(outcome(found), outcome(expected), "{what}");
}

/// Trains with attacks in training mode, so that the passes of an attack change running statistics.
fn short() -> TrainConfig {
    let mut config = tiny_config();
    config.training.epochs = 3;
    config.training.milestones = vec![2];
    config.checkpoints.every = 0;
    config.attribution.bootstrap = 20;
    config
}

#[track_caller]
fn check_training(what: &str, config: TrainConfig, checks: &[u32]) {
    let root = tempfile::tempdir().unwrap();
    let whole = beside(&root, "whole", &config_json(config.clone()));
    tch::set_num_threads(1);
    job::run(&whole, &Stop::default()).unwrap();
    for check in checks {
        let pieces = beside(&root, &format!("pieces-{check}"), &config_json(config.clone()));
        let stopped = run_in_pieces(&pieces, *check);
        assert!(stopped > 4, "{what}: {stopped} stops are too few");
        assert_same(&format!("{what}, stopped at every check {check}"), &pieces, &whole);
        assert!(metrics(&pieces).notices.iter().any(|notice| notice.kind == NoticeKind::Resumed));
    }
}

// One batch of an evaluation has one check before it and one before each of the 4 steps of its attack, so a worker
// that is stopped at check 5 completes at least one batch.
#[test]
fn adversarial_training_stopped_anywhere_ends_in_the_same_bytes() {
    check_training("AT", short(), &[5, 8]);
}

#[test]
fn training_with_every_extension_stopped_anywhere_ends_in_the_same_bytes() {
    let mut config = short();
    config.training.mixup = 1.0;
    config.training.label_smoothing = 0.1;
    config.training.gradient_clip = Some(1.0);
    config.training.weight_averaging = Some(WeightAveragingConfig { decay: 0.8, start_epoch: 2 });
    config.training.awp = Some(AwpConfig { gamma: 0.01, warmup_epochs: 1 });
    config.training.left_out_features = vec![2, 9];
    config.data.holdout_samples = 10;
    check_training("extensions", config, &[7]);
}

#[test]
fn other_methods_stopped_anywhere_end_in_the_same_bytes() {
    for method in [Method::Standard, Method::FastAt, Method::Trades] {
        let mut config = short();
        config.training.method = method;
        config.training.cas_weight = Some(0.5);
        if method == Method::FastAt {
            config.attack.steps = 1;
        }
        check_training(method.id(), config, &[6]);
    }
}

#[test]
fn training_with_teachers_stopped_anywhere_ends_in_the_same_bytes() {
    let mut config = short();
    config.training.epochs = 2;
    config.training.milestones = Vec::new();
    config.training.distillation = Some(DistillationConfig { teacher_epochs: Some(2), ..DistillationConfig::default() });
    check_training("teachers", config, &[9]);
}

/// Keeps the newest two of all checkpoints, and matrices of every third epoch.
fn newest_two() -> TrainConfig {
    let mut config = short();
    config.training.epochs = 7;
    config.checkpoints = CheckpointConfig { every: 1, at_most: Some(2), epochs: vec![3] };
    config.attribution.every = 3;
    config
}

#[test]
fn training_that_keeps_the_newest_checkpoints_stopped_anywhere_ends_in_the_same_bytes() {
    check_training("newest two", newest_two(), &[8]);
}

#[test]
fn what_a_killed_worker_was_removing_is_removed_by_the_next() {
    tch::set_num_threads(1);
    let root = tempfile::tempdir().unwrap();
    let whole = beside(&root, "whole", &config_json(newest_two()));
    job::run(&whole, &Stop::default()).unwrap();
    let best = metrics(&whole).best().unwrap().epoch;
    let mut kept = vec![3, 6, 7, best];
    kept.sort();
    kept.dedup();
    assert_eq!(metrics(&whole).checkpoints.iter().map(|checkpoint| checkpoint.epoch).collect::<Vec<_>>(), kept);

    // Stop it once it has the checkpoints of two epochs more than it keeps in the end.
    let directory = beside(&root, "killed", &config_json(newest_two()));
    while metrics(&directory).epochs.len() < 4 {
        assert!(matches!(job::run(&directory, &Stop::at_check(40)), Err(Error::Stopped(_))));
    }
    let names = |folder: &str| files(&directory.join(folder));
    assert!(names("checkpoints").contains(&"e3.safetensors".to_owned()) && names("attributions").contains(&"e3.clean.json".to_owned()));
    // A worker that is killed has recorded a removal and left the files: of epoch 2, which is to go, and of a
    // matrix of epoch 3, which stays.
    for (from, to) in [("checkpoints/e3.safetensors", "checkpoints/e2.safetensors"), ("checkpoints/e3.json", "checkpoints/e2.json")] {
        fs::copy(directory.join(from), directory.join(to)).unwrap();
    }
    fs::copy(directory.join("attributions/e3.clean.json"), directory.join("attributions/e2.clean.json")).unwrap();
    let file = directory.join("metrics.jsonl");
    let checkpoint = metrics(&directory).checkpoints.into_iter().find(|checkpoint| checkpoint.epoch == 3).unwrap();
    let mut lines = fs::read_to_string(&file).unwrap();
    for record in [Record::CheckpointRemoved { epoch: 2 }, Record::CheckpointRemoved { epoch: 3 }, Record::Checkpoint(checkpoint)] {
        lines += &format!("{}\n", serde_json::to_string(&record).unwrap());
    }
    fs::write(&file, lines).unwrap();
    job::run(&directory, &Stop::default()).unwrap();
    assert_same("killed while it removed", &directory, &whole);
}

fn trained() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    crate::worker::train(&root, "base", short());
    root
}

#[test]
fn measurements_stopped_anywhere_end_in_the_same_bytes() {
    let root = trained();
    let digits = json!({"dataset": "digits", "train_samples": 300, "test_samples": 599});
    let check = |what: &str, config: Value, check: u32| {
        let (whole, pieces) = (beside(&root, &format!("{what}-whole"), &config), beside(&root, &format!("{what}-pieces"), &config));
        job::run(&whole, &Stop::default()).unwrap();
        let stopped = run_in_pieces(&pieces, check);
        assert!(stopped > 1, "{what}: {stopped} stops are too few");
        assert_same(what, &pieces, &whole);
    };
    // The checks that one batch needs: those of the attack's 4 steps and one more.
    let mut config = json!({"kind": "attribute", "checkpoint": "base.last", "device": "cpu", "data": digits});
    config["inputs"] = json!(["adversarial"]);
    // The bootstrap checks before each class of each chunk.
    config["bootstrap"] = json!(20);
    check("attribute", config.clone(), 11);
    config["layer"] = json!("stage2");
    check("stage", config, 11);
    let mut config = json!({"kind": "eps_curve", "checkpoint": "base.last", "device": "cpu", "data": digits});
    (config["eps"], config["steps"], config["bootstrap"]) = (json!([0, "4/255", "8/255"]), json!(4), json!(20));
    check("eps curve", config, 11);
    let mut config = json!({"kind": "saliency", "checkpoints": ["base.last", "base.best"], "device": "cpu", "data": digits});
    config["inputs"] = json!(["clean", "adversarial"]);
    config["images_per_class"] = json!(12);
    check("saliency", config, 5);
    let config = json!({"kind": "pair", "checkpoints": ["base.last"], "pairs": [[1, 2], [3, 8]], "device": "cpu", "data": digits});
    check("pair", config, 6);
    let attack = json!({"norm": "linf", "eps": "25/255", "steps": 4});
    let config = json!({"kind": "transfer", "checkpoints": ["base.last", "base.best"], "device": "cpu", "data": digits, "attack": attack});
    check("transfer", config, 6);
    let mut config =
        json!({"kind": "import", "source": root.path().join("base/checkpoints/e3.safetensors"), "device": "cpu", "data": digits});
    config["attack"] = json!({"norm": "linf", "eps": "25/255", "steps": 4});
    config["attribution"] = json!({"inputs": ["clean", "adversarial"], "bootstrap": 20});
    config["model"] = json!({"architecture": "preact_resnet_small", "width": 4});
    config["normalization"] = json!("dataset");
    check("import", config, 12);
    let mut config = json!({"kind": "evaluate", "checkpoint": "base.last", "device": "cpu", "data": digits});
    config["pgd"] = json!({"steps": 4, "restarts": 2});
    config["autoattack"] = json!([]);
    check("evaluate", config.clone(), 6);
    // A stop after 120 queries of a random search, of which the first 100 are kept.
    config["pgd"] = Value::Null;
    config["autoattack"] = json!(["square"]);
    config["square_queries"] = json!(300);
    check("square", config, 120);
}

/// Starts a worker and waits until it has trained in the epoch after `epochs` complete ones.
fn start(directory: &Path, epochs: usize) -> Child {
    let mut child = worker().arg(directory).spawn().unwrap();
    wait_for("epoch", || {
        assert!(child.try_wait().unwrap().is_none(), "the worker ended by itself");
        metrics(directory).epochs.len() > epochs
    });
    child
}

#[track_caller]
fn check_end(mut child: Child, code: i32) {
    wait_for("end", || child.try_wait().unwrap().is_some());
    assert_eq!(child.wait().unwrap().code(), Some(code));
}

#[test]
fn workers_stopped_in_every_way_go_on_to_the_same_bytes() {
    let mut config = tiny_config();
    config.training.epochs = 60;
    config.training.milestones = vec![30];
    config.checkpoints.every = 0;
    config.attribution.bootstrap = 0;
    let root = tempfile::tempdir().unwrap();
    let whole = beside(&root, "whole", &config_json(config.clone()));
    assert!(crate::worker::run(&whole).status.success());
    let directory = beside(&root, "stopped", &config_json(config));

    let (lease, code) = (directory.join("lease.json"), directory.join("exit_code"));
    let state = directory.join("state.safetensors");
    for signal in ["TERM", "INT", "USR1", "USR2"] {
        let child = start(&directory, metrics(&directory).epochs.len());
        assert!(lease.exists());
        assert!(Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap().success());
        check_end(child, 85);
        assert!(state.exists() && !lease.exists(), "after {signal}");
        assert_eq!(fs::read_to_string(&code).unwrap(), "85\n");
    }
    for (word, code) in [("cancel", 3), ("pause", 85), ("requeue\n", 85)] {
        let child = start(&directory, metrics(&directory).epochs.len());
        let file = directory.join("stop");
        fs::write(&file, word).unwrap();
        check_end(child, code);
        fs::remove_file(&file).unwrap();
    }
    // The file stays until someone removes it, and stops the next worker as well.
    fs::write(directory.join("stop"), "cancel").unwrap();
    assert_eq!(crate::worker::run(&directory).status.code(), Some(3));
    fs::remove_file(directory.join("stop")).unwrap();

    let mut child = start(&directory, metrics(&directory).epochs.len());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(lease.exists() && !code.exists(), "a killed worker leaves its lease behind and does not tell how it ended");
    assert!(crate::worker::run(&directory).status.success());
    assert_eq!(fs::read_to_string(&code).unwrap(), "0\n");
    assert_same("signals and files", &directory, &whole);
}

#[test]
fn a_run_that_is_tried_again_says_why() {
    let root = tempfile::tempdir().unwrap();
    let directory = beside(&root, "run", &config_json(short()));
    assert!(worker().arg(&directory).args(["--again", "The worker was killed."]).status().unwrap().success());
    let notices = metrics(&directory).notices;
    assert!(notices.iter().any(|notice| (notice.kind, notice.message.as_str()) == (NoticeKind::Resumed, "The worker was killed.")));
}

#[test]
fn a_state_of_an_earlier_version_is_gone_on_with() {
    tch::set_num_threads(1);
    let config = short();
    let root = tempfile::tempdir().unwrap();
    let whole = beside(&root, "whole", &config_json(config.clone()));
    job::run(&whole, &Stop::default()).unwrap();
    let directory = beside(&root, "old", &config_json(config));
    // Stop one worker after the other until one has stopped between two epochs.
    let path = directory.join("state.safetensors");
    let metadata = |bytes: &[u8]| SafeTensors::read_metadata(bytes).unwrap().1.metadata().clone().unwrap();
    let mut check = 0;
    loop {
        let outcome = job::run(&directory, &Stop::at_check(check));
        assert!(matches!(outcome, Err(Error::Stopped(_))), "none has stopped there: {outcome:?}");
        if path.exists() && !metadata(&fs::read(&path).unwrap()).contains_key("step") {
            break;
        }
        check += 1;
        // Each worker begins again, so that it is stopped one check later than the one before.
        for name in ["state.safetensors", "measured.safetensors"] {
            fs::remove_file(directory.join(name)).ok();
        }
    }
    let bytes = fs::read(&path).unwrap();
    let mut metadata = metadata(&bytes);
    assert!(metadata.remove("sha256").is_some());
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    fs::write(&path, safetensors::serialize(tensors.tensors(), Some(metadata)).unwrap()).unwrap();
    job::run(&directory, &Stop::default()).unwrap();
    assert_same("an old state", &directory, &whole);
}

#[test]
fn damaged_states_and_checkpoints_are_refused() {
    let root = trained();
    // One bit, the second half, the header, everything.
    let flip = |bytes: &mut Vec<u8>| bytes.last_mut().into_iter().for_each(|byte| *byte ^= 1);
    type Damage<'a> = &'a dyn Fn(&mut Vec<u8>);
    let damages: [Damage<'_>; 5] =
        [&flip, &|bytes| bytes.truncate(bytes.len() / 2), &|bytes| bytes.truncate(20), &|bytes| bytes.fill(0xa5), &|bytes| bytes.clear()];
    let check = |directory: &Path, file: &Path, part: &str| {
        let whole = fs::read(file).unwrap();
        for (index, damage) in damages.iter().enumerate() {
            let mut bytes = whole.clone();
            damage(&mut bytes);
            fs::write(file, &bytes).unwrap();
            let error = job::run(directory, &Stop::default()).unwrap_err().to_string();
            assert!(error.contains(file.file_name().unwrap().to_str().unwrap()) && error.contains(part), "{index}: {error}");
            assert_eq!(fs::read(file).unwrap(), bytes, "what is damaged stays as it is");
        }
        fs::write(file, whole).unwrap();
        job::run(directory, &Stop::default()).unwrap();
    };
    let directory = beside(&root, "damaged", &config_json(short()));
    assert!(job::run(&directory, &Stop::at_check(9)).is_err());
    check(&directory, &directory.join("state.safetensors"), "remove it to begin again without it");
    let directory = beside(&root, "measured", &json!({"kind": "attribute", "checkpoint": "base.last", "device": "cpu"}));
    check(&directory, &root.path().join("base/checkpoints/e3.safetensors"), "is damaged: its SHA-256 is");
}

#[test]
fn a_removal_that_a_kill_cut_short_is_finished_by_the_next_worker() {
    let root = tempfile::tempdir().unwrap();
    let mut config = short();
    config.attribution.every = 2;
    let whole = beside(&root, "whole", &config_json(config.clone()));
    tch::set_num_threads(1);
    job::run(&whole, &Stop::default()).unwrap();
    let directory = beside(&root, "cut", &config_json(config));
    // Somewhere in the last epoch.
    let mut check = 1;
    while metrics(&directory).epochs.len() < 2 {
        job::run(&directory, &Stop::at_check(check)).unwrap_err();
        check = 9;
    }
    // What a killed worker leaves: a removal that is recorded and not done, and an attribution that it has not recorded again.
    let recorded: Vec<String> = fs::read_to_string(directory.join("metrics.jsonl"))
        .unwrap()
        .lines()
        .filter(|line| !(line.contains("\"attribution\"") && line.contains("\"epoch\":2")))
        .map(str::to_owned)
        .collect();
    fs::write(directory.join("metrics.jsonl"), recorded.join("\n") + "\n").unwrap();
    for name in ["checkpoints/e77.safetensors", "checkpoints/e77.json", "attributions/e77.clean.json"] {
        fs::write(directory.join(name), "left").unwrap();
    }
    job::run(&directory, &Stop::default()).unwrap();
    assert_same("a removal that was cut short", &directory, &whole);
    let recorded = |directory: &Path| metrics(directory).attributions.iter().map(|entry| (entry.epoch, entry.inputs)).collect::<Vec<_>>();
    assert_eq!(recorded(&directory), recorded(&whole));
}

#[test]
fn logits_that_are_not_finite_are_refused_by_every_measurement() {
    let root = trained();
    let path = root.path().join("base/checkpoints/e3.safetensors");
    let bytes = fs::read(&path).unwrap();
    let mut tensors = engine::tensor_file::TensorFile::open(&path)
        .map(|file| file.tensors().keys().map(|name| (name.clone(), file.read(name).unwrap())).collect::<Vec<_>>());
    let tensors = tensors.as_mut().unwrap();
    let (_, bias) = tensors.iter_mut().find(|(name, _)| name == "linear.bias").unwrap();
    let _ = bias.fill_(f64::NAN);
    let written = checkpoint::save(&path, tensors).unwrap();
    assert_ne!(bytes, fs::read(&path).unwrap());
    let sidecar = root.path().join("base/checkpoints/e3.json");
    let mut content: Sidecar = serde_json::from_slice(&fs::read(&sidecar).unwrap()).unwrap();
    content.checkpoint.sha256 = written.sha256;
    fs::write(&sidecar, serde_json::to_vec(&content).unwrap()).unwrap();

    let check = |name: &str, config: Value| {
        let error = job::run(&beside(&root, name, &config), &Stop::default()).unwrap_err().to_string();
        assert!(error.contains("base.e3 gives logits that are not finite, in batch 1"), "{name}: {error}");
    };
    check("attribute", json!({"kind": "attribute", "checkpoint": "base.e3", "device": "cpu"}));
    check("stage", json!({"kind": "attribute", "checkpoint": "base.e3", "layer": "stage1", "device": "cpu"}));
    check("evaluate", json!({"kind": "evaluate", "checkpoint": "base.e3", "device": "cpu"}));
    check("saliency", json!({"kind": "saliency", "checkpoints": ["base.e3"], "device": "cpu"}));
    check("eps curve", json!({"kind": "eps_curve", "checkpoint": "base.e3", "device": "cpu"}));
    check("transfer", json!({"kind": "transfer", "checkpoints": ["base.e3", "base.last"], "device": "cpu"}));
    check("pair", json!({"kind": "pair", "checkpoints": ["base.e3"], "pairs": [[1, 2]], "device": "cpu"}));
}
