//! A run as it happens: its records and states over server-sent events, collected into signals.
//!
//! The browser resumes a broken stream by itself after the last line it saw. Where it gives up, the stream is opened anew and
//! the records repeat, which changes nothing.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use leptos::leptos_dom::helpers::{TimeoutHandle, set_timeout_with_handle};
use shared::api::Run;
use shared::record::{Metrics, Record};
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::Closure;
use web_sys::{Event, EventSource, MessageEvent};

use crate::prelude::*;

/// Records arrive by the hundred when a page opens: the page is drawn once for all that came in this time.
const COLLECT: Duration = Duration::from_millis(60);
const REOPEN_AFTER: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    Open,
    /// Lost; being opened again.
    Lost,
    /// The run has ended, and so has the stream.
    Ended,
}

#[derive(Clone, Copy)]
pub struct Live {
    pub run: RwSignal<Run>,
    pub metrics: RwSignal<Metrics>,
    pub connection: RwSignal<Connection>,
}

/// Follows a run from its first record until it ends or the page is left.
pub fn follow(run: Run) -> Live {
    let address = format!("api/runs/{}/events", run.id);
    let live = Live { run: RwSignal::new(run), metrics: RwSignal::new(Metrics::default()), connection: RwSignal::new(Connection::Open) };
    let stream = StoredValue::new_local(None::<Stream>);
    open(live, stream, address);
    on_cleanup(move || {
        // Closes the stream.
        let _ = stream.try_update_value(Option::take);
    });
    live
}

fn open(live: Live, stream: StoredValue<Option<Stream>, LocalStorage>, address: String) {
    let reopen = {
        let address = address.clone();
        move || {
            let address = address.clone();
            let again = move || {
                // The page may have been left meanwhile.
                if stream.try_with_value(|_| ()).is_some() {
                    open(live, stream, address);
                }
            };
            set_timeout_with_handle(again, REOPEN_AFTER).ok()
        }
    };
    let opened = Stream::open(live, &address, reopen);
    stream.set_value(opened);
}

/// An event source with its listeners; closed when dropped.
struct Stream {
    source: EventSource,
    reopening: Rc<RefCell<Option<TimeoutHandle>>>,
    _listeners: Vec<Closure<dyn Fn(Event)>>,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.source.close();
        if let Some(timer) = self.reopening.take() {
            timer.clear();
        }
    }
}

impl Stream {
    fn open(live: Live, address: &str, reopen: impl Fn() -> Option<TimeoutHandle> + 'static) -> Option<Self> {
        let source = EventSource::new(address).ok()?;
        let waiting = Rc::new(RefCell::new(Vec::<Record>::new()));
        let reopening = Rc::new(RefCell::new(None));
        let flush = {
            let waiting = Rc::clone(&waiting);
            move || {
                let records = waiting.take();
                let _ = live.metrics.try_update(|metrics| records.into_iter().for_each(|record| metrics.apply(record)));
            }
        };

        let on_record = {
            let flush = flush.clone();
            move |event: Event| {
                let Some(record) = parsed::<Record>(&event) else { return };
                waiting.borrow_mut().push(record);
                if waiting.borrow().len() == 1 {
                    set_timeout(flush.clone(), COLLECT);
                }
            }
        };
        let on_run = move |event: Event| {
            if let Some(run) = parsed::<Run>(&event) {
                let _ = live.run.try_set(run);
            }
        };
        let on_end = {
            let source = source.clone();
            move |event: Event| {
                source.close();
                flush();
                if let Some(run) = parsed::<Run>(&event) {
                    let _ = live.run.try_set(run);
                }
                let _ = live.connection.try_set(Connection::Ended);
            }
        };
        let on_open = move |_| {
            let _ = live.connection.try_set(Connection::Open);
        };
        let on_error = {
            let source = source.clone();
            let reopening = Rc::clone(&reopening);
            move |_| {
                let _ = live.connection.try_set(Connection::Lost);
                if source.ready_state() == EventSource::CLOSED {
                    reopening.replace(reopen());
                }
            }
        };

        let listeners = vec![
            listen(&source, "message", on_record),
            listen(&source, "run", on_run),
            listen(&source, "end", on_end),
            listen(&source, "open", on_open),
            listen(&source, "error", on_error),
        ];
        Some(Stream { source, reopening, _listeners: listeners })
    }
}

fn listen(source: &EventSource, name: &str, listener: impl Fn(Event) + 'static) -> Closure<dyn Fn(Event)> {
    let listener = Closure::<dyn Fn(Event)>::new(listener);
    source.add_event_listener_with_callback(name, listener.as_ref().unchecked_ref()).expect("an event source takes listeners of any name");
    listener
}

/// A line of a newer engine may hold what this page does not know; it is left out.
fn parsed<T: serde::de::DeserializeOwned>(event: &Event) -> Option<T> {
    let text = event.unchecked_ref::<MessageEvent>().data().as_string()?;
    shared::json::from_str(&text).ok()
}
