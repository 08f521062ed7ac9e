//! What becomes of a run after its worker has ended.

use std::io;

use shared::api::RunState;
use shared::rundir::{EXIT_CANCELED, EXIT_CRASHED, EXIT_NOT_LOADED, EXIT_REQUEUE, StopReason};

use crate::launch::{End, Fate};
use crate::worker::sentence;

const SUCCEEDED: i32 = 0;
const CANCELED: i32 = EXIT_CANCELED as i32;
const REQUEUE: i32 = EXIT_REQUEUE as i32;
const CRASHED: i32 = EXIT_CRASHED as i32;
const NOT_LOADED: i32 = EXIT_NOT_LOADED as i32;

/// How the worker of a run ended.
#[derive(Debug)]
pub(super) struct Ending {
    pub end: io::Result<End>,
    /// What the engine of its lane says.
    pub fate: Option<Fate>,
    /// The records say that the run is done.
    pub finished: bool,
    /// Another program wrote it.
    pub external: bool,
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
    let saved = match stop_reason {
        Some(StopReason::Cancel) => Verdict::Over(RunState::Canceled, None),
        Some(StopReason::Pause) => Verdict::Over(RunState::Paused, None),
        Some(StopReason::Requeue) | None => Verdict::GoesOn,
    };
    let ended = |why: String| match &saved {
        Verdict::Over(state, _) => {
            Verdict::Over(*state, Some("the worker did not stop in time and was ended, so the last minute may be lost".to_owned()))
        }
        // It did not stop in time for a server that stops.
        _ if stop_reason.is_some() => Verdict::GoesOn,
        _ => Verdict::Died(why),
    };
    let exit = match &ending.end {
        Ok(End::Exited(status)) => status.code(),
        _ => None,
    };
    // However its last worker ended that was not canceled: killed after the last record, say, or started while another
    // finished the run.
    if ending.finished && exit != Some(CANCELED) {
        return Verdict::Over(RunState::Succeeded, None);
    }
    if ending.fate == Some(Fate::Canceled) && stop_reason.is_none() && matches!(exit, None | Some(REQUEUE)) {
        return Verdict::Over(
            RunState::Canceled,
            Some("its job was canceled in the engine of its lane; resumed, the run goes on".to_owned()),
        );
    }
    let status = match ending.end {
        Ok(End::Exited(status)) => status,
        Ok(end) if ending.external => return of_another_program(end, stop_reason),
        Ok(End::Vanished | End::Unknown) if matches!(ending.fate, Some(Fate::Preempted | Fate::TimeLimit)) => return saved,
        Ok(End::Vanished | End::Unknown) if let Some(Fate::Failed(how)) = ending.fate => return ended(how),
        Ok(End::Vanished) => return ended("the worker was killed".to_owned()),
        Ok(End::Unknown) => return saved,
        Err(error) => return Verdict::Over(RunState::Failed, Some(format!("the server could not wait for the worker: {error}"))),
    };
    match status.code() {
        Some(SUCCEEDED) => Verdict::Over(RunState::Succeeded, None),
        Some(CANCELED) => Verdict::Over(RunState::Canceled, None),
        Some(REQUEUE) => saved,
        None => ended(sentence(status, last_words)),
        Some(CRASHED | NOT_LOADED) if matches!(stop_reason, None | Some(StopReason::Requeue)) => {
            Verdict::Died(sentence(status, last_words))
        }
        Some(_) => Verdict::Over(RunState::Failed, Some(sentence(status, last_words))),
    }
}

