//! Reproducible random numbers. Each draw has its own seed, made from the run's seed, the purpose of the
//! draw, the epoch and the step.
//!
//! tch cannot save the state of a generator. With named draws that is not needed: a run resumed at epoch 40
//! draws the same numbers there as an uninterrupted run, and skipping an evaluation changes no later draw.

use std::sync::{Mutex, PoisonError};

/// What a draw is used for. The numbers are part of every seed, so the order of the variants must not change.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    Weights = 1,
    LabelNoise,
    Patterns,
    TrainImages,
    TestImages,
    Order,
    Step,
    Evaluation,
    AutoAttack,
    Square,
    Bootstrap,
    Control,
}

/// Names one draw. Equal seeds give equal random numbers.
#[derive(Clone, Copy, Debug)]
pub struct Seed {
    pub run: u32,
    pub purpose: Purpose,
    /// From 1. `epoch` and `step` are 0 where they do not apply.
    pub epoch: u32,
    pub step: u32,
}

impl Seed {
    /// Names a draw that is made once in a run.
    pub fn once(run: u32, purpose: Purpose) -> Self {
        Seed { run, purpose, epoch: 0, step: 0 }
    }

    /// Hashes the name with two rounds of the splitmix64 finalizer, so that similar names give unrelated
    /// seeds.
    fn mixed(self) -> i64 {
        let Seed { run, purpose, epoch, step } = self;
        let name = mix(u64::from(run) << 8 | purpose as u64);
        mix(name ^ (u64::from(epoch) << 32 | u64::from(step))) as i64
    }
}

/// Runs `draw` after seeding libtorch's default generators, so that its random tensors depend only on `seed`.
///
/// Seeds the generator of every device.
pub fn draw<T>(seed: Seed, draw: impl FnOnce() -> T) -> T {
    // libtorch has one default generator for each device and process. Another thread must not reseed it
    // between seeding and drawing.
    static GENERATOR: Mutex<()> = Mutex::new(());
    let _guard = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    tch::manual_seed(seed.mixed());
    draw()
}

fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}
