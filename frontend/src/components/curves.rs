//! The curves of a run with an epoch to point at, and the same numbers as a table.

use shared::chart::Chart;
use shared::chart::axes::EpochAxes;
use shared::chart::curves::{Cursor, Curves, SeriesKind};
use shared::config::Inputs;
use shared::format;
use shared::record::{Epoch, Metrics};

use crate::prelude::*;
use crate::reactive::{effect, memo};

use super::canvas::{Area, Canvas, Surface, position};
use super::heatmap::is_open;

#[component]
pub fn CurvesView(
    curves: Memo<Curves>,
    /// Set to where the epochs stand, for what is to stand below them.
    axes: RwSignal<Option<EpochAxes>>,
    /// The epoch that the page is about, drawn while nobody points at another.
    #[prop(into)]
    selected: Signal<Option<u32>>,
    /// Takes the epoch that was clicked or dragged to, or chosen by Enter.
    #[prop(into)]
    on_choose: Callback<u32>,
) -> impl IntoView {
    let surface = RwSignal::new(Surface::default());
    let pointed = RwSignal::new(None::<u32>);
    let layout = memo(move || {
        let Surface { width, height, .. } = surface.get();
        curves.with(|curves| curves.layout(width, height))
    });
    effect(move || axes.set(Some(layout.with(|layout| layout.axes.clone()))));
    let done = memo(move || curves.with(|curves| curves.done));
    let cursor = memo(move || pointed.get().or_else(|| selected.get()).filter(|epoch| (1..=done.get()).contains(epoch)));

    let draw = move |area: &Area, surface: Surface| curves.with(|curves| curves.draw(area, surface.scale));
    let draw_cursor = move |area: &Area, surface: Surface| {
        let Some(epoch) = cursor.get() else { return Ok(()) };
        curves.with(|curves| Cursor { curves, epoch }.draw(area, surface.scale))
    };
    let epoch_under = move |event: &web_sys::MouseEvent| {
        let (x, _) = position(event)?;
        let epoch = layout.with_untracked(|layout| layout.axes.epoch_at(x))?;
        let done = done.get_untracked();
        (done > 0).then(|| epoch.min(done))
    };
    let on_move = move |event: web_sys::PointerEvent| {
        let epoch = epoch_under(&event);
        if pointed.get_untracked() != epoch {
            pointed.set(epoch);
            // With the button down the pointer drags the page along.
            if let (true, Some(epoch)) = (event.buttons() & 1 == 1, epoch) {
                on_choose.run(epoch);
            }
        }
    };
    let on_click = move |event: web_sys::MouseEvent| {
        if let Some(epoch) = epoch_under(&event) {
            on_choose.run(epoch);
        }
    };
    let on_key = move |event: web_sys::KeyboardEvent| {
        if event.ctrl_key() || event.meta_key() || event.alt_key() {
            return;
        }
        let key = event.key();
        if let (true, Some(epoch)) = (key == "Enter" || key == " ", cursor.get_untracked()) {
            on_choose.run(epoch);
        } else if let Some(epoch) = stepped(cursor.get_untracked(), &key, done.get_untracked()) {
            pointed.set(Some(epoch));
        } else {
            return;
        }
        event.prevent_default();
    };
    let said = move || curves.with(|curves| readout(curves, cursor.get()));
    let value_text = move || said().into_iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ");
    view! {
        <div class="curves">
            <div
                class="curves-plot"
                role="slider"
                aria-label=move || format!("Epoch. {}", curves.with(Curves::describe))
                aria-orientation="horizontal"
                aria-valuemin="1"
                aria-valuemax=move || done.get().max(1).to_string()
                aria-valuenow=move || cursor.get().unwrap_or(1).to_string()
                aria-valuetext=value_text
                tabindex="0"
                on:pointermove=on_move
                on:pointerleave=move |_| pointed.set(None)
                on:blur=move |_| pointed.set(None)
                on:click=on_click
                on:keydown=on_key
            >
                <Canvas surface least_scale=2.0 draw/>
                <Canvas least_scale=2.0 draw=draw_cursor/>
            </div>
            <dl class="readout" aria-hidden="true">
                {move || said().into_iter().map(|(name, value)| view! { <div><dt>{name}</dt><dd>{value}</dd></div> }).collect_view()}
            </dl>
        </div>
    }
}

/// The epoch that a key moves the cursor to; none where the key moves nothing.
fn stepped(cursor: Option<u32>, key: &str, done: u32) -> Option<u32> {
    if done == 0 {
        return None;
    }
    let epoch = match (key, cursor) {
        ("Home", _) => 1,
        ("End", _) | ("ArrowLeft" | "ArrowRight" | "ArrowUp" | "ArrowDown", None) => done,
        ("ArrowLeft" | "ArrowDown", Some(epoch)) => epoch.saturating_sub(1),
        ("ArrowRight" | "ArrowUp", Some(epoch)) => epoch + 1,
        ("PageDown", Some(epoch)) => epoch.saturating_sub(10),
        ("PageUp", Some(epoch)) => epoch + 10,
        _ => return None,
    };
    Some(epoch.clamp(1, done))
}

