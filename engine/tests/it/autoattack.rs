//! AutoAttack, compared with the authors' code in float64 (see `fixtures/autoattack_golden.py`), and on
//! linear classifiers, for which the nearest misclassified image is known in closed form.

use engine::autoattack::square::{InitialDraw, Limits, QueryDraw, RandomSource};
use engine::autoattack::{Ball, Classifier, PreparedStage, Stage, apgd, fab, square, stages};
use engine::stop::Stop;
use engine::{Error, data};
use safetensors::SafeTensors;
use shared::config::{AutoAttack, Norm};
use shared::dataset::Dataset;
use shared::eps::Eps;
use tch::{Device, Kind, Tensor};

use crate::{assert_close, small_network, tiny_config, values};

/// Results of a hundred float64 steps. Only the order of additions differs.
const SAME: f64 = 1e-9;

/// Reads a tensor of the golden file.
fn golden(name: &str) -> Tensor {
    let file = SafeTensors::deserialize(include_bytes!("../fixtures/autoattack.safetensors")).unwrap();
    let view = file.tensor(name).unwrap();
    let shape: Vec<i64> = view.shape().iter().map(|length| *length as i64).collect();
    let kind = if view.dtype() == safetensors::Dtype::F64 { Kind::Double } else { Kind::Int64 };
    Tensor::from_data_size(view.data(), &shape, kind)
}

/// The network in the golden file.
struct Perceptron {
    weights: [Tensor; 2],
    biases: [Tensor; 2],
}

impl Perceptron {
    fn golden() -> Self {
        tch::set_num_threads(1);
        Perceptron { weights: ["weight1", "weight2"].map(golden), biases: ["bias1", "bias2"].map(golden) }
    }
}

impl Classifier for Perceptron {
    fn logits(&self, images: &Tensor) -> Tensor {
        let hidden = (images.flatten(1, -1) - 0.5).linear(&self.weights[0], Some(&self.biases[0])).tanh();
        hidden.linear(&self.weights[1], Some(&self.biases[1]))
    }
}

const NORMS: [(Norm, &str, f64); 2] = [(Norm::Linf, "linf", 0.06), (Norm::L2, "l2", 0.6)];

fn ball(norm: Norm, eps: f64) -> Ball {
    Ball { norm, eps: Eps::of_255(eps * 255.0) }
}

fn golden_targets(network: &Perceptron) -> Tensor {
    network.logits(&golden("images")).argsort(1, true).select(1, 1)
}

#[test]
fn apgd_goes_the_way_of_the_public_code() {
    let network = Perceptron::golden();
    for (norm, key, eps) in NORMS {
        for (name, objective) in
            [("apgd_ce", apgd::Objective::CrossEntropy), ("apgd_t", apgd::Objective::TargetedDlr { targets: golden_targets(&network) })]
        {
            let (images, labels, start) = (golden("images"), golden("labels"), golden(&format!("start_{key}")));
            let found = apgd::perturb(&network, &images, &labels, &start, &objective, ball(norm, eps), &Stop::default()).unwrap();
            let name = format!("{name}_{key}");
            assert_close(&name, &values(&found), &values(&golden(&name)), SAME);
        }
    }
}

#[test]
fn fab_goes_the_way_of_the_public_code() {
    let network = Perceptron::golden();
    for (norm, key, _) in NORMS {
        let (images, labels, targets) = (golden("images"), golden("labels"), golden_targets(&network));
        let found = fab::nearest(&network, &images, &labels, &targets, norm, &Stop::default()).unwrap();
        let name = format!("fab_{key}");
        assert_close(&name, &values(&found.images), &values(&golden(&name)), SAME);
    }
}

/// The random numbers that the public code drew, read from the golden file.
struct Recorded {
    key: &'static str,
}

impl Recorded {
    fn get(&self, name: &str) -> Tensor {
        golden(&format!("square_{}_{name}", self.key))
    }
}

impl RandomSource for Recorded {
    fn initial(&self, norm: Norm, tiles: i64, _: &Tensor) -> InitialDraw {
        let transposed = match norm {
            Norm::Linf => Vec::new(),
            Norm::L2 => values(&self.get("opening_transposed")).iter().map(|value| *value > 0.5).collect(),
        };
        assert!(norm == Norm::Linf || transposed.len() as i64 == tiles * tiles);
        InitialDraw { signs: self.get("opening"), transposed }
    }

