//! The selected checkpoint: its matrix, the difference to the baseline, and the accuracy of each class.
//!
//! Matrices are loaded in advance, so that a step of the scrubber usually waits for nothing.

use leptos::prelude::*;
use shared::api::{Attribution, Run};
use shared::chart::class_bars::ClassBars;
use shared::chart::color_map::{ColorMap, Content};
use shared::chart::comparison;
use shared::chart::figure::checkpoint_name;
use shared::chart::heatmap::{Heatmap, unresolved};
use shared::config::Inputs;
use shared::format;
use shared::id::AttributionId;
use shared::matrix::Matrix;
use shared::record::Metrics;
use shared::view::{Lens, Order, Scale};

use super::Selection;
use super::scrubber::tag;
use crate::baseline::PinButton;
use crate::cache::{Cache, Cached};
use crate::components::class_bars::ClassBarsView;
use crate::components::explorer::Explorer;
use crate::components::heatmap::{HeatmapView, MatrixTable};
use crate::components::key_figures::{Figure, KeyFigures};
use crate::components::lens_bar::{LensBar, Segments, hidden_cells};
use crate::latest::latest;
use crate::load::{Failure, Load, Placeholder, Skeleton};
use crate::theme::use_theme;
use crate::url_state::UrlState;
use crate::urls;
use crate::viewer::use_is_owner;

/// Largest number of cells kept in memory: 100 matrices of 200 classes.
const MOST_CELLS: usize = 4_000_000;

