//! A table of what attacks have left of an accuracy: the self-check of an evaluation, the radii of a curve
//! over eps.

use leptos::prelude::*;
use shared::format;

/// What one attack has left.
#[derive(Clone, Debug, PartialEq)]
pub struct AttackRow {
    /// The first two cells, as the table's `heads` name them.
    pub names: [String; 2],
    /// Number of images, and how many of them are classified correctly.
    pub images: u32,
    pub correct: u32,
    pub accuracy: f64,
    /// 95 % interval of the accuracy.
    pub interval: [f64; 2],
    /// Further numbers, as the table's `more` names them.
    pub more: Vec<String>,
    pub seconds: f64,
}

#[component]
pub fn AttackTable(
    label: &'static str,
    /// Heads of the first two columns.
    heads: [&'static str; 2],
    /// Heads of the columns between the interval and the time.
    #[prop(optional)]
    more: Vec<&'static str>,
    #[prop(into)] rows: Signal<Vec<AttackRow>>,
    /// What is said below the rows.
    #[prop(optional)]
    children: Option<Children>,
) -> impl IntoView {
    let row = |AttackRow { names: [first, second], images, correct, accuracy, interval: [low, high], more, seconds }: AttackRow| {
        view! {
            <tr>
                <th scope="row">{first}</th>
                <td>{second}</td>
                <td class="number">{format!("{} of {}", format::count(correct.into()), format::count(images.into()))}</td>
                <td class="bar-cell"><span class="bar" style:width=format!("{:.1}%", accuracy * 100.0)></span></td>
                <td class="number">{format::percent(accuracy)}</td>
                <td class="number">{format!("{} to {}", format::percent(low), format::percent(high))}</td>
                {more.into_iter().map(|number| view! { <td class="number">{number}</td> }).collect_view()}
                <td class="number">{format::duration(seconds)}</td>
            </tr>
        }
    };
    view! {
        <div class="table-box" role="region" aria-label=label tabindex="0">
            <table class="table table-dense">
                <thead>
                    <tr>
                        {heads.map(|head| view! { <th scope="col">{head}</th> }).collect_view()}
                        <th scope="col" class="number">"Correct"</th>
                        <td></td>
                        <th scope="col" class="number">"Accuracy"</th>
                        <th scope="col" class="number">"95 % interval"</th>
                        {more.into_iter().map(|head| view! { <th scope="col" class="number">{head}</th> }).collect_view()}
                        <th scope="col" class="number">"Time"</th>
                    </tr>
                </thead>
                <tbody>{move || rows.get().into_iter().map(row).collect_view()}</tbody>
            </table>
            {children.map(|children| children())}
        </div>
    }
}
