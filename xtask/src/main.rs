//! `cargo xtask`: sets up, builds, serves and tests CrossLens.
//!
//! Each step is a function in one of the modules below and skips what is already done. Nothing here is part
//! of the product: the server and the worker run without xtask.

mod api;
mod app;
mod apt;
mod arrange;
mod bench;
mod browser;
mod campaign;
mod cluster;
mod deny;
mod dev;
mod fuzz;
mod gpu_kit;
mod layout;
mod libtorch;
mod licenses;
mod presets;
mod process;
mod progress;
mod python;
mod schema;
mod serve;
mod styles;
mod test;
mod transfer;
mod wasm;
mod web;
mod wheel;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::layout::Layout;
use crate::progress::Progress;
use crate::web::Effort;

/// Sets up, builds, serves and tests CrossLens.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Gets what is missing, builds everything in release mode and starts the server.
    Serve(ServeArgs),
    /// As `serve`, for work on the pages: rebuilds the frontend, unoptimized, when a file of it changes, and
    /// reloads what the browser shows.
    Dev(ServeArgs),
    /// Gets what is missing and builds everything in release mode.
    Build,
    /// Builds everything and makes a wheel for pip of it, in `dist`.
    Wheel,
    /// Packs what a machine with a GPU needs that has only Python and torch, to check and measure the engine there.
    GpuKit,
    /// Runs the small form of every preset, or of those named, and prints a table of what came out.
    Presets {
        #[arg(value_name = "PRESET")]
        wanted: Vec<String>,
    },
    /// Kills workers, servers and both at random moments, and compares what comes out with undisturbed runs.
    Campaign {
        /// How often somebody is killed.
        #[arg(long, default_value_t = 100)]
        kills: u32,
        /// The same seed kills in the same order; moments still differ with the machine.
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
    /// Measures how fast the product is.
    #[command(subcommand)]
    Bench(Bench),
    /// Gives the parsers of foreign files and texts, or those named, inputs of all kinds, and stops at one that they
    /// cannot take.
    Fuzz {
        #[arg(value_name = "PARSER")]
        wanted: Vec<String>,
        /// Time for each parser.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Sends a server requests that are made from its own description, and checks that each answer is as described.
    Requests,
    /// Checks format and lints, then runs every test, those in a real browser and of the Python package included.
    Test {
        /// Runs the tests on a Slurm cluster and a host behind ssh instead, both on loopback. Installs Slurm and sshd
        /// where they are missing; takes root.
        #[arg(long)]
        cluster: bool,
        /// Passed on to `cargo test`, for example a part of a test's name.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// Measures in a real browser how fast the pages answer, with 200 classes and 10,000 runs, and how much
    /// there is to download.
    Pages,
    /// Measures how fast the server starts and answers with 10,000 runs, and what memory it takes.
    Server,
    /// Measures how fast networks are trained and measured, beside loops in PyTorch that do the same.
    Engine(bench::engine::EngineArgs),
}

#[derive(Debug, Args)]
struct ServeArgs {
    /// Submits the demo experiment and prints the link to it.
    #[arg(long)]
    demo: bool,
    /// Where the server listens.
    #[arg(long, env = "CROSSLENS_ADDR", default_value = "127.0.0.1:8000", value_parser = serve::parse_addr)]
    addr: SocketAddr,
    /// Where runs and their index are kept [default: `data` in the checkout].
    #[arg(long, env = "CROSSLENS_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// Token that every request needs; on other addresses than loopback the server makes one if none is given.
    #[arg(long, env = "CROSSLENS_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Passed on to the server as they are; `-- --help` lists them.
    #[arg(last = true)]
    server_args: Vec<String>,
}

fn main() -> ExitCode {
    let progress = Progress::start();
    match run(Cli::parse().command, &progress) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command, progress: &Progress) -> Result<ExitCode> {
    let layout = Layout::from_env()?;
    match command {
        Command::Serve(args) => serve::serve(&layout, progress, args, Effort::Small),
        Command::Dev(args) => serve::serve(&layout, progress, args, Effort::Quick),
        Command::Build => {
            app::build(&layout, progress, Effort::Small)?;
            progress.say("build", "everything is up to date");
            Ok(ExitCode::SUCCESS)
        }
        Command::Wheel => {
            wheel::wheel(&layout, progress)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Presets { wanted } => {
            presets::presets(&layout, progress, &wanted)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Campaign { kills, seed } => {
            campaign::campaign(&layout, progress, kills, seed)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Bench(Bench::Pages) => {
            bench::pages::run(&layout, progress)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Bench(Bench::Server) => {
            bench::server::run(&layout, progress)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::GpuKit => {
            gpu_kit::gpu_kit(&layout, progress)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Bench(Bench::Engine(args)) => bench::engine::run(&layout, progress, &args),
        Command::Requests => {
            let libtorch = libtorch::prepare(&layout, progress)?;
            app::build_binaries(&layout, progress, &libtorch, &[])?;
            schema::check(&layout, progress, &libtorch)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Fuzz { wanted, seconds } => {
            fuzz::fuzz(&layout, progress, &wanted, seconds)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Test { cluster: true, args } => {
            cluster::test(&layout, progress, &args)?;
            progress.say("test", "all passed");
            Ok(ExitCode::SUCCESS)
        }
        Command::Test { cluster: false, args } => {
            test::test(&layout, progress, &args)?;
            progress.say("test", "all passed");
            Ok(ExitCode::SUCCESS)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn serve_args(args: &[&str]) -> ServeArgs {
        let line = ["xtask", "serve"].iter().chain(args);
        match Cli::try_parse_from(line).unwrap().command {
            Command::Serve(args) => args,
            other => panic!("{other:?} is not serve"),
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn serve_listens_on_loopback_by_default() {
        let args = serve_args(&[]);
        assert_eq!(args.addr, SocketAddr::from(([127, 0, 0, 1], 8000)));
        assert!(!args.demo && args.data_dir.is_none() && args.server_args.is_empty());
    }

    #[test]
    fn what_follows_two_dashes_goes_to_the_server() {
        let args = serve_args(&["--demo", "--addr", "[::1]:9000", "--", "--log", "debug"]);
        assert_eq!(args.addr.to_string(), "[::1]:9000");
        assert_eq!(args.server_args, ["--log", "debug"]);
    }

    #[test]
    fn test_passes_everything_on_to_cargo() {
        let cli = Cli::try_parse_from(["xtask", "test", "--test", "browser", "--", "--nocapture"]);
        let Command::Test { args, .. } = cli.unwrap().command else { panic!("not test") };
        assert_eq!(args, ["--test", "browser", "--", "--nocapture"]);
    }
}
