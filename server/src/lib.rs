//! The CrossLens web server: the queue and its workers, run directories as JSON, figures and streams, and share links.
//!
//! Knows no tensors: training happens in a child process (see [`worker`]).

pub mod app;
pub mod args;
mod auth;
mod content;
mod datasets;
mod db;
mod embed;
mod estimate;
mod extract;
mod figures;
mod fonts;
mod id;
mod ingest;
mod latex;
mod npy;
mod numbers;
mod pgfplots;
mod problem;
mod routes;
mod rundir;
mod scheduler;
pub mod serve;
pub mod state;
mod submit;
mod tail;
mod tensorboard;
mod worker;
