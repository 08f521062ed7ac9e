//! The curves of a run, in which an epoch can be read or chosen, and the same numbers as a table.

use std::collections::HashMap;

use leptos::prelude::*;
use shared::chart::Chart;
use shared::chart::axes::EpochAxes;
use shared::chart::curves::{CAS, Cursor, Curves, SeriesKind, cas_color};
use shared::config::Inputs;
use shared::format;
use shared::record::{BrokenGradients, Epoch, Metrics};
use shared::view::Lens;

use crate::url_state::UrlState;

use super::canvas::{Area, Canvas, Surface, position};
use super::curves_bar::{CurvesBar, RangeDrag, Switch, by_key};
use super::heatmap::is_open;

#[component]
pub fn CurvesView(
    /// The curves as the lens shows them, without a legend.
    curves: Memo<Curves>,
    lens: UrlState<Lens>,
    /// Set to the position of the epoch axis, so that elements below can be aligned with it.
    axes: RwSignal<Option<EpochAxes>>,
    /// The epoch that the page shows. Marked while the pointer is not over the chart.
    #[prop(into)]
    selected: Signal<Option<u32>>,
    /// Called with the epoch that was chosen by click, drag or Enter.
    #[prop(into)]
    on_choose: Callback<u32>,
) -> impl IntoView {
    let surface = RwSignal::new(Surface::default());
    let pointed = RwSignal::new(None::<u32>);
    let layout = Memo::new(move |_| {
        let Surface { width, height, .. } = surface.get();
        curves.with(|curves| curves.layout(width, height))
    });
    Effect::new(move || axes.set(Some(layout.with(|layout| layout.axes.clone()))));
    let done = Memo::new(move |_| curves.with(|curves| curves.done));
    let cursor = Memo::new(move |_| pointed.get().or_else(|| selected.get()).filter(|epoch| (1..=done.get()).contains(epoch)));

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
    let drag = RangeDrag::new(axes.into(), lens);
    let on_move = move |event: web_sys::PointerEvent| {
        let epoch = if drag.moved(&event) { None } else { epoch_under(&event) };
        if pointed.get_untracked() != epoch {
            pointed.set(epoch);
        }
    };
    let on_click = move |event: web_sys::MouseEvent| {
        if drag.takes_click() {
            return;
        }
        if let Some(epoch) = epoch_under(&event) {
            on_choose.run(epoch);
        }
    };
    let on_key = move |event: web_sys::KeyboardEvent| {
        if event.ctrl_key() || event.meta_key() || event.alt_key() {
            return;
        }
        let key = event.key();
        let (curves_lens, epochs) = (lens.get_untracked().curves, curves.with_untracked(|curves| curves.epochs));
        if let Some(epochs) = by_key(&curves_lens, epochs, &key, event.shift_key(), cursor.get_untracked()) {
            lens.update(|lens| lens.curves.epochs = epochs);
        } else if let (true, Some(epoch)) = (key == "Enter" || key == " ", cursor.get_untracked()) {
            on_choose.run(epoch);
        } else if let Some(epoch) = stepped(cursor.get_untracked(), &key, done.get_untracked()) {
            pointed.set(Some(epoch));
        } else {
            return;
        }
        event.prevent_default();
    };
    let said = Memo::new(move |_| curves.with(|curves| readout(curves, cursor.get())));
    let value_text = move || said.get().into_iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ");
    let has_losses = Memo::new(move |_| layout.with(|layout| layout.axes.loss.is_some()));
    let switches = Memo::new(move |_| curves.with(switches));
    view! {
        <div class="curves">
            <CurvesBar
                lens switches epochs_shown=Memo::new(move |_| curves.with(Curves::sight)) epochs=Memo::new(move |_| curves.with(|curves| curves.epochs))
                loss_is_log=Memo::new(move |_| layout.with(|layout| layout.axes.loss.as_ref().map(|loss| loss.is_log)))
            />
            <div
                class="curves-plot"
                class:with-losses=move || has_losses.get()
                role="slider"
                aria-label=move || format!("Epoch. {} Plus and minus zoom, 0 shows all.", curves.with(Curves::describe))
                aria-orientation="horizontal"
                aria-valuemin="1"
                aria-valuemax=move || done.get().max(1).to_string()
                aria-valuenow=move || cursor.get().unwrap_or(1).to_string()
                aria-valuetext=value_text
                tabindex="0"
                on:pointerdown=move |event| drag.down(&event)
                on:pointermove=on_move
                on:pointerup=move |_| drag.up()
                on:pointercancel=move |_| drag.cancel()
                on:pointerleave=move |_| pointed.set(None)
                on:dblclick=move |_| drag.reset()
                on:blur=move |_| pointed.set(None)
                on:click=on_click
                on:keydown=on_key
            >
                <Canvas surface least_scale=2.0 draw/>
                <Canvas least_scale=2.0 draw=draw_cursor/>
                {drag.view()}
            </div>
            <dl class="readout" aria-hidden="true">
                {move || said.get().into_iter().map(|(name, value)| view! { <div><dt>{name}</dt><dd>{value}</dd></div> }).collect_view()}
            </dl>
        </div>
    }
}

/// The epoch that a key moves the cursor to; `None` for other keys.
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

/// A switch for each available curve.
fn switches(curves: &Curves) -> Vec<Switch> {
    let palette = curves.theme.palette();
    let switch = |kind: SeriesKind| Switch {
        id: kind.id(),
        name: kind.name().to_owned(),
        color: Some(kind.color(palette)),
        dashed: !kind.is_strong(),
    };
    let cas = || Switch { id: CAS, name: "CAS (right axis)".to_owned(), color: Some(cas_color(palette)), dashed: false };
    let series = curves.series.iter().map(|series| switch(series.kind));
    series.chain((!curves.cas.is_empty()).then(cas)).collect()
}