    fn query(&self, norm: Norm, query: u32, rows: &Tensor) -> QueryDraw {
        let query = i64::from(query);
        // The public code stopped when all images were misclassified. Later queries change nothing.
        let query = query.min(self.get("corners").size()[0] - 1);
        let corners = values(&self.get("corners").select(0, query));
        let signs = self.get("signs").select(0, query);
        match norm {
            Norm::Linf => QueryDraw { corners: [[corners[0], corners[1]], [0.0, 0.0]], transposed: false, signs: signs.unsqueeze(0) },
            Norm::L2 => QueryDraw {
                corners: [[corners[0], corners[1]], [corners[2], corners[3]]],
                transposed: self.get("transposed").double_value(&[query]) > 0.5,
                signs: signs.index_select(0, rows),
            },
        }
    }
}

#[test]
fn square_goes_the_way_of_the_public_code_with_the_same_random_numbers() {
    let network = Perceptron::golden();
    for (norm, key, eps) in NORMS {
        let (images, labels) = (golden("images"), golden("labels"));
        let found = square::perturb(
            &network,
            &images,
            &labels,
            Limits { ball: ball(norm, eps), queries: 300 },
            &Recorded { key },
            &mut (),
            &Stop::default(),
        )
        .unwrap();
        let name = format!("square_{key}");
        assert_close(&name, &values(&found), &values(&golden(&name)), SAME);
    }
}

#[test]
fn projections_onto_a_hyperplane_are_those_of_the_public_code() {
    let as_images = |name: &str| golden(name).view([40, 1, 5, 6]);
    for (norm, key) in [(Norm::Linf, "projected_linf"), (Norm::L2, "projected_l2")] {
        let found = fab::project(&as_images("points"), &as_images("gradient"), &golden("difference"), norm);
        assert_close(key, &values(&found), &values(&golden(key)), SAME);
    }
}

#[test]
fn the_targeted_dlr_loss_is_that_of_the_public_code() {
    let objective = apgd::Objective::TargetedDlr { targets: golden("dlr_targets") };
    let found = objective.loss(&golden("dlr_logits"), &golden("dlr_labels"));
    assert_close("losses", &values(&found), &values(&golden("dlr")), SAME);
}

/// A classifier whose logits are linear in the pixels. Its images are gray enough that only the norm limits
/// an attack.
struct Linear {
    weight: Tensor,
    images: Tensor,
    labels: Tensor,
}

impl Classifier for Linear {
    fn logits(&self, images: &Tensor) -> Tensor {
        images.flatten(1, -1).matmul(&self.weight.tr())
    }
}

impl Linear {
    fn new(classes: i64) -> Self {
        tch::set_num_threads(1);
        tch::manual_seed(5);
        let weight = Tensor::randn([classes, 100], (Kind::Double, Device::Cpu));
        let images = Tensor::rand([60, 1, 10, 10], (Kind::Double, Device::Cpu)) * 0.2 + 0.4;
        let mut linear = Linear { weight, images, labels: Tensor::zeros([0i64; 0], (Kind::Int64, Device::Cpu)) };
        linear.labels = linear.logits(&linear.images).argmax(1, false);
        linear
    }

    /// Returns the distance of each image to its boundary with the class of the given rank: the difference of
    /// the logits divided by the dual norm of its gradient.
    fn distances(&self, norm: Norm, rank: i64) -> Vec<f64> {
        let logits = self.logits(&self.images);
        let target = logits.argsort(1, true).select(1, rank);
        let difference = logits.gather(1, &self.labels.unsqueeze(1), false) - logits.gather(1, &target.unsqueeze(1), false);
        let gradient = self.weight.index_select(0, &self.labels) - self.weight.index_select(0, &target);
        let order = if norm == Norm::Linf { 1.0 } else { 2.0 };
        values(&(difference.squeeze_dim(1) / gradient.norm_scalaropt_dim(order, [1], false)))
    }

    fn nearest(&self, norm: Norm) -> Vec<f64> {
        let classes = self.weight.size()[0];
        let ranks: Vec<Vec<f64>> = (1..classes).map(|rank| self.distances(norm, rank)).collect();
        (0..ranks[0].len()).map(|image| ranks.iter().map(|distances| distances[image]).fold(f64::INFINITY, f64::min)).collect()
    }

