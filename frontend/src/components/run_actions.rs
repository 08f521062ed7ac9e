//! Actions on many runs: the dialog that asks for confirmation, the requests, and the line that reports the
//! result.

use leptos::prelude::*;
use leptos::task::spawn_local;
use shared::api::{Health, Run, RunAction, RunActions, RunActionsAnswer, RunChange, RunOutcome, RunRow, RunState, TrashedRun, path};
use shared::format;
use shared::id::RunId;
use shared::labels;
use shared::problem::Problem;

use super::dialog::Dialog;
use crate::api;
use crate::load::{fetched, sentence, told};

/// How many refusals are listed.
const MOST_NAMED: usize = 8;

/// What the dialog needs to know of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct ConcernedRun {
    pub id: RunId,
    pub title: String,
    pub state: RunState,
    /// Written by another program, which alone can pause it or go on with it.
    pub external: bool,
}

impl From<&Run> for ConcernedRun {
    fn from(run: &Run) -> Self {
        let external = !run.config.kind().is_submitted();
        ConcernedRun { id: run.id.clone(), title: run.title.clone(), state: run.state, external }
    }
}

impl From<&RunRow> for ConcernedRun {
    fn from(run: &RunRow) -> Self {
        let external = !run.kind.is_submitted();
        ConcernedRun { id: run.id.clone(), title: run.title.clone(), state: run.state, external }
    }
}

impl From<&TrashedRun> for ConcernedRun {
    fn from(run: &TrashedRun) -> Self {
        let external = run.kind.is_some_and(|kind| !kind.is_submitted());
        ConcernedRun { id: run.id.clone(), title: run.title.clone(), state: run.state, external }
    }
}

/// The action to confirm, and the runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    pub action: RunAction,
    pub runs: Vec<ConcernedRun>,
}

/// The result of an action.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    pub said: String,
    /// Why runs were refused; at most [`MOST_NAMED`] reasons.
    pub refused: Vec<String>,
    /// The number of other refusals.
    pub more: usize,
    /// Names of the runs that were moved to the trash.
    pub undo: Vec<String>,
}

impl Report {
    /// The number of runs that were refused.
    pub fn refused(&self) -> usize {
        self.refused.len() + self.more
    }
}

/// A report for the next page, because the page of the action is left.
#[derive(Clone, Copy)]
pub struct CarriedReport(StoredValue<Option<Report>>);

/// Provides the carried report as context.
pub fn provide_carried_report() {
    provide_context(CarriedReport(StoredValue::new(None)));
}

impl CarriedReport {
    pub fn set(self, report: Option<Report>) {
        self.0.set_value(report);
    }

    /// A signal with the report that was carried to this page, if one was.
    pub fn taken(self) -> RwSignal<Option<Report>> {
        RwSignal::new(self.0.try_update_value(Option::take).flatten())
    }
}

pub fn use_carried_report() -> CarriedReport {
    expect_context()
}

/// Asks for confirmation, performs the action and sets `report`.
#[component]
pub fn RunActionsDialog(
    /// The action to confirm; `None` while the dialog is closed.
    question: RwSignal<Option<Question>>,
    report: RwSignal<Option<Report>>,
    /// Called with the number of refused runs after all requests.
    #[prop(into)]
    done: Callback<(usize,)>,
) -> impl IntoView {
    let open = Signal::derive(move || question.with(Option::is_some));
    let title =
        Signal::derive(move || question.with(|question| question.as_ref().map_or("", |question| heading(question.action)).to_owned()));
    view! {
        <Dialog open close=move || question.set(None) title>
            {move || question.get().map(|asked| view! { <Asked asked question report done/> })}
        </Dialog>
    }
}

