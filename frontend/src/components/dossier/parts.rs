//! The measured result of a pair: the dimensions that the classes share, the accuracy without them, and the
//! images that drive them.

use leptos::prelude::*;
use shared::api::{DrivingImage, MeasuredPair, Overlap, PairAccuracy, PairFile, Run, SaliencyMap, path};
use shared::config::Inputs;
use shared::format;
use shared::id::CheckpointId;

use super::table::{Row, table};
use crate::components::saliency_map::{SaliencyOverlay, checkpoint_name, data_url};
use crate::components::signs::Signs;
use crate::load::fetched;
use crate::viewer::use_is_owner;
use crate::{names, urls};

/// Shows the pair at `index` in the file.
#[component]
pub fn Parts(file: PairFile, index: usize) -> impl IntoView {
    let Some(pair) = file.pairs.get(index) else { return ().into_any() };
    let names = [pair.i, pair.j].map(|class| class_name(&file, class));
    let of_checkpoint = |(place, overlap): (usize, &Overlap)| {
        let title = checkpoint_title(&file, place);
        let of = file.feature_dims.get(place).copied().unwrap_or_default();
        view! {
            <div class="dossier-column">
                <h4>{title.clone()}</h4>
                <p class="muted">{carried(overlap, of)}</p>
                {dimensions(&title, overlap, &names)}
                <p class="muted">{left_out(overlap, &names)}</p>
                {accuracies(&title, overlap, &names)}
                {file.checkpoints.get(place).cloned().map(|checkpoint| view! { <TrainOn checkpoint dimensions=indices(overlap)/> })}
            </div>
        }
    };
    let columns = pair.overlaps.iter().enumerate().map(of_checkpoint).collect_view();
    view! {
        <Signs signs=pair.signs.clone()/>
        <h3>"What they share, and both without it"</h3>
        <p class="muted">
            "A dimension d of the features g adds A_i[d] A_j[d] / (|A_i| |A_j|) to the cosine, where A = mean g × W of the class. \
             Left out means set to 0; the network is then attacked anew, with the same attack and draws."
        </p>
        <div class="dossier-columns">{columns}</div>
        <h3>"The images that drive these dimensions"</h3>
        <p class="muted">{images_text(&file)}</p>
        {images(&file, pair)}
        <p class="muted">{measured_with(&file)}</p>
    }
    .into_any()
}

fn indices(overlap: &Overlap) -> Vec<u32> {
    overlap.dimensions.iter().map(|dimension| dimension.dimension).collect()
}

/// The form of a run that goes on from a checkpoint without these dimensions. Nothing if its run does not
/// train.
#[component]
fn TrainOn(checkpoint: CheckpointId, dimensions: Vec<u32>) -> impl IntoView {
    let is_owner = use_is_owner();
    let CheckpointId { run, epoch } = checkpoint;
    let address = urls::href(&urls::fork_without(&run, epoch, &dimensions));
    let measured = fetched::<Run>(move || is_owner.then(|| path::run(&run)));
    let trains = move || measured.ready().is_some_and(|run| run.config.as_train().is_some());
    let title = "A fork of this checkpoint whose logits never depend on these dimensions: does training need what the classes share?";
    let text = match dimensions.len() {
        1 => "Train on without this feature".to_owned(),
        count => format!("Train on without these {count} features"),
    };
    let link = move || view! { <a class="button button-small" href=address.clone() title=title>{text.clone()}</a> };
    view! { <p class="actions">{move || trains().then(&link)}</p> }
}

fn class_name(file: &PairFile, class: u32) -> String {
    file.class_names.get(class as usize).cloned().unwrap_or_else(|| class.to_string())
}

/// For example `Epoch 12`, with the run if there are several.
fn checkpoint_title(file: &PairFile, place: usize) -> String {
    let (epoch, run) = checkpoint_name(&file.checkpoints, place);
    run.map_or_else(|| epoch.clone(), |run| format!("{epoch} of {run}"))
}

/// Which part of the cosine the listed dimensions contribute.
fn carried(overlap: &Overlap, of: u32) -> String {
    let Overlap { cosine, carried, dimensions, .. } = overlap;
    format!(
        "The {} largest of {of} dimensions add up to {}; all together make the cosine {}.",
        dimensions.len(),
        format::decimal(*carried, 3),
        format::decimal(*cosine, 3)
    )
}

