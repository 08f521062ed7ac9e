//! Charts as LaTeX documents for pgfplots: the same numbers and colors, in the font of a paper.

use std::fmt::Write;

use plotters::style::RGBColor;
use shared::api::EpochCell;
use shared::chart::class_bars::ClassBars;
use shared::chart::course::Course;
use shared::chart::curves::{Curves, Series, SeriesKind, cas_color};
use shared::chart::figure::Figure;
use shared::chart::heatmap::Heatmap;
use shared::chart::line::thinned_course;
use shared::chart::overlaid_curves::{OverlaidCurves, OverlaidRun};
use shared::chart::scatter::Scatter;
use shared::chart::sweep::{SweepChart, Unit};
use shared::chart::theory::{Mark, Quantity, TheoryChart};
use shared::provenance::Provenance;
use shared::view::Region;

use crate::latex::{self, escaped};
use crate::provenance::comments;

/// A chart that pgfplots can draw.
pub trait Tex {
    /// The content of `tikzpicture`.
    fn picture(&self) -> String;
}

/// A standalone document of the size of its figure; its comments hold the provenance.
pub fn document(chart: &impl Tex, provenance: &Provenance) -> serde_json::Result<String> {
    let picture = chart.picture();
    let mut text = comments("%", provenance)? + latex::engine(&picture);
    text += "\\documentclass[border=4pt]{standalone}\n";
    text += &latex::preamble(&picture);
    text +=
        "\\usepackage{pgfplots}\n\\usepgfplotslibrary{groupplots}\n\\pgfplotsset{compat=1.16}\n\\begin{document}\n\\begin{tikzpicture}\n";
    text += &picture;
    text += "\\end{tikzpicture}\n\\end{document}\n";
    Ok(text)
}

/// Writing to a `String` cannot fail.
fn add(text: &mut String, what: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(what);
}

/// Texts as a list for pgfplots; braces protect commas in them.
fn list(texts: impl Iterator<Item = String>) -> String {
    texts.map(|text| format!("{{{}}}", escaped(&text))).collect::<Vec<_>>().join(",")
}

fn color(name: &str, RGBColor(red, green, blue): RGBColor) -> String {
    format!("\\definecolor{{{name}}}{{RGB}}{{{red},{green},{blue}}}\n")
}

impl Tex for Figure {
    fn picture(&self) -> String {
        let mut text = color("diagonal", self.theme.palette().diagonal);
        for (index, panel) in self.panels.iter().enumerate() {
            text += &color_map(index, panel);
        }
        add(
            &mut text,
            format_args!("\\begin{{groupplot}}[group style={{group size={} by 1, horizontal sep=3.4cm}}]\n", self.panels.len().max(1)),
        );
        for (index, panel) in self.panels.iter().enumerate() {
            // The title of the figure is that of a single matrix.
            let title = panel.title.as_deref().unwrap_or(&self.title);
            text += &matrix(index, panel, title);
        }
        text + "\\end{groupplot}\n"
    }
}

/// The colors of the scale of a heatmap at equal steps.
fn color_map(index: usize, heatmap: &Heatmap) -> String {
    const STEPS: u32 = 100;
    let colors = heatmap.map.colors(heatmap.theme);
    let (low, high) = heatmap.map.range();
    let steps = (0..=STEPS).map(|step| {
        let value = low + (high - low) * f64::from(step) / f64::from(STEPS);
        let color = if value.abs() < heatmap.threshold { heatmap.theme.palette().surface } else { colors.of(value) };
        let RGBColor(red, green, blue) = color;
        format!("rgb255=({red},{green},{blue})")
    });
    format!("\\pgfplotsset{{colormap={{crosslens{index}}}{{{}}}}}\n", steps.collect::<Vec<_>>().join(" "))
}

