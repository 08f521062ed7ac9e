//! The progress of a run that does not train, counted in passes of a batch through a network.

use std::time::Instant;

use shared::record::{Finished, Phase, Progress, Record};

use crate::Error;
use crate::attack::Attack;
use crate::run_dir::RunDir;

/// The passes of a run, done and planned.
pub(super) struct Passes {
    begun: Instant,
    done: u32,
    of: u32,
}

impl Passes {
    /// Starts counting towards `of` passes; `begun` is when the run began.
    pub(super) fn new(begun: Instant, of: u32) -> Self {
        Passes { begun, done: 0, of }
    }

    /// Passes of one batch: one forward, and about three for each step of the attack, whose gradient costs two.
    pub(super) fn of_batch(attack: Option<&Attack>) -> u32 {
        1 + attack.map_or(0, |attack| 3 * attack.steps)
    }

    /// Counts passes as done and reports them.
    pub(super) fn add(&mut self, passes: u32, dir: &mut RunDir) -> Result<(), Error> {
        self.done += passes;
        let elapsed_secs = self.begun.elapsed().as_secs_f64();
        dir.progress(Progress { phase: Phase::Attributing, epoch: 0, step: self.done, steps: self.of, elapsed_secs })
    }

    /// Appends the record that ends the run, about the checkpoint of `epoch`.
    pub(super) fn finish(&self, epoch: u32, dir: &mut RunDir) -> Result<(), Error> {
        let elapsed_secs = self.begun.elapsed().as_secs_f64();
        dir.append(&Record::Finished(Finished { best_epoch: epoch, last_epoch: epoch, elapsed_secs }))
    }
}
