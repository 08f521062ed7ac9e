//! An import in its directory: reads checkpoints that were trained elsewhere, keeps them as this program's own, and measures the
//! attribution of each where that is asked for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use shared::config::{
    Aggregation, Architecture, ImportConfig, Inputs, Layer, ModelConfig, Normalization, PgdConfig, RunConfig, SplitName, Subset,
};
use shared::dataset::DatasetInfo;
use shared::format;
use shared::record::{Epoch, Finished, Notice, NoticeKind, Phase, Progress, Record, Started};
use tch::{Device, Kind, no_grad};

use super::attributions;
use super::keep;
use crate::Error;
use crate::attack::Attack;
use crate::cancel::Cancel;
use crate::data::{self, Data, Split};
use crate::device;
use crate::evaluate::{BATCH_SIZE, Measured, measure_samples};
use crate::import::{Found, TrainLog, detect};
use crate::model::Network;
use crate::read_out::ReadOut;
use crate::run_dir::RunDir;
use crate::tensor_file::TensorFile;

/// What there is to import.
struct Source {
    /// By epoch.
    files: BTreeMap<u32, PathBuf>,
    /// Rising; none where a file comes without its log.
    epochs: Vec<Epoch>,
    best_epoch: u32,
    last_epoch: u32,
    attack: PgdConfig,
    /// What the folder says, in sentences.
    notice: Option<String>,
}