fn dimensions(title: &str, overlap: &Overlap, names: &[String; 2]) -> AnyView {
    let longest = overlap.dimensions.first().map_or(0.0, |dimension| dimension.contribution).max(f64::MIN_POSITIVE);
    let [i, j] = names;
    let heads =
        ["Dimension".to_owned(), "Adds".to_owned(), format!("W of {i}"), format!("W of {j}"), format!("g of {i}"), format!("g of {j}")];
    let rows = overlap.dimensions.iter().map(|dimension| {
        let numbers = [dimension.weight, dimension.feature].into_iter().flatten().map(|value| format::decimal(value, 3));
        Row {
            head: dimension.dimension.to_string(),
            bar: Some(dimension.contribution / longest),
            cells: [format::decimal(dimension.contribution, 4)].into_iter().chain(numbers).collect(),
        }
    });
    table(format!("Shared dimensions, {title}"), heads.to_vec(), true, rows.collect())
}

/// A sentence on how leaving out dimensions changed the robust accuracy of both classes.
fn left_out(overlap: &Overlap, names: &[String; 2]) -> String {
    let leave_out = &overlap.leave_out;
    let control = mean(&leave_out.control).robust.map(format::percent);
    let fell = |class: usize| {
        let (before, after) = (leave_out.whole.robust[class], leave_out.without.robust[class]);
        format!("{} from {} to {}", names[class], format::percent(before), format::percent(after))
    };
    let count = overlap.dimensions.len();
    format!("Robust accuracy without these {count}: {}, {}. Without {count} others: {} and {}.", fell(0), fell(1), control[0], control[1])
}

fn accuracies(title: &str, overlap: &Overlap, names: &[String; 2]) -> AnyView {
    let leave_out = &overlap.leave_out;
    let (count, drawings) = (overlap.dimensions.len(), leave_out.control.len());
    let control = mean(&leave_out.control);
    let row = |head: String, found: &PairAccuracy, class: usize, against: Option<&PairAccuracy>| {
        let numbers = [found.clean, found.robust, found.transferred, found.crossed].map(|values| format::percent(values[class]));
        let [clean, robust, transferred, crossed] = numbers;
        let change = format::points(against.map(|whole| found.robust[class] - whole.robust[class]));
        Row::new(head, vec![clean, robust, change, transferred, crossed])
    };
    let rows = (0..2).flat_map(|class| {
        let name = &names[class];
        let whole = &leave_out.whole;
        [
            row(name.clone(), whole, class, None),
            row(format!("{name}, without these"), &leave_out.without, class, Some(whole)),
            row(format!("{name}, without others"), &control, class, Some(whole)),
        ]
    });
    let heads = ["Images of", "Clean", "Robust", "Change", "Old attack", "Taken for the other"].map(str::to_owned).to_vec();
    let table = table(format!("Accuracy without shared dimensions, {title}"), heads, false, rows.collect());
    let note = format!(
        "Robust: under an attack made for the network as it then is; old attack: on the adversarial images of the whole network. Without \
         others: {count} other dimensions, the mean of {drawings} drawings.",
    );
    view! { {table}<p class="muted">{note}</p> }.into_any()
}

fn mean(found: &[PairAccuracy]) -> PairAccuracy {
    let mean = |of: fn(&PairAccuracy) -> [f64; 2]| {
        [0, 1].map(|class| found.iter().map(|found| of(found)[class]).sum::<f64>() / found.len().max(1) as f64)
    };
    PairAccuracy {
        clean: mean(|of| of.clean),
        robust: mean(|of| of.robust),
        transferred: mean(|of| of.transferred),
        crossed: mean(|of| of.crossed),
        broken_gradients: None,
    }
}

fn images_text(file: &PairFile) -> String {
    let first = checkpoint_title(file, 0);
    let images = names::split(file.split).to_ascii_lowercase();
    format!(
        "Of all {images} of either class those whose attribution lies most in the dimensions of {first}, under attack. A change is gray where \
         nothing is added. Maps are Grad-CAM of the true class at stage {}.",
        file.stage
    )
}

fn measured_with(file: &PairFile) -> String {
    format!("{}; {} in all.", file.attack.text(), format::duration(file.seconds))
}

