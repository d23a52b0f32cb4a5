"""Brevitas models, by their own export to QONNX. Needs brevitas, onnxoptimizer and, for the newer exporter, onnxscript."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

from bnnhw.frontend.onnx_net import read_onnx
from bnnhw.ir import graph as g
from bnnhw.ir.errors import BnnhwError

EXPORTERS = ("torchscript", "dynamo")


def read_brevitas(model: Any, example: Any, exporter: str = "torchscript") -> g.Graph:
    """The graph of a Brevitas model as it exports itself; `exporter`: one of EXPORTERS. Errors: BnnhwError."""
    with tempfile.TemporaryDirectory() as folder:
        return read_onnx(export_qonnx(model, example, Path(folder) / f"{type(model).__name__}.onnx", exporter))


def export_qonnx(model: Any, example: Any, path: Path, exporter: str = "torchscript") -> Path:
    """Write the model's own QONNX export; `path` again. Errors: BnnhwError."""
    title = type(model).__name__
    if exporter not in EXPORTERS:
        raise BnnhwError(f"{title}: exporter {exporter!r} is not known; give {' or '.join(EXPORTERS)}")
    try:
        from brevitas.export import export_qonnx as run
    except ImportError:
        raise BnnhwError(f"{title}: reading Brevitas models needs brevitas; pip install 'bnnhw[brevitas]'") from None
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    training = model.training
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            more: dict[str, Any] = {"dynamo": True, "optimize": True} if exporter == "dynamo" else {}
            run(model.eval(), args=example[:1], export_path=str(path), **more)
    except Exception as e:  # whatever the model's own code, or its export, trips
        reason = str(e).strip().splitlines()[0][:200] if str(e).strip() else type(e).__name__
        raise BnnhwError(f"{title}: Brevitas cannot export it by {exporter} ({reason}); try the other exporter, or from_torch") from None
    finally:
        model.train(training)
    return path
