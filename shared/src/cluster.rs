//! Hierarchical clustering of classes by similarity, with optimal leaf order.
//!
//! Average linkage on the distances 1 − C, then the optimal leaf order of Bar-Joseph, Gifford, Jaakkola 2001,
//! <https://doi.org/10.1093/bioinformatics/17.suppl_1.S22>: of the 2^(K−1) leaf orders of a tree with K
//! leaves, one with the smallest sum of distances between neighbors.

use crate::matrix::Matrix;

/// A tree over K classes. Node `k < K` is class `k`; node `K + m` is merge `m`.
#[derive(Clone, Debug, PartialEq)]
pub struct Dendrogram {
    /// Merges in the order they are made, closest first.
    pub merges: Vec<Merge>,
    /// Classes in leaf order: the tree can be drawn over them without crossings.
    pub leaves: Vec<usize>,
}

/// A merge of two nodes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Merge {
    /// The merged nodes, in leaf order.
    pub children: [usize; 2],
    /// Mean distance 1 − C between a class of one node and a class of the other.
    pub distance: f64,
}

impl Dendrogram {
    /// Clusters the classes of a similarity matrix.
    pub fn of(similarity: &Matrix) -> Self {
        let distance = |i: usize, j: usize| 1.0 - similarity.get(i, j);
        let classes = similarity.classes();
        let mut merges = average_linkage(classes, &distance);
        let leaves = order_leaves(classes, &mut merges, &distance);
        Dendrogram { merges, leaves }
    }

    /// The bracket of each merge for drawing, in the order of `merges`.
    pub fn brackets(&self) -> Vec<Bracket> {
        let mut nodes = vec![(0.0, 0.0); self.leaves.len() + self.merges.len()];
        for (place, class) in self.leaves.iter().enumerate() {
            nodes[*class].0 = place as f64;
        }
        let mut brackets = Vec::with_capacity(self.merges.len());
        for (merge, made) in self.merges.iter().zip(self.leaves.len()..) {
            let [first, second] = merge.children.map(|child| nodes[child]);
            // Rounding can make a merge slightly closer than a merge inside it.
            let distance = merge.distance.max(first.1).max(second.1);
            brackets.push(Bracket { places: [first.0, second.0], from: [first.1, second.1], distance });
            nodes[made] = ((first.0 + second.0) / 2.0, distance);
        }
        brackets
    }
}

/// A merge of a [`Dendrogram`] for drawing.
///
/// `places`: positions of the two children, 0 at the center of the first leaf. `from`: merge distances of the
/// children.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bracket {
    pub places: [f64; 2],
    pub from: [f64; 2],
    pub distance: f64,
}

/// Merges the two closest clusters until one is left. Update of distances: Lance and Williams 1967.
fn average_linkage(classes: usize, distance: &impl Fn(usize, usize) -> f64) -> Vec<Merge> {
    let mut between: Vec<Vec<f64>> = (0..classes).map(|i| (0..classes).map(|j| distance(i, j)).collect()).collect();
    // Node and number of classes of each row; `None` after its merge into another row.
    let mut clusters: Vec<Option<(usize, f64)>> = (0..classes).map(|class| Some((class, 1.0))).collect();
    let mut merges = Vec::with_capacity(classes.saturating_sub(1));
    for made in classes..(2 * classes).saturating_sub(1) {
        let mut closest = (f64::INFINITY, 0, 0);
        for (i, row) in between.iter().enumerate().filter(|(i, _)| clusters[*i].is_some()) {
            for (j, distance) in row.iter().enumerate().skip(i + 1) {
                if clusters[j].is_some() && *distance < closest.0 {
                    closest = (*distance, i, j);
                }
            }
        }
        let (distance, i, j) = closest;
        let (Some((first, size)), Some((second, other_size))) = (clusters[i], clusters[j].take()) else { break };
        let mean = |(x, y): (&f64, &f64)| (size * x + other_size * y) / (size + other_size);
        let means: Vec<f64> = between[i].iter().zip(&between[j]).map(mean).collect();
        for (row, mean) in between.iter_mut().zip(&means) {
            row[i] = *mean;
        }
        between[i] = means;
        clusters[i] = Some((made, size + other_size));
        merges.push(Merge { children: [first, second], distance });
    }
    merges
}

