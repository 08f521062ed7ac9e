use std::env;
use std::io::{IsTerminal, stderr};

use anyhow::Context;
use clap::Parser;
use server::args::{Args, Command, LogFormat};
use server::{backup, presets, serve};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Which lines the log has, for example `info,server=debug`.
const FILTER: &str = "RUST_LOG";
/// These warn about every hatched cell that lies outside a figure.
const QUIET: [&str; 2] = ["tiny_skia", "tiny_skia_path"];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let log = tracing_subscriber::registry().with(filter()?);
    let lines = tracing_subscriber::fmt::layer().with_writer(stderr);
    match args.log_format {
        LogFormat::Text => log.with(lines.with_ansi(stderr().is_terminal())).init(),
        LogFormat::Json => log.with(lines.json()).init(),
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

/// What the log shows: by default all but the finest lines.
fn filter() -> anyhow::Result<Targets> {
    let filter = match env::var(FILTER) {
        Ok(text) => text.parse().with_context(|| format!("{FILTER}=`{text}` is not a filter such as `info,server=debug`"))?,
        Err(_) => Targets::new().with_default(LevelFilter::INFO),
    };
    Ok(filter.with_targets(QUIET.map(|name| (name, LevelFilter::ERROR))))
}
