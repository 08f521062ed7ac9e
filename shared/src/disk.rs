//! How much disk space a training run takes, computed from its configuration.

use crate::api::{DiskEstimate, DiskUse, MOST_CLASSES_WHOLE};
use crate::config::{DistillationConfig, NetworkSize, TrainConfig};

/// A value of a checkpoint: float32.
const VALUE_BYTES: u64 = 4;
/// Name, shape and place of a tensor in the header of its file.
const TENSOR_BYTES: u64 = 100;
/// Description beside a checkpoint: without class names, and for each class.
const SIDECAR_BYTES: u64 = 1000;
const CLASS_NAME_BYTES: u64 = 12;
/// Matrix file: fixed part, part per class, and part per cell without and with intervals. With them, 13 KB for
/// 10 classes and 4.8 MB for 200.
const MATRIX_BYTES: u64 = 600;
const MATRIX_CLASS_BYTES: u64 = 50;
const CELL_BYTES: u64 = 74;
const INTERVAL_BYTES: u64 = 47;
/// Part per cell of a thinned matrix: four decimals, and an entry of the confusion.
const THINNED_CELL_BYTES: u64 = 10;
/// Records of an epoch, and of each checkpoint and matrix that was written.
const EPOCH_BYTES: u64 = 450;
const FILE_RECORD_BYTES: u64 = 200;
/// Configuration, first records and log.
const FIXED_BYTES: u64 = 3000;

