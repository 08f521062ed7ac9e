//! Matrices with title and margins, for use in a paper.

use plotters::backend::DrawingBackend;

use super::colors::Theme;
use super::comparison::panels;
use super::heatmap::Heatmap;
use super::pen::{Align, Font, text_width, wrapped};
use super::{Chart, ChartError, Pen, Rect};
use crate::api::{Attribution, Comparison};
use crate::config::Inputs;
use crate::format;
use crate::view::Lens;

/// One or several matrices side by side under a title.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    pub title: String,
    pub subtitle: String,
    pub panels: Vec<Heatmap>,
    pub theme: Theme,
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

impl Figure {
    /// The matrix of an attribution, or its view against a baseline, with title and measurements.
    pub fn attribution(attribution: &Attribution, baseline: Option<&Attribution>, lens: &Lens, theme: Theme) -> Self {
        Figure {
            title: attribution.run_title.clone(),
            subtitle: format!("{} · {}", checkpoint_name(attribution), measurements(attribution)),
            panels: vec![Heatmap::of(attribution, baseline, lens, theme)],
            theme,
        }
    }

    /// The matrices of a comparison, as the lens shows them.
    pub fn comparison(comparison: &Comparison, lens: &Lens, theme: Theme) -> Self {
        let baseline = comparison.baseline();
        let others: Vec<String> = comparison
            .others()
            .map(|(other, difference)| format!("{} ({})", format::decimal(other.file.cas, 2), format::signed(difference.delta_cas, 2)))
            .collect();
        let inputs = inputs_name(baseline.file.inputs);
        Figure {
            title: comparison_title(comparison),
            subtitle: format!("CAS {} and {} · {inputs}", format::decimal(baseline.file.cas, 2), others.join(", ")),
            panels: panels(comparison, lens, theme).into_iter().map(|panel| panel.heatmap.titled(panel.name)).collect(),
            theme,
        }
    }

    /// Size to draw at, in CSS pixels.
    pub fn size(&self) -> (u32, u32) {
        let count = self.panels.len() as f64;
        let width = 2.0 * MARGIN + count * self.panel_width() + (count - 1.0).max(0.0) * MARGIN;
        let tallest = self.panels.iter().map(|panel| panel.natural_height(self.panel_width())).fold(0.0, f64::max);
        (width.ceil() as u32, (self.header(width).height() + tallest + 2.0 * MARGIN).ceil() as u32)
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

impl Chart for Figure {
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

/// Epoch and role, such as `epoch 12 (best)`.
pub fn checkpoint_name(attribution: &Attribution) -> String {
    let epoch = attribution.file.epoch;
    match (attribution.is_best, attribution.is_last) {
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
        if !titles.contains(&attribution.run_title.as_str()) {
            titles.push(&attribution.run_title);
        }
    }
    titles.join(" and ")
}

fn measurements(attribution: &Attribution) -> String {
    let cas = format!("CAS {}", format::decimal(attribution.file.cas, 2));
    let robust = attribution.robust_accuracy.map(|accuracy| format!("robust accuracy {}", format::percent(accuracy)));
    let parts = [Some(cas), robust, Some(inputs_name(attribution.file.inputs).to_owned())];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

fn inputs_name(inputs: Inputs) -> &'static str {
    match inputs {
        Inputs::Adversarial => "adversarial inputs",
        Inputs::Clean => "clean inputs",
    }
}

#[cfg(all(test, feature = "svg"))]
mod tests {
    use super::*;
    use crate::chart::svg;
    use crate::fixtures;

    #[test]
    fn a_header_is_whole_at_every_length() {
        let mut attribution = fixtures::attribution("r", 12, crate::matrix::Matrix::cosine(&vec![vec![1.0, 0.5]; 3]));
        let titles = ["Demo", "PGD AT on CIFAR-10 with a fifth of the labels wrong, second seed", "русский 猫 שלום"];
        for (title, cas) in titles.into_iter().flat_map(|title| [1.0, 14.73, 8888.88].map(|cas| (title, cas))) {
            (attribution.run_title, attribution.file.cas) = (title.to_owned(), cas);
            (attribution.is_best, attribution.is_last, attribution.robust_accuracy) = (true, true, Some(0.452));
            let figure = Figure::attribution(&attribution, None, &Lens::default(), Theme::Light);
            let (width, height) = figure.size();
            let drawn = svg(width, height, &figure).unwrap();
            assert!(drawn.contains(&format!(">\n{}\n<", figure.subtitle)), "{} is not whole in {width} pixels", figure.subtitle);
            assert!(!drawn.contains('…'), "{title}");
        }
        attribution.run_title = "A title of a hundred words ".repeat(60);
        let figure = Figure::attribution(&attribution, None, &Lens::default(), Theme::Light);
        assert!(figure.size().1 < 800 && svg(figure.size().0, figure.size().1, &figure).unwrap().matches('…').count() == 1);
    }
}
