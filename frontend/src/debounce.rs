//! A signal that waits until another one has stayed the same for a while.

use std::time::Duration;

use leptos::prelude::*;

/// A value once it has stayed the same for `pause`; the first at once.
pub fn debounced<T: Clone + PartialEq + Send + Sync + 'static>(value: Memo<T>, pause: Duration) -> Signal<T> {
    let settled = RwSignal::new(value.get_untracked());
    let mut settle = debounce(pause, move |new: T| {
        // What has come back to the value it had is no change.
        if settled.get_untracked() != new {
            settled.set(new);
        }
    });
    Effect::new(move || settle(value.get()));
    settled.into()
}
