//! A view of the application as a link: the page, its subject and its lens.
//!
//! The same text is the path in the browser, the content of a share link and the name of a figure.

mod cells;
mod lens;

use std::fmt;
use std::str::FromStr;

use crate::config::Inputs;
use crate::id::{AttributionId, IdError, RunId};

pub use self::cells::Cells;
pub use self::lens::{CURVES, CurvesLens, Lens, LensOption, LossScale, Order, Ramp, Region, Scale, Show};

/// Error: a text is not a view.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ViewError {
    #[error(transparent)]
    Id(#[from] IdError),
    #[error("`{0}` is not a page that can be shared; known: /runs/RUN, /attributions/ID, /compare?a=ID&b=ID")]
    Page(String),
    #[error("`{value}` is not a value of `{name}`; known: {known}")]
    Parameter { name: &'static str, value: String, known: String },
}

/// A page and what it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    Run {
        run: RunId,
        /// The epoch of the scrubber. `None`: the best epoch.
        epoch: Option<u32>,
        inputs: Inputs,
        lens: Lens,
    },
    Attribution {
        id: AttributionId,
        lens: Lens,
    },
    /// Two to six attributions, the baseline first.
    Compare {
        ids: Vec<AttributionId>,
        /// Index in `ids` of the attribution plotted pair by pair against the baseline; 1 is the first after
        /// the baseline.
        of: usize,
        lens: Lens,
    },
}

/// Parameter names of the compared attributions, the baseline first.
pub const SIDES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// Index of side `of` (`b` to `f`) among `count` sides; 1 by default, `None` if unknown or out of range.
pub fn side_of(of: Option<&str>, count: usize) -> Option<usize> {
    let Some(of) = of else { return Some(1) };
    SIDES[..count].iter().position(|side| *side == of).filter(|place| *place > 0)
}

impl View {
    /// The lens of the page.
    pub fn lens(&self) -> &Lens {
        match self {
            View::Run { lens, .. } | View::Attribution { lens, .. } | View::Compare { lens, .. } => lens,
        }
    }

    /// The runs that the page shows, each once.
    pub fn runs(&self) -> Vec<RunId> {
        let mut runs = match self {
            View::Run { run, .. } => vec![run.clone()],
            View::Attribution { id, .. } => vec![id.run.clone()],
            View::Compare { ids, .. } => ids.iter().map(|id| id.run.clone()).collect(),
        };
        runs.extend(self.lens().baseline.iter().map(|id| id.run.clone()));
        runs.sort();
        runs.dedup();
        runs
    }

    /// The path inside the application, and the query parameters as `name=value`.
    fn parts(&self) -> (String, Vec<String>) {
        let (path, own) = match self {
            View::Run { run, epoch, inputs, .. } => {
                let epoch = epoch.map(|epoch| format!("epoch={epoch}"));
                let inputs = (*inputs != Inputs::Adversarial).then(|| format!("inputs={}", inputs.id()));
                (format!("/runs/{run}"), epoch.into_iter().chain(inputs).collect())
            }
            View::Attribution { id, .. } => (format!("/attributions/{id}"), Vec::new()),
            View::Compare { ids, of, .. } => {
                let sides = SIDES.iter().zip(ids).map(|(side, id)| format!("{side}={id}"));
                let of = SIDES[..ids.len()].get(*of).filter(|_| *of > 1).map(|side| format!("of={side}"));
                ("/compare".to_owned(), sides.chain(of).collect())
            }
        };
        let mut parameters: Vec<String> = own;
        parameters.extend(self.lens().parameters());
        (path, parameters)
    }
}

/// Path and query inside the application, such as `/compare?a=…&b=…&scale=fitted`.
impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, parameters) = self.parts();
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
        let bad = |name, value: &str, known: &str| ViewError::Parameter { name, value: value.to_owned(), known: known.to_owned() };
        if let Some(run) = path.strip_prefix("/runs/") {
            let run: RunId = run.parse().map_err(|_| page())?;
            let epoch = get("epoch").map(|epoch| epoch.parse().map_err(|_| bad("epoch", epoch, "a number such as 12"))).transpose()?;
            let inputs = match get("inputs") {
                None => Inputs::Adversarial,
                Some(text) => text.parse().map_err(|_| bad("inputs", text, "adversarial, clean"))?,
            };
            return Ok(View::Run { run, epoch, inputs, lens: Lens::from_parameters(get)? });
        }
        if let Some(id) = path.strip_prefix("/attributions/") {
            return Ok(View::Attribution { id: id.parse()?, lens: Lens::from_parameters(get)? });
        }
        if path == "/compare" {
            let ids: Vec<AttributionId> = SIDES.iter().map_while(|side| get(side)).map(str::parse).collect::<Result<_, _>>()?;
            if ids.len() < 2 {
                return Err(page());
            }
            let of = get("of");
            let of = side_of(of, ids.len()).ok_or_else(|| bad("of", of.unwrap_or_default(), "b, c, … of those that are compared"))?;
            return Ok(View::Compare { ids, of, lens: Lens::from_parameters(get)? });
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
        check("/compare?a=r-1.e4.clean&b=r-1.e5.clean&c=r-1.e6.clean&d=r.e1.clean&e=r.e2.clean&f=r.e3.clean&show=split");
        check("/runs/at-digits-7f3a?epoch=40&inputs=clean&show=difference&base=r-2.e4.adversarial");
        check("/attributions/r.e1.clean?order=superclass&blocks=1&ramp=sequential&threshold=0.30&region=400,0,1250");
        check("/attributions/r.e1.clean?order=closeness:7");
        check("/attributions/r.e1.clean?order=change&show=flicker");
        check("/compare?a=r.e1.clean&b=r.e2.clean&c=r.e3.clean&of=c&scale=fitted");
        check("/runs/at-digits-7f3a?epoch=12&epochs=10-40&losses=log&hide=test_clean,cas");
        check("/compare?a=r.e1.clean&b=r.e2.clean&epochs=0-3&losses=linear&hide=train_loss,b");
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
            ("/attributions/r.e1.clean?order=closeness:x", "closeness:x"),
            ("/attributions/r.e1.clean?threshold=2", "`2`"),
            ("/attributions/r.e1.clean?region=1,2", "region"),
            ("/attributions/r.e1.clean?base=r.e1", "base"),
            ("/runs/r?epoch=x", "epoch"),
            ("/compare?a=r.e1.clean&b=r.e2.clean&of=c", "`c` is not a value of `of`"),
            ("/compare?a=r.e1.clean&b=r.e2.clean&of=a", "`a` is not a value of `of`"),
            ("/runs/r?inputs=noisy", "noisy"),
            ("/runs/r?epochs=40-10", "`40-10` is not a value of `epochs`"),
            ("/runs/r?epochs=12", "`12`"),
            ("/runs/r?losses=ln", "`ln` is not a value of `losses`"),
            ("/runs/r?hide=cas,loss", "`loss` is not a value of `hide`"),
        ] {
            let error = path.parse::<View>().unwrap_err().to_string();
            assert!(error.contains(part), "{path}: {error}");
        }
    }
}
