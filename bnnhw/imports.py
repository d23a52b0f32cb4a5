"""Networks from wherever they come: descriptions with weights, ONNX, PyTorch modules, Brevitas models; and their import checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnhw import frontend
from bnnhw.ir import graph as g
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.integer import PORT
from bnnhw.ir.topology import INPUT
from bnnhw.ir.trained import TrainedNetwork
from bnnhw.lower import ends_of_blocks, lower
from bnnhw.lower.inputs import InputAs
from bnnhw.lower.recognise import Recognised, recognise
from bnnhw.verify.frames import Frames, check_count, random_frames
from bnnhw.verify.imported import ImportCheck, compare

CHECKED_FRAMES = 16
"""Of `import_check`, where none are given."""


@dataclass(frozen=True, eq=False)
class Foreign:
    """A model of another framework's: its graph, what was recognised in it, and how its framework runs it."""

    graph: g.Graph
    recognised: Recognised
    reference: Callable[[NDArray], dict[str, NDArray]]


def is_onnx(net: object) -> bool:
    """Whether a network is given as the path of an ONNX file."""
    return isinstance(net, str | Path) and str(net).endswith(".onnx")


def trained_network(net: str | Path | TrainedNetwork, weights: str | Path | None = None, input_as: str | None = None) -> TrainedNetwork:
    """The trained network of a YAML file, a name of the zoo, or an ONNX file. Errors: BnnhwError."""
    if isinstance(net, TrainedNetwork):
        return net
    if is_onnx(net):
        if weights is not None:
            raise BnnhwError(f"{str(net)!r}: has its own weights; remove --weights")
        return onnx_model(Path(net), input_as).recognised.trained
    if input_as is not None:
        raise BnnhwError(f"{str(net)!r}: describes its own input; --input is for ONNX files")
    return frontend.load(net, weights)


def expected_file(net: str | Path | TrainedNetwork) -> Path | None:
    """File with the framework's outputs that a description names. Errors: BnnhwError."""
    return None if isinstance(net, TrainedNetwork) or is_onnx(net) else frontend.expected_file(net)


def onnx_model(path: Path, input_as: str | None = None) -> Foreign:
    """An ONNX file. Errors: BnnhwError."""
    from bnnhw.frontend.onnx_net import read_onnx
    from bnnhw.frontend.onnx_run import run_onnx

    if not path.is_file():
        raise BnnhwError(f"network {str(path)[:200]!r}: no such file; mend --net")
    graph = read_onnx(path)
    return Foreign(graph, recognise(graph, _input(input_as)), lambda frames: run_onnx(path, frames))


def from_torch(module: Any, example_input: Any, *, input_as: str | None = None) -> TrainedNetwork:
    """The trained network that a PyTorch module computes in evaluation mode, however its `forward` is written.

    `example_input` [N, ...] has the network's shape; `input_as` says what frames hold, as `--input` does (docs/import.md).
    Errors: BnnhwError that names modules and operations that are not recognised, all at once.
    """
    return torch_model(module, example_input, input_as).recognised.trained


def torch_model(module: Any, example_input: Any, input_as: str | None = None) -> Foreign:
    """A PyTorch module. Errors: BnnhwError."""
    try:
        from bnnhw.frontend.torch_net import read_module
    except ImportError as e:
        raise BnnhwError(f"reading PyTorch modules needs {e.name}; pip install 'bnnhw[train]'") from None
    graph, reference = read_module(module, example_input)
    return Foreign(graph, recognise(graph, _input(input_as)), reference)


def from_brevitas(model: Any, example_input: Any, *, input_as: str | None = None, exporter: str = "torchscript") -> TrainedNetwork:
    """The trained network of a Brevitas model, by its export to QONNX; `exporter`: torchscript or dynamo. Errors: BnnhwError."""
    from bnnhw.frontend.brevitas_net import read_brevitas

    return recognise(read_brevitas(model, example_input, exporter), _input(input_as)).trained


def _input(input_as: str | None) -> InputAs | None:
    return None if input_as is None else InputAs.parse(input_as)


def foreign(net: str | Path | Any, example_input: Any = None, input_as: str | None = None) -> Foreign:
    """An ONNX file, or a PyTorch module. Errors: BnnhwError."""
    if is_onnx(net):
        return onnx_model(Path(net), input_as)
    if isinstance(net, str | Path):
        raise BnnhwError(f"{str(net)[:200]!r}: is no ONNX file; bnnhw verify checks other networks, whose framework's outputs are saved with them")
    return torch_model(net, example_input, input_as)


def check(model: Foreign, frames: int, data: Frames | None, seed: int) -> ImportCheck:
    """Run a model in its own framework and in golden on the same frames, random ones if `data` is None. Errors: BnnhwError."""
    trained = model.recognised.trained
    lowered = lower(trained, drop=False)
    port = lowered.network.port
    check_count(frames, None if data is None else len(data.x), "frames")
    x, source = (random_frames(port, frames, seed), f"random, seed {seed}") if data is None else (data.x[:frames], data.source)
    layers = {INPUT: PORT, **ends_of_blocks(trained.topology)}
    doubts: dict[str, set[int]] = {}
    for one in trained.close:
        doubts.setdefault(one.layer, set()).add(one.channel)
    ids = model.recognised.places
    if x.shape[1:] == model.graph.shape != port.shape:  # as the model has them, channels last
        x, given = np.zeros((len(x), *port.shape), x.dtype), x
        x.reshape(len(x), -1)[:, ids.ravel()] = given.reshape(len(x), -1)
    real = reals(x, port.real).reshape(len(x), -1)[:, ids]
    seen = [(layers[one.stream], one) for one in model.recognised.seen if one.stream in layers]
    return compare(lowered.network, seen, model.reference(real), model.graph.output, x, source, doubts)


def reals(frames: NDArray, real: tuple[float, float] | None) -> NDArray[np.float32]:
    """Frames as the framework takes them: integers in their unit."""
    if not np.issubdtype(frames.dtype, np.integer):
        return frames.astype(np.float32)
    unit, offset = real or (1.0, 0.0)
    return (frames * unit + offset).astype(np.float32)
