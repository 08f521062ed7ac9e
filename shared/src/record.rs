//! Records of a run: the lines of `metrics.jsonl`, and the metrics made from them.
//!
//! A resumed run repeats epochs; the later record of an epoch replaces the earlier one.

use serde::{Deserialize, Serialize};

use crate::api::AttackUsed;
use crate::breakdown::breakdown;
use crate::config::{Inputs, Norm, Precision, ThreatModel};
use crate::eps::Eps;
use crate::falling_cas::falling_cas;
use crate::id::{CheckpointId, Which};
use crate::provenance::CheckpointHash;

/// One line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Record {
    Started(Started),
    Forked(Forked),
    Progress(Progress),
    Epoch(Epoch),
    Checkpoint(Checkpoint),
    /// A checkpoint that is no longer kept was deleted, such as that of a former best epoch.
    CheckpointRemoved {
        epoch: u32,
    },
    Attribution(AttributionEntry),
    /// An attack of an evaluation finished.
    Evaluation(EvaluationStep),
    /// A radius of a curve over eps was measured.
    EpsPoint(EpsPoint),
    /// What a transfer matrix is of. Its rows follow.
    Transfer(Transfer),
    TransferRow(TransferRow),
    Notice(Notice),
    Finished(Finished),
}

/// Facts about the run, known when the worker starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Started {
    /// Name of the device, such as `cpu` or `cuda:0`.
    pub device: String,
    /// Product name of a GPU, or the number of CPU threads.
    pub device_name: String,
    pub libtorch: String,
    pub engine: String,
    /// Number format of the passes of training and its attacks.
    #[serde(default, skip_serializing_if = "Precision::is_float32")]
    pub precision: Precision,
    /// Number of trainable parameters.
    pub parameters: u64,
    pub feature_dim: u32,
    pub class_names: Vec<String>,
    pub train_samples: u32,
    pub test_samples: u32,
    pub holdout_samples: u32,
    /// Number of training labels replaced by label noise.
    pub noisy_labels: u32,
    /// Number of epochs to train. 0 for a run that does not train: its progress counts the steps of the whole
    /// run.
    pub epochs: u32,
    /// Number of epochs for all teachers together, trained before the first epoch of the run.
    #[serde(default)]
    pub teacher_epochs: u32,
}

/// The checkpoint that a training run started from, with what its run had measured by then.
///
/// The copy keeps the run complete if the other one is deleted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Forked {
    #[schema(value_type = String, example = "at-cifar10-7f3a.e108")]
    pub checkpoint: CheckpointId,
    /// SHA-256 of the checkpoint's file, in hexadecimal.
    pub sha256: String,
    /// Epochs up to that of the checkpoint, those before an earlier fork included.
    pub epochs: Vec<Epoch>,
    /// Attributions of these epochs. Their files are those of the other run.
    pub attributions: Vec<AttributionEntry>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Training a teacher. Epochs are counted over all teachers.
    Teaching,
    Training,
    Evaluating,
    Attributing,
    /// Reading an imported file.
    Importing,
}

/// Position of the worker inside an epoch; written about once a second at most.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Progress {
    pub phase: Phase,
    /// Number of the epoch, from 1.
    pub epoch: u32,
    /// Number of finished batches, of `steps`.
    pub step: u32,
    pub steps: u32,
    /// Seconds spent on the run. After a resume, the time up to the last recorded epoch is included.
    pub elapsed_secs: f64,
}

/// Measurements of one epoch. Accuracies are fractions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Epoch {
    /// Number of the epoch, from 1.
    pub epoch: u32,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Mean cross-entropy on the images trained on; in adversarial training, these are adversarial. It
    /// excludes the additions of a method (label smoothing, divergence, teachers), so that it compares with
    /// `test_loss`. With mixup, it includes the mixed labels. Absent if an imported log does not have it.
    pub train_loss: Option<f64>,
    /// Accuracy on clean training images without augmentation, with the labels trained on, by the network
    /// after the epoch. Absent in epochs without evaluation.
    pub train_clean_accuracy: Option<f64>,
    /// Accuracy on the adversarial images of the training steps; absent in standard training.
    pub train_robust_accuracy: Option<f64>,
    /// Clean accuracy on the test set. Absent in epochs without evaluation, as are the next three fields.
    pub test_clean_accuracy: Option<f64>,
    pub test_robust_accuracy: Option<f64>,
    pub test_loss: Option<f64>,
    /// Robust accuracy on the held-out images; absent if none are held out.
    pub holdout_robust_accuracy: Option<f64>,
    /// Test images whose first gradient under the attack cannot lead it; absent if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken_gradients: Option<BrokenGradients>,
    /// The same of the held-out images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holdout_broken_gradients: Option<BrokenGradients>,
    /// Duration of training and evaluation, and of saving after the epoch before. 0 if an imported log does
    /// not have it.
    pub seconds: f64,
    /// Seconds spent on the run, as in [`Progress`].
    pub elapsed_secs: f64,
}

