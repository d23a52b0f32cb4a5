"""ONNX models, with QONNX' quantisers, as a graph of real operations. Needs the qonnx extra (onnx alone, for reading)."""

from __future__ import annotations

from collections.abc import Callable
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bnnhw.frontend.onnx_constants import FOLDED, Constant, fold
from bnnhw.frontend.onnx_ops import IGNORED, OPERATIONS, RANKS, Unsupported, Variable, Walk, kept
from bnnhw.ir import graph as g
from bnnhw.ir.errors import BnnhwError

if TYPE_CHECKING:
    import onnx

MAX_BYTES = 2 << 30
MAX_ELEMENTS = 1 << 29
MAX_NODES = 100_000
DOMAINS = ("", "ai.onnx", "onnx.brevitas", "finn.custom_op.general", "qonnx.custom_op.general")
"""Where operators may come from; they are known by their names."""


def read_onnx(path: Path) -> g.Graph:
    """The graph of an ONNX file. Errors: BnnhwError, for all unsupported operators at once."""
    try:
        return _read(path)
    except (ValueError, IndexError, TypeError, KeyError, AttributeError) as e:  # a damaged model trips whatever reads it
        raise BnnhwError(f"{path}: damaged or no ONNX model ({type(e).__name__}); export it again") from None


def _read(path: Path) -> g.Graph:
    model = load_model(path)
    graph, source = model.graph, str(path)
    constants = {i.name: _array(i, path) for i in graph.initializer}
    inputs = [i for i in graph.input if i.name not in constants]
    if len(inputs) != 1 or not _one_output(graph):
        raise BnnhwError(f"{source}: has {len(inputs)} inputs and {len(graph.output)} outputs; export a model of one input and one output")
    nodes = _ordered(graph, source)
    shape = _shape(inputs[0], source)
    walk = Walk(source, {inputs[0].name: Variable(inputs[0].name, shape)}, {**constants, "": None})
    output = _behind_ranks(graph, nodes)
    needed = _needed(nodes, output)
    _check_supported(source, needed, constants)
    for node in needed:
        _step(walk, node)
    last = walk.variables.get(output)
    if last is None:
        raise BnnhwError(f"{source}: its output does not depend on its input; export the model again")
    for node in nodes:
        if node.op_type in RANKS and list(node.input[:1]) == [output]:
            _check_rank(node, last.shape, source)
    return g.Graph(_title(path), source, inputs[0].name, shape[1:], tuple(walk.nodes), last.name)


def load_model(path: Path) -> onnx.ModelProto:
    """The model with its data; nothing outside the file's folder is read. Errors: BnnhwError."""
    try:
        import onnx
        from onnx.external_data_helper import load_external_data_for_tensor, uses_external_data
        from onnx.inliner import inline_local_functions
    except ImportError:
        raise BnnhwError(f"{path}: reading ONNX needs the onnx package; pip install 'bnnhw[qonnx]'") from None
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise BnnhwError(f"{path}: has {size} bytes, at most {MAX_BYTES} are read; keep large data in a file beside it")
        model = onnx.load_model_from_string(path.read_bytes())
    except OSError as e:
        raise BnnhwError(f"{path}: cannot be read ({e.strerror or e}); mend --net") from None
    except BnnhwError:
        raise
    except Exception as e:  # protobuf's own errors have no common class
        raise BnnhwError(f"{path}: damaged or no ONNX model ({type(e).__name__}); export it again") from None
    if not model.graph.node:
        raise BnnhwError(f"{path}: holds no node, so no network; export it again")
    folder = path.resolve().parent
    for tensor in model.graph.initializer:
        if not uses_external_data(tensor):
            continue
        location = next((e.value for e in tensor.external_data if e.key == "location"), "")
        file = (folder / location).resolve()
        if not location or not file.is_relative_to(folder) or not file.is_file():
            raise BnnhwError(
                f"{path}: {tensor.name[:80]!r} lies in {location[:80]!r}, which is no file in the model's folder; keep data beside the model"
            )
        _check_size(tensor, str(path))
        try:
            load_external_data_for_tensor(tensor, str(folder))
        except Exception as e:  # as above
            raise BnnhwError(f"{path}: {tensor.name[:80]!r} cannot be read from {location[:80]!r} ({type(e).__name__}); export it again") from None
    return inline_local_functions(model) if model.functions else model


