//! Accuracy or CAS of one checkpoint over the radius of the attack.

use plotters::backend::DrawingBackend;

use super::colors::Theme;
use super::numbers::{Numbers, Values};
use super::sweep::{SweepChart, SweepPoint, SweepSeries, Unit};
use super::tex::Tex;
use super::{Chart, ChartError, EpsCurveFigure, Figure, Pen};
use crate::record::EpsPoint;
use crate::sweep::Spread;

/// One quantity of a curve over eps, with its intervals. Its numbers are those of both quantities.
#[derive(Clone, Debug, PartialEq)]
pub struct EpsCurve {
    points: Vec<EpsPoint>,
    chart: SweepChart,
}

impl EpsCurve {
    /// `points`: by increasing radius.
    pub fn of(points: &[EpsPoint], figure: EpsCurveFigure, theme: Theme) -> Self {
        let value = |point: &EpsPoint| match figure {
            EpsCurveFigure::Accuracy => (point.accuracy, Some(point.accuracy_interval)),
            EpsCurveFigure::Cas => (point.cas, point.cas_interval),
        };
        let spread = |point: &EpsPoint| {
            let (mean, interval) = value(point);
            let [low, high] = interval.unwrap_or([mean; 2]);
            Spread { count: point.images as usize, mean, deviation: None, low, high }
        };
        let series = SweepSeries {
            name: figure.label().to_owned(),
            color: 0,
            dashed: false,
            points: points.iter().map(|point| SweepPoint { x: point.eps.fraction(), spread: spread(point) }).collect(),
        };
        let chart = SweepChart {
            x_name: points.first().map_or_else(|| "eps".to_owned(), |point| format!("eps, {}", point.norm.symbol())),
            x_values: points.iter().map(|point| (point.eps.fraction(), point.eps.to_string())).collect(),
            unit: match figure {
                EpsCurveFigure::Accuracy => Unit::Accuracy,
                EpsCurveFigure::Cas => Unit::Cas,
            },
            series: vec![series],
            note: if points.iter().any(|point| value(point).1.is_some()) { "bars: 95 % intervals" } else { "" },
            theme,
        };
        EpsCurve { points: points.to_vec(), chart }
    }
}

impl Chart for EpsCurve {
    fn paint<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>) -> Result<(), ChartError> {
        self.chart.paint(pen)
    }

    fn describe(&self) -> String {
        self.chart.describe()
    }
}

impl Figure for EpsCurve {
    fn size(&self) -> (u32, u32) {
        self.chart.size()
    }

    /// A row for each radius.
    fn numbers(&self) -> Numbers {
        let number = |of: fn(&EpsPoint) -> f64| Values::Numbers(self.points.iter().map(of).collect());
        let count = |of: fn(&EpsPoint) -> u32| Values::Integers(self.points.iter().map(|point| of(point).into()).collect());
        Numbers::table(vec![
            ("norm", Values::Texts(self.points.iter().map(|point| point.norm.id().to_owned()).collect())),
            ("eps", number(|point| point.eps.fraction())),
            ("step_size", number(|point| point.step_size.map_or(f64::NAN, |size| size.fraction()))),
            ("steps", count(|point| point.steps)),
            ("images", count(|point| point.images)),
            ("correct", count(|point| point.correct)),
            ("accuracy", number(|point| point.accuracy)),
            ("accuracy_low", number(|point| point.accuracy_interval[0])),
            ("accuracy_high", number(|point| point.accuracy_interval[1])),
            ("loss", number(|point| point.loss)),
            ("cas", number(|point| point.cas)),
            ("cas_normalized", number(|point| point.cas_normalized)),
            ("cas_low", number(|point| point.cas_interval.map_or(f64::NAN, |ends| ends[0]))),
            ("cas_high", number(|point| point.cas_interval.map_or(f64::NAN, |ends| ends[1]))),
        ])
    }

    fn write_tex(&self, tex: &mut Tex) {
        self.chart.write_tex(tex);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::svg;
    use crate::fixtures::eps_point;

    #[test]
    fn a_curve_has_its_radii_and_its_intervals() {
        let points = [eps_point(0.0, 900), eps_point(8.0, 470), eps_point(16.0, 120)];
        let curve = EpsCurve::of(&points, EpsCurveFigure::Accuracy, Theme::Light);
        assert_eq!(curve.describe(), "Robust accuracy over eps, ℓ∞: Accuracy from 90.0 % at 0/255 to 12.0 % at 16/255.");
        let drawn = svg(640, 320, &curve).unwrap();
        for text in ["0/255", "16/255", "eps, ℓ∞", "bars: 95 % intervals"] {
            assert!(drawn.contains(&format!(">\n{text}\n")), "{text} is missing");
        }
        let spread = curve.chart.series[0].points[1].spread;
        assert_eq!([spread.low, spread.high], points[1].accuracy_interval);
        let cas = EpsCurve::of(&points, EpsCurveFigure::Cas, Theme::Dark);
        assert_eq!(cas.chart.series[0].points[1].spread.mean, points[1].cas);
        let table = cas.numbers().table;
        assert_eq!(table[6], ("accuracy".to_owned(), Values::Numbers(vec![0.9, 0.47, 0.12])));
        assert!(svg(640, 320, &EpsCurve::of(&[], EpsCurveFigure::Cas, Theme::Light)).unwrap().contains("Nothing is measured yet"));
    }
}
