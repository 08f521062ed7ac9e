//! Imports checkpoints that were trained elsewhere: saves them as checkpoints of this run and measures their
//! attributions if asked to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;
use shared::config::{Aggregation, ImportConfig, Inputs, Layer, PgdConfig, Precision, SplitName, Subset};
use shared::dataset::{DatasetInfo, Source as DataSource};
use shared::inspection::Inspection;
use shared::record::{Epoch, Finished, Notice, NoticeKind, Phase, Progress, Record, Started};
use tch::Device;

use super::attributions;
use super::checkpoints;
use crate::Error;
use crate::attack::Attack;
use crate::data::{self, Data, Split};
use crate::device;
use crate::evaluate::{BATCH_SIZE, EvalInputs, measure_samples};
use crate::import::{self, Reading, Request, SAMPLE, Sample, TrainLog};
use crate::kept::Kept;
use crate::linear_probe::LinearProbe;
use crate::run_dir::RunDir;
use crate::stop::Stop;

/// The files to import.
struct ImportSource {
    /// Path of each checkpoint, by epoch.
    files: BTreeMap<u32, PathBuf>,
    /// Epochs of the training log, in rising order. Empty if a file comes without a log.
    epochs: Vec<Epoch>,
    best_epoch: u32,
    last_epoch: u32,
    attack: PgdConfig,
    /// Sentences about the training log. `None` if a file comes without a log.
    notice: Option<String>,
}

/// Time to measure the readings of a file. It is short for an inspection, because a person waits for the
/// answer.
const INSPECTION_BUDGET: Duration = Duration::from_secs(15);
const IMPORT_BUDGET: Duration = Duration::from_secs(120);

