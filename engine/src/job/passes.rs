//! Progress of runs that do not train. The unit is the forward pass of a batch.

use std::time::Instant;

use shared::record::{Finished, Phase, Progress, Record};

use crate::Error;
use crate::attack::Attack;
use crate::run_dir::RunDir;

/// Number of forward passes done and planned.
pub(super) struct Passes {
    begun: Instant,
    done: u32,
    of: u32,
}

impl Passes {
    /// Starts counting. `of` is the planned number of passes, `begun` the start of the run.
    pub(super) fn new(begun: Instant, of: u32) -> Self {
        Passes { begun, done: 0, of }
    }

    /// Returns the passes for one batch: one to measure it, and three for each step of the attack, because a
    /// backward pass counts as two.
    pub(super) fn of_batch(attack: Option<&Attack>) -> u32 {
        1 + attack.map_or(0, |attack| 3 * attack.steps)
    }

    /// Adds `passes` to those done and records the progress.
    pub(super) fn add(&mut self, passes: u32, dir: &mut RunDir) -> Result<(), Error> {
        self.done += passes;
        let elapsed_secs = self.begun.elapsed().as_secs_f64();
        dir.progress(Progress { phase: Phase::Attributing, epoch: 0, step: self.done, steps: self.of, elapsed_secs })
    }

    /// Appends the record that ends the run. `epoch` is that of the measured checkpoint.
    pub(super) fn finish(&self, epoch: u32, dir: &mut RunDir) -> Result<(), Error> {
        let elapsed_secs = self.begun.elapsed().as_secs_f64();
        dir.append(&Record::Finished(Finished { best_epoch: epoch, last_epoch: epoch, elapsed_secs }))
    }
}
