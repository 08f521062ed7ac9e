//! The worker binary as a server uses it: run directory, standard input, exit code.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use engine::checkpoint::{Sidecar, load};
use engine::job;
use engine::model::Network;
use engine::run_dir::read_metrics;
use engine::stop::Stop;
use serde_json::Value;
use shared::api::{AttributionFile, Probe};
use shared::config::{DataConfig, DistillationConfig, Inputs, RunConfig, TrainConfig};
use shared::dataset::Dataset;
use shared::record::{Finished, Metrics, NoticeKind, Record};
use tch::{Device, Kind};
use tempfile::TempDir;

use crate::data::{all_pictures, picture_folder};
use crate::tiny_config;

pub(crate) fn worker() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_worker"));
    command.env("OMP_NUM_THREADS", "1").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub(crate) fn directory(config: &Value) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("config.json"), config.to_string()).unwrap();
    directory
}

pub(crate) fn json(config: TrainConfig) -> Value {
    RunConfig::Train(Box::new(config)).to_json()
}

/// Creates a run directory in `root`.
pub(crate) fn beside(root: &TempDir, name: &str, config: &Value) -> PathBuf {
    let directory = root.path().join(name);
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("config.json"), config.to_string()).unwrap();
    directory
}

/// Trains a run in `root`.
pub(crate) fn train(root: &TempDir, name: &str, config: TrainConfig) {
    tch::set_num_threads(1);
    job::run(&beside(root, name, &json(config)), &Stop::default()).unwrap();
}

pub(crate) fn run(directory: &Path) -> Output {
    worker().arg(directory).output().unwrap()
}

pub(crate) fn metrics(directory: &Path) -> Metrics {
    let text = fs::read_to_string(directory.join("metrics.jsonl")).unwrap_or_default();
    let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
    Metrics::from_records(whole.lines().map(|line| serde_json::from_str::<Record>(line).unwrap()))
}

pub(crate) fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_run_says_once_what_was_not_read_in_the_folder_of_its_data() {
    let pictures = picture_folder();
    for name in ["5.png", "6.gif", "7.gif"] {
        fs::write(pictures.path().join("train/b").join(name), "").unwrap();
    }
    fs::remove_file(pictures.path().join("train/b/5.png")).unwrap();
    let mut config = tiny_config();
    config.data = all_pictures(&pictures, config.data);
    let root = tempfile::tempdir().unwrap();
    train(&root, "run", config);
    let notices = metrics(&root.path().join("run")).notices;
    let [notice] = notices.as_slice() else { panic!("{notices:?}") };
    assert_eq!((notice.kind, notice.epoch), (NoticeKind::PassedOver, None));
    assert_eq!(notice.message, "Not read: files that end in .gif (2, such as train/b/6.gif).");
}