/// Imports as `config` says.
///
/// Fails with `Error::Stopped` after a stop request. A restarted worker reads the files again and continues the
/// measurements.
pub(super) fn run(directory: &Path, config: &ImportConfig, stop: &Stop) -> Result<(), Error> {
    let begun = Instant::now();
    let device = device::choose(&config.device)?;
    // If the source is an absolute path, `join` returns it unchanged.
    let source = find(&directory.join(&config.source), config)?;
    let mut sample = None;
    let mut dir = RunDir::open(directory)?;
    for folder in [shared::rundir::CHECKPOINTS, shared::rundir::ATTRIBUTIONS] {
        dir.create_folder(folder)?;
    }

    // Only measuring needs the data. Without it, a network can be imported on a machine that does not have
    // the data.
    let data = match (config.attribution.inputs.is_empty(), config.data.dataset.info().classes) {
        (true, Some(_)) => None,
        _ => Some(data::load(&config.data, config.seed)?),
    };
    let info = data.as_ref().map_or_else(|| config.data.dataset.info(), |data| data.info.clone());
    let count = |part: fn(&Data) -> Option<&Split>| data.as_ref().and_then(part).map_or(0, |split| split.len() as u32);
    let started = Started {
        device: device::id(device),
        device_name: device::name(device),
        libtorch: device::libtorch_version(),
        engine: device::ENGINE_VERSION.to_owned(),
        precision: Precision::Float32,
        parameters: 0,
        feature_dim: 0,
        class_names: info.class_names.clone(),
        train_samples: count(|data| Some(&data.train)),
        test_samples: count(|data| Some(&data.test)),
        holdout_samples: count(|data| data.holdout.as_ref()),
        noisy_labels: data.as_ref().map_or(0, |data| data.noisy_labels),
        epochs: 0,
        teacher_epochs: 0,
    };
    let passed_over = data.as_ref().map(|data| data.passed_over.clone()).unwrap_or_default();
    let test = data.map(|data| data.test.to_device(device));

    let batches = test.as_ref().map_or(0, |test| (test.len() as u32).div_ceil(BATCH_SIZE as u32));
    let steps_of_each = 1 + config.attribution.inputs.len() as u32 * batches;
    let steps = source.files.len() as u32 * steps_of_each;
    for (index, (epoch, path)) in (0..).zip(&source.files) {
        stop.check()?;
        let Reading { network, model, program, inspection, .. } =
            read(path, config, &info, device, &source, &mut sample)?.into_decided(path)?;
        if index == 0 {
            let started = Started { parameters: network.parameter_count(), feature_dim: network.feature_dim(), ..started.clone() };
            dir.append(&Record::Started(started))?;
            super::note_passed_over(&mut dir, &passed_over)?;
            for epoch in &source.epochs {
                dir.append(&Record::Epoch(epoch.clone()))?;
            }
            if let Some(message) = &source.notice {
                dir.append(&Record::Notice(Notice { kind: NoticeKind::Imported, epoch: None, message: message.clone() }))?;
            }
        }
        let message = inspection.facts.join(" ");
        dir.append(&Record::Notice(Notice { kind: NoticeKind::Imported, epoch: Some(*epoch), message }))?;
        let facts = checkpoints::CheckpointFacts {
            epoch: *epoch,
            metrics: source.epochs.iter().find(|known| known.epoch == *epoch),
            model: model.as_ref(),
            data: &config.data,
            info: &info,
            attack: &source.attack,
        };
        let checkpoint = match &program {
            Some(program) => checkpoints::write_program(&mut dir, facts, program)?,
            None => checkpoints::write(&mut dir, facts, &network.snapshot())?,
        };

        let mut step = index * steps_of_each + 1;
        let elapsed_secs = || begun.elapsed().as_secs_f64();
        dir.progress(Progress { phase: Phase::Importing, epoch: *epoch, step, steps, elapsed_secs: elapsed_secs() })?;
        let Some(test) = &test else { continue };
        let attack = Attack::to_measure(&source.attack);
        let network = network.named(checkpoint.file.clone());
        for inputs in &config.attribution.inputs {
            if attributions::is_written(&dir, *epoch, *inputs, &checkpoint.sha256) {
                step += batches;
                continue;
            }
            let belongs_to = json!({ "seed": config.seed, "data": config.data, "attack": attack.used(), "inputs": inputs, "weights": checkpoint.sha256 });
            let mut kept = Kept::in_file(stop, &dir.path(shared::rundir::MEASURED), belongs_to.to_string(), device)?;
            let (measured, attack) = match inputs {
                Inputs::Clean => (EvalInputs::Clean, None),
                Inputs::Adversarial => (EvalInputs::Attacked { attack: &attack, seed: config.seed }, Some(attack.used())),
            };
            let mut progress = |done, _| {
                dir.progress(Progress { phase: Phase::Attributing, epoch: *epoch, step: step + done, steps, elapsed_secs: elapsed_secs() })
            };
            let probe = LinearProbe::penultimate(&network);
            let (measurement, samples) = measure_samples(&network, &probe, test, measured, &mut kept, &mut progress)?;
            step += batches;
            let facts = attributions::AttributionFacts {
                epoch: *epoch,
                inputs: *inputs,
                attack,
                class_names: &info.class_names,
                split: SplitName::Test,
                aggregation: Aggregation::AverageThenCosine,
                subset: Subset::All,
                layer: Layer::Penultimate,
                bootstrap: config.attribution.bootstrap,
                seed: config.seed,
                checkpoint: None,
                checkpoint_sha256: &checkpoint.sha256,
            };
            attributions::write(&mut dir, facts, &measurement, &samples, &mut kept)?;
            kept.remove()?;
        }
    }
    let ImportSource { best_epoch, last_epoch, .. } = source;
    dir.append(&Record::Finished(Finished { best_epoch, last_epoch, elapsed_secs: begun.elapsed().as_secs_f64() }))
}

