//! Attacks images on each of several checkpoints and classifies them with all of them.
//!
//! A row that is recorded is not measured again. The batches of the one under way are kept like those of
//! other measurements.

use std::path::Path;
use std::time::Instant;

use serde_json::json;
use shared::config::{BatchNormMode, TransferConfig};
use shared::provenance::CheckpointHash;
use shared::record::{Record, Transfer, TransferRow};
use tch::{Kind, Tensor};

use super::passes::Passes;
use super::source_checkpoint::SourceCheckpoint;
use crate::Error;
use crate::attack::Attack;
use crate::data;
use crate::device;
use crate::evaluate::{BATCH_SIZE, EvalInputs, broken_gradients, for_each_batch};
use crate::kept::seconds;
use crate::run_dir::RunDir;
use crate::stop::Stop;

/// Measures as `config` says. Continues after the rows of an earlier worker if there are any.
pub(super) fn run(directory: &Path, config: &TransferConfig, stop: &Stop) -> Result<(), Error> {
    let begun = Instant::now();
    let TransferConfig { name: _, seed, device, checkpoints, data, split, samples, attack } = config;
    let device = device::choose(device)?;
    let sources = SourceCheckpoint::find_with_same_classes(directory, checkpoints)?;
    let first = &sources[0];
    let attack = Attack::to_measure(&first.attack(attack.as_ref())?);

    let data = data::load(&first.data(data.as_ref())?, first.data_seed())?;
    let networks = sources.iter().map(|source| source.network(&data.info, device)).collect::<Result<Vec<_>, _>>()?;
    let (noisy_labels, passed_over) = (data.noisy_labels, data.passed_over.clone());
    let images = data.into_split(*split, *samples)?.to_device(device);

    let mut dir = RunDir::open(directory)?;
    dir.append(&first.started(&networks[0], *split, &images, noisy_labels))?;
    super::note_passed_over(&mut dir, &passed_over)?;
    let hash = |source: &SourceCheckpoint| CheckpointHash { id: source.id.clone(), sha256: source.sidecar.checkpoint.sha256.clone() };
    let checkpoints = sources.iter().map(hash).collect();
    dir.append(&Record::Transfer(Transfer { checkpoints, attack: attack.used(), images: images.len() as u32, rows: Vec::new() }))?;

    let batches = (images.len() as u32).div_ceil(BATCH_SIZE as u32);
    // Each batch is attacked on the source, if there is one, and classified by every network.
    let passes = |attack: Option<&Attack>| Passes::of_batch(attack) + networks.len() as u32 - 1;
    let planned = passes(None) + networks.len() as u32 * passes(Some(&attack));
    let mut done = Passes::new(begun, batches * planned);
    // The first row is of clean images.
    for source in [None].into_iter().chain((0..networks.len()).map(Some)) {
        let attack = source.map(|_| &attack);
        if dir.metrics().transfer.as_ref().is_some_and(|transfer| transfer.row(source).is_some()) {
            done.add(batches * passes(attack), &mut dir)?;
            continue;
        }
        let mut of_row = json!(config);
        of_row["source"] = json!(source);
        let mut kept = super::kept(&dir, &of_row, &sources, stop, device)?;
        let inputs = attack.map_or(EvalInputs::Clean, |attack| EvalInputs::Attacked { attack, seed: *seed });
        let mut progress = |_, _| done.add(passes(attack), &mut dir);
        let network = &networks[source.unwrap_or_default()];
        let batches = for_each_batch(network, &images, inputs, BATCH_SIZE, &mut kept, &mut progress, &mut |images, labels| {
            let correct = networks.iter().map(|network| {
                let logits = network.finite(network.forward(images, BatchNormMode::Eval).logits)?;
                Ok(logits.argmax(1, false).eq_tensor(labels).sum(Kind::Int64))
            });
            Ok(vec![Tensor::stack(&correct.collect::<Result<Vec<_>, Error>>()?, 0)])
        })?;
        let counts = batches.iter().map(|batch| Ok(Vec::<i64>::try_from(&batch.tensors[0])?)).collect::<Result<Vec<_>, Error>>()?;
        let correct = (0..networks.len()).map(|target| counts.iter().map(|counts| counts[target] as u32).sum()).collect();
        let (seconds, broken_gradients) = (seconds(batches), broken_gradients(batches));
        dir.append(&Record::TransferRow(TransferRow { source, correct, seconds, broken_gradients }))?;
        kept.remove()?;
    }
    done.finish(first.id.epoch, &mut dir)
}
