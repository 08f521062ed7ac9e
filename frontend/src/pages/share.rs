//! The page of a share: one view from a single response, read-only.

use std::sync::Arc;

use leptos::prelude::*;
use shared::api::{Attribution, Comparison, SharedContent, SharedView, path};
use shared::config::Inputs;
use shared::id::{RunId, ShareToken};
use shared::view::{Lens, View};

use super::attribution::AttributionView;
use super::compare::{ComparisonView, RunsCompared};
use super::run::{RunView, Selection};
use crate::browser::{self, use_title};
use crate::cache::Cache;
use crate::components::explorer::Explorer;
use crate::dates;
use crate::load::{Answers, Failure, Load, Placeholder, Skeleton, fetched, told};
use crate::url_state::{UrlState, use_id};
use crate::viewer::Viewer;

#[component]
pub fn SharedPage() -> impl IntoView {
    let token = use_id::<ShareToken>("token");
    let view = fetched::<SharedView>(move || token.with(|token| token.as_ref().map(path::share)));
    use_title(move || view.ready().map_or_else(|| "Shared view".to_owned(), |view| view.share.title));
    let nothing = || {
        view! {
            <div class="empty">
                <h1>"This link opens nothing"</h1>
                <p>"It may be incomplete, or whoever shared it has withdrawn it, or deleted the run that it showed. Ask them for a new one."</p>
            </div>
        }
        .into_any()
    };
    move || match view.state.get() {
        Load::Loading if token.with(Option::is_none) => nothing(),
        Load::Loading => view! { <Skeleton placeholder=Placeholder::MatrixPage/> }.into_any(),
        Load::Failed(problem) if problem.status == 404 => nothing(),
        Load::Failed(problem) if problem.status == 410 => view! {
            <div class="empty">
                <h1>{if problem.is("share-deleted") { "This was deleted" } else { "This link has expired" }}</h1>
                <p>{told(&problem.detail)}</p>
            </div>
        }
        .into_any(),
        Load::Failed(problem) => view! { <Failure problem page=true retry=move || view.reload()/> }.into_any(),
        Load::Ready(view) => view! { <Opened view/> }.into_any(),
    }
}

#[component]
fn Opened(view: SharedView) -> impl IntoView {
    let SharedView { share, content, as_of, answers } = view;
    let unfinished = unfinished(&content, &as_of);
    let answers = Answers(answers);
    // A baseline over other classes is part of the share but is ignored, as on the owner's page.
    let baseline = lens_of(&share.view).baseline.and_then(|id| answers.attribution(&id).ok().map(Arc::new));
    provide_context(answers);
    provide_context(Viewer::ShareReader);
    // Readers can change the lens on the page; the link stays the same.
    let explorer = || Explorer::new(UrlState::local(lens_of(&share.view)));
    let content = match content {
        SharedContent::Run { run, metrics } => {
            let selection = UrlState::local(Selection::of(view_of(&share.view, &run.id)));
            let (run, metrics) = (Memo::new(move |_| *run.clone()), Memo::new(move |_| *metrics.clone()));
            view! { <RunView run metrics selection matrices=Cache::of_attributions()/> }.into_any()
        }
        SharedContent::Attribution { attribution } => {
            let attribution: Arc<Attribution> = attribution.into();
            let (attribution, baseline) = (Memo::new(move |_| attribution.clone()), Memo::new(move |_| baseline.clone()));
            view! { <AttributionView attribution baseline explorer=explorer()/> }.into_any()
        }
        SharedContent::Compare { comparison } => {
            let comparison: Arc<Comparison> = comparison.into();
            let comparison = Memo::new(move |_| comparison.clone());
            let explorer = explorer();
            let of = share.view.parse().map_or(1, |view| if let View::Compare { of, .. } = view { of } else { 1 });
            view! {
                <ComparisonView comparison explorer of=UrlState::local(of)/>
                <RunsCompared comparison lens=explorer.lens/>
            }
            .into_any()
        }
    };
    view! {
        <header class="page-header">
            <div>
                <p class="eyebrow">"Shared view · read-only"</p>
                <h1>{share.title.clone()}</h1>
                <p class="subline">{format!("Shared {} UTC. {}.", dates::minute(&share.created_at), dates::until(&share))}</p>
            </div>
        </header>
        {unfinished.map(|told| view! {
            <div class="notice" role="note">
                <h2 class="notice-title">"This run has not finished"</h2>
                <p>{told}</p>
                <p class="actions"><button class="button button-small" type="button" on:click=move |_| browser::reload()>"Load the latest"</button></p>
            </div>
        })}
        {(!share.note.is_empty()).then(|| view! { <p class="finding share-note">{share.note.clone()}</p> })}
        {content}
    }
}

/// A sentence on the age of the view, if the run was not finished; `None` otherwise.
fn unfinished(content: &SharedContent, as_of: &str) -> Option<String> {
    let SharedContent::Run { run, metrics } = content else { return None };
    let at = if as_of.is_empty() { "when the page was opened".to_owned() } else { format!("{} UTC", dates::minute(as_of)) };
    let epochs = if run.summary.epochs > 0 { format!(" of {}", run.summary.epochs) } else { String::new() };
    let far = match metrics.epochs.last() {
        Some(epoch) => format!("after epoch {}{epochs}", epoch.epoch),
        None => "before its first epoch has finished".to_owned(),
    };
    (!run.state.is_finished()).then(|| format!("What is below is of {at}, {far}. The page does not refresh by itself."))
}

/// The shared view; the default view of the run if `view` cannot be parsed.
fn view_of(view: &str, run: &RunId) -> View {
    let plain = || View::Run { run: run.clone(), epoch: None, inputs: Inputs::Adversarial, lens: Lens::default() };
    view.parse().unwrap_or_else(|_| plain())
}

/// The lens of the shared view; the default lens if `view` cannot be parsed.
fn lens_of(view: &str) -> Lens {
    view.parse().map_or_else(|_| Lens::default(), |view: View| view.lens().clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::api::{Run, RunState, RunSummary};
    use shared::fixtures;
    use shared::record::Metrics;
    use shared::view::{Order, Scale};

    #[test]
    fn a_view_of_a_live_run_says_of_when_it_is() {
        let metrics = crate::pages::run::tests::metrics();
        let content = |state, metrics| {
            let summary = RunSummary { epochs: 60, ..RunSummary::default() };
            let run = Run { state, summary, ..fixtures::run("at-1") };
            SharedContent::Run { run: Box::new(run), metrics: Box::new(metrics) }
        };
        let told = unfinished(&content(RunState::Running, metrics.clone()), "2026-11-29T12:30:05Z").unwrap();
        assert_eq!(told, "What is below is of 2026-11-29 12:30 UTC, after epoch 3 of 60. The page does not refresh by itself.");
        let told = unfinished(&content(RunState::Queued, Metrics::default()), "").unwrap();
        assert!(told.contains("when the page was opened, before its first epoch"), "{told}");
        assert_eq!(unfinished(&content(RunState::Succeeded, metrics), "2026-11-29T12:30:05Z"), None);
    }

    #[test]
    fn the_sender_s_lens_is_the_reader_s_first() {
        let lens = lens_of("/compare?a=r.e1.clean&b=r.e2.clean&order=similarity&scale=fitted&cell=1,2");
        assert_eq!(lens, Lens { order: Order::Similarity, scale: Scale::Fitted, cell: Some((1, 2)), ..Lens::default() });
        assert_eq!(lens_of("/runs/at-1"), Lens::default());
    }
}
