"""Finds the penultimate features of any network and the linear layer that reads them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn


class FeaturesError(ValueError):
    """The features or the head of a network were not found."""


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode, and each of its modules back into its own mode afterwards."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


class Reader:
    """Runs a network and keeps what its head reads: g(x), ``[N, n]``, and the logits, ``[N, K]``.

    ``head``: the linear layer whose output is the logits, or its name; by default the one whose output the network
    returns for ``images``. ``features``: name of the module whose flattened output is g(x); by default what the head
    is given.
    """

    def __init__(self, model: nn.Module, images: Tensor, features: str | None, head: str | nn.Linear | None) -> None:
        self.model = model
        self.source = None if features is None else _module(model, features, "features")
        if isinstance(head, str):
            named = _module(model, head, "head")
            if not isinstance(named, nn.Linear):
                raise FeaturesError(f"head `{head}` is a {type(named).__name__}; it must be the nn.Linear that gives the logits")
            head = named
        self.head = head if head is not None else _head(model, images)

    @property
    def weight(self) -> Tensor:
        """A copy of W, ``[K, n]``."""
        return self.head.weight.detach().clone()

    def logits(self, images: Tensor) -> Tensor:
        """Run the network, as an attack needs it."""
        return _logits(self.model, images)

    @torch.no_grad()
    def read(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return g(x) and the logits."""
        return self.pass_on(images)

    def pass_on(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return g(x) and the logits, with the gradients that are asked for."""
        seen: list[Tensor] = []
        if self.source is not None:
            hook = self.source.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
        else:
            hook = self.head.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
        with hook:
            logits = _logits(self.model, images)
        if len(seen) != 1:
            raise FeaturesError(f"the features are computed {len(seen)} times in a forward pass, not once; name them with `features`")
        features = seen[0].flatten(1)
        width = self.head.in_features
        if features.shape != (len(images), width):
            raise FeaturesError(f"the features have the shape {list(seen[0].shape)}; the head reads {width} of each image")
        return features, logits


def _module(model: nn.Module, name: str, parameter: str) -> nn.Module:
    modules: dict[str, nn.Module] = dict(model.named_modules())
    if name not in modules:
        raise FeaturesError(f"{parameter} `{name}` is no module of the network; it has `{'`, `'.join(filter(None, modules))}`")
    return modules[name]


def _logits(model: nn.Module, images: Tensor) -> Tensor:
    logits = model(images)
    if not isinstance(logits, Tensor) or logits.dim() != 2:
        given = f"the shape {list(logits.shape)}" if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
        raise FeaturesError(f"the network returns {given}; it must return logits of the shape [N, classes]")
    return logits


def _head(model: nn.Module, images: Tensor) -> nn.Linear:
    """Return the linear layer whose output is the output of the network."""
    linear = {module: name for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    outputs: dict[nn.Module, Tensor] = {}

    def keep(module: nn.Module, _inputs: object, output: Tensor) -> None:
        outputs[module] = output

    with ExitStack() as hooks, torch.no_grad():
        for module in linear:
            hooks.enter_context(module.register_forward_hook(keep))
        logits = _logits(model, images)
    for module in linear:
        output = outputs.get(module)
        if output is not None and output.shape == logits.shape and torch.equal(output, logits):
            return module
    names = f"; its linear layers are `{'`, `'.join(linear.values())}`" if linear else ""
    raise FeaturesError(f"no nn.Linear of the network gives its output{names}; name one with `head`")
