//! Runs the server, from its command line to its orderly end.

use std::fs::{OpenOptions, Permissions};
use std::future::{Ready, ready};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use axum::Router;
use axum_server::accept::Accept;
use axum_server::{Control, Handle, Server};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use shared::preset;
use tokio::net::{TcpListener, lookup_host};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use crate::app;
use crate::args::{self, Args};
use crate::id::random_hex;
use crate::scheduler::Rules;
use crate::state::{AppState, Settings};
use crate::submit::submit;

/// Time for open connections to finish after the workers have stopped.
const CONNECTION_GRACE: Duration = Duration::from_secs(5);
/// Time in which a client has to send the headers of its next request; then its connection is closed.
const HEADERS_WITHIN: Duration = Duration::from_secs(60);
/// Time between two warnings of the same kind.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(10);
/// Open connections; further ones are closed at once. Each takes about 12 kB.
const MOST_CONNECTIONS: usize = 8192;
/// Files that the process may open: connections and the files that they read. Systems often allow 1,024 unless
/// a process asks for more.
const OPEN_FILES: u64 = 2 * MOST_CONNECTIONS as u64;

/// Serves until a signal asks to stop; a second signal stops at once.
pub async fn serve(args: Args) -> anyhow::Result<()> {
    let Args {
        addr,
        data_dir,
        datasets_dir,
        datasets_mirror,
        worker,
        lanes,
        web,
        base_path,
        public_url,
        token,
        read_token,
        allowed_hosts,
        stop_grace_secs,
        runs_at_once,
        stop_runs,
        allow_programs,
        demo,
        trash_days,
        command: _,
        log_format: _,
    } = args;
    if let Some(web) = &web
        && !web.join("index.html").is_file()
    {
        bail!("{} holds no index.html; build the frontend first or leave --web out", web.display());
    }
    let listener = listen(&addr).await?;
    let address = listener.local_addr()?;
    // Without a token, everyone who can reach this address could train here and read everything.
    let token = match token {
        None if !address.ip().is_loopback() || read_token.is_some() => Some(kept_token(&data_dir)?),
        token => token,
    };
    if token.is_some() && token == read_token {
        bail!("--token and --read-token are the same; a token that permits reading only must be another");
    }
    let settings = Settings {
        datasets_dir: datasets_dir.unwrap_or_else(|| data_dir.join("datasets")),
        datasets_mirror,
        data_dir,
        worker: worker.map_or_else(worker_beside_us, Ok)?,
        lanes,
        stop_grace: Duration::from_secs(stop_grace_secs),
        rules: Rules { at_once: runs_at_once.into_iter().collect(), stop_runs },
        trash_days,
        allow_programs,
        web,
        base_path,
        public_url,
        token,
        read_token,
        allowed_hosts,
    };
    let state = AppState::open(settings).await?;
    let router = app::router(state.clone())?;
    if let Err(error) = writeln!(io::stdout(), "CrossLens is at {}", link(address, "", &state.settings)) {
        tracing::warn!("cannot print the address of the server: {error}");
    }
    if address.ip().is_unspecified() {
        tracing::info!("from other machines, open this link with this machine's name in place of localhost");
    }

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // A terminal that is closed.
    let mut hangup = signal(SignalKind::hangup())?;
    let control = Control::new();
    let server = tokio::spawn(accept(listener, router, control.clone()));
    if demo {
        tokio::spawn(submit_demo(state.clone(), address));
    }
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    control.graceful_shutdown(None);
    if stop_runs {
        tracing::info!("stopping; workers get up to {stop_grace_secs} s to save (again to stop at once)");
    }
    tokio::select! {
        stopped = state.stop() => stopped?,
        _ = interrupt.recv() => bail!("stopped at once; workers are saving by themselves"),
        _ = terminate.recv() => bail!("stopped at once; workers are saving by themselves"),
    }
    match timeout(CONNECTION_GRACE, server).await {
        Ok(served) => served??,
        Err(_) => {
            control.shutdown();
            tracing::warn!("some connections did not finish in time and were closed");
        }
    }
    state.close().await;
    Ok(())
}

/// Submits the demo, once the worker has said what it can do, and prints the link to it.
async fn submit_demo(state: AppState, address: SocketAddr) {
    match submit(&state, preset::demo().config, None).await {
        Ok(id) => {
            let link = link(address, &format!("runs/{id}"), &state.settings);
            if let Err(error) = writeln!(io::stdout(), "The demo is at {link}") {
                tracing::warn!("cannot print the address of the demo: {error}");
            }
        }
        // The pages say so too, and what to do.
        Err(error) => tracing::error!("the demo cannot be run: {}", error.into_problem().detail),
    }
}

