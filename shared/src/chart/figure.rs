//! Matrices with titles and margins, to be saved and put into a paper.

use plotters::backend::DrawingBackend;

use super::colors::Theme;
use super::comparison::panels;
use super::heatmap::Heatmap;
use super::pen::{Align, Font, fitted};
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
const HEADER: f64 = 56.0;

impl Figure {
    /// The matrix of an attribution, or what the lens shows of it against a baseline, with where it comes from.
    pub fn attribution(attribution: &Attribution, baseline: Option<&Attribution>, lens: &Lens, theme: Theme) -> Self {
        Figure {
            title: attribution.run_title.clone(),
            subtitle: format!("{} · {}", checkpoint_name(attribution), measurements(attribution)),
            panels: vec![Heatmap::of(attribution, baseline, lens, theme)],
            theme,
        }
    }

    /// The matrices of a comparison in the way that the lens shows them.
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

    /// The size to draw at, in CSS pixels.
    pub fn size(&self) -> (u32, u32) {
        let count = self.panels.len() as f64;
        let width = 2.0 * MARGIN + count * self.panel_width() + (count - 1.0).max(0.0) * MARGIN;
        let tallest = self.panels.iter().map(|panel| panel.natural_height(self.panel_width())).fold(0.0, f64::max);
        (width.ceil() as u32, (HEADER + tallest + 2.0 * MARGIN).ceil() as u32)
    }

    fn panel_width(&self) -> f64 {
        let classes = self.panels.first().map_or(0, |panel| panel.matrix.classes());
        (classes as f64 * 8.0).clamp(480.0, 1600.0)
    }
}

impl Chart for Figure {
    fn paint<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>) -> Result<(), ChartError> {
        let palette = self.theme.palette();
        pen.fill(pen.bounds(), palette.surface)?;
        let width = pen.width() - 2.0 * MARGIN;
        let title = fitted(&self.title, 18.0, width);
        pen.text(&title, (MARGIN, MARGIN + 10.0), Align::Start, Font::new(18.0, palette.text).bold())?;
        let subtitle = fitted(&self.subtitle, 13.0, width);
        pen.text(&subtitle, (MARGIN, MARGIN + 34.0), Align::Start, Font::new(13.0, palette.text_muted))?;
        let count = self.panels.len() as f64;
        let side = (width - (count - 1.0) * MARGIN) / count;
        for (index, panel) in self.panels.iter().enumerate() {
            let left = MARGIN + index as f64 * (side + MARGIN);
            let rect = Rect::new(left, MARGIN + HEADER, side, pen.height() - HEADER - 2.0 * MARGIN);
            panel.paint(&pen.part(rect, 1.0))?;
        }
        Ok(())
    }

    fn describe(&self) -> String {
        let panels: Vec<String> = self.panels.iter().map(Chart::describe).collect();
        format!("{}. {}", self.title, panels.join(" "))
    }
}

/// `epoch 12 (best)`.
pub fn checkpoint_name(attribution: &Attribution) -> String {
    let epoch = attribution.file.epoch;
    match (attribution.is_best, attribution.is_last) {
        (true, true) => format!("epoch {epoch} (best and last)"),
        (true, false) => format!("epoch {epoch} (best)"),
        (false, true) => format!("epoch {epoch} (last)"),
        (false, false) => format!("epoch {epoch}"),
    }
}

/// The runs compared, each once.
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
