"""Traces of CoTTA and RoTTA by their authors' code, and the official values of what other methods are made of.

    python peers/method_fixtures.py --cotta DIR --rotta DIR --domainbed DIR --tllib DIR --edgevision DIR --mammoth DIR

writes test/fixtures/methods, or the folder after --output; it needs torchvision. Each DIR is a checkout: qinenergy/cotta at c212a204, BIT-DA/RoTTA at 67e34c90, facebookresearch/DomainBed at b93c22a1,
thuml/Transfer-Learning-Library at c4aa59eb, LINC-BIT/EdgeVisionBench at 3fd4c00f, aimagelab/mammoth at e75a491c. Their files are imported as they are.
Around them: everything runs in float64 on the processor (`.cuda()` gives the tensor itself, `.float()` a double), and the
augmentation is ours, mirrored and rescaled on a grid, so that it can be stored. Their own chain of augmentations, whose
arguments newer versions of torchvision renamed, is recorded by itself, call by call (`views`).

Files, float64 unless said; networks as `network.onnx`, float32:
  cotta.npz     images [S,B,3,8,8]; views [S,32,B,3,8,8]; confidence [S]; outputs [S,B,K], what forward returned;
                mask.NAME [S,...] uint8, drawn; student.NAME, teacher.NAME [S,...] after each step
  rotta.npz     images [S,B,3,8,8]; outputs [S,B,K]; bank.U, ages.U: indices into the stream and ages at update U, in the
                order of the bank; strong.U; student.NAME, teacher.NAME: parameters and statistics after the last step
  alignment.npz source, target [2,16,64]; NAME [2] and NAME.gradient [2,16,64] for each loss
  views.npz     images [2,3,10,12]; view.V [2,3,10,12], the settings of each in methods.json
  replay.npz    gradient, reference [6,40]; projected [6,40] by A-GEM; draws, places [60]: a reservoir of 7
  methods.json  the settings of both runs and of the views
"""

import argparse
import ast
import copy
import importlib
import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Optional
from unittest import mock

import numpy as np
import torch
from export import export_onnx
from torch import Tensor, nn
from torchvision.transforms import functional as transforms

SIZE, CLASSES = 8, 4
COTTA = {"steps": 4, "batch": 4, "views": 32, "learningRate": 1e-3, "momentum": 0.999, "restore": 0.05}
ROTTA = {
    "steps": 8,
    "batch": 8,
    "capacity": 10,
    "learningRate": 1e-3,
    "nu": 0.001,
    "alpha": 0.05,
    "lambdaTime": 1.0,
    "lambdaUncertainty": 1.0,
}


def create_network() -> nn.Module:
    """Two convolutions with normalization, statistics that fit the images only roughly, and a head that is sure enough."""
    torch.manual_seed(3)
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 8, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, CLASSES),
    )
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.5, 0.5)
                module.running_mean.uniform_(-0.2, 0.2)
                module.running_var.uniform_(0.3, 1.0)
        model.eval()
        features = model[:-1](create_images(40, torch.Generator().manual_seed(4)).to(torch.float32))
        model[-1].weight /= (model[-1].weight @ (features - features.mean(0)).T).std(1, keepdim=True) / 0.6
        model[-1].bias.copy_(-model[-1].weight @ features.mean(0))  # no class is preferred
    return model


def create_images(count: int, generator: torch.Generator) -> Tensor:
    """Noise around one of a few colours, on a grid that float32 holds exactly."""
    colours = torch.randn(CLASSES, 3, 1, 1, generator=generator)
    classes = torch.arange(count) // 5 % CLASSES
    images = colours[classes] + torch.randn(count, 3, SIZE, SIZE, generator=generator)
    return ((images * 8).round() / 8).double()


