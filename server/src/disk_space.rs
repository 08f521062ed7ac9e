//! Disk space: what run directories take, what runs are expected to write, and whether the disk holds it.

use std::fs::DirEntry;
use std::io;
use std::path::Path;

use anyhow::Context;
use shared::api::{DiskEstimate, DiskUse, Run, RunDisk, RunState};
use shared::config::RunConfig;
use shared::disk::estimate;
use shared::{format, rundir};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::db::Db;
use crate::problem::ApiError;
use crate::rundir::RunDirs;
use crate::state::AppState;

/// Free space and size of the disk that holds a folder.
#[derive(Clone, Copy, Debug)]
pub struct Disk {
    pub free_bytes: u64,
    pub total_bytes: u64,
}

impl Disk {
    pub fn of(folder: &Path) -> io::Result<Self> {
        let space = rustix::fs::statvfs(folder)?;
        Ok(Disk { free_bytes: space.f_bavail.saturating_mul(space.f_frsize), total_bytes: space.f_blocks.saturating_mul(space.f_frsize) })
    }
}

/// The size of the files of a run directory, by kind; nothing if there is no such directory. Links are not
/// followed.
pub fn used(folder: &Path) -> io::Result<DiskUse> {
    let mut found = DiskUse::default();
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let bytes = size(&entry)?;
        let name = entry.file_name();
        let place = match name.to_str() {
            Some(rundir::CHECKPOINTS) => &mut found.checkpoints_bytes,
            Some(rundir::ATTRIBUTIONS) => &mut found.attributions_bytes,
            Some(name) if rundir::STATES.contains(&name) => &mut found.state_bytes,
            _ => &mut found.other_bytes,
        };
        *place += bytes;
    }
    Ok(found)
}

/// The size of a file, or of all files in a folder. What is removed meanwhile counts nothing.
fn size(entry: &DirEntry) -> io::Result<u64> {
    let kind = entry.file_type()?;
    let found = match () {
        () if kind.is_dir() => std::fs::read_dir(entry.path()).and_then(|entries| entries.map(|entry| size(&entry?)).sum()),
        () if kind.is_file() => entry.metadata().map(|metadata| metadata.len()),
        () => Ok(0),
    };
    found.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(0) } else { Err(error) })
}

/// Measures the runs that earlier versions have ended without measuring them, in a task that ends with
/// `stopping`.
pub fn measure_earlier(db: Db, dirs: RunDirs, stopping: CancellationToken) {
    let work = async move {
        for id in db.unmeasured().await? {
            let dir = dirs.of(&id);
            // A directory that cannot be read counts nothing; its run says so when it is opened.
            let used = spawn_blocking(move || used(dir.path()).unwrap_or_default()).await?;
            db.set_disk_bytes(&id, used.total_bytes()).await?;
        }
        anyhow::Ok(())
    };
    tokio::spawn(async move {
        if let Some(Err(error)) = stopping.run_until_cancelled(work).await {
            tracing::warn!("the size of earlier runs cannot be noted: {error:#}");
        }
    });
}

/// The disk space of a run and, while it has not ended, whether the disk holds it and those before it.
pub async fn of_run(state: &AppState, run: &Run) -> Result<RunDisk, ApiError> {
    let dir = state.dirs.of(&run.id);
    let used = spawn_blocking(move || used(dir.path())).await.map_err(ApiError::internal)??;
    let disk = Disk::of(state.dirs.root())?;
    let estimate = if run.state.is_finished() { None } else { of_config(&run.config) };
    let warning = match &estimate {
        Some(_) => lack(disk, expected(state).await?, 0, state.dirs.root()),
        None => None,
    };
    Ok(RunDisk { used, estimate, free_bytes: disk.free_bytes, warning })
}

/// The estimate for a run that trains.
pub fn of_config(config: &RunConfig) -> Option<DiskEstimate> {
    estimate(config.as_train()?, None)
}

