//! The page of the queue: running and waiting runs of each lane, their order, and when they will finish.

use std::time::Duration;

use leptos::prelude::*;
use leptos::task::spawn_local;
use shared::api::{
    DeviceQueue, Estimate, EstimateBasis, LaneKind, Queue, QueueChange, QueueMove, QueuePlace, QueuedRun, Run, RunAction, RunRow, RunState,
    path,
};
use shared::format;
use shared::id::RunId;
use shared::problem::Problem;
use shared::rundir::StopReason;
use wasm_bindgen::JsCast;

use crate::browser::{every, use_title};
use crate::components::badge::{Standing, progress, state_badge};
use crate::components::health::WorkerBanner;
use crate::components::job::job_text;
use crate::components::run_actions::{ConcernedRun, Question, Report, ReportLine, RunActionsDialog};
use crate::latest::latest;
use crate::load::{Failure, Fetched, Load, Placeholder, Skeleton, fetched, refusal, told};
use crate::{api, names, urls};

const REFRESH: Duration = Duration::from_secs(2);

#[component]
pub fn QueuePage() -> impl IntoView {
    use_title(|| "Queue".to_owned());
    let queue = fetched::<Queue>(|| Some(path::queue()));
    every(REFRESH, move || queue.reload());
    let problem = RwSignal::new(None::<Problem>);
    let moves = Moves { said: RwSignal::new(String::new()), button: StoredValue::new(None), problem };
    Effect::new(move || {
        queue.state.track();
        // After a move, the focus follows the button to the new position of the run.
        if let Some(button) = moves.button.try_update_value(Option::take).flatten() {
            request_animation_frame(move || {
                let element = document().get_element_by_id(&button).map(|element| element.unchecked_into::<web_sys::HtmlElement>());
                if let Some(element) = element {
                    // Fails only if there is no window to focus.
                    let _ = element.focus();
                }
            });
        }
    });
    let count = move |state: RunState| {
        queue.state.with(|queue| match queue {
            Load::Ready(queue) => queue.devices.iter().flat_map(|device| &device.runs).filter(|run| run.run.state == state).count(),
            Load::Loading | Load::Failed(_) => 0,
        })
    };
    // Ready with whether anything runs or waits.
    let phase = Memo::new(move |_| {
        queue.state.with(|queue| match queue {
            Load::Loading => Load::Loading,
            Load::Failed(problem) => Load::Failed(problem.clone()),
            Load::Ready(queue) => Load::Ready(queue.devices.iter().any(|device| !device.runs.is_empty())),
        })
    });
    let (question, report) = (RwSignal::new(None::<Question>), RwSignal::new(None::<Report>));
    let idle = Memo::new(move |_| phase.get() != Load::Ready(true));
    let cancel_all = move |_| {
        let queued = untrack(move || queue.ready()).into_iter().flat_map(|queue| queue.devices).flat_map(|device| device.runs);
        let runs: Vec<ConcernedRun> = queued.map(|queued| ConcernedRun::from(&queued.run)).collect();
        if !runs.is_empty() {
            question.set(Some(Question { action: RunAction::Cancel, runs }));
        }
    };
    let paused = Memo::new(move |_| queue.ready().is_some_and(|queue| queue.paused));
    let asking = RwSignal::new(false);
    let pause = move |_| {
        let change = QueueChange { paused: !paused.get_untracked() };
        asking.set(true);
        spawn_local(async move {
            let _ = problem.try_set(api::patch::<Queue>(&path::queue(), &change).await.err());
            let _ = asking.try_set(false);
            queue.reload();
        });
    };
    let devices =
        Memo::new(move |_| queue.ready().into_iter().flat_map(|queue| queue.devices).map(|device| device.device).collect::<Vec<_>>());
    let summary = move || format!("{} running, {} waiting", count(RunState::Running), count(RunState::Queued));
    view! {
        <header class="page-header">
            <div>
                <h1>"Queue"</h1>
                <p class="subline" aria-live="polite">{move || summary()}</p>
            </div>
            <div class="actions">
                <a class="button button-primary" href="new">"New run"</a>
                <button class="button" type="button" disabled=asking on:click=pause>
                    {move || if paused.get() { "Let the queue go on" } else { "Pause the queue" }}
                </button>
                <button
                    class="button button-danger" class:button-off=move || idle.get() type="button" aria-haspopup="dialog"
                    aria-disabled=move || idle.get().then_some("true") on:click=cancel_all
                >"Cancel all"</button>
            </div>
        </header>
        <ReportLine report undone=move || queue.reload()/>
        <RunActionsDialog question report done=move |_: usize| queue.reload()/>
        <p class="visually-hidden" role="status">{move || moves.said.get()}</p>
        <WorkerBanner/>
        <Show when=move || paused.get()>
            <div class="notice notice-warning"><p>"The queue is paused: what runs goes on, and nothing else starts."</p></div>
        </Show>
        {refusal(problem)}
        {move || match phase.get() {
            Load::Loading => view! { <Skeleton placeholder=Placeholder::Rows/> }.into_any(),
            Load::Failed(problem) => view! { <Failure problem retry=move || queue.reload()/> }.into_any(),
            Load::Ready(false) => view! {
                <section class="empty">
                    <h2>"Nothing runs and nothing waits"</h2>
                    <p>"Runs of a lane start in the order of this page, as soon as it has room. Whatever you start appears here."</p>
                    <p class="actions"><a class="button button-primary" href="new">"Set up a run"</a></p>
                </section>
            }
            .into_any(),
            Load::Ready(true) => view! {
                <For each=move || devices.get() key=Clone::clone let:device>
                    <DevicePanel device queue moves/>
                </For>
            }
            .into_any(),
        }}
    }
}

