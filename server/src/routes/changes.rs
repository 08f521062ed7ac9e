//! Changes of runs: a stream that names the runs that changed, and the new records of one run.

use std::convert::Infallible;
use std::str::FromStr;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::{Stream, stream};
use serde::Deserialize;
use shared::api::{RunChanges, RunRecords};
use shared::id::RunId;
use tokio::sync::watch;
use utoipa::IntoParams;

use crate::extract::{Name, Query};
use crate::problem::{ApiError, Kind};
use crate::resources;
use crate::rundir::record;
use crate::state::AppState;
use crate::tail::{LineStart, Tail};

/// Some proxies close a connection that is silent for a minute or less.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Most bytes of records in one answer.
const MOST_BYTES: u64 = 4 << 20;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FollowChanges {
    /// Cursor of an earlier event: the first event names what changed since then. The header `Last-Event-ID`
    /// has priority.
    since: Option<String>,
}

/// Names of runs that change, as a stream
///
/// Server-sent events; the id of each is a cursor. An event names the runs that have changed since the event
/// before it. Without a cursor in the request, the first event holds only a cursor. Read what has changed
/// from the routes of the run. One stream is enough for any number of pages.
#[utoipa::path(
    get, path = "/api/changes", tag = "runs",
    params(FollowChanges, ("Last-Event-ID" = Option<String>, Header, description = "Cursor of the last event received")),
    responses((status = 200, content_type = "text/event-stream", body = RunChanges), ApiError)
)]
pub async fn stream_changes(
    State(state): State<AppState>,
    Query(query): Query<FollowChanges>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, ApiError> {
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()).filter(|last| !last.is_empty());
    let listener = Listener { woken: state.changes.listen(), cursor: last.map(str::to_owned).or(query.since), state, first: true };
    let events = Sse::new(events(listener)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    // nginx would hold events back until its buffer is full.
    Ok(([("x-accel-buffering", "no")], events))
}

/// One listener and the cursor of its last event.
struct Listener {
    state: AppState,
    woken: watch::Receiver<(i64, u64)>,
    cursor: Option<String>,
    first: bool,
}

fn events(listener: Listener) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(listener, |mut listener| async move { listener.next().await.map(|event| (Ok(event), listener)) })
}

impl Listener {
    async fn next(&mut self) -> Option<Event> {
        if !std::mem::take(&mut self.first) {
            let stopping = self.state.stopping.clone();
            stopping.run_until_cancelled(self.woken.changed()).await?.ok()?;
        }
        if self.state.stopping.is_cancelled() {
            return None;
        }
        match self.look().await {
            Ok(event) => Some(event),
            Err(error) => {
                // The browser connects again with the last cursor that it received.
                tracing::warn!("an event stream of changes ends: {error}");
                None
            }
        }
    }

    async fn look(&mut self) -> Result<Event, ApiError> {
        let changed = self.state.db.changed(self.cursor.as_deref()).await?;
        let event = Event::default().id(&changed.cursor);
        self.cursor = Some(changed.cursor);
        let changes = RunChanges { complete: changed.known, runs: changed.runs, deleted: changed.deleted };
        event.json_data(&changes).map_err(ApiError::internal)
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReadRecords {
    /// Returns only records after this position: `next` of an earlier answer.
    after: Option<String>,
}

/// A run and its records since an earlier answer
///
/// Ask again with `next` while `more` is true and whenever `/api/changes` names the run. Then no record is
/// missing and none comes twice.
#[utoipa::path(
    get, path = "/api/runs/{id}/records", tag = "runs",
    params(("id" = String, Path, description = "The run"), ReadRecords),
    responses((status = 200, body = RunRecords), ApiError)
)]
pub async fn get_records(
    State(state): State<AppState>,
    Name(id): Name<RunId>,
    Query(query): Query<ReadRecords>,
) -> Result<Json<RunRecords>, ApiError> {
    let from = match &query.after {
        None => LineStart::default(),
        Some(text) => text
            .parse()
            .map_err(|NotALineStart| ApiError::on_field(Kind::InvalidQuery, "after", format!("`{text}` is not the `next` of an answer")))?,
    };
    // Read the run first: a record written before the run ended is then in the answer.
    let run = resources::run(&state, &id).await?;
    let dir = state.dirs.of(&id);
    // A start past the end belongs to another file of this name.
    let size = tokio::fs::metadata(dir.metrics_file()).await.map_or(0, |metadata| metadata.len());
    let mut tail = Tail::from(dir.metrics_file(), if from.bytes <= size { from } else { LineStart::default() });
    let (start, mut records, mut more) = (tail.end().bytes, Vec::new(), false);
    let mut left_out = 0;
    loop {
        let lines = tail.read().await?;
        if lines.is_empty() {
            break;
        }
        let before = records.len();
        records.extend(lines.iter().filter_map(|line| record(line).ok()));
        left_out += lines.len() - (records.len() - before);
        more = tail.end().bytes - start >= MOST_BYTES;
        if more {
            break;
        }
    }
    let LineStart { lines, bytes } = tail.end();
    let left_out = u32::try_from(left_out).unwrap_or(u32::MAX);
    Ok(Json(RunRecords { run, records, left_out, next: format!("{lines}.{bytes}"), more, problems: state.all_problems() }))
}

/// A text that names no line in the records of a run.
#[derive(Debug)]
pub struct NotALineStart;

impl FromStr for LineStart {
    type Err = NotALineStart;

    fn from_str(text: &str) -> Result<Self, NotALineStart> {
        let (lines, bytes) = text.split_once('.').ok_or(NotALineStart)?;
        Ok(LineStart { lines: lines.parse().map_err(|_| NotALineStart)?, bytes: bytes.parse().map_err(|_| NotALineStart)? })
    }
}