#[component]
pub fn SelectedCheckpointView(
    run: Memo<Run>,
    metrics: Memo<Metrics>,
    selection: UrlState<Selection>,
    selected: Memo<Option<u32>>,
    matrices: Cache<AttributionId, Attribution>,
) -> impl IntoView {
    let is_owner = use_is_owner();
    let run_id = StoredValue::new(run.with_untracked(|run| run.id.clone()));
    let inputs = Memo::new(move |_| selection.get().inputs);
    let lens = selection.part(|selection| selection.lens.clone(), |selection, lens| selection.lens = lens);
    let explorer = Explorer::new(lens);
    let name_of = move |epoch: u32| AttributionId { run: run_id.get_value(), epoch, inputs: inputs.get() };

    // Requested only once the records say that the matrix exists.
    let id = Memo::new(move |_| {
        let id = name_of(selected.get()?);
        metrics.with(|metrics| metrics.cas(id.epoch, id.inputs)).map(|_| id)
    });
    let best = Memo::new(move |_| metrics.with(|metrics| metrics.attributed(None, inputs.get())).map(name_of));
    let named = Memo::new(move |_| lens.get().baseline);
    Effect::new(move || {
        for id in [id.get(), named.get(), best.get()].into_iter().flatten() {
            matrices.ask(&id);
        }
    });
    matrices.prefetch(move || {
        let around = selected.get().unwrap_or_default();
        metrics.with(|metrics| nearest_first(metrics, inputs.get(), around)).into_iter().map(name_of).collect()
    });

    let of = move |id: &AttributionId| matrices.ready(id);
    // The former matrix stays until the next one arrives. The captions name the one that is shown.
    let now = latest(None, move || match id.get().map(|id| matrices.get(&id)) {
        Some(Some(Load::Ready(kept))) => Some(Some(kept)),
        Some(Some(Load::Loading) | None) => None,
        Some(Some(Load::Failed(_))) | None => Some(None),
    });
    let baseline = Memo::new(move |_| {
        let classes = now.get()?;
        let comparable = |kept: &Cached<Attribution>| kept.file.class_names == classes.file.class_names;
        named.get().and_then(|id| of(&id)).filter(comparable).or_else(|| best.get().and_then(|id| of(&id)).filter(comparable))
    });
    // The pinned baseline may have other classes; then the page says that it is not used.
    let passed_over = Memo::new(move |_| {
        let (named, used) = (named.get()?, baseline.get()?);
        of(&named)
            .filter(|named| named.context.id != used.context.id)
            .map(|named| format!("{}, {}", named.context.run_title, checkpoint_name(&named)))
    });

    let figures = Signal::derive(move || {
        let id = name_of(selected.get().unwrap_or_default());
        metrics.with(|metrics| baseline.with(|baseline| figures(metrics, &id, baseline.as_deref())))
    });
    let state = Memo::new(move |_| match id.get() {
        None => State::Nothing,
        Some(_) if now.with(Option::is_some) => State::Shown,
        Some(id) => match matrices.get(&id) {
            Some(Load::Failed(_)) if is_owner => State::Failed,
            Some(Load::Failed(_)) => State::Elsewhere,
            _ => State::Loading,
        },
    });
    let hidden = RwSignal::new(0);
    let names = Memo::new(move |_| metrics.with(|metrics| metrics.started.as_ref().map(|run| run.class_names.clone()).unwrap_or_default()));
    // The lens controls and numbers come below the matrix, so that the matrix is visible without scrolling.
    let about = move || {
        view! {
            <div class="lens-row"><LensBar explorer names hidden/></div>
            <KeyFigures figures/>
            {move || passed_over.get().map(|name| view! {
                <p class="muted">{format!("The pinned baseline ({name}) is over other classes: differences here are to the best checkpoint.")}</p>
            })}
        }
    };
    let content = move || match state.get() {
        State::Nothing => view! { <p class="muted">"This checkpoint has no matrix of these inputs, or not yet."</p>{about()} }.into_any(),
        State::Elsewhere => view! { <p class="muted">"The link brings no matrix of this checkpoint."</p>{about()} }.into_any(),
        State::Loading => view! { <Skeleton placeholder=Placeholder::Matrix/>{about()} }.into_any(),
        State::Failed => {
            let problem = id.get_untracked().and_then(|id| matrices.get(&id));
            match problem {
                Some(Load::Failed(problem)) => view! { <Failure problem retry=move || matrices.retry()/>{about()} }.into_any(),
                _ => ().into_any(),
            }
        }
        State::Shown => now
            .get_untracked()
            .map(|first| {
                let now = latest(first, move || now.get());
                view! { <Panels metrics now baseline matrices inputs explorer hidden about/> }
            })
            .into_any(),
    };
    let some = Memo::new(move |_| metrics.with(|metrics| !metrics.attributions.is_empty()));
    let choose = move |inputs: Inputs| selection.update(|selection| selection.inputs = inputs);
    let section = move || {
        view! {
            <section class="panel time-section" aria-labelledby="time-title">
                <div class="panel-header">
                    <h2 id="time-title">{move || format!("Epoch {}", selected.get().map_or_else(|| "–".to_owned(), |epoch| epoch.to_string()))}</h2>
                    <div class="actions">
                        <Segments
                            legend="Inputs" name="inputs" value=inputs.into() set=choose
                            options=vec![(Inputs::Adversarial, "Adversarial"), (Inputs::Clean, "Clean")]
                        />
                        {is_owner.then(|| view! { <PinButton id/> })}
                    </div>
                </div>
                {move || content()}
            </section>
        }
    };
    move || some.get().then(section)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Nothing,
    /// The matrix is not part of the share.
    Elsewhere,
    Loading,
    Failed,
    Shown,
}

