//! Preview image of a share link, as shown by chats and social networks.

use plotters::backend::DrawingBackend;

use super::colors::Theme;
use super::comparison::{Panel, Side, arrangement, panels};
use super::curves::Curves;
use super::figure::{checkpoint_name, comparison_title};
use super::heatmap::Heatmap;
use super::pen::{Align, Font, fitted};
use super::{Chart, ChartError, Pen, Rect};
use crate::api::{Attribution, SharedContent, SharedView};
use crate::format;
use crate::view::{Lens, Show, View};

/// Size of a card in pixels, which chats and social networks show without cropping.
pub const SIZE: (u32, u32) = (1200, 630);

/// Preview of a shared view.
#[derive(Clone, Debug)]
pub struct Card {
    pub title: String,
    pub subtitle: String,
    content: Content,
    theme: Theme,
}

#[derive(Clone, Debug)]
enum Content {
    Curves(Box<Curves>),
    /// A matrix, and facts beside it as names and values.
    Matrix(Box<Heatmap>, Vec<(&'static str, String)>),
    /// Names and values, such as the accuracy after each attack.
    Facts(Vec<(String, String)>),
    /// Matrices side by side, each with two lines of text below.
    Matrices(Vec<(Heatmap, String, String)>),
}

const MARGIN: f64 = 56.0;
const MOST_MATRICES: usize = 3;

impl Card {
    /// The card of a shared view.
    pub fn of(shared: &SharedView, theme: Theme) -> Self {
        // Views are validated when they are stored. If an old one does not parse, it gets the default lens.
        let view: Option<View> = shared.share.view.parse().ok();
        let lens = Lens { cell: None, ..view.as_ref().map(|view| view.lens().clone()).unwrap_or_default() };
        let cursor = view.and_then(|view| if let View::Run { epoch, .. } = view { epoch } else { None });
        let (name, subtitle, content) = match &shared.content {
            SharedContent::Run { run, metrics } if run.config.kind().has_epochs() => {
                let curves = Curves {
                    cursor,
                    ended: run.state.is_finished(),
                    ..Curves::of(metrics, &run.config, theme).without_losses().seen(&lens.curves)
                };
                let subtitle = match (curves.best, curves.last) {
                    (Some(best), Some(last)) => format!(
                        "Robust accuracy: best {} at epoch {}, last {}",
                        format::percent(best.accuracy),
                        best.epoch,
                        format::percent(last.accuracy)
                    ),
                    _ => format!("{} epochs", curves.epochs),
                };
                (run.title.clone(), subtitle, Content::Curves(Box::new(curves)))
            }
            SharedContent::Run { run, metrics } => {
                let facts = metrics.evaluation.iter().map(|step| (step.attack.clone(), format::percent(step.accuracy)));
                (run.title.clone(), run.config.kind().label().to_owned(), Content::Facts(facts.collect()))
            }
            SharedContent::Attribution { attribution } => {
                let heatmap = Heatmap { show_legend: false, ..Heatmap::of(attribution, None, &lens, theme) };
                let classes = attribution.file.class_names.len();
                let facts = vec![
                    ("CAS", format!("{} of {}", format::decimal(attribution.file.cas, 2), classes * classes.saturating_sub(1))),
                    ("Robust accuracy", format::percent(attribution.context.robust_accuracy)),
                    ("Clean accuracy", format::percent(attribution.context.clean_accuracy)),
                ];
                let subtitle = format!("Class-wise feature attribution · {}", checkpoint_name(attribution));
                (attribution.context.run_title.clone(), subtitle, Content::Matrix(Box::new(heatmap), facts))
            }
            SharedContent::Compare { comparison } => {
                let robust = |attribution: &Attribution| attribution.context.robust_accuracy;
                let facts = |attribution: &Attribution| {
                    format!("CAS {} · robust {}", format::decimal(attribution.file.cas, 1), format::percent(robust(attribution)))
                };
                // At most `MOST_MATRICES` panels. For two attributions, the third is their difference.
                let of_side = |panel: &Panel| match panel.side {
                    Side::Of(index) => facts(&comparison.attributions[index]),
                    Side::Less(index) => {
                        let (other, difference) = (&comparison.attributions[index], &comparison.differences[index - 1]);
                        let points = robust(other).zip(robust(comparison.baseline())).map(|(other, baseline)| other - baseline);
                        format!("CAS {} · robust {}", format::signed(difference.delta_cas, 1), format::points(points))
                    }
                };
                let lens = Lens { show: Show::Values, ..lens };
                let matrices = panels(comparison, &arrangement(comparison, &lens), &lens, theme)
                    .into_iter()
                    .take(MOST_MATRICES)
                    .map(|panel| {
                        let facts = of_side(&panel);
                        (panel.heatmap.bare(), panel.name, facts)
                    })
                    .collect();
                let subtitle = format!("Class-wise feature attribution, {} checkpoints compared", comparison.attributions.len());
                (comparison_title(comparison), subtitle, Content::Matrices(matrices))
            }
        };
        let title = if shared.share.title.trim().is_empty() { name } else { shared.share.title.trim().to_owned() };
        Card { title, subtitle, content, theme }
    }
}

impl Chart for Card {
    fn paint<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>) -> Result<(), ChartError> {
        let palette = self.theme.palette();
        pen.fill(pen.bounds(), palette.surface)?;
        pen.fill(Rect::new(0.0, 0.0, pen.width(), 8.0), palette.accent)?;
        let width = pen.width() - 2.0 * MARGIN;
        let right = pen.width() - MARGIN;
        pen.text("CrossLens", (right, 62.0), Align::End, Font::new(24.0, palette.accent).bold())?;
        let title = fitted(&self.title, 42.0, (width - 160.0) / 1.1);
        pen.text(&title, (MARGIN, 66.0), Align::Start, Font::new(42.0, palette.text).bold())?;
        let subtitle = fitted(&self.subtitle, 26.0, width);
        pen.text(&subtitle, (MARGIN, 122.0), Align::Start, Font::new(26.0, palette.text_muted))?;
        match &self.content {
            Content::Curves(curves) => {
                let rect = Rect::new(MARGIN - 20.0, 162.0, width + 40.0, pen.height() - 162.0 - 20.0);
                curves.paint(&pen.part(rect, 1.75))
            }
            Content::Matrix(heatmap, facts) => {
                let rect = Rect::new(MARGIN, 164.0, 480.0, pen.height() - 164.0 - 32.0);
                heatmap.paint(&pen.part(rect, 1.25))?;
                let left = rect.right() + 64.0;
                for (index, (name, value)) in facts.iter().enumerate() {
                    let top = 220.0 + index as f64 * 124.0;
                    pen.text(name, (left, top), Align::Start, Font::new(24.0, palette.text_muted))?;
                    pen.text(value, (left, top + 46.0), Align::Start, Font::new(52.0, palette.text).bold())?;
                }
                Ok(())
            }
            Content::Facts(facts) => {
                for (index, (name, value)) in facts.iter().enumerate() {
                    let baseline = 230.0 + index as f64 * 66.0;
                    pen.text(name, (MARGIN, baseline), Align::Start, Font::new(30.0, palette.text_muted))?;
                    pen.text(value, (right, baseline), Align::End, Font::new(42.0, palette.text).bold())?;
                }
                Ok(())
            }
            Content::Matrices(matrices) => {
                let gap = 44.0;
                let count = matrices.len() as f64;
                let side = (width - (count - 1.0) * gap) / count;
                for (index, (heatmap, name, facts)) in matrices.iter().enumerate() {
                    let left = MARGIN + index as f64 * (side + gap);
                    // The cells align with the text, whatever margin the heatmap has.
                    let cells = heatmap.layout(side, side).cells;
                    let square = Rect::new(left - cells.left, 164.0, side, side);
                    heatmap.paint(&pen.part(square, 1.0))?;
                    let below = square.bottom();
                    pen.text(&fitted(name, 26.0, side + gap), (left, below + 36.0), Align::Start, Font::new(26.0, palette.text).bold())?;
                    let facts = fitted(facts, 22.0, side + gap);
                    pen.text(&facts, (left, below + 72.0), Align::Start, Font::new(22.0, palette.text_muted))?;
                }
                Ok(())
            }
        }
    }

    fn describe(&self) -> String {
        let content = match &self.content {
            Content::Curves(curves) => curves.describe(),
            Content::Matrix(heatmap, _) => heatmap.describe(),
            Content::Facts(facts) => facts.iter().map(|(name, value)| format!("{name}: {value}.")).collect::<Vec<_>>().join(" "),
            Content::Matrices(matrices) => {
                matrices.iter().map(|(_, name, facts)| format!("{name}: {facts}.")).collect::<Vec<_>>().join(" ")
            }
        };
        format!("{}. {}. {content}", self.title, self.subtitle)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::api::{AttributionContext, AttributionFile, Comparison, Run, Share};
    use crate::chart::Figure;
    use crate::chart::figure::MatrixFigure;
    use crate::chart::svg;
    use crate::fixtures;
    use crate::matrix::Matrix;
    use crate::record::Metrics;

    fn attribution(epoch: u32, cosine: f64) -> Attribution {
        let matrix = Matrix::try_from(vec![vec![1.0, cosine], vec![cosine, 1.0]]).unwrap();
        let of = fixtures::attribution("r", epoch, matrix);
        Attribution {
            context: AttributionContext {
                run_title: "Digits <&> more".into(),
                is_best: epoch == 12,
                is_last: epoch == 60,
                clean_accuracy: Some(0.9),
                robust_accuracy: Some(0.7),
                ..of.context
            },
            file: AttributionFile { class_names: vec!["cat".into(), "dog".into()], ..of.file },
        }
    }

    fn comparison() -> Comparison {
        let (a, b) = (attribution(12, 0.8), attribution(60, 0.3));
        Comparison::of(vec![a, b]).unwrap()
    }

    #[track_caller]
    fn check(view: &str, title: &str, content: SharedContent, expected: &[&str]) {
        let share = Share { title: title.into(), view: view.into(), ..fixtures::share() };
        let shared = SharedView { share, content, as_of: String::new(), answers: BTreeMap::new() };
        for theme in [Theme::Light, Theme::Dark] {
            let drawn = svg(SIZE.0, SIZE.1, &Card::of(&shared, theme)).unwrap();
            for text in expected.iter().chain(&["CrossLens"]) {
                assert!(drawn.contains(&format!(">\n{text}\n")), "{text} is missing from {drawn}");
            }
            assert!(!drawn.contains("NaN") && !drawn.contains("inf"));
        }
    }

    #[test]
    fn a_comparison_shows_both_checkpoints_and_the_change() {
        let content = || SharedContent::Compare { comparison: Box::new(comparison()) };
        let view = "/compare?a=r.e12.adversarial&b=r.e60.adversarial&scale=fitted";
        let facts = ["A: epoch 12 (best)", "B: epoch 60 (last)", "CAS 1.6 · robust 70.0 %", "CAS −1.0 · robust +0.0 pp"];
        check(view, "", content(), &facts);
        check(view, "", content(), &["Digits &lt;&amp;&gt; more"]);
        check(view, "What I found", content(), &["What I found"]);
    }

    #[test]
    fn an_attribution_shows_its_numbers() {
        let content = SharedContent::Attribution { attribution: Box::new(attribution(12, 0.8)) };
        check("/attributions/r.e12.adversarial", "", content, &["1.60 of 2", "70.0 %", "cat", "dog"]);
    }

    #[test]
    fn a_run_without_epochs_has_a_card_too() {
        let run = Run { title: "Digits".into(), ..fixtures::run("r") };
        let content = SharedContent::Run { run: Box::new(run), metrics: Box::new(Metrics::default()) };
        check("/runs/r", "", content, &["Digits", "150 epochs", "The run ended before its first epoch was done"]);
    }

    #[test]
    fn a_figure_of_a_comparison_names_its_panels_and_its_source() {
        let figure = MatrixFigure::comparison(comparison(), &Lens::default(), Theme::Light);
        let (width, height) = figure.size();
        let drawn = svg(width, height, &figure).unwrap();
        for text in ["Digits &lt;&amp;&gt; more", "A: epoch 12 (best)", "B: epoch 60 (last)", "B − A", "0.80", "−0.50"] {
            assert!(drawn.contains(&format!(">\n{text}\n")), "{text} is missing");
        }
        assert!(drawn.contains("role=\"img\" aria-label=\"Digits &lt;&amp;> more. A: epoch 12"), "{}", &drawn[..300]);
    }
}
