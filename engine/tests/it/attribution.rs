//! Class attributions, their matrix, and bootstrap intervals.

use engine::attack::Attack;
use engine::attribution::{Samples, attribution, correlation_matrix};
use engine::data::{self, Split};
use engine::evaluate::{EvalInputs, Measurement, measure, measure_samples_in_batches};
use engine::kept::Kept;
use engine::linear_probe::LinearProbe;
use engine::random::{self, Purpose, Seed};
use engine::stop::Stop;
use shared::config::{Aggregation, BatchNormMode, Subset};
use shared::dataset::Dataset;
use shared::matrix::Matrix;
use tch::{Device, Kind, Tensor};

use crate::{assert_close, small_network, tiny_config, values};

const DOUBLE: (Kind, Device) = (Kind::Double, Device::Cpu);

fn digits() -> Split {
    let data = data::load(&tiny_config().data, 1).unwrap();
    Split::new(data.test.images().to_kind(Kind::Double), data.test.labels)
}

fn cells(matrix: &Matrix) -> Vec<f64> {
    matrix.rows().collect::<Vec<_>>().concat()
}

#[test]
fn an_attribution_sums_to_the_logit_without_its_bias() {
    let network = small_network(Dataset::Digits, Kind::Double);
    let split = digits();
    let (images, labels) = (split.images(), split.labels);
    let output = network.forward(&images, BatchNormMode::Eval);
    let sums = attribution(&output.features, network.linear_weight(), &labels).sum_dim_intlist([1i64].as_slice(), false, Kind::Double);
    let logits = output.logits - network.linear_bias();
    let expected = logits.gather(1, &labels.unsqueeze(1), false);
    assert_close("sums", &values(&sums), &values(&expected), 1e-12);
}

#[test]
fn class_attributions_are_means_over_true_classes() {
    let network = small_network(Dataset::Digits, Kind::Double);
    let split = digits();
    let (measured, samples) = measure_digits(&split, EvalInputs::Clean, 250);
    let classes = samples.of_classes(Subset::All).attribute(Aggregation::AverageThenCosine);
    let output = network.forward(&split.images(), BatchNormMode::Eval);
    let all = attribution(&output.features, network.linear_weight(), &split.labels);
    let predicted = output.logits.argmax(1, false);
    for class in 0..10 {
        let members = split.labels.eq(class).nonzero().view([-1]);
        let mean = all.index_select(0, &members).mean_dim([0i64].as_slice(), false, Kind::Double);
        assert_close("mean", &classes.attributions[class as usize], &values(&mean), 1e-12);
        assert_eq!(classes.counts[class as usize], members.size()[0] as u32);
        let taken_for = values(&predicted.index_select(0, &members));
        for other in 0..10 {
            let expected = taken_for.iter().filter(|class| **class == f64::from(other)).count();
            assert_eq!(measured.confusion[class as usize][other as usize], expected as u32, "{class} taken for {other}");
        }
        assert_eq!(measured.class_accuracy()[class as usize], f64::from(measured.confusion[class as usize][class as usize]) / 4.0);
    }
    let right = predicted.eq_tensor(&split.labels).sum(Kind::Double).double_value(&[]);
    assert_close("accuracy", &[measured.accuracy()], &[right / split.len() as f64], 1e-12);
    let rows: Vec<Vec<f64>> = (0..10).map(|class| values(&network.linear_weight().get(class))).collect();
    assert_eq!(samples.weight_matrix(), correlation_matrix(&rows));
}

