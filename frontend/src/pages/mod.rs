//! One module a page.

mod attribution;
mod compare;
mod data;
mod new;
mod not_found;
mod run;
mod runs;
mod share;
mod sweep;

pub use attribution::AttributionPage;
pub use compare::ComparePage;
pub use data::DataPage;
pub use new::NewPage;
pub use not_found::NotFoundPage;
pub use run::RunPage;
pub use runs::RunsPage;
pub use share::SharedPage;
pub use sweep::SweepPage;
