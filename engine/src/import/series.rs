//! Finds the checkpoints of one training in a folder, the epoch of each, and the log beside them.
//!
//! Every file is opened, and nothing of its numbers is read yet: names and shapes tell whether it holds a
//! network, and which.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use shared::config::{ImportConfig, LAST_EPOCH};
use shared::inspection::FoundCheckpoint;

use super::detect;
use super::reading;
use super::text_log::{self, TextLog};
use crate::Error;
use crate::tensor_file::TensorFile;

/// Checkpoints and log of a folder.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// By increasing epoch, those without one last.
    pub files: Vec<FoundCheckpoint>,
    /// Name and content of the log with most numbers.
    pub log: Option<(String, TextLog)>,
    /// Sentences about files that are not read.
    pub left_out: Vec<String>,
}

/// Longest list of names in a sentence. Further names are only counted.
const MOST_NAMES: usize = 20;
/// Largest file that is read as a log.
const MOST_LOG_BYTES: u64 = 64 << 20;
/// Most files in a folder.
const MOST_FILES: usize = 10_000;
/// Endings that codes give to checkpoints. Any other file may be one as well; it is left out where it is none.
const ENDINGS: [&str; 9] = [".safetensors", ".pickle", ".ckpt", ".pth", ".tar", ".bin", ".pkl", ".pt", ".t7"];
const LOG_ENDINGS: [&str; 4] = [".log", ".txt", ".csv", ".tsv"];
/// Words before a number that tell that it counts epochs.
const EPOCH_WORDS: [&str; 4] = ["epoch", "epochs", "ep", "e"];
/// Words that a number may follow without anything between, unlike that of `resnet18` or `cifar10`.
const NUMBERED_WORDS: [&str; 8] = ["model", "net", "ckpt", "checkpoint", "state", "iter", "step", "it"];
/// Words that name a checkpoint in place of its epoch.
const LAST_WORDS: [&str; 3] = ["last", "latest", "final"];

const EXPECTED: &str = "expected are files such as epoch_5.pth, epoch_10.pth, …, or a train_log folder of the paper's public code with \
                        config.json, log.csv and model_*.pth";

/// A file that may be a checkpoint.
struct Candidate {
    name: String,
    size_bytes: u64,
    by_name: Option<u32>,
    stored: Option<u32>,
    /// Which network it holds, or why it cannot be read.
    network: Result<String, String>,
}

/// What was found of the epoch of a file.
struct Placed {
    epoch: Option<u32>,
    used: bool,
    note: String,
}

impl Series {
    /// Looks through a folder. `config.network` and `config.model` tell how its files are read, and
    /// `config.checkpoints` which of them are compared with each other.
    pub fn read(folder: &Path, config: &ImportConfig) -> Result<Self, Error> {
        let (mut candidates, mut optimizers, mut unread) = (Vec::new(), Vec::new(), Vec::new());
        let mut log: Option<(String, TextLog)> = None;
        for (name, path, size_bytes) in files(folder)? {
            if let Some(found) = read_log(&name, &path, size_bytes) {
                let more = |known: &TextLog| found.epochs.len() * found.curves.len() > known.epochs.len() * known.curves.len();
                match &log {
                    Some((_, known)) if !more(known) => unread.push(name),
                    _ => unread.extend(log.replace((name, found)).map(|(former, _)| former)),
                }
                continue;
            }
            match look(&path, config) {
                Looked::Checkpoint { network, stored } => {
                    candidates.push(Candidate { by_name: epoch_of_name(&name), stored, network, name, size_bytes });
                }
                Looked::Optimizer => optimizers.push(name),
                Looked::Other(_) if !has_ending(&name, &ENDINGS) => unread.push(name),
                Looked::Other(problem) => {
                    let by_name = epoch_of_name(&name);
                    candidates.push(Candidate { by_name, stored: None, network: Err(problem), name, size_bytes });
                }
            }
        }
        let mut left_out = Vec::new();
        for (why, names) in [("they hold an optimizer and no network", optimizers), ("they are not checkpoints", unread)] {
            if !names.is_empty() {
                left_out.push(format!("Left out, because {why}: {}.", listed(&names)));
            }
        }
        if candidates.is_empty() {
            let beside = if left_out.is_empty() { String::new() } else { format!(" ({})", left_out.join(" ")) };
            return Err(Error::Checkpoint { path: folder.to_owned(), problem: format!("holds no checkpoints{beside}; {EXPECTED}") });
        }
        let placed = place(&candidates, log.as_ref());
        let chosen: BTreeSet<&str> = config.checkpoints.iter().map(|entry| entry.file.as_str()).collect();
        let is_used = |candidate: &Candidate, placed: &Placed| {
            if chosen.is_empty() { placed.used } else { chosen.contains(candidate.name.as_str()) }
        };
        let compared = candidates.iter().zip(&placed).filter(|(candidate, placed)| is_used(candidate, placed));
        let usual = usual_network(compared.map(|(candidate, _)| candidate));
        let mut files: Vec<FoundCheckpoint> = candidates
            .into_iter()
            .zip(placed)
            .map(|(candidate, placed)| {
                let problem = match (&candidate.network, &usual) {
                    (Err(problem), _) => Some(problem.clone()),
                    (Ok(network), Some((usual, example))) if network != usual => {
                        Some(format!("holds {network}, unlike `{example}`, which holds {usual}; a run has one network"))
                    }
                    _ => None,
                };
                let Candidate { name, size_bytes, .. } = candidate;
                let Placed { epoch, used, note } = placed;
                FoundCheckpoint { file: name, epoch, used, note, problem, size_bytes }
            })
            .collect();
        files.sort_by_key(|found| (found.epoch.is_none(), found.epoch));
        Ok(Series { files, log, left_out })
    }
}

