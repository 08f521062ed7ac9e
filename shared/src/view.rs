//! A view of the application as a link: the page, its subject and its lens.
//!
//! The same text is the path in the browser, the content of a share link and the name of a figure.

use std::fmt;
use std::str::FromStr;

use crate::builtin;
use crate::config::Inputs;
use crate::id::{AttributionId, IdError, RunId};

/// Error: a text is not a view.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ViewError {
    #[error(transparent)]
    Id(#[from] IdError),
    #[error("`{0}` is not a page that can be shared; known: /runs/RUN, /attributions/ID, /compare?a=ID&b=ID")]
    Page(String),
    #[error("`{value}` is not a value of `{name}`; known: {known}")]
    Parameter { name: &'static str, value: String, known: &'static str },
}

/// Order of the classes of a matrix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    #[default]
    Given,
    /// By hierarchical clustering of the first matrix of the view.
    Similarity,
    /// By superclass, if the classes have superclasses.
    Superclass,
    /// By similarity to this class in the first matrix of the view, most similar first. The index is that of
    /// the given order.
    Closeness(usize),
    /// By change against the baseline, largest first.
    Change,
}

/// Color map for values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ramp {
    /// From blue for negative through the background color at 0 to orange for positive values.
    #[default]
    Diverging,
    /// From the background color at 0 to blue. Negative values look like 0.
    Sequential,
}

/// Range of the color scale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scale {
    /// −1 to 1, or 0 to 1 with a sequential ramp; also for differences.
    #[default]
    Locked,
    /// Up to the largest absolute value off the diagonal, over all matrices of the page.
    Fitted,
    /// As in the paper's figures: values from 0 to 1 and differences from 0 to 0.5 in blue, negative values
    /// hidden.
    Paper,
}

/// How two matrices are shown, if the page has two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Show {
    /// Each matrix by itself.
    #[default]
    Values,
    /// Each matrix minus the baseline.
    Difference,
    /// The baseline above the diagonal and the other matrix below it.
    Split,
    /// The baseline and the other matrix alternate in the same place.
    Flicker,
}

/// The visible square of a zoomed matrix.
///
/// Unit: hundredths of a class, from the top left corner of the ordered matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    pub row: u32,
    pub column: u32,
    pub span: u32,
}

/// Scale of the vertical axis of losses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LossScale {
    /// Logarithmic if the visible losses differ by more than a factor of 100, else linear.
    #[default]
    Auto,
    Linear,
    Log,
}

/// Names of the curves that can be hidden. The sides of a comparison have the names of [`SIDES`].
pub const CURVES: [&str; 13] = [
    "test_robust",
    "test_clean",
    "train_robust",
    "train_clean",
    "cas",
    "train_loss",
    "test_loss",
    SIDES[0],
    SIDES[1],
    SIDES[2],
    SIDES[3],
    SIDES[4],
    SIDES[5],
];

/// Settings of the curves over epochs, for all such curves of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CurvesLens {
    /// First and last visible epoch, with first < last. `None`: all epochs.
    pub epochs: Option<(u32, u32)>,
    pub loss: LossScale,
    /// Names of the hidden curves, in the order of [`CURVES`].
    pub hidden: Vec<&'static str>,
}

/// Settings of matrices and curves, for the whole page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lens {
    pub order: Order,
    /// Whether each block of two superclasses is shown as one cell, its mean.
    pub blocks: bool,
    pub ramp: Ramp,
    pub scale: Scale,
    /// Cells with an absolute value below `threshold / 100` are blank; 0 shows all.
    pub threshold: u8,
    pub show: Show,
    /// The visible part of the matrix. `None`: all classes.
    pub region: Option<Region>,
    /// The selected cell `(i, j)`: two true classes, as indices of the given order.
    pub cell: Option<(usize, usize)>,
    /// Pinned attribution that differences refer to, if the page itself does not have a baseline.
    pub baseline: Option<AttributionId>,
    pub curves: CurvesLens,
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

impl Region {
    /// A region of a matrix with `classes` classes, in units of classes.
    ///
    /// It covers at least two classes and lies inside the matrix. `None` if it covers the whole matrix.
    pub fn within(row: f64, column: f64, span: f64, classes: usize) -> Option<Self> {
        let all = classes as f64;
        let span = span.max(2.0);
        if span >= all {
            return None;
        }
        let hundredths = |value: f64| (value.clamp(0.0, all - span) * 100.0).round() as u32;
        Some(Region { row: hundredths(row), column: hundredths(column), span: (span * 100.0).round() as u32 })
    }

    /// Row, column and span, in units of classes.
    pub fn classes(self) -> (f64, f64, f64) {
        (f64::from(self.row) / 100.0, f64::from(self.column) / 100.0, f64::from(self.span) / 100.0)
    }
}

