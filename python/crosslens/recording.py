"""Writes the run directory of any PyTorch training loop as the worker writes its own, for a server to show."""

from __future__ import annotations

import atexit
import json
import math
import os
import re
import secrets
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import nn

from . import installation, lease, safetensors
from .attack import PGD
from .measuring import Attribution, Measurement, measure
from .problems import CrossLensError
from .safetensors import write_whole
from .signs import BrokenGradients

#: Data sets that CrossLens knows.
DATASETS = ("digits", "synthetic", "cifar10", "cifar100", "tiny_imagenet", "svhn", "image_folder")
#: Version of the layout of run directories.
_FORMAT = "1\n"
#: Shortest seconds between two progress records; readers look about once a second.
_PROGRESS_INTERVAL = 1.0
_ACCURACIES = ("train_clean_accuracy", "train_robust_accuracy", "test_clean_accuracy", "test_robust_accuracy", "holdout_robust_accuracy")


def start_run(
    name: str,
    classes: Sequence[str],
    *,
    id: str | None = None,
    epochs: int = 0,
    data: str | None = None,
    attack: PGD | None = None,
    settings: Mapping[str, str | float | bool] | None = None,
    train_samples: int = 0,
    test_samples: int = 0,
    data_dir: str | Path | None = None,
) -> Recorder:
    """Begin a run whose training loop is your own. A CrossLens server on ``data_dir`` shows it live.

    ``epochs`` is how many will be trained, 0 if that is open. ``data`` is the name of a data set that CrossLens knows, such
    as ``cifar10``; ``attack`` the one that robust accuracy is measured with; ``settings`` what else is to be shown and
    compared, such as ``{"optimizer": "SGD", "weight_decay": 5e-4}``.

    With an ``id`` of [a-z0-9-], a run that has not finished goes on: :attr:`Recorder.epoch` is the last epoch that it
    has recorded. Without one, each call begins a new run.

    ``data_dir`` is that of the server: ``CROSSLENS_DATA_DIR`` by default, else that of ``crosslens serve``.

    >>> run = crosslens.start_run("My recipe", test_set.classes, epochs=100)
    >>> for epoch in range(run.epoch + 1, 101):
    ...     loss = train(network)
    ...     found = run.attribution(epoch, network, test_loader)
    ...     run.log(epoch, train_loss=loss, test_clean_accuracy=found.clean_accuracy, test_robust_accuracy=found.robust_accuracy)
    >>> run.finish()
    """
    config: dict[str, Any] = {"kind": "external", "name": name, "classes": list(classes), "epochs": epochs}
    if data is not None:
        config["data"] = {"dataset": data}
    if attack is not None:
        config["attack"] = attack.to_json()
    if settings:
        config["settings"] = dict(settings)
    _check(config, id)
    root = Path(data_dir or os.environ.get("CROSSLENS_DATA_DIR") or installation.data_dir()) / "runs"
    directory = root / (id or _new_id(name))
    directory.mkdir(parents=True, exist_ok=True)
    held = lease.take(directory, lambda holder: print(f"waiting for another process to end: {holder}", file=sys.stderr))
    try:
        return Recorder(directory, config, held, train_samples, test_samples)
    except BaseException:
        held.release()
        raise


