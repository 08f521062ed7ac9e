"""One of the loops that the engine is compared with.

    python3 peer.py NAME FOLDER

FOLDER has what `worker --bench CASE` wrote: the case, the weights, the images and the starts of the attacks. Each line on
standard input starts one repetition, which is answered with a line of JSON: its seconds, and loss and accuracy after it.

`published` does what the public codes of adversarial training do: a full backward pass in every step of the attack, another
forward pass of the clean images, a loader that transforms images one by one. `tuned` does what one does when speed matters:
gradients of the images alone, channels-last, fused SGD, batches transformed at once. `tuned-compiled` is it with
`torch.compile`, `tuned-bf16` with autocast to bfloat16. `convolutions` computes the convolutions of a step and nothing else.
"""

import contextlib
import json
import math
import resource
import struct
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F

import networks

DTYPES = {"F32": torch.float32, "F64": torch.float64, "I64": torch.int64}


def read_safetensors(path):
    data = bytearray(Path(path).read_bytes())
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)

    def read(entry):
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        return torch.frombuffer(data[begin:end] or bytearray(8), dtype=DTYPES[entry["dtype"]])[: math.prod(entry["shape"])].view(entry["shape"])

    return {name: read(entry) for name, entry in header.items()}


class Loop:
    """What both loops share: the case, the network and the order of the steps."""

    def __init__(self, case, tensors):
        self.case, self.device = case, torch.device(case["device"])
        channels, classes = tensors["images"].shape[1], case["classes"]
        self.network = networks.build(case["architecture"], case["depth"], case["width"], channels, classes)
        weights = {name.removeprefix("network."): value for name, value in tensors.items() if name.startswith("network.")}
        self.network.load_state_dict(weights)
        self.network.to(self.device)
        self.mean, self.std = (torch.tensor(case[key]).view(1, -1, 1, 1).to(self.device) for key in ("mean", "std"))
        self.images, self.labels, self.starts = (tensors[key].to(self.device) for key in ("images", "labels", "starts"))
        self.done = 0

    def logits(self, x):
        return self.network((x - self.mean) / self.std)

    def attack_mode(self):
        self.network.train(self.case["batch_norm"] == "train")

    def repetition(self):
        """Runs one repetition and returns loss and accuracy."""
        kind = self.case["kind"]
        if kind == "step":
            for _ in range(self.case["steps_per_repetition"]):
                size, batches = self.case["batch_size"], len(self.images) // self.case["batch_size"]
                part = slice(self.done % batches * size, (self.done % batches + 1) * size)
                loss, correct = self.step(self.images[part], self.labels[part], self.starts[part])
                self.done += 1
            return loss.item(), correct.item() / size
        if kind == "epoch":
            loss = correct = count = 0
            for x, y in self.epoch():
                start = (torch.rand_like(x) * 2 - 1) * self.case["eps"]
                if self.case["method"] == "trades":
                    start = torch.randn_like(x) * 0.001
                of_batch, right = self.step(x, y, start)
                loss, correct, count = loss + of_batch * len(y), correct + right, count + len(y)
            return loss.item() / count, correct.item() / count
        parts = [slice(first, first + self.case["batch_size"]) for first in range(0, len(self.images), self.case["batch_size"])]
        return self.evaluate(parts) if kind == "evaluate" else self.attribute(parts)


