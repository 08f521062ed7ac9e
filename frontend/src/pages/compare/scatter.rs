//! A scatter plot with a point per pair: its cosine in A against its cosine in another matrix.

use std::sync::Arc;

use leptos::prelude::*;
use shared::api::Comparison;
use shared::chart::Chart;
use shared::chart::colors::Theme;
use shared::chart::comparison::LETTERS;
use shared::chart::scatter::{PointMark, Scatter};

use crate::components::canvas::{Area, Canvas, Surface, position};
use crate::components::explorer::Explorer;
use crate::url_state::UrlState;

#[component]
pub fn ScatterPanel(
    comparison: Memo<Arc<Comparison>>,
    explorer: Explorer,
    theme: Memo<Theme>,
    /// Index of the side that is plotted against A.
    of: UrlState<usize>,
) -> impl IntoView {
    let count = Memo::new(move |_| comparison.with(|comparison| comparison.attributions.len()));
    let scatter = Memo::new(move |_| {
        comparison.with(|comparison| {
            let index = of.get().min(comparison.attributions.len() - 1);
            Scatter::comparison(comparison, index, theme.get())
        })
    });
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
    let options = move || {
        (1..count.get())
            .map(|index| view! { <option value=index.to_string() prop:selected=move || of.get() == index>{format!("A against {}", LETTERS[index])}</option> })
            .collect_view()
    };
    view! {
        <section class="panel" aria-labelledby="scatter-title">
            <div class="panel-header">
                <h2 id="scatter-title">"Pair by pair"</h2>
                <Show when=move || count.get().gt(&2)>
                    <select class="input input-small" aria-label="Against" on:change=move |event| of.set(event_target_value(&event).parse().unwrap_or(1))>
                        {move || options()}
                    </select>
                </Show>
            </div>
            <div
                class="scatter" role="img" aria-label=move || scatter.with(Chart::describe) style:height=height
                on:pointermove=on_move on:pointerleave=move |_| explorer.hovered.set(None) on:click=on_click
            >
                <Canvas surface draw/>
                <Canvas draw=draw_mark/>
            </div>
            <p class="muted scatter-said">{move || said().unwrap_or_else(|| "Pairs above the dashed line are more alike than in A. The table of pairs has the numbers.".to_owned())}</p>
        </section>
    }
}
