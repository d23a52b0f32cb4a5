"""PyTorch modules as a graph of real operations, by `torch.export`: what `forward` computes, however it is written. Needs torch."""

from __future__ import annotations

import operator
from collections.abc import Callable
from math import inf, prod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.fx import Node as Fx

from bnnhw.frontend.grids import times
from bnnhw.ir import graph as g
from bnnhw.ir.errors import BnnhwError

SHOWN = 20
"""Unsupported operations that a message lists."""


class Unsupported(Exception):
    """What is wrong with an operation, and the remedy."""


Reference = Callable[[np.ndarray], dict[str, np.ndarray]]
"""Frames [N, ...] of float32 to every tensor [N, ...] by its name in the graph."""


def read_module(module: nn.Module, example: Tensor) -> tuple[g.Graph, Reference]:
    """The graph of a module in evaluation mode, and the module itself; `example` [N, ...] is an input.

    Errors: BnnhwError, for all unsupported operations at once.
    """
    title = type(module).__name__
    if not isinstance(example, Tensor) or example.ndim < 2 or not len(example):
        raise BnnhwError(f"{title}: the example input is no tensor [N, ...]; give one like those that the network takes")
    if example.dtype in (torch.float16, torch.bfloat16) or any(p.dtype in (torch.float16, torch.bfloat16) for p in module.parameters()):
        raise BnnhwError(f"{title}: computes in half precision, whose rounding no integers follow; convert it by module.float()")
    training = module.training
    try:
        program = torch.export.export(module.eval(), (example[:1],), strict=False)
    except Exception as e:  # whatever the module's own code, or tracing it, trips
        reason = str(e).strip().splitlines()[0][:200] if str(e).strip() else type(e).__name__
        raise BnnhwError(f"{title}: torch.export cannot follow forward ({reason}); make forward free of control flow that depends on data") from None
    finally:
        module.train(training)
    return _Reader(title, program).graph(), lambda frames: _run(program, frames)


class _Recorder(torch.fx.Interpreter):
    """Runs a graph and keeps what every node gives."""

    def __init__(self, module: Any) -> None:
        super().__init__(module)
        self.kept: dict[str, Tensor] = {}

    def run_node(self, n: Fx) -> Any:
        """What the node gives, copied, for later operations in place."""
        found = super().run_node(n)
        if isinstance(found, Tensor):
            self.kept[n.name] = found.clone()
        return found


def _run(program: Any, frames: np.ndarray) -> dict[str, np.ndarray]:
    stored, found = {**program.state_dict, **program.constants}, dict[str, list[np.ndarray]]()
    given = next(n for n, s in zip(program.graph.nodes, program.graph_signature.input_specs, strict=False) if s.target is None)
    with torch.no_grad():
        for frame in frames:
            x = torch.from_numpy(frame[None].astype(np.float32)).to(given.meta["val"].dtype)
            recorder = _Recorder(program.graph_module)
            recorder.run(*(x if spec.target is None else stored[spec.target] for spec in program.graph_signature.input_specs))
            for name, value in recorder.kept.items():
                found.setdefault(name, []).append(value.float().numpy() if value.is_floating_point() else value.numpy())
    return {name: np.concatenate(values) for name, values in found.items() if values[0].ndim and len(values[0]) == 1}


