"""`measure` against numpy's numbers, and what it says of wrong arguments."""

from __future__ import annotations

import json
import warnings

import measure_golden
import numpy as np
import pytest
import torch
from conftest import FIXTURES, batches
from torch import Tensor, nn

import crosslens
from crosslens.network import FeaturesError

GOLDEN = json.loads((FIXTURES / "measure.json").read_text())


@pytest.fixture(scope="module")
def small() -> nn.Module:
    return measure_golden.fill(measure_golden.Small())


@pytest.fixture(scope="module")
def loader() -> list[tuple[Tensor, Tensor]]:
    return batches(measure_golden.images(40, 1000), torch.tensor(GOLDEN["labels"]), 7)


@pytest.mark.parametrize("aggregation", ["average_then_cosine", "cosine_then_average", "average_features"])
@pytest.mark.parametrize("subset", ["all", "correct"])
def test_attribution_variants_are_those_of_numpy(small, loader, aggregation, subset):
    found = crosslens.measure(small, loader, attack=None, aggregation=aggregation, subset=subset)
    name = aggregation if subset == "all" else f"{aggregation}_correct"
    # Both in float64, added in another order.
    np.testing.assert_allclose(found.matrix, GOLDEN["penultimate"][name], rtol=0, atol=1e-8)
    np.testing.assert_allclose(found.clean.weight_matrix, GOLDEN["penultimate"]["weight_matrix"], rtol=0, atol=1e-8)
    predictions = np.argmax(GOLDEN["logits"], axis=1)
    assert found.clean_accuracy == np.mean(predictions == GOLDEN["labels"])


def test_features_are_found_or_named(small, loader):
    found = crosslens.measure(small, loader, attack=None)
    by_name = crosslens.measure(small, loader, attack=None, head="linear")
    np.testing.assert_array_equal(found.matrix, by_name.matrix)

    class TwoHeads(nn.Module):
        """The head is not the last linear layer, and its input comes from a module that can be named."""

        def __init__(self) -> None:
            super().__init__()
            self.trunk = nn.Sequential(nn.Flatten(), nn.Linear(64, 12, dtype=torch.float64), nn.ReLU())
            self.head = nn.Linear(12, 10, dtype=torch.float64)
            self.other = nn.Linear(12, 10, dtype=torch.float64)

        def forward(self, images: Tensor) -> Tensor:
            features = self.trunk(images)
            self.other(features)
            return self.head(features)

    torch.manual_seed(0)
    network = TwoHeads()
    found = crosslens.measure(network, loader, attack=None)
    np.testing.assert_array_equal(found.matrix, crosslens.measure(network, loader, attack=None, features="trunk").matrix)
    assert not np.allclose(found.matrix, crosslens.measure(network, loader, attack=None, head="other").matrix)


def test_the_network_is_left_as_it_was(small, loader):
    network = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(64, 10)).double()
    network[2].eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    crosslens.measure(network, loader, attack=crosslens.PGD(steps=2))
    assert [module.training for module in network] == [True, True, False, True]
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_adversarial_images_lie_in_the_ball_and_in_the_range_of_pixels():
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    images, labels = torch.rand(8, 1, 8, 8), torch.arange(8)
    for norm, eps, length in [("linf", 8 / 255, torch.inf), ("l2", 0.5, 2)]:
        attack = crosslens.PGD(norm=norm, eps=eps)
        start = attack.start(images, torch.Generator().manual_seed(1))
        found = attack.perturb(network, images, labels, start)
        assert found.min() >= 0 and found.max() <= 1
        sizes = (found - images).flatten(1).norm(length, dim=1)
        assert sizes.max() <= eps * (1 + 1e-5) and sizes.min() > eps / 2


