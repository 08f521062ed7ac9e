//! Runs the configuration of one directory and writes what comes of it there. Exit codes: 0 done, 3 canceled, anything else failed,
//! with the reason in the last line of standard error.

use std::any::Any;
use std::env;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::process::CommandExt as _;
use std::panic;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread;

use anyhow::Context as _;
use clap::Parser;
use engine::cancel::Cancel;
use engine::{Error, device, job, run_dir};
use serde_json::{Value, json};
use shared::config::RunConfig;

const CANCELED: u8 = 3;

/// Does what DIR/config.json says and writes metrics.jsonl, checkpoints/ and attributions/ into DIR.
///
/// Where standard input is a pipe, its end asks the worker to save and stop.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The run directory.
    #[arg(value_name = "DIR", required_unless_present_any = ["probe", "inspect"])]
    directory: Option<PathBuf>,
    /// Writes a config.json into DIR that imports a file of safetensors or of torch.save, or a train_log folder of the public code, and
    /// runs it.
    #[arg(long, value_name = "FILE", requires_all = ["dataset", "directory"], conflicts_with = "probe")]
    import: Option<PathBuf>,
    /// Prints what FILE holds and what is to be decided about it as JSON, and does nothing else. Without FILE, of the import in DIR.
    #[arg(long, value_name = "FILE", num_args = 0..=1, conflicts_with_all = ["import", "probe"])]
    inspect: Option<Option<PathBuf>>,
    /// What the imported network was trained on: cifar10, cifar100, tiny_imagenet, svhn, image_folder, digits or synthetic.
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,
    /// The folder that holds that data; needed to measure, and to tell by accuracy how a network was trained.
    #[arg(long, value_name = "DIR", requires = "dataset")]
    data: Option<PathBuf>,
    /// Which network of a file with several, by what the names of its tensors begin with.
    #[arg(long, value_name = "PREFIX", requires = "dataset")]
    network: Option<String>,
    /// Which linear layer gives the logits, where a network has several.
    #[arg(long, value_name = "NAME", requires = "dataset")]
    head: Option<String>,
    /// What pixels in [0, 1] are normalized with: file, dataset, none, or the means and deviations, 0.5,0.5,0.5/0.2,0.2,0.2.
    #[arg(long, value_name = "WHICH", requires = "dataset")]
    normalization: Option<String>,
    /// Leaves out what the network has no place for, as strict=False does in PyTorch.
    #[arg(long, requires = "dataset")]
    not_strict: bool,
    /// The attributions to measure of each imported checkpoint: clean, adversarial or both, with a comma between.
    #[arg(long, value_name = "INPUTS", value_delimiter = ',', requires = "import")]
    measure: Vec<String>,
    /// The norm of the threat model: linf or l2.
    #[arg(long, default_value = "linf")]
    norm: String,
    /// The radius of the threat model, such as 8/255; by default that, and 128/255 for l2.
    #[arg(long, requires = "dataset")]
    eps: Option<String>,
    /// Prints the version, libtorch and the devices as JSON, and does nothing else.
    #[arg(long, conflicts_with = "directory")]
    probe: bool,
}

fn main() -> ExitCode {
    if let Err(error) = wait_with_short_spins() {
        eprintln!("warning: the worker could not start itself anew, and will be slow where other programs run: {error}");
    }
    let arguments = Arguments::parse();
    match panic::catch_unwind(|| run(&arguments)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) if matches!(error.downcast_ref(), Some(Error::Canceled)) => {
            eprintln!("canceled");
            ExitCode::from(CANCELED)
        }
        Ok(Err(error)) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
        Err(panic) => {
            eprintln!("error: {}", libtorch_message(&*panic));
            ExitCode::FAILURE
        }
    }
}

/// The first line of what libtorch said, such as that memory is full: tch turns its exceptions into panics, which have by now been
/// printed whole.
fn libtorch_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default();
    match text.split_once("Torch(\"") {
        // Printed for debugging, in which a line ends with a backslash and an n.
        Some((_, message)) => format!("libtorch: {}", message.split("\\n").next().unwrap_or(message)),
        None => format!("the worker is at fault: {text}"),
    }
}

