//! The page of deleted runs, where they can be restored or deleted for good.

use leptos::prelude::*;
use shared::api::{RunAction, Trash, TrashedRun, path};
use shared::format;

use crate::browser::use_title;
use crate::components::run_actions::{ConcernedRun, Question, Report, ReportLine, RunActionsDialog, restore};
use crate::load::{Placeholder, fetched, shown};
use crate::{dates, names};

/// Largest number of runs that are listed one by one.
const MOST_LISTED: usize = 200;

#[component]
pub fn TrashPage() -> impl IntoView {
    use_title(|| "Trash".to_owned());
    let trash = fetched::<Trash>(|| Some(path::trash()));
    let (question, report) = (RwSignal::new(None::<Question>), RwSignal::new(None::<Report>));
    let reload = Callback::new(move |()| trash.reload());
    let runs = move || trash.ready().map(|trash| trash.runs).unwrap_or_default();
    let some = Memo::new(move |_| !runs().is_empty());
    let restore_all = move |_| restore(untrack(runs).iter().map(|run| run.id.to_string()).collect(), report, reload);
    let ask = Callback::new(move |runs: Vec<TrashedRun>| {
        let runs = runs.iter().map(ConcernedRun::from).collect();
        question.set(Some(Question { action: RunAction::DeleteForGood, runs }));
    });
    let empty = move |_| ask.run(untrack(runs));
    view! {
        <header class="page-header">
            <div>
                <nav class="crumbs" aria-label="Breadcrumb"><a href=".">"Runs"</a><span aria-hidden="true">"/"</span><span>"Trash"</span></nav>
                <h1>"Trash"</h1>
                <p class="subline">{move || trash.ready().map(|trash| summary(&trash))}</p>
            </div>
            <Show when=move || some.get()>
                <div class="actions">
                    <button class="button" type="button" on:click=restore_all>"Restore all"</button>
                    <button class="button button-danger" type="button" aria-haspopup="dialog" on:click=empty>"Empty"</button>
                </div>
            </Show>
        </header>
        <ReportLine report undone=reload/>
        <RunActionsDialog question report done=move |_: usize| reload.run(())/>
        {shown(trash, Placeholder::Rows, move |Trash { runs, .. }| {
            if runs.is_empty() {
                return view! {
                    <div class="empty">
                        <h2>"The trash is empty"</h2>
                        <p>"Deleted runs come here, with everything that they have written, and can be restored."</p>
                        <p class="actions"><a class="button" href=".">"All runs"</a></p>
                    </div>
                }
                .into_any();
            }
            let more = runs.len().saturating_sub(MOST_LISTED);
            let rows = runs.into_iter().take(MOST_LISTED).map(|run| view! { <Row run report reload ask/> }).collect_view();
            view! {
                <div class="table-box" role="region" aria-label="Deleted runs" tabindex="0">
                    <table class="table card-table">
                        <thead>
                            <tr>
                                <th scope="col">"Run"</th>
                                <th scope="col">"Deleted"</th>
                                <th scope="col">"Gone for good"</th>
                                <th scope="col" class="number">"Disk"</th>
                                <th scope="col"><span class="visually-hidden">"Actions"</span></th>
                            </tr>
                        </thead>
                        <tbody>{rows}</tbody>
                    </table>
                </div>
                {(more > 0).then(|| view! { <p class="muted">{format!("and {} more, deleted before these.", format::count(more as u64))}</p> })}
            }
            .into_any()
        })}
    }
}

#[component]
fn Row(run: TrashedRun, report: RwSignal<Option<Report>>, reload: Callback<()>, ask: Callback<Vec<TrashedRun>>) -> impl IntoView {
    let TrashedRun { id, title, kind, state, sweep, deleted_at, gone_at, disk_bytes } = run.clone();
    let facts = [
        Some(id.to_string()),
        kind.map(|kind| kind.label().to_owned()),
        Some(names::state(state).to_owned()),
        sweep.map(|sweep| sweep.to_string()),
    ];
    let back = StoredValue::new(vec![id.to_string()]);
    let run = StoredValue::new(vec![run]);
    let labels = [format!("Restore {title}"), format!("Delete for good: {title}")];
    let [restore_label, delete_label] = labels;
    view! {
        <tr>
            <th scope="row" class="row-title">
                {title}
                <p class="muted">{facts.into_iter().flatten().collect::<Vec<_>>().join(" · ")}</p>
            </th>
            <td data-label="Deleted">{format!("{} UTC", dates::minute(&deleted_at))}</td>
            <td data-label="Gone for good">{format!("{} UTC", dates::minute(&gone_at))}</td>
            <td data-label="Disk" class="number">{disk_bytes.map_or_else(|| "–".to_owned(), format::bytes)}</td>
            <td>
                <div class="actions">
                    <button
                        class="button button-small" type="button" aria-label=restore_label
                        on:click=move |_| restore(back.get_value(), report, reload)
                    >"Restore"</button>
                    <button
                        class="button button-small button-danger" type="button" aria-haspopup="dialog" aria-label=delete_label
                        on:click=move |_| ask.run(run.get_value())
                    >"Delete for good"</button>
                </div>
            </td>
        </tr>
    }
}

/// How many runs there are, their size, and how long they stay.
fn summary(trash: &Trash) -> String {
    let Trash { days, runs } = trash;
    let kept = match days {
        0 => "Runs are deleted at once on this server.".to_owned(),
        1 => "Deleted runs stay here for a day.".to_owned(),
        days => format!("Deleted runs stay here for {days} days."),
    };
    if runs.is_empty() {
        return kept;
    }
    let bytes: u64 = runs.iter().filter_map(|run| run.disk_bytes).sum();
    let count = format::count(runs.len() as u64);
    format!("{count} {}, {}. {kept}", if runs.len() == 1 { "run" } else { "runs" }, format::bytes(bytes))
}

#[cfg(test)]
mod tests {
    use shared::api::RunState;
    use shared::config::RunKind;

    use super::*;

    #[test]
    fn the_trash_says_what_it_holds_and_for_how_long() {
        let run = |id: &str, disk_bytes| TrashedRun {
            id: id.parse().unwrap(),
            title: id.to_owned(),
            kind: Some(RunKind::Train),
            state: RunState::Failed,
            sweep: None,
            deleted_at: String::new(),
            gone_at: String::new(),
            disk_bytes,
        };
        let said = |days, runs: &[TrashedRun]| summary(&Trash { days, runs: runs.to_vec() });
        assert_eq!(said(7, &[]), "Deleted runs stay here for 7 days.");
        assert_eq!(said(1, &[run("a", Some(2 << 20))]), "1 run, 2.0 MiB. Deleted runs stay here for a day.");
        assert_eq!(said(7, &[run("a", Some(1 << 20)), run("b", None)]), "2 runs, 1.0 MiB. Deleted runs stay here for 7 days.");
    }
}