#[component]
fn Asked(
    asked: Question,
    question: RwSignal<Option<Question>>,
    report: RwSignal<Option<Report>>,
    done: Callback<(usize,)>,
) -> impl IntoView {
    let Question { action: asked, runs } = asked;
    let health = fetched::<Health>(move || (asked == RunAction::Delete).then(path::health));
    // For how many days a deleted run can be restored; `None` while that is unknown.
    let days = move || health.ready().map(|health| health.trash_days);
    let for_good = RwSignal::new(false);
    let action =
        Memo::new(
            move |_| if asked == RunAction::Delete && (for_good.get() || days() == Some(0)) { RunAction::DeleteForGood } else { asked },
        );
    let able: Vec<String> = runs.iter().filter(|run| can(asked, run)).map(|run| run.id.to_string()).collect();
    let count = able.len();
    let sentences = move || sentences(action.get(), &runs, days());
    let (add, remove) = (RwSignal::new(String::new()), RwSignal::new(String::new()));
    let tags = Memo::new(move |_| [add, remove].map(|text| labels::tags(&text.get())));
    let wrong = Memo::new(move |_| {
        let check = |tags: &Vec<String>| labels::checked(RunChange { tags: Some(tags.clone()), ..RunChange::default() }).err();
        tags.with(|tags| tags.iter().filter_map(check).flatten().map(|error| error.message).collect::<Vec<_>>())
    });
    let nothing = Memo::new(move |_| {
        count == 0
            || (asked == RunAction::Tag && (tags.with(|tags| tags.iter().all(Vec::is_empty)) || wrong.with(|wrong| !wrong.is_empty())))
    });
    // Number of runs already processed, while the action is going on.
    let answered = RwSignal::new(None::<usize>);
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        if answered.get_untracked().is_some() || nothing.get_untracked() {
            return;
        }
        answered.set(Some(0));
        let (action, ids, tags) = (action.get_untracked(), able.clone(), tags.get_untracked());
        spawn_local(async move {
            let progress = move |count| {
                let _ = answered.try_set(Some(count));
            };
            let result = carry_out(action, &ids, tags, progress).await;
            let refused = result.refused();
            let _ = report.try_set(Some(result));
            let _ = question.try_set(None);
            done.try_run((refused,));
        });
    };
    let field = move |id: &'static str, label: &'static str, hint: &'static str, value: RwSignal<String>| {
        view! {
            <div class="field">
                <label class="field-label" for=id>{label}</label>
                <input class="input" id=id type="text" autocomplete="off" aria-describedby=format!("{id}-hint actions-wrong")
                    prop:value=move || value.get() on:input=move |event| value.set(event_target_value(&event))/>
                <p class="field-hint" id=format!("{id}-hint")>{hint}</p>
            </div>
        }
    };
    let fields = (asked == RunAction::Tag).then(|| {
        view! {
            {field("actions-add", "Add tags", "With commas between, such as paper, seed study.", add)}
            {field("actions-remove", "Remove tags", "From the runs that have them.", remove)}
            <div class="field-error" id="actions-wrong" aria-live="polite">
                {move || wrong.get().into_iter().map(|message| view! { <p>{format!("Tags: {message}")}</p> }).collect_view()}
            </div>
        }
    });
    let class = if is_danger(asked) { "button button-danger" } else { "button button-primary" };
    let choice = move || {
        (asked == RunAction::Delete && count > 0 && days() != Some(0)).then(|| {
            view! {
                <div class="field field-check">
                    <input
                        type="checkbox" id="delete-for-good" aria-describedby="delete-for-good-hint" prop:checked=move || for_good.get()
                        on:change=move |event| for_good.set(event_target_checked(&event))
                    />
                    <label class="field-label" for="delete-for-good">"For good, to free the disk space now"</label>
                    <p class="field-hint" id="delete-for-good-hint">"This cannot be undone."</p>
                </div>
            }
        })
    };
    view! {
        <form class="labels-form" novalidate on:submit=submit>
            <div aria-live="polite">{move || sentences().into_iter().map(|sentence| view! { <p>{sentence}</p> }).collect_view()}</div>
            {choice}
            {fields}
            <p class="actions">
                <button class=class type="submit" disabled=move || answered.with(Option::is_some) || nothing.get()>
                    {move || match action.get() {
                        RunAction::DeleteForGood => format!("Delete {} for good", runs_counted(count)),
                        action => format!("{} {}", verb(action), runs_counted(count)),
                    }}
                </button>
                <button class="button" type="button" on:click=move |_| question.set(None)>
                    {if asked == RunAction::Tag { "Leave as they are" } else { "Keep" }}
                </button>
                <span class="muted" role="status">
                    {move || answered.get().map(|answered| format!("{} of {} …", format::count(answered as u64), format::count(count as u64)))}
                </span>
            </p>
        </form>
    }
}

/// Performs an action on runs, some of them in each request. Calls `answered` with the number of runs so far.
async fn carry_out(action: RunAction, ids: &[String], tags: [Vec<String>; 2], answered: impl Fn(usize)) -> Report {
    let [add_tags, remove_tags] = tags;
    let (mut outcomes, mut broken) = (Vec::new(), None);
    for ids in ids.chunks(RunActions::MOST) {
        let body = RunActions { action, ids: ids.to_vec(), add_tags: add_tags.clone(), remove_tags: remove_tags.clone() };
        match api::post::<RunActionsAnswer>(&path::run_actions(), &body).await {
            Ok(answer) => outcomes.extend(answer.outcomes),
            Err(problem) => {
                broken = Some(problem);
                break;
            }
        }
        answered(outcomes.len());
    }
    reported(action, &outcomes, broken)
}