/// Estimates the disk space of a training run; `None` if the number of classes is unknown. `classes`: their
/// number, if only the files of the data set tell it.
pub fn estimate(config: &TrainConfig, classes: Option<u32>) -> Option<DiskEstimate> {
    let info = config.data.dataset.info();
    let classes = info.classes.or(classes)?;
    let size = NetworkSize::of(&config.model, config.data.shape(), classes);
    let classes = u64::from(classes);
    let last = config.training.epochs;
    let network_bytes = VALUE_BYTES * (size.parameters + size.buffers) + TENSOR_BYTES * size.tensors;
    let checkpoint_bytes = network_bytes + SIDECAR_BYTES + CLASS_NAME_BYTES * classes;

    // At the end: the last, what the rules keep, and the best, if that can be another one.
    let keeps = |epoch: u32| epoch == last || config.keeps_epoch(epoch, last);
    let attributes = |epoch: u32| keeps(epoch) || config.attributes_epoch(epoch);
    let mut kept = 0;
    let mut attributed = 0;
    let (mut best, mut best_attributed) = (0, 0);
    for epoch in config.first_epoch()..=last {
        kept += u64::from(keeps(epoch));
        attributed += u64::from(attributes(epoch));
        if config.evaluates_epoch(epoch) {
            best = best.max(u64::from(!keeps(epoch)));
            best_attributed = best_attributed.max(u64::from(!attributes(epoch)));
        }
    }
    let (checkpoints, inputs) = (kept + best, config.attribution.inputs.len() as u64);
    let matrices = (attributed + best_attributed) * inputs;
    let cell_bytes = CELL_BYTES + if config.attribution.bootstrap > 0 { INTERVAL_BYTES } else { 0 };
    let thinned_cell_bytes = if classes > MOST_CLASSES_WHOLE as u64 { THINNED_CELL_BYTES } else { cell_bytes };
    let whole = checkpoints * inputs;
    let cells_bytes = (whole * cell_bytes + (matrices - whole) * thinned_cell_bytes) * classes * classes;
    let attributions_bytes = matrices * (MATRIX_BYTES + MATRIX_CLASS_BYTES * classes) + cells_bytes;

    // Teachers that this run trains keep their best and their last checkpoint. A standard teacher is evaluated
    // only once, at its end.
    let teachers = config.training.distillation.as_ref().map_or(0, |distillation| {
        let DistillationConfig { standard_teacher, robust_teacher, teacher_epochs, standard_weight, robust_weight, .. } = distillation;
        let epochs = teacher_epochs.unwrap_or(last);
        let teacher = |kept: u64| kept * checkpoint_bytes + FIXED_BYTES + EPOCH_BYTES * u64::from(epochs);
        let standard = if standard_teacher.is_none() && *standard_weight > 0.0 { teacher(1) } else { 0 };
        let robust = if robust_teacher.is_none() && *robust_weight > 0.0 { teacher(if epochs == 1 { 1 } else { 2 }) } else { 0 };
        standard + robust
    });
    let records = EPOCH_BYTES * u64::from(last) + FILE_RECORD_BYTES * (checkpoints + matrices);
    let leaves = DiskUse {
        checkpoints_bytes: checkpoints * checkpoint_bytes,
        attributions_bytes,
        state_bytes: 0,
        other_bytes: FIXED_BYTES + records + teachers,
    };

    // Weights, a velocity for each parameter, and the averaged weights.
    let networks = if config.training.weight_averaging.is_some() { 2 } else { 1 };
    let state_bytes = networks * network_bytes + VALUE_BYTES * size.parameters + TENSOR_BYTES * size.parameter_tensors;
    // Features of the test images, kept while an evaluation is not complete.
    let test = u64::from(config.data.test_samples.or(info.test_samples).unwrap_or_default());
    let measured_bytes = VALUE_BYTES * size.features * test * inputs;
    // A new state is written beside the old one, and the former best checkpoint stays until then.
    let most_bytes = leaves.total_bytes() + checkpoint_bytes + 2 * state_bytes + measured_bytes;
    Some(DiskEstimate { checkpoints: checkpoints as u32, checkpoint_bytes, matrices: matrices as u32, leaves, state_bytes, most_bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{CheckpointConfig, RunConfig};
    use crate::dataset::Dataset;
    use crate::preset;

    fn paper() -> TrainConfig {
        let paper = preset::all().into_iter().find(|preset| preset.id == "cifar10").unwrap();
        let mut config = paper.config.as_train().unwrap().clone();
        config.attribution.every = 0;
        config
    }

    #[test]
    fn rules_for_checkpoints_change_what_a_run_leaves() {
        let mut config = paper();
        let mut check = |every, at_most, epochs: &[u32], checkpoints, matrices| {
            config.checkpoints = CheckpointConfig { every, at_most, epochs: epochs.to_vec() };
            let found = estimate(&config, None).unwrap();
            assert_eq!((found.checkpoints, found.matrices), (checkpoints, matrices), "{:?}", config.checkpoints);
            // 11.17 million parameters of four bytes.
            assert!((44_700_000..44_900_000).contains(&found.checkpoint_bytes), "{}", found.checkpoint_bytes);
            assert_eq!(found.leaves.checkpoints_bytes, u64::from(checkpoints) * found.checkpoint_bytes);
        };
        check(0, None, &[], 2, 4);
        check(0, None, &[10, 70], 4, 8);
        check(10, None, &[], 21, 42);
        check(10, Some(3), &[], 4, 8);
        check(10, Some(3), &[10, 200], 5, 10);
        check(1, None, &[], 200, 400);
    }

    #[test]
    fn matrices_of_every_epoch_are_small_above_twenty_classes() {
        let mut config = paper();
        let of = |config: &TrainConfig, classes| estimate(config, Some(classes)).unwrap();
        config.data.dataset = Dataset::ImageFolder;
        let few = of(&config, 200);
        config.attribution.every = 1;
        let all = of(&config, 200);
        assert_eq!((few.matrices, all.matrices), (8, 400));
        let more = all.leaves.attributions_bytes - few.leaves.attributions_bytes;
        assert!((390_000 * 392..430_000 * 392).contains(&more), "{}", more / 392);
    }

    #[test]
    fn teachers_and_states_are_counted() {
        let plain = estimate(&paper(), None).unwrap();
        let mut config = paper();
        config.training.distillation = Some(DistillationConfig::default());
        let distilled = estimate(&config, None).unwrap();
        let more = distilled.leaves.other_bytes - plain.leaves.other_bytes;
        let teachers = 3 * plain.checkpoint_bytes..4 * plain.checkpoint_bytes;
        assert!(teachers.contains(&more), "the best and the last of the robust teacher and the last of the other: {more}");
        assert!(plain.most_bytes > plain.leaves.total_bytes() + 2 * plain.state_bytes);
        assert!(plain.state_bytes > 19 * plain.checkpoint_bytes / 10);
    }

    #[test]
    fn classes_that_only_the_files_know_are_needed() {
        let mut config = paper();
        config.data.dataset = Dataset::ImageFolder;
        assert!(RunConfig::Train(Box::new(config.clone())).validate().is_empty());
        assert_eq!(estimate(&config, None), None);
        assert!(estimate(&config, Some(20)).is_some());
    }
}
