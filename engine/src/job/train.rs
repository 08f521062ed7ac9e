//! Runs a training configuration: trains, saves checkpoints, and measures the attributions of each.
//!
//! A stopped run keeps its training state in `state.safetensors`. A finished run removes this file.

use std::path::Path;
use std::time::Instant;

use shared::breakdown::breakdown;
use shared::config::{Aggregation, Inputs, Layer, SplitName, Subset, TrainConfig};
use shared::dataset::DatasetInfo;
use shared::record::{self, Finished, Notice, NoticeKind, Progress, Record, Started};
use shared::rundir::{self, ATTRIBUTIONS, CHECKPOINTS, StopReason};
use tch::{Device, Kind};

use super::attributions::{self, AttributionFacts};
use super::checkpoints;
use super::fork;
use super::teachers;
use crate::Error;
use crate::attack::Attack;
use crate::data::{self, Data};
use crate::device;
use crate::evaluate::Measurement;
use crate::kept::{Kept, SaveTimer};
use crate::run_dir::{self, RunDir};
use crate::stop::Stop;
use crate::train::{EpochReport, Event, Snapshot, State, catastrophic_overfitting, fit};

const STATE: &str = rundir::STATE;

/// Trains as `config` says. Continues from the state of an earlier worker if there is one.
///
/// Fails with `Error::Stopped` after a stop request. The state after the last complete step is then kept.
pub(super) fn run(directory: &Path, config: &TrainConfig, stop: &Stop) -> Result<(), Error> {
    let device = device::choose(&config.device)?;
    device::require(config.precision, device)?;
    let dir = RunDir::open(directory)?;
    let data = data::load(&config.data, config.seed)?.to_device(device);
    train(dir, config, &data, device, stop, &mut |_| Ok(()))
}

/// Like [`run`], with loaded data. `watch` receives every progress record.
pub(super) fn train(
    mut dir: RunDir,
    config: &TrainConfig,
    data: &Data,
    device: Device,
    stop: &Stop,
    watch: &mut dyn FnMut(&Progress) -> Result<(), Error>,
) -> Result<(), Error> {
    let begun = Instant::now();
    for folder in [CHECKPOINTS, ATTRIBUTIONS] {
        dir.create_folder(folder)?;
    }
    let mut state = State::new(config, &data.info, Kind::Float, device);
    let resumes = dir.metrics().started.is_some();
    dir.append(&Record::Started(Started {
        device: device::id(device),
        device_name: device::name(device),
        libtorch: device::libtorch_version(),
        engine: device::ENGINE_VERSION.to_owned(),
        precision: config.precision,
        parameters: state.network.parameter_count(),
        feature_dim: state.network.feature_dim(),
        class_names: data.info.class_names.clone(),
        train_samples: data.train.len() as u32,
        test_samples: data.test.len() as u32,
        holdout_samples: data.holdout.as_ref().map_or(0, |holdout| holdout.len() as u32),
        noisy_labels: data.noisy_labels,
        epochs: config.training.epochs,
        teacher_epochs: teachers::epochs(config),
    }))?;
    super::note_passed_over(&mut dir, &data.passed_over)?;
    if let Some(from) = &config.start_from
        && (dir.metrics().fork.is_none() || !dir.path(STATE).exists())
    {
        fork::start(&mut dir, config, from, &data.info, &mut state)?;
    }
    let epoch_secs = if resumes { resume(&mut dir, config, &mut state)? } else { 0.0 };
    let before_secs = dir.metrics().epochs.last().map_or(0.0, |epoch| epoch.elapsed_secs) + epoch_secs;
    let clock = Clock { begun, before_secs };
    let teachers = teachers::prepare(&mut dir, config, data, device, clock, stop)?;

    let kept = dir.path(rundir::MEASURED);
    let mut recorder = Recorder {
        config,
        info: &data.info,
        dir,
        clock,
        epoch_timer: EpochTimer { begun: Instant::now(), before_secs: epoch_secs },
        save_timer: SaveTimer::start(),
        saved_step: (state.epoch, state.step),
        former_best: None,
        last: None,
    };
    let outcome = fit(config, data, &teachers, &mut state, Some(&kept), stop, &mut |event| match event {
        Event::Batch { phase, epoch, step, steps, state } => {
            let progress = Progress { phase, epoch, step, steps, elapsed_secs: clock.elapsed_secs() };
            watch(&progress)?;
            recorder.dir.progress(progress)?;
            recorder.save_state_if_due(state)
        }
        Event::Epoch { report, state } => recorder.epoch(report, state),
    });
    match outcome {
        Ok(()) => recorder.finish(),
        Err(Error::Stopped(reason)) => recorder.stop(&state, reason).and(Err(Error::Stopped(reason))),
        Err(error) => Err(error),
    }
}

