"""Projected gradient descent on images (Madry et al. 2018, arXiv 1706.06083), step for step as in the worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from . import sizes
from .sizes import Norm

#: Of an image without a gradient, the step is zero as well.
_SMALLEST = 1e-30


@dataclass(frozen=True)
class PGD:
    """Settings of a PGD attack; by default the one that the paper measures with.

    ``eps`` and ``step_size`` are written as ``"8/255"``, ``8`` (of 255, in ℓ∞) or ``0.0314``, and kept as fractions.
    Without ``step_size``, a step is eps/4 in ℓ∞ and eps/8 in ℓ2.
    """

    norm: Norm = "linf"
    eps: float | str = "8/255"
    step_size: float | str | None = None
    steps: int = 20
    random_start: bool = True

    def __post_init__(self) -> None:
        if self.norm not in ("linf", "l2"):
            raise ValueError(f"`{self.norm}` is not a norm; known: `linf`, `l2`")
        if self.steps < 1:
            raise ValueError(f"{self.steps} is out of range; an attack has 1 or more steps")
        eps = sizes.read(self.eps, self.norm)
        if eps == 0:
            raise ValueError("an attack has an eps above 0")
        paper = eps / (4 if self.norm == "linf" else 8)
        object.__setattr__(self, "eps", eps)
        object.__setattr__(self, "step_size", paper if self.step_size is None else sizes.read(self.step_size, self.norm))

    def to_json(self) -> dict[str, Any]:
        """Return the settings as files of runs hold them."""
        return {
            "norm": self.norm,
            "eps": sizes.written(self._eps),
            "step_size": sizes.written(self._step_size),
            "steps": self.steps,
            "random_start": self.random_start,
        }

    @property
    def _eps(self) -> float:
        return float(self.eps)

    @property
    def _step_size(self) -> float:
        assert self.step_size is not None, "set when it was made"
        return float(self.step_size)

    def start(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Draw an offset for each image, ``[N, …]``: uniform in the ball of radius eps, or zero."""
        if not self.random_start:
            return torch.zeros_like(images)
        if self.norm == "linf":
            return torch.empty_like(images).uniform_(-self._eps, self._eps, generator=generator)
        normal = torch.randn(images.shape, generator=generator, dtype=images.dtype, device=images.device)
        uniform = torch.rand((len(images), *[1] * (images.dim() - 1)), generator=generator, dtype=images.dtype, device=images.device)
        # The volume within radius r grows as r^d, so this radius makes the draw uniform.
        radius = uniform.pow(1.0 / images[0].numel()) * self._eps
        return self._direction(normal) * radius

    def perturb(
        self,
        logits: Callable[[Tensor], Tensor],
        images: Tensor,
        labels: Tensor,
        start: Tensor,
        first_gradient: Callable[[Tensor], None] | None = None,
    ) -> Tensor:
        """Find images within eps of ``images`` that raise the cross-entropy of ``labels``.

        ``images``, in [0, 1], and ``start``: ``[N, …]``; ``labels``: ``[N]``. ``logits`` maps images to ``[N, K]``.
        ``first_gradient`` sees the gradient at the start.
        """
        adversarial = (images + start).clamp_(0.0, 1.0)
        for number in range(self.steps):
            adversarial = adversarial.detach().requires_grad_(True)
            with torch.enable_grad():
                # A sum: the gradient of an image then does not depend on the size of the batch.
                loss = torch.nn.functional.cross_entropy(logits(adversarial), labels, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, adversarial)
            if number == 0 and first_gradient is not None:
                first_gradient(gradient)
            moved = adversarial.detach() - images + self._direction(gradient) * self._step_size
            adversarial = (images + self._project(moved)).clamp_(0.0, 1.0)
        return adversarial.detach()

    def _direction(self, gradient: Tensor) -> Tensor:
        return gradient.sign() if self.norm == "linf" else gradient / _lengths(gradient).clamp_min(_SMALLEST)

    def _project(self, offset: Tensor) -> Tensor:
        if self.norm == "linf":
            return offset.clamp(-self._eps, self._eps)
        return offset * (_lengths(offset).clamp_min(self._eps).reciprocal() * self._eps)


def _lengths(images: Tensor) -> Tensor:
    """Return the ℓ2 norm of each image, ``[N, 1, …]``."""
    lengths: Tensor = torch.linalg.vector_norm(images, dim=tuple(range(1, images.dim())), keepdim=True)
    return lengths
