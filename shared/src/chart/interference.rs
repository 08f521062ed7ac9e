//! How relations between classes go together, in the attributions of a comparison beside each other.

use plotters::backend::DrawingBackend;
use strum::IntoEnumIterator;

use super::axes::AXIS_SIZE;
use super::colors::Theme;
use super::comparison::{LETTERS, side_name};
use super::legend::{self, places};
use super::numbers::{Numbers, Values};
use super::pen::{Align, Font, fitted};
use super::scale::{Projection, tick_label, ticks};
use super::tex::{self, Line, Plot, Tex};
use super::{Chart, ChartError, Figure, Pen, Rect};
use crate::api::Comparison;
use crate::id::AttributionId;
use crate::interference::{Association, Interference, Relation};

/// Spearman's rank correlation of each pair of relations, a dot for each attribution; hollow if it may be
/// chance.
#[derive(Clone, Debug, PartialEq)]
pub struct InterferenceChart {
    /// The compared attributions, the baseline first.
    pub sides: Vec<InterferenceSide>,
    pub theme: Theme,
}

#[derive(Clone, Debug, PartialEq)]
pub struct InterferenceSide {
    pub id: AttributionId,
    /// Name such as `A: epoch 12 (best)`.
    pub name: String,
    /// Each pair of relations that its file has.
    pub associations: Vec<Association>,
}

/// Above this p, a correlation may be chance.
const SIGNIFICANT: f64 = 0.05;
const NOTE: &str = "hollow: p above 0.05";
/// Distance between the dots of two attributions.
const APART: f64 = 11.0;
const RADIUS: f64 = 4.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 14.0;
const BOTTOM: f64 = 26.0;
/// Height of a line of the names below.
const LINE: f64 = 14.0;
const STEP: f64 = 0.5;

impl InterferenceChart {
    /// Compares the relations of each attribution. Takes half a second each for 200 classes.
    pub fn of(comparison: &Comparison, theme: Theme) -> Self {
        let side = |index: usize| {
            let attribution = &comparison.attributions[index];
            InterferenceSide {
                id: attribution.context.id.clone(),
                name: format!("{}: {}", LETTERS[index], side_name(comparison, index)),
                associations: Interference::of(&attribution.file).associations,
            }
        };
        InterferenceChart { sides: (0..comparison.attributions.len()).map(side).collect(), theme }
    }

    /// The pairs of relations that an attribution has.
    pub fn relations(&self) -> Vec<[Relation; 2]> {
        let pairs = Relation::iter().flat_map(|x| Relation::iter().map(move |y| [x, y]));
        pairs.filter(|relations| self.sides.iter().any(|side| side.found(*relations).is_some())).collect()
    }
}

impl InterferenceSide {
    pub fn found(&self, relations: [Relation; 2]) -> Option<&Association> {
        self.associations.iter().find(|association| [association.x, association.y] == relations)
    }
}

/// For example `C and traffic`.
pub fn relations_name([x, y]: [Relation; 2]) -> String {
    format!("{} and {}", x.short(), y.short())
}

