//! The comparison of two to six matrices with the first: differences, pairs that changed most, and
//! differences of the runs.

mod flicker;
mod interference;
mod pairs;
mod pickers;
mod runs;
mod scatter;
mod view;

use std::sync::Arc;

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use shared::api::{Attribution, Comparison, path};
use shared::chart::ComparisonFigure;
use shared::chart::comparison::{LETTERS, side_name};
use shared::id::AttributionId;
use shared::problem::Problem;
use shared::view::{Lens, SIDES, View, side_of};
use strum::IntoEnumIterator;

use self::pickers::Pickers;
pub use self::runs::RunsCompared;
pub use self::view::ComparisonView;
use crate::baseline::PinButton;
use crate::browser::use_title;
use crate::cache::{Cache, Cached};
use crate::components::explorer::Explorer;
use crate::components::exports::{Export, Exports, export};
use crate::components::share::ShareButton;
use crate::debounce::{REST, debounced};
use crate::latest::{ShowLatest, latest};
use crate::load::{Failure, Load, Placeholder, Skeleton, told};
use crate::url_state::url_state;

/// The compared attributions, the baseline first; `None` if not yet chosen.
pub type Sides = Vec<Option<AttributionId>>;

#[component]
pub fn ComparePage() -> impl IntoView {
    let query = use_query_map();
    let sides = Memo::new(move |_| query.with(|query| sides(|name| query.get(name))));
    let matrices = Cache::of_attributions();
    Effect::new(move || {
        for id in sides.get().iter().flatten() {
            matrices.ask(id);
        }
    });
    let shown = url_state(
        |query| Shown {
            of: side_of(query.get_str("of"), SIDES.len()).unwrap_or(1),
            lens: Lens::from_parameters(|name| query.get_str(name)).unwrap_or_default(),
        },
        move |shown| address(&sides.get_untracked(), shown),
    );
    let lens = shown.part(|shown| shown.lens.clone(), |shown, lens| shown.lens = lens);
    let of = shown.part(|shown| shown.of, |shown, of| shown.of = of);
    let answer = Memo::new(move |_| sides.with(|sides| answer(sides, matrices)));
    // The former comparison stays visible while the next one loads.
    let comparison = latest(None, move || match answer.get() {
        Answer::Ready(kept) => Some(Comparison::of(kept.iter().map(|kept| Attribution::clone(kept)).collect()).ok().map(Arc::new)),
        Answer::Loading => None,
        Answer::Incomplete | Answer::Failed(_) => Some(None),
    });
    use_title(move || {
        comparison.with(|comparison| {
            comparison.as_ref().map_or_else(|| "Compare".to_owned(), |comparison| format!("Compare: {}", subject(comparison)))
        })
    });
    let known = Memo::new(move |_| comparison.with(Option::is_some));
    let baseline = Signal::derive(move || sides.with(|sides| sides.first().cloned().flatten()));
    let shown = Memo::new(move |_| shown.get());
    // Addresses of exports follow once the keys or the pointer rest: a step from cell to cell changes them all.
    let rested = debounced(shown, REST);
    let view_of = move || shown.with_untracked(|shown| shown.view(ids(&sides.get_untracked())));
    let missing = move || {
        match answer.get() {
        Answer::Incomplete => view! {
            <section class="empty">
                <h2>"Choose two matrices to compare"</h2>
                <p>"Of one run or of several over the same classes; the first is the baseline that the others are compared with. The page of a run compares its best and last checkpoint with one click."</p>
                <p class="actions"><a class="button" href=".">"All runs"</a></p>
            </section>
        }
        .into_any(),
        Answer::Failed(problem) => view! { <Failure problem retry=move || matrices.retry()/> }.into_any(),
        Answer::Loading => view! { <Skeleton placeholder=Placeholder::Matrices/> }.into_any(),
        Answer::Ready(kept) => view! { <NotComparable kept/> }.into_any(),
    }
    };
    view! {
        <header class="page-header">
            <h1>"Compare"</h1>
            <div class="actions">
                <PinButton id=baseline/>
                {move || known.get().then(|| view! { <ShareButton view=view_of/> })}
            </div>
        </header>
        <Pickers sides shown/>
        <ShowLatest value=comparison fallback=missing let:comparison>
            <ComparisonView comparison explorer=Explorer::new(lens) of/>
            <RunsCompared comparison lens/>
            <Exports exports=Signal::derive(move || {
                let suits = |figure: ComparisonFigure| comparison.with(|comparison| figure.suits(comparison));
                sides.with(|sides| rested.with(|shown| exports_of(sides, shown, suits)))
            })/>
        </ShowLatest>
    }
}

/// Whether the chosen sides can be compared.
#[derive(Clone, PartialEq)]
enum Answer {
    /// Fewer than two sides are chosen.
    Incomplete,
    Loading,
    Failed(Problem),
    Ready(Vec<Cached<Attribution>>),
}

fn answer(sides: &[Option<AttributionId>], matrices: Cache<AttributionId, Attribution>) -> Answer {
    let chosen: Vec<&AttributionId> = sides.iter().map_while(Option::as_ref).collect();
    if chosen.len() < 2 {
        return Answer::Incomplete;
    }
    let mut ready = Vec::with_capacity(chosen.len());
    for (id, side) in chosen.into_iter().zip(LETTERS) {
        match matrices.get(id) {
            Some(Load::Ready(kept)) => ready.push(kept),
            Some(Load::Failed(problem)) => return Answer::Failed(Problem { title: format!("{side}: {}", problem.title), ..problem }),
            Some(Load::Loading) | None => return Answer::Loading,
        }
    }
    Answer::Ready(ready)
}