impl Epoch {
    /// An epoch of which nothing is known.
    pub fn unmeasured(epoch: u32) -> Self {
        Epoch {
            epoch,
            learning_rate: 0.0,
            train_loss: None,
            train_clean_accuracy: None,
            train_robust_accuracy: None,
            test_clean_accuracy: None,
            test_robust_accuracy: None,
            test_loss: None,
            holdout_robust_accuracy: None,
            broken_gradients: None,
            holdout_broken_gradients: None,
            seconds: 0.0,
            elapsed_secs: 0.0,
        }
    }
}

/// Images whose first gradient cannot lead an attack: the gradient of the loss by the image, where the attack
/// starts.
///
/// Records have it only where there are such images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BrokenGradients {
    /// Number of images attacked.
    pub images: u32,
    /// Number of these whose gradient is zero everywhere.
    pub zero: u32,
    /// Number of these whose gradient has an entry that is infinite or not a number.
    pub not_finite: u32,
}

impl BrokenGradients {
    /// Number of images with either.
    pub fn count(&self) -> u32 {
        self.zero + self.not_finite
    }

    /// `None` if there are no such images.
    pub fn if_any(self) -> Option<Self> {
        (self.count() > 0).then_some(self)
    }
}

/// A checkpoint was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Checkpoint {
    pub epoch: u32,
    /// Path relative to the run directory.
    pub file: String,
    pub size_bytes: u64,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
}

/// An attribution was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AttributionEntry {
    pub epoch: u32,
    pub inputs: Inputs,
    /// Path relative to the run directory.
    pub file: String,
    pub cas: f64,
    pub cas_normalized: f64,
    /// Lower and upper end of the 95 % bootstrap interval of CAS; absent if it was not measured, and in
    /// records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cas_interval: Option<[f64; 2]>,
    /// As in the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub non_target_mass: Option<f64>,
}

/// Result of one attack of an evaluation. Accuracies are fractions of all images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EvaluationStep {
    /// Name of the attack: `clean`, `PGD-20`, `APGD-CE`, …
    pub attack: String,
    /// Number of images attacked: those still classified correctly after the previous steps.
    pub attacked: u32,
    /// Number of these images with an adversarial example; for `clean`, the number of wrong predictions.
    pub broken: u32,
    /// Accuracy after this attack and all previous ones.
    pub accuracy: f64,
    pub seconds: f64,
    /// Images whose first gradient cannot lead PGD, from its first start; absent if there are none, and for
    /// other attacks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken_gradients: Option<BrokenGradients>,
}

/// What one radius of a curve over eps gave. Accuracies are fractions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EpsPoint {
    pub norm: Norm,
    /// Radius of the attack; at 0 the images are not attacked.
    #[schema(value_type = String)]
    pub eps: Eps,
    /// Step size of PGD; absent at radius 0.
    #[schema(value_type = Option<String>)]
    pub step_size: Option<Eps>,
    /// Number of steps of PGD; 0 at radius 0.
    pub steps: u32,
    /// Number of images, and how many of them are classified correctly.
    pub images: u32,
    pub correct: u32,
    pub accuracy: f64,
    /// 95 % interval of the accuracy over draws of the images: Wilson 1927.
    pub accuracy_interval: [f64; 2],
    /// Mean cross-entropy.
    pub loss: f64,
    /// CAS of the paper's matrix on the attacked images.
    pub cas: f64,
    pub cas_normalized: f64,
    /// 95 % bootstrap interval of CAS; absent without resamples.
    pub cas_interval: Option<[f64; 2]>,
    #[schema(value_type = String)]
    pub checkpoint: CheckpointId,
    /// SHA-256 of the checkpoint file.
    pub checkpoint_sha256: String,
    pub seconds: f64,
    /// Images whose first gradient under the attack cannot lead it; absent if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken_gradients: Option<BrokenGradients>,
}

