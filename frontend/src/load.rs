//! What a page waits for: loading, failed or there, and the look of the first two.

use std::collections::BTreeMap;
use std::rc::Rc;

use leptos::prelude::*;
use leptos::task::spawn_local;
use serde::de::DeserializeOwned;
use serde_json::Value;
use shared::problem::Problem;

use crate::{api, browser};

/// An answer of the server, or the lack of one.
#[derive(Clone, Debug, PartialEq)]
pub enum Load<T> {
    Loading,
    Failed(Problem),
    Ready(T),
}

/// An answer that is fetched again when its address changes or on demand.
///
/// While the next answer is on its way the former one stays. Not a `LocalResource`, which asks the next question only once the former one is
/// answered: here the latest question is asked at once, and its answer counts.
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

/// Answers that came with the page, by address: the reader of a share asks the server for nothing else.
#[derive(Clone, Debug)]
pub struct Answers(pub BTreeMap<String, Value>);

impl Answers {
    /// What the server would answer.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Problem> {
        self.body(path).and_then(|body| api::parse(path, &body))
    }

    /// The body that the server would send.
    fn body(&self, path: &str) -> Result<String, Problem> {
        self.0.get(path).map(Value::to_string).ok_or_else(|| Problem {
            kind: "about:blank".into(),
            title: "Not part of this link".into(),
            status: 404,
            detail: format!("the link does not carry {path}"),
            errors: Vec::new(),
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
    let take = move |path: &str, answer: Result<String, Problem>| {
        let _ = state.try_set(match answer.and_then(|body| api::parse(path, &body)) {
            Ok(value) => Load::Ready(value),
            Err(problem) => Load::Failed(problem),
        });
    };
    ask(again, Box::new(path), Rc::new(take));
    Fetched { state, again }
}

/// Takes in the answer of a path.
type Take = Rc<dyn Fn(&str, Result<String, Problem>)>;

/// What asking has in common for answers of every type.
fn ask(again: Trigger, path: Box<dyn Fn() -> Option<String>>, take: Take) {
    // Answers may overtake each other: only the latest question's counts.
    let asked = StoredValue::new(0_u32);
    let answers = use_context::<Answers>();
    Effect::new(move || {
        again.track();
        let Some(path) = path() else { return };
        let question = asked.get_value() + 1;
        asked.set_value(question);
        if let Some(answers) = &answers {
            take(&path, answers.body(&path));
            return;
        }
        let take = take.clone();
        spawn_local(async move {
            let answer = api::get_text(&path).await;
            if asked.try_get_value() == Some(question) {
                take(&path, answer);
            }
        });
    });
}

/// Shows `ready` of the answer, a placeholder until it is there, and what went wrong if it does not come.
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

/// The rough shape of what is about to be there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Placeholder {
    Rows,
    Matrix,
    /// Of a comparison: its numbers and two matrices.
    Matrices,
    /// Numbers and two panels.
    Panels,
    /// The whole page of a run.
    RunPage,
    /// The whole page of a sweep.
    SweepPage,
    /// The whole page of a matrix.
    MatrixPage,
}

impl Placeholder {
    /// Whether it stands for a page with its heading, and not for a part below one.
    fn is_page(self) -> bool {
        matches!(self, Placeholder::RunPage | Placeholder::SweepPage | Placeholder::MatrixPage)
    }

    /// Its pieces from above; the style sheet says how large each is and which stand beside each other.
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

/// A problem in the server's own words, and a way to try again.
#[component]
pub fn Failure(
    problem: Problem,
    /// Whether it stands in place of a whole page, and not in a part of one.
    #[prop(optional)]
    page: bool,
    retry: impl Fn() + 'static,
) -> impl IntoView {
    failure(problem, page, Box::new(retry))
}

/// For every type of `retry` the same code.
fn failure(problem: Problem, page: bool, retry: Box<dyn Fn()>) -> AnyView {
    // What is wrong in a single place is said above already.
    let more = problem.errors.iter().filter(|error| error.message != problem.detail);
    let more: Vec<_> = more.map(|error| view! { <li><code>{error.field.clone()}</code>": " {error.message.clone()}</li> }).collect();
    // The server answers the page itself with the form to sign in.
    let signed_out = problem.status == 401;
    // The reader of a link has no other pages.
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
                <button class="button" type="button" on:click=move |_| retry()>"Try again"</button>
                {elsewhere.then(|| view! { <a class="button button-quiet" href=".">"All runs"</a> })}
            </p>
        </div>
    }
    .into_any()
}

/// What the server said to the last thing one asked of it, if it refused.
pub fn refusal(problem: RwSignal<Option<Problem>>) -> impl IntoView {
    move || problem.get().map(|problem| view! { <p class="notice notice-error" role="alert">{told(&problem.detail)}</p> })
}

/// What an error says, as a sentence of its own: errors are written to stand within another.
pub fn sentence(detail: &str) -> String {
    let mut letters = detail.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase().to_string()).unwrap_or_default();
    let end = if detail.is_empty() || detail.ends_with(['.', '!', '?', '…']) { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}

/// What a problem says, as a sentence with its names set as code.
pub fn told(detail: &str) -> AnyView {
    let sentence = sentence(detail);
    // Every other piece stands between backticks.
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
