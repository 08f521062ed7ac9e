//! The current pair in all matrices, and all pairs ranked by change.

use std::sync::Arc;

use leptos::prelude::*;
use shared::api::{Comparison, RankedPair};
use shared::chart::comparison::LETTERS;
use shared::format;

use crate::components::dossier::DossierLink;
use crate::components::explorer::{Cell, Explorer};

/// Number of pairs shown at first, and added with each request for more: 200 classes have 19,900 pairs.
const FIRST_PAIRS: usize = 10;
const MORE_PAIRS: usize = 200;

#[component]
pub fn SelectedPair(comparison: Memo<Arc<Comparison>>, explorer: Explorer) -> impl IntoView {
    let content = move || {
        let cell = explorer.current()?;
        comparison.with(|comparison| facts(comparison, cell)).map(|(name, facts)| {
            let fact = |(name, value): (String, String)| view! { <div><dt>{name}</dt><dd>{value}</dd></div> };
            view! {
                <p class="pair-name">{name}</p>
                <dl class="facts facts-row">{facts.into_iter().map(fact).collect_view()}</dl>
                <DossierLink explorer/>
            }
        })
    };
    view! {
        <section class="panel panel-pair panel-pair-row" aria-label="Selected pair">
            {move || content().map_or_else(
                || view! { <p class="muted">"Point at a cell of any matrix, click it to keep it, or use the arrow keys: the others follow."</p> }.into_any(),
                |pair| pair.into_any(),
            )}
        </section>
    }
}

/// The names of two classes, and their cosine in each matrix with its change and rank.
fn facts(comparison: &Comparison, (i, j): Cell) -> Option<(String, Vec<(String, String)>)> {
    let names = &comparison.baseline().file.class_names;
    let name = format!("{} · {}", names.get(i)?, names.get(j)?);
    let value = |index: usize| comparison.attributions[index].file.matrix.get(i, j);
    let change = |index: usize| format::signed(comparison.differences[index].matrix.get(i, j), 3);
    let may_be_chance = |index: &usize| i != j && comparison.differences[*index].is_unresolved((i, j)) == Some(true);
    let mut facts = vec![("A".to_owned(), format::decimal(value(0), 3))];
    if let [difference] = comparison.differences.as_slice() {
        let chance = if may_be_chance(&0) { ", inside the intervals" } else { "" };
        facts.push(("B".to_owned(), format::decimal(value(1), 3)));
        facts.push(("B − A".to_owned(), format!("{}{chance}", change(0))));
        let rank = difference.changes.iter().position(|change| (change.i, change.j) == (i.min(j), i.max(j)));
        facts.extend(rank.map(|rank| ("Change".to_owned(), format!("rank {} of {}", rank + 1, difference.changes.len()))));
        return Some((name, facts));
    }
    // Each change stands beside its value, so that six sides fit on one or two lines.
    let others = 0..comparison.differences.len();
    facts.extend(others.clone().map(|other| {
        let value = format!("{} ({})", format::decimal(value(other + 1), 3), change(other));
        (LETTERS[other + 1].to_owned(), value)
    }));
    let chance: Vec<&str> = others.filter(may_be_chance).map(|other| LETTERS[other + 1]).collect();
    if !chance.is_empty() {
        facts.push(("Inside the intervals".to_owned(), chance.join(", ")));
    }
    Some((name, facts))
}

