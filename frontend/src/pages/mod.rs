//! One module a page.

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

#[cfg(test)]
pub mod tests {
    use shared::api::{Run, RunRow, RunState, RunSummary};
    use shared::preset;

    /// A run of the demo that has succeeded and measured nothing.
    pub fn row(id: &str) -> RunRow {
        let run = Run {
            id: id.into(),
            title: "Demo".into(),
            state: RunState::Succeeded,
            config: preset::demo().config,
            created_at: String::new(),
            started_at: None,
            finished_at: None,
            queue_position: None,
            failure: None,
            canceling: false,
            tags: Vec::new(),
            notes: String::new(),
            summary: RunSummary::default(),
        };
        RunRow::of(run, "cpu".into(), 1)
    }
}