class _Reader:
    """Walks over what `forward` does."""

    def __init__(self, title: str, program: Any) -> None:
        self.title = title
        self.nodes: list[g.Node] = []
        self.names: dict[Fx, str] = {}
        """Tensors that depend on the input."""
        self.constants: dict[Fx, Any] = {}
        self.codes: dict[Fx, g.Codes] = {}
        self.same: dict[Fx, Fx] = {}
        """What stands for an operation that has no effect here."""
        self.fx = list(program.graph.nodes)
        self.input = self._placeholders(program)

    def _placeholders(self, program: Any) -> Fx:
        stored = {**program.state_dict, **program.constants}
        inputs = []
        for node, spec in zip([n for n in self.fx if n.op == "placeholder"], program.graph_signature.input_specs, strict=True):
            if spec.target is None:
                inputs.append(node)
            else:
                self.constants[node] = stored[spec.target].detach()
        if len(inputs) != 1:
            raise BnnhwError(f"{self.title}: forward takes {len(inputs)} tensors, networks take one; wrap it")
        return inputs[0]

    def graph(self) -> g.Graph:
        """All of it."""
        self.names[self.input] = self.input.name
        for node in self.fx:
            if node.op == "call_function" and _kind(node, plain=False).endswith("_") and self._has_views(node):
                raise BnnhwError(f"{self.title}: {_where(node)} changes in place what others view{_line(node)}; write it without the underscore")
        output = self._behind_ranks()
        needed = self._needed(output)
        self._check(needed)
        with torch.no_grad():
            for node in needed:
                self._step(node)
        last = self._resolved(output)
        if last not in self.names:
            raise BnnhwError(f"{self.title}: its output does not depend on its input; mend forward")
        shape = tuple(self.input.meta["val"].shape[1:])
        return g.Graph(self.title, self.title, self.input.name, shape, tuple(self.nodes), self.names[last])

    def _behind_ranks(self) -> Fx:
        given = next(n for n in self.fx if n.op == "output").args[0]
        found = [n for n in given if isinstance(n, Fx)] if isinstance(given, tuple | list) else [given]
        if len(found) != 1:
            raise BnnhwError(f"{self.title}: forward gives {len(found)} tensors, networks give one; wrap it")
        node = ranked = found[0]
        while node.op == "call_function" and _kind(node) in (*RANKS, *PASSED, "squeeze"):
            if _kind(node) in RANKS and node.target is not operator.getitem:
                self._check_rank(node)
            ranked = node.args[0] if _kind(node) in RANKS else ranked
            node = node.args[0]
        return ranked

    def _check_rank(self, node: Fx) -> None:
        """Refuse ends that take another label than the first largest."""
        shape, kind = tuple(node.args[0].meta["val"].shape), _kind(node)
        axis = node.args[2 if kind == "topk" else 1] if len(node.args) > (2 if kind == "topk" else 1) else -1
        largest = kind != "topk" or len(node.args) < 4 or node.args[3]
        if len(shape) != 2 or axis not in (None, 1, -1) or not largest or any(k in node.kwargs for k in ("largest", "dim")):
            raise BnnhwError(
                f"{self.title}: {kind} ranks {shape} along axis {axis}; the label is the first largest of [1, classes]: end so, or before it"
            )

    def _needed(self, output: Fx) -> list[Fx]:
        wanted, found = {output}, []
        for node in reversed(self.fx):
            changed = node.op == "call_function" and _kind(node, plain=False).endswith("_") and node.args[0] in wanted
            if (node in wanted or changed) and node.op == "call_function":
                straight = self._straight_through(node, _kind(node))
                wanted |= set(node.all_input_nodes) if straight is None else {straight}
                found.append(node)
        return found[::-1]

    def _check(self, nodes: list[Fx]) -> None:
        """Refuse all operations at once that no reader knows."""
        open_nodes, unknown = {self.input}, []
        for node in nodes:
            if not any(n in open_nodes for n in node.all_input_nodes):
                continue
            open_nodes.add(node)
            if _kind(node) not in (*OPERATIONS, *PASSED, *LIKE):
                unknown.append(f"{_where(node)} does {_kind(node)}{_line(node)}")
        if unknown:
            more = f"; and {len(unknown) - SHOWN} more" if len(unknown) > SHOWN else ""
            raise BnnhwError(
                f"{self.title}: {len(unknown)} operation{'s are' if len(unknown) > 1 else ' is'} not recognised: {'; '.join(unknown[:SHOWN])}{more}; "
                "write them with those of docs/import.md"
            )

    def _resolved(self, node: Fx) -> Fx:
        while node in self.same:
            node = self.same[node]
        return node

    def _step(self, node: Fx) -> None:
        kind = _kind(node)
        straight = self._straight_through(node, kind)
        if straight is not None:
            self.same[node] = straight
            return
        try:
            if not any(self._resolved(n) in self.names for n in node.all_input_nodes) or kind in LIKE:
                self._fold(node, kind)
            elif kind in PASSED:
                _check_passed(node, kind)
                self.same[node] = self._resolved(node.args[0])
            else:
                _check_options(node, kind)
                operations, inputs = OPERATIONS[kind](self, node, *node.args)
                self._put(node, operations, inputs)
        except Unsupported as e:
            raise BnnhwError(f"{self.title}: {_where(node)} does {kind}{_line(node)}: {e}") from None
        if _kind(node, plain=False).endswith("_") and self._resolved(node) is not self._resolved(node.args[0]):
            self.same[self._resolved(node.args[0])] = self._resolved(node)

    def _has_views(self, node: Fx) -> bool:
        """Whether what an operation changes in place is a view, or has one that others read."""
        changed = node.args[0]
        base = changed.args[0] if changed.op == "call_function" and _kind(changed) in VIEWS else None
        return (base is not None and len(base.users) > 1) or any(_kind(u) in VIEWS for u in changed.users if u.op == "call_function")

    def _put(self, node: Fx, operations: list[g.Operation], inputs: list[Fx]) -> None:
        names, where = tuple(self.names[self._resolved(n)] for n in inputs), _path(node) or node.name
        for n, operation in enumerate(operations):
            out = node.name if n == len(operations) - 1 else f"{node.name}:{n}"
            self.nodes.append(g.Node(operation, where, names, out))
            names = (out,)
        self.names[node] = names[0]

    def _straight_through(self, node: Fx, kind: str) -> Fx | None:
        """q of x + (q - x) and (q - x) + x, as straight-through gradients are written."""
        if kind != "add" or len(node.args) < 2 or node.kwargs:
            return None
        for at, other in ((node.args[0], node.args[1]), (node.args[1], node.args[0])):
            step = at
            while isinstance(step, Fx) and step.op == "call_function" and _kind(step) in PASSED:
                step = step.args[0]
            if (
                isinstance(step, Fx)
                and step.op == "call_function"
                and _kind(step) == "sub"
                and not step.kwargs
                and self._passed(step.args[1]) is self._passed(other)
            ):
                return self._resolved(step.args[0])
        return None

    def _passed(self, node: Any) -> Any:
        while isinstance(node, Fx) and node.op == "call_function" and _kind(node) in PASSED:
            node = node.args[0]
        return self._resolved(node) if isinstance(node, Fx) else node

    # Constants.

    def _fold(self, node: Fx, kind: str) -> None:
        """What is computed from parameters alone, as torch does."""
        if kind in LIKE:
            args = [torch.zeros(n.meta["val"].shape) if isinstance(n, Fx) and self._resolved(n) in self.names else self._value(n) for n in node.args]
        else:
            args = [self._value(n) for n in node.args]
        self.constants[node] = node.target(
            *args, **{k: self._value(v) for k, v in node.kwargs.items() if k not in ("layout", "device", "pin_memory")}
        )
        first = self._resolved(node.args[0]) if node.args and isinstance(node.args[0], Fx) else None
        if kind in (*PASSED, *SHAPES) and first in self.codes:
            old, change = self.codes[first], node.target
            if kind not in SHAPES:
                self.codes[node] = old
                return
            spread = np.broadcast_to(old.scale, old.integers.shape).copy()
            whole, scale = (change(torch.from_numpy(v), *args[1:]).numpy() for v in (old.integers, spread))
            self.codes[node] = g.Codes(whole, scale)
        if kind in ("mul", "div"):
            a, b = (np.asarray(v.double() if isinstance(v, Tensor) else v, np.float64) for v in args[:2])
            found = times(a, b, divide=kind == "div")
            if found is not None:
                self.codes[node] = found

    def _value(self, arg: Any) -> Any:
        if isinstance(arg, Fx):
            found = self._resolved(arg)
            if found not in self.constants:
                raise Unsupported("mixes parameters with what is computed from the input; only numbers known beforehand can be used")
            return self.constants[found]
        if isinstance(arg, list | tuple):
            return type(arg)(self._value(a) for a in arg)
        return arg

    def number(self, arg: Any) -> np.ndarray:
        """A constant as float64, for a batch of one."""
        value = self._value(arg)
        return value.detach().double().numpy() if isinstance(value, Tensor) else np.asarray(value, np.float64)

    def weights(self, arg: Any) -> g.Codes | np.ndarray:
        """Weights, as codes where they are known."""
        found = self._resolved(arg)
        if found in self.names:
            raise Unsupported("has weights that are computed from the input; weights must be parameters")
        return self.codes[found] if found in self.codes else self.number(arg)

    def varies(self, arg: Any) -> bool:
        """Whether an argument depends on the input."""
        return isinstance(arg, Fx) and self._resolved(arg) in self.names