#[test]
fn a_run_leaves_what_its_records_say_and_nothing_else() {
    let config = tiny_config();
    let directory = directory(&json(config.clone()));
    let output = run(directory.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let metrics = metrics(directory.path());
    let started = metrics.started.as_ref().unwrap();
    assert_eq!((started.device.as_str(), started.train_samples, started.test_samples, started.noisy_labels), ("cpu", 60, 40, 12));
    assert_eq!(metrics.epochs.iter().map(|epoch| epoch.epoch).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!(
        metrics.epochs.iter().all(|epoch| epoch.test_robust_accuracy <= epoch.test_clean_accuracy && epoch.train_clean_accuracy.is_some())
    );
    let best = metrics.best().unwrap().epoch;
    let finished = metrics.finished.as_ref().unwrap();
    assert_eq!((finished.best_epoch, finished.last_epoch), (best, 4));

    let mut kept = vec![2, 4, best];
    kept.sort();
    kept.dedup();
    assert_eq!(metrics.checkpoints.iter().map(|checkpoint| checkpoint.epoch).collect::<Vec<_>>(), kept);
    let mut expected: Vec<String> = kept.iter().flat_map(|epoch| [format!("e{epoch}.json"), format!("e{epoch}.safetensors")]).collect();
    expected.sort();
    assert_eq!(files(&directory.path().join("checkpoints")), expected);
    let mut expected: Vec<String> =
        kept.iter().flat_map(|epoch| [format!("e{epoch}.adversarial.json"), format!("e{epoch}.clean.json")]).collect();
    expected.sort();
    assert_eq!(files(&directory.path().join("attributions")), expected);

    for entry in &metrics.attributions {
        let text = fs::read_to_string(directory.path().join(&entry.file)).unwrap();
        let file: AttributionFile = serde_json::from_str(&text).unwrap();
        let checkpoint = metrics.checkpoints.iter().find(|checkpoint| checkpoint.epoch == entry.epoch).unwrap();
        let epoch = metrics.epochs.iter().find(|epoch| epoch.epoch == entry.epoch).unwrap();
        assert_eq!((file.epoch, file.inputs, &file.checkpoint_sha256), (entry.epoch, entry.inputs, &checkpoint.sha256));
        assert!((file.matrix.cas() - entry.cas).abs() < 1e-9);
        let measured = if file.inputs == Inputs::Clean { epoch.test_clean_accuracy } else { epoch.test_robust_accuracy };
        assert_eq!(Some(file.accuracy), measured);
        assert_eq!(file.attack.is_some(), file.inputs == Inputs::Adversarial);
        assert_eq!((&file.class_counts, file.feature_dim), (&vec![4; 10], 16));
        assert_eq!(file.confusion.iter().map(|row| row.iter().sum()).collect::<Vec<u32>>(), file.class_counts);
        let correct: u32 = (0..10).map(|class| file.confusion[class][class]).sum();
        assert_eq!(f64::from(correct) / 40.0, file.accuracy);
        assert_eq!(file.weight_matrix.as_ref().unwrap().classes(), 10);
        let bootstrap = file.bootstrap.unwrap();
        assert_eq!(bootstrap.resamples, config.attribution.bootstrap);
        assert!(bootstrap.cas_low < file.cas && file.cas < bootstrap.cas_high);
    }
    for checkpoint in &metrics.checkpoints {
        let sidecar = fs::read_to_string(directory.path().join(format!("checkpoints/e{}.json", checkpoint.epoch))).unwrap();
        let sidecar: Sidecar = serde_json::from_str(&sidecar).unwrap();
        assert_eq!(sidecar.checkpoint, *checkpoint);
        let network = Network::new(&sidecar.model.unwrap(), &sidecar.dataset.info(), 9, Kind::Float, Device::Cpu);
        load(&directory.path().join(&checkpoint.file), Some(&checkpoint.sha256), &network).unwrap();
    }
}

/// Strided 1×1 convolutions of oneDNN crash here when they use several threads; see `Conv::forward`.
#[test]
fn narrow_networks_train_on_odd_batches() {
    let mut config = tiny_config();
    config.data = DataConfig { train_samples: Some(126), test_samples: Some(20), ..DataConfig::of(Dataset::Synthetic) };
    config.model.width = Some(8);
    config.training.batch_size = 7;
    let directory = directory(&json(config));
    let output = worker().env("OMP_NUM_THREADS", "2").arg(directory.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn attributions_of_epochs_that_are_due_stay_without_their_checkpoints() {
    let mut config = tiny_config();
    config.training.epochs = 6;
    config.checkpoints.every = 0;
    config.attribution.every = 2;
    config.attribution.inputs = vec![Inputs::Adversarial];
    config.attribution.bootstrap = 0;
    let directory = directory(&json(config));
    let output = run(directory.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let metrics = metrics(directory.path());
    let best = metrics.best().unwrap().epoch;
    let mut kept = vec![best, 6];
    kept.dedup();
    assert_eq!(metrics.checkpoints.iter().map(|checkpoint| checkpoint.epoch).collect::<Vec<_>>(), kept);
    let mut measured = vec![2, 4, 6, best];
    measured.sort();
    measured.dedup();
    assert_eq!(metrics.attributions.iter().map(|entry| entry.epoch).collect::<Vec<_>>(), measured);
    let mut expected: Vec<String> = measured.iter().map(|epoch| format!("e{epoch}.adversarial.json")).collect();
    expected.sort();
    assert_eq!(files(&directory.path().join("attributions")), expected);
    for entry in &metrics.attributions {
        let file: AttributionFile = serde_json::from_str(&fs::read_to_string(directory.path().join(&entry.file)).unwrap()).unwrap();
        assert_eq!(metrics.epochs[entry.epoch as usize - 1].test_robust_accuracy, Some(file.accuracy));
        if let Some(checkpoint) = metrics.checkpoints.iter().find(|checkpoint| checkpoint.epoch == entry.epoch) {
            assert_eq!(file.checkpoint_sha256, checkpoint.sha256);
        }
        assert_eq!(file.bootstrap, None);
    }
}

/// Starts a run that is too long to finish, and waits until its records satisfy `seen`.
fn start_long(directory: &Path, seen: impl Fn(&Metrics) -> bool) -> Child {
    let mut child = worker().arg(directory).spawn().unwrap();
    wait_for("a record", || {
        assert!(child.try_wait().unwrap().is_none(), "the worker ended by itself");
        seen(&metrics(directory))
    });
    child
}

/// Asks a worker to save and end, as a system does that shuts down.
pub(crate) fn terminate(child: &Child) {
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
}

/// Cancels a run as a server does, and waits until its worker has saved.
#[track_caller]
fn cancel(mut child: Child, directory: &Path) {
    let file = directory.join("stop");
    fs::write(&file, "cancel\n").unwrap();
    wait_for("end", || child.try_wait().unwrap().is_some());
    assert_eq!(child.wait().unwrap().code(), Some(3));
    fs::remove_file(file).unwrap();
}

#[track_caller]
pub(crate) fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "no {what} within a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_canceled_worker_keeps_its_last_epoch_and_exits_with_3() {
    let mut config = tiny_config();
    config.training.epochs = 10_000;
    config.checkpoints.every = 0;
    let directory = directory(&json(config));
    cancel(start_long(directory.path(), |metrics| metrics.epochs.len() >= 2), directory.path());

    let metrics = metrics(directory.path());
    assert_eq!(metrics.finished, None);
    let last = metrics.epochs.last().unwrap().epoch;
    assert_eq!(metrics.checkpoints.last().unwrap().epoch, last);
    assert!(metrics.cas(last, Inputs::Adversarial).is_some());
    for checkpoint in &metrics.checkpoints {
        assert!(directory.path().join(&checkpoint.file).exists());
    }
}

/// Returns results and files of a run, without durations.
pub(crate) fn outcome(directory: &Path) -> Metrics {
    // Skips incomplete lines, as every reader does.
    let mut metrics = read_metrics(directory).unwrap();
    metrics.epochs.iter_mut().for_each(|epoch| (epoch.seconds, epoch.elapsed_secs) = (0.0, 0.0));
    metrics.eps_curve.iter_mut().for_each(|point| point.seconds = 0.0);
    metrics.transfer.iter_mut().flat_map(|transfer| &mut transfer.rows).for_each(|row| row.seconds = 0.0);
    metrics.finished.as_mut().unwrap().elapsed_secs = 0.0;
    Metrics { started: None, progress: None, evaluation: Vec::new(), notices: Vec::new(), ..metrics }
}

#[test]
fn a_run_that_was_canceled_and_then_killed_ends_as_if_nothing_had_been() {
    let mut config = tiny_config();
    config.training.epochs = 40;
    config.training.milestones = vec![20];
    config.checkpoints.every = 8;
    config.attribution.every = 5;
    config.attribution.bootstrap = 0;
    let whole = directory(&json(config.clone()));
    assert!(run(whole.path()).status.success());

    let stopped = directory(&json(config));
    cancel(start_long(stopped.path(), |metrics| metrics.epochs.len() >= 3), stopped.path());
    let canceled = metrics(stopped.path()).epochs.len();
    let elapsed = metrics(stopped.path()).epochs.last().unwrap().elapsed_secs;

    // Run until there are epochs without a saved state, and an incomplete line.
    let mut child = start_long(stopped.path(), |metrics| metrics.epochs.len() >= canceled + 2);
    child.kill().unwrap();
    child.wait().unwrap();
    let metrics_file = stopped.path().join("metrics.jsonl");
    let mut lines = fs::read(&metrics_file).unwrap();
    lines.extend(b"{\"type\":\"epoch\",\"ep");
    fs::write(&metrics_file, lines).unwrap();

    let output = run(stopped.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(outcome(stopped.path()), outcome(whole.path()));
    for folder in ["checkpoints", "attributions"] {
        assert_eq!(files(&stopped.path().join(folder)), files(&whole.path().join(folder)));
    }
    assert!(!stopped.path().join("state.safetensors").exists());
    let metrics = read_metrics(stopped.path()).unwrap();
    let resumed: Vec<_> = metrics.notices.iter().map(|notice| (notice.kind, notice.epoch)).collect();
    assert_eq!(resumed, [(NoticeKind::Resumed, Some(canceled as u32))], "the second notice is the same as the first");
    assert!(metrics.finished.unwrap().elapsed_secs > elapsed);
}

#[test]
fn teachers_are_trained_first_and_once() {
    let mut config = tiny_config();
    config.training.epochs = 30;
    config.training.distillation = Some(DistillationConfig { teacher_epochs: Some(2), ..DistillationConfig::default() });
    let directory = directory(&json(config));
    let mut child = start_long(directory.path(), |metrics| !metrics.epochs.is_empty());
    terminate(&child);
    assert_eq!(child.wait().unwrap().code(), Some(85));
    let lines = fs::read_to_string(directory.path().join("metrics.jsonl")).unwrap();
    assert!(lines.lines().any(|line| line.contains("\"teaching\"")));
    assert_eq!(metrics(directory.path()).started.unwrap().teacher_epochs, 4);

    let of_teachers =
        || ["standard", "robust"].map(|name| fs::read(directory.path().join("teachers").join(name).join("metrics.jsonl")).unwrap());
    let before = of_teachers();
    assert!(run(directory.path()).status.success());
    assert_eq!(of_teachers(), before);
    let robust = metrics(&directory.path().join("teachers/robust"));
    assert_eq!((robust.epochs.len(), robust.finished.is_some(), robust.attributions.len()), (2, true, 0));
    assert!(metrics(directory.path()).finished.is_some());
}

#[test]
fn a_teacher_that_diverges_is_named() {
    let mut config = tiny_config();
    config.training.learning_rate = 100.0;
    config.training.momentum = 0.99;
    config.training.epochs = 40;
    config.training.milestones = Vec::new();
    config.evaluation.every = 40;
    // A teacher with weight 0 is not trained.
    config.training.distillation = Some(DistillationConfig { standard_weight: 0.0, ..DistillationConfig::default() });
    check_failure(directory(&json(config)).path(), &["the robust teacher: ", "not finite"]);
}

#[test]
fn a_teacher_that_does_not_fit_is_named_with_what_is_wrong() {
    let runs = tempfile::tempdir().unwrap();
    let write = |name: &str, config: TrainConfig| {
        let directory = runs.path().join(name);
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("config.json"), json(config).to_string()).unwrap();
        directory
    };
    let mut config = tiny_config();
    config.training.epochs = 1;
    config.training.milestones = Vec::new();
    config.checkpoints.every = 0;
    let teacher = write("teacher", config.clone());
    assert!(run(&teacher).status.success());
    let mut student = config.clone();
    let of = |teacher: &str| DistillationConfig { robust_teacher: Some(teacher.parse().unwrap()), ..DistillationConfig::default() };

    student.training.distillation = Some(of("nobody.best"));
    check_failure(&write("a", student.clone()), &["`nobody.best`", "there is no run directory"]);
    student.training.distillation = Some(of("teacher.e7"));
    check_failure(&write("b", student.clone()), &["`teacher.e7`", "the run has kept the epochs 1"]);
    student.training.distillation = Some(of("teacher.best"));
    student.data = DataConfig { train_samples: Some(50), test_samples: Some(40), ..DataConfig::of(Dataset::Synthetic) };
    let other_shape = write("c", student);
    check_failure(&other_shape, &["`teacher.e1`", "images of 1×8×8", "3×32×32"]);
    // Images of the same shape, but with other classes.
    let mut as_synthetic = config;
    as_synthetic.data = DataConfig { train_samples: Some(50), test_samples: Some(40), ..DataConfig::of(Dataset::Synthetic) };
    fs::write(teacher.join("config.json"), json(as_synthetic).to_string()).unwrap();
    check_failure(&other_shape, &["`teacher.e1`", "its classes are", "those of the data"]);
}

#[test]
fn a_cancel_in_the_first_epoch_leaves_no_checkpoint() {
    let mut config = tiny_config();
    config.attack.steps = 1000;
    config.data.train_samples = Some(1000);
    let directory = directory(&json(config));
    cancel(start_long(directory.path(), |metrics| metrics.started.is_some()), directory.path());
    assert_eq!(metrics(directory.path()).epochs, []);
    assert_eq!(files(&directory.path().join("checkpoints")), Vec::<String>::new());
}

#[track_caller]
fn check_failure(directory: &Path, parts: &[&str]) {
    let output = run(directory);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    let last = said.lines().last().unwrap();
    assert!(parts.iter().all(|part| last.contains(part)), "{said}");
}

#[test]
fn a_failure_is_told_in_the_last_line_of_standard_error() {
    let mut config = tiny_config();
    config.device = "cuda:99".to_owned();
    check_failure(directory(&json(config)).path(), &["error", "`cuda:99` cannot be used"]);

    let mut wrong = json(tiny_config());
    wrong["training"]["epochs"] = 0.into();
    check_failure(directory(&wrong).path(), &["config.json", "training.epochs", "0 is out of range"]);

    let empty = tempfile::tempdir().unwrap();
    check_failure(empty.path(), &["config.json"]);
    fs::write(empty.path().join("config.json"), "{").unwrap();
    check_failure(empty.path(), &["config.json", "not JSON"]);
}

#[test]
fn a_failure_inside_libtorch_ends_with_its_first_line() {
    let mut config = tiny_config();
    // The weights need almost a gigabyte, but libtorch leaves little more than half of the allowed memory.
    config.model.width = Some(1024);
    config.device = "cpu".to_owned();
    let directory = directory(&json(config));
    let limited = format!("ulimit -v 2000000; exec {:?} {:?}", env!("CARGO_BIN_EXE_worker"), directory.path());
    let mut shell = Command::new("sh");
    // With a backtrace, the worker would wait for ever.
    shell.args(["-c", &limited]).stdin(Stdio::null()).env("RUST_BACKTRACE", "1");
    let output = shell.output().unwrap();
    assert_eq!(output.status.code(), Some(101));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.lines().last().unwrap().starts_with("error: libtorch: "), "{said}");
}

#[test]
fn a_finished_run_is_not_written_to_again() {
    let directory = directory(&json(tiny_config()));
    let finished = Record::Finished(Finished { best_epoch: 1, last_epoch: 4, elapsed_secs: 1.0 });
    let line = serde_json::to_string(&finished).unwrap() + "\n";
    fs::write(directory.path().join("metrics.jsonl"), &line).unwrap();
    check_failure(directory.path(), &["already holds a finished run"]);
    assert_eq!(fs::read_to_string(directory.path().join("metrics.jsonl")).unwrap(), line);
}

#[test]
fn the_probe_names_versions_and_devices() {
    let output = worker().arg("--probe").output().unwrap();
    assert!(output.status.success());
    let probe: Probe = serde_json::from_slice(&output.stdout).unwrap();
    assert!(probe.libtorch.starts_with("2.11."), "{}", probe.libtorch);
    assert_eq!(probe.engine, env!("CARGO_PKG_VERSION"));
    assert!(probe.devices.iter().any(|device| device.id == "cpu" && device.name.contains("thread")));
}
