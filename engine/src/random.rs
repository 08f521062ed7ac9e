//! Random numbers by name instead of by order: each draw is seeded from the run's seed, what it is for, the epoch and the step.
//!
//! A generator's state cannot be saved through tch, and with names it need not be: a run that starts at epoch 40 draws what an
//! uninterrupted one draws there, and skipping an evaluation changes nothing that follows.

use std::sync::{Mutex, PoisonError};

/// What random numbers are for.
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

/// The name of a draw.
#[derive(Clone, Copy, Debug)]
pub struct Seed {
    pub run: u32,
    pub purpose: Purpose,
    /// 0 where epochs do not matter, as is `step`.
    pub epoch: u32,
    pub step: u32,
}

impl Seed {
    /// A draw made once per run.
    pub fn once(run: u32, purpose: Purpose) -> Self {
        Seed { run, purpose, epoch: 0, step: 0 }
    }

    /// Two rounds of the splitmix64 finalizer: neighboring names give unrelated seeds.
    fn mixed(self) -> i64 {
        let Seed { run, purpose, epoch, step } = self;
        let name = mix(u64::from(run) << 8 | purpose as u64);
        mix(name ^ (u64::from(epoch) << 32 | u64::from(step))) as i64
    }
}

/// Runs `draw`, whose random tensors depend on `seed` alone, on every device.
pub fn draw<T>(seed: Seed, draw: impl FnOnce() -> T) -> T {
    // libtorch has one default generator per device and process; a second thread must not reseed it between seeding and drawing.
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
