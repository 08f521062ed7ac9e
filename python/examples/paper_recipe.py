"""Adversarial training of PreActResNet-18 on CIFAR-10 by the recipe of the paper, watched in CrossLens.

    crosslens serve &
    python paper_recipe.py --data DIR     # DIR holds cifar-10-batches-py

The recipe (Wei, Guo, Wang 2025, arXiv 2506.05032, and its public code): SGD with learning rate 0.1, a tenth of it after half
and again after three quarters of 200 epochs, momentum 0.9, weight decay 5e-4, batches of 128; PGD-10 at ℓ∞ 8/255 in steps of
2/255 with random start, in training mode; random crops with reflected borders and mirrored images; tested with PGD-20.
"""

from __future__ import annotations

import argparse
import pickle
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import crosslens

EPS, STEP, STEPS = 8 / 255, 2 / 255, 10


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        same = stride == 1 and inputs == outputs
        self.shortcut = None if same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        a = F.relu(self.bn1(x))
        around = x if self.shortcut is None else self.shortcut(a)
        return self.conv2(F.relu(self.bn2(self.conv1(a)))) + around


class PreActResNet18(nn.Module):
    """Takes pixels in [0, 1]: the normalization is part of it."""

    def __init__(self, classes: int, width: int = 64) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.4914, 0.4822, 0.4465]).view(3, 1, 1))
        self.register_buffer("std", torch.tensor([0.2471, 0.2435, 0.2616]).view(3, 1, 1))
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        shapes = [(width, width, 1), (width, 2 * width, 2), (2 * width, 4 * width, 2), (4 * width, 8 * width, 2)]
        blocks = [block for inputs, outputs, stride in shapes for block in (Block(inputs, outputs, stride), Block(outputs, outputs, 1))]
        self.layers = nn.Sequential(*blocks)
        self.bn = nn.BatchNorm2d(8 * width)
        self.linear = nn.Linear(8 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layers(self.conv1((x - self.mean) / self.std))
        return self.linear(F.relu(self.bn(x)).mean((2, 3)))


def cifar10(folder: Path, names: list[str]) -> tuple[Tensor, Tensor]:
    """Read batches in their published form, pickles of Python 2: images in [0, 1], [N, 3, 32, 32], and labels."""
    batches = [pickle.loads((folder / name).read_bytes(), encoding="bytes") for name in names]
    images = torch.cat([torch.from_numpy(batch[b"data"]) for batch in batches]).reshape(-1, 3, 32, 32)
    return images.float() / 255, torch.tensor([label for batch in batches for label in batch[b"labels"]])


def augment(images: Tensor) -> Tensor:
    """Crop each image at a random place of its enlarged form, and mirror every other one."""
    n = len(images)
    padded = F.pad(images, (4, 4, 4, 4), mode="reflect")
    rows, columns = (torch.randint(9, (n, 1), device=images.device) + torch.arange(32, device=images.device) for _ in range(2))
    index = torch.arange(n, device=images.device)[:, None, None]
    cropped = padded[index, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    mirrored = torch.rand(n, 1, 1, 1, device=images.device) < 0.5
    return torch.where(mirrored, cropped.flip(3), cropped)


def attack(network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    adversarial = (images + torch.empty_like(images).uniform_(-EPS, EPS)).clamp(0, 1)
    for _ in range(STEPS):
        adversarial.requires_grad_(True)
        (gradient,) = torch.autograd.grad(F.cross_entropy(network(adversarial), labels, reduction="sum"), adversarial)
        moved = adversarial.detach() + STEP * gradient.sign()
        adversarial = (images + (moved - images).clamp(-EPS, EPS)).clamp(0, 1)
    return adversarial


def train_epoch(network: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, labels: Tensor, device: torch.device) -> dict[str, float]:
    network.train()
    loss_sum, correct = 0.0, 0
    for batch in torch.randperm(len(images)).split(128):
        x, y = augment(images[batch].to(device)), labels[batch].to(device)
        logits = network(attack(network, x, y))
        loss = F.cross_entropy(logits, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss_sum += loss.item() * len(batch)
        correct += int((logits.argmax(1) == y).sum())
    return {"train_loss": loss_sum / len(images), "train_robust_accuracy": correct / len(images)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds cifar-10-batches-py")
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--every", type=int, default=5, help="epochs between two measurements")
    parser.add_argument("--width", type=int, default=64, help="channels of the first stage")
    parser.add_argument("--id", help="name of a run to go on with, if it was killed")
    options = parser.parse_args()

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    folder = options.data / "cifar-10-batches-py"
    classes = [name.decode() for name in pickle.loads((folder / "batches.meta").read_bytes(), encoding="bytes")[b"label_names"]]
    images, labels = cifar10(folder, [f"data_batch_{number}" for number in range(1, 6)])
    test = list(zip(*(part.split(250) for part in cifar10(folder, ["test_batch"])), strict=True))
    network = PreActResNet18(len(classes), options.width).to(device)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [options.epochs // 2, options.epochs * 3 // 4])

    run = crosslens.start_run("The paper's recipe", classes, id=options.id, epochs=options.epochs, data="cifar10")
    state = run.directory / "loop.pt"
    if state.exists():
        saved = torch.load(state, map_location=device)
        network.load_state_dict(saved["network"])
        optimizer.load_state_dict(saved["optimizer"])
        schedule.load_state_dict(saved["schedule"])

    for epoch in range(schedule.last_epoch + 1, options.epochs + 1):
        rate = schedule.get_last_lr()[0]
        numbers = train_epoch(network, optimizer, images, labels, device)
        schedule.step()
        if epoch % options.every == 0 or epoch == options.epochs:
            found = run.attribution(epoch, network, test)
            numbers |= {"test_clean_accuracy": found.clean_accuracy, "test_robust_accuracy": found.robust_accuracy}
        run.log(epoch, learning_rate=rate, **numbers)
        torch.save({"network": network.state_dict(), "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}, state)
        if run.stopping:
            run.close()
            return
    run.finish()


if __name__ == "__main__":
    main()