impl EpsPoint {
    pub fn threat(&self) -> ThreatModel {
        ThreatModel { norm: self.norm, eps: self.eps }
    }
}

/// How adversarial images of each of several checkpoints transfer to the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Transfer {
    /// The checkpoints in the order of the configuration, both as sources and as targets.
    pub checkpoints: Vec<CheckpointHash>,
    /// Attack on the images of each source.
    pub attack: AttackUsed,
    /// Number of images.
    pub images: u32,
    /// The rows that are measured, that of clean images first.
    #[serde(default)]
    pub rows: Vec<TransferRow>,
}

/// How many of the same images each checkpoint classifies correctly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TransferRow {
    /// Index of the checkpoint that the images were attacked on; absent: clean images.
    pub source: Option<usize>,
    /// Number of correct images of each checkpoint.
    pub correct: Vec<u32>,
    pub seconds: f64,
    /// Images whose first gradient under the attack, that of the source, cannot lead it; absent if there are
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken_gradients: Option<BrokenGradients>,
}

impl Transfer {
    /// The row of a source, `None` for that of clean images; `None` if it is not measured yet.
    pub fn row(&self, source: Option<usize>) -> Option<&TransferRow> {
        self.rows.iter().find(|row| row.source == source)
    }

    /// The accuracy of each checkpoint on the images of a source, as [`Transfer::row`].
    pub fn accuracies(&self, source: Option<usize>) -> Option<Vec<f64>> {
        let of_all = |correct: &u32| f64::from(*correct) / f64::from(self.images.max(1));
        Some(self.row(source)?.correct.iter().map(of_all).collect())
    }
}

/// A message about a run that continued.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Notice {
    pub kind: NoticeKind,
    /// Epoch of the event, if it has one.
    pub epoch: Option<u32>,
    /// The message, one or two sentences.
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// Fast adversarial training lost its robustness against stronger attacks within an epoch: Wong et al.
    /// 2020.
    CatastrophicOverfitting,
    /// The training loss is not finite or has exploded, or the accuracy stays at chance.
    TrainingBrokeDown,
    /// CAS has fallen since `epoch` while robust accuracy on the training images rose. Workers do not write
    /// this kind: it is told from the records.
    CasFell,
    /// A stopped run was resumed. Training continues after `epoch` (0: from the beginning); later epochs are
    /// measured again.
    Resumed,
    /// Description of an imported file.
    Imported,
    /// A score-based attack succeeded where gradient-based attacks had failed, so the gradients mislead:
    /// Croce and Hein 2020.
    MaskedGradients,
    /// Files in the folder of the data set that were not read.
    PassedOver,
    /// Lines of `metrics.jsonl` that are no records of the run. Workers do not write this kind.
    LeftOut,
}

/// The last record of a run that finished.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Finished {
    pub best_epoch: u32,
    pub last_epoch: u32,
    pub elapsed_secs: f64,
}

/// The metrics of a run, made from all its records.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Metrics {
    pub started: Option<Started>,
    /// Where the run comes from, if it did not start from initial weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fork: Option<Forked>,
    pub progress: Option<Progress>,
    /// Epochs in increasing order, each once.
    pub epochs: Vec<Epoch>,
    /// Existing checkpoints by increasing epoch.
    pub checkpoints: Vec<Checkpoint>,
    /// Attributions by increasing epoch, then by inputs.
    pub attributions: Vec<AttributionEntry>,
    /// Steps of an evaluation, in the order they ran.
    #[serde(default)]
    pub evaluation: Vec<EvaluationStep>,
    /// Points of a curve over eps, in the order they were measured: by increasing radius.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub eps_curve: Vec<EpsPoint>,
    /// The transfer matrix, as far as it is measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer: Option<Transfer>,
    #[serde(default)]
    pub notices: Vec<Notice>,
    pub finished: Option<Finished>,
    /// Number of records that cannot be of this run and were left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Error: the run has no checkpoint for the requested epoch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{}", wanted.as_ref().map_or_else(String::new, |(name, epoch)| format!("{name} is epoch {epoch}, whose checkpoint is not kept; ")),
    match kept.as_slice() {
        [] => "the run has kept no checkpoint yet".to_owned(),
        kept => format!("the run has kept the epochs {}", kept.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")),
    }
)]
pub struct MissingCheckpoint {
    /// The requested name (`best` or `last`) and its epoch, if known.
    pub wanted: Option<(&'static str, u32)>,
    /// Epochs with a checkpoint.
    pub kept: Vec<u32>,
}

impl Metrics {
    pub fn from_records(records: impl IntoIterator<Item = Record>) -> Self {
        let mut metrics = Metrics::default();
        for record in records {
            metrics.apply(record);
        }
        metrics
    }