/// Costs of the best leaf orders of a cluster, for each pair of end leaves.
struct Ends {
    leaves: Vec<usize>,
    /// For the end leaves `(u, w)`, as indices into `leaves`: smallest sum of distances between neighbors;
    /// infinite if no leaf order has these ends.
    cost: Vec<f64>,
}

impl Ends {
    fn cost(&self, u: usize, w: usize) -> f64 {
        self.cost[u * self.leaves.len() + w]
    }
}

/// Orients the children of each merge for an optimal leaf order, and returns this order.
fn order_leaves(classes: usize, merges: &mut [Merge], distance: &impl Fn(usize, usize) -> f64) -> Vec<usize> {
    let mut nodes: Vec<Ends> = (0..classes).map(|class| Ends { leaves: vec![class], cost: vec![0.0] }).collect();
    for merge in merges.iter() {
        let [left, right] = merge.children.map(|child| &nodes[child]);
        let (l, r) = (left.leaves.len(), right.leaves.len());
        let count = l + r;
        let mut cost = vec![f64::INFINITY; count * count];
        for u in 0..l {
            // Smallest cost from `u` through the left cluster to each first leaf of the right cluster.
            let reach: Vec<f64> = (0..r)
                .map(|k| (0..l).map(|m| left.cost(u, m) + distance(left.leaves[m], right.leaves[k])).fold(f64::INFINITY, f64::min))
                .collect();
            for w in 0..r {
                let best = (0..r).map(|k| reach[k] + right.cost(k, w)).fold(f64::INFINITY, f64::min);
                cost[u * count + l + w] = best;
                cost[(l + w) * count + u] = best;
            }
        }
        let leaves = left.leaves.iter().chain(&right.leaves).copied().collect();
        nodes.push(Ends { leaves, cost });
    }
    let Some(root) = nodes.last() else { return Vec::new() };
    let count = root.leaves.len();
    let best = (0..count * count).min_by(|x, y| root.cost[*x].total_cmp(&root.cost[*y])).unwrap_or(0);
    let (first, last) = (root.leaves[best / count], root.leaves[best % count]);
    let mut order = Vec::with_capacity(classes);
    walk(&nodes, merges, classes, nodes.len() - 1, (first, last), distance, &mut order);
    order
}