# What an operation is called, and where it stands.

VIEWS = ("view", "reshape", "flatten", "permute", "transpose", "t", "squeeze", "unsqueeze", "detach", "alias", "slice", "select", "expand", "view_as")
PASSED = ("detach", "clone", "alias", "contiguous", "to", "_to_copy", "dropout", "feature_dropout", "lift_fresh_copy", "type_as", "float")
SHAPES = ("view", "reshape", "permute", "transpose", "t", "flatten", "squeeze", "unsqueeze")
RANKS = ("softmax", "log_softmax", "_softmax", "_log_softmax", "argmax", "topk")
LIKE = ("ones_like", "zeros_like", "full_like")
"""Constants of a tensor's shape."""


OPTIONS = {"clamp": 3, "clip": 3, "hardtanh": 3, "relu": 1, "relu6": 1, "sign": 1, "neg": 1, "floor": 1, "ceil": 1, "trunc": 1, "round": 1, "hardsigmoid": 1,
           "add": 2, "sub": 2, "mul": 2, "div": 2, "gt": 2, "ge": 2, "lt": 2, "le": 2, "clamp_min": 2, "clamp_max": 2, "where": 3, "addmm": 3, "linear": 3,
           "matmul": 2, "mm": 2, "rsub": 2}  # fmt: skip
