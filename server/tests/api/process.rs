//! The program itself: starting, signals, and what happens when it is killed.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use shared::api::{Run, RunState};

use crate::support::{DEADLINE, config, write_fixture};

/// A server that runs.
pub struct Program {
    child: Child,
    /// What it said where it is.
    said: String,
    address: String,
}

impl Program {
    fn start(dir: &Path, arguments: &[&str]) -> Self {
        Self::spawn(command(dir, arguments))
    }

    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let address = said.split_once("http://").unwrap().1.split_once('/').unwrap().0.to_owned();
        Program { child, said, address }
    }

    pub fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.0\r\nHost: {}\r\nContent-Length: {length}\r\n{headers}\r\n", self.address);
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    pub fn submit(&self, name: &str) -> String {
        let (status, body) = self.ask("POST", "/api/runs", "Content-Type: application/json\r\n", &config(name).to_string());
        assert_eq!(status, 201, "{body}");
        serde_json::from_str::<Value>(&body).unwrap()["id"].as_str().unwrap().to_owned()
    }

    pub fn until(&self, id: &str, condition: impl Fn(&Run) -> bool) -> Run {
        let mut last = String::new();
        until(|| {
            last = self.ask("GET", &format!("/api/runs/{id}"), "", "").1;
            serde_json::from_str(&last).ok().filter(&condition)
        })
        .unwrap_or_else(|| panic!("still {last}"))
    }

    /// Cancels a run and waits for its end.
    pub fn cancel(&self, id: &str) {
        assert_eq!(self.ask("POST", &format!("/api/runs/{id}/cancel"), "", "").0, 200);
        let run = self.until(id, |run| run.state.is_finished());
        assert_eq!(run.state, RunState::Canceled);
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap().success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The command of a server on a data directory.
pub fn command(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
    command.env_clear().args(["--addr", "127.0.0.1:0"]).arg("--data-dir").arg(dir.join("data"));
    command.arg("--worker").arg(dir.join("worker.sh")).arg("--web").arg(dir.join("web")).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn until<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    while start.elapsed() < DEADLINE {
        if let Some(found) = look() {
            return Some(found);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    None
}

/// Submits a run and waits until its worker has begun; returns its name and its directory.
fn begin(program: &Program, dir: &Path, name: &str) -> (String, PathBuf) {
    let id = program.submit(name);
    let directory = dir.join("data/runs").join(&id);
    until(|| directory.join("metrics.jsonl").exists().then_some(())).unwrap();
    (id, directory)
}

#[test]
fn a_signal_stops_the_server_and_its_runs_only_where_that_is_wanted() {
    let dir = tempfile::tempdir().unwrap();
    write_fixture(dir.path());
    let mut program = Program::start(dir.path(), &[]);
    let (id, directory) = begin(&program, dir.path(), "hung");
    let log = || fs::read_to_string(directory.join("log.txt")).unwrap();
    for (signal, arguments, expected) in
        [("-TERM", &[][..], "worker begins\n"), ("-HUP", &["--stop-runs"], "worker begins\n"), ("-INT", &[], "worker begins\nsaved\n")]
    {
        program.signal(signal);
        let status = until(|| program.child.try_wait().unwrap()).expect("the server stops");
        assert!(status.success(), "{status} after {signal}");
        assert_eq!(log(), expected, "{signal}");
        program = Program::start(dir.path(), arguments);
        program.until(&id, |run| run.state == RunState::Running);
    }
    program.cancel(&id);
}

#[test]
fn the_runs_of_a_server_that_was_killed_go_on() {
    let dir = tempfile::tempdir().unwrap();
    write_fixture(dir.path());
    let mut program = Program::start(dir.path(), &[]);
    let (id, directory) = begin(&program, dir.path(), "gated");
    let queued = program.submit("done");
    for _ in 0..2 {
        program.signal("-KILL");
        program.child.wait().unwrap();
        program = Program::start(dir.path(), &[]);
        program.until(&id, |run| run.state == RunState::Running);
    }
    fs::write(directory.join("go"), "").unwrap();
    let run = program.until(&id, |run| run.state.is_finished());
    assert_eq!((run.state, run.failure), (RunState::Succeeded, None));
    let next = program.until(&queued, |run| run.state.is_finished());
    assert!(run.finished_at <= next.started_at, "the next run waits for the one that goes on");
    assert_eq!(fs::read_to_string(directory.join("log.txt")).unwrap(), "worker begins\n", "one worker did it all");
}

#[test]
fn a_worker_that_dies_while_no_server_looks_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    write_fixture(dir.path());
    let mut program = Program::start(dir.path(), &[]);
    let (id, directory) = begin(&program, dir.path(), "gated");
    program.signal("-KILL");
    program.child.wait().unwrap();
    let lease: Value = serde_json::from_slice(&fs::read(directory.join("lease.json")).unwrap()).unwrap();
    assert!(Command::new("kill").args(["-KILL", &lease["pid"].to_string()]).status().unwrap().success());
    let program = Program::start(dir.path(), &[]);
    let log = || fs::read_to_string(directory.join("log.txt")).unwrap();
    until(|| log().contains("again: The worker was killed. The run was tried again (1 of 3).").then_some(())).expect("another worker");
    fs::write(directory.join("go"), "").unwrap();
    assert_eq!(program.until(&id, |run| run.state.is_finished()).state, RunState::Succeeded);
}

#[test]
fn an_address_that_others_can_reach_wants_a_token() {
    let dir = tempfile::tempdir().unwrap();
    write_fixture(dir.path());
    let mut program = Program::start(dir.path(), &["--addr", "0.0.0.0:0"]);
    let token = program.said.trim_end().split_once("/?token=").expect("a link with the token").1.to_owned();
    assert_eq!(token.len(), 40, "{}", program.said);
    program.address = program.address.replace("localhost", "127.0.0.1");
    assert_eq!(program.ask("GET", "/api/health", "", "").0, 401);
    assert_eq!(program.ask("GET", "/api/health", &format!("Authorization: Bearer {token}\r\n"), "").0, 200);
    assert_eq!(program.ask("GET", &format!("/?token={token}"), "", "").0, 303);
    drop(program);

    // The next start keeps it, so that links and browsers stay signed in.
    let file = dir.path().join("data/token");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let again = Program::start(dir.path(), &["--addr", "0.0.0.0:0"]);
    assert!(again.said.trim_end().ends_with(&format!("/?token={token}")), "{}", again.said);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "others can no longer read it");
    drop(again);
    fs::write(&file, "short\n").unwrap();
    let output = command(dir.path(), &["--addr", "0.0.0.0:0"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("data/token holds no token"), "{said}");
    // One that is given is kept nowhere.
    fs::remove_file(&file).unwrap();
    Program::start(dir.path(), &["--addr", "0.0.0.0:0", "--token", "given-by-a-person"]);
    assert!(!file.exists());
}

#[test]
fn what_is_missing_at_the_start_is_said_in_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    write_fixture(dir.path());
    let check = |arguments: &[&str], part: &str| {
        let output = command(dir.path(), arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(part), "{arguments:?}: {said}");
    };
    check(&["--addr", "nowhere"], "`nowhere` is not an address");
    check(&["--web", "/no/such/folder"], "holds no index.html");
    check(&["--data-dir", "/dev/null/data"], "cannot make the data directory");
    check(&["--base-path", "lens"], "/crosslens");
    check(&["--base-path", "/a%4"], "hexadecimal");
    check(&["--allowed-host", "https://lens.lab"], "without `https://`");
    check(&["--public-url", "lens.lab"], "https://lens.example.org");
    check(&["--token", "short"], "16 or more");
    let program = Program::start(dir.path(), &[]);
    check(&["--addr", &program.address], "cannot listen on");
    check(&[], "another server uses the data directory");
}

#[test]
fn the_demo_is_submitted_and_its_link_printed() {
    let dir = tempfile::tempdir().unwrap();
    write_fixture(dir.path());
    let mut child = command(dir.path(), &["--demo", "--token", "0123456789abcdef"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let said = [lines.next().unwrap().unwrap(), lines.next().unwrap().unwrap()];
    let program =
        Program { child, address: said[0].split_once("http://").unwrap().1.split_once('/').unwrap().0.to_owned(), said: said.concat() };
    let (address, link) = said[1].split_once(" at http://").unwrap().1.split_once("/runs/").unwrap();
    assert_eq!(address, program.address);
    let id = link.strip_suffix("?token=0123456789abcdef").unwrap();
    let (status, body) = program.ask("GET", &format!("/api/runs/{id}"), "Authorization: Bearer 0123456789abcdef\r\n", "");
    assert_eq!(status, 200, "{body}");
    assert_eq!(serde_json::from_str::<Run>(&body).unwrap().config, shared::preset::demo().config);
}

#[test]
fn a_backup_of_a_server_that_runs_becomes_a_server_again() {
    let dir = tempfile::tempdir().unwrap();
    write_fixture(dir.path());
    let program = Program::start(dir.path(), &[]);
    let done = program.submit("done");
    program.until(&done, |run| run.state == RunState::Succeeded);
    let json = "Content-Type: application/json\r\n";
    let (status, share) = program.ask("POST", "/api/shares", json, &format!(r#"{{"view": "/runs/{done}"}}"#));
    assert_eq!(status, 201, "{share}");
    let share = serde_json::from_str::<Value>(&share).unwrap()["token"].as_str().unwrap().to_owned();
    let running = program.submit("gated");
    program.until(&running, |run| run.state == RunState::Running);

    let copy = dir.path().join("backups/monday");
    let act = |data: &str, name: &str, folder: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
        let output = command.env_clear().arg(name).arg(folder).arg("--data-dir").arg(dir.path().join(data)).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    };
    let (fine, said) = act("data", "backup", &copy);
    assert!(fine && said.starts_with("copied 2 runs, "), "{said}");
    let matrix = format!("runs/{done}/attributions/e2.adversarial.json");
    assert!(program.ask("DELETE", &format!("/api/runs/{done}?for_good=true"), "", "").0 == 204 && copy.join(&matrix).is_file());
    let (fine, said) = act("data", "backup", &copy);
    assert!(!fine && said.contains("is not empty"), "{said}");
    let (fine, said) = act("data", "restore", &copy);
    assert!(!fine && said.contains("is not empty"), "{said}");
    let (fine, said) = act("none", "backup", &dir.path().join("other"));
    assert!(!fine && said.contains("is no data directory"), "{said}");
    drop(program);

    fs::rename(dir.path().join("data"), dir.path().join("lost")).unwrap();
    let (fine, said) = act("data", "restore", &copy);
    assert!(fine, "{said}");
    let program = Program::start(dir.path(), &[]);
    assert_eq!(program.until(&done, |_| true).state, RunState::Succeeded);
    assert_eq!(program.ask("GET", &format!("/api/shares/{share}"), "", "").0, 200);
    // The run goes on by itself, from what was copied.
    program.until(&running, |run| run.state == RunState::Running);
    fs::write(dir.path().join("data/runs").join(&running).join("go"), "").unwrap();
    assert_eq!(program.until(&running, |run| run.state.is_finished()).state, RunState::Succeeded);
    // Nothing is left of the copies that were refused.
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("copy")), "{left:?}");
    assert_eq!(fs::read_dir(dir.path().join("backups")).unwrap().count(), 1);
}
