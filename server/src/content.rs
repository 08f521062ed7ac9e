//! What runs, attributions and comparisons hold, put together from the database and the run directories.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use shared::api::{Attribution, AttributionSummary, CheckpointInfo, Comparison, Difference, Run, RunSummary, SharedContent};
use shared::config::{Inputs, RunConfig, RunKind};
use shared::format;
use shared::provenance::{APPLICATION, CheckpointHash, Page, Provenance};
use shared::record::{Epoch, Metrics};
use shared::view::{AttributionId, CheckpointId, SIDES, View};

use crate::db::RunStatus;
use crate::extract::Named;
use crate::id::RunId;
use crate::problem::{ApiError, Kind};
use crate::state::AppState;

pub async fn run(state: &AppState, id: &RunId) -> Result<Run, ApiError> {
    state.db.run(id).await?.ok_or_else(|| RunId::not_found(id.as_str()))
}

/// What a run does, without reading what it is.
pub async fn status(state: &AppState, id: &RunId) -> Result<RunStatus, ApiError> {
    state.db.status(id).await?.ok_or_else(|| RunId::not_found(id.as_str()))
}

/// Everything that a run has recorded; of a run that exists.
pub async fn metrics(state: &AppState, id: &RunId) -> Result<Metrics, ApiError> {
    status(state, id).await?;
    Ok(state.dirs.of(id).metrics().await?)
}

/// The checkpoints that a run has, by epoch.
pub fn checkpoints(id: &RunId, metrics: &Metrics) -> Vec<CheckpointInfo> {
    let marks = Marks::of(metrics);
    let describe = |checkpoint: &shared::record::Checkpoint| {
        let epoch = checkpoint.epoch;
        let measured = epoch_record(metrics, epoch);
        let attributions = metrics.attributions.iter().filter(|entry| entry.epoch == epoch).map(|entry| AttributionSummary {
            id: AttributionId { run: id.to_string(), epoch, inputs: entry.inputs }.to_string(),
            inputs: entry.inputs,
            cas: entry.cas,
            cas_normalized: entry.cas_normalized,
        });
        CheckpointInfo {
            id: CheckpointId { run: id.to_string(), epoch }.to_string(),
            run: id.to_string(),
            epoch,
            is_best: marks.best == Some(epoch),
            is_last: marks.last == Some(epoch),
            size_bytes: checkpoint.size_bytes,
            sha256: checkpoint.sha256.clone(),
            clean_accuracy: measured.and_then(|epoch| epoch.test_clean_accuracy),
            robust_accuracy: measured.and_then(|epoch| epoch.test_robust_accuracy),
            attributions: attributions.collect(),
        }
    };
    metrics.checkpoints.iter().map(describe).collect()
}

pub async fn attribution(state: &AppState, id: &AttributionId) -> Result<Attribution, ApiError> {
    let not_found = || AttributionId::not_found(&id.to_string());
    let run_id = RunId::of_attribution(id);
    let run = state.db.run(&run_id).await?.ok_or_else(not_found)?;
    let dir = state.dirs.of(&run_id);
    let metrics = dir.metrics().await?;
    // One whose epoch was not to be kept may still lie there.
    if metrics.cas(id.epoch, id.inputs).is_none() {
        return Err(not_found());
    }
    let file = dir.attribution(id).await?.ok_or_else(not_found)?;
    let marks = Marks::of(&metrics);
    let measured = epoch_record(&metrics, id.epoch);
    Ok(Attribution {
        id: id.to_string(),
        run: run.id,
        run_title: run.title,
        is_best: marks.best == Some(id.epoch),
        is_last: marks.last == Some(id.epoch),
        clean_accuracy: measured.and_then(|epoch| epoch.test_clean_accuracy),
        robust_accuracy: measured.and_then(|epoch| epoch.test_robust_accuracy),
        file,
    })
}

