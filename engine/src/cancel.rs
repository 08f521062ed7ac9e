//! A request to stop, asked for in one thread and seen in another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::Error;

/// Shared by whoever asks and whoever works; looked at before every step of an attack, so that even a slow machine stops soon.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// `Err(Error::Canceled)` once a stop has been requested.
    pub fn check(&self) -> Result<(), Error> {
        if self.0.load(Ordering::Relaxed) { Err(Error::Canceled) } else { Ok(()) }
    }
}
