//! Labels for states, phases and splits.

use shared::api::RunState;
use shared::config::SplitName;
use shared::record::Phase;
use shared::rundir::StopReason;

pub fn state(state: RunState) -> &'static str {
    match state {
        RunState::Queued => "Queued",
        RunState::Running => "Running",
        RunState::Paused => "Paused",
        RunState::Succeeded => "Succeeded",
        RunState::Failed => "Failed",
        RunState::Canceled => "Canceled",
    }
}

/// What a run is doing whose worker was asked to stop.
pub fn stopping(reason: StopReason) -> &'static str {
    match reason {
        StopReason::Cancel => "Canceling",
        StopReason::Pause => "Pausing",
        StopReason::Requeue => "Stopping",
    }
}

pub fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Teaching => "Training a teacher",
        Phase::Training => "Training",
        Phase::Evaluating => "Evaluating",
        Phase::Attributing => "Computing attributions",
        Phase::Importing => "Reading files",
    }
}

pub fn split(split: SplitName) -> &'static str {
    match split {
        SplitName::Test => "Test images",
        SplitName::Train => "Training images",
        SplitName::Holdout => "Held-out images",
    }
}
