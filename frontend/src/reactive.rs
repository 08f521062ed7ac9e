//! Memos, effects and derived signals whose machinery is compiled once for a type of value, not once for each place that makes one.
//!
//! leptos compiles all of it for every closure; boxed, two hundred closures share it (docs/performance.md).

use std::time::Duration;

use leptos::leptos_dom::helpers::{TimeoutHandle, set_timeout_with_handle};
use leptos::prelude::*;

/// Keeps what `compute` gives until a signal that it reads has changed; tells those that read it only of another value.
pub fn memo<T: PartialEq + Send + Sync + 'static>(compute: impl Fn() -> T + Send + Sync + 'static) -> Memo<T> {
    boxed_memo(Box::new(compute))
}

#[inline(never)]
fn boxed_memo<T: PartialEq + Send + Sync + 'static>(compute: Box<dyn Fn() -> T + Send + Sync>) -> Memo<T> {
    Memo::new(move |_| compute())
}

/// Does `run` once the page stands, and again after a signal that it reads has changed.
pub fn effect(run: impl FnMut() + 'static) {
    boxed_effect(Box::new(run));
}

#[inline(never)]
fn boxed_effect(run: Box<dyn FnMut()>) {
    Effect::new(run);
}

/// A value once it has stayed the same for a while; the first at once.
pub fn rested<T: Clone + PartialEq + Send + Sync + 'static>(value: Memo<T>, pause: Duration) -> Signal<T> {
    let rested = RwSignal::new(value.get_untracked());
    let pending = StoredValue::new(None::<TimeoutHandle>);
    let clear = move || {
        if let Some(Some(timer)) = pending.try_get_value() {
            timer.clear();
        }
    };
    effect(move || {
        let new = value.get();
        clear();
        if rested.get_untracked() != new {
            let set = move || drop(rested.try_set(new.clone()));
            pending.set_value(set_timeout_with_handle(set, pause).ok());
        }
    });
    on_cleanup(clear);
    rested.into()
}

/// What `compute` gives each time it is read.
pub fn derived<T: Send + Sync + 'static>(compute: impl Fn() -> T + Send + Sync + 'static) -> Signal<T> {
    boxed_signal(Box::new(compute))
}

#[inline(never)]
fn boxed_signal<T: Send + Sync + 'static>(compute: Box<dyn Fn() -> T + Send + Sync>) -> Signal<T> {
    Signal::derive(compute)
}
