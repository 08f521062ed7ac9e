//! What a page waits for: loading, failed or there, and the look of the first two.

use leptos::prelude::*;
use leptos::task::spawn_local;
use serde::de::DeserializeOwned;
use shared::problem::Problem;

use crate::api;

/// An answer of the server, or the lack of one.
#[derive(Clone, Debug, PartialEq)]
pub enum Load<T> {
    Loading,
    Failed(Problem),
    Ready(T),
}

/// An answer that is fetched again when its address changes or on demand.
///
/// While the next answer is on its way the former one stays.
pub struct Fetched<T: Send + Sync + 'static> {
    pub state: RwSignal<Load<T>>,
    again: Trigger,
}

impl<T: Send + Sync + 'static> Clone for Fetched<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Send + Sync + 'static> Copy for Fetched<T> {}

impl<T: Clone + Send + Sync + 'static> Fetched<T> {
    pub fn reload(self) {
        self.again.notify();
    }

    /// Why there is no answer, if there is none.
    pub fn problem(self) -> Option<Problem> {
        self.state.with(|state| match state {
            Load::Failed(problem) => Some(problem.clone()),
            Load::Loading | Load::Ready(_) => None,
        })
    }

    /// The answer, if it is there.
    pub fn ready(self) -> Option<T> {
        self.state.with(|state| match state {
            Load::Ready(value) => Some(value.clone()),
            Load::Loading | Load::Failed(_) => None,
        })
    }
}

/// Fetches `path`, and again whenever it changes. Nothing is fetched while there is no path.
pub fn fetched<T>(path: impl Fn() -> Option<String> + 'static) -> Fetched<T>
where
    T: DeserializeOwned + Send + Sync + 'static,
{
    let state = RwSignal::new(Load::Loading);
    let again = Trigger::new();
    // Answers may overtake each other: only the latest question's counts.
    let asked = StoredValue::new(0_u32);
    Effect::new(move || {
        again.track();
        let Some(path) = path() else { return };
        let question = asked.get_value() + 1;
        asked.set_value(question);
        spawn_local(async move {
            let answer = api::get(&path).await;
            if asked.try_get_value() == Some(question) {
                let _ = state.try_set(match answer {
                    Ok(value) => Load::Ready(value),
                    Err(problem) => Load::Failed(problem),
                });
            }
        });
    });
    Fetched { state, again }
}

/// Shows `ready` of the answer, a placeholder until it is there, and what went wrong if it does not come.
pub fn shown<T, V>(fetched: Fetched<T>, placeholder: Placeholder, ready: impl Fn(T) -> V + Send + Sync + 'static) -> impl IntoView
where
    T: Clone + Send + Sync + 'static,
    V: IntoView + 'static,
{
    move || match fetched.state.get() {
        Load::Loading => view! { <Skeleton placeholder/> }.into_any(),
        Load::Failed(problem) => view! { <Failure problem retry=move || fetched.reload()/> }.into_any(),
        Load::Ready(value) => ready(value).into_any(),
    }
}

/// The rough shape of what is about to be there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Placeholder {
    Rows,
    Chart,
    Matrix,
}

#[component]
pub fn Skeleton(placeholder: Placeholder) -> impl IntoView {
    let (class, pieces) = match placeholder {
        Placeholder::Rows => ("skeleton skeleton-rows", 5),
        Placeholder::Chart => ("skeleton skeleton-chart", 1),
        Placeholder::Matrix => ("skeleton skeleton-matrix", 1),
    };
    view! {
        <div class=class role="status">
            <span class="visually-hidden">"Loading …"</span>
            {(0..pieces).map(|_| view! { <div class="skeleton-piece"></div> }).collect_view()}
        </div>
    }
}

/// A problem in the server's own words, and a way to try again.
#[component]
pub fn Failure(problem: Problem, retry: impl Fn() + 'static) -> impl IntoView {
    let more: Vec<_> =
        problem.errors.iter().map(|error| view! { <li><code>{error.field.clone()}</code>": " {error.message.clone()}</li> }).collect();
    view! {
        <div class="notice notice-error" role="alert">
            <h2 class="notice-title">{problem.title}</h2>
            <p>{problem.detail}</p>
            {(!more.is_empty()).then(|| view! { <ul>{more}</ul> })}
            <p class="actions">
                <button class="button" type="button" on:click=move |_| retry()>"Try again"</button>
                <a class="button button-quiet" href=".">"All runs"</a>
            </p>
        </div>
    }
}
