"""The networks of the peers, under the engine's tensor names. Residual networks are those of the golden numbers."""

import sys
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).parent.parent / "engine/tests/fixtures"))
import twins  # noqa: E402


class Block(nn.Module):
    """A transformer block as in timm: attention and a perceptron, each normalized before and added to its input."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attn = nn.ModuleDict({"qkv": nn.Linear(width, 3 * width), "proj": nn.Linear(width, width)})
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})

    def forward(self, x):
        n, t, d = x.shape
        q, k, v = self.attn["qkv"](self.norm1(x)).view(n, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        x = x + self.attn["proj"](F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, d))
        return x + self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(x))))


class Deit(nn.Module):
    """DeiT-Ti with patches of 4×4 for images of 32×32."""

    def __init__(self, width, classes):
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 65, width))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, 4, 4)})
        self.blocks = nn.Sequential(*(Block(width, 3) for _ in range(12)))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, classes)

    def features(self, x):
        x = self.patch_embed["proj"](x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
        return self.norm(self.blocks(x)[:, 0])

    def forward(self, x):
        return self.head(self.features(x))


def build(architecture, depth, width, channels, classes):
    if architecture == "deit_tiny":
        return Deit(width, classes)
    if architecture == "preact_resnet_small":
        return twins.ResNet(twins.PreActBlock, 3, 1, width, classes, channels)
    return twins.build({"architecture": architecture, "depth": depth, "width": width}, classes)


def features(network, x):
    """g(x), the input of the last linear layer."""
    return network.features(x) if isinstance(network, Deit) else network.run(x)[1]


head = twins.head
