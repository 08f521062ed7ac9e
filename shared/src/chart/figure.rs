//! Matrices with title and margins, for use in a paper.

use plotters::backend::DrawingBackend;
use plotters::style::RGBColor;

use super::colors::Theme;
use super::comparison::{arrangement, panels};
use super::heatmap::Heatmap;
use super::numbers::{Numbers, Values};
use super::pen::{Align, Font, text_width, wrapped};
use super::tex::Tex;
use super::{Chart, ChartError, Figure, Pen, Rect};
use crate::api::{Attribution, Comparison, RankedPair};
use crate::config::Inputs;
use crate::export::Exported;
use crate::format;
use crate::matrix::Matrix;
use crate::view::{Cells, Lens, Region, SIDES};

/// One or several matrices side by side under a title.
#[derive(Clone, Debug, PartialEq)]
pub struct MatrixFigure {
    pub title: String,
    pub subtitle: String,
    pub panels: Vec<Heatmap>,
    pub theme: Theme,
    source: Source,
}

/// What the matrices are from.
#[derive(Clone, Debug, PartialEq)]
enum Source {
    Attribution { attribution: Box<Attribution>, cells: Cells },
    Comparison(Comparison),
}

const MARGIN: f64 = 24.0;
const TITLE_SIZE: f64 = 18.0;
const TITLE_LINE: f64 = 24.0;
const SUBTITLE_SIZE: f64 = 13.0;
const SUBTITLE_LINE: f64 = 18.0;
/// Longer titles and subtitles end with an ellipsis.
const MOST_LINES: usize = 4;
/// Bold letters are wider by this factor.
const BOLD: f64 = 1.1;

/// The wrapped lines above the panels.
struct Header {
    title: Vec<String>,
    subtitle: Vec<String>,
}

impl Header {
    fn height(&self) -> f64 {
        8.0 + TITLE_LINE * self.title.len().max(1) as f64 + SUBTITLE_LINE * self.subtitle.len().max(1) as f64 + 6.0
    }
}

impl MatrixFigure {
    /// The matrix of an attribution, or its view against a baseline, with title and measurements.
    pub fn attribution(attribution: Attribution, baseline: Option<&Attribution>, lens: &Lens, theme: Theme) -> Self {
        let cells = lens.cells.or_attribution(&attribution.file);
        let what = if cells == Cells::Attribution { String::new() } else { format!("{} · ", cells.label()) };
        MatrixFigure {
            title: attribution.context.run_title.clone(),
            subtitle: format!("{what}{} · {}", checkpoint_name(&attribution), measurements(&attribution)),
            panels: vec![Heatmap::of(&attribution, baseline, lens, theme)],
            theme,
            source: Source::Attribution { attribution: Box::new(attribution), cells },
        }
    }

    /// The matrices of a comparison, as the lens shows them.
    pub fn comparison(comparison: Comparison, lens: &Lens, theme: Theme) -> Self {
        let baseline = comparison.baseline();
        let others: Vec<String> = comparison
            .others()
            .map(|(other, difference)| format!("{} ({})", format::decimal(other.file.cas, 2), format::signed(difference.delta_cas, 2)))
            .collect();
        let inputs = inputs_name(baseline.file.inputs);
        let panels = panels(&comparison, &arrangement(&comparison, lens), lens, theme);
        MatrixFigure {
            title: comparison_title(&comparison),
            subtitle: format!("CAS {} and {} · {inputs}", format::decimal(baseline.file.cas, 2), others.join(", ")),
            panels: panels.into_iter().map(|panel| panel.heatmap.titled(panel.name)).collect(),
            theme,
            source: Source::Comparison(comparison),
        }
    }

    /// Width that fits the classes, and a subtitle of usual length on one line.
    fn panel_width(&self) -> f64 {
        const WIDENED: f64 = 1.4;
        let classes = self.panels.first().map_or(0, |panel| panel.matrix.classes());
        let (least, count) = ((classes as f64 * 8.0).clamp(480.0, 1600.0), self.panels.len().max(1) as f64);
        let subtitle = (text_width(&self.subtitle, SUBTITLE_SIZE) - (count - 1.0) * MARGIN) / count;
        subtitle.ceil().clamp(least, WIDENED * least)
    }

