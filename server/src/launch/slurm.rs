//! Runs on a Slurm cluster, by `sbatch`, `squeue`, `scancel` and `scontrol`.
//!
//! Runs that are handed over together become job arrays. A job is known by the name and the comment that it was
//! submitted with, not by its number: so a lost answer of `sbatch` costs nothing, and neither another server nor a job
//! of the user with the same name is taken for it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use shared::api::{LaneKind, Probe};
use shared::problem::FieldError;
use tokio::process::Command;
use tokio::sync::OnceCell;

use super::file::{check_lines, check_word, there, worker};
use super::program::{CallError, call, quoted};
use super::{Fate, Job, Launcher, Listed, NotStarted, Standing, Stop, prepare};

/// Time limit of a call; a busy controller answers late, and Slurm's programs try for some time.
const CALL_LIMIT: Duration = Duration::from_secs(60);
/// How long a trial of a lane may wait for a free node, and what it may take in all.
const TRIAL_WAIT_SECS: u64 = 60;
const TRIAL_LIMIT: Duration = Duration::from_secs(150);
/// Seconds before the end of its time at which a worker is told to save. Slurm may send the signal up to a minute late.
const SAVE_AHEAD_SECS: u64 = 120;
/// The same, for those who tell whether the time of a job was up.
pub const SAVE_AHEAD: Duration = Duration::from_secs(SAVE_AHEAD_SECS);
/// Elements of an array, where Slurm does not tell.
const ARRAY_SIZE: usize = 1000;

/// A lane of the file: what its jobs ask of Slurm.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SlurmLane {
    pub partition: Option<String>,
    pub account: Option<String>,
    pub qos: Option<String>,
    pub gpus: u32,
    pub gpu_type: Option<String>,
    pub cpus: Option<u32>,
    pub memory: Option<String>,
    pub time: Option<String>,
    pub constraint: Option<String>,
    /// Further options of `sbatch`.
    pub flags: Vec<String>,
    /// Lines of shell before the worker starts.
    pub setup: Vec<String>,
    /// What starts the worker there, a part of a line of shell; by default the program of the server.
    pub worker: Option<String>,
    /// Folder of the run directories, as the nodes see it; by default as the server sees it.
    pub runs: Option<PathBuf>,
}

impl SlurmLane {
    pub fn check(&self) -> Vec<FieldError> {
        let SlurmLane { partition, account, qos, gpus: _, gpu_type, cpus, memory, time, constraint, flags, setup, worker, runs } = self;
        let words = [
            ("partition", partition),
            ("account", account),
            ("qos", qos),
            ("gpu_type", gpu_type),
            ("memory", memory),
            ("time", time),
            ("constraint", constraint),
        ];
        let mut errors: Vec<FieldError> = words.iter().filter_map(|(field, word)| check_word(field, word.as_deref()?)).collect();
        if let Some(time) = time.as_deref().filter(|time| !is_time(time)) {
            errors.push(FieldError::new("time", format!("`{time}` is not a time; write minutes, `4:00:00` or `2-00:00:00`")));
        }
        if *cpus == Some(0) {
            errors.push(FieldError::new("cpus", "0 is out of range; 1 or more"));
        }
        if gpu_type.is_some() && self.gpus == 0 {
            errors.push(FieldError::new("gpu_type", "needs `gpus`"));
        }
        for (index, flag) in flags.iter().enumerate().filter(|(_, flag)| !flag.starts_with('-')) {
            errors.push(FieldError::new(format!("flags[{index}]"), format!("`{flag}` is not an option of sbatch; write `--name=value`")));
        }
        errors.extend(check_lines("setup", setup));
        errors.extend(check_lines("worker", worker.as_slice()));
        errors.extend(super::file::check_folder("runs", runs.as_deref()));
        errors
    }

