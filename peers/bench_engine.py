"""PyTorch side of the engine benchmark: one JSON command per line on stdin, one JSON answer per line on stdout.

  {"cmd": "prepare", "network": "resnet20", "batch": 32, "threads": 2, "channels_last": false, "trained": ..., ...}
                                -> {"parameters": 272474, "prepare_ms": 41.2, "version": "PyTorch 2.13.0"}
  {"cmd": "step", "count": 3}   -> {"ms": [50.1, 49.8, 50.3]}
  {"cmd": "memory"}             -> {"peak_rss_mb": 412.5}

The end of stdin ends the process. "prepare" also holds

  "trained"      the parameters that train, each with the number of its first output channels that do, null for all of
                 them; null in place of the whole: a step only predicts, in evaluation mode under `inference_mode`
  "fixed_norms"  norms of a batch that keep their statistics: those stay in evaluation mode
  "way"          for output channels: "mask" computes the whole gradient and zeroes the rows that do not train;
                 "split" makes two layers of one, the second frozen, and joins what they give

A training step is forward, cross-entropy, backward and SGD with momentum 0.9, float32, on one fixed batch. What is not
trained needs no gradient, so autograd prunes it. One process holds one network: start a fresh one for each, so that
peak memory is that network's own. A command that cannot be carried out is answered with {"error": "..."}.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from networks import CLASSES, NETWORKS, create_network

Layer = nn.Conv2d | nn.ConvTranspose2d | nn.Linear


class SplitLayer(nn.Module):
    """A layer whose first `count` output channels train: two layers side by side, one of them frozen."""

    def __init__(self, layer: Layer, count: int) -> None:
        super().__init__()
        self.layer = [layer]  # in a list, so that its parameters are not this module's
        self.axis = 1 if isinstance(layer, nn.ConvTranspose2d) else 0
        sizes = [count, layer.weight.shape[self.axis] - count]
        trained, frozen = (part.detach().clone() for part in layer.weight.split(sizes, self.axis))
        self.trained = nn.Parameter(trained)
        self.register_buffer("frozen", frozen)
        self.sizes = sizes

    def forward(self, x: Tensor) -> Tensor:
        (layer,) = self.layer
        biases = (None, None) if layer.bias is None else layer.bias.split(self.sizes)
        weights = (self.trained, self.frozen)
        match layer:
            case nn.Linear():
                return torch.cat([F.linear(x, w, b) for w, b in zip(weights, biases, strict=True)], -1)
            case nn.ConvTranspose2d():
                parts = [
                    F.conv_transpose2d(x, w, b, layer.stride, layer.padding, layer.output_padding)
                    for w, b in zip(weights, biases, strict=True)
                ]
            case _:
                depthwise = layer.groups > 1
                inputs = x.split(self.sizes, 1) if depthwise else (x, x)
                parts = [
                    F.conv2d(part, w, b, layer.stride, layer.padding, layer.dilation, size if depthwise else 1)
                    for part, w, b, size in zip(inputs, weights, biases, self.sizes, strict=True)
                ]
        return torch.cat(parts, 1)


def splits(layer: Layer) -> bool:
    """Whether output channels can be computed apart: not those of groups that share inputs."""
    groups = getattr(layer, "groups", 1)
    return groups == 1 or (isinstance(layer, nn.Conv2d) and groups == layer.in_channels == layer.out_channels)


def zero_rows(parameter: nn.Parameter, axis: int, count: int) -> None:
    """Only the first `count` rows of the gradient stay, before the optimizer sees it."""

    def hook(p: Tensor) -> None:
        p.grad.narrow(axis, count, p.shape[axis] - count).zero_()

    parameter.register_post_accumulate_grad_hook(hook)


def choose_trained(model: nn.Module, trained: dict[str, int | None], way: str) -> list[nn.Parameter]:
    """Freezes everything but the wanted parameters, or the wanted rows of them; gives what the optimizer updates."""
    parameters = dict(model.named_parameters())
    for name, parameter in parameters.items():
        parameter.requires_grad_(name in trained)
    chosen = []
    for name, count in trained.items():
        path, _, leaf = name.rpartition(".")
        layer = model.get_submodule(path)
        parameter = parameters[name]
        axis = 1 if isinstance(layer, nn.ConvTranspose2d) else 0
        if count is None or count == parameter.shape[axis]:
            chosen.append(parameter)
        elif way == "split" and leaf == "weight" and splits(layer):
            parameter.requires_grad_(False)
            split = SplitLayer(layer, count)
            parent, _, child = path.rpartition(".")
            setattr(model.get_submodule(parent), child, split)
            chosen.append(split.trained)
        else:
            zero_rows(parameter, axis, count)
            chosen.append(parameter)
    return chosen


def prepare(command: dict[str, Any]) -> tuple[Callable[[], None], int]:
    """The step and the number of parameters."""
    torch.set_num_threads(command["threads"])
    layout = torch.channels_last if command["channels_last"] else torch.contiguous_format
    network, batch, trained = command["network"], command["batch"], command["trained"]
    size = NETWORKS[network].size
    model = create_network(network).to(memory_format=layout)
    count = sum(parameter.numel() for parameter in model.parameters())
    images = torch.randn(batch, 3, size, size).to(memory_format=layout)
    if trained is None:
        model.eval()

        def predict() -> None:
            with torch.inference_mode():
                model(images)

        return predict, count

    model.train()
    for name in command["fixed_norms"]:
        model.get_submodule(name).eval()
    with torch.no_grad():
        output = model(images[:2])
    labels = torch.randint(CLASSES, (batch, *output.shape[2:]))
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(choose_trained(model, trained, command["way"]), lr=1e-3, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad()
        criterion(model(images), labels).backward()
        optimizer.step()

    return step, count


def peak_rss_mb() -> float:
    """Peak resident memory of this process alone, in MB (10^6 bytes).

    Linux hands `ru_maxrss` down from the process that started this one, so /proc comes first where it exists.
    """
    status = Path("/proc/self/status")
    if status.exists():
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(peak.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


class Peer:
    """The one network that this process steps."""

    def __init__(self) -> None:
        self.step: Callable[[], None] | None = None

    def answer(self, command: dict[str, Any]) -> dict[str, Any]:
        match command:
            case {"cmd": "prepare", "network": str(network)} if network in NETWORKS and self.step is None:
                start = time.perf_counter()
                self.step, parameters = prepare(command)
                elapsed = (time.perf_counter() - start) * 1e3
                return {"parameters": parameters, "prepare_ms": elapsed, "version": f"PyTorch {torch.__version__}"}
            case {"cmd": "step", "count": int(count)} if self.step is not None:
                times = []
                for _ in range(count):
                    start = time.perf_counter()
                    self.step()
                    times.append((time.perf_counter() - start) * 1e3)
                return {"ms": times}
            case {"cmd": "memory"}:
                return {"peak_rss_mb": peak_rss_mb()}
            case _:
                return {"error": f"command: must be prepare (once), step (after it) or memory, got {command}"}


def main() -> None:
    peer = Peer()
    for line in sys.stdin:
        try:
            reply = peer.answer(json.loads(line))
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
