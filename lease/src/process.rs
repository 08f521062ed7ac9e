//! Tells a process from any other, also from a later one with the same number.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// A process that was running when this was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    pub pid: u32,
    /// Start of the process, in clock ticks since the boot of its machine.
    pub started: u64,
    /// Boot and namespace in which `pid` is unique. Empty if the system does not tell.
    pub among: String,
}

impl Process {
    pub fn current() -> Self {
        let pid = std::process::id();
        let started = stat(pid).map_or(0, |(_, started)| started);
        Process { pid, started, among: among() }
    }

    /// Returns whether the process is running. `None` if this cannot be seen from here.
    pub fn is_alive(&self) -> Option<bool> {
        if self.among.is_empty() || self.among != among() {
            return None;
        }
        // A process that has ended keeps its number until its parent asks how it ended.
        Some(stat(self.pid).is_some_and(|(state, started)| started == self.started && !matches!(state, 'Z' | 'X')))
    }
}

/// Name of this machine.
pub(crate) fn host() -> String {
    read("/proc/sys/kernel/hostname").unwrap_or_else(|| "unknown".to_owned())
}

fn among() -> String {
    // Machines may have equal names, and containers on one machine their own numbers of processes.
    let namespace = fs::read_link("/proc/self/ns/pid").ok();
    match (read("/proc/sys/kernel/random/boot_id"), namespace.as_deref().and_then(Path::to_str)) {
        (Some(boot), Some(namespace)) => format!("{boot} {namespace}"),
        _ => String::new(),
    }
}

/// Returns state and start of a process, fields 3 and 22 of `/proc/PID/stat`.
fn stat(pid: u32) -> Option<(char, u64)> {
    let text = read(&format!("/proc/{pid}/stat"))?;
    // The name of the program, in parentheses, may hold spaces.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}
