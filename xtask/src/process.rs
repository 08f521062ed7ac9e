//! Runs other programs: with visible output, with a progress line instead, or for their output.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::progress::Progress;

/// Number of lines of hidden output that are shown when a program fails.
const TAIL_LINES: usize = 30;
const TICK: Duration = Duration::from_secs(1);

/// How long a program may be idle before it is killed.
#[derive(Debug, Clone, Copy)]
pub enum Patience {
    Endless,
    /// No output and no byte written to disk for this long.
    Idle(Duration),
}

/// How a program with hidden output ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ending {
    Success,
    /// The end of the program's output. If it was killed because it was idle, a line says so.
    Failure(String),
}

/// Runs a program with our standard streams. If the program fails, the error names it in one sentence.
pub fn run_shown(command: &mut Command) -> Result<()> {
    let name = describe(command);
    let status = command.status().map_err(|error| start_error(command, error))?;
    if !status.success() {
        bail!("`{name}` failed ({status}): see its messages above");
    }
    Ok(())
}

/// Runs a program and returns what it wrote to standard output, trimmed.
pub fn answer(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| start_error(command, error))?;
    if !output.status.success() {
        let story = String::from_utf8_lossy(&output.stderr);
        // The last line is the error, also with Python, which prints the stack trace above it.
        let last = story.trim().lines().last().unwrap_or_default();
        bail!("`{}` failed ({}): {last}", describe(command), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Runs a program with hidden output, and shows its latest line as progress.
pub fn run_hidden(progress: &Progress, step: &str, command: &mut Command, patience: Patience) -> Result<Ending> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| start_error(command, error))?;
    let (sender, lines) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        send_lines(stdout, sender.clone());
    }
    if let Some(stderr) = child.stderr.take() {
        send_lines(stderr, sender);
    }

    let mut heartbeat = progress.heartbeat(step);
    let mut tail = VecDeque::new();
    let mut activity = Activity::of(&child);
    loop {
        match lines.recv_timeout(TICK) {
            Ok(line) => {
                activity.seen();
                if tail.len() == TAIL_LINES {
                    tail.pop_front();
                }
                tail.push_back(line);
            }
            Err(RecvTimeoutError::Timeout) => activity.look(),
            Err(RecvTimeoutError::Disconnected) => break,
        }
        heartbeat.tick(tail.back().map_or("", String::as_str).trim());
        if let Patience::Idle(limit) = patience
            && activity.last.elapsed() >= limit
        {
            child.kill().context("cannot stop a program that does nothing")?;
            child.wait()?;
            tail.push_back(format!("(stopped: nothing happened for {} s)", limit.as_secs()));
            return Ok(Ending::Failure(joined(tail)));
        }
    }
    let status = child.wait()?;
    if status.success() {
        return Ok(Ending::Success);
    }
    Ok(Ending::Failure(joined(tail)))
}

/// Watches a process for activity: lines printed and bytes written.
struct Activity {
    io_file: String,
    bytes_written: u64,
    last: Instant,
}

impl Activity {
    fn of(child: &Child) -> Self {
        let io_file = format!("/proc/{}/io", child.id());
        Self { io_file, bytes_written: 0, last: Instant::now() }
    }

    fn seen(&mut self) {
        self.last = Instant::now();
    }

    fn look(&mut self) {
        let written = fs::read_to_string(&self.io_file).ok().and_then(|io| bytes_written(&io));
        if let Some(written) = written
            && written > self.bytes_written
        {
            self.bytes_written = written;
            self.seen();
        }
    }
}

fn joined(lines: VecDeque<String>) -> String {
    Vec::from(lines).join("\n")
}

/// Reads the count of written bytes from the text of `/proc/PID/io`.
fn bytes_written(io: &str) -> Option<u64> {
    io.lines().find_map(|line| line.strip_prefix("wchar: "))?.trim().parse().ok()
}

fn send_lines(stream: impl Read + Send + 'static, sender: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                break;
            }
        }
    });
}

fn start_error(command: &Command, error: std::io::Error) -> anyhow::Error {
    let program = command.get_program().to_string_lossy();
    if error.kind() == ErrorKind::NotFound {
        anyhow::anyhow!("`{program}` was not found: install it or put it on the PATH")
    } else {
        anyhow::Error::new(error).context(format!("cannot start `{program}`"))
    }
}

/// The program and its first arguments, for use in a sentence.
fn describe(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let program = program.file_name().unwrap_or(command.get_program());
    // Stop at a long argument, such as a script.
    let args = command.get_args().take(4).take_while(|arg| !arg.as_encoded_bytes().contains(&b' '));
    std::iter::once(program).chain(args).map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[track_caller]
    fn check(script: &str, patience: Patience, expected: Ending) {
        let ending = run_hidden(&Progress::start(), "test", &mut sh(script), patience).unwrap();
        assert_eq!(ending, expected);
    }

    #[test]
    fn a_failure_comes_with_the_end_of_the_output() {
        check("echo fine", Patience::Endless, Ending::Success);
        check("echo one; echo two; exit 3", Patience::Endless, Ending::Failure("one\ntwo".into()));
    }

    #[test]
    fn a_program_that_does_nothing_is_given_up() {
        let killed = Ending::Failure("(stopped: nothing happened for 1 s)".into());
        check("exec sleep 600", Patience::Idle(Duration::from_secs(1)), killed);
    }

    #[test]
    fn a_missing_program_is_one_sentence() {
        let error = run_shown(&mut Command::new("no-such-program")).unwrap_err();
        let expected = "`no-such-program` was not found: install it or put it on the PATH";
        assert_eq!(format!("{error:#}"), expected);
    }

    #[test]
    fn a_failed_program_is_named_by_its_first_words() {
        let error = run_shown(&mut sh("exit 7")).unwrap_err();
        let expected = "`sh -c` failed (exit status: 7): see its messages above";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn written_bytes_are_read_from_proc() {
        assert_eq!(bytes_written("rchar: 5\nwchar: 1234\nsyscr: 1\n"), Some(1234));
        assert_eq!(bytes_written(""), None);
    }
}
