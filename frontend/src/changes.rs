//! Listens for changes of runs. All tabs share one stream, held by a shared worker (`static/changes.js`); no
//! stream is open while no tab is visible.
//!
//! If the browser has no shared workers, each visible tab opens a stream of its own.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use leptos::prelude::*;
use shared::api::{RunChanges, path};
use shared::id::RunId;
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Event, EventSource, MessageEvent, MessagePort, SharedWorker};

const WORKER: &str = "changes.js";
/// Name of the shared worker. Tabs with another version of the protocol must not use the same worker.
const PROTOCOL: &str = "crosslens-changes-1";
const REOPEN_AFTER: Duration = Duration::from_secs(3);

/// A message to the listeners.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// The stream is open. Changes before this moment are not reported.
    Open,
    Lost,
    /// The page has become visible again.
    InSight,
    Changed(RunChanges),
}

impl News {
    /// Whether the run `id` may have changed.
    pub fn concerns(&self, id: &RunId) -> bool {
        match self {
            News::Open | News::Lost | News::InSight => true,
            News::Changed(RunChanges { complete, runs, deleted }) => !complete || runs.iter().chain(deleted).any(|run| run == id),
        }
    }
}

/// The listeners and the stream. The application has one, and the stream is open only while there are
/// listeners.
#[derive(Clone)]
pub struct Changes(Rc<Inner>);

type Listener = Rc<dyn Fn(&News)>;
type OnEvent = RefCell<Option<Closure<dyn Fn(Event)>>>;

struct Inner {
    listeners: RefCell<Vec<(u32, Listener)>>,
    next: Cell<u32>,
    source: RefCell<Source>,
    /// The browser calls these three as long as the application lives.
    on_message: OnEvent,
    on_open: OnEvent,
    on_error: OnEvent,
}

/// The stream that changes come from.
enum Source {
    /// Nobody has listened yet.
    Unknown,
    Worker(MessagePort),
    /// A stream of this tab, open while the tab is visible.
    Own(Option<EventSource>),
}

/// Provides the changes as context. Opens no stream yet.
pub fn provide_changes() {
    let inner = Rc::new(Inner {
        listeners: RefCell::default(),
        next: Cell::default(),
        source: RefCell::new(Source::Unknown),
        on_message: RefCell::default(),
        on_open: RefCell::default(),
        on_error: RefCell::default(),
    });
    let changes = Changes(inner);
    let message = {
        let changes = changes.clone();
        move |event: Event| changes.take(event.unchecked_ref::<MessageEvent>().data().as_string().as_deref())
    };
    let open = {
        let changes = changes.clone();
        move |_| changes.tell(&News::Open)
    };
    let error = {
        let changes = changes.clone();
        move |event: Event| changes.failed(&event)
    };
    changes.0.on_message.replace(Some(Closure::new(message)));
    changes.0.on_open.replace(Some(Closure::new(open)));
    changes.0.on_error.replace(Some(Closure::new(error)));
    let seen = {
        let changes = changes.clone();
        move |_: Event| changes.update()
    };
    let left = {
        let changes = changes.clone();
        move |_: Event| changes.set_following(false)
    };
    // These listeners stay as long as the application lives.
    for (target, name, listener) in [
        (document().unchecked_into::<web_sys::EventTarget>(), "visibilitychange", Closure::<dyn Fn(Event)>::new(seen.clone())),
        (window().unchecked_into(), "pageshow", Closure::new(seen)),
        (window().unchecked_into(), "pagehide", Closure::new(left)),
    ] {
        target.add_event_listener_with_callback(name, listener.as_ref().unchecked_ref()).expect("a page takes listeners of any name");
        listener.forget();
    }
    provide_context(StoredValue::new_local(changes));
}

/// Calls `listener` with every message until the current component is removed.
pub fn on_news(listener: impl Fn(&News) + 'static) {
    let known = expect_context::<StoredValue<Changes, LocalStorage>>();
    let changes = known.get_value();
    let number = changes.0.next.get();
    changes.0.next.set(number + 1);
    changes.0.listeners.borrow_mut().push((number, Rc::new(listener)));
    changes.set_following(!document().hidden());
    on_cleanup(move || {
        let changes = known.get_value();
        changes.0.listeners.borrow_mut().retain(|(known, _)| *known != number);
        changes.set_following(!document().hidden());
    });
}

