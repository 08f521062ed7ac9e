//! Files of attributions with their records, whatever the kind of run that measured them.

use std::fs;
use std::time::Instant;

use shared::api::{AttackUsed, AttributionFile};
use shared::config::{Aggregation, Inputs, Layer, SplitName, Subset};
use shared::record::{AttributionEntry, Record};

use crate::Error;
use crate::attribution::Samples;
use crate::cancel::Cancel;
use crate::evaluate::Measurement;
use crate::run_dir::{self, RunDir};

/// What is known of an attribution beside what was measured.
pub(super) struct Facts<'a> {
    pub(super) epoch: u32,
    pub(super) inputs: Inputs,
    pub(super) attack: Option<AttackUsed>,
    pub(super) class_names: &'a [String],
    pub(super) split: SplitName,
    pub(super) aggregation: Aggregation,
    pub(super) subset: Subset,
    pub(super) layer: Layer,
    /// Resamples; 0 gives no intervals.
    pub(super) bootstrap: u32,
    /// Of the bootstrap.
    pub(super) seed: u32,
    /// `RUN.e12`, where the checkpoint is another run's.
    pub(super) checkpoint: Option<String>,
    /// Empty where no checkpoint was written.
    pub(super) checkpoint_sha256: &'a str,
}

/// Computes an attribution, writes its file, and then its record.
pub(super) fn write(
    dir: &mut RunDir,
    facts: Facts<'_>,
    measurement: &Measurement,
    samples: &Samples,
    cancel: &Cancel,
) -> Result<(), Error> {
    let begun = Instant::now();
    let Facts { epoch, inputs, attack, class_names, split, aggregation, subset, layer, bootstrap, seed, checkpoint, checkpoint_sha256 } =
        facts;
    let classes = samples.attribute(aggregation, subset);
    let bootstrap = samples.bootstrap(aggregation, subset, bootstrap, seed, cancel)?;
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
        bootstrap,
        feature_dim: samples.weight.size()[1] as u32,
        checkpoint_sha256: checkpoint_sha256.to_owned(),
        seconds: measurement.seconds + begun.elapsed().as_secs_f64(),
    };
    dir.write_json(&run_dir::attribution_file(epoch, inputs), &content)?;
    record(dir, &content)
}

/// Records once more an attribution whose file stays, after its checkpoint has been removed.
pub(super) fn record_again(dir: &mut RunDir, epoch: u32, inputs: Inputs) -> Result<(), Error> {
    let path = dir.path(&run_dir::attribution_file(epoch, inputs));
    let text = fs::read_to_string(&path).map_err(Error::io(&path))?;
    let content = serde_json::from_str(&text).map_err(|error| Error::io(&path)(error.into()))?;
    record(dir, &content)
}

fn record(dir: &mut RunDir, content: &AttributionFile) -> Result<(), Error> {
    let AttributionFile { epoch, inputs, cas, cas_normalized, .. } = *content;
    let file = run_dir::attribution_file(epoch, inputs);
    dir.append(&Record::Attribution(AttributionEntry { epoch, inputs, file, cas, cas_normalized }))
}