/// Lists the files of a folder by name. Hidden files and folders are passed over.
fn files(folder: &Path) -> Result<Vec<(String, PathBuf, u64)>, Error> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io(folder))? {
        let path = entry.map_err(Error::io(folder))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()).map(str::to_owned) else { continue };
        let metadata = fs::metadata(&path).map_err(Error::io(&path))?;
        if metadata.is_file() && !name.starts_with('.') {
            files.push((name, path, metadata.len()));
        }
        if files.len() > MOST_FILES {
            let problem = format!("holds more than {MOST_FILES} files; move the checkpoints of one training into a folder of their own");
            return Err(Error::Checkpoint { path: folder.to_owned(), problem });
        }
    }
    files.sort();
    Ok(files)
}

fn read_log(name: &str, path: &Path, size_bytes: u64) -> Option<TextLog> {
    if !has_ending(name, &LOG_ENDINGS) || size_bytes > MOST_LOG_BYTES {
        return None;
    }
    text_log::read(&String::from_utf8_lossy(&fs::read(path).ok()?))
}

fn has_ending(name: &str, endings: &[&str]) -> bool {
    let lower = name.to_lowercase();
    endings.iter().any(|ending| lower.ends_with(ending))
}

/// What a file is.
enum Looked {
    Checkpoint {
        network: Result<String, String>,
        stored: Option<u32>,
    },
    Optimizer,
    /// Nothing that can be read as a checkpoint, and why.
    Other(String),
}

fn look(path: &Path, config: &ImportConfig) -> Looked {
    let file = match TensorFile::open(path) {
        Ok(file) => file,
        Err(Error::Checkpoint { problem, .. }) => return Looked::Other(problem),
        Err(error) => return Looked::Other(format!("cannot be read: {error}")),
    };
    if detect::places(&file).is_empty() {
        // As `state_dict()` of an optimizer names it.
        let optimizer = file.values().iter().any(|(name, _)| name == "param_groups");
        return if optimizer { Looked::Optimizer } else { Looked::Other(reading::nothing_known(&file)) };
    }
    let named = |(name, _): &&(String, String)| name.rsplit('.').next() == Some("epoch");
    let value = file.values().iter().find(named).map(|(_, value)| value).or_else(|| file.metadata().get("epoch"));
    let stored = value.and_then(|value| value.parse().ok()).filter(|epoch| *epoch <= LAST_EPOCH);
    Looked::Checkpoint { network: reading::kind_of_network(&file, config), stored }
}

