//! A run, its records, an attribution and a share for tests. Host only: the browser does not need this module.

use serde_json::Value;

use crate::api::{Attribution, AttributionContext, AttributionFile, Run, RunState, RunSummary, Share};
use crate::config::{Aggregation, Inputs, Layer, Precision, SplitName, Subset};
use crate::id::{AttributionId, RunId, ShareId};
use crate::matrix::Matrix;
use crate::preset;
use crate::record::{AttributionEntry, Epoch, Started};

pub fn run_id(id: &str) -> RunId {
    id.parse().expect("a test names its runs in the form of an id")
}

/// A succeeded run of the demo without measurements.
pub fn run(id: &str) -> Run {
    Run {
        id: run_id(id),
        title: "Demo".into(),
        state: RunState::Succeeded,
        config: preset::demo().config,
        created_at: String::new(),
        started_at: None,
        finished_at: None,
        queue_position: None,
        failure: None,
        stopping: None,
        tags: Vec::new(),
        notes: String::new(),
        job: None,
        summary: RunSummary::default(),
    }
}

/// The start of a run of ten classes.
pub fn started(epochs: u32) -> Started {
    Started {
        device: "cpu".into(),
        device_name: "2 CPU threads".into(),
        libtorch: "2.11.0".into(),
        engine: "0.1.0".into(),
        precision: Precision::Float32,
        parameters: 1000,
        feature_dim: 96,
        class_names: (0..10).map(|class| class.to_string()).collect(),
        train_samples: 300,
        test_samples: 599,
        holdout_samples: 0,
        noisy_labels: 60,
        epochs,
        teacher_epochs: 0,
    }
}

/// An epoch of one second in which nothing was measured but the loss.
pub fn epoch(epoch: u32) -> Epoch {
    Epoch {
        epoch,
        learning_rate: 0.1,
        train_loss: Some(1.0),
        train_clean_accuracy: None,
        train_robust_accuracy: None,
        test_clean_accuracy: None,
        test_robust_accuracy: None,
        test_loss: None,
        holdout_robust_accuracy: None,
        seconds: 1.0,
        elapsed_secs: f64::from(epoch),
    }
}

/// A matrix that a run has recorded.
pub fn matrix_of(epoch: u32, inputs: Inputs, cas: f64) -> AttributionEntry {
    AttributionEntry { epoch, inputs, file: String::new(), cas, cas_normalized: cas / 90.0, cas_interval: None }
}

/// An attribution on adversarial inputs, with classes named `0`, `1`, ….
pub fn attribution(run: &str, epoch: u32, matrix: Matrix) -> Attribution {
    let classes = matrix.classes();
    Attribution {
        context: AttributionContext {
            id: AttributionId { run: run_id(run), epoch, inputs: Inputs::Adversarial },
            run: run_id(run),
            run_title: "Demo".into(),
            is_best: false,
            is_last: false,
            clean_accuracy: None,
            robust_accuracy: None,
        },
        file: AttributionFile {
            epoch,
            inputs: Inputs::Adversarial,
            attack: None,
            class_names: (0..classes).map(|class| class.to_string()).collect(),
            class_counts: vec![5; classes],
            cas: matrix.cas(),
            cas_normalized: matrix.cas_normalized(),
            matrix,
            norms: vec![1.0; classes],
            class_accuracy: vec![0.7; classes],
            accuracy: 0.7,
            split: SplitName::Test,
            aggregation: Aggregation::AverageThenCosine,
            subset: Subset::All,
            layer: Layer::Penultimate,
            checkpoint: None,
            confusion: Vec::new(),
            weight_matrix: None,
            bootstrap: None,
            feature_dim: 4,
            checkpoint_sha256: String::new(),
            seconds: 1.0,
        },
    }
}

/// A share without title and note that does not expire.
pub fn share() -> Share {
    Share {
        id: ShareId(1),
        title: String::new(),
        note: String::new(),
        view: String::new(),
        created_at: String::new(),
        expires_at: None,
        expired: false,
    }
}

/// Takes the durations out of a result, so that two runs of the same work can be compared.
pub fn without_durations(result: &mut Value) {
    match result {
        Value::Object(fields) => {
            fields.retain(|key, _| !["seconds", "elapsed_secs"].contains(&key.as_str()));
            fields.values_mut().for_each(without_durations);
        }
        Value::Array(items) => items.iter_mut().for_each(without_durations),
        _ => {}
    }
}
