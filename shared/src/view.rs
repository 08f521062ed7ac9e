//! A view of the application that a link can carry: which page, of what, and through which lens.
//!
//! The same text is the path in the browser, the content of a share, and the name of a figure.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::config::Inputs;

/// An attribution by name: `RUN.e12.adversarial`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AttributionId {
    pub run: String,
    pub epoch: u32,
    pub inputs: Inputs,
}

/// A checkpoint by name: `RUN.e12`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CheckpointId {
    pub run: String,
    pub epoch: u32,
}

/// A checkpoint as a configuration names it: `RUN.e12`, or `RUN.best` and `RUN.last`, which are looked up when the run starts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CheckpointRef {
    pub run: String,
    pub which: Which,
}

/// Which of a run's checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Which {
    Epoch(u32),
    Best,
    Last,
}

/// Why a text names no view, checkpoint or attribution.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ViewError {
    #[error("`{0}` is not the name of an attribution, such as `RUN.e12.adversarial`")]
    Attribution(String),
    #[error("`{0}` is not the name of a checkpoint, such as `RUN.e12`")]
    Checkpoint(String),
    #[error("`{0}` is not a checkpoint, such as `RUN.e12`, `RUN.best` or `RUN.last`")]
    CheckpointRef(String),
    #[error("`{0}` is not a page that can be shared; known: /runs/RUN, /attributions/ID, /compare?a=ID&b=ID")]
    Page(String),
    #[error("`{value}` is not a value of `{name}`; known: {known}")]
    Parameter { name: &'static str, value: String, known: &'static str },
}

impl fmt::Display for CheckpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.e{}", self.run, self.epoch)
    }
}

impl FromStr for CheckpointId {
    type Err = ViewError;

    fn from_str(text: &str) -> Result<Self, ViewError> {
        let parts = text.rsplit_once(".e").filter(|(run, _)| is_run_id(run));
        parts
            .and_then(|(run, epoch)| Some(CheckpointId { run: run.to_owned(), epoch: epoch.parse().ok()? }))
            .ok_or_else(|| ViewError::Checkpoint(text.to_owned()))
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

impl FromStr for CheckpointRef {
    type Err = ViewError;

    fn from_str(text: &str) -> Result<Self, ViewError> {
        let bad = || ViewError::CheckpointRef(text.to_owned());
        let (run, which) = text.rsplit_once('.').filter(|(run, _)| is_run_id(run)).ok_or_else(bad)?;
        let which = match which {
            "best" => Which::Best,
            "last" => Which::Last,
            epoch => Which::Epoch(epoch.strip_prefix('e').and_then(|epoch| epoch.parse().ok()).ok_or_else(bad)?),
        };
        Ok(CheckpointRef { run: run.to_owned(), which })
    }
}

impl TryFrom<String> for CheckpointRef {
    type Error = ViewError;

    fn try_from(text: String) -> Result<Self, ViewError> {
        text.parse()
    }
}

impl From<CheckpointRef> for String {
    fn from(checkpoint: CheckpointRef) -> Self {
        checkpoint.to_string()
    }
}

impl From<CheckpointId> for CheckpointRef {
    fn from(CheckpointId { run, epoch }: CheckpointId) -> Self {
        CheckpointRef { run, which: Which::Epoch(epoch) }
    }
}

impl AttributionId {
    pub fn checkpoint(&self) -> CheckpointId {
        CheckpointId { run: self.run.clone(), epoch: self.epoch }
    }
}

impl fmt::Display for AttributionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.e{}.{}", self.run, self.epoch, self.inputs.id())
    }
}

impl FromStr for AttributionId {
    type Err = ViewError;

    fn from_str(text: &str) -> Result<Self, ViewError> {
        let bad = || ViewError::Attribution(text.to_owned());
        let (checkpoint, inputs) = text.rsplit_once('.').ok_or_else(bad)?;
        let CheckpointId { run, epoch } = checkpoint.parse().map_err(|_| bad())?;
        let inputs = Inputs::ALL.into_iter().find(|known| known.id() == inputs).ok_or_else(bad)?;
        Ok(AttributionId { run, epoch, inputs })
    }
}

/// Run names are what file systems, URLs and the names above agree on: `[a-z0-9-]`, at most 64.
pub fn is_run_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// How the classes of a matrix are ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    #[default]
    Given,
    /// By clustering of the first matrix of the view.
    Similarity,
}

/// Which values the ends of the color scale stand for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scale {
    /// −1 to 1 on a diverging map; differences −1 to 1 too.
    #[default]
    Locked,
    /// The largest absolute value off the diagonal, on a diverging map.
    Fitted,
    /// 0 to 1 on blues and differences 0 to 0.5, negative values hidden, as the paper prints them.
    Paper,
}

/// How matrices are shown; applies to every matrix of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lens {
    pub order: Order,
    pub scale: Scale,
    /// The selected cell: true classes `(i, j)`, by index as given.
    pub cell: Option<(usize, usize)>,
}

