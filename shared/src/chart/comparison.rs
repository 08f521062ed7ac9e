//! Panels of a comparison: each matrix, each difference from the baseline, or two matrices in one square.

use super::color_map::Content;
use super::colors::Theme;
use super::figure::checkpoint_name;
use super::heatmap::{Arrangement, Heatmap};
use crate::api::{Attribution, Comparison};
use crate::config::Inputs;
use crate::matrix::Matrix;
use crate::view::{Lens, Show};

/// One heatmap of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    pub side: Side,
    /// Name such as `A: epoch 12 (best)` or `B − A`.
    pub name: String,
    pub heatmap: Heatmap,
}

/// Content of a panel. The number is the index of the attribution, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Values of the attribution; in a split square also those of the baseline.
    Of(usize),
    /// The attribution minus the baseline.
    Less(usize),
}

/// Letters of the compared attributions.
pub const LETTERS: [&str; 6] = ["A", "B", "C", "D", "E", "F"];

/// The panels that the lens selects, in an [`arrangement`] of it.
///
/// All panels share one order; all values share one scale, and all differences another. With two
/// attributions, their difference is added to their values. For flicker, which a picture cannot show, there is
/// one panel for each attribution.
pub fn panels(comparison: &Comparison, arrangement: &Arrangement, lens: &Lens, theme: Theme) -> Vec<Panel> {
    let others = 1..comparison.attributions.len();
    match lens.show {
        Show::Values | Show::Flicker => {
            let values = values(comparison, arrangement, lens, theme);
            let is_pair = comparison.differences.len() == 1 && lens.show == Show::Values;
            values.into_iter().chain(is_pair.then(|| less(comparison, 1, arrangement, lens, theme))).collect()
        }
        Show::Difference => others.map(|index| less(comparison, index, arrangement, lens, theme)).collect(),
        Show::Split => others.map(|index| split(comparison, index, arrangement, lens, theme)).collect(),
    }
}

/// Order of the classes in all panels of a comparison; by similarity it is slow for hundreds of classes.
///
/// Depends only on [`Lens::ordering`].
pub fn arrangement(comparison: &Comparison, lens: &Lens) -> Arrangement {
    // A split square has two matrices, so no blocks with means.
    let lens = Lens { blocks: lens.blocks && lens.show != Show::Split, ..lens.clone() };
    arrangement_of(comparison.baseline(), comparison.attributions.get(1), &lens)
}

/// Classes in the lens's order for the baseline. The order by change compares it with `other`.
pub fn arrangement_of(baseline: &Attribution, other: Option<&Attribution>, lens: &Lens) -> Arrangement {
    Arrangement::of(&baseline.file.matrix, other.map(|other| &other.file.matrix), &baseline.file.class_names, lens)
}

fn values(comparison: &Comparison, arrangement: &Arrangement, lens: &Lens, theme: Theme) -> Vec<Panel> {
    let all = matrices(comparison);
    let map = arrangement.map(lens, &all, Content::Cosine);
    let names = &comparison.baseline().file.class_names;
    let panel = |(index, matrix): (usize, &&Matrix)| Panel {
        side: Side::Of(index),
        name: format!("{}: {}", LETTERS[index], side_name(comparison, index)),
        heatmap: Heatmap::arranged(matrix, Content::Cosine, names, arrangement.clone(), map, lens, theme),
    };
    all.iter().enumerate().map(panel).collect()
}

/// Checkpoint of an attribution, with its run if the comparison has several runs.
pub fn side_name(comparison: &Comparison, index: usize) -> String {
    let attribution = &comparison.attributions[index];
    let one_run = comparison.attributions.iter().all(|other| other.context.run == attribution.context.run);
    let run = if one_run { String::new() } else { format!("{}, ", attribution.context.run_title) };
    let inputs = match attribution.file.inputs {
        Inputs::Adversarial => "",
        Inputs::Clean => ", clean inputs",
    };
    format!("{run}{}{inputs}", checkpoint_name(attribution))
}

