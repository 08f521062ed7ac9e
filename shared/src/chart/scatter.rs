//! Scatter plot of pairs of classes: a relation of the two against another, such as their cosines in two
//! matrices.

use plotters::backend::DrawingBackend;

use super::axes::AXIS_SIZE;
use super::colors::Theme;
use super::comparison::{LETTERS, side_name};
use super::numbers::{Numbers, Values};
use super::pen::{Align, Font, fitted, text_width};
use super::scale::{Projection, ROUND, round_up, tick_label, ticks};
use super::tex::{Line, Plot, Tex};
use super::{Chart, ChartError, Figure, Pen, Rect};
use crate::api::{AttributionFile, Comparison};
use crate::format;
use crate::interference::Relation;
use crate::matrix::Matrix;
use crate::view::SIDES;

/// All pairs `i < j` of two matrices over the same classes.
#[derive(Clone, Debug, PartialEq)]
pub struct Scatter {
    pub points: Vec<Point>,
    /// Names of the values in tables.
    columns: [&'static str; 2],
    /// Whether both values are of one kind. Both axes then have the same range, and pairs whose values are
    /// equal lie on a dashed diagonal.
    alike: bool,
    /// Class names, by class index.
    pub labels: Vec<String>,
    /// Names of the axes, such as `C of A: epoch 12 (best)`.
    pub x_name: String,
    pub y_name: String,
    pub theme: Theme,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    pub i: usize,
    pub j: usize,
    pub x: f64,
    pub y: f64,
}

/// The mark of one pair, for a second, transparent canvas above the points.
#[derive(Clone, Copy, Debug)]
pub struct PointMark<'a> {
    pub scatter: &'a Scatter,
    /// Class indices, in any order.
    pub pair: (usize, usize),
}

/// Parts of the chart, and projections between data and pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct ScatterLayout {
    /// Area of the points, a square.
    pub plot: Rect,
    x: Projection,
    y: Projection,
    /// Distances between the ticks of the axes.
    steps: [f64; 2],
}

const LEFT: f64 = 58.0;
const TOP: f64 = 12.0;
const RIGHT: f64 = 16.0;
const BOTTOM: f64 = 42.0;
/// Maximum distance in pixels at which a point is found.
const REACH: f64 = 14.0;
/// Above this number, points are small.
const MANY: usize = 1500;

impl Scatter {
    /// The baseline of a comparison against the attribution with index `side`.
    pub fn comparison(comparison: &Comparison, side: usize, theme: Theme) -> Self {
        let (x, y) = (&comparison.baseline().file, &comparison.attributions[side].file);
        let names = [0, side].map(|index| format!("C of {}: {}", LETTERS[index], side_name(comparison, index)));
        Scatter { columns: [0, side].map(|index| SIDES[index]), ..Scatter::of(&x.matrix, &y.matrix, &x.class_names, names, theme) }
    }

    /// Two relations between the classes of an attribution; `None` if its file does not have both.
    pub fn relations(file: &AttributionFile, relations: [Relation; 2], theme: Theme) -> Option<Self> {
        let [x, y] = relations.map(|relation| relation.of(file));
        let names = relations.map(|relation| relation.label().to_owned());
        let columns = relations.map(Into::into);
        Some(Scatter { columns, alike: false, ..Scatter::of(&x?, &y?, &file.class_names, names, theme) })
    }

    fn of(x: &Matrix, y: &Matrix, labels: &[String], names: [String; 2], theme: Theme) -> Self {
        let classes = x.classes().min(y.classes());
        let pairs = (0..classes).flat_map(|i| (i + 1..classes).map(move |j| (i, j)));
        let [x_name, y_name] = names;
        let points = pairs.map(|(i, j)| Point { i, j, x: x.get(i, j), y: y.get(i, j) }).collect();
        Scatter { points, columns: [SIDES[0], SIDES[1]], alike: true, labels: labels.to_vec(), x_name, y_name, theme }
    }

