//! Names runs that the server cannot read, which have no row in the table.

use leptos::prelude::*;
use leptos::task::spawn_local;
use shared::api::{UnreadableRun, path};
use shared::id::RunId;
use shared::problem::Problem;

use crate::api;
use crate::rows::Rows;

/// A notice with a button to delete each of them; empty if there are none.
#[component]
pub fn Unreadable(rows: Rows) -> impl IntoView {
    let problem = RwSignal::new(None::<Problem>);
    let delete = move |id: RunId| {
        spawn_local(async move {
            match api::delete(&path::run(&id)).await {
                Ok(()) => rows.refresh(),
                Err(error) => {
                    let _ = problem.try_set(Some(error));
                }
            }
        });
    };
    let item = move |run: UnreadableRun| {
        let UnreadableRun { id, title, message } = run;
        view! {
            <li>
                <p><strong>{title}</strong>" "<code>{id.to_string()}</code>": "{message}"."</p>
                <p class="actions">
                    <button
                        class="button button-small button-danger" type="button" aria-label=format!("Delete {id}")
                        on:click=move |_| delete(id.clone())
                    >
                        "Delete"
                    </button>
                </p>
            </li>
        }
    };
    move || {
        let runs = rows.unreadable.get();
        (!runs.is_empty()).then(|| {
            view! {
                <section class="notice notice-warning" aria-labelledby="unreadable-title">
                    <h2 class="notice-title" id="unreadable-title">"Runs that this version cannot read"</h2>
                    <p>"They are not in the table and do not start. Start the version of CrossLens that made them, or delete them."</p>
                    <ul>{runs.into_iter().map(item).collect_view()}</ul>
                    {problem.get().map(|problem| view! { <p class="field-error" role="alert">{problem.detail}</p> })}
                </section>
            }
        })
    }
}
