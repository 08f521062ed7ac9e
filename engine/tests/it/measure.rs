//! Attribution variants and Grad-CAM, compared with PyTorch and numpy (`fixtures/measure_golden.py`), and the
//! runs that compute them.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::data::{self, Split};
use engine::evaluate::{EvalInputs, measure_samples_in_batches};
use engine::grad_cam::grad_cam;
use engine::job;
use engine::kept::Kept;
use engine::linear_probe::LinearProbe;
use engine::model::Network;
use engine::stop::Stop;
use serde::Deserialize;
use serde_json::{Value, json};
use shared::api::{AttributionFile, SaliencyFile};
use shared::config::{Aggregation, Architecture, BatchNormMode, Inputs, Layer, ModelConfig, SplitName, Subset};
use shared::dataset::Dataset;
use shared::matrix::Matrix;
use tch::{Device, Kind, Tensor};
use tempfile::TempDir;

use crate::golden::{fill, hashed};
use crate::worker::{self, metrics};
use crate::{assert_close, tiny_config, values};

/// Required accuracy. Float64 loses less than this in a few layers and a ridge regression.
const TOLERANCE: f64 = 1e-8;

#[derive(Deserialize)]
struct Golden {
    labels: Vec<i64>,
    logits: Vec<Vec<f64>>,
    penultimate: Variants,
    stages: Vec<Stage>,
    grad_cam: Vec<Vec<Vec<Vec<f64>>>>,
    deit_logits: Vec<Vec<f64>>,
    deit_grad_cam: Vec<Vec<Vec<Vec<f64>>>>,
}

#[derive(Deserialize)]
struct Variants {
    average_then_cosine: Vec<Vec<f64>>,
    cosine_then_average: Vec<Vec<f64>>,
    average_then_cosine_correct: Vec<Vec<f64>>,
    cosine_then_average_correct: Vec<Vec<f64>>,
    average_features: Vec<Vec<f64>>,
    average_features_correct: Vec<Vec<f64>>,
    weight_matrix: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct Stage {
    weight: Vec<Vec<f64>>,
    #[serde(flatten)]
    variants: Variants,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../fixtures/measure.json")).unwrap()
}

/// Builds a network for 8×8 images with the weights of the fixture.
pub fn network(architecture: Architecture, width: u32) -> Network {
    tch::set_num_threads(1);
    let config = ModelConfig { width: Some(width), ..ModelConfig::of(architecture) };
    let network = Network::new(&config, &Dataset::Digits.info(), 0, Kind::Double, Device::Cpu);
    fill(&network, 0);
    network
}

/// Returns images of 1×8×8 pixels. Each is hashed from its own salt, starting with `first`.
pub fn images(count: u32, first: u32) -> Tensor {
    let pixels: Vec<f64> = (0..count).flat_map(|image| hashed(64, first + image)).map(|value| 0.5 + 0.5 * value).collect();
    Tensor::from_slice(&pixels).view([i64::from(count), 1, 8, 8])
}

fn split() -> Split {
    Split::new(images(40, 1000), Tensor::from_slice(&golden().labels))
}

#[track_caller]
fn check_variants(probe: &LinearProbe, network: &Network, expected: &Variants) {
    let measured = measure_samples_in_batches(network, probe, &split(), EvalInputs::Clean, 7, &mut Kept::default(), &mut |_, _| Ok(()));
    let (_, samples) = measured.unwrap();
    let check = |what: &str, found: &Matrix, expected: &[Vec<f64>]| {
        assert_close(what, &found.rows().collect::<Vec<_>>().concat(), &expected.concat(), TOLERANCE);
    };
    for (aggregation, subset, expected) in [
        (Aggregation::AverageThenCosine, Subset::All, &expected.average_then_cosine),
        (Aggregation::CosineThenAverage, Subset::All, &expected.cosine_then_average),
        (Aggregation::AverageThenCosine, Subset::Correct, &expected.average_then_cosine_correct),
        (Aggregation::CosineThenAverage, Subset::Correct, &expected.cosine_then_average_correct),
        (Aggregation::AverageFeatures, Subset::All, &expected.average_features),
        (Aggregation::AverageFeatures, Subset::Correct, &expected.average_features_correct),
    ] {
        check(&format!("{aggregation:?} of {subset:?}"), &samples.of_classes(subset).attribute(aggregation).matrix, expected);
    }
    check("rows of W", &samples.weight_matrix(), &expected.weight_matrix);
}

#[test]
fn attribution_variants_are_those_of_numpy() {
    let (network, golden) = (network(Architecture::PreactResnetSmall, 4), golden());
    assert_close("logits", &values(&network.forward(&images(40, 1000), BatchNormMode::Eval).logits), &golden.logits.concat(), TOLERANCE);
    check_variants(&LinearProbe::penultimate(&network), &network, &golden.penultimate);
}

#[test]
fn stages_are_read_out_by_the_ridge_regression_of_numpy() {
    let (network, golden) = (network(Architecture::PreactResnetSmall, 4), golden());
    let train = Split::new(images(60, 2000), Tensor::arange(60, (Kind::Int64, Device::Cpu)).remainder(10));
    for (stage, expected) in (1..).zip(&golden.stages) {
        for batch_size in [7, 60] {
            let probe = LinearProbe::fitted(&network, stage, &train, batch_size, &mut Kept::default(), &mut |_, _| Ok(())).unwrap();
            assert_close("W", &values(probe.weight()), &expected.weight.concat(), TOLERANCE);
            check_variants(&probe, &network, &expected.variants);
        }
    }
}

#[test]
fn features_that_never_change_are_read_out_by_nothing() {
    let network = network(Architecture::PreactResnetSmall, 4);
    let same = Split::new(images(1, 5).expand([20, 1, 8, 8], false), Tensor::arange(20, (Kind::Int64, Device::Cpu)).remainder(10));
    let probe = LinearProbe::fitted(&network, 1, &same, 20, &mut Kept::default(), &mut |_, _| Ok(())).unwrap();
    assert!(values(probe.weight()).iter().all(|weight| weight.is_finite()));
}

#[track_caller]
fn check_maps(network: &Network, count: u32, expected: &[Vec<Vec<Vec<f64>>>]) {
    let labels = Tensor::from_slice(&golden().labels[..count as usize]);
    for (stage, expected) in (1..).zip(expected) {
        // Autograd is off, as it is while a split is measured.
        let found = tch::no_grad(|| grad_cam(network, &images(count, 1000), &labels, stage));
        assert_close(&format!("maps of stage {stage}"), &values(&found.maps), &expected.concat().concat(), TOLERANCE);
    }
}

#[test]
fn grad_cam_is_that_of_pytorch() {
    check_maps(&network(Architecture::PreactResnetSmall, 4), 40, &golden().grad_cam);
}

#[test]
fn grad_cam_of_deit_is_that_of_pytorch_on_the_grid_of_its_tokens() {
    let (network, golden) = (network(Architecture::DeitTiny, 12), golden());
    assert_close(
        "logits",
        &values(&network.forward(&images(6, 1000), BatchNormMode::Eval).logits),
        &golden.deit_logits.concat(),
        TOLERANCE,
    );
    check_maps(&network, 6, &golden.deit_grad_cam);
}

/// Creates a folder with a run that was trained for a second, with ten images held out.
pub fn trained() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let mut config = tiny_config();
    config.data.holdout_samples = 10;
    worker::train(&root, "base", config);
    root
}

