//! Runs an attribution of another run's checkpoint, with any images, attack, aggregation, subset and layer.

use std::path::Path;
use std::slice;
use std::time::Instant;

use shared::config::{AttributeConfig, Inputs, Layer};

use super::attributions::{self, AttributionFacts};
use super::passes::Passes;
use super::source_checkpoint::SourceCheckpoint;
use crate::Error;
use crate::attack::Attack;
use crate::data;
use crate::device;
use crate::evaluate::{BATCH_SIZE, EvalInputs, measure_samples};
use crate::linear_probe::LinearProbe;
use crate::run_dir::RunDir;
use crate::stop::Stop;

/// Measures as `config` says. Continues with the batches of an earlier worker if there are any.
pub(super) fn run(directory: &Path, config: &AttributeConfig, stop: &Stop) -> Result<(), Error> {
    let begun = Instant::now();
    let AttributeConfig { name: _, seed, device, checkpoint, data, split, inputs, attack, aggregation, subset, layer, bootstrap } = config;
    let device = device::choose(device)?;
    let source = SourceCheckpoint::find(directory, checkpoint)?;
    if let Layer::Stage(stage) = layer {
        source.check_has_stage(*stage)?;
    }
    let attack = match inputs.contains(&Inputs::Adversarial) {
        true => Some(Attack::to_measure(&source.attack(attack.as_ref())?)),
        false => None,
    };

    let data = data::load(&source.data(data.as_ref())?, source.data_seed())?;
    let network = source.network(&data.info, device)?;
    let (info, noisy_labels, passed_over) = (data.info.clone(), data.noisy_labels, data.passed_over.clone());
    let fitted_to = match layer {
        Layer::Penultimate => None,
        Layer::Stage(stage) => Some((*stage, data.train.to_device(device))),
    };
    let images = data.into_split(*split, None)?.to_device(device);

    let mut dir = RunDir::open(directory)?;
    dir.create_folder(shared::rundir::ATTRIBUTIONS)?;
    dir.append(&source.started(&network, *split, &images, noisy_labels))?;
    super::note_passed_over(&mut dir, &passed_over)?;
    let batches = |count: i64| (count as u32).div_ceil(BATCH_SIZE as u32);
    let attack_of = |inputs: Inputs| attack.as_ref().filter(|_| inputs == Inputs::Adversarial);
    let passes: u32 = inputs.iter().map(|inputs| Passes::of_batch(attack_of(*inputs))).sum();
    let fitting = fitted_to.as_ref().map_or(0, |(_, train)| batches(train.len()));
    let mut done = Passes::new(begun, fitting + batches(images.len()) * passes);

    let mut kept = super::kept(&dir, config, slice::from_ref(&source), stop, device)?;
    let probe = match &fitted_to {
        None => LinearProbe::penultimate(&network),
        Some((stage, train)) => LinearProbe::fitted(&network, *stage, train, BATCH_SIZE, &mut kept, &mut |_, _| done.add(1, &mut dir))?,
    };
    for inputs in inputs {
        let attack = attack_of(*inputs);
        let measured = attack.map_or(EvalInputs::Clean, |attack| EvalInputs::Attacked { attack, seed: *seed });
        let mut progress = |_, _| done.add(Passes::of_batch(attack), &mut dir);
        let (measurement, samples) = measure_samples(&network, &probe, &images, measured, &mut kept, &mut progress)?;
        let facts = AttributionFacts {
            epoch: source.id.epoch,
            inputs: *inputs,
            attack: attack.map(Attack::used),
            class_names: &info.class_names,
            split: *split,
            aggregation: *aggregation,
            subset: *subset,
            layer: *layer,
            bootstrap: *bootstrap,
            seed: *seed,
            checkpoint: Some(source.id.clone()),
            checkpoint_sha256: &source.sidecar.checkpoint.sha256,
        };
        attributions::write(&mut dir, facts, &measurement, &samples, &mut kept)?;
    }
    done.finish(source.id.epoch, &mut dir)?;
    kept.remove()
}
