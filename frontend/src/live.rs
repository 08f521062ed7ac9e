//! Follows a run while it is going on: collects its records and state into signals.
//!
//! The stream of changes tells when to request. Each request asks for the records after the last one
//! received, so that no record is missed or repeated.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use leptos::leptos_dom::helpers::{TimeoutHandle, set_timeout_with_handle};
use leptos::prelude::*;
use leptos::task::spawn_local;
use shared::api::{Run, RunRecords, RunState, path};
use shared::id::RunId;
use shared::problem::Problem;
use shared::record::Metrics;

use crate::changes::{News, on_news};
use crate::{api, urls};

/// Interval of requests while the stream is open, because a proxy may hold the stream back.
const SLOW: Duration = Duration::from_secs(15);
/// Interval of requests without a stream, and the first pause after a failed request.
const FAST: Duration = Duration::from_secs(3);
/// At most this often, a queued run is requested because other runs changed: its position depends on theirs.
const OF_OTHERS_MS: f64 = 2000.0;

#[derive(Clone, Debug, PartialEq)]
pub enum Connection {
    Open,
    /// The server does not answer, or answers with an error. Requests continue.
    Lost(Problem),
    /// The server requires its token.
    SignedOut,
    /// The run no longer exists.
    Deleted,
}

#[derive(Clone, Copy)]
pub struct Live {
    pub run: RwSignal<Run>,
    pub metrics: RwSignal<Metrics>,
    pub connection: RwSignal<Connection>,
    /// Problems that the server reports for people to fix.
    pub problems: RwSignal<Vec<String>>,
    follower: StoredValue<Rc<Follower>, LocalStorage>,
}

impl Live {
    /// Requests now.
    pub fn look(self) {
        if let Some(follower) = self.follower.try_get_value() {
            follower.look(self);
        }
    }
}

/// How far the records have been received, and when the next request is sent.
struct Follower {
    id: RunId,
    after: RefCell<Option<String>>,
    looking: Cell<bool>,
    /// Something changed during a request.
    again: Cell<bool>,
    looked_at: Cell<f64>,
    has_stream: Cell<bool>,
    failures: Cell<u32>,
    timer: RefCell<Option<TimeoutHandle>>,
}

/// Follows a run from its first record until the current component is removed.
pub fn follow(run: Run) -> Live {
    let follower = Rc::new(Follower {
        id: run.id.clone(),
        after: RefCell::default(),
        looking: Cell::default(),
        again: Cell::default(),
        looked_at: Cell::default(),
        has_stream: Cell::default(),
        failures: Cell::default(),
        timer: RefCell::default(),
    });
    let live = Live {
        run: RwSignal::new(run),
        metrics: RwSignal::new(Metrics::default()),
        connection: RwSignal::new(Connection::Open),
        problems: RwSignal::new(Vec::new()),
        follower: StoredValue::new_local(Rc::clone(&follower)),
    };
    on_cleanup(move || {
        if let Some(follower) = live.follower.try_get_value() {
            follower.stop_waiting();
        }
    });
    follower.look(live);
    on_news(move |news| {
        if let Some(follower) = live.follower.try_get_value() {
            follower.hear(live, news);
        }
    });
    live
}

impl Follower {
    fn hear(self: &Rc<Self>, live: Live, news: &News) {
        match news {
            News::Open => self.has_stream.set(true),
            News::Lost => self.has_stream.set(false),
            News::InSight | News::Changed(_) => {}
        }
        let waits = live.run.try_with_untracked(|run| run.state == RunState::Queued).unwrap_or(false);
        let of_others = waits && js_sys::Date::now() - self.looked_at.get() > OF_OTHERS_MS;
        if news.concerns(&self.id) || of_others {
            self.look(live);
        }
    }

    fn stop_waiting(&self) {
        if let Some(timer) = self.timer.take() {
            timer.clear();
        }
    }

    fn look(self: &Rc<Self>, live: Live) {
        self.again.set(true);
        // The page may have been left during the pause.
        if live.run.is_disposed() || document().hidden() || self.looking.replace(true) {
            return;
        }
        self.stop_waiting();
        let follower = Rc::clone(self);
        spawn_local(async move {
            while follower.again.replace(false) {
                let address = match &*follower.after.borrow() {
                    None => path::run_records(&follower.id),
                    Some(after) => format!("{}?after={}", path::run_records(&follower.id), urls::encoded(after)),
                };
                follower.looked_at.set(js_sys::Date::now());
                let answer = api::get_within::<RunRecords>(&address, FAST * 10).await;
                // The page may have been left during the request.
                if live.run.is_disposed() {
                    return;
                }
                follower.take(live, answer);
            }
            follower.looking.set(false);
            follower.wait(live);
        });
    }

    fn take(&self, live: Live, answer: Result<RunRecords, Problem>) {
        let connection = match answer {
            Ok(RunRecords { run, records, left_out, next, more, problems }) => {
                self.failures.set(0);
                self.again.set(self.again.get() || more);
                self.after.replace(Some(next));
                if !records.is_empty() || left_out > 0 {
                    let _ = live.metrics.try_update(|metrics| {
                        records.into_iter().for_each(|record| metrics.apply(record));
                        metrics.leave_out(left_out);
                    });
                }
                set_if_new(live.run, run);
                set_if_new(live.problems, problems);
                Connection::Open
            }
            Err(problem) => {
                self.failures.set(self.failures.get() + 1);
                match problem.status {
                    401 => Connection::SignedOut,
                    _ if problem.is("run-not-found") || problem.is("run-in-trash") => Connection::Deleted,
                    _ => Connection::Lost(problem),
                }
            }
        };
        set_if_new(live.connection, connection);
    }

    /// Schedules the next request, unless nothing more can come.
    fn wait(self: &Rc<Self>, live: Live) {
        let over = live.run.try_with_untracked(|run| run.state.is_finished()).unwrap_or(true);
        let pause = match live.connection.try_get_untracked() {
            // The pause doubles with each failure, up to 24 seconds.
            Some(Connection::Lost(_)) => FAST * 2_u32.pow(self.failures.get().saturating_sub(1).min(3)),
            Some(Connection::Open) if !self.has_stream.get() => FAST,
            Some(Connection::Open) if !over => SLOW,
            // Signing in reloads the page, and a deleted run does not come back.
            Some(Connection::Open | Connection::SignedOut | Connection::Deleted) | None => return,
        };
        let follower = Rc::clone(self);
        self.timer.replace(set_timeout_with_handle(move || follower.look(live), pause).ok());
    }
}

fn set_if_new<T: PartialEq + Send + Sync + 'static>(signal: RwSignal<T>, value: T) {
    if signal.try_with_untracked(|known| *known != value) == Some(true) {
        let _ = signal.try_set(value);
    }
}
