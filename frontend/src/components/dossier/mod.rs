//! The dossier of a pair of classes: their similarity now and over time, their predictions under attack, and
//! the measured overlap of their features.

mod course;
mod measured;
mod parts;
mod rank;
mod table;

use std::sync::Arc;

use leptos::ev::keydown;
use leptos::prelude::*;
use shared::api::{Attribution, AttributionFile, CheckpointInfo, EpochCell, path};
use shared::chart::course::CourseOf;
use shared::chart::figure::checkpoint_name;
use shared::format;
use shared::id::CheckpointId;

pub use self::course::CourseView;
use self::measured::{Measured, Wanted};
pub use self::parts::Parts;
use self::rank::{destinations, pair_of, ranked, stepped};
use self::table::{Row, table};
use crate::browser::focus;
use crate::components::explorer::{Cell, Explorer};
use crate::debounce::{REST, debounced};
use crate::keys::is_typing;
use crate::load::{Load, Placeholder, fetched, shown};
use crate::viewer::use_is_owner;

/// Number of pairs that one button measures together.
const MEASURED_TOGETHER: usize = 5;
/// Number of predicted classes to list besides the two of the pair.
const DESTINATIONS: usize = 3;

/// Element id of the dossier.
const DOSSIER: &str = "dossier";

/// The dossier of the selected cell. Previous and next follow the change against the baseline, or the cosine
/// without one.
#[component]
pub fn Dossier(subject: Memo<Arc<Attribution>>, baseline: Memo<Option<Arc<Attribution>>>, explorer: Explorer) -> impl IntoView {
    let baseline = Memo::new(move |_| {
        let baseline = baseline.get()?;
        subject.with(|subject| subject.comparable(Some(&baseline)).is_some()).then_some(baseline)
    });
    let order = Memo::new(move |_| {
        baseline
            .with(|baseline| subject.with(|subject| ranked(&subject.file.matrix, baseline.as_ref().map(|baseline| &baseline.file.matrix))))
    });
    let pair = Memo::new(move |_| pair_of(explorer.selected(), subject.with(|subject| subject.file.class_names.len())));
    // Keys step through pairs faster than anyone reads, so loading and drawing wait for the pair where they
    // stop.
    let read = debounced(pair, REST);
    let step = move |forward: bool| order.with_untracked(|order| stepped(order, pair.get_untracked(), forward));
    let walk = move |forward: bool| {
        if let Some(next) = step(forward) {
            explorer.select(Some(next));
        }
    };
    let keys = window_event_listener(keydown, move |event| {
        let modified = event.ctrl_key() || event.meta_key() || event.alt_key();
        let forward = match event.key().as_str() {
            "]" => true,
            "[" => false,
            _ => return,
        };
        if !modified && !is_typing(&event) {
            event.prevent_default();
            walk(forward);
        }
    });
    on_cleanup(move || keys.remove());
    // Arrow keys work only if the dossier itself has the focus, and not an element inside it.
    let on_key = move |event: web_sys::KeyboardEvent| {
        let forward = match event.key().as_str() {
            "ArrowRight" => true,
            "ArrowLeft" => false,
            _ => return,
        };
        if event.target() == event.current_target() {
            event.prevent_default();
            walk(forward);
        }
    };
    let has_next = move |forward: bool| {
        pair.track();
        order.track();
        step(forward).is_some()
    };
    let button = move |forward: bool, text: &'static str, key: &'static str| {
        view! {
            <button
                class="button button-small" type="button" aria-keyshortcuts=key title=format!("Key {key}")
                disabled=move || !has_next(forward) on:click=move |_| walk(forward)
            >
                {text}
            </button>
        }
    };
    let title = move || {
        subject.with(|subject| match read.get() {
            Some((i, j)) => format!("{} and {}", name(&subject.file, i), name(&subject.file, j)),
            None => "A pair's dossier".to_owned(),
        })
    };
    let place = move || {
        let by = if baseline.with(Option::is_some) { "change" } else { "cosine" };
        order.with(|order| {
            let place = read.get().and_then(|pair| order.iter().position(|other| *other == pair))?;
            Some(format!("{} of {} by {by}", place + 1, order.len()))
        })
    };
    view! {
        <section class="panel dossier" id=DOSSIER aria-labelledby="dossier-title" tabindex="0" on:keydown=on_key>
            <div class="panel-header">
                <h2 id="dossier-title">{move || title()}</h2>
                <div class="actions">
                    <span class="muted" role="status">{move || place()}</span>
                    {button(false, "Previous pair", "[")}
                    {button(true, "Next pair", "]")}
                </div>
            </div>
            {move || match read.get() {
                Some(pair) => view! { <PairDossier subject baseline order pair/> }.into_any(),
                None => view! {
                    <p class="muted">"Select a cell of two different classes, or walk from pair to pair: the keys [ and ] do it from anywhere on the page."</p>
                }
                .into_any(),
            }}
        </section>
    }
    .into_any()
}

