//! Loading data from the server: the states loading, failed and ready, and the views of the first two.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use leptos::prelude::*;
use leptos::task::spawn_local;
use serde::de::DeserializeOwned;
use serde_json::Value;
use shared::api::{Attribution, path};
use shared::id::AttributionId;
use shared::problem::Problem;

use crate::{api, browser};

/// The state of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Load<T> {
    Loading,
    Failed(Problem),
    Ready(T),
}

/// A response that is fetched again when its address changes, or on demand.
///
/// The former response stays until the next one arrives. A `LocalResource` would send the next request only
/// after the former response; here the latest request is sent at once, and only its response counts.
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

    /// The problem, if the request failed.
    pub fn problem(self) -> Option<Problem> {
        self.state.with(|state| match state {
            Load::Failed(problem) => Some(problem.clone()),
            Load::Loading | Load::Ready(_) => None,
        })
    }

    /// The response, if it has arrived.
    pub fn ready(self) -> Option<T> {
        self.state.with(|state| match state {
            Load::Ready(value) => Some(value.clone()),
            Load::Loading | Load::Failed(_) => None,
        })
    }
}

/// Responses embedded in a share, by address. Readers of a share request nothing else from the server.
#[derive(Clone, Debug)]
pub struct Answers(pub BTreeMap<String, Value>);

impl Answers {
    /// Returns what the server would answer.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Problem> {
        self.body(path).and_then(|body| api::parse(path, &body))
    }

    /// Returns an attribution, which a share holds in one piece.
    pub fn attribution(&self, id: &AttributionId) -> Result<Attribution, Problem> {
        self.get(&path::attribution(id))
    }

    /// Returns the bodies that the server would send.
    fn bodies(&self, paths: &[String]) -> Result<Vec<String>, Problem> {
        paths.iter().map(|path| self.body(path)).collect()
    }

    /// Returns the body that the server would send.
    fn body(&self, path: &str) -> Result<String, Problem> {
        let missing = || Problem::unnamed(404, "Not part of this link", format!("the link does not carry {path}"));
        self.0.get(path).map(Value::to_string).ok_or_else(missing)
    }
}

/// Fetches `path`, and fetches again whenever it changes. Fetches nothing while it is `None`.
pub fn fetched<T>(path: impl Fn() -> Option<String> + 'static) -> Fetched<T>
where
    T: DeserializeOwned + Send + Sync + 'static,
{
    fetched_parts(move || path().map(|path| vec![path]), |paths, bodies| api::parse(&paths[0], &bodies[0]))
}

/// Fetches an attribution, and fetches again whenever its `id` changes. Fetches nothing while it is `None`.
pub fn fetched_attribution(id: impl Fn() -> Option<AttributionId> + 'static) -> Fetched<Arc<Attribution>> {
    let read = |paths: &[String], bodies: &[String]| api::parse_attribution(paths, bodies).map(Arc::new);
    fetched_parts(move || id().map(|id| api::attribution_paths(&id)), read)
}

fn fetched_parts<T: Send + Sync + 'static>(
    paths: impl Fn() -> Option<Vec<String>> + 'static,
    read: impl Fn(&[String], &[String]) -> Result<T, Problem> + 'static,
) -> Fetched<T> {
    let state = RwSignal::new(Load::Loading);
    let again = Trigger::new();
    let take = move |paths: &[String], answer: Result<Vec<String>, Problem>| {
        let _ = state.try_set(match answer.and_then(|bodies| read(paths, &bodies)) {
            Ok(value) => Load::Ready(value),
            Err(problem) => Load::Failed(problem),
        });
    };
    ask(again, Box::new(paths), Rc::new(take));
    Fetched { state, again }
}

/// Called with paths and the responses to them.
type Take = Rc<dyn Fn(&[String], Result<Vec<String>, Problem>)>;

/// The part of [`fetched`] that is the same for all types.
fn ask(again: Trigger, paths: Box<dyn Fn() -> Option<Vec<String>>>, take: Take) {
    // Responses may arrive out of order: only that of the latest request counts.
    let asked = StoredValue::new(0_u32);
    let answers = use_context::<Answers>();
    Effect::new(move || {
        again.track();
        let Some(paths) = paths() else { return };
        let question = asked.get_value() + 1;
        asked.set_value(question);
        if let Some(answers) = &answers {
            take(&paths, answers.bodies(&paths));
            return;
        }
        let take = take.clone();
        spawn_local(async move {
            let answer = api::get_texts(&paths).await;
            if asked.try_get_value() == Some(question) {
                take(&paths, answer);
            }
        });
    });
}

/// Shows `ready` with the response, a placeholder until it arrives, and the problem if the request fails.
pub fn shown<T, V>(fetched: Fetched<T>, placeholder: Placeholder, ready: impl Fn(T) -> V + Send + Sync + 'static) -> AnyView
where
    T: Clone + Send + Sync + 'static,
    V: IntoView + 'static,
{
    let view = move || match fetched.state.get() {
        Load::Loading => view! { <Skeleton placeholder/> }.into_any(),
        Load::Failed(problem) => view! { <Failure problem page=placeholder.is_page() retry=move || fetched.reload()/> }.into_any(),
        Load::Ready(value) => ready(value).into_any(),
    };
    view! { {move || view()} }.into_any()
}

/// The rough shape of content that is loading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Placeholder {
    Rows,
    Matrix,
    /// A comparison: its numbers and two matrices.
    Matrices,
    /// A row of numbers and two panels.
    Panels,
    /// The whole page of a run.
    RunPage,
    /// The whole page of a sweep.
    SweepPage,
    /// The whole page of a matrix.
    MatrixPage,
}

