//! Which worker writes to a run directory: the file `lease.json`. Knows nothing of runs.
//!
//! A lease is a file that its holder rewrites every few seconds. Run directories may be on the shared file
//! systems of clusters, where locks are off or cannot be relied on.

mod process;

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use shared::rundir;

pub use process::Process;

/// Time between two beats of a holder.
const BEAT: Duration = Duration::from_secs(10);
/// A lease whose beat stands still for this time, by the clock of the reader, has no holder anymore.
pub const STALE: Duration = Duration::from_secs(60);

/// Content of `lease.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Name of the machine, for people.
    pub host: String,
    #[serde(flatten)]
    pub process: Process,
    /// Name of the job under which an engine such as Slurm knows the worker. `None` on this machine.
    pub ticket: Option<String>,
    /// Rises with every rewriting.
    pub beat: u64,
}

/// Whether a worker writes to a directory.
#[derive(Debug, PartialEq, Eq)]
pub enum Standing {
    /// There is no lease: no worker writes, and the last one ended in order.
    Free,
    /// The worker was killed and left its lease behind, or its lease stood still for too long. Holds the
    /// content of the file.
    Abandoned(Vec<u8>),
    /// A worker writes, or may write. `None` if the lease cannot be read.
    Held(Option<Lease>),
}

/// Looks at the lease of a directory again and again.
#[derive(Debug)]
pub struct Watch {
    path: PathBuf,
    /// Content at the first look at which it was not the one before, and the time of that look.
    since: Option<(Vec<u8>, Instant)>,
}

impl Watch {
    pub fn new(directory: &Path) -> Self {
        Watch { path: directory.join(rundir::LEASE), since: None }
    }

    /// Tells whether a worker writes to the directory.
    ///
    /// A worker of this machine is known by its process. For another, several looks over [`STALE`] are
    /// needed, because only a beat that stands still shows that it is gone.
    pub fn look(&mut self) -> io::Result<Standing> {
        match fs::symlink_metadata(&self.path) {
            Ok(found) if found.is_file() => {}
            // Reading a pipe would never end.
            Ok(_) => return Err(io::Error::new(ErrorKind::InvalidInput, "is a link or no plain file")),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Standing::Free),
            Err(error) => return Err(error),
        }
        let content = match fs::read(&self.path) {
            Ok(content) => content,
            // Its holder has ended in between.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Standing::Free),
            Err(error) => return Err(error),
        };
        Ok(self.judge(content, Instant::now()))
    }

    /// Removes the lease of a worker that is gone, so that whoever looks next does not take it for that of a
    /// later worker.
    pub fn remove_abandoned(&mut self) -> io::Result<()> {
        if let Standing::Abandoned(content) = self.look()? {
            remove_abandoned(&self.path, &content)?;
        }
        Ok(())
    }

    fn judge(&mut self, content: Vec<u8>, now: Instant) -> Standing {
        let since = match &self.since {
            Some((before, since)) if *before == content => *since,
            _ => now,
        };
        self.since = Some((content.clone(), since));
        let lease: Option<Lease> = serde_json::from_slice(&content).ok();
        match lease.as_ref().and_then(|lease| lease.process.is_alive()) {
            Some(true) => Standing::Held(lease),
            Some(false) => Standing::Abandoned(content),
            None if now.duration_since(since) >= STALE => Standing::Abandoned(content),
            None => Standing::Held(lease),
        }
    }
}

/// The lease of this process. Dropping it removes the file.
#[derive(Debug)]
pub struct Held {
    path: PathBuf,
    /// Ends the beats when it is dropped.
    end: Option<mpsc::Sender<()>>,
    /// Returns the last content that it wrote.
    beats: Option<JoinHandle<Vec<u8>>>,
}