/// Runs a configuration in a directory beside the others.
pub fn run(root: &TempDir, name: &str, config: &Value) -> Result<std::path::PathBuf, engine::Error> {
    let directory = worker::beside(root, name, config);
    job::run(&directory, &Stop::default()).map(|()| directory)
}

fn attribution(directory: &Path, epoch: u32, inputs: Inputs) -> AttributionFile {
    let path = directory.join(format!("attributions/e{epoch}.{}.json", inputs.id()));
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn an_attribution_run_finds_again_what_training_found() {
    let root = trained();
    let config = json!({
        "kind": "attribute", "checkpoint": "base.last", "seed": 1, "device": "cpu", "inputs": ["adversarial", "clean"], "bootstrap": 200
    });
    let directory = run(&root, "again", &config).unwrap();
    for &inputs in Inputs::ALL {
        let found = attribution(&directory, 4, inputs);
        let expected = AttributionFile {
            checkpoint: Some("base.e4".parse().unwrap()),
            seconds: found.seconds,
            ..attribution(&root.path().join("base"), 4, inputs)
        };
        assert_eq!(found, expected);
    }
    let metrics = metrics(&directory);
    assert_eq!(metrics.attributions.len(), 2);
    assert!(metrics.started.is_some_and(|started| started.epochs == 0 && started.test_samples == 40));
    assert!(metrics.finished.is_some_and(|finished| finished.best_epoch == 4));
    // A single batch needs 13 passes for the attack with four steps and the measurement, then 1 for the clean
    // images.
    let progress = metrics.progress.unwrap();
    assert!((13..=14).contains(&progress.step) && progress.steps == 14, "{progress:?}");
}

#[test]
fn an_attribution_run_says_what_it_measured() {
    let root = trained();
    let config = json!({
        "kind": "attribute", "checkpoint": "base.best", "device": "cpu", "split": "train", "inputs": ["adversarial"],
        "attack": {"norm": "l2", "eps": "128/255", "steps": 3}, "aggregation": "cosine_then_average", "subset": "correct",
        "layer": "stage2", "bootstrap": 20
    });
    let directory = run(&root, "variant", &config).unwrap();
    let epoch = metrics(&directory).attributions[0].epoch;
    let file = attribution(&directory, epoch, Inputs::Adversarial);
    assert_eq!((file.split, file.aggregation, file.subset), (SplitName::Train, Aggregation::CosineThenAverage, Subset::Correct));
    // The first stage of the small network has width 4, the second twice that.
    assert_eq!((file.layer, file.feature_dim), (Layer::Stage(2), 8));
    let attack = file.attack.unwrap();
    assert_eq!((attack.steps, attack.step_size), (3, attack.eps.scaled(1.0 / 8.0)));
    let samples: u32 = file.confusion.iter().flatten().sum();
    let correct: Vec<u32> = (0..10).map(|class| file.confusion[class][class]).collect();
    assert_eq!((samples, file.class_counts), (50, correct));
    assert_eq!(file.bootstrap.unwrap().resamples, 20);

    let holdout = run(&root, "holdout", &json!({"kind": "attribute", "checkpoint": "base.best", "device": "cpu", "split": "holdout"}));
    assert_eq!(attribution(&holdout.unwrap(), epoch, Inputs::Adversarial).class_counts, vec![1; 10]);
}

#[test]
fn a_measurement_stopped_at_its_start_is_done_by_the_next_worker() {
    let root = trained();
    let stopped = Stop::default();
    stopped.request();
    for (kind, result) in [("attribute", "attributions/e4.adversarial.json"), ("saliency", "saliency.json")] {
        let mut config = json!({"kind": kind, "device": "cpu"});
        match kind {
            "attribute" => config["checkpoint"] = json!("base.last"),
            _ => config["checkpoints"] = json!(["base.last"]),
        }
        let directory = worker::beside(&root, kind, &config);
        assert!(matches!(job::run(&directory, &stopped), Err(engine::Error::Stopped(_))));
        assert!(!directory.join(result).exists() && metrics(&directory).finished.is_none());
        job::run(&directory, &Stop::default()).unwrap();
        assert!(directory.join(result).exists() && metrics(&directory).finished.is_some());
        let again = job::run(&directory, &Stop::default()).unwrap_err().to_string();
        assert!(again.contains("already holds a finished run"), "{again}");
    }
}

#[track_caller]
pub fn check_refused(root: &TempDir, name: &str, config: &Value, parts: &[&str]) {
    let error = run(root, name, config).unwrap_err().to_string();
    assert!(parts.iter().all(|part| error.contains(part)), "{error}");
}

#[test]
fn what_no_attribution_can_be_of_is_named() {
    let root = trained();
    let of = |checkpoint: &str| json!({"kind": "attribute", "checkpoint": checkpoint, "device": "cpu"});
    let with = |field: &str, value: Value| {
        let mut config = of("base.best");
        config[field] = value;
        config
    };
    check_refused(&root, "run", &of("lost.best"), &["`lost.best`", "there is no run directory", "lost"]);
    check_refused(&root, "epoch", &of("base.e3000"), &["`base.e3000`", "the run has kept the epochs", "4"]);
    check_refused(&root, "stage", &with("layer", json!("stage4")), &["`base.e", "stage 4 is beyond the 3 stages of PreActResNet, small"]);
    let mut no_holdout = with("split", json!("holdout"));
    no_holdout["data"] = json!({"dataset": "digits", "train_samples": 60, "test_samples": 40});
    check_refused(&root, "split", &no_holdout, &["no training images are held out", "`data.holdout_samples`"]);
    let classes = with("data", json!({"dataset": "synthetic", "train_samples": 20, "test_samples": 20}));
    check_refused(&root, "classes", &classes, &["`base.e", "but those of the data are", "A of pair 1"]);
}

fn saliency(directory: &Path) -> SaliencyFile {
    serde_json::from_str(&fs::read_to_string(directory.join("saliency.json")).unwrap()).unwrap()
}

/// Decodes the pixels of a gray PNG.
pub fn pixels(image: &str) -> Vec<u8> {
    let mut reader = png::Decoder::new(Cursor::new(STANDARD.decode(image).unwrap())).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut pixels).unwrap();
    assert_eq!((frame.width, frame.height, frame.color_type), (8, 8, png::ColorType::Grayscale));
    pixels
}

