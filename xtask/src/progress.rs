//! Prints on standard error what is being done and for how long.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// How often a long step is reported without a terminal, where a line cannot be redrawn.
const PLAIN_INTERVAL: Duration = Duration::from_secs(30);
/// Maximum length of a redrawn line: a longer line would wrap and could not be erased.
const LINE_CHARS: usize = 78;

/// Prints the progress of one command.
#[derive(Clone, Debug)]
pub struct Progress {
    started: Instant,
    is_terminal: bool,
}

/// A step in progress whose own output is hidden.
#[derive(Debug)]
pub struct Heartbeat<'a> {
    progress: &'a Progress,
    step: &'a str,
    last_plain: Instant,
}

impl Progress {
    pub fn start() -> Self {
        Self { started: Instant::now(), is_terminal: stderr().is_terminal() }
    }

    /// Prints one line: the time since the command started, the step, and the message.
    pub fn say(&self, step: &str, message: &str) {
        eprintln!("{}", line(self.started.elapsed(), step, message));
    }

    /// Starts a step that [`Heartbeat::tick`] reports until the value is dropped.
    pub fn heartbeat<'a>(&'a self, step: &'a str) -> Heartbeat<'a> {
        Heartbeat { progress: self, step, last_plain: Instant::now() }
    }
}

impl Heartbeat<'_> {
    /// Redraws a line on a terminal; otherwise prints a line every [`PLAIN_INTERVAL`].
    pub fn tick(&mut self, message: &str) {
        let line = line(self.progress.started.elapsed(), self.step, message);
        if self.progress.is_terminal {
            let line: String = line.chars().take(LINE_CHARS).collect();
            redraw(&line);
        } else if self.last_plain.elapsed() >= PLAIN_INTERVAL {
            self.last_plain = Instant::now();
            eprintln!("{line}");
        }
    }
}

impl Drop for Heartbeat<'_> {
    fn drop(&mut self) {
        if self.progress.is_terminal {
            redraw("");
        }
    }
}

fn redraw(line: &str) {
    let mut stderr = stderr().lock();
    // A lost progress line is no reason to fail.
    let _ = write!(stderr, "\r\x1b[K{line}").and_then(|()| stderr.flush());
}

fn line(elapsed: Duration, step: &str, message: &str) -> String {
    format!("[{:>4} s] {step}: {message}", elapsed.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_time_the_step_and_the_message() {
        let line = line(Duration::from_millis(12_900), "libtorch", "downloading");
        assert_eq!(line, "[  12 s] libtorch: downloading");
    }
}
