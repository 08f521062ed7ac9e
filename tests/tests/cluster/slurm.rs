//! A Slurm cluster of one node on loopback, without systemd, and jobs of other people on it.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tests::{kill, until};
use tokio::process::{Child, Command};
use tokio::time::sleep;

use crate::{DAEMON_POLL, folder};

/// The daemons. They end when the value is dropped, with all jobs.
#[derive(Debug)]
pub struct Slurm {
    folder: TempDir,
    _munged: Child,
    controller: Child,
    node: Child,
}

/// How a site is set up.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    /// It tells pre-empted jobs at once, and requeues those that exit with 85.
    pub helps: bool,
    pub cpus: u32,
}

impl Site {
    pub const PLAIN: Site = Site { helps: false, cpus: 2 };
}

impl Slurm {
    pub async fn start(site: Site) -> Result<Self> {
        let folder = folder()?;
        let path = |name: &str| folder.path().join(name);
        for name in ["munge", "state", "spool"] {
            fs::create_dir(path(name))?;
        }
        // munged refuses folders that others can write to, and clients must reach its socket.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        fs::set_permissions(path("munge"), fs::Permissions::from_mode(0o755))?;
        fs::write(path("key"), [7; 1024])?;
        fs::set_permissions(path("key"), fs::Permissions::from_mode(0o400))?;
        let host = fs::read_to_string("/proc/sys/kernel/hostname")?;
        fs::write(path("slurm.conf"), configuration(folder.path(), host.trim(), site)?)?;
        let mut munged = Command::new("munged");
        munged.args(["--foreground", "--force", "--num-threads=2"]);
        for (option, name) in [("key-file", "key"), ("socket", "munge/socket"), ("pid-file", "munge/pid"), ("seed-file", "munge/seed")] {
            munged.arg(format!("--{option}={}", path(name).display()));
        }
        let munged = spawn(munged, &path("munged.log"))?;
        until("munge answers", async || Ok(path("munge/socket").exists().then_some(()))).await?;
        let configuration = path("slurm.conf");
        let controller = controller(&configuration, &path("slurmctld.log"))?;
        let node = node(&configuration, host.trim(), &path("slurmd.log"))?;
        let slurm = Slurm { folder, _munged: munged, controller, node };
        slurm.until_idle().await?;
        Ok(slurm)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What the programs of Slurm need in their environment.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![("SLURM_CONF", self.path("slurm.conf").display().to_string())]
    }

    /// A folder before all others in which programs are looked for, with one program.
    pub fn with_program(&self, name: &str, script: &str) -> Result<Vec<(&'static str, String)>> {
        let programs = self.path("programs");
        fs::create_dir_all(&programs)?;
        fs::write(programs.join(name), script)?;
        fs::set_permissions(programs.join(name), fs::Permissions::from_mode(0o755))?;
        let mut environment = self.environment();
        environment.push(("PATH", format!("{}:{}", programs.display(), std::env::var("PATH")?)));
        Ok(environment)
    }

    /// A library that puts the clock of programs off into which it is preloaded.
    pub fn clock(&self) -> Result<PathBuf> {
        let (source, library) = (self.path("clock.c"), self.path("clock.so"));
        fs::write(&source, include_str!("clock.c"))?;
        let status = std::process::Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).status()?;
        ensure!(status.success(), "clock.c does not compile");
        Ok(library)
    }

    /// Calls a program of Slurm; returns what it printed.
    pub async fn call(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let Output { status, stdout, stderr } = Command::new(program).args(arguments).envs(self.environment()).output().await?;
        ensure!(status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&stderr));
        Ok(String::from_utf8(stdout)?.trim().to_owned())
    }

    /// Takes the whole node for some seconds, before all others.
    pub async fn take_node(&self, seconds: u32) -> Result<()> {
        let work = format!("--wrap=sleep {seconds}");
        self.call("sbatch", &["--partition=high", "--exclusive", "--time=5", "--output=/dev/null", &work]).await.map(drop)
    }

    pub async fn until_idle(&self) -> Result<()> {
        until("the node is idle", async || {
            let state = self.call("sinfo", &["--noheader", "--format=%T", "--partition=low"]).await.unwrap_or_default();
            Ok((state == "idle").then_some(()))
        })
        .await
    }

    /// Ends the controller; the jobs go on.
    pub async fn stop_controller(&mut self) -> Result<()> {
        Ok(self.controller.kill().await?)
    }

    pub fn start_controller(&mut self) -> Result<()> {
        self.controller = controller(&self.path("slurm.conf"), &self.path("slurmctld.log"))?;
        Ok(())
    }

    /// Kills the daemon of the node and all jobs on it, as if its power went off.
    pub async fn kill_node(&mut self) -> Result<()> {
        self.node.kill().await?;
        self.kill_jobs()
    }

    pub async fn start_node(&mut self) -> Result<()> {
        let host = fs::read_to_string("/proc/sys/kernel/hostname")?;
        self.node = node(&self.path("slurm.conf"), host.trim(), &self.path("slurmd.log"))?;
        sleep(DAEMON_POLL).await;
        Ok(())
    }

    /// Kills the processes of jobs of this cluster, and those that keep them.
    fn kill_jobs(&self) -> Result<()> {
        let own = format!("SLURM_CONF={}", self.path("slurm.conf").display());
        for entry in fs::read_dir("/proc")?.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            let read = |name: &str| fs::read(entry.path().join(name)).unwrap_or_default();
            let environment = read("environ");
            let has = |start: &[u8]| environment.split(|byte| *byte == 0).any(|variable| variable.starts_with(start));
            if has(own.as_bytes()) && (has(b"SLURM_JOB_ID=") || read("cmdline").starts_with(b"slurmstepd")) {
                kill(pid, libc::SIGKILL);
            }
        }
        Ok(())
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        let _ = self.node.start_kill();
        let _ = self.controller.start_kill();
        let _ = self.kill_jobs();
    }
}

fn controller(configuration: &Path, log: &Path) -> Result<Child> {
    let mut command = Command::new("slurmctld");
    command.arg("-D").env("SLURM_CONF", configuration);
    spawn(command, log)
}

fn node(configuration: &Path, host: &str, log: &Path) -> Result<Child> {
    let mut command = Command::new("slurmd");
    command.args(["-D", "-N", host]).env("SLURM_CONF", configuration);
    spawn(command, log)
}

/// Starts a daemon in the foreground, so that it can be killed.
pub fn spawn(mut command: Command, log: &Path) -> Result<Child> {
    let log = fs::File::options().create(true).append(true).open(log)?;
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    command.stdin(std::process::Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
    command.spawn().with_context(|| format!("cannot start {program}; `cargo xtask test --cluster` installs it"))
}

pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Two partitions: `low` is pre-empted by requeueing, with 20 s of grace, and `high`. No accounting, as on many
/// clusters. A node is missed after 10 s.
fn configuration(folder: &Path, host: &str, Site { helps, cpus }: Site) -> Result<String> {
    let (folder, controller, node) = (folder.display(), free_port()?, free_port()?);
    let helps = if helps { "SlurmctldParameters=preempt_send_user_signal\nRequeueExit=85\n" } else { "" };
    Ok(format!(
        "ClusterName=crosslens
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
SlurmctldPort={controller}
SlurmdPort={node}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,sched_interval=2,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
KillWait=10
MinJobAge=300
SlurmdTimeout=10
SlurmdParameters=config_overrides
ReturnToService=2
{helps}NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=low Nodes={host} Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=20
PartitionName=high Nodes={host} MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"
    ))
}
