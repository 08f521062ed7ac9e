//! Makes identifiers of new runs, sweeps and share links.

use std::str::FromStr;

use sha2::{Digest, Sha256};
use shared::api::NewSweep;
use shared::config::RunConfig;
use shared::dataset::Dataset;
use shared::id::{RunId, ShareToken, SweepId};

/// Makes a name such as `at-digits-7f3a`; `digits` hexadecimal digits tell runs of one kind apart.
pub fn new_run(config: &RunConfig, digits: usize) -> RunId {
    let what = match config {
        RunConfig::Train(train) => train.training.method.facts().slug,
        other => other.kind().id(),
    };
    let data = config.data().map(|data| format!("-{}", data.dataset.id())).unwrap_or_default();
    let random = format!("{:016x}", rand::random::<u64>());
    let name = format!("{what}{data}-{}", &random[..digits.min(16)]);
    name.replace('_', "-").parse().expect("slugs and names of data sets are short and of [a-z0-9_-]")
}

/// Makes a name such as `radius-7f3a` of what the sweep is called, or of the fields it varies.
pub fn new_sweep(new: &NewSweep) -> SweepId {
    const LONGEST: usize = 40;
    let fields: Vec<&str> = new.axes.iter().map(|axis| axis.field.rsplit('.').next().unwrap_or(&axis.field)).collect();
    let wanted = if new.name.trim().is_empty() { fields.join("-") } else { new.name.to_lowercase() };
    let plain: String =
        wanted.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { ' ' }).collect();
    let words: Vec<&str> = plain.split_whitespace().collect();
    let name: String = words.join("-").chars().take(LONGEST).collect();
    let name = format!("{}-{:04x}", if name.is_empty() { "sweep" } else { &name }, rand::random::<u16>());
    name.parse().expect("it was made of words of [a-z0-9]")
}

pub fn new_share_token() -> ShareToken {
    random_hex().parse().expect("a token is random hexadecimal digits")
}

/// 160 random bits from a generator that is fit for secrets.
pub fn random_hex() -> String {
    hex(rand::random::<[u8; 20]>())
}

/// Name of the runs that are handed over to a lane together: unlike those of all other servers.
pub fn new_batch() -> String {
    format!("crosslens-{}", hex(rand::random::<[u8; 6]>()))
}

/// SHA-256 of a text, as hexadecimal digits.
pub fn sha256(text: &str) -> String {
    hex(Sha256::digest(text))
}

/// Bytes as hexadecimal digits in small letters.
pub fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
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
        text.parse().map(DatasetId).map_err(|_| NotADataset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_run_is_named_after_its_method_and_data() {
        let config = shared::preset::demo().config;
        for digits in [4, 16] {
            assert!(new_run(&config, digits).as_str().starts_with("at-digits-"));
        }
    }

    #[test]
    fn new_tokens_differ() {
        assert_ne!(new_share_token(), new_share_token());
    }
}
