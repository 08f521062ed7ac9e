//! Runs the configuration of one run directory and writes the results there.
//!
//! Exit codes: 0 done; 3 canceled by a person; 85 saved and to be started again; 101 crashed; any other failed.
//! After a failure, the last line on standard error is the reason.

use std::any::Any;
use std::env;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process::{self, Command, ExitCode};
use std::time::{Duration, Instant};
use std::{mem, thread};

use anyhow::Context as _;
use clap::Parser;
use engine::run_dir::{self, RunDir};
use engine::stop::Stop;
use engine::{Error, bench, device, job, kept, model};
use lease::{Held, Lease, Standing, Watch};
use serde_json::{Value, json};
use shared::config::{RunConfig, SeriesFile};
use shared::record::{Notice, NoticeKind, Record};
use shared::rundir::{self, StopReason};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::flag;

/// Allocates for the whole process, so for libtorch too. Each pass frees the tensors that the next one needs, and a small
/// network spends a tenth of its time in glibc's malloc.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs DIR/config.json and writes metrics.jsonl, checkpoints/ and attributions/ into DIR.
///
/// The worker saves and ends when it receives SIGTERM, SIGINT, SIGUSR1 or SIGUSR2, or when there is a file
/// DIR/stop that holds the word cancel, pause or requeue. It then writes its exit code into DIR/exit_code.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The run directory.
    #[arg(value_name = "DIR", required_unless_present_any = ["probe", "inspect", "bench"])]
    directory: Option<PathBuf>,
    /// Writes a config.json into DIR that imports FILE, and runs it. FILE is a safetensors file, a torch.save
    /// file, a folder with the checkpoints of one training, such as epoch_5.pth to epoch_200.pth, or a train_log
    /// folder of the paper's public code.
    #[arg(long, value_name = "FILE", requires_all = ["dataset", "directory"], conflicts_with = "probe")]
    import: Option<PathBuf>,
    /// Prints as JSON what FILE holds and what has to be decided before importing it, and exits. Without
    /// FILE, inspects the import configured in DIR.
    #[arg(long, value_name = "FILE", num_args = 0..=1, conflicts_with_all = ["import", "probe"])]
    inspect: Option<Option<PathBuf>>,
    /// Data set that the imported network was trained on: cifar10, cifar100, tiny_imagenet, svhn,
    /// image_folder, digits or synthetic.
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,
    /// Folder of that data set. Needed to measure the network, and to compare possible readings by their
    /// accuracy.
    #[arg(long, value_name = "DIR", requires = "dataset")]
    data: Option<PathBuf>,
    /// Which network to import from a file with several: the prefix of its tensor names.
    #[arg(long, value_name = "PREFIX", requires = "dataset")]
    network: Option<String>,
    /// Name of the linear layer that computes the logits, if the network has several.
    #[arg(long, value_name = "NAME", requires = "dataset")]
    head: Option<String>,
    /// Activation of DeepMind's networks, which no tensor tells: relu or silu.
    #[arg(long, value_name = "NAME", requires = "dataset")]
    activation: Option<String>,
    /// How pixels in [0, 1] are normalized: file, dataset, none, or means and deviations as
    /// 0.5,0.5,0.5/0.2,0.2,0.2.
    #[arg(long, value_name = "WHICH", requires = "dataset")]
    normalization: Option<String>,
    /// Leaves out tensors that the network does not have, like strict=False in PyTorch.
    #[arg(long, requires = "dataset")]
    not_strict: bool,
    /// A checkpoint of a folder to import, with its epoch; once for each. Without any, all of the folder are
    /// imported, with the epochs in their names, else those stored in them.
    #[arg(long, value_name = "FILE=EPOCH", requires = "dataset", value_parser = series_file)]
    checkpoint: Vec<SeriesFile>,
    /// The file is a program: TorchScript, as crosslens.export writes it.
    #[arg(long, requires = "dataset")]
    program: bool,
    /// Attributions to measure for each imported checkpoint: clean, adversarial, or clean,adversarial.
    #[arg(long, value_name = "INPUTS", value_delimiter = ',', requires = "import")]
    measure: Vec<String>,
    /// Norm of the threat model: linf or l2.
    #[arg(long, default_value = "linf")]
    norm: String,
    /// Radius of the threat model, for example 8/255. Defaults to 8/255 for linf and 128/255 for l2.
    #[arg(long, requires = "dataset")]
    eps: Option<String>,
    /// Runs programs: networks that come as TorchScript. A program can do whatever this worker may do.
    #[arg(long, env = "CROSSLENS_ALLOW_PROGRAMS")]
    allow_programs: bool,
    /// Name of the job under which a cluster or another launcher knows this worker.
    #[arg(long, value_name = "NAME", env = "CROSSLENS_TICKET")]
    ticket: Option<String>,
    /// Seconds between two saves of what is not complete, on top of the one at a stop. A worker that is killed
    /// loses at most what it has done since. Saves that take more than a hundredth of the time come less often.
    #[arg(long, value_name = "SECONDS", env = "CROSSLENS_SAVE_SECS", default_value_t = 60.0, value_parser = seconds)]
    save_secs: f64,
    /// Why the run is started again, for its records: a sentence.
    #[arg(long, value_name = "SENTENCE")]
    again: Option<String>,
    /// Prints the versions of the engine and of libtorch and the devices as JSON, and exits.
    #[arg(long, conflicts_with = "directory")]
    probe: bool,
    /// Runs a case of the benchmark (bench/README.md): writes what its peers need into DIR, and runs it once for each
    /// line on standard input. Without CASE, lists the cases.
    #[arg(long, value_name = "CASE", num_args = 0..=1, conflicts_with_all = ["import", "probe", "inspect"])]
    bench: Option<Option<String>>,
    /// Device to use, instead of what the configuration asks for: auto, cpu or cuda:N.
    #[arg(long, value_name = "NAME", env = "CROSSLENS_DEVICE")]
    device: Option<String>,
    /// Runs the case in a tiny size, to try it.
    #[arg(long, requires = "bench")]
    quick: bool,
}