/// Decides what becomes of a run whose program has not finished it.
fn of_another_program(end: End, stop_reason: Option<StopReason>) -> Verdict {
    let how = match end {
        End::Exited(_) | End::Unknown if stop_reason == Some(StopReason::Cancel) => return Verdict::Over(RunState::Canceled, None),
        End::Exited(_) | End::Unknown => "has ended before the run did",
        End::Vanished => "shows no sign of life",
    };
    Verdict::Over(RunState::Failed, Some(format!("the program that writes it {how}; started again, it can go on")))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

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

    fn ending(end: End) -> Ending {
        Ending { end: Ok(end), fate: None, finished: false, external: false }
    }

    fn exit(code: i32) -> Ending {
        ending(End::Exited(ExitStatus::from_raw(code << 8)))
    }

    fn killed() -> Ending {
        ending(End::Exited(ExitStatus::from_raw(9)))
    }

    #[test]
    fn the_state_of_a_run_follows_from_how_its_worker_ended() {
        check(exit(0), None, RunState::Succeeded, None);
        check(exit(0), Some(StopReason::Cancel), RunState::Succeeded, None);
        check(exit(3), Some(StopReason::Cancel), RunState::Canceled, None);
        check(exit(3), None, RunState::Canceled, None);
        // The reason could not be written into the run directory.
        check(exit(85), Some(StopReason::Cancel), RunState::Canceled, None);
        check(exit(85), Some(StopReason::Pause), RunState::Paused, None);
        check(exit(1), None, RunState::Failed, Some("error: no data"));
        check(exit(1), Some(StopReason::Cancel), RunState::Failed, Some("error: no data"));
        check(exit(101), Some(StopReason::Cancel), RunState::Failed, Some("error: no data"));
        for end in [killed(), ending(End::Vanished)] {
            check(end, Some(StopReason::Cancel), RunState::Canceled, Some("did not stop in time"));
        }
        check(killed(), Some(StopReason::Pause), RunState::Paused, Some("did not stop in time"));
        for ending in [ending(End::Vanished), ending(End::Unknown), killed(), exit(101), exit(1)] {
            check(Ending { finished: true, ..ending }, None, RunState::Succeeded, None);
        }
        check(ending(End::Unknown), Some(StopReason::Cancel), RunState::Canceled, None);
    }

    #[test]
    fn what_an_engine_says_counts_where_the_worker_has_said_nothing() {
        let judged = |end, fate, stop_reason| verdict(Ending { fate: Some(fate), ..ending(end) }, stop_reason, "");
        let saved = || End::Exited(ExitStatus::from_raw(85 << 8));
        for end in [saved(), End::Vanished, End::Unknown] {
            assert_eq!(judged(end, Fate::Preempted, None), Verdict::GoesOn);
            assert_eq!(judged(end, Fate::TimeLimit, None), Verdict::GoesOn);
            check(Ending { fate: Some(Fate::Canceled), ..ending(end) }, None, RunState::Canceled, Some("canceled in the engine"));
        }
        check(Ending { fate: Some(Fate::Canceled), ..ending(saved()) }, Some(StopReason::Pause), RunState::Paused, None);
        assert_eq!(judged(End::Unknown, Fate::Failed("its node failed".into()), None), Verdict::Died("its node failed".into()));
        assert_eq!(judged(saved(), Fate::Failed("exit code 85".into()), None), Verdict::GoesOn);
        check(Ending { fate: Some(Fate::Canceled), ..exit(0) }, None, RunState::Succeeded, None);
    }

    #[test]
    fn a_run_whose_worker_has_saved_or_died_goes_on() {
        let judged = |ending, stop_reason| verdict(ending, stop_reason, "no memory");
        assert_eq!(judged(exit(85), None), Verdict::GoesOn);
        assert_eq!(judged(exit(85), Some(StopReason::Requeue)), Verdict::GoesOn);
        assert_eq!(judged(killed(), Some(StopReason::Requeue)), Verdict::GoesOn);
        assert_eq!(judged(ending(End::Unknown), None), Verdict::GoesOn);
        for ending in [exit(101), killed(), ending(End::Vanished)] {
            let found = judged(ending, None);
            assert!(matches!(found, Verdict::Died(_)), "{found:?}");
        }
    }
}