def _check_size(tensor: onnx.TensorProto, source: str) -> None:
    size = 1
    for d in tensor.dims:
        size *= d
        if d < 0 or size > MAX_ELEMENTS:
            raise BnnhwError(
                f"{source}: {tensor.name[:80]!r} has the shape {list(tensor.dims)[:6]}, at most {MAX_ELEMENTS} numbers are read; mend the model"
            )


def _array(tensor: onnx.TensorProto, path: Path) -> NDArray:
    from onnx import numpy_helper

    _check_size(tensor, str(path))
    try:
        value = np.asarray(numpy_helper.to_array(tensor))
    except Exception as e:  # whatever a damaged tensor trips
        raise BnnhwError(f"{path}: {tensor.name[:80]!r} is damaged ({type(e).__name__}); export the model again") from None
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        raise BnnhwError(f"{path}: {tensor.name[:80]!r} holds NaN or infinity; retrain or mend the model")
    return value


def _ordered(graph: onnx.GraphProto, source: str) -> list[onnx.NodeProto]:
    """Nodes in an order in which they can run."""
    if len(graph.node) > MAX_NODES:
        raise BnnhwError(f"{source}: has {len(graph.node)} nodes, at most {MAX_NODES} are read; export a smaller model")
    maker: dict[str, int] = {}
    for n, node in enumerate(graph.node):
        for name in node.output:
            if name and maker.setdefault(name, n) != n:
                raise BnnhwError(f"{source}: two nodes give {name[:80]!r}; mend the model")
    known = {i.name for i in graph.input} | {i.name for i in graph.initializer} | {""}
    edges: dict[int, set[int]] = {}
    for n, node in enumerate(graph.node):
        for name in node.input:
            if name not in known and name not in maker:
                raise BnnhwError(f"{source}: {node.op_type} {_name(node)!r} takes {name[:80]!r}, which nothing gives; mend the model")
        edges[n] = {maker[name] for name in node.input if name in maker}
    try:
        return [graph.node[n] for n in TopologicalSorter(edges).static_order()]
    except CycleError as e:
        names = " -> ".join(repr(_name(graph.node[n])) for n in e.args[1][:4])
        raise BnnhwError(f"{source}: its nodes run in a cycle, {names}; mend the model") from None


def _one_output(graph: onnx.GraphProto) -> bool:
    """Whether the model has one output, or those of one TopK."""
    if len(graph.output) < 2:
        return len(graph.output) == 1
    names = {o.name for o in graph.output}
    return any(node.op_type == "TopK" and names <= set(node.output) for node in graph.node)


