//! Comparison of class pairs, checked against PyTorch and numpy (`fixtures/pair_golden.py`), and the runs
//! that compute it.

use std::fs;
use std::path::Path;

use engine::attack::{Attack, perturb};
use engine::attribution::ClassAttributions;
use engine::data::Split;
use engine::job;
use engine::kept::Kept;
use engine::model::Network;
use engine::pair::{AttackInputs, amplified_changes, contributions, drives, largest_indices, shared_dimensions};
use engine::stop::Stop;
use serde::Deserialize;
use serde_json::{Value, json};
use shared::api::{AttributionFile, PairAccuracy, PairFile};
use shared::config::{Aggregation, Architecture, BatchNormMode, Inputs, Norm, PgdConfig, Subset};
use shared::eps::Eps;
use tch::{Device, Kind, Tensor};
use tempfile::TempDir;

use crate::measure::{check_refused, images, network, pixels, run, trained};
use crate::worker::{self, metrics};
use crate::{assert_close, small_network, values};

/// Float64 loses less than this in a few layers and five attack steps.
const TOLERANCE: f64 = 1e-9;

#[derive(Deserialize)]
struct Golden {
    eps: f64,
    step: f64,
    steps: u32,
    bias: Vec<f64>,
    labels: Vec<i64>,
    pairs: Vec<GoldenPair>,
}

#[derive(Deserialize)]
struct GoldenPair {
    pair: [u32; 2],
    cosine: f64,
    contributions: Vec<f64>,
    dimensions: Vec<usize>,
    features: [Vec<f64>; 2],
    drives: Vec<Vec<f64>>,
    amplified: Vec<f64>,
    whole: PairAccuracy,
    without: PairAccuracy,
    /// Logits of the ablated network on images attacked for it.
    logits: Vec<Vec<f64>>,
}

fn no_news(_: Option<&Attack>) -> Result<(), engine::Error> {
    Ok(())
}

#[test]
fn a_pair_is_taken_apart_as_by_numpy_and_fares_without_what_it_shares_as_by_pytorch() {
    let golden: Golden = serde_json::from_str(include_str!("../fixtures/pair.json")).unwrap();
    let mut network = network(Architecture::PreactResnetSmall, 4);
    tch::no_grad(|| network.linear_bias().shallow_clone().copy_(&Tensor::from_slice(&golden.bias)));
    let attack = Attack::to_measure(&PgdConfig {
        norm: Norm::Linf,
        eps: Eps::of_255(golden.eps * 255.0),
        step_size: Some(Eps::of_255(golden.step * 255.0)),
        steps: golden.steps,
        random_start: false,
    });
    for expected in &golden.pairs {
        let GoldenPair { pair, dimensions, .. } = expected;
        let [i, j] = pair.map(|class| class as usize);
        let there: Vec<i64> = (0..40).filter(|row| pair.iter().any(|class| golden.labels[*row as usize] == i64::from(*class))).collect();
        let split = Split::new(images(40, 1000), Tensor::from_slice(&golden.labels));
        let (clean, labels) = split.select(&Tensor::from_slice(&there));
        let start = clean.zeros_like();
        let images = AttackInputs { split: Split::new(clean.shallow_clone(), labels.shallow_clone()), start: start.shallow_clone() };

        let seen = images.measure(&network, &attack, &mut Kept::default(), &mut no_news).unwrap();
        let ClassAttributions { attributions, matrix, .. } = seen.samples.of_classes(Subset::All).attribute(Aggregation::AverageThenCosine);
        let found = contributions(&attributions[i], &attributions[j]);
        assert_close("contributions", &found, &expected.contributions, TOLERANCE);
        assert_close("cosine", &[matrix.get(i, j), found.iter().sum()], &[expected.cosine; 2], TOLERANCE);
        assert_eq!(&largest_indices(&found, dimensions.len()), dimensions);
        let shared = shared_dimensions(&seen.samples, pair, dimensions, &found);
        for (class, features) in expected.features.iter().enumerate() {
            assert_close("mean features", &shared.iter().map(|shared| shared.feature[class]).collect::<Vec<_>>(), features, TOLERANCE);
        }
        let product = |class: usize| shared.iter().map(move |shared| shared.attribution[class]).collect::<Vec<_>>();
        let of = |class: usize| dimensions.iter().map(|dimension| attributions[class][*dimension]).collect::<Vec<_>>();
        assert_close("A_i", &[product(0), product(1)].concat(), &[of(i), of(j)].concat(), TOLERANCE);
        assert_close("drives", &drives(&seen.samples, dimensions).concat(), &expected.drives.concat(), TOLERANCE);
        let (shown, times) = amplified_changes(&clean, &seen.adversarial, &attack);
        // The amplification is 25.
        assert_close("amplified changes", &values(&shown), &expected.amplified, 1e-8);
        assert!(times.iter().all(|times| (times - 0.5 / golden.eps).abs() < 1e-9), "{times:?}");
        assert_eq!(seen.accuracy(pair), expected.whole);

        network.ablate(dimensions);
        let before = Split::new(seen.adversarial.shallow_clone(), labels.shallow_clone());
        assert_eq!(images.accuracy(&network, &before, pair, &attack, &mut Kept::default(), &mut no_news).unwrap(), expected.without);
        let attacked = perturb(&network, &clean, &labels, &start, &attack, &Stop::default()).unwrap().images;
        let logits = network.forward(&attacked, BatchNormMode::Eval).logits;
        assert_close("logits", &values(&logits), &expected.logits.concat(), TOLERANCE);
        network.ablate(&[]);
    }
}

