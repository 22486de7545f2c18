"""Writes graphs as exporters make them, with PyTorch's gradients: python peers/structures.py [FOLDER]

FOLDER is test/fixtures/structures by default. Each structure below is the part of a published architecture that makes
its graph special, a few channels wide. Per structure, `<name>.torchscript.onnx` (opset 17, free batch) and
`<name>.dynamo.onnx` (opset 20), and `<name>.npz` in float32, computed in float64 from the float32 weights:

  input                  [2, 3, 16, 16]
  output                 of the model in evaluation mode
  gradient.input         of the mean of output², by the input
  gradient.<parameter>   and by each parameter, under its state-dict name
  <parameter>            the parameter itself: an exporter may fold a norm into a convolution and keep the name

Needs `onnxscript` beside the requirements of the other scripts.
"""

import copy
import logging
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIZE = 16
C = 8


def conv(
    inputs: int, outputs: int, kernel: int | tuple[int, int], act: nn.Module | None = None, **how: int
) -> nn.Sequential:
    """Convolution, norm, activation; padded so that stride 1 keeps the size."""
    sides = (kernel, kernel) if isinstance(kernel, int) else kernel
    pad = tuple(side // 2 * how.get("dilation", 1) for side in sides)
    parts = [nn.Conv2d(inputs, outputs, sides, padding=pad, bias=False, **how), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*parts, act if act is not None else nn.ReLU())


class Inception(nn.Module):
    """Branches of unequal depth and kernel, among them pooling, side by side. After Szegedy et al. 2016."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, C, 3, stride=2)
        self.single = conv(C, 4, 1)
        self.factored = nn.Sequential(conv(C, 6, 1), conv(6, 6, (1, 7)), conv(6, 6, (7, 1)))
        self.deeper = nn.Sequential(conv(C, 4, 1), conv(4, 6, 3), conv(6, 6, 3))
        self.pooled = conv(C, 4, 1)
        self.classifier = nn.Linear(20 + C, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        pooled = self.pooled(F.avg_pool2d(x, 3, stride=1, padding=1))
        x = torch.cat([self.single(x), self.factored(x), self.deeper(x), pooled, F.max_pool2d(x, 3, 1, padding=1)], 1)
        x = F.max_pool2d(x, 3, stride=2)
        return self.classifier(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


class RegNet(nn.Module):
    """Grouped convolution in a bottleneck, squeeze-and-excitation, SiLU. After Radosavovic et al. 2020 (RegNetY)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, C, 3)
        self.inner = nn.Sequential(conv(C, 16, 1), conv(16, 16, 3, nn.SiLU(), stride=2, groups=4))
        self.reduce, self.expand = nn.Conv2d(16, 4, 1), nn.Conv2d(4, 16, 1)
        self.project = conv(16, 16, 1, nn.Identity())
        self.shortcut = conv(C, 16, 1, nn.Identity(), stride=2)
        self.classifier = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = self.inner(x)
        y = y * torch.sigmoid(self.expand(F.silu(self.reduce(y.mean((2, 3), keepdim=True)))))
        return self.classifier(F.relu(self.project(y) + self.shortcut(x)).mean((2, 3)))


