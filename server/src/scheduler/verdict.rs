//! The state of a run after its worker has ended.

use std::io;
use std::process::ExitStatus;

use shared::api::RunState;
use shared::rundir;

use crate::worker::sentence;

/// Exit code of a worker that was asked to stop.
const CANCELED_CODE: i32 = rundir::EXIT_CANCELED as i32;
const SERVER_STOPPED: &str = "the server stopped while this run was running";

/// How the worker of a run ended.
#[derive(Debug)]
pub(super) enum Ending {
    Exited(io::Result<ExitStatus>),
    /// It outlived the server that started it, so its exit code is unknown. `finished`: its records say that
    /// it was done.
    Unseen {
        finished: bool,
    },
}

/// Why a worker was asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StopReason {
    Canceled,
    ServerStops,
}

/// The final state of a run and, unless it is obvious, a sentence that says why.
pub(super) fn verdict(ending: Ending, stop_reason: Option<StopReason>, last_words: &str) -> (RunState, Option<String>) {
    let status = match ending {
        Ending::Exited(Ok(status)) => status,
        Ending::Exited(Err(error)) => return (RunState::Failed, Some(format!("the server could not wait for the worker: {error}"))),
        Ending::Unseen { finished: true } => return (RunState::Succeeded, None),
        Ending::Unseen { finished: false } => {
            return match stop_reason {
                Some(_) => (RunState::Canceled, None),
                None => (RunState::Failed, Some(SERVER_STOPPED.to_owned())),
            };
        }
    };
    match (status.code(), stop_reason) {
        (Some(0), _) => (RunState::Succeeded, None),
        (Some(CANCELED_CODE), Some(StopReason::ServerStops)) => (RunState::Canceled, Some(SERVER_STOPPED.to_owned())),
        (Some(CANCELED_CODE), _) => (RunState::Canceled, None),
        (None, Some(_)) => (RunState::Canceled, Some("the worker did not stop in time and was ended, so it may not have saved".to_owned())),
        _ => (RunState::Failed, Some(sentence(status, last_words))),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[track_caller]
    fn check(ending: Ending, stop_reason: Option<StopReason>, state: RunState, part: Option<&str>) {
        let (found, reason) = verdict(ending, stop_reason, "error: no data");
        assert_eq!(found, state, "{reason:?}");
        match (reason, part) {
            (Some(reason), Some(part)) => assert!(reason.contains(part), "{reason}"),
            (reason, part) => assert_eq!(reason.as_deref(), part),
        }
    }

    #[test]
    fn the_state_of_a_run_follows_from_how_its_worker_ended() {
        let exit = |code: i32| Ending::Exited(Ok(ExitStatus::from_raw(code << 8)));
        let killed = || Ending::Exited(Ok(ExitStatus::from_raw(9)));
        check(exit(0), None, RunState::Succeeded, None);
        check(exit(0), Some(StopReason::Canceled), RunState::Succeeded, None);
        check(exit(3), Some(StopReason::Canceled), RunState::Canceled, None);
        check(exit(3), Some(StopReason::ServerStops), RunState::Canceled, Some("the server stopped"));
        check(exit(1), None, RunState::Failed, Some("error: no data"));
        check(exit(1), Some(StopReason::Canceled), RunState::Failed, Some("error: no data"));
        check(killed(), None, RunState::Failed, Some("SIGKILL"));
        check(killed(), Some(StopReason::Canceled), RunState::Canceled, Some("did not stop in time"));
        check(Ending::Unseen { finished: true }, None, RunState::Succeeded, None);
        check(Ending::Unseen { finished: false }, None, RunState::Failed, Some("the server stopped"));
        check(Ending::Unseen { finished: false }, Some(StopReason::Canceled), RunState::Canceled, None);
    }
}