/// Link to the dossier of the pair under the pointer, if that pair is selected; otherwise a hint to click.
#[component]
pub fn DossierLink(explorer: Explorer) -> impl IntoView {
    let go = |_| focus(DOSSIER);
    move || {
        let pair = explorer.current().filter(|(i, j)| i != j);
        pair.map(|pair| match explorer.selected() == Some(pair) {
            true => view! { <button class="link pair-more" type="button" on:click=go>"Go to the dossier"</button> }.into_any(),
            false => view! { <span class="muted pair-more">"Click for the dossier"</span> }.into_any(),
        })
    }
}

fn name(file: &AttributionFile, class: usize) -> String {
    file.class_names.get(class).cloned().unwrap_or_else(|| class.to_string())
}

/// The dossier of one pair.
#[component]
fn PairDossier(
    subject: Memo<Arc<Attribution>>,
    baseline: Memo<Option<Arc<Attribution>>>,
    order: Memo<Vec<Cell>>,
    pair: Cell,
) -> impl IntoView {
    let is_owner = use_is_owner();
    let (i, j) = pair;
    let facts = move || {
        baseline
            .with(|baseline| subject.with(|subject| facts(subject, baseline.as_deref(), pair)))
            .into_iter()
            .map(|(name, value)| view! { <div><dt>{name}</dt><dd>{value}</dd></div> })
            .collect_view()
    };
    let sent = move || subject.with(|subject| sent(&subject.file, pair));
    let course = is_owner.then(|| {
        let address = Memo::new(move |_| {
            subject.with(|subject| format!("{}?i={i}&j={j}&inputs={}", path::run_cells(&subject.context.run), subject.file.inputs.id()))
        });
        let cells = fetched::<Vec<EpochCell>>(move || Some(address.get()));
        let marks = move || baseline.with(|baseline| subject.with(|subject| marks(subject, baseline.as_deref())));
        let course = move |cells: Vec<EpochCell>| match cells.len() {
            0 | 1 => view! { <p class="muted">"The run holds no other matrix of these inputs."</p> }.into_any(),
            _ => view! { <CourseView of=CourseOf::Cosine cells marks=marks()/> }.into_any(),
        };
        view! { <div class="dossier-course"><h3>"Over the epochs"</h3>{shown(cells, Placeholder::Rows, course)}</div> }
    });
    let run = Memo::new(move |_| subject.with(|subject| subject.context.run.clone()));
    let checkpoints = fetched::<Vec<CheckpointInfo>>(move || is_owner.then(|| path::run_checkpoints(&run.get())));
    // A memo, so that nothing is measured again when another part of the matrix changes.
    let wanted = Memo::new(move |_| {
        let checkpoints = match checkpoints.state.get() {
            Load::Loading => return None,
            Load::Ready(checkpoints) => checkpoints,
            Load::Failed(_) => Vec::new(),
        };
        baseline.with(|baseline| {
            subject.with(|subject| order.with(|order| Some(wanted(subject, baseline.as_deref(), &checkpoints, order, pair))))
        })
    });
    view! {
        <div class="dossier-known">
            <div><h3>"Overlap"</h3><dl class="facts">{move || facts()}</dl></div>
            {course}
            <div>{move || sent()}</div>
        </div>
        {is_owner.then(|| view! { <div class="dossier-measured">{move || wanted.get().map(|wanted| view! { <Measured wanted/> })}</div> })}
    }
    .into_any()
}