#[test]
fn without_any_dimension_only_the_bias_is_left() {
    let mut network = small_network(shared::dataset::Dataset::Digits, Kind::Float);
    let images = Tensor::rand([3, 1, 8, 8], (Kind::Float, Device::Cpu));
    let logits = |network: &Network| values(&network.forward(&images, BatchNormMode::Eval).logits);
    let whole = logits(&network);
    network.ablate(&(0..network.feature_dim() as usize).collect::<Vec<_>>());
    assert_eq!(logits(&network), values(network.linear_bias()).repeat(3));
    network.ablate(&[]);
    assert_eq!(logits(&network), whole);
}

#[test]
fn in_l2_the_largest_change_of_an_image_is_shown_in_full() {
    let attack = Attack::to_measure(&PgdConfig::of(Norm::L2, Eps::of_255(128.0)));
    let images = Tensor::full([3, 1, 2, 2], 0.5, (Kind::Double, Device::Cpu));
    let changes = Tensor::from_slice(&[0.1, -0.2, 0.0, 0.05, -0.01, 0.01, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]).view([3, 1, 2, 2]);
    let (shown, times) = amplified_changes(&images, &(&images + changes), &attack);
    assert_close("times", &times, &[2.5, 50.0, 1.0], 1e-12);
    assert_close("shown", &values(&shown), &[0.75, 0.0, 0.5, 0.625, 0.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5], 1e-12);
}

fn file(directory: &Path) -> PairFile {
    serde_json::from_str(&fs::read_to_string(directory.join("pair.json")).unwrap()).unwrap()
}

