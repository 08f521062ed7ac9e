"""Signs that a robust accuracy is broken, counted and in the words of the worker (``shared/src/signs.rs``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import torch
from torch import Tensor


class BrokenEvaluationWarning(UserWarning):
    """A robust accuracy may be lower than measured."""


@dataclass(frozen=True)
class BrokenGradients:
    """Images whose first gradient cannot lead an attack: that of the loss by the image, where the attack starts."""

    #: Number of images attacked.
    images: int
    #: Number of these whose gradient is zero everywhere.
    zero: int
    #: Number of these whose gradient has an entry that is infinite or not a number.
    not_finite: int

    def to_json(self) -> dict[str, int]:
        """Return what records and files of runs have in ``broken_gradients``."""
        return asdict(self)


@dataclass(frozen=True)
class Sign:
    """A sign that a measurement of robustness is broken."""

    #: What it is a sign of.
    kind: Literal["zero_gradients", "not_finite_gradients"]
    #: What was seen, what it means and what to do, in sentences.
    message: str


def find_broken(gradient: Tensor) -> Tensor:
    """Tell which images, ``[N, …]``, have a gradient that is zero everywhere, and which one that is not finite: ``[2, N]``."""
    # Not a number is larger than any number.
    largest = gradient.abs().flatten(1).amax(1)
    return torch.stack([largest == 0, ~largest.isfinite()])


def count_broken(found: Sequence[Tensor]) -> BrokenGradients | None:
    """Count the images of all batches of :func:`find_broken`; ``None`` if no gradient is broken, or nothing was attacked."""
    if not found:
        return None
    images = torch.cat(list(found), 1)
    zero, not_finite = images.sum(1).tolist()
    return BrokenGradients(images.shape[1], zero, not_finite) if zero + not_finite else None


def of_gradients(broken: BrokenGradients | None) -> list[Sign]:
    """Say what the first gradients of an attack tell."""
    if broken is None:
        return []
    signs = []
    if broken.zero:
        message = (
            f"On {_share(broken.zero, broken.images)}, the gradient of the loss is zero everywhere, so PGD stays where it starts and "
            "these images were hardly attacked. Robust accuracy may be lower than measured. A softmax that saturates, units that pass "
            "no gradient or a step that has none do this (Athalye et al. 2018; Carlini et al. 2019). Attack with a loss that does not "
            "saturate (targeted APGD-DLR) and without gradients (Square): both are in AutoAttack."
        )
        signs.append(Sign("zero_gradients", message))
    if broken.not_finite:
        message = (
            f"On {_share(broken.not_finite, broken.images)}, the gradient of the loss has entries that are infinite or not a number, and "
            "a step along it leads nowhere. Robust accuracy may be lower than measured. Numbers overflow in the network or its loss "
            "(Carlini et al. 2019). Measure in float32, look for roots, logarithms and divisions at 0, and hold the result against "
            "Square, which needs no gradients."
        )
        signs.append(Sign("not_finite_gradients", message))
    return signs


def _share(count: int, images: int) -> str:
    return f"{_grouped(count)} of {_grouped(images)} attacked images ({count / images:.1%})".replace("%", " %")


def _grouped(count: int) -> str:
    """Separate groups of three digits by thin spaces."""
    return f"{count:,}".replace(",", "\u2009")
