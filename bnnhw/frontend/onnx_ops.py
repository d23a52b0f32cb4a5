"""ONNX operators on what is computed from the input, one reader each: (walk, attributes, names of inputs) -> operations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnhw.frontend.onnx_constants import Constant, Unsupported, axes_of, check_bits, plain, rounding, scalar, whole
from bnnhw.ir import graph as g
from bnnhw.ir.window import slide

__all__ = ["IGNORED", "OPERATIONS", "RANKS", "Unsupported", "Variable", "Walk", "kept"]

RANKS = ("Softmax", "LogSoftmax", "ArgMax", "TopK")
"""At the end, the label stays the first largest before them."""
IGNORED = ("Identity", "Dropout", "Cast")


@dataclass(frozen=True)
class Variable:
    """A tensor that depends on the input: its name in the graph, and its shape with a batch of 1."""

    name: str
    shape: tuple[int, ...]
    boolean: bool = False
    """Whether it is 0 or 1."""


FLOATS = (1, 10, 11, 16)
"""Types of ONNX that Cast may go to: float32, float16, float64, bfloat16."""


def kept(v: Variable, kind: str, attributes: dict[str, Any]) -> Variable:
    """A variable behind an operator without effect. Errors: Unsupported for a Cast that has one."""
    if kind == "Cast" and attributes.get("to") not in FLOATS and not v.boolean:
        raise Unsupported("turns numbers into integers; round by a quantiser, and keep floats")
    return v


@dataclass
class Walk:
    """What is known so far: tensors that depend on the input, constants, and the operations."""

    source: str
    variables: dict[str, Variable]
    constants: dict[str, Any]
    nodes: list[g.Node] = field(default_factory=list)
    kind: str = ""
    name: str = ""
    output: str = ""

    def at(self, kind: str, name: str, output: str) -> Walk:
        """Before the node of this operator, name and output."""
        self.kind, self.name, self.output = kind, name, output
        return self

    def variable(self, name: str) -> Variable:
        """A tensor that depends on the input."""
        if name not in self.variables:
            raise Unsupported("takes a constant where what is computed from the input belongs; mend the model")
        return self.variables[name]

    def constant(self, name: str, what: str) -> Constant:
        """A constant."""
        if self.constants.get(name) is None:
            raise Unsupported(f"has no constant as {what}; only numbers that are known when hardware is made can be used")
        return self.constants[name]

    def number(self, name: str, what: str) -> NDArray[np.float64]:
        """A constant as float64 array."""
        return plain(self.constant(name, what)).astype(np.float64)

    def put(self, shape: tuple[int, ...], inputs: list[Variable], *operations: g.Operation) -> None:
        """Operations one behind the other that give the node's output."""
        if shape[0] != 1:
            raise Unsupported(f"gives the shape {shape}, in which the batch is no axis of its own; keep the batch first")
        names = tuple(v.name for v in inputs)
        for n, operation in enumerate(operations):
            out = self.output if n == len(operations) - 1 else f"{self.output}:{n}"
            self.nodes.append(g.Node(operation, self.name, names, out))
            names = (out,)
        self.variables[self.output] = Variable(names[0], shape)