impl Held {
    /// Takes the lease if it is free or abandoned, and keeps it alive until it is dropped. `None`: another
    /// worker holds it.
    ///
    /// `lost` is called if another worker has taken it over, which happens after this process was suspended.
    pub fn take(watch: &mut Watch, ticket: Option<String>, lost: impl FnOnce() + Send + 'static) -> io::Result<Option<Self>> {
        match watch.look()? {
            Standing::Held(_) => return Ok(None),
            Standing::Free => {}
            Standing::Abandoned(content) => {
                if !remove_abandoned(&watch.path, &content)? {
                    return Ok(None);
                }
            }
        }
        let lease = Lease { host: process::host(), process: Process::current(), ticket, beat: 0 };
        let content = content(&lease);
        match File::create_new(&watch.path) {
            // Without its content, the next worker would have to wait until it has stood still.
            Ok(mut file) => file.write_all(&content).inspect_err(|_| drop(fs::remove_file(&watch.path)))?,
            // Another worker was faster.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(None),
            Err(error) => return Err(error),
        }
        let (end, ended) = mpsc::channel();
        let path = watch.path.clone();
        let beats = thread::spawn(move || beat(&path, lease, content, &ended, lost));
        Ok(Some(Held { path: watch.path.clone(), end: Some(end), beats: Some(beats) }))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.end.take();
        let content = self.beats.take().and_then(|beats| beats.join().ok());
        if fs::read(&self.path).ok() == content && fs::remove_file(&self.path).is_err() {
            warn(&format!("{} cannot be removed; the next worker sees that this one has ended", self.path.display()));
        }
    }
}

/// Rewrites the lease until `ended`. Returns its last content.
fn beat(path: &Path, mut lease: Lease, mut written: Vec<u8>, ended: &mpsc::Receiver<()>, lost: impl FnOnce()) -> Vec<u8> {
    while ended.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
        // Without a file, or where it cannot be read now, nobody has taken it over.
        if fs::read(path).is_ok_and(|found| found != written) {
            lost();
            return written;
        }
        lease.beat += 1;
        let next = content(&lease);
        match replace(path, &next) {
            Ok(()) => written = next,
            // Tries again with the next beat. A full disk must not end the run.
            Err(error) => warn(&format!("{} cannot be written: {error}", path.display())),
        }
    }
    written
}

/// Writes to standard error, which a full disk may not take; that must not end the beats.
fn warn(message: &str) {
    let _ = writeln!(io::stderr(), "warning: {message}");
}

fn content(lease: &Lease) -> Vec<u8> {
    let mut content = serde_json::to_vec(lease).expect("a lease has only string keys");
    content.push(b'\n');
    content
}

fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("json.part");
    fs::write(&beside, content)?;
    fs::rename(&beside, path)
}