/// The values of all visible curves at an epoch. Without an epoch, a hint how to read one.
fn readout(curves: &Curves, epoch: Option<u32>) -> Vec<(&'static str, String)> {
    let Some(epoch) = epoch else { return vec![("", "Point at the chart to read an epoch, drag over it to zoom.".to_owned())] };
    let values = curves.shown().map(|series| {
        let value = curves.value_at(series.kind, epoch);
        (series.kind.name(), if series.kind.is_loss() { format::short(value) } else { format::percent(value) })
    });
    let cas = curves.shown_cas().iter().find(|point| point.0 == epoch).map(|point| ("CAS", format::decimal(point.1, 2)));
    [("Epoch", epoch.to_string())].into_iter().chain(values).chain(cas).collect()
}

/// A table with the numbers of every epoch.
#[component]
pub fn EpochTable(#[prop(into)] metrics: Memo<Metrics>) -> impl IntoView {
    let open = RwSignal::new(false);
    // A memo, because records that are not of an epoch arrive every second and must not rebuild the table.
    let epochs = Memo::new(move |_| {
        if !open.get() {
            return Vec::new();
        }
        metrics.with(|metrics| {
            let cas: HashMap<u32, f64> =
                metrics.attributions_from_first(Inputs::Adversarial).map(|entry| (entry.epoch, entry.cas)).collect();
            metrics.epochs_from_first().map(|epoch| (epoch.clone(), cas.get(&epoch.epoch).copied())).collect::<Vec<_>>()
        })
    });
    // Most runs have none.
    let has_broken = Memo::new(move |_| epochs.with(|epochs| epochs.iter().any(|(epoch, _)| broken_gradients(epoch).is_some())));
    let row = move |(epoch, cas): (Epoch, Option<f64>)| {
        view! {
            <tr>
                <th scope="row" class="number">{epoch.epoch}</th>
                <td class="number">{epoch.learning_rate.to_string()}</td>
                <td class="number">{format::short(epoch.train_loss)}</td>
                <td class="number">{format::short(epoch.test_loss)}</td>
                <td class="number">{format::percent(epoch.train_clean_accuracy)}</td>
                <td class="number">{format::percent(epoch.train_robust_accuracy)}</td>
                <td class="number">{format::percent(epoch.test_clean_accuracy)}</td>
                <td class="number">{format::percent(epoch.test_robust_accuracy)}</td>
                {has_broken.get().then(|| view! { <td class="number">{broken_gradients(&epoch).unwrap_or_else(|| "–".to_owned())}</td> })}
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
                            <th scope="col" class="number">"Robust test loss"</th>
                            <th scope="col" class="number">"Clean train"</th>
                            <th scope="col" class="number">"Robust train"</th>
                            <th scope="col" class="number">"Clean test"</th>
                            <th scope="col" class="number">"Robust test"</th>
                            {move || has_broken.get().then(|| view! { <th scope="col" class="number">"Zero or not finite gradients"</th> })}
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

/// On how many of the test images, and of the held-out ones, the first gradient cannot lead the attack.
/// `None` if on none.
fn broken_gradients(epoch: &Epoch) -> Option<String> {
    let counted = |(broken, of): (Option<BrokenGradients>, &str)| {
        broken.map(|broken| format!("{} of {}{of}", format::count(broken.count().into()), format::count(broken.images.into())))
    };
    let counts = [(epoch.broken_gradients, ""), (epoch.holdout_broken_gradients, " held out")];
    counts.into_iter().filter_map(counted).reduce(|test, held_out| format!("{test}, {held_out}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::chart::colors::Theme;
    use shared::chart::curves::Series;
    use shared::view::CurvesLens;

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
    fn the_table_counts_broken_gradients_of_the_epochs_that_have_some() {
        let said = |broken| broken_gradients(&Epoch { broken_gradients: broken, ..shared::fixtures::epoch(1) });
        let broken = BrokenGradients { images: 1000, zero: 12, not_finite: 1 };
        assert_eq!((said(None), said(Some(broken)).as_deref()), (None, Some("13 of 1\u{2009}000")));
        let held_out = BrokenGradients { images: 50, zero: 2, not_finite: 0 };
        let both = Epoch { broken_gradients: Some(broken), holdout_broken_gradients: Some(held_out), ..shared::fixtures::epoch(1) };
        assert_eq!(broken_gradients(&both).as_deref(), Some("13 of 1\u{2009}000, 2 of 50 held out"));
    }

    #[test]
    fn the_readout_has_what_was_measured() {
        let curves = Curves {
            epochs: 3,
            done: 2,
            ended: false,
            series: vec![
                Series { kind: SeriesKind::TestRobust, points: vec![(1, 0.5), (2, 0.25)] },
                Series { kind: SeriesKind::TrainLoss, points: vec![(1, 2.3), (2, f64::NAN)] },
            ],
            cas: vec![(2, 20.126)],
            drops: Vec::new(),
            alarms: Vec::new(),
            best: None,
            last: None,
            fork: None,
            cursor: None,
            lens: CurvesLens::default(),
            show_legend: false,
            theme: Theme::Light,
        };
        let text = |epoch| readout(&curves, epoch).into_iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>();
        assert_eq!(text(Some(2)), ["Epoch 2", "Robust test 25.0 %", "Train loss not a finite number", "CAS 20.13"]);
        assert_eq!(text(Some(1)), ["Epoch 1", "Robust test 50.0 %", "Train loss 2.3"]);
        assert_eq!(text(None).len(), 1);
        let names: Vec<String> = switches(&curves).into_iter().map(|switch| switch.name).collect();
        assert_eq!(names, ["Robust test", "Train loss", "CAS (right axis)"]);
    }
}