class Recorder:
    """A run that this process writes. Made by :func:`start_run`; as a context manager it finishes at the end of its block."""

    def __init__(self, directory: Path, config: dict[str, Any], held: lease.Held, train_samples: int, test_samples: int) -> None:
        self._directory = directory
        self._held = held
        self._classes: list[str] = config["classes"]
        known = directory / "config.json"
        records = _records(directory / "metrics.jsonl") if known.exists() else []
        if known.exists():
            before = json.loads(known.read_text())
            if before.get("kind") != "external" or before.get("classes") != self._classes:
                raise CrossLensError(f"{directory} holds another run: give this one another id")
            if any(record["type"] == "finished" for record in records):
                raise CrossLensError(f"the run in {directory} has finished: give this one another id")
        for folder in ("checkpoints", "attributions"):
            (directory / folder).mkdir(exist_ok=True)
        write_whole(directory / "format", _FORMAT.encode())
        # Last: a server takes in a directory once its configuration is there.
        self._epochs = {record["epoch"]: record for record in records if record["type"] == "epoch"}
        self._elapsed_before = max((record["elapsed_secs"] for record in self._epochs.values()), default=0.0)
        self._begun = self._epoch_begun = time.monotonic()
        self._last_progress = -math.inf
        self._file = (directory / "metrics.jsonl").open("ab")
        if self._file.tell() and not (directory / "metrics.jsonl").read_bytes().endswith(b"\n"):
            # A killed process may have left an incomplete line. The line break keeps it apart from the next record.
            self._write(b"\n")
        self._started = {
            "type": "started",
            "device": "cpu",
            "device_name": f"{torch.get_num_threads()} threads",
            "libtorch": torch.__version__,
            "engine": f"Python {metadata.version('crosslens')}",
            "parameters": 0,
            "feature_dim": 0,
            "class_names": self._classes,
            "train_samples": train_samples,
            "test_samples": test_samples,
            "holdout_samples": 0,
            "noisy_labels": 0,
            "epochs": config["epochs"],
        }
        self._append(self._started)
        (directory / "stop").unlink(missing_ok=True)
        if records:
            message = f"The run continues after epoch {self.epoch}, the last one recorded before it was stopped."
            self._append({"type": "notice", "kind": "resumed", "epoch": self.epoch, "message": message})
        write_whole(known, json.dumps(config, indent=2, ensure_ascii=False).encode() + b"\n")
        atexit.register(self.close)

    @property
    def id(self) -> str:
        """Name of the run in links and files."""
        return self._directory.name

    @property
    def directory(self) -> Path:
        """The run directory."""
        return self._directory

    @property
    def epoch(self) -> int:
        """The last recorded epoch; 0 before the first."""
        return max(self._epochs, default=0)

    @property
    def stopping(self) -> bool:
        """Whether somebody has canceled the run on its page. Save what you need, and end the loop without :meth:`finish`."""
        return (self._directory / "stop").exists()

    def log(
        self,
        epoch: int,
        *,
        learning_rate: float = 0.0,
        train_loss: float | None = None,
        train_clean_accuracy: float | None = None,
        train_robust_accuracy: float | None = None,
        test_clean_accuracy: float | None = None,
        test_robust_accuracy: float | None = None,
        test_loss: float | None = None,
        holdout_robust_accuracy: float | None = None,
        broken_gradients: BrokenGradients | None = None,
        holdout_broken_gradients: BrokenGradients | None = None,
    ) -> None:
        """Record an epoch, counted from 1. Accuracies are fractions.

        The best epoch is the one with the highest robust accuracy, on held-out images if there are any, else on the test
        set. ``broken_gradients`` are those that :func:`measure` found with the robust accuracy: the page of the run then
        says what they mean. A later record of an epoch replaces an earlier one.
        """
        now = time.monotonic()
        record: dict[str, Any] = {
            "type": "epoch",
            "epoch": _epoch(epoch),
            "learning_rate": _number(learning_rate) or 0.0,
            "train_loss": _number(train_loss),
            "train_clean_accuracy": train_clean_accuracy,
            "train_robust_accuracy": train_robust_accuracy,
            "test_clean_accuracy": test_clean_accuracy,
            "test_robust_accuracy": test_robust_accuracy,
            "test_loss": _number(test_loss),
            "holdout_robust_accuracy": holdout_robust_accuracy,
        }
        for name, broken in (("broken_gradients", broken_gradients), ("holdout_broken_gradients", holdout_broken_gradients)):
            if broken is not None:
                record[name] = broken.to_json()
        record |= {"seconds": now - self._epoch_begun, "elapsed_secs": self._elapsed()}
        for name in _ACCURACIES:
            if record[name] is not None:
                record[name] = float(record[name])
                if not 0 <= record[name] <= 1:
                    raise ValueError(f"{name} is {record[name]:g}; accuracies are fractions, 0 to 1")
        self._epoch_begun = now
        self._append(record)
        self._epochs[epoch] = record

    def progress(self, epoch: int, step: int, steps: int) -> None:
        """Record that ``step`` of the ``steps`` of an epoch are done. May be called at every step."""
        now = time.monotonic()
        if now - self._last_progress >= _PROGRESS_INTERVAL:
            self._last_progress = now
            place = {"epoch": _epoch(epoch), "step": step, "steps": steps}
            self._append({"type": "progress", "phase": "training", **place, "elapsed_secs": self._elapsed()})

    def attribution(
        self,
        epoch: int,
        model: nn.Module,
        loader: Iterable[Any],
        *,
        attack: PGD | None = PGD(),  # noqa: B008 — it is frozen
        checkpoint: bool = True,
        bootstrap: int = 200,
        features: str | None = None,
        head: str | nn.Linear | None = None,
        seed: int = 0,
        batch_size: int = 250,
    ) -> Measurement:
        """Measure the network after an epoch with :func:`measure`, and record its matrices.

        With ``checkpoint``, its weights are kept as well, in ``checkpoints/eN.safetensors``.
        """
        sha256 = self.checkpoint(epoch, model) if checkpoint else ""
        found = measure(
            model,
            loader,
            features=features,
            head=head,
            attack=attack,
            classes=self._classes,
            bootstrap=bootstrap,
            seed=seed,
            batch_size=batch_size,
        )
        self._describe(model, found.clean)
        for attribution in filter(None, (found.clean, found.adversarial)):
            file = f"attributions/e{_epoch(epoch)}.{attribution.inputs}.json"
            content = {"epoch": epoch, **attribution.to_json(), "checkpoint_sha256": sha256}
            write_whole(self._directory / file, _line(content))
            entry = {"epoch": epoch, "inputs": attribution.inputs, "file": file}
            self._append({"type": "attribution", **entry, "cas": attribution.cas, "cas_normalized": attribution.cas_normalized})
        return found

    def checkpoint(self, epoch: int, model: nn.Module) -> str:
        """Keep the weights after an epoch. Returns the SHA-256 of the file."""
        file = f"checkpoints/e{_epoch(epoch)}.safetensors"
        size, sha256 = safetensors.save(self._directory / file, model.state_dict())
        self._append({"type": "checkpoint", "epoch": epoch, "file": file, "size_bytes": size, "sha256": sha256})
        return sha256

    def finish(self) -> None:
        """Record that the run is done. It can no longer go on."""
        last = self.epoch
        best = last
        highest = -math.inf
        for epoch, record in sorted(self._epochs.items()):
            accuracy = record["holdout_robust_accuracy"]
            accuracy = record["test_robust_accuracy"] if accuracy is None else accuracy
            if accuracy is not None and accuracy > highest:
                best, highest = epoch, accuracy
        self._append({"type": "finished", "best_epoch": best, "last_epoch": last, "elapsed_secs": self._elapsed()})
        self.close()

    def close(self) -> None:
        """Stop writing without saying that the run is done: :func:`start_run` with its id goes on with it."""
        if not self._file.closed:
            self._file.close()
            self._held.release()
            atexit.unregister(self.close)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._file.closed:
            return
        if kind is None and not self.stopping:
            self.finish()
        else:
            self.close()

    def _describe(self, model: nn.Module, attribution: Attribution) -> None:
        """Record what the first network that is measured tells about the run."""
        parameter = next(model.parameters())
        device = parameter.device
        cuda = device.type == "cuda"
        known = {
            "device": f"cuda:{device.index or 0}" if cuda else device.type,
            "device_name": torch.cuda.get_device_name(device) if cuda else self._started["device_name"],
            "parameters": sum(weights.numel() for weights in model.parameters() if weights.requires_grad),
            "feature_dim": attribution.feature_dim,
            "test_samples": self._started["test_samples"] or int(attribution.confusion.sum()),
        }
        if any(self._started[name] != value for name, value in known.items()):
            self._started |= known
            self._append(self._started)

    def _append(self, record: Mapping[str, Any]) -> None:
        if self._held.lost.is_set():
            raise lease.RunBusy(f"another process has taken over {self._directory}; this one had stood still")
        if self._file.closed:
            raise CrossLensError(f"the run in {self._directory} is closed")
        # A single write, so that a reader rarely sees half a line.
        self._write(_line(record))

    def _write(self, line: bytes) -> None:
        self._file.write(line)
        self._file.flush()

    def _elapsed(self) -> float:
        return self._elapsed_before + time.monotonic() - self._begun


