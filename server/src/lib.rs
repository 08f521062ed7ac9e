//! The CrossLens web server: the queue and its workers, run directories as JSON, figures and streams, and
//! share links.
//!
//! Knows no tensors: training happens in a child process (see [`worker`]).

mod api_document;
pub mod app;
pub mod args;
mod auth;
pub mod backup;
mod base_path;
mod changes;
mod datasets;
mod db;
mod disk_space;
mod estimate;
mod extract;
mod figures;
mod fonts;
mod guests;
mod id;
mod latex;
mod launch;
mod live;
mod migrations;
mod npy;
mod numbers;
mod pgfplots;
mod plain_file;
pub mod presets;
mod problem;
mod provenance;
mod proxy;
mod ranges;
mod resources;
mod routes;
mod run_labels;
mod rundir;
pub mod scheduler;
pub mod serve;
mod sessions;
mod share_links;
mod shared_views;
mod shortage;
pub mod state;
mod submit;
mod tail;
mod telemetry;
mod tensorboard;
mod trash;
mod uploads;
mod worker;
mod wrong_tokens;
