//! Charts: the same drawing code for the browser's canvas and for the server's SVG and PNG files.
//!
//! A chart is plain data whose geometry is available without drawing. [`Chart::paint`] draws it, and
//! [`Chart::describe`] describes it in words. Lengths are CSS pixels; the pen knows the number of device
//! pixels.

pub mod axes;
pub mod card;
pub mod class_bars;
pub mod color_map;
pub mod colors;
pub mod comparison;
pub mod course;
pub mod curves;
pub mod eps_curve;
pub mod figure;
pub mod heatmap;
pub mod interference;
mod legend;
pub mod line;
pub mod numbers;
pub mod overlaid_curves;
mod pen;
mod scale;
pub mod scatter;
mod svg;
pub mod sweep;
pub mod tex;
pub mod theory;
pub mod transfer;

use plotters::backend::DrawingBackend;
use plotters::coord::Shift;
use plotters::drawing::DrawingArea;
use serde::Deserialize;
use strum::{Display, EnumIter, IntoEnumIterator};

use self::numbers::Numbers;
use self::tex::Tex;
use crate::api::{Attribution, AttributionFile, Comparison};
use crate::export::Exported;
use crate::interference::Relation;

pub use pen::{Pen, Rect};
pub use svg::svg;

/// Error of the drawing backend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot draw the chart: {0}")]
pub struct ChartError(String);

/// A chart that any plotters backend can draw.
pub trait Chart {
    /// Draws the chart and its background on the whole of `pen`.
    fn paint<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>) -> Result<(), ChartError>;

    /// Describes the chart in one or two sentences, for people who cannot see it.
    fn describe(&self) -> String;

    /// Draws on the whole of `area`, with `scale` device pixels per CSS pixel.
    fn draw<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>, scale: f64) -> Result<(), ChartError> {
        self.paint(&Pen::new(area, scale))
    }
}

/// A chart that can be exported: drawn, as LaTeX and as numbers.
pub trait Figure: Chart {
    /// What it is exported as; decides the formats.
    const EXPORTED: Exported = Exported::Chart;

    /// Size to draw at, in CSS pixels.
    fn size(&self) -> (u32, u32);

    /// The numbers it shows, as measured: whole, and in the given order of the classes.
    fn numbers(&self) -> Numbers;

    /// Draws it with pgfplots.
    fn write_tex(&self, tex: &mut Tex);
}

/// Figures of the page of an attribution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Display, EnumIter, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum AttributionFigure {
    #[default]
    Matrix,
    /// The accuracy of each class.
    Classes,
    /// One point per pair of classes: C and the cosine of the rows of W.
    AttributionWeights,
    /// One point per pair of classes: C and the traffic of the attack.
    AttributionTraffic,
    /// One point per pair of classes: the cosine of the rows of W and the traffic of the attack.
    WeightsTraffic,
    /// One point per pair of classes: C and the cosine of the mean features.
    AttributionFeatures,
    /// One point per pair of classes: the cosines of the rows of W and of the mean features.
    WeightsFeatures,
    /// One point per pair of classes: the cosine of the mean features and the traffic of the attack.
    FeaturesTraffic,
}

/// Figures of the page of a comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Display, EnumIter, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ComparisonFigure {
    #[default]
    Matrices,
    /// One point per pair of classes: its cosine in the baseline and in the other attribution.
    Scatter,
    /// Robust accuracy and CAS over epochs, for each run.
    Curves,
    /// Rank correlations of the relations between classes, for each attribution.
    Interference,
}

/// Figures of the page of a sweep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Display, EnumIter, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum SweepFigure {
    /// Robust accuracy, best and last.
    #[default]
    Accuracy,
    /// CAS, best and last.
    Cas,
    /// CAS of the best checkpoint minus CAS of the last.
    CasLost,
    /// Robust accuracy over epochs.
    Epochs,
    /// CAS over epochs.
    CasEpochs,
}

/// Figures of the page of a curve over eps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Display, EnumIter, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum EpsCurveFigure {
    #[default]
    Accuracy,
    /// CAS on the attacked images.
    Cas,
}

