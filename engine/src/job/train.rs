//! A training run in its directory: trains, keeps checkpoints, measures the attribution of each, and writes it all down.

use std::path::Path;
use std::time::Instant;

use shared::config::{Aggregation, Inputs, Layer, SplitName, Subset, TrainConfig};
use shared::dataset::DatasetInfo;
use shared::record::{self, Checkpoint, Finished, Progress, Record, Started};
use tch::{Kind, Tensor};

use super::attributions::{self, About};
use crate::Error;
use crate::attack::Attack;
use crate::cancel::Cancel;
use crate::checkpoint::{self, Sidecar};
use crate::data;
use crate::device;
use crate::evaluate::Measurement;
use crate::model::Network;
use crate::run_dir::{self, RunDir};
use crate::train::{EpochReport, Event, fit};

/// Trains as `config` says.
///
/// `Err(Error::Canceled)` after a requested stop: the state at the end of the last complete epoch has then been kept.
pub(super) fn run(directory: &Path, config: &TrainConfig, cancel: &Cancel) -> Result<(), Error> {
    let begun = Instant::now();
    let device = device::choose(&config.device)?;
    let mut dir = RunDir::open(directory)?;
    for folder in ["checkpoints", "attributions"] {
        dir.create_folder(folder)?;
    }

    let data = data::load(&config.data, config.seed)?.to_device(device);
    let network = Network::new(&config.model, &data.info, config.seed, Kind::Float, device);
    dir.append(&Record::Started(Started {
        device: device::id(device),
        device_name: device::name(device),
        libtorch: device::libtorch_version(),
        engine: device::ENGINE.to_owned(),
        parameters: network.parameter_count(),
        feature_dim: network.feature_dim(),
        class_names: data.info.class_names.clone(),
        train_samples: data.train.len() as u32,
        test_samples: data.test.len() as u32,
        holdout_samples: data.holdout.as_ref().map_or(0, |holdout| holdout.len() as u32),
        noisy_labels: data.noisy_labels,
        epochs: config.training.epochs,
        teacher_epochs: 0,
    }))?;

    let mut keeper = Keeper { config, info: &data.info, dir, begun, epoch_begun: Instant::now(), best: None, last: None };
    let outcome = fit(config, &data, &network, cancel, &mut |event| match event {
        Event::Batch { phase, epoch, step, steps } => {
            keeper.dir.progress(Progress { phase, epoch, step, steps, elapsed_secs: begun.elapsed().as_secs_f64() })
        }
        Event::Epoch(report) => keeper.epoch(report, &network),
    });
    match outcome {
        Ok(()) => keeper.finish(),
        Err(Error::Canceled) => keeper.keep_last().and(Err(Error::Canceled)),
        Err(error) => Err(error),
    }
}

/// Decides which epochs stay on disk: those the configuration names, the best, and the last.
struct Keeper<'a> {
    config: &'a TrainConfig,
    info: &'a DatasetInfo,
    dir: RunDir,
    begun: Instant,
    epoch_begun: Instant,
    /// Epoch and selection accuracy.
    best: Option<(u32, f64)>,
    /// The state at the end of the last complete epoch, in memory until it turns out to be the last.
    last: Option<State>,
}

/// An epoch with all that a checkpoint and its attributions are written from.
struct State {
    report: EpochReport,
    metrics: record::Epoch,
    tensors: Vec<(String, Tensor)>,
    saved: bool,
}