    /// The header of a figure with this width.
    fn header(&self, width: f64) -> Header {
        let width = width - 2.0 * MARGIN;
        Header {
            title: wrapped(&self.title, TITLE_SIZE, width / BOLD, MOST_LINES),
            subtitle: wrapped(&self.subtitle, SUBTITLE_SIZE, width, MOST_LINES),
        }
    }
}

impl Chart for MatrixFigure {
    fn paint<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>) -> Result<(), ChartError> {
        let palette = self.theme.palette();
        pen.fill(pen.bounds(), palette.surface)?;
        let width = pen.width() - 2.0 * MARGIN;
        let header = self.header(pen.width());
        let mut y = MARGIN + 10.0;
        for line in &header.title {
            pen.text(line, (MARGIN, y), Align::Start, Font::new(TITLE_SIZE, palette.text).bold())?;
            y += TITLE_LINE;
        }
        for line in &header.subtitle {
            pen.text(line, (MARGIN, y), Align::Start, Font::new(SUBTITLE_SIZE, palette.text_muted))?;
            y += SUBTITLE_LINE;
        }
        let header = header.height();
        let count = self.panels.len() as f64;
        let side = (width - (count - 1.0) * MARGIN) / count;
        for (index, panel) in self.panels.iter().enumerate() {
            let left = MARGIN + index as f64 * (side + MARGIN);
            let rect = Rect::new(left, MARGIN + header, side, pen.height() - header - 2.0 * MARGIN);
            panel.paint(&pen.part(rect, 1.0))?;
        }
        Ok(())
    }

    fn describe(&self) -> String {
        let panels: Vec<String> = self.panels.iter().map(Chart::describe).collect();
        format!("{}. {}", self.title, panels.join(" "))
    }
}

impl Figure for MatrixFigure {
    const EXPORTED: Exported = Exported::Matrices;

    fn size(&self) -> (u32, u32) {
        let count = self.panels.len() as f64;
        let width = 2.0 * MARGIN + count * self.panel_width() + (count - 1.0).max(0.0) * MARGIN;
        let tallest = self.panels.iter().map(|panel| panel.natural_height(self.panel_width())).fold(0.0, f64::max);
        (width.ceil() as u32, (self.header(width).height() + tallest + 2.0 * MARGIN).ceil() as u32)
    }

    /// Of an attribution the values of its lens, even if a baseline is shown. Of a comparison the matrices in the
    /// order of the sides; the table has a row per pair: its classes, the value in the baseline, and for each
    /// other side the value and the difference.
    fn numbers(&self) -> Numbers {
        let comparison = match &self.source {
            Source::Attribution { attribution, cells } => {
                let matrix = cells.of(&attribution.file).map_or_else(|| attribution.file.matrix.clone(), |(matrix, _)| matrix);
                return Numbers::matrix(&matrix, &attribution.file.class_names);
            }
            Source::Comparison(comparison) => comparison,
        };
        let (classes, ranked) = (&comparison.baseline().file.class_names, comparison.ranked());
        let class = |of: fn(&RankedPair) -> usize| Values::Texts(ranked.iter().map(|pair| classes[of(pair)].clone()).collect());
        let value = |of: &dyn Fn(&RankedPair) -> f64| Values::Numbers(ranked.iter().map(of).collect());
        let mut table = vec![("class_i".to_owned(), class(|pair| pair.i)), ("class_j".to_owned(), class(|pair| pair.j))];
        table.push((SIDES[0].to_owned(), value(&|pair| pair.values[0])));
        for (index, side) in SIDES.iter().enumerate().take(comparison.attributions.len()).skip(1) {
            table.push(((*side).to_owned(), value(&|pair| pair.values[index])));
            table.push((format!("{side}_minus_a"), value(&|pair| pair.values[index] - pair.values[0])));
        }
        let matrices: Vec<&Matrix> = comparison.attributions.iter().map(|attribution| &attribution.file.matrix).collect();
        let names: Vec<String> = comparison.attributions.iter().map(|attribution| attribution.context.id.to_string()).collect();
        Numbers::matrices(&matrices, &names, classes, table)
    }

