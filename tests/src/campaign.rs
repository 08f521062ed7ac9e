//! Kills workers, servers and both at random moments, lets the server go on by itself, and compares what comes
//! out with runs that nobody has disturbed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use serde_json::{Value, json};
use shared::api::{Run, RunState};
use shared::record::{Metrics, Record};
use shared::{fixtures, rundir};
use tokio::time::sleep;

use crate::{App, Setup, kill};

/// Longest time between two kills.
const LONGEST_PAUSE_MS: u64 = 1500;
/// How often a server tries a run again whose worker has died by itself.
const TRIES: u32 = 3;

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Victim {
    Worker,
    Server,
    Both,
}

/// What a campaign has done and found.
#[derive(Debug, Default)]
pub struct Report {
    pub kills: BTreeMap<Victim, u32>,
    /// Number of disturbed runs of each kind.
    pub runs: BTreeMap<&'static str, u32>,
    /// How often runs were killed in all that then went on.
    pub deaths: u32,
    /// What differs from the undisturbed runs.
    pub differences: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |victim| self.kills.get(&victim).copied().unwrap_or(0);
        let (workers, servers, both) = (of(Victim::Worker), of(Victim::Server), of(Victim::Both));
        writeln!(f, "{} kills: {workers} of a worker, {servers} of the server, {both} of both", workers + servers + both)?;
        let runs: Vec<String> = self.runs.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        writeln!(f, "runs: {}", runs.join(", "))?;
        match self.differences.as_slice() {
            [] => writeln!(f, "all ended in the bytes of undisturbed runs"),
            differences => differences.iter().try_for_each(|difference| writeln!(f, "differs: {difference}")),
        }
    }
}

/// A run of a campaign.
struct Subject {
    plan: usize,
    id: String,
    deaths: u32,
    /// What it had kept at its last death.
    kept: Option<Vec<SystemTime>>,
    over: bool,
}

/// Kills `kills` times, from a seed, and returns what came out. `say` hears how far it is.
pub async fn campaign(kills: u32, seed: u64, mut say: impl FnMut(&str)) -> Result<Report> {
    let mut dice = Rng::with_seed(seed);
    let mut app = start().await?;
    let base = app.succeeded(&training()).await?;
    let plans = plans(&app, &base.id.to_string());
    say("running undisturbed");
    let mut whole = Vec::new();
    for (kind, config) in &plans {
        let run = app.succeeded(config).await.with_context(|| format!("undisturbed: {kind}"))?;
        whole.push(results(&app.run_dir(&run.id))?);
    }

    let mut report = Report::default();
    let mut done = 0;
    while done < kills {
        let mut subjects = Vec::new();
        for (plan, (_, config)) in plans.iter().enumerate() {
            let id = app.submit(config).await?.id.to_string();
            subjects.push(Subject { plan, id, deaths: 0, kept: None, over: false });
        }
        while subjects.iter().any(|subject| !subject.over) {
            sleep(Duration::from_millis(dice.u64(..LONGEST_PAUSE_MS))).await;
            if done < kills
                && let Some(victim) = strike(&mut app, &mut subjects, &mut dice).await?
            {
                done += 1;
                *report.kills.entry(victim).or_default() += 1;
                if done.is_multiple_of(10) {
                    say(&format!("{done} kills"));
                }
            }
            for subject in subjects.iter_mut().filter(|subject| !subject.over) {
                subject.over = app.run(&subject.id).await?.state.is_finished();
            }
        }
        for subject in &subjects {
            let (kind, _) = plans[subject.plan];
            *report.runs.entry(kind).or_default() += 1;
            report.deaths += subject.deaths;
            report.differences.extend(differences(&app, kind, subject, &whole[subject.plan]).await?);
        }
    }
    Ok(report)
}

/// A server whose workers compute on one thread and save often.
async fn start() -> Result<App> {
    let environment = vec![("OMP_NUM_THREADS", "1".to_owned()), ("CROSSLENS_SAVE_SECS", "0.1".to_owned())];
    App::open(|_| Ok(()), Setup { environment, ..Setup::default() }).await
}

/// Kills somebody. Returns `None` if only workers run that must be left alone for now.
async fn strike(app: &mut App, subjects: &mut [Subject], dice: &mut Rng) -> Result<Option<Victim>> {
    let wanted = [Victim::Worker, Victim::Server, Victim::Both][dice.usize(..3)];
    let mut killed_worker = false;
    if wanted != Victim::Server {
        for (id, pid) in app.workers() {
            let Some(subject) = subjects.iter_mut().find(|subject| subject.id == id) else { continue };
            let kept = kept(&app.run_dir(&id));
            // By rule a run fails that has died too often, or twice without getting any further.
            if subject.deaths < TRIES && subject.kept.as_ref() != Some(&kept) {
                kill(pid, libc::SIGKILL);
                (subject.deaths, subject.kept, killed_worker) = (subject.deaths + 1, Some(kept), true);
            }
        }
    }
    if wanted != Victim::Worker {
        app.stop().await?;
        sleep(Duration::from_millis(dice.u64(..LONGEST_PAUSE_MS))).await;
        app.start_again(&[])?;
        app.wait_until_healthy().await?;
    }
    Ok(match (wanted, killed_worker) {
        (Victim::Worker, false) => None,
        (Victim::Both, false) => Some(Victim::Server),
        (wanted, _) => Some(wanted),
    })
}

