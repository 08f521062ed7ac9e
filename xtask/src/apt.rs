//! Installs Debian packages if that is possible without asking anyone.

use std::process::Command;

use anyhow::{Result, bail};

use crate::layout::find_on_path;
use crate::process::{Ending, Patience, run_hidden};
use crate::progress::Progress;

/// Installs `packages`, which are needed for `purpose`.
///
/// If there is no apt, no network or no right to install, the error says in one sentence what to install.
/// Never removes a package to make room for another.
pub fn install(progress: &Progress, step: &str, packages: &[&str], purpose: &str) -> Result<()> {
    let list = packages.join(" ");
    if let Some(refusal) = refusal(find_on_path("apt-get").is_some(), rustix::process::geteuid().is_root(), &list, purpose) {
        bail!(refusal);
    }
    progress.say(step, &format!("installing {list} with apt-get"));
    // A fresh machine has no package lists, an old one may have stale ones.
    apt_get(progress, step, &["update"], &list)?;
    let options = ["install", "--yes", "--no-remove", "--no-install-recommends"];
    apt_get(progress, step, &[&options[..], packages].concat(), &list)
}

fn apt_get(progress: &Progress, step: &str, args: &[&str], list: &str) -> Result<()> {
    let mut command = Command::new("apt-get");
    command.args(args).env("DEBIAN_FRONTEND", "noninteractive");
    match run_hidden(progress, step, &mut command, Patience::Endless)? {
        Ending::Success => Ok(()),
        Ending::Failure(output) => {
            eprintln!("{output}");
            bail!("apt-get could not install {list} (its output is above): check the network, or install it by hand")
        }
    }
}

/// Says what the person must install, if we cannot install anything.
fn refusal(has_apt: bool, is_root: bool, list: &str, purpose: &str) -> Option<String> {
    match (has_apt, is_root) {
        (true, true) => None,
        (true, false) => Some(format!("{purpose} needs {list}: run `sudo apt-get install {list}` and try again")),
        (false, _) => Some(format!("{purpose} needs what Debian calls {list}: install it with your system's package manager")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(has_apt: bool, is_root: bool, expected: Option<&str>) {
        let refusal = refusal(has_apt, is_root, "chromium chromium-driver", "running browser tests");
        assert_eq!(refusal.as_deref(), expected);
    }

    #[test]
    fn who_may_not_install_is_told_what_to_run() {
        check(true, true, None);
        check(
            true,
            false,
            Some("running browser tests needs chromium chromium-driver: run `sudo apt-get install chromium chromium-driver` and try again"),
        );
        check(
            false,
            true,
            Some("running browser tests needs what Debian calls chromium chromium-driver: install it with your system's package manager"),
        );
    }
}