/// Attributions over the same classes, and how they differ from the first; errors name the side, `a` to `f`.
pub async fn comparison(state: &AppState, ids: &[AttributionId]) -> Result<Comparison, ApiError> {
    let mut attributions = Vec::with_capacity(ids.len());
    for (side, id) in SIDES.iter().zip(ids) {
        attributions.push(attribution(state, id).await.map_err(|error| error.moved_to(side))?);
    }
    Comparison::of(attributions).map_err(|error| ApiError::on_field(Kind::NotComparable, SIDES[error.index], error.to_string()))
}

/// What a view shows, fit for whoever has its link: its subject, and what other routes answer to its page.
pub async fn shared(state: &AppState, view: &View) -> Result<(SharedContent, BTreeMap<String, Value>), ApiError> {
    let mut answers = BTreeMap::new();
    let content = match view {
        View::Run { epoch, inputs, .. } => {
            let id = RunId::of_run_view(view).ok_or_else(|| ApiError::internal("a view of a run names one"))?;
            let (mut run, metrics) = (shown_run(state, &id).await?, state.dirs.of(&id).metrics().await?);
            // Of a live run the records are ahead of the database: what a page shows is of one time.
            if !metrics.epochs.is_empty() {
                run.summary = RunSummary::of(&metrics, run.summary.epochs);
            }
            for id in matrices_of(&run, &metrics, *epoch, *inputs) {
                answers.insert(format!("api/attributions/{id}"), json(&attribution(state, &id).await?)?);
            }
            if let Some(name) = result_name(run.config.kind())
                && let Some(result) = state.dirs.of(&id).result(run.config.kind()).await?
            {
                answers.insert(format!("api/runs/{id}/{name}"), serde_json::from_slice(&result).map_err(ApiError::internal)?);
            }
            SharedContent::Run { run: Box::new(run), metrics: Box::new(metrics) }
        }
        View::Attribution { id, .. } => SharedContent::Attribution { attribution: Box::new(attribution(state, id).await?) },
        View::Compare { ids, .. } => {
            for id in RunId::of_view(view) {
                answers.insert(format!("api/runs/{id}"), json(&shown_run(state, &id).await?)?);
                answers.insert(format!("api/runs/{id}/metrics"), json(&state.dirs.of(&id).metrics().await?)?);
            }
            SharedContent::Compare { comparison: Box::new(comparison(state, ids).await?) }
        }
    };
    if let Some(baseline) = &view.lens().baseline {
        answers.insert(format!("api/attributions/{baseline}"), json(&attribution(state, baseline).await?)?);
    }
    Ok((content, answers))
}

fn json(value: &impl Serialize) -> Result<Value, ApiError> {
    serde_json::to_value(value).map_err(ApiError::internal)
}

/// A run as others may see it: a reader of a link or of a figure need not know the folders of the server.
pub async fn shown_run(state: &AppState, id: &RunId) -> Result<Run, ApiError> {
    let mut run = run(state, id).await?;
    hide_folders(&mut run.config);
    // Notes are written to oneself.
    run.notes.clear();
    Ok(run)
}

/// The matrices that the page of a run shows: that of the epoch, and the best that it is compared with; or all that it has measured where
/// it is there to measure them.
fn matrices_of(run: &Run, metrics: &Metrics, epoch: Option<u32>, inputs: Inputs) -> Vec<AttributionId> {
    let id = |epoch: u32, inputs: Inputs| AttributionId { run: run.id.clone(), epoch, inputs };
    if run.config.kind() == RunKind::Attribute {
        return metrics.attributions.iter().map(|entry| id(entry.epoch, entry.inputs)).collect();
    }
    [metrics.attributed(epoch, inputs), metrics.attributed(None, inputs)].into_iter().flatten().map(|epoch| id(epoch, inputs)).collect()
}