def _behind_ranks(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> str:
    """The tensor whose first largest element is the label: what softmax, argmax and the like at the end take."""
    maker = {name: node for node in nodes for name in node.output}
    output, ranked = graph.output[0].name, graph.output[0].name
    while output in maker and maker[output].op_type in (*RANKS, *IGNORED, "Squeeze") and maker[output].input:
        node = maker[output]
        output = node.input[0]
        if node.op_type in RANKS:
            ranked = output
    return ranked


RANKED = "the label is the first largest of [1, classes]"


def _check_rank(node: onnx.NodeProto, shape: tuple[int, ...], source: str) -> None:
    """Refuse ends that take another label than the first largest."""
    from onnx.helper import get_attribute_value

    a = {x.name: get_attribute_value(x) for x in node.attribute}
    axis = a.get("axis", 0 if node.op_type == "ArgMax" else -1)
    if len(shape) != 2 or axis not in (1, -1) or not a.get("largest", 1) or a.get("select_last_index", 0):
        raise BnnhwError(f"{source}: {node.op_type} {_name(node)!r} ranks {shape} along axis {axis}; {RANKED}: end so, or before it")


def _needed(nodes: list[onnx.NodeProto], output: str) -> list[onnx.NodeProto]:
    """Nodes that the output depends on."""
    wanted, found = {output}, []
    for node in reversed(nodes):
        if wanted & set(node.output):
            wanted |= set(node.input)
            found.append(node)
    return found[::-1]


def _check_supported(source: str, nodes: list[onnx.NodeProto], constants: dict[str, Any]) -> None:
    """Refuse all operators at once that no reader knows."""
    fixed, unknown = set(constants), []
    for node in nodes:
        constant = all(name in fixed or not name for name in node.input)
        if constant:
            fixed |= set(node.output)
        known = node.op_type in OPERATIONS or node.op_type in IGNORED or node.op_type in FOLDED
        if node.domain not in DOMAINS or not known or any(a.HasField("g") or a.graphs for a in node.attribute):
            unknown.append(f"{node.op_type} {_name(node)!r}")
    if unknown:
        more = f" and {len(unknown) - 20} more" if len(unknown) > 20 else ""
        raise BnnhwError(
            f"{source}: {len(unknown)} operator{'s are' if len(unknown) > 1 else ' is'} not supported: {', '.join(unknown[:20])}{more}; "
            "replace them with those of docs/import.md, or cut the model before them"
        )


def _step(walk: Walk, node: onnx.NodeProto) -> None:
    """One node: a constant is folded, another becomes an operation."""
    from onnx.helper import get_attribute_value

    name = _name(node)
    try:
        attributes = {a.name: _plain(get_attribute_value(a)) for a in node.attribute}
        if node.op_type == "Shape" and node.input[0] in walk.variables:
            walk.constants[node.output[0]] = np.array(walk.variables[node.input[0]].shape, np.int64)
        elif all(i in walk.constants for i in node.input):
            values: list[Constant | None] = [walk.constants[i] for i in node.input]
            found = fold(node.op_type, attributes, values, MAX_ELEMENTS)
            if not isinstance(found, g.Codes) and found.dtype.kind == "f" and np.isnan(found).any():
                raise Unsupported("gives what is no number; mend the model")
            walk.constants[node.output[0]] = found
        else:
            handler: Callable | None = OPERATIONS.get(node.op_type)
            if node.op_type in IGNORED:
                walk.variables[node.output[0]] = kept(walk.variables[node.input[0]], node.op_type, attributes)
            elif handler is None:
                raise Unsupported(f"takes what is computed from the input; {node.op_type} is done on constants only")
            else:
                handler(walk.at(node.op_type, name, node.output[0]), attributes, *node.input)
    except Unsupported as e:
        raise BnnhwError(f"{walk.source}: {node.op_type} {name!r}: {e}") from None
    except (
        ValueError,
        IndexError,
        TypeError,
        KeyError,
        AttributeError,
        OverflowError,
        MemoryError,
    ) as e:  # what shapes that do not fit trip in NumPy
        reason = str(e).splitlines()[0][:120] if str(e) else type(e).__name__
        raise BnnhwError(f"{walk.source}: {node.op_type} {name!r}: its inputs do not fit it ({reason}); export the model again") from None


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if hasattr(value, "dims"):
        from onnx import TensorProto, numpy_helper

        if value.data_location == TensorProto.EXTERNAL:
            raise Unsupported("keeps its number in another file; keep it in the model")
        return np.asarray(numpy_helper.to_array(value))
    return value


def _shape(value: onnx.ValueInfoProto, source: str) -> tuple[int, ...]:
    """Shape of the input with a batch of 1."""
    dims = [d.dim_value for d in value.type.tensor_type.shape.dim]
    if len(dims) < 2 or any(d < 1 for d in dims[1:]) or dims[0] > 1 << 20:
        named = [d.dim_value or d.dim_param or "?" for d in value.type.tensor_type.shape.dim]
        raise BnnhwError(f"{source}: input {value.name[:80]!r} has the shape {named}; export it with fixed sizes behind the batch")
    if int(np.prod(dims[1:], dtype=object)) > MAX_ELEMENTS:
        raise BnnhwError(f"{source}: input {value.name[:80]!r} has the shape {dims}, at most {MAX_ELEMENTS} numbers are read; mend the model")
    return (1, *dims[1:])


def _name(node: onnx.NodeProto) -> str:
    """What a user knows a node by."""
    return (node.name or (node.output[0] if node.output else node.op_type)).strip("/")[:120]


def _title(path: Path) -> str:
    return path.stem[:100] or "network"