/// Restores runs from the trash, sets `report` and then calls `done`.
pub fn restore(ids: Vec<String>, report: RwSignal<Option<Report>>, done: Callback<()>) {
    spawn_local(async move {
        let result = carry_out(RunAction::Restore, &ids, Default::default(), |_| {}).await;
        let _ = report.try_set(Some(result));
        done.try_run(());
    });
}

/// Shows the report until it is dismissed. Runs that were moved to the trash can be restored from it.
#[component]
pub fn ReportLine(
    report: RwSignal<Option<Report>>,
    /// Called after runs were restored.
    #[prop(into)]
    undone: Callback<()>,
) -> impl IntoView {
    let line = move |Report { said, refused, more, undo }: Report| {
        let class = if refused.is_empty() { "notice report-line" } else { "notice notice-warning report-line" };
        let list = (!refused.is_empty()).then(|| {
            let rest = (more > 0).then(|| view! { <li>{format!("{} others were refused as well.", format::count(more as u64))}</li> });
            view! { <ul>{refused.iter().map(|detail| view! { <li>{told(detail)}</li> }).collect_view()}{rest}</ul> }
        });
        let busy = RwSignal::new(false);
        let restored = !undo.is_empty();
        let undo = StoredValue::new(undo);
        let press = move |_| {
            if !busy.get_untracked() {
                busy.set(true);
                restore(undo.get_value(), report, undone);
            }
        };
        let back = restored.then(|| {
            view! {
                <button class="button button-small" type="button" disabled=move || busy.get() on:click=press>"Undo"</button>
                <a class="button button-small button-quiet" href="trash">"Trash"</a>
            }
        });
        view! {
            <div class=class>
                <p>{said}</p>
                <div class="actions">
                    {back}
                    <button class="button button-small button-quiet" type="button" aria-label="Put this message away" on:click=move |_| report.set(None)>"✕"</button>
                </div>
                {list}
            </div>
        }
    };
    // The live region always exists, so that screen readers announce a report when it appears.
    view! { <div role="status" class="report">{move || report.get().map(line)}</div> }
}

/// Whether an action is possible for a run as it is.
pub fn can(action: RunAction, run: &ConcernedRun) -> bool {
    match action {
        RunAction::Cancel => !run.state.is_finished(),
        RunAction::Pause => run.state.is_active() && !run.external,
        RunAction::Resume => run.state.is_resumable() && !run.external,
        RunAction::Delete | RunAction::DeleteForGood => run.state != RunState::Running,
        RunAction::Restore | RunAction::Tag => true,
    }
}

/// Whether an action takes something away.
pub fn is_danger(action: RunAction) -> bool {
    matches!(action, RunAction::Cancel | RunAction::Delete | RunAction::DeleteForGood)
}

/// Label of the button that starts the action.
pub fn verb(action: RunAction) -> &'static str {
    match action {
        RunAction::Cancel => "Cancel",
        RunAction::Pause => "Pause",
        RunAction::Resume => "Resume",
        RunAction::Delete => "Delete",
        RunAction::Restore => "Restore",
        RunAction::DeleteForGood => "Delete for good",
        RunAction::Tag => "Tag",
    }
}

fn heading(action: RunAction) -> &'static str {
    match action {
        RunAction::Cancel => "Cancel runs",
        RunAction::Pause => "Pause runs",
        RunAction::Resume => "Resume runs",
        RunAction::Delete => "Delete runs",
        RunAction::Restore => "Restore runs",
        RunAction::DeleteForGood => "Delete runs for good",
        RunAction::Tag => "Tag runs",
    }
}

fn runs_counted(count: usize) -> String {
    counted(count, "run", "runs")
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{} {}", format::count(count as u64), if count == 1 { one } else { many })
}

