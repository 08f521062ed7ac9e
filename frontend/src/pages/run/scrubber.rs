//! A slider below the curves that moves the page through the epochs that have a checkpoint or a matrix, and
//! plays them.

use std::collections::BTreeSet;
use std::time::Duration;

use leptos::prelude::*;
use shared::chart::axes::EpochAxes;
use shared::chart::curves::Curves;
use shared::config::Inputs;
use shared::format;
use shared::record::Metrics;

use super::Selection;
use super::checkpoints::nearest;
use crate::browser::every;
use crate::url_state::UrlState;

/// Checkpoints per second.
const SPEEDS: [u32; 4] = [1, 2, 4, 8];
const FIRST_SPEED: u32 = 2;
/// Half the width of the slider's thumb: the slider extends beyond the axis by this at both ends.
const THUMB: f64 = 9.0;

#[component]
pub fn Scrubber(
    metrics: Memo<Metrics>,
    curves: Memo<Curves>,
    /// The epoch axis of the curves above.
    axes: Signal<Option<EpochAxes>>,
    selected: Memo<Option<u32>>,
    selection: UrlState<Selection>,
) -> impl IntoView {
    let kept = Memo::new(move |_| metrics.with(stops));
    let marks = Memo::new(move |_| kept.with(|kept| curves.with(|curves| marks(curves, kept))));
    let stand = Memo::new(move |_| selected.get().unwrap_or_default());
    let go = move |epoch: u32| {
        if selected.get_untracked() != Some(epoch) {
            selection.update(|selection| selection.epoch = Some(epoch));
        }
    };

    let speed = RwSignal::new(FIRST_SPEED);
    let playing = RwSignal::new(false);
    Effect::new(move || {
        if playing.get() {
            every(Duration::from_secs(1) / speed.get(), move || {
                match kept.with_untracked(|kept| beside(kept, stand.get_untracked(), true)) {
                    Some(epoch) => go(epoch),
                    None => playing.set(false),
                }
            });
        }
    });
    let toggle = move || {
        let at_end = kept.with_untracked(|kept| beside(kept, stand.get_untracked(), true).is_none());
        if let (false, true, Some(first)) = (playing.get_untracked(), at_end, kept.with_untracked(|kept| kept.first().copied())) {
            go(first);
        }
        playing.update(|playing| *playing = !*playing);
    };

    // With the pointer, the nearest checkpoint is chosen. A step without it, such as by a screen reader,
    // means the next one.
    let dragging = StoredValue::new(false);
    let on_input = move |event: leptos::ev::Event| {
        playing.set(false);
        let input: web_sys::HtmlInputElement = event_target(&event);
        let Ok(asked) = input.value().parse::<u32>() else { return };
        let from = stand.get_untracked();
        let to = kept.with_untracked(|kept| {
            if dragging.get_value() { nearest(kept, asked) } else { beside(kept, from, asked > from).or_else(|| nearest(kept, asked)) }
        });
        let to = to.unwrap_or(from);
        go(to);
        // Keep the thumb on checkpoints.
        input.set_value(&to.to_string());
    };
    let on_key = move |event: web_sys::KeyboardEvent| {
        if event.ctrl_key() || event.meta_key() || event.alt_key() {
            return;
        }
        if event.key() == " " {
            toggle();
        } else if let Some(epoch) = kept.with_untracked(|kept| stepped(kept, stand.get_untracked(), &event.key())) {
            playing.set(false);
            go(epoch);
        } else {
            return;
        }
        event.prevent_default();
    };

    let geometry = move |of: fn(&EpochAxes) -> f64| move || axes.with(|axes| format!("{:.1}px", axes.as_ref().map_or(0.0, of)));
    let place = move |epoch: u32| axes.with(|axes| format!("{:.1}px", axes.as_ref().map_or(0.0, |axes| axes.x_of(epoch) - axes.plot.left)));
    let in_sight = move |epoch: u32| axes.with(|axes| axes.as_ref().is_some_and(|axes| axes.shows(epoch)));
    let tick =
        move |epoch: u32| view! { <span class="scrubber-tick" hidden=move || !in_sight(epoch) style:left=move || place(epoch)></span> };
    let value_text = move || {
        let epoch = stand.get();
        metrics.with(|metrics| said(metrics, epoch))
    };
    let mark = move |mark: Mark| {
        let Mark { epoch, name } = mark;
        view! {
            <button
                class="button button-small" type="button" aria-pressed=move || (stand.get() == epoch).to_string()
                on:click=move |_| { playing.set(false); go(epoch); }
            >{format!("{name} · {epoch}")}</button>
        }
    };
    let content = move || {
        view! {
            <div class="scrubber">
                <div class="scrubber-line">
                    <button
                        class="scrubber-play" type="button" aria-label=move || if playing.get() { "Pause" } else { "Play the checkpoints" }
                        on:click=move |_| toggle()
                    >
                        <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
                            <path d=move || if playing.get() { "M4 3h3v10H4zM9 3h3v10H9z" } else { "M4 2.5v11l9-5.5z" } fill="currentColor"/>
                        </svg>
                    </button>
                    <div
                        class="scrubber-track"
                        style:left=geometry(|axes| axes.plot.left)
                        style:width=geometry(|axes| axes.plot.width)
                    >
                        {move || kept.get().into_iter().map(tick).collect_view()}
                        <input
                            class="scrubber-range" type="range" aria-label="Checkpoint" step="1"
                            style:left=format!("{}px", -THUMB)
                            style:width=move || axes.with(|axes| format!("{:.1}px", axes.as_ref().map_or(0.0, |axes| axes.plot.width) + 2.0 * THUMB))
                            min=move || curves.with(|curves| curves.sight().0.to_string())
                            max=move || curves.with(|curves| curves.sight().1.to_string())
                            prop:value=move || stand.get().to_string()
                            aria-valuetext=value_text
                            on:pointerdown=move |_| dragging.set_value(true)
                            on:pointerup=move |_| dragging.set_value(false)
                            on:pointercancel=move |_| dragging.set_value(false)
                            on:input=on_input
                            on:keydown=on_key
                        />
                    </div>
                </div>
                <div class="scrubber-marks">
                    {move || marks.get().into_iter().map(mark).collect_view()}
                    <label class="scrubber-speed">
                        <span>"Speed"</span>
                        <select class="input input-small" on:change=move |event| speed.set(event_target_value(&event).parse().unwrap_or(FIRST_SPEED))>
                            {SPEEDS.map(|option| view! {
                                <option value=option.to_string() selected=option == FIRST_SPEED>{format!("{option} per second")}</option>
                            }).collect_view()}
                        </select>
                    </label>
                </div>
            </div>
        }
    };
    // With a single checkpoint there is no slider.
    let several = Memo::new(move |_| kept.with(|kept| kept.len() > 1));
    move || several.get().then(content)
}

