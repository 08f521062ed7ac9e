//! Writes charts as LaTeX for pgfplots: the same numbers and colors, in the font of a paper.

use std::fmt::Write;

use plotters::style::RGBColor;

use super::colors::Theme;
use super::line::thinned_course;

/// The content of a `tikzpicture` while a chart writes it.
#[derive(Debug)]
pub struct Tex {
    picture: String,
    /// Escapes a text for LaTeX.
    escape: fn(&str) -> String,
}

/// A line chart.
pub(super) struct Plot {
    /// Options of the axis.
    pub options: Vec<String>,
    pub series: Vec<Line>,
    /// Named dashed lines across the plot.
    pub verticals: Vec<(f64, String)>,
}

#[derive(Clone)]
pub(super) struct Line {
    /// Name in the legend; empty if it has no entry.
    pub name: String,
    pub style: String,
    pub points: Vec<(f64, f64)>,
    /// Error bars of each point, down and up; empty if unknown.
    pub reach: Vec<(f64, f64)>,
}

impl Line {
    pub fn new(name: &str, style: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Line { name: name.to_owned(), style: style.into(), points, reach: Vec::new() }
    }
}

/// Style of what was measured before a fork.
pub(super) const QUIET: &str = "thin, opacity=0.5";
/// The names of dashed lines, above the plot; inside the axis they would be clipped.
pub(super) const SIZE: &str = "width=12cm, height=7cm, clip=false";
pub(super) const LEGEND: &str =
    "legend style={at={(0.5,-0.22)}, anchor=north, legend columns=3, draw=none, font=\\small}, legend cell align=left";

/// Accuracies over epochs, CAS on its own axis at the right, losses on an axis below if there are any.
pub(super) struct OverEpochs {
    /// First and last epoch.
    pub sight: (u32, u32),
    pub accuracy_name: &'static str,
    pub accuracies: Vec<Line>,
    pub cas_name: &'static str,
    pub cas: Vec<Line>,
    pub losses: Vec<Line>,
    pub loss_is_log: bool,
    pub verticals: Vec<(f64, String)>,
}

impl Tex {
    /// An empty picture. `escape` escapes a text for LaTeX.
    pub fn new(escape: fn(&str) -> String) -> Self {
        Tex { picture: String::new(), escape }
    }

    /// The content of `tikzpicture`.
    pub fn picture(self) -> String {
        self.picture
    }

    pub(super) fn escaped(&self, text: &str) -> String {
        (self.escape)(text)
    }

    pub(super) fn add(&mut self, what: std::fmt::Arguments<'_>) {
        self.picture.write_fmt(what).expect("writing to a String cannot fail");
    }

    pub(super) fn color(&mut self, name: &str, RGBColor(red, green, blue): RGBColor) {
        self.add(format_args!("\\definecolor{{{name}}}{{RGB}}{{{red},{green},{blue}}}\n"));
    }

    pub(super) fn series_colors(&mut self, theme: Theme) {
        for (index, color) in theme.palette().series.iter().enumerate() {
            self.color(&format!("series{index}"), *color);
        }
    }

    /// Texts as a list for pgfplots; braces protect commas in them.
    pub(super) fn list(&self, texts: impl Iterator<Item = String>) -> String {
        texts.map(|text| format!("{{{}}}", self.escaped(&text))).collect::<Vec<_>>().join(",")
    }

    /// The option for labels of the horizontal axis.
    pub(super) fn named_ticks(&self, ticks: &[(f64, String)]) -> String {
        let places = ticks.iter().map(|(place, _)| place.to_string()).collect::<Vec<_>>().join(",");
        format!("xtick={{{places}}}, xticklabels={{{}}}", self.list(ticks.iter().map(|(_, name)| name.clone())))
    }