/// Loads the state of an earlier worker and removes the records and files of later epochs. Returns the
/// seconds that were spent on the unfinished epoch.
///
/// If no state was saved, the run starts again with its first epoch.
fn resume(dir: &mut RunDir, config: &TrainConfig, state: &mut State) -> Result<f64, Error> {
    let path = dir.path(STATE);
    let epoch_secs = if path.exists() { state.load(&path, config)? } else { 0.0 };
    let State { epoch, step, .. } = *state;
    let epochs = config.training.epochs;
    let message = match (epoch, step) {
        (0, 0) => "Nothing was saved before the run was stopped, so it starts again with epoch 1.".to_owned(),
        (epoch, 0) => format!("The run continues after epoch {epoch} of {epochs}, the last one saved before it was stopped."),
        (_, step) => {
            format!("The run continues after step {step} of epoch {} of {epochs}, the last one saved before it was stopped.", epoch + 1)
        }
    };
    let later: Vec<u32> =
        dir.metrics().checkpoints.iter().map(|checkpoint| checkpoint.epoch).filter(|checkpoint| *checkpoint > epoch).collect();
    dir.append(&Record::Notice(Notice { kind: NoticeKind::Resumed, epoch: Some(epoch), message }))?;
    for epoch in later {
        dir.append(&Record::CheckpointRemoved { epoch })?;
    }
    finish_removals(dir, config, epoch)?;
    Ok(epoch_secs)
}

/// Removes files of checkpoints and attributions that the records do not name: those of later epochs, and
/// those whose removal was recorded by a worker that was then killed.
///
/// `epoch`: the last complete epoch.
fn finish_removals(dir: &mut RunDir, config: &TrainConfig, epoch: u32) -> Result<(), Error> {
    for other in dir.epochs_of_files(rundir::CHECKPOINTS)? {
        if dir.metrics().checkpoints.iter().all(|checkpoint| checkpoint.epoch != other) {
            remove_checkpoint(dir, other)?;
        }
    }
    for other in dir.epochs_of_files(rundir::ATTRIBUTIONS)? {
        for &inputs in Inputs::ALL {
            if dir.metrics().cas(other, inputs).is_none() {
                let stays = other <= epoch && config.attributes_epoch(other);
                keep_or_remove_attribution(dir, other, inputs, stays)?;
            }
        }
    }
    Ok(())
}

/// Measures the time spent on a run, including the time of earlier workers for the epochs that are kept.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    begun: Instant,
    before_secs: f64,
}

impl Clock {
    pub(super) fn elapsed_secs(self) -> f64 {
        self.before_secs + self.begun.elapsed().as_secs_f64()
    }
}

/// Writes records and checkpoints of a run. Keeps the checkpoints of the configured epochs, the best and the
/// last.
struct Recorder<'a> {
    config: &'a TrainConfig,
    info: &'a DatasetInfo,
    dir: RunDir,
    clock: Clock,
    epoch_timer: EpochTimer,
    save_timer: SaveTimer,
    /// Epoch and step of the state in the file.
    saved_step: (u32, u32),
    /// The best epoch before the last complete one.
    former_best: Option<u32>,
    /// The last complete epoch. It is kept in memory until it is known whether the run ends with it.
    last: Option<CompleteEpoch>,
}

/// Measures the time spent on an epoch, including that of an earlier worker.
struct EpochTimer {
    begun: Instant,
    before_secs: f64,
}

impl EpochTimer {
    fn seconds(&self) -> f64 {
        self.before_secs + self.begun.elapsed().as_secs_f64()
    }
}

/// A complete epoch, with everything needed to write its state, checkpoint and attributions.
struct CompleteEpoch {
    report: EpochReport,
    metrics: record::Epoch,
    snapshot: Snapshot,
    saved: bool,
}