/// A page with what it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    Run { run: String },
    Attribution { id: AttributionId, lens: Lens },
    Compare { a: AttributionId, b: AttributionId, lens: Lens },
}

impl Lens {
    /// The parameters that differ from the default, as `name=value`.
    fn parameters(&self) -> Vec<String> {
        let mut parameters = Vec::new();
        if self.order == Order::Similarity {
            parameters.push("order=similarity".to_owned());
        }
        match self.scale {
            Scale::Locked => {}
            Scale::Fitted => parameters.push("scale=fitted".to_owned()),
            Scale::Paper => parameters.push("scale=paper".to_owned()),
        }
        if let Some((i, j)) = self.cell {
            parameters.push(format!("cell={i},{j}"));
        }
        parameters
    }

    /// Reads the lens off query parameters; those it does not know are others' business.
    pub fn from_parameters<'a>(mut get: impl FnMut(&str) -> Option<&'a str>) -> Result<Self, ViewError> {
        let bad = |name, value: &str, known| ViewError::Parameter { name, value: value.to_owned(), known };
        let order = match get("order") {
            None | Some("given") => Order::Given,
            Some("similarity") => Order::Similarity,
            Some(other) => return Err(bad("order", other, "given, similarity")),
        };
        let scale = match get("scale") {
            None | Some("locked") => Scale::Locked,
            Some("fitted") => Scale::Fitted,
            Some("paper") => Scale::Paper,
            Some(other) => return Err(bad("scale", other, "locked, fitted, paper")),
        };
        let cell = match get("cell") {
            None => None,
            Some(text) => {
                let cell =
                    text.split_once(',').or_else(|| text.split_once("%2C")).and_then(|(i, j)| Some((i.parse().ok()?, j.parse().ok()?)));
                Some(cell.ok_or_else(|| bad("cell", text, "two class indices such as 3,5"))?)
            }
        };
        Ok(Lens { order, scale, cell })
    }
}

/// The path and query of the view inside the application, `/compare?a=…&b=…&scale=fitted`.
impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, mut parameters, lens) = match self {
            View::Run { run } => (format!("/runs/{run}"), Vec::new(), None),
            View::Attribution { id, lens } => (format!("/attributions/{id}"), Vec::new(), Some(lens)),
            View::Compare { a, b, lens } => ("/compare".to_owned(), vec![format!("a={a}"), format!("b={b}")], Some(lens)),
        };
        parameters.extend(lens.into_iter().flat_map(Lens::parameters));
        f.write_str(&path)?;
        if !parameters.is_empty() {
            write!(f, "?{}", parameters.join("&"))?;
        }
        Ok(())
    }
}

impl FromStr for View {
    type Err = ViewError;

    fn from_str(text: &str) -> Result<Self, ViewError> {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let get =
            |name: &str| query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value);
        let page = || ViewError::Page(text.to_owned());
        if let Some(run) = path.strip_prefix("/runs/") {
            return is_run_id(run).then(|| View::Run { run: run.to_owned() }).ok_or_else(page);
        }
        if let Some(id) = path.strip_prefix("/attributions/") {
            return Ok(View::Attribution { id: id.parse()?, lens: Lens::from_parameters(get)? });
        }
        if path == "/compare" {
            let (a, b) = get("a").zip(get("b")).ok_or_else(page)?;
            return Ok(View::Compare { a: a.parse()?, b: b.parse()?, lens: Lens::from_parameters(get)? });
        }
        Err(page())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str) {
        let view: View = path.parse().unwrap();
        assert_eq!(view.to_string(), path);
    }

    #[test]
    fn views_read_back_what_they_write() {
        check("/runs/at-digits-7f3a");
        check("/attributions/at-digits-7f3a.e12.adversarial");
        check("/attributions/at-digits-7f3a.e12.clean?order=similarity&cell=3,5");
        check("/compare?a=r-1.e4.adversarial&b=r-2.e60.adversarial&scale=paper");
    }

    #[test]
    fn a_checkpoint_is_named_by_epoch_or_as_best_and_last() {
        for text in ["r-1.e12", "r-1.best", "r-1.last"] {
            assert_eq!(text.parse::<CheckpointRef>().unwrap().to_string(), text);
        }
        for text in ["r-1", "r-1.ex", "r-1.first", "../r.best", ".best"] {
            assert!(text.parse::<CheckpointRef>().unwrap_err().to_string().contains(text), "{text}");
        }
    }

    #[test]
    fn what_is_no_view_is_named() {
        for (path, part) in [
            ("/runs/../etc", "not a page"),
            ("/settings", "/settings"),
            ("/compare?a=r.e1.clean", "not a page"),
            ("/attributions/r.e1", "`r.e1`"),
            ("/attributions/r.ex.clean", "attribution"),
            ("/attributions/r.e1.clean?scale=log", "`log`"),
            ("/attributions/r.e1.clean?cell=3", "cell"),
        ] {
            let error = path.parse::<View>().unwrap_err().to_string();
            assert!(error.contains(part), "{path}: {error}");
        }
    }
}