/// All pairs ranked by change; a click selects a pair in the matrices.
#[component]
pub fn ChangedPairs(comparison: Memo<Arc<Comparison>>, explorer: Explorer) -> impl IntoView {
    let ranked = Memo::new(move |_| comparison.with(|comparison| comparison.ranked()));
    let names = Memo::new(move |_| comparison.with(|comparison| comparison.baseline().file.class_names.clone()));
    let shown = RwSignal::new(FIRST_PAIRS);
    let total = Memo::new(move |_| ranked.with(Vec::len));
    let rows = move || {
        let largest = ranked.with(|ranked| ranked.first().map_or(1.0, |pair| pair.change.abs().max(1e-9)));
        let row = |pair: &RankedPair| {
            let cell = (pair.i, pair.j);
            let selected = move || explorer.selected().is_some_and(|(i, j)| (i.min(j), i.max(j)) == cell);
            let direction = if pair.change < 0.0 { "bar bar-decrease" } else { "bar bar-increase" };
            let name = |class: usize| names.with(|names| names.get(class).cloned().unwrap_or_else(|| class.to_string()));
            view! {
                <tr class:selected=selected>
                    <th scope="row">
                        <button class="link" type="button" aria-pressed=move || selected().to_string() on:click=move |_| explorer.select(Some(cell))>
                            {format!("{} · {}", name(pair.i), name(pair.j))}
                        </button>
                    </th>
                    <td class="number">{format::signed(pair.change, 3)}</td>
                    <td class="change-bar"><span class=direction style:width=format!("{:.1}%", pair.change.abs() / largest * 100.0)></span></td>
                    {pair.values.iter().map(|value| view! { <td class="number">{format::decimal(*value, 3)}</td> }).collect_view()}
                </tr>
            }
        };
        ranked.with(|ranked| ranked.iter().take(shown.get()).map(row).collect_view())
    };
    let heads = move || {
        let count = comparison.with(|comparison| comparison.attributions.len());
        let change = if count == 2 { "B − A" } else { "Largest" };
        view! {
            <th scope="col" class="number">{change}</th>
            <td></td>
            {LETTERS[..count].iter().map(|letter| view! { <th scope="col" class="number">{*letter}</th> }).collect_view()}
        }
    };
    let more = move || {
        let (shown_now, total) = (shown.get(), total.get());
        let text = if shown_now >= total {
            "Show the first only".to_owned()
        } else if total <= MORE_PAIRS {
            format!("Show all {total} pairs")
        } else {
            format!("Show {} more of {} pairs", MORE_PAIRS.min(total - shown_now), format::count(total as u64))
        };
        let next = if shown_now >= total {
            FIRST_PAIRS
        } else if total <= MORE_PAIRS {
            total
        } else {
            shown_now + MORE_PAIRS
        };
        view! { <button class="button button-small" type="button" on:click=move |_| shown.set(next)>{text}</button> }
    };
    view! {
        <section class="panel" aria-labelledby="pairs-title">
            <h2 id="pairs-title">"Pairs that changed most"</h2>
            <div class="table-box table-box-tall" role="region" aria-label="Pairs that changed most" tabindex="0">
                <table class="table table-dense pairs-table">
                    <thead><tr><th scope="col">"Pair"</th>{move || heads()}</tr></thead>
                    <tbody>{move || rows()}</tbody>
                </table>
            </div>
            <Show when=move || total.get().gt(&FIRST_PAIRS)><p class="actions">{move || more()}</p></Show>
        </section>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::api::{Attribution, AttributionFile, Bootstrap};
    use shared::fixtures;
    use shared::matrix::Matrix;

    fn attribution(epoch: u32, cosine: f64) -> Attribution {
        let matrix = |cosine: f64| Matrix::try_from(vec![vec![1.0, cosine], vec![cosine, 1.0]]).unwrap();
        let of = fixtures::attribution("r", epoch, matrix(cosine));
        let (low, high) = (matrix(cosine - 0.1), matrix(cosine + 0.1));
        let bootstrap = Some(Bootstrap { resamples: 200, cas_low: 0.0, cas_high: 1.0, low: Some(low), high: Some(high) });
        let class_names = vec!["cat".into(), "dog".into()];
        Attribution { file: AttributionFile { class_names, bootstrap, ..of.file }, ..of }
    }

    #[test]
    fn a_pair_is_told_with_every_value_and_what_may_be_chance() {
        let comparison = Comparison::of(vec![attribution(1, 0.5), attribution(2, 0.6), attribution(3, 0.1)]).unwrap();
        let (name, facts) = facts(&comparison, (1, 0)).unwrap();
        let facts: Vec<String> = facts.into_iter().map(|(name, value)| format!("{name} {value}")).collect();
        assert_eq!(name, "dog · cat");
        assert_eq!(facts, ["A 0.500", "B 0.600 (+0.100)", "C 0.100 (−0.400)", "Inside the intervals B"]);
        assert!(super::facts(&comparison, (0, 2)).is_none());
        let two = Comparison::of(vec![attribution(1, 0.5), attribution(2, 0.6)]).unwrap();
        let facts = super::facts(&two, (0, 1)).unwrap().1;
        assert_eq!(facts[2].1, "+0.100, inside the intervals");
        assert_eq!(facts[3].1, "rank 1 of 1");
    }
}