class DeepLab(nn.Module):
    """Dilated convolutions at several rates beside pooling over the image, bilinear upsampling. After Chen et al. 2017."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(conv(3, C, 3, stride=2), conv(C, C, 3, dilation=2))
        self.rates = nn.ModuleList([conv(C, 4, 1), conv(C, 4, 3, dilation=2), conv(C, 4, 3, dilation=3)])
        self.pooled = nn.Conv2d(C, 4, 1)
        self.head = nn.Sequential(conv(16, C, 1), nn.Conv2d(C, 5, 1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.backbone(x)
        pooled = self.pooled(F.adaptive_avg_pool2d(y, 1))
        pooled = F.interpolate(pooled, size=y.shape[-2:], mode="bilinear", align_corners=False)
        y = self.head(torch.cat([rate(y) for rate in self.rates] + [pooled], 1))
        return F.interpolate(y, size=x.shape[-2:], mode="bilinear", align_corners=False)


class FeaturePyramid(nn.Module):
    """Maps of three sizes, each raised and added to the next. After Lin et al. 2017."""

    def __init__(self) -> None:
        super().__init__()
        self.levels = nn.ModuleList([conv(3, C, 3), conv(C, 12, 3, stride=2), conv(12, 16, 3, stride=2)])
        self.lateral = nn.ModuleList([nn.Conv2d(c, C, 1) for c in (C, 12, 16)])
        self.smooth = nn.ModuleList([nn.Conv2d(C, C, 3, padding=1) for _ in range(3)])
        self.head = nn.Conv2d(C, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        maps = []
        for level in self.levels:
            x = level(x)
            maps.append(x)
        y, found = self.lateral[2](maps[2]), []
        for i in (2, 1, 0):
            if i < 2:
                y = self.lateral[i](maps[i]) + F.interpolate(y, size=maps[i].shape[-2:], mode="nearest")
            found.append(self.head(F.relu(self.smooth[i](y))).flatten(2).transpose(1, 2))
        return torch.cat(found, 1)


class Yolo(nn.Module):
    """Channel splits, repeated max-pooling, nearest upsampling, a decoded head. After Ultralytics' YOLOv8."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, C, 3, nn.SiLU(), stride=2)
        self.bottleneck = nn.Sequential(conv(4, 4, 3, nn.SiLU()), conv(4, 4, 3, nn.SiLU()))
        self.merge = conv(12, C, 1, nn.SiLU())
        self.down = conv(C, C, 3, nn.SiLU(), stride=2)
        self.pools = conv(4 * C, C, 1, nn.SiLU())
        self.head = nn.Conv2d(2 * C, 6, 1)
        self.register_buffer("grid", torch.stack(torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="xy")))

    def forward(self, x: Tensor) -> Tensor:
        left, right = self.stem(x).chunk(2, 1)
        x = self.merge(torch.cat([left, right, right + self.bottleneck(right)], 1))
        y = self.down(x)
        pools = [y]
        for _ in range(3):
            pools.append(F.max_pool2d(pools[-1], 5, stride=1, padding=2))
        y = F.interpolate(self.pools(torch.cat(pools, 1)), scale_factor=2, mode="nearest")
        place, scores = torch.split(self.head(torch.cat([x, y], 1)), (2, 4), 1)
        return torch.cat([(torch.sigmoid(place) * 2 - 0.5 + self.grid) * 2, F.softmax(scores, 1)], 1).flatten(2)