    /// Returns which images are still classified correctly after a stage. `left`: those classified correctly
    /// before it.
    fn survivors(&self, stage: Stage, ball: Ball, left: &Tensor) -> Tensor {
        let rows = left.nonzero().squeeze_dim(1);
        let (images, labels) = (self.images.index_select(0, &rows), self.labels.index_select(0, &rows));
        let prepared = PreparedStage::new(stage, ball, &self.images, 1);
        let found = prepared.perturb(self, &images, &labels, &rows, &mut (), &Stop::default()).unwrap();
        left.index_put(&[Some(&rows)], &self.logits(&found).argmax(1, false).eq_tensor(&labels), false)
    }

    fn all(&self) -> Tensor {
        self.labels.ones_like().to_kind(Kind::Bool)
    }
}

/// Returns an eps that lies between the distances of half of the images and the others, in the widest gap
/// near the median.
fn dividing(distances: &[f64]) -> f64 {
    let mut sorted = distances.to_vec();
    sorted.sort_by(f64::total_cmp);
    let around = sorted[sorted.len() / 3..sorted.len() * 2 / 3].windows(2);
    let [low, high] = around.map(|pair| [pair[0], pair[1]]).max_by(|a, b| (a[1] / a[0]).total_cmp(&(b[1] / b[0]))).unwrap();
    assert!(high / low > 1.005, "{low} and {high} are too near each other to tell");
    (low + high) / 2.0
}

#[test]
fn fab_finds_the_nearest_misclassified_image_of_a_linear_classifier() {
    let linear = Linear::new(5);
    for norm in [Norm::Linf, Norm::L2] {
        // Any wrong class counts, not only the target. A nearer class may lie on the way to the target.
        let targets = linear.logits(&linear.images).argsort(1, true).select(1, 1);
        let found = fab::nearest(&linear, &linear.images, &linear.labels, &targets, norm, &Stop::default()).unwrap();
        for ((found, to_target), nearest) in values(&found.distances).iter().zip(linear.distances(norm, 1)).zip(linear.nearest(norm)) {
            assert!(*found >= nearest * (1.0 - 1e-9), "{norm:?}: {found} is nearer than the nearest, {nearest}");
            // The last step starts at 90 % of the way and overshoots by 5 % of its length. Up to a tenth of
            // it is the step from the image, which overshoots by 5 % of the whole way. Together this is at
            // most 0.95 % too far.
            assert!(*found <= to_target * 1.0095, "{norm:?}: {found} is farther than {to_target}");
        }
    }
}

#[test]
fn targeted_apgd_fools_a_linear_classifier_wherever_it_can_be_fooled() {
    let linear = Linear::new(5);
    for norm in [Norm::Linf, Norm::L2] {
        let distances = linear.nearest(norm);
        let ball = ball(norm, dividing(&distances));
        let left = (1..5).fold(linear.all(), |left, rank| linear.survivors(Stage::ApgdTargeted { rank }, ball, &left));
        let expected: Vec<f64> = distances.iter().map(|distance| f64::from(*distance > ball.eps.fraction())).collect();
        assert_eq!(values(&left), expected, "{norm:?}");
    }
}

#[test]
fn apgd_on_cross_entropy_fools_a_linear_classifier_of_two_classes_wherever_it_can_be_fooled() {
    let linear = Linear::new(2);
    for norm in [Norm::Linf, Norm::L2] {
        let distances = linear.nearest(norm);
        let ball = ball(norm, dividing(&distances));
        let expected: Vec<f64> = distances.iter().map(|distance| f64::from(*distance > ball.eps.fraction())).collect();
        assert_eq!(values(&linear.survivors(Stage::ApgdCe, ball, &linear.all())), expected, "{norm:?}");
    }
}

#[test]
fn square_fools_most_of_what_can_be_fooled_without_a_gradient() {
    let linear = Linear::new(5);
    // Square needs an eps this much larger than the distance. Squares of one pixel never reach the last row
    // and column, a fifth of these images.
    for (norm, needs) in [(Norm::Linf, 1.3), (Norm::L2, 2.0)] {
        let distances = linear.nearest(norm);
        let ball = ball(norm, dividing(&distances));
        let left = values(&linear.survivors(Stage::Square { queries: 5000 }, ball, &linear.all()));
        for (left, distance) in left.iter().zip(distances) {
            assert!(*left == 1.0 || distance <= ball.eps.fraction() * (1.0 + 1e-6), "{norm:?}: fooled at {distance}");
            assert!(*left == 0.0 || distance * needs > ball.eps.fraction(), "{norm:?}: not fooled at {distance} of {ball:?}");
        }
    }
}

