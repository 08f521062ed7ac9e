//! How far a run that does not train has come, counted in passes of a batch through a network.

use std::time::Instant;

use shared::record::{Finished, Phase, Progress, Record};

use crate::Error;
use crate::attack::Attack;
use crate::run_dir::RunDir;

/// The work of a run.
pub(super) struct Work {
    begun: Instant,
    done: u32,
    of: u32,
}

impl Work {
    /// Work that began then, with `of` passes ahead.
    pub(super) fn new(begun: Instant, of: u32) -> Self {
        Work { begun, done: 0, of }
    }

    /// Passes that a batch takes; the gradients of an attack's step take about two more each.
    pub(super) fn passes(attack: Option<&Attack>) -> u32 {
        1 + attack.map_or(0, |attack| 3 * attack.steps)
    }

    /// So many passes are done.
    pub(super) fn add(&mut self, passes: u32, dir: &mut RunDir) -> Result<(), Error> {
        self.done += passes;
        let elapsed_secs = self.begun.elapsed().as_secs_f64();
        dir.progress(Progress { phase: Phase::Attributing, epoch: 0, step: self.done, steps: self.of, elapsed_secs })
    }

    /// The last line, about a checkpoint of this epoch.
    pub(super) fn finish(&self, epoch: u32, dir: &mut RunDir) -> Result<(), Error> {
        let elapsed_secs = self.begun.elapsed().as_secs_f64();
        dir.append(&Record::Finished(Finished { best_epoch: epoch, last_epoch: epoch, elapsed_secs }))
    }
}