fn main() -> ExitCode {
    if let Err(error) = restart_with_settings() {
        say(format_args!("warning: the worker could not restart itself with settings for OpenMP and memory; it will be slower: {error}"));
    }
    // Without a backtrace, whatever the environment says: printing one needs memory, and waits for itself for
    // ever where a failed allocation was what it is about.
    panic::set_hook(Box::new(|panic| say(format_args!("{panic}"))));
    let arguments = Arguments::parse();
    let mut lease = None;
    let ending = panic::catch_unwind(AssertUnwindSafe(|| run(&arguments, &mut lease)));
    let code = exit_code(ending);
    // While the lease is held: another worker does not write yet.
    if let (Some(_), Some(directory)) = (&lease, &arguments.directory)
        && let Err(error) = fs::write(directory.join(rundir::EXIT_CODE), format!("{code}\n"))
    {
        say(format_args!("warning: {} cannot be written: {error}", rundir::EXIT_CODE));
    }
    drop(lease);
    ExitCode::from(code)
}

/// Says how the worker ended, and returns its exit code.
fn exit_code(ending: thread::Result<anyhow::Result<()>>) -> u8 {
    match ending {
        Ok(Ok(())) => 0,
        Ok(Err(error)) => match error.downcast_ref() {
            Some(Error::Stopped(reason)) => {
                say(format_args!("saved; {}", when_it_goes_on(*reason)));
                reason.exit_code()
            }
            _ => {
                say(format_args!("error: {error:#}"));
                rundir::EXIT_FAILED
            }
        },
        Err(panic) => {
            say(format_args!("error: {}", libtorch_message(&*panic)));
            rundir::EXIT_CRASHED
        }
    }
}

/// Parses a number of seconds from 0 to a day.
fn seconds(text: &str) -> Result<f64, &'static str> {
    let seconds = text.parse().ok().filter(|seconds| (0.0..=86_400.0).contains(seconds));
    seconds.ok_or("write a number of seconds from 0 to 86400")
}

/// Parses a file of a folder with its epoch.
fn series_file(text: &str) -> Result<SeriesFile, &'static str> {
    let parts = text.rsplit_once('=').and_then(|(file, epoch)| Some((file.to_owned(), epoch.parse().ok()?)));
    parts.map(|(file, epoch)| SeriesFile { file, epoch }).ok_or("write a file and its epoch, such as epoch_5.pth=5")
}

/// Writes a line to standard error, which a full disk may not take. Its exit code then tells how the worker ended.
fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{line}");
}

fn when_it_goes_on(reason: StopReason) -> &'static str {
    match reason {
        StopReason::Cancel => "canceled",
        StopReason::Pause => "paused",
        StopReason::Requeue => "start the worker again to go on",
    }
}

/// Returns the first line of libtorch's message, for example that memory is full.
///
/// tch turns exceptions of libtorch into panics. The full message has been printed by then.
fn libtorch_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default();
    match text.split_once("Torch(\"") {
        // The message is in debug format, in which a line break is a backslash and an n.
        Some((_, message)) => format!("libtorch: {}", message.split("\\n").next().unwrap_or(message)),
        None => format!("internal error in the worker: {text}"),
    }
}

