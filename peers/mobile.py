"""MobileNets, EfficientNet-Lite, ShuffleNetV2 and SqueezeNet."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from layers import CLASSES, activated, convolution, scaled


class SqueezeExcitation(nn.Module):
    """Channels weighted by what the whole image holds of each."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.expand = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * F.hardsigmoid(self.expand(F.relu(self.reduce(self.pool(x)))))


class InvertedResidual(nn.Module):
    """Expand (1x1), depthwise, squeeze and excite, project (1x1, linear), with a shortcut where the shape stays."""

    def __init__(
        self,
        inputs: int,
        hidden: int,
        outputs: int,
        kernel: int,
        stride: int,
        activation: type[nn.Module] = nn.ReLU6,
        squeezed: int | None = None,
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential()
        if hidden != inputs:
            self.layers.append(activated(inputs, hidden, 1, activation))
        self.layers.append(activated(hidden, hidden, kernel, activation, stride, groups=hidden))
        if squeezed is not None:
            self.layers.append(SqueezeExcitation(hidden, squeezed))
        self.layers.extend([convolution(hidden, outputs, 1), nn.BatchNorm2d(outputs)])
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.layers(x)
        return x + y if self.residual else y


class InvertedResiduals(nn.Module):
    """Stages of inverted residuals with ReLU6: (expansion, channels, repeats, stride of the first, kernel).

    Differs from the papers: no dropout; the last 1280 channels scale with the width; padding is symmetric.
    """

    def __init__(self, stages: Sequence[tuple[int, int, int, int, int]], width: float) -> None:
        super().__init__()
        inputs = scaled(32, width)
        self.stem = activated(3, inputs, 3, nn.ReLU6, stride=2)
        self.blocks = nn.Sequential()
        for expansion, channels, repeats, first, kernel in stages:
            outputs = scaled(channels, width)
            for repeat in range(repeats):
                stride = first if repeat == 0 else 1
                self.blocks.append(InvertedResidual(inputs, inputs * expansion, outputs, kernel, stride))
                inputs = outputs
        last = scaled(1280, width)
        self.head = activated(inputs, last, 1, nn.ReLU6)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(last, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.pool(self.head(self.blocks(self.stem(x)))), 1))


MOBILENET_V2 = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 32, 3, 2, 3),
    (6, 64, 4, 2, 3),
    (6, 96, 3, 1, 3),
    (6, 160, 3, 2, 3),
    (6, 320, 1, 1, 3),
)
EFFICIENTNET_LITE0 = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
# kernel, expanded channels, channels, squeeze and excitation, activation, stride
MOBILENET_V3_SMALL = (
    (3, 16, 16, True, nn.ReLU, 2),
    (3, 72, 24, False, nn.ReLU, 2),
    (3, 88, 24, False, nn.ReLU, 1),
    (5, 96, 40, True, nn.Hardswish, 2),
    (5, 240, 40, True, nn.Hardswish, 1),
    (5, 240, 40, True, nn.Hardswish, 1),
    (5, 120, 48, True, nn.Hardswish, 1),
    (5, 144, 48, True, nn.Hardswish, 1),
    (5, 288, 96, True, nn.Hardswish, 2),
    (5, 576, 96, True, nn.Hardswish, 1),
    (5, 576, 96, True, nn.Hardswish, 1),
)


