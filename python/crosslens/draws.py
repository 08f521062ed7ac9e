"""Reproducible random numbers: the same draws as those of the worker, from the same seeds.

Each draw has its own seed, made from the seed of the run and the purpose of the draw (``engine/src/random.rs``).
"""

from __future__ import annotations

from enum import IntEnum

import torch

_MASK = (1 << 64) - 1


class Purpose(IntEnum):
    """What a draw is used for; the numbers are those of the worker."""

    EVALUATION = 8
    BOOTSTRAP = 11


def generator(device: torch.device, run: int, purpose: Purpose, epoch: int = 0, step: int = 0) -> torch.Generator:
    """Return a generator in the state from which the worker makes this draw."""
    if not 0 <= run < 1 << 32:
        raise ValueError(f"the seed {run} is out of range; 0 to {(1 << 32) - 1}")
    name = _mix(run << 8 | purpose)
    return torch.Generator(device).manual_seed(_mix(name ^ (epoch << 32 | step)))


def _mix(value: int) -> int:
    """Hash with the splitmix64 finalizer."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)