/// Finds the epoch of each file, and says what is remarkable about it.
fn place(candidates: &[Candidate], log: Option<&(String, TextLog)>) -> Vec<Placed> {
    let by_name = |candidate: &Candidate| {
        let number = candidate.by_name?;
        let same = |other: &&Candidate| other.by_name == Some(number);
        (candidates.iter().filter(same).count() == 1).then_some(number)
    };
    let mut placed: Vec<Placed> = candidates
        .iter()
        .map(|candidate| {
            let (epoch, note) = match (by_name(candidate), candidate.stored, log) {
                (Some(number), Some(stored), _) if number != stored => (Some(number), format!("The epoch stored in it is {stored}.")),
                (Some(number), ..) => (Some(number), String::new()),
                (None, Some(stored), _) => (Some(stored), "The epoch is the one stored in it.".to_owned()),
                (None, None, Some((name, log))) => match named_epoch(&candidate.name, log) {
                    Some((which, epoch)) => (Some(epoch), format!("The {which} epoch of `{name}`.")),
                    None => (None, String::new()),
                },
                (None, None, None) => (None, String::new()),
            };
            Placed { epoch, used: true, note }
        })
        .collect();
    let mut of_epoch: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (index, placed) in placed.iter().enumerate() {
        if let Some(epoch) = placed.epoch {
            of_epoch.entry(epoch).or_default().push(index);
        }
    }
    for (epoch, same) in of_epoch.into_iter().filter(|(_, same)| same.len() > 1) {
        let (copies, others): (Vec<usize>, Vec<usize>) = same.iter().partition(|index| is_named_copy(&candidates[**index]));
        // `best` and `last` repeat one of the others, and each other.
        let (copies, others) = if others.is_empty() { (copies[1..].to_vec(), copies[..1].to_vec()) } else { (copies, others) };
        for index in copies {
            placed[index].used = false;
            placed[index].note = format!("Left out, because `{}` is of the same epoch {epoch}.", candidates[others[0]].name);
        }
        if others.len() > 1 {
            for &index in &others {
                let other = others.iter().find(|other| **other != index).map_or("", |other| &candidates[*other].name);
                placed[index].epoch = None;
                placed[index].note = format!("has the epoch {epoch}, and so has `{other}`");
            }
        }
    }
    for (candidate, placed) in candidates.iter().zip(&mut placed).filter(|(_, placed)| placed.epoch.is_none() && placed.note.is_empty()) {
        let same = candidate.by_name.and_then(|number| {
            let other = candidates.iter().find(|other| other.by_name == Some(number) && other.name != candidate.name)?;
            Some(format!("has the number {number} in its name, and so has `{}`", other.name))
        });
        if same.is_none() && is_named_copy(candidate) {
            placed.used = false;
            placed.note = "Left out, because neither its name nor its content tells its epoch.".to_owned();
        } else {
            placed.note = same.unwrap_or_else(|| "has no number in its name and no epoch stored in it".to_owned());
        }
    }
    placed
}

/// Finds the epoch of a log that a word in a name stands for, with that word.
fn named_epoch(name: &str, log: &TextLog) -> Option<(&'static str, u32)> {
    if has_word(name, &LAST_WORDS) {
        return Some(("last", log.epochs.last()?.epoch));
    }
    if !has_word(name, &["best"]) {
        return None;
    }
    let highest = log.epochs.iter().filter_map(|epoch| Some((epoch.test_robust_accuracy?, epoch.epoch)));
    // Of equal ones the first, as codes save the best only when it is better.
    highest.reduce(|best, other| if other.0 > best.0 { other } else { best }).map(|(_, epoch)| ("best", epoch))
}

/// Whether a file is one that codes save beside those of the epochs.
fn is_named_copy(candidate: &Candidate) -> bool {
    candidate.by_name.is_none() && has_word(&candidate.name, &["best", "val", LAST_WORDS[0], LAST_WORDS[1], LAST_WORDS[2]])
}

fn has_word(name: &str, words: &[&str]) -> bool {
    name.to_lowercase().split(|char: char| !char.is_alphanumeric()).any(|part| words.contains(&part))
}

/// Returns the network that most files hold, and the name of the first with it. Of equally many, the first.
fn usual_network<'a>(candidates: impl Iterator<Item = &'a Candidate>) -> Option<(String, String)> {
    let mut counts: Vec<(&str, &str, usize)> = Vec::new();
    for candidate in candidates {
        let Ok(network) = &candidate.network else { continue };
        match counts.iter_mut().find(|(known, ..)| known == network) {
            Some((.., count)) => *count += 1,
            None => counts.push((network, &candidate.name, 1)),
        }
    }
    let most = counts.iter().map(|(.., count)| *count).max()?;
    counts.into_iter().find(|(.., count)| *count == most).map(|(network, name, _)| (network.to_owned(), name.to_owned()))
}

/// Finds the epoch in a name: the number after a word for epochs, else the last number. `None` if there is
/// none.
///
/// Numbers with a fraction are measurements, and numbers at the end of a word such as `resnet18` belong to it.
fn epoch_of_name(name: &str) -> Option<u32> {
    let mut stem = name.to_lowercase();
    while let Some(ending) = ENDINGS.iter().find(|ending| stem.ends_with(**ending)) {
        stem.truncate(stem.len() - ending.len());
    }
    let mut last = None;
    let bytes = stem.as_bytes();
    let mut index = 0;
    while index < bytes.len() {
        if !bytes[index].is_ascii_digit() {
            index += 1;
            continue;
        }
        let is_part = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
        let length = bytes[index..].iter().take_while(|byte| is_part(byte)).count();
        let (before, number) = (&stem[..index], stem[index..index + length].trim_end_matches('.'));
        index += length;
        let followed = bytes.get(index).is_some_and(u8::is_ascii_alphabetic);
        let word = before.trim_end_matches(|char: char| !char.is_alphanumeric());
        let apart = word.len() < before.len() || before.is_empty();
        let word = word.rsplit(|char: char| !char.is_ascii_alphabetic()).next().unwrap_or_default();
        let Some(number) = number.parse().ok().filter(|number| *number <= LAST_EPOCH) else { continue };
        if EPOCH_WORDS.contains(&word) {
            return Some(number);
        }
        if apart && !followed || NUMBERED_WORDS.contains(&word) {
            last = Some(number);
        }
    }
    last
}