impl Changes {
    fn tell(&self, news: &News) {
        // Work on a copy: a listener may add or remove others.
        let listeners: Vec<Listener> = self.0.listeners.borrow().iter().map(|(_, listener)| Rc::clone(listener)).collect();
        listeners.iter().for_each(|listener| listener(news));
    }

    fn take(&self, message: Option<&str>) {
        match message {
            Some("open") => self.tell(&News::Open),
            Some("lost") => self.tell(&News::Lost),
            // Ignore messages that this page does not know; the server may be newer.
            Some(text) => {
                if let Ok(changes) = serde_json::from_str(text) {
                    self.tell(&News::Changed(changes));
                }
            }
            None => {}
        }
    }

    /// Handles that the page has become visible or hidden.
    fn update(&self) {
        let in_sight = !document().hidden();
        self.set_following(in_sight);
        if in_sight {
            self.tell(&News::InSight);
        }
    }

    /// Opens the stream if `wanted` and somebody listens; closes it otherwise.
    fn set_following(&self, wanted: bool) {
        let follow = wanted && !self.0.listeners.borrow().is_empty();
        let mut source = self.0.source.borrow_mut();
        if follow && matches!(*source, Source::Unknown) {
            *source = self.worker().map_or(Source::Own(None), Source::Worker);
        }
        match &mut *source {
            Source::Unknown => {}
            Source::Worker(port) => {
                // Fails only for values that cannot be sent to a worker. A string always can.
                let _ = port.post_message(&JsValue::from_str(if follow { "follow" } else { "leave" }));
            }
            Source::Own(stream) if follow => {
                if stream.as_ref().is_none_or(|stream| stream.ready_state() == EventSource::CLOSED) {
                    *stream = self.stream();
                }
            }
            Source::Own(stream) => {
                if let Some(stream) = stream.take() {
                    stream.close();
                }
            }
        }
    }

    /// A port to the worker that all tabs share; `None` if the browser has no shared workers.
    fn worker(&self) -> Option<MessagePort> {
        if !js_sys::Reflect::has(&window(), &"SharedWorker".into()).unwrap_or(false) {
            return None;
        }
        let worker = SharedWorker::new_with_str(WORKER, PROTOCOL).ok()?;
        worker.set_onerror(self.0.on_error.borrow().as_ref().map(|closure| closure.as_ref().unchecked_ref()));
        let port = worker.port();
        port.set_onmessage(self.0.on_message.borrow().as_ref().map(|closure| closure.as_ref().unchecked_ref()));
        Some(port)
    }

    fn stream(&self) -> Option<EventSource> {
        let stream = EventSource::new(&path::changes()).ok()?;
        stream.set_onmessage(self.0.on_message.borrow().as_ref().map(|closure| closure.as_ref().unchecked_ref()));
        stream.set_onopen(self.0.on_open.borrow().as_ref().map(|closure| closure.as_ref().unchecked_ref()));
        stream.set_onerror(self.0.on_error.borrow().as_ref().map(|closure| closure.as_ref().unchecked_ref()));
        Some(stream)
    }

    /// Handles that the worker could not be loaded, or that the tab's own stream was interrupted.
    fn failed(&self, event: &Event) {
        let of_stream = event.target().is_some_and(|target| target.is_instance_of::<EventSource>());
        if !of_stream {
            self.0.source.replace(Source::Own(None));
            self.set_following(!document().hidden());
            return;
        }
        self.tell(&News::Lost);
        // The browser reconnects by itself, except when the server refused the stream.
        let changes = self.clone();
        set_timeout(move || changes.set_following(!document().hidden()), REOPEN_AFTER);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_concerned_by_its_changes_and_where_nobody_knows() {
        let changed = |complete, runs: &[&str], deleted: &[&str]| {
            let names = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
            News::Changed(RunChanges { complete, runs: names(runs), deleted: names(deleted) })
        };
        let b = "b".parse().unwrap();
        assert!(changed(true, &["a", "b"], &[]).concerns(&b));
        assert!(changed(true, &[], &["b"]).concerns(&b));
        assert!(!changed(true, &["a"], &["c"]).concerns(&b));
        assert!(changed(false, &[], &[]).concerns(&b));
        assert!(News::Open.concerns(&b));
    }
}
