//! Runs a campaign of kills and prints what came out. `cargo xtask campaign` builds and runs it.

use anyhow::{Context, Result, ensure};
use tests::campaign::campaign;

#[tokio::main]
async fn main() -> Result<()> {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let mut next = || numbers.next().context("give the number of kills and a seed");
    let (kills, seed) = (next()??, next()??);
    let report = campaign(kills.try_into()?, seed, |said| eprintln!("{said}")).await?;
    print!("{report}");
    ensure!(report.differences.is_empty(), "results differ");
    Ok(())
}
