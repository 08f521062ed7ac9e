//! Reads networks that were trained elsewhere: which network a file holds, which questions it leaves open,
//! and the training log of the paper's public code.

mod detect;
mod normalization;
mod program;
mod reading;
mod train_log;

pub use reading::{Reading, Request, SAMPLE, Sample, read};
pub use train_log::TrainLog;