/// What the file that a run of a kind ends with is called in routes and messages.
pub fn result_name(kind: RunKind) -> Option<&'static str> {
    match kind {
        RunKind::Evaluate => Some("evaluation"),
        RunKind::Saliency => Some("saliency"),
        RunKind::Pair => Some("pair"),
        RunKind::Train | RunKind::Attribute | RunKind::Import => None,
    }
}

/// What a figure of a page was drawn from.
pub async fn provenance(state: &AppState, view: Page, attributions: &[Attribution], runs: &[RunId]) -> Result<Provenance, ApiError> {
    let mut checkpoints: Vec<CheckpointHash> = Vec::new();
    for Attribution { run, file, .. } in attributions {
        let checkpoint = CheckpointHash { id: file.checkpoint_name(run), sha256: file.checkpoint_sha256.clone() };
        if !checkpoint.sha256.is_empty() && !checkpoints.contains(&checkpoint) {
            checkpoints.push(checkpoint);
        }
    }
    let mut configs = BTreeMap::new();
    for id in runs {
        configs.insert(id.to_string(), shown_run(state, id).await?.config.to_json());
    }
    Ok(Provenance { application: APPLICATION.to_owned(), view, checkpoints, configs })
}

fn hide_folders(config: &mut RunConfig) {
    if let Some(data) = config.data_mut() {
        data.path = None;
    }
    if let RunConfig::Import(import) = config {
        let file = import.source.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
        import.source = file;
    }
}

/// What a share is called when its maker did not say.
pub fn title(content: &SharedContent) -> String {
    match content {
        SharedContent::Run { run, .. } => run.title.clone(),
        SharedContent::Attribution { attribution } => format!("{}: {}", attribution.run_title, place(attribution)),
        SharedContent::Compare { comparison } => {
            let baseline = comparison.baseline();
            let others: Vec<String> = comparison
                .others()
                .map(|(other, _)| if other.run == baseline.run { place(other) } else { format!("{}, {}", other.run_title, place(other)) })
                .collect();
            let one_run = comparison.attributions.iter().all(|other| other.run == baseline.run);
            format!("{}{} {} against {}", baseline.run_title, if one_run { ":" } else { "," }, place(baseline), others.join("; "))
        }
    }
}

/// What a share shows, in a sentence for previews of links.
pub fn description(content: &SharedContent) -> String {
    match content {
        SharedContent::Run { run, .. } => match (&run.summary.best, &run.summary.last) {
            (Some(best), Some(last)) => format!(
                "Robust accuracy: best {} in epoch {}, last {} in epoch {}.",
                format::percent(best.robust_accuracy),
                best.epoch,
                format::percent(last.robust_accuracy),
                last.epoch
            ),
            _ => format!("A run that is {}.", run.state.id()),
        },
        SharedContent::Attribution { attribution } => format!(
            "Class-wise feature attribution: CAS {} ({} of the possible), {} accuracy {}.",
            format::decimal(attribution.file.cas, 2),
            format::percent(attribution.file.cas_normalized),
            attribution.file.inputs.id(),
            format::percent(attribution.file.accuracy)
        ),
        SharedContent::Compare { comparison } => {
            let change = |(other, difference): (&Attribution, &Difference)| {
                format!("{} ({})", format::decimal(other.file.cas, 2), format::signed(difference.delta_cas, 2))
            };
            let others: Vec<String> = comparison.others().map(change).collect();
            format!("Class-wise feature attribution: CAS {} → {}.", format::decimal(comparison.baseline().file.cas, 2), others.join(", "))
        }
    }
}

fn place(attribution: &Attribution) -> String {
    let mark = match (attribution.is_best, attribution.is_last) {
        (true, _) => " (best)",
        (false, true) => " (last)",
        (false, false) => "",
    };
    let inputs = match attribution.file.inputs {
        Inputs::Adversarial => "",
        Inputs::Clean => ", clean",
    };
    format!("epoch {}{mark}{inputs}", attribution.file.epoch)
}

/// The epochs of a run that have a name.
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
