//! Fuzzes every parser of foreign bytes with libFuzzer, on stable Rust.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::layout::Layout;
use crate::libtorch::{self, Libtorch};
use crate::process::{answer, run_shown};
use crate::progress::Progress;

/// What libFuzzer needs to see which code an input reaches, <https://llvm.org/docs/LibFuzzer.html>: what cargo-fuzz
/// passes, without the sanitizers, which stable Rust does not have.
const INSTRUMENTED: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
     -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Ccodegen-units=1";

/// Memory above which an input is a finding, in MiB: a picture may take 512 and libtorch takes 400.
const MOST_MEMORY_MIB: u32 = 2048;
/// Time above which an input is a finding, in seconds.
const MOST_SECONDS: u32 = 20;

/// Runs the parsers named in `wanted`, or all, each for `seconds`. Fails at the first finding.
pub fn fuzz(layout: &Layout, progress: &Progress, wanted: &[String], seconds: u64) -> Result<()> {
    let libtorch = libtorch::prepare(layout, progress)?;
    progress.say("fuzz", "building");
    // Its own folder, because everything in it is instrumented.
    let target = layout.target.join("fuzz");
    let host = answer(Command::new("rustc").args(["--print", "host-tuple"]))?;
    let mut cargo = layout.cargo();
    cargo.args(["build", "--release", "--package", "fuzz", "--features", "libfuzzer", "--target-dir"]).arg(&target);
    // Not for build scripts, which are not linked with libFuzzer.
    cargo.args(["--target", &host]).env("RUSTFLAGS", INSTRUMENTED);
    cargo.env("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true").env("CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS", "true");
    libtorch.apply(&mut cargo)?;
    run_shown(&mut cargo)?;
    let program = target.join(&host).join("release/fuzz");
    let mut list = Command::new(&program);
    libtorch.apply(&mut list)?;
    let names = answer(list.env_remove("CROSSLENS_FUZZ_TARGET"))?;
    let names: Vec<&str> = names.lines().collect();
    if let Some(unknown) = wanted.iter().find(|name| !names.contains(&name.as_str())) {
        bail!("no parser is called `{unknown}`; there are {}", names.join(", "));
    }
    let mut total = 0;
    for name in names.into_iter().filter(|name| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name)) {
        progress.say("fuzz", &format!("{name}, {seconds} s"));
        let executions = run(&program, &target, name, seconds, &libtorch)?;
        progress.say("fuzz", &format!("{name}: {executions} inputs, nothing found"));
        total += executions;
    }
    progress.say("fuzz", &format!("{total} inputs in all, nothing found"));
    Ok(())
}

/// Runs one parser and returns how many inputs it was given.
fn run(program: &Path, target: &Path, name: &str, seconds: u64, libtorch: &Libtorch) -> Result<u64> {
    // Inputs that reach new code stay here, so that the next run begins with them.
    let (corpus, found) = (target.join("corpus").join(name), target.join("found"));
    for folder in [&corpus, &found] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let log = found.join(format!("{name}.log"));
    let mut fuzzer = Command::new(program);
    fuzzer.env("CROSSLENS_FUZZ_TARGET", name).env("CROSSLENS_FUZZ_SEEDS", &corpus);
    fuzzer.arg(format!("-max_total_time={seconds}")).arg(format!("-rss_limit_mb={MOST_MEMORY_MIB}"));
    fuzzer.arg(format!("-timeout={MOST_SECONDS}")).arg(format!("-artifact_prefix={}/{name}-", found.display()));
    fuzzer.args(["-print_final_stats=1", "-max_len=65536"]).arg(&corpus);
    let file = fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
    fuzzer.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    libtorch.apply(&mut fuzzer)?;
    let status = fuzzer.status().with_context(|| format!("cannot start {}", program.display()))?;
    let said = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    if !status.success() {
        let end: Vec<&str> = said.lines().rev().take(40).collect();
        eprintln!("{}", end.into_iter().rev().collect::<Vec<_>>().join("\n"));
        bail!("`{name}` has a finding: mend it and put its input, which is named above, into fuzz/found/{name}");
    }
    executions(&said).with_context(|| format!("the fuzzer does not say how many inputs it tried; see {}", log.display()))
}

/// How many inputs libFuzzer has tried, by its last words.
fn executions(said: &str) -> Option<u64> {
    said.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_inputs_is_read_from_the_last_words() {
        assert_eq!(
            executions("Done 5 runs in 1 second(s)\nstat::number_of_executed_units: 2097152\nstat::peak_rss_mb: 3"),
            Some(2_097_152)
        );
        assert_eq!(executions("Segmentation fault"), None);
    }
}
