//! Writes every kind of chart as SVG, to look at after a change: light and dark, small and large, empty and
//! full.
//!
//! `cargo run --release -p shared --example gallery --features svg -- DIR`

use std::collections::BTreeMap;
use std::path::PathBuf;

use shared::api::{Attribution, AttributionFile, Comparison, EpochCell, Run, RunSummary, Share, SharedContent, SharedView};
use shared::chart::card::{self, Card};
use shared::chart::color_map::{ColorMap, Content};
use shared::chart::colors::Theme;
use shared::chart::course::Course;
use shared::chart::curves::Curves;
use shared::chart::figure::MatrixFigure;
use shared::chart::heatmap::{Arrangement, Heatmap};
use shared::chart::overlaid_curves::{OverlaidCurves, OverlaidRun};
use shared::chart::{Chart, Figure, svg};
use shared::config::{Inputs, RunConfig};
use shared::dataset::Dataset;
use shared::fixtures;
use shared::matrix::Matrix;
use shared::preset;
use shared::record::{AttributionEntry, Epoch, Metrics, Record};
use shared::view::{CurvesLens, Lens, Order, Scale};

const TITLE: &str = "Demo: robust overfitting on digits";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder: PathBuf = std::env::args_os().nth(1).ok_or("which folder? gallery DIR")?.into();
    std::fs::create_dir_all(&folder)?;
    let draw = |name: &str, width: u32, height: u32, chart: &dyn Drawn| {
        std::fs::write(folder.join(format!("{name}.svg")), chart.svg(width, height))
    };

    for theme in [Theme::Light, Theme::Dark] {
        let suffix = match theme {
            Theme::Light => "light",
            Theme::Dark => "dark",
        };
        for (scale, scale_name) in [(Scale::Locked, "locked"), (Scale::Fitted, "fitted"), (Scale::Paper, "paper")] {
            let lens = Lens { scale, cell: Some((3, 5)), ..Lens::default() };
            let heatmap = Heatmap::of(&attribution(Dataset::Digits, 12, 0.45), None, &lens, theme);
            draw(&format!("digits-{scale_name}-{suffix}"), 520, heatmap.natural_height(520.0).ceil() as u32, &heatmap)?;
        }
        let names = Heatmap::of(
            &attribution(Dataset::Cifar10, 108, 0.6),
            None,
            &Lens { scale: Scale::Fitted, cell: Some((3, 5)), order: Order::Similarity, ..Lens::default() },
            theme,
        );
        draw(&format!("names-{suffix}"), 640, names.natural_height(640.0).ceil() as u32, &names)?;
        draw(&format!("names-phone-{suffix}"), 340, names.natural_height(340.0).ceil() as u32, &names)?;
        for classes in [30, 100, 200] {
            let matrix = similarities(classes, 0.5, 3);
            let labels: Vec<String> = (0..classes).map(|class| format!("class number {class}")).collect();
            let lens = Lens { scale: Scale::Fitted, cell: Some((7, 11)), order: Order::Similarity, ..Lens::default() };
            let map = ColorMap::for_lens(&lens, &[&matrix], Content::Cosine);
            let arrangement = Arrangement::of(&matrix, None, &labels, &lens);
            let many = Heatmap::arranged(&matrix, Content::Cosine, &labels, arrangement, map, &lens, theme);
            draw(&format!("classes-{classes}-{suffix}"), 760, many.natural_height(760.0).ceil() as u32, &many)?;
        }

        let comparison = comparison();
        for (scale, scale_name) in [(Scale::Locked, "locked"), (Scale::Fitted, "fitted"), (Scale::Paper, "paper")] {
            let figure = MatrixFigure::comparison(comparison.clone(), &Lens { scale, cell: Some((3, 5)), ..Lens::default() }, theme);
            let (width, height) = figure.size();
            draw(&format!("figure-{scale_name}-{suffix}"), width, height, &figure)?;
        }

        for done in [0, 1, 2, 23, 60] {
            let curves = Curves { cursor: (done == 60).then_some(40), ..Curves::of(&metrics(done), &demo(60), theme) };
            draw(&format!("curves-{done:02}-{suffix}"), 960, 560, &curves)?;
        }
        let part = CurvesLens { epochs: Some((5, 20)), hidden: vec!["train_clean", "test_clean"], ..CurvesLens::default() };
        draw(&format!("curves-part-{suffix}"), 960, 560, &Curves::of(&metrics(60), &demo(60), theme).seen(&part))?;
        draw(&format!("curves-diverged-{suffix}"), 960, 560, &Curves::of(&diverged(), &demo(60), theme))?;
        let run = |title: &str, color, metrics: &Metrics, mark| OverlaidRun::of(title, color, metrics, vec![mark]);
        let overlaid = vec![run("A: Demo", 0, &metrics(60), (20, "A")), run("B: Diverged", 3, &diverged(), (60, "B"))];
        draw(&format!("overlay-{suffix}"), 960, 540, &OverlaidCurves::of(overlaid, theme))?;
        let figure = MatrixFigure::attribution(attribution(Dataset::Digits, 12, 0.45), None, &Lens::default(), theme);
        let (width, height) = figure.size();
        draw(&format!("figure-one-{suffix}"), width, height, &figure)?;
        draw(&format!("curves-phone-{suffix}"), 340, 300, &Curves::of(&metrics(60), &demo(60), theme))?;
        draw(&format!("curves-10000-{suffix}"), 860, 380, &Curves::of(&metrics(10_000), &demo(10_000), theme))?;

        let cell = |epoch: u32| {
            let value = 0.3 + 0.2 * (f64::from(epoch) / 9.0).sin() - 0.004 * f64::from(epoch);
            EpochCell { epoch, value, interval: Some([value - 0.03, value + 0.04]) }
        };
        let course = Course { cells: (1..=12).map(|step| cell(5 * step)).collect(), marks: vec![(15, "baseline"), (60, "this")], theme };
        draw(&format!("course-{suffix}"), 420, 210, &course)?;

        let share = |view: &str| Share { view: view.into(), ..fixtures::share() };
        let run = Run { title: TITLE.into(), config: demo(60), summary: RunSummary::of(&metrics(60), 60), ..fixtures::run("demo") };
        let cards = [
            ("run", share("/runs/demo"), SharedContent::Run { run: Box::new(run), metrics: Box::new(metrics(60)) }),
            (
                "attribution",
                share("/attributions/demo.e12.adversarial?scale=fitted"),
                SharedContent::Attribution { attribution: Box::new(attribution(Dataset::Cifar10, 12, 0.6)) },
            ),
            (
                "compare",
                share("/compare?a=demo.e12.adversarial&b=demo.e60.adversarial&scale=fitted"),
                SharedContent::Compare { comparison: Box::new(comparison) },
            ),
        ];
        for (name, share, content) in cards {
            let card = Card::of(&SharedView { share, content, as_of: String::new(), answers: BTreeMap::new() }, theme);
            draw(&format!("card-{name}-{suffix}"), card::SIZE.0, card::SIZE.1, &card)?;
        }
    }
    Ok(())
}