/// The epochs that the slider stops at: those with a checkpoint or a matrix.
fn stops(metrics: &Metrics) -> Vec<u32> {
    let checkpoints = metrics.checkpoints.iter().map(|checkpoint| checkpoint.epoch);
    let epochs: BTreeSet<u32> = checkpoints.chain(metrics.attributions.iter().map(|entry| entry.epoch)).collect();
    epochs.into_iter().collect()
}

/// A notable checkpoint, shown as a button.
#[derive(Clone, Debug, PartialEq)]
struct Mark {
    epoch: u32,
    name: String,
}

/// Notable checkpoints: the best, each drop of the learning rate, the last. Each is the kept one nearest to
/// the event.
fn marks(curves: &Curves, kept: &[u32]) -> Vec<Mark> {
    let best = curves.best.map(|best| (best.epoch, "Best".to_owned()));
    let drops = curves.drops.iter().filter(|drop| drop.0 <= curves.done).map(|(epoch, rate)| (*epoch, format!("lr {}", rounded(*rate))));
    let last = curves.last.map(|last| (last.epoch, "Last".to_owned()));
    let mut marks: Vec<Mark> = Vec::new();
    for (epoch, name) in best.into_iter().chain(drops).chain(last) {
        let Some(epoch) = nearest(kept, epoch) else { continue };
        match marks.iter_mut().find(|mark| mark.epoch == epoch) {
            Some(mark) => mark.name = format!("{}, {}", mark.name, name.to_ascii_lowercase()),
            None => marks.push(Mark { epoch, name }),
        }
    }
    marks.sort_by_key(|mark| mark.epoch);
    marks
}

