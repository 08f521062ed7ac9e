//! Charts as LaTeX documents for pgfplots: the same numbers and colors, set in the type of a paper.

use std::fmt::Write;

use plotters::style::RGBColor;
use shared::chart::class_bars::ClassBars;
use shared::chart::curves::{Curves, SeriesKind, cas_color};
use shared::chart::figure::Figure;
use shared::chart::heatmap::Heatmap;
use shared::chart::overlay::{OverlaidRun, Overlay};
use shared::chart::scatter::Scatter;
use shared::chart::sweep::{SweepChart, Unit};
use shared::chart::theory::{Mark, Quantity, TheoryChart};
use shared::provenance::Provenance;
use shared::view::Region;

/// A chart that pgfplots can draw.
pub trait Tex {
    /// What stands inside `tikzpicture`.
    fn picture(&self) -> String;
}

/// A document that compiles by itself and has the size of its figure; its comments say what it was drawn from.
pub fn document(chart: &impl Tex, provenance: &Provenance) -> serde_json::Result<String> {
    let Provenance { application, view, checkpoints, configs } = provenance;
    let mut text =
        format!("% Drawn by {application}. Compile with pdflatex, or with lualatex where there are hundreds of classes.\n% View: {view}\n");
    for checkpoint in checkpoints {
        add(&mut text, format_args!("% Checkpoint: {}, SHA-256 {}\n", checkpoint.id, checkpoint.sha256));
    }
    for (run, config) in configs {
        // JSON on one line has no line breaks of its own.
        add(&mut text, format_args!("% Configuration of {run}: {}\n", serde_json::to_string(config)?));
    }
    text += "\\documentclass[border=4pt]{standalone}\n\\usepackage{pgfplots}\n\\usepgfplotslibrary{groupplots}\n\
             \\pgfplotsset{compat=1.16}\n\\begin{document}\n\\begin{tikzpicture}\n";
    text += &chart.picture();
    text += "\\end{tikzpicture}\n\\end{document}\n";
    Ok(text)
}

/// Writing to a text cannot fail.
fn add(text: &mut String, what: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(what);
}

/// A text as LaTeX prints it.
fn escaped(text: &str) -> String {
    let mut latex = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => latex.extend(['\\', letter]),
            '\\' => latex += "\\textbackslash{}",
            '^' => latex += "\\textasciicircum{}",
            '~' => latex += "\\textasciitilde{}",
            '<' => latex += "\\textless{}",
            '>' => latex += "\\textgreater{}",
            '−' => latex += "$-$",
            '·' => latex += "$\\cdot$",
            '→' => latex += "$\\to$",
            'ℓ' => latex += "$\\ell$",
            '∞' => latex += "$\\infty$",
            'Δ' => latex += "$\\Delta$",
            'ε' => latex += "$\\varepsilon$",
            'μ' => latex += "$\\mu$",
            'σ' => latex += "$\\sigma$",
            'λ' => latex += "$\\lambda$",
            '₀' => latex += "$_0$",
            '₁' => latex += "$_1$",
            '₂' => latex += "$_2$",
            '…' => latex += "\\ldots{}",
            '\u{2009}' | '\u{a0}' => latex += "~",
            other => latex.push(other),
        }
    }
    latex
}

/// Texts in a list of pgfplots; braces keep commas inside them.
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
            // A single matrix has its title from the figure.
            let title = panel.title.as_deref().unwrap_or(&self.title);
            text += &matrix(index, panel, title);
        }
        text + "\\end{groupplot}\n"
    }
}

