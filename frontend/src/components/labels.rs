//! Title, tags and notes that people give to a run: tags as chips, and the dialog that edits all three.

use leptos::prelude::*;
use leptos::task::spawn_local;
use shared::api::{Run, RunChange, RunRow, path};
use shared::id::RunId;
use shared::labels;
use shared::problem::{FieldError, Problem};

use super::dialog::Dialog;
use crate::api;
use crate::form::messages;

/// Initial values of the dialog.
#[derive(Clone, Debug, PartialEq)]
pub struct Labels {
    pub id: RunId,
    pub title: String,
    pub tags: Vec<String>,
    pub notes: String,
}

impl From<&Run> for Labels {
    fn from(run: &Run) -> Self {
        Labels { id: run.id.clone(), title: run.title.clone(), tags: run.tags.clone(), notes: run.notes.clone() }
    }
}

impl From<&RunRow> for Labels {
    fn from(run: &RunRow) -> Self {
        Labels { id: run.id.clone(), title: run.title.clone(), tags: run.tags.clone(), notes: run.notes.clone() }
    }
}

/// Tags as chips, shown beside the title of a run.
pub fn tag_chips(tags: &[String]) -> Option<impl IntoView + use<>> {
    let chips = || tags.iter().map(|tag| view! { <li class="tag-chip">{tag.clone()}</li> }).collect_view();
    (!tags.is_empty()).then(|| view! { <ul class="tag-chips" aria-label="Tags">{chips()}</ul> })
}

/// Tags and notes under the heading of a run, and the button that edits them.
#[component]
pub fn LabelsOfRun(
    run: Memo<Run>,
    /// Called after the server has accepted a change.
    changed: Callback<()>,
) -> impl IntoView {
    let editing = RwSignal::new(None::<Labels>);
    let labels = Memo::new(move |_| run.with(|run| Labels::from(run)));
    view! {
        <div class="run-labels">
            {move || tag_chips(&labels.get().tags)}
            <button class="button button-small" type="button" aria-haspopup="dialog" on:click=move |_| editing.set(Some(labels.get_untracked()))>
                "Rename or tag"
            </button>
        </div>
        {move || Some(labels.get().notes).filter(|notes| !notes.is_empty()).map(|notes| view! { <p class="run-notes">{notes}</p> })}
        <LabelsDialog of=editing done=move || changed.run(())/>
    }
}

/// Dialog that changes the title, tags and notes of a run.
#[component]
pub fn LabelsDialog(
    /// The run to change; `None` while the dialog is closed.
    of: RwSignal<Option<Labels>>,
    #[prop(into)] done: Callback<()>,
) -> impl IntoView {
    let open = Signal::derive(move || of.with(Option::is_some));
    view! {
        <Dialog open close=move || of.set(None) title="Edit run">
            {move || of.get().map(|labels| view! { <LabelsForm labels of done/> })}
        </Dialog>
    }
}

#[component]
fn LabelsForm(labels: Labels, of: RwSignal<Option<Labels>>, done: Callback<()>) -> impl IntoView {
    let Labels { id, title, tags, notes } = labels;
    let (title, tags, notes) = (RwSignal::new(title), RwSignal::new(tags.join(", ")), RwSignal::new(notes));
    let change =
        Memo::new(move |_| RunChange { title: Some(title.get()), tags: Some(labels::tags(&tags.get())), notes: Some(notes.get()) });
    // The same validation as on the server. Further problems of the server are shown as well.
    let wrong = Memo::new(move |_| labels::checked(change.get()).err().unwrap_or_default());
    let refused = RwSignal::new(None::<Problem>);
    let busy = RwSignal::new(false);
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        if busy.get_untracked() || wrong.with_untracked(|wrong| !wrong.is_empty()) {
            return;
        }
        busy.set(true);
        refused.set(None);
        let (address, change) = (path::run(&id), change.get_untracked());
        spawn_local(async move {
            match api::patch::<Run>(&address, &change).await {
                Ok(_) => {
                    let _ = of.try_set(None);
                    done.run(());
                }
                Err(problem) => {
                    let _ = refused.try_set(Some(problem));
                    let _ = busy.try_set(false);
                }
            }
        });
    };
    view! {
        <form class="labels-form" novalidate on:submit=submit>
            {field("labels-title", "Title", "", title, false, wrong)}
            {field("labels-tags", "Tags", "With commas between, such as paper, seed study. The filter finds one with tag:paper.", tags, false, wrong)}
            {field("labels-notes", "Notes", "", notes, true, wrong)}
            {move || refused.get().map(|problem| view! { <p class="field-error" role="alert">{problem.detail}</p> })}
            <p class="actions">
                <button class="button button-primary" type="submit" disabled=move || busy.get()>"Save"</button>
                <button class="button" type="button" on:click=move |_| of.set(None)>"Cancel"</button>
            </p>
        </form>
    }
}

fn field(
    id: &'static str,
    label: &'static str,
    hint: &'static str,
    value: RwSignal<String>,
    long: bool,
    wrong: Memo<Vec<FieldError>>,
) -> impl IntoView {
    let name = id.trim_start_matches("labels-");
    let said = Memo::new(move |_| wrong.with(|errors| messages(errors, name)));
    let invalid = move || said.with(|said| !said.is_empty()).then_some("true");
    let described = format!("{id}-hint {id}-error");
    let input = if long {
        view! {
            <textarea class="input" id=id rows="5" aria-invalid=invalid aria-describedby=described prop:value=move || value.get()
                on:input=move |event| value.set(event_target_value(&event))></textarea>
        }
        .into_any()
    } else {
        view! {
            <input class="input" id=id type="text" autocomplete="off" aria-invalid=invalid aria-describedby=described prop:value=move || value.get()
                on:input=move |event| value.set(event_target_value(&event))/>
        }
        .into_any()
    };
    view! {
        <div class="field">
            <label class="field-label" for=id>{label}</label>
            {input}
            <p class="field-hint" id=format!("{id}-hint")>{hint}</p>
            <div class="field-error" id=format!("{id}-error") aria-live="polite">
                {move || said.get().into_iter().map(|message| view! { <p>{message}</p> }).collect_view()}
            </div>
        </div>
    }
}
