//! The engine's part of the benchmark: runs one case as often as it is asked to, and says how long each
//! repetition took. `bench/turns.py` lets it and its peers run in turn.

use std::fs;
use std::io::{self, BufRead as _, Write as _};
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};
use shared::config::*;
use shared::dataset::Dataset;
use shared::eps::Eps;
use shared::rundir::StopReason;
use tch::{Cuda, Device, Kind, Reduction, Tensor};

use crate::Error;
use crate::attack::{self, Attack};
use crate::checkpoint;
use crate::data::{self, Data, Split};
use crate::device;
use crate::evaluate::{BATCH_SIZE, EvalInputs, Measurement, attack_starts, measure, measure_samples};
use crate::kept::Kept;
use crate::linear_probe::LinearProbe;
use crate::stop::Stop;
use crate::train::{Batch, Event, State, Targets, Teachers, fit, train_step};

/// Number of different batches that the steps of a case take turns with.
const BATCHES: i64 = 4;

/// A network, with the size of its batches on a CPU and on a GPU.
struct Model {
    name: &'static str,
    architecture: Architecture,
    depth: Option<u32>,
    width: u32,
    dataset: Dataset,
    batch_sizes: [u32; 2],
    attack_steps: u32,
    /// Steps in a repetition on a CPU, so that one takes some tenths of a second.
    steps_per_repetition: u32,
    tasks: &'static [Task],
}

/// What a case does with its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    Step(Method, BatchNormMode, Precision),
    Epoch(Method),
    /// Clean and PGD-20 accuracy of a test set.
    Evaluate,
    /// The matrix of a test set.
    Attribute,
}

const ALL_TASKS: [Task; 10] = [
    Task::Step(Method::Standard, BatchNormMode::Train, Precision::Float32),
    Task::Step(Method::PgdAt, BatchNormMode::Train, Precision::Float32),
    Task::Step(Method::PgdAt, BatchNormMode::Train, Precision::Bf16),
    Task::Step(Method::PgdAt, BatchNormMode::Eval, Precision::Float32),
    Task::Step(Method::Trades, BatchNormMode::Eval, Precision::Float32),
    Task::Epoch(Method::Standard),
    Task::Epoch(Method::PgdAt),
    Task::Epoch(Method::Trades),
    Task::Evaluate,
    Task::Attribute,
];
const MAIN_TASKS: [Task; 3] = [
    Task::Step(Method::PgdAt, BatchNormMode::Train, Precision::Float32),
    Task::Step(Method::PgdAt, BatchNormMode::Train, Precision::Bf16),
    Task::Evaluate,
];

const MODELS: [Model; 4] = [
    Model {
        name: "demo",
        architecture: Architecture::PreactResnetSmall,
        depth: None,
        width: 16,
        dataset: Dataset::Digits,
        batch_sizes: [60, 60],
        attack_steps: 10,
        steps_per_repetition: 5,
        tasks: &ALL_TASKS,
    },
    Model {
        name: "preact-resnet18",
        architecture: Architecture::PreactResnet18,
        depth: None,
        width: 64,
        dataset: Dataset::Synthetic,
        batch_sizes: [64, 128],
        // The ratios of PGD-10 are those of its passes. On two cores it takes a minute for each contender.
        attack_steps: 3,
        steps_per_repetition: 1,
        tasks: &ALL_TASKS,
    },
    Model {
        name: "wide-resnet34-10",
        architecture: Architecture::WideResnet,
        depth: Some(34),
        width: 160,
        dataset: Dataset::Synthetic,
        batch_sizes: [4, 128],
        attack_steps: 3,
        steps_per_repetition: 1,
        tasks: &MAIN_TASKS,
    },
    Model {
        name: "deit-tiny",
        architecture: Architecture::DeitTiny,
        depth: None,
        width: 192,
        dataset: Dataset::Synthetic,
        batch_sizes: [32, 128],
        attack_steps: 3,
        steps_per_repetition: 1,
        tasks: &MAIN_TASKS,
    },
];

impl Task {
    fn name(self) -> String {
        let mode = |mode| if mode == BatchNormMode::Train { "train" } else { "eval" };
        match self {
            Task::Step(Method::Standard, ..) => "step/standard".to_owned(),
            Task::Step(method, batch_norm, Precision::Float32) => format!("step/{}/{}", method.id(), mode(batch_norm)),
            Task::Step(method, batch_norm, Precision::Bf16) => format!("bf16/{}/{}", method.id(), mode(batch_norm)),
            Task::Epoch(method) => format!("epoch/{}", method.id()),
            Task::Evaluate => "evaluate".to_owned(),
            Task::Attribute => "attribute".to_owned(),
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Task::Step(..) => "step",
            Task::Epoch(_) => "epoch",
            Task::Evaluate => "evaluate",
            Task::Attribute => "attribute",
        }
    }
}

/// Lists the names of all cases.
pub fn cases() -> Vec<String> {
    MODELS.iter().flat_map(|model| model.tasks.iter().map(|task| format!("{}/{}", model.name, task.name()))).collect()
}

