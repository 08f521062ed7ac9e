//! The page of one matrix: the matrix in large, what it was computed from, and links to neighboring matrices.

use std::sync::Arc;

use leptos::prelude::*;
use shared::api::{Attribution, AttributionContext, AttributionFile, CheckpointInfo, path};
use shared::chart::AttributionFigure;
use shared::chart::color_map::Content;
use shared::chart::figure::checkpoint_name;
use shared::chart::heatmap::Heatmap;
use shared::config::{Inputs, Layer};
use shared::export::Format;
use shared::format;
use shared::id::AttributionId;
use shared::signs::of_attribution;
use shared::view::{Cells, Lens, Show, View};
use strum::IntoEnumIterator;

use super::NotFoundPage;
use crate::baseline::{PinButton, page_baseline};
use crate::browser::use_title;
use crate::components::dossier::{Dossier, DossierLink};
use crate::components::explorer::{Cell, Explorer};
use crate::components::exports::{Export, Exports, course, export};
use crate::components::heatmap::{HeatmapView, MatrixTable};
use crate::components::interference::InterferencePanel;
use crate::components::key_figures::{Figure, KeyFigures};
use crate::components::lens_bar::{LensBar, Segments, hidden_cells};
use crate::components::share::ShareButton;
use crate::components::signs::Signs;
use crate::debounce::{REST, debounced};
use crate::latest::ShowLatest;
use crate::load::{Failure, Placeholder, Skeleton, fetched, fetched_attribution};
use crate::theme::use_theme;
use crate::url_state::{url_state, use_id};
use crate::viewer::use_is_owner;
use crate::{names, urls};

/// The ways to show the matrix if there is a baseline.
const SHOWS: [(Show, &str); 3] = [(Show::Values, "Values"), (Show::Difference, "Difference"), (Show::Split, "Split triangle")];

#[component]
pub fn AttributionPage() -> impl IntoView {
    let id = use_id::<AttributionId>("id");
    let fetched = fetched_attribution(move || id.get());
    use_title(move || {
        fetched.ready().map_or_else(
            || "Attribution".to_owned(),
            |attribution| format!("{}, {}", attribution.context.run_title, checkpoint_name(&attribution)),
        )
    });
    let missing = move || match (id.get(), fetched.problem()) {
        (None, _) => view! { <NotFoundPage/> }.into_any(),
        (Some(_), Some(problem)) => view! { <Failure problem page=true retry=move || fetched.reload()/> }.into_any(),
        (Some(_), None) => view! { <Skeleton placeholder=Placeholder::MatrixPage/> }.into_any(),
    };
    let known = Memo::new(move |_| fetched.ready());
    view! { <ShowLatest value=known fallback=missing let:attribution><OwnAttribution named=id attribution/></ShowLatest> }
}

/// The owner's page. It stays when another matrix opens.
#[component]
fn OwnAttribution(
    /// The id in the URL.
    named: Memo<Option<AttributionId>>,
    attribution: Memo<Arc<Attribution>>,
) -> impl IntoView {
    // That of the next matrix while it still loads.
    let id = Memo::new(move |_| named.get().unwrap_or_else(|| attribution.with(|attribution| attribution.context.id.clone())));
    let view_of = move |lens: &Lens| View::Attribution { id: id.get_untracked(), lens: lens.clone() };
    let lens =
        url_state(|query| Lens::from_parameters(|name| query.get_str(name)).unwrap_or_default(), move |lens| view_of(lens).to_string());
    let shared_view = move || view_of(&lens.get_untracked());
    let baseline = page_baseline(lens);
    // Addresses of links follow once the keys or the pointer rest: a step from cell to cell changes them all.
    let rested = debounced(Memo::new(move |_| lens.get()), REST);
    view! {
        <AttributionHeader attribution view=Callback::new(move |()| shared_view())/>
        <Neighbors attribution lens=rested/>
        <AttributionView attribution baseline explorer=Explorer::new(lens)/>
        <Exports exports=Signal::derive(move || attribution.with(|attribution| exports_of(&id.get(), &rested.get(), &attribution.file)))/>
    }
}