/// Restarts the program in the same process, with settings that OpenMP and the allocator read before `main`. Those that
/// the user has made stay.
fn restart_with_settings() -> io::Result<()> {
    // OpenMP spins only briefly at its barriers. Five epochs of the demo took 3.8 s on two idle cores with short spins and
    // 8.1 s with threads that sleep at once; beside two busy loops, 10.7 s and 13.5 s. Threads that spin without limit
    // took 12 s and more for one epoch on a busy machine.
    const SPINS: (&str, &str) = ("GOMP_SPINCOUNT", "10000");
    // Freed memory is kept. Otherwise the system takes it back and clears it again, 4 KiB at a time.
    const KEPT: (&str, &str) = ("MIMALLOC_PURGE_DELAY", "-1");
    let is_set = |name: &str| env::var_os(name).is_some();
    let mut missing = Vec::new();
    if !is_set(SPINS.0) && !is_set("OMP_WAIT_POLICY") {
        missing.push(SPINS);
    }
    if !is_set(KEPT.0) {
        missing.push(KEPT);
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(Command::new(env::current_exe()?).args(env::args_os().skip(1)).envs(missing).exec())
}

/// Does what the command line asks for. Leaves the lease of the run directory in `lease`, if it has taken it.
fn run(arguments: &Arguments, lease: &mut Option<Held>) -> anyhow::Result<()> {
    if arguments.allow_programs {
        model::allow_programs();
    }
    if let Some(file) = &arguments.inspect {
        return inspect(file.as_deref(), arguments);
    }
    if let Some(case) = &arguments.bench {
        return run_bench(case.as_deref(), arguments);
    }
    let Some(directory) = &arguments.directory else {
        println!("{}", serde_json::to_string(&device::probe())?);
        return Ok(());
    };
    if let (Some(source), Some(dataset)) = (&arguments.import, &arguments.dataset) {
        write_import(directory, source, dataset, arguments)?;
    }
    let stop = Stop::for_run(directory);
    stop_on_signals(&stop).context("signals cannot be handled")?;
    kept::save_every(Duration::from_secs_f64(arguments.save_secs));
    *lease = Some(take_lease(directory, arguments.ticket.as_deref(), &stop)?);
    remove_exit_code(directory)?;
    if let Some(sentence) = &arguments.again {
        let notice = Notice { kind: NoticeKind::Resumed, epoch: None, message: sentence.clone() };
        RunDir::open(directory)?.append(&Record::Notice(notice))?;
    }
    match &arguments.device {
        Some(device) => Ok(job::run_on(device, directory, &stop)?),
        None => Ok(job::run(directory, &stop)?),
    }
}

/// Runs a case of the benchmark, or lists all.
fn run_bench(case: Option<&str>, arguments: &Arguments) -> anyhow::Result<()> {
    match (case, &arguments.directory) {
        (Some(case), Some(folder)) => bench::run(case, arguments.device.as_deref().unwrap_or("auto"), arguments.quick, folder)?,
        (Some(_), None) => anyhow::bail!("give the DIR that the peers read from"),
        (None, _) => println!("{}", bench::cases().join("\n")),
    }
    Ok(())
}

/// Takes the lease of a run directory. Waits for another worker that is ending, or that is gone from another
/// machine.
fn take_lease(directory: &Path, ticket: Option<&str>, stop: &Stop) -> anyhow::Result<Held> {
    const LOOK_INTERVAL: Duration = Duration::from_millis(200);
    let path = directory.join(rundir::LEASE);
    let (begun, mut watch) = (Instant::now(), Watch::new(directory));
    let mut waits = false;
    loop {
        let lost = || {
            // Whatever this process would still write belongs to the other worker by now.
            say(format_args!("error: another worker has taken over this run"));
            process::exit(i32::from(rundir::EXIT_CRASHED));
        };
        let ticket = ticket.map(str::to_owned);
        if let Some(held) = Held::take(&mut watch, ticket, lost).with_context(|| format!("{}", path.display()))? {
            return Ok(held);
        }
        stop.check()?;
        // A lease that nobody keeps alive is found abandoned after this time.
        if begun.elapsed() > lease::STALE + LOOK_INTERVAL * 2 {
            anyhow::bail!("run directory {} is being written to by another worker: {}", directory.display(), holder(&mut watch));
        }
        if !mem::replace(&mut waits, true) {
            say(format_args!("waiting for another worker to end: {}", holder(&mut watch)));
        }
        thread::sleep(LOOK_INTERVAL);
    }
}

/// Removes the exit code of the last worker, which does not tell how this one ends.
fn remove_exit_code(directory: &Path) -> anyhow::Result<()> {
    let path = directory.join(rundir::EXIT_CODE);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).with_context(|| format!("{}", path.display())),
        _ => Ok(()),
    }
}