def _line(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _records(path: Path) -> list[dict[str, Any]]:
    """Read the records of a run. Skips lines that cannot be read, as the last may be incomplete; an epoch that was taken
    back by going on earlier is not among them."""
    records: list[dict[str, Any]] = []
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and "type" in record:
            records.append(record)
    return records


def _number(value: float | None) -> float | None:
    """A value as JSON can hold it: where training has broken down, losses are not finite."""
    return None if value is None or not math.isfinite(value) else float(value)


def _epoch(epoch: int) -> int:
    if epoch < 1:
        raise ValueError(f"epoch {epoch} is out of range; epochs are counted from 1")
    return int(epoch)


def _check(config: Mapping[str, Any], id: str | None) -> None:
    if len(config["name"]) > 80:
        raise ValueError(f"name has {len(config['name'])} characters; at most 80")
    if len(config["classes"]) < 2:
        raise ValueError(f"{len(config['classes'])} classes are given; a matrix is over 2 or more")
    if config["epochs"] < 0:
        raise ValueError(f"epochs is {config['epochs']}; 0 or more")
    if id is not None and not re.fullmatch(r"[a-z0-9-]{1,64}", id):
        raise ValueError(f"`{id}` is not a name of [a-z0-9-], at most 64 long")
    data = config.get("data")
    if data is not None and data["dataset"] not in DATASETS:
        raise ValueError(f"`{data['dataset']}` is not a data set that CrossLens knows; known: {', '.join(DATASETS)}")
    for name, value in config.get("settings", {}).items():
        if not isinstance(value, str | bool | int | float) or (isinstance(value, float) and not math.isfinite(value)):
            raise ValueError(f"the setting `{name}` is {value!r}; it must be a text, a finite number, true or false")


def _new_id(name: str) -> str:
    words = "-".join(re.findall(r"[a-z0-9]+", name.lower()))[:40].strip("-")
    return f"{words or 'run'}-{secrets.token_hex(2)}"
