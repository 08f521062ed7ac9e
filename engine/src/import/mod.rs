//! Networks that were trained elsewhere: which one a file holds, and what the training log of the paper's public code says.

mod detect;
mod train_log;

pub use detect::{Found, detect};
pub use train_log::TrainLog;
