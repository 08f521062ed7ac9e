//! The lens: how the matrices and curves of a page are shown.
//!
//! [`Lens::OPTIONS`] is the one list of its query parameters. Addresses of pages, share links, and the
//! parameters of figures with their documentation are made from it.

use std::fmt;
use std::str::FromStr;

use strum::{Display, EnumIter, EnumString, VariantNames};

use super::{Cells, SIDES, ViewError};
use crate::builtin;
use crate::id::AttributionId;

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Display, EnumIter, EnumString, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Ramp {
    /// From blue for negative through the background color at 0 to orange for positive values.
    #[default]
    Diverging,
    /// From the background color at 0 to blue. Negative values look like 0.
    Sequential,
}

/// Range of the color scale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Display, EnumIter, EnumString, VariantNames)]
#[strum(serialize_all = "snake_case")]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Display, EnumString, VariantNames)]
#[strum(serialize_all = "snake_case")]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Display, EnumString, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum LossScale {
    /// Logarithmic if the visible losses differ by more than a factor of 100, else linear.
    #[default]
    Auto,
    Linear,
    Log,
}

/// Names of the curves that can be hidden. The sides of a comparison have the names of [`SIDES`].
pub const CURVES: [&str; 14] = [
    "test_robust",
    "test_clean",
    "train_robust",
    "train_clean",
    "cas",
    "non_target",
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
    /// What the matrix of a single attribution shows.
    pub cells: Cells,
    /// Whether discs on the cells show the traffic of the attack.
    pub traffic: bool,
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

/// A query parameter of the lens.
#[derive(Clone, Copy, Debug)]
pub struct LensOption {
    pub name: &'static str,
    description: &'static str,
    /// The values it can have.
    known: fn() -> String,
    /// Sets the value; an error is the part of the text that is none.
    read: for<'a> fn(&mut Lens, &'a str) -> Result<(), &'a str>,
    write: fn(&Lens) -> String,
}