    /// What the lane offers, for people.
    pub fn text(&self) -> String {
        let some = |name: &str, value: &Option<String>| value.as_ref().map(|value| format!("{name} {value}"));
        let gpus = (self.gpus > 0).then(|| {
            let kind = self.gpu_type.as_ref().map_or_else(String::new, |kind| format!(" {kind}"));
            format!("{}{kind} GPU{}", self.gpus, if self.gpus == 1 { "" } else { "s" })
        });
        let cpus = self.cpus.map(|cpus| format!("{cpus} CPU{}", if cpus == 1 { "" } else { "s" }));
        let parts = [
            some("partition", &self.partition),
            some("account", &self.account),
            some("qos", &self.qos),
            gpus,
            cpus,
            self.memory.clone(),
            self.time.clone(),
            self.constraint.clone(),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() { "the default partition".to_owned() } else { parts.join(", ") }
    }

    /// What its jobs ask for, as options of `sbatch` and `srun`.
    fn resources(&self) -> Vec<String> {
        let gres = (self.gpus > 0).then(|| match &self.gpu_type {
            Some(kind) => format!("gpu:{kind}:{}", self.gpus),
            None => format!("gpu:{}", self.gpus),
        });
        let named = [
            ("partition", self.partition.clone()),
            ("account", self.account.clone()),
            ("qos", self.qos.clone()),
            ("gres", gres),
            ("cpus-per-task", self.cpus.map(|cpus| cpus.to_string())),
            ("mem", self.memory.clone()),
            ("constraint", self.constraint.clone()),
        ];
        let mut options: Vec<String> = named.into_iter().filter_map(|(name, value)| Some(format!("--{name}={}", value?))).collect();
        options.extend(["--nodes=1", "--ntasks=1"].map(str::to_owned));
        options.extend(self.flags.iter().cloned());
        options
    }

    /// The device that its workers use: without its GPU, a job must fail and not train on the CPU.
    fn device(&self) -> &'static str {
        if self.gpus > 0 { "cuda:0" } else { "auto" }
    }
}

/// Whether Slurm reads this as a time: `minutes`, `[days-]hours:minutes:seconds` and the forms between.
fn is_time(text: &str) -> bool {
    let (days, rest) = text.split_once('-').map_or((None, text), |(days, rest)| (Some(days), rest));
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    days.is_none_or(number) && rest.split(':').count() <= 3 && rest.split(':').all(number)
}

/// All lanes of one cluster.
#[derive(Debug)]
pub struct Slurm {
    lanes: HashMap<String, SlurmLane>,
    own_worker: PathBuf,
    /// Elements that an array can have.
    array_size: OnceCell<usize>,
}

impl Slurm {
    pub fn new(lanes: HashMap<String, SlurmLane>, own_worker: PathBuf) -> Self {
        Slurm { lanes, own_worker, array_size: OnceCell::new() }
    }

    fn lane(&self, name: &str) -> Result<&SlurmLane, String> {
        self.lanes.get(name).ok_or_else(|| format!("there is no Slurm lane `{name}`"))
    }

    fn worker(&self, lane: &SlurmLane) -> String {
        worker(lane.worker.as_deref(), &self.own_worker)
    }

    async fn array_size(&self) -> usize {
        let ask = async {
            let config = call(slurm("scontrol", &["show", "config"]), "", CALL_LIMIT).await?;
            Ok::<_, CallError>(array_size(&config).unwrap_or(ARRAY_SIZE))
        };
        // Where Slurm does not answer now, `sbatch` will not either.
        self.array_size.get_or_try_init(|| ask).await.copied().unwrap_or(ARRAY_SIZE)
    }

