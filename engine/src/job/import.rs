//! Imports checkpoints that were trained elsewhere: saves them as checkpoints of this run and measures their
//! attributions if asked to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;
use shared::config::{Aggregation, ImportConfig, Inputs, Layer, NormalizationSource, PgdConfig, Precision, SeriesFile, SplitName, Subset};
use shared::dataset::{DatasetInfo, Source as DataSource};
use shared::inspection::{FoundCheckpoint, Inspection};
use shared::problem::FieldError;
use shared::record::{Epoch, Finished, Notice, NoticeKind, Phase, Progress, Record, Started};
use tch::Device;

use super::attributions;
use super::checkpoints;
use crate::Error;
use crate::attack::Attack;
use crate::data::{self, Data, Split};
use crate::device;
use crate::evaluate::{BATCH_SIZE, EvalInputs, measure_samples};
use crate::import::{self, Reading, Request, SAMPLE, Sample, Series, TrainLog};
use crate::kept::Kept;
use crate::linear_probe::LinearProbe;
use crate::run_dir::RunDir;
use crate::stop::Stop;

/// The files to import.
struct ImportSource {
    /// Path of each checkpoint, by epoch. Never empty.
    files: BTreeMap<u32, PathBuf>,
    /// The checkpoints of a folder, whether they are imported or not. Empty for a file.
    found: Vec<FoundCheckpoint>,
    /// Epochs of the training log, in rising order. Empty if there is none.
    epochs: Vec<Epoch>,
    /// The epoch of the file that is read first, to find out what holds for all.
    first_read: u32,
    last_epoch: u32,
    attack: PgdConfig,
    /// Sentences about the folder. `None` for a file.
    notice: Option<String>,
    from_public_code: bool,
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
    let mut reader = Reader { config, info: &info, device, from_public_code: source.from_public_code, as_in_series: None, sample: None };
    let first = reader.read(&source.files[&source.first_read])?;
    let is_alone = source.files.len() == 1;
    // The last checkpoint of a training tells by its accuracy what an early one does not tell.
    reader.as_in_series = first.normalization_for_series().filter(|_| !is_alone && !source.from_public_code);
    let known = match reader.as_in_series {
        Some(_) => remarks(&reader.read(&source.files[&source.first_read])?),
        None => remarks(&first),
    };
    let count = |part: fn(&Data) -> Option<&Split>| data.as_ref().and_then(part).map_or(0, |split| split.len() as u32);
    let started = Started {
        device: device::id(device),
        device_name: device::name(device),
        libtorch: device::libtorch_version(),
        engine: device::ENGINE_VERSION.to_owned(),
        precision: Precision::Float32,
        parameters: first.network.parameter_count(),
        feature_dim: first.network.feature_dim(),
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

    dir.append(&Record::Started(started))?;
    super::note_passed_over(&mut dir, &passed_over)?;
    for epoch in &source.epochs {
        // A worker before this one may have added what it measured.
        if dir.metrics().epochs.iter().all(|known| known.epoch != epoch.epoch) {
            dir.append(&Record::Epoch(epoch.clone()))?;
        }
    }
    let facts = first.inspection.facts.join(" ");
    let mut only = Some(first).filter(|_| is_alone);
    match &source.notice {
        Some(notice) => note(&mut dir, None, format!("{notice} {facts}"))?,
        None => note(&mut dir, Some(source.first_read), facts)?,
    }

    let batches = test.as_ref().map_or(0, |test| (test.len() as u32).div_ceil(BATCH_SIZE as u32));
    let steps_of_each = 1 + config.attribution.inputs.len() as u32 * batches;
    let steps = source.files.len() as u32 * steps_of_each;
    for (index, (epoch, path)) in (0..).zip(&source.files) {
        stop.check()?;
        if is_complete(&dir, *epoch, &config.attribution.inputs) {
            add_measured(&mut dir, *epoch, &source)?;
            continue;
        }
        let reading = only.take().map_or_else(|| reader.read(path), Ok)?;
        if remarks(&reading) != known {
            note(&mut dir, Some(*epoch), reading.inspection.facts.join(" "))?;
        }
        let Reading { network, model, program, .. } = reading;
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
        add_measured(&mut dir, *epoch, &source)?;
    }
    let last_epoch = source.last_epoch;
    let best_epoch = dir.metrics().best().map_or(last_epoch, |best| best.epoch);
    dir.append(&Record::Finished(Finished { best_epoch, last_epoch, elapsed_secs: begun.elapsed().as_secs_f64() }))
}

/// Records a sentence about a file, or about all.
fn note(dir: &mut RunDir, epoch: Option<u32>, message: String) -> Result<(), Error> {
    dir.append(&Record::Notice(Notice { kind: NoticeKind::Imported, epoch, message }))
}

/// Returns what is said about a file but for its name and the numbers in it, which differ between the
/// checkpoints of a training.
fn remarks(reading: &Reading) -> Vec<String> {
    let facts = reading.inspection.facts.iter();
    let unnamed = |fact: &String| match fact.strip_prefix('`').and_then(|rest| rest.split_once('`')) {
        Some((_, rest)) => rest.to_owned(),
        None => fact.clone(),
    };
    facts.map(unnamed).map(|fact| fact.chars().filter(|char| !char.is_ascii_digit()).collect()).collect()
}

/// Returns whether an earlier worker has saved and measured a checkpoint.
fn is_complete(dir: &RunDir, epoch: u32, inputs: &[Inputs]) -> bool {
    let checkpoint = dir.metrics().checkpoints.iter().find(|checkpoint| checkpoint.epoch == epoch);
    checkpoint.is_some_and(|checkpoint| inputs.iter().all(|inputs| attributions::is_written(dir, epoch, *inputs, &checkpoint.sha256)))
}

/// Records the accuracies that were measured with the matrices of a checkpoint, unless the log has them.
fn add_measured(dir: &mut RunDir, epoch: u32, source: &ImportSource) -> Result<(), Error> {
    if source.found.is_empty() || source.from_public_code {
        return Ok(());
    }
    let logged = source.epochs.iter().find(|known| known.epoch == epoch);
    let in_log = |value: fn(&Epoch) -> Option<f64>| source.epochs.iter().any(|epoch| value(epoch).is_some());
    let mut record = match logged {
        Some(logged) => logged.clone(),
        // Among epochs with a loss, one without looks like a training that broke down.
        None if in_log(|epoch| epoch.train_loss) => return Ok(()),
        None => Epoch::unmeasured(epoch),
    };
    // A curve is of one attack and one code.
    if !in_log(|epoch| epoch.test_clean_accuracy) {
        record.test_clean_accuracy = attributions::existing(dir, epoch, Inputs::Clean)?.map(|file| file.accuracy);
    }
    if !in_log(|epoch| epoch.test_robust_accuracy) {
        let file = attributions::existing(dir, epoch, Inputs::Adversarial)?;
        record.test_robust_accuracy = file.as_ref().map(|file| file.accuracy);
        record.broken_gradients = file.and_then(|file| file.broken_gradients);
    }
    let is_new = dir.metrics().epochs.iter().all(|known| *known != record);
    let has_any = record != Epoch::unmeasured(epoch);
    if is_new && has_any { dir.append(&Record::Epoch(record)) } else { Ok(()) }
}

/// Finds the files at `path`: a single checkpoint, a training log of the public code, or any other folder of
/// checkpoints.
fn find(path: &Path, config: &ImportConfig) -> Result<ImportSource, Error> {
    if !path.is_dir() {
        if !config.checkpoints.is_empty() {
            let error = FieldError::new("checkpoints", "lists files of a folder, but the source is a file; leave it out");
            return Err(Error::Undecided { path: path.to_owned(), errors: vec![error] });
        }
        return Ok(ImportSource {
            files: [(config.epoch, path.to_owned())].into(),
            found: Vec::new(),
            epochs: Vec::new(),
            first_read: config.epoch,
            last_epoch: config.epoch,
            attack: config.attack.clone(),
            notice: None,
            from_public_code: false,
        });
    }
    if TrainLog::is_in(path) { find_train_log(path, config) } else { find_series(path, config) }
}

fn find_train_log(path: &Path, config: &ImportConfig) -> Result<ImportSource, Error> {
    let TrainLog { dataset, attack, mode, epochs, models, best_epoch, left_out } = TrainLog::read(path)?;
    if dataset != config.data.dataset.id() {
        let problem = format!("is of a network trained on `{dataset}`, but this import is configured for `{}`", config.data.dataset.id());
        return Err(Error::TrainLog { path: path.to_owned(), problem });
    }
    let found = models
        .iter()
        .map(|(epoch, path)| FoundCheckpoint {
            file: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            epoch: Some(*epoch),
            used: true,
            note: String::new(),
            problem: None,
            size_bytes: path.metadata().map_or(0, |metadata| metadata.len()),
        })
        .collect::<Vec<_>>();
    let models = chosen(path, &found, config)?;
    let mut notice = format!(
        "A log of the paper's public code: {} epochs in mode {mode}, best after epoch {best_epoch}, {}. Robust test accuracy \
         was measured with PGD-{}, {} {}. The checkpoints are measured with the same attack, even if this import configures another one. \
         The log contains neither the loss nor the duration of epochs.",
        epochs.len(),
        counted(models.len()),
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
    let (first, _) = models.get_key_value(&best_epoch).or_else(|| models.first_key_value()).expect("a source has files");
    Ok(ImportSource { first_read: *first, files: models, found, epochs, last_epoch, attack, notice: Some(notice), from_public_code: true })
}

fn find_series(path: &Path, config: &ImportConfig) -> Result<ImportSource, Error> {
    let Series { files: found, log, left_out } = Series::read(path, config)?;
    let files = chosen(path, &found, config)?;
    let (first, first_file) = files.first_key_value().expect("a source has files");
    let (last, last_file) = files.last_key_value().expect("a source has files");
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut notice = format!(
        "A series of {}, from epoch {first} (`{}`) to epoch {last} (`{}`).",
        counted(files.len()),
        name(first_file),
        name(last_file)
    );
    let epochs = match log {
        None => {
            notice += " It has no log that is known here: the accuracies are those measured with the matrices.";
            Vec::new()
        }
        Some((name, log)) => {
            notice += &format!(" `{name}` is the log of {} epochs, with {}.", log.epochs.len(), log.curves.join(", "));
            let beyond = files.keys().filter(|epoch| log.epochs.iter().all(|known| known.epoch != **epoch)).count();
            if beyond > 0 {
                notice += &format!(" It has no line for the epochs of {}.", counted(beyond));
            }
            let best = log.epochs.iter().filter_map(|epoch| Some((epoch.test_robust_accuracy?, epoch.epoch)));
            let best = best.reduce(|best, other| if other.0 > best.0 { other } else { best });
            if let Some((_, epoch)) = best.filter(|(_, epoch)| !files.contains_key(epoch)) {
                notice += &format!(" The folder has no file of epoch {epoch}, the best, so the best checkpoint of this run is missing.");
            }
            log.epochs
        }
    };
    for found in found.iter().filter(|found| files.values().all(|path| name(path) != found.file)) {
        let why = if found.used { "Left out by this import." } else { &found.note };
        notice += &format!(" `{}`: {why}", found.file);
    }
    for text in &left_out {
        notice += &format!(" {text}");
    }
    let last_epoch = *last;
    let attack = config.attack.clone();
    Ok(ImportSource { files, found, epochs, first_read: last_epoch, last_epoch, attack, notice: Some(notice), from_public_code: false })
}

fn counted(checkpoints: usize) -> String {
    format!("{checkpoints} {}", if checkpoints == 1 { "checkpoint" } else { "checkpoints" })
}

/// Returns the checkpoints to import of those found in a folder, by their epochs: those that the
/// configuration lists, else all.
fn chosen(folder: &Path, found: &[FoundCheckpoint], config: &ImportConfig) -> Result<BTreeMap<u32, PathBuf>, Error> {
    /// Most errors in a message.
    const MOST: usize = 5;
    let mut errors = Vec::new();
    let mut files = BTreeMap::new();
    if config.checkpoints.is_empty() {
        for FoundCheckpoint { file, epoch, note, problem, .. } in found.iter().filter(|found| found.used) {
            match (epoch, problem) {
                (_, Some(problem)) => errors.push(FieldError::new("checkpoints", format!("`{file}` {problem}"))),
                (None, None) => errors.push(FieldError::new("checkpoints", format!("`{file}` {note}"))),
                (Some(epoch), None) => drop(files.insert(*epoch, folder.join(file))),
            }
        }
    }
    for (index, SeriesFile { file, epoch }) in config.checkpoints.iter().enumerate() {
        let field = format!("checkpoints[{index}].file");
        match found.iter().find(|found| found.file == *file) {
            None => {
                let known: Vec<String> = found.iter().take(MOST).map(|found| format!("`{}`", found.file)).collect();
                errors
                    .push(FieldError::new(field, format!("`{file}` is not a checkpoint of the folder, which holds {}", known.join(", "))));
            }
            Some(FoundCheckpoint { problem: Some(problem), .. }) => errors.push(FieldError::new(field, format!("`{file}` {problem}"))),
            Some(_) => drop(files.insert(*epoch, folder.join(file))),
        }
    }
    if files.is_empty() && errors.is_empty() {
        errors.extend(found.iter().map(|found| FieldError::new("checkpoints", format!("`{}`: {}", found.file, found.note))));
    }
    if errors.is_empty() {
        return Ok(files);
    }
    let more = errors.len().saturating_sub(MOST);
    errors.truncate(MOST);
    if more > 0 {
        errors.push(FieldError::new("checkpoints", format!("{more} more files have a problem")));
    }
    if let Some(last) = errors.last_mut() {
        last.message += ". Set `checkpoints` to the files to import, each with its epoch, without those to be left out";
    }
    Err(Error::Undecided { path: folder.to_owned(), errors })
}

/// Reports what a file holds, or a checkpoint of a folder, and which questions are open. A relative source is
/// looked up in `directory`.
pub fn inspect(directory: &Path, config: &ImportConfig) -> Result<Inspection, Error> {
    let path = directory.join(&config.source);
    let source = find(&path, config).or_else(|error| match error {
        // Shows what there is, so that a person can choose.
        Error::Undecided { .. } if path.is_dir() && !TrainLog::is_in(&path) => find_some(&path, config, error),
        error => Err(error),
    })?;
    let (info, images) = match load_sample(config) {
        Ok((info, images)) => (info, Some(images)),
        // The classes of an image folder are known only from its folders.
        Err(error) if config.data.dataset.info().classes.is_none() => return Err(error),
        Err(_) => (config.data.dataset.info(), None),
    };
    let sample = images.as_ref().map(|images| Sample { images, budget: INSPECTION_BUDGET });
    let from_public_code = source.from_public_code;
    let request = Request { config, info: &info, device: Device::Cpu, sample, measure_all: true, from_public_code, as_in_series: None };
    let mut inspection = import::read(&source.files[&source.first_read], &request)?.inspection;
    inspection.facts.splice(0..0, source.notice);
    inspection.checkpoints = source.found;
    Ok(inspection)
}

/// Finds the checkpoints of a folder of which some cannot be imported: those that can. `error` is returned if
/// there are none.
fn find_some(path: &Path, config: &ImportConfig, error: Error) -> Result<ImportSource, Error> {
    let found = Series::read(path, config)?.files;
    let listed = |file: &str| config.checkpoints.is_empty() || config.checkpoints.iter().any(|entry| entry.file == file);
    let good = found.iter().filter(|found| found.problem.is_none() && listed(&found.file));
    let Some(FoundCheckpoint { file, epoch, .. }) = good.max_by_key(|found| found.epoch) else { return Err(error) };
    let epoch = epoch.unwrap_or_default();
    Ok(ImportSource {
        files: [(epoch, path.join(file))].into(),
        epochs: Vec::new(),
        first_read: epoch,
        last_epoch: epoch,
        attack: config.attack.clone(),
        notice: Some(format!("A folder of {}, of which not all can be imported yet.", counted(found.len()))),
        found,
        from_public_code: false,
    })
}

fn load_sample(config: &ImportConfig) -> Result<(DatasetInfo, Split), Error> {
    data::load_sample(&config.data, config.seed, SAMPLE)
}

/// Reads the checkpoints of an import.
struct Reader<'a> {
    config: &'a ImportConfig,
    info: &'a DatasetInfo,
    device: Device,
    from_public_code: bool,
    as_in_series: Option<NormalizationSource>,
    /// Test images, once they were needed.
    sample: Option<Split>,
}

impl Reader<'_> {
    /// Reads a checkpoint. Fails if a question about it is open.
    ///
    /// Uses test images only if nothing else decides between its readings and the data is available.
    fn read(&mut self, path: &Path) -> Result<Reading, Error> {
        let Self { config, info, device, from_public_code, as_in_series, .. } = *self;
        let request = |sample| Request { config, info, device, sample, measure_all: false, from_public_code, as_in_series };
        let reading = import::read(path, &request(None))?;
        let images_here = config.data.path.is_some() || config.data.dataset.source() != DataSource::Folder;
        if !(reading.undecided_without_images && images_here) {
            return reading.into_decided(path);
        }
        if self.sample.is_none() {
            self.sample = Some(load_sample(config)?.1);
        }
        let images = self.sample.as_ref().map(|images| Sample { images, budget: IMPORT_BUDGET });
        import::read(path, &request(images))?.into_decided(path)
    }
}
