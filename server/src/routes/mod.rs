//! The handlers, one file for each resource.

pub mod actions;
pub mod attributions;
pub mod changes;
pub mod checkpoints;
pub mod comparisons;
pub mod datasets;
pub mod eps_curves;
pub mod estimates;
pub mod lanes;
pub mod meta;
pub mod pages;
pub mod pairs;
pub mod problems;
pub mod queue;
pub mod runs;
pub mod session;
pub mod shares;
pub mod sweeps;
pub mod system;
pub mod theory;
pub mod transfers;
pub mod trash;