/// Appends the leaves of `node` from `first` to `last` to `order`, and orients its merges.
fn walk(
    nodes: &[Ends],
    merges: &mut [Merge],
    classes: usize,
    node: usize,
    (first, last): (usize, usize),
    distance: &impl Fn(usize, usize) -> f64,
    order: &mut Vec<usize>,
) {
    let Some(index) = node.checked_sub(classes) else { return order.push(node) };
    if !nodes[merges[index].children[0]].leaves.contains(&first) {
        merges[index].children.reverse();
    }
    let children = merges[index].children;
    let [left, right] = children.map(|child| &nodes[child]);
    let place = |ends: &Ends, leaf: usize| ends.leaves.iter().position(|other| *other == leaf).expect("an end is a leaf of its cluster");
    let (u, w) = (place(left, first), place(right, last));
    let pairs = (0..left.leaves.len()).flat_map(|m| (0..right.leaves.len()).map(move |k| (m, k)));
    let cost = |(m, k): (usize, usize)| left.cost(u, m) + distance(left.leaves[m], right.leaves[k]) + right.cost(k, w);
    let (m, k) = pairs.min_by(|x, y| cost(*x).total_cmp(&cost(*y))).expect("clusters have leaves");
    let (end, start) = (left.leaves[m], right.leaves[k]);
    walk(nodes, merges, classes, children[0], (first, end), distance, order);
    walk(nodes, merges, classes, children[1], (start, last), distance, order);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Similarities computed from the indices; all different.
    fn hashed(classes: usize) -> Matrix {
        let value = |i: usize, j: usize| {
            let (low, high) = (i.min(j) as u64, i.max(j) as u64);
            let mixed = (low * 1_000_003 + high * 7919 + 12_345).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            if i == j { 1.0 } else { (mixed >> 11) as f64 / (1u64 << 53) as f64 * 2.0 - 1.0 }
        };
        Matrix::try_from((0..classes).map(|i| (0..classes).map(|j| value(i, j)).collect()).collect::<Vec<Vec<f64>>>()).unwrap()
    }

    fn length(matrix: &Matrix, order: &[usize]) -> f64 {
        order.windows(2).map(|pair| 1.0 - matrix.get(pair[0], pair[1])).sum()
    }

    /// All leaf orders of the tree.
    fn orders(tree: &Dendrogram, node: usize) -> Vec<Vec<usize>> {
        let Some(index) = node.checked_sub(tree.leaves.len()) else { return vec![vec![node]] };
        let [left, right] = tree.merges[index].children.map(|child| orders(tree, child));
        let both = |a: &Vec<usize>, b: &Vec<usize>| [[a.clone(), b.clone()].concat(), [b.clone(), a.clone()].concat()];
        left.iter().flat_map(|a| right.iter().flat_map(move |b| both(a, b))).collect()
    }

    #[test]
    fn no_order_of_the_tree_is_shorter() {
        for classes in 1..=9 {
            let matrix = hashed(classes);
            let tree = Dendrogram::of(&matrix);
            let all = orders(&tree, 2 * classes - 2);
            assert_eq!(all.len(), 1 << (classes - 1));
            assert!(all.contains(&tree.leaves), "{classes} classes: {tree:?}");
            let shortest = all.iter().map(|order| length(&matrix, order)).fold(f64::INFINITY, f64::min);
            assert!((length(&matrix, &tree.leaves) - shortest).abs() < 1e-12, "{classes} classes");
        }
    }

    /// Path lengths over the leaves and sums of merge distances, computed with SciPy 1.17's
    /// `optimal_leaf_ordering` and `linkage(d, "average")` on the same matrices. SciPy's search prunes, and
    /// misses the shortest order if the distances are as far from a metric as these.
    #[test]
    fn trees_are_those_of_scipy_and_orders_no_longer() {
        let of_scipy = [
            (10, 4.843493357092681, 5.241458000238421),
            (40, 7.58085408377044, 15.505220477805425),
            (100, 22.76973248940142, 33.39559896022349),
            (200, 40.87736896938654, 59.55051620202989),
        ];
        for (classes, shortest, merged) in of_scipy {
            let matrix = hashed(classes);
            let tree = Dendrogram::of(&matrix);
            let sum: f64 = tree.merges.iter().map(|merge| merge.distance).sum();
            // Rounding error of a few hundred additions.
            assert!(length(&matrix, &tree.leaves) < shortest + 1e-9, "{classes} classes: {}", length(&matrix, &tree.leaves));
            assert!((sum - merged).abs() < 1e-9, "{classes} classes: {sum} is not {merged}");
        }
    }

    #[test]
    fn merges_are_those_of_average_linkage() {
        let c = [[1.0, 0.9, 0.2, 0.1], [0.9, 1.0, 0.4, 0.3], [0.2, 0.4, 1.0, 0.6], [0.1, 0.3, 0.6, 1.0]];
        let tree = Dendrogram::of(&Matrix::try_from(c.map(|row| row.to_vec()).to_vec()).unwrap());
        let distances: Vec<f64> = tree.merges.iter().map(|merge| merge.distance).collect();
        for (found, expected) in distances.iter().zip([0.1, 0.4, 0.75]) {
            assert!((found - expected).abs() < 1e-12, "{distances:?}");
        }
        assert!(tree.leaves == [0, 1, 2, 3] || tree.leaves == [3, 2, 1, 0], "{:?}", tree.leaves);
    }

    #[test]
    fn brackets_stand_over_their_leaves_and_never_cross() {
        let tree = Dendrogram::of(&hashed(40));
        let brackets = tree.brackets();
        assert_eq!(brackets.len(), 39);
        for Bracket { places, from, distance } in brackets {
            assert!(places[0] < places[1] && from[0] <= distance && from[1] <= distance);
        }
    }

    #[test]
    fn one_class_and_none_have_a_tree() {
        assert_eq!(Dendrogram::of(&hashed(1)).leaves, [0]);
        assert_eq!(Dendrogram::of(&hashed(0)), Dendrogram { merges: Vec::new(), leaves: Vec::new() });
    }
}
