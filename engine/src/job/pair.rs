//! Compares pairs of classes at checkpoints of other runs, and writes `pair.json`.

use std::path::Path;
use std::time::Instant;

use shared::api::{DrivingImage, LeaveOut, MeasuredPair, Overlap, PairFile, Perturbation, SaliencyMap};
use shared::config::{Aggregation, Inputs, PairConfig, Subset};
use shared::id::CheckpointId;
use shared::signs;

use super::passes::Passes;
use super::saliency::common_stage;
use super::saliency::{png_base64, saliency_maps};
use super::source_checkpoint::SourceCheckpoint;
use crate::Error;
use crate::attack::Attack;
use crate::data::{self, Split};
use crate::device;
use crate::evaluate::{BATCH_SIZE, attack_starts};
use crate::grad_cam::grad_cam;
use crate::model::Network;
use crate::pair::{
    AttackInputs, AttackOutcome, amplified_changes, contributions, control_groups, drives, index_tensor, largest_indices, shared_dimensions,
};
use crate::run_dir::RunDir;
use crate::stop::Stop;

const RESULT: &str = shared::rundir::PAIR;
/// Number of control groups: other dimensions that are ablated for comparison.
const CONTROLS: usize = 3;
/// Default number of dimensions of a pair.
const DIMENSIONS: u32 = 10;

/// Measures the pairs in `config`. Continues with the batches of an earlier worker if there are any.
pub(super) fn run(directory: &Path, config: &PairConfig, stop: &Stop) -> Result<(), Error> {
    let begun = Instant::now();
    let PairConfig { name: _, seed, device, checkpoints, pairs, data, split, attack, dimensions, images_per_class } = config;
    let device = device::choose(device)?;
    let sources = SourceCheckpoint::find_with_same_classes(directory, checkpoints)?;
    let first = &sources[0];
    let stage = common_stage(&sources)?;
    let attack = Attack::to_measure(&first.attack(attack.as_ref())?);

    let data = data::load(&first.data(data.as_ref())?, first.data_seed())?;
    let mut networks = sources.iter().map(|source| source.network(&data.info, device)).collect::<Result<Vec<_>, _>>()?;
    let counts = sources.iter().zip(&networks);
    let counts = counts.map(|(source, network)| count_dimensions(source, network, pairs, *dimensions)).collect::<Result<Vec<_>, _>>()?;
    let (noisy_labels, passed_over) = (data.noisy_labels, data.passed_over.clone());
    let whole = data.into_split(*split, None)?.to_device(device);
    let labels = whole.label_list();
    let wanted = |label: i64| pairs.iter().flatten().any(|class| i64::from(*class) == label);
    let rows: Vec<usize> = (0..labels.len()).filter(|row| wanted(labels[*row])).collect();

    let mut dir = RunDir::open(directory)?;
    dir.append(&first.started(&networks[0], *split, &whole.at(&rows), noisy_labels))?;
    super::note_passed_over(&mut dir, &passed_over)?;
    let batches = |count: usize| (count as u32).div_ceil(BATCH_SIZE as u32);
    let of_pair = |pair: &[u32; 2]| rows.iter().filter(|row| pair.iter().any(|class| labels[**row] == i64::from(*class))).count();
    // Passes for each ablation: clean images, images attacked anew, and images attacked before the ablation.
    let without = (1 + CONTROLS as u32) * (Passes::of_batch(Some(&attack)) + 2);
    let of_each: u32 = pairs.iter().map(|pair| batches(of_pair(pair)) * without).sum();
    let mut passes = Passes::new(begun, networks.len() as u32 * (batches(rows.len()) * (Passes::of_batch(Some(&attack)) + 1) + of_each));
    let mut kept = super::kept(&dir, config, &sources, stop, device)?;
    let mut done = |attack: Option<&Attack>| passes.add(Passes::of_batch(attack), &mut dir);

    let mut measured: Vec<MeasuredPair> = Vec::new();
    for (checkpoint, (network, count)) in networks.iter_mut().zip(&counts).enumerate() {
        let seed = seed.unwrap_or(sources[checkpoint].data_seed());
        let start = attack_starts(&whole, &attack, seed).index_select(0, &index_tensor(&rows).to_device(device));
        let images = AttackInputs { split: whole.at(&rows), start };
        let outcome = images.measure(network, &attack, &mut kept, &mut done)?;
        let attributions = outcome.samples.of_classes(Subset::All).attribute(Aggregation::AverageThenCosine);
        for (index, pair) in pairs.iter().enumerate() {
            let [i, j] = pair.map(|class| class as usize);
            let contributions = contributions(&attributions.attributions[i], &attributions.attributions[j]);
            let chosen = largest_indices(&contributions, *count);
            if checkpoint == 0 {
                let driven = driving_images(&outcome, pair, &chosen, *images_per_class as usize, &rows, &images.split)?;
                measured.push(MeasuredPair { i: pair[0], j: pair[1], overlaps: Vec::new(), images: driven, signs: Vec::new() });
            }
            let measured = &mut measured[index];
            add_maps(&mut measured.images, checkpoint, network, &outcome, &images.split, &rows, &attack, stage)?;

            let there = outcome.rows_of_classes(pair);
            let images = images.at(&there);
            let before = images.split.with_images(outcome.adversarial.index_select(0, &index_tensor(&there).to_device(device)));
            let mut fare = |dimensions: &[usize], network: &mut Network| {
                network.ablate(dimensions);
                let fared = images.accuracy(network, &before, pair, &attack, &mut kept, &mut done);
                network.ablate(&[]);
                fared
            };
            let without = fare(&chosen, network)?;
            let step = (i * attributions.attributions.len() + j) as u32;
            let control = control_groups(&chosen, contributions.len(), CONTROLS, seed, step);
            let control = control.iter().map(|dimensions| fare(dimensions, network)).collect::<Result<Vec<_>, _>>()?;
            measured.overlaps.push(Overlap {
                cosine: attributions.matrix.get(i, j),
                carried: chosen.iter().map(|dimension| contributions[*dimension]).sum(),
                dimensions: shared_dimensions(&outcome.samples, pair, &chosen, &contributions),
                sent: pair.map(|class| outcome.prediction_counts(class, attributions.attributions.len())),
                leave_out: LeaveOut { whole: outcome.accuracy(pair), without, control },
            });
        }
    }

    let checkpoints: Vec<CheckpointId> = sources.iter().map(|source| source.id.clone()).collect();
    measured.iter_mut().for_each(|pair| pair.signs = signs::of_pair(&pair.overlaps, &checkpoints));
    let content = PairFile {
        class_names: first.sidecar.class_names.clone(),
        checkpoints,
        split: *split,
        attack: attack.used(),
        stage,
        feature_dims: networks.iter().map(Network::feature_dim).collect(),
        pairs: measured,
        seconds: begun.elapsed().as_secs_f64(),
    };
    dir.write_json(RESULT, &content)?;
    passes.finish(first.id.epoch, &mut dir)?;
    kept.remove()
}

