//! Runs the configuration of one directory and writes what comes of it there. Exit codes: 0 done, 3 canceled, anything else failed,
//! with the reason in the last line of standard error.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use anyhow::Context as _;
use clap::Parser;
use engine::cancel::Cancel;
use engine::{Error, device, job};

const CANCELED: u8 = 3;

/// Trains as DIR/config.json says and writes metrics.jsonl, checkpoints/ and attributions/ into DIR.
///
/// Where standard input is a pipe, its end asks the worker to save and stop.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The run directory.
    #[arg(value_name = "DIR", required_unless_present = "probe")]
    directory: Option<PathBuf>,
    /// Prints the version, libtorch and the devices as JSON, and does nothing else.
    #[arg(long, conflicts_with = "directory")]
    probe: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if matches!(error.downcast_ref(), Some(Error::Canceled)) => {
            eprintln!("canceled");
            ExitCode::from(CANCELED)
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Some(directory) = &arguments.directory else {
        println!("{}", serde_json::to_string(&device::probe())?);
        return Ok(());
    };
    let cancel = Cancel::default();
    cancel_when_input_ends(&cancel).context("standard input cannot be watched")?;
    Ok(job::run(directory, &cancel)?)
}

/// A server holds the other end of the pipe, so that its death asks to stop as well. A terminal or /dev/null asks for nothing.
fn cancel_when_input_ends(cancel: &Cancel) -> io::Result<()> {
    let kind = File::from(io::stdin().as_fd().try_clone_to_owned()?).metadata()?.file_type();
    if kind.is_fifo() || kind.is_socket() {
        let cancel = cancel.clone();
        thread::spawn(move || {
            // Whatever is written is no message; an error is an end as well.
            let _ = io::copy(&mut io::stdin().lock().by_ref(), &mut io::sink());
            cancel.request();
        });
    }
    Ok(())
}