fn listed(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(MOST_NAMES).map(|name| format!("`{name}`")).collect();
    let more = names.len().checked_sub(MOST_NAMES).filter(|more| *more > 0).map(|more| format!(" and {more} more")).unwrap_or_default();
    format!("{}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: Option<u32>) {
        assert_eq!(epoch_of_name(name), expected, "{name}");
    }

    #[test]
    fn the_number_of_a_name_is_its_epoch() {
        check("epoch_5.pt", Some(5));
        check("model_200.pth", Some(200));
        check("ckpt-12.safetensors", Some(12));
        check("checkpoint_76.tar", Some(76));
        check("model-wideres-epoch76.pt", Some(76));
        check("ep010.pth.tar", Some(10));
        check("e3.safetensors", Some(3));
        check("epoch=12-step=4690.ckpt", Some(12));
        check("0005.pth", Some(5));
        check("model5.t7", Some(5));
        check("ckpt_10_0.4512.pth", Some(10));
        check("epoch_7_acc_48.2.pth", Some(7));
        check("cifar10_prn18_epoch_30.pth", Some(30));
        check("WRN-34-10-60.pt", Some(60));
        check("model_3.5.2.pth", None);
    }

    #[test]
    fn numbers_that_belong_to_a_word_or_are_no_epochs_are_none() {
        for name in
            ["model_best.pth", "resnet18.pth", "cifar10_prn18.pth", "ckpt.t7", "acc_0.45.pth", "1700000000.pth", "model", "_4x.pt", ""]
        {
            check(name, None);
        }
    }

    fn candidate(name: &str, stored: Option<u32>) -> Candidate {
        Candidate { name: name.to_owned(), size_bytes: 1, by_name: epoch_of_name(name), stored, network: Ok(String::new()) }
    }

    /// The epoch of each file and whether it is used, or what is said of it where it has none.
    fn placed(candidates: &[Candidate], log: Option<&(String, TextLog)>) -> Vec<Result<(u32, bool), String>> {
        place(candidates, log).into_iter().map(|placed| placed.epoch.map(|epoch| (epoch, placed.used)).ok_or(placed.note)).collect()
    }

    #[test]
    fn the_epoch_in_a_file_counts_where_its_name_does_not_tell() {
        let files = [
            candidate("epoch_5.pth", Some(4)),
            candidate("other.pth", Some(9)),
            candidate("wrn_34.pth", Some(1)),
            candidate("prn_34.pth", Some(2)),
        ];
        assert_eq!(placed(&files, None), [Ok((5, true)), Ok((9, true)), Ok((1, true)), Ok((2, true))]);
        assert_eq!(place(&files, None)[0].note, "The epoch stored in it is 4.");
    }

    #[test]
    fn what_repeats_an_epoch_is_left_out_or_asked_about() {
        let files = [
            candidate("epoch_5.pth", None),
            candidate("model_best.pth", Some(5)),
            candidate("last.pth", None),
            candidate("final.pth", Some(7)),
        ];
        let found = placed(&files, None);
        assert_eq!(found[..2], [Ok((5, true)), Ok((5, false))]);
        assert!(found[2].as_ref().unwrap_err().starts_with("Left out, because neither"));
        assert_eq!(found[3], Ok((7, true)), "it is the only one of its epoch");

        let found = placed(&[candidate("a_5.pth", None), candidate("b_5.pth", None), candidate("c.pth", None)], None);
        assert_eq!(found[0].as_ref().unwrap_err(), "has the number 5 in its name, and so has `b_5.pth`");
        assert_eq!(found[2].as_ref().unwrap_err(), "has no number in its name and no epoch stored in it");
        let found = placed(&[candidate("epoch_5.pth", None), candidate("other.pth", Some(5))], None);
        assert_eq!(found[1].as_ref().unwrap_err(), "has the epoch 5, and so has `epoch_5.pth`");
    }

    #[test]
    fn best_and_last_are_epochs_of_the_log() {
        let log = text_log::read("epoch,test robust acc\n1,0.2\n2,0.4\n3,0.4\n").unwrap();
        let log = ("log.csv".to_owned(), log);
        let found =
            placed(&[candidate("model_1.pth", None), candidate("model_best.pth", None), candidate("model_last.pth", None)], Some(&log));
        assert_eq!(found, [Ok((1, true)), Ok((2, true)), Ok((3, true))]);
    }
}