/// The state of the last move.
#[derive(Clone, Copy)]
struct Moves {
    /// The new position of the run, announced by screen readers.
    said: RwSignal<String>,
    /// Id of the pressed button, until the next response is drawn.
    button: StoredValue<Option<String>>,
    problem: RwSignal<Option<Problem>>,
}

/// A run of the queue and its position.
#[derive(Clone, Debug, PartialEq)]
struct Placed {
    queued: QueuedRun,
    first: bool,
    last: bool,
    /// Number of runs that wait before it.
    before: usize,
}

fn placed(runs: Vec<QueuedRun>) -> Vec<Placed> {
    let count = runs.len();
    let first_waiting = runs.iter().position(|run| run.run.state == RunState::Queued).unwrap_or(count);
    let place = |(index, queued): (usize, QueuedRun)| Placed {
        queued,
        first: index <= first_waiting,
        last: index + 1 == count,
        before: index.saturating_sub(first_waiting),
    };
    runs.into_iter().enumerate().map(place).collect()
}

#[component]
fn DevicePanel(device: String, queue: Fetched<Queue>, moves: Moves) -> impl IntoView {
    let heading = format!("queue-{}", device.replace(':', "-"));
    let label = heading.clone();
    let here = {
        let device = device.clone();
        Memo::new(move |_| queue.ready().and_then(|queue| queue.devices.into_iter().find(|known| known.device == device)))
    };
    let name = move || here.with(|here: &Option<DeviceQueue>| here.as_ref().and_then(|here| here.name.clone()));
    let several = move || here.with(|here| here.as_ref().and_then(|here| here.at_once).filter(|count| *count > 1));
    let runs = Memo::new(move |_| placed(here.get().map(|here| here.runs).unwrap_or_default()));
    let ids = Memo::new(move |_| runs.with(|runs| runs.iter().map(|run| run.queued.run.id.clone()).collect::<Vec<_>>()));
    let all = move || runs.with(|runs| runs.last().filter(|_| runs.len() > 1).and_then(|run| run.queued.finishes_in_secs));
    let missing = move || name().is_none() && !ids.with(Vec::is_empty);
    let kind = move || here.with(|here| here.as_ref().and_then(|here| here.kind).filter(|kind| *kind != LaneKind::Local));
    let trouble = move || here.with(|here| here.as_ref().and_then(|here| here.trouble.clone()));
    // The elements of a row stay with the run when it moves, so that a click never hits another run.
    let row = move |id: RunId| {
        let found = move || runs.with(|runs| runs.iter().find(|run| run.queued.run.id == id).cloned());
        let run = latest(untrack(&found)?, found);
        Some(view! { <li class="queue-run">{move || queue_row(run.get(), queue, moves)}</li> })
    };
    view! {
        <section class="panel queue-device" aria-labelledby=label>
            <div class="panel-header">
                <h2 id=heading>{device}" "<span class="muted">{move || kind().map(|kind| format!("{}: ", kind.label()))}{move || name()}{move || several().map(|count| format!(" · {count} runs at once"))}</span></h2>
                {move || all().map(|seconds| view! { <p class="muted">{format!("All done in about {}", format::duration(seconds))}</p> })}
            </div>
            {move || missing().then(|| view! {
                <p class="muted">"There is no lane of this name now: these runs wait until there is, unless you move them. On a device that this machine does not have they fail."</p>
            })}
            {move || trouble().map(|why| view! {
                <div class="notice notice-warning" role="status"><p>{told(&format!("this lane is down: {why}"))}" What runs there goes on, and what waits is tried again."</p></div>
            })}
            <Show
                when=move || !ids.with(Vec::is_empty)
                fallback=|| view! { <p class="muted">"Free: the next run for this lane starts at once."</p> }
            >
                <ol class="queue-list"><For each=move || ids.get() key=Clone::clone children=row/></ol>
            </Show>
        </section>
    }
}