/// The colors of a heatmap's scale at equal steps.
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
    // A side of 7 cm: names of 6 points fit up to 33 of them.
    let size = if span <= 33.0 { "\\tiny".to_owned() } else { format!("\\fontsize{{{0:.2}}}{{{0:.2}}}\\selectfont", 200.0 / span) };
    let mut text = format!(
        "\\nextgroupplot[title={{{}}}, width=7cm, height=7cm, scale only axis, enlargelimits=false, axis on top, tick style={{draw=none}},\n  \
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

/// Lines over a number.
struct Plot {
    /// Of the axis.
    options: Vec<String>,
    series: Vec<Line>,
    /// Dashed lines across the plot, each with a name.
    verticals: Vec<(f64, String)>,
}

struct Line {
    /// Empty: not in the legend.
    name: String,
    style: String,
    points: Vec<(f64, f64)>,
    /// How far each point reaches down and up; empty where nothing is known of it.
    reach: Vec<(f64, f64)>,
}

/// The names of dashed lines stand above the plot, where the axis would cut them off.
const SIZE: &str = "width=12cm, height=7cm, clip=false";
const LEGEND: &str = "legend style={at={(0.5,-0.22)}, anchor=north, legend columns=3, draw=none, font=\\small}, legend cell align=left";

impl Plot {
    fn written(&self) -> String {
        let mut text = format!("\\begin{{axis}}[{}]\n", self.options.join(", "));
        for Line { name, style, points, reach } in &self.series {
            // A table without rows would have no entry in the legend.
            if points.is_empty() && !name.is_empty() {
                add(&mut text, format_args!("\\addlegendimage{{{style}}}\n\\addlegendentry{{{}}}\n", escaped(name)));
                continue;
            }
            let forgotten = if name.is_empty() { ", forget plot" } else { "" };
            if reach.is_empty() {
                add(&mut text, format_args!("\\addplot [{style}{forgotten}] table {{\nx y\n"));
                points.iter().for_each(|(x, y)| add(&mut text, format_args!("{x} {y:.6}\n")));
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

fn series_colors(theme: shared::chart::colors::Theme) -> String {
    theme.palette().series.iter().enumerate().map(|(index, series)| color(&format!("series{index}"), *series)).collect()
}

impl Tex for Curves {
    fn picture(&self) -> String {
        let palette = self.theme.palette();
        let mut text = SeriesKind::ALL.iter().map(|kind| color(&format!("{kind:?}"), kind.color(palette))).collect::<String>();
        text += &color("cas", cas_color(palette));
        let of = |kind: SeriesKind, points: &[(u32, f64)]| Line {
            name: kind.name().to_owned(),
            style: match kind {
                SeriesKind::TestRobust | SeriesKind::TrainRobust => format!("{kind:?}, thick"),
                SeriesKind::TestClean | SeriesKind::TrainClean => format!("{kind:?}, dashed"),
            },
            points: points.iter().map(|(epoch, value)| (f64::from(*epoch), value * 100.0)).collect(),
            reach: Vec::new(),
        };
        let mut series: Vec<Line> = self.series.iter().map(|series| of(series.kind, &series.points)).collect();
        if !self.cas.is_empty() {
            // The legend of one axis names the line of the other.
            let nowhere = Vec::new();
            series.push(Line { name: "CAS (right axis)".into(), style: "cas, mark=diamond*".into(), points: nowhere, reach: Vec::new() });
        }
        let epochs = format!("xmin=0, xmax={}", self.epochs);
        let mut options = vec![SIZE.to_owned(), epochs.clone(), "ymin=0, ymax=100".to_owned()];
        options.extend(["xlabel={epoch}", "ylabel={accuracy (\\%)}", "axis y line*=left", "ymajorgrids", LEGEND].map(str::to_owned));
        let verticals = self.drops.iter().map(|(epoch, rate)| (f64::from(*epoch), format!("lr {rate:.4}")));
        let verticals = verticals.map(|(epoch, name)| (epoch, name.trim_end_matches('0').to_owned())).collect();
        text += &Plot { options, series, verticals }.written();
        if !self.cas.is_empty() {
            let points = self.cas.iter().map(|(epoch, cas)| (f64::from(*epoch), *cas)).collect();
            let series = vec![Line { name: String::new(), style: "cas, mark=diamond*".into(), points, reach: Vec::new() }];
            let mut options = vec![SIZE.to_owned(), epochs];
            options.extend(["ymin=0", "axis y line*=right", "axis x line=none", "ylabel={CAS}"].map(str::to_owned));
            text += &Plot { options, series, verticals: Vec::new() }.written();
        }
        text
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
            let places = self.x_values.iter().map(|value| value.0.to_string()).collect::<Vec<_>>().join(",");
            let names = list(self.x_values.iter().map(|value| value.1.clone()));
            options.push(format!("xtick={{{places}}}, xticklabels={{{names}}}"));
        }
        options.extend(["ymajorgrids", LEGEND].map(str::to_owned));
        series_colors(self.theme) + &Plot { options, series: series.collect(), verticals: Vec::new() }.written()
    }
}

impl Tex for TheoryChart {
    fn picture(&self) -> String {
        let factor = if self.quantity == Quantity::Chance { 100.0 } else { 1.0 };
        let series = self.curves.iter().map(|curve| Line {
            name: curve.name.to_owned(),
            style: format!(
                "series{}, {}",
                curve.color,
                match curve.mark {
                    Mark::Line => "thick",
                    Mark::Dashes => "dashed",
                    Mark::Dots => "only marks, mark=o",
                }
            ),
            points: curve.points.iter().map(|(eps, value)| (*eps, value * factor)).collect(),
            reach: Vec::new(),
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
        let values = self.points.iter().flat_map(|point| [point.x, point.y]);
        let (low, high) = values.fold((0.0, 0.1), |(low, high), value| (f64::min(low, value), f64::max(high, value)));
        let points = self.points.iter().map(|point| (point.x, point.y)).collect();
        let line = |style: &str, points| Line { name: String::new(), style: style.into(), points, reach: Vec::new() };
        let series = vec![line("dashed, gray", vec![(low, low), (high, high)]), line("only marks, mark=*, mark size=1pt, series0", points)];
        let names = [("xlabel", &self.x_name), ("ylabel", &self.y_name)].map(|(axis, name)| format!("{axis}={{{}}}", escaped(name)));
        let options = ["width=9cm, height=9cm", "grid=major"].map(str::to_owned).into_iter().chain(names).collect();
        series_colors(self.theme) + &Plot { options, series, verticals: Vec::new() }.written()
    }
}

impl Tex for Overlay {
    fn picture(&self) -> String {
        let colors = self.theme.palette().series.len();
        let line = |run: &OverlaidRun, name: &str, style: &str, points: &[(u32, f64)], factor: f64| Line {
            name: name.to_owned(),
            style: format!("series{}, {style}", run.color % colors),
            points: points.iter().map(|(epoch, value)| (f64::from(*epoch), value * factor)).collect(),
            reach: Vec::new(),
        };
        let epochs = format!("xmin=0, xmax={}", self.epochs);
        let mut options = vec![SIZE.to_owned(), epochs.clone(), "ymin=0, ymax=100".to_owned()];
        options.extend(["xlabel={epoch}", "ylabel={robust accuracy (\\%)}", "axis y line*=left", "ymajorgrids", LEGEND].map(str::to_owned));
        let series = self.runs.iter().map(|run| line(run, &run.title, "thick", &run.robust, 100.0)).collect();
        let mut text = series_colors(self.theme) + &Plot { options, series, verticals: Vec::new() }.written();
        if self.runs.iter().any(|run| !run.cas.is_empty()) {
            let series = self.runs.iter().map(|run| line(run, "", "dashed, mark=diamond*", &run.cas, 1.0)).collect();
            let mut options = vec![SIZE.to_owned(), epochs];
            options.extend(["ymin=0", "axis y line*=right", "axis x line=none", "ylabel={CAS (dashed)}"].map(str::to_owned));
            text += &Plot { options, series, verticals: Vec::new() }.written();
        }
        text
    }
}

impl Tex for ClassBars {
    fn picture(&self) -> String {
        let columns = |values: &[f64]| {
            let value = |(place, class): (usize, &usize)| Some((place as f64, values.get(*class)? * 100.0));
            self.order.iter().enumerate().filter_map(value).collect::<Vec<_>>()
        };
        let line = |name: &str, style: &str, points| Line { name: name.into(), style: style.into(), points, reach: Vec::new() };
        let mut series = vec![line("accuracy", "ybar, fill=series0, draw=none, ybar legend", columns(&self.accuracies))];
        if !self.baseline.is_empty() {
            series.push(line("baseline", "only marks, mark=-, mark size=4pt, thick, black", columns(&self.baseline)));
        }
        let places = (0..self.order.len()).map(|place| place.to_string()).collect::<Vec<_>>().join(",");
        let names = list(self.order.iter().map(|class| self.labels.get(*class).cloned().unwrap_or_default()));
        let width = 7.0 / self.order.len().max(1) as f64;
        let mut options = vec![SIZE.to_owned(), format!("bar width={width:.3}cm, ymin=0, ymax=100, ylabel={{accuracy (\\%)}}")];
        options.push(format!("xtick={{{places}}}, xticklabels={{{names}}}, x tick label style={{rotate=90, anchor=east, font=\\tiny}}"));
        options.extend(["ymajorgrids", LEGEND].map(str::to_owned));
        series_colors(self.theme) + &Plot { options, series, verticals: Vec::new() }.written()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_printed_as_they_are() {
        for (text, latex) in [
            ("pickup_truck & 50 %", "pickup\\_truck \\& 50 \\%"),
            ("a\\b{c}", "a\\textbackslash{}b\\{c\\}"),
            ("x^2 ~ #1 $", "x\\textasciicircum{}2 \\textasciitilde{} \\#1 \\$"),
            ("B − A, ε₀", "B $-$ A, $\\varepsilon$$_0$"),
            ("Müller", "Müller"),
        ] {
            assert_eq!(escaped(text), latex);
        }
        assert_eq!(list(["a, b".to_owned(), "c".to_owned()].into_iter()), "{a, b},{c}");
    }
}