fn matrix(index: usize, heatmap: &Heatmap, title: &str) -> String {
    let count = heatmap.arrangement.order.len();
    let (row, column, span) = heatmap.region.map_or((0.0, 0.0, count as f64), Region::classes);
    let [left, top] = [column, row].map(|start| start - 0.5);
    let [right, bottom] = [left, top].map(|start| start + span);
    let (low, high) = heatmap.map.range();
    let name = |class: &usize| heatmap.labels.get(*class).cloned().unwrap_or_else(|| class.to_string());
    let ticks = (0..count).map(|place| place.to_string()).collect::<Vec<_>>().join(",");
    let names = list(heatmap.arrangement.order.iter().map(name));
    // A side of 7 cm has room for 33 names in 6 points.
    let points = if span <= 33.0 { 6.0 } else { 200.0 / span };
    let size = if span <= 33.0 { "\\tiny".to_owned() } else { format!("\\fontsize{{{points:.2}}}{{{points:.2}}}\\selectfont") };
    // The title is above the names of the columns, whose letters are about half as wide as high.
    let longest = heatmap.arrangement.order.iter().map(|class| name(class).chars().count()).max().unwrap_or(0);
    let above = longest as f64 * points * 0.55;
    let mut text = format!(
        "\\nextgroupplot[title={{{}}}, title style={{yshift={above:.0}pt}}, width=7cm, height=7cm, scale only axis, enlargelimits=false, axis on top, tick style={{draw=none}},\n  \
         xmin={left}, xmax={right}, ymin={top}, ymax={bottom}, y dir=reverse, xticklabel pos=upper,\n  \
         xtick={{{ticks}}}, ytick={{{ticks}}}, tick label style={{font={size}}}, x tick label style={{rotate=90, anchor=west}},\n  \
         xticklabels={{{names}}}, yticklabels={{{names}}},\n  \
         colormap name=crosslens{index}, point meta min={low}, point meta max={high}, colorbar, colorbar style={{font=\\tiny}}]\n\
         \\addplot [matrix plot*, mesh/cols={count}, point meta=explicit] table [meta=value] {{\nx y value\n",
        escaped(title)
    );
    for (row, i) in heatmap.arrangement.order.iter().enumerate() {
        for (column, j) in heatmap.arrangement.order.iter().enumerate() {
            add(&mut text, format_args!("{column} {row} {:.4}\n", heatmap.matrix.get(*i, *j)));
        }
    }
    text += "};\n";
    if count > 0 && !heatmap.arrangement.collapsed {
        add(
            &mut text,
            format_args!(
                "\\pgfplotsinvokeforeach{{0,...,{}}}{{\\filldraw [diagonal, line width=0.4pt] (axis cs:#1-0.5,#1-0.5) rectangle (axis cs:#1+0.5,#1+0.5);}}\n",
                count - 1
            ),
        );
    }
    text
}

/// A line chart.
struct Plot {
    /// Options of the axis.
    options: Vec<String>,
    series: Vec<Line>,
    /// Named dashed lines across the plot.
    verticals: Vec<(f64, String)>,
}

#[derive(Clone)]
struct Line {
    /// Name in the legend; empty if it has no entry.
    name: String,
    style: String,
    points: Vec<(f64, f64)>,
    /// Error bars of each point, down and up; empty if unknown.
    reach: Vec<(f64, f64)>,
}

impl Line {
    fn new(name: &str, style: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Line { name: name.to_owned(), style: style.into(), points, reach: Vec::new() }
    }
}

/// The names of dashed lines, above the plot; inside the axis they would be clipped.
const SIZE: &str = "width=12cm, height=7cm, clip=false";
const LEGEND: &str = "legend style={at={(0.5,-0.22)}, anchor=north, legend columns=3, draw=none, font=\\small}, legend cell align=left";

