//! The file that describes the lanes beyond this machine.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use shared::api::{LaneKind, Probe};
use shared::config::is_lane_name;
use shared::problem::{self, FieldError};

use super::command::{CommandLane, Commands};
use super::program::quoted;
use super::slurm::{Slurm, SlurmLane};
use super::ssh::{Ssh, SshLane};
use super::{Engine, Lane};
use crate::rundir::RunDir;

/// Seconds between two questions to an engine about all its jobs.
const POLL_SECS: u32 = 20;
/// The same for a host that is reached by ssh, which is asked for little.
const SSH_POLL_SECS: u32 = 5;
/// How often a run is submitted again whose time was up: 100 times 4 hours are more than two weeks.
const RESUBMISSIONS: u32 = 100;

/// What the file says.
#[derive(Debug)]
pub struct LanesFile {
    /// Whether the devices of this machine are lanes too.
    pub local: bool,
    pub lanes: Vec<Lane>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole {
    #[serde(default = "yes")]
    local: bool,
    #[serde(default)]
    poll_secs: Option<u32>,
    #[serde(default)]
    lane: Vec<Map<String, Value>>,
}

/// The fields that lanes of all kinds have. Those of its kind are read apart.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Common {
    name: String,
    kind: String,
    #[serde(default)]
    throttle: Option<u32>,
    #[serde(default = "yes")]
    auto: bool,
    #[serde(default = "resubmissions")]
    resubmissions: u32,
}

const COMMON: [&str; 5] = ["name", "kind", "throttle", "auto", "resubmissions"];

fn yes() -> bool {
    true
}

fn resubmissions() -> u32 {
    RESUBMISSIONS
}

/// A lane of the file that is as it should be.
#[derive(Debug)]
struct Described {
    name: String,
    throttle: Option<u32>,
    auto: bool,
    resubmissions: u32,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Slurm(SlurmLane),
    Ssh(SshLane),
    Command(CommandLane),
}

impl LanesFile {
    /// Reads the file. The error names every wrong field with its value.
    pub fn read(path: &Path, own_worker: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read the file of lanes {}", path.display()))?;
        let (local, poll_secs, described) = match parse(&text) {
            Ok(parsed) => parsed,
            Err(errors) => {
                let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
                bail!("the file of lanes {} is wrong: {}", path.display(), errors.join("; "));
            }
        };
        Ok(LanesFile { local, lanes: lanes(described, poll_secs, own_worker) })
    }
}

/// Makes the lanes and what starts their workers: one for all lanes of a cluster, one for each host.
fn lanes(described: Vec<Described>, poll_secs: Option<u32>, own_worker: &Path) -> Vec<Lane> {
    let pace = |default: u32| Duration::from_secs(poll_secs.unwrap_or(default).into());
    let of_slurm = |lane: &Described| match &lane.kind {
        Kind::Slurm(slurm) => Some((lane.name.clone(), slurm.clone())),
        _ => None,
    };
    let slurm: HashMap<String, SlurmLane> = described.iter().filter_map(of_slurm).collect();
    let slurm = (!slurm.is_empty()).then(|| Engine::start(Slurm::new(slurm, own_worker.to_owned()), pace(POLL_SECS)));
    let mut lanes = Vec::with_capacity(described.len());
    for Described { name, throttle, auto, resubmissions, kind } in described {
        let arrays = matches!(kind, Kind::Slurm(_));
        let (text, has_gpu, at_once, engine) = match kind {
            Kind::Slurm(lane) => match &slurm {
                Some(engine) => {
                    let at_once = throttle.map_or_else(String::new, |most| format!(", {most} of a sweep at once"));
                    (lane.text() + &at_once, lane.gpus > 0, None, Arc::clone(engine))
                }
                None => continue,
            },
            Kind::Ssh(lane) => {
                let (text, has_gpu) = (lane.text(), lane.has_gpu());
                // A device takes one run, unless its owner says otherwise.
                (text, has_gpu, Some(throttle.unwrap_or(1)), Engine::start(Ssh::new(lane, own_worker.to_owned()), pace(SSH_POLL_SECS)))
            }
            Kind::Command(lane) => {
                let (text, has_gpu) = (lane.text(), lane.gpu);
                (text, has_gpu, throttle, Engine::start(Commands::new(lane, own_worker.to_owned()), pace(POLL_SECS)))
            }
        };
        lanes.push(Lane {
            name,
            text,
            at_once,
            throttle: throttle.filter(|_| arrays),
            has_gpu,
            auto,
            multiply_adds_per_sec: None,
            resubmissions,
            engine,
        });
    }
    lanes
}

