//! Programs: networks as TorchScript (`fixtures/programs.py`), and what is said of those that cannot be used.

use std::fs;
use std::path::{Path, PathBuf};

use engine::attack::cross_entropy;
use engine::checkpoint::Sidecar;
use engine::model::{Network, allow_programs};
use serde::Deserialize;
use serde_json::{Value, json};
use shared::config::{BatchNormMode, Inputs};
use shared::dataset::{Dataset, DatasetInfo};
use tch::{Device, Kind, Reduction, Tensor};
use tempfile::TempDir;

use crate::worker::{beside, files, metrics, worker};
use crate::{assert_close, values};

/// Both sides compute in float32, in another order.
const SINGLE: f64 = 1e-5;

#[derive(Deserialize)]
struct Golden {
    images: Vec<f64>,
    logits: Vec<f64>,
    features: Vec<f64>,
    gradient: Vec<f64>,
    weight: Vec<f64>,
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/import").join(name)
}

fn load(bytes: &[u8], info: &DatasetInfo) -> Result<Network, String> {
    tch::set_num_threads(1);
    allow_programs();
    Network::of_program(bytes, info, Device::Cpu)
}

#[test]
fn a_program_computes_what_its_network_computes_in_pytorch_and_passes_gradients_on() {
    let golden: Golden = serde_json::from_str(&fs::read_to_string(fixture("program.json")).unwrap()).unwrap();
    let network = load(&fs::read(fixture("program.pt")).unwrap(), &Dataset::Digits.info()).unwrap();
    let images = Tensor::from_slice(&golden.images).to_kind(Kind::Float).view([5, 1, 8, 8]).set_requires_grad(true);
    // More than once: an executor that records the first passes would compile the later ones.
    for _ in 0..4 {
        let output = network.forward(&images, BatchNormMode::Eval);
        assert_close("logits", &values(&output.logits), &golden.logits, SINGLE);
        assert_close("features", &values(&output.features), &golden.features, SINGLE);
        let labels = Tensor::arange(5, (Kind::Int64, Device::Cpu));
        let loss = cross_entropy(&output.logits, &labels, Reduction::Sum);
        let gradient = Tensor::run_backward(&[&loss], &[&images], false, false).swap_remove(0);
        assert_close("gradient", &values(&gradient), &golden.gradient, SINGLE);
    }
    assert_close("W", &values(network.linear_weight()), &golden.weight, SINGLE);
    assert_eq!((network.feature_dim(), network.classes()), (8, 10));
    assert!(network.parameters().iter().all(|parameter| !parameter.requires_grad()));
}

#[test]
fn what_is_wrong_with_a_program_is_said() {
    #[track_caller]
    fn check(bytes: &[u8], info: &DatasetInfo, parts: &[&str]) {
        let problem = load(bytes, info).unwrap_err();
        assert!(parts.iter().all(|part| problem.contains(part)), "{problem}");
    }
    let program = fs::read(fixture("program.pt")).unwrap();
    let digits = Dataset::Digits.info();
    check(&program[..program.len() / 2], &digits, &["cannot be loaded"]);
    check(&program, &Dataset::Cifar10.info(), &["fails on images of the data set"]);
    let nine = DatasetInfo { class_names: digits.class_names[..9].to_vec(), ..digits.clone() };
    check(&program, &nine, &["has 10 classes, but", "has 9"]);
    for (name, part) in [
        ("headless", "has no method `head_weight`"),
        ("single", "returns one tensor and not (features, logits)"),
        ("bent", "returns logits that are not W g(x) + b of its features"),
        ("detached", "passes no gradient on to its images"),
        ("wide", "returns features of the shape [3, 5] for 3 images, not [3, 4]"),
    ] {
        check(&fs::read(fixture(&format!("{name}.pt"))).unwrap(), &digits, &[part]);
    }
}

fn import(source: &Path) -> Value {
    json!({
        "kind": "import", "source": source, "data": {"dataset": "digits", "test_samples": 40}, "program": true, "device": "cpu",
        "attack": {"norm": "linf", "eps": "25.5/255", "steps": 3}, "attribution": {"inputs": ["adversarial"], "bootstrap": 0}
    })
}

