//! `cargo xtask bench engine`: lets the engine and its peers in PyTorch run the same cases in turn.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use super::results::Results;
use crate::layout::Layout;
use crate::process::run_shown;
use crate::progress::Progress;
use crate::{app, libtorch, python};

#[derive(Debug, Args)]
pub struct EngineArgs {
    /// Beginnings of names of cases, such as `demo/step`; all cases by default.
    cases: Vec<String>,
    /// Writes every measurement to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Says what has become slower since this file was written, and fails if anything has.
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Tries every case in a tiny size, which measures nothing.
    #[arg(long)]
    quick: bool,
    /// Device of all: `cpu` or `cuda:N`.
    #[arg(long, value_name = "NAME", default_value = "cpu")]
    device: String,
    /// Counted repetitions of each.
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: u32,
    /// Threads of each; as many as cores by default.
    #[arg(long, value_name = "N")]
    threads: Option<u32>,
    /// What to measure: `wall`, or `cpu`, which on a busy machine says more, with one thread.
    #[arg(long, default_value = "wall")]
    clock: String,
    /// Peers to run: published, tuned, tuned-compiled, tuned-bf16, convolutions. By default all that the machine suits.
    #[arg(long, value_name = "NAMES")]
    peers: Option<String>,
}

/// Builds the worker, gets PyTorch for the peers, measures, and prints a table.
pub fn run(layout: &Layout, progress: &Progress, args: &EngineArgs) -> Result<ExitCode> {
    // A wrong file is found before the measurement.
    let before = args.against.as_deref().map(read).transpose()?;
    let libtorch = libtorch::prepare(layout, progress)?;
    let environment = python::with_torch(layout, progress)?;
    app::build_binaries(layout, progress, &libtorch, &[])?;
    let file = args.json.clone().unwrap_or_else(|| layout.target.join("bench-engine.json"));

    progress.say("bench", "running; keep the machine free until it ends");
    let mut turns = environment.python()?;
    turns.arg(layout.root.join("bench/turns.py")).arg("--worker").arg(layout.worker()).arg("--json").arg(&file);
    turns.args(["--device", &args.device, "--rounds", &args.rounds.to_string()]);
    turns.args(["--clock", &args.clock]);
    if let Some(threads) = args.threads {
        turns.args(["--threads", &threads.to_string()]);
    }
    turns.args(args.quick.then_some("--quick"));
    turns.args(args.peers.iter().flat_map(|peers| ["--peers", peers]));
    turns.args(&args.cases);
    run_shown(&mut turns)?;

    let results = read(&file)?;
    println!("{}", results.table());
    let Some(before) = before else { return Ok(ExitCode::SUCCESS) };
    let slower = results.slower_than(&before);
    println!("{}", if slower.is_empty() { "Nothing is slower than before." } else { "Slower than before:" });
    slower.iter().for_each(|line| println!("{line}"));
    Ok(if slower.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read(file: &Path) -> Result<Results> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not a file of `cargo xtask bench engine --json`", file.display()))
}
