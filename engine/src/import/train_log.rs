//! Reads the folder that the training script of the paper's public code writes: `config.json`, `log.csv` and
//! `model_*.pth`.
//!
//! <https://github.com/PKU-ML/Cross-Class-Features-AT>. The table in `log.csv` has no column names.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use shared::config::{Norm, PgdConfig};
use shared::eps::Eps;
use shared::record::Epoch;

use crate::Error;

/// Content of a training log folder.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainLog {
    /// `cifar10` or `cifar100`.
    pub dataset: String,
    /// The attack of the robust test accuracies.
    pub attack: PgdConfig,
    /// `AT`, `TRADES` or `none`. `none` trains on clean images.
    pub mode: String,
    /// In order, numbered from 1.
    pub epochs: Vec<Epoch>,
    /// Checkpoint file of each epoch that has one.
    pub models: BTreeMap<u32, PathBuf>,
    /// First epoch with the highest robust test accuracy.
    pub best_epoch: u32,
    /// Sentences about files in the folder that are not read.
    pub left_out: Vec<String>,
}

/// Command line arguments of the script, as it saves them. Only those that are needed to interpret the log.
#[derive(Deserialize)]
struct Arguments {
    dataset: String,
    norm: Norm,
    mode: String,
    /// In units of 1/255.
    test_eps: f64,
    /// Number of epochs.
    ne: u32,
    lr: f64,
}

const EXPECTED: &str = "a train_log folder of the public code holds config.json, log.csv and model_*.pth";
/// Longest list of names in a sentence. Further names are only counted.
const MOST_NAMES: usize = 20;
/// An index and six counts: training images classified correctly without and with attack, and their number;
/// the same for test images.
const COLUMNS: usize = 7;

impl TrainLog {
    /// Whether a folder is one of the training script: its table has no column names, only their numbers.
    pub fn is_in(folder: &Path) -> bool {
        let columns = fs::read_to_string(folder.join("log.csv")).unwrap_or_default();
        let columns = columns.lines().next().and_then(|line| line.strip_prefix(','));
        let numbered = |columns: &str| (0..).zip(columns.split(',')).all(|(index, column)| column.trim() == index.to_string());
        folder.join("config.json").is_file() && columns.is_some_and(numbered)
    }

    /// Reads a training log folder. Fails if a file is missing or has unexpected content.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let arguments = read_arguments(folder)?;
        let epochs = read_log(folder, &arguments)?;
        let highest = |best: Option<Epoch>, epoch: &Epoch| match best {
            Some(best) if best.test_robust_accuracy >= epoch.test_robust_accuracy => Some(best),
            _ => Some(epoch.clone()),
        };
        let best_epoch = epochs.iter().fold(None, highest).map_or(0, |epoch| epoch.epoch);
        let (models, left_out) = find_models(folder, best_epoch, epochs.len() as u32)?;
        let Arguments { dataset, norm, mode, test_eps, ne: _, lr: _ } = arguments;
        // Without adversarial training, the script tests with a single attack step.
        let steps = if mode == "none" { 1 } else { 20 };
        let attack = PgdConfig { steps, ..PgdConfig::of(norm, Eps::of_255(test_eps)) };
        Ok(TrainLog { dataset, attack, mode, epochs, models, best_epoch, left_out })
    }
}

impl Arguments {
    /// Returns the learning rate of `epoch`, counted from 1, in the schedule of the script.
    fn learning_rate(&self, epoch: u32) -> f64 {
        let (first, second) = match self.ne {
            100 => (75, 90),
            200 => (100, 150),
            _ => return self.lr,
        };
        match epoch - 1 {
            done if done < first => self.lr,
            done if done < second => self.lr * 0.1,
            _ => self.lr * 0.01,
        }
    }
}

fn log_error(path: &Path, problem: String) -> Error {
    Error::TrainLog { path: path.to_owned(), problem }
}

fn read_arguments(folder: &Path) -> Result<Arguments, Error> {
    let path = folder.join("config.json");
    let text = read_file(&path)?;
    serde_json::from_str(&text)
        .map_err(|error| log_error(&path, format!("does not hold the arguments of the public code's train.py: {error}")))
}

fn read_file(path: &Path) -> Result<String, Error> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(log_error(path, format!("is missing; {EXPECTED}"))),
        Err(error) => Err(Error::io(path)(error)),
        Ok(text) => Ok(text),
    }
}

