//! More runs than an array can have.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use shared::api::{RunRows, RunState, Sweep};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::app;
use crate::slurm::{Site, Slurm};

/// Time for all of them: starting a job takes Slurm some hundredths of a second.
const ALL: Duration = Duration::from_secs(600);

#[tokio::test]
async fn a_sweep_of_1500_runs_passes_through_arrays_of_1001() -> Result<()> {
    let slurm = Slurm::start(Site { helps: false, cpus: 64 }).await?;
    let folder = TempDir::new()?;
    let worker = folder.path().join("worker.sh");
    // Ends at once.
    let finished = r#"{"type":"finished","best_epoch":1,"last_epoch":1,"elapsed_secs":1.0}"#;
    fs::write(&worker, format!("#!/bin/sh\necho '{finished}' >> \"$1/metrics.jsonl\"\necho 0 > \"$1/exit_code\"\n"))?;
    fs::set_permissions(&worker, fs::Permissions::from_mode(0o755))?;
    let lanes = format!("poll_secs = 2\n[[lane]]\nname = \"many\"\nkind = \"slurm\"\nworker = \"{}\"\n", worker.display());
    let app = app(&lanes, slurm.environment()).await?;
    let config = json!({
        "kind": "train", "device": "many", "data": {"dataset": "digits"}, "training": {"method": "pgd_at", "epochs": 1, "milestones": []},
        "model": {"architecture": "preact_resnet_small"}, "attack": {"norm": "linf", "eps": "8/255"}
    });
    let seeds: Vec<u32> = (0..1500).collect();
    let begun = Instant::now();
    let sweep: Sweep = app.create("/api/sweeps", &json!({"config": config, "axes": [{"field": "seed", "values": seeds}]})).await?;
    ensure!(sweep.runs.len() == 1500);
    println!("submitted within {:?}", begun.elapsed());
    let mut slowest = Duration::ZERO;
    loop {
        let asked = Instant::now();
        let rows: RunRows = app.get("/api/run-rows").await?;
        slowest = slowest.max(asked.elapsed());
        if let Some(row) = rows.rows.iter().find(|row| matches!(row.state, RunState::Failed | RunState::Canceled)) {
            anyhow::bail!("{row:?}: {:?}", app.run(&row.id).await?.failure);
        }
        if rows.rows.iter().all(|row| row.state == RunState::Succeeded) {
            break;
        }
        ensure!(begun.elapsed() < ALL, "{} have succeeded", rows.rows.iter().filter(|row| row.state == RunState::Succeeded).count());
        sleep(Duration::from_millis(500)).await;
    }
    println!("all done after {:?}; the table took {slowest:?} at most", begun.elapsed());
    let arrays = slurm.call("squeue", &["--noheader", "--array", "--states=all", "--format=%F"]).await?;
    let mut arrays: Vec<&str> = arrays.lines().collect();
    ensure!(arrays.len() == 1500, "each was submitted once: {}", arrays.len());
    arrays.sort_unstable();
    arrays.dedup();
    ensure!(arrays.len() == 2, "{arrays:?}");
    let _: Value = app.get(&format!("/api/sweeps/{}", sweep.id)).await?;
    Ok(())
}
