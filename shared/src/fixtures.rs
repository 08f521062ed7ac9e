//! A run, its records, an attribution and a share for tests. Host only: the browser does not need this
//! module.

use serde_json::Value;

use crate::api::{AttackUsed, Attribution, AttributionContext, AttributionFile, Run, RunState, RunSummary, Share};
use crate::config::{Aggregation, Inputs, Layer, Norm, Precision, SplitName, Subset, ThreatModel};
use crate::eps::Eps;
use crate::eps_curve::wilson;
use crate::id::{AttributionId, RunId, ShareId};
use crate::matrix::Matrix;
use crate::preset;
use crate::provenance::CheckpointHash;
use crate::record::{AttributionEntry, Epoch, EpsPoint, Started, Transfer, TransferRow};

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
    Epoch { learning_rate: 0.1, train_loss: Some(1.0), seconds: 1.0, elapsed_secs: f64::from(epoch), ..Epoch::unmeasured(epoch) }
}

/// A matrix that a run has recorded.
pub fn matrix_of(epoch: u32, inputs: Inputs, cas: f64) -> AttributionEntry {
    AttributionEntry { epoch, inputs, file: String::new(), cas, cas_normalized: cas / 90.0, cas_interval: None, non_target_mass: None }
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
            signs: Vec::new(),
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
            feature_matrix: None,
            mean_logits: None,
            non_target_mass: None,
            bootstrap: None,
            broken_gradients: None,
            feature_dim: 4,
            checkpoint_sha256: String::new(),
            seconds: 1.0,
        },
    }
}

/// The point of a curve at `eps` of 255 in ℓ∞, with so many of 1000 images classified correctly.
pub fn eps_point(eps: f64, correct: u32) -> EpsPoint {
    let (norm, eps) = (Norm::Linf, Eps::of_255(eps));
    let attacked = eps.fraction() > 0.0;
    EpsPoint {
        norm,
        eps,
        step_size: attacked.then(|| ThreatModel { norm, eps }.paper_step()),
        steps: if attacked { 20 } else { 0 },
        images: 1000,
        correct,
        accuracy: f64::from(correct) / 1000.0,
        accuracy_interval: wilson(correct, 1000),
        loss: 1.0,
        cas: 20.0,
        cas_normalized: 0.2,
        cas_interval: Some([19.0, 21.0]),
        checkpoint: "at-1.e5".parse().expect("it is a checkpoint"),
        checkpoint_sha256: "ab".into(),
        seconds: 1.0,
        broken_gradients: None,
    }
}

/// The whole transfer matrix of the first epochs of a run, by ℓ∞ 8/255, on 1000 images: 90 % clean, 40 % on
/// the diagonal, and beside it 60 % in the first column and one more in each further one.
pub fn transfer(count: usize) -> Transfer {
    let (norm, eps) = (Norm::Linf, Eps::of_255(8.0));
    let row = |source: Option<usize>| {
        let correct = |target: usize| match source {
            None => 900,
            Some(source) if source == target => 400,
            Some(_) => 600 + 10 * target as u32,
        };
        TransferRow { source, correct: (0..count).map(correct).collect(), seconds: 1.0, broken_gradients: None }
    };
    let checkpoint = |epoch: usize| CheckpointHash {
        id: format!("at-1.e{epoch}").parse().expect("it is a checkpoint"),
        sha256: format!("{epoch:064x}"),
    };
    let step_size = ThreatModel { norm, eps }.paper_step();
    Transfer {
        checkpoints: (1..=count).map(checkpoint).collect(),
        attack: AttackUsed { norm, eps, step_size, steps: 20, random_start: true, precision: Precision::Float32 },
        images: 1000,
        rows: [None].into_iter().chain((0..count).map(Some)).map(row).collect(),
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
