use std::io::{IsTerminal, stderr};

use clap::Parser;
use server::args::{Args, Command, LogFormat};
use server::{backup, presets, serve};
use tracing_subscriber::EnvFilter;

const DEFAULT_FILTER: &str = "info";
/// These warn about every hatched cell that lies outside a figure.
const QUIET: [&str; 2] = ["tiny_skia", "tiny_skia_path"];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    for name in QUIET {
        filter = filter.add_directive(format!("{name}=error").parse()?);
    }
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    match args.log_format {
        LogFormat::Text => log.with_ansi(stderr().is_terminal()).init(),
        LogFormat::Json => log.json().init(),
    }
    match &args.command {
        None => return serve::serve(args).await,
        Some(Command::Presets { preset: None, .. }) => print!("{}", presets::list()),
        Some(Command::Presets { preset: Some(preset), small }) => println!("{}", presets::config(preset, *small)?),
        Some(Command::Backup { dir }) => println!("{}", backup::backup(&args.data_dir, dir).await?),
        Some(Command::Restore { dir }) => println!("{}", backup::restore(dir, &args.data_dir).await?),
    }
    Ok(())
}