/// What the curves say at an epoch; without one, how to ask.
fn readout(curves: &Curves, epoch: Option<u32>) -> Vec<(&'static str, String)> {
    let Some(epoch) = epoch else { return vec![("", "Point at the chart to read an epoch.".to_owned())] };
    let accuracies = SeriesKind::ALL
        .into_iter()
        .filter(|kind| curves.series.iter().any(|series| series.kind == *kind))
        .map(|kind| (kind.name(), format::percent(curves.accuracy_at(kind, epoch))));
    let cas = curves.cas_at(epoch).map(|cas| ("CAS", format::decimal(cas, 2)));
    [("Epoch", epoch.to_string())].into_iter().chain(accuracies).chain(cas).collect()
}

/// Every epoch's numbers.
#[component]
pub fn EpochTable(#[prop(into)] metrics: Memo<Metrics>) -> impl IntoView {
    let open = RwSignal::new(false);
    // Records that are not of an epoch come every second; the table is left alone by them.
    let epochs = memo(move || {
        let with_cas = |metrics: &Metrics, epoch: &Epoch| (epoch.clone(), metrics.cas(epoch.epoch, Inputs::Adversarial));
        if !open.get() {
            return Vec::new();
        }
        metrics.with(|metrics| metrics.epochs.iter().map(|epoch| with_cas(metrics, epoch)).collect())
    });
    let row = |(epoch, cas): (Epoch, Option<f64>)| {
        view! {
            <tr>
                <th scope="row" class="number">{epoch.epoch}</th>
                <td class="number">{epoch.learning_rate.to_string()}</td>
                <td class="number">{format::decimal(epoch.train_loss, 3)}</td>
                <td class="number">{format::percent(epoch.train_clean_accuracy)}</td>
                <td class="number">{format::percent(epoch.train_robust_accuracy)}</td>
                <td class="number">{format::percent(epoch.test_clean_accuracy)}</td>
                <td class="number">{format::percent(epoch.test_robust_accuracy)}</td>
                <td class="number">{format::decimal(cas, 2)}</td>
                <td class="number">{format::duration(epoch.seconds)}</td>
            </tr>
        }
    };
    let rows = move || epochs.get().into_iter().map(row).collect_view();
    view! {
        <details class="disclosure" on:toggle=move |event| open.set(is_open(&event))>
            <summary>"Data as a table"</summary>
            <div class="table-box table-box-tall" role="region" aria-label="Epochs" tabindex="0">
                <table class="table table-dense">
                    <thead>
                        <tr>
                            <th scope="col" class="number">"Epoch"</th>
                            <th scope="col" class="number">"Learning rate"</th>
                            <th scope="col" class="number">"Train loss"</th>
                            <th scope="col" class="number">"Clean train"</th>
                            <th scope="col" class="number">"Robust train"</th>
                            <th scope="col" class="number">"Clean test"</th>
                            <th scope="col" class="number">"Robust test"</th>
                            <th scope="col" class="number">"CAS"</th>
                            <th scope="col" class="number">"Time"</th>
                        </tr>
                    </thead>
                    <tbody>{move || rows()}</tbody>
                </table>
            </div>
        </details>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::chart::colors::Theme;

    #[test]
    fn keys_move_over_the_epochs_that_are_done() {
        for (cursor, key, done, expected) in [
            (None, "ArrowLeft", 30, Some(30)),
            (Some(12), "ArrowLeft", 30, Some(11)),
            (Some(1), "ArrowLeft", 30, Some(1)),
            (Some(30), "ArrowRight", 30, Some(30)),
            (Some(12), "PageUp", 30, Some(22)),
            (Some(12), "Home", 30, Some(1)),
            (Some(12), "Tab", 30, None),
            (None, "End", 0, None),
        ] {
            assert_eq!(stepped(cursor, key, done), expected, "{cursor:?} {key} {done}");
        }
    }

    #[test]
    fn the_readout_has_what_was_measured() {
        let curves = Curves {
            epochs: 3,
            done: 2,
            series: vec![shared::chart::curves::Series { kind: SeriesKind::TestRobust, points: vec![(1, 0.5), (2, 0.25)] }],
            cas: vec![(2, 20.126)],
            drops: Vec::new(),
            overfitting: Vec::new(),
            best: None,
            last: None,
            cursor: None,
            theme: Theme::Light,
        };
        let text = |epoch| readout(&curves, epoch).into_iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>();
        assert_eq!(text(Some(2)), ["Epoch 2", "Robust test 25.0 %", "CAS 20.13"]);
        assert_eq!(text(Some(1)), ["Epoch 1", "Robust test 50.0 %"]);
        assert_eq!(text(None), [" Point at the chart to read an epoch."]);
    }
}
