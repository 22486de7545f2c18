"""Writes the end-to-end training fixtures: python peers/train_fixtures.py [FOLDER, by default test/fixtures/training]

Three full training steps (train mode, cross-entropy, mean over the batch, or over its pixels) in float64 from the float32 weights of the
ONNX file, on three different seeded batches. `fixtures.json` lists the fixtures and the settings, losses and gradient
norms of each run. Beside it, per fixture, `<name>.onnx` and `<name>.npz` with (float32 unless said):

  images                      [3, batch, 3, size, size], multiples of 1/16, one batch per step
  labels                      [3, batch] int32; U-Net: [3, batch, size, size], where 255 is no class and does not count
  <run>.logits                [3, batch, 10, ...], of the forward pass of each step
  <run>.after.<parameter>     parameters and norm statistics after step 3, named as the initializers of the ONNX file
  <run>.gradient.<parameter>  step 1, before clipping, parameters with one dimension only (biases and norms)

Norm statistics follow PyTorch: batch statistics normalise, running <- 0.9 running + 0.1 batch, the running variance
takes the unbiased variance, the normalisation the biased one. Weight decay applies to all parameters alike (AdamW:
decoupled). Clipping multiplies all gradients by min(1, limit / (norm + 1e-6)), the norm over all parameters, which
`gradientNorms` lists.

A float32 engine can meet a float64 reference only where the steps do not amplify rounding, so the fixtures avoid two
things that do. Near a kink of ReLU, ReLU6 or max-pool, rounding picks the side and moves a gradient by about 1 %:
seeds and `shift` are chosen to keep clear of kinks. And Adam turns a gradient of zero and its rounding noise into full
steps (a bias before a norm has such a gradient): epsilon is 1e-3, not 1e-8. The script repeats every run in float32
under relative weight noise of 1e-7, a stand-in for another engine's order of sums, prints the largest distance over
tensors, |a - b| / |b|, and fails above FLOOR.
"""

import copy
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from export import export_onnx
from networks import CLASSES, create_network

STEPS = 3
IGNORED = 255
FLOOR = 1e-5
TRIALS = 8


@dataclass(frozen=True)
class Run:
    """One way to train; the keys of `optimizer` are those of fixtures.json."""

    name: str
    optimizer: dict[str, Any]
    label_smoothing: float = 0.0
    clip_norm: float | None = None


@dataclass(frozen=True)
class Fixture:
    """A network, and its training runs. `shift` is added to the biases of all batch norms."""

    name: str
    seed: int
    width: float
    size: int
    shift: float
    runs: tuple[Run, ...]
    batch: int = 8
    per_pixel: bool = False


SGD = {"kind": "sgd", "learningRate": 0.05, "momentum": 0.9, "nesterov": True, "weightDecay": 5e-4}
SLOW_SGD = {**SGD, "learningRate": 0.005}
ADAM = {"kind": "adam", "learningRate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-3, "weightDecay": 0.0}
ADAMW = {**ADAM, "kind": "adamw", "weightDecay": 0.1}

FIXTURES = (
    Fixture("resnet20", 8, 1.0, 16, 0.0, (Run("adam", ADAM),)),
    Fixture(
        "vgg11_bn", 4, 1 / 16, 32, 0.0, (Run("sgd", SGD), Run("smoothed", SGD, label_smoothing=0.1, clip_norm=1.0))
    ),
    Fixture("mobilenetv2", 1, 0.25, 48, 2.0, (Run("adamw", ADAMW),)),
    Fixture("shufflenetv2", 1, 0.25, 48, 2.0, (Run("sgd", SLOW_SGD),)),
    Fixture("densenet", 1, 0.5, 16, 2.0, (Run("smoothed", SLOW_SGD, label_smoothing=0.1),)),
    Fixture("convnext", 1, 1 / 8, 64, 0.0, (Run("adamw", ADAMW),), batch=4),
    Fixture("vit", 1, 1 / 8, 32, 0.0, (Run("adamw", ADAMW),), batch=4),
    Fixture("unet", 1, 1 / 8, 16, 2.0, (Run("sgd", SGD, clip_norm=1.0),), batch=4, per_pixel=True),
)


def create_optimizer(model: nn.Module, settings: dict[str, Any]) -> torch.optim.Optimizer:
    rate, decay = settings["learningRate"], settings["weightDecay"]
    if settings["kind"] == "sgd":
        return torch.optim.SGD(
            model.parameters(),
            lr=rate,
            momentum=settings["momentum"],
            nesterov=settings["nesterov"],
            weight_decay=decay,
        )
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings["kind"]]
    betas = (settings["beta1"], settings["beta2"])
    return kind(model.parameters(), lr=rate, betas=betas, eps=settings["epsilon"], weight_decay=decay)


@dataclass
class Trace:
    """What three steps did."""

    losses: list[float]
    gradient_norms: list[float]
    logits: Tensor
    gradients: dict[str, Tensor]
    after: dict[str, Tensor]


