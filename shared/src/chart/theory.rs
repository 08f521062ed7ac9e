//! The three-class model over the radius of the attack: closed forms as lines, simulations as dots.

use plotters::backend::DrawingBackend;

use super::colors::Theme;
use super::legend::{self, places};
use super::numbers::{Numbers, Values};
use super::pen::{Align, Font, text_width};
use super::scale::{Projection, ROUND, ROUNDEST, round_up, ticks};
use super::tex::{self, Line, Plot, Tex};
use super::{Chart, ChartError, Figure, Pen, Rect};
use crate::format;
use crate::theory::{Answer, Model, Question, Weights};

/// Lines and dots over ε.
#[derive(Clone, Debug, PartialEq)]
pub struct TheoryChart {
    /// What was asked and answered, at radii along the axis.
    question: Question,
    course: Vec<Answer>,
    pub quantity: Quantity,
    pub curves: Vec<Curve>,
    /// Named radii, from which on a kind of feature is not useful.
    pub limits: Vec<(f64, &'static str)>,
    /// The selected radius.
    pub eps: f64,
    /// End of the axis.
    pub largest_eps: f64,
    pub theme: Theme,
}

/// Quantity on the vertical axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// w₁ and w₂.
    Weights,
    /// Probability that the true class beats one rival under attack; the axis spans 0 to 100 %.
    Chance,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    pub name: &'static str,
    pub mark: Mark,
    /// Index into the series colors of the palette.
    pub color: usize,
    /// Points by increasing ε.
    pub points: Vec<(f64, f64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    Line,
    Dashes,
    Dots,
}

const AXIS_SIZE: f64 = 11.0;
/// Space above the plot for the names of the axis and the limits.
const AXIS_NAMES: f64 = 28.0;
const BOTTOM: f64 = 38.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 14.0;
/// Distance of two lines whose names would touch.
const CLOSE: f64 = 24.0;
/// Number of steps of a line of chances, which is curved.
const CHANCE_STEPS: u32 = 100;

impl TheoryChart {
    /// w₁ and w₂ from the closed form and from the simulation.
    pub fn weights(question: &Question, course: &[Answer], theme: Theme) -> Self {
        let (model, label_smoothing) = (question.model, question.loss.label_smoothing());
        let end = question.largest_radius();
        // Between these radii, the closed forms are straight lines.
        let mut corners = vec![0.0, model.cross_class_limit(label_smoothing), model.specific_limit(), end];
        corners.retain(|eps| *eps <= end);
        corners.sort_by(f64::total_cmp);
        corners.dedup();
        let line = |name, color, weight: fn(&Weights) -> f64| {
            let at = |eps: &f64| (*eps, weight(&Model { eps: *eps, ..model }.closed_form(label_smoothing)));
            Curve { name, mark: Mark::Line, color, points: corners.iter().map(at).collect() }
        };
        let dots = |name, color, weight: fn(&Weights) -> f64| {
            let points = course.iter().map(|answer| (answer.eps, weight(&answer.simulated)));
            Curve { name, mark: Mark::Dots, color, points: points.collect() }
        };
        let curves = vec![
            line("w₁, theorem", 0, |weights| weights.specific),
            line("w₂, theorem", 1, |weights| weights.cross),
            dots("w₁, simulated", 0, |weights| weights.specific),
            dots("w₂, simulated", 1, |weights| weights.cross),
        ];
        TheoryChart { quantity: Quantity::Weights, curves, ..Self::empty(question, course, theme) }
    }