fn less(comparison: &Comparison, index: usize, arrangement: &Arrangement, lens: &Lens, theme: Theme) -> Panel {
    let differences: Vec<&Matrix> = comparison.differences.iter().map(|difference| &difference.matrix).collect();
    let sides = [comparison.baseline(), &comparison.attributions[index]];
    Panel {
        side: Side::Less(index),
        name: format!("{} − A", LETTERS[index]),
        heatmap: Heatmap::difference(sides, differences[index - 1], &differences, arrangement.clone(), lens, theme),
    }
}

fn split(comparison: &Comparison, index: usize, arrangement: &Arrangement, lens: &Lens, theme: Theme) -> Panel {
    let sides = [comparison.baseline(), &comparison.attributions[index]];
    Panel {
        side: Side::Of(index),
        name: format!("A above, {} below the diagonal", LETTERS[index]),
        heatmap: Heatmap::split(sides, &matrices(comparison), arrangement.clone(), lens, theme),
    }
}

fn matrices(comparison: &Comparison) -> Vec<&Matrix> {
    comparison.attributions.iter().map(|attribution| &attribution.file.matrix).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{AttributionFile, Bootstrap};
    use crate::fixtures;

    /// An attribution over two classes. The interval of the single cosine is ±0.05.
    fn attribution(epoch: u32, cosine: f64) -> Attribution {
        let matrix = |cosine: f64| Matrix::try_from(vec![vec![1.0, cosine], vec![cosine, 1.0]]).unwrap();
        let (low, high) = (matrix(cosine - 0.05), matrix(cosine + 0.05));
        let of = fixtures::attribution("r", epoch, matrix(cosine));
        let bootstrap = Some(Bootstrap { resamples: 200, cas_low: 0.0, cas_high: 1.0, low: Some(low), high: Some(high) });
        Attribution { file: AttributionFile { bootstrap, ..of.file }, ..of }
    }

    #[track_caller]
    fn check(show: Show, cosines: &[f64], expected: &[(&str, [f64; 2], bool)]) {
        let attributions: Vec<Attribution> = (1..).zip(cosines).map(|(epoch, cosine)| attribution(epoch, *cosine)).collect();
        let lens = Lens { show, ..Lens::default() };
        // A single attribution is shown against its baseline as in the comparison of the two.
        let alone = Heatmap::of(&attributions[1], Some(&attributions[0]), &lens, Theme::Light);
        let comparison = Comparison::of(attributions).unwrap();
        let panels = panels(&comparison, &arrangement(&comparison, &lens), &lens, Theme::Light);
        let values = |matrix: &Matrix| [matrix.get(0, 1), matrix.get(1, 0)].map(|value| (value * 100.0).round() / 100.0);
        let is_hatched = |heatmap: &Heatmap| heatmap.hatched.first().is_some_and(|row| row[1]);
        let found = panels.iter().map(|panel| (panel.name.as_str(), values(&panel.heatmap.matrix), is_hatched(&panel.heatmap)));
        assert_eq!(found.collect::<Vec<_>>(), expected);
        if show != Show::Values {
            assert_eq!(alone, panels[0].heatmap);
        }
    }

    #[test]
    fn differences_are_less_the_baseline_and_hatched_where_intervals_overlap() {
        check(Show::Difference, &[0.5, 0.55, 0.2], &[("B − A", [0.05; 2], true), ("C − A", [-0.3; 2], false)]);
    }

    #[test]
    fn a_split_square_has_the_baseline_above() {
        check(Show::Split, &[0.5, 0.2], &[("A above, B below the diagonal", [0.5, 0.2], false)]);
    }

    #[test]
    fn two_by_themselves_come_with_their_difference() {
        let names = [("A: epoch 1", [0.5; 2], false), ("B: epoch 2", [0.2; 2], false), ("B − A", [-0.3; 2], false)];
        check(Show::Values, &[0.5, 0.2], &names);
    }
}
