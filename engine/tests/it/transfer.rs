//! Transfer between checkpoints: each cell is what the attack and the networks give one by one.

use std::fs;

use engine::attack::{Attack, perturb};
use engine::evaluate::attack_starts;
use engine::model::Network;
use engine::stop::Stop;
use engine::{checkpoint, data, job};
use serde_json::json;
use shared::config::{BatchNormMode, Norm, PgdConfig};
use shared::eps::Eps;
use shared::rundir;
use tch::{Device, Kind};

use crate::measure::{check_refused, run};
use crate::worker::{beside, metrics, train};
use crate::{tiny_config, values};

#[test]
fn each_checkpoint_classifies_the_images_attacked_on_each() {
    let root = tempfile::tempdir().unwrap();
    let mut config = tiny_config();
    (config.checkpoints.every, config.attribution.inputs) = (1, Vec::new());
    train(&root, "base", config.clone());
    let attack = json!({"norm": "linf", "eps": "20/255", "steps": 5});
    let asked = json!({
        "kind": "transfer", "checkpoints": ["base.e1", "base.e3", "base.last"], "device": "cpu", "seed": 5, "attack": attack
    });
    let transfer = metrics(&run(&root, "transfer", &asked).unwrap()).transfer.unwrap();
    assert_eq!(
        transfer.checkpoints.iter().map(|checkpoint| checkpoint.id.to_string()).collect::<Vec<_>>(),
        ["base.e1", "base.e3", "base.e4"]
    );
    assert_eq!((transfer.images, transfer.rows.len(), transfer.attack.eps), (40, 4, Eps::of_255(20.0)));

    let data = data::load(&config.data, config.seed).unwrap();
    let networks = [1, 3, 4].map(|epoch| {
        let network = Network::new(&config.model, &data.info, 0, Kind::Float, Device::Cpu);
        checkpoint::load(&root.path().join("base").join(rundir::checkpoint_file(epoch)), None, &network).unwrap();
        network
    });
    let (images, labels) = (data.test.images(), &data.test.labels);
    let attack = Attack::to_measure(&PgdConfig { steps: 5, ..PgdConfig::of(Norm::Linf, Eps::of_255(20.0)) });
    let start = attack_starts(&data.test, &attack, 5);
    let sources = [None].into_iter().chain(networks.iter().enumerate().map(Some));
    for source in sources {
        let seen = match source {
            Some((_, network)) => perturb(network, &images, labels, &start, &attack, &Stop::default()).unwrap().images,
            None => images.shallow_clone(),
        };
        let correct = networks.each_ref().map(|network| {
            let right = network.forward(&seen, BatchNormMode::Eval).logits.argmax(1, false).eq_tensor(labels);
            values(&right).iter().sum::<f64>() as u32
        });
        assert_eq!(transfer.row(source.map(|(index, _)| index)).unwrap().correct, correct);
    }

    // The diagonal and the clean row are what an attribution of that checkpoint finds.
    let config = json!({
        "kind": "attribute", "checkpoint": "base.e3", "device": "cpu", "seed": 5, "attack": asked["attack"], "inputs": ["clean", "adversarial"],
        "bootstrap": 0
    });
    let directory = run(&root, "attribution", &config).unwrap();
    for (inputs, source) in [("clean", None), ("adversarial", Some(1))] {
        let text = fs::read_to_string(directory.join(format!("attributions/e3.{inputs}.json"))).unwrap();
        let file: shared::api::AttributionFile = serde_json::from_str(&text).unwrap();
        assert_eq!(transfer.accuracies(source).unwrap()[1], file.accuracy);
    }
}

#[test]
fn a_row_that_is_recorded_is_not_measured_again() {
    let root = crate::measure::trained();
    let config = json!({
        "kind": "transfer", "checkpoints": ["base.e2", "base.e4"], "device": "cpu", "attack": {"norm": "linf", "eps": "8/255", "steps": 4}
    });
    let whole = metrics(&run(&root, "whole", &config).unwrap()).transfer.unwrap();
    let directory = beside(&root, "pieces", &config);
    // A clean batch needs one check, an attacked one five: this stops in the last row.
    assert!(matches!(job::run(&directory, &Stop::at_check(8)), Err(engine::Error::Stopped(_))));
    assert_eq!(metrics(&directory).transfer.unwrap().rows.len(), 2);
    job::run(&directory, &Stop::default()).unwrap();
    let recorded = fs::read_to_string(directory.join("metrics.jsonl")).unwrap();
    assert_eq!(recorded.lines().filter(|line| line.contains("\"transfer_row\"")).count(), 3);
    let pieces = metrics(&directory);
    let counts = |rows: &[shared::record::TransferRow]| rows.iter().map(|row| (row.source, row.correct.clone())).collect::<Vec<_>>();
    assert_eq!(counts(&pieces.transfer.as_ref().unwrap().rows), counts(&whole.rows));
    assert_eq!(pieces.fraction_done(), 1.0);

    let mut other = tiny_config();
    other.data = shared::config::DataConfig::of(shared::dataset::Dataset::Synthetic);
    (other.training.epochs, other.training.milestones, other.checkpoints.every) = (1, Vec::new(), 0);
    (other.data.train_samples, other.data.test_samples) = (Some(40), Some(40));
    train(&root, "other", other);
    let config = json!({"kind": "transfer", "checkpoints": ["base.e4", "other.last"], "device": "cpu"});
    check_refused(&root, "mixed", &config, &["other.e1", "its classes are"]);
}
