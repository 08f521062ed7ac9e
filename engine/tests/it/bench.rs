//! The engine's part of the benchmark, as `bench/turns.py` drives it.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::tempdir;

/// Runs a case in its tiny size for two repetitions.
#[track_caller]
fn check(case: &str, kind: &str) {
    let folder = tempdir().unwrap();
    let mut worker = Command::new(env!("CARGO_BIN_EXE_worker"))
        .args(["--bench", case, "--quick", "--device", "cpu"])
        .arg(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    worker.stdin.take().unwrap().write_all(b"\n\n").unwrap();
    let output = worker.wait_with_output().unwrap();
    assert!(output.status.success(), "{case}: {}", output.status);

    let lines: Vec<Value> = String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [about, repetitions @ ..] = lines.as_slice() else { panic!("{case} prints nothing") };
    assert_eq!(about["libtorch"], "2.11.0");
    assert_eq!(repetitions.len(), 2, "{case}");
    for repetition in repetitions {
        assert!(repetition["seconds"].as_f64().unwrap() > 0.0 && repetition["loss"].as_f64().unwrap() > 0.0, "{case}: {repetition}");
    }
    let description: Value = serde_json::from_slice(&std::fs::read(folder.path().join("case.json")).unwrap()).unwrap();
    assert_eq!(description["kind"], kind);
    let bytes = std::fs::read(folder.path().join("inputs.safetensors")).unwrap();
    let inputs = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    for name in ["images", "labels", "starts", "network.linear.weight"] {
        assert!(inputs.tensor(name).is_ok(), "{case} has no {name}");
    }
}

#[test]
fn each_kind_of_case_answers_every_line_with_a_repetition() {
    check("demo/step/pgd_at/train", "step");
    check("demo/epoch/trades", "epoch");
    check("preact-resnet18/evaluate", "evaluate");
    check("demo/attribute", "attribute");
}