/// When each state of a run was written.
fn kept(directory: &Path) -> Vec<SystemTime> {
    let folders = [directory.to_owned(), directory.join("teachers/standard"), directory.join("teachers/robust")];
    let paths = folders.iter().flat_map(|folder| rundir::STATES.map(|name| folder.join(name)));
    paths.filter_map(|path| fs::metadata(path).ok()?.modified().ok()).collect()
}

/// What differs between a disturbed run and one of the same configuration that was left alone.
async fn differences(app: &App, kind: &str, subject: &Subject, whole: &BTreeMap<PathBuf, Vec<u8>>) -> Result<Vec<String>> {
    let Run { id, state, failure, .. } = app.run(&subject.id).await?;
    if state != RunState::Succeeded {
        return Ok(vec![format!("{kind} {id} ended {}: {}", state.id(), failure.unwrap_or_default())]);
    }
    let found = results(&app.run_dir(&id))?;
    let names: BTreeSet<&PathBuf> = found.keys().chain(whole.keys()).collect();
    let different = names.into_iter().filter(|name| found.get(*name) != whole.get(*name));
    Ok(different.map(|name| format!("{kind} {id}: {}", name.display())).collect())
}

/// The results in a run directory: bytes of weights, and JSON without durations.
pub fn results(directory: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(directory.join(&folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = fs::read(entry.path())?;
            let name = entry.file_name();
            let bytes = match name.to_str() {
                // A worker that is killed after its last result leaves no exit code.
                Some(rundir::LOG | rundir::LEASE | rundir::EXIT_CODE) => continue,
                Some(rundir::METRICS) => records(&bytes)?,
                Some(name) if name.ends_with(".json") => timeless(serde_json::from_slice(&bytes)?)?,
                _ => bytes,
            };
            found.insert(path, bytes);
        }
    }
    ensure!(!found.is_empty(), "{} holds no results", directory.display());
    Ok(found)
}

/// What the records of a run add up to, without notices about its going on and how far it had been last.
fn records(lines: &[u8]) -> Result<Vec<u8>> {
    let records = lines.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Record>(line).ok());
    let mut metrics = serde_json::to_value(Metrics::from_records(records))?;
    metrics["notices"] = Value::Null;
    // The last of these is written when the clock says so.
    metrics["progress"] = Value::Null;
    timeless(metrics)
}

/// JSON without its durations.
fn timeless(mut value: Value) -> Result<Vec<u8>> {
    fixtures::without_durations(&mut value);
    Ok(serde_json::to_vec(&value)?)
}

/// Some seconds of training in which state of every kind counts: averaged weights, statistics of batches.
pub fn training() -> Value {
    json!({
        "kind": "train",
        "name": "Campaign",
        "device": "cpu",
        "data": {"dataset": "digits", "train_samples": 400, "test_samples": 200},
        "model": {"architecture": "preact_resnet_small", "width": 4},
        "training": {"method": "pgd_at", "epochs": 12, "batch_size": 20, "milestones": [8], "weight_averaging": {"decay": 0.99}},
        "attack": {"norm": "linf", "eps": "16/255", "step_size": "4/255", "steps": 4},
        "evaluation": {"steps": 4},
        "checkpoints": {"every": 4},
        "attribution": {"bootstrap": 50}
    })
}

/// A run of every kind. Those that measure do so at the run `base`.
fn plans(app: &App, base: &str) -> Vec<(&'static str, Value)> {
    let digits = json!({"dataset": "digits", "train_samples": 400, "test_samples": 599});
    let mut teachers = training();
    teachers["training"]["epochs"] = json!(5);
    teachers["training"]["milestones"] = json!([]);
    teachers["training"]["distillation"] = json!({"teacher_epochs": 5});
    let last = format!("{base}.last");
    let of = |kind: &str, more: Value| {
        let mut config = json!({"kind": kind, "device": "cpu", "data": digits});
        config.as_object_mut().into_iter().for_each(|config| config.extend(more.as_object().cloned().unwrap_or_default()));
        config
    };
    let file = app.run_dir(base).join(rundir::checkpoint_file(12));
    let attack = json!({"norm": "linf", "eps": "16/255", "steps": 20});
    vec![
        ("train", training()),
        ("train with teachers", teachers),
        ("attribute", of("attribute", json!({"checkpoint": last, "bootstrap": 200, "attack": attack}))),
        (
            "evaluate",
            of(
                "evaluate",
                json!({"checkpoint": last, "pgd": {"steps": 20, "restarts": 3}, "autoattack": ["apgd_ce", "square"], "square_queries": 200}),
            ),
        ),
        ("eps_curve", of("eps_curve", json!({"checkpoint": last, "bootstrap": 200, "eps": ["0/255", "8/255", "16/255"]}))),
        ("saliency", of("saliency", json!({"checkpoints": [last], "images_per_class": 20, "attack": attack}))),
        ("pair", of("pair", json!({"checkpoints": [last], "pairs": [[1, 2], [3, 8]], "attack": attack}))),
        ("transfer", of("transfer", json!({"checkpoints": [last, format!("{base}.e12")], "attack": attack}))),
        (
            "import",
            of(
                "import",
                json!({"source": file, "model": {"architecture": "preact_resnet_small", "width": 4}, "normalization": "dataset", "attack": attack, "attribution": {"inputs": ["clean", "adversarial"], "bootstrap": 200}}),
            ),
        ),
    ]
}
