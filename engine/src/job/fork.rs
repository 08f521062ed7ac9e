//! Starts a training run from a checkpoint of another run.

use shared::config::TrainConfig;
use shared::dataset::DatasetInfo;
use shared::id::CheckpointRef;
use shared::record::Record;
use shared::rundir;

use super::source_checkpoint::SourceCheckpoint;
use crate::Error;
use crate::run_dir::RunDir;
use crate::train::State;

/// Lets `state` go on from the checkpoint `from`, and copies what the other run had measured by then.
///
/// Saves the state before it appends the record: once the record is there, the other run is no longer needed.
///
/// Fails if the checkpoint is of another data set or network, or of the last epoch of the run or a later one.
pub(super) fn start(
    dir: &mut RunDir,
    config: &TrainConfig,
    from: &CheckpointRef,
    info: &DatasetInfo,
    state: &mut State,
) -> Result<(), Error> {
    let source = SourceCheckpoint::find(&dir.path(""), from)?;
    let own = config.model.normalized_for(info);
    let model = source.model("weights to go on from")?.normalized_for(info);
    let epoch = source.id.epoch;
    let problem = if source.sidecar.dataset != config.data.dataset {
        format!("it was trained on `{}`, and `data.dataset` is `{}`", source.sidecar.dataset.id(), config.data.dataset.id())
    } else if source.shape().is_some_and(|shape| shape != info.shape) {
        format!("it was trained on images of {:?}, and those of this run are {:?}", source.shape().unwrap_or_default(), info.shape)
    } else if model != own {
        format!("its network is {model:?}, and `model` is {own:?}")
    } else if epoch >= config.training.epochs {
        format!("`training.epochs` is {}, which leaves nothing to train", config.training.epochs)
    } else {
        state.start_from(&source.network(info, state.network.device())?, epoch);
        state.snapshot().save(&dir.path(rundir::STATE), config, 0.0)?;
        return dir.append(&Record::Forked(source.history()));
    };
    Err(source.refused(problem))
}