impl CurvesLens {
    /// Whether a curve of [`CURVES`] is visible.
    pub fn shows(&self, curve: &str) -> bool {
        !self.hidden.contains(&curve)
    }

    /// Shows or hides a curve of [`CURVES`].
    pub fn switch(&mut self, curve: &str) {
        let switched = |known: &&str| self.shows(known) == (*known == curve);
        self.hidden = CURVES.into_iter().filter(switched).collect();
    }

    /// First and last visible epoch of `epochs` planned ones; all epochs if the selected ones do not exist.
    pub fn sight(&self, epochs: u32) -> (u32, u32) {
        self.epochs.filter(|(first, _)| *first < epochs).map_or((0, epochs), |(first, last)| (first, last.min(epochs)))
    }
}

impl Lens {
    /// Names of its query parameters.
    pub const PARAMETERS: [&str; 12] =
        ["order", "blocks", "ramp", "scale", "threshold", "show", "region", "cell", "base", "epochs", "losses", "hide"];

    /// The parameters that differ from the default, as `name=value`.
    fn parameters(&self) -> Vec<String> {
        let Lens { order, blocks, ramp, scale, threshold, show, region, cell, baseline, curves } = self;
        let CurvesLens { epochs, loss, hidden } = curves;
        let order = match order {
            Order::Given => None,
            Order::Similarity => Some("similarity".to_owned()),
            Order::Superclass => Some("superclass".to_owned()),
            Order::Closeness(class) => Some(format!("closeness:{class}")),
            Order::Change => Some("change".to_owned()),
        };
        let scale = match scale {
            Scale::Locked => None,
            Scale::Fitted => Some("fitted"),
            Scale::Paper => Some("paper"),
        };
        let show = match show {
            Show::Values => None,
            Show::Difference => Some("difference"),
            Show::Split => Some("split"),
            Show::Flicker => Some("flicker"),
        };
        let loss = match loss {
            LossScale::Auto => None,
            LossScale::Linear => Some("linear"),
            LossScale::Log => Some("log"),
        };
        let threshold = (*threshold > 0).then(|| format!("{:.2}", f64::from(*threshold) / 100.0));
        let values = [
            order,
            blocks.then(|| "1".to_owned()),
            (*ramp == Ramp::Sequential).then(|| "sequential".to_owned()),
            scale.map(str::to_owned),
            threshold,
            show.map(str::to_owned),
            region.map(|Region { row, column, span }| format!("{row},{column},{span}")),
            cell.map(|(i, j)| format!("{i},{j}")),
            baseline.as_ref().map(AttributionId::to_string),
            epochs.map(|(first, last)| format!("{first}-{last}")),
            loss.map(str::to_owned),
            (!hidden.is_empty()).then(|| hidden.join(",")),
        ];
        Self::PARAMETERS.into_iter().zip(values).filter_map(|(name, value)| Some(format!("{name}={}", value?))).collect()
    }

