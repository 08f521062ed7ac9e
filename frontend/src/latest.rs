//! Keeps the former value visible while the next one is loading.

use leptos::prelude::*;

/// Returns the latest value that `next` gave, or `first` before it gave any.
pub fn latest<T>(first: T, next: impl Fn() -> Option<T> + Send + Sync + 'static) -> Memo<T>
where
    T: Clone + PartialEq + Send + Sync + 'static,
{
    Memo::new(move |former: Option<&T>| next().unwrap_or_else(|| former.unwrap_or(&first).clone()))
}

/// Shows `children` while there is a value, otherwise `fallback`. A new value does not rebuild the children.
#[component]
pub fn ShowLatest<T, V>(
    value: Memo<Option<T>>,
    /// Receives the value as a signal.
    children: impl Fn(Memo<T>) -> V + Send + 'static,
    #[prop(into)] fallback: ViewFn,
) -> impl IntoView
where
    T: Clone + PartialEq + Send + Sync + 'static,
    V: IntoView + 'static,
{
    let there = Memo::new(move |_| value.with(Option::is_some));
    move || {
        there.track();
        match value.get_untracked() {
            Some(first) => children(latest(first, move || value.get())).into_any(),
            None => fallback.run(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_former_value_stays_until_there_is_another() {
        let owner = Owner::new();
        owner.set();
        let next = RwSignal::new(None);
        let shown = latest(1, move || next.get());
        let seen = [None, Some(2), None, Some(3)].map(|value| {
            next.set(value);
            shown.get()
        });
        assert_eq!(seen, [1, 2, 2, 3]);
    }
}