/// Starts the program anew, as the same process, with OpenMP told to spin only briefly at its barriers unless the user has told it something.
///
/// On two idle cores five epochs of the demo took 3.8 s so, 8.1 s with threads that sleep at once; with two busy loops beside them
/// 10.7 s and 13.5 s asleep. Threads that spin without end took 12 s and more an epoch on a busy machine. OpenMP reads its environment
/// before `main`.
fn wait_with_short_spins() -> io::Result<()> {
    const SPINS: &str = "GOMP_SPINCOUNT";
    if env::var_os(SPINS).is_some() || env::var_os("OMP_WAIT_POLICY").is_some() {
        return Ok(());
    }
    Err(Command::new(env::current_exe()?).args(env::args_os().skip(1)).env(SPINS, "10000").exec())
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if let Some(file) = &arguments.inspect {
        return inspect(file.as_deref(), arguments);
    }
    let Some(directory) = &arguments.directory else {
        println!("{}", serde_json::to_string(&device::probe())?);
        return Ok(());
    };
    if let (Some(source), Some(dataset)) = (&arguments.import, &arguments.dataset) {
        write_import(directory, source, dataset, arguments)?;
    }
    let cancel = Cancel::default();
    cancel_when_input_ends(&cancel).context("standard input cannot be watched")?;
    Ok(job::run(directory, &cancel)?)
}

/// Prints what a file holds, or the source of the import that is configured in a directory.
fn inspect(file: Option<&Path>, arguments: &Arguments) -> anyhow::Result<()> {
    let inspection = match (file, &arguments.dataset, &arguments.directory) {
        (Some(file), Some(dataset), _) => {
            let value = import_config(file, dataset, arguments)?;
            let config = RunConfig::parse(&value).map_err(|errors| Error::Config { path: file.to_owned(), errors })?;
            job::inspect(Path::new("."), &config)?
        }
        (None, _, Some(directory)) => job::inspect(directory, &run_dir::read_config(directory)?)?,
        (Some(_), None, _) => anyhow::bail!("name what the network was trained on with --dataset"),
        (None, _, None) => anyhow::bail!("name a file, or the directory of an import"),
    };
    println!("{}", serde_json::to_string(&inspection)?);
    Ok(())
}

/// Makes `directory` and the configuration of an import in it.
fn write_import(directory: &Path, source: &Path, dataset: &str, arguments: &Arguments) -> anyhow::Result<()> {
    let value = import_config(source, dataset, arguments)?;
    let path = directory.join("config.json");
    let config = RunConfig::parse(&value).map_err(|errors| Error::Config { path: path.clone(), errors })?;
    fs::create_dir_all(directory).with_context(|| format!("{}", directory.display()))?;
    let mut file = File::create_new(&path).with_context(|| format!("{} cannot be made", path.display()))?;
    file.write_all(format!("{:#}\n", config.to_json()).as_bytes()).with_context(|| format!("{}", path.display()))
}

/// The import that the arguments describe.
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
    });
    for (field, text) in [("network", &arguments.network), ("head", &arguments.head)] {
        if let Some(text) = text {
            value[field] = text.as_str().into();
        }
    }
    if let Some(text) = &arguments.normalization {
        value["normalization"] = normalization(text);
    }
    if let Some(folder) = &arguments.data {
        value["data"]["path"] = absolute(folder)?.into();
    }
    Ok(value)
}

/// `file`, or numbers as `0.5,0.4,0.3/0.2,0.2,0.2`; what is neither is left for the configuration's own check.
fn normalization(text: &str) -> Value {
    let numbers = |text: &str| text.split(',').map(|number| number.trim().parse::<f64>().ok()).collect::<Option<Vec<_>>>();
    let given = text.split_once('/').and_then(|(mean, std)| Some((numbers(mean)?, numbers(std)?)));
    given.map_or_else(|| text.into(), |(mean, std)| json!({ "mean": mean, "std": std }))
}

/// A server holds the other end of the pipe, so that its death asks to stop as well. A terminal or /dev/null asks for nothing.
fn cancel_when_input_ends(cancel: &Cancel) -> io::Result<()> {
    let kind = File::from(io::stdin().as_fd().try_clone_to_owned()?).metadata()?.file_type();
    if kind.is_fifo() || kind.is_socket() {
        let cancel = cancel.clone();
        thread::spawn(move || {
            // Whatever is written is no message; an error is an end as well.
            let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
            cancel.request();
        });
    }
    Ok(())
}