class ClassToken(nn.Module):
    """A class token, learned positions, PyTorch's own attention. After Dosovitskiy et al. 2021 as in torchvision."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 12, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, 12))
        self.position = nn.Parameter(torch.randn(1, 17, 12))
        self.norm1, self.norm2 = nn.LayerNorm(12), nn.LayerNorm(12)
        self.attention = nn.MultiheadAttention(12, 3, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(12, 24), nn.GELU(approximate="tanh"), nn.Linear(24, 12))
        self.classifier = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.position
        y = self.norm1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return self.classifier((x + self.mlp(self.norm2(x)))[:, 0])


class Swin(nn.Module):
    """Attention in shifted windows with a table of relative positions, and merged patches. After Liu et al. 2021."""

    def __init__(self) -> None:
        super().__init__()
        self.window, self.heads = 4, 2
        self.patch = nn.Conv2d(3, C, 2, 2)
        self.norm = nn.LayerNorm(C)
        self.qkv = nn.Linear(C, 3 * C)
        self.project = nn.Linear(C, C)
        self.table = nn.Parameter(torch.randn(49, self.heads))
        rows, columns = torch.meshgrid(torch.arange(4), torch.arange(4), indexing="ij")
        places = torch.stack([rows.flatten(), columns.flatten()])
        between = places[:, :, None] - places[:, None, :] + 3
        self.register_buffer("index", (between[0] * 7 + between[1]).flatten())
        regions = torch.zeros(8, 8)
        regions[4:6, :], regions[6:, :] = 1, 2
        regions[:, 4:6] += 3
        regions[:, 6:] += 6
        regions = self.windows(regions[None, :, :, None])[..., 0]
        self.register_buffer("mask", (regions[:, None, :] != regions[:, :, None]) * -100.0)
        self.merge_norm = nn.LayerNorm(4 * C)
        self.merge = nn.Linear(4 * C, 2 * C, bias=False)
        self.classifier = nn.Linear(2 * C, 5)

    def windows(self, x: Tensor) -> Tensor:
        count, height, width, channels = x.shape
        side = self.window
        x = x.view(count, height // side, side, width // side, side, channels)
        return x.permute(0, 1, 3, 2, 4, 5).reshape(-1, side * side, channels)

    def attend(self, x: Tensor) -> Tensor:
        count, tokens, channels = x.shape
        query, key, value = self.qkv(x).reshape(count, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)
        scores = scores + self.table[self.index].view(tokens, tokens, -1).permute(2, 0, 1)
        masks = self.mask.shape[0]
        scores = scores.view(count // masks, masks, self.heads, tokens, tokens) + self.mask[:, None]
        weights = F.softmax(scores.view(-1, self.heads, tokens, tokens), -1)
        return self.project((weights @ value).transpose(1, 2).reshape(count, tokens, channels))

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).permute(0, 2, 3, 1)
        count, side, _, channels = x.shape
        y = self.windows(torch.roll(self.norm(x), (-2, -2), (1, 2)))
        y = self.attend(y).view(count, side // 4, side // 4, 4, 4, channels).permute(0, 1, 3, 2, 4, 5)
        x = x + torch.roll(y.reshape(count, side, side, channels), (2, 2), (1, 2))
        x = torch.cat([x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]], -1)
        return self.classifier(self.merge(self.merge_norm(x)).mean((1, 2)))


class Assorted(nn.Module):
    """Norms of groups and instances, learned slopes, reflection, pixel shuffle, transposed convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(3, C, 3, stride=2),
            nn.GroupNorm(4, C),
            nn.PReLU(C),
            nn.Conv2d(C, 4 * C, 1),
            nn.PixelShuffle(2),
            nn.InstanceNorm2d(C, affine=True),
            nn.LeakyReLU(0.1),
            nn.Conv2d(C, C, 3, stride=2, padding=1),
            nn.Mish(),
            nn.ConvTranspose2d(C, C, 3, stride=2, padding=1, output_padding=1, groups=2),
            nn.ELU(),
            nn.AvgPool2d(8),
            nn.Hardswish(),
        )
        self.scale = nn.Parameter(torch.rand(C, 1, 1) + 0.5)
        self.classifier = nn.Linear(4 * C, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.normalize(self.layers(x) * self.scale, dim=1)
        return F.log_softmax(self.classifier(x.flatten(1)), 1)


STRUCTURES: dict[str, type[nn.Module]] = {
    "inception": Inception,
    "regnet": RegNet,
    "deeplab": DeepLab,
    "pyramid": FeaturePyramid,
    "yolo": Yolo,
    "class_token": ClassToken,
    "swin": Swin,
    "assorted": Assorted,
}


def create(structure: type[nn.Module]) -> nn.Module:
    """In evaluation mode; norms get random scales, shifts and statistics, so that a mistake in any shows."""
    model = structure()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.get_buffer("running_mean"), 0.0, 0.1)
            nn.init.uniform_(module.get_buffer("running_var"), 0.5, 1.5)
        if isinstance(module, nn.BatchNorm2d | nn.LayerNorm | nn.GroupNorm | nn.InstanceNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0.0, 0.1)
    return model.eval()


def gradients(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """What the npz file holds."""
    exact = copy.deepcopy(model).double()
    images = images.double().requires_grad_()
    output = exact(images)
    output.square().mean().backward()
    parameters = dict(exact.named_parameters())
    named = {f"gradient.{name}": parameter.grad for name, parameter in parameters.items()}
    return {"input": images, "output": output, "gradient.input": images.grad, **named, **parameters}


def export(model: nn.Module, images: Tensor, stem: Path) -> None:
    """Writes the files of both exporters, with their defaults but for the free batch."""
    names = {"input_names": ["input"], "output_names": ["output"]}
    torch.onnx.export(
        model,
        (images,),
        f"{stem}.torchscript.onnx",
        dynamo=False,
        opset_version=17,
        dynamic_axes={"input": {0: "batch"}, "output": {0: "batch"}},
        **names,
    )
    torch.onnx.export(model, (images,), f"{stem}.dynamo.onnx", dynamo=True, external_data=False, verbose=False, **names)


def main() -> None:
    default = Path(__file__).parent.parent / "test" / "fixtures" / "structures"
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    folder.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    for seed, (name, structure) in enumerate(STRUCTURES.items()):
        torch.manual_seed(seed)
        model = create(structure)
        images = (torch.randn(2, 3, SIZE, SIZE) * 16).round() / 16
        arrays = gradients(model, images)
        np.savez_compressed(folder / f"{name}.npz", **{k: v.detach().float().numpy() for k, v in arrays.items()})
        export(model, images, folder / name)


if __name__ == "__main__":
    main()