/// What the matrix itself tells of a pair.
fn facts(subject: &Attribution, baseline: Option<&Attribution>, (i, j): Cell) -> Vec<(String, String)> {
    let file = &subject.file;
    let value = file.matrix.get(i, j);
    let mut facts = vec![("Cosine".to_owned(), format::decimal(value, 4))];
    if let Some([low, high]) = file.bootstrap.as_ref().and_then(|bootstrap| bootstrap.cell(i, j)) {
        facts.push(("Interval, 95 %".to_owned(), format!("[{}, {}]", format::decimal(low, 3), format::decimal(high, 3))));
    }
    if let Some(baseline) = baseline {
        let before = baseline.file.matrix.get(i, j);
        facts.push((format!("At {}", checkpoint_name(baseline)), format::decimal(before, 4)));
        facts.push(("Change".to_owned(), format::signed(value - before, 4)));
    }
    let (rank, pairs) = file.matrix.rank(i, j);
    facts.push(("Rank by cosine".to_owned(), format!("{rank} of {pairs}")));
    let of_class = |class: usize| {
        let (accuracy, norm) = (file.class_accuracy.get(class).copied(), file.norms.get(class).copied());
        (format!("Accuracy, norm of {}", name(file, class)), format!("{}, {}", format::percent(accuracy), format::decimal(norm, 2)))
    };
    facts.extend([of_class(i), of_class(j)]);
    facts
}

/// What the images of two classes are predicted as, on the inputs of the matrix.
fn sent(file: &AttributionFile, (i, j): Cell) -> AnyView {
    let title = if file.attack.is_some() { "Where the attack sends them" } else { "What clean images are taken for" };
    let of_class = |from: usize, other: usize| {
        let row = file.confusion.get(from)?;
        let total = f64::from(row.iter().sum::<u32>().max(1));
        let rows = destinations(row, from, other, DESTINATIONS).into_iter().map(|(to, count)| {
            let share = f64::from(count) / total;
            let cells = vec![format!("{count}"), format::percent(share)];
            Row { head: name(file, to), bar: Some(share), cells }
        });
        let from = name(file, from);
        let heads = vec![format!("{from} →"), "Images".to_owned(), "Share".to_owned()];
        Some(table(format!("Predictions for images of {from}"), heads, true, rows.collect()))
    };
    let tables: Vec<AnyView> = [of_class(i, j), of_class(j, i)].into_iter().flatten().collect();
    let tables = match tables.is_empty() {
        true => view! { <p class="muted">"The matrix was measured without counting this."</p> }.into_any(),
        false => tables.into_any(),
    };
    view! { <h3>{title}</h3><div class="dossier-sent">{tables}</div> }.into_any()
}

/// The epochs to mark on the curve.
fn marks(subject: &Attribution, baseline: Option<&Attribution>) -> Vec<(u32, &'static str)> {
    let before = baseline.filter(|baseline| baseline.context.run == subject.context.run).map(|baseline| (baseline.file.epoch, "baseline"));
    before.into_iter().chain([(subject.file.epoch, "this")]).collect()
}

fn wanted(subject: &Attribution, baseline: Option<&Attribution>, checkpoints: &[CheckpointInfo], order: &[Cell], pair: Cell) -> Wanted {
    let both = |(i, j): Cell| [i as u32, j as u32];
    let checkpoint = |attribution: &Attribution| attribution.file.checkpoint_id(&attribution.context.run);
    let changed = if baseline.is_some() { order.iter().take(MEASURED_TOGETHER).copied().map(both).collect() } else { Vec::new() };
    let other = match baseline {
        Some(baseline) => Some(checkpoint(baseline)),
        None => other_end(subject, checkpoints),
    };
    let other = other.filter(|other| *other != checkpoint(subject));
    Wanted { pair: both(pair), subject: checkpoint(subject), other, changed }
}

/// The default checkpoint to compare with, of the same run: the best one; for the best one, the last.
fn other_end(subject: &Attribution, checkpoints: &[CheckpointInfo]) -> Option<CheckpointId> {
    let end = |checkpoint: &&CheckpointInfo| if subject.context.is_best { checkpoint.is_last } else { checkpoint.is_best };
    checkpoints.iter().find(end).map(|checkpoint| checkpoint.id.clone())
}
