//! `cargo xtask serve`: builds what is out of date, and runs the server until it is stopped.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::absolute;
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::layout::Layout;
use crate::progress::Progress;
use crate::web::Effort;
use crate::{ServeArgs, app, dev};

pub fn serve(layout: &Layout, progress: &Progress, args: ServeArgs, effort: Effort) -> Result<ExitCode> {
    let ServeArgs { demo, addr, data_dir, token, server_args } = args;
    let data_dir = match data_dir {
        Some(dir) => absolute(dir)?,
        None => layout.root.join("data"),
    };
    require_passable(&server_args)?;
    require_free(addr)?;
    let libtorch = app::build(layout, progress, effort)?;

    let mut command = Command::new(layout.server());
    command
        .arg("--addr")
        .arg(addr.to_string())
        .arg("--data-dir")
        .arg(data_dir)
        .arg("--worker")
        .arg(layout.worker())
        .arg("--web")
        .arg(effort.folder(layout))
        .args(demo.then_some("--demo"))
        .args(server_args)
        .stdin(Stdio::null());
    libtorch.apply(&mut command)?;
    if let Some(token) = &token {
        // Not as an argument, because everyone on the machine can see arguments.
        command.env("CROSSLENS_TOKEN", token);
    }
    progress.say("server", "starting (Ctrl-C stops it)");
    let mut server = spawn(&mut command)?;
    if effort == Effort::Quick {
        dev::rebuild_on_change(layout, progress)?;
    }
    let status = server.wait()?;
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    Ok(code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Refuses server arguments that xtask itself must know.
fn require_passable(server_args: &[String]) -> Result<()> {
    const OURS: [&str; 3] = ["--addr", "--data-dir", "--token"];
    let name = |arg: &String| arg.split('=').next().map(str::to_owned);
    match server_args.iter().filter_map(name).find(|name| OURS.contains(&name.as_str())) {
        Some(name) => bail!("`{name}` belongs before the `--`: cargo xtask serve {name} …"),
        None => Ok(()),
    }
}

/// Parses an address or a host name, with a port.
pub fn parse_addr(text: &str) -> Result<SocketAddr, String> {
    let first = text.to_socket_addrs().ok().and_then(|mut addrs| addrs.next());
    first.ok_or_else(|| "write an address and a port, such as 127.0.0.1:8000".to_owned())
}

/// Starts the server and forwards signals to it.
///
/// The server gets a process group of its own. In ours, Ctrl-C would reach it twice: from the terminal and
/// from xtask.
fn spawn(command: &mut Command) -> Result<Child> {
    // Register before the start: a signal in between would leave the server running.
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let server = command.process_group(0).spawn().context("cannot start the server")?;
    let pid = Pid::from_child(&server);
    thread::spawn(move || {
        for signal in &mut signals {
            let signal = if signal == SIGINT { Signal::INT } else { Signal::TERM };
            // The server may have ended meanwhile.
            let _ = kill_process(pid, signal);
        }
    });
    Ok(server)
}

/// Checks that the address is free. Runs before the build, so that the failure does not come only after it.
fn require_free(addr: SocketAddr) -> Result<()> {
    match TcpListener::bind(addr) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            bail!("{addr} is already in use: stop what listens there, or choose another address with --addr")
        }
        Err(error) => Err(error).with_context(|| format!("cannot listen on {addr}: choose another address with --addr")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_serve_takes_itself_is_not_passed_on() {
        let check = |args: &[&str]| require_passable(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>());
        check(&["--log", "debug", "--path-prefix=/lens"]).unwrap();
        assert_eq!(check(&["--addr", "[::]:80"]).unwrap_err().to_string(), "`--addr` belongs before the `--`: cargo xtask serve --addr …");
        assert!(check(&["--data-dir=/srv"]).unwrap_err().to_string().contains("`--data-dir`"));
    }

    #[test]
    fn an_address_has_a_port() {
        assert_eq!(parse_addr("[::1]:9000").unwrap().to_string(), "[::1]:9000");
        assert!(parse_addr("localhost:80").unwrap().ip().is_loopback());
        assert!(parse_addr("127.0.0.1").is_err());
    }

    #[test]
    fn an_address_in_use_is_one_sentence() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = taken.local_addr().unwrap();
        let error = require_free(addr).unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            format!("{addr} is already in use: stop what listens there, or choose another address with --addr"),
        );
    }
}