"""Arguments that are understood; further ones, and keywords but KEYWORDS, change what is computed."""
KEYWORDS = {"clamp": ("min", "max"), "clip": ("min", "max"), "add": ("alpha",), "sub": ("alpha",)}


def _check_options(node: Fx, kind: str) -> None:
    """Refuse arguments that no reader understands."""
    further = [a for a in node.args[OPTIONS.get(kind, len(node.args)) :] if a not in (None, 1) or kind != "rsub"]
    odd = [k for k in node.kwargs if k not in KEYWORDS.get(kind, ())]
    if further or (kind in OPTIONS and odd):
        raise Unsupported(f"has {', '.join(odd) or 'an option'}, which is not understood; write it without")


def _check_passed(node: Fx, kind: str) -> None:
    """Refuse what has an effect after all."""
    if kind.endswith("dropout") and len(node.args) > 2 and node.args[2]:
        raise Unsupported("drops at random in evaluation too; pass training=self.training, or use nn.Dropout")
    before, after = (n.meta["val"].dtype for n in (node.args[0], node))
    if before.is_floating_point and not after.is_floating_point:
        raise Unsupported(f"turns numbers into {after}; round by a quantiser, and keep floats")


def _kind(node: Fx, plain: bool = True) -> str:
    """conv2d of aten.conv2d.default; without the underscore of operations in place where `plain`."""
    target = node.target
    if target is operator.getitem:
        return (
            "topk" if plain and isinstance(node.args[0], Fx) and node.args[0].op == "call_function" and _kind(node.args[0]) == "topk" else "getitem"
        )
    name = str(getattr(target, "__name__", target)).split(".")[0]
    return name.rstrip("_") if plain and not name.startswith("__") else name