    /// Probability of beating one rival: with the weights of the theorem and of the simulation, with w₂ = 0,
    /// and with w₂ = w₁.
    pub fn chance(question: &Question, course: &[Answer], theme: Theme) -> Self {
        let at = |eps: f64| Model { eps, ..question.model };
        let line = |name, mark, color, end: f64, weights: &dyn Fn(f64) -> Weights| {
            let step = end / f64::from(CHANCE_STEPS);
            let radii = (0..=CHANCE_STEPS).map(|index| f64::from(index) * step);
            Curve { name, mark, color, points: radii.map(|eps| (eps, at(eps).chance_to_beat_a_rival(weights(eps)))).collect() }
        };
        let fixed = |cross: f64| move |_: f64| Weights { specific: 1.0, cross };
        // Beyond μ/2, any weights are harmful.
        let (of_use, end) = (question.model.specific_limit(), question.largest_radius());
        let simulated = course.iter().map(|answer| (answer.eps, at(answer.eps).chance_to_beat_a_rival(answer.simulated)));
        let curves = vec![
            line("w₂ = w₁, the best", Mark::Dashes, 2, of_use, &fixed(1.0)),
            line("w₂ = 0", Mark::Dashes, 3, of_use, &fixed(0.0)),
            line("theorem", Mark::Line, 0, end, &|eps| at(eps).closed_form(question.loss.label_smoothing())),
            Curve { name: "simulated", mark: Mark::Dots, color: 0, points: simulated.collect() },
        ];
        TheoryChart { quantity: Quantity::Chance, curves, ..Self::empty(question, course, theme) }
    }

    fn empty(question: &Question, course: &[Answer], theme: Theme) -> Self {
        let model = question.model;
        let label_smoothing = question.loss.label_smoothing();
        let smoothed = (label_smoothing > 0.0).then(|| (model.cross_class_limit(label_smoothing), "ε₁"));
        let limits = [Some((model.cross_class_limit(0.0), "ε₀")), smoothed, Some((model.specific_limit(), "μ/2"))];
        TheoryChart {
            question: *question,
            course: course.to_vec(),
            quantity: Quantity::Weights,
            curves: Vec::new(),
            // If cross-class features are never useful, ε₀ is 0 and has no mark.
            limits: limits.into_iter().flatten().filter(|(eps, _)| *eps > 0.0).collect(),
            eps: model.eps,
            largest_eps: question.largest_radius(),
            theme,
        }
    }

    fn layout(&self, width: f64, height: f64) -> TheoryLayout {
        let (keys, legend_height) = places(self.curves.iter().map(|curve| curve.name), LEFT, width);
        let top = legend_height + AXIS_NAMES;
        let plot = Rect::new(LEFT, top, (width - RIGHT - LEFT).max(1.0), (height - top - BOTTOM).max(1.0));
        let steps = if plot.height >= 130.0 { 5.0 } else { 2.0 };
        let highest = match self.quantity {
            Quantity::Chance => 1.0,
            Quantity::Weights => {
                let highest = self.curves.iter().flat_map(|curve| &curve.points).map(|point| point.1).fold(1e-3, f64::max);
                round_up(highest / steps, &ROUND) * steps
            }
        };
        TheoryLayout {
            plot,
            x: Projection { values: (0.0, self.largest_eps), pixels: (plot.left, plot.right()) },
            y: Projection { values: (0.0, highest), pixels: (plot.bottom(), plot.top) },
            y_step: highest / steps,
            keys,
        }
    }

    fn paint_axes<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, layout: &TheoryLayout) -> Result<(), ChartError> {
        let palette = self.theme.palette();
        let plot = layout.plot;
        let font = Font::new(AXIS_SIZE, palette.text_muted);
        for value in ticks(layout.y.values, layout.y_step) {
            let y = layout.y.to_pixel(value);
            let text = match self.quantity {
                Quantity::Chance => format!("{} %", format::decimal(value * 100.0, 0)),
                Quantity::Weights => rounded(value, layout.y_step),
            };
            pen.horizontal(plot.left, plot.right(), y, palette.grid)?;
            pen.text(&text, (plot.left - 8.0, y), Align::End, font)?;
        }
        pen.horizontal(plot.left, plot.right(), plot.bottom(), palette.axis)?;
        let step = round_up(self.largest_eps / (plot.width / 70.0).clamp(1.0, 8.0), &ROUNDEST);
        for value in ticks(layout.x.values, step) {
            let x = layout.x.to_pixel(value);
            pen.vertical(x, plot.bottom(), plot.bottom() + 4.0, 0.0, palette.axis)?;
            pen.text(&rounded(value, step), (x, plot.bottom() + 13.0), Align::Middle, font)?;
        }
        pen.text("radius ε of the attack", (plot.center().0, plot.bottom() + 29.0), Align::Middle, font)?;
        let name = match self.quantity {
            Quantity::Weights => "weight",
            Quantity::Chance => "chance",
        };
        pen.text(name, (plot.left - 38.0, plot.top - 16.0), Align::Start, font)
    }