/// Imports as `config` says.
///
/// `Err(Error::Canceled)` after a requested stop: complete checkpoints have then been kept.
pub(super) fn run(directory: &Path, config: &ImportConfig, cancel: &Cancel) -> Result<(), Error> {
    let begun = Instant::now();
    let device = device::choose(&config.device)?;
    // An absolute source replaces the directory.
    let source = find(&directory.join(&config.source), config)?;
    let mut dir = RunDir::open(directory)?;
    for folder in ["checkpoints", "attributions"] {
        dir.create_folder(folder)?;
    }

    // Networks can be brought to a machine without their data, which only measuring needs.
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
        engine: device::ENGINE.to_owned(),
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
    let test = data.map(|data| data.test.to_device(device));

    let batches = test.as_ref().map_or(0, |test| (test.len() as u32).div_ceil(BATCH_SIZE as u32));
    let steps_of_each = 1 + config.attribution.inputs.len() as u32 * batches;
    let steps = source.files.len() as u32 * steps_of_each;
    for (index, (epoch, path)) in (0..).zip(&source.files) {
        cancel.check()?;
        let (network, found, format) = read(path, config, &info, device)?;
        if index == 0 {
            let started = Started { parameters: network.parameter_count(), feature_dim: network.feature_dim(), ..started.clone() };
            dir.append(&Record::Started(started))?;
            for epoch in &source.epochs {
                dir.append(&Record::Epoch(epoch.clone()))?;
            }
            if let Some(message) = &source.notice {
                dir.append(&Record::Notice(Notice { kind: NoticeKind::Imported, epoch: None, message: message.clone() }))?;
            }
        }
        let message = describe(path, format, &found, &network);
        dir.append(&Record::Notice(Notice { kind: NoticeKind::Imported, epoch: Some(*epoch), message }))?;
        let about = keep::About {
            epoch: *epoch,
            metrics: source.epochs.iter().find(|known| known.epoch == *epoch),
            model: &found.model,
            data: &config.data,
            info: &info,
            attack: &source.attack,
        };
        let checkpoint = keep::checkpoint(&mut dir, about, &network.snapshot())?;

        let mut step = index * steps_of_each + 1;
        let elapsed_secs = || begun.elapsed().as_secs_f64();
        dir.progress(Progress { phase: Phase::Importing, epoch: *epoch, step, steps, elapsed_secs: elapsed_secs() })?;
        let Some(test) = &test else { continue };
        let attack = Attack::to_measure(&source.attack);
        for inputs in &config.attribution.inputs {
            let (measured, attack) = match inputs {
                Inputs::Clean => (Measured::Clean, None),
                Inputs::Adversarial => (Measured::Attacked { attack: &attack, seed: config.seed }, Some(attack.used())),
            };
            let mut progress = |done, _| {
                dir.progress(Progress { phase: Phase::Attributing, epoch: *epoch, step: step + done, steps, elapsed_secs: elapsed_secs() })
            };
            let read_out = ReadOut::penultimate(&network);
            let (measurement, samples) = measure_samples(&network, &read_out, test, measured, cancel, &mut progress)?;
            step += batches;
            let about = attributions::About {
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
            attributions::write(&mut dir, about, &measurement, &samples, cancel)?;
        }
    }
    let Source { best_epoch, last_epoch, .. } = source;
    dir.append(&Record::Finished(Finished { best_epoch, last_epoch, elapsed_secs: begun.elapsed().as_secs_f64() }))
}

/// A single file, or what lies in a folder.
fn find(path: &Path, config: &ImportConfig) -> Result<Source, Error> {
    if !path.is_dir() {
        return Ok(Source {
            files: [(config.epoch, path.to_owned())].into(),
            epochs: Vec::new(),
            best_epoch: config.epoch,
            last_epoch: config.epoch,
            attack: config.attack.clone(),
            notice: None,
        });
    }
    let TrainLog { dataset, attack, mode, epochs, models, best_epoch } = TrainLog::read(path)?;
    if dataset != config.data.dataset.id() {
        let problem = format!("is of a network trained on `{dataset}`, and the data of this run is `{}`", config.data.dataset.id());
        return Err(Error::TrainLog { path: path.to_owned(), problem });
    }
    let notice = format!(
        "A log of the paper's public code: {} epochs in the mode {mode}, best after epoch {best_epoch}, {} checkpoints. Robust test accuracy \
         is under PGD-{}, {} {}, which is what the checkpoints are measured with, whatever the configuration of this import says. The loss is \
         not in the log, nor the time that epochs took.",
        epochs.len(),
        models.len(),
        attack.steps,
        attack.norm.symbol(),
        attack.eps,
    );
    let last_epoch = epochs.len() as u32;
    Ok(Source { files: models, epochs, best_epoch, last_epoch, attack, notice: Some(notice) })
}

/// Reads the network of a file, for the classes of the data.
fn read(path: &Path, config: &ImportConfig, info: &DatasetInfo, device: Device) -> Result<(Network, Found, &'static str), Error> {
    let bad = |problem: String| Error::Checkpoint { path: path.to_owned(), problem };
    let file = TensorFile::open(path)?;
    let found = detect(&file, config.model.as_ref())?;
    let classes = info.class_names.len() as i64;
    if found.classes != classes {
        let names = if classes <= 10 { format!(": {}", info.class_names.join(", ")) } else { String::new() };
        return Err(bad(format!("tells {} classes apart, and {} has {classes}{names}", found.classes, info.title)));
    }
    // What was detected is held to the same rules as what a person writes.
    let complete = ImportConfig { model: Some(found.model.clone()), ..config.clone() };
    let errors = RunConfig::Import(Box::new(complete)).validate();
    if let Some(error) = errors.first() {
        return Err(bad(format!("holds {}, and {}: {}", found.model.architecture.label(), error.field, error.message)));
    }
    let network = Network::new(&found.model, info, 0, Kind::Float, device);
    file.load_into(&network, &found.names)?;
    let infinite = network.entries().iter().find(|entry| {
        let finite = no_grad(|| entry.tensor.isfinite().all());
        finite.int64_value(&[]) == 0
    });
    match infinite {
        Some(entry) => Err(bad(format!("has numbers in `{}` that are not finite: its training has diverged", entry.name))),
        None => Ok((network, found, file.format())),
    }
}

/// What was found in a file, for a person to check.
fn describe(path: &Path, format: &str, found: &Found, network: &Network) -> String {
    let Found { model, classes, names: _, prefix, others, normalized } = found;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let ModelConfig { architecture, normalization, .. } = model;
    let width = match architecture {
        Architecture::DeitTiny => format!("tokens of {}", model.width()),
        _ => format!("width {}", model.width()),
    };
    let mut text = format!(
        "`{name}` ({format}) holds {} of {width} for {classes} classes, {} parameters",
        architecture.label(),
        format::count(network.parameter_count()),
    );
    if !prefix.is_empty() {
        text += &format!(", under `{prefix}`");
    }
    text += ".";
    match normalization {
        Some(Normalization { mean, std }) if *normalized => {
            text += &format!(" Its own normalization is used: mean {mean:?}, deviation {std:?}.")
        }
        Some(_) => text += " The normalization is the one given for this import.",
        None => text += " The file has no normalization; that of the data set is used.",
    }
    if !others.is_empty() {
        text += &format!(
            " Left in the file: the networks under {}.",
            others.iter().map(|other| format!("`{other}`")).collect::<Vec<_>>().join(", ")
        );
    }
    text
}