class RecordedAugmentation:
    """Mirrors and rescales a batch; keeps what it was given and what it made of it."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator
        self.given: list[Tensor] = []
        self.made: list[Tensor] = []

    def __call__(self, images: Tensor) -> Tensor:
        mirror, gain = torch.empty(2).uniform_(generator=self.generator).tolist()
        mirrored = images.flip(-1) if mirror < 0.5 else images
        made = (mirrored * (0.5 + gain) * 4).round() / 4
        self.given.append(images.clone())
        self.made.append(made)
        return made


def parameters_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def trace_cotta(module: ModuleType, network: nn.Module) -> tuple[dict[str, Tensor], dict[str, Any]]:
    generator = torch.Generator().manual_seed(11)
    steps, batch = COTTA["steps"], COTTA["batch"]
    images = create_images(steps * batch, generator).view(steps, batch, 3, SIZE, SIZE)
    model = module.configure_model(network)
    parameters, names = module.collect_params(model)
    optimizer = torch.optim.Adam(parameters, lr=COTTA["learningRate"], betas=(0.9, 0.999), weight_decay=0.0)
    augmentation = RecordedAugmentation(generator)
    module.get_tta_transforms = lambda: augmentation
    with torch.no_grad():
        confidence = torch.stack([model(x).softmax(1).max(1)[0].mean() for x in images])
    threshold = round(confidence.median().item() + 1e-3, 3)  # so that some steps average the views and some do not
    adapter = module.CoTTA(
        model, optimizer, mt_alpha=COTTA["momentum"], rst_m=COTTA["restore"], ap=threshold, steps=1, episodic=False
    )
    masks: list[Tensor] = []

    def recorded_rand(shape: torch.Size) -> Tensor:
        drawn = torch.empty(shape).uniform_(generator=generator)
        masks.append(drawn < COTTA["restore"])
        return drawn

    outputs, students, teachers = [], [], []
    for x in images:
        with mock.patch.object(torch, "rand", recorded_rand):  # the authors draw nothing else with it
            outputs.append(adapter(x).detach())
        students.append(parameters_of(adapter.model))
        teachers.append(parameters_of(adapter.model_ema))
    arrays = {
        "images": images,
        "views": torch.stack(augmentation.made).view(steps, COTTA["views"], batch, 3, SIZE, SIZE),
        "confidence": confidence,
        "outputs": torch.stack(outputs),
    }
    for index, name in enumerate(names):
        arrays[f"mask.{name}"] = torch.stack(masks[index :: len(names)]).to(torch.uint8)
        arrays[f"student.{name}"] = torch.stack([step[name] for step in students])
        arrays[f"teacher.{name}"] = torch.stack([step[name] for step in teachers])
    return arrays, {**COTTA, "threshold": threshold}


def trace_rotta(module: ModuleType, network: nn.Module) -> tuple[dict[str, Tensor], dict[str, Any]]:
    generator = torch.Generator().manual_seed(17)
    steps, batch, capacity = ROTTA["steps"], ROTTA["batch"], ROTTA["capacity"]
    stream = create_images(steps * batch, generator)
    images = stream.view(steps, batch, 3, SIZE, SIZE)
    augmentation = RecordedAugmentation(generator)
    module.get_tta_transforms = lambda _: augmentation
    settings = SimpleNamespace(
        MEMORY_SIZE=capacity,
        UPDATE_FREQUENCY=capacity,
        LAMBDA_T=ROTTA["lambdaTime"],
        LAMBDA_U=ROTTA["lambdaUncertainty"],
        NU=ROTTA["nu"],
        ALPHA=ROTTA["alpha"],
    )
    configuration = SimpleNamespace(
        ADAPTER=SimpleNamespace(RoTTA=settings),
        CORRUPTION=SimpleNamespace(NUM_CLASS=CLASSES),
        OPTIM=SimpleNamespace(STEPS=1),
    )

    def create_optimizer(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, lr=ROTTA["learningRate"], betas=(0.9, 0.999), weight_decay=0.0)

    adapter = module.RoTTA(configuration, network, create_optimizer)
    ages: list[list[int]] = []
    get_memory = adapter.mem.get_memory

    def recorded_memory() -> tuple[list[Tensor], list[float]]:
        data, scaled = get_memory()
        ages.append([round(age * capacity) for age in scaled])
        return data, scaled

    adapter.mem.get_memory = recorded_memory
    arrays = {"images": images, "outputs": torch.stack([adapter(x).detach() for x in images])}
    for update, (bank, strong) in enumerate(zip(augmentation.given, augmentation.made, strict=True)):
        same = (bank[:, None] == stream[None]).flatten(2).all(2)
        arrays[f"bank.{update}"] = same.int().argmax(1).to(torch.int32)
        arrays[f"ages.{update}"] = torch.tensor(ages[update], dtype=torch.int32)
        arrays[f"strong.{update}"] = strong
    for owner, model in (("student", adapter.model), ("teacher", adapter.model_ema)):
        for name, value in model.state_dict().items():
            kept = name.replace("source_mean", "running_mean").replace("source_var", "running_var")
            if "target_" not in name:
                arrays[f"{owner}.{kept}"] = value
    return arrays, {**ROTTA, "updates": len(ages)}


def trace_alignment(paths: argparse.Namespace) -> dict[str, Tensor]:
    """Values and gradients, with respect to the target, of the losses on two pairs of batches."""
    generator = torch.Generator().manual_seed(13)
    source = torch.randn(2, 16, 64, generator=generator)
    target = 0.5 + 1.5 * torch.randn(2, 16, 64, generator=generator)
    edge = import_file(paths.edgevision / "benchmark/alg/algs/online/cua/util.py")
    kernels = import_file(paths.tllib / "tllib/modules/kernels.py")
    dan = definitions_of(paths.tllib / "tllib/alignment/dan.py", "MultipleKernelMaximumMeanDiscrepancy", "_update_index_matrix")
    coral = definitions_of(paths.tllib / "tllib/alignment/coral.py", "CorrelationAlignmentLoss")
    bed = definitions_of(paths.domainbed / "domainbed/algorithms.py", "AbstractMMD", ERM=nn.Module)["AbstractMMD"]

    def domainbed(kind: str) -> Any:
        algorithm = bed.__new__(bed)
        nn.Module.__init__(algorithm)
        algorithm.kernel_type = kind
        return algorithm.mmd

    losses = {
        "edgevision.mmd": edge.mmd_rbf,
        "tllib.mmd": dan["MultipleKernelMaximumMeanDiscrepancy"](
            tuple(kernels.GaussianKernel(alpha=2.0**k) for k in range(-3, 2))
        ),
        "tllib.coral": coral["CorrelationAlignmentLoss"](),
        "domainbed.mmd": domainbed("gaussian"),
        "domainbed.coral": domainbed("mean_cov"),
    }
    arrays = {"source": source, "target": target}
    for name, loss in losses.items():
        values, gradients = [], []
        for s, t in zip(source, target, strict=True):
            variable = t.clone().requires_grad_()
            value = loss(s, variable)
            values.append(value.detach())
            gradients.append(torch.autograd.grad(value, variable)[0])
        arrays |= {name: torch.stack(values), f"{name}.gradient": torch.stack(gradients)}
    return arrays


VIEWS = (
    {"colours": [["brightness", 1.3], ["gamma", 0.8]], "placement": None, "blur": 0.001},
    {"colours": [["contrast", 0.7], ["hue", 0.05]], "placement": None, "blur": 0.5},
    {"colours": [["saturation", 1.4], ["hue", -0.06]], "placement": [12.0, 1, 0, 1.08, False], "blur": 0.3},
    {"colours": [["gamma", 1.2], ["contrast", 1.3], ["saturation", 0.5]], "placement": [-15.0, 0, -1, 0.9, True], "blur": 0.4},
)


def trace_views() -> dict[str, Tensor]:
    """The functions that the authors' chains call, in their order: colours, edge padding, affine, blur, centre crop, mirror."""
    generator = torch.Generator().manual_seed(14)
    images = torch.empty(2, 3, 10, 12).uniform_(generator=generator)
    arrays = {"images": images}
    for index, view in enumerate(VIEWS):
        made = images
        for kind, amount in view["colours"]:
            made = getattr(transforms, f"adjust_{kind}")(made, amount)
        degrees, dx, dy, scale, mirrored = view["placement"] or (0.0, 0, 0, 1.0, False)
        made = transforms.pad(made, [6], padding_mode="edge")
        bilinear = transforms.InterpolationMode.BILINEAR
        made = transforms.affine(made, degrees, [dx, dy], scale, [0.0, 0.0], interpolation=bilinear)
        made = transforms.center_crop(transforms.gaussian_blur(made, [5, 5], [view["blur"]] * 2), [10, 12])
        arrays[f"view.{index}"] = transforms.hflip(made) if mirrored else made
    return arrays


