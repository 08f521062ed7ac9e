//! A transfer matrix: the accuracy of each checkpoint on images attacked on each of them.

use leptos::prelude::*;
use shared::api::Run;
use shared::chart::Chart;
use shared::chart::transfer::{TransferCell, TransferChart, TransferMark};
use shared::config::RunConfig;
use shared::format;
use shared::record::{Metrics, Transfer, TransferRow};
use shared::signs::of_transfer;

use super::measured_checkpoints::MeasuredCheckpoints;
use crate::components::canvas::{Area, Canvas, Surface, position};
use crate::components::heatmap::is_open;
use crate::components::key_figures::{Figure, KeyFigures};
use crate::components::signs::Signs;
use crate::theme::use_theme;

#[component]
pub fn TransferView(run: Memo<Run>, metrics: Memo<Metrics>) -> impl IntoView {
    let RunConfig::Transfer(config) = run.with_untracked(|run| run.config.clone()) else { return ().into_any() };
    let transfer = Memo::new(move |_| metrics.with(|metrics| metrics.transfer.clone()));
    let ended = Memo::new(move |_| run.with(|run| run.state.is_finished()));
    let begun = Memo::new(move |_| transfer.with(Option::is_some));
    let theme = use_theme();
    let chart = Memo::new(move |_| transfer.with(|transfer| transfer.as_ref().map(|transfer| TransferChart::of(transfer, theme.get()))));
    let figures = Signal::derive(move || transfer.with(|transfer| transfer.as_ref().map(figures).unwrap_or_default()));
    let open = RwSignal::new(false);
    let matrix = move || match begun.get() {
        true => view! { <TransferMatrix chart/> }.into_any(),
        false => {
            view! { <p class="table-empty">{if ended.get() { "Nothing was measured." } else { "Nothing is measured yet." }}</p> }.into_any()
        }
    };
    let signs = Signal::derive(move || transfer.with(|transfer| transfer.as_ref().map(of_transfer).unwrap_or_default()));
    view! {
        <KeyFigures figures/>
        <Signs signs/>
        <section class="panel" aria-labelledby="transfer-title">
            <h2 id="transfer-title">"Accuracy on images attacked on another checkpoint"</h2>
            <p class="muted">
                "Each row has the same images, attacked on one checkpoint; each column is a checkpoint that classifies them. On the diagonal a checkpoint \
                is attacked itself. Where a column is lower in another row than on the diagonal, images from elsewhere fool a checkpoint more often than its \
                own do: a sign that the attack on it fails, for example at masked gradients."
            </p>
            {matrix}
            <details class="disclosure" on:toggle=move |event| open.set(is_open(&event))>
                <summary>"As a table"</summary>
                {move || open.get().then(|| view! { <TransferTable transfer/> })}
            </details>
            <MeasuredCheckpoints checkpoints=config.checkpoints.clone()/>
        </section>
    }
    .into_any()
}

/// The mean on the diagonal, beside it, and of clean images.
fn figures(transfer: &Transfer) -> Vec<Figure> {
    let count = transfer.checkpoints.len();
    let rows: Vec<(usize, Vec<f64>)> = (0..count).filter_map(|source| Some((source, transfer.accuracies(Some(source))?))).collect();
    let cells = |own: bool| {
        let cells = rows.iter().flat_map(|(source, row)| row.iter().enumerate().map(move |(target, value)| (*source == target, *value)));
        mean(cells.filter(|(same, _)| *same == own).map(|(_, value)| value))
    };
    let threat =
        format!("PGD-{}, {} {}", transfer.attack.steps, transfer.attack.norm.symbol(), transfer.attack.eps.long(transfer.attack.norm));
    vec![
        Figure::new("Attacked themselves", format::percent(cells(true)), threat),
        Figure::new("Attacked on another", format::percent(cells(false)), "mean over pairs of checkpoints"),
        Figure::new("Clean", format::percent(transfer.accuracies(None).and_then(|row| mean(row.into_iter()))), "mean over checkpoints"),
        Figure::new("Images", format::count(transfer.images.into()), format!("{} of {count} checkpoints attacked", rows.len())),
    ]
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

/// The matrix; the cell under the pointer is marked and told.
#[component]
fn TransferMatrix(chart: Memo<Option<TransferChart>>) -> impl IntoView {
    let surface = RwSignal::new(Surface::default());
    let marked = RwSignal::new(None::<TransferCell>);
    let height = move || {
        let width = surface.get().width;
        format!("{:.0}px", chart.with(|chart| chart.as_ref().map_or(0.0, |chart| chart.natural_height(width))))
    };
    let draw =
        move |area: &Area, surface: Surface| chart.with(|chart| chart.as_ref().map_or(Ok(()), |chart| chart.draw(area, surface.scale)));
    let draw_mark = move |area: &Area, surface: Surface| {
        let Some(cell) = marked.get() else { return Ok(()) };
        chart.with(|chart| chart.as_ref().map_or(Ok(()), |chart| TransferMark { chart, cell }.draw(area, surface.scale)))
    };
    let on_move = move |event: web_sys::PointerEvent| {
        let cell = position(&event).and_then(|(x, y)| {
            let width = surface.get_untracked().width;
            chart.with_untracked(|chart| chart.as_ref()?.layout(width).cell_at(x, y))
        });
        if marked.get_untracked() != cell {
            marked.set(cell);
        }
    };
    let said = move || {
        let cell = marked.get()?;
        chart.with(|chart| Some(TransferMark { chart: chart.as_ref()?, cell }.describe()))
    };
    view! {
        <div
            class="transfer" role="img" aria-label=move || chart.with(|chart| chart.as_ref().map(Chart::describe)) style:height=height
            on:pointermove=on_move on:pointerleave=move |_| marked.set(None)
        >
            <Canvas surface draw/>
            <Canvas draw=draw_mark/>
        </div>
        <p class="muted">{move || said().unwrap_or_else(|| "Point at a cell to read it.".to_owned())}</p>
    }
}

#[component]
fn TransferTable(transfer: Memo<Option<Transfer>>) -> impl IntoView {
    let rows = move || {
        let Transfer { checkpoints, rows, images, .. } = transfer.get()?;
        let name = |source: Option<usize>| source.map_or_else(|| "Not attacked".to_owned(), |source| checkpoints[source].id.to_string());
        let cell = |correct: u32| view! { <td class="number">{format::percent(f64::from(correct) / f64::from(images.max(1)))}</td> };
        let row =
            |row: TransferRow| view! { <tr><th scope="row">{name(row.source)}</th>{row.correct.into_iter().map(cell).collect_view()}</tr> };
        Some(rows.into_iter().map(row).collect_view())
    };
    let heads = move || {
        let checkpoints = transfer.get()?.checkpoints;
        Some(
            checkpoints
                .into_iter()
                .map(|checkpoint| view! { <th scope="col" class="number">{checkpoint.id.to_string()}</th> })
                .collect_view(),
        )
    };
    view! {
        <div class="table-box" role="region" aria-label="Transfer" tabindex="0">
            <table class="table table-dense">
                <thead><tr><th scope="col">"Attacked on"</th>{heads}</tr></thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
}
