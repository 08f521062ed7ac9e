"""The example runs, on a few images in the layout of CIFAR-10."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

EXAMPLE = ROOT / "python" / "examples" / "paper_recipe.py"


@pytest.fixture
def cifar10(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    draws = np.random.default_rng(0)
    for name in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]:
        batch = {b"data": draws.integers(0, 256, (10, 3072), dtype=np.uint8), b"labels": list(range(10))}
        (folder / name).write_bytes(pickle.dumps(batch))
    names = [b"airplane", b"automobile", b"bird", b"cat", b"deer", b"dog", b"frog", b"horse", b"ship", b"truck"]
    (folder / "batches.meta").write_bytes(pickle.dumps({b"label_names": names}))
    return folder.parent


def test_the_example_leaves_a_run(cifar10: Path, tmp_path: Path) -> None:
    environment = os.environ | {"CROSSLENS_DATA_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    # Narrower networks crash torch 2.11 itself in `backward`, with one thread on processors without AVX-512.
    line = [sys.executable, EXAMPLE, "--data", cifar10, "--epochs", "4", "--every", "2", "--width", "8", "--id", "recipe"]
    subprocess.run(line, env=environment, check=True)
    directory = tmp_path / "runs" / "recipe"
    records = [json.loads(text) for text in (directory / "metrics.jsonl").read_text().splitlines()]
    epochs = [record for record in records if record["type"] == "epoch"]
    assert [epoch["epoch"] for epoch in epochs] == [1, 2, 3, 4]
    assert [epoch["learning_rate"] for epoch in epochs] == pytest.approx([0.1, 0.1, 0.01, 0.001])
    assert [epoch["test_robust_accuracy"] is not None for epoch in epochs] == [False, True, False, True]
    assert len(list((directory / "attributions").iterdir())) == 4
    assert records[-1]["type"] == "finished"