/// What will happen, with counts. The last sentence counts the runs that the action does not apply to. `days`:
/// how long a deleted run can be restored, if that is known already.
fn sentences(action: RunAction, runs: &[ConcernedRun], days: Option<u32>) -> Vec<String> {
    // Pausing and resuming take no runs of other programs; they are counted by themselves.
    let (external, runs) = match action {
        RunAction::Pause | RunAction::Resume => runs.iter().partition(|run| run.external),
        _ => (Vec::new(), runs.iter().collect::<Vec<_>>()),
    };
    let count = |state: RunState| runs.iter().filter(|run| run.state == state).count();
    let able = runs.iter().filter(|run| can(action, run)).count();
    let (running, queued, paused) = (count(RunState::Running), count(RunState::Queued), count(RunState::Paused));
    let (rest, external) = (runs.len() - able, external.len());
    let elsewhere = counted(
        external,
        "is written by another program, which alone can pause it or go on with it.",
        "are written by other programs, which alone can pause them or go on with them.",
    );
    let some = |count: usize, sentence: String| (count > 0).then_some(sentence);
    let said: Vec<Option<String>> = match action {
        RunAction::Cancel => {
            vec![
                some(running, counted(running, "running run saves what it has and stops.", "running runs save what they have and stop.")),
                some(queued, counted(queued, "waiting run leaves the queue.", "waiting runs leave the queue.")),
                some(paused, counted(paused, "paused run does not go on.", "paused runs do not go on.")),
                some(rest, counted(rest, "has finished and stays as it is.", "have finished and stay as they are.")),
            ]
        }
        RunAction::Pause => vec![
            some(
                running,
                counted(running, "running run saves what it has and waits for you.", "running runs save what they have and wait for you."),
            ),
            some(
                queued,
                counted(queued, "waiting run leaves the queue until you resume it.", "waiting runs leave the queue until you resume them."),
            ),
            some(rest, counted(rest, "neither runs nor waits and stays as it is.", "neither run nor wait and stay as they are.")),
            some(external, elsewhere),
        ],
        RunAction::Delete => {
            let kept = match days {
                Some(1) => "can be restored for a day.".to_owned(),
                Some(days) => format!("can be restored for {days} days."),
                None => "can be restored.".to_owned(),
            };
            let first = match &runs[..] {
                [run] if able == 1 => format!("“{}” goes to the trash and {kept}", run.title),
                _ => counted(able, &format!("run goes to the trash and {kept}"), &format!("runs go to the trash and {kept}")),
            };
            vec![some(able, first), some(running, stays(running))]
        }
        RunAction::DeleteForGood => {
            let gone = "checkpoints, matrices and links will be gone for good.";
            let first = match &runs[..] {
                [run] if able == 1 => format!("“{}” with its {gone}", run.title),
                _ => counted(able, &format!("run with its {gone}"), &format!("runs with their {gone}")),
            };
            vec![some(able, first), some(running, stays(running))]
        }
        RunAction::Restore => vec![some(able, counted(able, "run comes back as it was.", "runs come back as they were."))],
        RunAction::Resume => vec![
            some(
                able,
                counted(
                    able,
                    "run goes back to the queue and on from what it has kept.",
                    "runs go back to the queue and on from what they have kept.",
                ),
            ),
            some(rest, counted(rest, "was not stopped; it stays as it is.", "were not stopped; they stay as they are.")),
            some(external, elsewhere),
        ],
        RunAction::Tag => vec![some(able, counted(able, "run keeps its other tags.", "runs keep their other tags."))],
    };
    said.into_iter().flatten().collect()
}

/// What is said of running runs, which cannot be deleted.
fn stays(running: usize) -> String {
    counted(running, "is running and stays: cancel it first.", "are running and stay: cancel them first.")
}

fn reported(action: RunAction, outcomes: &[RunOutcome], broken: Option<Problem>) -> Report {
    let problems = outcomes.iter().filter_map(|outcome| outcome.problem.as_ref());
    let mut refused: Vec<String> = problems.map(|problem| problem.detail.clone()).collect();
    let done = outcomes.len() - refused.len();
    let mut said = match action {
        RunAction::Cancel => counted(done, "run is canceled or stopping.", "runs are canceled or stopping."),
        RunAction::Pause => counted(done, "run is paused or stopping.", "runs are paused or stopping."),
        RunAction::Resume => counted(done, "run is in the queue again.", "runs are in the queue again."),
        RunAction::Delete => counted(done, "run is in the trash.", "runs are in the trash."),
        RunAction::DeleteForGood => counted(done, "run is deleted for good.", "runs are deleted for good."),
        RunAction::Restore => counted(done, "run is restored.", "runs are restored."),
        RunAction::Tag => counted(done, "run has its new tags.", "runs have their new tags."),
    };
    if !refused.is_empty() {
        said += &format!(" {}", counted(refused.len(), "was refused:", "were refused:"));
    }
    let more = refused.len().saturating_sub(MOST_NAMED);
    refused.truncate(MOST_NAMED);
    if let Some(problem) = broken {
        said += " Then it broke off; the others are as they were.";
        refused.insert(0, sentence(&problem.detail));
    }
    let trashed = outcomes.iter().filter(|outcome| action == RunAction::Delete && outcome.problem.is_none());
    Report { said, refused, more, undo: trashed.map(|outcome| outcome.id.clone()).collect() }
}