/// Any chart that can be drawn as SVG text.
trait Drawn {
    fn svg(&self, width: u32, height: u32) -> String;
}

impl<C: Chart> Drawn for C {
    fn svg(&self, width: u32, height: u32) -> String {
        svg(width, height, self).expect("text can be written to memory")
    }
}

/// Cosines with blocks of similar classes. `strength`: the cosine of the most similar classes; `seed` varies
/// the rest.
fn similarities(classes: usize, strength: f64, seed: usize) -> Matrix {
    let value = |i: usize, j: usize| {
        let (low, high) = (i.min(j), i.max(j));
        let noise = ((low * 7 + high * 13 + seed * 5) as f64 * 12.9898).sin() * 0.22;
        let related = if (low % 2 == 1 && high == low + 2) || low / 5 == high / 5 && classes > 10 { strength } else { 0.05 };
        (related + noise).clamp(-1.0, 1.0)
    };
    let rows: Vec<Vec<f64>> = (0..classes).map(|i| (0..classes).map(|j| if i == j { 1.0 } else { value(i, j) }).collect()).collect();
    Matrix::try_from(rows).expect("rows are square and finite")
}

fn attribution(dataset: Dataset, epoch: u32, strength: f64) -> Attribution {
    let of = fixtures::attribution("demo", epoch, similarities(10, strength, 1));
    Attribution {
        run_title: TITLE.into(),
        is_best: epoch != 60,
        is_last: epoch == 60,
        clean_accuracy: Some(0.933),
        robust_accuracy: Some(if epoch == 60 { 0.605 } else { 0.716 }),
        file: AttributionFile { class_names: dataset.info().class_names, ..of.file },
        ..of
    }
}

