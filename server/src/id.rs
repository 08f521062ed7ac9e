//! Names that are checked once, where they come in.

use std::fmt;
use std::str::FromStr;

use shared::api::{NewSweep, Run};
use shared::config::RunConfig;
use shared::dataset::Dataset;
use shared::view::{AttributionId, CheckpointId, View, is_run_id};

/// The name of a run; safe as the name of a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(String);

/// A text that cannot be the name of a run or sweep.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a name of [a-z0-9-], at most 64 long")]
pub struct NotARunId(String);

impl RunId {
    /// Makes a name such as `at-digits-7f3a`; `digits` hexadecimal digits tell runs of one kind apart.
    pub fn random(config: &RunConfig, digits: usize) -> Self {
        let what = match config {
            RunConfig::Train(train) => train.training.method.facts().slug,
            other => other.kind().id(),
        };
        let data = config.data().map(|data| format!("-{}", data.dataset.id().replace('_', "-"))).unwrap_or_default();
        let random = format!("{:016x}", rand::random::<u64>());
        RunId(format!("{what}{data}-{}", &random[..digits.min(16)]))
    }

    /// The run of a view's attribution; views hold checked names.
    pub fn of_attribution(id: &AttributionId) -> Self {
        RunId(id.run.clone())
    }

    pub fn of_checkpoint(id: &CheckpointId) -> Self {
        RunId(id.run.clone())
    }

    /// The runs that a view shows, each once.
    pub fn of_view(view: &View) -> Vec<Self> {
        let mut runs = match view {
            View::Run { run, .. } => vec![RunId(run.clone())],
            View::Attribution { id, .. } => vec![Self::of_attribution(id)],
            View::Compare { ids, .. } => ids.iter().map(Self::of_attribution).collect(),
        };
        runs.extend(view.lens().baseline.iter().map(Self::of_attribution));
        runs.sort();
        runs.dedup();
        runs
    }

    /// Runs hold checked names.
    pub fn of_run(run: &Run) -> Self {
        RunId(run.id.clone())
    }

    /// The run that a view is of, where it is of one.
    pub fn of_run_view(view: &View) -> Option<Self> {
        match view {
            View::Run { run, .. } => Some(RunId(run.clone())),
            View::Attribution { .. } | View::Compare { .. } => None,
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of a sweep, in the form of that of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepId(String);

impl SweepId {
    /// Makes a name such as `radius-7f3a` of what the sweep is called, or of the fields it varies.
    pub fn random(new: &NewSweep) -> Self {
        const LONGEST: usize = 40;
        let fields: Vec<&str> = new.axes.iter().map(|axis| axis.field.rsplit('.').next().unwrap_or(&axis.field)).collect();
        let wanted = if new.name.trim().is_empty() { fields.join("-") } else { new.name.to_lowercase() };
        let plain: String =
            wanted.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { ' ' }).collect();
        let words: Vec<&str> = plain.split_whitespace().collect();
        let name: String = words.join("-").chars().take(LONGEST).collect();
        SweepId(format!("{}-{:04x}", if name.is_empty() { "sweep" } else { &name }, rand::random::<u16>()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SweepId {
    type Err = NotARunId;

    fn from_str(text: &str) -> Result<Self, NotARunId> {
        if is_run_id(text) { Ok(SweepId(text.to_owned())) } else { Err(NotARunId(text.to_owned())) }
    }
}

impl FromStr for RunId {
    type Err = NotARunId;

    fn from_str(text: &str) -> Result<Self, NotARunId> {
        if is_run_id(text) { Ok(RunId(text.to_owned())) } else { Err(NotARunId(text.to_owned())) }
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a data set.
#[derive(Clone, Copy, Debug)]
pub struct DatasetId(pub Dataset);

/// A text that is the name of no data set.
#[derive(Debug, thiserror::Error)]
#[error("not a data set")]
pub struct NotADataset;

impl FromStr for DatasetId {
    type Err = NotADataset;

    fn from_str(text: &str) -> Result<Self, NotADataset> {
        Dataset::from_id(text).map(DatasetId).ok_or(NotADataset)
    }
}

/// The secret part of a share link: 160 random bits in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareToken(String);

#[derive(Debug, thiserror::Error)]
#[error("not a share token")]
pub struct NotAShareToken;

impl ShareToken {
    pub fn random() -> Self {
        ShareToken(random_hex())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// 160 random bits from a generator that is fit for secrets.
pub fn random_hex() -> String {
    rand::random::<[u8; 20]>().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl FromStr for ShareToken {
    type Err = NotAShareToken;

    fn from_str(text: &str) -> Result<Self, NotAShareToken> {
        let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == 40 && text.bytes().all(hexadecimal) { Ok(ShareToken(text.to_owned())) } else { Err(NotAShareToken) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_name_is_a_name() {
        let config = shared::preset::demo().config;
        for digits in [4, 16] {
            let id = RunId::random(&config, digits);
            assert!(id.as_str().starts_with("at-digits-"));
            assert_eq!(id.as_str().parse::<RunId>().unwrap(), id);
        }
    }

    #[test]
    fn made_tokens_read_back_and_differ() {
        let token = ShareToken::random();
        assert_eq!(token.as_str().parse::<ShareToken>().unwrap(), token);
        assert_ne!(token, ShareToken::random());
        assert!("../../etc/passwd".parse::<ShareToken>().is_err());
    }
}
