//! Reads networks that were trained elsewhere: which network a file holds, which questions it leaves open,
//! the checkpoints of a folder, and the logs that public codes write.

mod detect;
mod normalization;
mod program;
mod reading;
mod series;
mod text_log;
mod train_log;

pub use reading::{Reading, Request, SAMPLE, Sample, read};
pub use series::Series;
pub use text_log::{TextLog, read as read_text_log};
pub use train_log::TrainLog;
