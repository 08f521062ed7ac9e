//! Says what is being done and for how long, on standard error.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// How often a long step is heard of where there is no terminal to redraw a line on.
const PLAIN_INTERVAL: Duration = Duration::from_secs(30);
/// Characters of a redrawn line: a longer one would wrap and could not be taken back.
const LINE_CHARS: usize = 78;

/// The clock of one command and its voice.
#[derive(Clone, Debug)]
pub struct Progress {
    started: Instant,
    is_terminal: bool,
}

/// A step that is under way and whose own output is not shown.
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

    /// Prints one line: the time since the command started, the step, the message.
    pub fn say(&self, step: &str, message: &str) {
        eprintln!("{}", line(self.started.elapsed(), step, message));
    }

    /// Begins a step that will be reported by [`Heartbeat::tick`] until it is dropped.
    pub fn heartbeat<'a>(&'a self, step: &'a str) -> Heartbeat<'a> {
        Heartbeat { progress: self, step, last_plain: Instant::now() }
    }
}

impl Heartbeat<'_> {
    /// Redraws one line on a terminal; elsewhere prints a plain line now and then.
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
    // Losing a progress line is no reason to fail.
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
