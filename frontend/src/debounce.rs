//! A signal that follows another one after a pause.

use std::time::Duration;

use leptos::prelude::*;

/// How long a page is left alone before what is slow, or seen by nobody while it changes, follows.
pub const REST: Duration = Duration::from_millis(120);

/// Returns a signal that takes the first value at once, and each later value when it has not changed for
/// `pause`.
pub fn debounced<T: Clone + PartialEq + Send + Sync + 'static>(value: Memo<T>, pause: Duration) -> Signal<T> {
    let settled = RwSignal::new(value.get_untracked());
    let mut settle = debounce(pause, move |new: T| {
        // The value may have changed back within the pause.
        if settled.get_untracked() != new {
            settled.set(new);
        }
    });
    Effect::new(move || settle(value.get()));
    settled.into()
}