    /// Reads the lens from query parameters; ignores unknown ones.
    pub fn from_parameters<'a>(mut get: impl FnMut(&str) -> Option<&'a str>) -> Result<Self, ViewError> {
        let mut read = |name: &str| get(name).map(|value| value.replace("%2C", ",").replace("%3A", ":"));
        let bad = |name, value: &str, known| ViewError::Parameter { name, value: value.to_owned(), known };
        let order = match read("order").as_deref() {
            None | Some("given") => Order::Given,
            Some("similarity") => Order::Similarity,
            Some("superclass") => Order::Superclass,
            Some("change") => Order::Change,
            Some(other) => {
                let class = other.strip_prefix("closeness:").and_then(|class| class.parse().ok());
                Order::Closeness(class.ok_or_else(|| bad("order", other, "given, similarity, superclass, closeness:CLASS, change"))?)
            }
        };
        let blocks = match read("blocks").as_deref() {
            None | Some("0") => false,
            Some("1") => true,
            Some(other) => return Err(bad("blocks", other, "0, 1")),
        };
        let ramp = match read("ramp").as_deref() {
            None | Some("diverging") => Ramp::Diverging,
            Some("sequential") => Ramp::Sequential,
            Some(other) => return Err(bad("ramp", other, "diverging, sequential")),
        };
        let scale = match read("scale").as_deref() {
            None | Some("locked") => Scale::Locked,
            Some("fitted") => Scale::Fitted,
            Some("paper") => Scale::Paper,
            Some(other) => return Err(bad("scale", other, "locked, fitted, paper")),
        };
        let threshold = match read("threshold") {
            None => 0,
            Some(text) => {
                let value = builtin::number(&text).filter(|value| (0.0..=1.0).contains(value));
                (value.ok_or_else(|| bad("threshold", &text, "a number from 0 to 1"))? * 100.0).round() as u8
            }
        };
        let show = match read("show").as_deref() {
            None | Some("values") => Show::Values,
            Some("difference") => Show::Difference,
            Some("split") => Show::Split,
            Some("flicker") => Show::Flicker,
            Some(other) => return Err(bad("show", other, "values, difference, split, flicker")),
        };
        let region = match read("region") {
            None => None,
            Some(text) => {
                let numbers: Option<Vec<u32>> = text.split(',').map(|number| number.parse().ok()).collect();
                match numbers.as_deref() {
                    Some(&[row, column, span]) if span > 0 => Some(Region { row, column, span }),
                    _ => return Err(bad("region", &text, "row, column and span in hundredths of a class such as 400,0,1200")),
                }
            }
        };
        let cell = match read("cell") {
            None => None,
            Some(text) => {
                let cell = text.split_once(',').and_then(|(i, j)| Some((i.parse().ok()?, j.parse().ok()?)));
                Some(cell.ok_or_else(|| bad("cell", &text, "two class indices such as 3,5"))?)
            }
        };
        let baseline = match read("base") {
            None => None,
            Some(text) => Some(text.parse().map_err(|_| bad("base", &text, "an attribution such as RUN.e12.adversarial"))?),
        };
        let epochs = match read("epochs") {
            None => None,
            Some(text) => {
                let epochs = text.split_once('-').and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
                let epochs = epochs.filter(|(first, last): &(u32, u32)| first < last);
                Some(epochs.ok_or_else(|| bad("epochs", &text, "a first and a later last epoch such as 10-40"))?)
            }
        };
        let loss = match read("losses").as_deref() {
            None | Some("auto") => LossScale::Auto,
            Some("linear") => LossScale::Linear,
            Some("log") => LossScale::Log,
            Some(other) => return Err(bad("losses", other, "auto, linear, log")),
        };
        let hidden = match read("hide") {
            None => Vec::new(),
            Some(text) => {
                let names: Vec<&str> = text.split(',').filter(|name| !name.is_empty()).collect();
                if let Some(other) = names.iter().find(|name| !CURVES.contains(name)) {
                    let known = "test_robust, test_clean, train_robust, train_clean, cas, train_loss, test_loss, a to f";
                    return Err(bad("hide", other, known));
                }
                CURVES.into_iter().filter(|curve| names.contains(curve)).collect()
            }
        };
        let curves = CurvesLens { epochs, loss, hidden };
        Ok(Lens { order, blocks, ramp, scale, threshold, show, region, cell, baseline, curves })
    }
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
        let bad = |name, value: &str, known| ViewError::Parameter { name, value: value.to_owned(), known };
        if let Some(run) = path.strip_prefix("/runs/") {
            let run: RunId = run.parse().map_err(|_| page())?;
            let epoch = get("epoch").map(|epoch| epoch.parse().map_err(|_| bad("epoch", epoch, "a number such as 12"))).transpose()?;
            let inputs = match get("inputs") {
                None => Inputs::Adversarial,
                Some(text) => {
                    let known = Inputs::ALL.into_iter().find(|known| known.id() == text);
                    known.ok_or_else(|| bad("inputs", text, "adversarial, clean"))?
                }
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
    fn a_region_stays_inside_the_matrix_and_all_of_it_is_none() {
        for (row, column, span, expected) in [
            (1.0, 2.5, 4.0, Some((1.0, 2.5, 4.0))),
            (-3.0, 9.0, 4.0, Some((0.0, 6.0, 4.0))),
            (0.0, 0.0, 0.1, Some((0.0, 0.0, 2.0))),
            (0.0, 0.0, 10.0, None),
            (0.0, 0.0, f64::NAN, Some((0.0, 0.0, 2.0))),
        ] {
            assert_eq!(Region::within(row, column, span, 10).map(Region::classes), expected, "{row} {column} {span}");
        }
        assert_eq!(Region::within(0.0, 0.0, 1.0, 2), None);
    }

    #[test]
    fn a_curve_is_switched_off_and_on_again() {
        let mut lens = CurvesLens::default();
        lens.switch("cas");
        lens.switch("test_clean");
        assert_eq!(lens.hidden, ["test_clean", "cas"]);
        lens.switch("cas");
        assert!(lens.shows("cas") && !lens.shows("test_clean"));
    }

    #[test]
    fn epochs_in_sight_are_those_that_exist() {
        let sight = |epochs: Option<(u32, u32)>| CurvesLens { epochs, ..CurvesLens::default() }.sight(60);
        assert_eq!(sight(None), (0, 60));
        assert_eq!(sight(Some((10, 40))), (10, 40));
        assert_eq!(sight(Some((50, 4_000_000_000))), (50, 60));
        assert_eq!(sight(Some((60, 70))), (0, 60), "there is nothing to see");
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
