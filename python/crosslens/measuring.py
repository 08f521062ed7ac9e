"""Measures any PyTorch network: accuracies, the matrix C, CAS and their intervals, equal to the worker's numbers."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from . import attribution, draws, signs
from .attack import PGD
from .attribution import Aggregation, Bootstrap, Matrix, Samples, Subset
from .network import Reader, evaluating
from .signs import BrokenEvaluationWarning, BrokenGradients, Sign

Inputs = Literal["clean", "adversarial"]


class NotFiniteError(ArithmeticError):
    """A network gave logits that are not finite."""


@dataclass(frozen=True)
class Attribution:
    """The class-wise attribution matrix on one kind of inputs, with the accuracies on them."""

    inputs: Inputs
    #: The attack that made the inputs; ``None`` for clean ones.
    attack: PGD | None
    classes: tuple[str, ...]
    #: C, ``[K, K]``.
    matrix: Matrix
    #: Class attribution similarity: the sum of the positive cells of C off its diagonal.
    cas: float
    #: CAS / K(K−1).
    cas_normalized: float
    #: Intervals of CAS and of the cells; ``None`` if none were asked for.
    bootstrap: Bootstrap | None
    #: Images whose first gradient under the attack cannot lead it; ``None`` if there are none.
    broken_gradients: BrokenGradients | None
    #: Fraction of all images that were classified correctly.
    accuracy: float
    #: The same for each class, ``[K]``.
    class_accuracy: NDArray[np.float64]
    #: Number of images of class i predicted as class j, ``[K, K]``.
    confusion: NDArray[np.int64]
    #: Mean cross-entropy.
    loss: float
    #: Number of samples averaged for each class, ``[K]``.
    class_counts: NDArray[np.int64]
    #: ℓ2 norm of each class attribution, ``[K]``.
    norms: NDArray[np.float64]
    #: Cosines of the rows of W, ``[K, K]``: a control.
    weight_matrix: Matrix
    #: Length of a feature vector.
    feature_dim: int
    aggregation: Aggregation
    subset: Subset
    #: Duration of the measurement.
    seconds: float

    @property
    def signs(self) -> list[Sign]:
        """Signs that the accuracy is broken, in words."""
        return signs.of_gradients(self.broken_gradients)

    def to_json(self) -> dict[str, Any]:
        """Return the content of a file in ``attributions/``, without the epoch and the hash of the checkpoint."""
        content: dict[str, Any] = {
            "inputs": self.inputs,
            "attack": None if self.attack is None else self.attack.to_json(),
            "class_names": list(self.classes),
            "class_counts": self.class_counts.tolist(),
            "split": "test",
            "aggregation": self.aggregation,
            "subset": self.subset,
            "layer": "penultimate",
            "matrix": self.matrix.tolist(),
            "norms": self.norms.tolist(),
            "cas": self.cas,
            "cas_normalized": self.cas_normalized,
            "class_accuracy": self.class_accuracy.tolist(),
            "accuracy": self.accuracy,
            "confusion": self.confusion.tolist(),
            "weight_matrix": self.weight_matrix.tolist(),
            "feature_dim": self.feature_dim,
            "seconds": self.seconds,
        }
        if self.bootstrap is not None:
            content["bootstrap"] = self.bootstrap.to_json()
        if self.broken_gradients is not None:
            content["broken_gradients"] = self.broken_gradients.to_json()
        return content


@dataclass(frozen=True)
class Measurement:
    """What :func:`measure` found on clean and, with an attack, on adversarial inputs."""

    clean: Attribution
    adversarial: Attribution | None

    @property
    def clean_accuracy(self) -> float:
        """Accuracy on clean images."""
        return self.clean.accuracy

    @property
    def robust_accuracy(self) -> float | None:
        """Accuracy under the attack; ``None`` without one."""
        return None if self.adversarial is None else self.adversarial.accuracy

    @property
    def signs(self) -> list[Sign]:
        """Signs that :attr:`robust_accuracy` is broken, in words; empty if there are none."""
        return [] if self.adversarial is None else self.adversarial.signs

    @property
    def main(self) -> Attribution:
        """The attribution under the attack, as in the paper; without one that on clean inputs."""
        return self.adversarial or self.clean

    @property
    def matrix(self) -> Matrix:
        """C of :attr:`main`."""
        return self.main.matrix

    @property
    def cas(self) -> float:
        """CAS of :attr:`main`."""
        return self.main.cas


def measure(
    model: nn.Module,
    loader: Iterable[Any],
    *,
    features: str | None = None,
    head: str | nn.Linear | None = None,
    attack: PGD | None = PGD(),  # noqa: B008 — it is frozen
    classes: Sequence[str] | None = None,
    bootstrap: int = 0,
    aggregation: Aggregation = "average_then_cosine",
    subset: Subset = "all",
    seed: int = 0,
    batch_size: int = 250,
) -> Measurement:
    """Measure the class-wise attributions of ``model`` on the images of ``loader``.

    ``model`` maps images in [0, 1] to logits ``[N, K]``: normalization is part of it. It is measured in evaluation mode,
    on the device of its parameters, and left as it was. ``loader`` gives pairs of images ``[B, …]`` and labels ``[B]``;
    all its images are held in memory.

    The penultimate features are what the ``head``, the linear layer that gives the logits, is given. Name a module in
    ``features`` to take its output instead. ``attack=None`` measures clean inputs only. ``bootstrap`` is the number of
    resamples for intervals. ``seed`` is that of random starts and resamples; with equal seeds the worker draws the same.
    The batch size changes results only by rounding.

    Where the first gradient of the attack is zero everywhere or not finite on some images, robust accuracy may be lower
    than measured: a :class:`BrokenEvaluationWarning` says so, as do ``signs`` of what is returned.

    >>> found = crosslens.measure(network, test_loader, attack=crosslens.PGD(eps="8/255"), bootstrap=200)
    >>> found.cas, found.robust_accuracy
    """
    images, labels = _collect(loader)
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    with evaluating(model):
        reader = Reader(model, images[:1].to(device), features, head)
        number = reader.head.out_features
        names = _names(classes, labels, number)

        def measured(inputs: Inputs, attack: PGD | None) -> Attribution:
            begun = time.monotonic()
            samples, loss, broken_gradients = _samples(reader, images, labels, attack, seed, batch_size, device)
            matrix, vectors, counts = samples.attribute(aggregation, subset)
            intervals = samples.bootstrap(aggregation, subset, bootstrap, seed)
            pairs = samples.labels * number + samples.predictions
            confusion = torch.bincount(pairs, minlength=number * number).reshape(number, number).cpu().numpy()
            right = confusion.diagonal()
            cas = attribution.cas(matrix)
            return Attribution(
                inputs=inputs,
                attack=attack,
                classes=names,
                matrix=matrix,
                cas=cas,
                cas_normalized=cas / max(1, number * (number - 1)),
                bootstrap=intervals,
                broken_gradients=broken_gradients,
                accuracy=float(right.sum() / confusion.sum()),
                class_accuracy=right / np.maximum(1, confusion.sum(1)),
                confusion=confusion,
                loss=loss,
                class_counts=counts,
                norms=np.linalg.norm(vectors, axis=1),
                weight_matrix=samples.weight_matrix(),
                feature_dim=reader.head.in_features,
                aggregation=aggregation,
                subset=subset,
                seconds=time.monotonic() - begun,
            )

        found = Measurement(measured("clean", None), None if attack is None else measured("adversarial", attack))
    for sign in found.signs:
        warnings.warn(sign.message, BrokenEvaluationWarning, stacklevel=2)
    return found


def _samples(
    reader: Reader, images: Tensor, labels: Tensor, attack: PGD | None, seed: int, batch_size: int, device: torch.device
) -> tuple[Samples, float, BrokenGradients | None]:
    """Run all images, attacked if there is an attack. Returns the samples, the mean cross-entropy and the broken gradients."""
    # For all images at once, so that the batch size does not change the starts.
    drawn = draws.generator(device, seed, draws.Purpose.EVALUATION)
    starts = None if attack is None else attack.start(images.to(device), drawn)
    features, predictions, loss = [], [], 0.0
    broken: list[Tensor] = []
    for first in range(0, len(images), batch_size):
        batch = images[first : first + batch_size].to(device)
        of = labels[first : first + batch_size].to(device)
        if attack is not None and starts is not None:
            start = starts[first : first + batch_size]
            batch = attack.perturb(reader.logits, batch, of, start, lambda gradient: broken.append(signs.find_broken(gradient)))
        given, logits = reader.read(batch)
        if not logits.isfinite().all():
            raise NotFiniteError(f"the network gives logits that are not finite for images {first} to {first + len(batch) - 1}")
        loss += float(nn.functional.cross_entropy(logits.double(), of, reduction="sum"))
        predictions.append(logits.argmax(1))
        features.append(given)
    samples = Samples(torch.cat(features), labels.to(device), torch.cat(predictions), reader.weight)
    return samples, loss / len(images), signs.count_broken(broken)


def _collect(loader: Iterable[Any]) -> tuple[Tensor, Tensor]:
    images, labels = [], []
    for batch in loader:
        try:
            image, label = batch
        except (TypeError, ValueError):
            raise ValueError("the loader must give pairs of images and labels") from None
        images.append(torch.as_tensor(image).detach())
        labels.append(torch.as_tensor(label).detach().long().flatten())
    if not images:
        raise ValueError("the loader gives no images")
    pixels, classes = torch.cat(images), torch.cat(labels)
    if not pixels.is_floating_point():
        raise ValueError(f"images are {pixels.dtype}; attacks need floating-point pixels in [0, 1]")
    if len(pixels) != len(classes):
        raise ValueError(f"the loader gives {len(pixels)} images and {len(classes)} labels")
    low, high = float(pixels.min()), float(pixels.max())
    if low < 0 or high > 1:
        raise ValueError(f"pixels range from {low:g} to {high:g}; give images in [0, 1] and make normalization part of the network")
    return pixels, classes


def _names(classes: Sequence[str] | None, labels: Tensor, number: int) -> tuple[str, ...]:
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= number:
        raise ValueError(f"labels range from {low} to {high}; the network has {number} classes, 0 to {number - 1}")
    if classes is None:
        return tuple(str(index) for index in range(number))
    if len(classes) != number:
        raise ValueError(f"{len(classes)} class names are given; the network has {number} classes")
    return tuple(classes)