    /// Submits one array.
    async fn submit_array(&self, lane: &SlurmLane, array: &Array<'_>) -> Result<String, NotStarted> {
        let script = script(lane, &self.worker(lane), array);
        let answer = call(slurm("sbatch", &array.arguments(lane)), &script, CALL_LIMIT).await;
        match answer {
            // `1234` or `1234;cluster`
            Ok(answer) => Ok(answer.trim().split(';').next().unwrap_or_default().to_owned()),
            Err(CallError::Refused { words, .. }) if words.contains("Socket timed out") => Err(NotStarted::Unknown(own_words(&words))),
            Err(CallError::Refused { words, .. }) => Err(NotStarted::Lane(format!("Slurm refuses: {}", own_words(&words)))),
            Err(error @ CallError::Silent(..)) => Err(NotStarted::Unknown(error.to_string())),
            Err(error @ CallError::Missing(..)) => Err(NotStarted::Lane(error.to_string())),
        }
    }

    /// The number under which Slurm knows a job.
    async fn id(&self, job: &Job) -> Result<Option<String>, String> {
        match &job.id {
            Some(id) => Ok(Some(id.clone())),
            None => Ok(self.list(std::slice::from_ref(job)).await?.remove(&job.name).and_then(|listed| listed.id)),
        }
    }
}

/// Jobs that are submitted as one array.
struct Array<'a> {
    /// `crosslens-` with random digits.
    batch: &'a str,
    /// Position of the first of them among those handed over together.
    first: usize,
    jobs: &'a [Job],
    /// Positions of those that start, such as `0-7,9`.
    elements: String,
    at_once: Option<u32>,
}

impl Array<'_> {
    /// `crosslens-3f0c.1000`
    fn name(&self) -> String {
        format!("{}.{}", self.batch, self.first)
    }

    fn arguments(&self, lane: &SlurmLane) -> Vec<String> {
        let name = self.name();
        let throttle = self.at_once.map_or_else(String::new, |at_once| format!("%{at_once}"));
        let mut arguments = vec![
            "--parsable".to_owned(),
            format!("--job-name={name}"),
            format!("--comment={name}"),
            format!("--array={}{throttle}", self.elements),
            // What the worker says goes to the log of its run.
            "--output=/dev/null".to_owned(),
            "--chdir=/".to_owned(),
            "--requeue".to_owned(),
            format!("--signal=USR1@{SAVE_AHEAD_SECS}"),
        ];
        arguments.extend(lane.time.as_ref().map(|time| format!("--time={time}")));
        arguments.extend(lane.resources());
        arguments
    }
}

/// The script of an array. `srun` starts the worker: only then it hears at once that its job is pre-empted.
fn script(lane: &SlurmLane, worker: &str, array: &Array<'_>) -> String {
    let list = |texts: Vec<String>| texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join("\n");
    let runs = list(array.jobs.iter().map(|job| there(&job.dir, lane.runs.as_deref()).display().to_string()).collect());
    let again = list(array.jobs.iter().map(|job| job.again.clone().unwrap_or_default()).collect());
    let setup: String = lane.setup.iter().map(|line| format!("{line}\n")).collect();
    let (batch, first, device) = (array.batch, array.first, lane.device());
    format!(
        "#!/bin/bash\n\
         runs=(\n{runs}\n)\n\
         again=(\n{again}\n)\n\
         dir=${{runs[$SLURM_ARRAY_TASK_ID]}}\n\
         again=${{again[$SLURM_ARRAY_TASK_ID]}}\n\
         exec >> \"$dir/log.txt\" 2>&1 || exit 1\n\
         {setup}\
         export CROSSLENS_DEVICE={device}\n\
         srun {worker} \"$dir\" --ticket \"{batch}.$(({first} + SLURM_ARRAY_TASK_ID))\" ${{again:+--again \"$again\"}}\n"
    )
}

/// Rising numbers as Slurm writes them: `0-7,9`.
fn ranges(numbers: &[usize]) -> String {
    let runs = numbers.chunk_by(|one, next| one + 1 == *next);
    let run = |run: &[usize]| match run {
        [first, .., last] => format!("{first}-{last}"),
        _ => run.iter().map(ToString::to_string).collect(),
    };
    runs.map(run).collect::<Vec<_>>().join(",")
}

