//! Fills a data folder with generated runs, to test tables of thousands:
//! `cargo run --release -p tests --example fill -- FOLDER 10000`.

use std::path::Path;

use anyhow::{Context, Result};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().context("name the data folder")?;
    let count = arguments.next().context("say how many runs")?;
    tests::write_runs(Path::new(&folder), count.parse().with_context(|| format!("`{count}` is not a number of runs"))?)
}