    /// Applies the next record of the file.
    ///
    /// Leaves out what is of an epoch that the run does not have.
    pub fn apply(&mut self, record: Record) {
        let epoch = match &record {
            Record::Epoch(epoch) => Some(epoch.epoch),
            Record::Checkpoint(checkpoint) => Some(checkpoint.epoch),
            Record::Attribution(entry) => Some(entry.epoch),
            _ => None,
        };
        if epoch > self.epochs_planned() && self.epochs_planned().is_some() {
            return self.leave_out(1);
        }
        match record {
            Record::Started(started) => self.started = Some(started),
            Record::Forked(fork) => self.fork = Some(fork),
            Record::Progress(progress) => self.progress = Some(progress),
            Record::Epoch(epoch) => put(&mut self.epochs, epoch, |entry| entry.epoch),
            Record::Checkpoint(checkpoint) => put(&mut self.checkpoints, checkpoint, |entry| entry.epoch),
            Record::CheckpointRemoved { epoch } => {
                self.checkpoints.retain(|entry| entry.epoch != epoch);
                self.attributions.retain(|entry| entry.epoch != epoch);
            }
            Record::Attribution(entry) => put(&mut self.attributions, entry, |entry| (entry.epoch, entry.inputs)),
            // A resumed evaluation repeats finished steps.
            Record::Evaluation(step) => match self.evaluation.iter_mut().find(|known| known.attack == step.attack) {
                Some(known) => *known = step,
                None => self.evaluation.push(step),
            },
            // Only where the checkpoint has become another one, such as the best of a run that goes on.
            Record::EpsPoint(point) => match self.eps_curve.iter_mut().find(|known| known.eps == point.eps) {
                Some(known) => *known = point,
                None => self.eps_curve.push(point),
            },
            // A resumed run says again what its matrix is of, and goes on unless a checkpoint has become another one.
            Record::Transfer(transfer) => {
                if self.transfer.as_ref().is_none_or(|known| known.checkpoints != transfer.checkpoints) {
                    self.transfer = Some(transfer);
                }
            }
            Record::TransferRow(row) => {
                let is_new = |transfer: &&mut Transfer| {
                    transfer.row(row.source).is_none() && row.source.is_none_or(|source| source < transfer.checkpoints.len())
                };
                if let Some(transfer) = self.transfer.as_mut().filter(is_new) {
                    transfer.rows.push(row);
                }
            }
            Record::Notice(notice) => {
                if let (NoticeKind::Resumed, Some(epoch)) = (notice.kind, notice.epoch) {
                    self.forget_after(epoch);
                }
                if !self.notices.contains(&notice) {
                    self.notices.push(notice);
                }
            }
            Record::Finished(finished) => self.finished = Some(finished),
        }
    }

    /// Counts lines that are no records of this run.
    pub fn leave_out(&mut self, lines: u32) {
        self.left_out = self.left_out.saturating_add(lines);
    }

    /// Number of epochs that the run trains for; `None` if it has not started or does not train.
    fn epochs_planned(&self) -> Option<u32> {
        self.started.as_ref().map(|started| started.epochs).filter(|epochs| *epochs > 0)
    }

    fn forget_after(&mut self, epoch: u32) {
        self.epochs.retain(|entry| entry.epoch <= epoch);
        self.attributions.retain(|entry| entry.epoch <= epoch);
        self.notices.retain(|notice| notice.epoch.is_none_or(|about| about <= epoch));
        self.progress = None;
    }

    /// The epoch of the checkpoint that the run started from; 0 if it started from initial weights.
    pub fn fork_epoch(&self) -> u32 {
        self.fork.as_ref().map_or(0, |fork| fork.checkpoint.epoch)
    }

