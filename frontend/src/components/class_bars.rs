//! The accuracy of each class as columns that show a class on hover, and the same numbers as a table.

use leptos::prelude::*;
use shared::chart::Chart;
use shared::chart::class_bars::{ClassBars, Columns, Frame};
use shared::format;

use super::canvas::{Area, Canvas, Surface, position};
use super::explorer::Explorer;
use super::heatmap::is_open;

#[component]
pub fn ClassBarsView(bars: Memo<ClassBars>, explorer: Explorer) -> impl IntoView {
    let surface = RwSignal::new(Surface::default());
    let pointed = RwSignal::new(None::<usize>);
    // Names and lines are drawn in a layer of their own, so that they need no redraw when the checkpoint
    // changes.
    let frame = Memo::new(move |_| ClassBars { accuracies: Vec::new(), baseline: Vec::new(), ..bars.get() });
    let draw_frame = move |area: &Area, surface: Surface| frame.with(|frame| Frame(frame).draw(area, surface.scale));
    let draw_columns = move |area: &Area, surface: Surface| bars.with(|bars| Columns(bars).draw(area, surface.scale));
    let class_under = move |event: &web_sys::MouseEvent| {
        let (x, _) = position(event)?;
        let Surface { width, height, .. } = surface.get_untracked();
        bars.with_untracked(|bars| bars.class_at(&bars.layout(width, height), x))
    };
    let on_move = move |event: web_sys::PointerEvent| {
        let class = class_under(&event);
        if pointed.get_untracked() != class {
            pointed.set(class);
        }
    };
    let on_click = move |event: web_sys::MouseEvent| {
        if let Some(class) = class_under(&event) {
            explorer.select(Some((class, class)));
        }
    };
    let tip = move || {
        let class = pointed.get()?;
        bars.with(|bars| {
            let Surface { width, height, .. } = surface.get();
            let column = bars.order.iter().position(|other| *other == class)?;
            let x = bars.layout(width, height).center_of(column);
            let text = bars.describe_class(class)?;
            Some(view! { <div class="tooltip" style:left=format!("{x:.0}px") style:top="1.5rem">{text}</div> })
        })
    };
    view! {
        <div
            class="class-bars" role="img" aria-label=move || bars.with(Chart::describe)
            on:pointermove=on_move on:pointerleave=move |_| pointed.set(None) on:click=on_click
        >
            <Canvas surface draw=draw_frame/>
            <Canvas draw=draw_columns/>
            {move || tip()}
        </div>
        <ClassBarsTable bars/>
    }
}

#[component]
fn ClassBarsTable(bars: Memo<ClassBars>) -> impl IntoView {
    let open = RwSignal::new(false);
    let table = move || {
        bars.with(|bars| {
            let compared = !bars.baseline.is_empty();
            let row = |class: &usize| {
                let (accuracy, baseline) = (bars.accuracies.get(*class).copied(), bars.baseline.get(*class).copied());
                view! {
                    <tr>
                        <th scope="row">{bars.labels.get(*class).cloned()}</th>
                        <td class="number">{format::percent(accuracy)}</td>
                        {compared.then(|| view! {
                            <td class="number">{format::percent(baseline)}</td>
                            <td class="number">{format::points(accuracy.zip(baseline).map(|(now, then)| now - then))}</td>
                        })}
                    </tr>
                }
            };
            view! {
                <table class="table table-dense">
                    <thead>
                        <tr>
                            <th scope="col">"Class"</th>
                            <th scope="col" class="number">"Accuracy"</th>
                            {compared.then(|| view! {
                                <th scope="col" class="number">"Baseline"</th>
                                <th scope="col" class="number">"Change"</th>
                            })}
                        </tr>
                    </thead>
                    <tbody>{bars.order.iter().map(row).collect_view()}</tbody>
                </table>
            }
        })
    };
    view! {
        <details class="disclosure" on:toggle=move |event| open.set(is_open(&event))>
            <summary>"Data as a table"</summary>
            <div class="table-box table-box-tall" role="region" aria-label="Accuracy by class" tabindex="0">{move || open.get().then(table)}</div>
        </details>
    }
}
