//! Where networks look: the same images at several checkpoints, each with its map above it.

use leptos::html;
use leptos::prelude::*;
use shared::api::{Run, RunState, SaliencyFile, SaliencyMap, SaliencySample};
use shared::chart::colors::Theme;
use shared::config::{Inputs, RunConfig};
use shared::format;
use shared::record::Metrics;
use shared::view::CheckpointId;
use wasm_bindgen::{Clamped, JsCast};
use web_sys::{CanvasRenderingContext2d, ImageData};

use super::subject::Subject;
use super::training::Phase;
use crate::load::{Placeholder, fetched, shown};

/// Rows at a time: each has a picture for every checkpoint and kind of inputs.
const PAGE: usize = 20;
const FIRST_OPACITY: &str = "0.6";

#[component]
pub fn SaliencyView(run: Signal<Run>, metrics: Signal<Metrics>, own: bool) -> impl IntoView {
    let (id, config) = run.with_untracked(|run| (run.id.clone(), run.config.clone()));
    let RunConfig::Saliency(config) = config else { return ().into_any() };
    let complete = Memo::new(move |_| own && run.with(|run| run.state == RunState::Succeeded));
    let file = fetched::<SaliencyFile>(move || complete.get().then(|| format!("api/runs/{id}/saliency")));
    view! {
        <section class="panel" aria-labelledby="saliency-title">
            <div class="panel-header"><h2 id="saliency-title">"Grad-CAM"</h2><Phase run metrics/></div>
            <Subject checkpoints=config.checkpoints own/>
            {move || match (complete.get(), own) {
                (true, _) => shown(file, Placeholder::Matrix, |file| view! { <Grid file/> }).into_any(),
                (false, true) => view! { <p class="muted">"The maps are shown when the run is complete."</p> }.into_any(),
                (false, false) => view! { <p class="muted">"The maps are not part of the link."</p> }.into_any(),
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
                <tbody>{samples}</tbody>
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

/// A row: the image, and what each checkpoint makes of it.
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
                        <div class="saliency-picture"><img src=image alt=alt/><Overlay map=map.clone()/></div>
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

/// The map alone on a canvas of its own resolution; the browser smooths it over the image.
#[component]
fn Overlay(map: SaliencyMap) -> impl IntoView {
    let canvas = NodeRef::<html::Canvas>::new();
    Effect::new(move || {
        let Some(canvas) = canvas.get() else { return };
        let (width, height) = (map.map.first().map_or(0, Vec::len) as u32, map.map.len() as u32);
        canvas.set_width(width);
        canvas.set_height(height);
        let context = canvas.get_context("2d").ok().flatten().and_then(|context| context.dyn_into::<CanvasRenderingContext2d>().ok());
        let pixels = pixels(&map.map);
        // A map without extent is no image; there is nothing to draw then.
        let image = ImageData::new_with_u8_clamped_array_and_sh(Clamped(&pixels), width, height);
        if let (Some(context), Ok(image)) = (context, image) {
            let _ = context.put_image_data(&image, 0.0, 0.0);
        }
    });
    view! { <canvas class="saliency-map" node_ref=canvas aria-hidden="true"></canvas> }
}

/// Red, green, blue and opacity of each value: what is not looked at stays as it is.
fn pixels(map: &[Vec<f32>]) -> Vec<u8> {
    // The dark theme's: it stands above pictures, not above the page.
    let color = Theme::Dark.palette().series[1];
    let value = |value: &f32| [color.0, color.1, color.2, (value.clamp(0.0, 1.0) * 255.0).round() as u8];
    map.iter().flatten().flat_map(value).collect()
}

/// Checkpoints and inputs that maps are of, in their order.
fn columns(file: &SaliencyFile) -> Vec<(u32, Inputs)> {
    let maps = file.samples.first().map(|sample| sample.maps.iter().map(|map| (map.checkpoint, map.inputs)).collect::<Vec<_>>());
    maps.unwrap_or_default()
}

/// `Epoch 12`, and the run where there are several.
fn checkpoint_name(checkpoints: &[String], index: usize) -> (String, Option<String>) {
    let names: Vec<CheckpointId> = checkpoints.iter().filter_map(|name| name.parse().ok()).collect();
    match names.get(index) {
        Some(CheckpointId { run, epoch }) => {
            let several = names.iter().any(|other| other.run != *run);
            (format!("Epoch {epoch}"), several.then(|| run.clone()))
        }
        None => (checkpoints.get(index).cloned().unwrap_or_default(), None),
    }
}

fn input_name(inputs: Inputs) -> &'static str {
    match inputs {
        Inputs::Adversarial => "attacked",
        Inputs::Clean => "clean",
    }
}

fn data_url(png: &str) -> String {
    format!("data:image/png;base64,{png}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_named_by_its_epoch_and_by_its_run_where_there_are_several() {
        let names = |checkpoints: &[&str]| {
            let checkpoints: Vec<String> = checkpoints.iter().map(|name| (*name).to_owned()).collect();
            checkpoint_name(&checkpoints, 0)
        };
        assert_eq!(names(&["at-1.e4", "at-1.e9"]), ("Epoch 4".to_owned(), None));
        assert_eq!(names(&["at-1.e4", "at-2.e9"]), ("Epoch 4".to_owned(), Some("at-1".to_owned())));
    }

    #[test]
    fn a_map_hides_nothing_where_it_is_zero() {
        let pixels = pixels(&[vec![0.0, 0.5], vec![1.0, 2.0]]);
        assert_eq!(pixels.chunks(4).map(|pixel| pixel[3]).collect::<Vec<_>>(), [0, 128, 255, 255]);
    }
}