/// Figures of the page of the three-class model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Display, EnumIter, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum TheoryFigure {
    /// The learned weights, w₁ and w₂.
    #[default]
    Weights,
    /// Probability to beat one rival class under attack.
    Chance,
}

impl AttributionFigure {
    /// Its name in the menu of exports, and what it is exported as.
    pub fn export(self) -> (&'static str, Exported) {
        match self {
            AttributionFigure::Matrix => ("Matrix", Exported::Matrices),
            AttributionFigure::Classes => ("Accuracy by class", Exported::Chart),
            AttributionFigure::AttributionWeights => ("C and W", Exported::Chart),
            AttributionFigure::AttributionTraffic => ("C and traffic", Exported::Chart),
            AttributionFigure::WeightsTraffic => ("W and traffic", Exported::Chart),
            AttributionFigure::AttributionFeatures => ("C and features", Exported::Chart),
            AttributionFigure::WeightsFeatures => ("W and features", Exported::Chart),
            AttributionFigure::FeaturesTraffic => ("Features and traffic", Exported::Chart),
        }
    }

    /// Whether the file of an attribution has what it shows.
    pub fn suits(self, file: &AttributionFile) -> bool {
        self.relations().into_iter().flatten().all(|relation| relation.is_in(file))
    }

    /// The relations that it holds against each other, if it does that.
    pub fn relations(self) -> Option<[Relation; 2]> {
        match self {
            AttributionFigure::Matrix | AttributionFigure::Classes => None,
            AttributionFigure::AttributionWeights => Some([Relation::Attribution, Relation::Weights]),
            AttributionFigure::AttributionTraffic => Some([Relation::Attribution, Relation::Traffic]),
            AttributionFigure::WeightsTraffic => Some([Relation::Weights, Relation::Traffic]),
            AttributionFigure::AttributionFeatures => Some([Relation::Attribution, Relation::Features]),
            AttributionFigure::WeightsFeatures => Some([Relation::Weights, Relation::Features]),
            AttributionFigure::FeaturesTraffic => Some([Relation::Features, Relation::Traffic]),
        }
    }
}

impl ComparisonFigure {
    /// Its name in the menu of exports, and what it is exported as. `side`: letter of the attribution that the
    /// scatter plot shows.
    pub fn export(self, side: &str) -> (String, Exported) {
        match self {
            ComparisonFigure::Matrices => ("Matrices".to_owned(), Exported::Matrices),
            ComparisonFigure::Scatter => (format!("A against {side}"), Exported::Chart),
            ComparisonFigure::Curves => ("Curves".to_owned(), Exported::Chart),
            ComparisonFigure::Interference => ("Interference".to_owned(), Exported::Chart),
        }
    }

    /// Whether the files of a comparison have what it shows.
    pub fn suits(self, comparison: &Comparison) -> bool {
        let relations = |attribution: &Attribution| Relation::iter().filter(|relation| relation.is_in(&attribution.file)).count();
        match self {
            ComparisonFigure::Matrices | ComparisonFigure::Scatter | ComparisonFigure::Curves => true,
            ComparisonFigure::Interference => comparison.attributions.iter().any(|attribution| relations(attribution) > 1),
        }
    }
}

impl SweepFigure {
    /// Its name in the menu of exports.
    pub fn label(self) -> &'static str {
        match self {
            SweepFigure::Accuracy => "Robust accuracy",
            SweepFigure::Cas => "CAS",
            SweepFigure::CasLost => "CAS, best − last",
            SweepFigure::Epochs => "Robust accuracy over epochs",
            SweepFigure::CasEpochs => "CAS over epochs",
        }
    }
}

impl EpsCurveFigure {
    /// Its name in the menu of exports.
    pub fn label(self) -> &'static str {
        match self {
            EpsCurveFigure::Accuracy => "Accuracy",
            EpsCurveFigure::Cas => "CAS",
        }
    }
}

impl TheoryFigure {
    /// Its name in the menu of exports.
    pub fn label(self) -> &'static str {
        match self {
            TheoryFigure::Weights => "Weights",
            TheoryFigure::Chance => "Chance",
        }
    }
}