/// A program of Slurm. Secrets of the server do not go into jobs, and times come in UTC.
fn slurm<T: AsRef<str>>(program: &str, arguments: &[T]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments.iter().map(AsRef::as_ref)).env("TZ", "UTC");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CROSSLENS_")) {
        command.env_remove(name);
    }
    command
}

/// Slurm's words without the name of its program before each.
fn own_words(words: &str) -> String {
    let program = |line: &str| {
        let line = line.trim();
        let rest = line.split_once(": ").filter(|(name, _)| ["sbatch", "srun", "squeue", "scancel", "scontrol"].contains(name));
        let rest = rest.map_or(line, |(_, rest)| rest);
        rest.strip_prefix("error: ").unwrap_or(rest).to_owned()
    };
    words.split("; ").map(program).collect::<Vec<_>>().join("; ")
}

/// Finds the size of arrays in the output of `scontrol show config`.
fn array_size(config: &str) -> Option<usize> {
    let value = config.lines().find_map(|line| line.trim().strip_prefix("MaxArraySize"))?;
    value.trim_start_matches([' ', '=']).trim().parse().ok().filter(|size| *size > 0)
}

#[async_trait]
impl Launcher for Slurm {
    fn kind(&self) -> LaneKind {
        LaneKind::Slurm
    }

    async fn probe(&self, lane: &str) -> Result<Probe, String> {
        let lane = self.lane(lane)?;
        let setup: String = lane.setup.iter().map(|line| format!("{line}\n")).collect();
        let script = format!("{setup}exec {} --probe", self.worker(lane));
        let mut arguments = vec![
            "--job-name=crosslens-trial".to_owned(),
            format!("--immediate={TRIAL_WAIT_SECS}"),
            "--time=5".to_owned(),
            "--chdir=/".to_owned(),
            "--quiet".to_owned(),
        ];
        arguments.extend(lane.resources());
        arguments.extend(["bash", "-c", &script].map(str::to_owned));
        let answer = call(slurm("srun", &arguments), "", TRIAL_LIMIT).await.map_err(|error| own_words(&error.to_string()))?;
        super::file::read_probe(&answer)
    }

    async fn check(&self, lane: &str) -> Result<(), String> {
        let lane = self.lane(lane)?;
        let mut arguments = vec!["--test-only".to_owned(), "--output=/dev/null".to_owned()];
        arguments.extend(lane.time.as_ref().map(|time| format!("--time={time}")));
        arguments.extend(lane.resources());
        match call(slurm("sbatch", &arguments), "#!/bin/bash\n", CALL_LIMIT).await {
            Err(CallError::Refused { words, .. }) if !is_about_the_controller(&words) => Err(own_words(&words)),
            // Runs wait until Slurm answers.
            _ => Ok(()),
        }
    }

    async fn submit(&self, lane: &str, jobs: &[Job], at_once: Option<u32>) -> Vec<Result<Option<String>, NotStarted>> {
        let lane = match self.lane(lane) {
            Ok(lane) => lane,
            Err(why) => return jobs.iter().map(|_| Err(NotStarted::Lane(why.clone()))).collect(),
        };
        let size = self.array_size().await;
        let arrays = u32::try_from(jobs.len().div_ceil(size)).unwrap_or(u32::MAX);
        // Each array has its share of what may run at once.
        let at_once = at_once.map(|at_once| at_once.div_ceil(arrays.max(1)).max(1));
        let mut answers = Vec::with_capacity(jobs.len());
        for jobs in jobs.chunks(size) {
            let prepared: Vec<Result<(), NotStarted>> = jobs.iter().map(|job| prepare(&job.dir)).collect();
            let elements: Vec<usize> =
                prepared.iter().enumerate().filter(|(_, prepared)| prepared.is_ok()).map(|(index, _)| index).collect();
            let (batch, first) = jobs[0].batch();
            let array = Array { batch, first: first.parse().unwrap_or_default(), jobs, elements: ranges(&elements), at_once };
            let submitted = if elements.is_empty() { Ok(String::new()) } else { self.submit_array(lane, &array).await };
            answers.extend(prepared.into_iter().enumerate().map(|(index, prepared)| {
                prepared?;
                submitted.as_ref().map(|id| Some(format!("{id}_{index}"))).map_err(NotStarted::cloned)
            }));
        }
        answers
    }