/// Runs a case. Writes its description, its weights and its images into `folder`; then prints the versions, and after
/// each line on standard input one line: the seconds of a repetition, and loss and accuracy after it.
///
/// With `quick`, everything is tiny: that tries whether a case runs, and measures nothing.
pub fn run(case: &str, device_name: &str, quick: bool, folder: &Path) -> Result<(), Error> {
    let device = device::choose(device_name)?;
    let found = MODELS.iter().find_map(|model| {
        let of_model = |task: &&Task| case == format!("{}/{}", model.name, task.name());
        Some((model, *model.tasks.iter().find(of_model)?))
    });
    let (model, task) = found.ok_or_else(|| Error::Data(format!("no case is named `{case}`; there are {}", cases().join(", "))))?;
    let steps_per_repetition = match (task, device) {
        (Task::Step(..), Device::Cpu) if !quick => model.steps_per_repetition,
        (Task::Step(..), Device::Cuda(_)) if !quick => 20,
        _ => 1,
    };
    let config = config(model, task, device, quick);
    device::require(config.precision, device)?;
    let data = data::load(&config.data, config.seed)?.to_device(device);
    let mut state = State::new(&config, &data.info, Kind::Float, device);
    let attack = match task {
        Task::Step(..) | Task::Epoch(_) => Attack::for_training(&config),
        Task::Evaluate | Task::Attribute => Attack::of_evaluation(&config),
    };
    let split = if matches!(task, Task::Evaluate | Task::Attribute) { &data.test } else { &data.train };
    let starts = match config.training.method {
        Method::Trades => split.images().randn_like() * 0.001,
        _ => attack_starts(split, &attack, config.seed),
    };

    let mut tensors = state.network.snapshot().into_iter().map(|(name, tensor)| (format!("network.{name}"), tensor)).collect::<Vec<_>>();
    let values = [("images", split.images()), ("labels", split.labels.shallow_clone()), ("starts", starts.shallow_clone())];
    tensors.extend(values.map(|(name, tensor)| (name.to_owned(), tensor.to_device(Device::Cpu))));
    checkpoint::save(&folder.join("inputs.safetensors"), &tensors)?;
    let (method, batch_norm) = (config.training.method, config.attack.batch_norm);
    let description = json!({
        "kind": task.kind(),
        "device": device::id(device),
        "threads": tch::get_num_threads(),
        "architecture": model.architecture,
        "depth": config.model.depth,
        "width": config.model.width(),
        "classes": data.info.class_names.len(),
        "mean": data.info.mean,
        "std": data.info.std,
        "flips": data.info.id.facts().flips,
        "batch_size": if task.kind() == "step" || task.kind() == "epoch" { i64::from(config.training.batch_size) } else { BATCH_SIZE },
        "method": method,
        "learning_rate": config.training.learning_rate,
        "batch_norm": batch_norm,
        "eps": attack.eps.fraction(),
        "step_size": attack.step_size.fraction(),
        "attack_steps": attack.steps,
        "steps_per_repetition": steps_per_repetition,
    });
    checkpoint::write_whole(&folder.join("case.json"), format!("{description:#}\n").as_bytes())?;

    let mut turns = Turns { device, per: f64::from(steps_per_repetition), begun: Instant::now() };
    turns.say(json!({ "engine": device::ENGINE_VERSION, "libtorch": device::libtorch_version() }));
    match task {
        Task::Step(..) => steps(&config, &data, &starts, &mut state, steps_per_repetition, &mut turns),
        Task::Epoch(_) => epochs(&config, &data, &mut state, &mut turns),
        Task::Evaluate | Task::Attribute => measurements(&state, split, &attack, task, &config, &mut turns),
    }
}

fn config(model: &Model, task: Task, device: Device, quick: bool) -> TrainConfig {
    let on_gpu = device != Device::Cpu;
    let batch_size = if quick { 10 } else { model.batch_sizes[usize::from(on_gpu)] };
    let (method, batch_norm, precision) = match task {
        Task::Step(method, batch_norm, precision) => (method, batch_norm, precision),
        Task::Epoch(method) => (method, BatchNormMode::Train, Precision::Float32),
        Task::Evaluate | Task::Attribute => (Method::PgdAt, BatchNormMode::Train, Precision::Float32),
    };
    let train_samples = match task {
        Task::Epoch(_) if on_gpu && !quick && model.dataset == Dataset::Synthetic => 50_000,
        _ => batch_size * BATCHES as u32,
    };
    let test_samples = match (quick, on_gpu) {
        (true, _) => 20,
        (false, true) if model.dataset == Dataset::Synthetic => 10_000,
        // On a CPU a measured set is as large as a few training batches.
        // At least two of each class.
        _ => (batch_size * 2).clamp(20, BATCH_SIZE as u32),
    };
    let width = match (quick, model.architecture) {
        (false, _) => model.width,
        (true, Architecture::DeitTiny) => 12,
        (true, _) => 4,
    };
    let eps = if model.dataset == Dataset::Digits { Eps::of_255(25.5) } else { Eps::of_255(8.0) };
    let steps = if on_gpu { 10 } else { model.attack_steps };
    let mut config = shared::preset::demo().config.as_train().expect("the demo trains").clone();
    config.precision = precision;
    config.data =
        DataConfig { train_samples: Some(train_samples), test_samples: Some(test_samples), augment: true, ..DataConfig::of(model.dataset) };
    config.model = ModelConfig { depth: model.depth, width: Some(width), ..ModelConfig::of(model.architecture) };
    // More epochs than anyone waits for: the benchmark ends when its input does.
    config.training = TrainingConfig { batch_size, learning_rate: 0.01, ..TrainingConfig::of(method, 100_000) };
    config.attack = AttackConfig { steps: if quick { 2 } else { steps }, batch_norm, ..AttackConfig::of(Norm::Linf, eps) };
    config.evaluation = EvaluationConfig { every: 100_000, steps: if quick { 2 } else { 20 }, ..EvaluationConfig::default() };
    config.checkpoints = CheckpointConfig::default();
    config.attribution.inputs = Vec::new();
    config.attribution.every = 0;
    config
}