fn queue_row(placed: Placed, queue: Fetched<Queue>, moves: Moves) -> impl IntoView {
    let Placed { queued, first, last, before } = placed;
    let finishes = finishes(&queued);
    let QueuedRun { run, estimate, .. } = queued;
    let waits = run.state == RunState::Queued;
    let standing = Standing::of_row(&run, u32::try_from(before).ok());
    let takes = takes(estimate.as_ref());
    let job = run.job.as_ref().and_then(job_text);
    let lanes = waits.then(|| lane_choice(&run, queue, moves));
    let (id, title, stopping) = (run.id.clone(), run.title.clone(), run.stopping);
    let stop = |address: fn(&RunId) -> String, reason: StopReason, class: &'static str, label: &'static str| {
        let address = address(&id);
        let click = move |_| {
            let address = address.clone();
            spawn_local(async move {
                let _ = moves.problem.try_set(api::post_empty(&address).await.err());
                queue.reload();
            });
        };
        let going_on = stopping == Some(reason);
        let off = going_on || stopping == Some(StopReason::Cancel);
        view! {
            <button class=class type="button" disabled=off aria-label=format!("{label}: {title}") on:click=click>
                {if going_on { format!("{} …", names::stopping(reason)) } else { label.to_owned() }}
            </button>
        }
    };
    let mover = |text: &'static str, what: &'static str, to: QueuePlace, at_end: bool| {
        let (address, label) = (path::run_move(&id), format!("{what}: {title}"));
        let button = format!("{to:?}-{id}").to_ascii_lowercase();
        let pressed = button.clone();
        let click = move |_| {
            let (address, pressed) = (address.clone(), pressed.clone());
            spawn_local(async move {
                match api::post::<Run>(&address, &QueueMove { to: Some(to), lane: None }).await {
                    Ok(Run { title, queue_position, .. }) => {
                        let place = queue_position
                            .map_or_else(String::new, |before| format!("{title} is now number {} of those that wait", before + 1));
                        let _ = moves.said.try_set(place);
                        moves.button.try_set_value(Some(pressed));
                        let _ = moves.problem.try_set(None);
                    }
                    Err(error) => {
                        let _ = moves.problem.try_set(Some(error));
                    }
                }
                queue.reload();
            });
        };
        // A button that no longer applies is not `disabled`, so that it keeps the focus.
        let disabled = at_end.then_some("true");
        view! { <button class="button button-small" type="button" id=button aria-label=label title=what aria-disabled=disabled class:button-off=at_end on:click=click>{text}</button> }
    };
    let movers = waits.then(|| {
        view! {
            {mover("⤒", "Move to the front", QueuePlace::Front, first)}
            {mover("↑", "Move up", QueuePlace::Up, first)}
            {mover("↓", "Move down", QueuePlace::Down, last)}
        }
    });
    view! {
            <div class="queue-name">
                <a class="run-title" href=urls::href(&urls::run(&id))>{title.clone()}</a>
                <span class="run-id">{id.to_string()}</span>
                {job.map(|job| view! { <span class="muted">{job}</span> })}
            </div>
            <div class="queue-state">{state_badge(standing)}{progress(standing)}</div>
            <dl class="queue-times">
                <div><dt>{if waits { "Takes" } else { "Left" }}</dt><dd>{takes}</dd></div>
                <div><dt>"Finishes"</dt><dd>{finishes}</dd></div>
            </dl>
            <div class="actions">
                {movers}
                {lanes}
                {stop(path::run_pause, StopReason::Pause, "button button-small", "Pause")}
                {stop(path::run_cancel, StopReason::Cancel, "button button-small button-danger", "Cancel")}
            </div>
    }
}

