//! A number of the matrix over the epochs of a run.

use leptos::prelude::*;
use shared::api::EpochCell;
use shared::chart::course::{Course, CourseOf};
use shared::format;

use super::table::{Row, table};
use crate::components::plot::ChartImage;
use crate::theme::use_theme;

#[component]
pub fn CourseView(of: CourseOf, cells: Vec<EpochCell>, marks: Vec<(u32, &'static str)>) -> impl IntoView {
    let theme = use_theme();
    let rows = cells.iter().rev().map(|cell| {
        let interval = cell.interval.map(|[low, high]| format!("[{}, {}]", format::decimal(low, 3), format::decimal(high, 3)));
        Row::new(cell.epoch.to_string(), vec![format::decimal(cell.value, 4), interval.unwrap_or_else(|| "–".to_owned())])
    });
    let name = of.names().0;
    let heads = ["Epoch", name, "Interval, 95 %"].map(str::to_owned).to_vec();
    let rows = table(format!("{name} by epoch"), heads, false, rows.collect());
    let course = Memo::new(move |_| Course { of, cells: cells.clone(), marks: marks.clone(), theme: theme.get() });
    view! {
        <ChartImage class="course-plot" chart=course/>
        <details class="disclosure"><summary>"Data as a table"</summary>{rows}</details>
    }
    .into_any()
}
