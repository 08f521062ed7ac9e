//! Runs on a host behind ssh: a real sshd on loopback, with keys and a configuration of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use serde_json::json;
use shared::api::{LaneTrial, Lanes, Run, RunState};
use shared::rundir;
use tempfile::TempDir;
use tests::{App, kill, until, workers};
use tokio::process::{Child, Command};

use crate::slurm::{free_port, spawn};
use crate::{app, assert_whole, folder, job, trained, training};

/// A host. It is gone when the value is dropped; what runs there goes on.
struct Host {
    folder: TempDir,
    port: u16,
    sshd: Option<Child>,
}

impl Host {
    async fn start() -> Result<Self> {
        let mut host = Host { folder: folder()?, port: free_port()?, sshd: None };
        for name in ["host_key", "key"] {
            host.make_key(name).await?;
        }
        fs::copy(host.path("key.pub"), host.path("authorized_keys"))?;
        let path = |name: &str| host.path(name).display().to_string();
        fs::write(
            host.path("sshd_config"),
            format!(
                "Port {}\nListenAddress 127.0.0.1\nHostKey {}\nPidFile none\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\n\
                 PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n",
                host.port,
                path("host_key"),
                path("authorized_keys"),
            ),
        )?;
        fs::write(
            host.path("config"),
            format!(
                "Host box\n HostName 127.0.0.1\n Port {}\n User root\n IdentityFile {}\n IdentitiesOnly yes\n UserKnownHostsFile {}\n \
                 StrictHostKeyChecking accept-new\n LogLevel ERROR\n",
                host.port,
                path("key"),
                path("known_hosts"),
            ),
        )?;
        host.up().await?;
        Ok(host)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn make_key(&self, name: &str) -> Result<()> {
        drop(fs::remove_file(self.path(name)));
        let status = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(self.path(name)).status().await?;
        ensure!(status.success());
        Ok(())
    }

    async fn up(&mut self) -> Result<()> {
        // sshd wants this folder, which the init script of the system makes.
        fs::create_dir_all("/run/sshd")?;
        fs::set_permissions("/run/sshd", fs::Permissions::from_mode(0o755))?;
        let mut command = Command::new("/usr/sbin/sshd");
        command.args(["-D", "-e", "-f"]).arg(self.path("sshd_config"));
        self.sshd = Some(spawn(command, &self.path("sshd.log"))?);
        let address = format!("127.0.0.1:{}", self.port);
        until("sshd listens", async || Ok(tokio::net::TcpStream::connect(&address).await.is_ok().then_some(()))).await
    }

    async fn down(&mut self) -> Result<()> {
        if let Some(mut sshd) = self.sshd.take() {
            sshd.kill().await?;
        }
        Ok(())
    }

    fn lanes(&self, more: &str) -> String {
        let config = self.path("config").display().to_string();
        format!(
            "poll_secs = 1\n[[lane]]\nname = \"box\"\nkind = \"ssh\"\nhost = \"box\"\ndevice = \"cpu\"\noptions = [\"-F\", \"{config}\"]\n\
             setup = [\"export CROSSLENS_SAVE_SECS=0.1\", \"export OMP_NUM_THREADS=1\", \"export LD_LIBRARY_PATH={}\"]\n{more}",
            std::env::var("LD_LIBRARY_PATH").unwrap_or_default()
        )
    }

    /// Lanes without a file system that both see.
    fn copying(&self) -> String {
        self.lanes(&format!("copy = true\nruns = \"{}\"\n", self.path("runs").display()))
    }
}

async fn trouble(app: &App) -> Result<Option<String>> {
    let lanes: Lanes = app.get("/api/lanes").await?;
    Ok(lanes.lanes.into_iter().find(|lane| lane.name == "box").and_then(|lane| lane.trouble))
}

/// Waits until the lane is down; returns why.
async fn down(app: &App) -> Result<String> {
    until("the lane is down", async || trouble(app).await).await
}

#[tokio::test]
async fn a_run_on_a_host_with_the_same_folder_ends_in_the_same_bytes() -> Result<()> {
    let host = Host::start().await?;
    let mut app = app(&host.lanes(""), Vec::new()).await?;
    let trial: LaneTrial = serde_json::from_value(app.ask("/api/lanes/box/try", &json!(null)).await?)?;
    ensure!(!trial.probe.devices.is_empty());
    let run = app.submit(&training("box")).await?;
    trained(&app, &run, 2).await?;
    app.restart().await?;
    ensure!(app.run(&run.id).await?.state == RunState::Running);
    assert_whole(&app, &run).await?;

    let run = app.submit(&training("box")).await?;
    trained(&app, &run, 2).await?;
    app.ask(&format!("/api/runs/{}/pause", run.id), &json!(null)).await?;
    paused(&app, &run).await?;
    app.ask(&format!("/api/runs/{}/resume", run.id), &json!(null)).await?;
    assert_whole(&app, &run).await.map(drop)
}

async fn paused(app: &App, run: &Run) -> Result<()> {
    until("it is paused", async || {
        let Run { state, failure, .. } = app.run(&run.id).await?;
        ensure!(state == RunState::Paused || !state.is_finished(), "{} ended {state:?}: {failure:?}", run.id);
        Ok((state == RunState::Paused).then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_run_on_a_host_without_the_folder_is_copied_there_and_followed_back() -> Result<()> {
    let mut host = Host::start().await?;
    let app = app(&host.copying(), Vec::new()).await?;
    let run = app.submit(&training("box")).await?;
    trained(&app, &run, 2).await?;
    // The connection breaks; nothing is lost.
    host.down().await?;
    down(&app).await?;
    host.up().await?;
    until("the lane is up", async || Ok(trouble(&app).await?.is_none().then_some(()))).await?;
    let run = assert_whole(&app, &run).await?;

    // A measurement of it finds its checkpoints there.
    let config = json!({"kind": "attribute", "device": "box", "checkpoint": format!("{}.last", run.id), "bootstrap": 50});
    app.succeeded(&config).await?;

    let run = app.submit(&training("box")).await?;
    trained(&app, &run, 2).await?;
    // The worker waits for the request, or it might have ended before it is passed on.
    let workers = workers(&host.path("runs"));
    ensure!(!workers.is_empty(), "it has ended too early");
    let signal = |signal: i32| workers.iter().for_each(|(_, pid)| kill(*pid, signal));
    signal(libc::SIGSTOP);
    app.ask(&format!("/api/runs/{}/pause", run.id), &json!(null)).await?;
    let request = host.path("runs").join(run.id.to_string()).join(rundir::STOP);
    until("the request is passed on", async || Ok(request.exists().then_some(()))).await?;
    signal(libc::SIGCONT);
    paused(&app, &run).await?;
    app.ask(&format!("/api/runs/{}/resume", run.id), &json!(null)).await?;
    assert_whole(&app, &run).await.map(drop)
}

#[tokio::test]
async fn a_host_that_refuses_the_key_or_shows_another_one_is_down_until_that_is_mended() -> Result<()> {
    let mut host = Host::start().await?;
    let app = app(&host.lanes(""), Vec::new()).await?;
    let authorized = fs::read(host.path("authorized_keys"))?;
    fs::write(host.path("authorized_keys"), "")?;
    let run = app.submit(&training("box")).await?;
    let why = down(&app).await?;
    ensure!(why.contains("Permission denied") && why.contains("ssh-copy-id"), "{why}");
    ensure!(app.run(&run.id).await?.state == RunState::Queued);
    fs::write(host.path("authorized_keys"), authorized)?;
    trained(&app, &run, 1).await?;

    // The lane is heard of again while the run goes on.
    host.down().await?;
    host.make_key("host_key").await?;
    host.up().await?;
    let why = down(&app).await?;
    ensure!(why.contains("another key"), "{why}");
    let known = fs::read_to_string(host.path("known_hosts"))?;
    ensure!(!known.is_empty());
    fs::write(host.path("known_hosts"), "")?;
    job(&app, &run, "it is over", |_| true).await?;
    assert_whole(&app, &run).await.map(drop)
}