    fn paint_legend<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, layout: &TheoryLayout) -> Result<(), ChartError> {
        for (curve, (x, y)) in self.curves.iter().zip(&layout.keys) {
            let sample = match curve.mark {
                Mark::Line | Mark::Dashes => vec![(*x, *y), (x + legend::SAMPLE, *y)],
                Mark::Dots => vec![(x + legend::SAMPLE / 2.0, *y)],
            };
            self.paint_curve(pen, curve, &sample)?;
            let font = Font::new(legend::TEXT_SIZE, self.theme.palette().text);
            pen.text(curve.name, (x + legend::SAMPLE + legend::GAP, *y), Align::Start, font)?;
        }
        Ok(())
    }

    fn paint_curve<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, curve: &Curve, points: &[(f64, f64)]) -> Result<(), ChartError> {
        let palette = self.theme.palette();
        let color = palette.series[curve.color % palette.series.len()];
        match curve.mark {
            Mark::Line => pen.path(points, 2.0, color),
            Mark::Dashes => pen.dashed(points, 1.5, color),
            // A surface-colored center keeps a dot visible on its own line.
            Mark::Dots => points.iter().try_for_each(|point| {
                pen.disc(*point, 4.0, color)?;
                pen.disc(*point, 2.5, palette.surface)
            }),
        }
    }

    /// Draws dashed lines at the limits, with names above the plot, and a solid line at the selected radius,
    /// with its value below.
    fn paint_radii<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, layout: &TheoryLayout) -> Result<(), ChartError> {
        let palette = self.theme.palette();
        let plot = layout.plot;
        let places: Vec<f64> = self.limits.iter().map(|(eps, _)| layout.x.to_pixel(*eps)).collect();
        for (index, (x, (_, name))) in places.iter().zip(&self.limits).enumerate() {
            pen.vertical(*x, plot.top - 8.0, plot.bottom(), 4.0, palette.axis)?;
            // Names of lines that are close give way to each other.
            let is_close = |other: Option<&f64>| other.is_some_and(|other| (other - x).abs() < CLOSE);
            let align = match (is_close(places.get(index + 1)), index > 0 && is_close(places.get(index - 1))) {
                (true, false) => Align::End,
                (false, true) => Align::Start,
                _ => Align::Middle,
            };
            pen.text(name, (*x, plot.top - 16.0), align, Font::new(AXIS_SIZE + 1.0, palette.text))?;
        }
        let x = layout.x.to_pixel(self.eps);
        pen.vertical(x, plot.top, plot.bottom(), 0.0, palette.accent)?;
        let text = format!("ε = {}", trimmed(self.eps));
        let width = text_width(&text, AXIS_SIZE) + 10.0;
        let left = (x - width / 2.0).clamp(0.0, (pen.width() - width).max(0.0));
        pen.fill(Rect::new(left, plot.bottom() + 4.0, width, 18.0), palette.accent)?;
        let font = Font::new(AXIS_SIZE, palette.on_accent).bold();
        pen.text(&text, (left + width / 2.0, plot.bottom() + 13.0), Align::Middle, font)
    }
}

struct TheoryLayout {
    plot: Rect,
    x: Projection,
    y: Projection,
    y_step: f64,
    keys: Vec<(f64, f64)>,
}