    /// All epochs from the first, those before a fork included.
    pub fn epochs_from_first(&self) -> impl Iterator<Item = &Epoch> {
        self.fork.iter().flat_map(|fork| &fork.epochs).chain(&self.epochs)
    }

    /// All attributions on `inputs` by increasing epoch, those before a fork included.
    pub fn attributions_from_first(&self, inputs: Inputs) -> impl Iterator<Item = &AttributionEntry> {
        let all = self.fork.iter().flat_map(|fork| &fork.attributions).chain(&self.attributions);
        all.filter(move |entry| entry.inputs == inputs)
    }

    /// What a run that starts from the checkpoint `file` of this run, `checkpoint`, keeps of it.
    pub fn forked_at(&self, checkpoint: CheckpointId, file: &Checkpoint) -> Forked {
        let until = |epoch: u32| epoch <= checkpoint.epoch;
        let attributions = Inputs::ALL.iter().flat_map(|inputs| self.attributions_from_first(*inputs));
        Forked {
            sha256: file.sha256.clone(),
            epochs: self.epochs_from_first().filter(|entry| until(entry.epoch)).cloned().collect(),
            attributions: attributions.filter(|entry| until(entry.epoch)).cloned().collect(),
            checkpoint,
        }
    }

    /// The recorded notices, with those that the metrics tell: about a falling CAS, about lines that were
    /// left out, and about a breakdown of training if none is recorded.
    ///
    /// Older runs have metrics without a notice of a breakdown.
    pub fn all_notices(&self) -> Vec<Notice> {
        let written = self.notices.iter().any(|notice| notice.kind == NoticeKind::TrainingBrokeDown);
        let found = if written { None } else { breakdown(self) };
        self.notices.iter().cloned().chain(found).chain(falling_cas(self)).chain(self.left_out_notice()).collect()
    }

    fn left_out_notice(&self) -> Option<Notice> {
        let message = match self.left_out {
            0 => return None,
            1 => "1 line of its records was cut short or is not of this run.".to_owned(),
            lines => format!("{lines} lines of its records were cut short or are not of this run."),
        };
        Some(Notice { kind: NoticeKind::LeftOut, epoch: None, message })
    }

    /// The epoch with the highest selection accuracy; of equal ones, the first.
    pub fn best(&self) -> Option<&Epoch> {
        self.best_by(Epoch::selection_accuracy)
    }

    /// The best epoch as it would be chosen by the test images themselves, as the paper does; `None` if that
    /// is how [`Metrics::best`] is chosen, because no images are held out.
    pub fn best_by_test(&self) -> Option<&Epoch> {
        let held_out = self.epochs.iter().any(|epoch| epoch.holdout_robust_accuracy.is_some());
        held_out.then(|| self.best_by(|epoch| epoch.test_robust_accuracy)).flatten()
    }

    fn best_by(&self, accuracy: fn(&Epoch) -> Option<f64>) -> Option<&Epoch> {
        let mut best: Option<(&Epoch, f64)> = None;
        for epoch in &self.epochs {
            let Some(accuracy) = accuracy(epoch) else { continue };
            if best.is_none_or(|(_, highest)| accuracy > highest) {
                best = Some((epoch, accuracy));
            }
        }
        best.map(|(epoch, _)| epoch)
    }

    /// Epoch of the checkpoint that `which` selects.
    ///
    /// Best is the epoch with the highest selection accuracy, or the newest checkpoint if no epoch was
    /// evaluated. Last is the last epoch of a finished run, or the newest checkpoint of a run that has not
    /// finished. Error: that epoch has no checkpoint; no other epoch replaces it.
    pub fn checkpoint_epoch(&self, which: Which) -> Result<u32, MissingCheckpoint> {
        let exists = |epoch: &u32| self.checkpoints.iter().any(|checkpoint| checkpoint.epoch == *epoch);
        let newest = self.checkpoints.last().map(|checkpoint| checkpoint.epoch);
        let wanted = match which {
            Which::Epoch(_) => None,
            Which::Best => self.best().map(|epoch| ("best", epoch.epoch)),
            Which::Last => self.finished.as_ref().map(|finished| ("last", finished.last_epoch)),
        };
        let found = match which {
            Which::Epoch(epoch) => Some(epoch).filter(exists),
            Which::Best | Which::Last => wanted.map_or(newest, |(_, epoch)| Some(epoch).filter(exists)),
        };
        found.ok_or_else(|| MissingCheckpoint { wanted, kept: self.checkpoints.iter().map(|checkpoint| checkpoint.epoch).collect() })
    }

