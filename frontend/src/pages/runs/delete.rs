//! Asks before runs are gone.

use leptos::task::spawn_local;
use shared::api::Run;
use shared::problem::Problem;

use crate::api;
use crate::components::dialog::Dialog;
use crate::prelude::*;
use crate::reactive::derived;

/// A run as the question names it.
#[derive(Clone, Debug, PartialEq)]
pub struct RunName {
    pub id: String,
    pub title: String,
}

impl From<&Run> for RunName {
    fn from(run: &Run) -> Self {
        RunName { id: run.id.clone(), title: run.title.clone() }
    }
}

#[component]
pub fn DeleteRunsDialog(
    /// The runs to ask about; none while nobody asks.
    runs: RwSignal<Vec<RunName>>,
    #[prop(into)] done: Callback<()>,
) -> impl IntoView {
    let problem = RwSignal::new(None::<Problem>);
    let close = move || {
        problem.set(None);
        runs.set(Vec::new());
    };
    let delete = move |_| {
        let asked = runs.get_untracked();
        spawn_local(async move {
            for RunName { id, .. } in asked {
                if let Err(error) = api::delete(&format!("api/runs/{id}")).await {
                    let _ = problem.try_set(Some(error));
                    return;
                }
            }
            close();
            done.run(());
        });
    };
    let question = move || match runs.get().as_slice() {
        [] => String::new(),
        [run] => format!("“{}” with its checkpoints, matrices and links will be gone for good.", run.title),
        several => format!("{} runs with their checkpoints, matrices and links will be gone for good.", several.len()),
    };
    view! {
        <Dialog open=derived(move || runs.with(|runs| !runs.is_empty())) close title="Delete run">
            <p>{move || question()}</p>
            {move || problem.get().map(|problem| view! { <p class="field-error" role="alert">{problem.detail}</p> })}
            <p class="actions">
                <button class="button button-danger" type="button" on:click=delete>"Delete"</button>
                <button class="button" type="button" on:click=move |_| close()>"Keep"</button>
            </p>
        </Dialog>
    }
}