/// The lines of standard input that start repetitions, and the answers.
struct Turns {
    device: Device,
    /// Steps in a repetition.
    per: f64,
    begun: Instant,
}

impl Turns {
    /// Waits for the next line. Returns whether there is one.
    fn wait(&mut self) -> bool {
        let read = io::stdin().lock().read_line(&mut String::new());
        self.begun = Instant::now();
        read.is_ok_and(|bytes| bytes > 0)
    }

    /// Answers with the time since the line, and `loss` and `accuracy`.
    fn answer(&self, loss: f64, accuracy: f64) {
        if let Device::Cuda(index) = self.device {
            Cuda::synchronize(index as i64);
        }
        let seconds = self.begun.elapsed().as_secs_f64() / self.per;
        self.say(json!({ "seconds": seconds, "loss": loss, "accuracy": accuracy, "memory_bytes": peak_memory() }));
    }

    fn say(&self, line: Value) {
        let mut out = io::stdout().lock();
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    }
}

/// Trains `count` steps in each repetition.
fn steps(config: &TrainConfig, data: &Data, starts: &Tensor, state: &mut State, count: u32, turns: &mut Turns) -> Result<(), Error> {
    let size = i64::from(config.training.batch_size);
    let (stop, teachers) = (Stop::default(), Teachers::default());
    let mut batches = (0..data.train.len() / size).cycle();
    while turns.wait() {
        let mut last = None;
        for batch in batches.by_ref().take(count as usize) {
            let (images, labels) = data.train.narrow(batch * size, size);
            let start = starts.narrow(0, batch * size, size);
            let batch = Batch { images, targets: Targets::new(labels.shallow_clone()), start };
            last = Some((train_step(&batch, config, &teachers, state, config.training.learning_rate, &stop)?, labels));
        }
        if let Some((logits, labels)) = last {
            let loss = attack::cross_entropy(&logits, &labels, Reduction::Mean).double_value(&[]);
            turns.answer(loss, logits.argmax(1, false).eq_tensor(&labels).to_kind(Kind::Double).mean(Kind::Double).double_value(&[]));
        }
    }
    Ok(())
}

/// Trains one epoch in each repetition, in the loop that runs use.
fn epochs(config: &TrainConfig, data: &Data, state: &mut State, turns: &mut Turns) -> Result<(), Error> {
    let ended = || Error::Stopped(StopReason::Cancel);
    if !turns.wait() {
        return Ok(());
    }
    let outcome = fit(config, data, &Teachers::default(), state, None, &Stop::default(), &mut |event| {
        let Event::Epoch { report, .. } = event else { return Ok(()) };
        turns.answer(report.train_loss, report.train_robust_accuracy.unwrap_or_default());
        if turns.wait() { Ok(()) } else { Err(ended()) }
    });
    match outcome {
        Err(Error::Stopped(_)) => Ok(()),
        other => other,
    }
}

/// Evaluates `split`, or measures its matrix, in each repetition.
fn measurements(state: &State, split: &Split, attack: &Attack, task: Task, config: &TrainConfig, turns: &mut Turns) -> Result<(), Error> {
    let (network, stop) = (&state.network, Stop::default());
    let mut progress = |_, _| Ok(());
    let attacked = EvalInputs::Attacked { attack, seed: config.seed };
    while turns.wait() {
        let mut kept = Kept::in_memory(&stop);
        let measurement: Measurement = match task {
            Task::Attribute => {
                let probe = LinearProbe::penultimate(network);
                let (measurement, samples) = measure_samples(network, &probe, split, EvalInputs::Clean, &mut kept, &mut progress)?;
                let _ = samples.of_classes(Subset::All).attribute(Aggregation::AverageThenCosine);
                measurement
            }
            _ => {
                let _ = measure(network, split, EvalInputs::Clean, &mut kept, &mut progress)?;
                measure(network, split, attacked, &mut kept, &mut progress)?
            }
        };
        turns.answer(measurement.loss, measurement.accuracy());
    }
    Ok(())
}

/// Returns the most memory that this process has had, on the CPU. `None` where the system does not say.
fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?.parse::<u64>().ok()?;
    Some(kib * 1024)
}
