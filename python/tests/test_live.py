"""A run of a Python program on a real server: shown live, lost when the program is killed, and found again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from conftest import batches, serving
from test_recording import CLASSES, killed
from torch import nn

import crosslens

DEADLINE = 60


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def lens(server: Path, worker: Path, data_dir: Path) -> Iterator[crosslens.Client]:
    with serving(server, worker, data_dir) as lens:
        yield lens


def until(look: Callable[[], bool]) -> None:
    begun = time.monotonic()
    while not look():
        assert time.monotonic() - begun < DEADLINE
        time.sleep(0.05)


def state(lens: crosslens.Client, id: str) -> str | None:
    try:
        return lens.run(id).state
    except crosslens.Problem as problem:
        assert problem.kind == "run-not-found"
        return None


def test_a_loop_is_shown_live_compared_and_shared(lens, data_dir, digits):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    attack = crosslens.PGD(eps="16/255", steps=1)
    run = crosslens.start_run("Live", CLASSES, id="live", epochs=2, data="digits", attack=attack, data_dir=data_dir)
    until(lambda: state(lens, "live") == "running")
    found = run.attribution(1, network, batches(*digits), attack=attack, bootstrap=10)
    run.log(1, test_clean_accuracy=found.clean_accuracy, test_robust_accuracy=found.robust_accuracy)
    until(lambda: len(lens.run("live").metrics().epoch) == 1)
    # The table takes it up while the run goes on.
    until(lambda: [found.id for found in lens.runs("kind:external dataset:digits eps:16 epochs:2 state:running best>0")] == ["live"])
    network[1].weight.data += 0.1
    run.attribution(2, network, batches(*digits), attack=attack, bootstrap=10)
    run.log(2, test_robust_accuracy=0.0)
    run.finish()
    until(lambda: state(lens, "live") == "succeeded")
    stored = lens.run("live").attribution("best")
    assert (stored.epoch, stored.cas) == (1, found.cas)
    comparison = lens.compare(stored, lens.run("live").attribution("last"))
    assert comparison.differences[0].unresolved.shape == (10, 10)
    assert lens.share(comparison).url


def test_a_killed_program_is_lost_until_it_is_started_again(lens, data_dir):
    killed(data_dir)
    until(lambda: state(lens, "killed") == "failed")
    lost = lens.run("killed")
    assert lost.failure == "the program that writes it shows no sign of life; started again, it can go on"
    assert lost.metrics().epoch.tolist() == [1, 2, 3]
    with pytest.raises(crosslens.Problem, match="is written by another program") as raised:
        lost.resume()
    assert raised.value.kind == "run-not-resumable"
    run = crosslens.start_run("Killed", ["a", "b"], id="killed", epochs=9, data_dir=data_dir)
    until(lambda: state(lens, "killed") == "running")
    assert lens.run("killed").failure is None
    run.log(4, test_robust_accuracy=0.2)
    # Canceled on its page.
    lens.run("killed").cancel()
    until(lambda: run.stopping)
    run.close()
    until(lambda: state(lens, "killed") == "canceled")
    lens.run("killed").delete(for_good=True)
    assert not run.directory.exists()


def test_a_run_goes_on_while_the_server_is_away(server, worker, tmp_path):
    run = crosslens.start_run("Away", ["a", "b"], id="away", data_dir=tmp_path)
    gone = crosslens.start_run("Gone", ["a", "b"], id="gone", data_dir=tmp_path)
    with serving(server, worker, tmp_path) as lens:
        until(lambda: state(lens, "away") == state(lens, "gone") == "running")
    run.log(1, test_robust_accuracy=0.1)
    gone.finish()
    with serving(server, worker, tmp_path) as lens:
        until(lambda: state(lens, "gone") == "succeeded")
        assert state(lens, "away") == "running"
        run.finish()
        until(lambda: state(lens, "away") == "succeeded")


def test_such_a_run_is_not_submitted_and_not_measured(lens, data_dir):
    with pytest.raises(crosslens.Problem) as raised:
        lens.submit({"kind": "external", "classes": ["a", "b"]})
    assert raised.value.errors[0][0] == "kind"
    with crosslens.start_run("Weights", ["a", "b"], id="weights", data_dir=data_dir) as run:
        run.checkpoint(1, nn.Linear(2, 2))
    until(lambda: state(lens, "weights") == "succeeded")
    with pytest.raises(crosslens.Problem, match="only the program that trains it knows") as raised:
        lens.submit({"kind": "attribute", "checkpoint": "weights.e1"})
    assert raised.value.errors[0][0] == "checkpoint"
