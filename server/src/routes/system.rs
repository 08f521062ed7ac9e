//! The server, its machine and its disk.

use std::path::Path;

use anyhow::Context;
use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use shared::api::{Memory, Storage, System};
use sysinfo::{MemoryRefreshKind, RefreshKind};
use tokio::task::spawn_blocking;

use crate::disk_space::{Disk, used};
use crate::problem::ApiError;
use crate::state::AppState;

/// The version, the worker and its devices, memory, and disk space
#[utoipa::path(get, path = "/api/system", tag = "server", responses((status = 200, body = System), ApiError))]
pub async fn get_system(State(state): State<AppState>) -> Result<Json<System>, ApiError> {
    let worker = state.worker.borrow().clone();
    let started = state.started;
    let program = absolute(&state.settings.worker);
    let problems = state.all_problems();
    let (memory, storage) =
        spawn_blocking(move || anyhow::Ok((memory(), storage(&state)?))).await.context("the look at the machine broke off")??;
    Ok(Json(System {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: started.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        uptime_secs: Timestamp::now().duration_since(started).as_secs().unsigned_abs(),
        platform: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        processors: std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(u32::MAX)),
        memory,
        worker,
        worker_program: program,
        storage,
        problems,
    }))
}

fn memory() -> Memory {
    let system = sysinfo::System::new_with_specifics(RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram()));
    Memory { total_bytes: system.total_memory(), available_bytes: system.available_memory() }
}

fn storage(state: &AppState) -> anyhow::Result<Storage> {
    let data = &state.settings.data_dir;
    let Disk { free_bytes, total_bytes } = Disk::of(data).with_context(|| format!("cannot tell the space of {}", data.display()))?;
    let runs = state.dirs.existing().context("cannot list the run directories")?;
    let mut runs_bytes = 0;
    for id in &runs {
        // What cannot be read counts nothing.
        runs_bytes += used(state.dirs.of(id).path()).map_or(0, |used| used.total_bytes());
    }
    Ok(Storage {
        data_dir: absolute(data),
        datasets_dir: absolute(&state.settings.datasets_dir),
        runs: u32::try_from(runs.len()).unwrap_or(u32::MAX),
        runs_bytes,
        total_bytes,
        free_bytes,
    })
}

/// An absolute path without links; unchanged if it does not exist.
fn absolute(path: &Path) -> String {
    path.canonicalize().unwrap_or_else(|_| path.to_owned()).display().to_string()
}