/// Accepts connections until `control` ends it.
async fn accept(listener: TcpListener, router: Router, control: Control) -> io::Result<()> {
    let most = most_connections();
    let counted = control.clone();
    let mut server = Server::<SocketAddr>::from_listener(listener)
        .http1_only()
        .handle(Handle::with_control(control))
        .first_request_timeout(HEADERS_WITHIN)
        .accept_error_handler(warn_now_and_then())
        .acceptor(Bounded { control: counted, most });
    server.http_builder().http1().header_read_timeout(HEADERS_WITHIN);
    server.serve(router.into_make_service_with_connect_info::<SocketAddr>()).await
}

/// Logs that connections cannot be accepted, but not each of thousands.
fn warn_now_and_then() -> impl Fn(Option<&SocketAddr>, &io::Error) + Send + Sync {
    let last = Mutex::new(None::<Instant>);
    move |_, error| {
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() > BETWEEN_WARNINGS) {
            *last = Some(Instant::now());
            tracing::warn!("connections cannot be accepted: {error}");
        }
    }
}

/// Closes new connections while there are as many as there may be.
#[derive(Clone, Debug)]
struct Bounded {
    control: Control,
    most: usize,
}

impl<I, S> Accept<I, S> for Bounded {
    type Stream = I;
    type Service = S;
    type Future = Ready<io::Result<(I, S)>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        // The new connection is counted already.
        if self.control.connection_count() > self.most {
            return ready(Err(io::Error::other("too many connections")));
        }
        ready(Ok((stream, service)))
    }
}

/// Raises the number of files that this process may open, as far as the system allows, and returns how many
/// connections may be open with it.
fn most_connections() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let files = limit.maximum.unwrap_or(OPEN_FILES).min(OPEN_FILES).max(limit.current.unwrap_or(0));
    if limit.current.is_some_and(|current| current < files)
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(files), ..limit })
    {
        tracing::warn!("no more than {:?} files can be open at once: {error}", limit.current);
        return usize::try_from(limit.current.unwrap_or(files) / 2).unwrap_or(MOST_CONNECTIONS);
    }
    usize::try_from(files / 2).unwrap_or(MOST_CONNECTIONS).min(MOST_CONNECTIONS)
}

/// The token in the data directory, made if there is none. Kept so that links and browsers stay signed in.
fn kept_token(data_dir: &Path) -> anyhow::Result<String> {
    let path = data_dir.join("token");
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let token =
                args::token(text.trim()).map_err(|wrong| anyhow!("{} holds no token: {wrong}, or remove the file", path.display()))?;
            // Other users who can read it can sign in.
            let mode = std::fs::metadata(&path)?.permissions().mode();
            if mode & 0o077 != 0 {
                tracing::warn!("{} could be read by others; it no longer can", path.display());
                std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
            }
            return Ok(token);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
    let token = random_hex();
    std::fs::create_dir_all(data_dir).with_context(|| format!("cannot make the data directory {}", data_dir.display()))?;
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).and_then(|mut file| {
        writeln!(file, "{token}")?;
        file.sync_all()
    });
    if let Err(error) = written {
        // With half a token in the file, nobody could sign in after the next start.
        std::fs::remove_file(&path).ok();
        tracing::warn!("{} cannot be written, so the next start makes another token: {error}", path.display());
    }
    Ok(token)
}

async fn listen(addr: &str) -> anyhow::Result<TcpListener> {
    let addresses: Vec<SocketAddr> = lookup_host(addr)
        .await
        .with_context(|| format!("`{addr}` is not an address to listen on; write one such as 127.0.0.1:8000"))?
        .collect();
    TcpListener::bind(addresses.as_slice()).await.with_context(|| format!("cannot listen on {addr}; choose another address with --addr"))
}

fn worker_beside_us() -> anyhow::Result<PathBuf> {
    let us = std::env::current_exe().context("cannot tell where this program is; name the worker with --worker")?;
    Ok(us.with_file_name("worker"))
}

/// The address of a page to open in a browser. `page`: its path without a slash before it.
fn link(address: SocketAddr, page: &str, settings: &Settings) -> String {
    // A browser cannot open the unspecified address.
    let host = if address.ip().is_unspecified() { format!("localhost:{}", address.port()) } else { address.to_string() };
    let base = &settings.base_path;
    match &settings.token {
        Some(token) => format!("http://{host}{base}/{page}?token={token}"),
        None => format!("http://{host}{base}/{page}"),
    }
}