fn attribution(root: &TempDir, epoch: u32) -> AttributionFile {
    let path = root.path().join(format!("base/attributions/e{epoch}.{}.json", Inputs::Adversarial.id()));
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_pair_run_finds_the_cosines_that_training_found_and_takes_them_apart() {
    let root = trained();
    let config = json!({
        "kind": "pair", "checkpoints": ["base.e2", "base.last"], "pairs": [[3, 5], [0, 9], [3, 8]], "device": "cpu", "images_per_class": 2
    });
    let directory = run(&root, "pairs", &config).unwrap();
    let found = file(&directory);
    assert_eq!((found.checkpoints.clone(), found.stage), (["base.e2", "base.e4"].map(|id| id.parse().unwrap()).to_vec(), 3));
    assert_eq!(found.feature_dims, [16, 16]);
    assert_eq!(found.pairs.iter().map(|pair| [pair.i, pair.j]).collect::<Vec<_>>(), [[3, 5], [0, 9], [3, 8]]);
    for pair in &found.pairs {
        for (overlap, epoch) in pair.overlaps.iter().zip([2, 4]) {
            let known = attribution(&root, epoch);
            let (i, j) = (pair.i as usize, pair.j as usize);
            // The images pass the network in other batches here. Float32 rounds differently, which can change
            // an attack step.
            assert!((overlap.cosine - known.matrix.get(i, j)).abs() < 1e-5, "{} in epoch {epoch}", overlap.cosine);
            assert_eq!(overlap.sent, [known.confusion[i].clone(), known.confusion[j].clone()]);
            assert_eq!(overlap.leave_out.whole.robust, [known.class_accuracy[i], known.class_accuracy[j]]);
            assert_eq!(overlap.leave_out.whole.transferred, overlap.leave_out.whole.robust);
            // Half of the 16 dimensions.
            assert_eq!((overlap.dimensions.len(), overlap.leave_out.control.len()), (8, 3));
            let sum: f64 = overlap.dimensions.iter().map(|shared| shared.contribution).sum();
            assert!((sum - overlap.carried).abs() < 1e-12 && overlap.dimensions.is_sorted_by(|x, y| x.contribution >= y.contribution));
        }
        assert_eq!(pair.images.iter().map(|image| image.label).collect::<Vec<_>>(), [pair.i, pair.i, pair.j, pair.j]);
        for image in &pair.images {
            assert_eq!((image.drive.len(), image.perturbations.len(), image.maps.len()), (8, 2, 4));
            let clean = pixels(&image.image);
            for (map, perturbation) in image.maps.iter().skip(1).step_by(2).zip(&image.perturbations) {
                let (attacked, shown) = (pixels(map.image.as_ref().unwrap()), pixels(&perturbation.image));
                for ((clean, attacked), shown) in clean.iter().zip(&attacked).zip(&shown) {
                    let change = f64::from(*attacked) - f64::from(*clean);
                    // Pixels are rounded to bytes before and after the amplification.
                    let expected = 127.5 + change * perturbation.amplification;
                    assert!((f64::from(*shown) - expected).abs() <= 1.0 + perturbation.amplification, "{shown} for {change}");
                }
            }
        }
    }
    let summed = |pair: usize, image: usize| found.pairs[pair].images[image].drive.iter().sum::<f64>();
    assert!(summed(0, 0) >= summed(0, 1) && summed(0, 2) >= summed(0, 3));
    let metrics = metrics(&directory);
    assert!(metrics.finished.is_some_and(|finished| finished.best_epoch == 2));
    let progress = metrics.progress.unwrap();
    assert!(progress.step > 0 && progress.step <= progress.steps, "{progress:?}");

    // The result for a pair does not depend on other pairs in the list or on later checkpoints.
    let alone = json!({"kind": "pair", "checkpoints": ["base.e2"], "pairs": [[0, 9]], "device": "cpu", "images_per_class": 2});
    let alone = file(&run(&root, "alone", &alone).unwrap());
    let (alone, among) = (&alone.pairs[0], &found.pairs[1]);
    assert_eq!(alone.overlaps[0].leave_out, among.overlaps[0].leave_out);
    assert_eq!(
        alone.images.iter().map(|image| image.index).collect::<Vec<_>>(),
        among.images.iter().map(|image| image.index).collect::<Vec<_>>()
    );
}

#[test]
fn a_pair_run_takes_the_images_attack_and_dimensions_it_is_told() {
    let root = trained();
    let config = json!({
        "kind": "pair", "checkpoints": ["base.last"], "pairs": [[1, 2]], "device": "cpu", "images_per_class": 20, "split": "train",
        "dimensions": 3, "seed": 5, "attack": {"norm": "l2", "eps": "128/255", "steps": 2}
    });
    let found = file(&run(&root, "told", &config).unwrap());
    let pair = &found.pairs[0];
    assert_eq!((found.attack.norm, found.attack.steps, pair.overlaps[0].dimensions.len()), (Norm::L2, 2, 3));
    // Label noise leaves about five images of each class, fewer than requested.
    let counts = pair.overlaps[0].sent.each_ref().map(|sent| sent.iter().sum::<u32>());
    assert!(counts.iter().all(|count| (1..20).contains(count)), "{counts:?}");
    assert_eq!(pair.images.len() as u32, counts.iter().sum::<u32>());
}

#[test]
fn what_no_pair_can_be_of_is_named() {
    let root = trained();
    let with = |field: &str, value: Value| {
        let mut config = json!({"kind": "pair", "checkpoints": ["base.last"], "pairs": [[1, 2]], "device": "cpu"});
        config[field] = value;
        config
    };
    check_refused(&root, "run", &with("checkpoints", json!(["lost.best"])), &["`lost.best`", "there is no run directory"]);
    check_refused(&root, "class", &with("pairs", json!([[1, 10]])), &["`base.e4`", "has 10 classes, numbered 0 to 9", "[1, 10]"]);
    check_refused(&root, "dimensions", &with("dimensions", json!(9)), &["`base.e4`", "9 of its 16 dimensions", "at most 8"]);
    let stopped = Stop::default();
    stopped.request();
    let directory = worker::beside(&root, "canceled", &with("images_per_class", json!(1)));
    assert!(matches!(job::run(&directory, &stopped), Err(engine::Error::Stopped(_))));
    assert!(!directory.join("pair.json").exists() && metrics(&directory).finished.is_none());
    job::run(&directory, &Stop::default()).unwrap();
    assert!(directory.join("pair.json").exists() && metrics(&directory).finished.is_some());
}