/// Formats a learning rate without rounding errors of its multiplications.
fn rounded(rate: f64) -> String {
    let text = format!("{rate:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The next checkpoint after `epoch`, or the previous one before it.
fn beside(kept: &[u32], epoch: u32, after: bool) -> Option<u32> {
    if after { kept.iter().find(|other| **other > epoch).copied() } else { kept.iter().rev().find(|other| **other < epoch).copied() }
}

/// The checkpoint that a key moves to; `None` for other keys.
fn stepped(kept: &[u32], epoch: u32, key: &str) -> Option<u32> {
    let place = kept.iter().position(|other| *other >= epoch).unwrap_or(kept.len().checked_sub(1)?);
    let far = (kept.len() / 10).max(1);
    let place = match key {
        "ArrowRight" | "ArrowUp" => place + 1,
        "ArrowLeft" | "ArrowDown" => place.saturating_sub(1),
        "PageUp" => place + far,
        "PageDown" => place.saturating_sub(far),
        "Home" => 0,
        "End" => kept.len() - 1,
        _ => return None,
    };
    Some(kept[place.min(kept.len() - 1)])
}

/// Whether an epoch is best or last, as text after its number. Both may change while the run goes on.
pub fn tag(metrics: &Metrics, epoch: u32) -> &'static str {
    let is = |other: Option<&shared::record::Epoch>| other.is_some_and(|other| other.epoch == epoch);
    match (is(metrics.best()), is(metrics.last())) {
        (true, true) => " (best and last)",
        (true, false) => " (best)",
        (false, true) => " (last)",
        (false, false) => "",
    }
}

/// Describes the checkpoint in words.
fn said(metrics: &Metrics, epoch: u32) -> String {
    let measured = metrics.epochs.iter().find(|entry| entry.epoch == epoch);
    let robust =
        measured.and_then(|entry| entry.test_robust_accuracy).map(|accuracy| format!(", robust accuracy {}", format::percent(accuracy)));
    let cas = metrics.cas(epoch, Inputs::Adversarial).map(|cas| format!(", CAS {}", format::decimal(cas, 2)));
    format!("Epoch {epoch}{}{}{}", tag(metrics, epoch), robust.unwrap_or_default(), cas.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::super::tests::metrics;
    use super::*;
    use shared::chart::colors::Theme;
    use shared::preset;

    #[test]
    fn keys_move_from_checkpoint_to_checkpoint() {
        let kept = [5, 10, 12, 60];
        for (from, key, to) in [
            (10, "ArrowRight", Some(12)),
            (10, "ArrowLeft", Some(5)),
            (60, "ArrowRight", Some(60)),
            (5, "ArrowLeft", Some(5)),
            (10, "Home", Some(5)),
            (10, "End", Some(60)),
            (10, "PageUp", Some(12)),
            (10, "x", None),
        ] {
            assert_eq!(stepped(&kept, from, key), to, "{from} {key}");
        }
        assert_eq!(stepped(&[], 1, "Home"), None);
        assert_eq!((beside(&kept, 12, true), beside(&kept, 60, true), beside(&kept, 11, false)), (Some(60), None, Some(10)));
    }

    #[test]
    fn notable_epochs_lead_to_the_nearest_checkpoints() {
        let curves = Curves::of(&metrics(), &preset::demo().config, Theme::Light);
        let curves = Curves { drops: vec![(1, 0.01), (2, 0.001), (9, 0.0001)], ..curves };
        let found: Vec<(u32, String)> = marks(&curves, &[2, 3]).into_iter().map(|mark| (mark.epoch, mark.name)).collect();
        assert_eq!(found, [(2, "Best, lr 0.01, lr 0.001".to_owned()), (3, "Last".to_owned())]);
        assert!(marks(&curves, &[]).is_empty());
    }

    #[test]
    fn the_slider_also_stops_at_matrices_whose_checkpoints_are_gone() {
        use shared::record::Record;
        let metrics =
            Metrics::from_records([4, 1, 2].map(|epoch| Record::Attribution(shared::fixtures::matrix_of(epoch, Inputs::Clean, 1.0))));
        assert_eq!(stops(&metrics), [1, 2, 4]);
    }

    #[test]
    fn a_checkpoint_is_told_with_what_was_measured() {
        assert_eq!(said(&metrics(), 2), "Epoch 2 (best), robust accuracy 60.0 %, CAS 18.00");
        assert_eq!(said(&metrics(), 3), "Epoch 3 (last), robust accuracy 50.0 %");
    }
}