impl Keeper<'_> {
    fn epoch(&mut self, report: &EpochReport, network: &Network) -> Result<(), Error> {
        let epoch = report.epoch;
        let mut state = State { report: report.clone(), metrics: self.metrics(report), tensors: network.snapshot(), saved: false };
        self.dir.append(&Record::Epoch(state.metrics.clone()))?;

        let accuracy = state.metrics.selection_accuracy();
        let beaten = accuracy.filter(|accuracy| self.best.is_none_or(|(_, best)| *accuracy > best));
        if self.config.keeps_epoch(epoch) || beaten.is_some() {
            self.save(&mut state)?;
        } else if self.config.attributes_epoch(epoch) {
            self.attribute(report, "")?;
        }
        if let Some(accuracy) = beaten {
            // The new best is on disk before the old one goes.
            if let Some((former, _)) = self.best.replace((epoch, accuracy)) {
                self.remove_unless_kept(former)?;
            }
        }
        self.last = Some(state);
        Ok(())
    }

    /// Saves the state of the last complete epoch, if it has not been saved as a best or a scheduled one.
    fn keep_last(&mut self) -> Result<(), Error> {
        match self.last.take() {
            Some(mut state) => self.save(&mut state),
            None => Ok(()),
        }
    }

    fn finish(mut self) -> Result<(), Error> {
        self.keep_last()?;
        let last_epoch = self.config.training.epochs;
        let best_epoch = self.best.map_or(last_epoch, |(epoch, _)| epoch);
        self.dir.append(&Record::Finished(Finished { best_epoch, last_epoch, elapsed_secs: self.begun.elapsed().as_secs_f64() }))
    }

    fn metrics(&mut self, report: &EpochReport) -> record::Epoch {
        let now = Instant::now();
        let seconds = (now - self.epoch_begun).as_secs_f64();
        self.epoch_begun = now;
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
            seconds,
            elapsed_secs: (now - self.begun).as_secs_f64(),
        }
    }

    /// Writes the checkpoint, its sidecar and its attributions, each followed by its record.
    fn save(&mut self, state: &mut State) -> Result<(), Error> {
        if state.saved {
            return Ok(());
        }
        let epoch = state.report.epoch;
        let file = run_dir::checkpoint_file(epoch);
        let written = checkpoint::save(&self.dir.path(&file), &state.tensors)?;
        let checkpoint = Checkpoint { epoch, file, size_bytes: written.size_bytes, sha256: written.sha256 };
        let sidecar = Sidecar {
            checkpoint: checkpoint.clone(),
            metrics: Some(state.metrics.clone()),
            model: self.config.model.normalized_for(self.info),
            dataset: self.config.data.dataset,
            class_names: self.info.class_names.clone(),
            engine: device::ENGINE.to_owned(),
        };
        self.dir.write_json(&run_dir::sidecar_file(epoch), &sidecar)?;
        state.saved = true;
        self.dir.append(&Record::Checkpoint(checkpoint.clone()))?;
        self.attribute(&state.report, &checkpoint.sha256)
    }

    /// Writes the attributions of an epoch that was evaluated; `checkpoint_sha256` is empty where no checkpoint is kept.
    fn attribute(&mut self, report: &EpochReport, checkpoint_sha256: &str) -> Result<(), Error> {
        let Some(evaluation) = &report.evaluation else { return Ok(()) };
        for (inputs, samples) in &evaluation.samples {
            let (measurement, attack) = match inputs {
                Inputs::Adversarial => (&evaluation.test_robust, Some(Attack::to_measure(&self.config.measuring_attack()).used())),
                Inputs::Clean => (&evaluation.test_clean, None),
            };
            let about = About {
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
            // Not to be canceled: a stopped run keeps its last epoch whole.
            attributions::write(&mut self.dir, about, measurement, samples, &Cancel::default())?;
        }
        Ok(())
    }

    /// Removes a former best; its attributions stay where they are due by themselves. The record comes first: no reader is then sent to
    /// a file that is gone.
    fn remove_unless_kept(&mut self, epoch: u32) -> Result<(), Error> {
        if self.config.keeps_epoch(epoch) {
            return Ok(());
        }
        self.dir.append(&Record::CheckpointRemoved { epoch })?;
        for inputs in &self.config.attribution.inputs {
            match self.config.attributes_epoch(epoch) {
                true => attributions::record_again(&mut self.dir, epoch, *inputs)?,
                false => self.dir.remove(&run_dir::attribution_file(epoch, *inputs))?,
            }
        }
        self.dir.remove(&run_dir::sidecar_file(epoch))?;
        self.dir.remove(&run_dir::checkpoint_file(epoch))
    }
}
