//! Writes finished run directories without training, for tables of thousands of runs.

use std::fs;
use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};
use shared::config::Inputs;
use shared::fixtures;
use shared::preset;
use shared::record::{AttributionEntry, Checkpoint, Epoch, Finished, Record};

/// Writes `count` finished training runs into a data folder. The server reads them at its next start.
///
/// Their names are `made-00000` and so on, and their numbers depend on the index. The best robust accuracy
/// rises from run to run, by 20 percentage points over ten thousand runs. Every third run has radius 4/255,
/// the others 8/255. Every seventh uses TRADES.
pub fn write_runs(data: &Path, count: u32) -> Result<()> {
    for index in 0..count {
        let directory = data.join("runs").join(format!("made-{index:05}"));
        fs::create_dir_all(&directory)?;
        fs::write(directory.join("config.json"), config(index).to_string())?;
        let mut lines = String::new();
        for record in records(index) {
            lines += &serde_json::to_string(&record)?;
            lines.push('\n');
        }
        fs::write(directory.join("metrics.jsonl"), lines)?;
    }
    Ok(())
}

const EPOCHS: u32 = 20;
const BEST: u32 = 15;

fn config(index: u32) -> Value {
    let mut config = preset::demo().config.to_json();
    config["name"] = json!(format!("Made run {index}"));
    config["training"]["epochs"] = json!(EPOCHS);
    config["training"]["milestones"] = json!([BEST]);
    config["seed"] = json!(index);
    config["attack"]["eps"] = json!(if index.is_multiple_of(3) { "4/255" } else { "8/255" });
    config["training"]["method"] = json!(if index.is_multiple_of(7) { "trades" } else { "pgd_at" });
    config
}

/// Twenty epochs: robust accuracy rises until the fifteenth, then falls by 10 percentage points until the
/// last.
fn records(index: u32) -> Vec<Record> {
    let highest = 0.4 + f64::from(index % 10_000) * 1e-4 * 0.2;
    let robust = |epoch: u32| match epoch {
        ..=BEST => highest * f64::from(epoch) / f64::from(BEST),
        _ => highest - 0.1 * f64::from(epoch - BEST) / f64::from(EPOCHS - BEST),
    };
    let mut records = Vec::new();
    for epoch in 1..=EPOCHS {
        records.push(Record::Epoch(Epoch {
            test_clean_accuracy: Some(0.8),
            test_robust_accuracy: Some(robust(epoch)),
            ..fixtures::epoch(epoch)
        }));
    }
    for (epoch, cas) in [(BEST, 20.0 + f64::from(index % 7)), (EPOCHS, 12.0)] {
        records.push(Record::Checkpoint(Checkpoint {
            epoch,
            file: format!("checkpoints/e{epoch}.safetensors"),
            size_bytes: 0,
            sha256: String::new(),
        }));
        let file = format!("attributions/e{epoch}.adversarial.json");
        records.push(Record::Attribution(AttributionEntry {
            epoch,
            inputs: Inputs::Adversarial,
            file,
            cas,
            cas_normalized: cas / 90.0,
            cas_interval: None,
            non_target_mass: None,
        }));
    }
    records.push(Record::Finished(Finished { best_epoch: BEST, last_epoch: EPOCHS, elapsed_secs: f64::from(EPOCHS) }));
    records
}
