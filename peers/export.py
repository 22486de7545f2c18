"""PyTorch module to ONNX file, the way most users' models were made."""

import warnings
from pathlib import Path

import onnx
import torch
from torch import nn


def export_onnx(model: nn.Module, size: int, path: Path) -> None:
    """Writes an evaluation-mode model as ONNX opset 17: `input` [batch, 3, size, size] to `logits` [batch, classes].

    BatchNormalization nodes stay nodes (nothing is folded), and initializers carry the state-dict names.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the older exporter keeps norms and weight names
        torch.onnx.export(
            model,
            (torch.zeros(2, 3, size, size),),
            path,
            dynamo=False,
            opset_version=17,
            training=torch.onnx.TrainingMode.PRESERVE,
            do_constant_folding=False,
            input_names=["input"],
            output_names=["logits"],
            dynamic_axes={"input": {0: "batch"}, "logits": {0: "batch"}},
        )
    exported = onnx.load(path)
    onnx.checker.check_model(exported, full_check=True)
    expected = {name for name in model.state_dict() if not name.endswith("num_batches_tracked")}
    if (found := {tensor.name for tensor in exported.graph.initializer}) != expected:
        raise RuntimeError(f"{path}: initializers must be the state dict, differ in {sorted(found ^ expected)}")
