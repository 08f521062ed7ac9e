"""`start_run`: what is in the run directory, how a run goes on, and that one process writes."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, batches, load_safetensors
from torch import nn

import crosslens
from crosslens import lease
from crosslens.recording import DATASETS

CLASSES = [str(digit) for digit in range(10)]


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.ReLU(), nn.Linear(6, 10))


def records(directory: Path) -> list[dict]:
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


def kinds(directory: Path) -> list[str]:
    return [record["type"] for record in records(directory)]


def test_a_loop_leaves_a_complete_run(network, digits, tmp_path):
    attack = crosslens.PGD(eps="16/255", steps=2)
    settings = {"optimizer": "SGD", "nesterov": True, "eps": 1}
    with crosslens.start_run("Mine", CLASSES, epochs=2, data="digits", attack=attack, settings=settings, data_dir=tmp_path) as run:
        for epoch in (1, 2):
            run.progress(epoch, 1, 2)
            run.progress(epoch, 2, 2)
            found = run.attribution(epoch, network, batches(*digits), attack=attack, bootstrap=10)
            broken = crosslens.BrokenGradients(599, zero=3, not_finite=0) if epoch == 2 else None
            accuracies = {"test_clean_accuracy": 0.5, "test_robust_accuracy": 0.5 - epoch / 10}
            run.log(epoch, train_loss=float("nan"), **accuracies, broken_gradients=broken)
    directory = tmp_path / "runs" / run.id
    assert run.directory == directory and run.id.startswith("mine-")
    config = json.loads((directory / "config.json").read_text())
    assert config == {
        "kind": "external",
        "name": "Mine",
        "classes": CLASSES,
        "epochs": 2,
        "data": {"dataset": "digits"},
        "attack": attack.to_json(),
        "settings": settings,
    }
    assert (directory / "format").read_text() == "1\n"
    one = ["checkpoint", "started", "attribution", "attribution", "epoch"]
    assert kinds(directory) == ["started", "progress", *one, "checkpoint", "attribution", "attribution", "epoch", "finished"]
    started = records(directory)[3]
    assert (started["parameters"], started["feature_dim"], started["test_samples"]) == (460, 6, 599)
    assert records(directory)[-1] | {"elapsed_secs": 0} == {"type": "finished", "best_epoch": 1, "last_epoch": 2, "elapsed_secs": 0}
    (epoch, last) = [record for record in records(directory) if record["type"] == "epoch"]
    assert epoch["train_loss"] is None and epoch["test_robust_accuracy"] == 0.4 and "broken_gradients" not in epoch
    assert last["broken_gradients"] == {"images": 599, "zero": 3, "not_finite": 0}

    (checkpoint, _) = [record for record in records(directory) if record["type"] == "checkpoint"]
    weights = directory / checkpoint["file"]
    assert checkpoint["size_bytes"] == weights.stat().st_size
    assert checkpoint["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert all(torch.equal(tensor, network.state_dict()[name]) for name, tensor in load_safetensors(weights).items())

    content = json.loads((directory / "attributions/e2.adversarial.json").read_text())
    assert content["checkpoint_sha256"] == checkpoint["sha256"]
    np.testing.assert_array_equal(content["matrix"], found.matrix)
    assert not (directory / "lease.json").exists()
    assert sorted(file.name for file in directory.iterdir()) == ["attributions", "checkpoints", "config.json", "format", "metrics.jsonl"]


LOOP = """
import sys, time, crosslens
run = crosslens.start_run("Killed", ["a", "b"], id="killed", epochs=9, data_dir=sys.argv[1])
for epoch in range(run.epoch + 1, 4):
    run.log(epoch, test_robust_accuracy=0.1)
