//! The fuzzer: libFuzzer on the parser that `CROSSLENS_FUZZ_TARGET` names; without it, prints the names of all.
//! `cargo xtask fuzz` builds and runs it.
//!
//! `CROSSLENS_FUZZ_SEEDS`: folder that the seeds are written to before it starts.

#![no_main]

use std::sync::OnceLock;
use std::{env, fs, process};

use fuzz::{TARGETS, Target};
use libfuzzer_sys::fuzz_target;

static TARGET: OnceLock<Target> = OnceLock::new();

fuzz_target!(
    init: {
        let Ok(name) = env::var("CROSSLENS_FUZZ_TARGET") else {
            TARGETS.iter().for_each(|target| println!("{}", target.name));
            process::exit(0);
        };
        let target = TARGETS.into_iter().find(|target| target.name == name).expect("there is a parser of this name");
        if let Some(folder) = env::var_os("CROSSLENS_FUZZ_SEEDS") {
            for (index, seed) in (target.seeds)().into_iter().enumerate() {
                let file = std::path::Path::new(&folder).join(format!("seed-{index}"));
                fs::write(file, seed).expect("the folder of seeds can be written");
            }
        }
        TARGET.get_or_init(|| target);
    },
    |bytes: &[u8]| {
        if let Some(target) = TARGET.get() {
            (target.parse)(bytes);
        }
    }
);