type Parsed = (bool, Option<u32>, Vec<Described>);

fn parse(text: &str) -> Result<Parsed, Vec<FieldError>> {
    let table: toml::Table =
        text.parse().map_err(|error: toml::de::Error| vec![FieldError::new("TOML", error.to_string().trim().to_owned())])?;
    let value = serde_json::to_value(table).map_err(|error| vec![FieldError::new("TOML", error.to_string())])?;
    let Whole { local, poll_secs, lane } = problem::read(&value).map_err(|error| vec![error])?;
    let mut errors = Vec::new();
    if poll_secs.is_some_and(|secs| !(1..=300).contains(&secs)) {
        errors.push(FieldError::new("poll_secs", format!("{} is out of range; 1 to 300", poll_secs.unwrap_or_default())));
    }
    let mut names = HashSet::new();
    let mut lanes = Vec::new();
    for (index, fields) in lane.into_iter().enumerate() {
        match described(fields) {
            Ok(lane) => {
                if !names.insert(lane.name.clone()) {
                    errors.push(FieldError::new(format!("lane[{index}].name"), format!("`{}` is the name of another lane", lane.name)));
                }
                lanes.push(lane);
            }
            Err(wrong) => {
                errors.extend(wrong.into_iter().map(|error| FieldError::new(format!("lane[{index}].{}", error.field), error.message)));
            }
        }
    }
    if errors.is_empty() { Ok((local, poll_secs, lanes)) } else { Err(errors) }
}

fn described(mut fields: Map<String, Value>) -> Result<Described, Vec<FieldError>> {
    let common: Map<String, Value> = COMMON.iter().filter_map(|name| fields.remove_entry(*name)).collect();
    let Common { name, kind, throttle, auto, resubmissions } = read(common)?;
    let mut errors = Vec::new();
    if !is_lane_name(&name) {
        let message = format!("`{name}` is not a name for a lane; write letters, digits, `-`, `_` and `.`, with a letter first");
        errors.push(FieldError::new("name", message));
    }
    if throttle == Some(0) {
        errors.push(FieldError::new("throttle", "0 is out of range; 1 or more"));
    }
    let known = [LaneKind::Slurm, LaneKind::Ssh, LaneKind::Command].map(LaneKind::id).join("`, `");
    let kind = match kind.parse() {
        Ok(LaneKind::Slurm) => read::<SlurmLane>(fields).map(|lane| (lane.check(), Kind::Slurm(lane))),
        Ok(LaneKind::Ssh) => read::<SshLane>(fields).map(|lane| (lane.check(), Kind::Ssh(lane))),
        Ok(LaneKind::Command) => read::<CommandLane>(fields).map(|lane| (lane.check(), Kind::Command(lane))),
        Ok(LaneKind::Local) | Err(_) => Err(vec![FieldError::new("kind", format!("`{kind}` is not a kind of lane; known: `{known}`"))]),
    };
    match kind {
        Ok((wrong, kind)) => {
            errors.extend(wrong);
            if errors.is_empty() { Ok(Described { name, throttle, auto, resubmissions, kind }) } else { Err(errors) }
        }
        Err(wrong) => {
            errors.extend(wrong);
            Err(errors)
        }
    }
}

fn read<T: DeserializeOwned>(fields: Map<String, Value>) -> Result<T, Vec<FieldError>> {
    problem::read(Value::Object(fields)).map_err(|error| vec![error])
}

/// A value that goes into one word of a command.
pub(super) fn check_word(field: &str, word: &str) -> Option<FieldError> {
    let plain = !word.is_empty() && !word.contains(|letter: char| letter.is_whitespace() || letter.is_control());
    (!plain).then(|| FieldError::new(field, format!("{word:?} is not one word")))
}

/// Lines of shell.
pub(super) fn check_lines(field: &str, lines: &[String]) -> Vec<FieldError> {
    let wrong = lines.iter().enumerate().filter(|(_, line)| line.contains(['\n', '\0']));
    wrong.map(|(index, line)| FieldError::new(format!("{field}[{index}]"), format!("{line:?} is more than one line"))).collect()
}

/// A folder of run directories.
pub(super) fn check_folder(field: &str, folder: Option<&Path>) -> Option<FieldError> {
    let folder = folder.filter(|folder| !folder.is_absolute())?;
    Some(FieldError::new(field, format!("`{}` is not an absolute path", folder.display())))
}