def _path(node: Fx) -> str:
    """Path of the module that an operation stands in."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    return str(stack[-1][0]) if stack else ""


def _where(node: Fx) -> str:
    return f"module {_path(node)!r}" if _path(node) else "forward"


def _line(node: Fx) -> str:
    """The line of code, where it is known."""
    lines = [
        line.strip() for line in (node.meta.get("stack_trace") or "").splitlines() if line.strip() and not line.strip().startswith(("File", "^", "~"))
    ]
    return f" (`{lines[-1][:100]}`)" if lines else ""


# Operations: (reader, node, arguments) -> operations one behind the other, and what they take.

Made = tuple[list[g.Operation], list[Fx]]


def _elementwise(first: Callable[[np.ndarray], list[g.Operation]], second: Callable[[np.ndarray], list[g.Operation]] | None) -> Callable[..., Made]:
    """A function of a tensor and a constant, either way round."""

    def read(r: _Reader, node: Fx, x: Any, y: Any, *rest: Any) -> Made:
        swapped = not r.varies(x)
        v, c = (y, x) if swapped else (x, y)
        how = second if swapped else first
        if how is None or r.varies(c):
            raise Unsupported("combines two tensors that both depend on the input; only sums of two can be computed")
        constant = r.number(c)
        if tuple(np.broadcast_shapes(constant.shape, tuple(v.meta["val"].shape))) != tuple(v.meta["val"].shape):
            raise Unsupported(f"spreads {tuple(v.meta['val'].shape)} over {constant.shape}; give a constant of the tensor's shape, or less")
        return how(constant), [v]

    return read


def _sum(negate: bool) -> Callable[..., Made]:
    constant = _elementwise(
        lambda c: [g.Shift(-c if negate else c)], (lambda c: [g.Scale(np.array(-1.0)), g.Shift(c)]) if negate else (lambda c: [g.Shift(c)])
    )

    def read(r: _Reader, node: Fx, x: Any, y: Any, *rest: Any) -> Made:
        if node.kwargs.get("alpha", 1) != 1:
            raise Unsupported("has an alpha; multiply before")
        if r.varies(x) and r.varies(y):
            if x.meta["val"].shape != y.meta["val"].shape:
                raise Unsupported(f"adds shapes {tuple(x.meta['val'].shape)} and {tuple(y.meta['val'].shape)}; give both one")
            return [g.Add(negate)], [x, y]
        return constant(r, node, x, y)

    return read


def _compared(closed: bool, less: bool) -> Callable[..., Made]:
    def found(c: np.ndarray, less: bool) -> list[g.Operation]:
        side = np.array(-0.5 if less else 0.5)
        return [g.Shift(-c), g.Bipolar(np.array(1.0), 1 if closed != less else -1), g.Scale(side), g.Shift(np.array(0.5))]

    return _elementwise(lambda c: found(c, less), lambda c: found(c, not less))


def _one(*operations: g.Operation) -> Callable[..., Made]:
    return lambda r, node, x, *rest: (list(operations), [x])


def _where_op(r: _Reader, node: Fx, condition: Any, x: Any, y: Any) -> Made:
    if r.varies(x) or r.varies(y):
        raise Unsupported("chooses between tensors; choose between two constants")
    a, b = r.number(x), r.number(y)
    return [g.Scale(a - b), g.Shift(b)], [condition]


def _clamp(r: _Reader, node: Fx, x: Any, low: Any = None, high: Any = None) -> Made:
    low, high = node.kwargs.get("min", low), node.kwargs.get("max", high)
    if any(v is not None and r.number(v).size != 1 for v in (low, high)):
        raise Unsupported("has ends for each element; give one for all")
    ends = [(-inf, inf)[n] if v is None else float(r.number(v).item()) for n, v in enumerate((low, high))]
    return [g.Clip(*ends)], [x]


def _conv(r: _Reader, node: Fx, x: Any, w: Any, bias: Any = None, stride: Any = 1, pad: Any = 0, dilation: Any = 1, groups: int = 1) -> Made:
    weights = r.weights(w)
    shape = (weights.integers if isinstance(weights, g.Codes) else weights).shape
    line = len(shape) == 3
    if line:
        tall = (*shape[:2], 1, shape[2])
        weights = (
            g.Codes(weights.integers.reshape(tall), np.broadcast_to(weights.scale, shape).reshape(tall))
            if isinstance(weights, g.Codes)
            else weights.reshape(tall)
        )
    s, d = _two(stride, line, 1), _two(dilation, line, 1)
    if isinstance(pad, str):
        spread = [di * (k - 1) if pad == "same" else 0 for di, k in zip(d, (1, shape[2]) if line else shape[2:], strict=True)]
        margin = (spread[0] // 2, spread[1] // 2, spread[0] - spread[0] // 2, spread[1] - spread[1] // 2)
    else:
        p = _two(pad, line, 0)
        margin = (p[0], p[1], p[0], p[1])
    return [g.Conv(weights, None if bias is None else r.number(bias), s, margin, d, groups)], [x]


def _two(value: Any, line: bool, usual: int) -> tuple[int, int]:
    """An argument for both axes of a map; of a line, `usual` and its own."""
    found = [value] if isinstance(value, int) else list(value)
    if line:
        return usual, found[0]
    return (found[0], found[0]) if len(found) == 1 else (found[0], found[1])


def _linear(r: _Reader, node: Fx, x: Any, w: Any, bias: Any = None) -> Made:
    return [g.Dense(r.weights(w), None if bias is None else r.number(bias))], [x]


def _matmul(r: _Reader, node: Fx, x: Any, w: Any) -> Made:
    weights = r.weights(w)
    if isinstance(weights, g.Codes):
        return [g.Dense(g.Codes(weights.integers.T, np.broadcast_to(weights.scale, weights.integers.shape).T), None)], [x]
    return [g.Dense(weights.T, None)], [x]


def _addmm(r: _Reader, node: Fx, bias: Any, x: Any, w: Any) -> Made:
    (dense,), inputs = _matmul(r, node, x, w)
    assert isinstance(dense, g.Dense)
    return [g.Dense(dense.weights, r.number(bias))], inputs


def _batch_norm(r: _Reader, node: Fx, x: Any, weight: Any, bias: Any, mean: Any, var: Any, *rest: Any) -> Made:
    if mean is None or var is None:
        raise Unsupported("has no running statistics; track them in training")
    if _kind(node) == "batch_norm" and rest[0]:
        raise Unsupported("takes the statistics of its batch; use running statistics in evaluation")
    eps = next(v for v in reversed(rest) if isinstance(v, float))
    m, v = r.number(mean), r.number(var)
    w, b = np.ones_like(m) if weight is None else r.number(weight), np.zeros_like(m) if bias is None else r.number(bias)
    return [g.BatchNorm(w, b, m, v, eps)], [x]


def _pool(kind: str, rank: int) -> Callable[..., Made]:
    line = rank == 1

    def read(r: _Reader, node: Fx, x: Any, kernel: Any, stride: Any = (), pad: Any = 0, *rest: Any) -> Made:
        k = _two(kernel, line, 1)
        s = _two(stride, line, 1) if stride not in ((), [], None) else k
        p = _two(pad, line, 0)
        margin = (p[0], p[1], p[0], p[1])
        (_, *size), (_, *out) = (tuple(n.meta["val"].shape[1:]) for n in (x, node))
        full, given = ((1, *v) if line else tuple(v) for v in (size, out))
        if given != tuple((n + 2 * q - b) // t + 1 for n, q, b, t in zip(full, p, k, s, strict=True)):
            raise Unsupported("is dilated or rounds its size up; choose sizes that divide")
        if kind == "max":
            if rest and any(d != 1 for d in ([rest[0]] if isinstance(rest[0], int) else rest[0])):
                raise Unsupported("is dilated; pool without dilation")
            return [g.MaxPool(k, s, margin)], [x]
        if any(margin) and len(rest) > 1 and not rest[1]:
            raise Unsupported("leaves its margin out of the mean; set count_include_pad")
        if len(rest) > 2 and rest[2] is not None:
            raise Unsupported("has a divisor of its own; multiply behind it")
        return [g.AveragePool(k, s, margin)], [x]

    return read


def _adaptive(kind: type[g.MaxPool] | type[g.AveragePool]) -> Callable[..., Made]:
    def read(r: _Reader, node: Fx, x: Any, size: Any) -> Made:
        given, out = (tuple(n.meta["val"].shape[2:]) for n in (x, node))
        if any(n % m for n, m in zip(given, out, strict=True)):
            raise Unsupported(f"spreads windows of different sizes over {given}; choose an output size that divides it")
        kernel = tuple(n // m for n, m in zip(given, out, strict=True))
        both = (1, kernel[0]) if len(kernel) == 1 else (kernel[0], kernel[1])
        return [kind(both, both)], [x]

    return read


def _mean(r: _Reader, node: Fx, x: Any, axes: Any = None, *rest: Any) -> Made:
    shape = tuple(x.meta["val"].shape)
    if axes is None or {n % len(shape) for n in axes} != set(range(2, len(shape))) or len(shape) < 3:
        raise Unsupported("is a mean of other axes than those of the map; take the mean of rows and columns")
    kernel = (1, shape[2]) if len(shape) == 3 else (shape[2], shape[3])
    return [g.AveragePool(kernel, kernel), g.Reshape(tuple(node.meta["val"].shape[1:]))], [x]


def _reshape(r: _Reader, node: Fx, x: Any, *rest: Any) -> Made:
    shape, before = tuple(node.meta["val"].shape), tuple(x.meta["val"].shape)
    if shape[0] != before[0] or prod(shape[1:]) != prod(before[1:]):
        raise Unsupported(f"turns {before} into {shape}; keep the batch first")
    return [g.Reshape(shape[1:])], [x]


def _transposed(order: Callable[..., list[int]]) -> Callable[..., Made]:
    def read(r: _Reader, node: Fx, x: Any, *args: Any) -> Made:
        rank = len(x.meta["val"].shape)
        axes = [n % rank for n in order(rank, *args)]
        if axes[0] != 0:
            raise Unsupported("moves the batch; keep it first")
        return [g.Transpose(tuple(n - 1 for n in axes[1:]))], [x]

    return read


def _swapped(rank: int, a: int, b: int) -> list[int]:
    order = list(range(rank))
    order[a], order[b] = order[b], order[a]
    return order


def _cat(r: _Reader, node: Fx, xs: Any, axis: int = 0) -> Made:
    if axis % len(xs[0].meta["val"].shape) != 1 or not all(r.varies(v) for v in xs):
        raise Unsupported("joins constants, or along another axis than the channels; join channels")
    return [g.Concat()], list(xs)


def _pad(r: _Reader, node: Fx, x: Any, pads: Any, *rest: Any) -> Made:
    mode = next((v for v in rest if isinstance(v, str)), "constant")
    value = next((v for v in rest if isinstance(v, int | float) and not isinstance(v, bool)), 0.0)
    rank = len(x.meta["val"].shape) - 1
    given = [*pads, *[0] * (2 * rank)]
    if mode != "constant" or min(given) < 0 or any(given[2 * rank :]):
        raise Unsupported("pads by reflection, by repetition, by cutting, or the batch; pad rows and columns with a constant")
    return [g.Pad(tuple((given[2 * n], given[2 * n + 1]) for n in reversed(range(rank))), float(value))], [x]


OPERATIONS: dict[str, Callable[..., Made]] = {
    "conv1d": _conv, "conv2d": _conv, "linear": _linear, "matmul": _matmul, "mm": _matmul, "addmm": _addmm, "batch_norm": _batch_norm,
    "_native_batch_norm_legit_no_training": _batch_norm,
    "add": _sum(False), "sub": _sum(True), "rsub": _elementwise(lambda c: [g.Scale(np.array(-1.0)), g.Shift(c)], None),
    "mul": _elementwise(lambda c: [g.Scale(c)], lambda c: [g.Scale(c)]), "div": _elementwise(lambda c: [g.Scale(c, divide=True)], None),
    "neg": _one(g.Scale(np.array(-1.0))), "sign": _one(g.Bipolar(np.array(1.0), 0)), "round": _one(g.Round("ROUND")), "floor": _one(g.Round("FLOOR")),
    "ceil": _one(g.Round("CEIL")), "trunc": _one(g.Round("DOWN")),
    "gt": _compared(False, False), "ge": _compared(True, False), "lt": _compared(False, True), "le": _compared(True, True), "where": _where_op,
    "relu": _one(g.Clip(0.0, inf)), "relu6": _one(g.Clip(0.0, 6.0)), "clamp": _clamp, "clip": _clamp, "clamp_min": _clamp,
    "clamp_max": lambda r, node, x, high: _clamp(r, node, x, None, high),
    "hardtanh": lambda r, node, x, low=-1.0, high=1.0: _clamp(r, node, x, low, high),
    "hardsigmoid": _one(g.Scale(np.array(6.0), divide=True), g.Shift(np.array(0.5)), g.Clip(0.0, 1.0)),
    "max_pool1d": _pool("max", 1), "max_pool2d": _pool("max", 2), "avg_pool1d": _pool("average", 1), "avg_pool2d": _pool("average", 2),
    "adaptive_avg_pool1d": _adaptive(g.AveragePool), "adaptive_avg_pool2d": _adaptive(g.AveragePool), "mean": _mean,
    "view": _reshape, "reshape": _reshape, "flatten": _reshape, "squeeze": _reshape, "unsqueeze": _reshape, "_unsafe_view": _reshape,
    "permute": _transposed(lambda rank, order: list(order)), "transpose": _transposed(_swapped), "cat": _cat, "concat": _cat, "pad": _pad,
    "constant_pad_nd": _pad,
}  # fmt: skip