#[test]
fn a_saliency_run_shows_the_same_images_at_every_checkpoint() {
    let root = trained();
    let config = json!({
        "kind": "saliency", "checkpoints": ["base.e2", "base.last"], "device": "cpu", "images_per_class": 2, "inputs": ["clean", "adversarial"],
        "attack": {"norm": "linf", "eps": "16/255", "steps": 5}
    });
    let directory = run(&root, "maps", &config).unwrap();
    let file = saliency(&directory);
    assert_eq!(
        (file.checkpoints.clone(), file.stage, file.split),
        (["base.e2", "base.e4"].map(|id| id.parse().unwrap()).to_vec(), 3, SplitName::Test)
    );
    assert_eq!(file.samples.iter().map(|sample| sample.label).collect::<Vec<_>>(), (0..20).map(|row| row / 2).collect::<Vec<_>>());

    let test = data::load(&tiny_config().data, 1).unwrap().test;
    let images = (test.images() * 255.0).round();
    for sample in &file.samples {
        let index = i64::from(sample.index);
        let before = test.labels.narrow(0, 0, index).eq(i64::from(sample.label)).sum(Kind::Int64).int64_value(&[]);
        assert!(before < 2 && test.labels.int64_value(&[index]) == i64::from(sample.label), "the first two of each class");
        let clean = pixels(&sample.image);
        assert_eq!(clean.iter().map(|pixel| f64::from(*pixel)).collect::<Vec<_>>(), values(&images.get(index).view([-1])));
        let of: Vec<(u32, Inputs)> = sample.maps.iter().map(|map| (map.checkpoint, map.inputs)).collect();
        assert_eq!(of, [(0, Inputs::Clean), (0, Inputs::Adversarial), (1, Inputs::Clean), (1, Inputs::Adversarial)]);
        for map in &sample.maps {
            assert_eq!((map.map.len(), map.map[0].len()), (2, 2));
            let largest = map.map.iter().flatten().copied().fold(0.0, f32::max);
            assert!(largest == 0.0 || (largest - 1.0).abs() < 1e-6, "{largest}");
            assert!(map.true_probability > 0.0 && map.true_probability < 1.0);
            assert_eq!(map.image.is_some(), map.inputs == Inputs::Adversarial);
            if let Some(image) = &map.image {
                let furthest = pixels(image).iter().zip(&clean).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
                assert!((1..=17).contains(&furthest), "{furthest}");
            }
        }
        let [first, _, last, _] = sample.maps.as_slice() else { panic!() };
        assert_ne!(first.true_probability, last.true_probability);
        assert_ne!(sample.maps[1].image, sample.maps[3].image, "each checkpoint is attacked by itself");
    }
    assert!(metrics(&directory).finished.is_some());

    let clean =
        json!({"kind": "saliency", "checkpoints": ["base.last"], "device": "cpu", "inputs": ["clean"], "stage": 1, "split": "train"});
    let file = saliency(&run(&root, "clean", &clean).unwrap());
    assert_eq!((file.attack, file.stage, file.samples.len(), file.samples[0].maps[0].map.len()), (None, 1, 10, 8));
}

