//! A request to save and end, made by another thread, a signal, or a file in the run directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use shared::rundir::{self, StopReason};

use crate::Error;

/// Time between two looks at the stop file, which may be on a file system across a network.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// A request shared by those who may make it and the thread that works.
///
/// Attacks check it before every step, so that a slow machine stops soon as well.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    requested: Arc<AtomicBool>,
    file: Option<Arc<StopFile>>,
    /// Number of checks until the stop is requested.
    checks: Option<Arc<AtomicU32>>,
}

#[derive(Debug)]
struct StopFile {
    path: PathBuf,
    next_look: Mutex<Instant>,
}

impl Stop {
    /// Also heeds the stop file of a run directory.
    pub fn for_run(directory: &Path) -> Self {
        let file = StopFile { path: directory.join(rundir::STOP), next_look: Mutex::new(Instant::now()) };
        Stop { file: Some(Arc::new(file)), ..Stop::default() }
    }

    /// Is requested at the check with this number, from 0, so that tests can stop the work anywhere.
    pub fn at_check(number: u32) -> Self {
        Stop { checks: Some(Arc::new(AtomicU32::new(number))), ..Stop::default() }
    }

    /// Requests the stop. It cannot be taken back.
    ///
    /// The stop file, if there is one, says why; otherwise the run is to be started again.
    pub fn request(&self) {
        self.requested.store(true, Ordering::Relaxed);
    }

    /// Returns the flag of the request, for signal handlers.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.requested)
    }

    /// Returns `Err(Error::Stopped)` once a stop has been requested.
    pub fn check(&self) -> Result<(), Error> {
        if self.checks.as_ref().is_some_and(|checks| checks.fetch_sub(1, Ordering::Relaxed) == 0) {
            self.request();
        }
        let in_file = || self.file.as_deref().and_then(StopFile::read);
        let reason = match self.requested.load(Ordering::Relaxed) {
            true => Some(in_file().unwrap_or(StopReason::Requeue)),
            false if self.file.as_deref().is_some_and(StopFile::is_due) => in_file(),
            false => None,
        };
        match reason {
            Some(reason) => {
                // Later checks say the same without waiting for a look to be due.
                self.request();
                Err(Error::Stopped(reason))
            }
            None => Ok(()),
        }
    }
}

impl StopFile {
    fn is_due(&self) -> bool {
        let mut next = self.next_look.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let due = now >= *next;
        if due {
            *next = now + LOOK_INTERVAL;
        }
        due
    }

    /// Returns what the file says. `None` if it does not exist or cannot be read now.
    fn read(&self) -> Option<StopReason> {
        fs::read(&self.path).ok().map(|content| StopReason::parse(&String::from_utf8_lossy(&content)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(stop: &Stop, expected: Option<StopReason>) {
        match (stop.check(), expected) {
            (Ok(()), None) => {}
            (Err(Error::Stopped(found)), Some(expected)) => assert_eq!(found, expected),
            (found, expected) => panic!("{found:?} is not {expected:?}"),
        }
    }

    #[test]
    fn the_file_says_why_and_without_it_the_run_goes_on_later() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(rundir::STOP);
        let stop = Stop::for_run(directory.path());
        check(&stop, None);
        fs::write(&file, "pause\n").unwrap();
        // It was looked at a moment ago; a request looks again at once.
        stop.request();
        check(&stop, Some(StopReason::Pause));
        fs::remove_file(&file).unwrap();
        check(&stop, Some(StopReason::Requeue));

        fs::write(&file, "").unwrap();
        check(&Stop::for_run(directory.path()), Some(StopReason::Cancel));
        check(&Stop::default(), None);
    }
}