/// Returns who holds a lease, in words.
fn holder(watch: &mut Watch) -> String {
    match watch.look() {
        Ok(Standing::Held(Some(Lease { host, process, .. }))) => format!("process {} on {host}", process.pid),
        _ => format!("{} does not say which", rundir::LEASE),
    }
}

/// Prints what a file holds, or the source of the import configured in a directory.
fn inspect(file: Option<&Path>, arguments: &Arguments) -> anyhow::Result<()> {
    let inspection = match (file, &arguments.dataset, &arguments.directory) {
        (Some(file), Some(dataset), _) => {
            let value = import_config(file, dataset, arguments)?;
            let config = RunConfig::parse(&value).map_err(|errors| Error::Config { path: file.to_owned(), errors })?;
            job::inspect(Path::new("."), &config)?
        }
        (None, _, Some(directory)) => job::inspect(directory, &run_dir::read_config(directory)?)?,
        (Some(_), None, _) => anyhow::bail!("set --dataset to the data set that the network was trained on"),
        (None, _, None) => anyhow::bail!("give a FILE, or the DIR of an import"),
    };
    println!("{}", serde_json::to_string(&inspection)?);
    Ok(())
}

/// Creates `directory` and writes the configuration of an import into it.
fn write_import(directory: &Path, source: &Path, dataset: &str, arguments: &Arguments) -> anyhow::Result<()> {
    let value = import_config(source, dataset, arguments)?;
    let path = directory.join(rundir::CONFIG);
    let config = RunConfig::parse(&value).map_err(|errors| Error::Config { path: path.clone(), errors })?;
    fs::create_dir_all(directory).with_context(|| format!("{}", directory.display()))?;
    let mut file = File::create_new(&path).with_context(|| format!("{} cannot be created", path.display()))?;
    file.write_all(format!("{:#}\n", config.to_json()).as_bytes()).with_context(|| format!("{}", path.display()))
}

/// Returns the import configuration that the arguments describe.
fn import_config(source: &Path, dataset: &str, arguments: &Arguments) -> anyhow::Result<Value> {
    let absolute = |path: &Path| {
        let path = path.canonicalize().with_context(|| format!("{}", path.display()))?;
        path.into_os_string().into_string().map_err(|path| anyhow::anyhow!("{} is not UTF-8", path.display()))
    };
    let eps = arguments.eps.as_deref().unwrap_or(if arguments.norm == "l2" { "128/255" } else { "8/255" });
    let mut value = json!({
        "kind": "import",
        "source": absolute(source)?,
        "data": { "dataset": dataset },
        "attack": { "norm": arguments.norm, "eps": eps },
        "attribution": { "inputs": arguments.measure },
        "strict": !arguments.not_strict,
        "program": arguments.program,
    });
    for (field, text) in [("network", &arguments.network), ("head", &arguments.head), ("activation", &arguments.activation)] {
        if let Some(text) = text {
            value[field] = text.as_str().into();
        }
    }
    if !arguments.checkpoint.is_empty() {
        value["checkpoints"] = json!(arguments.checkpoint);
    }
    if let Some(text) = &arguments.normalization {
        value["normalization"] = normalization(text);
    }
    if let Some(folder) = &arguments.data {
        value["data"]["path"] = absolute(folder)?.into();
    }
    Ok(value)
}

/// Parses means and deviations such as `0.5,0.4,0.3/0.2,0.2,0.2`. Other text stays as it is, for the
/// configuration's validation.
fn normalization(text: &str) -> Value {
    let numbers = |text: &str| text.split(',').map(|number| number.trim().parse::<f64>().ok()).collect::<Option<Vec<_>>>();
    let given = text.split_once('/').and_then(|(mean, std)| Some((numbers(mean)?, numbers(std)?)));
    given.map_or_else(|| text.into(), |(mean, std)| json!({ "mean": mean, "std": std }))
}

/// Requests a stop on the signals with which systems and clusters announce the end of a process.
///
/// A second SIGINT, from a person at a terminal, ends the process at once.
fn stop_on_signals(stop: &Stop) -> io::Result<()> {
    const AS_SHELLS_DO: i32 = 128 + SIGINT;
    flag::register_conditional_shutdown(SIGINT, AS_SHELLS_DO, stop.flag())?;
    for signal in [SIGINT, SIGTERM, SIGUSR1, SIGUSR2] {
        flag::register(signal, stop.flag())?;
    }
    Ok(())
}