    pub(super) fn plot(&mut self, Plot { options, series, verticals }: Plot) {
        self.add(format_args!("\\begin{{axis}}[{}]\n", options.join(", ")));
        for Line { name, style, points, reach } in series {
            // A table without rows has no entry in the legend.
            if points.is_empty() && !name.is_empty() {
                self.add(format_args!("\\addlegendimage{{{style}}}\n\\addlegendentry{{{}}}\n", self.escaped(&name)));
                continue;
            }
            let forgotten = if name.is_empty() { ", forget plot" } else { "" };
            if reach.is_empty() {
                self.add(format_args!("\\addplot [{style}{forgotten}] table {{\nx y\n"));
                points.iter().for_each(|(x, y)| self.add(format_args!("{x} {}\n", coordinate(*y))));
            } else {
                let bars = "error bars/.cd, y dir=both, y explicit";
                let columns = "y error minus=down, y error plus=up";
                self.add(format_args!("\\addplot [{style}{forgotten}, {bars}] table [{columns}] {{\nx y down up\n"));
                for ((x, y), (down, up)) in points.iter().zip(reach) {
                    self.add(format_args!("{x} {y:.6} {down:.6} {up:.6}\n"));
                }
            }
            self.add(format_args!("}};\n"));
            if !name.is_empty() {
                self.add(format_args!("\\addlegendentry{{{}}}\n", self.escaped(&name)));
            }
        }
        for (x, name) in verticals {
            let line = format!("({{axis cs:{x},0}}|-{{rel axis cs:0,0}}) -- ({{axis cs:{x},0}}|-{{rel axis cs:0,1}})");
            let name = self.escaped(&name);
            self.add(format_args!("\\draw [dashed, gray] {line} node [above, black, font=\\small] {{{name}}};\n"));
        }
        self.add(format_args!("\\end{{axis}}\n"));
    }

    pub(super) fn over_epochs(&mut self, over_epochs: OverEpochs) {
        let OverEpochs { sight, accuracy_name, accuracies, cas_name, cas, losses, loss_is_log, verticals } = over_epochs;
        let span = format!("xmin={}, xmax={}", sight.0, sight.1);
        let common = [SIZE.to_owned(), span.clone()];
        let left = [&format!("ymin=0, ymax=100, ylabel={{{accuracy_name}}}"), "xlabel={epoch}, axis y line*=left, ymajorgrids", LEGEND];
        let options = common.iter().cloned().chain(left.map(str::to_owned)).collect();
        self.plot(Plot { options, series: accuracies, verticals });
        if !cas.is_empty() {
            let right = format!("ymin=0, ylabel={{{cas_name}}}, axis y line*=right, axis x line=none");
            let options = common.into_iter().chain([right]).collect();
            self.plot(Plot { options, series: cas, verticals: Vec::new() });
        }
        if !losses.is_empty() {
            // Leaves room for the legend of the axis above.
            let below = "yshift=-6.7cm, width=12cm, height=5cm, clip=false".to_owned();
            let scale = if loss_is_log { "ymode=log" } else { "ymin=0" };
            let gaps = "unbounded coords=jump".to_owned();
            let names = format!("{scale}, xlabel={{epoch}}, ylabel={{loss}}, ymajorgrids");
            let options = vec![below, span, names, gaps, LEGEND.replace("-0.22", "-0.36")];
            self.plot(Plot { options, series: losses, verticals: Vec::new() });
        }
    }
}

/// A number for pgfplots; `nan`, a gap, if it is not finite.
fn coordinate(value: f64) -> String {
    match value.abs() {
        size if !size.is_finite() => "nan".to_owned(),
        size if size >= 1e6 || (size > 0.0 && size < 1e-4) => format!("{value:.5e}"),
        _ => format!("{value:.6}"),
    }
}

/// Most points of a line of 12 cm; pdfLaTeX runs out of memory with ten thousand.
const COLUMNS: u32 = 600;