#[test]
fn mean_logits_and_non_target_mass_are_those_of_the_network() {
    let network = small_network(Dataset::Digits, Kind::Double);
    let split = digits();
    let logits = network.forward(&split.images(), BatchNormMode::Eval).logits;
    let (logits, labels): (Vec<Vec<f64>>, Vec<i64>) = (Vec::try_from(logits.detach()).unwrap(), Vec::try_from(&split.labels).unwrap());
    let (_, samples) = measure_digits(&split, EvalInputs::Clean, 250);
    let found = samples.of_classes(Subset::All).logits();
    for class in 0..10 {
        let members: Vec<&Vec<f64>> = logits.iter().zip(&labels).filter(|(_, label)| **label == class).map(|(logits, _)| logits).collect();
        let mean = |other: usize| members.iter().map(|logits| logits[other]).sum::<f64>() / members.len() as f64;
        assert_close("mean logits", &found.means[class as usize], &(0..10).map(mean).collect::<Vec<f64>>(), 1e-12);
    }
    let others = logits.iter().zip(&labels).map(|(logits, label)| {
        let exponents: Vec<f64> = logits.iter().map(|logit| logit.exp()).collect();
        1.0 - exponents[*label as usize] / exponents.iter().sum::<f64>()
    });
    let mass = others.sum::<f64>() / labels.len() as f64;
    assert_close("non-target mass", &[found.non_target_mass], &[mass], 1e-12);
    assert!((0.3..1.0).contains(&mass), "an untrained network is unsure: {mass}");
}

/// Results may differ by the rounding of sums in another order.
#[test]
fn the_size_of_batches_changes_nothing() {
    let attack = Attack::to_measure(&tiny_config().measuring_attack());
    for measured in [EvalInputs::Clean, EvalInputs::Attacked { attack: &attack, seed: 3 }] {
        let split = digits();
        let (whole, whole_samples) = measure_digits(&split, measured, 250);
        for batch_size in [1, 7] {
            let (parts, samples) = measure_digits(&split, measured, batch_size);
            assert_close("loss", &[parts.loss], &[whole.loss], 1e-10);
            let matrix = |samples: &Samples| cells(&samples.of_classes(Subset::All).attribute(Aggregation::AverageThenCosine).matrix);
            assert_close("matrix", &matrix(&samples), &matrix(&whole_samples), 1e-10);
            assert_eq!(parts.confusion, whole.confusion);
        }
        let network = small_network(Dataset::Digits, Kind::Double);
        let alone = measure(&network, &split, measured, &mut Kept::default(), &mut |_, _| Ok(())).unwrap();
        assert_eq!((alone.loss, alone.confusion), (whole.loss, whole.confusion));
    }
}

fn measure_digits(split: &Split, measured: EvalInputs<'_>, batch_size: i64) -> (Measurement, Samples) {
    let network = small_network(Dataset::Digits, Kind::Double);
    let probe = LinearProbe::penultimate(&network);
    measure_samples_in_batches(&network, &probe, split, measured, batch_size, &mut Kept::default(), &mut |_, _| Ok(())).unwrap()
}

/// Creates `counts[i]` samples of class i, with classes taking turns. Features are those of a ReLU, and each
/// class has its own mean.
fn samples(counts: &[i64], features: i64, seed: u32) -> Samples {
    tch::set_num_threads(1);
    let classes = counts.len() as i64;
    let labels: Vec<i64> = (0..counts.iter().copied().max().unwrap())
        .flat_map(|rank| (0..).zip(counts).filter(move |(_, count)| rank < **count).map(|(class, _)| class))
        .collect();
    let labels = Tensor::from_slice(&labels);
    random::draw(Seed::once(seed, Purpose::Step), || {
        let means = Tensor::randn([classes, features], DOUBLE);
        let weight = Tensor::randn([classes, features], DOUBLE);
        let features = (means.index_select(0, &labels) + Tensor::randn([labels.size()[0], features], DOUBLE)).relu();
        let predictions = Tensor::randint(classes, [labels.size()[0]], (Kind::Int64, Device::Cpu));
        Samples { features, labels, predictions, weight, bias: Tensor::zeros([classes], DOUBLE) }
    })
}