#[test]
fn what_no_map_can_be_of_is_named() {
    let root = trained();
    let mut generated = tiny_config();
    generated.data = shared::config::DataConfig { train_samples: Some(20), test_samples: Some(10), ..generated.data };
    generated.data.dataset = Dataset::Synthetic;
    generated.data.label_noise = 0.0;
    generated.training.epochs = 1;
    generated.training.milestones.clear();
    generated.checkpoints.every = 0;
    worker::train(&root, "generated", generated);
    let mut tokens = tiny_config();
    tokens.model = ModelConfig { width: Some(12), ..ModelConfig::of(Architecture::DeitTiny) };
    tokens.training.epochs = 1;
    tokens.training.milestones.clear();
    tokens.checkpoints.every = 0;
    worker::train(&root, "tokens", tokens);

    let of = |checkpoints: &[&str]| json!({"kind": "saliency", "checkpoints": checkpoints, "device": "cpu"});
    let at = |checkpoint: &str, stage: u32| {
        let mut config = of(&[checkpoint]);
        config["stage"] = json!(stage);
        config
    };
    check_refused(&root, "run", &of(&["base.best", "lost.best"]), &["`lost.best`", "there is no run directory"]);
    check_refused(&root, "epoch", &of(&["base.e3000"]), &["`base.e3000`", "the run has kept the epochs"]);
    check_refused(&root, "classes", &of(&["base.last", "generated.last"]), &["`generated.e1`", "A of pair 1", "`base.e4`", "same classes"]);
    check_refused(&root, "stage", &at("base.last", 4), &["`base.e4`", "stage 4 is beyond the 3 stages of PreActResNet, small"]);
    check_refused(&root, "token", &at("tokens.last", 4), &["stage 4 of DeiT-Ti has no map", "class token", "use stage 3"]);
    let mut holdout = of(&["tokens.last"]);
    holdout["split"] = json!("holdout");
    check_refused(&root, "split", &holdout, &["no training images are held out"]);

    // Both architectures have three stages with a map.
    let file = saliency(&run(&root, "both", &of(&["base.last", "tokens.last"])).unwrap());
    assert_eq!((file.stage, file.samples[0].maps[2].map.len()), (3, 2));
}