    /// Layout in a square within a box.
    pub fn layout(&self, width: f64, height: f64) -> ScatterLayout {
        let side = (width - LEFT - RIGHT).min(height - TOP - BOTTOM).max(1.0);
        let plot = Rect::new(LEFT, TOP, side, side);
        let [(x, x_step), (y, y_step)] = self.ranges().map(|(low, high)| {
            let step = round_up((high - low) / (side / 60.0).clamp(2.0, 8.0), &ROUND);
            (((low / step + 1e-9).floor() * step, (high / step - 1e-9).ceil() * step), step)
        });
        ScatterLayout {
            plot,
            x: Projection { values: x, pixels: (plot.left, plot.right()) },
            y: Projection { values: y, pixels: (plot.bottom(), plot.top) },
            steps: [x_step, y_step],
        }
    }

    /// Smallest and largest value on each axis, 0 included.
    fn ranges(&self) -> [(f64, f64); 2] {
        // Values that are all alike need a range as well.
        let least = if self.alike { 0.1 } else { 1e-3 };
        let of = |value: fn(&Point) -> f64| {
            let values = self.points.iter().map(value);
            values.fold((0.0, least), |(low, high), value| (f64::min(low, value), f64::max(high, value)))
        };
        let (x, y) = (of(|point| point.x), of(|point| point.y));
        let both = (f64::min(x.0, y.0), f64::max(x.1, y.1));
        if self.alike { [both, both] } else { [x, y] }
    }

    /// Height for a given width.
    pub fn natural_height(width: f64) -> f64 {
        (width - LEFT - RIGHT).max(1.0) + TOP + BOTTOM
    }

    /// The pair of the nearest point, if it is within reach.
    pub fn pair_at(&self, layout: &ScatterLayout, x: f64, y: f64) -> Option<(usize, usize)> {
        let distance = |point: &Point| {
            let (px, py) = layout.place(point);
            (px - x).hypot(py - y)
        };
        let nearest = self.points.iter().map(|point| (point, distance(point))).min_by(|a, b| a.1.total_cmp(&b.1));
        nearest.filter(|(_, distance)| *distance <= REACH).map(|(point, _)| (point.i, point.j))
    }

    fn point(&self, (i, j): (usize, usize)) -> Option<&Point> {
        let (i, j) = (i.min(j), i.max(j));
        self.points.iter().find(|point| (point.i, point.j) == (i, j))
    }

    fn name(&self, class: usize) -> String {
        self.labels.get(class).cloned().unwrap_or_else(|| class.to_string())
    }
}

impl ScatterLayout {
    /// Position of a point in pixels.
    pub fn place(&self, point: &Point) -> (f64, f64) {
        (self.x.to_pixel(point.x), self.y.to_pixel(point.y))
    }
}

impl Chart for Scatter {
    fn paint<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>) -> Result<(), ChartError> {
        let palette = self.theme.palette();
        let layout = self.layout(pen.width(), pen.height());
        let plot = layout.plot;
        pen.fill(pen.bounds(), palette.surface)?;
        let font = Font::new(AXIS_SIZE, palette.text_muted);
        let [x_step, y_step] = layout.steps;
        for value in ticks(layout.y.values, y_step) {
            let y = layout.y.to_pixel(value);
            pen.horizontal(plot.left, plot.right(), y, palette.grid)?;
            pen.text(&tick_label(value, y_step), (plot.left - 8.0, y), Align::End, font)?;
        }
        for value in ticks(layout.x.values, x_step) {
            let x = layout.x.to_pixel(value);
            pen.vertical(x, plot.top, plot.bottom(), 0.0, palette.grid)?;
            pen.text(&tick_label(value, x_step), (x, plot.bottom() + 13.0), Align::Middle, font)?;
        }
        if self.alike {
            let (low, high) = layout.x.values;
            let corner = |value: f64| (layout.x.to_pixel(value), layout.y.to_pixel(value));
            pen.dashed(&[corner(low), corner(high)], 1.0, palette.axis)?;
        }
        for point in &self.points {
            let (x, y) = layout.place(point);
            if self.points.len() > MANY {
                pen.fill(Rect::new(x - 1.0, y - 1.0, 2.0, 2.0), palette.series[0])?;
            } else {
                pen.disc((x, y), 3.0, palette.series[0])?;
            }
        }
        let x_name = fitted(&self.x_name, AXIS_SIZE, plot.width);
        pen.text(&x_name, (plot.center().0, plot.bottom() + 31.0), Align::Middle, font)?;
        let y_name = fitted(&self.y_name, AXIS_SIZE, plot.height);
        // The position of an upward text is its lower end.
        let start = plot.center().1 + text_width(&y_name, AXIS_SIZE) / 2.0;
        pen.text(&y_name, (12.0, start), Align::Start, Font { upward: true, ..font })
    }

    fn describe(&self) -> String {
        if !self.alike {
            return format!("{} against {}, {} pairs of classes.", self.x_name, self.y_name, self.points.len());
        }
        let (below, above) =
            (self.points.iter().filter(|point| point.y < point.x).count(), self.points.iter().filter(|point| point.y > point.x).count());
        format!(
            "{} against {}, {} pairs of classes: {above} are more alike in the second, {below} less.",
            self.x_name,
            self.y_name,
            self.points.len()
        )
    }
}