/// A run directory as another machine sees it.
pub(super) fn there(dir: &RunDir, runs: Option<&Path>) -> PathBuf {
    match (runs, dir.path().file_name()) {
        (Some(runs), Some(name)) => runs.join(name),
        _ => dir.path().to_owned(),
    }
}

/// What starts the worker of a lane, as a part of a line of shell.
pub(super) fn worker(command: Option<&str>, own: &Path) -> String {
    command.map_or_else(|| quoted(&own.display().to_string()), str::to_owned)
}

/// Reads what `worker --probe` has printed, after whatever else was.
pub(super) fn read_probe(printed: &str) -> Result<Probe, String> {
    let line = printed.lines().rev().find(|line| line.trim_start().starts_with('{')).unwrap_or_default();
    serde_json::from_str(line)
        .map_err(|_| format!("the worker there does not answer like one of this version; it said: {:?}", printed.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_lanes_is_read() {
        let text = r#"
            local = false
            poll_secs = 15
            [[lane]]
            name = "a100"
            kind = "slurm"
            partition = "gpu"
            gpus = 1
            throttle = 4
            setup = ["module load cuda"]
            [[lane]]
            name = "box"
            kind = "ssh"
            host = "box1"
            device = "cuda:1"
            auto = false
            [[lane]]
            name = "pbs"
            kind = "command"
            submit = "qsub"
            stop = "qdel $JOB_ID"
            list = "qstat"
        "#;
        let (local, poll_secs, lanes) = parse(text).unwrap();
        assert!(!local && poll_secs == Some(15));
        let found: Vec<(&str, bool)> = lanes.iter().map(|lane| (lane.name.as_str(), lane.auto)).collect();
        assert_eq!(found, [("a100", true), ("box", false), ("pbs", true)]);
    }

    #[test]
    fn the_examples_in_the_documents_are_files_of_lanes() {
        let document = include_str!("../../../docs/cluster.md");
        let examples: Vec<String> = document
            .split("```toml\n")
            .skip(1)
            .filter_map(|rest| rest.split_once("```"))
            .map(|(example, _)| example.lines().map(str::trim_start).collect::<Vec<_>>().join("\n"))
            .collect();
        assert_eq!(examples.len(), 3, "{examples:?}");
        for example in examples {
            assert!(!parse(&example).unwrap().2.is_empty(), "{example}");
        }
    }

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let errors: Vec<String> = parse(text).unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(errors.len(), expected.len(), "{errors:?}");
        for (error, part) in errors.iter().zip(expected) {
            assert!(error.contains(part), "{part} is not in {errors:?}");
        }
    }

    #[test]
    fn every_lane_that_is_wrong_is_named_with_field_and_value() {
        check("lane = 3", &["lane: `3` is not a list"]);
        check("lanes = []", &["lanes: unknown field"]);
        check("[[lane]", &["TOML: "]);
        check("poll_secs = 0", &["poll_secs: 0 is out of range"]);
        check("[[lane]]\nkind = \"slurm\"", &["lane[0].name: is missing"]);
        check(
            "[[lane]]\nname = \"a\"\nkind = \"local\"",
            &["lane[0].kind: `local` is not a kind of lane; known: `slurm`, `ssh`, `command`"],
        );
        check("[[lane]]\nname = \"a\"\nkind = \"slurm\"\ngpus = \"one\"", &["lane[0].gpus: `one` is not a whole number"]);
        check("[[lane]]\nname = \"a\"\nkind = \"slurm\"\npartitoin = \"x\"", &["lane[0].partitoin: unknown field"]);
        check(
            "[[lane]]\nname = \"a\"\nkind = \"slurm\"\n[[lane]]\nname = \"cuda:0\"\nkind = \"slurm\"\ntime = \"4h\"\nthrottle = 0\n[[lane]]\nname = \"a\"\nkind = \"slurm\"",
            &["lane[1].name: `cuda:0`", "lane[1].throttle: 0", "lane[1].time: `4h`", "lane[2].name: `a` is the name of another"],
        );
    }

    #[test]
    fn a_probe_is_found_after_what_login_scripts_print() {
        let probe = read_probe("Welcome!\n{\"engine\":\"0.1.0\",\"libtorch\":\"2.11.0\",\"devices\":[]}\n").unwrap();
        assert_eq!(probe.libtorch, "2.11.0");
        assert!(read_probe("Welcome!\n").unwrap_err().contains("Welcome!"));
    }
}