/// Returns how many dimensions of a network to ablate. Fails if it lacks the classes or has too few
/// dimensions.
fn count_dimensions(source: &SourceCheckpoint, network: &Network, pairs: &[[u32; 2]], asked: Option<u32>) -> Result<usize, Error> {
    let refused = |problem| Err(source.refused(problem));
    let classes = network.classes();
    if let Some(pair) = pairs.iter().find(|pair| i64::from(pair[1]) >= classes) {
        return refused(format!("it has {classes} classes, numbered 0 to {}; the pair {pair:?} is not among them", classes - 1));
    }
    let half = network.feature_dim() / 2;
    match asked {
        Some(count) if count > half => refused(format!(
            "{count} of its {} dimensions cannot be ablated; at most {half} can, so that as many others remain for comparison",
            network.feature_dim()
        )),
        Some(count) => Ok(count as usize),
        None => Ok(DIMENSIONS.min(half) as usize),
    }
}

/// Selects the images of both classes that activate `dimensions` most, class by class. Perturbations and maps
/// are added later.
fn driving_images(
    outcome: &AttackOutcome,
    pair: &[u32; 2],
    dimensions: &[usize],
    count: usize,
    rows: &[usize],
    members: &Split,
) -> Result<Vec<DrivingImage>, Error> {
    let drives = drives(&outcome.samples, dimensions);
    let chosen = pair.map(|class| {
        let there = outcome.rows_of_classes(&[class]);
        let sums: Vec<f64> = there.iter().map(|row| drives[*row].iter().sum()).collect();
        largest_indices(&sums, count).into_iter().map(|place| there[place]).collect::<Vec<_>>()
    });
    let chosen = chosen.concat();
    let images = members.at(&chosen).images();
    let made = chosen.iter().zip(png_base64(&images)?).map(|(row, image)| DrivingImage {
        index: rows[*row] as u32,
        label: outcome.labels[*row] as u32,
        image,
        drive: drives[*row].clone(),
        perturbations: Vec::new(),
        maps: Vec::new(),
    });
    Ok(made.collect())
}

/// Adds to each image its perturbation and its Grad-CAM maps for one checkpoint.
#[expect(clippy::too_many_arguments, reason = "a struct for these arguments would have a single user")]
fn add_maps(
    images: &mut [DrivingImage],
    checkpoint: usize,
    network: &Network,
    outcome: &AttackOutcome,
    members: &Split,
    rows: &[usize],
    attack: &Attack,
    stage: u32,
) -> Result<(), Error> {
    let row =
        |image: &DrivingImage| rows.binary_search(&(image.index as usize)).expect("images are chosen from the rows, which are sorted");
    let shown = index_tensor(&images.iter().map(row).collect::<Vec<_>>()).to_device(outcome.adversarial.device());
    let (clean, labels) = members.select(&shown);
    let adversarial = outcome.adversarial.index_select(0, &shown);
    let (changes, amplifications) = amplified_changes(&clean, &adversarial, attack);
    let clean = saliency_maps(grad_cam(network, &clean, &labels, stage), &labels, None)?;
    let attacked = saliency_maps(grad_cam(network, &adversarial, &labels, stage), &labels, Some(&adversarial))?;
    let maps = clean.into_iter().zip(attacked);
    let perturbations = png_base64(&changes)?.into_iter().zip(amplifications);
    for ((image, (perturbation, amplification)), (clean, attacked)) in images.iter_mut().zip(perturbations).zip(maps) {
        image.perturbations.push(Perturbation { image: perturbation, amplification });
        let checkpoint = checkpoint as u32;
        image.maps.push(SaliencyMap { checkpoint, inputs: Inputs::Clean, ..clean });
        image.maps.push(SaliencyMap { checkpoint, inputs: Inputs::Adversarial, ..attacked });
    }
    Ok(())
}
