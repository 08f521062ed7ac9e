"""Perturbation sizes in the two usual notations, ``8/255`` and ``0.0314``, read as the server reads them."""

from __future__ import annotations

import math
from typing import Literal

Norm = Literal["linf", "l2"]


def read(size: float | str, norm: Norm) -> float:
    """Return a size as a fraction of the range of a pixel.

    ``"8/255"`` and numbers below 1 mean the same in every norm. A larger number means n/255 in ℓ∞ and a length in ℓ2;
    1 is ambiguous in ℓ∞ and raises ``ValueError``, as does what is not a size.
    """
    text = str(size).strip()
    numerator, slash, denominator = text.partition("/")
    try:
        value = float(numerator) / float(denominator) if slash else float(text)
    except (ValueError, ZeroDivisionError):
        value = math.nan
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"`{text}` is not a size; write `8/255`, `8` (of 255, in ℓ∞) or `0.0314`")
    if slash or value < 1 or norm == "l2":
        return value
    if value == 1:
        raise ValueError(f"`{text}` can be read as 1/255 and as the whole range of a pixel; write `1/255` or `255/255`")
    return value / 255


def written(size: float) -> str:
    """Return the form of a size in files: ``8/255``, or a decimal where the numerator would have many."""

    def whole(value: float) -> bool:
        return abs(value - round(value)) < 1e-6

    hundredths = size * 255 * 100
    if whole(hundredths) and not (size > 1 and whole(size * 1e4)):
        return f"{round(hundredths) / 100:.15g}/255"
    return repr(size)
