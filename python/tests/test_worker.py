"""`measure` against the worker itself, on the checkpoints of a run that it has trained."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import twins
from conftest import Normalized, batches, load_safetensors

import crosslens
import crosslens.installation
from crosslens import safetensors, signs

#: float32 with the same kernels, added in another order: the worker keeps channels last. Of cells absolute, of sums
#: over cells and of lengths relative.
TOLERANCE = 1e-6


def run(worker: Path, directory: Path, config: dict) -> None:
    """Run a configuration, on one thread."""
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps(config))
    libtorch = crosslens.installation.libtorch()
    environment = os.environ | {"LD_LIBRARY_PATH": str(libtorch), "OMP_NUM_THREADS": "1"}
    subprocess.run([worker, directory], env=environment, check=True, stdin=subprocess.DEVNULL, capture_output=True)


@pytest.fixture(scope="module")
def trained(worker: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs."""
    root = tmp_path_factory.mktemp("runs")
    config = {
        "kind": "train",
        "seed": 5,
        "device": "cpu",
        "data": {"dataset": "digits", "train_samples": 200},
        "model": {"architecture": "preact_resnet_small", "width": 4},
        "training": {"method": "pgd_at", "epochs": 2, "milestones": []},
        "attack": {"norm": "l2", "eps": "128/255", "steps": 2},
        "checkpoints": {"epochs": [1]},
    }
    run(worker, root / "trained", config)
    return root / "trained"


def twin(directory: Path, epoch: int) -> Normalized:
    network = twins.ResNet(twins.PreActBlock, stages=3, blocks=1, width=4, channels=1)
    network.load_state_dict(load_safetensors(directory / f"checkpoints/e{epoch}.safetensors"), strict=True)
    return Normalized(network)


@pytest.mark.parametrize(
    ("seed", "norm", "eps", "aggregation", "subset"),
    [
        (0, "l2", "128/255", "average_then_cosine", "all"),
        (7, "l2", "128/255", "cosine_then_average", "correct"),
        (4_000_000_000, "linf", "20/255", "average_then_cosine", "all"),
        (3, "linf", "20/255", "average_features", "all"),
    ],
)
def test_every_number_is_that_of_the_worker(worker, trained, digits, seed, norm, eps, aggregation, subset):
    measured = trained.with_name(f"measured-{norm}-{seed}")
    attack = {"norm": norm, "eps": eps, "steps": 5}
    config = {
        "kind": "attribute",
        "checkpoint": "trained.last",
        "seed": seed,
        "device": "cpu",
        "inputs": ["clean", "adversarial"],
        "attack": attack,
        "aggregation": aggregation,
        "subset": subset,
        "bootstrap": 60,
    }
    run(worker, measured, config)
    found = crosslens.measure(
        twin(trained, 2),
        batches(*digits),
        attack=crosslens.PGD(**attack),
        aggregation=aggregation,
        subset=subset,
        bootstrap=60,
        seed=seed,
    )
    for attribution in (found.clean, found.adversarial):
        expected = json.loads((measured / f"attributions/e2.{attribution.inputs}.json").read_text())
        content = attribution.to_json()
        for name, value in content.items():
            if name == "seconds" or name == "class_names":
                continue
            if name == "bootstrap":
                assert value["resamples"] == expected[name]["resamples"]
                for end in ("cas_low", "cas_high", "low", "high"):
                    np.testing.assert_allclose(value[end], expected[name][end], rtol=TOLERANCE, atol=TOLERANCE)
            elif name in ("matrix", "norms", "cas", "cas_normalized", "class_accuracy", "accuracy", "weight_matrix"):
                np.testing.assert_allclose(value, expected[name], rtol=TOLERANCE, atol=TOLERANCE, err_msg=name)
            else:
                assert value == expected[name], name
        assert content.keys() <= expected.keys()


@pytest.fixture
def saturated(trained: Path) -> Path:
    """The run with logits of the last epoch so far apart that the softmax is 1 for one class and 0 for the others."""
    directory = trained.with_name("saturated")
    shutil.copytree(trained, directory)
    file = directory / "checkpoints/e2.safetensors"
    weights = load_safetensors(file)
    weights["linear.weight"] *= 1e6
    _, sha256 = safetensors.save(file, weights)
    sidecar, records = directory / "checkpoints/e2.json", directory / "metrics.jsonl"
    before = json.loads(sidecar.read_text())["checkpoint"]["sha256"]
    for text in (sidecar, records):
        text.write_text(text.read_text().replace(before, sha256))
    return directory


@pytest.mark.parametrize(("norm", "eps"), [("linf", "8/255"), ("l2", "128/255")])
def test_broken_gradients_are_counted_and_told_as_by_the_worker(worker, saturated, digits, norm, eps):
    attack = {"norm": norm, "eps": eps, "steps": 3}
    of = {"checkpoint": "saturated.last", "device": "cpu", "seed": 2}
    run(worker, saturated.with_name(f"a-{norm}"), {"kind": "attribute", "inputs": ["adversarial"], "attack": attack, "bootstrap": 0, **of})
    content = json.loads((saturated.with_name(f"a-{norm}") / "attributions/e2.adversarial.json").read_text())
    with pytest.warns(crosslens.BrokenEvaluationWarning) as warned:
        found = crosslens.measure(twin(saturated, 2), batches(*digits), attack=crosslens.PGD(**attack), seed=2)
    broken = found.adversarial.broken_gradients
    assert broken.images == 599 and broken.zero > 50
    assert found.adversarial.to_json()["broken_gradients"] == content["broken_gradients"]
    assert found.clean.broken_gradients is None and found.clean.signs == []
    assert [str(warning.message) for warning in warned] == [sign.message for sign in found.signs]

    config = {"kind": "evaluate", "norm": norm, "eps": eps, "pgd": {"steps": 3}, "autoattack": [], **of}
    run(worker, saturated.with_name(f"e-{norm}"), config)
    evaluation = json.loads((saturated.with_name(f"e-{norm}") / "evaluation.json").read_text())
    told = signs.of_gradients(crosslens.BrokenGradients(**evaluation["steps"][1]["broken_gradients"]))
    assert [{"kind": sign.kind, "message": f"PGD-3: {sign.message}"} for sign in told] == evaluation["signs"]
    shutil.rmtree(saturated)


def test_accuracies_and_cas_are_those_of_the_training_run(trained, digits):
    records = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    for epoch in (1, 2):
        (recorded,) = [record for record in records if record["type"] == "epoch" and record["epoch"] == epoch]
        attack = crosslens.PGD(norm="l2", eps="128/255")
        found = crosslens.measure(twin(trained, epoch), batches(*digits), attack=attack, seed=5)
        assert found.clean_accuracy == recorded["test_clean_accuracy"]
        assert found.robust_accuracy == recorded["test_robust_accuracy"]
        assert found.adversarial.loss == pytest.approx(recorded["test_loss"], abs=TOLERANCE)
        for entry in records:
            if entry["type"] == "attribution" and entry["epoch"] == epoch:
                of_inputs = found.clean if entry["inputs"] == "clean" else found.adversarial
                assert of_inputs.cas == pytest.approx(entry["cas"], rel=TOLERANCE)