impl Recorder<'_> {
    /// Records an epoch, and saves its checkpoint and state if they are due.
    fn epoch(&mut self, report: &EpochReport, state: &State) -> Result<(), Error> {
        let epoch = report.epoch;
        self.former_best = self.best();
        let mut complete =
            CompleteEpoch { report: report.clone(), metrics: self.metrics(report), snapshot: state.snapshot(), saved: false };
        self.dir.append(&Record::Epoch(complete.metrics.clone()))?;
        self.record_notices()?;

        let best = self.best();
        if self.config.saves_epoch(epoch) || best == Some(epoch) {
            self.save(&mut complete)?;
        } else if self.config.attributes_epoch(epoch) {
            self.attribute(report, "")?;
        }
        self.last = Some(complete);
        self.save_state_if_due(state)
    }

    /// Saves the state once a minute, and then removes what a resumed run no longer needs.
    fn save_state_if_due(&mut self, state: &State) -> Result<(), Error> {
        let complete = state.epoch == self.config.training.epochs;
        if complete || !self.save_timer.is_due() || self.saved_step == (state.epoch, state.step) {
            return Ok(());
        }
        self.save_state(state)?;
        self.remove_old_checkpoints(state)
    }

    fn save_state(&mut self, state: &State) -> Result<(), Error> {
        let Recorder { config, dir, epoch_timer, save_timer, .. } = self;
        save_timer.around(|| {
            // The state continues after these records, so they must not be lost in a power failure.
            dir.sync()?;
            state.snapshot().save(&dir.path(STATE), config, epoch_timer.seconds())
        })?;
        self.saved_step = (state.epoch, state.step);
        Ok(())
    }

    /// Saves the state of a run that is stopped. If a person has canceled it, also saves the checkpoint of
    /// the last complete epoch.
    fn stop(&mut self, state: &State, reason: StopReason) -> Result<(), Error> {
        if self.saved_step != (state.epoch, state.step) {
            self.save_state(state)?;
        }
        self.remove_old_checkpoints(state)?;
        match reason {
            StopReason::Cancel => self.save_last(),
            StopReason::Pause | StopReason::Requeue => Ok(()),
        }
    }

    /// Returns the best epoch so far.
    fn best(&self) -> Option<u32> {
        self.dir.metrics().best().map(|best| best.epoch)
    }

    /// Records a notice when training has broken down or catastrophic overfitting has occurred. Each kind is
    /// recorded once.
    fn record_notices(&mut self) -> Result<(), Error> {
        let metrics = self.dir.metrics();
        let said = |kind| metrics.notices.iter().any(|notice| notice.kind == kind);
        // Methods whose attack is a single step can overfit to that step.
        let single_step = self.config.training.method.facts().attack_steps == Some(1);
        let overfitting =
            if single_step && !said(NoticeKind::CatastrophicOverfitting) { catastrophic_overfitting(&metrics.epochs) } else { None };
        let broken = if said(NoticeKind::TrainingBrokeDown) { None } else { breakdown(metrics) };
        overfitting.into_iter().chain(broken).try_for_each(|notice| self.dir.append(&Record::Notice(notice)))
    }

    /// Saves the checkpoint of the last complete epoch, if this worker has completed one.
    fn save_last(&mut self) -> Result<(), Error> {
        let Some(mut complete) = self.last.take() else { return Ok(()) };
        self.save(&mut complete)
    }

    fn finish(mut self) -> Result<(), Error> {
        self.save_last()?;
        let last_epoch = self.config.training.epochs;
        let best = self.best();
        self.remove_all_but(&[best, Some(last_epoch)], last_epoch)?;
        let best_epoch = best.unwrap_or(last_epoch);
        self.dir.append(&Record::Finished(Finished { best_epoch, last_epoch, elapsed_secs: self.clock.elapsed_secs() }))?;
        self.dir.remove(STATE)?;
        self.dir.remove(rundir::MEASURED)
    }

    fn metrics(&mut self, report: &EpochReport) -> record::Epoch {
        let seconds = self.epoch_timer.seconds();
        self.epoch_timer = EpochTimer { begun: Instant::now(), before_secs: 0.0 };
        let EpochReport { epoch, learning_rate, train_loss, train_robust_accuracy, evaluation } = report;
        let evaluation = evaluation.as_ref();
        record::Epoch {
            epoch: *epoch,
            learning_rate: *learning_rate,
            train_loss: Some(*train_loss),
            train_clean_accuracy: evaluation.map(|evaluation| evaluation.train_clean.accuracy()),
            train_robust_accuracy: *train_robust_accuracy,
            test_clean_accuracy: evaluation.map(|evaluation| evaluation.test_clean.accuracy()),
            test_robust_accuracy: evaluation.map(|evaluation| evaluation.test_robust.accuracy()),
            test_loss: evaluation.map(|evaluation| evaluation.test_robust.loss),
            holdout_robust_accuracy: evaluation.and_then(|evaluation| evaluation.holdout_robust.as_ref()).map(Measurement::accuracy),
            broken_gradients: evaluation.and_then(|evaluation| evaluation.test_robust.broken_gradients),
            holdout_broken_gradients: evaluation.and_then(|evaluation| evaluation.holdout_robust.as_ref()?.broken_gradients),
            seconds,
            elapsed_secs: self.clock.elapsed_secs(),
        }
    }

    /// Writes the checkpoint, its sidecar and its attributions, each followed by its record. Does nothing if
    /// already saved.
    fn save(&mut self, complete: &mut CompleteEpoch) -> Result<(), Error> {
        if complete.saved {
            return Ok(());
        }
        let facts = checkpoints::CheckpointFacts {
            epoch: complete.report.epoch,
            metrics: Some(&complete.metrics),
            model: Some(&self.config.model),
            data: &self.config.data,
            info: self.info,
            attack: &self.config.measuring_attack(),
        };
        let checkpoint = checkpoints::write(&mut self.dir, facts, &complete.snapshot.evaluated())?;
        complete.saved = true;
        self.attribute(&complete.report, &checkpoint.sha256)
    }

    /// Writes the attributions of an evaluated epoch. `checkpoint_sha256` is empty if no checkpoint is saved.
    fn attribute(&mut self, report: &EpochReport, checkpoint_sha256: &str) -> Result<(), Error> {
        let Some(evaluation) = &report.evaluation else { return Ok(()) };
        for (inputs, samples) in &evaluation.samples {
            let (measurement, attack) = match inputs {
                Inputs::Adversarial => (&evaluation.test_robust, Some(Attack::of_evaluation(self.config).used())),
                Inputs::Clean => (&evaluation.test_clean, None),
            };
            let facts = AttributionFacts {
                epoch: report.epoch,
                inputs: *inputs,
                attack,
                class_names: &self.info.class_names,
                split: SplitName::Test,
                aggregation: Aggregation::AverageThenCosine,
                subset: Subset::All,
                layer: Layer::Penultimate,
                bootstrap: self.config.attribution.bootstrap,
                seed: self.config.seed,
                checkpoint: None,
                checkpoint_sha256,
            };
            // Ignores stop requests: a stopped run keeps its last epoch completely.
            attributions::write(&mut self.dir, facts, measurement, samples, &mut Kept::default())?;
        }
        Ok(())
    }

    /// Removes what a run that is resumed from the saved `state` no longer needs. Called only after the state
    /// is saved: a run resumed from an older one needs the former best checkpoint and those that were newest
    /// then.
    ///
    /// The former best of this epoch also stays, because a page that has just shown it may still request it.
    fn remove_old_checkpoints(&mut self, state: &State) -> Result<(), Error> {
        let best = self.best();
        self.remove_all_but(&[best, self.former_best, Some(state.epoch)], state.epoch)
    }

    /// Removes the checkpoints of former best and last epochs, and those that the rules of the configuration
    /// no longer keep after the epoch `now`. Keeps their attributions if the configuration asks for them.
    ///
    /// Appends the record before it removes the files, so that readers never look for a missing file.
    fn remove_all_but(&mut self, kept: &[Option<u32>], now: u32) -> Result<(), Error> {
        let existing = self.dir.metrics().checkpoints.iter().map(|checkpoint| checkpoint.epoch);
        let removed: Vec<u32> = existing.filter(|epoch| !kept.contains(&Some(*epoch)) && !self.config.keeps_epoch(*epoch, now)).collect();
        for epoch in removed {
            self.dir.append(&Record::CheckpointRemoved { epoch })?;
            for inputs in &self.config.attribution.inputs {
                keep_or_remove_attribution(&mut self.dir, epoch, *inputs, self.config.attributes_epoch(epoch))?;
            }
            remove_checkpoint(&self.dir, epoch)?;
        }
        Ok(())
    }
}

/// Records the attribution of a removed checkpoint again if it stays, else removes its file.
fn keep_or_remove_attribution(dir: &mut RunDir, epoch: u32, inputs: Inputs, stays: bool) -> Result<(), Error> {
    let file = run_dir::attribution_file(epoch, inputs);
    if stays && dir.path(&file).exists() { attributions::record_again(dir, epoch, inputs) } else { dir.remove(&file) }
}

fn remove_checkpoint(dir: &RunDir, epoch: u32) -> Result<(), Error> {
    dir.remove(&run_dir::sidecar_file(epoch))?;
    dir.remove(&run_dir::checkpoint_file(epoch))
}