/// The choice of another lane for a run that waits; nothing where there is only one lane.
fn lane_choice(run: &RunRow, queue: Fetched<Queue>, moves: Moves) -> Option<impl IntoView + use<>> {
    let known = untrack(move || queue.ready()).map(|queue| queue.devices).unwrap_or_default();
    let names: Vec<String> = known.into_iter().filter(|lane| lane.kind.is_some()).map(|lane| lane.device).collect();
    if names.iter().all(|name| *name == run.device) {
        return None;
    }
    let (address, own, title) = (path::run_move(&run.id), run.device.clone(), run.title.clone());
    let change = move |event| {
        let (address, title, lane) = (address.clone(), title.clone(), event_target_value(&event));
        spawn_local(async move {
            let sent = api::post::<Run>(&address, &QueueMove { to: None, lane: Some(lane.clone()) }).await;
            if sent.is_ok() {
                let _ = moves.said.try_set(format!("{title} waits for {lane} now"));
            }
            let _ = moves.problem.try_set(sent.err());
            queue.reload();
        });
    };
    let option = move |name: String| {
        let selected = name == own;
        view! { <option value=name.clone() selected=selected>{name.clone()}</option> }
    };
    let label = format!("Lane of {}", run.title);
    Some(view! { <select class="input" aria-label=label on:change=change>{names.into_iter().map(option).collect_view()}</select> })
}

/// How long a run takes, and what the estimate is based on.
fn takes(estimate: Option<&Estimate>) -> String {
    match estimate {
        Some(Estimate { seconds, basis: EstimateBasis::Progress }) => format!("{}, at its pace so far", format::duration(*seconds)),
        Some(Estimate { seconds, basis: EstimateBasis::EarlierRuns }) => format!("{}, as earlier runs like it", format::duration(*seconds)),
        Some(Estimate { seconds, basis: EstimateBasis::OtherRuns }) => {
            format!("{}, as fast as other runs", format::roughly(*seconds))
        }
        Some(Estimate { seconds, basis: EstimateBasis::Measurement }) => {
            format!("{}, by a short measurement of the device", format::roughly(*seconds))
        }
        None => "unknown: nothing like it has run here yet".to_owned(),
    }
}

fn finishes(run: &QueuedRun) -> String {
    match (run.finishes_in_secs, &run.estimate) {
        (Some(seconds), _) => format!("in about {}", format::duration(seconds)),
        (None, None) => "unknown".to_owned(),
        (None, Some(_)) => "unknown: so is a run before it, or no run can start".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::tests::row;

    #[test]
    fn what_is_not_known_is_said_to_be_unknown() {
        let estimate = |basis| Some(Estimate { seconds: 75.0, basis });
        assert_eq!(takes(estimate(EstimateBasis::Progress).as_ref()), "1 min 15 s, at its pace so far");
        assert_eq!(takes(estimate(EstimateBasis::EarlierRuns).as_ref()), "1 min 15 s, as earlier runs like it");
        assert_eq!(takes(estimate(EstimateBasis::OtherRuns).as_ref()), "about 1 minute, as fast as other runs");
        assert!(takes(None).starts_with("unknown"));
        let run = |estimate, finishes_in_secs| finishes(&QueuedRun { run: row("a"), estimate, finishes_in_secs });
        assert_eq!(run(estimate(EstimateBasis::Progress), Some(90.0)), "in about 1 min 30 s");
        assert_eq!(run(None, None), "unknown");
        assert!(run(estimate(EstimateBasis::EarlierRuns), None).contains("a run before it"));
    }
}