class Published(Loop):
    def __init__(self, case, tensors):
        super().__init__(case, tensors)
        self.optimizer = torch.optim.SGD(self.network.parameters(), case["learning_rate"], momentum=0.9, weight_decay=5e-4)

    def epoch(self):
        images, labels, flips = self.images.cpu(), self.labels.cpu(), self.case["flips"]
        border = images.shape[-1] // 8

        class Transformed(torch.utils.data.Dataset):
            def __len__(self):
                return len(labels)

            def __getitem__(self, index):
                padded = F.pad(images[index][None], (border,) * 4, mode="reflect")[0]
                row, column = torch.randint(2 * border + 1, (2,)).tolist()
                image = padded[:, row : row + images.shape[-1], column : column + images.shape[-1]]
                return (image.flip(-1) if flips and torch.rand(()) < 0.5 else image), labels[index]

        loader = torch.utils.data.DataLoader(Transformed(), self.case["batch_size"], shuffle=True, num_workers=2)
        return ((x.to(self.device), y.to(self.device)) for x, y in loader)

    def pgd(self, x, y, start, steps):
        delta = start.clone()
        delta.data = (x + delta.data).clamp(0, 1) - x
        delta.requires_grad = True
        for _ in range(steps):
            loss = F.cross_entropy(self.logits(x + delta), y)
            loss.backward()
            gradient = delta.grad.detach()
            delta.data = (delta + self.case["step_size"] * torch.sign(gradient)).clamp(-self.case["eps"], self.case["eps"])
            delta.data = (x + delta.data).clamp(0, 1) - x
            delta.grad.zero_()
        return (x + delta).detach()

    def trades(self, x, start, steps):
        adversarial = (x + start).detach()
        for _ in range(steps):
            adversarial.requires_grad_()
            with torch.enable_grad():
                loss = F.kl_div(F.log_softmax(self.logits(adversarial), 1), F.softmax(self.logits(x), 1), reduction="sum")
            gradient = torch.autograd.grad(loss, [adversarial])[0]
            adversarial = adversarial.detach() + self.case["step_size"] * torch.sign(gradient.detach())
            adversarial = torch.min(torch.max(adversarial, x - self.case["eps"]), x + self.case["eps"]).clamp(0, 1)
        return adversarial

    def step(self, x, y, start):
        self.attack_mode()
        method = self.case["method"]
        if method == "pgd_at":
            adversarial = self.pgd(x, y, start, self.case["attack_steps"])
        elif method == "trades":
            adversarial = self.trades(x, start, self.case["attack_steps"])
        self.network.train()
        self.optimizer.zero_grad()
        if method == "trades":
            natural = F.cross_entropy(self.logits(x), y)
            output = self.logits(adversarial)
            robust = F.kl_div(F.log_softmax(output, 1), F.softmax(self.logits(x), 1), reduction="sum") / len(y)
            loss = natural + 6.0 * robust
        else:
            output = self.logits(x if method == "standard" else adversarial)
            loss = F.cross_entropy(output, y)
        loss.backward()
        self.optimizer.step()
        if method == "pgd_at":
            self.logits(x)
        return F.cross_entropy(output.detach(), y), (output.argmax(1) == y).sum()

    def evaluate(self, parts):
        self.network.eval()
        loss = correct = 0
        for part in parts:
            x, y = self.images[part], self.labels[part]
            output = self.logits(self.pgd(x, y, self.starts[part], self.case["attack_steps"]))
            self.logits(x)
            loss += F.cross_entropy(output, y, reduction="sum").item()
            correct += (output.argmax(1) == y).sum().item()
        return loss / len(self.labels), correct / len(self.labels)

    def attribute(self, parts):
        self.network.eval()
        weight = networks.head(self.network).weight.double()
        sums, loss, correct = torch.zeros_like(weight), 0, 0
        for part in parts:
            x, y = self.images[part], self.labels[part]
            output = self.logits(x)
            g = networks.features(self.network, (x - self.mean) / self.std).double()
            sums = sums.index_add(0, y, g * weight[y])
            loss += F.cross_entropy(output, y, reduction="sum").item()
            correct += (output.argmax(1) == y).sum().item()
        means = F.normalize(sums / self.labels.bincount(minlength=len(weight))[:, None])
        (means @ means.T).tolist()
        return loss / len(self.labels), correct / len(self.labels)


