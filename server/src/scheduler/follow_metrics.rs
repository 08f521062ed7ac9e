//! Writes a summary of the records of a run into the database while its worker writes them, for tables of
//! runs.

use std::time::Duration;

use shared::api::RunSummary;
use shared::id::RunId;
use shared::record::Metrics;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::states::States;
use crate::rundir::{RunDir, record};

const INTERVAL: Duration = Duration::from_millis(250);

/// Updates the summary of a run until `ended`, then reads the remaining records and returns all of them
/// summed up.
pub(super) async fn follow_metrics(states: &States, dir: &RunDir, id: &RunId, epochs: u32, ended: CancellationToken) -> Metrics {
    let mut tail = dir.tail();
    let mut metrics = Metrics::default();
    loop {
        // Check this before reading: a line written before the worker ended is then still read.
        let last_look = ended.is_cancelled();
        let lines = tail.read().await.unwrap_or_else(|error| {
            tracing::warn!("the records of {id} cannot be read: {error}");
            Vec::new()
        });
        if lines.is_empty() {
            if last_look {
                return metrics;
            }
            tokio::select! {
                () = sleep(INTERVAL) => {}
                () = ended.cancelled() => {}
            }
            continue;
        }
        for line in lines {
            match record(&line) {
                Ok(record) => metrics.apply(record),
                Err(error) => tracing::warn!("line {} of the records of {id} is skipped: {error}", line.number),
            }
        }
        if let Err(error) = states.set_summary(id, &RunSummary::of(&metrics, epochs)).await {
            // The end of the run writes it again. `States` reports that the database takes nothing.
            tracing::debug!("the summary of {id} cannot be written: {error}");
        }
    }
}
