//! `cargo xtask test --cluster`: runs on a real Slurm cluster and a real host behind ssh, both on loopback.

use std::process::Command;

use anyhow::Result;

use crate::layout::{Layout, find_on_path};
use crate::process::run_shown;
use crate::progress::Progress;
use crate::web::Effort;
use crate::{app, apt, browser, libtorch, test};

/// What the tests start, each with the package that has it.
const PROGRAMS: [(&str, &str); 5] =
    [("slurmctld", "slurm-wlm"), ("munged", "munge"), ("sshd", "openssh-server"), ("ssh", "openssh-client"), ("rsync", "rsync")];

/// Installs what is missing, builds the application and runs the tests. `args` are passed to the tests.
pub fn test(layout: &Layout, progress: &Progress, args: &[String]) -> Result<()> {
    let mut missing: Vec<&str> = PROGRAMS.iter().filter(|(program, _)| !is_there(program)).map(|(_, package)| *package).collect();
    missing.dedup();
    if !missing.is_empty() {
        apt::install(progress, "cluster", &missing, "running the tests on a cluster")?;
    }
    let browser = browser::prepare(progress)?;
    let libtorch = libtorch::prepare(layout, progress)?;
    app::build_with(layout, progress, &libtorch, Effort::Small, &["--test", "cluster"])?;
    progress.say("cluster", "running; it takes some minutes");
    let mut cargo = layout.cargo();
    cargo.args(["test", "--release"]).args(app::PRODUCT).args(["--test", "cluster", "--", "--test-threads=2"]).args(args);
    test::name_the_application(&mut cargo, layout, &browser, &libtorch)?;
    run_shown(&mut cargo)
}

/// Daemons are in folders that are not on the path of every user.
fn is_there(program: &str) -> bool {
    find_on_path(program).is_some()
        || Command::new("test").args(["-x", &format!("/usr/sbin/{program}")]).status().is_ok_and(|status| status.success())
}