fn read_log(folder: &Path, arguments: &Arguments) -> Result<Vec<Epoch>, Error> {
    let path = folder.join("log.csv");
    let text = read_file(&path)?;
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let columns = reader.headers().map_err(|error| log_error(&path, error.to_string()))?.len();
    let expected = "expected an index and 6 counts: training images that are correct, correct under attack, and all; then the same for test \
                    images";
    let wrong_columns = |line: usize, columns: usize| log_error(&path, format!("has {columns} columns in line {line}; {expected}"));
    if columns != COLUMNS {
        return Err(wrong_columns(1, columns));
    }
    let mut epochs = Vec::new();
    for (index, row) in reader.records().enumerate() {
        let (line, epoch) = (index + 2, index as u32 + 1);
        let row = row.map_err(|error| log_error(&path, error.to_string()))?;
        if row.len() != COLUMNS {
            return Err(wrong_columns(line, row.len()));
        }
        let mut counts = [0.0; COLUMNS - 1];
        for (count, text) in counts.iter_mut().zip(row.iter().skip(1)) {
            let number = text.trim().parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0);
            *count = number.ok_or_else(|| log_error(&path, format!("has `{text}` in line {line}; {expected}")))?;
        }
        let [train_clean, train_robust, trained, test_clean, test_robust, tested] = counts;
        if trained < train_clean.max(train_robust).max(1.0) || tested < test_clean.max(test_robust).max(1.0) {
            return Err(log_error(&path, format!("counts more correct images than images in line {line}; {expected}")));
        }
        epochs.push(Epoch {
            epoch,
            learning_rate: arguments.learning_rate(epoch),
            train_loss: None,
            train_clean_accuracy: Some(train_clean / trained),
            // Without adversarial training, the script records the clean accuracy in both columns.
            train_robust_accuracy: (arguments.mode != "none").then_some(train_robust / trained),
            test_clean_accuracy: Some(test_clean / tested),
            test_robust_accuracy: Some(test_robust / tested),
            test_loss: None,
            holdout_robust_accuracy: None,
            broken_gradients: None,
            holdout_broken_gradients: None,
            seconds: 0.0,
            elapsed_secs: 0.0,
        });
    }
    if epochs.is_empty() {
        return Err(log_error(&path, "has no epochs; the script writes a line after each epoch".to_owned()));
    }
    Ok(epochs)
}

/// Returns the checkpoint file of each epoch, and sentences about files that are left out.
///
/// `model_best.pth` and `model_last.pth` are only used if their epochs have no numbered file.
fn find_models(folder: &Path, best_epoch: u32, last_epoch: u32) -> Result<(BTreeMap<u32, PathBuf>, Vec<String>), Error> {
    let (mut named, mut numbered) = (BTreeMap::new(), BTreeMap::new());
    let (mut beyond, mut unread) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder).map_err(Error::io(folder))? {
        let path = entry.map_err(Error::io(folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match name.strip_prefix("model_").and_then(|name| name.strip_suffix(".pth")) {
            Some("best") => drop(named.insert("best", path)),
            Some("last") => drop(named.insert("last", path)),
            Some(number) => match number.parse() {
                Ok(epoch) if (1..=last_epoch).contains(&epoch) => drop(numbered.insert(epoch, path)),
                Ok(_) => beyond.push(name),
                Err(_) => unread.push(name),
            },
            None if ["config.json", "log.csv"].contains(&name.as_str()) => {}
            None => unread.push(name),
        }
    }
    let mut left_out = Vec::new();
    let mut models = numbered;
    for (which, epoch) in [("best", best_epoch), ("last", last_epoch)] {
        match (named.remove(which), models.get(&epoch)) {
            (Some(_), Some(known)) => {
                let known = known.file_name().unwrap_or_default().to_string_lossy();
                left_out.push(format!("`model_{which}.pth` is not read, because `{known}` is of the same epoch {epoch}."));
            }
            (Some(path), None) => drop(models.insert(epoch, path)),
            (None, _) => {}
        }
    }
    let listed = |names: &mut Vec<String>| {
        names.sort();
        let shown: Vec<String> = names.iter().take(MOST_NAMES).map(|name| format!("`{name}`")).collect();
        let more = names.len().checked_sub(MOST_NAMES).filter(|more| *more > 0).map(|more| format!(" and {more} more")).unwrap_or_default();
        format!("{}{more}", shown.join(", "))
    };
    if !beyond.is_empty() {
        left_out.push(format!("Left out, because log.csv ends with epoch {last_epoch}: {}.", listed(&mut beyond)));
    }
    if !unread.is_empty() {
        left_out.push(format!("Left out, because they are not checkpoints: {}.", listed(&mut unread)));
    }
    if models.is_empty() {
        let beside = if left_out.is_empty() { String::new() } else { format!(" ({})", left_out.join(" ")) };
        return Err(log_error(folder, format!("has no model_best.pth, model_last.pth or model_10.pth{beside}; {EXPECTED}")));
    }
    Ok((models, left_out))
}
