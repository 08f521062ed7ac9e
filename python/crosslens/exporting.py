"""Writes any PyTorch network as a program that the worker runs: TorchScript with features, logits and head."""

# Annotations are read by TorchScript, so they are not postponed here.
import os
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.jit import ScriptModule
from torch.jit._trace import TracerWarning

from .network import Reader, evaluating

#: Of two passes over the same images that add in another order, relative to the largest value.
_ROUNDING = 1e-4


class ExportError(ValueError):
    """A network that cannot be written as a program."""


class _Traced(nn.Module):
    """What is traced: features and logits of a network."""

    def __init__(self, reader: Reader) -> None:
        super().__init__()
        self.model = reader.model
        self._reader = [reader]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self._reader[0].pass_on(images)


class _Program(nn.Module):
    """What is written: the traced network, and the weight of its head."""

    weight: Tensor

    def __init__(self, network: ScriptModule, weight: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("weight", weight)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features, logits = self.network(images)
        return features, logits

    @torch.jit.export
    def head_weight(self) -> Tensor:
        return self.weight


def export(
    model: nn.Module,
    file: str | os.PathLike[str],
    images: Tensor,
    *,
    features: str | None = None,
    head: str | nn.Linear | None = None,
) -> Path:
    """Write a network as a program, a TorchScript file that a CrossLens worker imports, evaluates and measures.

    ``model`` takes pixels in [0, 1], ``[N, C, H, W]``, normalizes them itself and returns logits. ``images``: a few of
    them, two or more, that differ; the network is traced on the first and checked on all. ``features`` and ``head``
    name the penultimate features and the linear layer as in :func:`measure`; both are found where they are not named.

    The server runs a program only if it was started with ``--allow-programs``.
    """
    if images.dim() != 4 or len(images) < 2:
        raise ExportError(f"images have the shape {list(images.shape)}; two or more of the shape [C, H, W] are needed")
    path = Path(file)
    with evaluating(model), warnings.catch_warnings():
        # libtorch 2.11 runs TorchScript, and its Python part advises against it.
        warnings.simplefilter("ignore", DeprecationWarning)
        # What the trace makes of other images is checked below.
        warnings.simplefilter("ignore", TracerWarning)
        reader = Reader(model, images, features, head)
        wanted = reader.read(images)
        for what, values in zip(("features", "logits"), wanted, strict=True):
            if values.dtype != torch.float32:
                raise ExportError(f"the {what} are {values.dtype}; the worker computes in torch.float32: use `model.float()`")
        traced = torch.jit.trace(_Traced(reader).eval(), images[:1], check_trace=False)  # type: ignore[no-untyped-call]
        for what, found, expected in zip(("features", "logits"), traced(images), wanted, strict=True):
            if found.shape != expected.shape or (found - expected).abs().max() > _ROUNDING * expected.abs().max().clamp_min(1.0):
                raise ExportError(
                    f"the traced network gives other {what} for {len(images)} images than the network itself: its forward pass "
                    "depends on the number or the values of the images"
                )
        program = torch.jit.script(_Program(traced, reader.weight).eval())
        beside = path.with_name(f"{path.name}.part")
        program.save(str(beside))  # type: ignore[no-untyped-call]
    beside.replace(path)
    return path
