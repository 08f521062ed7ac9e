//! Runs the small form of every preset with the worker, then measures one of the networks in all ways, and
//! prints a table of the results. `cargo xtask presets` starts it with the right environment.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use shared::api::{AttributionFile, EvaluationFile, NewSweep, PairFile, RunSummary, SaliencyFile, SweepAxis};
use shared::config::{Inputs, RunConfig};
use shared::preset::{self, Preset, PresetGroup};
use shared::record::{EpsPoint, Metrics, Record};
use shared::{format, sweep};

/// Id of the preset whose network is measured.
const MEASURED: &str = "cifar10";

fn main() -> Result<ExitCode> {
    let mut arguments = env::args_os().skip(1);
    let runs = PathBuf::from(arguments.next().context("usage: presets RUNS [PRESET]…, where RUNS is a folder for the run directories")?);
    let wanted: Vec<String> = arguments.map(|argument| argument.to_string_lossy().into_owned()).collect();
    let worker = env::current_exe()?.with_file_name("../worker");
    fs::create_dir_all(&runs)?;

    let mut failed = false;
    let mut report = |what: &str, outcome: Result<String>| match outcome {
        Ok(row) => println!("| {what} | {row} |"),
        Err(error) => {
            failed = true;
            println!("| {what} | failed: {error:#} | |");
        }
    };
    println!("| run | measured | time |\n|---|---|---|");
    for preset in preset::all().iter().filter(|preset| wanted.is_empty() || wanted.contains(&preset.id)) {
        for (id, config) in small_runs(preset)? {
            report(&format!("`{id}`"), run(&worker, &runs.join(&id), &config.to_json()));
        }
    }
    if runs.join(MEASURED).join("config.json").exists() {
        for (id, config) in measurements() {
            report(&format!("`{id}` of `{MEASURED}`"), run(&worker, &runs.join(id), &config));
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Returns the small form of a preset, or the preset itself if it is small. Of a sweep, returns every other
/// value of each axis.
fn small_runs(preset: &Preset) -> Result<Vec<(String, RunConfig)>> {
    let config = match (&preset.small, preset.group) {
        (Some(small), _) => small,
        (None, PresetGroup::Start) => &preset.config,
        // Presets of other groups measure existing checkpoints; `measurements` covers them.
        (None, _) => return Ok(Vec::new()),
    };
    if preset.sweep.is_empty() {
        return Ok(vec![(preset.id.clone(), config.clone())]);
    }
    let every_other = |axis: &SweepAxis| SweepAxis { values: axis.values.iter().step_by(2).cloned().collect(), ..axis.clone() };
    let new =
        NewSweep { name: String::new(), config: config.to_json(), axes: preset.sweep.iter().map(every_other).collect(), at_once: None };
    let configs = sweep::expand(&new, &preset.id.parse()?).map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
    Ok((1..).zip(configs).map(|(index, config)| (format!("{}-{index}", preset.id), config)).collect())
}

/// Returns all ways to measure a checkpoint, each with the name of its run directory.
fn measurements() -> Vec<(&'static str, Value)> {
    let attribute = |extra: Value| merged(json!({"kind": "attribute", "checkpoint": format!("{MEASURED}.best")}), extra);
    vec![
        ("attribute", attribute(json!({"inputs": ["adversarial", "clean"]}))),
        ("attribute-train", attribute(json!({"split": "train"}))),
        ("attribute-l2", attribute(json!({"attack": {"norm": "l2", "eps": "128/255"}}))),
        ("attribute-pairs", attribute(json!({"aggregation": "cosine_then_average"}))),
        ("attribute-correct", attribute(json!({"subset": "correct"}))),
        ("attribute-stage2", attribute(json!({"layer": "stage2"}))),
        (
            "evaluate-pgd",
            json!({"kind": "evaluate", "checkpoint": format!("{MEASURED}.best"), "autoattack": [], "pgd": {"steps": 50, "restarts": 5}}),
        ),
        ("evaluate", json!({"kind": "evaluate", "checkpoint": format!("{MEASURED}.best"), "samples": 100, "square_queries": 1000})),
        ("saliency", json!({"kind": "saliency", "checkpoints": [format!("{MEASURED}.best"), format!("{MEASURED}.last")]})),
    ]
}

fn merged(mut config: Value, extra: Value) -> Value {
    if let (Value::Object(config), Value::Object(extra)) = (&mut config, extra) {
        config.extend(extra);
    }
    config
}

/// Runs a configuration in a new directory. Returns the other cells of its table row.
fn run(worker: &Path, directory: &Path, config: &Value) -> Result<String> {
    if directory.exists() {
        fs::remove_dir_all(directory)?;
    }
    fs::create_dir(directory)?;
    fs::write(directory.join("config.json"), config.to_string())?;
    let begun = Instant::now();
    let output = Command::new(worker).arg(directory).output().context("cannot start the worker")?;
    if !output.status.success() {
        let story = String::from_utf8_lossy(&output.stderr);
        bail!("{}", story.trim().lines().last().unwrap_or_default());
    }
    let text = fs::read_to_string(directory.join("metrics.jsonl"))?;
    let metrics = Metrics::from_records(text.lines().map(serde_json::from_str).collect::<Result<Vec<Record>, _>>()?);
    let config = RunConfig::parse(config).map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
    Ok(format!("{} | {}", measured(directory, &config, &metrics)?, format::duration(begun.elapsed().as_secs_f64())))
}

fn measured(directory: &Path, config: &RunConfig, metrics: &Metrics) -> Result<String> {
    match config {
        RunConfig::Train(_) | RunConfig::Import(_) | RunConfig::External(_) => {
            let summary = RunSummary::of(metrics, config.epochs());
            let (best, last) = summary.best.zip(summary.last).context("nothing was evaluated")?;
            let epoch = |epoch: &shared::api::EpochSummary| {
                let cas = metrics.cas(epoch.epoch, Inputs::Adversarial);
                format!("epoch {}: {} robust, CAS {}", epoch.epoch, format::percent(epoch.robust_accuracy), format::decimal(cas, 2))
            };
            let notices = metrics.notices.iter().map(|notice| format!("; {}", notice.message)).collect::<String>();
            Ok(format!("best {}; last {}{notices}", epoch(&best), epoch(&last)))
        }
        RunConfig::Attribute(_) => {
            let of = |entry: &shared::record::AttributionEntry| -> Result<String> {
                let file: AttributionFile = serde_json::from_str(&fs::read_to_string(directory.join(&entry.file))?)?;
                let interval = file
                    .bootstrap
                    .map(|interval| format!(" [{}, {}]", format::decimal(interval.cas_low, 2), format::decimal(interval.cas_high, 2)));
                Ok(format!("{}: CAS {}{}", entry.inputs.id(), format::decimal(file.cas, 2), interval.unwrap_or_default()))
            };
            Ok(metrics.attributions.iter().map(of).collect::<Result<Vec<_>>>()?.join("; "))
        }
        RunConfig::Evaluate(_) => {
            let file: EvaluationFile = serde_json::from_str(&fs::read_to_string(directory.join("evaluation.json"))?)?;
            let steps: Vec<String> = file.steps.iter().map(|step| format!("{} {}", step.attack, format::percent(step.accuracy))).collect();
            Ok(steps.join(", "))
        }
        RunConfig::EpsCurve(_) => {
            let point =
                |point: &EpsPoint| format!("{}: {}, CAS {}", point.eps, format::percent(point.accuracy), format::decimal(point.cas, 2));
            Ok(metrics.eps_curve.iter().map(point).collect::<Vec<_>>().join("; "))
        }
        RunConfig::Transfer(_) => {
            let transfer = metrics.transfer.as_ref().context("it has no matrix")?;
            let row =
                |source| transfer.accuracies(source).unwrap_or_default().into_iter().map(format::percent).collect::<Vec<_>>().join(", ");
            let sources = [None].into_iter().chain((0..transfer.checkpoints.len()).map(Some));
            Ok(sources.map(row).collect::<Vec<_>>().join("; "))
        }
        RunConfig::Saliency(_) => {
            let file: SaliencyFile = serde_json::from_str(&fs::read_to_string(directory.join("saliency.json"))?)?;
            let maps: usize = file.samples.iter().map(|sample| sample.maps.len()).sum();
            Ok(format!("{maps} maps of {} images", file.samples.len()))
        }
        RunConfig::Pair(_) => {
            let file: PairFile = serde_json::from_str(&fs::read_to_string(directory.join("pair.json"))?)?;
            Ok(format!("{} pairs at {} checkpoints", file.pairs.len(), file.checkpoints.len()))
        }
    }
}
