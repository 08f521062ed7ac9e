//! The matrices of a comparison, panel by panel: by themselves, less the baseline, or two in one square.

use super::color_map::Content;
use super::colors::Theme;
use super::figure::checkpoint_name;
use super::heatmap::{Arrangement, Heatmap, unresolved};
use crate::api::{Attribution, Comparison};
use crate::config::Inputs;
use crate::matrix::Matrix;
use crate::view::{Lens, Show};

/// One of the matrices that are shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    pub side: Side,
    /// `A: epoch 12 (best)`, `B − A`.
    pub name: String,
    pub heatmap: Heatmap,
}

/// Whose values a panel shows, by place among the compared, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Its own; in a split square also the baseline's.
    Of(usize),
    /// Its own less the baseline's.
    Less(usize),
}

/// The letters that sides are called by.
pub const LETTERS: [&str; 6] = ["A", "B", "C", "D", "E", "F"];

/// The panels that the lens asks for: one order and one scale for all values, and one for all differences.
///
/// Two by themselves leave room for their difference. What flickers is shown side by side where nothing moves.
pub fn panels(comparison: &Comparison, lens: &Lens, theme: Theme) -> Vec<Panel> {
    let others = 1..comparison.attributions.len();
    match lens.show {
        Show::Values | Show::Flicker => {
            let values = values(comparison, lens, theme);
            let difference = (comparison.differences.len() == 1 && lens.show == Show::Values).then(|| less(comparison, 1, lens, theme));
            values.into_iter().chain(difference).collect()
        }
        Show::Difference => others.map(|index| less(comparison, index, lens, theme)).collect(),
        Show::Split => others.map(|index| split(comparison, index, &Lens { blocks: false, ..lens.clone() }, theme)).collect(),
    }
}

/// Each by itself.
pub fn values(comparison: &Comparison, lens: &Lens, theme: Theme) -> Vec<Panel> {
    let panel = |(index, attribution): (usize, &Attribution)| Panel {
        side: Side::Of(index),
        name: format!("{}: {}", LETTERS[index], side_name(comparison, index)),
        heatmap: of_values(comparison, &attribution.file.matrix, lens, theme),
    };
    comparison.attributions.iter().enumerate().map(panel).collect()
}

/// The checkpoint of a side, with its run where there are several.
pub fn side_name(comparison: &Comparison, index: usize) -> String {
    let attribution = &comparison.attributions[index];
    let one_run = comparison.attributions.iter().all(|other| other.run == attribution.run);
    let run = if one_run { String::new() } else { format!("{}, ", attribution.run_title) };
    let inputs = match attribution.file.inputs {
        Inputs::Adversarial => "",
        Inputs::Clean => ", clean inputs",
    };
    format!("{run}{}{inputs}", checkpoint_name(attribution))
}

fn less(comparison: &Comparison, index: usize, lens: &Lens, theme: Theme) -> Panel {
    let differences: Vec<&Matrix> = comparison.differences.iter().map(|difference| &difference.matrix).collect();
    let (baseline, other) = (comparison.baseline(), &comparison.attributions[index]);
    let arrangement = arrangement(comparison, lens);
    let map = arrangement.map(lens, &differences, Content::Difference);
    let hatched = unresolved(baseline, other, &arrangement);
    let names = &baseline.file.class_names;
    let heatmap = Heatmap::arranged(differences[index - 1], Content::Difference, names, arrangement, map, lens, theme);
    Panel { side: Side::Less(index), name: format!("{} − A", LETTERS[index]), heatmap: heatmap.hatched(hatched) }
}

fn split(comparison: &Comparison, index: usize, lens: &Lens, theme: Theme) -> Panel {
    let order = arrangement(comparison, lens).order;
    let (above, below) = (&comparison.baseline().file.matrix, &comparison.attributions[index].file.matrix);
    Panel {
        side: Side::Of(index),
        name: format!("A above, {} below the diagonal", LETTERS[index]),
        heatmap: of_values(comparison, &above.split(below, &order), lens, theme),
    }
}

fn of_values(comparison: &Comparison, matrix: &Matrix, lens: &Lens, theme: Theme) -> Heatmap {
    let all: Vec<&Matrix> = comparison.attributions.iter().map(|attribution| &attribution.file.matrix).collect();
    let arrangement = arrangement(comparison, lens);
    let map = arrangement.map(lens, &all, Content::Cosine);
    let names = &comparison.baseline().file.class_names;
    Heatmap::arranged(matrix, Content::Cosine, names, arrangement, map, lens, theme)
}

fn arrangement(comparison: &Comparison, lens: &Lens) -> Arrangement {
    arrangement_of(comparison.baseline(), comparison.attributions.get(1), lens)
}

/// The classes as the lens orders them in the baseline; by change, against `other`.
pub fn arrangement_of(baseline: &Attribution, other: Option<&Attribution>, lens: &Lens) -> Arrangement {
    Arrangement::of(&baseline.file.matrix, other.map(|other| &other.file.matrix), &baseline.file.class_names, lens)
}
