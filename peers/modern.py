"""ConvNeXt and ViT."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from layers import CLASSES, perceptron, scaled


class LayerNorm2d(nn.LayerNorm):
    """Normalisation over the channels of [N, C, H, W]."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNeXtBlock(nn.Module):
    """7x7 depthwise, then a perceptron per pixel, scaled per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.mlp = perceptron(channels)
        self.scale = nn.Parameter(1e-6 * torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        y = self.mlp(self.norm(self.depthwise(x).permute(0, 2, 3, 1)))
        return x + (y * self.scale).permute(0, 3, 1, 2)


class ConvNeXt(nn.Module):
    """ConvNeXt-Atto. Differs: no stochastic depth."""

    def __init__(self, width: float) -> None:
        super().__init__()
        channels = [scaled(40 * 2**stage, width) for stage in range(4)]
        self.stem = nn.Sequential(nn.Conv2d(3, channels[0], 4, 4), LayerNorm2d(channels[0], eps=1e-6))
        self.downsample = nn.ModuleList(
            nn.Sequential(LayerNorm2d(inputs, eps=1e-6), nn.Conv2d(inputs, outputs, 2, 2))
            for inputs, outputs in pairwise(channels)
        )
        self.stages = nn.ModuleList(
            nn.Sequential(*(ConvNeXtBlock(c) for _ in range(depth)))
            for c, depth in zip(channels, (2, 2, 6, 2), strict=True)
        )
        self.norm = nn.LayerNorm(channels[-1], eps=1e-6)
        self.classifier = nn.Linear(channels[-1], CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages[0](self.stem(x))
        for downsample, stage in zip(self.downsample, self.stages[1:], strict=True):
            x = stage(downsample(x))
        return self.classifier(self.norm(x.mean([2, 3])))


class Attention(nn.Module):
    """Self-attention of several heads."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels)
        self.projection = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        count, tokens, channels = x.shape
        query, key, value = (
            part.view(count, tokens, self.heads, channels // self.heads).transpose(1, 2)
            for part in self.qkv(x).chunk(3, dim=-1)
        )
        attended = F.scaled_dot_product_attention(query, key, value)
        return self.projection(attended.transpose(1, 2).reshape(count, tokens, channels))


class TransformerBlock(nn.Module):
    """Attention and a perceptron, each after a norm and beside a shortcut."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels, eps=1e-6)
        self.attention = Attention(channels, heads)
        self.norm2 = nn.LayerNorm(channels, eps=1e-6)
        self.mlp = perceptron(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class ViT(nn.Module):
    """ViT-Tiny with patches of 4 for images of 32x32. Differs: the mean over the tokens in place of a class token."""

    def __init__(self, width: float, size: int = 32, patch: int = 4) -> None:
        super().__init__()
        heads = max(3, round(3 * width))
        channels = heads * scaled(64, 3 * width / heads)
        self.patch = nn.Conv2d(3, channels, patch, patch)
        self.position = nn.Parameter(0.02 * torch.randn(1, (size // patch) ** 2, channels))
        self.blocks = nn.Sequential(*(TransformerBlock(channels, heads) for _ in range(12)))
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.classifier = nn.Linear(channels, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patch(x).flatten(2).transpose(1, 2) + self.position
        return self.classifier(self.norm(self.blocks(tokens)).mean(1))