#[component]
fn AttributionHeader(attribution: Memo<Arc<Attribution>>, view: Callback<(), View>) -> impl IntoView {
    let run = move || attribution.with(|attribution| attribution.context.run.clone());
    let run_title = move || attribution.with(|attribution| attribution.context.run_title.clone());
    let title = move || attribution.with(|attribution| format!("Class-wise attribution, {}", checkpoint_name(attribution)));
    view! {
        <header class="page-header">
            <div>
                <nav class="crumbs" aria-label="Breadcrumb">
                    <a href=".">"Runs"</a>
                    <span aria-hidden="true">"/"</span>
                    <a href=move || urls::href(&urls::run(&run()))>{move || run_title()}</a>
                </nav>
                <h1>{move || title()}</h1>
                <p class="subline">{move || attribution.with(|attribution| inputs_text(&attribution.file))}</p>
            </div>
            <div class="actions">
                <PinButton id=Signal::derive(move || attribution.with(|attribution| Some(attribution.context.id.clone())))/>
                <ShareButton view=move || view.run(())/>
            </div>
        </header>
    }
}

/// For example `Adversarial test images`.
pub fn inputs_text(file: &AttributionFile) -> String {
    let inputs = match file.inputs {
        Inputs::Adversarial => "Adversarial",
        Inputs::Clean => "Clean",
    };
    format!("{inputs} {}", names::split(file.split).to_ascii_lowercase())
}

/// Links to the previous and next checkpoint, and to the same checkpoint on other inputs.
#[component]
fn Neighbors(attribution: Memo<Arc<Attribution>>, lens: Signal<Lens>) -> impl IntoView {
    let run = Memo::new(move |_| attribution.with(|attribution| attribution.context.run.clone()));
    let here = Memo::new(move |_| attribution.with(|attribution| (attribution.file.epoch, attribution.file.inputs)));
    let checkpoints = fetched::<Vec<CheckpointInfo>>(move || Some(path::run_checkpoints(&run.get())));
    let epochs = Memo::new(move |_| {
        let inputs = here.get().1;
        let has = |checkpoint: &CheckpointInfo| checkpoint.attributions.iter().any(|attribution| attribution.inputs == inputs);
        checkpoints
            .ready()
            .unwrap_or_default()
            .iter()
            .filter(|checkpoint| has(checkpoint))
            .map(|checkpoint| checkpoint.epoch)
            .collect::<Vec<_>>()
    });
    let address = move |epoch: u32, inputs: Inputs| {
        let id = urls::attribution_id(&run.get(), epoch, inputs);
        urls::href(&View::Attribution { id, lens: lens.get() }.to_string())
    };
    let step = move |text: &'static str, to: Option<u32>| match to {
        Some(epoch) => view! {
            <a class="button button-small" href=address(epoch, here.get().1) data-noscroll="">{format!("{text} (epoch {epoch})")}</a>
        }
        .into_any(),
        None => view! { <span class="button button-small button-off">{text}</span> }.into_any(),
    };
    let inputs = move |inputs: Inputs, text: &'static str| {
        let current = move || (here.get().1 == inputs).then_some("true");
        view! { <a class="tab" href=move || address(here.get().0, inputs) data-noscroll="" aria-current=current>{text}</a> }
    };
    let exists = move |inputs: Inputs| {
        let epoch = here.get().0;
        checkpoints.ready().is_none_or(|list| {
            list.iter().any(|checkpoint| checkpoint.epoch == epoch && checkpoint.attributions.iter().any(|entry| entry.inputs == inputs))
        })
    };
    view! {
        <nav class="neighbors" aria-label="Other matrices of this run">
            <div class="tabs">
                {move || exists(Inputs::Adversarial).then(|| inputs(Inputs::Adversarial, "Adversarial"))}
                {move || exists(Inputs::Clean).then(|| inputs(Inputs::Clean, "Clean"))}
            </div>
            <div class="actions">
                {move || step("← Earlier", neighbors(&epochs.get(), here.get().0).0)}
                {move || step("Later →", neighbors(&epochs.get(), here.get().0).1)}
            </div>
        </nav>
    }
}

/// The epochs before and after one in an ascending list.
fn neighbors(epochs: &[u32], epoch: u32) -> (Option<u32>, Option<u32>) {
    let before = epochs.iter().rev().find(|other| **other < epoch).copied();
    let after = epochs.iter().find(|other| **other > epoch).copied();
    (before, after)
}