/// Finds the files at `path`: a single checkpoint, or a training log of the public code.
fn find(path: &Path, config: &ImportConfig) -> Result<ImportSource, Error> {
    if !path.is_dir() {
        return Ok(ImportSource {
            files: [(config.epoch, path.to_owned())].into(),
            epochs: Vec::new(),
            best_epoch: config.epoch,
            last_epoch: config.epoch,
            attack: config.attack.clone(),
            notice: None,
        });
    }
    let TrainLog { dataset, attack, mode, epochs, models, best_epoch, left_out } = TrainLog::read(path)?;
    if dataset != config.data.dataset.id() {
        let problem = format!("is of a network trained on `{dataset}`, but this import is configured for `{}`", config.data.dataset.id());
        return Err(Error::TrainLog { path: path.to_owned(), problem });
    }
    let mut notice = format!(
        "A log of the paper's public code: {} epochs in mode {mode}, best after epoch {best_epoch}, {} {}. Robust test accuracy \
         was measured with PGD-{}, {} {}. The checkpoints are measured with the same attack, even if this import configures another one. \
         The log contains neither the loss nor the duration of epochs.",
        epochs.len(),
        models.len(),
        if models.len() == 1 { "checkpoint" } else { "checkpoints" },
        attack.steps,
        attack.norm.symbol(),
        attack.eps,
    );
    let last_epoch = epochs.len() as u32;
    for (what, epoch) in [("best", best_epoch), ("last", last_epoch)] {
        if !models.contains_key(&epoch) {
            notice += &format!(" The folder has no file of epoch {epoch}, so the {what} checkpoint of this run is missing.");
        }
    }
    for text in &left_out {
        notice += &format!(" {text}");
    }
    Ok(ImportSource { files: models, epochs, best_epoch, last_epoch, attack, notice: Some(notice) })
}

/// Reports what a file holds, or the best checkpoint of a log, and which questions are open. A relative
/// source is looked up in `directory`.
pub fn inspect(directory: &Path, config: &ImportConfig) -> Result<Inspection, Error> {
    let source = find(&directory.join(&config.source), config)?;
    let (_, path) = source.files.get_key_value(&source.best_epoch).or_else(|| source.files.first_key_value()).expect("a source has files");
    let (info, images) = match load_sample(config) {
        Ok((info, images)) => (info, Some(images)),
        // The classes of an image folder are known only from its folders.
        Err(error) if config.data.dataset.info().classes.is_none() => return Err(error),
        Err(_) => (config.data.dataset.info(), None),
    };
    let sample = images.as_ref().map(|images| Sample { images, budget: INSPECTION_BUDGET });
    let from_public_code = source.notice.is_some();
    let request = Request { config, info: &info, device: Device::Cpu, sample, measure_all: true, from_public_code };
    let mut inspection = import::read(path, &request)?.inspection;
    inspection.facts.splice(0..0, source.notice);
    Ok(inspection)
}

fn load_sample(config: &ImportConfig) -> Result<(DatasetInfo, Split), Error> {
    data::load_sample(&config.data, config.seed, SAMPLE)
}

/// Reads a checkpoint. Uses test images only if nothing else decides between its readings and the data is
/// available.
///
/// The images are loaded once and kept in `sample`.
fn read(
    path: &Path,
    config: &ImportConfig,
    info: &DatasetInfo,
    device: Device,
    source: &ImportSource,
    sample: &mut Option<Split>,
) -> Result<Reading, Error> {
    let from_public_code = source.notice.is_some();
    let request = |sample| Request { config, info, device, sample, measure_all: false, from_public_code };
    let reading = import::read(path, &request(None))?;
    let images_here = config.data.path.is_some() || config.data.dataset.source() != DataSource::Folder;
    if !(reading.undecided_without_images && images_here) {
        return Ok(reading);
    }
    if sample.is_none() {
        *sample = Some(load_sample(config)?.1);
    }
    let images = sample.as_ref().map(|images| Sample { images, budget: IMPORT_BUDGET });
    import::read(path, &request(images))
}
