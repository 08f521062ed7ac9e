//! Curves over eps: each point is what other runs find at its radius, and none is measured twice.

use std::fs;
use std::path::Path;

use engine::job;
use engine::stop::Stop;
use serde_json::{Value, json};
use shared::api::{AttributionFile, EvaluationFile};
use shared::config::{Inputs, Norm};
use shared::record::EpsPoint;
use shared::rundir;

use crate::measure::{check_refused, run, trained};
use crate::worker::{beside, metrics};

fn curve(directory: &Path) -> Vec<EpsPoint> {
    metrics(directory).eps_curve
}

fn read<T: serde::de::DeserializeOwned>(directory: &Path, file: &str) -> T {
    serde_json::from_str(&fs::read_to_string(directory.join(file)).unwrap()).unwrap()
}

#[test]
fn a_point_is_what_an_attribution_and_an_evaluation_of_its_radius_find() {
    let root = trained();
    for (norm, radius) in [("linf", "20/255"), ("l2", "128/255")] {
        let config = json!({
            "kind": "eps_curve", "checkpoint": "base.last", "device": "cpu", "seed": 3, "norm": norm, "eps": [0, "2/255", radius],
            "steps": 7, "bootstrap": 30
        });
        let points = curve(&run(&root, &format!("curve-{norm}"), &config).unwrap());
        assert_eq!(points.iter().map(|point| point.eps.to_string()).collect::<Vec<_>>(), ["0/255", "2/255", radius]);

        let config = json!({
            "kind": "attribute", "checkpoint": "base.last", "device": "cpu", "seed": 3, "inputs": ["clean", "adversarial"],
            "attack": {"norm": norm, "eps": radius, "steps": 7}, "bootstrap": 30
        });
        let directory = run(&root, &format!("attribution-{norm}"), &config).unwrap();
        for (point, inputs) in [(&points[0], Inputs::Clean), (&points[2], Inputs::Adversarial)] {
            let file: AttributionFile = read(&directory, &rundir::attribution_file(4, inputs));
            let bootstrap = file.bootstrap.unwrap();
            assert_eq!((point.cas, point.cas_normalized), (file.cas, file.cas_normalized), "to the bit");
            assert_eq!(point.cas_interval, Some([bootstrap.cas_low, bootstrap.cas_high]));
            let correct: u32 = (0..10).map(|class| file.confusion[class][class]).sum();
            assert_eq!((point.accuracy, point.correct, point.images), (file.accuracy, correct, 40));
            assert_eq!(point.step_size, file.attack.map(|attack| attack.step_size));
            assert_eq!((point.checkpoint.to_string().as_str(), &point.checkpoint_sha256), ("base.e4", &file.checkpoint_sha256));
        }

        let config = json!({
            "kind": "evaluate", "checkpoint": "base.last", "device": "cpu", "seed": 3, "norm": norm, "eps": radius, "pgd": {"steps": 7},
            "autoattack": []
        });
        let file: EvaluationFile = read(&run(&root, &format!("evaluation-{norm}"), &config).unwrap(), "evaluation.json");
        assert_eq!(points[0].accuracy, file.clean_accuracy);
        // An evaluation counts images that are wrong without an attack as broken, whatever the attack makes of them.
        let both = f64::from(points[2].correct) / 40.0;
        assert!(file.robust_accuracy <= both && both - file.robust_accuracy < 0.06, "{} and {both}", file.robust_accuracy);
    }
}

#[test]
fn a_point_that_is_recorded_is_not_measured_again() {
    let root = trained();
    let config = json!({"kind": "eps_curve", "checkpoint": "base.best", "device": "cpu", "eps": [0, "4/255", "8/255"], "bootstrap": 0});
    let directory = beside(&root, "curve", &config);
    // The clean batch needs one check, each other one more for each of 20 steps: this stops within the third radius.
    assert!(matches!(job::run(&directory, &Stop::at_check(30)), Err(engine::Error::Stopped(_))));
    let before = curve(&directory);
    assert_eq!((before.len(), before[0].norm, before[0].cas_interval), (2, Norm::Linf, None));
    job::run(&directory, &Stop::default()).unwrap();
    let recorded = fs::read_to_string(directory.join("metrics.jsonl")).unwrap();
    assert_eq!(recorded.lines().filter(|line| line.contains("\"eps_point\"")).count(), 3);
    assert_eq!(curve(&directory)[..2], before[..]);
    let metrics = metrics(&directory);
    assert_eq!(metrics.fraction_done(), 1.0);
    assert!(!directory.join(rundir::MEASURED).exists());
}

#[test]
fn radii_are_those_of_the_norm_and_images_as_many_as_asked_for() {
    let root = trained();
    let config = json!({"kind": "eps_curve", "checkpoint": "base.best", "device": "cpu", "steps": 1, "samples": 20, "bootstrap": 0});
    let points = curve(&run(&root, "default", &config).unwrap());
    assert_eq!(points.len(), 9);
    for (point, of_255) in points.iter().zip([0.0, 1.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 16.0]) {
        assert!((point.eps.fraction() * 255.0 - of_255).abs() < 1e-9 && point.images == 20, "{point:?}");
        assert_eq!(point.step_size.map(|step| step.fraction()), (of_255 > 0.0).then(|| point.eps.fraction() / 4.0));
    }
    let refused = |name: &str, more: Value, parts: &[&str]| {
        let mut config = json!({"kind": "eps_curve", "checkpoint": "base.best", "device": "cpu"});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        check_refused(&root, name, &config, parts);
    };
    refused("none", json!({"checkpoint": "base.e9"}), &["base.e9", "the run has kept the epochs"]);
    refused("falling", json!({"eps": ["8/255", "4/255"]}), &["eps: has 4/255 after 8/255"]);
}