impl Lens {
    pub const OPTIONS: [LensOption; 14] = [
        LensOption {
            name: "cells",
            description: "What the matrix of a single attribution shows",
            known: names::<Cells>,
            read: |lens, text| text.parse().map(|cells| lens.cells = cells).map_err(|_| text),
            write: |lens| lens.cells.to_string(),
        },
        LensOption {
            name: "traffic",
            description: "Whether discs on the cells show how often images of two classes are taken for the other one",
            known: || SWITCH.join(", "),
            read: |lens, text| switch(text).map(|on| lens.traffic = on).ok_or(text),
            write: |lens| u8::from(lens.traffic).to_string(),
        },
        LensOption {
            name: "order",
            description: "Order of the classes",
            known: || "given, similarity, superclass, closeness:CLASS, change".to_owned(),
            read: |lens, text| text.parse().map(|order| lens.order = order).map_err(|_| text),
            write: |lens| lens.order.to_string(),
        },
        LensOption {
            name: "blocks",
            description: "Whether superclasses are shown, each cell the mean of its block",
            known: || SWITCH.join(", "),
            read: |lens, text| switch(text).map(|on| lens.blocks = on).ok_or(text),
            write: |lens| u8::from(lens.blocks).to_string(),
        },
        LensOption {
            name: "ramp",
            description: "Color map",
            known: names::<Ramp>,
            read: |lens, text| text.parse().map(|ramp| lens.ramp = ramp).map_err(|_| text),
            write: |lens| lens.ramp.to_string(),
        },
        LensOption {
            name: "scale",
            description: "Range of the color scale",
            known: names::<Scale>,
            read: |lens, text| text.parse().map(|scale| lens.scale = scale).map_err(|_| text),
            write: |lens| lens.scale.to_string(),
        },
        LensOption {
            name: "threshold",
            description: "Cells with a smaller absolute value are blank",
            known: || "a number from 0 to 1".to_owned(),
            read: |lens, text| {
                let value = builtin::number(text).filter(|value| (0.0..=1.0).contains(value)).ok_or(text)?;
                lens.threshold = (value * 100.0).round() as u8;
                Ok(())
            },
            write: |lens| format!("{:.2}", f64::from(lens.threshold) / 100.0),
        },
        LensOption {
            name: "show",
            description: "How two matrices are shown",
            known: names::<Show>,
            read: |lens, text| text.parse().map(|show| lens.show = show).map_err(|_| text),
            write: |lens| lens.show.to_string(),
        },
        LensOption {
            name: "region",
            description: "Visible part of a matrix",
            known: || "row, column and span in hundredths of a class such as 400,0,1200".to_owned(),
            read: |lens, text| {
                let numbers: Option<Vec<u32>> = text.split(',').map(|number| number.parse().ok()).collect();
                match numbers.as_deref() {
                    Some(&[row, column, span]) if span > 0 => lens.region = Some(Region { row, column, span }),
                    _ => return Err(text),
                }
                Ok(())
            },
            write: |lens| lens.region.map(|Region { row, column, span }| format!("{row},{column},{span}")).unwrap_or_default(),
        },
        LensOption {
            name: "cell",
            description: "Marked cell",
            known: || "two class indices such as 3,5".to_owned(),
            read: |lens, text| pair(text, ',').map(|cell| lens.cell = Some(cell)).ok_or(text),
            write: |lens| lens.cell.map(|(i, j)| format!("{i},{j}")).unwrap_or_default(),
        },
        LensOption {
            name: "base",
            description: "Baseline of differences",
            known: || "an attribution such as RUN.e12.adversarial".to_owned(),
            read: |lens, text| text.parse().map(|baseline| lens.baseline = Some(baseline)).map_err(|_| text),
            write: |lens| lens.baseline.as_ref().map(AttributionId::to_string).unwrap_or_default(),
        },
        LensOption {
            name: "epochs",
            description: "Visible epochs of the curves",
            known: || "a first and a later last epoch such as 10-40".to_owned(),
            read: |lens, text| {
                let epochs = pair(text, '-').filter(|(first, last)| first < last).ok_or(text)?;
                lens.curves.epochs = Some(epochs);
                Ok(())
            },
            write: |lens| lens.curves.epochs.map(|(first, last)| format!("{first}-{last}")).unwrap_or_default(),
        },
        LensOption {
            name: "losses",
            description: "Axis of the losses",
            known: names::<LossScale>,
            read: |lens, text| text.parse().map(|loss| lens.curves.loss = loss).map_err(|_| text),
            write: |lens| lens.curves.loss.to_string(),
        },
        LensOption {
            name: "hide",
            description: "Hidden curves and sides of a comparison, separated by commas",
            known: || CURVES.join(", "),
            read: |lens, text| {
                let names: Vec<&str> = text.split(',').filter(|name| !name.is_empty()).collect();
                if let Some(other) = names.iter().find(|name| !CURVES.contains(name)) {
                    return Err(other);
                }
                lens.curves.hidden = CURVES.into_iter().filter(|curve| names.contains(curve)).collect();
                Ok(())
            },
            write: |lens| lens.curves.hidden.join(","),
        },
    ];

    /// Only what the order of the classes depends on.
    pub fn ordering(&self) -> Self {
        Lens { order: self.order, blocks: self.blocks, show: self.show, ..Lens::default() }
    }

    /// The parameters that differ from the default, as `name=value`.
    pub(super) fn parameters(&self) -> Vec<String> {
        let default = Lens::default();
        let written = Self::OPTIONS.iter().map(|option| (option.name, (option.write)(self), (option.write)(&default)));
        written.filter(|(_, value, default)| value != default).map(|(name, value, _)| format!("{name}={value}")).collect()
    }

    /// Reads the lens from query parameters; ignores unknown ones.
    pub fn from_parameters<'a>(mut get: impl FnMut(&str) -> Option<&'a str>) -> Result<Self, ViewError> {
        let mut lens = Lens::default();
        for LensOption { name, known, read, .. } in Self::OPTIONS {
            let Some(text) = get(name) else { continue };
            let text = text.replace("%2C", ",").replace("%3A", ":");
            let wrong = |value: &str| ViewError::Parameter { name, value: value.to_owned(), known: known() };
            read(&mut lens, &text).map_err(wrong)?;
        }
        Ok(lens)
    }
}

impl LensOption {
    /// What it does and which values it can have.
    pub fn documentation(&self) -> String {
        format!("{}: {}.", self.description, (self.known)())
    }
}

/// What stands for off and on.
const SWITCH: [&str; 2] = ["0", "1"];

fn switch(text: &str) -> Option<bool> {
    SWITCH.iter().position(|known| *known == text).map(|index| index == 1)
}

fn names<T: VariantNames>() -> String {
    T::VARIANTS.join(", ")
}

