//! Training runs: reproducible results, saved states, diverging losses, and catastrophic overfitting.

use engine::Error;
use engine::attack::Attack;
use engine::data::{self, synthetic};
use engine::evaluate::{EvalInputs, measure, measure_samples};
use engine::kept::Kept;
use engine::linear_probe::LinearProbe;
use engine::optim::Sgd;
use engine::stop::Stop;
use engine::train::{EpochReport, Event, State, Teachers, catastrophic_overfitting, fit};
use shared::config::{Aggregation, AwpConfig, Method, Subset, TrainConfig, TrainingConfig, WeightAveragingConfig};
use shared::eps::Eps;
use shared::fixtures;
use shared::record::Epoch;
use shared::rundir::StopReason;
use tch::{Device, Kind, Tensor};

use crate::{assert_close, tiny_config, values};

pub(crate) fn train(config: &TrainConfig) -> Result<(State, Vec<EpochReport>), Error> {
    train_on(Device::Cpu, config)
}

pub(crate) fn train_on(device: Device, config: &TrainConfig) -> Result<(State, Vec<EpochReport>), Error> {
    tch::set_num_threads(1);
    let data = data::load(&config.data, config.seed)?.to_device(device);
    let mut state = State::new(config, &data.info, Kind::Float, device);
    let mut reports = Vec::new();
    fit(config, &data, &Teachers::default(), &mut state, None, &Stop::default(), &mut |event| {
        if let Event::Epoch { report, .. } = event {
            reports.push(report.clone());
        }
        Ok(())
    })?;
    Ok((state, reports))
}

/// Returns all results except durations.
fn numbers(reports: &[EpochReport]) -> Vec<f64> {
    reports
        .iter()
        .flat_map(|report| {
            let evaluation = report.evaluation.as_ref();
            let measured =
                evaluation.map(|evaluation| [evaluation.train_clean.loss, evaluation.test_clean.loss, evaluation.test_robust.loss]);
            [report.train_loss, report.train_robust_accuracy.unwrap_or(-1.0)].into_iter().chain(measured.into_iter().flatten())
        })
        .collect()
}

#[test]
fn the_same_seed_gives_the_same_numbers_and_another_does_not() {
    let config = tiny_config();
    let (first, again) = (train(&config).unwrap().1, train(&config).unwrap().1);
    assert_eq!(first.len(), 4);
    assert_eq!(numbers(&first), numbers(&again));
    let other = train(&TrainConfig { seed: 2, ..config }).unwrap().1;
    assert_ne!(numbers(&first), numbers(&other));
}

#[test]
fn leaving_out_evaluations_changes_nothing_else() {
    let config = tiny_config();
    let every = train(&config).unwrap().1;
    let mut seldom = config;
    seldom.evaluation.every = 3;
    seldom.checkpoints.every = 0;
    let some = train(&seldom).unwrap().1;
    assert_eq!(some.iter().map(|report| report.evaluation.is_some()).collect::<Vec<_>>(), [false, false, true, true]);
    assert_eq!(numbers(&every[3..]), numbers(&some[3..]));
    assert_eq!(every[0].train_loss, some[0].train_loss);
}

#[test]
fn standard_training_fits_the_training_images() {
    let mut config = tiny_config();
    config.training.method = Method::Standard;
    config.training.epochs = 15;
    config.training.milestones = vec![12];
    config.data.label_noise = 0.0;
    config.evaluation.every = 15;
    let (_, reports) = train(&config).unwrap();
    let last = reports.last().unwrap();
    assert_eq!(last.train_robust_accuracy, None);
    let evaluation = last.evaluation.as_ref().unwrap();
    assert!(evaluation.train_clean.accuracy() > 0.9, "{}", evaluation.train_clean.accuracy());
    assert!(evaluation.test_clean.accuracy() > 0.5, "{}", evaluation.test_clean.accuracy());
}

/// Expected values are those of `torch.optim.SGD` in PyTorch 2.11.
#[test]
fn sgd_steps_are_those_of_torch() {
    let parameters = [Tensor::from_slice(&[1.0, -2.0])];
    let mut optimizer = Sgd::new(&TrainingConfig { weight_decay: 0.1, ..TrainingConfig::of(Method::PgdAt, 1) }, &parameters);
    for (gradient, expected) in [([0.5, 0.0], [0.94, -1.98]), ([0.5, 0.0], [0.8266, -1.9422]), ([0.0, 1.0], [0.716274, -1.988758])] {
        optimizer.step(&parameters, &[Tensor::from_slice(&gradient)], 0.1);
        assert_close("parameters", &values(&parameters[0]), &expected, 1e-12);
    }
}

#[test]
fn a_learning_rate_that_diverges_is_an_error_that_says_so() {
    let mut config = tiny_config();
    config.training.learning_rate = 100.0;
    config.training.momentum = 0.99;
    config.training.epochs = 40;
    config.training.milestones = vec![];
    config.evaluation.every = 40;
    config.checkpoints.every = 0;
    let message = train(&config).unwrap_err().to_string();
    assert!(message.contains("not finite") && message.contains("learning rate"), "{message}");
}

