"""Class-wise feature attribution: Wei, Guo, Wang 2025, arXiv 2506.05032.

For a classifier f(x) = W g(x) + b, the attribution of a sample x of class i is g(x) ⊙ W[i]. The attribution of the
class is the mean over all its samples. The matrix C holds the cosines of all pairs of classes; CAS is the sum of its
positive cells off the diagonal. Averages are taken in float64, by the same operations as in ``engine/src/attribution.rs``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from . import draws

#: ``average_features`` leaves W out: the cosines of the class means of g(x).
Aggregation = Literal["average_then_cosine", "cosine_then_average", "average_features"]
Subset = Literal["all", "correct"]
Matrix = NDArray[np.float64]

#: Number of float64 values that a chunk of resamples may hold. Part of the draws, and therefore the worker's.
_CHUNK_NUMBERS = 1 << 22


@dataclass(frozen=True)
class Bootstrap:
    """95 % bootstrap intervals by Efron's percentile method: the images of each class are resampled with replacement."""

    resamples: int
    cas_low: float
    cas_high: float
    #: Ends of the interval of each cell of C, ``[K, K]``.
    low: Matrix
    high: Matrix

    def to_json(self) -> dict[str, Any]:
        """Return the intervals as attribution files hold them."""
        return {
            "resamples": self.resamples,
            "cas_low": self.cas_low,
            "cas_high": self.cas_high,
            "low": self.low.tolist(),
            "high": self.high.tolist(),
        }


def cas(matrix: Matrix) -> float:
    """Return the class attribution similarity: the sum of the positive cells off the diagonal, in [0, K(K−1)]."""
    return float(np.clip(matrix[~np.eye(len(matrix), dtype=bool)], 0.0, None).sum())


@dataclass(frozen=True)
class Samples:
    """Everything that attributions are computed from."""

    #: g(x), ``[N, n]``.
    features: Tensor
    #: True class of each image, ``[N]``.
    labels: Tensor
    #: Class with the largest logit, ``[N]``.
    predictions: Tensor
    #: W, ``[K, n]``.
    weight: Tensor

    def attribute(self, aggregation: Aggregation, subset: Subset) -> tuple[Matrix, Matrix, NDArray[np.int64]]:
        """Return C, ``[K, K]``, the class attributions, ``[K, n]``, and how many samples of each class were averaged."""
        classes = _ClassSamples(self, subset)

        def once(count: int) -> Tensor:
            return torch.ones(1, count, dtype=torch.float64, device=classes.device)

        averages = classes.resample("average_then_cosine", once)
        chosen = averages if aggregation == "average_then_cosine" else classes.resample(aggregation, once)
        counts = np.asarray(classes.counts, dtype=np.int64)
        return _numpy(chosen.cosines()[0]), _numpy(averages.means[0]), counts

    def weight_matrix(self) -> Matrix:
        """Return the cosines of the rows of W: a control that does not depend on images."""
        rows = _directions(self.weight.double())
        return _numpy((rows @ rows.T).clamp(-1.0, 1.0).fill_diagonal_(1.0))

    def bootstrap(self, aggregation: Aggregation, subset: Subset, resamples: int, seed: int) -> Bootstrap | None:
        """Resample the samples of each class. ``None`` without resamples."""
        if resamples == 0:
            return None
        classes = _ClassSamples(self, subset)
        cells, sums = [], []
        size = classes.chunk
        for chunk, done in enumerate(range(0, resamples, size)):
            count = min(size, resamples - done)
            generator = draws.generator(classes.device, seed, draws.Purpose.BOOTSTRAP, step=chunk)

            def drawn(samples: int, count: int = count, generator: torch.Generator = generator) -> Tensor:
                return _draw_counts(count, samples, generator)

            cosines = classes.resample(aggregation, drawn).cosines()
            positive = cosines.clamp_min(0.0)
            sums.append(_numpy(positive.sum((1, 2)) - positive.diagonal(dim1=1, dim2=2).sum(1)))
            cells.append(_numpy(cosines))
        low, high = np.percentile(np.concatenate(cells), [2.5, 97.5], axis=0)
        cas_low, cas_high = np.percentile(np.concatenate(sums), [2.5, 97.5])
        return Bootstrap(resamples, float(cas_low), float(cas_high), low, high)