#[test]
fn every_stage_stays_in_ball_and_pixels_and_leaves_what_it_cannot_fool() {
    let network = small_network(Dataset::Digits, Kind::Float);
    let images = data::load(&tiny_config().data, 1).unwrap().test.images();
    let labels = network.logits(&images).argmax(1, false);
    let rows = Tensor::arange(images.size()[0], (Kind::Int64, Device::Cpu));
    for (norm, eps) in [(Norm::Linf, 0.1), (Norm::L2, 1.0)] {
        for stage in [Stage::ApgdCe, Stage::ApgdTargeted { rank: 2 }, Stage::FabTargeted { rank: 1 }] {
            let prepared = PreparedStage::new(stage, ball(norm, eps), &images, 1);
            let found = prepared.perturb(&network, &images, &labels, &rows, &mut (), &Stop::default()).unwrap();
            let fooled = values(&network.logits(&found).argmax(1, false).ne_tensor(&labels));
            let offsets = (&found - &images).flatten(1, -1);
            let sizes = values(&match norm {
                Norm::Linf => offsets.abs().amax([1i64].as_slice(), false),
                Norm::L2 => offsets.norm_scalaropt_dim(2, [1], false),
            });
            // Rounding error of float32 pixels up to 1.
            assert!(sizes.iter().all(|size| *size <= eps + 1e-6), "{stage:?}: {sizes:?}");
            assert!(found.min().double_value(&[]) >= 0.0 && found.max().double_value(&[]) <= 1.0, "{stage:?}");
            assert!(stage != Stage::ApgdCe || fooled.contains(&1.0), "nothing to look at in {norm:?}");
            let untouched = fooled.iter().zip(sizes).all(|(fooled, size)| (*fooled == 0.0) == (size == 0.0));
            assert!(untouched, "{stage:?} at {norm:?}");
        }
    }
}

#[test]
fn images_attacked_by_themselves_come_out_as_among_others() {
    let network = Perceptron::golden();
    let (images, labels) = (golden("images"), golden("labels"));
    for (norm, eps) in [(Norm::Linf, 0.06), (Norm::L2, 0.6)] {
        for stage in [Stage::ApgdCe, Stage::ApgdTargeted { rank: 2 }, Stage::FabTargeted { rank: 2 }, Stage::Square { queries: 5000 }] {
            let prepared = PreparedStage::new(stage, ball(norm, eps), &images, 1);
            let perturb = |rows: &[i64]| {
                let rows = Tensor::from_slice(rows);
                let (images, labels) = (images.index_select(0, &rows), labels.index_select(0, &rows));
                values(&prepared.perturb(&network, &images, &labels, &rows, &mut (), &Stop::default()).unwrap())
            };
            let apart = [perturb(&[0, 3]), perturb(&[1]), perturb(&[2])];
            let (first, last) = apart[0].split_at(apart[1].len());
            let apart = [first, &apart[1], &apart[2], last].concat();
            assert_close(&format!("{stage:?} {norm:?}"), &apart, &perturb(&[0, 1, 2, 3]), SAME);
        }
    }
}

#[test]
fn fewer_classes_have_fewer_targets_and_below_four_no_targeted_dlr() {
    let count = |classes| AutoAttack::ALL.iter().map(|attack| stages(*attack, classes, 5000).len()).collect::<Vec<_>>();
    assert_eq!(count(100), [1, 9, 9, 1]);
    assert_eq!(count(10), [1, 9, 9, 1]);
    assert_eq!(count(4), [1, 3, 3, 1]);
    assert_eq!(count(3), [1, 0, 2, 1]);
    assert_eq!(count(2), [1, 0, 1, 1]);
}

#[test]
fn a_stopped_stage_ends_before_its_next_step() {
    let linear = Linear::new(5);
    let stop = Stop::default();
    stop.request();
    let rows = Tensor::arange(60, (Kind::Int64, Device::Cpu));
    for stage in AutoAttack::ALL.iter().copied().flat_map(|attack| stages(attack, 5, 100)) {
        let prepared = PreparedStage::new(stage, ball(Norm::Linf, 0.1), &linear.images, 1);
        let outcome = prepared.perturb(&linear, &linear.images, &linear.labels, &rows, &mut (), &stop);
        assert!(matches!(outcome, Err(Error::Stopped(_))), "{stage:?}");
    }
}