/// The matrix with everything needed to read it. Readers of a share see the same.
#[component]
pub fn AttributionView(
    attribution: Memo<Arc<Attribution>>,
    /// The attribution that differences refer to.
    baseline: Memo<Option<Arc<Attribution>>>,
    explorer: Explorer,
) -> impl IntoView {
    let theme = use_theme();
    let plain_lens = Memo::new(move |_| Lens { cell: None, ..explorer.lens.get() });
    let cells = Memo::new(move |_| {
        let cells = explorer.lens.get().cells;
        attribution.with(|attribution| cells.or_attribution(&attribution.file))
    });
    // A baseline applies to C alone.
    let compared = Memo::new(move |_| baseline.get().filter(|_| cells.get() == Cells::Attribution));
    let ordering = Memo::new(move |_| plain_lens.get().ordering());
    // Clustering is slow. This memo keeps it from running with every step of a zoom or a slider.
    let arrangement = Memo::new(move |_| {
        compared.with(|compared| attribution.with(|shown| Heatmap::arrangement(shown, compared.as_deref(), &ordering.get())))
    });
    let heatmap = Memo::new(move |_| {
        let (lens, theme) = (plain_lens.get(), theme.get());
        compared.with(|compared| attribution.with(|shown| Heatmap::in_order(shown, compared.as_deref(), arrangement.get(), &lens, theme)))
    });
    let show = Signal::derive(move || explorer.lens.get().show);
    let has_baseline = Memo::new(move |_| {
        let comparable = |attribution: &Arc<Attribution>| baseline.with(|baseline| attribution.comparable(baseline.as_deref()).is_some());
        cells.get() == Cells::Attribution && attribution.with(comparable)
    });
    let name = Signal::derive(move || {
        let checkpoint = attribution.with(|attribution| checkpoint_name(attribution));
        let other = baseline.with(|baseline| baseline.as_deref().map(checkpoint_name)).filter(|_| has_baseline.get());
        match (cells.get(), explorer.lens.get().show, other) {
            (Cells::Attribution, Show::Difference, Some(other)) => format!("{checkpoint} less {other}"),
            (Cells::Attribution, Show::Split, Some(other)) => format!("{other} above, {checkpoint} below the diagonal"),
            (Cells::Attribution, ..) => checkpoint,
            (cells, ..) => format!("{}, {checkpoint}", cells.label()),
        }
    });
    let figures =
        Signal::derive(move || attribution.with(|attribution| baseline.with(|baseline| figures(attribution, baseline.as_deref()))));
    let names = Memo::new(move |_| attribution.with(|attribution| attribution.file.class_names.clone()));
    view! {
        <KeyFigures figures/>
        <Signs signs=Signal::derive(move || attribution.with(|attribution| of_attribution(attribution)))/>
        <div class="split">
            <div class="stack">
            <section class="panel" aria-label="Heatmap">
                <CellsChoice attribution cells explorer/>
                {move || has_baseline.get().then(|| view! {
                    <Segments
                        legend="Show" name="show" options=SHOWS.to_vec() value=show
                        set=move |show| explorer.lens.update(|lens| lens.show = show)
                    />
                })}
                <LensBar
                    explorer names hidden=Signal::derive(move || heatmap.with(hidden_cells))
                    is_scaled=Signal::derive(move || matches!(cells.get(), Cells::Traffic | Cells::Logits))
                />
                <HeatmapView name heatmap explorer/>
                <MatrixTable heatmap/>
            </section>
            </div>
            <div class="stack">
                <PairCard attribution cells explorer/>
                <ClassTable attribution/>
            </div>
        </div>
        <InterferencePanel attribution explorer/>
        <Dossier subject=attribution baseline explorer/>
        <Provenance attribution/>
    }
}

