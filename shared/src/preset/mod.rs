//! Presets: configurations to start from, with their sources.

mod beyond;
mod paper;
mod small;

use serde::{Deserialize, Serialize};

use crate::api::SweepAxis;
use crate::config::RunConfig;

pub use small::demo;

/// A configuration to start from.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Preset {
    pub id: String,
    pub group: PresetGroup,
    pub title: String,
    pub description: String,
    /// Source of the settings.
    pub source: String,
    pub config: RunConfig,
    /// The same experiment on generated images; takes minutes on two CPU cores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub small: Option<RunConfig>,
    /// Axes of the sweep, if the experiment is a sweep. The small version uses every other value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sweep: Vec<SweepAxis>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PresetGroup {
    /// Runs on any machine immediately.
    Start,
    /// An experiment of the paper.
    Paper,
    /// An experiment beyond the paper.
    Beyond,
}

/// All presets, the demo first.
pub fn all() -> Vec<Preset> {
    [small::presets(), paper::presets(), beyond::presets()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RunKind;

    #[test]
    fn every_preset_is_valid_and_reads_back() {
        for preset in all() {
            for config in preset.small.iter().chain([&preset.config]) {
                // The user must first choose checkpoints for saliency.
                let waits = if config.kind() == RunKind::Saliency { vec!["checkpoints"] } else { Vec::new() };
                let errors = config.validate();
                assert_eq!(errors.iter().map(|error| error.field.as_str()).collect::<Vec<_>>(), waits, "{}: {errors:?}", preset.id);
                if waits.is_empty() {
                    assert_eq!(RunConfig::parse(&config.to_json()).as_ref(), Ok(config), "{}", preset.id);
                }
            }
        }
    }

    #[test]
    fn presets_have_names_of_their_own() {
        let mut ids: Vec<String> = all().into_iter().map(|preset| preset.id).collect();
        let count = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }
}
