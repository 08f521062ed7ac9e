//! What becomes of a run after its worker has ended.

use std::io;
use std::process::ExitStatus;

use shared::api::RunState;
use shared::rundir::{EXIT_CANCELED, EXIT_CRASHED, EXIT_REQUEUE, StopReason};

use crate::worker::sentence;

const SUCCEEDED: i32 = 0;
const CANCELED: i32 = EXIT_CANCELED as i32;
const REQUEUE: i32 = EXIT_REQUEUE as i32;
const CRASHED: i32 = EXIT_CRASHED as i32;

/// How the worker of a run ended.
#[derive(Debug)]
pub(super) enum Ending {
    Exited(io::Result<ExitStatus>),
    /// It outlived the server that started it, so its exit code is unknown. `finished`: its records say that
    /// it was done. `died`: it left its lease behind.
    Unseen {
        finished: bool,
        died: bool,
    },
    /// Another program wrote it. `died`: it left its lease behind.
    External {
        finished: bool,
        died: bool,
    },
}

/// What becomes of a run.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It has ended, in this state; a sentence says why, unless it is obvious.
    Over(RunState, Option<String>),
    /// Its worker has saved, and it waits for the next one.
    GoesOn,
    /// Its worker has died by itself; a sentence says how. Another worker may get further.
    Died(String),
}

/// Decides what becomes of a run. `stop_reason`: why its worker was asked to stop.
pub(super) fn verdict(ending: Ending, stop_reason: Option<StopReason>, last_words: &str) -> Verdict {
    let canceled = |why: Option<&str>| Verdict::Over(RunState::Canceled, why.map(str::to_owned));
    let saved = match stop_reason {
        Some(StopReason::Cancel) => canceled(None),
        Some(StopReason::Pause) => canceled(Some("it was paused; resume it to go on")),
        Some(StopReason::Requeue) | None => Verdict::GoesOn,
    };
    let status = match ending {
        Ending::Exited(Ok(status)) => status,
        Ending::Exited(Err(error)) => {
            return Verdict::Over(RunState::Failed, Some(format!("the server could not wait for the worker: {error}")));
        }
        Ending::External { finished: false, died } => {
            let how = if died { "shows no sign of life" } else { "has ended before the run did" };
            let lost = || Verdict::Over(RunState::Failed, Some(format!("the program that writes it {how}; started again, it can go on")));
            return if stop_reason == Some(StopReason::Cancel) && !died { canceled(None) } else { lost() };
        }
        Ending::Unseen { finished: true, .. } | Ending::External { finished: true, .. } => return Verdict::Over(RunState::Succeeded, None),
        Ending::Unseen { died: true, .. } if saved == Verdict::GoesOn => {
            return Verdict::Died("the worker died while the server was away".to_owned());
        }
        Ending::Unseen { .. } => return saved,
    };
    match (status.code(), stop_reason) {
        (Some(SUCCEEDED), _) => Verdict::Over(RunState::Succeeded, None),
        (Some(CANCELED), _) => canceled(None),
        (Some(REQUEUE), _) => saved,
        (None, Some(StopReason::Cancel | StopReason::Pause)) => {
            canceled(Some("the worker did not stop in time and was ended, so the last minute may be lost"))
        }
        // It did not stop in time for a server that stops.
        (None, Some(StopReason::Requeue)) => Verdict::GoesOn,
        (None | Some(CRASHED), None | Some(StopReason::Requeue)) => Verdict::Died(sentence(status, last_words)),
        _ => Verdict::Over(RunState::Failed, Some(sentence(status, last_words))),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[track_caller]
    fn check(ending: Ending, stop_reason: Option<StopReason>, state: RunState, part: Option<&str>) {
        let Verdict::Over(found, reason) = verdict(ending, stop_reason, "error: no data") else { panic!("it is not over") };
        assert_eq!(found, state, "{reason:?}");
        match (reason, part) {
            (Some(reason), Some(part)) => assert!(reason.contains(part), "{reason}"),
            (reason, part) => assert_eq!(reason.as_deref(), part),
        }
    }

    fn exit(code: i32) -> Ending {
        Ending::Exited(Ok(ExitStatus::from_raw(code << 8)))
    }

    fn killed() -> Ending {
        Ending::Exited(Ok(ExitStatus::from_raw(9)))
    }

    #[test]
    fn the_state_of_a_run_follows_from_how_its_worker_ended() {
        let unseen = |finished| Ending::Unseen { finished, died: false };
        check(exit(0), None, RunState::Succeeded, None);
        check(exit(0), Some(StopReason::Cancel), RunState::Succeeded, None);
        check(exit(3), Some(StopReason::Cancel), RunState::Canceled, None);
        check(exit(3), None, RunState::Canceled, None);
        // The reason could not be written into the run directory.
        check(exit(85), Some(StopReason::Cancel), RunState::Canceled, None);
        check(exit(85), Some(StopReason::Pause), RunState::Canceled, Some("paused"));
        check(exit(1), None, RunState::Failed, Some("error: no data"));
        check(exit(1), Some(StopReason::Cancel), RunState::Failed, Some("error: no data"));
        check(exit(101), Some(StopReason::Cancel), RunState::Failed, Some("error: no data"));
        check(killed(), Some(StopReason::Cancel), RunState::Canceled, Some("did not stop in time"));
        check(unseen(true), None, RunState::Succeeded, None);
        check(unseen(false), Some(StopReason::Cancel), RunState::Canceled, None);
    }

    #[test]
    fn a_run_whose_worker_has_saved_or_died_goes_on() {
        let judged = |ending, stop_reason| verdict(ending, stop_reason, "no memory");
        assert_eq!(judged(exit(85), None), Verdict::GoesOn);
        assert_eq!(judged(exit(85), Some(StopReason::Requeue)), Verdict::GoesOn);
        assert_eq!(judged(killed(), Some(StopReason::Requeue)), Verdict::GoesOn);
        assert_eq!(judged(Ending::Unseen { finished: false, died: false }, None), Verdict::GoesOn);
        for ending in [exit(101), killed(), Ending::Unseen { finished: false, died: true }] {
            let found = judged(ending, None);
            assert!(matches!(found, Verdict::Died(_)), "{found:?}");
        }
    }
}