    /// The last evaluated epoch.
    pub fn last(&self) -> Option<&Epoch> {
        self.epochs.iter().rev().find(|epoch| epoch.test_robust_accuracy.is_some())
    }

    /// Epoch whose matrix is shown for `epoch`: itself if it has one, else the best, else the last with a
    /// matrix.
    pub fn attributed(&self, epoch: Option<u32>, inputs: Inputs) -> Option<u32> {
        let has = |epoch: &u32| self.cas(*epoch, inputs).is_some();
        let best = self.best().map(|epoch| epoch.epoch);
        let last = || self.attributions.iter().rev().find(|entry| entry.inputs == inputs).map(|entry| entry.epoch);
        epoch.filter(has).or_else(|| best.filter(has)).or_else(last)
    }

    /// CAS of an epoch; `None` if it was not measured.
    pub fn cas(&self, epoch: u32, inputs: Inputs) -> Option<f64> {
        self.attributions.iter().find(|entry| entry.epoch == epoch && entry.inputs == inputs).map(|entry| entry.cas)
    }

    /// Finished fraction of the run, in `[0, 1]`.
    pub fn fraction_done(&self) -> f64 {
        if self.finished.is_some() {
            return 1.0;
        }
        let Some(started) = &self.started else { return 0.0 };
        if started.epochs == 0 {
            return self.progress.as_ref().map_or(0.0, |progress| f64::from(progress.step) / f64::from(progress.steps.max(1))).min(1.0);
        }
        let before_run = self.fork_epoch();
        let done = self.epochs.last().map_or(before_run, |epoch| epoch.epoch);
        let teachers = f64::from(started.teacher_epochs);
        // Number of complete epochs (with those of teachers), and the finished fraction of the current one.
        let (before, part) = match &self.progress {
            Some(progress) if progress.phase == Phase::Teaching && done == before_run => {
                (f64::from(progress.epoch.saturating_sub(1)), f64::from(progress.step) / f64::from(progress.steps.max(1)))
            }
            Some(progress) if progress.epoch > done && progress.phase != Phase::Teaching => {
                let part = match progress.phase {
                    Phase::Evaluating | Phase::Attributing => 1.0,
                    _ => f64::from(progress.step) / f64::from(progress.steps.max(1)),
                };
                (teachers + f64::from(progress.epoch.saturating_sub(before_run + 1)), part)
            }
            _ if done == before_run => (0.0, 0.0),
            _ => (teachers + f64::from(done.saturating_sub(before_run)), 0.0),
        };
        ((before + part) / (teachers + f64::from(started.epochs.saturating_sub(before_run)))).min(1.0)
    }

