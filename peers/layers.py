"""What the networks are made of."""

from torch import nn

CLASSES = 10


def scaled(channels: int, width: float) -> int:
    """Channels at a width multiplier: a multiple of 8, never more than 10 % below the exact product."""
    exact = channels * width
    rounded = max(8, int(exact + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * exact else rounded + 8


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """A convolution without bias, padded so that stride 1 keeps the size."""
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False)


def activated(
    inputs: int, outputs: int, kernel: int, activation: type[nn.Module], stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """Convolution, norm, activation."""
    bare = convolution(inputs, outputs, kernel, stride, groups)
    return nn.Sequential(bare, nn.BatchNorm2d(outputs), activation(inplace=True))


def perceptron(channels: int) -> nn.Sequential:
    """Two linear layers over the last axis, four times as wide in between."""
    return nn.Sequential(nn.Linear(channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels))