class Tuned(Loop):
    def __init__(self, case, tensors, compiled, bf16):
        super().__init__(case, tensors)
        self.bf16 = bf16
        self.network.to(memory_format=torch.channels_last)
        self.images, self.starts = (x.contiguous(memory_format=torch.channels_last) for x in (self.images, self.starts))
        if self.device.type == "cuda":
            torch.backends.cudnn.benchmark = True
        self.optimizer = torch.optim.SGD(self.network.parameters(), case["learning_rate"], momentum=0.9, weight_decay=5e-4, fused=True)
        self.run = torch.compile(self.network) if compiled else self.network

    def logits(self, x):
        context = torch.autocast(self.device.type, torch.bfloat16) if self.bf16 else contextlib.nullcontext()
        with context:
            return self.run((x - self.mean) / self.std).float()

    def epoch(self):
        side = self.images.shape[-1]
        border, size = side // 8, self.case["batch_size"]
        order = torch.randperm(len(self.labels), device=self.device)
        for part in order.split(size):
            x = self.images[part]
            pixels = torch.arange(side, device=self.device)
            rows, columns = (torch.randint(2 * border + 1, (len(x), 1), device=self.device) + pixels for _ in range(2))
            if self.case["flips"]:
                columns = torch.where(torch.rand(len(x), 1, device=self.device) < 0.5, columns.flip(1), columns)
            padded = F.pad(x, (border,) * 4, mode="reflect")
            each = torch.arange(len(x), device=self.device)[:, None, None]
            x = padded.permute(0, 2, 3, 1)[each, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
            yield x, self.labels[part]

    def ascend(self, x, start, steps, loss):
        eps, step_size = self.case["eps"], self.case["step_size"]
        low, high = (x - eps).clamp_(min=0), (x + eps).clamp_(max=1)
        adversarial = (x + start).clamp_(0, 1)
        for _ in range(steps):
            adversarial.requires_grad_()
            (gradient,) = torch.autograd.grad(loss(self.logits(adversarial)), adversarial)
            with torch.no_grad():
                adversarial = adversarial.detach().add_(gradient.sign_(), alpha=step_size).clamp_(low, high)
        return adversarial

    def step(self, x, y, start):
        self.attack_mode()
        method, steps = self.case["method"], self.case["attack_steps"]
        if method == "pgd_at":
            adversarial = self.ascend(x, start, steps, lambda output: F.cross_entropy(output, y, reduction="sum"))
        elif method == "trades":
            with torch.no_grad():
                clean = self.logits(x).log_softmax(1)
            divergence = lambda output: F.kl_div(output.log_softmax(1), clean, reduction="sum", log_target=True)
            adversarial = self.ascend(x, start, steps, divergence)
        self.network.train()
        if method == "trades":
            clean, output = self.logits(x), self.logits(adversarial)
            robust = F.kl_div(output.log_softmax(1), clean.log_softmax(1), reduction="sum", log_target=True) / len(y)
            loss = F.cross_entropy(clean, y) + 6.0 * robust
        else:
            output = self.logits(x if method == "standard" else adversarial)
            loss = F.cross_entropy(output, y)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        with torch.no_grad():
            return F.cross_entropy(output, y), (output.argmax(1) == y).sum()

    def evaluate(self, parts):
        self.network.eval()
        loss = correct = 0
        for part in parts:
            x, y = self.images[part], self.labels[part]
            adversarial = self.ascend(x, self.starts[part], self.case["attack_steps"], lambda o: F.cross_entropy(o, y, reduction="sum"))
            with torch.inference_mode():
                self.logits(x)
                output = self.logits(adversarial)
                loss += F.cross_entropy(output, y, reduction="sum")
                correct += (output.argmax(1) == y).sum()
        return loss.item() / len(self.labels), correct.item() / len(self.labels)

    @torch.inference_mode()
    def attribute(self, parts):
        self.network.eval()
        layer = networks.head(self.network)
        weight = layer.weight.double()
        sums, loss, correct = torch.zeros_like(weight), 0, 0
        context = torch.autocast(self.device.type, torch.bfloat16) if self.bf16 else contextlib.nullcontext()
        for part in parts:
            x, y = self.images[part], self.labels[part]
            with context:
                g = networks.features(self.network, (x - self.mean) / self.std).float()
            output = layer(g)
            sums.index_add_(0, y, g.double() * weight[y])
            loss += F.cross_entropy(output, y, reduction="sum")
            correct += (output.argmax(1) == y).sum()
        means = F.normalize(sums / self.labels.bincount(minlength=len(weight))[:, None])
        (means @ means.T).tolist()
        return loss.item() / len(self.labels), correct.item() / len(self.labels)


class Convolutions(Tuned):
    """The convolutions of a step of `tuned`, in its memory format, of the sizes and as often as its passes need them."""

    def __init__(self, case, tensors):
        super().__init__(case, tensors, compiled=False, bf16=False)
        self.layers = []
        note = lambda layer, inputs, output: self.layers.append((layer, inputs[0], torch.randn_like(output)))
        hooks = [layer.register_forward_hook(note) for layer in self.network.modules() if isinstance(layer, torch.nn.Conv2d)]
        with torch.no_grad():
            self.logits(self.images[: case["batch_size"]])
        for hook in hooks:
            hook.remove()

    def forward(self):
        for layer, x, _ in self.layers:
            F.conv2d(x, layer.weight, layer.bias, layer.stride, layer.padding)

    def backward(self, weights):
        for index, (layer, x, gradient) in reversed(list(enumerate(self.layers))):
            # Training needs no gradient of the images, an attack none of the weights.
            wanted = [not weights or index > 0, weights, False]
            torch.ops.aten.convolution_backward(
                gradient, x, layer.weight, None, layer.stride, layer.padding, layer.dilation, False, [0, 0], layer.groups, wanted
            )

    @torch.no_grad()
    def step(self, *_):
        """The passes of `Tuned.step`."""
        trades, attacked = self.case["method"] == "trades", self.case["method"] != "standard"
        if trades:
            self.forward()
        for _ in range(self.case["attack_steps"] if attacked else 0):
            self.forward()
            self.backward(weights=False)
        for _ in range(2 if trades else 1):
            self.forward()
            self.backward(weights=True)

    def repetition(self):
        for _ in range(self.case["steps_per_repetition"]):
            self.step()
        return None, None


def peak_memory(device):
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main(name, folder):
    case = json.loads((Path(folder) / "case.json").read_text())
    tensors = read_safetensors(Path(folder) / "inputs.safetensors")
    torch.set_num_threads(case["threads"])
    torch.manual_seed(0)
    loops = {"published": Published, "convolutions": Convolutions}
    loop = loops[name](case, tensors) if name in loops else Tuned(case, tensors, "compiled" in name, "bf16" in name)
    print(json.dumps({"torch": torch.__version__, "python": sys.version.split()[0]}), flush=True)
    for _ in sys.stdin:
        begun = time.perf_counter()
        loss, accuracy = loop.repetition()
        if loop.device.type == "cuda":
            torch.cuda.synchronize()
        seconds = (time.perf_counter() - begun) / case["steps_per_repetition"]
        line = {"seconds": seconds, "loss": loss, "accuracy": accuracy, "memory_bytes": peak_memory(loop.device)}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