/// Shows why the matrices cannot be compared, such as other classes, in the words of the API.
#[component]
fn NotComparable(kept: Vec<Cached<Attribution>>) -> impl IntoView {
    let attributions = kept.iter().map(|kept| Attribution::clone(kept)).collect();
    let detail = Comparison::of(attributions).map_or_else(|error| error.to_string(), |_| String::new());
    view! {
        <div class="notice notice-error" role="alert">
            <h2 class="notice-title">"These cannot be compared"</h2>
            <p>{told(&detail)}</p>
        </div>
    }
}

/// The sides in a query; at least two, which may be empty.
fn sides(get: impl Fn(&str) -> Option<String>) -> Sides {
    let mut sides: Sides = SIDES.iter().map(|side| get(side).and_then(|id| id.parse().ok())).collect();
    let count = sides.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    sides.truncate(count.max(2));
    sides
}

/// The attributions of the sides, up to the first side that is not chosen.
fn ids(sides: &[Option<AttributionId>]) -> Vec<AttributionId> {
    sides.iter().map_while(Option::clone).collect()
}

/// How the comparison is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// Index of the side whose cosines are plotted against A.
    pub of: usize,
    pub lens: Lens,
}

impl Shown {
    fn view(&self, ids: Vec<AttributionId>) -> View {
        // The comparison may have fewer sides now.
        View::Compare { of: self.of.min(ids.len().saturating_sub(1)), ids, lens: self.lens.clone() }
    }
}

/// The address of a comparison, which may be incomplete.
fn address(sides: &[Option<AttributionId>], shown: &Shown) -> String {
    let ids = ids(sides);
    if ids.len() >= 2 && ids.len() == sides.len() {
        return shown.view(ids).to_string();
    }
    let one = |(side, id): (&&str, &Option<AttributionId>)| id.as_ref().map(|id| format!("{side}={id}"));
    let query: Vec<String> = SIDES.iter().zip(sides).filter_map(one).collect();
    format!("/compare?{}", query.join("&"))
}

fn subject(comparison: &Comparison) -> String {
    let names: Vec<String> = (0..comparison.attributions.len()).map(|index| side_name(comparison, index)).collect();
    let one_run = comparison.attributions.iter().all(|other| other.context.run == comparison.baseline().context.run);
    let run = if one_run { format!("{}, ", comparison.baseline().context.run_title) } else { String::new() };
    format!("{run}{}", names.join(" → "))
}

fn exports_of(sides: &Sides, shown: &Shown, suits: impl Fn(ComparisonFigure) -> bool) -> Vec<Export> {
    let of = shown.of.min(sides.len() - 1);
    let view = address(sides, shown);
    let query = view.split_once('?').map(|(_, query)| query.to_owned()).unwrap_or_default();
    let figure = |figure: ComparisonFigure| {
        let (name, exported) = figure.export(LETTERS[of]);
        export(name, exported, |format| format!("{}?{query}&format={format}&chart={figure}", path::comparisons()))
    };
    ComparisonFigure::iter().filter(|figure| suits(*figure)).map(figure).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(ids: &[&str]) -> Sides {
        ids.iter().map(|id| id.parse().ok()).collect()
    }

    #[test]
    fn the_address_names_the_sides_in_their_order() {
        let shown = Shown { of: 2, lens: Lens::default() };
        assert_eq!(address(&some(&["r.e1.clean", "r.e2.clean"]), &shown), "/compare?a=r.e1.clean&b=r.e2.clean");
        let three = address(&some(&["r.e1.clean", "r.e2.clean", "r.e3.clean"]), &shown);
        assert_eq!(three, "/compare?a=r.e1.clean&b=r.e2.clean&c=r.e3.clean&of=c");
        assert_eq!(address(&some(&["", "r.e2.clean"]), &shown), "/compare?b=r.e2.clean", "half a choice has an address too");
    }

    #[test]
    fn the_scatter_is_exported_with_the_side_that_it_shows() {
        let scatter = |sides: &[&str], of: usize| {
            let exports = exports_of(&some(sides), &Shown { of, lens: Lens::default() }, |_| true);
            let (what, formats) = exports.into_iter().find(|(what, _)| what.starts_with("A against")).unwrap();
            (what, formats.into_iter().next().unwrap().1)
        };
        let three = ["r.e1.clean", "r.e2.clean", "r.e3.clean"];
        let (what, address) = scatter(&three, 2);
        assert_eq!((what.as_str(), address.ends_with("&c=r.e3.clean&of=c&format=svg&chart=scatter")), ("A against C", true), "{address}");
        let (what, address) = scatter(&three[..2], 2);
        assert_eq!((what.as_str(), address.contains("&of=")), ("A against B", false), "{address}");
    }

    #[test]
    fn there_are_two_sides_at_least_and_as_many_as_the_query_names() {
        let query = |given: &[(&str, &str)]| {
            let given: Vec<(String, String)> = given.iter().map(|(name, id)| ((*name).to_owned(), (*id).to_owned())).collect();
            sides(move |name| given.iter().find(|(known, _)| known == name).map(|(_, id)| id.clone()))
        };
        assert_eq!(query(&[]), some(&["", ""]));
        assert_eq!(query(&[("b", "r.e1.clean")]), some(&["", "r.e1.clean"]));
        let four = some(&["r.e1.clean", "r.e2.clean", "", "r.e4.clean"]);
        assert_eq!(query(&[("a", "r.e1.clean"), ("b", "r.e2.clean"), ("c", "none"), ("d", "r.e4.clean")]), four);
    }
}