fn comparison() -> Comparison {
    let (a, mut b) = (attribution(Dataset::Digits, 12, 0.6), attribution(Dataset::Digits, 60, 0.6));
    b.file.matrix = similarities(10, 0.25, 2);
    b.file.cas = b.file.matrix.cas();
    Comparison::of(vec![a, b]).expect("both have ten classes")
}

fn demo(epochs: u32) -> RunConfig {
    let mut config = preset::demo().config.as_train().expect("the demo trains").clone();
    config.training.epochs = epochs;
    config.training.milestones = vec![epochs / 2, epochs * 3 / 4];
    RunConfig::Train(Box::new(config))
}

/// Curves of a run whose loss explodes and then is not a number.
fn diverged() -> Metrics {
    let mut metrics = metrics(60);
    for epoch in &mut metrics.epochs[24..] {
        epoch.train_loss = Some(10f64.powi(epoch.epoch as i32 - 20)).filter(|_| !(40..44).contains(&epoch.epoch));
        epoch.train_robust_accuracy = Some(0.1);
        epoch.test_robust_accuracy = Some(0.1);
        epoch.test_clean_accuracy = Some(0.1);
    }
    metrics
}

/// Curves of a run that overfits.
fn metrics(done: u32) -> Metrics {
    let epochs = (1..=done).map(|epoch| {
        let t = f64::from(epoch) / f64::from(done.max(60)) * 60.0;
        let noise = |phase: f64| (t * 2.7 + phase).sin() * 0.012 + (t * 7.3 + phase * 3.0).sin() * 0.009;
        let rise = 1.0 - (-t / 4.0).exp();
        Record::Epoch(Epoch {
            epoch,
            learning_rate: 0.1,
            train_loss: Some(2.2 * (-t / 22.0).exp() + 0.1 + noise(4.0).abs()),
            train_clean_accuracy: Some((0.2 + 0.62 * rise + 0.17 * (t / 60.0) + noise(0.3)).min(1.0)),
            train_robust_accuracy: Some((0.12 + 0.48 * rise + 0.34 * (t / 60.0) + noise(1.0)).min(0.995)),
            test_clean_accuracy: Some(0.2 + 0.74 * rise - 0.03 * (t / 60.0) + noise(2.0)),
            test_robust_accuracy: Some(0.12 + 0.62 * rise - 0.14 * (t / 60.0) + noise(3.0)),
            test_loss: Some(1.2 + 1.1 * (-t / 3.0).exp() + 0.012 * t + noise(5.0)),
            holdout_robust_accuracy: None,
            seconds: 1.0,
            elapsed_secs: f64::from(epoch),
        })
    });
    let every = (done / 12).max(5);
    let kept = (1..=done).filter(|epoch| epoch % every == 0).map(|epoch| {
        let t = f64::from(epoch) / f64::from(done.max(60)) * 60.0;
        Record::Attribution(AttributionEntry {
            epoch,
            inputs: Inputs::Adversarial,
            file: String::new(),
            cas: 24.0 - 0.12 * t + (t * 1.3).sin(),
            cas_normalized: 0.25,
        })
    });
    Metrics::from_records(epochs.chain(kept))
}