    async fn stop(&self, job: &Job, how: Stop) -> Result<(), String> {
        let Some(id) = self.id(job).await? else { return Ok(()) };
        let arguments = match how {
            Stop::Terminate => vec![id],
            Stop::Kill => vec!["--signal=KILL".to_owned(), "--full".to_owned(), id],
        };
        match call(slurm("scancel", &arguments), "", CALL_LIMIT).await {
            Ok(_) => Ok(()),
            // It has ended meanwhile.
            Err(CallError::Refused { words, .. }) if words.contains("Invalid job id") || words.contains("already completing") => Ok(()),
            Err(error) => Err(own_words(&error.to_string())),
        }
    }

    async fn list(&self, _jobs: &[Job]) -> Result<HashMap<String, Listed>, String> {
        // Also those that have ended, which Slurm keeps for some minutes: how they ended tells what to do.
        let user = format!("--user={}", rustix::process::getuid().as_raw());
        let arguments = ["--array", "--noheader", "--states=all", &user, "--format=%i|%T|%r|%S|%e|%N|%j|%k"];
        let answer = call(slurm("squeue", &arguments), "", CALL_LIMIT).await.map_err(|error| own_words(&error.to_string()))?;
        Ok(answer.lines().filter_map(listed).collect())
    }

    async fn set_at_once(&self, jobs: &[Job], at_once: Option<u32>) -> Result<(), String> {
        let mut arrays: Vec<&str> = jobs.iter().filter_map(|job| Some(job.id.as_deref()?.split_once('_')?.0)).collect();
        arrays.sort_unstable();
        arrays.dedup();
        let share = at_once.map_or(0, |at_once| at_once.div_ceil(u32::try_from(arrays.len()).unwrap_or(1).max(1)).max(1));
        for array in arrays {
            let update = ["update".to_owned(), format!("jobid={array}"), format!("arraytaskthrottle={share}")];
            call(slurm("scontrol", &update), "", CALL_LIMIT).await.map_err(|error| own_words(&error.to_string()))?;
        }
        Ok(())
    }
}

fn is_about_the_controller(words: &str) -> bool {
    ["Unable to contact", "Socket timed out", "temporarily unable", "Connection refused"].iter().any(|part| words.contains(part))
}

/// Reads a line of `squeue`: the name of the job, and how it stands. `None` if the job is of another program, or has
/// ended so that only its run directory tells how.
fn listed(line: &str) -> Option<(String, Listed)> {
    let mut fields = line.splitn(8, '|').map(str::trim);
    let (id, state, reason) = (fields.next()?, fields.next()?, fields.next()?);
    let (start, end, node) = (fields.next()?, fields.next()?, fields.next()?);
    let (name, comment) = (fields.next()?, fields.next()?);
    let (_, index) = id.split_once('_')?;
    let (batch, first) = name.strip_prefix("crosslens-").filter(|_| name == comment)?.rsplit_once('.')?;
    let position = first.parse::<usize>().ok()? + index.parse::<usize>().ok()?;
    let listed = Listed { id: Some(id.to_owned()), standing: standing(state, reason, time(start), time(end), node)? };
    Some((format!("crosslens-{batch}.{position}"), listed))
}

/// A time of Slurm as the API writes it.
fn time(text: &str) -> Option<String> {
    text.starts_with(|first: char| first.is_ascii_digit()).then(|| format!("{text}Z"))
}