impl Plot {
    fn written(&self) -> String {
        let mut text = format!("\\begin{{axis}}[{}]\n", self.options.join(", "));
        for Line { name, style, points, reach } in &self.series {
            // A table without rows has no entry in the legend.
            if points.is_empty() && !name.is_empty() {
                add(&mut text, format_args!("\\addlegendimage{{{style}}}\n\\addlegendentry{{{}}}\n", escaped(name)));
                continue;
            }
            let forgotten = if name.is_empty() { ", forget plot" } else { "" };
            if reach.is_empty() {
                add(&mut text, format_args!("\\addplot [{style}{forgotten}] table {{\nx y\n"));
                points.iter().for_each(|(x, y)| add(&mut text, format_args!("{x} {}\n", coordinate(*y))));
            } else {
                let bars = "error bars/.cd, y dir=both, y explicit";
                let columns = "y error minus=down, y error plus=up";
                add(&mut text, format_args!("\\addplot [{style}{forgotten}, {bars}] table [{columns}] {{\nx y down up\n"));
                for ((x, y), (down, up)) in points.iter().zip(reach) {
                    add(&mut text, format_args!("{x} {y:.6} {down:.6} {up:.6}\n"));
                }
            }
            text += "};\n";
            if !name.is_empty() {
                add(&mut text, format_args!("\\addlegendentry{{{}}}\n", escaped(name)));
            }
        }
        for (x, name) in &self.verticals {
            let line = format!("({{axis cs:{x},0}}|-{{rel axis cs:0,0}}) -- ({{axis cs:{x},0}}|-{{rel axis cs:0,1}})");
            add(&mut text, format_args!("\\draw [dashed, gray] {line} node [above, black, font=\\small] {{{}}};\n", escaped(name)));
        }
        text + "\\end{axis}\n"
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

/// Accuracies over epochs, CAS on its own axis at the right, losses on an axis below if there are any.
struct OverEpochs {
    /// First and last epoch.
    sight: (u32, u32),
    accuracy_name: &'static str,
    accuracies: Vec<Line>,
    cas_name: &'static str,
    cas: Vec<Line>,
    losses: Vec<Line>,
    loss_is_log: bool,
    verticals: Vec<(f64, String)>,
}

impl OverEpochs {
    fn written(self) -> String {
        let OverEpochs { sight, accuracy_name, accuracies, cas_name, cas, losses, loss_is_log, verticals } = self;
        let span = format!("xmin={}, xmax={}", sight.0, sight.1);
        let common = [SIZE.to_owned(), span.clone()];
        let left = [&format!("ymin=0, ymax=100, ylabel={{{accuracy_name}}}"), "xlabel={epoch}, axis y line*=left, ymajorgrids", LEGEND];
        let options = common.iter().cloned().chain(left.map(str::to_owned)).collect();
        let mut text = Plot { options, series: accuracies, verticals }.written();
        if !cas.is_empty() {
            let right = format!("ymin=0, ylabel={{{cas_name}}}, axis y line*=right, axis x line=none");
            let options = common.into_iter().chain([right]).collect();
            text += &Plot { options, series: cas, verticals: Vec::new() }.written();
        }
        if !losses.is_empty() {
            // Leaves room for the legend of the axis above.
            let below = "yshift=-6.7cm, width=12cm, height=5cm, clip=false".to_owned();
            let scale = if loss_is_log { "ymode=log" } else { "ymin=0" };
            let gaps = "unbounded coords=jump".to_owned();
            let names = format!("{scale}, xlabel={{epoch}}, ylabel={{loss}}, ymajorgrids");
            let options = vec![below, span, names, gaps, LEGEND.replace("-0.22", "-0.36")];
            text += &Plot { options, series: losses, verticals: Vec::new() }.written();
        }
        text
    }
}

/// Most points of a line of 12 cm; pdfLaTeX runs out of memory with ten thousand.
const COLUMNS: u32 = 600;

/// Values over the visible epochs, multiplied by `factor` and thinned out to what a line can show.
fn course(points: &[(u32, f64)], sight: (u32, u32), factor: f64) -> Vec<(f64, f64)> {
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

/// The option for labels of the horizontal axis.
fn named_ticks(ticks: &[(f64, String)]) -> String {
    let places = ticks.iter().map(|(place, _)| place.to_string()).collect::<Vec<_>>().join(",");
    format!("xtick={{{places}}}, xticklabels={{{}}}", list(ticks.iter().map(|(_, name)| name.clone())))
}

fn series_colors(theme: shared::chart::colors::Theme) -> String {
    theme.palette().series.iter().enumerate().map(|(index, series)| color(&format!("series{index}"), *series)).collect()
}

impl Tex for Curves {
    fn picture(&self) -> String {
        let palette = self.theme.palette();
        let mut text = SeriesKind::ALL.iter().map(|kind| color(&format!("{kind:?}"), kind.color(palette))).collect::<String>();
        text += &color("cas", cas_color(palette));
        let style = |kind: SeriesKind| format!("{kind:?}, {}", if kind.is_strong() { "thick" } else { "dashed" });
        let sight = self.sight();
        let line = |Series { kind, points }: &Series| {
            let factor = if kind.is_loss() { 1.0 } else { 100.0 };
            Line::new(kind.name(), style(*kind), course(points, sight, factor))
        };
        let (losses, accuracies): (Vec<&Series>, Vec<&Series>) = self.shown().partition(|series| series.kind.is_loss());
        let [losses, mut accuracies] = [losses, accuracies].map(|series| series.into_iter().map(line).collect::<Vec<_>>());
        let mut cas = Vec::new();
        if !self.shown_cas().is_empty() {
            const STYLE: &str = "cas, mark=diamond*";
            // The legend of this axis also names the line of the other.
            accuracies.push(Line::new("CAS (right axis)", STYLE, Vec::new()));
            cas.push(Line::new("", STYLE, course(self.shown_cas(), sight, 1.0)));
        }
        let drop = |(epoch, rate): &(u32, f64)| (f64::from(*epoch), format!("lr {rate:.4}").trim_end_matches('0').to_owned());
        // A continuously falling rate has no single drops to mark.
        const MOST_DROPS: usize = 40;
        let drops = self.drops.iter().filter(|drop| (sight.0..=sight.1).contains(&drop.0)).take(MOST_DROPS);
        let (accuracy_name, cas_name) = ("accuracy (\\%)", "CAS");
        let (loss_is_log, verticals) = (self.loss_is_log(), drops.map(drop).collect());
        text + &OverEpochs { sight, accuracy_name, accuracies, cas_name, cas, losses, loss_is_log, verticals }.written()
    }
}

impl Tex for SweepChart {
    fn picture(&self) -> String {
        let factor = if self.unit == Unit::Accuracy { 100.0 } else { 1.0 };
        let series = self.series.iter().map(|series| Line {
            name: series.name.clone(),
            style: format!(
                "series{}, {}{}",
                series.color % self.theme.palette().series.len(),
                if series.dashed { "dashed" } else { "thick" },
                if self.x_values.is_empty() { "" } else { ", mark=*, mark options={solid}" }
            ),
            points: series.points.iter().map(|point| (point.x, point.spread.mean * factor)).collect(),
            reach: match series.points.iter().any(|point| point.spread.count > 1) {
                true => {
                    let spreads = series.points.iter().map(|point| &point.spread);
                    spreads.map(|spread| ((spread.mean - spread.low) * factor, (spread.high - spread.mean) * factor)).collect()
                }
                false => Vec::new(),
            },
        });
        let mut options = vec![SIZE.to_owned(), format!("xlabel={{{}}}", escaped(&self.x_name)), "ymin=0".to_owned()];
        options.push(match self.unit {
            Unit::Accuracy => "ymax=100, ylabel={robust accuracy (\\%)}".to_owned(),
            Unit::Cas => "ylabel={CAS}".to_owned(),
        });
        if !self.x_values.is_empty() {
            options.push(named_ticks(&self.x_values));
        }
        options.extend(["ymajorgrids", LEGEND].map(str::to_owned));
        series_colors(self.theme) + &Plot { options, series: series.collect(), verticals: Vec::new() }.written()
    }
}

impl Tex for TheoryChart {
    fn picture(&self) -> String {
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
        let mut options = vec![SIZE.to_owned(), format!("xmin=0, xmax={}", self.largest_eps), "ymin=0".to_owned()];
        options.push(match self.quantity {
            Quantity::Weights => "ylabel={weight}".to_owned(),
            Quantity::Chance => "ymax=100, ylabel={chance to beat one rival (\\%)}".to_owned(),
        });
        options.extend(["xlabel={radius $\\varepsilon$ of the attack}", "ymajorgrids", LEGEND].map(str::to_owned));
        let verticals = self.limits.iter().map(|(eps, name)| (*eps, (*name).to_owned()));
        series_colors(self.theme) + &Plot { options, series: series.collect(), verticals: verticals.collect() }.written()
    }
}

impl Tex for Scatter {
    fn picture(&self) -> String {
        let (low, high) = self.range();
        let points = self.points.iter().map(|point| (point.x, point.y)).collect();
        let diagonal = Line::new("", "dashed, gray", vec![(low, low), (high, high)]);
        let series = vec![diagonal, Line::new("", "only marks, mark=*, mark size=1pt, series0", points)];
        let names = [("xlabel", &self.x_name), ("ylabel", &self.y_name)].map(|(axis, name)| format!("{axis}={{{}}}", escaped(name)));
        let options = ["width=9cm, height=9cm", "grid=major"].map(str::to_owned).into_iter().chain(names).collect();
        series_colors(self.theme) + &Plot { options, series, verticals: Vec::new() }.written()
    }
}

impl Tex for OverlaidCurves {
    fn picture(&self) -> String {
        let colors = self.theme.palette().series.len();
        let line =
            |run: &OverlaidRun, name: &str, style: &str, points| Line::new(name, format!("series{}, {style}", run.color % colors), points);
        let sight = self.sight();
        let shown: Vec<&OverlaidRun> = self.shown().collect();
        let curve = |run: &OverlaidRun, kind, factor| course(self.curve(run, kind), sight, factor);
        let measured = shown.iter().filter(|run| !self.cas(run).is_empty());
        let loss = |kind: SeriesKind, style: &'static str| {
            let lines =
                shown.iter().map(move |run| line(run, if style == "thick" { &run.title } else { "" }, style, curve(run, kind, 1.0)));
            lines.filter(|line| line.points.iter().any(|point| point.1.is_finite())).collect::<Vec<_>>()
        };
        let over_epochs = OverEpochs {
            sight,
            accuracy_name: "robust accuracy (\\%)",
            accuracies: shown.iter().map(|run| line(run, &run.title, "thick", curve(run, SeriesKind::TestRobust, 100.0))).collect(),
            cas_name: "CAS (dashed)",
            cas: measured.map(|run| line(run, "", "dashed, mark=diamond*", course(self.cas(run), sight, 1.0))).collect(),
            losses: [loss(SeriesKind::TrainLoss, "thick"), loss(SeriesKind::TestLoss, "dashed")].concat(),
            loss_is_log: self.loss_is_log(),
            verticals: Vec::new(),
        };
        series_colors(self.theme) + &over_epochs.written()
    }
}

impl Tex for Course {
    fn picture(&self) -> String {
        let thinned = |points: Vec<(u32, f64)>| course(&points, (0, u32::MAX), 1.0);
        let values = thinned(self.cells.iter().map(|cell| (cell.epoch, cell.value)).collect());
        let end = |which: usize| move |cell: &EpochCell| Some((cell.epoch, cell.interval?[which]));
        let line = |style: &str, points| Line::new("", style, points);
        let mut series = vec![line("series0, thick, mark=*, mark size=1.5pt", values)];
        for which in [0, 1] {
            series.push(line("series0, thin, opacity=0.5", thinned(self.cells.iter().filter_map(end(which)).collect())));
        }
        series.retain(|line| !line.points.is_empty());
        let fixed = "scaled y ticks=false, yticklabel style={/pgf/number format/fixed}";
        let options = ["xlabel={epoch}", "ylabel={cosine}", "ymajorgrids", fixed].map(str::to_owned);
        let options = std::iter::once(SIZE.to_owned()).chain(options).collect();
        let verticals = self.marks.iter().map(|(epoch, name)| (f64::from(*epoch), (*name).to_owned())).collect();
        series_colors(self.theme) + &Plot { options, series, verticals }.written()
    }
}

impl Tex for ClassBars {
    fn picture(&self) -> String {
        let columns = |values: &[f64]| {
            let value = |(place, class): (usize, &usize)| Some((place as f64, values.get(*class)? * 100.0));
            self.order.iter().enumerate().filter_map(value).collect::<Vec<_>>()
        };
        let mut series = vec![Line::new("accuracy", "ybar, fill=series0, draw=none, ybar legend", columns(&self.accuracies))];
        if !self.baseline.is_empty() {
            series.push(Line::new("baseline", "only marks, mark=-, mark size=4pt, thick, black", columns(&self.baseline)));
        }
        let name = |(place, class): (usize, &usize)| (place as f64, self.labels.get(*class).cloned().unwrap_or_default());
        let ticks: Vec<(f64, String)> = self.order.iter().enumerate().map(name).collect();
        let width = 7.0 / self.order.len().max(1) as f64;
        let mut options = vec![SIZE.to_owned(), format!("bar width={width:.3}cm, ymin=0, ymax=100, ylabel={{accuracy (\\%)}}")];
        options.push(named_ticks(&ticks));
        options.extend(["x tick label style={rotate=90, anchor=east, font=\\tiny}", "ymajorgrids", LEGEND].map(str::to_owned));
        series_colors(self.theme) + &Plot { options, series, verticals: Vec::new() }.written()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::chart::colors::Theme;
    use shared::view::CurvesLens;

    #[test]
    fn cas_has_an_axis_of_its_own_where_there_is_any() {
        let run = |cas: &[(u32, f64)]| OverlaidRun {
            title: "One".into(),
            color: 0,
            robust: vec![(1, 0.25), (2, 0.5)],
            cas: cas.to_vec(),
            train_loss: Vec::new(),
            test_loss: Vec::new(),
            marks: Vec::new(),
        };
        let drawn = |runs: Vec<OverlaidRun>| OverlaidCurves::of(runs, Theme::Light).picture();
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
            marks: Vec::new(),
        };
        let overlay = OverlaidCurves::of(vec![run("One", losses), run("Two", Vec::new())], Theme::Light);
        let picture = overlay.clone().picture();
        let (_, below) = picture.split_once("\\end{axis}").unwrap();
        assert!(below.contains("ymode=log") && below.contains("unbounded coords=jump"), "{below}");
        assert!(below.contains("\n1 2.300000\n2 1.00000e31\n3 nan\n4 1.00000e-9\n"), "{below}");
        assert_eq!(below.matches("\\addplot").count(), 1, "a run without losses has no line there");
        let near = overlay.seen(&CurvesLens { epochs: Some((2, 3)), hidden: vec!["train_loss"], ..CurvesLens::default() }).picture();
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
        assert_eq!(list(["a, b".to_owned(), "c".to_owned()].into_iter()), "{a, b},{c}");
    }
}
