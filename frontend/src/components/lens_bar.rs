//! The controls of a lens: order of the classes, color scale and zoom.

use leptos::prelude::*;
use shared::chart::heatmap::Heatmap;
use shared::dataset::superclasses_of;
use shared::view::{Lens, Order, Ramp, Scale};
use strum::IntoEnumIterator;

use super::explorer::{Explorer, ZOOM_STEP, found_class};
use super::heatmap::FINDER;

#[component]
pub fn LensBar(
    explorer: Explorer,
    /// Number of cells whose value the chosen scale does not show.
    #[prop(into)]
    hidden: Signal<usize>,
    /// Whether the values have a scale and colors of their own.
    #[prop(optional, into)]
    is_scaled: Signal<bool>,
    /// Class names for the finder; without names there is no finder.
    #[prop(optional, into)]
    names: Signal<Vec<String>>,
) -> impl IntoView {
    let warning = move || {
        let count = hidden.get();
        (count > 0).then(|| if count == 1 { "hides 1 value".to_owned() } else { format!("hides {count} values") })
    };
    let lens = explorer.lens;
    let scale = Signal::derive(move || lens.get().scale);
    let ramp = Signal::derive(move || lens.get().ramp);
    let grouped = Memo::new(move |_| lens.get().order == Order::Superclass && names.with(|names| superclasses_of(names).is_some()));
    let some = Memo::new(move |_| names.with(|names| !names.is_empty()));
    view! {
        <div class="lens-bar">
            <OrderChoice explorer names/>
            {move || grouped.get().then(|| view! {
                <label class="choice">
                    <input
                        type="checkbox" prop:checked=move || lens.get().blocks
                        on:change=move |event| lens.update(|lens| {
                            lens.blocks = event_target_checked(&event);
                            lens.region = None;
                        })
                    />
                    <span>"Means of blocks"</span>
                </label>
            })}
            {move || (!is_scaled.get()).then(|| view! {
                <Segments
                    legend="Scale" name="scale" options=Scale::iter().map(|scale| (scale, scale.label())).collect() value=scale
                    set=move |scale| lens.update(|lens| lens.scale = scale)
                />
                <Segments
                    legend="Colors" name="ramp" options=Ramp::iter().map(|ramp| (ramp, ramp.label())).collect() value=ramp
                    set=move |ramp| lens.update(|lens| lens.ramp = ramp)
                />
            })}
            <Threshold explorer/>
            {move || some.get().then(|| view! { <Finder explorer names/><ZoomButtons explorer names/> })}
            <span class="lens-warning" role="status">
                {move || warning().map(|text| view! { <span class="badge badge-canceled">{text}</span> })}
            </span>
        </div>
    }
}

/// The number of cells that a matrix does not show.
pub fn hidden_cells(heatmap: &Heatmap) -> usize {
    heatmap.hidden().count()
}

/// The id of an order in the choice below.
fn order_id(order: Order) -> &'static str {
    match order {
        Order::Given => "given",
        Order::Similarity => "similarity",
        Order::Superclass => "superclass",
        Order::Closeness(_) => "closeness",
        Order::Change => "change",
    }
}

/// The order with an id. Closeness refers to the class of the selected row and does not follow the selection.
fn order_of(id: &str, lens: &Lens) -> Order {
    match id {
        "similarity" => Order::Similarity,
        "superclass" => Order::Superclass,
        "change" => Order::Change,
        "closeness" => lens.cell.map_or(lens.order, |(i, _)| Order::Closeness(i)),
        _ => Order::Given,
    }
}

#[component]
fn OrderChoice(explorer: Explorer, names: Signal<Vec<String>>) -> impl IntoView {
    let lens = explorer.lens;
    let class_name = move |class: usize| names.with(|names| names.get(class).cloned().unwrap_or_else(|| format!("class {class}")));
    let closeness = move || {
        let lens = lens.get();
        let class = match lens.order {
            Order::Closeness(class) => Some(class),
            _ => lens.cell.map(|(i, _)| i),
        };
        class.map_or_else(|| "By closeness (select a cell)".to_owned(), |class| format!("By closeness to {}", class_name(class)))
    };
    let has_groups = Memo::new(move |_| names.with(|names| superclasses_of(names).is_some()));
    let option = move |id: &'static str, disabled: Signal<bool>, label: Signal<String>| {
        view! {
            <option value=id prop:selected=move || order_id(lens.get().order) == id disabled=move || disabled.get()>{move || label.get()}</option>
        }
    };
    let always = Signal::stored(false);
    let text = |text: &str| Signal::stored(text.to_owned());
    view! {
        <div class="lens-choice">
            <label for="lens-order">"Order"</label>
            <select
                class="input" id="lens-order"
                on:change=move |event| lens.update(|lens| {
                    lens.order = order_of(&event_target_value(&event), lens);
                    lens.region = None;
                })
            >
                {option("given", always, text("As given"))}
                {option("similarity", always, text("By similarity"))}
                {move || has_groups.get().then(|| option("superclass", always, text("By superclass")))}
                {option("closeness", Signal::derive(move || lens.get().cell.is_none()), Signal::derive(closeness))}
                {option("change", always, text("By change"))}
            </select>
        </div>
    }
}