def _spread(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(np.broadcast_shapes(a, b))


def _elementwise(walk: Walk, x: str, y: str, first: Callable[[NDArray], list[g.Operation]], second: Callable[[NDArray], list[g.Operation]]) -> None:
    """A function of a variable and a constant, or of a constant and a variable."""
    swapped = x not in walk.variables
    v, c = (walk.variable(y if swapped else x), walk.number(x if swapped else y, "operand"))
    shape = _spread(v.shape, c.shape)
    if shape != v.shape:
        raise Unsupported(f"spreads {v.shape} over {shape}; give a constant of the variable's shape, or less")
    walk.put(v.shape, [v], *(second if swapped else first)(c))


def _add(walk: Walk, _: dict[str, Any], x: str, y: str) -> None:
    if x in walk.variables and y in walk.variables:
        return _joined(walk, x, y, g.Add())
    return _elementwise(walk, x, y, lambda c: [g.Shift(c)], lambda c: [g.Shift(c)])


def _sub(walk: Walk, _: dict[str, Any], x: str, y: str) -> None:
    if x in walk.variables and y in walk.variables:
        return _joined(walk, x, y, g.Add(negate=True))
    return _elementwise(walk, x, y, lambda c: [g.Shift(-c)], lambda c: [g.Scale(np.array(-1.0)), g.Shift(c)])


def _joined(walk: Walk, x: str, y: str, how: g.Add) -> None:
    a, b = walk.variable(x), walk.variable(y)
    if a.shape != b.shape:
        raise Unsupported(f"adds shapes {a.shape} and {b.shape}; give both one")
    walk.put(a.shape, [a, b], how)


def _mul(walk: Walk, _: dict[str, Any], x: str, y: str) -> None:
    if x in walk.variables and y in walk.variables:
        raise Unsupported("multiplies what is computed with what is computed; scales must be constants")
    _elementwise(walk, x, y, lambda c: [g.Scale(c)], lambda c: [g.Scale(c)])


def _div(walk: Walk, _: dict[str, Any], x: str, y: str) -> None:
    if y in walk.variables:
        raise Unsupported("divides by what is computed; divisors must be constants")
    _elementwise(walk, x, y, lambda c: [g.Scale(c, divide=True)], lambda c: [])


def _compared(closed: bool, less: bool) -> Callable[..., None]:
    """x > c and its kin, as 0 or 1."""

    def compare(walk: Walk, _: dict[str, Any], x: str, y: str) -> None:
        def found(c: NDArray, less: bool) -> list[g.Operation]:
            side = 0.5 * (-1 if less else 1)  # x < c is not x >= c
            return [g.Shift(-c), g.Bipolar(np.array(1.0), 1 if closed != less else -1), g.Scale(np.array(side)), g.Shift(np.array(0.5))]

        _elementwise(walk, x, y, lambda c: found(c, less), lambda c: found(c, not less))
        made = walk.variables[walk.output]
        walk.variables[walk.output] = Variable(made.name, made.shape, True)

    return compare


def _where(walk: Walk, _: dict[str, Any], condition: str, x: str, y: str) -> None:
    v, a, b = walk.variable(condition), walk.number(x, "value"), walk.number(y, "value")
    walk.put(v.shape, [v], g.Scale(a - b), g.Shift(b))


def _one(*operations: g.Operation) -> Callable[..., None]:
    def put(walk: Walk, _: dict[str, Any], x: str) -> None:
        v = walk.variable(x)
        walk.put(v.shape, [v], *operations)

    return put


def _clip(walk: Walk, a: dict[str, Any], x: str, low: str = "", high: str = "") -> None:
    v = walk.variable(x)
    least = scalar(walk.constant(low, "lower end"), "lower end") if low else float(a.get("min", -inf))
    most = scalar(walk.constant(high, "upper end"), "upper end") if high else float(a.get("max", inf))
    if least > most:
        raise Unsupported(f"clips to {least:g} .. {most:g}; give rising ends")
    walk.put(v.shape, [v], g.Clip(least, most))


def _hard_sigmoid(walk: Walk, a: dict[str, Any], x: str) -> None:
    v = walk.variable(x)
    alpha, beta = np.float64(np.float32(a.get("alpha", 0.2))), np.float64(np.float32(a.get("beta", 0.5)))
    walk.put(v.shape, [v], g.Scale(np.array(alpha)), g.Shift(np.array(beta)), g.Clip(0.0, 1.0))


def _quant(walk: Walk, a: dict[str, Any], x: str, scale: str, zero: str, bits: str) -> None:
    v = walk.variable(x)
    width = check_bits(whole(walk.constant(bits, "bits"), "bits"))
    op = g.Quantise(
        walk.number(scale, "scale"), whole(walk.constant(zero, "zero point"), "zero point"), width, bool(a.get("signed", 1)),
        bool(a.get("narrow", 0)), rounding(a, "ROUND"),
    )  # fmt: skip
    walk.put(v.shape, [v], op)


def _bipolar(walk: Walk, _: dict[str, Any], x: str, scale: str) -> None:
    v = walk.variable(x)
    walk.put(v.shape, [v], g.Bipolar(walk.number(scale, "scale")))


def _trunc(walk: Walk, a: dict[str, Any], x: str, scale: str, zero: str, bits: str, *rest: str) -> None:
    """Trunc in both versions: of output bits alone, or of an output scale before them."""
    v, s = walk.variable(x), scalar(walk.constant(scale, "scale"), "scale")
    at, width = whole(walk.constant(zero, "zero point"), "zero point"), whole(walk.constant(bits, "input bits"), "input bits")
    out = whole(walk.constant(rest[-1], "output bits"), "output bits")
    mode = rounding(a, "FLOOR")
    if len(rest) == 1:
        if not 0 <= width - out <= 32:
            raise Unsupported(f"goes from {width} bits to {out}; give fewer")
        walk.put(v.shape, [v], g.Truncate(s, at, 1 << (width - out), mode, at, s, None))
        return
    scale_out = scalar(walk.constant(rest[0], "output scale"), "output scale")
    divisor = 2 ** max(0, round(float(np.log2(scale_out / s))))
    if at % divisor:
        raise Unsupported(f"has the zero point {at}, no multiple of {divisor}; use 0")
    signed, narrow = bool(a.get("signed", 1)), bool(a.get("narrow", 0))
    ends = g.Quantise(np.array(1.0), 0, check_bits(out), signed, narrow).ends
    walk.put(v.shape, [v], g.Truncate(s, at, divisor, mode, at // divisor, scale_out, ends))


# Products.


def _weights(value: Constant, change: Callable[[NDArray], NDArray]) -> g.Codes | g.F64:
    """Codes or numbers behind a change of their shape."""
    if isinstance(value, g.Codes):
        return g.Codes(change(value.integers), change(np.broadcast_to(value.scale, value.integers.shape)))
    return change(value).astype(np.float64)


def _matmul(walk: Walk, _: dict[str, Any], x: str, w: str) -> None:
    if w in walk.variables:
        raise Unsupported("multiplies by what is computed from the input; weights must be constants, on the right")
    v, weights = walk.variable(x), walk.constant(w, "weights")
    k, o = (weights.integers if isinstance(weights, g.Codes) else weights).shape
    if v.shape[-1] != k:
        raise Unsupported(f"takes {k} inputs, given {v.shape[-1]}; mend the model")
    walk.put((*v.shape[:-1], o), [v], g.Dense(_weights(weights, lambda a: a.T), None))


def _gemm(walk: Walk, a: dict[str, Any], x: str, w: str, bias: str = "") -> None:
    if a.get("transA", 0):
        raise Unsupported("transposes its input; set transA to 0")
    v, weights = walk.variable(x), walk.constant(w, "weights")
    turned = _weights(weights, lambda m: m if a.get("transB", 0) else m.T)
    alpha, beta = float(a.get("alpha", 1.0)), float(a.get("beta", 1.0))
    if alpha != 1:
        turned = g.Codes(turned.integers, turned.scale * alpha) if isinstance(turned, g.Codes) else turned * alpha
    o, k = (turned.integers if isinstance(turned, g.Codes) else turned).shape
    if v.shape != (1, k):
        raise Unsupported(f"takes {k} inputs, given {v.shape}; mend the model")
    added = beta * walk.number(bias, "bias").reshape(-1) if bias else None
    walk.put((1, o), [v], g.Dense(turned, added))


def _two(values: Any, rank: int, usual: int) -> tuple[int, int]:
    """An attribute for each axis of a map; of a line, its own and 1."""
    found = [int(v) for v in (values if values is not None else [usual] * rank)]
    if len(found) != rank or rank not in (1, 2):
        raise Unsupported(f"has {len(found)} axes of {rank}; maps have two, lines one")
    return (found[0], found[1]) if rank == 2 else (1, found[0])


def _margins(
    a: dict[str, Any], size: tuple[int, ...], kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]
) -> tuple[int, int, int, int]:
    """top, left, bottom, right."""
    rank, auto = len(size), str(a.get("auto_pad", "NOTSET"))
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        ends = []
        for n, k, s, d in zip(((1, *size) if rank == 1 else size), kernel, stride, dilation, strict=True):
            total = max(0, (-(-n // s) - 1) * s + d * (k - 1) + 1 - n)
            ends.append((total // 2, total - total // 2) if auto == "SAME_UPPER" else (total - total // 2, total // 2))
        return ends[0][0], ends[1][0], ends[0][1], ends[1][1]
    if auto not in ("NOTSET", "VALID", ""):
        raise Unsupported(f"has auto_pad {auto!r}; give NOTSET, VALID, SAME_UPPER or SAME_LOWER")
    pads = [int(p) for p in a.get("pads", [0] * (2 * rank))] if auto == "NOTSET" else [0] * (2 * rank)
    if len(pads) != 2 * rank or min(pads, default=0) < 0:
        raise Unsupported(f"has pads {pads}; give two for each axis, none below 0")
    return (pads[0], pads[1], pads[2], pads[3]) if rank == 2 else (0, pads[0], 0, pads[1])


def _out(
    size: tuple[int, ...], kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int], pad: tuple[int, int, int, int]
) -> tuple[int, ...]:
    full = (1, *size) if len(size) == 1 else size
    if min(*kernel, *stride, *dilation) < 1:
        raise Unsupported(f"has a kernel {kernel}, stride {stride} and dilation {dilation}; give 1 or more")
    found = tuple(slide(n, k, s, d, a, b) for n, k, s, d, a, b in zip(full, kernel, stride, dilation, pad[:2], pad[2:], strict=True))
    if min(found) < 1 or min(stride) < 1:
        raise Unsupported(f"has a kernel {kernel} that does not fit a map of {full}; mend the model")
    return found[-len(size) :]


def _conv(walk: Walk, a: dict[str, Any], x: str, w: str, bias: str = "") -> None:
    v, weights = walk.variable(x), walk.constant(w, "weights")
    rank = len(v.shape) - 2
    shaped = _weights(weights, lambda m: m.reshape(*m.shape[:2], *((1, m.shape[2]) if rank == 1 else m.shape[2:])))
    o, _, rows, columns = (shaped.integers if isinstance(shaped, g.Codes) else shaped).shape
    if a.get("kernel_shape") is not None and list(a["kernel_shape"]) != [rows, columns][2 - rank :]:
        raise Unsupported(f"has kernel_shape {list(a['kernel_shape'])}, weights of {rows}x{columns}; mend the model")
    kernel, stride, dilation = (rows, columns), _two(a.get("strides"), rank, 1), _two(a.get("dilations"), rank, 1)
    pad = _margins(a, v.shape[2:], kernel, stride, dilation)
    added = walk.number(bias, "bias") if bias else None
    out = (1, o, *_out(v.shape[2:], kernel, stride, dilation, pad))
    walk.put(out, [v], g.Conv(shaped, added, stride, pad, dilation, int(a.get("group", 1))))


def _batch_norm(walk: Walk, a: dict[str, Any], x: str, weight: str, bias: str, mean: str, var: str) -> None:
    if a.get("training_mode", 0):
        raise Unsupported("is in training mode; export the model in evaluation mode")
    v = walk.variable(x)
    w, b, m, variance = (walk.number(name, what) for name, what in ((weight, "scale"), (bias, "bias"), (mean, "mean"), (var, "variance")))
    walk.put(v.shape, [v], g.BatchNorm(w, b, m, variance, float(a.get("epsilon", 1e-5))))


# Pools.


def _max_pool(walk: Walk, a: dict[str, Any], x: str) -> None:
    kernel, stride, pad, v, out = _pool(walk, a, x)
    walk.put(out, [v], g.MaxPool(kernel, stride, pad))


def _average_pool(walk: Walk, a: dict[str, Any], x: str) -> None:
    kernel, stride, pad, v, out = _pool(walk, a, x)
    if any(pad) and not a.get("count_include_pad", 0):
        raise Unsupported("leaves its margin out of the mean, so that borders divide by less; set count_include_pad")
    walk.put(out, [v], g.AveragePool(kernel, stride, pad))


def _pool(walk: Walk, a: dict[str, Any], x: str) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int, int, int], Variable, tuple[int, ...]]:
    v = walk.variable(x)
    rank = len(v.shape) - 2
    kernel, stride = _two(a.get("kernel_shape"), rank, 1), _two(a.get("strides"), rank, 1)
    if _two(a.get("dilations"), rank, 1) != (1, 1):
        raise Unsupported("is dilated; pool without dilation")
    pad = _margins(a, v.shape[2:], kernel, stride, (1, 1))
    out = _out(v.shape[2:], kernel, stride, (1, 1), pad)
    if a.get("ceil_mode", 0):
        full = (1, *v.shape[2:]) if rank == 1 else v.shape[2:]
        up = tuple(-(-(n + p + q - k) // s) + 1 for n, k, s, p, q in zip(full, kernel, stride, pad[:2], pad[2:], strict=True))[-rank:]
        if up != out:
            raise Unsupported(f"rounds its size up to {up}; set ceil_mode to 0 or choose sizes that divide")
    return kernel, stride, pad, v, (*v.shape[:2], *out)


def _global(kind: type[g.MaxPool] | type[g.AveragePool]) -> Callable[..., None]:
    def put(walk: Walk, _: dict[str, Any], x: str) -> None:
        v = walk.variable(x)
        size = (1, *v.shape[2:]) if len(v.shape) == 3 else v.shape[2:]
        kernel = (size[0], size[1])
        walk.put((*v.shape[:2], *[1] * (len(v.shape) - 2)), [v], kind(kernel, kernel))

    return put


def _reduce_mean(walk: Walk, a: dict[str, Any], x: str, axes: str = "") -> None:
    v = walk.variable(x)
    rank = len(v.shape)
    given = axes_of(a, walk.constant(axes, "axes") if axes else None)
    if rank < 3 or given is None or {n % rank for n in given} != set(range(2, rank)):
        raise Unsupported("is a mean of other axes than those of the map; take the mean of rows and columns")
    size = (1, *v.shape[2:]) if rank == 3 else v.shape[2:]
    kernel, kept = (size[0], size[1]), a.get("keepdims", 1)
    shape = (*v.shape[:2], *[1] * (rank - 2)) if kept else v.shape[:2]
    walk.put(shape, [v], g.AveragePool(kernel, kernel), *([] if kept else [g.Reshape(shape[1:])]))


def _pad(walk: Walk, a: dict[str, Any], x: str, pads: str = "", value: str = "", axes: str = "") -> None:
    v = walk.variable(x)
    rank = len(v.shape)
    given = [int(p) for p in (plain(walk.constant(pads, "pads")) if pads else a.get("pads", []))]
    if axes:
        which = [int(n) % rank for n in plain(walk.constant(axes, "axes"))]
        full = [0] * (2 * rank)
        for n, axis in enumerate(which):
            full[axis], full[axis + rank] = given[n], given[n + len(which)]
        given = full
    if str(a.get("mode", "constant")) != "constant" or len(given) != 2 * rank or min(given) < 0:
        raise Unsupported("pads by reflection, by repetition or by cutting; pad with a constant")
    margin = scalar(walk.constant(value, "value"), "value") if value else float(a.get("value", 0.0))
    if given[0] or given[rank]:
        raise Unsupported("pads the batch; pad rows and columns")
    ends = tuple(zip(given[1:rank], given[rank + 1 :], strict=True))
    walk.put((1, *(n + p + q for n, (p, q) in zip(v.shape[1:], ends, strict=True))), [v], g.Pad(ends, margin))


# Shapes.


def _reshape(walk: Walk, _: dict[str, Any], x: str, shape: str) -> None:
    v = walk.variable(x)
    given = [v.shape[i] if n == 0 and i < len(v.shape) else int(n) for i, n in enumerate(plain(walk.constant(shape, "shape")))]
    if -1 in given:
        rest = prod(n for n in given if n != -1)
        given[given.index(-1)] = prod(v.shape) // max(1, rest)
    _shaped(walk, v, tuple(given))


def _shaped(walk: Walk, v: Variable, shape: tuple[int, ...]) -> None:
    if prod(shape) != prod(v.shape) or not shape or shape[0] != 1 or len(shape) < 2:
        raise Unsupported(f"turns {v.shape} into {shape}; keep the batch first and the number of elements")
    walk.put(shape, [v], g.Reshape(shape[1:]))


def _flatten(walk: Walk, a: dict[str, Any], x: str) -> None:
    v = walk.variable(x)
    axis = int(a.get("axis", 1))
    _shaped(walk, v, (prod(v.shape[:axis]), prod(v.shape[axis:])))


def _squeeze(walk: Walk, a: dict[str, Any], x: str, axes: str = "") -> None:
    v = walk.variable(x)
    given = axes_of(a, walk.constant(axes, "axes") if axes else None)
    gone = {n % len(v.shape) for n in given} if given is not None else {n for n, size in enumerate(v.shape) if size == 1 and n}
    _shaped(walk, v, tuple(size for n, size in enumerate(v.shape) if n not in gone))


def _unsqueeze(walk: Walk, a: dict[str, Any], x: str, axes: str = "") -> None:
    v = walk.variable(x)
    given = axes_of(a, walk.constant(axes, "axes") if axes else None) or []
    _shaped(walk, v, tuple(np.expand_dims(np.zeros(v.shape), tuple(given)).shape))


def _transpose(walk: Walk, a: dict[str, Any], x: str) -> None:
    v = walk.variable(x)
    order = [int(n) for n in a.get("perm", range(len(v.shape))[::-1])]
    if order[0] != 0:
        raise Unsupported("moves the batch; keep it first")
    walk.put(tuple(v.shape[n] for n in order), [v], g.Transpose(tuple(n - 1 for n in order[1:])))


def _concat(walk: Walk, a: dict[str, Any], *xs: str) -> None:
    found = [walk.variable(x) for x in xs]
    axis = int(a["axis"]) % len(found[0].shape)
    if axis != 1:
        raise Unsupported("joins along another axis than the channels; join channels")
    shape = found[0].shape
    walk.put((1, sum(v.shape[1] for v in found), *shape[2:]), found, g.Concat())


OPERATIONS: dict[str, Callable[..., None]] = {
    "Quant": _quant, "IntQuant": _quant, "BipolarQuant": _bipolar, "Trunc": _trunc,
    "Conv": _conv, "Gemm": _gemm, "MatMul": _matmul, "BatchNormalization": _batch_norm,
    "Relu": _one(g.Clip(0.0, inf)), "Clip": _clip, "HardSigmoid": _hard_sigmoid, "Sign": _one(g.Bipolar(np.array(1.0), 0)),
    "Neg": _one(g.Scale(np.array(-1.0))), "Round": _one(g.Round("ROUND")), "Floor": _one(g.Round("FLOOR")), "Ceil": _one(g.Round("CEIL")), "Add": _add, "Sub": _sub, "Mul": _mul, "Div": _div,
    "Greater": _compared(False, False), "GreaterOrEqual": _compared(True, False), "Less": _compared(False, True), "LessOrEqual": _compared(True, True),
    "Where": _where, "MaxPool": _max_pool, "AveragePool": _average_pool, "GlobalAveragePool": _global(g.AveragePool),
    "GlobalMaxPool": _global(g.MaxPool), "ReduceMean": _reduce_mean, "Pad": _pad, "Concat": _concat,
    "Reshape": _reshape, "Flatten": _flatten, "Squeeze": _squeeze, "Unsqueeze": _unsqueeze, "Transpose": _transpose,
}  # fmt: skip