/// Removes an abandoned lease. Returns whether it was still there; if not, another worker was faster.
fn remove_abandoned(path: &Path, content: &[u8]) -> io::Result<bool> {
    // Of several workers that move the file, one succeeds.
    let aside = path.with_extension(format!("json.{}", std::process::id()));
    match fs::rename(path, &aside) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    }
    let same = fs::read(&aside)? == content;
    if !same {
        // It was taken over between the look and the move: give it back, unless there is another by now.
        match fs::hard_link(&aside, path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    fs::remove_file(&aside)?;
    Ok(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(process: Process, beat: u64) -> Vec<u8> {
        content(&Lease { host: "elsewhere".into(), process, ticket: Some("17".into()), beat })
    }

    fn elsewhere() -> Process {
        Process { among: "another boot".into(), ..Process::current() }
    }

    /// Judges contents at the given seconds; returns whether each was found held.
    #[track_caller]
    fn check(looks: &[(u64, Vec<u8>)], expected: &[bool]) {
        let mut watch = Watch::new(Path::new("nowhere"));
        let begun = Instant::now();
        let found: Vec<bool> = looks
            .iter()
            .map(|(seconds, content)| matches!(watch.judge(content.clone(), begun + Duration::from_secs(*seconds)), Standing::Held(_)))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_worker_elsewhere_is_gone_once_its_beat_has_stood_still_for_a_minute() {
        let beats = |beat| lease(elsewhere(), beat);
        check(&[(0, beats(3)), (59, beats(3)), (60, beats(3))], &[true, true, false]);
        check(&[(0, beats(3)), (59, beats(4)), (60, beats(4)), (118, beats(4)), (119, beats(4))], &[true, true, true, true, false]);
        // A reader who looks seldom has not seen it stand still.
        check(&[(0, beats(3)), (600, beats(4))], &[true, true]);
    }

    #[test]
    fn a_worker_of_this_machine_is_known_by_its_process() {
        let own = Process::current();
        check(&[(0, lease(own.clone(), 3)), (600, lease(own.clone(), 3))], &[true, true]);
        // Its number has passed to another process.
        check(&[(0, lease(Process { started: own.started + 1, ..own.clone() }, 3))], &[false]);
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let ended = Process { pid: child.id(), ..own };
        child.wait().unwrap();
        check(&[(0, lease(ended, 3))], &[false]);
    }

    #[test]
    fn a_lease_that_cannot_be_read_is_held_until_it_has_stood_still() {
        let garbage = || b"{\"host\":".to_vec();
        check(&[(0, garbage()), (59, garbage()), (60, garbage())], &[true, true, false]);
        check(&[(0, Vec::new()), (59, Vec::new()), (60, Vec::new())], &[true, true, false]);
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(rundir::LEASE), garbage()).unwrap();
        let mut watch = Watch::new(directory.path());
        assert!(Held::take(&mut watch, None, || {}).unwrap().is_none());
        assert_eq!(fs::read(directory.path().join(rundir::LEASE)).unwrap(), garbage());
    }

    #[test]
    fn a_lease_is_held_once_and_removed_at_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let mut watch = Watch::new(directory.path());
        let held = Held::take(&mut watch, Some("17".into()), || {}).unwrap().unwrap();
        let Standing::Held(Some(lease)) = watch.look().unwrap() else { panic!("it is held") };
        assert_eq!((lease.process, lease.ticket.as_deref()), (Process::current(), Some("17")));
        assert!(Held::take(&mut watch, None, || {}).unwrap().is_none());
        drop(held);
        assert_eq!(watch.look().unwrap(), Standing::Free);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_lease_of_a_killed_worker_is_taken_over_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let killed = Process { started: Process::current().started + 1, ..Process::current() };
        fs::write(directory.path().join(rundir::LEASE), lease(killed, 3)).unwrap();
        let held = Held::take(&mut Watch::new(directory.path()), None, || {}).unwrap();
        assert!(held.is_some());
    }

    #[test]
    fn only_the_lease_of_a_worker_that_is_gone_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(rundir::LEASE);
        let own = Process::current();
        let killed = Process { started: own.started + 1, ..own.clone() };
        for (process, kept) in [(own, true), (elsewhere(), true), (killed, false)] {
            fs::write(&path, lease(process, 3)).unwrap();
            Watch::new(directory.path()).remove_abandoned().unwrap();
            assert_eq!(path.exists(), kept);
        }
        Watch::new(directory.path()).remove_abandoned().unwrap();
    }

    #[test]
    fn a_lease_that_was_taken_over_meanwhile_is_given_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(rundir::LEASE);
        fs::write(&path, lease(elsewhere(), 9)).unwrap();
        assert!(!remove_abandoned(&path, &lease(elsewhere(), 3)).unwrap());
        assert_eq!(fs::read(&path).unwrap(), lease(elsewhere(), 9));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_holder_whose_lease_was_taken_over_keeps_its_hands_off() {
        let directory = tempfile::tempdir().unwrap();
        let held = Held::take(&mut Watch::new(directory.path()), None, || {}).unwrap().unwrap();
        let path = directory.path().join(rundir::LEASE);
        fs::write(&path, lease(elsewhere(), 1)).unwrap();
        drop(held);
        assert_eq!(fs::read(&path).unwrap(), lease(elsewhere(), 1));
    }
}
