//! Runs Grad-CAM for checkpoints of other runs on the same images, and writes `saliency.json`.

use std::path::Path;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use shared::api::{SaliencyFile, SaliencyMap, SaliencySample};
use shared::config::{Inputs, SaliencyConfig};
use tch::{Device, Kind, Tensor};

use super::passes::Passes;
use super::source_checkpoint::SourceCheckpoint;
use crate::Error;
use crate::attack::Attack;
use crate::data::{self, Split};
use crate::device;
use crate::evaluate::{EvalInputs, for_each_batch};
use crate::grad_cam::{Maps, grad_cam, last_stage};
use crate::kept::joined;
use crate::run_dir::RunDir;
use crate::stop::Stop;

const RESULT: &str = shared::rundir::SALIENCY;
/// Images in a batch. A backward pass needs several times the memory of a forward pass.
const BATCH_SIZE: i64 = 50;

/// Computes the maps that `config` asks for. Continues with the batches of an earlier worker if there are any.
pub(super) fn run(directory: &Path, config: &SaliencyConfig, stop: &Stop) -> Result<(), Error> {
    let begun = Instant::now();
    let SaliencyConfig { name: _, seed, device, checkpoints, data, split, inputs, attack, images_per_class, stage } = config;
    let device = device::choose(device)?;
    let sources = SourceCheckpoint::find_with_same_classes(directory, checkpoints)?;
    let first = &sources[0];
    let stage = stage.map_or_else(|| common_stage(&sources), Ok)?;
    sources.iter().try_for_each(|source| check_has_map(source, stage))?;
    let attack = match inputs.contains(&Inputs::Adversarial) {
        true => Some(Attack::to_measure(&first.attack(attack.as_ref())?)),
        false => None,
    };

    let data = data::load(&first.data(data.as_ref())?, first.data_seed())?;
    let networks = sources.iter().map(|source| source.network(&data.info, device)).collect::<Result<Vec<_>, _>>()?;
    let (noisy_labels, passed_over) = (data.noisy_labels, data.passed_over.clone());
    let whole = data.into_split(*split, None)?;
    let chosen = first_of_each(&whole.label_list(), *images_per_class as usize);
    let indices: Vec<i64> = chosen.iter().map(|(_, index)| *index as i64).collect();
    let (images, labels) = whole.select(&Tensor::from_slice(&indices));
    let shown = Split::new(images, labels).to_device(device);

    let mut dir = RunDir::open(directory)?;
    dir.append(&first.started(&networks[0], *split, &shown, noisy_labels))?;
    super::note_passed_over(&mut dir, &passed_over)?;
    let batches = (shown.len() as u32).div_ceil(BATCH_SIZE as u32);
    // A map needs one backward pass, which counts as two.
    let passes = |attack: Option<&Attack>| 2 + Passes::of_batch(attack);
    let attack_of = |inputs: Inputs| attack.as_ref().filter(|_| inputs == Inputs::Adversarial);
    let of_each: u32 = inputs.iter().map(|inputs| passes(attack_of(*inputs))).sum();
    let mut done = Passes::new(begun, networks.len() as u32 * batches * of_each);

    let mut kept = super::kept(&dir, config, &sources, stop, device)?;
    let mut samples: Vec<SaliencySample> = chosen
        .iter()
        .zip(png_base64(&shown.images())?)
        .map(|((label, index), image)| SaliencySample { index: *index as u32, label: *label as u32, image, maps: Vec::new() })
        .collect();
    for (checkpoint, network) in (0..).zip(&networks) {
        for inputs in inputs {
            let attack = attack_of(*inputs);
            let measured = attack.map_or(EvalInputs::Clean, |attack| EvalInputs::Attacked { attack, seed: *seed });
            let mut progress = |_, _| done.add(passes(attack), &mut dir);
            let batches = for_each_batch(network, &shown, measured, BATCH_SIZE, &mut kept, &mut progress, &mut |images, labels| {
                let Maps { maps, logits } = grad_cam(network, images, labels, stage);
                Ok(vec![maps, network.finite(logits)?, images.shallow_clone()])
            })?;
            let found = Maps { maps: joined(batches, 0), logits: joined(batches, 1) };
            let images = attack.map(|_| joined(batches, 2));
            for (sample, seen) in samples.iter_mut().zip(saliency_maps(found, &shown.labels, images.as_ref())?) {
                sample.maps.push(SaliencyMap { checkpoint, inputs: *inputs, ..seen });
            }
        }
    }

    let content = SaliencyFile {
        class_names: first.sidecar.class_names.clone(),
        checkpoints: sources.iter().map(|source| source.id.clone()).collect(),
        split: *split,
        stage,
        attack: attack.as_ref().map(Attack::used),
        samples,
    };
    dir.write_json(RESULT, &content)?;
    done.finish(first.id.epoch, &mut dir)?;
    kept.remove()
}

