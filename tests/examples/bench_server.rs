//! Measures how fast the server starts and answers with 10,000 runs. `cargo xtask bench server` builds and runs it.
//!
//! It asserts nothing, because machines differ. Clients run on the same machine and cost it time too.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lease::{Held, Watch};
use serde_json::json;
use shared::config::RunKind;
use shared::record::Record;
use shared::{fixtures, rundir};
use tests::{App, until, write_runs};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};

const RUNS: u32 = 10_000;
const STARTS: usize = 5;
/// Requests a second, and for how many seconds.
const RATE: u32 = 300;
const SECONDS: u32 = 10;
const RECORDS: u32 = 100;

#[tokio::main]
async fn main() -> Result<()> {
    eprintln!("reading {RUNS} runs for the first time");
    let mut app = App::start_with(|data| write_runs(data, RUNS)).await?;
    let client = reqwest::Client::new();

    eprintln!("starting {STARTS} times");
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        app.stop().await?;
        let begun = Instant::now();
        app.start_again(&[])?;
        while client.get(app.url("/api/health/live")).send().await.is_err() {
            sleep(Duration::from_millis(1)).await;
        }
        starts.push(begun.elapsed());
        app.wait_until_healthy().await?;
    }
    println!("{:<64} {:>10} {:>10}   goal", "", "median", "largest");
    row("from its start to the first answer", &mut starts, "100 ms");
    println!("{:<64} {:>10}", "memory after the start", megabytes(&app)?);

    eprintln!("asking {RATE} times a second for {SECONDS} s");
    for path in ["/api/runs", "/api/runs?sort=best_robust_accuracy", "/api/queue"] {
        let mut took = load(&client, &app.url(path)).await?;
        row(&format!("GET {path}, {RATE} a second"), &mut took, "p99 20 ms");
    }
    println!("{:<64} {:>10}   100 MB", "memory after these requests", megabytes(&app)?);

    eprintln!("writing {RECORDS} records");
    row("from a line in metrics.jsonl to a listener", &mut latencies(&client, &app).await?, "100 ms");
    Ok(())
}

/// Prints median, 99th percentile and largest value.
fn row(what: &str, values: &mut [Duration], goal: &str) {
    values.sort();
    let at = |part: f64| values.get(((values.len() as f64 * part) as usize).min(values.len().saturating_sub(1)));
    let shown = |value: Option<&Duration>| value.map_or_else(|| "–".to_owned(), |value| format!("{:.1} ms", value.as_secs_f64() * 1e3));
    println!("{what:<64} {:>10} {:>10}   {goal}; p99 {}", shown(at(0.5)), shown(values.last()), shown(at(0.99)));
}

/// Resident memory of the server.
fn megabytes(app: &App) -> Result<String> {
    let status = fs::read_to_string(format!("/proc/{}/status", app.server_pid()?))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("the system does not tell memory")?;
    let kilobytes: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(format!("{:.0} MB", kilobytes * 1.024e-3))
}

/// Sends requests at fixed times, whether or not earlier ones are answered. Returns how long each took.
async fn load(client: &reqwest::Client, url: &str) -> Result<Vec<Duration>> {
    let mut ticks = interval(Duration::from_secs(1) / RATE);
    let mut asked = JoinSet::new();
    for _ in 0..RATE * SECONDS {
        ticks.tick().await;
        let request = client.get(url);
        asked.spawn(async move {
            let begun = Instant::now();
            request.send().await?.error_for_status()?.bytes().await?;
            anyhow::Ok(begun.elapsed())
        });
    }
    let mut took = Vec::new();
    while let Some(answer) = asked.join_next().await {
        took.push(answer??);
    }
    Ok(took)
}

/// Writes records as a training loop does, and returns how long each took to reach a listener.
async fn latencies(client: &reqwest::Client, app: &App) -> Result<Vec<Duration>> {
    let directory = app.run_dir("live");
    fs::create_dir(&directory)?;
    let _lease = Held::take(&mut Watch::new(&directory), None, || {})?.context("another program writes the run")?;
    let mut metrics = File::create(directory.join(rundir::METRICS))?;
    write_config(&directory)?;
    until("the run is shown", async || Ok(app.run("live").await.ok())).await?;
    let mut answer = client.get(app.url("/api/runs/live/events")).send().await?.error_for_status()?;
    let mut took = Vec::new();
    for epoch in 1..=RECORDS {
        let line = serde_json::to_string(&Record::Epoch(fixtures::epoch(epoch)))?;
        let begun = Instant::now();
        writeln!(metrics, "{line}")?;
        let id = format!("id: {epoch}\n");
        let mut heard = String::new();
        while !heard.contains(&id) {
            heard += std::str::from_utf8(&answer.chunk().await?.context("the stream has ended")?)?;
        }
        took.push(begun.elapsed());
        // Not in step with whatever the server does at intervals.
        sleep(Duration::from_millis(u64::from(epoch) * 37 % 100)).await;
    }
    Ok(took)
}

fn write_config(directory: &Path) -> Result<()> {
    let config = json!({"kind": RunKind::External, "classes": ["a", "b"], "epochs": RECORDS});
    Ok(fs::write(directory.join("config.json"), config.to_string())?)
}