    /// Estimated seconds left, at the average speed so far.
    ///
    /// `None` before the end of the first epoch, or of the first step if the run does not train. Teachers are
    /// excluded, because their epochs take another time.
    pub fn seconds_left(&self) -> Option<f64> {
        if self.finished.is_some() {
            return None;
        }
        let epochs = self.started.as_ref()?.epochs;
        if epochs == 0 {
            let done = self.fraction_done();
            return self.progress.as_ref().filter(|_| done > 0.0).map(|progress| progress.elapsed_secs * (1.0 - done) / done);
        }
        let (first, last) = (self.epochs.first()?, self.epochs.last()?);
        let left = epochs.saturating_sub(last.epoch);
        let spent = last.elapsed_secs - first.elapsed_secs + first.seconds;
        Some(f64::from(left) * spent / (f64::from(last.epoch - first.epoch) + 1.0))
    }
}

impl Epoch {
    /// Accuracy that selects the best checkpoint: robust, on the held-out images if there are any, else on
    /// the test set.
    pub fn selection_accuracy(&self) -> Option<f64> {
        self.holdout_robust_accuracy.or(self.test_robust_accuracy)
    }
}

/// Inserts in increasing order of the key; replaces an entry with the same key.
fn put<T, K: Ord>(entries: &mut Vec<T>, entry: T, key: impl Fn(&T) -> K) {
    match entries.binary_search_by_key(&key(&entry), &key) {
        Ok(index) => entries[index] = entry,
        Err(index) => entries.insert(index, entry),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    fn epoch(number: u32, robust: Option<f64>) -> Record {
        let elapsed_secs = 2.0 * f64::from(number);
        Record::Epoch(Epoch { test_robust_accuracy: robust, seconds: 2.0, elapsed_secs, ..fixtures::epoch(number) })
    }

    #[test]
    fn a_line_has_its_type_beside_its_fields() {
        for (line, expected) in [
            (r#"{"type":"checkpoint_removed","epoch":3}"#, Record::CheckpointRemoved { epoch: 3 }),
            (r#"{"type":"finished","best_epoch":2,"last_epoch":3,"elapsed_secs":1.5}"#, finished()),
            (r#"{"type":"progress","phase":"training","epoch":3,"step":1,"steps":2,"elapsed_secs":5.0}"#, progress(Phase::Training, 3)),
        ] {
            assert_eq!(serde_json::from_str::<Record>(line).unwrap(), expected);
            assert_eq!(serde_json::to_string(&expected).unwrap(), line);
        }
        let tag_last = r#"{"best_epoch":2,"last_epoch":3,"elapsed_secs":1.5,"of_a_newer_version":[{}],"type":"finished"}"#;
        assert_eq!(serde_json::from_str::<Record>(tag_last).unwrap(), finished());
        for wrong in [r#"{"epoch":3}"#, r#"{"type":"dance"}"#, r#"{"type":"checkpoint_removed"}"#, r#"{"type":"finished","best_epo"#] {
            assert!(serde_json::from_str::<Record>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_best_by_test_images_is_told_where_others_choose_it() {
        let held_out = |number, holdout, test| {
            let accuracies = Epoch { test_robust_accuracy: Some(test), holdout_robust_accuracy: Some(holdout), ..fixtures::epoch(number) };
            Record::Epoch(accuracies)
        };
        let metrics = Metrics::from_records([held_out(1, 0.3, 0.4), held_out(2, 0.4, 0.6), held_out(3, 0.5, 0.5)]);
        assert_eq!((metrics.best().map(|epoch| epoch.epoch), metrics.best_by_test().map(|epoch| epoch.epoch)), (Some(3), Some(2)));
        assert_eq!(Metrics::from_records([epoch(1, Some(0.5))]).best_by_test(), None);
    }

    fn finished() -> Record {
        Record::Finished(Finished { best_epoch: 2, last_epoch: 3, elapsed_secs: 1.5 })
    }

    #[test]
    fn best_is_the_first_of_equals_and_last_the_last_evaluated() {
        let metrics = Metrics::from_records([epoch(1, Some(0.3)), epoch(2, Some(0.4)), epoch(3, Some(0.4)), epoch(4, None)]);
        assert_eq!(metrics.best().unwrap().epoch, 2);
        assert_eq!(metrics.last().unwrap().epoch, 3);
    }

    #[test]
    fn a_repeated_epoch_replaces_the_earlier_one() {
        let metrics = Metrics::from_records([epoch(1, Some(0.3)), epoch(2, Some(0.9)), epoch(2, Some(0.1))]);
        assert_eq!(metrics.epochs.len(), 2);
        assert_eq!(metrics.best().unwrap().epoch, 1);
    }

    #[test]
    fn an_epoch_that_the_run_does_not_have_is_left_out_and_counted() {
        let started = Record::Started(fixtures::started(4));
        let metrics = Metrics::from_records([started, epoch(1, Some(0.3)), epoch(1_000_000, Some(0.9)), epoch(5, None), epoch(4, None)]);
        assert_eq!(metrics.epochs.iter().map(|epoch| epoch.epoch).collect::<Vec<_>>(), [1, 4]);
        assert_eq!((metrics.left_out, metrics.best().unwrap().epoch), (2, 1));
    }

    #[test]
    fn a_removed_checkpoint_takes_its_attributions_along() {
        let checkpoint = |epoch| Record::Checkpoint(Checkpoint { epoch, file: String::new(), size_bytes: 1, sha256: String::new() });
        let entry = |epoch| Record::Attribution(fixtures::matrix_of(epoch, Inputs::Clean, 1.0));
        let metrics = Metrics::from_records([checkpoint(1), entry(1), checkpoint(2), entry(2), Record::CheckpointRemoved { epoch: 1 }]);
        assert_eq!(metrics.checkpoints.len(), 1);
        assert_eq!((metrics.cas(1, Inputs::Clean), metrics.cas(2, Inputs::Clean)), (None, Some(1.0)));
    }

    #[test]
    fn no_other_epoch_stands_for_the_best_or_the_last() {
        let checkpoint = |epoch| Record::Checkpoint(Checkpoint { epoch, file: String::new(), size_bytes: 1, sha256: String::new() });
        let finished = |last_epoch| Record::Finished(Finished { best_epoch: 2, last_epoch, elapsed_secs: 1.0 });
        let of = |records: Vec<Record>| Metrics::from_records(records);
        let evaluated = || vec![epoch(1, Some(0.3)), epoch(2, Some(0.4)), epoch(3, Some(0.3))];
        let with = |more: Vec<Record>| of(evaluated().into_iter().chain(more).collect());
        let missing = |metrics: &Metrics, which| metrics.checkpoint_epoch(which).unwrap_err().to_string();

        let without_best = with(vec![checkpoint(3), finished(3)]);
        assert_eq!(missing(&without_best, Which::Best), "best is epoch 2, whose checkpoint is not kept; the run has kept the epochs 3");
        assert_eq!(without_best.checkpoint_epoch(Which::Last), Ok(3));
        let without_last = with(vec![checkpoint(2), finished(3)]);
        assert_eq!(without_last.checkpoint_epoch(Which::Best), Ok(2));
        assert_eq!(missing(&without_last, Which::Last), "last is epoch 3, whose checkpoint is not kept; the run has kept the epochs 2");
        assert_eq!(with(vec![checkpoint(2)]).checkpoint_epoch(Which::Last), Ok(2), "a run that goes on has a last checkpoint so far");
        let unmeasured = of(vec![checkpoint(7), finished(7)]);
        assert_eq!((unmeasured.checkpoint_epoch(Which::Best), unmeasured.checkpoint_epoch(Which::Last)), (Ok(7), Ok(7)));
    }

    #[test]
    fn progress_counts_the_started_epoch() {
        let mut metrics = Metrics::from_records([epoch(1, None), epoch(2, None)]);
        assert_eq!(metrics.fraction_done(), 0.0, "nothing is known before the worker has started");
        metrics.started = Some(fixtures::started(4));
        metrics.apply(progress(Phase::Training, 3));
        assert_eq!(metrics.fraction_done(), 0.625);
        assert_eq!(metrics.seconds_left(), Some(4.0));
    }

    fn progress(phase: Phase, epoch: u32) -> Record {
        Record::Progress(Progress { phase, epoch, step: 1, steps: 2, elapsed_secs: 5.0 })
    }

    #[test]
    fn progress_counts_the_epochs_of_teachers() {
        let mut metrics = Metrics { started: Some(Started { teacher_epochs: 6, ..fixtures::started(4) }), ..Metrics::default() };
        let mut check = |record, expected| {
            metrics.apply(record);
            assert_eq!(metrics.fraction_done(), expected);
        };
        check(progress(Phase::Teaching, 6), 0.55);
        check(progress(Phase::Training, 1), 0.65);
        check(progress(Phase::Evaluating, 1), 0.7);
        check(epoch(1, None), 0.7);
        check(progress(Phase::Training, 2), 0.75);
    }

    #[test]
    fn resuming_forgets_what_is_measured_anew() {
        let overfitting = |epoch| Notice { kind: NoticeKind::CatastrophicOverfitting, epoch: Some(epoch), message: String::new() };
        let resumed = |epoch| Notice { kind: NoticeKind::Resumed, epoch, message: String::new() };
        let lines = [epoch(1, Some(0.3)), epoch(2, Some(0.4)), epoch(3, Some(0.9)), Record::Notice(overfitting(3))];
        let mut metrics = Metrics::from_records(lines);
        metrics.apply(Record::Notice(resumed(None)));
        assert_eq!((metrics.epochs.len(), metrics.notices.len()), (3, 2), "an evaluation has no epochs to forget");
        metrics.apply(Record::Notice(resumed(Some(2))));
        assert_eq!(metrics.best().unwrap().epoch, 2);
        assert_eq!(metrics.notices, [resumed(None), resumed(Some(2))]);
    }
}
