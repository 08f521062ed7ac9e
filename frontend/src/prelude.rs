//! leptos's prelude, with what its views are made of compiled once, not once for each place that uses it.
//!
//! What listens to events, decides what is shown and makes the rows of a list is boxed, and a value is looked into in one step: leptos compiles the
//! machinery around each for every closure (docs/performance.md). What is declared here stands in place of leptos's of the same name.

use std::ops::Deref;

pub use leptos::prelude::*;

use leptos::prelude::OnAttribute as Unboxed;
use leptos::tachys::html::event::EventDescriptor;

use crate::reactive::memo;
pub use crate::reactive::{Memo, RwSignal};

trait Listen<E> {
    fn listen(&mut self, event: E);
}

impl<E, F: FnMut(E)> Listen<E> for F {
    fn listen(&mut self, event: E) {
        self(event);
    }
}

type Listener<E> = Box<dyn FnMut(E)>;

fn listener<E: 'static>(mut listener: Box<dyn Listen<E>>) -> Listener<E> {
    Box::new(move |event| listener.listen(event))
}

/// What `view!` calls for `on:click=…`.
pub trait OnAttribute<E: EventDescriptor> {
    type Output;

    fn on(self, event: E, listen: impl FnMut(E::EventType) + 'static) -> Self::Output;
}

impl<T, E> OnAttribute<E> for T
where
    E: EventDescriptor,
    E::EventType: 'static,
    T: Unboxed<E, Listener<E::EventType>>,
{
    type Output = T::Output;

    fn on(self, event: E, listen: impl FnMut(E::EventType) + 'static) -> Self::Output {
        Unboxed::on(self, event, listener(Box::new(listen)))
    }
}

/// Looks into a signal, and follows it.
pub trait With: Read {
    fn with<U>(&self, look: impl FnOnce(&<Self::Value as Deref>::Target) -> U) -> U {
        look(&self.read())
    }
}

impl<T: Read> With for T {}

/// Makes a list of views.
pub trait CollectView {
    fn collect_view(self) -> Vec<AnyView>;
}

impl<I: IntoIterator<Item: IntoView>> CollectView for I {
    fn collect_view(self) -> Vec<AnyView> {
        self.into_iter().map(IntoAny::into_any).collect()
    }
}

/// Shows its children while a condition holds, else the fallback.
#[component]
pub fn Show(#[prop(into)] when: Signal<bool>, children: ChildrenFn, #[prop(optional, into)] fallback: ViewFn) -> impl IntoView {
    let holds = memo(move || when.get());
    move || if holds.get() { children() } else { fallback.run() }
}

/// A row of a list: its key, and what makes it once it is to be there.
type Row = (String, Box<dyn FnOnce() -> AnyView + Send>);

/// Shows a row for each thing, and makes only those anew whose key was not there before.
#[component]
pub fn For<T, I, V>(
    each: impl Fn() -> I + Send + 'static,
    key: impl Fn(&T) -> String + Send + 'static,
    children: impl Fn(T) -> V + Clone + Send + 'static,
) -> impl IntoView
where
    T: Send + 'static,
    I: IntoIterator<Item = T> + 'static,
    V: IntoView + 'static,
{
    let row = move |thing: T| -> Row {
        let (key, children) = (key(&thing), children.clone());
        (key, Box::new(move || children(thing).into_any()))
    };
    list(Box::new(move || each().into_iter().map(&row).collect()))
}

fn list(rows: Box<dyn Fn() -> Vec<Row> + Send>) -> AnyView {
    leptos::control_flow::For(
        leptos::control_flow::ForProps::builder().each(rows).key(|(key, _): &Row| key.clone()).children(|(_, made): Row| made()).build(),
    )
    .into_any()
}
