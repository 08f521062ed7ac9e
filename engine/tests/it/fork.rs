//! Training runs that start from a checkpoint of another run.

use std::fs;
use std::path::Path;

use engine::stop::Stop;
use engine::{Error, job};
use shared::config::{Inputs, TrainConfig, WeightAveragingConfig};
use shared::record::{NoticeKind, Started};
use tempfile::TempDir;

use crate::stopping::assert_same;
use crate::tiny_config;
use crate::worker::{beside, json, metrics, train};

/// A run of four epochs that starts from epoch 2 of `parent`.
fn child() -> TrainConfig {
    TrainConfig { start_from: Some("parent.e2".parse().unwrap()), ..tiny_config() }
}

/// A folder with the run `parent`.
fn with_parent(config: TrainConfig) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    train(&root, "parent", config);
    root
}

fn stopped(directory: &Path, check: u32) {
    assert!(matches!(job::run(directory, &Stop::at_check(check)), Err(Error::Stopped(_))));
}

/// Without momentum, nothing is lost at a fork.
#[test]
fn a_fork_with_the_configuration_of_its_parent_ends_in_the_same_weights() {
    let without_momentum = |mut config: TrainConfig| {
        config.training.momentum = 0.0;
        config
    };
    let root = with_parent(without_momentum(tiny_config()));
    train(&root, "child", without_momentum(child()));
    let [parent, child] = ["parent", "child"].map(|name| metrics(&root.path().join(name)));
    assert_eq!(child.checkpoints, parent.checkpoints[1..]);
    let rates = |metrics: &shared::record::Metrics| metrics.epochs.iter().map(|epoch| epoch.learning_rate).collect::<Vec<_>>();
    assert_eq!(rates(&child), rates(&parent)[2..], "the schedule is at the epoch of the checkpoint");
    let fork = child.fork.clone().unwrap();
    assert_eq!((fork.checkpoint.to_string().as_str(), &fork.sha256), ("parent.e2", &parent.checkpoints[0].sha256));
    assert_eq!((&fork.epochs[..], child.fraction_done()), (&parent.epochs[..2], 1.0));
    let until = |entry: &&shared::record::AttributionEntry| entry.epoch <= 2 && entry.inputs == Inputs::Adversarial;
    let kept: Vec<_> = fork.attributions.iter().filter(until).collect();
    assert_eq!(kept, parent.attributions.iter().filter(until).collect::<Vec<_>>());
    assert!(kept[0].cas_interval.is_some_and(|[low, high]| low <= high));

    // A fork of a fork has the whole course.
    train(&root, "grandchild", TrainConfig { start_from: Some("child.e4".parse().unwrap()), ..without_momentum(longer()) });
    let grandchild = metrics(&root.path().join("grandchild"));
    assert_eq!(grandchild.epochs_from_first().map(|epoch| epoch.epoch).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
}

fn longer() -> TrainConfig {
    let mut config = tiny_config();
    config.training.epochs = 5;
    config
}

#[test]
fn a_fork_that_is_stopped_anywhere_ends_in_the_same_bytes_without_its_parent() {
    let root = with_parent(tiny_config());
    let mut config = child();
    config.training.label_smoothing = 0.3;
    config.training.weight_averaging = Some(WeightAveragingConfig { decay: 0.8, start_epoch: 1 });
    train(&root, "whole", config.clone());
    let pieces = beside(&root, "pieces", &json(config));
    stopped(&pieces, 1);
    // A worker that was killed between the state and the record of the fork.
    let records = pieces.join("metrics.jsonl");
    let text = fs::read_to_string(&records).unwrap();
    let (first, rest) = text.split_once('\n').unwrap();
    assert!(rest.starts_with("{\"type\":\"forked\""), "{rest}");
    fs::write(&records, format!("{first}\n")).unwrap();
    stopped(&pieces, 6);
    fs::remove_dir_all(root.path().join("parent")).unwrap();
    while job::run(&pieces, &Stop::at_check(9)).is_err() {}
    assert_same("stopped", &pieces, &root.path().join("whole"));
    let [pieces, whole] = ["pieces", "whole"].map(|name| metrics(&root.path().join(name)));
    assert_eq!(pieces.fork, whole.fork);
    assert!(pieces.notices.iter().any(|notice| notice.kind == NoticeKind::Resumed && notice.epoch == Some(2)));
    assert!(matches!(whole.started, Some(Started { epochs: 4, .. })));
}

#[test]
fn a_fork_of_what_does_not_fit_is_refused_and_says_why() {
    let root = with_parent(tiny_config());
    for (name, part, edit) in [
        ("wider", "`model` is", (|config| config.model.width = Some(8)) as fn(&mut TrainConfig)),
        ("over", "`training.epochs` is 4", |config| config.start_from = Some("parent.last".parse().unwrap())),
        ("absent", "the run has kept the epochs 2, 4", |config| config.start_from = Some("parent.e3".parse().unwrap())),
        ("orphan", "there is no run directory", |config| config.start_from = Some("other.best".parse().unwrap())),
    ] {
        let mut config = child();
        edit(&mut config);
        let error = job::run(&beside(&root, name, &json(config)), &Stop::default()).unwrap_err().to_string();
        assert!(error.contains(part), "{name}: {error}");
        assert!(metrics(&root.path().join(name)).fork.is_none());
    }
}
