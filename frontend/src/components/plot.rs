//! A chart without interaction.

use leptos::prelude::*;
use shared::chart::Chart;

use super::canvas::{Area, Canvas, Surface};

/// A chart as a picture with its description.
#[component]
pub fn ChartImage<C: Chart + Send + Sync + 'static>(
    /// Class of the element; its style has the size.
    class: &'static str,
    chart: Memo<C>,
) -> impl IntoView {
    let draw = move |area: &Area, surface: Surface| chart.with(|chart| chart.draw(area, surface.scale));
    view! {
        <div class=class role="img" aria-label=move || chart.with(Chart::describe)>
            <Canvas least_scale=2.0 draw/>
        </div>
    }
}

/// A chart under a heading.
#[component]
pub fn Plot<C: Chart + Send + Sync + 'static>(title: &'static str, chart: Memo<C>) -> impl IntoView {
    view! {
        <section class="panel" aria-label=title>
            <h2>{title}</h2>
            <ChartImage class="sweep-plot" chart/>
        </section>
    }
}