impl Chart for InterferenceChart {
    fn paint<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>) -> Result<(), ChartError> {
        let palette = self.theme.palette();
        pen.fill(pen.bounds(), palette.surface)?;
        let names = self.sides.iter().map(|side| side.name.as_str()).chain([NOTE]);
        let (keys, top) = places(names, LEFT, pen.width());
        let relations = self.relations();
        let wide = (pen.width() - LEFT - RIGHT).max(1.0);
        let width = wide / relations.len().max(1) as f64;
        let label = |text: &str| fitted(text, AXIS_SIZE, width - 4.0);
        // Names that do not fit have a line for each relation, for their beginnings alone are alike.
        let fit = relations.iter().all(|relations| label(&relations_name(*relations)) == relations_name(*relations));
        let bottom = if fit { BOTTOM } else { BOTTOM + LINE };
        let plot = Rect::new(LEFT, top + 10.0, wide, (pen.height() - top - 10.0 - bottom).max(1.0));
        let y = Projection { values: (-1.0, 1.0), pixels: (plot.bottom(), plot.top) };
        let font = Font::new(AXIS_SIZE, palette.text_muted);
        for value in ticks(y.values, STEP) {
            pen.horizontal(plot.left, plot.right(), y.to_pixel(value), if value == 0.0 { palette.axis } else { palette.grid })?;
            pen.text(&tick_label(value, STEP), (plot.left - 8.0, y.to_pixel(value)), Align::End, font)?;
        }
        let color = |side: usize| palette.series[side % palette.series.len()];
        for (side, (x, y)) in keys.iter().enumerate() {
            let named = self.sides.get(side);
            if named.is_some() {
                pen.disc((x + legend::SAMPLE / 2.0, *y), RADIUS, color(side))?;
            }
            let (text, start) = named.map_or((NOTE, *x), |named| (named.name.as_str(), x + legend::SAMPLE + legend::GAP));
            let color = if named.is_some() { palette.text } else { palette.text_muted };
            pen.text(text, (start, *y), Align::Start, Font::new(legend::TEXT_SIZE, color))?;
        }
        for (place, relations) in relations.into_iter().enumerate() {
            let middle = plot.left + width * (place as f64 + 0.5);
            let lines = if fit { vec![relations_name(relations)] } else { relations.map(|relation| relation.short().to_owned()).to_vec() };
            for (line, text) in (1..).zip(lines) {
                pen.text(&label(&text), (middle, plot.bottom() + LINE * f64::from(line)), Align::Middle, font)?;
            }
            let first = middle - APART * (self.sides.len() as f64 - 1.0) / 2.0;
            for (side, found) in self.sides.iter().enumerate().filter_map(|(side, of)| Some((side, of.found(relations)?))) {
                let at = (first + APART * side as f64, y.to_pixel(found.rank_correlation));
                pen.disc(at, RADIUS, color(side))?;
                if found.p > SIGNIFICANT {
                    pen.disc(at, RADIUS - 1.5, palette.surface)?;
                }
            }
        }
        Ok(())
    }

    fn describe(&self) -> String {
        let names: Vec<&str> = self.sides.iter().map(|side| side.name.as_str()).collect();
        format!("Spearman's rank correlation of {} pairs of relations between classes, for {}.", self.relations().len(), names.join(", "))
    }
}

impl Figure for InterferenceChart {
    fn size(&self) -> (u32, u32) {
        (720, 340)
    }

    /// A row for each pair of relations of each attribution.
    fn numbers(&self) -> Numbers {
        let rows: Vec<(&InterferenceSide, &Association)> =
            self.sides.iter().flat_map(|side| side.associations.iter().map(move |association| (side, association))).collect();
        let number = |of: fn(&Association) -> f64| Values::Numbers(rows.iter().map(|(_, association)| of(association)).collect());
        let relation = |of: fn(&Association) -> Relation| Values::Texts(rows.iter().map(|(_, row)| of(row).to_string()).collect());
        Numbers::table(vec![
            ("attribution", Values::Texts(rows.iter().map(|(side, _)| side.id.to_string()).collect())),
            ("x", relation(|row| row.x)),
            ("y", relation(|row| row.y)),
            ("rank_correlation", number(|row| row.rank_correlation)),
            ("p", number(|row| row.p)),
        ])
    }