fn standing(state: &str, reason: &str, starts_at: Option<String>, ends_at: Option<String>, node: &str) -> Option<Standing> {
    let failed = |sentence: &str| Some(Standing::Over(Fate::Failed(sentence.to_owned())));
    match state {
        "PENDING" => Some(Standing::Waiting { reason: Some(in_words(reason)), starts_at }),
        "CONFIGURING" => Some(Standing::Waiting { reason: Some("its node is being prepared".to_owned()), starts_at: None }),
        "SUSPENDED" | "STOPPED" => Some(Standing::Waiting { reason: Some("it is suspended for another job".to_owned()), starts_at: None }),
        "REQUEUE_HOLD" | "SPECIAL_EXIT" => Some(Standing::Waiting {
            reason: Some("it is held after an exit; `scontrol release` lets it go on".to_owned()),
            starts_at: None,
        }),
        "REQUEUED" => Some(Standing::Waiting { reason: Some("it starts again".to_owned()), starts_at }),
        "COMPLETED" => None,
        "CANCELLED" => Some(Standing::Over(Fate::Canceled)),
        "PREEMPTED" | "REVOKED" => Some(Standing::Over(Fate::Preempted)),
        "TIMEOUT" | "DEADLINE" => Some(Standing::Over(Fate::TimeLimit)),
        "NODE_FAIL" | "BOOT_FAIL" => failed("its node failed"),
        "OUT_OF_MEMORY" => failed("it needed more memory than its job had; give its lane more"),
        "FAILED" => failed(
            "its job failed in Slurm before the worker wrote how; check that the worker program and the run directory are on the node",
        ),
        // Running, or about to end.
        _ => Some(Standing::Running { node: Some(node.to_owned()).filter(|node| !node.is_empty()), ends_at }),
    }
}

