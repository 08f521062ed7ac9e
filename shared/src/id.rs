//! Identifiers of runs, checkpoints, attributions, sweeps and share links.
//!
//! An identifier is checked where it is read, and a string in JSON, in the database and in addresses.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::config::Inputs;

/// Identifies a run: 1 to 64 characters of `[a-z0-9-]`, safe in file names and URLs. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(Arc<str>);

/// Identifies a sweep; has the form of a [`RunId`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SweepId(String);

/// Identifies an attribution: `RUN.e12.adversarial`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AttributionId {
    pub run: RunId,
    pub epoch: u32,
    pub inputs: Inputs,
}

/// Identifies a checkpoint: `RUN.e12`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CheckpointId {
    pub run: RunId,
    pub epoch: u32,
}

/// A checkpoint in a configuration: `RUN.e12`, `RUN.best` or `RUN.last`.
///
/// Best and last are resolved when the run starts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CheckpointRef {
    pub run: RunId,
    pub which: Which,
}

/// Selects one checkpoint of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Which {
    Epoch(u32),
    Best,
    Last,
}

/// The secret part of a share link: 160 random bits as 40 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ShareToken(String);

/// Names a share to its owner. Opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareId(pub u32);

/// Error: a text is not an identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    #[error("`{0}` is not a name of [a-z0-9-], at most 64 long")]
    Name(String),
    #[error("`{0}` is not the name of an attribution, such as `RUN.e12.adversarial`")]
    Attribution(String),
    #[error("`{0}` is not the name of a checkpoint, such as `RUN.e12`")]
    Checkpoint(String),
    #[error("{}, such as `RUN.e12`, `RUN.best` or `RUN.last`", match .0.as_str() {
        "" => "names no checkpoint".to_owned(),
        text => format!("`{text}` is not a checkpoint"),
    })]
    CheckpointRef(String),
    /// Does not show the text, which may be a secret with a typing error.
    #[error("not a share token")]
    ShareToken,
}

/// The text of identifiers that are one.
macro_rules! one_text {
    ($($id:ty),+) => {$(
        impl $id {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}
one_text!(RunId, SweepId, ShareToken);

impl AttributionId {
    pub fn checkpoint(&self) -> CheckpointId {
        CheckpointId { run: self.run.clone(), epoch: self.epoch }
    }
}

impl fmt::Display for ShareId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for ShareId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(ShareId)
    }
}

impl fmt::Display for CheckpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.e{}", self.run, self.epoch)
    }
}

impl fmt::Display for CheckpointRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.which {
            Which::Epoch(epoch) => write!(f, "{}.e{epoch}", self.run),
            Which::Best => write!(f, "{}.best", self.run),
            Which::Last => write!(f, "{}.last", self.run),
        }
    }
}

impl fmt::Display for AttributionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.e{}.{}", self.run, self.epoch, self.inputs.id())
    }
}

impl FromStr for RunId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        checked_name(text).map(|name| RunId(name.into()))
    }
}

impl FromStr for SweepId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        checked_name(text).map(|name| SweepId(name.to_owned()))
    }
}

fn checked_name(text: &str) -> Result<&str, IdError> {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_name = (1..=64).contains(&text.len()) && text.bytes().all(is_allowed);
    if is_name { Ok(text) } else { Err(IdError::Name(text.to_owned())) }
}

impl FromStr for ShareToken {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let is_token = text.len() == 40 && text.bytes().all(is_digit);
        if is_token { Ok(ShareToken(text.to_owned())) } else { Err(IdError::ShareToken) }
    }
}

impl FromStr for CheckpointId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let parts = text.rsplit_once(".e");
        parts
            .and_then(|(run, epoch)| Some(CheckpointId { run: run.parse().ok()?, epoch: epoch.parse().ok()? }))
            .ok_or_else(|| IdError::Checkpoint(text.to_owned()))
    }
}

impl FromStr for CheckpointRef {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let bad = || IdError::CheckpointRef(text.to_owned());
        let (run, which) = text.rsplit_once('.').ok_or_else(bad)?;
        let which = match which {
            "best" => Which::Best,
            "last" => Which::Last,
            epoch => Which::Epoch(epoch.strip_prefix('e').and_then(|epoch| epoch.parse().ok()).ok_or_else(bad)?),
        };
        Ok(CheckpointRef { run: run.parse().map_err(|_| bad())?, which })
    }
}

impl FromStr for AttributionId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let bad = || IdError::Attribution(text.to_owned());
        let (checkpoint, inputs) = text.rsplit_once('.').ok_or_else(bad)?;
        let CheckpointId { run, epoch } = checkpoint.parse().map_err(|_| bad())?;
        Ok(AttributionId { run, epoch, inputs: inputs.parse().map_err(|_| bad())? })
    }
}

impl From<CheckpointId> for CheckpointRef {
    fn from(CheckpointId { run, epoch }: CheckpointId) -> Self {
        CheckpointRef { run, which: Which::Epoch(epoch) }
    }
}

/// The conversions that serde uses.
macro_rules! string_in_json {
    ($($id:ty),+) => {$(
        impl TryFrom<String> for $id {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$id> for String {
            fn from(id: $id) -> Self {
                id.to_string()
            }
        }
    )+};
}
string_in_json!(RunId, SweepId, ShareToken, CheckpointId, CheckpointRef, AttributionId);

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use serde::de::DeserializeOwned;

    use super::*;

    /// Reads texts that are identifiers of this type, and refuses the others with a message that names them.
    #[track_caller]
    fn check<T>(good: &[&str], bad: &[&str])
    where
        T: FromStr<Err = IdError> + fmt::Display + Debug + PartialEq + Serialize + DeserializeOwned,
    {
        for text in good {
            let id: T = text.parse().unwrap();
            assert_eq!(id.to_string(), *text);
            assert_eq!(serde_json::to_value(&id).unwrap(), *text);
            assert_eq!(serde_json::from_value::<T>((*text).into()).unwrap(), id);
        }
        for text in bad {
            assert!(text.parse::<T>().unwrap_err().to_string().contains(text), "{text}");
            assert!(serde_json::from_value::<T>((*text).into()).is_err(), "{text}");
        }
    }

    #[test]
    fn an_identifier_is_read_once_and_written_as_it_was() {
        let long = "x".repeat(65);
        check::<RunId>(&["at-digits-7f3a", "r", &long[..64]], &["../etc", "Run", "two words", "", &long]);
        check::<SweepId>(&["radius-7f3a"], &["a/b", ""]);
        check::<CheckpointId>(&["r-1.e12", "r-1.e0"], &["r-1", "r-1.ex", "../r.e1", ".e1", "r.best"]);
        check::<CheckpointRef>(&["r-1.e12", "r-1.best", "r-1.last"], &["r-1", "r-1.ex", "r-1.first", "../r.best", ".best"]);
        check::<AttributionId>(&["r-1.e12.clean", "r-1.e12.adversarial"], &["r.e1", "r.ex.clean", "r.e1.noisy"]);
    }

    #[test]
    fn a_wrong_share_token_is_not_repeated() {
        let token = "0123456789abcdef0123456789abcdef01234567";
        check::<ShareToken>(&[token], &[]);
        for wrong in ["../../etc/passwd", &token[1..], &token.to_uppercase()] {
            assert!(!wrong.parse::<ShareToken>().unwrap_err().to_string().contains(wrong));
        }
    }
}