def trace_replay(mammoth: Path) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(15)
    gradient, reference = (torch.randn(6, 40, generator=generator) for _ in range(2))
    project = definitions_of(mammoth / "models/agem.py", "project")["project"]
    pairs = zip(gradient, reference, strict=True)
    projected = torch.stack([project(gxy=g, ger=r) if torch.dot(g, r) < 0 else g for g, r in pairs])
    names = ("BaseSampleSelection", "ReservoirSampling")
    selection = definitions_of(mammoth / "utils/buffer.py", *names, np=np, override=lambda f: f)["ReservoirSampling"]
    reservoir = selection(7, "cpu")
    draws: list[int] = []
    randint = np.random.RandomState(16).randint

    def recorded_randint(low: int, high: int) -> int:
        draws.append(int(randint(low, high)))
        return draws[-1]

    with mock.patch.object(np.random, "randint", recorded_randint):
        places = [reservoir(seen) for seen in range(60)]
    integers = {"draws": draws, "places": places}
    return {
        "gradient": gradient,
        "reference": reference,
        "projected": projected,
        **{name: torch.tensor(values, dtype=torch.int32) for name, values in integers.items()},
    }


def import_file(path: Path) -> ModuleType:
    specification = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def definitions_of(path: Path, *names: str, **scope: Any) -> dict[str, Any]:
    """Some classes and functions of a file whose imports are not installed."""
    tree = ast.parse(path.read_text())
    tree.body = [node for node in tree.body if getattr(node, "name", None) in names]
    scope |= {"torch": torch, "nn": nn, "Optional": Optional, "Sequence": Sequence, "ClassifierBase": object}
    exec(compile(tree, str(path), "exec"), scope)  # noqa: S102, the checkout is the user's own
    return scope