/// Matrix, difference and class accuracies side by side.
#[component]
fn Panels(
    metrics: Memo<Metrics>,
    now: Memo<Cached<Attribution>>,
    baseline: Memo<Option<Cached<Attribution>>>,
    matrices: Cache<AttributionId, Attribution>,
    inputs: Memo<Inputs>,
    explorer: Explorer,
    /// Set to the number of cells that the scale does not show.
    hidden: RwSignal<usize>,
    /// Content below the matrix.
    #[prop(into)]
    about: ViewFn,
) -> impl IntoView {
    let is_owner = use_is_owner();
    let theme = use_theme();
    let plain_lens = Memo::new(move |_| Lens { cell: None, ..explorer.lens.get() });
    let colors = Memo::new(move |_| {
        let Lens { ramp, scale, .. } = plain_lens.get();
        Lens { ramp, scale, ..Lens::default() }
    });
    let base = Memo::new(move |_| baseline.get().unwrap_or_else(|| now.get()));
    let ordering = Memo::new(move |_| plain_lens.get().ordering());
    // Clustering is slow. This memo keeps it from running with every step or move of a slider.
    let arrangement = Memo::new(move |_| {
        let lens = ordering.get();
        let changed = (lens.order == Order::Change).then(|| now.get());
        comparison::arrangement_of(&base.get(), changed.as_deref(), &lens)
    });
    // The fitted scale covers all loaded matrices, so that it does not change with every step. Others need none.
    let maps = Memo::new(move |_| {
        let colors = colors.get();
        let (base, inputs) = (base.get(), inputs.get());
        let alike = |kept: &Cached<Attribution>| kept.file.inputs == inputs && kept.file.class_names == base.file.class_names;
        let loaded = if colors.scale == Scale::Fitted { matrices.all() } else { Vec::new() };
        let all: Vec<Cached<Attribution>> = loaded.into_iter().filter(alike).collect();
        let differences: Vec<Matrix> = all.iter().filter_map(|kept| base.file.matrix.difference(&kept.file.matrix)).collect();
        let values: Vec<&Matrix> = all.iter().map(|kept| &kept.file.matrix).collect();
        arrangement.with(|arrangement| {
            let values = arrangement.map(&colors, &values, Content::Cosine);
            (values, arrangement.map(&colors, &differences.iter().collect::<Vec<_>>(), Content::Difference))
        })
    });
    let arranged = move |matrix: &Matrix, content: Content, names: &[String], map: ColorMap| {
        Heatmap::arranged(matrix, content, names, arrangement.get(), map, &plain_lens.get(), theme.get())
    };
    let values = Memo::new(move |_| {
        let file = &now.get().file;
        arranged(&file.matrix, Content::Cosine, &file.class_names, maps.get().0)
    });
    let difference = Memo::new(move |_| {
        let (base, now) = (base.get(), now.get());
        let matrix = base.file.matrix.difference(&now.file.matrix).unwrap_or_else(|| now.file.matrix.clone());
        let mut hatched = arrangement.with(|arrangement| unresolved(&base, &now, arrangement));
        if base.context.id == now.context.id {
            // Nothing differs from itself. The legend of hatching stays, so that the layout does not change
            // between steps.
            hatched.iter_mut().for_each(Vec::clear);
        }
        arranged(&matrix, Content::Difference, &now.file.class_names, maps.get().1).hatched(hatched)
    });
    Effect::new(move || hidden.set(values.with(hidden_cells) + difference.with(hidden_cells)));
    let bars = Memo::new(move |_| {
        let (base, now, lens) = (base.get(), now.get(), explorer.lens.get());
        arrangement.with(|arrangement| ClassBars::of(&now, Some(&base), arrangement, &lens, theme.get()))
    });
    let caption = Signal::derive(move || {
        let now = now.get();
        let tag = metrics.with(|metrics| tag(metrics, now.file.epoch));
        format!("Epoch {}{tag}: CAS {}", now.file.epoch, format::decimal(now.file.cas, 2))
    });
    let against = Signal::derive(move || {
        let (base, now) = (base.get(), now.get());
        if base.context.id == now.context.id {
            return "This is the baseline: nothing differs".to_owned();
        }
        if base.context.run != now.context.run {
            return format!("Less {}, {}", base.context.run_title, checkpoint_name(&base));
        }
        metrics.with(|metrics| format!("Less epoch {}{}", base.file.epoch, tag(metrics, base.file.epoch)))
    });
    let classes = Signal::derive(move || match inputs.get() {
        Inputs::Adversarial => "Robust accuracy by class",
        Inputs::Clean => "Clean accuracy by class",
    });
    let open = move || now.with(|now| urls::href(&format!("/attributions/{}", now.context.id)));
    view! {
        <div class="time-panel">
            <p class="caption">{caption}" "{is_owner.then(|| view! { <a href=open>"Open"</a> })}</p>
            <HeatmapView name=caption heatmap=values explorer/>
            <MatrixTable heatmap=values/>
        </div>
        {about.run()}
        <div class="time-grid">
            <div class="time-panel">
                <p class="caption">{against}</p>
                <HeatmapView name=against heatmap=difference explorer/>
                <MatrixTable heatmap=difference/>
            </div>
            <div class="time-panel">
                <p class="caption">{classes}</p>
                <ClassBarsView bars explorer/>
            </div>
        </div>
    }
}

