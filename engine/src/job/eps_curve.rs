//! Measures a checkpoint under PGD at several radii: accuracy and CAS of each.
//!
//! A radius that is recorded is not measured again. The batches of the one under way are kept like those of other
//! measurements.

use std::path::Path;
use std::slice;
use std::time::Instant;

use shared::config::{Aggregation, EpsCurveConfig, Subset};
use shared::eps::Eps;
use shared::eps_curve::wilson;
use shared::record::{EpsPoint, Record};

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

/// Measures as `config` says. Continues after the points of an earlier worker if there are any.
pub(super) fn run(directory: &Path, config: &EpsCurveConfig, stop: &Stop) -> Result<(), Error> {
    let begun = Instant::now();
    let device = device::choose(&config.device)?;
    let source = SourceCheckpoint::find(directory, &config.checkpoint)?;
    let norm = config.norm.map_or_else(|| source.attack(None).map(|attack| attack.norm), Ok)?;
    let radii: Vec<(Eps, Option<Attack>)> =
        config.radii(norm).into_iter().map(|eps| (eps, config.attack(norm, eps).map(|attack| Attack::to_measure(&attack)))).collect();

    let data = data::load(&source.data(config.data.as_ref())?, source.data_seed())?;
    let network = source.network(&data.info, device)?;
    let (noisy_labels, passed_over) = (data.noisy_labels, data.passed_over.clone());
    let images = data.into_split(config.split, config.samples)?.to_device(device);

    let mut dir = RunDir::open(directory)?;
    dir.append(&source.started(&network, config.split, &images, noisy_labels))?;
    super::note_passed_over(&mut dir, &passed_over)?;
    let batches = (images.len() as u32).div_ceil(BATCH_SIZE as u32);
    let mut done = Passes::new(begun, batches * radii.iter().map(|(_, attack)| Passes::of_batch(attack.as_ref())).sum::<u32>());
    let probe = LinearProbe::penultimate(&network);
    for (eps, attack) in &radii {
        let attack = attack.as_ref();
        let is_this = |point: &EpsPoint| point.eps == *eps && point.checkpoint_sha256 == source.sidecar.checkpoint.sha256;
        if dir.metrics().eps_curve.iter().any(is_this) {
            done.add(batches * Passes::of_batch(attack), &mut dir)?;
            continue;
        }
        let of_point = EpsCurveConfig { eps: vec![*eps], ..config.clone() };
        let mut kept = super::kept(&dir, &of_point, slice::from_ref(&source), stop, device)?;
        let inputs = attack.map_or(EvalInputs::Clean, |attack| EvalInputs::Attacked { attack, seed: config.seed });
        let mut progress = |_, _| done.add(Passes::of_batch(attack), &mut dir);
        let (measurement, samples) = measure_samples(&network, &probe, &images, inputs, &mut kept, &mut progress)?;

        let ended = Instant::now();
        let (aggregation, subset) = (Aggregation::default(), Subset::default());
        let classes = samples.of_classes(subset);
        let matrix = classes.attribute(aggregation).matrix;
        let bootstrap = kept.or_save(|stop| classes.bootstrap(aggregation, config.bootstrap, config.seed, stop))?;
        let (images, correct) = (measurement.images(), measurement.correct());
        dir.append(&Record::EpsPoint(EpsPoint {
            norm,
            eps: *eps,
            step_size: attack.map(|attack| attack.step_size),
            steps: attack.map_or(0, |attack| attack.steps),
            images,
            correct,
            accuracy: measurement.accuracy(),
            accuracy_interval: wilson(correct, images),
            loss: measurement.loss,
            cas: matrix.cas(),
            cas_normalized: matrix.cas_normalized(),
            cas_interval: bootstrap.map(|bootstrap| [bootstrap.cas_low, bootstrap.cas_high]),
            checkpoint: source.id.clone(),
            checkpoint_sha256: source.sidecar.checkpoint.sha256.clone(),
            seconds: measurement.seconds + ended.elapsed().as_secs_f64(),
            broken_gradients: measurement.broken_gradients,
        }))?;
        kept.remove()?;
    }
    done.finish(source.id.epoch, &mut dir)
}