/// Values over the visible epochs, multiplied by `factor` and thinned out to what a line can show.
pub(super) fn course(points: &[(u32, f64)], sight: (u32, u32), factor: f64) -> Vec<(f64, f64)> {
    let (first, last) = sight;
    let start = points.partition_point(|point| point.0 < first);
    let end = points.partition_point(|point| point.0 <= last);
    // A line that enters or leaves the plot is cut at the edge.
    let crossing = |index: usize, edge: u32| {
        let (before, after) = (points.get(index.checked_sub(1)?)?, points.get(index)?);
        let part = f64::from(edge.checked_sub(before.0)?) / f64::from(after.0 - before.0);
        (before.0 < edge && edge < after.0).then(|| (f64::from(edge), before.1 + (after.1 - before.1) * part))
    };
    let inside = thinned_course(&points[start..end], COLUMNS).into_iter().map(|(epoch, value)| (f64::from(epoch), value));
    let all = crossing(start, first).into_iter().chain(inside).chain(crossing(end, last).filter(|_| end >= start));
    all.map(|(epoch, value)| (epoch, value * factor)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::Figure;
    use crate::chart::overlaid_curves::{OverlaidCurves, OverlaidRun};
    use crate::view::CurvesLens;

    fn tex() -> Tex {
        Tex::new(str::to_owned)
    }

    fn picture(figure: &impl Figure) -> String {
        let mut tex = tex();
        figure.write_tex(&mut tex);
        tex.picture()
    }

    #[test]
    fn cas_has_an_axis_of_its_own_where_there_is_any() {
        let run = |cas: &[(u32, f64)]| OverlaidRun {
            title: "One".into(),
            color: 0,
            robust: vec![(1, 0.25), (2, 0.5)],
            cas: cas.to_vec(),
            train_loss: Vec::new(),
            test_loss: Vec::new(),
            fork: None,
            marks: Vec::new(),
        };
        let drawn = |runs: Vec<OverlaidRun>| picture(&OverlaidCurves::of(runs, Theme::Light));
        let without = drawn(vec![run(&[])]);
        assert!(without.contains("\n1 25.000000\n2 50.000000\n") && without.contains("ymax=100"), "{without}");
        assert!(!without.contains("axis y line*=right"), "{without}");
        let with = drawn(vec![run(&[(2, 20.0)]), run(&[])]);
        let (left, right) = with.split_once("\\end{axis}").unwrap();
        assert!(left.contains("xmin=0, xmax=2") && left.contains("axis y line*=left"), "{left}");
        assert!(right.contains("xmin=0, xmax=2") && right.contains("axis y line*=right") && right.contains("\n2 20.000000\n"), "{right}");
        assert_eq!(right.matches("\\addplot").count(), 1, "a run without CAS has no line there");
    }

    #[test]
    fn losses_are_below_with_gaps_and_of_any_size() {
        let losses = vec![(1, 2.3), (2, 1e31), (3, f64::NAN), (4, 1e-9)];
        let run = |title: &str, train_loss: Vec<(u32, f64)>| OverlaidRun {
            title: title.into(),
            color: 0,
            robust: vec![(1, 0.25), (4, 0.5)],
            cas: Vec::new(),
            train_loss,
            test_loss: Vec::new(),
            fork: None,
            marks: Vec::new(),
        };
        let overlay = OverlaidCurves::of(vec![run("One", losses), run("Two", Vec::new())], Theme::Light);
        let whole = picture(&overlay);
        let (_, below) = whole.split_once("\\end{axis}").unwrap();
        assert!(below.contains("ymode=log") && below.contains("unbounded coords=jump"), "{below}");
        assert!(below.contains("\n1 2.300000\n2 1.00000e31\n3 nan\n4 1.00000e-9\n"), "{below}");
        assert_eq!(below.matches("\\addplot").count(), 1, "a run without losses has no line there");
        let near = overlay.seen(&CurvesLens { epochs: Some((2, 3)), hidden: vec!["train_loss"], ..CurvesLens::default() });
        let near = picture(&near);
        assert!(near.contains("xmin=2, xmax=3") && near.contains("\n2 33.333333\n3 41.666667\n"), "{near}");
        assert_eq!(near.matches("\\begin{axis}").count(), 1);
    }

    #[test]
    fn a_line_has_no_more_points_than_can_be_told_apart() {
        let points: Vec<(u32, f64)> = (1..=10_000).map(|epoch| (epoch * 100, f64::from(epoch % 97))).collect();
        assert!(course(&points, (0, 1_000_000), 1.0).len() <= 4 * (COLUMNS as usize + 1));
        assert_eq!(course(&points[..3], (150, 250), 1.0), [(150.0, 1.5), (200.0, 2.0), (250.0, 2.5)]);
        assert!(course(&points, (2_000_000, 3_000_000), 1.0).is_empty());
    }

    #[test]
    fn commas_in_names_do_not_end_them() {
        assert_eq!(tex().list(["a, b".to_owned(), "c".to_owned()].into_iter()), "{a, b},{c}");
    }
}