class MobileNetV3(nn.Module):
    """MobileNetV3-Small. Differs: no dropout; the last 1024 channels scale with the width."""

    def __init__(self, width: float) -> None:
        super().__init__()
        inputs = scaled(16, width)
        self.stem = activated(3, inputs, 3, nn.Hardswish, stride=2)
        self.blocks = nn.Sequential()
        for kernel, expanded, channels, excited, activation, stride in MOBILENET_V3_SMALL:
            hidden, outputs = scaled(expanded, width), scaled(channels, width)
            squeezed = scaled(hidden, 0.25) if excited else None
            self.blocks.append(InvertedResidual(inputs, hidden, outputs, kernel, stride, activation, squeezed))
            inputs = outputs
        self.head = activated(inputs, scaled(576, width), 1, nn.Hardswish)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.hidden = nn.Linear(scaled(576, width), scaled(1024, width))
        self.classifier = nn.Linear(scaled(1024, width), CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        features = torch.flatten(self.pool(self.head(self.blocks(self.stem(x)))), 1)
        return self.classifier(F.hardswish(self.hidden(features)))


class ShuffleBlock(nn.Module):
    """Half of the channels pass untouched (stride 1) or are reduced (stride 2); then the halves are interleaved."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        half = outputs // 2
        self.branch1 = nn.Sequential()
        if stride == 2:
            self.branch1.extend(
                [
                    convolution(inputs, inputs, 3, stride, groups=inputs),
                    nn.BatchNorm2d(inputs),
                    *activated(inputs, half, 1, nn.ReLU),
                ]
            )
        self.branch2 = nn.Sequential(
            *activated(inputs if stride == 2 else half, half, 1, nn.ReLU),
            convolution(half, half, 3, stride, groups=half),
            nn.BatchNorm2d(half),
            *activated(half, half, 1, nn.ReLU),
        )
        self.splits = stride == 1

    def forward(self, x: Tensor) -> Tensor:
        left, right = x.chunk(2, dim=1) if self.splits else (self.branch1(x), x)
        joined = torch.cat([left, self.branch2(right)], dim=1)
        count, channels, height, width = joined.shape
        return joined.view(count, 2, channels // 2, height, width).transpose(1, 2).reshape(joined.shape)


class ShuffleNetV2(nn.Module):
    """ShuffleNetV2. Differs: widths between the published ones; the last 1024 channels scale with the width."""

    def __init__(self, width: float) -> None:
        super().__init__()
        inputs = scaled(24, width)
        self.stem = activated(3, inputs, 3, nn.ReLU, stride=2)
        self.pool = nn.MaxPool2d(3, 2, padding=1)
        outputs = {0.5: 48, 1: 116, 1.5: 176, 2: 244}.get(width) or scaled(116, width)
        self.stages = nn.Sequential()
        for repeats in (4, 8, 4):
            first = ShuffleBlock(inputs, outputs, 2)
            self.stages.append(nn.Sequential(first, *(ShuffleBlock(outputs, outputs, 1) for _ in range(repeats - 1))))
            inputs, outputs = outputs, 2 * outputs
        last = scaled(1024, width)
        self.head = activated(inputs, last, 1, nn.ReLU)
        self.classifier = nn.Linear(last, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.head(self.stages(self.pool(self.stem(x)))).mean([2, 3]))


class Fire(nn.Module):
    """A squeezing 1x1 convolution before a 1x1 and a 3x3 side by side."""

    def __init__(self, inputs: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeezed, 1)
        self.expand1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        narrow = F.relu(self.squeeze(x))
        return torch.cat([F.relu(self.expand1(narrow)), F.relu(self.expand3(narrow))], dim=1)


class SqueezeNet(nn.Module):
    """SqueezeNet 1.1. Differs: no dropout; the first convolution is padded."""

    def __init__(self, width: float) -> None:
        super().__init__()
        inputs = scaled(64, width)
        self.stem = nn.Conv2d(3, inputs, 3, stride=2, padding=1)
        self.fires = nn.ModuleList()
        for exact in (16, 16, 32, 32, 48, 48, 64, 64):
            squeezed, expanded = scaled(exact, width), scaled(4 * exact, width)
            self.fires.append(Fire(inputs, squeezed, expanded))
            inputs = 2 * expanded
        self.classifier = nn.Conv2d(inputs, CLASSES, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        for i, fire in enumerate(self.fires):
            x = fire(F.max_pool2d(x, 3, 2, ceil_mode=True) if i in (0, 2, 4) else x)
        return torch.flatten(self.pool(F.relu(self.classifier(x))), 1)