impl Chart for TheoryChart {
    fn paint<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>) -> Result<(), ChartError> {
        let layout = self.layout(pen.width(), pen.height());
        pen.fill(pen.bounds(), self.theme.palette().surface)?;
        self.paint_axes(pen, &layout)?;
        self.paint_legend(pen, &layout)?;
        self.paint_radii(pen, &layout)?;
        for curve in &self.curves {
            let points: Vec<(f64, f64)> =
                curve.points.iter().map(|(eps, value)| (layout.x.to_pixel(*eps), layout.y.to_pixel(*value))).collect();
            self.paint_curve(pen, curve, &points)?;
        }
        Ok(())
    }

    fn describe(&self) -> String {
        let what = match self.quantity {
            Quantity::Weights => "Learned weights",
            Quantity::Chance => "Chance to beat one rival under attack",
        };
        let text = |value: f64| match self.quantity {
            Quantity::Weights => format::decimal(value, 2),
            Quantity::Chance => format::percent(value),
        };
        let end = trimmed(self.largest_eps);
        let course = |curve: &Curve| {
            let (first, last) = curve.points.first().zip(curve.points.last())?;
            Some(format!("{} from {} to {}", curve.name, text(first.1), text(last.1)))
        };
        let curves: Vec<String> = self.curves.iter().filter_map(course).collect();
        let limits: Vec<String> = self.limits.iter().map(|(eps, name)| format!("{name} is {}", format::decimal(*eps, 3))).collect();
        format!("{what} for a radius ε from 0 to {end}: {}. {}.", curves.join("; "), limits.join(", "))
    }
}

impl Figure for TheoryChart {
    fn size(&self) -> (u32, u32) {
        (720, 400)
    }

    /// Weights and chances at each radius, whichever are drawn.
    fn numbers(&self) -> Numbers {
        let column = |of: &dyn Fn(&Answer) -> f64| Values::Numbers(self.course.iter().map(of).collect());
        let chance = |eps: f64, weights: Weights| Model { eps, ..self.question.model }.chance_to_beat_a_rival(weights);
        Numbers::table(vec![
            ("eps", column(&|answer| answer.eps)),
            ("w1_theorem", column(&|answer| answer.theorem.specific)),
            ("w2_theorem", column(&|answer| answer.theorem.cross)),
            ("w1_simulated", column(&|answer| answer.simulated.specific)),
            ("w2_simulated", column(&|answer| answer.simulated.cross)),
            ("chance_theorem", column(&|answer| chance(answer.eps, answer.theorem))),
            ("chance_simulated", column(&|answer| chance(answer.eps, answer.simulated))),
        ])
    }

    fn write_tex(&self, tex: &mut Tex) {
        let factor = if self.quantity == Quantity::Chance { 100.0 } else { 1.0 };
        let series = self.curves.iter().map(|curve| {
            let mark = match curve.mark {
                Mark::Line => "thick",
                Mark::Dashes => "dashed",
                Mark::Dots => "only marks, mark=o",
            };
            let points = curve.points.iter().map(|(eps, value)| (*eps, value * factor)).collect();
            Line::new(curve.name, format!("series{}, {mark}", curve.color), points)
        });
        let mut options = vec![tex::SIZE.to_owned(), format!("xmin=0, xmax={}", self.largest_eps), "ymin=0".to_owned()];
        options.push(match self.quantity {
            Quantity::Weights => "ylabel={weight}".to_owned(),
            Quantity::Chance => "ymax=100, ylabel={chance to beat one rival (\\%)}".to_owned(),
        });
        options.extend(["xlabel={radius $\\varepsilon$ of the attack}", "ymajorgrids", tex::LEGEND].map(str::to_owned));
        let verticals = self.limits.iter().map(|(eps, name)| (*eps, (*name).to_owned()));
        tex.series_colors(self.theme);
        tex.plot(Plot { options, series: series.collect(), verticals: verticals.collect() });
    }
}

