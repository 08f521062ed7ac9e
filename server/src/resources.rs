//! Runs, checkpoints, attributions and comparisons as the API answers them, put together from the database
//! and the run directories.

use shared::api::{Attribution, AttributionContext, AttributionSummary, CheckpointInfo, Comparison, Run};
use shared::config::RunKind;
use shared::id::{AttributionId, CheckpointId, RunId};
use shared::record::{Epoch, Metrics};
use shared::signs;
use shared::view::SIDES;

use crate::db::RunStatus;
use crate::extract::Named;
use crate::problem::{ApiError, Kind};
use crate::state::AppState;

pub async fn run(state: &AppState, id: &RunId) -> Result<Run, ApiError> {
    match state.db.run(id).await? {
        Some(run) => Ok(run),
        None => Err(absent(state, id).await?),
    }
}

/// State of a run, without reading its configuration.
pub async fn status(state: &AppState, id: &RunId) -> Result<RunStatus, ApiError> {
    match state.db.status(id).await? {
        Some(status) => Ok(status),
        None => Err(absent(state, id).await?),
    }
}

/// Why a run is not there: it is in the trash, or there is none.
async fn absent(state: &AppState, id: &RunId) -> Result<ApiError, ApiError> {
    Ok(if state.db.is_in_trash(id).await? { in_trash(id) } else { RunId::not_found(id.as_str()) })
}

pub fn in_trash(id: &RunId) -> ApiError {
    ApiError::on_field(Kind::RunInTrash, "id", format!("`{id}` is in the trash; restore it first"))
}

/// All records of an existing run, summed up.
pub async fn metrics(state: &AppState, id: &RunId) -> Result<Metrics, ApiError> {
    status(state, id).await?;
    Ok(state.dirs.of(id).metrics().await?)
}

/// The checkpoints of a run, by epoch.
pub fn checkpoints(id: &RunId, metrics: &Metrics) -> Vec<CheckpointInfo> {
    let marks = Marks::of(metrics);
    let describe = |checkpoint: &shared::record::Checkpoint| {
        let epoch = checkpoint.epoch;
        let measured = epoch_record(metrics, epoch);
        let attributions = metrics.attributions.iter().filter(|entry| entry.epoch == epoch).map(|entry| AttributionSummary {
            id: AttributionId { run: id.clone(), epoch, inputs: entry.inputs },
            inputs: entry.inputs,
            cas: entry.cas,
            cas_normalized: entry.cas_normalized,
        });
        CheckpointInfo {
            id: CheckpointId { run: id.clone(), epoch },
            run: id.clone(),
            epoch,
            is_best: marks.best == Some(epoch),
            is_last: marks.last == Some(epoch),
            size_bytes: checkpoint.size_bytes,
            sha256: checkpoint.sha256.clone(),
            clean_accuracy: measured.and_then(|epoch| epoch.test_clean_accuracy),
            robust_accuracy: measured.and_then(|epoch| epoch.test_robust_accuracy),
            signs: measured.map(signs::of_epoch).unwrap_or_default(),
            attributions: attributions.collect(),
        }
    };
    metrics.checkpoints.iter().map(describe).collect()
}

/// The run of an attribution that exists, and its records.
pub async fn run_of_attribution(state: &AppState, id: &AttributionId) -> Result<(Run, Metrics), ApiError> {
    let not_found = || AttributionId::not_found(&id.to_string());
    let run = run(state, &id.run).await.map_err(|error| if error.kind() == Kind::RunNotFound { not_found() } else { error })?;
    let metrics = state.dirs.of(&id.run).metrics().await?;
    // Its file may be left although the epoch was not kept.
    metrics.cas(id.epoch, id.inputs).map(|_| (run, metrics)).ok_or_else(not_found)
}

/// What is known of an attribution that exists, without its matrix.
pub async fn attribution_context(state: &AppState, id: &AttributionId) -> Result<AttributionContext, ApiError> {
    let (run, metrics) = run_of_attribution(state, id).await?;
    let marks = Marks::of(&metrics);
    let measured = epoch_record(&metrics, id.epoch);
    Ok(AttributionContext {
        id: id.clone(),
        run: run.id,
        run_title: run.title,
        is_best: marks.best == Some(id.epoch),
        is_last: marks.last == Some(id.epoch),
        clean_accuracy: measured.and_then(|epoch| epoch.test_clean_accuracy),
        robust_accuracy: measured.and_then(|epoch| epoch.test_robust_accuracy),
        signs: measured.map(signs::of_epoch).unwrap_or_default(),
    })
}

pub async fn attribution(state: &AppState, id: &AttributionId) -> Result<Attribution, ApiError> {
    let context = attribution_context(state, id).await?;
    let file = state.dirs.of(&id.run).attribution(id).await?.ok_or_else(|| AttributionId::not_found(&id.to_string()))?;
    Ok(Attribution { context, file })
}

/// Attributions over the same classes and their differences from the first. Errors name the side, `a` to `f`.
pub async fn comparison(state: &AppState, ids: &[AttributionId]) -> Result<Comparison, ApiError> {
    let mut attributions = Vec::with_capacity(ids.len());
    for (side, id) in SIDES.iter().zip(ids) {
        attributions.push(attribution(state, id).await.map_err(|error| error.moved_to(side))?);
    }
    Comparison::of(attributions).map_err(|error| ApiError::on_field(Kind::NotComparable, SIDES[error.index], error.to_string()))
}

/// Name of the result of a run of this kind, in routes and messages.
pub fn result_name(kind: RunKind) -> Option<&'static str> {
    match kind {
        RunKind::Evaluate => Some("evaluation"),
        RunKind::Saliency => Some("saliency"),
        RunKind::Pair => Some("pair"),
        RunKind::Train | RunKind::Attribute | RunKind::EpsCurve | RunKind::Transfer | RunKind::Import | RunKind::External => None,
    }
}

/// The best and the last epoch of a run.
struct Marks {
    best: Option<u32>,
    last: Option<u32>,
}

impl Marks {
    fn of(metrics: &Metrics) -> Self {
        Marks { best: metrics.best().map(|epoch| epoch.epoch), last: metrics.last().map(|epoch| epoch.epoch) }
    }
}

fn epoch_record(metrics: &Metrics, epoch: u32) -> Option<&Epoch> {
    metrics.epochs.iter().find(|record| record.epoch == epoch)
}
