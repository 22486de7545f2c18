"""The networks that Limber is compared on, in plain PyTorch.

Parameters keep their state-dict names in the exported ONNX file, and those are the names of `src/graph/networks`.
`state_dict()` lists them in the order of the forward pass, block by block (`{i}` counts from 0). A convolution or linear
layer holds weight and, where said, bias; a norm weight, bias and, if of a batch, running_mean and running_var.

  ResNet        stem.0 (conv), stem.1 (norm), stages.{stage}.{block}.{conv1, norm1, conv2, norm2},
                where the shape changes also .shortcut.0 (conv) and .shortcut.1 (norm), then classifier
  VGG           features.{i} (conv with bias, or norm), classifier
  MobileNet,    stem.0, stem.1, blocks.{i}.layers.{j}.0 (conv), .1 (norm), with squeeze-and-excitation also
  EfficientNet  layers.{j}.{reduce, expand}; the last j is a bare conv and j+1 its norm; head.0, head.1,
                V3 also hidden, then classifier
  ShuffleNetV2  stem.0, stem.1, stages.{stage}.{block}.{branch1, branch2}.{i}, head.0, head.1, classifier
  SqueezeNet    stem, fires.{i}.{squeeze, expand1, expand3}, classifier (all with bias)
  DenseNet      stem, blocks.{block}.{i}.{norm1, conv1, norm2, conv2}, transitions.{block}.{norm, conv},
                norm, classifier
  ConvNeXt      stem.0, stem.1, downsample.{stage}.{0 (norm), 1 (conv)},
                stages.{stage}.{block}.{depthwise, norm, mlp.0, mlp.2, scale}, norm, classifier
  ViT           patch, position, blocks.{i}.{norm1, attention.qkv, attention.projection, norm2, mlp.0, mlp.2},
                norm, classifier
  U-Net         encoder.{level}.{i}, up.{level} (transposed conv), decoder.{level}.{i}, classifier (a 1x1 conv)
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from classic import DenseNet, ResNet, UNet, Vgg11
from layers import CLASSES
from mobile import EFFICIENTNET_LITE0, MOBILENET_V2, InvertedResiduals, MobileNetV3, ShuffleNetV2, SqueezeNet
from modern import ConvNeXt, ConvNeXtBlock, ViT

__all__ = ["CLASSES", "NETWORKS", "create_network"]


@dataclass(frozen=True)
class Network:
    """A network and the batch that the benchmark runs it at."""

    build: Callable[[float], nn.Module]
    batch: int
    size: int


NETWORKS = {
    "resnet20": Network(lambda width: ResNet((16, 32, 64), 3, width), batch=32, size=32),
    "resnet56": Network(lambda width: ResNet((16, 32, 64), 9, width), batch=32, size=32),
    "resnet18": Network(lambda width: ResNet((64, 128, 256, 512), 2, width), batch=16, size=32),
    "vgg11_bn": Network(Vgg11, batch=16, size=32),
    "mobilenetv2": Network(lambda width: InvertedResiduals(MOBILENET_V2, width), batch=16, size=96),
    "mobilenetv3": Network(MobileNetV3, batch=16, size=96),
    "efficientnet_lite0": Network(lambda width: InvertedResiduals(EFFICIENTNET_LITE0, width), batch=16, size=96),
    "shufflenetv2": Network(ShuffleNetV2, batch=16, size=96),
    "squeezenet": Network(SqueezeNet, batch=16, size=64),
    "densenet": Network(DenseNet, batch=16, size=32),
    "convnext": Network(ConvNeXt, batch=16, size=64),
    "vit": Network(ViT, batch=16, size=32),
    "unet": Network(UNet, batch=4, size=64),
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
        elif isinstance(module, nn.BatchNorm2d | nn.LayerNorm):
            nn.init.uniform_(module.weight, 0.8, 1.2)
            nn.init.normal_(module.bias, 0.0, 0.1)
        elif isinstance(module, ConvNeXtBlock):
            nn.init.uniform_(module.scale, 0.2, 0.4)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.get_buffer("running_mean"), 0.0, 0.1)
            nn.init.uniform_(module.get_buffer("running_var"), 0.8, 1.2)
    return model.eval()