#[test]
fn generated_classes_are_learnt_and_the_pairs_that_share_a_pattern_stand_out() {
    let preset = shared::preset::all().into_iter().find(|preset| preset.id == "synthetic").unwrap();
    let mut config = preset.config.as_train().unwrap().clone();
    // A stronger attack than in the preset, so that a thin network relies on shared features after a few
    // epochs.
    config.attack.eps = Eps::of_255(12.0);
    config.model.width = Some(8);
    config.data.test_samples = Some(100);
    config.training.epochs = 5;
    config.training.milestones = vec![4];
    config.attack.steps = 3;
    config.evaluation.every = 5;
    config.evaluation.steps = 4;
    let (state, _) = train(&config).unwrap();
    let network = state.evaluated();
    let data = data::load(&config.data, config.seed).unwrap();
    let attack = Attack::to_measure(&config.measuring_attack());
    let attacked = EvalInputs::Attacked { attack: &attack, seed: config.seed };
    let probe = LinearProbe::penultimate(network);
    let (measured, samples) = measure_samples(network, &probe, &data.test, attacked, &mut Kept::default(), &mut |_, _| Ok(())).unwrap();
    let clean = measure(network, &data.test, EvalInputs::Clean, &mut Kept::default(), &mut |_, _| Ok(())).unwrap();
    // A network that only recognizes the pair is correct half of the time.
    assert!(clean.accuracy() > 0.6 && measured.accuracy() > 0.3, "clean {}, attacked {}", clean.accuracy(), measured.accuracy());

    let matrix = samples.of_classes(Subset::All).attribute(Aggregation::AverageThenCosine).matrix;
    let pairs = synthetic::shared_pairs();
    let (mut within, mut between) = (Vec::new(), Vec::new());
    for i in 0..10 {
        for j in i + 1..10 {
            if pairs.contains(&(i, j)) { within.push(matrix.get(i, j)) } else { between.push(matrix.get(i, j)) }
        }
    }
    let lowest = within.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = between.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    assert!(lowest > highest + 0.3, "pairs from {lowest:.2}, others to {highest:.2}");
}

/// If results are equal bit by bit, the state contains everything that later epochs depend on.
#[test]
fn a_state_that_was_saved_goes_on_with_the_same_numbers() {
    let mut config = tiny_config();
    config.training.mixup = 1.0;
    config.training.gradient_clip = Some(1.0);
    config.training.weight_averaging = Some(WeightAveragingConfig { decay: 0.8, start_epoch: 1 });
    config.training.awp = Some(AwpConfig { gamma: 0.01, warmup_epochs: 1 });
    let (whole, reports) = train(&config).unwrap();

    let data = data::load(&config.data, config.seed).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.safetensors");
    let mut stopped = State::new(&config, &data.info, Kind::Float, Device::Cpu);
    let outcome = fit(&config, &data, &Teachers::default(), &mut stopped, None, &Stop::default(), &mut |event| match event {
        Event::Epoch { report, state } if report.epoch == 2 => state.snapshot().save(&path, &config, 0.0),
        Event::Batch { epoch: 3, step: 2, .. } => Err(Error::Stopped(StopReason::Cancel)),
        _ => Ok(()),
    });
    assert!(matches!(outcome, Err(Error::Stopped(_))));

    let mut resumed = State::new(&config, &data.info, Kind::Float, Device::Cpu);
    resumed.load(&path, &TrainConfig { name: "Renamed".into(), ..config.clone() }).unwrap();
    assert_eq!(resumed.epoch, 2);
    let mut rest = Vec::new();
    fit(&config, &data, &Teachers::default(), &mut resumed, None, &Stop::default(), &mut |event| {
        if let Event::Epoch { report, .. } = event {
            rest.push(report.clone());
        }
        Ok(())
    })
    .unwrap();
    assert_eq!(numbers(&rest), numbers(&reports[2..]));
    for (whole, resumed) in [(&whole.network, &resumed.network), (whole.evaluated(), resumed.evaluated())] {
        for (expected, found) in whole.entries().iter().zip(resumed.entries()) {
            assert_eq!(values(&found.tensor), values(&expected.tensor), "{}", expected.name);
        }
    }

    let mut other = config;
    other.training.learning_rate = 0.2;
    let message = resumed.load(&path, &other).unwrap_err().to_string();
    assert!(message.contains("state.safetensors") && message.contains("another configuration"), "{message}");
}

#[test]
fn robustness_lost_while_single_steps_are_withstood_is_catastrophic_overfitting() {
    let epochs = |accuracies: &[(f64, f64)]| -> Vec<Epoch> {
        let epoch = |(epoch, (robust, trained)): (u32, &(f64, f64))| Epoch {
            train_robust_accuracy: Some(*trained),
            test_robust_accuracy: Some(*robust),
            ..fixtures::epoch(epoch)
        };
        (1..).zip(accuracies).map(epoch).collect()
    };
    let check = |accuracies: &[(f64, f64)], expected: Option<&str>| {
        let message = catastrophic_overfitting(&epochs(accuracies)).map(|notice| notice.message);
        assert_eq!(message.is_some(), expected.is_some(), "{accuracies:?}: {message:?}");
        assert!(message.is_none_or(|message| message.contains(expected.unwrap_or_default())), "{accuracies:?}");
    };
    check(&[(0.40, 0.50)], None);
    check(&[(0.40, 0.50), (0.21, 0.60)], None);
    check(&[(0.40, 0.50), (0.35, 0.55), (0.05, 0.80)], Some("from 40.0 % in epoch 1 to 5.0 % in epoch 3"));
    check(&[(0.40, 0.50), (0.35, 0.55), (0.05, 0.80)], Some("from 50.0 % to 80.0 %"));
    // A network that lost accuracy on both has diverged.
    check(&[(0.40, 0.50), (0.10, 0.12)], None);
}
