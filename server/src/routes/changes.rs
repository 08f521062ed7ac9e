//! What has changed, for pages that show runs: a stream that says which, and the records of a run since the last look.

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
use tokio::sync::watch;
use utoipa::IntoParams;

use crate::extract::{Name, Query};
use crate::id::RunId;
use crate::problem::{ApiError, Kind};
use crate::resources;
use crate::rundir::record;
use crate::state::AppState;
use crate::tail::{LineStart, Tail};

/// Proxies close connections on which nothing comes for a minute, and some for less.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Of records in one answer.
const MOST_BYTES: u64 = 4 << 20;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FollowChanges {
    /// The cursor of an earlier event: what has changed since comes first. The header `Last-Event-ID` goes before it.
    since: Option<String>,
}

/// Which runs change, of all runs, as it happens
///
/// A stream of server-sent events whose id is a cursor. Each names the runs that have changed since the one before; the first holds the
/// cursor alone where none was given. One stream is enough for any number of pages: what has changed of a run they ask its own routes.
#[utoipa::path(
    get, path = "/api/changes", tag = "runs",
    params(FollowChanges, ("Last-Event-ID" = Option<String>, Header, description = "The cursor of the last event seen")),
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
    // nginx would hold events back until it has a buffer full of them.
    Ok(([("x-accel-buffering", "no")], events))
}

/// One listener, and how far it has heard.
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
                // The browser comes again with the last cursor that it saw.
                tracing::warn!("a stream of changes breaks off: {error}");
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
    /// Only what was recorded after this: `next` of an earlier answer.
    after: Option<String>,
}

/// A run, and what it has recorded since the last look
///
/// Ask again with `next` while `more` is true, and when `/api/changes` names the run: no record is left out or comes twice.
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
    // The run first: what was recorded before it ended is then still read.
    let run = resources::run(&state, &id).await?;
    let dir = state.dirs.of(&id);
    // A start past the end belongs to another file of this name.
    let size = tokio::fs::metadata(dir.metrics_file()).await.map_or(0, |metadata| metadata.len());
    let mut tail = Tail::from(dir.metrics_file(), if from.bytes <= size { from } else { LineStart::default() });
    let (start, mut records, mut more) = (tail.end().bytes, Vec::new(), false);
    loop {
        let lines = tail.read().await?;
        if lines.is_empty() {
            break;
        }
        records.extend(lines.iter().filter_map(|line| record(line).ok()));
        more = tail.end().bytes - start >= MOST_BYTES;
        if more {
            break;
        }
    }
    let LineStart { lines, bytes } = tail.end();
    Ok(Json(RunRecords { run, records, next: format!("{lines}.{bytes}"), more, problems: state.problems() }))
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