/// A tick value with as many digits as its step.
fn rounded(value: f64, step: f64) -> String {
    let digits = (0..6).find(|digits| (step * 10f64.powi(*digits)).fract().min(1.0 - (step * 10f64.powi(*digits)).fract()) < 1e-6);
    format::decimal(value, digits.unwrap_or(6) as usize)
}

/// Up to three decimals, without trailing zeros.
fn trimmed(value: f64) -> String {
    ((value * 1000.0).round() / 1000.0).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theory::{Loss, Model, Samples};

    const PLAIN: Loss = Loss::Surrogate { label_smoothing: 0.0 };

    fn question(eps: f64, loss: Loss) -> Question {
        Question { model: Model { eps, ..Question::default().model }, loss }
    }

    #[test]
    fn the_theorem_is_drawn_through_its_corners() {
        let question = question(0.1, PLAIN);
        let chart = TheoryChart::weights(&question, &[], Theme::Light);
        let radii: Vec<f64> = chart.curves[1].points.iter().map(|point| point.0).collect();
        assert_eq!(radii, [0.0, question.model.cross_class_limit(0.0), 0.5, 0.625]);
        assert_eq!(chart.curves[0].points[0], (0.0, 2.0));
        assert!(chart.curves[1].points[1..].iter().all(|point| point.1.abs() < 1e-12), "{:?}", chart.curves[1].points);
        assert_eq!(chart.limits.iter().map(|limit| limit.1).collect::<Vec<_>>(), ["ε₀", "μ/2"]);
        let wide = Question { model: Model { deviation: 3.0, ..question.model }, ..question };
        assert_eq!(TheoryChart::weights(&wide, &[], Theme::Light).limits, [(0.5, "μ/2")], "never of use: nothing ends");
        let smoothed = Question { loss: Loss::Surrogate { label_smoothing: 0.3 }, ..question };
        let limits = TheoryChart::weights(&smoothed, &[], Theme::Light).limits;
        assert_eq!(limits.iter().map(|limit| limit.1).collect::<Vec<_>>(), ["ε₀", "ε₁", "μ/2"]);
        assert!(limits[0].0 < limits[1].0 && limits[1].0 < limits[2].0, "{limits:?}");
    }

    #[test]
    fn the_axis_reaches_the_radius_asked_about() {
        assert_eq!(TheoryChart::weights(&question(0.1, PLAIN), &[], Theme::Light).largest_eps, 0.625);
        assert_eq!(TheoryChart::weights(&question(1.5, PLAIN), &[], Theme::Light).largest_eps, 1.5);
    }

    #[test]
    fn ticks_have_the_digits_of_their_step() {
        for (value, step, expected) in [(0.6, 0.2, "0.6"), (0.15, 0.05, "0.15"), (3.0, 1.0, "3"), (2.5, 0.25, "2.50"), (40.0, 20.0, "40")] {
            assert_eq!(rounded(value, step), expected);
        }
    }
    #[test]
    fn charts_of_any_size_and_question_draw_finite_numbers() {
        use crate::chart::svg;
        let samples = Samples::draw(1, 200);
        for eps in [0.0, 0.2, 5.0] {
            for loss in [PLAIN, Loss::CrossEntropy { label_smoothing: 0.3 }] {
                let question = question(eps, loss);
                let course = question.course(&samples);
                for chart in [TheoryChart::weights(&question, &course, Theme::Light), TheoryChart::chance(&question, &course, Theme::Dark)]
                {
                    for (width, height) in [(720, 360), (340, 280), (60, 40), (1, 1)] {
                        let drawn = svg(width, height, &chart).unwrap();
                        assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{} in {width}×{height}", chart.describe());
                    }
                }
            }
        }
        let question = question(0.2, PLAIN);
        let drawn = svg(720, 360, &TheoryChart::weights(&question, &question.course(&samples), Theme::Light)).unwrap();
        for text in ["ε₀", "μ/2", "ε = 0.2", "w₁, theorem", "w₂, simulated", "radius ε of the attack", "2.0"] {
            assert!(drawn.contains(&format!(">\n{text}\n")), "{text} is missing");
        }
    }
}
