//! Code shared by the browser, the server and the worker: configurations and their validation, records of a
//! run, matrices, views as links, and drawing of charts.
//!
//! Builds for wasm32 and the host. Has no tensors, HTTP, files or clock.

pub mod api;
pub mod breakdown;
pub mod builtin;
pub mod chart;
pub mod cluster;
pub mod config;
pub mod dataset;
pub mod disk;
pub mod eps;
pub mod eps_curve;
pub mod export;
pub mod falling_cas;
#[cfg(not(target_family = "wasm"))]
pub mod fixtures;
pub mod format;
pub mod id;
pub mod inspection;
pub mod interference;
pub mod labels;
pub mod matrix;
pub mod passes;
pub mod preset;
pub mod problem;
pub mod provenance;
pub mod query;
pub mod random;
pub mod record;
pub mod rundir;
pub mod signs;
pub mod spreadsheet;
pub mod sweep;
pub mod theory;
pub mod view;