impl Figure for Scatter {
    fn size(&self) -> (u32, u32) {
        const WIDTH: u32 = 560;
        (WIDTH, Scatter::natural_height(f64::from(WIDTH)).ceil() as u32)
    }

    /// A row for each pair.
    fn numbers(&self) -> Numbers {
        let class = |of: fn(&Point) -> usize| Values::Texts(self.points.iter().map(|point| self.labels[of(point)].clone()).collect());
        let value = |of: fn(&Point) -> f64| Values::Numbers(self.points.iter().map(of).collect());
        Numbers::table(vec![
            ("class_i", class(|point| point.i)),
            ("class_j", class(|point| point.j)),
            (self.columns[0], value(|point| point.x)),
            (self.columns[1], value(|point| point.y)),
        ])
    }

    fn write_tex(&self, tex: &mut Tex) {
        let [(low, high), _] = self.ranges();
        let points = self.points.iter().map(|point| (point.x, point.y)).collect();
        let diagonal = self.alike.then(|| Line::new("", "dashed, gray", vec![(low, low), (high, high)]));
        let series = diagonal.into_iter().chain([Line::new("", "only marks, mark=*, mark size=1pt, series0", points)]).collect();
        let names = [("xlabel", &self.x_name), ("ylabel", &self.y_name)].map(|(axis, name)| format!("{axis}={{{}}}", tex.escaped(name)));
        let options = ["width=9cm, height=9cm", "grid=major"].map(str::to_owned).into_iter().chain(names).collect();
        tex.series_colors(self.theme);
        tex.plot(Plot { options, series, verticals: Vec::new() });
    }
}