impl Placeholder {
    /// Whether it replaces a whole page with its heading, or only a part of one.
    fn is_page(self) -> bool {
        matches!(self, Placeholder::RunPage | Placeholder::SweepPage | Placeholder::MatrixPage)
    }

    /// The parts from top to bottom. The style sheet defines their sizes and which stand side by side.
    fn pieces(self) -> &'static [&'static str] {
        match self {
            Placeholder::Rows => &["row"; 5],
            Placeholder::Matrix => &["matrix"],
            Placeholder::Matrices => &["figures", "matrix", "matrix"],
            Placeholder::Panels => &["figures", "half", "half"],
            Placeholder::RunPage => &["title", "figures", "chart"],
            Placeholder::SweepPage => &["title", "half", "half"],
            Placeholder::MatrixPage => &["title", "figures", "matrix", "half"],
        }
    }
}

#[component]
pub fn Skeleton(placeholder: Placeholder) -> impl IntoView {
    let said = "Loading …";
    let said = match placeholder.is_page() {
        true => view! { <h1 class="visually-hidden">{said}</h1> }.into_any(),
        false => view! { <span class="visually-hidden">{said}</span> }.into_any(),
    };
    let piece = |piece: &&str| view! { <div class=format!("skeleton-piece skeleton-{piece}")></div> };
    view! { <div class="skeleton" role="status">{said}{placeholder.pieces().iter().map(piece).collect_view()}</div> }
}

/// Shows a problem in the server's words, with a button to try again.
#[component]
pub fn Failure(
    problem: Problem,
    /// Whether it replaces a whole page, and not a part of one.
    #[prop(optional)]
    page: bool,
    retry: impl Fn() + 'static,
) -> impl IntoView {
    failure(problem, page, Box::new(retry))
}

/// Compiled only once, and not again for each type of `retry`.
fn failure(problem: Problem, page: bool, retry: Box<dyn Fn()>) -> AnyView {
    // A single message is already shown as the detail.
    let more = problem.errors.iter().filter(|error| error.message != problem.detail);
    let more: Vec<_> = more.map(|error| view! { <li><code>{error.field.clone()}</code>": " {error.message.clone()}</li> }).collect();
    // After a reload, the server answers with the form to sign in.
    let signed_out = problem.status == 401;
    let in_trash = problem.is("run-in-trash");
    // Readers of a share have no other pages.
    let elsewhere = page && !browser::is_shared_page();
    let (class, title) = match page {
        true => ("empty", view! { <h1>{problem.title}</h1> }.into_any()),
        false => ("notice notice-error", view! { <h2 class="notice-title">{problem.title}</h2> }.into_any()),
    };
    view! {
        <div class=class role="alert">
            {title}
            <p>{told(&problem.detail)}</p>
            {(!more.is_empty()).then(|| view! { <ul>{more}</ul> })}
            <p class="actions">
                {signed_out.then(|| view! {
                    <button class="button button-primary" type="button" on:click=move |_| browser::reload()>"Sign in"</button>
                })}
                {in_trash.then(|| view! { <a class="button button-primary" href="trash">"Open the trash"</a> })}
                <button class="button" type="button" on:click=move |_| retry()>"Try again"</button>
                {elsewhere.then(|| view! { <a class="button button-quiet" href=".">"All runs"</a> })}
            </p>
        </div>
    }
    .into_any()
}

/// Shows why the server refused the last action, if it did.
pub fn refusal(problem: RwSignal<Option<Problem>>) -> impl IntoView {
    move || problem.get().map(|problem| view! { <div class="notice notice-error" role="alert"><p>{told(&problem.detail)}</p></div> })
}

/// Makes a sentence of an error message. Error messages start in lower case and have no full stop.
pub fn sentence(detail: &str) -> String {
    let mut letters = detail.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase().to_string()).unwrap_or_default();
    let end = if detail.is_empty() || detail.ends_with(['.', '!', '?', '…']) { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}

/// Formats a problem's detail as a sentence; names between backticks become code.
pub fn told(detail: &str) -> AnyView {
    let sentence = sentence(detail);
    // Every second piece was between backticks.
    let piece = |(index, piece): (usize, &str)| match index % 2 {
        0 => piece.to_owned().into_any(),
        _ => view! { <code>{piece.to_owned()}</code> }.into_any(),
    };
    sentence.split('`').enumerate().map(piece).collect_view().into_any()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_error_becomes_a_sentence() {
        for (detail, expected) in
            [("no run `at-1`", "No run `at-1`."), ("`x` is not a size", "`x` is not a size."), ("Done already.", "Done already."), ("", "")]
        {
            assert_eq!(sentence(detail), expected);
        }
    }

    #[test]
    fn what_came_with_the_page_is_read_by_address_and_nothing_else_is_known() {
        let answers = Answers(BTreeMap::from([("api/a".to_owned(), json!([1, 2]))]));
        let read = |path: &str| answers.body(path).and_then(|body| api::parse::<Vec<u32>>(path, &body));
        assert_eq!(read("api/a"), Ok(vec![1, 2]));
        assert!(read("api/b").unwrap_err().detail.contains("api/b"));
    }
}