/// Computes the mean over all pairs of samples, pair by pair.
fn brute_force(samples: &Samples, subset: Subset) -> Vec<f64> {
    let all = attribution(&samples.features, &samples.weight, &samples.labels);
    let counts = |row: &i64| subset == Subset::All || samples.labels.int64_value(&[*row]) == samples.predictions.int64_value(&[*row]);
    let rows: Vec<(i64, Vec<f64>)> =
        (0..samples.labels.size()[0]).filter(counts).map(|row| (samples.labels.int64_value(&[row]), values(&all.get(row)))).collect();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let cosine = |a: &[f64], b: &[f64]| {
        let scale = (dot(a, a) * dot(b, b)).sqrt();
        if scale > 0.0 { dot(a, b) / scale } else { 0.0 }
    };
    let classes = samples.weight.size()[0];
    let mut cells = Vec::new();
    for i in 0..classes {
        for j in 0..classes {
            let (mut sum, mut pairs) = (0.0, 0u32);
            for (x, (class_x, a)) in rows.iter().enumerate() {
                for (y, (class_y, b)) in rows.iter().enumerate() {
                    if (*class_x, *class_y) == (i, j) && x != y {
                        sum += cosine(a, b);
                        pairs += 1;
                    }
                }
            }
            let without = if i == j { 1.0 } else { 0.0 };
            cells.push(if pairs == 0 { without } else { sum / f64::from(pairs) });
        }
    }
    cells
}

#[test]
fn the_mean_cosine_is_over_every_pair_of_two_samples() {
    let mut samples = samples(&[7, 1, 12, 3], 5, 1);
    // A zero feature vector has no direction, but its pairs with other samples still count.
    let _ = samples.features.get(4).fill_(0.0);
    for subset in Subset::ALL {
        let classes = samples.of_classes(subset).attribute(Aggregation::CosineThenAverage);
        assert_close("cells", &cells(&classes.matrix), &brute_force(&samples, subset), 1e-12);
    }
    samples.predictions = samples.labels.shallow_clone();
    let (all, correct) = (Subset::ALL[0], Subset::ALL[1]);
    for aggregation in Aggregation::ALL {
        assert_eq!(samples.of_classes(correct).attribute(aggregation), samples.of_classes(all).attribute(aggregation));
    }
}

#[test]
fn a_class_without_a_correct_sample_has_a_zero_attribution() {
    let mut samples = samples(&[6, 6, 6], 4, 2);
    // All samples of class 1 are predicted as class 2, all others correctly.
    samples.predictions = samples.labels.where_self(&samples.labels.ne(1), &samples.labels.full_like(2));
    for aggregation in Aggregation::ALL {
        let classes = samples.of_classes(Subset::Correct).attribute(aggregation);
        assert_eq!(classes.counts, [6, 0, 6]);
        assert_eq!((classes.norms()[1], classes.attributions[1].clone()), (0.0, vec![0.0; 4]));
        assert_eq!((classes.matrix.get(0, 1), classes.matrix.get(1, 2), classes.matrix.get(1, 1)), (0.0, 0.0, 1.0));
        let whole = samples.of_classes(Subset::All).attribute(aggregation);
        assert_close("others", &[classes.matrix.get(0, 2)], &[whole.matrix.get(0, 2)], 1e-12);
        let bootstrap = bootstrap(&samples, aggregation, Subset::Correct, 50);
        let [low, high] = bootstrap.cells().unwrap();
        assert_eq!((low.get(0, 1), high.get(1, 1)), (0.0, 1.0));
    }
}

fn bootstrap(samples: &Samples, aggregation: Aggregation, subset: Subset, resamples: u32) -> shared::api::Bootstrap {
    samples.of_classes(subset).bootstrap(aggregation, resamples, 1, &Stop::default()).unwrap().unwrap()
}

#[test]
fn where_all_samples_of_a_class_are_alike_every_resample_gives_the_estimate() {
    let mut samples = samples(&[5, 9, 4], 6, 3);
    samples.features = random::draw(Seed::once(3, Purpose::Step), || Tensor::rand([3, 6], DOUBLE)).index_select(0, &samples.labels);
    for aggregation in Aggregation::ALL {
        let classes = samples.of_classes(Subset::All).attribute(aggregation);
        let found = bootstrap(&samples, aggregation, Subset::All, 40);
        for ends in found.cells().unwrap() {
            assert_close("ends", &cells(ends), &cells(&classes.matrix), 1e-12);
        }
        assert_close("CAS", &[found.cas_low, found.cas_high], &[classes.matrix.cas(); 2], 1e-12);
    }
    assert_eq!(samples.of_classes(Subset::All).bootstrap(Aggregation::AverageThenCosine, 0, 1, &Stop::default()).unwrap(), None);
}

