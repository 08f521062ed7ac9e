//! What a share link shows: the view itself, the answers that its page asks for, and a title and description
//! of it. Hides what only the owner of the server should see.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use shared::api::{Attribution, Difference, Run, RunSummary, SharedContent, path};
use shared::config::{Inputs, RunConfig, RunKind};
use shared::format;
use shared::id::{AttributionId, RunId};
use shared::record::Metrics;
use shared::view::View;

use crate::problem::ApiError;
use crate::resources::{attribution, comparison, result_name, run};
use crate::state::AppState;

/// What a view shows to everyone with its link: its content, and the answers of other routes that its page
/// asks for.
pub async fn content(state: &AppState, view: &View) -> Result<(SharedContent, BTreeMap<String, Value>), ApiError> {
    let mut answers = BTreeMap::new();
    let content = match view {
        View::Run { run: id, epoch, inputs, .. } => {
            let (mut run, metrics) = (public_run(state, id).await?, state.dirs.of(id).metrics().await?);
            // While a run is running, its records are newer than the database. Show both as of the same time.
            if !metrics.epochs.is_empty() {
                run.summary = RunSummary::of(&metrics, run.summary.epochs);
            }
            for id in matrices_of(&run, &metrics, *epoch, *inputs) {
                answers.insert(path::attribution(&id), json(&attribution(state, &id).await?)?);
            }
            if let Some(name) = result_name(run.config.kind())
                && let Some(result) = state.dirs.of(id).result(run.config.kind()).await?
            {
                answers.insert(format!("api/runs/{id}/{name}"), serde_json::from_slice(&result).map_err(ApiError::internal)?);
            }
            SharedContent::Run { run: Box::new(run), metrics: Box::new(metrics) }
        }
        View::Attribution { id, .. } => SharedContent::Attribution { attribution: Box::new(attribution(state, id).await?) },
        View::Compare { ids, .. } => {
            for id in view.runs() {
                answers.insert(path::run(&id), json(&public_run(state, &id).await?)?);
                answers.insert(path::run_metrics(&id), json(&state.dirs.of(&id).metrics().await?)?);
            }
            SharedContent::Compare { comparison: Box::new(comparison(state, ids).await?) }
        }
    };
    if let Some(baseline) = &view.lens().baseline {
        answers.insert(path::attribution(baseline), json(&attribution(state, baseline).await?)?);
    }
    Ok((content, answers))
}

fn json(value: &impl Serialize) -> Result<Value, ApiError> {
    serde_json::to_value(value).map_err(ApiError::internal)
}

/// A run as others may see it: without folders of the server, and without what its owner has written on it
/// besides the title.
pub async fn public_run(state: &AppState, id: &RunId) -> Result<Run, ApiError> {
    let mut run = run(state, id).await?;
    hide_folders(&mut run.config);
    run.notes.clear();
    run.tags.clear();
    // It repeats the last words of the worker, which name files of the server.
    if run.failure.is_some() {
        run.failure = Some("the owner of the server can see why".to_owned());
    }
    Ok(run)
}

/// The matrices that the page of a run shows: that of the epoch and that of the best epoch; all of an
/// attribution run.
fn matrices_of(run: &Run, metrics: &Metrics, epoch: Option<u32>, inputs: Inputs) -> Vec<AttributionId> {
    let id = |epoch: u32, inputs: Inputs| AttributionId { run: run.id.clone(), epoch, inputs };
    if run.config.kind() == RunKind::Attribute {
        return metrics.attributions.iter().map(|entry| id(entry.epoch, entry.inputs)).collect();
    }
    [metrics.attributed(epoch, inputs), metrics.attributed(None, inputs)].into_iter().flatten().map(|epoch| id(epoch, inputs)).collect()
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

/// Title of a share link that was made without one.
pub fn title(content: &SharedContent) -> String {
    match content {
        SharedContent::Run { run, .. } => run.title.clone(),
        SharedContent::Attribution { attribution } => format!("{}: {}", attribution.context.run_title, epoch_label(attribution)),
        SharedContent::Compare { comparison } => {
            let baseline = comparison.baseline();
            let others: Vec<String> = comparison
                .others()
                .map(|(other, _)| {
                    if other.context.run == baseline.context.run {
                        epoch_label(other)
                    } else {
                        format!("{}, {}", other.context.run_title, epoch_label(other))
                    }
                })
                .collect();
            let one_run = comparison.attributions.iter().all(|other| other.context.run == baseline.context.run);
            format!(
                "{}{} {} against {}",
                baseline.context.run_title,
                if one_run { ":" } else { "," },
                epoch_label(baseline),
                others.join("; ")
            )
        }
    }
}

/// Description of a share link for previews.
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

fn epoch_label(attribution: &Attribution) -> String {
    let mark = match (attribution.context.is_best, attribution.context.is_last) {
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