/// The choice of what the cells show, of what the file has.
#[component]
fn CellsChoice(attribution: Memo<Arc<Attribution>>, cells: Memo<Cells>, explorer: Explorer) -> impl IntoView {
    let known = Memo::new(move |_| {
        attribution.with(|attribution| Cells::iter().filter(|cells| cells.are_in(&attribution.file)).collect::<Vec<_>>())
    });
    let has_traffic = Memo::new(move |_| known.with(|known| known.contains(&Cells::Traffic)));
    let option =
        move |other: Cells| view! { <option value=other.to_string() prop:selected=move || cells.get() == other>{other.label()}</option> };
    let explanation =
        move || Some(cells.get().explanation()).filter(|text| !text.is_empty()).map(|text| view! { <p class="muted">{text}</p> });
    let choice = move || {
        view! {
            <div class="lens-bar">
                <div class="lens-choice">
                    <label for="lens-cells">"Matrix"</label>
                    <select
                        class="input" id="lens-cells"
                        on:change=move |event| {
                            let chosen = event_target_value(&event).parse().unwrap_or_default();
                            explorer.lens.update(|lens| lens.cells = chosen);
                        }
                    >
                        {known.get().into_iter().map(option).collect_view()}
                    </select>
                </div>
                {has_traffic.get().then(|| view! {
                    <label class="choice">
                        <input
                            type="checkbox" prop:checked=move || explorer.lens.get().traffic
                            on:change=move |event| explorer.lens.update(|lens| lens.traffic = event_target_checked(&event))
                        />
                        <span>"Traffic of the attack as discs"</span>
                    </label>
                })}
            </div>
        }
    };
    view! {
        {move || (known.with(Vec::len) > 1).then(choice)}
        {explanation}
    }
}

/// For example `[8.4, 9.7], 95 %`.
fn interval(low: f64, high: f64, digits: usize) -> String {
    format!("[{}, {}], 95 %", format::decimal(low, digits), format::decimal(high, digits))
}

fn figures(attribution: &Attribution, baseline: Option<&Attribution>) -> Vec<Figure> {
    let Attribution { context: AttributionContext { clean_accuracy, robust_accuracy, .. }, file } = attribution;
    // The baseline has no difference to itself, and matrices over other classes are not compared.
    let baseline = attribution.comparable(baseline);
    let against = |difference: fn(&Attribution, &Attribution) -> String, otherwise: &str| {
        baseline.map_or_else(|| otherwise.to_owned(), |baseline| format!("{} against the baseline", difference(baseline, attribution)))
    };
    let pairs = file.matrix.classes() * file.matrix.classes().saturating_sub(1);
    let mut figures = vec![
        Figure::new(
            "CAS",
            format::decimal(file.cas, 2),
            match &file.bootstrap {
                Some(bootstrap) => {
                    let interval = interval(bootstrap.cas_low, bootstrap.cas_high, 2);
                    let change = against(|from, to| format::signed(to.file.cas - from.file.cas, 2), "");
                    if change.is_empty() { interval } else { format!("{interval}; {change}") }
                }
                None => against(|from, to| format::signed(to.file.cas - from.file.cas, 2), &format!("of {pairs} ordered pairs")),
            },
        ),
        Figure::new(
            "CAS / K(K−1)",
            format::decimal(file.cas_normalized, 4),
            against(|from, to| format::signed(to.file.cas_normalized - from.file.cas_normalized, 4), "mean over ordered pairs"),
        ),
    ];
    // A run that only measures matrices does not know the accuracies of the checkpoint, only those of its own
    // images.
    if robust_accuracy.is_none() && clean_accuracy.is_none() {
        figures.push(Figure::new("Accuracy", format::percent(file.accuracy), "on the inputs of this matrix"));
        return figures;
    }
    let whole = "of the checkpoint, whole test set";
    let robust = against(|from, to| change(from.context.robust_accuracy, to.context.robust_accuracy), whole);
    let clean = against(|from, to| change(from.context.clean_accuracy, to.context.clean_accuracy), whole);
    figures.push(Figure::new("Robust accuracy", format::percent(*robust_accuracy), robust));
    figures.push(Figure::new("Clean accuracy", format::percent(*clean_accuracy), clean));
    figures
}

fn change(from: Option<f64>, to: Option<f64>) -> String {
    format::points(from.zip(to).map(|(from, to)| to - from))
}