def train(source: nn.Module, run: Run, images: Tensor, labels: Tensor, dtype: torch.dtype) -> Trace:
    """Trains a copy of `source` in `dtype`, one step per leading index of `images` and `labels`."""
    model = copy.deepcopy(source).to(dtype).train()
    optimizer = create_optimizer(model, run.optimizer)
    criterion = nn.CrossEntropyLoss(label_smoothing=run.label_smoothing, ignore_index=IGNORED)
    logits_of = []
    trace = Trace([], [], torch.empty(0), {}, {})
    for batch, targets in zip(images.to(dtype), labels.long(), strict=True):
        optimizer.zero_grad()
        logits = model(batch)
        loss = criterion(logits, targets)
        loss.backward()
        if not logits_of:
            trace.gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
        limit = float("inf") if run.clip_norm is None else run.clip_norm
        norm = nn.utils.clip_grad_norm_(model.parameters(), limit)
        optimizer.step()
        trace.losses.append(loss.item())
        trace.gradient_norms.append(norm.item())
        logits_of.append(logits.detach())
    trace.logits = torch.stack(logits_of)
    trace.after = {name: value for name, value in model.state_dict().items() if value.is_floating_point()}
    return trace


def create_batches(fixture: Fixture) -> tuple[Tensor, Tensor]:
    """Noise around a blurred shape per class: texture, and something to learn. Per pixel: around a colour per class."""
    generator = torch.Generator().manual_seed(fixture.seed)
    leading, size = (STEPS, fixture.batch), fixture.size
    if fixture.per_pixel:
        patches = torch.randint(CLASSES, (*leading, size // 4, size // 4), generator=generator, dtype=torch.int32)
        labels = patches.repeat_interleave(4, -1).repeat_interleave(4, -2)
        colours = torch.randn(CLASSES, 3, generator=generator)
        signal = colours[labels.long()].movedim(-1, -3)
        labels[..., :3] = IGNORED
    else:
        shapes = torch.randn(CLASSES, 3, 4, 4, generator=generator)
        labels = torch.randint(CLASSES, leading, generator=generator, dtype=torch.int32)
        signal = nn.functional.interpolate(shapes, size=(size, size), mode="bilinear", align_corners=False)[
            labels.long()
        ]
    images = signal + torch.randn(*leading, 3, size, size, generator=generator)
    return (images * 16).round() / 16, labels  # exact in float32, and compresses well


def rounding_floor(model: nn.Module, run: Run, images: Tensor, labels: Tensor, exact: Trace) -> tuple[float, str]:
    """The largest relative distance of noisy float32 runs to `exact`, and the tensor that has it."""
    generator = torch.Generator().manual_seed(0)
    worst = (0.0, "")
    for _ in range(TRIALS):
        noisy = copy.deepcopy(model)
        with torch.no_grad():
            for parameter in noisy.parameters():
                parameter *= 1 + 1e-7 * torch.randn(parameter.shape, generator=generator)
        for name, value in train(noisy, run, images, labels, torch.float32).after.items():
            reference = exact.after[name]
            worst = max(worst, (((value.double() - reference).norm() / reference.norm()).item(), name))
    return worst


def write_fixture(fixture: Fixture, folder: Path) -> dict[str, Any]:
    """Writes one network's files; returns its entry of fixtures.json."""
    model = create_network(fixture.name, fixture.seed, fixture.width)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.bias.data += fixture.shift
    export_onnx(model, fixture.size, folder / f"{fixture.name}.onnx")
    images, labels = create_batches(fixture)
    arrays = {"images": images, "labels": labels}
    runs = []
    for run in fixture.runs:
        exact = train(model, run, images, labels, torch.float64)
        floor, tensor = rounding_floor(model, run, images, labels, exact)
        print(f"{fixture.name} {run.name}: losses {exact.losses}, float32 floor {floor:.1e} at {tensor}")
        if floor > FLOOR:
            raise RuntimeError(f"{fixture.name} {run.name}: floor must be at most {FLOOR}; choose another seed")
        arrays[f"{run.name}.logits"] = exact.logits
        arrays |= {f"{run.name}.after.{name}": value for name, value in exact.after.items()}
        arrays |= {f"{run.name}.gradient.{name}": value for name, value in exact.gradients.items() if value.ndim == 1}
        runs.append(
            {
                "name": run.name,
                "optimizer": run.optimizer,
                "labelSmoothing": run.label_smoothing,
                "ignoredLabel": IGNORED if fixture.per_pixel else None,
                "clipNorm": run.clip_norm,
                "losses": exact.losses,
                "gradientNorms": exact.gradient_norms,
            }
        )
    stored = {name: (v.float() if v.is_floating_point() else v).numpy() for name, v in arrays.items()}
    np.savez_compressed(folder / f"{fixture.name}.npz", **stored)
    return {"name": fixture.name, "width": fixture.width, "size": fixture.size, "batch": fixture.batch, "runs": runs}


def main() -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    default = Path(__file__).parent.parent / "test" / "fixtures" / "training"
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    entries = [write_fixture(fixture, folder) for fixture in FIXTURES]
    manifest = {"torch": torch.__version__.split("+")[0], "fixtures": entries}
    (folder / "fixtures.json").write_text(json.dumps(manifest, indent=2) + "\n")


if __name__ == "__main__":
    main()
