//! A chart without interaction.

use leptos::prelude::*;
use shared::chart::Chart;

use super::canvas::{Area, Canvas, Surface};

/// A chart under a heading.
#[component]
pub fn Plot<C: Chart + Send + Sync + 'static>(title: &'static str, chart: Memo<C>) -> impl IntoView {
    let draw = move |area: &Area, surface: Surface| chart.with(|chart| chart.draw(area, surface.scale));
    view! {
        <section class="panel" aria-label=title>
            <h2>{title}</h2>
            <div class="sweep-plot" role="img" aria-label=move || chart.with(Chart::describe)>
                <Canvas least_scale=2.0 draw/>
            </div>
        </section>
    }
}
