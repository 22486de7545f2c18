"""The networks that Limber is compared on, in plain PyTorch.

Parameters keep their state-dict names in the exported ONNX file. `state_dict()` lists them in the order of the forward
pass, block by block (`{i}` counts from 0):

  ResNet       stem.0 (conv), stem.1 (norm), stages.{stage}.{block}.{conv1, norm1, conv2, norm2},
               where the shape changes also .shortcut.0 (conv) and .shortcut.1 (norm), then classifier
  VGG          features.{i} (conv with bias, or norm), classifier
  MobileNetV2  stem.0, stem.1, blocks.{i}.layers.{j}.0 (conv), .1 (norm), where the last j is a bare conv and j+1 its
               norm, head.0, head.1, classifier

A norm holds weight, bias, running_mean and running_var; the classifier weight and bias.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

CLASSES = 10


def scaled(channels: int, width: float) -> int:
    """Channels at a width multiplier: a multiple of 8, never more than 10 % below the exact product."""
    exact = channels * width
    rounded = max(8, int(exact + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * exact else rounded + 8


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """A convolution without bias, padded so that stride 1 keeps the size."""
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, which is a 1x1 convolution with norm where the shape changes (option B)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = convolution(inputs, outputs, 3, stride)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = convolution(outputs, outputs, 3)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(convolution(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.norm1(self.conv1(x)))
        return self.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class ResNet(nn.Module):
    """ResNet of basic blocks for small images: 3x3 stem of stride 1, no max-pool, `depth` blocks in every stage."""

    def __init__(self, channels: Sequence[int], depth: int, width: float) -> None:
        super().__init__()
        inputs = scaled(channels[0], width)
        self.stem = nn.Sequential(convolution(3, inputs, 3), nn.BatchNorm2d(inputs), nn.ReLU(inplace=True))
        self.stages = nn.Sequential()
        for stage, exact in enumerate(channels):
            outputs = scaled(exact, width)
            first = BasicBlock(inputs, outputs, stride=1 if stage == 0 else 2)
            self.stages.append(nn.Sequential(first, *(BasicBlock(outputs, outputs, 1) for _ in range(depth - 1))))
            inputs = outputs
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(inputs, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.pool(self.stages(self.stem(x))), 1))


class Vgg11(nn.Module):
    """VGG-11 with batch norm for 32x32 images: five max-pools leave one pixel, so one linear layer classifies."""

    def __init__(self, width: float) -> None:
        super().__init__()
        self.features = nn.Sequential()
        inputs = 3
        for stage in ((64,), (128,), (256, 256), (512, 512), (512, 512)):
            for channels in stage:
                outputs = scaled(channels, width)
                convolution_with_bias = nn.Conv2d(inputs, outputs, 3, padding=1)
                self.features.extend([convolution_with_bias, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)])
                inputs = outputs
            self.features.append(nn.MaxPool2d(2))
        self.classifier = nn.Linear(inputs, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.features(x), 1))


def convolution_relu6(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, norm, ReLU6."""
    bare = convolution(inputs, outputs, kernel, stride, groups)
    return nn.Sequential(bare, nn.BatchNorm2d(outputs), nn.ReLU6(inplace=True))


class InvertedResidual(nn.Module):
    """Expand (1x1), depthwise (3x3), project (1x1, linear), with a shortcut where the shape stays."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.layers = nn.Sequential()
        if expansion != 1:
            self.layers.append(convolution_relu6(inputs, hidden, 1))
        self.layers.append(convolution_relu6(hidden, hidden, 3, stride, groups=hidden))
        self.layers.extend([convolution(hidden, outputs, 1), nn.BatchNorm2d(outputs)])
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.layers(x)
        return x + y if self.residual else y


class MobileNetV2(nn.Module):
    """MobileNetV2 with its usual strides (32 in all). Differs: no dropout; the last 1280 channels shrink with width."""

    def __init__(self, width: float) -> None:
        super().__init__()
        inputs = scaled(32, width)
        self.stem = convolution_relu6(3, inputs, 3, stride=2)
        self.blocks = nn.Sequential()
        for expansion, channels, repeats, stride in (
            (1, 16, 1, 1),
            (6, 24, 2, 2),
            (6, 32, 3, 2),
            (6, 64, 4, 2),
            (6, 96, 3, 1),
            (6, 160, 3, 2),
            (6, 320, 1, 1),
        ):
            outputs = scaled(channels, width)
            for repeat in range(repeats):
                self.blocks.append(InvertedResidual(inputs, outputs, stride if repeat == 0 else 1, expansion))
                inputs = outputs
        last = scaled(1280, width)
        self.head = convolution_relu6(inputs, last, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(last, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.pool(self.head(self.blocks(self.stem(x)))), 1))


@dataclass(frozen=True)
class Network:
    """A network and the batch that the benchmark runs it at."""

    build: Callable[[float], nn.Module]
    batch: int
    size: int


NETWORKS = {
    "resnet20": Network(lambda width: ResNet((16, 32, 64), 3, width), batch=32, size=32),
    "resnet18": Network(lambda width: ResNet((64, 128, 256, 512), 2, width), batch=16, size=32),
    "vgg11_bn": Network(Vgg11, batch=16, size=32),
    "mobilenetv2": Network(MobileNetV2, batch=16, size=96),
}


def create_network(name: str, seed: int = 0, width: float = 1.0) -> nn.Module:
    """A network in evaluation mode with seeded weights.

    Norms get random scales, shifts and running statistics instead of ones and zeros, so that a mistake in any of them
    shows in the outputs, and so that the ONNX exporter finds no equal tensors to merge.
    """
    torch.manual_seed(seed)
    model = NETWORKS[name].build(width)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.8, 1.2)
            nn.init.normal_(module.bias, 0.0, 0.1)
            nn.init.normal_(module.get_buffer("running_mean"), 0.0, 0.1)
            nn.init.uniform_(module.get_buffer("running_var"), 0.8, 1.2)
    return model.eval()