/// The epochs with a matrix of these inputs, nearest to `around` first; as many as memory may hold.
fn nearest_first(metrics: &Metrics, inputs: Inputs, around: u32) -> Vec<u32> {
    let mut epochs: Vec<u32> = metrics.attributions.iter().filter(|entry| entry.inputs == inputs).map(|entry| entry.epoch).collect();
    epochs.sort_by_key(|epoch| epoch.abs_diff(around));
    let classes = metrics.started.as_ref().map_or(0, |started| started.class_names.len()).max(1);
    epochs.truncate((MOST_CELLS / (classes * classes)).max(1));
    epochs
}

fn figures(metrics: &Metrics, id: &AttributionId, baseline: Option<&Attribution>) -> Vec<Figure> {
    let AttributionId { epoch, inputs, .. } = *id;
    let measured = metrics.epochs.iter().find(|entry| entry.epoch == epoch);
    let (robust, clean) = (measured.and_then(|entry| entry.test_robust_accuracy), measured.and_then(|entry| entry.test_clean_accuracy));
    let cas = metrics.cas(epoch, inputs);
    let against = |change: String| match baseline {
        Some(baseline) if baseline.context.id == *id => "the baseline".to_owned(),
        Some(baseline) if baseline.context.run == id.run => {
            format!("{change} to epoch {}{}", baseline.file.epoch, tag(metrics, baseline.file.epoch))
        }
        Some(_) => format!("{change} to the baseline"),
        None => String::new(),
    };
    let points = |now: Option<f64>, then: fn(&Attribution) -> Option<f64>| {
        format::points(now.zip(baseline.and_then(then)).map(|(now, then)| now - then))
    };
    let change = |now: Option<f64>, then: fn(&Attribution) -> f64| now.zip(baseline.map(then)).map(|(now, then)| now - then);
    let normalized =
        metrics.attributions.iter().find(|entry| entry.epoch == epoch && entry.inputs == inputs).map(|entry| entry.cas_normalized);
    vec![
        Figure::new("Robust accuracy", format::percent(robust), against(points(robust, |baseline| baseline.context.robust_accuracy))),
        Figure::new("CAS", format::decimal(cas, 2), against(format::signed(change(cas, |baseline| baseline.file.cas), 2))),
        Figure::new(
            "CAS / K(K−1)",
            format::decimal(normalized, 4),
            against(format::signed(change(normalized, |baseline| baseline.file.cas_normalized), 4)),
        ),
        Figure::new("Clean accuracy", format::percent(clean), against(points(clean, |baseline| baseline.context.clean_accuracy))),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::tests::metrics;
    use super::*;
    use shared::fixtures;
    use shared::record::Record;

    #[test]
    fn the_nearest_matrices_are_fetched_first() {
        let entry = |epoch| Record::Attribution(fixtures::matrix_of(epoch, Inputs::Adversarial, 1.0));
        let metrics = Metrics::from_records([5, 10, 15, 20].map(entry));
        assert_eq!(nearest_first(&metrics, Inputs::Adversarial, 14), [15, 10, 20, 5]);
        assert!(nearest_first(&metrics, Inputs::Clean, 14).is_empty());
    }

    #[test]
    fn figures_have_what_was_measured_of_the_epoch() {
        let id = |epoch| AttributionId { run: "r".parse().unwrap(), epoch, inputs: Inputs::Adversarial };
        let values: Vec<String> = figures(&metrics(), &id(2), None).into_iter().map(|figure| figure.value).collect();
        assert_eq!(values, ["60.0 %", "18.00", "0.2000", "90.0 %"]);
        assert_eq!(figures(&metrics(), &id(3), None)[1].value, "–");
    }
}