def test_images_without_a_usable_first_gradient_are_counted_and_told():
    class Root(nn.Module):
        """Has an infinite slope at 0."""

        def forward(self, images: Tensor) -> Tensor:
            return images.sqrt()

    torch.manual_seed(0)
    network = nn.Sequential(Root(), nn.Flatten(), nn.Linear(16, 3))
    images, labels = torch.rand(6, 1, 4, 4) / 2 + 0.25, torch.arange(6) % 3
    attack = crosslens.PGD(eps=8, steps=1, random_start=False)

    def found(images: Tensor) -> crosslens.Measurement:
        return crosslens.measure(network, batches(images, labels, 4), attack=attack, batch_size=4)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        healthy = found(images)
    assert healthy.adversarial.broken_gradients is None and "broken_gradients" not in healthy.adversarial.to_json()
    images[4, 0, 1, 1] = 0
    with pytest.warns(crosslens.BrokenEvaluationWarning, match="On 1 of 6 attacked images \\(16.7 %\\), the gradient of the loss has entries"):
        infinite = found(images)
    assert infinite.adversarial.broken_gradients == crosslens.BrokenGradients(6, zero=0, not_finite=1)
    nn.init.zeros_(network[2].weight)
    images[4, 0, 1, 1] = 0.5
    with pytest.warns(crosslens.BrokenEvaluationWarning, match="On 6 of 6 attacked images \\(100.0 %\\), the gradient of the loss is zero"):
        flat = found(images)
    assert [sign.kind for sign in flat.signs] == ["zero_gradients"]


def test_intervals_hold_the_estimate_and_depend_on_the_seed_alone(small, loader):
    found, again, other = (crosslens.measure(small, loader, attack=None, bootstrap=100, seed=seed).clean for seed in (0, 0, 1))
    intervals = found.bootstrap
    assert intervals.cas_low < found.cas < intervals.cas_high
    assert intervals.cas_low == again.bootstrap.cas_low != other.bootstrap.cas_low
    assert (intervals.low <= intervals.high).all()
    assert (np.diag(intervals.low) == 1).all()


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"head": "nowhere"}, "head `nowhere` is no module"),
        ({"head": "bn"}, "head `bn` is a BatchNorm2d"),
        ({"features": "conv1"}, "the features have the shape [40, 4, 8, 8]; the head reads 16"),
        ({"classes": ["a", "b"]}, "2 class names are given; the network has 10 classes"),
        ({"seed": -1}, "the seed -1 is out of range"),
    ],
)
def test_wrong_arguments_are_named(small, loader, change, part):
    with pytest.raises(ValueError) as raised:
        crosslens.measure(small, loader, attack=None, **change)
    assert part in str(raised.value)


@pytest.mark.parametrize(
    ("images", "labels", "part"),
    [
        (torch.rand(2, 1, 8, 8) * 255, torch.tensor([0, 1]), "give images in [0, 1]"),
        (torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.tensor([0, 1]), "images are torch.uint8"),
        (torch.rand(2, 1, 8, 8), torch.tensor([0, 10]), "labels range from 0 to 10"),
        (torch.rand(2, 1, 8, 8), torch.tensor([0]), "2 images and 1 labels"),
    ],
)
def test_wrong_images_are_named(images, labels, part):
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with pytest.raises(ValueError) as raised:
        crosslens.measure(network, [(images, labels)], attack=None)
    assert part in str(raised.value)


def test_a_network_that_is_no_classifier_is_refused():
    images = [(torch.rand(2, 1, 8, 8), torch.tensor([0, 1]))]
    for network, part in [
        (nn.Conv2d(1, 2, 3), "the network returns the shape [1, 2, 6, 6]"),
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.Softmax(1)), "no nn.Linear of the network gives its output; its linear layers are `1`"),
        (nn.Flatten(), "no nn.Linear of the network gives its output; name one"),
    ]:
        with pytest.raises(FeaturesError) as raised:
            crosslens.measure(network, images, attack=None)
        assert part in str(raised.value)
    broken = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    nn.init.constant_(broken[1].weight, torch.inf)
    with pytest.raises(ArithmeticError, match="not finite for images 0 to 1"):
        crosslens.measure(broken, images, attack=None)