    fn write_tex(&self, tex: &mut Tex) {
        tex.color("diagonal", self.theme.palette().diagonal);
        for (index, panel) in self.panels.iter().enumerate() {
            write_color_map(tex, index, panel);
        }
        let count = self.panels.len().max(1);
        tex.add(format_args!("\\begin{{groupplot}}[group style={{group size={count} by 1, horizontal sep=3.4cm}}]\n"));
        for (index, panel) in self.panels.iter().enumerate() {
            // The title of the figure is that of a single matrix.
            write_matrix(tex, index, panel, panel.title.as_deref().unwrap_or(&self.title));
        }
        tex.add(format_args!("\\end{{groupplot}}\n"));
    }
}

/// The colors of the scale of a heatmap at equal steps.
fn write_color_map(tex: &mut Tex, index: usize, heatmap: &Heatmap) {
    const STEPS: u32 = 100;
    let colors = heatmap.map.colors(heatmap.theme);
    let (low, high) = heatmap.map.range();
    let steps = (0..=STEPS).map(|step| {
        let value = low + (high - low) * f64::from(step) / f64::from(STEPS);
        let color = if value.abs() < heatmap.threshold { heatmap.theme.palette().surface } else { colors.of(value) };
        let RGBColor(red, green, blue) = color;
        format!("rgb255=({red},{green},{blue})")
    });
    let steps = steps.collect::<Vec<_>>().join(" ");
    tex.add(format_args!("\\pgfplotsset{{colormap={{crosslens{index}}}{{{steps}}}}}\n"));
}

fn write_matrix(tex: &mut Tex, index: usize, heatmap: &Heatmap, title: &str) {
    let order = &heatmap.arrangement.order;
    let count = order.len();
    let (row, column, span) = heatmap.region.map_or((0.0, 0.0, count as f64), Region::classes);
    let [left, top] = [column, row].map(|start| start - 0.5);
    let [right, bottom] = [left, top].map(|start| start + span);
    let (low, high) = heatmap.map.range();
    let ticks = (0..count).map(|place| place.to_string()).collect::<Vec<_>>().join(",");
    let names = tex.list(order.iter().map(|class| heatmap.name(*class)));
    // A side of 7 cm has room for 33 names in 6 points.
    let points = if span <= 33.0 { 6.0 } else { 200.0 / span };
    let size = if span <= 33.0 { "\\tiny".to_owned() } else { format!("\\fontsize{{{points:.2}}}{{{points:.2}}}\\selectfont") };
    // The title is above the names of the columns, whose letters are about half as wide as high.
    let longest = order.iter().map(|class| heatmap.name(*class).chars().count()).max().unwrap_or(0);
    let above = longest as f64 * points * 0.55;
    let title = tex.escaped(title);
    tex.add(format_args!(
        "\\nextgroupplot[title={{{title}}}, title style={{yshift={above:.0}pt}}, width=7cm, height=7cm, scale only axis, \
         enlargelimits=false, axis on top, tick style={{draw=none}},\n  \
         xmin={left}, xmax={right}, ymin={top}, ymax={bottom}, y dir=reverse, xticklabel pos=upper,\n  \
         xtick={{{ticks}}}, ytick={{{ticks}}}, tick label style={{font={size}}}, x tick label style={{rotate=90, anchor=west}},\n  \
         xticklabels={{{names}}}, yticklabels={{{names}}},\n  \
         colormap name=crosslens{index}, point meta min={low}, point meta max={high}, colorbar, colorbar style={{font=\\tiny}}]\n\
         \\addplot [matrix plot*, mesh/cols={count}, point meta=explicit] table [meta=value] {{\nx y value\n"
    ));
    for (row, i) in order.iter().enumerate() {
        for (column, j) in order.iter().enumerate() {
            tex.add(format_args!("{column} {row} {:.4}\n", heatmap.matrix.get(*i, *j)));
        }
    }
    tex.add(format_args!("}};\n"));
    // A cell is as wide as the side of 7 cm divided by the cells in sight.
    let discs = if span <= 33.0 { heatmap.discs() } else { Vec::new() };
    for ((row, column), radius) in discs {
        let radius = radius * 7.0 / span;
        tex.add(format_args!("\\fill [black, opacity=0.45] (axis cs:{column},{row}) circle [radius={radius:.3}cm];\n"));
    }
    if count > 0 && !heatmap.arrangement.collapsed {
        tex.add(format_args!(
            "\\pgfplotsinvokeforeach{{0,...,{}}}{{\\filldraw [diagonal, line width=0.4pt] (axis cs:#1-0.5,#1-0.5) rectangle (axis cs:#1+0.5,#1+0.5);}}\n",
            count - 1
        ));
    }
}

