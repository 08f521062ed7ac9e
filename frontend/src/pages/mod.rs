//! The pages, one module each.

mod attribution;
mod compare;
mod data;
mod new;
mod not_found;
mod queue;
mod run;
mod runs;
mod share;
mod shares;
mod sweep;
mod sweeps;
mod system;
mod theory;
mod trash;

pub use attribution::AttributionPage;
pub use compare::ComparePage;
pub use data::DataPage;
pub use new::NewPage;
pub use not_found::NotFoundPage;
pub use queue::QueuePage;
pub use run::RunPage;
pub use runs::RunsPage;
pub use share::SharedPage;
pub use shares::SharesPage;
pub use sweep::SweepPage;
pub use sweeps::SweepsPage;
pub use system::SystemPage;
pub use theory::TheoryPage;
pub use trash::TrashPage;

#[cfg(test)]
pub mod tests {
    use shared::api::RunRow;
    use shared::fixtures;

    /// A finished run of the demo without measurements.
    pub fn row(id: &str) -> RunRow {
        RunRow::of(fixtures::run(id), "cpu".into(), 1)
    }
}