fn pair<T: FromStr>(text: &str, separator: char) -> Option<(T, T)> {
    let (first, second) = text.split_once(separator)?;
    Some((first.parse().ok()?, second.parse().ok()?))
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Order::Given => f.write_str("given"),
            Order::Similarity => f.write_str("similarity"),
            Order::Superclass => f.write_str("superclass"),
            Order::Closeness(class) => write!(f, "closeness:{class}"),
            Order::Change => f.write_str("change"),
        }
    }
}

impl FromStr for Order {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Ok(match text {
            "given" => Order::Given,
            "similarity" => Order::Similarity,
            "superclass" => Order::Superclass,
            "change" => Order::Change,
            other => Order::Closeness(other.strip_prefix("closeness:").and_then(|class| class.parse().ok()).ok_or(())?),
        })
    }
}

impl Ramp {
    pub fn label(self) -> &'static str {
        match self {
            Ramp::Diverging => "Signed",
            Ramp::Sequential => "Sequential",
        }
    }
}

impl Scale {
    pub fn label(self) -> &'static str {
        match self {
            Scale::Locked => "Locked",
            Scale::Fitted => "Fitted",
            Scale::Paper => "As in the paper",
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::colors::Theme;
    use crate::chart::curves::Curves;
    use crate::chart::heatmap::Heatmap;
    use crate::dataset::Dataset;
    use crate::matrix::Matrix;
    use crate::record::Metrics;
    use crate::{fixtures, preset};

    /// A lens without defaults. Names every field, so that a new one is looked at here.
    fn changed() -> Lens {
        Lens {
            cells: Cells::Traffic,
            traffic: true,
            order: Order::Closeness(7),
            blocks: true,
            ramp: Ramp::Sequential,
            scale: Scale::Paper,
            threshold: 30,
            show: Show::Split,
            region: Some(Region { row: 400, column: 0, span: 1250 }),
            cell: Some((3, 5)),
            baseline: Some("r.e1.clean".parse().unwrap()),
            curves: CurvesLens { epochs: Some((10, 40)), loss: LossScale::Log, hidden: vec!["cas", "b"] },
        }
    }

    #[test]
    fn every_field_has_an_option_that_writes_and_reads_it() {
        let lens = changed();
        let written = lens.parameters();
        assert_eq!(written.len(), Lens::OPTIONS.len(), "{written:?}");
        let get = |name: &str| written.iter().find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        assert_eq!(Lens::from_parameters(get), Ok(lens));
        assert!(Lens::default().parameters().is_empty());
    }

    #[test]
    fn every_option_changes_a_chart() {
        let attribution = |epoch: u32| {
            let features = (0..100).map(|class| vec![1.0, f64::from(class % 7), f64::from(class * epoch % 11)]);
            let mut attribution = fixtures::attribution("r", epoch, Matrix::cosine(&features.collect::<Vec<_>>()));
            attribution.file.class_names = Dataset::Cifar100.info().class_names;
            attribution.file.confusion = (0..100).map(|i| (0..100).map(|j| (i * j * epoch) % 13).collect()).collect();
            attribution
        };
        let (one, other, config) = (attribution(1), attribution(2), preset::demo().config);
        let drawn = |lens: &Lens| {
            let curves = Curves::of(&Metrics::default(), &config, Theme::Light).seen(&lens.curves);
            (Heatmap::of(&one, Some(&other), lens, Theme::Light), curves)
        };
        // Only superclasses have blocks.
        let former = Lens { order: Order::Superclass, ..Lens::default() };
        // The page finds the baseline before it draws.
        for LensOption { name, read, write, .. } in Lens::OPTIONS.into_iter().filter(|option| option.name != "base") {
            let mut lens = former.clone();
            read(&mut lens, &write(&changed())).unwrap();
            assert!(drawn(&lens) != drawn(&former), "{name} changes nothing");
        }
    }

    #[test]
    fn values_are_read_as_browsers_escape_them_and_defaults_may_be_named() {
        let read = |name: &str, value| Lens::from_parameters(move |asked| (asked == name).then_some(value)).unwrap();
        assert_eq!(read("cell", "3%2C5").cell, Some((3, 5)));
        assert_eq!(read("order", "closeness%3A7").order, Order::Closeness(7));
        for (name, value) in [("order", "given"), ("blocks", "0"), ("scale", "locked"), ("losses", "auto"), ("hide", "")] {
            assert_eq!(read(name, value), Lens::default(), "{name}={value}");
        }
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
}