#[test]
fn intervals_hold_the_estimate_and_narrow_as_one_over_the_root_of_samples() {
    let width = |samples: &Samples, aggregation| {
        let estimate = samples.of_classes(Subset::All).attribute(aggregation).matrix;
        let found = bootstrap(samples, aggregation, Subset::All, 400);
        assert!(found.cas_low < estimate.cas() && estimate.cas() < found.cas_high, "{aggregation:?}");
        let [low, high] = found.cells().unwrap();
        for (i, j) in [(0, 1), (0, 2), (1, 2)] {
            assert!(low.get(i, j) < estimate.get(i, j) && estimate.get(i, j) < high.get(i, j), "{aggregation:?}");
            assert_eq!(found.cell(i, j), found.cell(j, i));
        }
        high.get(0, 1) - low.get(0, 1)
    };
    for aggregation in Aggregation::ALL {
        // Both have the same classes, because class means and W are drawn before the samples.
        let ratio = width(&samples(&[100; 3], 8, 4), aggregation) / width(&samples(&[1600; 3], 8, 4), aggregation);
        // The expected ratio is 4. The samples themselves vary by the rest.
        assert!((3.0..5.3).contains(&ratio), "{aggregation:?}: {ratio}");
    }
}

/// Two classes with two features each. The angle between their mean attributions and its standard error are
/// known.
#[test]
fn intervals_are_as_wide_as_the_delta_method_says_and_cover_the_truth_as_often_as_they_claim() {
    tch::set_num_threads(1);
    let (count, sets) = (60i64, 200u32);
    let labels = Tensor::arange(2 * count, (Kind::Int64, Device::Cpu)).remainder(2);
    // The means have angles of 0.3 and 1.2. Samples deviate by 0.5 in each direction.
    let truth = (1.2f64 - 0.3).cos();
    let means = Tensor::from_slice(&[0.3f64.cos(), 0.3f64.sin(), 1.2f64.cos(), 1.2f64.sin()]).view([2, 2]);
    let (mut covered, mut widths) = (0, 0.0);
    for set in 0..sets {
        let noise = random::draw(Seed::once(set, Purpose::Step), || Tensor::randn([2 * count, 2], DOUBLE) * 0.5);
        let features = means.index_select(0, &labels) + noise;
        let weight = Tensor::ones([2, 2], DOUBLE);
        let bias = Tensor::zeros([2], DOUBLE);
        let samples = Samples { features, labels: labels.shallow_clone(), predictions: labels.shallow_clone(), weight, bias };
        let found = bootstrap(&samples, Aggregation::AverageThenCosine, Subset::All, 300);
        let [low, high] = found.cell(0, 1).unwrap();
        covered += u32::from((low..=high).contains(&truth));
        widths += (high - low) / f64::from(sets);
        assert_close("CAS", &[found.cas_low, found.cas_high], &[2.0 * low.max(0.0), 2.0 * high.max(0.0)], 1e-12);
    }
    // The direction of each mean has the standard error 0.5/√60. The cosine of the angle changes by its sine
    // times that.
    let error = 0.5 / (count as f64).sqrt() * 2f64.sqrt() * (1.2f64 - 0.3).sin();
    let expected = 2.0 * 1.96 * error;
    assert!((widths / expected - 1.0).abs() < 0.06, "{widths} where {expected} is expected");
    // 95 % of 200 are 190, with a standard deviation of 3.
    assert!((178..=199).contains(&covered), "{covered} of {sets}");
}

#[test]
fn a_bootstrap_follows_its_seed_and_stops_when_asked() {
    let samples = samples(&[30, 20, 10], 8, 5);
    let of =
        |seed| samples.of_classes(Subset::All).bootstrap(Aggregation::CosineThenAverage, 100, seed, &Stop::default()).unwrap().unwrap();
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2));
    let stopped = Stop::default();
    stopped.request();
    assert!(samples.of_classes(Subset::All).bootstrap(Aggregation::CosineThenAverage, 100, 1, &stopped).is_err());
}
