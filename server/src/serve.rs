//! From the command line to a listening server, and to its end in order.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::net::{TcpListener, lookup_host};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use crate::app;
use crate::args::Args;
use crate::id::random_hex;
use crate::state::{AppState, Settings};

/// What open connections get to finish once the workers have stopped.
const CONNECTION_GRACE: Duration = Duration::from_secs(5);

/// Serves until a signal asks to stop; a second signal stops at once.
pub async fn serve(args: Args) -> anyhow::Result<()> {
    let Args { addr, data_dir, datasets_dir, datasets_mirror, worker, web, base_path, token, allowed_hosts, stop_grace_secs } = args;
    if let Some(web) = &web
        && !web.join("index.html").is_file()
    {
        bail!("{} holds no index.html; build the frontend first or leave --web out", web.display());
    }
    let listener = listen(&addr).await?;
    let address = listener.local_addr()?;
    // Whoever can reach this address could train here and read everything.
    let token = token.or_else(|| (!address.ip().is_loopback()).then(random_hex));
    let settings = Settings {
        datasets_dir: datasets_dir.unwrap_or_else(|| data_dir.join("datasets")),
        datasets_mirror,
        data_dir,
        worker: worker.map_or_else(worker_beside_us, Ok)?,
        stop_grace: Duration::from_secs(stop_grace_secs),
        web,
        base_path,
        token,
        allowed_hosts,
    };
    let state = AppState::open(settings).await?;
    let router = app::router(state.clone())?;
    if let Err(error) = writeln!(io::stdout(), "CrossLens is at {}", link(address, &state.settings)) {
        tracing::warn!("nobody reads where the server is: {error}");
    }
    if address.ip().is_unspecified() {
        tracing::info!("from other machines, open this link with this machine's name in place of localhost");
    }

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let stopping = state.stopping.clone();
    let server = tokio::spawn(axum::serve(listener, router).with_graceful_shutdown(stopping.cancelled_owned()).into_future());
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tracing::info!("stopping; workers get up to {stop_grace_secs} s to save (again to stop at once)");
    tokio::select! {
        stopped = state.stop() => stopped?,
        _ = interrupt.recv() => bail!("stopped at once; workers are saving by themselves"),
        _ = terminate.recv() => bail!("stopped at once; workers are saving by themselves"),
    }
    match timeout(CONNECTION_GRACE, server).await {
        Ok(served) => served??,
        Err(_) => tracing::warn!("some connections were cut"),
    }
    state.close().await;
    Ok(())
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

/// What to open in a browser.
fn link(address: SocketAddr, settings: &Settings) -> String {
    // The unspecified address is no address to go to.
    let host = if address.ip().is_unspecified() { format!("localhost:{}", address.port()) } else { address.to_string() };
    let base = &settings.base_path;
    match &settings.token {
        Some(token) => format!("http://{host}{base}/?token={token}"),
        None => format!("http://{host}{base}/"),
    }
}