run._file.write(b'{"type":"epo')
run._file.flush()
time.sleep(600)
"""


def killed(data_dir: Path) -> Path:
    """A run whose process was killed while it wrote a line."""
    directory = data_dir / "runs" / "killed"
    with subprocess.Popen([sys.executable, "-c", LOOP, str(data_dir)]) as process:
        begun = time.monotonic()
        while not ((directory / "metrics.jsonl").exists() and (directory / "metrics.jsonl").read_bytes().endswith(b"epo")):
            assert time.monotonic() - begun < 60
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    return directory


def test_a_killed_run_goes_on(tmp_path):
    directory = killed(tmp_path)
    left = json.loads((directory / "lease.json").read_text())
    assert left["pid"] != os.getpid()
    run = crosslens.start_run("Killed", ["a", "b"], id="killed", epochs=9, data_dir=tmp_path)
    assert json.loads((directory / "lease.json").read_text())["pid"] == os.getpid()
    assert run.epoch == 3
    run.log(4, test_robust_accuracy=0.3)
    run.finish()
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    assert lines[4] == '{"type":"epo'
    after = [json.loads(line) for line in lines[5:]]
    assert [record["type"] for record in after] == ["started", "notice", "epoch", "finished"]
    assert (after[1]["kind"], after[1]["epoch"]) == ("resumed", 3)
    assert after[2]["elapsed_secs"] >= json.loads(lines[3])["elapsed_secs"]
    assert (after[3]["best_epoch"], after[3]["last_epoch"]) == (4, 4)
    with pytest.raises(crosslens.CrossLensError, match="has finished"):
        crosslens.start_run("Killed", ["a", "b"], id="killed", data_dir=tmp_path)


def test_one_process_writes(tmp_path):
    run = crosslens.start_run("Held", ["a", "b"], id="held", data_dir=tmp_path)
    with pytest.raises(lease.RunBusy, match=f"another process: process {os.getpid()} on"):
        crosslens.start_run("Held", ["a", "b"], id="held", data_dir=tmp_path)
    run.close()
    with pytest.raises(crosslens.CrossLensError, match="is closed"):
        run.log(1)
    with pytest.raises(crosslens.CrossLensError, match="another run"):
        crosslens.start_run("Held", ["a", "b", "c"], id="held", data_dir=tmp_path)
    assert not (tmp_path / "runs/held/lease.json").exists()


def test_a_lease_is_the_one_of_the_worker(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "BEAT", 0.02)
    run = crosslens.start_run("Beats", ["a", "b"], id="beats", data_dir=tmp_path)
    path = tmp_path / "runs/beats/lease.json"
    first = json.loads(path.read_text())
    assert first.keys() == {"host", "pid", "started", "among", "ticket", "beat"}
    begun = time.monotonic()
    while json.loads(path.read_text())["beat"] < 2:
        assert time.monotonic() - begun < 60
        time.sleep(0.01)
    # Another has taken it over: hands off.
    other = lease._line(first | {"pid": 1, "beat": 7})
    path.write_bytes(other)
    while not run._held.lost.is_set():
        assert time.monotonic() - begun < 60
        time.sleep(0.01)
    with pytest.raises(lease.RunBusy, match="has taken over"):
        run.log(1)
    run.close()
    assert path.read_bytes() == other


def test_a_holder_elsewhere_is_gone_once_it_has_stood_still(tmp_path, monkeypatch):
    path = tmp_path / "lease.json"
    elsewhere = {"host": "far", "pid": 1, "started": 1, "among": "another boot", "ticket": None, "beat": 3}
    told: list[str] = []
    for content in (lease._line(elsewhere), b'{"host":'):
        path.write_bytes(content)
        monkeypatch.setattr(lease, "STALE", 0.1)
        lease.take(tmp_path, told.append).release()
        assert not path.exists()
    assert "process 1 on far" in told[0] and "does not say which" in told[-1]


def test_a_canceled_loop_does_not_finish(tmp_path):
    with crosslens.start_run("Canceled", ["a", "b"], id="canceled", data_dir=tmp_path) as run:
        assert not run.stopping
        (run.directory / "stop").write_text("cancel\n")
        assert run.stopping
    assert "finished" not in kinds(run.directory)
    # Whoever goes on with it is not asked to stop.
    assert not crosslens.start_run("Canceled", ["a", "b"], id="canceled", data_dir=tmp_path).stopping


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"name": "x" * 81}, "name has 81 characters"),
        ({"classes": ["a"]}, "1 classes are given"),
        ({"epochs": -1}, "epochs is -1"),
        ({"id": "Two words"}, "`Two words` is not a name of [a-z0-9-]"),
        ({"data": "mnist"}, "`mnist` is not a data set that CrossLens knows"),
        ({"settings": {"betas": [0.9, 0.999]}}, "the setting `betas` is [0.9, 0.999]"),
        ({"settings": {"rate": float("nan")}}, "the setting `rate` is nan"),
    ],
)
def test_what_is_wrong_is_named_before_anything_is_written(tmp_path, change, part):
    with pytest.raises(ValueError) as raised:
        crosslens.start_run(**{"name": "Wrong", "classes": ["a", "b"], "data_dir": tmp_path} | change)
    assert part in str(raised.value)
    assert not (tmp_path / "runs").exists()


def test_wrong_numbers_are_named(tmp_path):
    with crosslens.start_run("Numbers", ["a", "b"], data_dir=tmp_path) as run:
        with pytest.raises(ValueError, match="epochs are counted from 1"):
            run.log(0)
        with pytest.raises(ValueError, match="test_robust_accuracy is 45; accuracies are fractions"):
            run.log(1, test_robust_accuracy=45)


def test_the_data_sets_are_those_of_the_server():
    document = json.loads((ROOT / "docs" / "openapi.json").read_text())
    assert tuple(document["components"]["schemas"]["Dataset"]["enum"]) == DATASETS
