"""ResNet, VGG, DenseNet and U-Net."""

from collections.abc import Sequence
from itertools import pairwise, zip_longest

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from layers import CLASSES, activated, convolution, scaled


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


class DenseLayer(nn.Module):
    """Norm, 1x1, norm, 3x3; what comes out stands behind what came in."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = convolution(inputs, 4 * growth, 1)
        self.norm2 = nn.BatchNorm2d(4 * growth)
        self.conv2 = convolution(4 * growth, growth, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(F.relu(self.norm1(x), inplace=True))
        return torch.cat([x, self.conv2(F.relu(self.norm2(y), inplace=True))], dim=1)


class Transition(nn.Module):
    """Half of the channels at half of the size."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs)
        self.conv = convolution(inputs, inputs // 2, 1)
        self.pool = nn.AvgPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(self.conv(F.relu(self.norm(x), inplace=True)))


class DenseNet(nn.Module):
    """DenseNet-BC of depth 40 and growth 12 for small images. Differs: no dropout; the width scales the growth."""

    def __init__(self, width: float) -> None:
        super().__init__()
        growth = max(2, round(12 * width))
        channels = 2 * growth
        self.stem = convolution(3, channels, 3)
        self.blocks, self.transitions = nn.ModuleList(), nn.ModuleList()
        for block in range(3):
            self.blocks.append(nn.Sequential(*(DenseLayer(channels + i * growth, growth) for i in range(6))))
            channels += 6 * growth
            if block < 2:
                self.transitions.append(Transition(channels))
                channels //= 2
        self.norm = nn.BatchNorm2d(channels)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block, transition in zip_longest(self.blocks, self.transitions):
            x = block(x)
            x = transition(x) if transition is not None else x
        return self.classifier(torch.flatten(self.pool(F.relu(self.norm(x), inplace=True)), 1))


class UNet(nn.Module):
    """U-Net to a class per pixel. Differs: half of the channels, one level less, padded convolutions with norm."""

    def __init__(self, width: float) -> None:
        super().__init__()
        channels = [scaled(exact, width) for exact in (32, 64, 128, 256)]
        self.encoder = nn.ModuleList(self.pair(i, o) for i, o in pairwise([3, *channels]))
        self.up = nn.ModuleList(nn.ConvTranspose2d(i, o, 2, 2) for o, i in pairwise(channels))
        self.decoder = nn.ModuleList(self.pair(2 * c, c) for c in channels[:-1])
        self.classifier = nn.Conv2d(channels[0], CLASSES, 1)

    @staticmethod
    def pair(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(*activated(inputs, outputs, 3, nn.ReLU), *activated(outputs, outputs, 3, nn.ReLU))

    def forward(self, x: Tensor) -> Tensor:
        maps = []
        for level, encoder in enumerate(self.encoder):
            x = encoder(F.max_pool2d(x, 2) if level > 0 else x)
            maps.append(x)
        for level in reversed(range(len(self.up))):
            x = self.decoder[level](torch.cat([maps[level], self.up[level](x)], dim=1))
        return self.classifier(x)
