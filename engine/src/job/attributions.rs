//! Writes attribution files and their records, for all kinds of runs.

use std::fs;
use std::time::Instant;

use shared::api::{AttackUsed, AttributionFile};
use shared::config::{Aggregation, Inputs, Layer, SplitName, Subset};
use shared::id::CheckpointId;
use shared::matrix::Matrix;
use shared::record::{AttributionEntry, Record};

use crate::Error;
use crate::attribution::Samples;
use crate::evaluate::Measurement;
use crate::kept::Kept;
use crate::run_dir::{self, RunDir};

/// Description of an attribution, apart from its measurements.
pub(super) struct AttributionFacts<'a> {
    pub(super) epoch: u32,
    pub(super) inputs: Inputs,
    pub(super) attack: Option<AttackUsed>,
    pub(super) class_names: &'a [String],
    pub(super) split: SplitName,
    pub(super) aggregation: Aggregation,
    pub(super) subset: Subset,
    pub(super) layer: Layer,
    /// Number of bootstrap resamples. 0 gives no confidence intervals.
    pub(super) bootstrap: u32,
    /// Seed of the bootstrap.
    pub(super) seed: u32,
    /// Checkpoint of another run. `None` if it belongs to this run.
    pub(super) checkpoint: Option<CheckpointId>,
    /// Empty if no checkpoint was saved.
    pub(super) checkpoint_sha256: &'a str,
}

/// Computes an attribution, writes its file, then appends the record.
///
/// `kept` holds the batches of `measurement`, and saves them if the bootstrap is stopped.
pub(super) fn write(
    dir: &mut RunDir,
    facts: AttributionFacts<'_>,
    measurement: &Measurement,
    samples: &Samples,
    kept: &mut Kept,
) -> Result<(), Error> {
    let begun = Instant::now();
    let AttributionFacts {
        epoch,
        inputs,
        attack,
        class_names,
        split,
        aggregation,
        subset,
        layer,
        bootstrap,
        seed,
        checkpoint,
        checkpoint_sha256,
    } = facts;
    let selected = samples.of_classes(subset);
    let classes = selected.attribute(aggregation);
    let bootstrap = kept.or_save(|stop| selected.bootstrap(aggregation, bootstrap, seed, stop))?;
    // Of all images, whichever the matrix is of.
    let logits = match subset {
        Subset::All => selected.logits(),
        Subset::Correct => samples.of_classes(Subset::All).logits(),
    };
    let content = AttributionFile {
        epoch,
        inputs,
        attack,
        class_names: class_names.to_owned(),
        norms: classes.norms(),
        class_counts: classes.counts,
        split,
        aggregation,
        subset,
        layer,
        checkpoint,
        cas: classes.matrix.cas(),
        cas_normalized: classes.matrix.cas_normalized(),
        matrix: classes.matrix,
        class_accuracy: measurement.class_accuracy(),
        accuracy: measurement.accuracy(),
        confusion: measurement.confusion.clone(),
        weight_matrix: Some(samples.weight_matrix()),
        feature_matrix: Some(selected.feature_matrix()),
        mean_logits: Some(Matrix::try_from(logits.means).map_err(|error| Error::Data(format!("mean logits: {error}")))?),
        non_target_mass: Some(logits.non_target_mass),
        bootstrap,
        broken_gradients: measurement.broken_gradients,
        feature_dim: samples.weight.size()[1] as u32,
        checkpoint_sha256: checkpoint_sha256.to_owned(),
        seconds: measurement.seconds + begun.elapsed().as_secs_f64(),
    };
    let is_kept = content.checkpoint.is_some() || !content.checkpoint_sha256.is_empty();
    let content = if is_kept { content } else { content.thinned() };
    dir.write_json(&run_dir::attribution_file(epoch, inputs), &content)?;
    record(dir, &content)
}

/// Makes an existing attribution file small and appends its record again. Needed after its checkpoint was removed.
pub(super) fn record_again(dir: &mut RunDir, epoch: u32, inputs: Inputs) -> Result<(), Error> {
    let content = read(dir, epoch, inputs)?.thinned();
    dir.write_json(&run_dir::attribution_file(epoch, inputs), &content)?;
    record(dir, &content)
}

/// Returns whether an earlier worker has written the attribution of a checkpoint of this run.
pub(super) fn is_written(dir: &RunDir, epoch: u32, inputs: Inputs, checkpoint_sha256: &str) -> bool {
    dir.metrics().cas(epoch, inputs).is_some()
        && read(dir, epoch, inputs).is_ok_and(|content| content.checkpoint_sha256 == checkpoint_sha256)
}

/// Returns an attribution file of this run. `None` if there is no such file.
pub(super) fn existing(dir: &RunDir, epoch: u32, inputs: Inputs) -> Result<Option<AttributionFile>, Error> {
    dir.metrics().cas(epoch, inputs).map(|_| read(dir, epoch, inputs)).transpose()
}

fn read(dir: &RunDir, epoch: u32, inputs: Inputs) -> Result<AttributionFile, Error> {
    let path = dir.path(&run_dir::attribution_file(epoch, inputs));
    let text = fs::read_to_string(&path).map_err(Error::io(&path))?;
    serde_json::from_str(&text).map_err(|error| Error::io(&path)(error.into()))
}

fn record(dir: &mut RunDir, content: &AttributionFile) -> Result<(), Error> {
    let AttributionFile { epoch, inputs, cas, cas_normalized, non_target_mass, .. } = *content;
    let file = run_dir::attribution_file(epoch, inputs);
    let cas_interval = content.bootstrap.as_ref().map(|bootstrap| [bootstrap.cas_low, bootstrap.cas_high]);
    dir.append(&Record::Attribution(AttributionEntry { epoch, inputs, file, cas, cas_normalized, cas_interval, non_target_mass }))
}
