//! Runs that a program of its own writes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::attack::PgdConfig;
use super::check::Check;
use super::data::DataConfig;

/// A run whose directory another program writes, such as a training loop in Python with the package
/// `crosslens`. Servers show it and never start it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExternalConfig {
    /// Name of the run, at most 80 characters.
    #[serde(default)]
    pub name: String,
    /// The device that the program uses.
    #[serde(default = "super::auto_device")]
    pub device: String,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Number of epochs to train; 0 if that is open.
    #[serde(default)]
    pub epochs: u32,
    /// The data set, if it is one that CrossLens knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataConfig>,
    /// The attack that measures robust accuracy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attack: Option<PgdConfig>,
    /// What the program wants to be known of it: texts, numbers, true and false.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, Value>)]
    pub settings: BTreeMap<String, Value>,
}

impl ExternalConfig {
    pub(super) fn title(&self) -> String {
        "External run".to_owned()
    }

    pub(super) fn validate(&self, check: &mut Check) {
        check.that("classes", self.classes.len() >= 2, || format!("names {}; a matrix is over 2 classes or more", self.classes.len()));
        check.data(self.data.as_ref());
        if let Some(attack) = &self.attack {
            check.inside("attack", |check| attack.validate(check));
        }
        let nested = self.settings.iter().find(|(_, value)| matches!(value, Value::Null | Value::Array(_) | Value::Object(_)));
        if let Some((name, value)) = nested {
            check.fail(&format!("settings.{name}"), format!("`{value}` is not a text, a number, true or false"));
        }
    }
}
