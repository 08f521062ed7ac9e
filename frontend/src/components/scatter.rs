//! A scatter plot over pairs of classes. The pair under the pointer is marked in every figure of the page.

use leptos::prelude::*;
use shared::chart::Chart;
use shared::chart::scatter::{PointMark, Scatter};

use super::canvas::{Area, Canvas, Surface, position};
use super::explorer::Explorer;

#[component]
pub fn ScatterView(
    scatter: Memo<Scatter>,
    explorer: Explorer,
    /// Said below the plot while no pair is chosen.
    otherwise: &'static str,
) -> impl IntoView {
    let surface = RwSignal::new(Surface::default());
    let height = move || format!("{:.0}px", Scatter::natural_height(surface.get().width));
    let draw = move |area: &Area, surface: Surface| scatter.with(|scatter| scatter.draw(area, surface.scale));
    let draw_mark = move |area: &Area, surface: Surface| {
        let Some(pair) = explorer.current().filter(|(i, j)| i != j) else { return Ok(()) };
        scatter.with(|scatter| PointMark { scatter, pair }.draw(area, surface.scale))
    };
    let pair_under = move |event: &web_sys::MouseEvent| {
        let (x, y) = position(event)?;
        let Surface { width, height, .. } = surface.get_untracked();
        scatter.with_untracked(|scatter| scatter.pair_at(&scatter.layout(width, height), x, y))
    };
    let on_move = move |event: web_sys::PointerEvent| {
        let pair = pair_under(&event);
        if explorer.hovered.get_untracked() != pair {
            explorer.hovered.set(pair);
        }
    };
    let on_click = move |event: web_sys::MouseEvent| {
        if let Some(pair) = pair_under(&event) {
            explorer.select(Some(pair));
        }
    };
    let said = move || {
        let pair = explorer.current().filter(|(i, j)| i != j)?;
        Some(scatter.with(|scatter| PointMark { scatter, pair }.describe()))
    };
    view! {
        <div
            class="scatter" role="img" aria-label=move || scatter.with(Chart::describe) style:height=height
            on:pointermove=on_move on:pointerleave=move |_| explorer.hovered.set(None) on:click=on_click
        >
            <Canvas surface draw/>
            <Canvas draw=draw_mark/>
        </div>
        <p class="muted scatter-said">{move || said().unwrap_or_else(|| otherwise.to_owned())}</p>
    }
}
