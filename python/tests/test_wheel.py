"""The wheel in a fresh environment, as a user installs it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
import torch

DEADLINE = 60


@pytest.fixture(scope="module")
def wheel() -> Path:
    if "CROSSLENS_WHEEL" not in os.environ:
        pytest.skip("CROSSLENS_WHEEL names no wheel; `cargo xtask test` makes one")
    return Path(os.environ["CROSSLENS_WHEEL"])


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command `crosslens` in an environment that shares torch with this one."""
    folder = tmp_path_factory.mktemp("fresh") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    pip = [sys.executable, "-m", "pip", "--python", folder, "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", wheel], check=True)
    (site,) = folder.glob("lib/python3*/site-packages")
    (site / "torch.pth").write_text(f"{Path(torch.__file__).parents[1]}\n")
    return folder / "bin" / "crosslens"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A user without settings, whose data folder is empty."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CROSSLENS_") and name != "LD_LIBRARY_PATH"}
    return kept | {"XDG_DATA_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}


@pytest.fixture
def demo(installed: Path, environment: dict[str, str], tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The addresses of a server and of its demo."""
    line = [installed, "serve", "--demo", "--stop-runs", "--addr", "127.0.0.1:0"]
    # From another folder than that of the package or of data.
    with subprocess.Popen(line, env=environment, cwd="/", stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as program:
        try:
            yield tuple(re.search(r"http://\S+", program.stdout.readline())[0] for _ in range(2))
        finally:
            program.send_signal(signal.SIGTERM)


def test_a_fresh_environment_serves_the_demo(demo, tmp_path):
    address, run = demo
    with urlopen(address) as page:
        assert b"CrossLens" in page.read()
    identifier = run.rsplit("/", 1)[-1]
    begun = time.monotonic()
    while not (metrics := json.load(urlopen(f"{address}api/runs/{identifier}/metrics")))["epochs"]:
        assert time.monotonic() - begun < DEADLINE, "the demo has not reached its first epoch"
        time.sleep(0.1)
    assert metrics["started"]["libtorch"] == "2.11.0"
    assert (tmp_path / "crosslens" / "runs" / identifier / "config.json").is_file()


def test_presets_and_worker_need_no_server(installed, environment, tmp_path):
    def run(*arguments: str | Path) -> subprocess.CompletedProcess:
        return subprocess.run([installed, *arguments], env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)

    listed = run("presets").stdout.splitlines()
    assert listed[0].startswith("demo ")
    config = json.loads(run("presets", "demo").stdout)
    config["training"] |= {"epochs": 1, "milestones": []}
    config["evaluation"] = {"every": 1}
    config["checkpoints"] = {"epochs": [1]}
    directory = tmp_path / "run"
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps(config))
    worked = run("worker", directory)
    assert worked.returncode == 0, worked.stderr
    assert (directory / "checkpoints" / "e1.safetensors").is_file()
    assert run("worker", tmp_path / "nowhere").returncode == 1
    assert "--data-dir" in run("words", "serve", "2").stdout
    assert "--dataset" in run("words", "import", "2").stdout
    assert run("serve", "--help").stdout.splitlines()[2].startswith("Usage: crosslens serve [OPTIONS]")


def test_without_torch_it_says_what_to_install(installed, environment):
    # Isolated from the file that names the folder of torch.
    line = [installed.parent / "python", "-S", "-c", SCRIPT.format(site=str(next(installed.parents[1].glob("lib/python3*/site-packages"))))]
    ended = subprocess.run(line, env=environment, cwd="/", capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (1, "crosslens: this Python has no torch: `pip install torch==2.11.0`\n")


SCRIPT = "import sys; sys.path.append({site!r}); from crosslens.cli import main; sys.exit(main(['serve']))"


def test_the_wheel_holds_what_it_says(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (archive.read(name).decode() for name in names if name.endswith(".dist-info/METADATA"))
    assert re.fullmatch(r"crosslens-[\d.]+-py3-none-manylinux_2_\d+_\w+\.whl", wheel.name)
    assert "Requires-Dist: torch==2.11.0" in metadata
    for name in ("programs/server", "programs/worker", "programs/web/index.html", "programs/LICENSES.txt", "py.typed"):
        assert f"crosslens/{name}" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