/// Returns the last stage that has a map in all networks. Fails if one is a program.
pub(super) fn common_stage(sources: &[SourceCheckpoint]) -> Result<u32, Error> {
    let last = |source: &SourceCheckpoint| Ok(last_stage(source.model("stages to map")?.architecture));
    let stages = sources.iter().map(last).collect::<Result<Vec<u32>, Error>>()?;
    Ok(stages.into_iter().min().unwrap_or(1))
}

/// Fails if the network of `source` does not have this stage, or if a map of it is meaningless.
fn check_has_map(source: &SourceCheckpoint, stage: u32) -> Result<(), Error> {
    source.check_has_stage(stage)?;
    let architecture = source.model("stages to map")?.architecture;
    let last = last_stage(architecture);
    if stage <= last {
        return Ok(());
    }
    let label = architecture.label();
    Err(source.refused(format!(
        "stage {stage} of {label} has no map, because only the class token is used after it; use stage {last} or an earlier one"
    )))
}

/// Returns label and index of the first `count` images of each class, sorted by label, then by index.
fn first_of_each(labels: &[i64], count: usize) -> Vec<(i64, usize)> {
    let mut by_label: Vec<(i64, usize)> = labels.iter().copied().zip(0..).collect();
    by_label.sort_unstable();
    by_label.chunk_by(|a, b| a.0 == b.0).flat_map(|class| &class[..count.min(class.len())]).copied().collect()
}

/// Describes the maps of images with these labels. `images` are shown with them, if given. The caller fills in
/// `checkpoint` and `inputs`.
pub(super) fn saliency_maps(found: Maps, labels: &Tensor, images: Option<&Tensor>) -> Result<Vec<SaliencyMap>, Error> {
    let probabilities = found.logits.to_kind(Kind::Double).softmax(1, None::<Kind>).gather(1, &labels.unsqueeze(1), false);
    let probabilities = Vec::<f64>::try_from(probabilities.squeeze_dim(1))?;
    let predicted = Vec::<i64>::try_from(found.logits.argmax(1, false))?;
    let maps = found.maps.to_kind(Kind::Float).to_device(Device::Cpu);
    let images = match images {
        Some(images) => png_base64(images)?.into_iter().map(Some).collect(),
        None => vec![None; predicted.len()],
    };
    let each = (0..).zip(images).zip(predicted).zip(probabilities);
    each.map(|(((index, image), predicted), true_probability)| {
        let map = Vec::<Vec<f32>>::try_from(maps.get(index))?;
        Ok(SaliencyMap { checkpoint: 0, inputs: Inputs::Clean, image, predicted: predicted as u32, true_probability, map })
    })
    .collect()
}

/// Encodes `images`, `[N, C, H, W]` in `[0, 1]`, as PNG files in base64: gray for one channel, RGB for three.
pub(super) fn png_base64(images: &Tensor) -> Result<Vec<String>, Error> {
    let (count, channels, height, width) = images.size4()?;
    let color = if channels == 1 { png::ColorType::Grayscale } else { png::ColorType::Rgb };
    let bytes = (images.to_device(Device::Cpu) * 255.0).round().to_kind(Kind::Uint8).permute([0, 2, 3, 1]).contiguous();
    let bytes = Vec::<u8>::try_from(bytes.view([-1]))?;
    let picture = |pixels: &[u8]| {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, width as u32, height as u32);
        encoder.set_color(color);
        encoder.set_depth(png::BitDepth::Eight);
        let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(pixels));
        written.expect("as many bytes as the header says, written to memory");
        STANDARD.encode(file)
    };
    Ok(bytes.chunks(bytes.len() / count.max(1) as usize).map(picture).collect())
}