/// Why a job waits, in words. Slurm's own word follows where it is not obvious.
fn in_words(reason: &str) -> String {
    let words = match reason {
        "" | "None" => return "Slurm has not looked at it yet".to_owned(),
        "Resources" => return "it is next, as soon as resources are free".to_owned(),
        "Priority" => return "jobs with a higher priority are before it".to_owned(),
        "JobArrayTaskLimit" => return "as many runs of its sweep are running as may run at once".to_owned(),
        "BeginTime" => return "it is not time yet: Slurm waits a while before it starts a job again".to_owned(),
        "Dependency" => "it depends on another job",
        "JobHeldUser" => "somebody holds it back; `scontrol release` lets it go on",
        "JobHeldAdmin" => "an administrator holds it back",
        "PartitionDown" => "its partition is down",
        "PartitionInactive" => "its partition is inactive",
        "PartitionNodeLimit" => "it asks for more nodes than its partition has",
        "PartitionTimeLimit" => "its time is longer than its partition allows",
        "ReqNodeNotAvail" => "a node that it needs is down, reserved or taken",
        "Reservation" => "it waits for a reservation",
        "Licenses" => "it waits for a license",
        "Cleaning" => "it is being cleaned up after it was requeued",
        "BadConstraints" => "no node meets its constraints",
        "AccountNotAllowed" => "its account may not use this partition",
        "QOSNotAllowed" => "its QOS may not be used in this partition",
        "launch failed requeued held" => "it could not be started and is held; `scontrol release` lets it try again",
        reason if reason.starts_with("ReqNodeNotAvail") => "a node that it needs is down, reserved or taken",
        reason if reason.starts_with("QOSMax") || reason.starts_with("QOSGrp") || reason.starts_with("QOS") => {
            "a limit of its QOS is reached"
        }
        reason if reason.starts_with("Assoc") || reason.starts_with("MaxJobs") => "a limit of its account or user is reached",
        reason if reason.starts_with("Nodes required for job are DOWN") => "the nodes that it could use are down or reserved",
        reason => return format!("Slurm says: {reason}"),
    };
    format!("{words} ({reason})")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::rundir::RunDir;

    fn jobs(count: usize) -> Vec<Job> {
        let job = |index: usize| Job {
            name: format!("crosslens-3f0c.{}", index + 1000),
            id: None,
            dir: RunDir::at(PathBuf::from(format!("/data/it's/at-{index}"))),
            again: (index == 1).then(|| "The worker was killed.".to_owned()),
        };
        (0..count).map(job).collect()
    }

    fn lane() -> SlurmLane {
        SlurmLane {
            partition: Some("gpu".into()),
            gpus: 1,
            gpu_type: Some("a100".into()),
            cpus: Some(8),
            memory: Some("32G".into()),
            time: Some("4:00:00".into()),
            flags: vec!["--exclude=n7".into()],
            setup: vec!["module load cuda".into()],
            ..SlurmLane::default()
        }
    }

    #[test]
    fn an_array_asks_for_what_its_lane_says() {
        let jobs = jobs(2);
        let array = Array { batch: "crosslens-3f0c", first: 1000, jobs: &jobs, elements: "0-1".into(), at_once: Some(4) };
        assert_eq!(
            array.arguments(&lane()).join(" "),
            "--parsable --job-name=crosslens-3f0c.1000 --comment=crosslens-3f0c.1000 --array=0-1%4 --output=/dev/null --chdir=/ --requeue \
             --signal=USR1@120 --time=4:00:00 --partition=gpu --gres=gpu:a100:1 --cpus-per-task=8 --mem=32G --nodes=1 --ntasks=1 \
             --exclude=n7"
        );
        let plain = Array { at_once: None, elements: ranges(&[0, 1, 2, 4, 6, 7]), ..array };
        assert!(plain.arguments(&SlurmLane::default()).contains(&"--array=0-2,4,6-7".to_owned()));
        assert_eq!(lane().text(), "partition gpu, 1 a100 GPU, 8 CPUs, 32G, 4:00:00");
        assert_eq!(SlurmLane::default().text(), "the default partition");
    }

    #[test]
    fn the_script_of_an_array_finds_the_run_of_its_element() {
        let jobs = jobs(2);
        let array = Array { batch: "crosslens-3f0c", first: 1000, jobs: &jobs, elements: "0-1".into(), at_once: None };
        let script = script(&SlurmLane { setup: vec!["PATH=/tmp/none".into()], ..lane() }, "'/opt/cross lens/worker'", &array);
        // Prints the words of the command that it would start.
        let folder = tempfile::tempdir().unwrap();
        let printed = |index: usize| {
            let script = script
                .replace("/data/it'\\''s", &folder.path().display().to_string())
                .replace("PATH=/tmp/none", "srun() { printf '[%s]' \"$CROSSLENS_DEVICE\" \"$@\"; }");
            std::fs::create_dir_all(folder.path().join(format!("at-{index}"))).unwrap();
            let status = std::process::Command::new("bash").args(["-c", &script]).env("SLURM_ARRAY_TASK_ID", index.to_string()).status();
            assert!(status.unwrap().success());
            let log = std::fs::read_to_string(folder.path().join(format!("at-{index}/log.txt"))).unwrap();
            log.replace(&folder.path().display().to_string(), "DATA")
        };
        assert_eq!(printed(0), "[cuda:0][/opt/cross lens/worker][DATA/at-0][--ticket][crosslens-3f0c.1000]");
        assert_eq!(
            printed(1),
            "[cuda:0][/opt/cross lens/worker][DATA/at-1][--ticket][crosslens-3f0c.1001][--again][The worker was killed.]"
        );
    }

    #[track_caller]
    fn check(line: &str, expected: Option<(&str, Standing)>) {
        let found = listed(line).map(|(name, listed)| (name, listed.standing));
        assert_eq!(found, expected.map(|(name, standing)| (name.to_owned(), standing)), "{line}");
    }

    #[test]
    fn a_line_of_squeue_says_how_a_job_stands() {
        let waiting = |reason: &str, starts_at: Option<&str>| Standing::Waiting {
            reason: Some(reason.to_owned()),
            starts_at: starts_at.map(str::to_owned),
        };
        check(
            "57_12|RUNNING|None|2026-11-30T19:56:02|2026-11-30T23:56:02|n3|crosslens-3f0c.1000|crosslens-3f0c.1000",
            Some(("crosslens-3f0c.1012", Standing::Running { node: Some("n3".into()), ends_at: Some("2026-11-30T23:56:02Z".into()) })),
        );
        check(
            "57_0|PENDING|Resources|2026-12-01T01:00:00|N/A||crosslens-3f0c.0|crosslens-3f0c.0",
            Some(("crosslens-3f0c.0", waiting("it is next, as soon as resources are free", Some("2026-12-01T01:00:00Z")))),
        );
        check(
            "57_0|PENDING|QOSMaxGRESPerUser|N/A|N/A||crosslens-3f0c.0|crosslens-3f0c.0",
            Some(("crosslens-3f0c.0", waiting("a limit of its QOS is reached (QOSMaxGRESPerUser)", None))),
        );
        check(
            "57_0|PENDING|Something new|N/A|N/A||crosslens-3f0c.0|crosslens-3f0c.0",
            Some(("crosslens-3f0c.0", waiting("Slurm says: Something new", None))),
        );
        for (state, fate) in [("CANCELLED", Fate::Canceled), ("PREEMPTED", Fate::Preempted), ("TIMEOUT", Fate::TimeLimit)] {
            check(
                &format!("57_0|{state}|None|N/A|N/A|n3|crosslens-3f0c.0|crosslens-3f0c.0"),
                Some(("crosslens-3f0c.0", Standing::Over(fate))),
            );
        }
        // It is about to end, and then gone.
        check(
            "57_0|COMPLETING|None|N/A|N/A|n3|crosslens-3f0c.0|crosslens-3f0c.0",
            Some(("crosslens-3f0c.0", Standing::Running { node: Some("n3".into()), ends_at: None })),
        );
        check("57_0|COMPLETED|None|N/A|N/A|n3|crosslens-3f0c.0|crosslens-3f0c.0", None);
        // Jobs of the user with the same name, and others.
        check("58_0|RUNNING|None|N/A|N/A|n3|crosslens-3f0c.0|", None);
        check("58|RUNNING|None|N/A|N/A|n3|crosslens-3f0c.0|crosslens-3f0c.0", None);
        check("58_0|RUNNING|None|N/A|N/A|n3|train|a|b", None);
        check("slurm_load_jobs error", None);
    }

    #[test]
    fn slurms_own_words_are_told_without_the_names_of_its_programs() {
        assert_eq!(
            own_words("sbatch: error: invalid partition specified: nope; allocation failure: Invalid partition name specified"),
            "invalid partition specified: nope; allocation failure: Invalid partition name specified"
        );
        assert_eq!(array_size("MaxArraySize            = 1001\nMaxJobCount = 10000"), Some(1001));
        assert_eq!(array_size("no such line"), None);
    }

    #[test]
    fn a_wrong_field_is_named_with_its_value() {
        let wrong = |lane: SlurmLane| lane.check().into_iter().map(|error| error.to_string()).collect::<Vec<_>>();
        assert_eq!(wrong(lane()), Vec::<String>::new());
        for time in ["90", "4:00:00", "2-00", "2-00:00:00"] {
            assert_eq!(wrong(SlurmLane { time: Some(time.into()), ..SlurmLane::default() }), Vec::<String>::new());
        }
        let bad = SlurmLane {
            partition: Some("gpu\n".into()),
            time: Some("4h".into()),
            cpus: Some(0),
            gpu_type: Some("a100".into()),
            flags: vec!["exclude=n7".into()],
            ..SlurmLane::default()
        };
        let found = wrong(bad);
        assert_eq!(found.len(), 5, "{found:?}");
        for part in ["time: `4h`", "cpus: 0", "gpu_type", "flags[0]: `exclude=n7`", "partition"] {
            assert!(found.iter().any(|error| error.contains(part)), "{part}: {found:?}");
        }
    }
}