/// The main facts of the pair under the pointer, or else of the selected pair. Its dossier has the rest.
#[component]
fn PairCard(
    attribution: Memo<Arc<Attribution>>,
    /// What the matrix shows.
    cells: Memo<Cells>,
    explorer: Explorer,
) -> impl IntoView {
    let content = move || {
        let cell = explorer.current()?;
        attribution.with(|attribution| {
            let file = &attribution.file;
            let (i, j) = cell;
            if i.max(j) >= file.matrix.classes() {
                return None;
            }
            let name = |class: usize| file.class_names.get(class).cloned().unwrap_or_else(|| class.to_string());
            let sent = confused(file, cell);
            let shown = other_values(cells.get(), file, cell);
            let rank = (i != j).then(|| file.matrix.rank(i, j));
            let bounds = file.bootstrap.as_ref().and_then(|bootstrap| bootstrap.cell(i, j));
            let bounds = bounds.map(|[low, high]| interval(low, high, 3));
            let facts = [
                Some(("Cosine".to_owned(), format::decimal(file.matrix.get(i, j), 4))),
                bounds.map(|bounds| ("Interval".to_owned(), bounds)),
                rank.map(|(rank, pairs)| ("Rank".to_owned(), format!("{rank} of {pairs} pairs"))),
            ];
            let fact = |(what, value): (String, String)| view! { <div><dt>{what}</dt><dd>{value}</dd></div> };
            Some(view! {
                <h2 class="pair-name">{format!("{} · {}", name(i), name(j))}</h2>
                <dl class="facts">{facts.into_iter().flatten().chain(shown).chain(sent).map(fact).collect_view()}</dl>
                <DossierLink explorer/>
            })
        })
    };
    view! {
        <section class="panel panel-pair" aria-label="Pair">
            {move || content().map_or_else(
                || view! { <p class="muted">"Point at a cell, click it to keep it, or use the arrow keys on the heatmap."</p> }.into_any(),
                |pair| pair.into_any(),
            )}
        </section>
    }
}

/// The values of a pair in a matrix other than C; both directions where they differ.
fn other_values(cells: Cells, file: &AttributionFile, (i, j): Cell) -> Vec<(String, String)> {
    let other = (cells != Cells::Attribution).then(|| cells.of(file)).flatten();
    let Some((matrix, content)) = other else { return Vec::new() };
    let text = |value: f64| if content == Content::Fraction { format::percent(value) } else { format::decimal(value, 4) };
    if matrix.get(i, j) == matrix.get(j, i) {
        return vec![(cells.label().to_owned(), text(matrix.get(i, j)))];
    }
    let name = |class: usize| file.class_names.get(class).cloned().unwrap_or_else(|| class.to_string());
    let line = |(image, class): Cell| {
        (format!("Logit of {}", name(class)), format!("{} on images of {}", text(matrix.get(image, class)), name(image)))
    };
    [(i, j), (j, i)].map(line).into()
}

/// How many images of each class are predicted as the other, on the inputs of the matrix. For a single class:
/// as itself.
fn confused(file: &AttributionFile, (i, j): Cell) -> Vec<(String, String)> {
    let name = |class: usize| file.class_names.get(class).cloned().unwrap_or_else(|| class.to_string());
    let line = |from: usize, to: usize| {
        let row = file.confusion.get(from)?;
        let (count, total) = (*row.get(to)?, row.iter().sum::<u32>());
        let share = f64::from(count) / f64::from(total.max(1));
        Some((format!("{} → {}", name(from), name(to)), format!("{count} of {total} ({})", format::percent(share))))
    };
    let pairs = if i == j { vec![(i, i)] } else { vec![(i, j), (j, i)] };
    pairs.into_iter().filter_map(|(from, to)| line(from, to)).collect()
}

/// Accuracy of each class on the inputs of the matrix.
#[component]
fn ClassTable(attribution: Memo<Arc<Attribution>>) -> impl IntoView {
    let rows = move || {
        attribution.with(|attribution| {
            let file = &attribution.file;
            let classes = file.class_names.iter().zip(&file.class_accuracy).zip(&file.class_counts);
            classes
                .map(|((name, accuracy), count)| {
                    view! {
                        <tr>
                            <th scope="row">{name.clone()}</th>
                            <td class="bar-cell"><span class="bar" style:width=format!("{:.1}%", accuracy * 100.0)></span></td>
                            <td class="number">{format::percent(*accuracy)}</td>
                            <td class="number">{format::count(u64::from(*count))}</td>
                        </tr>
                    }
                })
                .collect_view()
        })
    };
    view! {
        <section class="panel">
            <h2>"Accuracy by class"</h2>
            <p class="muted">
                {move || attribution.with(|attribution| {
                    format!("On the inputs of this matrix; all together {}.", format::percent(attribution.file.accuracy))
                })}
            </p>
            <div class="table-box table-box-tall" role="region" aria-label="Accuracy by class" tabindex="0">
                <table class="table table-dense">
                    <thead>
                        <tr>
                            <th scope="col">"Class"</th>
                            <td></td>
                            <th scope="col" class="number">"Accuracy"</th>
                            <th scope="col" class="number">"Samples"</th>
                        </tr>
                    </thead>
                    <tbody>{move || rows()}</tbody>
                </table>
            </div>
        </section>
    }
}

