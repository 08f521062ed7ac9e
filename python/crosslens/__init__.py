"""CrossLens: class-wise feature attribution of adversarially trained networks.

- :func:`measure`: the matrix C, CAS and accuracies of any PyTorch network.
- :func:`export`: any PyTorch network as a program that a worker imports, evaluates and measures.
- :func:`start_run`: a training loop of your own as a run that a server shows live.
- :func:`connect`: runs, metrics and matrices of a CrossLens server.

The command ``crosslens`` starts the server and the worker that come with this package.
"""

from __future__ import annotations

import importlib
from importlib import metadata
from typing import TYPE_CHECKING, Any

from .problems import CrossLensError, Problem, RunFailed

if TYPE_CHECKING:
    from .attack import PGD
    from .client import Client, Run, connect
    from .exporting import export
    from .measuring import Attribution, Measurement, measure
    from .recording import Recorder, start_run
    from .signs import BrokenEvaluationWarning, BrokenGradients, Sign

__all__ = [
    "PGD",
    "Attribution",
    "BrokenEvaluationWarning",
    "BrokenGradients",
    "Client",
    "CrossLensError",
    "Measurement",
    "Problem",
    "Recorder",
    "Run",
    "RunFailed",
    "Sign",
    "connect",
    "export",
    "measure",
    "start_run",
]

__version__ = metadata.version("crosslens")

# Loaded when they are asked for: torch takes seconds to import, and the command line does without numpy too.
_MODULES = {
    "PGD": "attack",
    "Attribution": "measuring",
    "BrokenEvaluationWarning": "signs",
    "BrokenGradients": "signs",
    "Client": "client",
    "Measurement": "measuring",
    "Recorder": "recording",
    "Sign": "signs",
    "Run": "client",
    "connect": "client",
    "export": "exporting",
    "measure": "measuring",
    "start_run": "recording",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)
