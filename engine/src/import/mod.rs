//! Networks that were trained elsewhere: which one a file holds, what that leaves open, and what the training log of the paper's public
//! code says.

mod detect;
mod normalization;
mod reading;
mod train_log;

pub use reading::{Reading, Request, SAMPLE, Sample, read};
pub use train_log::TrainLog;
