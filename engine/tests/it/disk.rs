//! The disk space of real runs beside its estimate.

use std::fs;
use std::path::Path;

use engine::job;
use engine::stop::Stop;
use shared::api::AttributionFile;
use shared::config::{Architecture, CheckpointConfig, DataConfig, DistillationConfig, TrainConfig, WeightAveragingConfig};
use shared::disk::estimate;

use crate::data::{all_pictures, folder_of_classes};
use crate::tiny_config;
use crate::worker::{beside, json, metrics};

/// The estimate rounds headers and names, and JSON numbers differ in length.
const TOLERANCE: f64 = 0.15;

fn size(path: &Path) -> u64 {
    let metadata = fs::metadata(path).unwrap();
    if !metadata.is_dir() {
        return metadata.len();
    }
    fs::read_dir(path).unwrap().map(|entry| size(&entry.unwrap().path())).sum()
}

#[track_caller]
fn assert_near(what: &str, found: u64, estimated: u64) {
    let off = estimated as f64 / found as f64 - 1.0;
    assert!(off.abs() <= TOLERANCE, "{what}: {estimated} bytes were estimated, and there are {found}: {off:+.3}");
}

/// Stops a run in its third epoch and looks at its state, then finishes it.
#[track_caller]
fn check(what: &str, config: TrainConfig) {
    tch::set_num_threads(1);
    let root = tempfile::tempdir().unwrap();
    let directory = beside(&root, "run", &json(config.clone()));
    let expected = estimate(&config, None).unwrap();
    let state = directory.join("state.safetensors");
    while !state.exists() {
        assert!(job::run(&directory, &Stop::at_check(30)).is_err(), "{what}: it is to be stopped");
    }
    assert_near(&format!("{what}, state"), size(&state), expected.state_bytes);
    job::run(&directory, &Stop::default()).unwrap();
    assert_near(&format!("{what}, checkpoints"), size(&directory.join("checkpoints")), expected.leaves.checkpoints_bytes);
    if !config.attribution.inputs.is_empty() {
        assert_near(&format!("{what}, attributions"), size(&directory.join("attributions")), expected.leaves.attributions_bytes);
    }
    assert_near(&format!("{what}, all"), size(&directory), expected.leaves.total_bytes());
    assert!(size(&directory) <= expected.most_bytes);
}

/// Keeps all checkpoints, so that the best is among them.
fn all_kept() -> TrainConfig {
    let mut config = tiny_config();
    config.checkpoints = CheckpointConfig { every: 1, ..CheckpointConfig::default() };
    config
}

#[test]
fn a_run_takes_as_much_disk_space_as_was_estimated() {
    check("small", all_kept());
    let mut config = all_kept();
    config.model.width = Some(16);
    config.training.epochs = 3;
    config.training.milestones = Vec::new();
    config.training.weight_averaging = Some(WeightAveragingConfig::default());
    config.attribution.bootstrap = 0;
    check("averaged, without intervals", config);
    let mut config = all_kept();
    config.training.epochs = 2;
    config.training.milestones = Vec::new();
    config.training.distillation = Some(DistillationConfig { teacher_epochs: Some(1), ..DistillationConfig::default() });
    check("with teachers", config);
    let mut config = all_kept();
    config.model.architecture = Architecture::DeitTiny;
    config.model.width = Some(12);
    config.training.epochs = 2;
    config.training.milestones = Vec::new();
    config.attribution.inputs = Vec::new();
    check("transformer", config);
}

#[test]
fn matrices_of_many_classes_are_small_where_the_checkpoint_is_not_kept() {
    tch::set_num_threads(1);
    let pictures = folder_of_classes(24);
    let mut config = tiny_config();
    config.data = DataConfig { label_noise: 0.0, ..all_pictures(&pictures, config.data) };
    config.checkpoints = CheckpointConfig::default();
    config.attribution.every = 1;
    let root = tempfile::tempdir().unwrap();
    let directory = beside(&root, "run", &json(config.clone()));
    job::run(&directory, &Stop::default()).unwrap();
    let metrics = metrics(&directory);
    let kept: Vec<u32> = metrics.checkpoints.iter().map(|checkpoint| checkpoint.epoch).collect();
    assert!(kept.len() <= 2 && kept.contains(&4), "{kept:?}");
    assert_eq!(metrics.attributions.len(), 8);
    for entry in &metrics.attributions {
        let file: AttributionFile = serde_json::from_slice(&fs::read(directory.join(&entry.file)).unwrap()).unwrap();
        let intervals = file.bootstrap.as_ref().unwrap();
        assert_eq!(intervals.cells().is_some(), kept.contains(&entry.epoch), "epoch {}", entry.epoch);
        assert_eq!(file.weight_matrix.is_some(), kept.contains(&entry.epoch), "epoch {}", entry.epoch);
        assert_eq!(file.cas, entry.cas);
    }
    // Where the best epoch is the last, one matrix more is small than was estimated.
    let estimated = estimate(&config, Some(24)).unwrap();
    assert_eq!(estimated.matrices, 8);
    assert!(size(&directory.join("attributions")) <= estimated.leaves.attributions_bytes * 115 / 100);
}