/// Epoch and role, such as `epoch 12 (best)`.
pub fn checkpoint_name(attribution: &Attribution) -> String {
    let epoch = attribution.file.epoch;
    match (attribution.context.is_best, attribution.context.is_last) {
        (true, true) => format!("epoch {epoch} (best and last)"),
        (true, false) => format!("epoch {epoch} (best)"),
        (false, true) => format!("epoch {epoch} (last)"),
        (false, false) => format!("epoch {epoch}"),
    }
}

/// Titles of the compared runs, each once.
pub(super) fn comparison_title(comparison: &Comparison) -> String {
    let mut titles: Vec<&str> = Vec::new();
    for attribution in &comparison.attributions {
        if !titles.contains(&attribution.context.run_title.as_str()) {
            titles.push(&attribution.context.run_title);
        }
    }
    titles.join(" and ")
}

fn measurements(attribution: &Attribution) -> String {
    let cas = format!("CAS {}", format::decimal(attribution.file.cas, 2));
    let robust = attribution.context.robust_accuracy.map(|accuracy| format!("robust accuracy {}", format::percent(accuracy)));
    let parts = [Some(cas), robust, Some(inputs_name(attribution.file.inputs).to_owned())];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

fn inputs_name(inputs: Inputs) -> &'static str {
    match inputs {
        Inputs::Adversarial => "adversarial inputs",
        Inputs::Clean => "clean inputs",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::svg;
    use crate::fixtures;

    #[test]
    fn a_header_is_whole_at_every_length() {
        let mut attribution = fixtures::attribution("r", 12, crate::matrix::Matrix::cosine(&vec![vec![1.0, 0.5]; 3]));
        let titles = ["Demo", "PGD AT on CIFAR-10 with a fifth of the labels wrong, second seed", "русский 猫 שלום"];
        for (title, cas) in titles.into_iter().flat_map(|title| [1.0, 14.73, 8888.88].map(|cas| (title, cas))) {
            (attribution.context.run_title, attribution.file.cas) = (title.to_owned(), cas);
            (attribution.context.is_best, attribution.context.is_last, attribution.context.robust_accuracy) = (true, true, Some(0.452));
            let figure = MatrixFigure::attribution(attribution.clone(), None, &Lens::default(), Theme::Light);
            let (width, height) = figure.size();
            let drawn = svg(width, height, &figure).unwrap();
            assert!(drawn.contains(&format!(">\n{}\n<", figure.subtitle)), "{} is not whole in {width} pixels", figure.subtitle);
            assert!(!drawn.contains('…'), "{title}");
        }
        attribution.context.run_title = "A title of a hundred words ".repeat(60);
        let figure = MatrixFigure::attribution(attribution.clone(), None, &Lens::default(), Theme::Light);
        assert!(figure.size().1 < 800 && svg(figure.size().0, figure.size().1, &figure).unwrap().matches('…').count() == 1);
    }
}