/// What the matrix was computed from.
#[component]
fn Provenance(attribution: Memo<Arc<Attribution>>) -> impl IntoView {
    let is_owner = use_is_owner();
    let checkpoint = move || {
        let id = attribution.with(|attribution| attribution.file.checkpoint_id(&attribution.context.run));
        let name = id.to_string();
        match is_owner {
            true => {
                let address = urls::href(&format!("{}?epoch={}", urls::run(&id.run), id.epoch));
                view! { <a href=address>{name}</a> }.into_any()
            }
            false => name.into_any(),
        }
    };
    let facts = move || {
        attribution
            .with(|attribution| provenance(attribution))
            .into_iter()
            .map(|(name, value)| view! { <div><dt>{name}</dt><dd>{value}</dd></div> })
            .collect_view()
    };
    let hash = move || attribution.with(|attribution| attribution.file.checkpoint_sha256.clone());
    view! {
        <section class="panel">
            <h2>"Provenance"</h2>
            <dl class="facts">
                {move || facts()}
                <div><dt>"Checkpoint"</dt><dd>{move || checkpoint()}</dd></div>
                <div><dt>"Checkpoint SHA-256"</dt><dd><code class="hash">{move || hash()}</code></dd></div>
            </dl>
        </section>
    }
}

fn provenance(attribution: &Attribution) -> Vec<(&'static str, String)> {
    let file = &attribution.file;
    let attack = match &file.attack {
        None => "none: clean images".to_owned(),
        Some(attack) => attack.text(),
    };
    let bootstrap = file.bootstrap.as_ref().map(|bootstrap| {
        let of = if bootstrap.cells().is_some() { "" } else { ", of CAS alone: the checkpoint was not kept" };
        format!("95 %, {} resamples of the images{of}", format::count(bootstrap.resamples.into()))
    });
    let samples: u64 = file.class_counts.iter().copied().map(u64::from).sum();
    vec![
        ("Run", attribution.context.run.to_string()),
        ("Epoch", file.epoch.to_string()),
        ("Images", names::split(file.split).to_owned()),
        ("Attack", attack),
        (
            "Samples",
            format!("{} in {} classes; {}", format::count(samples), file.class_names.len(), file.subset.label().to_ascii_lowercase()),
        ),
        ("Aggregation", file.aggregation.label().to_owned()),
        ("Features", format!("{} of {}", format::count(u64::from(file.feature_dim)), layer(file.layer))),
        ("Intervals", bootstrap.unwrap_or_else(|| "none drawn".to_owned())),
        ("Computed in", format::duration(file.seconds)),
    ]
}

fn layer(layer: Layer) -> String {
    match layer {
        Layer::Penultimate => "the penultimate layer".to_owned(),
        Layer::Stage(stage) => format!("stage {stage}, averaged over positions, with a read-out of its own"),
    }
}

/// Export links of the matrix: numbers as computed, figures as the lens shows them.
fn exports_of(id: &AttributionId, lens: &Lens, file: &AttributionFile) -> Vec<Export> {
    let view = View::Attribution { id: id.clone(), lens: lens.clone() }.to_string();
    let query = view.split_once('?').map(|(_, query)| format!("&{query}")).unwrap_or_default();
    let figure = |figure: AttributionFigure| {
        let (name, exported) = figure.export();
        export(name, exported, |format| match format {
            // The data has no ending: it is the attribution itself.
            Format::Json => path::attribution(id),
            _ => format!("{}.{format}?chart={figure}{query}", path::attribution(id)),
        })
    };
    AttributionFigure::iter().filter(|figure| figure.suits(file)).map(figure).chain(course(&id.run, id.inputs, lens)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbors_are_the_nearest_kept_epochs() {
        assert_eq!(neighbors(&[5, 10, 12], 10), (Some(5), Some(12)));
        assert_eq!(neighbors(&[5, 10, 12], 5), (None, Some(10)));
        assert_eq!(neighbors(&[], 5), (None, None));
    }
}
