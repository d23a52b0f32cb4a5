"""ONNX models in QONNX' own executor: the reference that an import is compared with. Needs the qonnx extra."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bnnhw.frontend.onnx_net import load_model
from bnnhw.ir.errors import BnnhwError

NEWEST_IR = 10
"""Version of ONNX files that every onnxruntime at hand reads."""


def run_onnx(path: Path, frames: NDArray[np.float32]) -> dict[str, NDArray]:
    """Every tensor [N, ...] of the model for frames [N, ...], one by one. Errors: BnnhwError."""
    model = load_model(path)
    try:
        from qonnx.core.modelwrapper import ModelWrapper
        from qonnx.core.onnx_exec import execute_onnx
        from qonnx.transformation.infer_shapes import InferShapes
    except ImportError:
        raise BnnhwError(f"{path}: running ONNX models needs qonnx; pip install 'bnnhw[qonnx]'") from None
    model.ir_version = min(model.ir_version, NEWEST_IR)
    for node in model.graph.node:
        if node.domain == "onnx.brevitas":
            node.domain = "qonnx.custom_op.general"
    if "qonnx.custom_op.general" not in {o.domain for o in model.opset_import}:
        model.opset_import.add(domain="qonnx.custom_op.general", version=1)
    stored = {i.name for i in model.graph.initializer}
    ends = [v.type.tensor_type.shape.dim for v in (*model.graph.input, *model.graph.output) if v.name not in stored]
    if any(len(dims) and dims[0].dim_value != 1 for dims in ends):  # frames go one by one
        for dims in ends:
            for d in dims[:1]:
                d.dim_value = 1
        del model.graph.value_info[:]
    found: dict[str, list[NDArray]] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            wrapped = ModelWrapper(model).transform(InferShapes())
            (given,) = (i.name for i in wrapped.graph.input if wrapped.get_initializer(i.name) is None)
            for frame in frames:
                for name, value in execute_onnx(wrapped, {given: frame[None].astype(np.float32)}, return_full_exec_context=True).items():
                    found.setdefault(name, []).append(np.asarray(value))
        except Exception as e:  # whatever its executor trips
            reason = str(e).strip().splitlines()[0][:200] if str(e).strip() else type(e).__name__
            raise BnnhwError(f"{path}: QONNX' executor cannot run it ({reason}); mend the model") from None
    return {name: np.concatenate(values) for name, values in found.items() if values[0].ndim and len(values[0]) == 1}
