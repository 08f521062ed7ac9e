//! What the cells of the matrix of an attribution show.

use strum::{Display, EnumIter, EnumString, VariantNames};

use crate::api::AttributionFile;
use crate::chart::color_map::Content;
use crate::interference::Relation;
use crate::matrix::Matrix;

/// Values over pairs of classes that an attribution has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Display, EnumIter, EnumString, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Cells {
    /// C.
    #[default]
    Attribution,
    /// A control: the cosines of the rows of W.
    Weights,
    /// A control: the cosines of the mean features.
    Features,
    /// How often images of two classes are taken for the other one.
    Traffic,
    /// Row i, column j: the mean logit of class j over the images of class i.
    Logits,
}

impl Cells {
    pub fn label(self) -> &'static str {
        match self {
            Cells::Attribution => "Attribution, C",
            Cells::Weights => "Rows of W alone",
            Cells::Features => "Mean features alone",
            Cells::Traffic => "Traffic of the attack",
            Cells::Logits => "Mean logits",
        }
    }

    /// What the values are and what they are for, in a sentence or two; nothing for C.
    pub fn explanation(self) -> &'static str {
        match self {
            Cells::Attribution => "",
            Cells::Weights => {
                "The control: cosines of the classes' weights, whatever the images. What differs from it comes from the features."
            }
            Cells::Features => {
                "The other control: cosines of the classes' mean features g(x), without W. What differs from it comes from the weights."
            }
            Cells::Traffic => "Fraction of the images of two classes that is taken for the other one, on the inputs of this matrix.",
            Cells::Logits => {
                "Row i, column j: mean logit of class j over the images of class i. Soft labels keep the logits of the other classes apart."
            }
        }
    }

    /// The relation between the classes that they are; `None` for logits, which are not the same both ways.
    fn relation(self) -> Option<Relation> {
        match self {
            Cells::Attribution => Some(Relation::Attribution),
            Cells::Weights => Some(Relation::Weights),
            Cells::Features => Some(Relation::Features),
            Cells::Traffic => Some(Relation::Traffic),
            Cells::Logits => None,
        }
    }

    fn content(self) -> Content {
        match self {
            Cells::Attribution | Cells::Weights | Cells::Features => Content::Cosine,
            Cells::Traffic => Content::Fraction,
            Cells::Logits => Content::Logit,
        }
    }

    /// The values in a file, and what kind they are; `None` if it does not have them.
    pub fn of(self, file: &AttributionFile) -> Option<(Matrix, Content)> {
        let values = match self.relation() {
            Some(relation) => relation.of(file),
            None => file.mean_logits.clone(),
        };
        Some((values?, self.content()))
    }

    /// Whether a file has the values.
    pub fn are_in(self, file: &AttributionFile) -> bool {
        self.relation().map_or(file.mean_logits.is_some(), |relation| relation.is_in(file))
    }

    /// These if the file has them, otherwise C.
    pub fn or_attribution(self, file: &AttributionFile) -> Self {
        if self.are_in(file) { self } else { Cells::Attribution }
    }
}

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator;

    use super::*;
    use crate::chart::colors::Theme;
    use crate::chart::heatmap::Heatmap;
    use crate::fixtures;
    use crate::view::Lens;

    #[test]
    fn what_a_file_has_is_shown_and_c_in_place_of_what_it_has_not() {
        let matrix = |value: f64| Matrix::try_from(vec![vec![1.0, value], vec![value, 1.0]]).unwrap();
        let mut attribution = fixtures::attribution("r", 1, matrix(0.5));
        let shown = |attribution: &crate::api::Attribution, cells: Cells| {
            let lens = Lens { cells, ..Lens::default() };
            Heatmap::of(attribution, None, &lens, Theme::Light).matrix.get(0, 1)
        };
        attribution.file.confusion = Vec::new();
        for cells in Cells::iter() {
            assert_eq!(cells.or_attribution(&attribution.file), Cells::Attribution, "{cells}");
            assert_eq!(shown(&attribution, cells), 0.5, "{cells}");
        }
        attribution.file.confusion = vec![vec![9, 1], vec![2, 8]];
        attribution.file.weight_matrix = Some(matrix(0.1));
        attribution.file.feature_matrix = Some(matrix(0.2));
        attribution.file.mean_logits = Some(Matrix::try_from(vec![vec![3.0, -1.0], vec![-2.0, 4.0]]).unwrap());
        for (cells, expected) in Cells::iter().zip([0.5, 0.1, 0.2, 0.15, -1.0]) {
            assert!(cells.are_in(&attribution.file) && cells.of(&attribution.file).is_some());
            assert_eq!(shown(&attribution, cells), expected, "{cells}");
        }
    }
}