class _ClassSamples:
    """The samples of a subset, sorted by class."""

    def __init__(self, samples: Samples, subset: Subset) -> None:
        labels = samples.labels
        chosen = torch.arange(len(labels), device=labels.device)
        if subset == "correct":
            chosen = chosen[samples.predictions == labels]
        order = chosen[torch.argsort(labels[chosen], stable=True)]
        self.features = samples.features[order]
        self.counts: list[int] = torch.bincount(labels[chosen], minlength=len(samples.weight)).tolist()
        self.weight = samples.weight.double()
        self.device = self.weight.device

    @property
    def chunk(self) -> int:
        """How many resamples fit into memory at once."""
        return max(1, _CHUNK_NUMBERS // max(1, *self.counts, self.weight.numel()))

    def resample(self, aggregation: Aggregation, multiplicities: Callable[[int], Tensor]) -> _Resampled:
        """Average each class. ``multiplicities(n)`` says how often each of n samples counts, ``[R, n]``."""
        means, own, squares = [], [], []
        first = 0
        for weight, samples in zip(self.weight, self.counts, strict=True):
            counted = multiplicities(samples)
            # Class by class: float64 copies of all features at once would take twice their memory.
            features = self.features[first : first + samples].double()
            first += samples
            if aggregation == "average_then_cosine":
                means.append(counted @ features * weight / max(1, samples))
                continue
            if aggregation == "average_features":
                means.append(counted @ features / max(1, samples))
                continue
            directions = _directions(features * weight)
            own.append(counted.square() @ directions.square().sum(1))
            squares.append(counted.square().sum(1))
            means.append(counted @ directions / max(1, samples))
        pairs = None
        if own:
            counts = torch.tensor(self.counts, dtype=torch.float64, device=self.device)
            pairs = (torch.stack(own, 1), torch.stack(squares, 1), counts)
        return _Resampled(torch.stack(means, 1), pairs)


@dataclass(frozen=True)
class _Resampled:
    """Averages of each class for R resamples."""

    #: Mean attribution of each class, mean of the attributions scaled to length 1, or mean features: ``[R, K, n]``.
    means: Tensor
    #: For the mean of cosines: Σ w² |u|² and Σ w² over the samples of each class, ``[R, K]``, and their number, ``[K]``.
    #: A sample counts w times; u is its attribution scaled to length 1.
    pairs: tuple[Tensor, Tensor, Tensor] | None

    def cosines(self) -> Tensor:
        """Return the matrix of each resample, ``[R, K, K]``."""
        if self.pairs is None:
            directions = _directions(self.means)
            cosines = (directions @ directions.transpose(1, 2)).clamp(-1.0, 1.0)
            cosines.diagonal(dim1=1, dim2=2).fill_(1.0)
            return cosines
        # The mean over all pairs is the product of the means. On the diagonal, the pairs of a sample with itself are
        # taken out.
        own, squares, counts = self.pairs
        cosines = self.means @ self.means.transpose(1, 2)
        diagonal = cosines.diagonal(dim1=1, dim2=2)
        counted = counts.square()
        others = counted - squares
        of_two = (diagonal * counted - own) / others.clamp_min(1.0)
        diagonal.copy_(torch.where(others > 0.5, of_two, torch.ones_like(of_two)))
        return cosines.clamp(-1.0, 1.0)


def _directions(vectors: Tensor) -> Tensor:
    """Scale vectors along the last dimension to length 1. A zero vector stays zero."""
    lengths = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return vectors * torch.where(lengths > 0, lengths.reciprocal(), torch.zeros_like(lengths))


def _draw_counts(count: int, samples: int, generator: torch.Generator) -> Tensor:
    """Draw ``samples`` samples with replacement, ``count`` times. Returns how often each was drawn."""
    drawn = torch.randint(max(1, samples), (count, samples), generator=generator, device=generator.device)
    counts = torch.zeros(count, samples, dtype=torch.float64, device=generator.device)
    return counts.scatter_add_(1, drawn, torch.ones_like(counts))


def _numpy(tensor: Tensor) -> Matrix:
    return np.asarray(tensor.cpu().numpy(), dtype=np.float64)