/// The estimate for several runs, one after the other; `None` if there is none for any of them.
pub fn of_all<'a>(configs: impl IntoIterator<Item = &'a RunConfig>) -> Option<DiskEstimate> {
    let estimates = configs.into_iter().filter_map(of_config);
    estimates.reduce(|sum, estimate| sum.and(&estimate))
}

/// What the running and queued runs are still expected to write.
pub async fn expected(state: &AppState) -> Result<u64, ApiError> {
    let queue = state.db.queue().await?;
    let running: Vec<_> = queue.iter().filter(|(run, _)| run.state == RunState::Running).map(|(run, _)| state.dirs.of(&run.id)).collect();
    let written =
        spawn_blocking(move || running.iter().filter_map(|dir| used(dir.path()).ok()).map(|used| used.total_bytes()).sum::<u64>());
    let written = written.await.context("the look at the run directories broke off")?;
    let all = of_all(queue.iter().map(|(_, config)| config)).map_or(0, |estimate| estimate.most_bytes);
    Ok(all.saturating_sub(written))
}

/// Why the disk may not hold what runs write, in a sentence; `None` if it will. `new`: what the runs in question
/// write, `queue`: what the running and queued runs write before them.
pub fn lack(disk: Disk, new: u64, queue: u64, folder: &Path) -> Option<String> {
    let Disk { free_bytes, .. } = disk;
    if new.saturating_add(queue) <= free_bytes {
        return None;
    }
    let written = match (new, queue) {
        (0, queue) => format!("the running and waiting runs will write about {}", format::bytes(queue)),
        (new, 0) => format!("this will write about {}", format::bytes(new)),
        (new, queue) => format!("this will write about {}, and the runs before it about {}", format::bytes(new), format::bytes(queue)),
    };
    let (free, folder) = (format::bytes(free_bytes), folder.display());
    Some(format!("{written}, but the disk that holds `{folder}` has {free} free; keep fewer checkpoints, or delete runs for good"))
}

/// Why a run cannot fit on the disk, even if that were empty; `None` if it can.
pub fn never_fits(disk: Disk, estimate: &DiskEstimate) -> Option<String> {
    let needed = estimate.most_bytes;
    (needed > disk.total_bytes).then(|| {
        format!(
            "make the run write about {}, and the whole disk has {}; keep fewer checkpoints",
            format::bytes(needed),
            format::bytes(disk.total_bytes)
        )
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn files_are_counted_by_kind() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: usize| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, vec![0; bytes]).unwrap();
        };
        for (name, bytes) in [
            ("checkpoints/e1.safetensors", 100),
            ("checkpoints/e1.json", 10),
            ("attributions/e1.clean.json", 20),
            ("state.safetensors", 300),
            ("measured.safetensors", 5),
            ("metrics.jsonl", 7),
            ("teachers/robust/checkpoints/e1.safetensors", 40),
        ] {
            write(name, bytes);
        }
        std::os::unix::fs::symlink("/", folder.path().join("link")).unwrap();
        let expected = DiskUse { checkpoints_bytes: 110, attributions_bytes: 20, state_bytes: 305, other_bytes: 47 };
        assert_eq!(used(folder.path()).unwrap(), expected);
        assert_eq!(expected.total_bytes(), 482);
    }

    #[test]
    fn what_does_not_fit_is_said_with_its_size() {
        let disk = Disk { free_bytes: 3 << 20, total_bytes: 8 << 20 };
        let said = |needed, before| lack(disk, needed, before, Path::new("/data"));
        assert_eq!(said(1 << 20, 2 << 20), None);
        for (new, queue, expected) in [
            (2 << 20, 2 << 20, "this will write about 2.0 MiB, and the runs before it about 2.0 MiB, but"),
            (4 << 20, 0, "this will write about 4.0 MiB, but"),
            (0, 4 << 20, "the running and waiting runs will write about 4.0 MiB, but"),
        ] {
            let lack = said(new, queue).unwrap();
            assert!(lack.starts_with(expected) && lack.contains("`/data` has 3.0 MiB free"), "{lack}");
        }
    }
}