#[cfg(test)]
mod tests {
    use shared::fixtures;

    use super::*;

    fn runs(states: &[RunState]) -> Vec<ConcernedRun> {
        states
            .iter()
            .enumerate()
            .map(|(index, state)| ConcernedRun {
                id: fixtures::run_id(&format!("r-{index}")),
                title: format!("Run {index}"),
                state: *state,
                external: false,
            })
            .collect()
    }

    #[test]
    fn the_question_counts_what_will_happen_and_what_will_not() {
        use RunState::{Canceled, Failed, Paused, Queued, Running, Succeeded};
        let mixed = runs(&[Running, Queued, Queued, Succeeded, Failed, Canceled, Paused]);
        let check = |action, runs: &[ConcernedRun], expected: &[&str]| assert_eq!(sentences(action, runs, Some(7)), expected, "{action:?}");
        check(
            RunAction::Cancel,
            &mixed,
            &[
                "1 running run saves what it has and stops.",
                "2 waiting runs leave the queue.",
                "1 paused run does not go on.",
                "3 have finished and stay as they are.",
            ],
        );
        check(
            RunAction::Pause,
            &mixed,
            &[
                "1 running run saves what it has and waits for you.",
                "2 waiting runs leave the queue until you resume them.",
                "4 neither run nor wait and stay as they are.",
            ],
        );
        check(
            RunAction::Delete,
            &mixed,
            &["6 runs go to the trash and can be restored for 7 days.", "1 is running and stays: cancel it first."],
        );
        check(RunAction::Delete, &mixed[3..4], &["“Run 3” goes to the trash and can be restored for 7 days."]);
        check(
            RunAction::DeleteForGood,
            &mixed,
            &["6 runs with their checkpoints, matrices and links will be gone for good.", "1 is running and stays: cancel it first."],
        );
        check(RunAction::DeleteForGood, &mixed[3..4], &["“Run 3” with its checkpoints, matrices and links will be gone for good."]);
        check(RunAction::Restore, &mixed[3..4], &["1 run comes back as it was."]);
        check(
            RunAction::Resume,
            &mixed,
            &["3 runs go back to the queue and on from what they have kept.", "4 were not stopped; they stay as they are."],
        );
        let external = |run: &ConcernedRun| ConcernedRun { external: true, ..run.clone() };
        let others = [external(&mixed[0]), external(&mixed[4]), mixed[1].clone()];
        check(
            RunAction::Pause,
            &others,
            &[
                "1 waiting run leaves the queue until you resume it.",
                "2 are written by other programs, which alone can pause them or go on with them.",
            ],
        );
        check(RunAction::Resume, &others[1..2], &["1 is written by another program, which alone can pause it or go on with it."]);
        check(RunAction::Cancel, &others[..1], &["1 running run saves what it has and stops."]);
        check(RunAction::Tag, &mixed, &["7 runs keep their other tags."]);
        check(RunAction::Cancel, &mixed[3..4], &["1 has finished and stays as it is."]);
    }

    #[test]
    fn the_report_counts_what_was_done_and_names_what_was_refused() {
        let refusal = |id: &str| Problem {
            kind: String::new(),
            title: String::new(),
            status: 409,
            detail: format!("`{id}` is running"),
            errors: Vec::new(),
        };
        let outcome = |index: usize| {
            let id = format!("r-{index}");
            RunOutcome { problem: (index < 10).then(|| refusal(&id)), id }
        };
        let all: Vec<RunOutcome> = (0..12).map(outcome).collect();
        let report = reported(RunAction::Delete, &all, None);
        assert_eq!((report.said.as_str(), report.refused.len(), report.more), ("2 runs are in the trash. 10 were refused:", 8, 2));
        assert_eq!((report.refused(), report.undo), (10, vec!["r-10".to_owned(), "r-11".to_owned()]));
        assert_eq!(report.refused[0], "`r-0` is running");
        let report = reported(RunAction::Cancel, &all[11..], None);
        assert_eq!((report.said.as_str(), report.refused.len(), report.undo.len()), ("1 run is canceled or stopping.", 0, 0));
        let report = reported(RunAction::Tag, &all[10..], Some(refusal("r-12")));
        assert_eq!(report.said, "2 runs have their new tags. Then it broke off; the others are as they were.");
        assert_eq!(report.refused, ["`r-12` is running."]);
    }
}
