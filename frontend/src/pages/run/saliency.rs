//! The result of a saliency run: the same images at several checkpoints, each with its saliency map on top.

use leptos::prelude::*;
use shared::api::{Run, RunState, SaliencyFile, SaliencySample, path};
use shared::config::{Inputs, RunConfig};
use shared::format;
use shared::record::Metrics;

use super::measured_checkpoints::MeasuredCheckpoints;
use super::training::Phase;
use crate::components::saliency_map::{SaliencyOverlay, checkpoint_name, data_url};
use crate::load::{Placeholder, fetched, shown};

/// Rows per page: each row has an image for every checkpoint and kind of inputs.
const PAGE: usize = 20;
const FIRST_OPACITY: &str = "0.6";

#[component]
pub fn SaliencyView(run: Memo<Run>, metrics: Memo<Metrics>) -> impl IntoView {
    let (id, config) = run.with_untracked(|run| (run.id.clone(), run.config.clone()));
    let RunConfig::Saliency(config) = config else { return ().into_any() };
    let complete = Memo::new(move |_| run.with(|run| run.state == RunState::Succeeded));
    let file = fetched::<SaliencyFile>(move || complete.get().then(|| path::run_saliency(&id)));
    view! {
        <section class="panel" aria-labelledby="saliency-title">
            <div class="panel-header"><h2 id="saliency-title">"Grad-CAM"</h2><Phase run metrics/></div>
            <MeasuredCheckpoints checkpoints=config.checkpoints/>
            {move || match complete.get() {
                true => shown(file, Placeholder::Matrix, |file| view! { <Grid file/> }).into_any(),
                false => view! { <p class="muted">"The maps are shown when the run is complete."</p> }.into_any(),
            }}
        </section>
    }
    .into_any()
}

#[component]
fn Grid(file: SaliencyFile) -> impl IntoView {
    let opacity = RwSignal::new(FIRST_OPACITY.to_owned());
    let class = RwSignal::new(None::<u32>);
    let rows = RwSignal::new(PAGE);
    let heads = columns(&file)
        .into_iter()
        .map(|(checkpoint, inputs)| {
            let (epoch, run) = checkpoint_name(&file.checkpoints, checkpoint as usize);
            view! {
                <th scope="col">
                    <span class="saliency-checkpoint">{format!("{epoch}, {}", input_name(inputs))}</span>
                    {run.map(|run| view! { <span class="saliency-checkpoint">{run}</span> })}
                </th>
            }
        })
        .collect_view();
    let names = file.class_names.clone();
    let options = file
        .class_names
        .iter()
        .enumerate()
        .map(|(index, name)| view! { <option value=index.to_string()>{name.clone()}</option> })
        .collect_view();
    let stage = file.stage;
    let file = StoredValue::new(file);
    let wanted = move |sample: &SaliencySample| class.get().is_none_or(|class| class == sample.label);
    let total = Memo::new(move |_| file.with_value(|file| file.samples.iter().filter(|sample| wanted(sample)).count()));
    let samples = move || {
        file.with_value(|file| {
            let shown = file.samples.iter().filter(|sample| wanted(sample)).take(rows.get());
            shown.map(|sample| view! { <Sample sample=sample.clone() columns=columns(file) names=names.clone()/> }).collect_view()
        })
    };
    view! {
        <div class="lens-bar">
            <div class="field field-inline">
                <label class="field-label" for="saliency-opacity">"Opacity of the maps"</label>
                <input
                    id="saliency-opacity" type="range" min="0" max="1" step="0.05"
                    prop:value=move || opacity.get() on:input=move |event| opacity.set(event_target_value(&event))
                />
            </div>
            <div class="field field-inline">
                <label class="field-label" for="saliency-class">"Class"</label>
                <select
                    class="input" id="saliency-class"
                    on:change=move |event| { class.set(event_target_value(&event).parse().ok()); rows.set(PAGE); }
                >
                    <option value="">"All"</option>
                    {options}
                </select>
            </div>
        </div>
        <p class="muted">{format!("Of the true class, at stage {stage}; the brighter, the more a place speaks for it.")}</p>
        <div class="table-box saliency" role="region" aria-label="Saliency maps" tabindex="0" style=("--overlay", move || opacity.get())>
            <table class="table table-dense">
                <thead><tr><th scope="col">"Image"</th>{heads}</tr></thead>
                <tbody>{move || samples()}</tbody>
            </table>
        </div>
        {move || (total.get() > rows.get()).then(|| view! {
            <p class="actions">
                <button class="button" type="button" on:click=move |_| rows.update(|rows| *rows += PAGE)>
                    {format!("Show more of {} images", total.get())}
                </button>
            </p>
        })}
    }
}

/// A row: the image, and its map at each checkpoint.
#[component]
fn Sample(sample: SaliencySample, columns: Vec<(u32, Inputs)>, names: Vec<String>) -> impl IntoView {
    let name = |class: u32| names.get(class as usize).cloned().unwrap_or_else(|| class.to_string());
    let label = name(sample.label);
    let cells = columns
        .into_iter()
        .map(|(checkpoint, inputs)| {
            let Some(map) = sample.maps.iter().find(|map| map.checkpoint == checkpoint && map.inputs == inputs) else {
                return view! { <td>"–"</td> }.into_any();
            };
            let right = map.predicted == sample.label;
            let predicted = name(map.predicted);
            let said = format!("{} {}: {}", if right { "✓" } else { "✗" }, predicted, format::percent(map.true_probability));
            let alt = format!(
                "{label}, {}, predicted {predicted}, probability of {label} {}",
                input_name(inputs),
                format::percent(map.true_probability)
            );
            let image = data_url(map.image.as_deref().unwrap_or(&sample.image));
            view! {
                <td>
                    <figure class="saliency-figure">
                        <div class="saliency-picture"><img src=image alt=alt/><SaliencyOverlay map=map.map.clone()/></div>
                        <figcaption class:wrong=!right title="Prediction, and the probability of the true class">{said}</figcaption>
                    </figure>
                </td>
            }
            .into_any()
        })
        .collect_view();
    view! {
        <tr>
            <th scope="row">
                <figure class="saliency-figure">
                    <div class="saliency-picture"><img src=data_url(&sample.image) alt=format!("{label}, as it is")/></div>
                    <figcaption>{format!("{label} · {}", sample.index)}</figcaption>
                </figure>
            </th>
            {cells}
        </tr>
    }
}

/// The checkpoints and inputs of the maps, in order.
fn columns(file: &SaliencyFile) -> Vec<(u32, Inputs)> {
    let maps = file.samples.first().map(|sample| sample.maps.iter().map(|map| (map.checkpoint, map.inputs)).collect::<Vec<_>>());
    maps.unwrap_or_default()
}

fn input_name(inputs: Inputs) -> &'static str {
    match inputs {
        Inputs::Adversarial => "attacked",
        Inputs::Clean => "clean",
    }
}
