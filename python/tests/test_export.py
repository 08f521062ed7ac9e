"""`export`: what a program computes, what cannot be one, and the worker's numbers of it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import torch
from conftest import batches
from torch import nn

import crosslens
import crosslens.installation
from crosslens.exporting import ExportError


class Network(nn.Module):
    """A network that no architecture of the worker is."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.squeeze = nn.Linear(6, 6)
        self.classify = nn.Linear(6, 10)

    def forward(self, x):
        y = torch.nn.functional.gelu(self.norm(self.conv((x - 0.3) / 0.4))).mean((2, 3))
        return self.classify(y * torch.sigmoid(self.squeeze(y)))


@pytest.fixture
def network() -> Network:
    torch.manual_seed(0)
    return Network()


def test_a_program_gives_features_logits_and_gradients_of_its_network(network, digits, tmp_path):
    images = digits[0][:7]
    network.train()
    path = crosslens.export(network, tmp_path / "net.pt", images)
    assert network.training and network.norm.training
    network.eval()
    program = torch.jit.load(path)
    assert torch.equal(program.head_weight(), network.classify.weight)
    x, y = images.clone().requires_grad_(), images.clone().requires_grad_()
    features, logits = program(x)
    assert features.shape == (7, 6)
    torch.testing.assert_close(logits, network(y))
    logits.square().sum().backward()
    network(y).square().sum().backward()
    torch.testing.assert_close(x.grad, y.grad)
    assert not list(tmp_path.glob("*.part"))


class ByCount(Network):
    def forward(self, x):
        return super().forward(x) * len(x)


class ByValue(Network):
    def forward(self, x):
        return super().forward(x if x.mean() > self.least else 1 - x)


def test_what_cannot_be_a_program_is_said(network, digits, tmp_path):
    images = digits[0][:7]

    def check(model, images, part, **more):
        with pytest.raises(ValueError, match=part):
            crosslens.export(model, tmp_path / "net.pt", images, **more)
        assert not list(tmp_path.iterdir())

    check(network, images[:1], "two or more of the shape")
    check(network, images[0], "two or more of the shape")
    check(network.double(), images.double(), "use `model.float\\(\\)`")
    by_value = ByValue()
    by_value.least = (images[0].mean() + images.mean()) / 2
    if images[0].mean() > images.mean():
        by_value.least = images[0].mean() - 1e-6
    check(by_value, images, "depends on the number or the values")
    check(Network().float(), images, "no module of the network", features="nothing")


def test_the_worker_measures_a_program_as_measure_does_its_network(worker: Path, network, digits, tmp_path):
    path = crosslens.export(network, tmp_path / "net.pt", digits[0][:4])
    directory = tmp_path / "run"
    directory.mkdir()
    attack = {"norm": "linf", "eps": "20/255", "steps": 4}
    config = {
        "kind": "import",
        "source": str(path),
        "program": True,
        "seed": 3,
        "device": "cpu",
        "data": {"dataset": "digits"},
        "attack": attack,
        "attribution": {"inputs": ["clean", "adversarial"], "bootstrap": 0},
    }
    (directory / "config.json").write_text(json.dumps(config))
    environment = os.environ | {"LD_LIBRARY_PATH": str(crosslens.installation.libtorch()), "OMP_NUM_THREADS": "1"}
    environment.pop("CROSSLENS_ALLOW_PROGRAMS", None)
    refused = subprocess.run([worker, directory], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert refused.returncode == 1 and "--allow-programs" in refused.stderr.splitlines()[-1]
    subprocess.run([worker, directory, "--allow-programs"], env=environment, check=True, stdin=subprocess.DEVNULL)
    found = crosslens.measure(
        network, batches(*digits), classes=[str(digit) for digit in range(10)], attack=crosslens.PGD(**attack), seed=3, bootstrap=0
    )
    for inputs in ("clean", "adversarial"):
        theirs = json.loads((directory / f"attributions/e1.{inputs}.json").read_text())
        ours = getattr(found, inputs)
        assert theirs["accuracy"] == ours.accuracy
        difference = abs(torch.tensor(theirs["matrix"]) - torch.tensor(ours.matrix)).max().item()
        assert difference < 1e-6
