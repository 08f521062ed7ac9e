//! The choices of a lens: how classes are ordered, and what the ends of the color scale stand for.

use leptos::prelude::*;
use shared::chart::heatmap::Heatmap;
use shared::view::{Order, Scale};

use super::explorer::Explorer;

const ORDERS: [(Order, &str); 2] = [(Order::Given, "As given"), (Order::Similarity, "By similarity")];
const SCALES: [(Scale, &str); 3] = [(Scale::Locked, "−1 to 1"), (Scale::Fitted, "Fitted"), (Scale::Paper, "As in the paper")];

#[component]
pub fn LensBar(
    explorer: Explorer,
    /// Cells whose value the chosen scale does not show.
    #[prop(into)]
    hidden: Signal<usize>,
) -> impl IntoView {
    let warning = move || {
        let count = hidden.get();
        (count > 0).then(|| if count == 1 { "hides 1 value".to_owned() } else { format!("hides {count} values") })
    };
    let order = Signal::derive(move || explorer.lens.get().order);
    let scale = Signal::derive(move || explorer.lens.get().scale);
    view! {
        <div class="lens-bar">
            <Segments legend="Order" name="order" options=ORDERS.to_vec() value=order set=move |order| explorer.lens.update(|lens| lens.order = order)/>
            <Segments legend="Scale" name="scale" options=SCALES.to_vec() value=scale set=move |scale| explorer.lens.update(|lens| lens.scale = scale)/>
            <span class="lens-warning" role="status">
                {move || warning().map(|text| view! { <span class="badge badge-canceled">{text}</span> })}
            </span>
        </div>
    }
}

/// How many cells of a matrix its color scale does not show.
pub fn hidden_cells(heatmap: &Heatmap) -> usize {
    let hidden = heatmap.map.hidden(&heatmap.matrix);
    hidden.negative + hidden.clipped
}

/// A choice of a few values, all in sight.
#[component]
pub fn Segments<T>(
    legend: &'static str,
    /// Of the group of radio buttons; one of its kind on the page.
    name: &'static str,
    options: Vec<(T, &'static str)>,
    value: Signal<T>,
    set: impl Fn(T) + Copy + Send + Sync + 'static,
) -> impl IntoView
where
    T: Copy + PartialEq + Send + Sync + 'static,
{
    view! {
        <fieldset class="segments">
            <legend>{legend}</legend>
            <div class="segments-row">
                {options
                    .into_iter()
                    .map(|(option, label)| {
                        view! {
                            <label class="segment">
                                <input type="radio" name=name prop:checked=move || value.get() == option on:change=move |_| set(option)/>
                                <span>{label}</span>
                            </label>
                        }
                    })
                    .collect_view()}
            </div>
        </fieldset>
    }
}