/// A table with a row per image: the clean image, and per checkpoint the attacked image and where the network
/// looks.
fn images(file: &PairFile, pair: &MeasuredPair) -> AnyView {
    let checkpoints = file.checkpoints.len();
    let groups =
        (0..checkpoints).map(|place| view! { <th scope="colgroup" colspan="4">{checkpoint_title(file, place)}</th> }).collect_view();
    let heads = (0..checkpoints)
        .flat_map(|_| ["Attacked", "Change", "Looks at, clean", "Looks at, attacked"])
        .map(|head| view! { <th scope="col">{head}</th> })
        .collect_view();
    let rows = pair.images.iter().map(|image| row(file, pair, image, checkpoints)).collect_view();
    view! {
        <div class="table-box dossier-images" role="region" aria-label="Images that drive the shared dimensions" tabindex="0">
            <table class="table table-dense">
                <thead>
                    <tr><td></td>{groups}</tr>
                    <tr><th scope="col">"Image"</th>{heads}</tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
    .into_any()
}

fn row(file: &PairFile, pair: &MeasuredPair, image: &DrivingImage, checkpoints: usize) -> AnyView {
    let label = class_name(file, image.label);
    let cells = (0..checkpoints)
        .flat_map(|place| {
            let map = |inputs: Inputs| image.maps.iter().find(|map| map.checkpoint as usize == place && map.inputs == inputs);
            let (clean, attacked) = (map(Inputs::Clean), map(Inputs::Adversarial));
            let change = image.perturbations.get(place);
            let attacked_image = attacked.and_then(|map| map.image.as_deref());
            [
                attacked_image.map(|png| {
                    let said = attacked.map(|map| prediction(file, image, map)).unwrap_or_default();
                    picture(png, format!("{label}, attacked"), said, None)
                }),
                change.map(|change| {
                    let times = format!("× {}", format::decimal(change.amplification, 1));
                    picture(&change.image, format!("What the attack adds to {label}, {times}"), times, None)
                }),
                clean.map(|map| picture(&image.image, format!("Where it looks on {label}"), prediction(file, image, map), Some(map))),
                attacked_image.zip(attacked).map(|(png, map)| {
                    picture(png, format!("Where it looks on {label}, attacked"), prediction(file, image, map), Some(map))
                }),
            ]
        })
        .map(|cell| view! { <td>{cell}</td> })
        .collect_view();
    let said = format!("{label} · {}", image.index);
    let figure = picture(&image.image, format!("{label}, as it is"), said, None);
    view! { <tr><th scope="row">{figure}<span class="dossier-drive">{driven(pair, image)}</span></th>{cells}</tr> }.into_any()
}

/// How strongly an image drives the dimensions in total, and which of them most.
fn driven(pair: &MeasuredPair, image: &DrivingImage) -> String {
    let sum: f64 = image.drive.iter().sum();
    let most = image.drive.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
    let dimension = most.and_then(|(place, _)| Some(pair.overlaps.first()?.dimensions.get(place)?.dimension));
    let most = dimension.map(|dimension| format!(", most in {dimension}")).unwrap_or_default();
    format!("{} in all{most}", format::decimal(sum, 2))
}

fn prediction(file: &PairFile, image: &DrivingImage, map: &SaliencyMap) -> String {
    let mark = if map.predicted == image.label { "✓" } else { "✗" };
    format!("{mark} {}: {}", class_name(file, map.predicted), format::percent(map.true_probability))
}

fn picture(png: &str, alt: String, said: String, map: Option<&SaliencyMap>) -> AnyView {
    let wrong = said.starts_with('✗');
    view! {
        <figure class="saliency-figure">
            <div class="saliency-picture">
                <img src=data_url(png) alt=alt/>
                {map.map(|map| view! { <SaliencyOverlay map=map.map.clone()/> })}
            </div>
            <figcaption class:wrong=wrong>{said}</figcaption>
        </figure>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::api::{LeaveOut, SharedDimension};

    fn accuracy(robust: [f64; 2]) -> PairAccuracy {
        PairAccuracy { clean: [0.9, 0.8], robust, transferred: robust, crossed: [0.1, 0.2], broken_gradients: None }
    }

    fn overlap() -> Overlap {
        let dimension =
            SharedDimension { dimension: 7, contribution: 0.3, feature: [1.0, 1.0], weight: [0.1, 0.2], attribution: [0.1, 0.2] };
        let control = vec![accuracy([0.4, 0.4]), accuracy([0.5, 0.6])];
        let leave_out = LeaveOut { whole: accuracy([0.5, 0.6]), without: accuracy([0.25, 0.5]), control };
        Overlap { cosine: 0.36, carried: 0.45, dimensions: vec![dimension], sent: [vec![], vec![]], leave_out }
    }

    #[test]
    fn what_was_left_out_is_told_with_its_control() {
        let names = ["cat".to_owned(), "dog".to_owned()];
        assert_eq!(
            left_out(&overlap(), &names),
            "Robust accuracy without these 1: cat from 50.0 % to 25.0 %, dog from 60.0 % to 50.0 %. Without 1 others: 45.0 % and 50.0 %."
        );
        assert_eq!(carried(&overlap(), 64), "The 1 largest of 64 dimensions add up to 0.450; all together make the cosine 0.360.");
    }
}