/// Slider for the threshold below which values stay blank.
#[component]
fn Threshold(explorer: Explorer) -> impl IntoView {
    let lens = explorer.lens;
    view! {
        <div class="lens-choice">
            <label for="lens-threshold">"Threshold"</label>
            <input
                id="lens-threshold" type="range" min="0" max="100" step="1" prop:value=move || lens.get().threshold.to_string()
                aria-valuetext=move || format!("{:.2}", f64::from(lens.get().threshold) / 100.0)
                on:input=move |event| lens.update(|lens| lens.threshold = event_target_value(&event).parse().unwrap_or_default())
            />
            <output for="lens-threshold">{move || format!("{:.2}", f64::from(lens.get().threshold) / 100.0)}</output>
        </div>
    }
}

/// Search field that selects a class while its name is typed.
#[component]
fn Finder(explorer: Explorer, names: Signal<Vec<String>>) -> impl IntoView {
    let find = move |event: web_sys::Event| {
        let found = names.with_untracked(|names| found_class(names, &event_target_value(&event)));
        if let Some(class) = found {
            explorer.lens.update(|lens| {
                // Select the row of the class; the column stays.
                lens.cell = Some((class, lens.cell.map_or(class, |(_, j)| j)));
                lens.blocks = false;
                lens.region = None;
            });
        }
    };
    view! {
        <div class="lens-choice">
            <label for=FINDER>"Find"</label>
            <input class="input" id=FINDER type="search" list="classes" placeholder="Class" autocomplete="off" on:input=find/>
            <datalist id="classes">{move || names.get().into_iter().map(|name| view! { <option value=name></option> }).collect_view()}</datalist>
        </div>
    }
}

#[component]
fn ZoomButtons(explorer: Explorer, names: Signal<Vec<String>>) -> impl IntoView {
    let zoom = move |factor: f64| {
        let classes = names.with_untracked(Vec::len);
        let all = super::explorer::Viewport { row: 0.0, column: 0.0, span: classes as f64, classes };
        let viewport = explorer.lens.get_untracked().region.map_or(all, |region| {
            let (row, column, span) = region.classes();
            super::explorer::Viewport { row, column, span, classes }
        });
        explorer.show_region(viewport.zoomed(None, factor));
    };
    let all = move || explorer.lens.get().region.is_none();
    view! {
        <div class="zoom-buttons" role="group" aria-label="Zoom">
            <button class="button button-small" type="button" aria-label="Zoom in" on:click=move |_| zoom(ZOOM_STEP)>"+"</button>
            <button class="button button-small" type="button" aria-label="Zoom out" disabled=all on:click=move |_| zoom(1.0 / ZOOM_STEP)>"−"</button>
            <button class="button button-small" type="button" disabled=all on:click=move |_| explorer.show_region(None)>"All"</button>
        </div>
    }
}

/// A choice of a few values as a row of radio buttons.
#[component]
pub fn Segments<T>(
    legend: &'static str,
    /// Name of the radio group; must be unique on the page.
    name: &'static str,
    options: Vec<(T, &'static str)>,
    value: Signal<T>,
    #[prop(into)] set: Callback<T>,
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
                                <input type="radio" name=name prop:checked=move || value.get() == option on:change=move |_| set.run(option)/>
                                <span>{label}</span>
                            </label>
                        }
                    })
                    .collect_view()}
            </div>
        </fieldset>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_has_a_control() {
        // The pages set how matrices are shown and the baseline, the matrix what is selected and visible, the curves theirs.
        const ELSEWHERE: [&str; 9] = ["cells", "traffic", "show", "base", "region", "cell", "epochs", "losses", "hide"];
        for option in Lens::OPTIONS.into_iter().filter(|option| !ELSEWHERE.contains(&option.name)) {
            assert!(include_str!("lens_bar.rs").contains(&format!("lens.{} = ", option.name)), "{} has none", option.name);
        }
    }

    #[test]
    fn every_order_is_a_choice() {
        let lens = Lens { cell: Some((3, 5)), ..Lens::default() };
        for order in [Order::Given, Order::Similarity, Order::Superclass, Order::Closeness(3), Order::Change] {
            assert_eq!(order_of(order_id(order), &lens), order);
        }
        assert_eq!(order_of("closeness", &Lens::default()), Order::Given, "nothing is selected");
    }
}
