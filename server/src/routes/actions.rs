//! One action on many runs in one request. Each run that is refused is named; the action is carried out for
//! the others.

use std::collections::HashSet;

use axum::Json;
use axum::extract::State;
use shared::api::{RunAction, RunActions, RunActionsAnswer, RunChange, RunOutcome};
use shared::id::RunId;
use shared::labels;
use shared::problem::FieldError;

use crate::extract::{self, Named};
use crate::problem::{ApiError, Kind};
use crate::resources;
use crate::routes::runs::refused;
use crate::scheduler::Change;
use crate::state::AppState;
use crate::trash;

/// Cancels, pauses, resumes, deletes, restores or tags many runs
///
/// Answers 200 with an outcome for each run, even if some were refused.
#[utoipa::path(
    post, path = "/api/run-actions", tag = "runs", request_body = RunActions, responses((status = 200, body = RunActionsAnswer), ApiError)
)]
pub async fn change_runs(
    State(state): State<AppState>,
    extract::Json(actions): extract::Json<RunActions>,
) -> Result<Json<RunActionsAnswer>, ApiError> {
    let RunActions { action, ids, add_tags, remove_tags } = checked(actions)?;
    let mut known = HashSet::new();
    let ids: Vec<String> = ids.into_iter().filter(|id| known.insert(id.clone())).collect();
    let refusals = match action {
        RunAction::Cancel => schedule(&state, Change::Cancel, &ids).await?,
        RunAction::Pause => schedule(&state, Change::Pause, &ids).await?,
        RunAction::Resume => schedule(&state, Change::Resume, &ids).await?,
        RunAction::Delete => schedule(&state, trash::deletion(&state), &ids).await?,
        RunAction::Restore => schedule(&state, Change::Restore, &ids).await?,
        RunAction::DeleteForGood => schedule(&state, Change::Delete, &ids).await?,
        RunAction::Tag => {
            let mut refusals = Vec::with_capacity(ids.len());
            for id in &ids {
                refusals.push(tag(&state, id, &add_tags, &remove_tags).await.err());
            }
            refusals
        }
    };
    let outcome = |(id, refusal): (String, Option<ApiError>)| RunOutcome { id, problem: refusal.map(ApiError::into_problem) };
    Ok(Json(RunActionsAnswer { outcomes: ids.into_iter().zip(refusals).map(outcome).collect() }))
}

/// The request with its tags in normal form, or every field of it that is wrong.
fn checked(actions: RunActions) -> Result<RunActions, ApiError> {
    let RunActions { action, ids, add_tags, remove_tags } = actions;
    let mut errors = Vec::new();
    match ids.len() {
        0 => errors.push(FieldError::new("ids", "is empty; name the runs")),
        count if count > RunActions::MOST => {
            errors.push(FieldError::new("ids", format!("names {count} runs; at most {} in one request", RunActions::MOST)));
        }
        _ => {}
    }
    if action == RunAction::Tag && add_tags.is_empty() && remove_tags.is_empty() {
        errors.push(FieldError::new("add_tags", "is empty, and so is `remove_tags`; name the tags to add or to remove"));
    }
    let mut plain = |field: &str, tags: Vec<String>| {
        if action != RunAction::Tag && !tags.is_empty() {
            errors.push(FieldError::new(field, "goes with the action `tag` only"));
        }
        match labels::checked(RunChange { tags: Some(tags), ..RunChange::default() }) {
            Ok(change) => change.tags.unwrap_or_default(),
            Err(wrong) => {
                errors.extend(wrong.into_iter().map(|error| FieldError::new(field, error.message)));
                Vec::new()
            }
        }
    };
    let (add_tags, remove_tags) = (plain("add_tags", add_tags), plain("remove_tags", remove_tags));
    if !errors.is_empty() {
        return Err(ApiError::on_fields(Kind::InvalidActions, errors));
    }
    Ok(RunActions { action, ids, add_tags, remove_tags })
}

/// Makes a change to every run of `ids`; returns the refusals in the order of `ids`.
async fn schedule(state: &AppState, change: Change, ids: &[String]) -> Result<Vec<Option<ApiError>>, ApiError> {
    let parsed: Vec<Option<RunId>> = ids.iter().map(|id| id.parse().ok()).collect();
    let mut outcomes = state.scheduler.change_all(change, parsed.iter().flatten().cloned().collect()).await?.into_iter();
    let outcome = |(id, parsed): (&String, Option<RunId>)| match parsed {
        None => Some(RunId::not_found(id)),
        Some(parsed) => outcomes.next().and_then(Result::err).map(|refusal| refused(&parsed, refusal)),
    };
    Ok(ids.iter().zip(parsed).map(outcome).collect())
}

async fn tag(state: &AppState, id: &str, add: &[String], remove: &[String]) -> Result<(), ApiError> {
    let id: RunId = id.parse().map_err(|_| RunId::not_found(id))?;
    let run = resources::run(state, &id).await?;
    let change = RunChange { tags: Some(labels::retagged(run.tags, add, remove)), ..RunChange::default() };
    let change = labels::checked(change).map_err(|errors| ApiError::on_fields(Kind::InvalidChange, errors))?;
    Ok(state.labels.change(&state.db, &state.dirs, &id, &change).await?)
}