def write_arrays(path: Path, arrays: dict[str, Tensor]) -> None:
    np.savez_compressed(path, **{name: value.numpy() for name, value in arrays.items()})
    print(f"{path.name}: {path.stat().st_size} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("cotta", "rotta", "domainbed", "tllib", "edgevision", "mammoth"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    default = Path(__file__).parent.parent / "test" / "fixtures" / "methods"
    parser.add_argument("--output", type=Path, default=default)
    paths = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.Tensor.cuda = lambda tensor, *_, **__: tensor
    torch.Tensor.float = torch.Tensor.double
    network = create_network()
    paths.output.mkdir(parents=True, exist_ok=True)
    export_onnx(network, SIZE, paths.output / "network.onnx")
    torch.set_default_dtype(torch.float64)
    sys.path[:0] = [str(paths.cotta / "cifar"), str(paths.rotta)]
    cotta, cotta_settings = trace_cotta(importlib.import_module("cotta"), copy.deepcopy(network).double())
    rotta, rotta_settings = trace_rotta(importlib.import_module("core.adapter.rotta"), copy.deepcopy(network).double())
    write_arrays(paths.output / "cotta.npz", cotta)
    write_arrays(paths.output / "rotta.npz", rotta)
    write_arrays(paths.output / "alignment.npz", trace_alignment(paths))
    write_arrays(paths.output / "views.npz", trace_views())
    write_arrays(paths.output / "replay.npz", trace_replay(paths.mammoth))
    settings = {
        "torch": torch.__version__.split("+")[0],
        "cotta": cotta_settings,
        "rotta": rotta_settings,
        "views": VIEWS,
    }
    (paths.output / "methods.json").write_text(json.dumps(settings, indent=2) + "\n")


if __name__ == "__main__":
    main()
