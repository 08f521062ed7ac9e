//! End-to-end tests: the built server and worker, driven through a real Chromium.
//!
//! This library has what the tests share; each file in `tests/` has scenarios. `cargo xtask test` builds the
//! application and sets the environment variables that the tests read: CROSSLENS_SERVER, CROSSLENS_WORKER,
//! CROSSLENS_WEB, CROSSLENS_CHROMIUM and CROSSLENS_CHROMEDRIVER.

mod app;
mod browser;
pub mod campaign;
mod pictures;
mod runs;

pub use app::{App, Setup, kill, small_run, workers};
pub use browser::Browser;
pub use pictures::write_pictures;
pub use runs::write_runs;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

/// How long a test waits for anything. Long enough that a slow machine fails no test.
pub const DEADLINE: Duration = Duration::from_secs(180);

/// How often a condition is checked.
pub const POLL: Duration = Duration::from_millis(50);

/// Returns the path in an environment variable that `cargo xtask test` sets.
fn from_env(name: &str) -> Result<PathBuf> {
    std::env::var_os(name).map(PathBuf::from).with_context(|| format!("{name} is not set; run these tests with `cargo xtask test`"))
}

/// Calls `condition` repeatedly until it returns a value. The error names `what` if the deadline passes.
pub async fn until<T>(what: &str, mut condition: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let end = tokio::time::Instant::now() + DEADLINE;
    loop {
        if let Some(value) = condition().await.with_context(|| format!("waiting until {what}"))? {
            return Ok(value);
        }
        anyhow::ensure!(tokio::time::Instant::now() < end, "waited {} s in vain until {what}", DEADLINE.as_secs());
        tokio::time::sleep(POLL).await;
    }
}
