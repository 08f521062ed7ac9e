//! Request and response bodies of the HTTP API, by resource.

mod attributions;
mod checkpoints;
mod comparisons;
mod datasets;
mod disk;
mod evaluations;
mod lanes;
mod pairs;
pub mod path;
mod queue;
mod run_actions;
mod run_rows;
mod runs;
mod saliency;
mod shares;
mod sweeps;
mod system;
mod trash;

pub use attributions::*;
pub use checkpoints::*;
pub use comparisons::*;
pub use datasets::*;
pub use disk::*;
pub use evaluations::*;
pub use lanes::*;
pub use pairs::*;
pub use queue::*;
pub use run_actions::*;
pub use run_rows::*;
pub use runs::*;
pub use saliency::*;
pub use shares::*;
pub use sweeps::*;
pub use system::*;
pub use trash::*;
