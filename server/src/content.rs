//! What runs, attributions and comparisons hold, put together from the database and the run directories.

use shared::api::{Attribution, AttributionSummary, CheckpointInfo, Comparison, Run, SharedContent};
use shared::config::{Inputs, RunConfig};
use shared::format;
use shared::record::{Epoch, Metrics};
use shared::view::{AttributionId, CheckpointId, View};

use crate::extract::Named;
use crate::id::RunId;
use crate::problem::{ApiError, Kind};
use crate::state::AppState;

pub async fn run(state: &AppState, id: &RunId) -> Result<Run, ApiError> {
    state.db.run(id).await?.ok_or_else(|| RunId::not_found(id.as_str()))
}

/// Everything that a run has recorded; of a run that exists.
pub async fn metrics(state: &AppState, id: &RunId) -> Result<Metrics, ApiError> {
    run(state, id).await?;
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

/// Two attributions over the same classes, and how they differ; errors name `a` or `b`.
pub async fn comparison(state: &AppState, a: &AttributionId, b: &AttributionId) -> Result<Comparison, ApiError> {
    let (a, b) = (
        attribution(state, a).await.map_err(|error| error.moved_to("a"))?,
        attribution(state, b).await.map_err(|error| error.moved_to("b"))?,
    );
    let other_classes = || {
        let detail = format!("`{}` is over other classes than `{}`; choose two attributions of one data set", b.id, a.id);
        ApiError::on_field(Kind::NotComparable, "b", detail)
    };
    if a.file.class_names != b.file.class_names {
        return Err(other_classes());
    }
    let difference = a.file.matrix.difference(&b.file.matrix).ok_or_else(other_classes)?;
    let changes = a.file.matrix.changes(&b.file.matrix);
    Ok(Comparison { delta_cas: b.file.cas - a.file.cas, difference, changes, a, b })
}

/// What a view shows, fit for whoever has its link.
pub async fn shared_content(state: &AppState, view: &View) -> Result<SharedContent, ApiError> {
    Ok(match view {
        View::Run { .. } => {
            let ids = RunId::of_view(view);
            let [id] = ids.as_slice() else { return Err(ApiError::internal("a view of a run names one run")) };
            let mut run = run(state, id).await?;
            // A reader of a link need not know the folders of the server.
            hide_folders(&mut run.config);
            // Notes are written to oneself.
            run.notes.clear();
            SharedContent::Run { run: Box::new(run), metrics: Box::new(state.dirs.of(id).metrics().await?) }
        }
        View::Attribution { id, .. } => SharedContent::Attribution { attribution: Box::new(attribution(state, id).await?) },
        View::Compare { ids, .. } => SharedContent::Compare { comparison: Box::new(comparison(state, &ids[0], &ids[1]).await?) },
    })
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
            let (a, b) = (&comparison.a, &comparison.b);
            if a.run == b.run {
                format!("{}: {} against {}", a.run_title, place(a), place(b))
            } else {
                format!("{}, {} against {}, {}", a.run_title, place(a), b.run_title, place(b))
            }
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
        SharedContent::Compare { comparison } => format!(
            "Class-wise feature attribution: CAS {} → {} ({}).",
            format::decimal(comparison.a.file.cas, 2),
            format::decimal(comparison.b.file.cas, 2),
            format::signed(comparison.delta_cas, 2)
        ),
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
