"""What the tests share: the programs that are tested, digits, and the twins of the engine's architectures."""

from __future__ import annotations

import csv
import json
import os
import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import crosslens
from crosslens.installation import libtorch

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "0123456789abcdef"
FIXTURES = ROOT / "engine" / "tests" / "fixtures"
sys.path.insert(0, str(FIXTURES))


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Sums are added in the same order on every machine."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def worker() -> Path:
    """The worker, as `cargo xtask test` has built it."""
    return Path(os.environ.get("CROSSLENS_WORKER", ROOT / "target/release/worker"))


@pytest.fixture(scope="session")
def server() -> Path:
    """The server, as `cargo xtask test` has built it."""
    return Path(os.environ.get("CROSSLENS_SERVER", ROOT / "target/release/server"))


@pytest.fixture(scope="session")
def digits() -> tuple[Tensor, Tensor]:
    """The test digits in the order in which the worker has them: every third, starting with the third."""
    with (ROOT / "datasets" / "data" / "digits.csv").open() as file:
        rows = [[int(value) for value in row] for row in list(csv.reader(file))[1:]][2::3]
    table = torch.tensor(rows)
    return table[:, :64].float().div(16).reshape(-1, 1, 8, 8), table[:, 64]


@contextmanager
def serving(server: Path, worker: Path, data_dir: Path) -> Iterator[crosslens.Client]:
    """A server with a token, until the end of the block."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CROSSLENS_")}
    environment |= {"CROSSLENS_TOKEN": TOKEN, "OMP_NUM_THREADS": "1", "LD_LIBRARY_PATH": str(libtorch())}
    line = [server, "--addr", "127.0.0.1:0", "--data-dir", data_dir, "--worker", worker, "--stop-runs"]
    with subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as program:
        try:
            said = program.stdout.readline()
            yield crosslens.connect(re.search(r"http://\S+", said)[0])
        finally:
            program.terminate()


def batches(images: Tensor, labels: Tensor, size: int = 64) -> list[tuple[Tensor, Tensor]]:
    """What a DataLoader without shuffling gives."""
    return list(zip(images.split(size), labels.split(size), strict=True))


class Normalized(nn.Module):
    """A network whose pixels are normalized with mean and deviation 0.5."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network((images - 0.5) / 0.5)
        return logits


def load_safetensors(path: Path) -> dict[str, Tensor]:
    """Read a file of weights, by the description of the format."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    dtypes = {"F32": torch.float32, "F64": torch.float64, "I64": torch.int64}
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        first, last = (8 + length + offset for offset in entry["data_offsets"])
        raw = bytearray(content[first:last])
        tensors[name] = torch.frombuffer(raw, dtype=dtypes[entry["dtype"]]).reshape(entry["shape"])
    return tensors


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Without what a user has set for servers."""
    for name in list(os.environ):
        if name.startswith("CROSSLENS_"):
            monkeypatch.delenv(name)
    yield
