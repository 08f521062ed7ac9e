//! Order of the classes in the matrices of a page, with its tree or groups.

use super::super::color_map::{ColorMap, Content};
use crate::cluster::Dendrogram;
use crate::dataset::{Superclass, superclasses_of};
use crate::matrix::Matrix;
use crate::view::{Lens, Order};

/// An order of classes, common to all matrices of a page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arrangement {
    /// Index shown in each row and column, a permutation: of classes, or of groups if collapsed.
    pub order: Vec<usize>,
    /// The clustering behind the order.
    pub tree: Option<Dendrogram>,
    /// Groups of adjacent classes, in displayed order; empty if the order has no groups.
    pub groups: Vec<Superclass>,
    /// Whether each group is shown as one row and column, with the means of its blocks.
    pub collapsed: bool,
}

impl Arrangement {
    /// The given order.
    pub fn given(classes: usize) -> Self {
        Arrangement { order: (0..classes).collect(), ..Arrangement::default() }
    }

    /// The lens's arrangement for the first matrix of a page. `other`: the matrix it is compared with.
    ///
    /// If the order needs something that is missing (superclasses, another matrix, a class), the given order
    /// is used.
    pub fn of(matrix: &Matrix, other: Option<&Matrix>, class_names: &[String], lens: &Lens) -> Self {
        let classes = matrix.classes();
        match lens.order {
            Order::Given => Arrangement::given(classes),
            Order::Similarity => {
                let tree = Dendrogram::of(matrix);
                Arrangement { order: tree.leaves.clone(), tree: Some(tree), ..Arrangement::default() }
            }
            Order::Superclass => match superclasses_of(class_names) {
                Some(groups) if lens.blocks => Arrangement { order: (0..groups.len()).collect(), groups, tree: None, collapsed: true },
                Some(groups) => Arrangement { order: members(&groups).concat(), groups, ..Arrangement::default() },
                None => Arrangement::given(classes),
            },
            Order::Closeness(class) => Arrangement { order: matrix.closeness_order(class), ..Arrangement::default() },
            Order::Change => match other.and_then(|other| matrix.difference(other)) {
                Some(change) => Arrangement { order: change.size_order(), ..Arrangement::default() },
                None => Arrangement::given(classes),
            },
        }
    }

    /// The matrix to show: the block means if groups are collapsed.
    pub(super) fn applied(&self, matrix: &Matrix) -> Matrix {
        if self.collapsed { matrix.block_means(&members(&self.groups)) } else { matrix.clone() }
    }

    /// The color map of the lens, common to all `matrices` as they are shown.
    pub fn map(&self, lens: &Lens, matrices: &[&Matrix], content: Content) -> ColorMap {
        if !self.collapsed {
            return ColorMap::for_lens(lens, matrices, content);
        }
        let shown: Vec<Matrix> = matrices.iter().map(|matrix| self.applied(matrix)).collect();
        ColorMap::for_lens(lens, &shown.iter().collect::<Vec<_>>(), content)
    }

    /// Names of rows and columns, by index in the shown matrix.
    pub(super) fn labels(&self, class_names: &[String]) -> Vec<String> {
        if self.collapsed { self.groups.iter().map(|group| group.name.clone()).collect() } else { class_names.to_vec() }
    }

    /// Rows at which a new group begins, without the first.
    pub(super) fn boundaries(&self) -> Vec<usize> {
        if self.collapsed {
            return Vec::new();
        }
        let ends = self.groups.iter().scan(0, |end, group| {
            *end += group.classes.len();
            Some(*end)
        });
        ends.filter(|end| *end < self.order.len()).collect()
    }

    /// Rows of a group if groups are not collapsed: the first, and the one after the last.
    pub fn rows_of_group(&self, group: usize) -> (usize, usize) {
        let before = self.groups.iter().take(group).map(|group| group.classes.len()).sum();
        (before, before + self.groups.get(group).map_or(0, |group| group.classes.len()))
    }
}

fn members(groups: &[Superclass]) -> Vec<Vec<usize>> {
    groups.iter().map(|group| group.classes.iter().map(|class| *class as usize).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Dataset;
    use crate::view::Scale;

    fn matrix(classes: usize) -> Matrix {
        let value = |i: usize, j: usize| if i == j { 1.0 } else { ((i * 31 + j * 31) % 97) as f64 / 97.0 };
        Matrix::try_from((0..classes).map(|i| (0..classes).map(|j| value(i, j)).collect()).collect::<Vec<Vec<f64>>>()).unwrap()
    }

    #[track_caller]
    fn check(order: Order, classes: usize, names: &[String]) -> Arrangement {
        let (a, b) = (matrix(classes), matrix(classes));
        let arrangement = Arrangement::of(&a, Some(&b), names, &Lens { order, ..Lens::default() });
        let mut sorted = arrangement.order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..classes).collect::<Vec<_>>(), "{order:?}");
        arrangement
    }

    #[test]
    fn every_order_shows_every_class_once() {
        let names: Vec<String> = (0..12).map(|class| class.to_string()).collect();
        for order in [Order::Given, Order::Similarity, Order::Superclass, Order::Closeness(3), Order::Closeness(99), Order::Change] {
            check(order, 12, &names);
        }
        assert_eq!(check(Order::Closeness(3), 12, &names).order[0], 3);
    }

    #[test]
    fn superclasses_lie_together_and_collapse_to_one_row_each() {
        let names = Dataset::Cifar100.info().class_names;
        let arrangement = check(Order::Superclass, 100, &names);
        assert_eq!(arrangement.boundaries(), (1..20).map(|group| 5 * group).collect::<Vec<_>>());
        assert_eq!(arrangement.rows_of_group(3), (15, 20));
        let lens = Lens { order: Order::Superclass, blocks: true, ..Lens::default() };
        let collapsed = Arrangement::of(&matrix(100), None, &names, &lens);
        let fitted = collapsed.map(&Lens { scale: Scale::Fitted, ..Lens::default() }, &[&matrix(100)], Content::Cosine);
        assert!(fitted.range().1 < 0.9, "means are less than what they are of: {fitted:?}");
        assert_eq!((collapsed.order.len(), collapsed.applied(&matrix(100)).classes(), collapsed.labels(&names).len()), (20, 20, 20));
    }
}