/// Runs a configuration with programs allowed. Returns the run directory, or the last line that was said.
fn run(root: &TempDir, name: &str, config: &Value, allowed: bool) -> Result<PathBuf, String> {
    let directory = beside(root, name, config);
    let mut command = worker();
    command.arg(&directory).env_remove("CROSSLENS_ALLOW_PROGRAMS");
    if allowed {
        command.arg("--allow-programs");
    }
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    if output.status.success() { Ok(directory) } else { Err(said.lines().last().unwrap().to_owned()) }
}

#[test]
fn a_program_is_imported_evaluated_and_attributed_and_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    let imported = run(&root, "net", &import(&fixture("program.pt")), true).unwrap();
    assert_eq!(files(&imported.join("checkpoints")), ["e1.json", "e1.pt"]);
    assert_eq!(fs::read(imported.join("checkpoints/e1.pt")).unwrap(), fs::read(fixture("program.pt")).unwrap());
    let sidecar: Sidecar = serde_json::from_slice(&fs::read(imported.join("checkpoints/e1.json")).unwrap()).unwrap();
    assert_eq!((sidecar.model, sidecar.checkpoint.file.as_str()), (None, "checkpoints/e1.pt"));
    let told = metrics(&imported);
    assert!(told.notices[0].message.contains("is a program with"), "{:?}", told.notices);
    let matrix = |directory: &Path| -> Value {
        let path = directory.join(format!("attributions/e1.{}.json", Inputs::Adversarial.id()));
        serde_json::from_slice::<Value>(&fs::read(path).unwrap()).unwrap()["matrix"].clone()
    };
    let of = |kind: &str, more: Value| {
        let mut config = json!({"kind": kind, "device": "cpu"});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        config
    };
    let again = of("attribute", json!({"checkpoint": "net.last", "inputs": ["adversarial"], "bootstrap": 0}));
    assert_eq!(matrix(&run(&root, "again", &again, true).unwrap()), matrix(&imported));
    let evaluation = of("evaluate", json!({"checkpoint": "net.last", "samples": 20, "autoattack": ["apgd_ce"]}));
    let evaluated = run(&root, "evaluated", &evaluation, true).unwrap();
    assert!(metrics(&evaluated).finished.is_some());

    let refused = |name: &str, config: Value, allowed: bool, parts: &[&str]| {
        let said = run(&root, name, &config, allowed).unwrap_err();
        assert!(parts.iter().all(|part| said.contains(part)), "{name}: {said}");
    };
    let stage = of("attribute", json!({"checkpoint": "net.last", "layer": "stage1"}));
    refused("stage", stage, true, &["`net.e1`: is a program", "it has no stages"]);
    refused("map", of("saliency", json!({"checkpoints": ["net.last"]})), true, &["`net.e1`: is a program", "no stages to map"]);
    refused("pair", of("pair", json!({"checkpoints": ["net.last"], "pairs": [[3, 5]]})), true, &["`net.e1`: is a program"]);
    refused("closed", again, false, &["`net.e1`: is a program", "--allow-programs", "do whatever the server may do"]);
    refused("import", import(&fixture("program.pt")), false, &["program.pt", "is a program", "--allow-programs"]);
    let program = fs::read(fixture("program.pt")).unwrap();
    let cut = root.path().join("cut.pt");
    fs::write(&cut, &program[..program.len() / 2]).unwrap();
    refused("half", import(&cut), true, &["cut.pt", "it is cut off"]);
    refused("data", import(&fixture("plain.pth")), true, &["plain.pth", "is PyTorch, and no program", "leave out `program`"]);
    refused("other", import(&fixture("headless.pt")), true, &["headless.pt", "has no method `head_weight`"]);
    let mut more = import(&fixture("program.pt"));
    more["normalization"] = json!("none");
    refused("normalized", more, true, &["normalization", "a program says it itself"]);
    fs::write(imported.join("checkpoints/e1.pt"), "changed").unwrap();
    refused("changed", evaluation, true, &["is damaged: its SHA-256"]);
}