impl Chart for PointMark<'_> {
    fn paint<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>) -> Result<(), ChartError> {
        let Some(point) = self.scatter.point(self.pair) else { return Ok(()) };
        let palette = self.scatter.theme.palette();
        let layout = self.scatter.layout(pen.width(), pen.height());
        let (x, y) = layout.place(point);
        pen.disc((x, y), 7.0, palette.text)?;
        pen.disc((x, y), 5.5, palette.surface)?;
        pen.disc((x, y), 4.0, palette.accent)
    }

    fn describe(&self) -> String {
        let Some(point) = self.scatter.point(self.pair) else { return "No such pair.".to_owned() };
        let (i, j) = (self.scatter.name(point.i), self.scatter.name(point.j));
        let (x, y) = (format::decimal(point.x, 3), format::decimal(point.y, 3));
        match self.scatter.alike {
            true => format!("{i} and {j}: {x} → {y}"),
            false => format!("{i} and {j}: {} {x}, {} {y}", self.scatter.x_name, self.scatter.y_name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scatter(classes: usize) -> Scatter {
        let value = |seed: usize| move |i: usize, j: usize| if i == j { 1.0 } else { ((i * j * seed + i + j) % 17) as f64 / 20.0 - 0.2 };
        let matrix = |seed| {
            let value = value(seed);
            Matrix::try_from((0..classes).map(|i| (0..classes).map(|j| value(i, j)).collect()).collect::<Vec<Vec<f64>>>()).unwrap()
        };
        let labels: Vec<String> = (0..classes).map(|class| format!("class {class}")).collect();
        Scatter::of(&matrix(3), &matrix(5), &labels, ["C of A".into(), "C of B".into()], Theme::Light)
    }

    #[test]
    fn a_pair_is_found_where_it_is_drawn_and_nowhere_far_from_it() {
        let scatter = scatter(10);
        let layout = scatter.layout(400.0, 400.0);
        assert_eq!(scatter.points.len(), 45);
        for point in &scatter.points {
            let (x, y) = layout.place(point);
            let (i, j) = scatter.pair_at(&layout, x, y).unwrap();
            // Pairs can share a point; each of them is a correct result.
            let found = scatter.point((j, i)).unwrap();
            assert_eq!((found.x, found.y), (point.x, point.y));
            assert!(layout.plot.grown(0.5).contains(x, y), "{point:?}");
        }
        assert_eq!(scatter.pair_at(&layout, 0.0, 0.0), None);
        assert_eq!(scatter.point((10, 11)), None);
    }

    #[test]
    fn what_did_not_change_lies_on_the_diagonal() {
        let scatter = scatter(4);
        let layout = scatter.layout(400.0, 300.0);
        let (x, y) = layout.place(&Point { i: 0, j: 1, x: 0.3, y: 0.3 });
        assert!(((x - layout.plot.left) - (layout.plot.bottom() - y)).abs() < 1e-9);
        assert_eq!(layout.plot.width, layout.plot.height);
    }

    #[test]
    fn zero_is_in_sight_of_any_values() {
        let of = |alike: bool, x: f64, y: f64| Scatter { points: vec![Point { i: 0, j: 1, x, y }], alike, ..scatter(0) }.ranges();
        assert_eq!((of(true, 0.4, 0.7), of(true, -0.2, -0.3)), ([(0.0, 0.7); 2], [(-0.3, 0.1); 2]));
        assert_eq!((of(false, 0.4, 0.02), scatter(0).ranges()), ([(0.0, 0.4), (0.0, 0.02)], [(0.0, 0.1); 2]));
    }

    #[test]
    fn a_mark_says_both_values() {
        let scatter = scatter(4);
        let point = scatter.points[0];
        let expected = format!("class 0 and class 1: {} → {}", format::decimal(point.x, 3), format::decimal(point.y, 3));
        assert_eq!(PointMark { scatter: &scatter, pair: (1, 0) }.describe(), expected);
        assert_eq!(PointMark { scatter: &scatter, pair: (2, 2) }.describe(), "No such pair.");
    }
    #[test]
    fn relations_of_different_size_have_an_axis_each() {
        let mut file = crate::fixtures::attribution("r", 1, Matrix::try_from(vec![vec![1.0, 0.8], vec![0.8, 1.0]]).unwrap()).file;
        file.confusion = vec![vec![99, 1], vec![3, 97]];
        file.weight_matrix = None;
        let scatter = Scatter::relations(&file, [Relation::Attribution, Relation::Traffic], Theme::Dark).unwrap();
        assert_eq!((scatter.points[0].x, scatter.points[0].y), (0.8, 0.02));
        let layout = scatter.layout(400.0, 400.0);
        assert_eq!((layout.x.values.0, layout.y.values.0), (0.0, 0.0));
        assert!(layout.x.values.1 <= 1.0 && layout.y.values.1 <= 0.03, "{layout:?}");
        let said = PointMark { scatter: &scatter, pair: (0, 1) }.describe();
        assert!(said.ends_with("C 0.800, traffic of the attack 0.020"), "{said}");
        assert_eq!(Scatter::relations(&file, [Relation::Attribution, Relation::Weights], Theme::Dark), None);
    }

    #[test]
    fn scatters_of_any_size_draw_finite_numbers() {
        use crate::chart::svg;
        for classes in [0, 1, 2, 10, 60] {
            for (width, height) in [(400, 400), (340, 300), (60, 40), (1, 1)] {
                let drawn = svg(width, height, &scatter(classes)).unwrap();
                assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{classes} in {width}×{height}");
            }
        }
    }
}