    fn write_tex(&self, tex: &mut Tex) {
        let relations = self.relations();
        let colors = self.theme.palette().series.len();
        let apart = 0.5 / self.sides.len().max(1) as f64;
        let marks = |(side, of): (usize, &InterferenceSide)| {
            let start = apart * (side as f64 - (self.sides.len() as f64 - 1.0) / 2.0);
            let points = |is_hollow: bool| {
                let found = relations.iter().enumerate().filter_map(|(place, relations)| Some((place, of.found(*relations)?)));
                let found = found.filter(|(_, found)| (found.p > SIGNIFICANT) == is_hollow);
                found.map(|(place, found)| (place as f64 + start, found.rank_correlation)).collect::<Vec<_>>()
            };
            let style = |mark: &str| format!("only marks, mark={mark}, series{}", side % colors);
            [Line::new(&of.name, style("*"), points(false)), Line::new("", style("o"), points(true))]
        };
        let series = self.sides.iter().enumerate().flat_map(marks).filter(|line| !(line.name.is_empty() && line.points.is_empty()));
        let places: Vec<(f64, String)> =
            relations.iter().enumerate().map(|(place, relations)| (place as f64, relations_name(*relations))).collect();
        let mut options = vec![tex::SIZE.to_owned(), "ymin=-1, ymax=1, ylabel={Spearman's rank correlation}".to_owned()];
        options.push(tex.named_ticks(&places));
        options.extend(["x tick label style={font=\\tiny}", "ymajorgrids", tex::LEGEND].map(str::to_owned));
        let series = series.collect();
        tex.series_colors(self.theme);
        tex.plot(Plot { options, series, verticals: Vec::new() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::svg;
    use crate::fixtures;
    use crate::matrix::Matrix;

    /// Two attributions over five classes: both have C, W and the traffic, and neither has mean features.
    fn chart() -> InterferenceChart {
        let matrix = |seed: usize| {
            let value = |i: usize, j: usize| if i == j { 1.0 } else { ((i * j * seed + i + j) % 7) as f64 / 10.0 };
            Matrix::try_from((0..5).map(|i| (0..5).map(|j| value(i, j)).collect()).collect::<Vec<Vec<f64>>>()).unwrap()
        };
        let attribution = |epoch: u32, seed: usize| {
            let mut attribution = fixtures::attribution("r", epoch, matrix(seed));
            attribution.file.weight_matrix = Some(matrix(seed + 1));
            attribution.file.feature_matrix = None;
            attribution.file.confusion = (0..5).map(|i| (0..5).map(|j| (i * seed + j) as u32 % 4).collect()).collect();
            attribution
        };
        InterferenceChart::of(&Comparison::of(vec![attribution(4, 3), attribution(9, 5)]).unwrap(), Theme::Light)
    }

    #[test]
    fn each_attribution_has_its_correlations_beside_those_of_the_others() {
        let chart = chart();
        let names: Vec<String> = chart.relations().into_iter().map(relations_name).collect();
        assert_eq!(names, ["C and W", "C and traffic", "W and traffic"]);
        let Numbers { table, .. } = chart.numbers();
        let column = |name: &str| &table.iter().find(|(column, _)| column == name).unwrap().1;
        let attributions = ["r.e4.adversarial", "r.e9.adversarial"].map(|id| vec![id.to_owned(); 3]).concat();
        assert_eq!(column("attribution"), &Values::Texts(attributions));
        let expected: Vec<f64> =
            chart.sides.iter().flat_map(|side| side.associations.iter().map(|association| association.rank_correlation)).collect();
        assert_eq!((expected.len(), column("rank_correlation")), (6, &Values::Numbers(expected)));
        let p = chart.sides.iter().flat_map(|side| side.associations.iter().map(|association| association.p)).collect();
        assert_eq!(column("p"), &Values::Numbers(p));
        assert!(chart.describe().contains("3 pairs of relations between classes, for A: epoch 4"), "{}", chart.describe());
    }

    #[test]
    fn a_relation_that_one_file_lacks_is_shown_of_the_other() {
        let mut chart = chart();
        chart.sides[0].associations.retain(|association| association.x != Relation::Weights && association.y != Relation::Weights);
        assert_eq!(chart.relations().len(), 3);
        assert_eq!(chart.sides[0].found([Relation::Attribution, Relation::Weights]), None);
        chart.sides[1].associations.clear();
        assert_eq!(chart.relations(), [[Relation::Attribution, Relation::Traffic]]);
    }

    #[test]
    fn correlations_that_may_be_chance_are_hollow() {
        let drawn = |p: [f64; 3]| {
            let mut chart = chart();
            for side in &mut chart.sides {
                side.associations.iter_mut().zip(p).for_each(|(association, p)| association.p = p);
            }
            let mut tex = Tex::new(str::to_owned);
            chart.write_tex(&mut tex);
            let tex = tex.picture();
            (svg(720, 340, &chart).unwrap().matches("<circle").count(), tex.matches("mark=*").count(), tex.matches("mark=o").count())
        };
        // A dot in the legend and three in the chart for each of two attributions; the middle of a hollow one is a dot too.
        assert_eq!(drawn([0.01, 0.04, 0.05]), (8, 2, 0));
        assert_eq!(drawn([0.01, 0.06, 0.5]), (12, 2, 2));
    }

    #[test]
    fn names_that_do_not_fit_beside_each_other_stand_on_two_lines() {
        let has = |width: u32, text: &str| svg(width, 340, &chart()).unwrap().contains(text);
        assert!(has(720, "C and traffic") && has(720, "W and traffic"));
        assert!(!has(240, " and ") && !has(240, "…") && has(240, "traffic"));
    }

    #[test]
    fn charts_of_any_size_draw_finite_numbers() {
        let empty = InterferenceChart { sides: Vec::new(), theme: Theme::Dark };
        for chart in [chart(), empty] {
            for (width, height) in [(720, 340), (320, 200), (60, 40), (1, 1)] {
                let drawn = svg(width, height, &chart).unwrap();
                assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{width}×{height}");
            }
            let mut tex = Tex::new(str::to_owned);
            chart.write_tex(&mut tex);
            assert!(!tex.picture().contains("nan"));
        }
    }
}
