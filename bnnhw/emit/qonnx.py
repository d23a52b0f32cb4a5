"""The integer network as a QONNX model, whose every tensor holds whole numbers: for other tools to run and to check. Needs onnx.

Standard operators, and QONNX' MultiThreshold. Frames go in as raw integers in float32; outputs are the network's.
"""

from __future__ import annotations

from functools import singledispatchmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnhw.ir.encoding import Encoding, Format, Integers
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.heads import Fixed, Head, Sums
from bnnhw.ir.integer import PORT, Network
from bnnhw.ir.layers import Add, Concat, Gather, Layer, MatVec, Multiply, Pool, Requantise, SumPool, Table
from bnnhw.ir.window import Shape, Window

EXACT = 1 << 24
"""Whole numbers below this, and sums of them, are exact in float32."""
WIDEST = 1 << 53
"""The same of float64."""
OPSET, IR = 13, 8
QONNX = "qonnx.custom_op.general"


def qonnx_bytes(net: Network) -> bytes:
    """The model's bytes. Errors: BnnhwError for sums that float32 does not hold."""
    try:
        import onnx  # noqa: F401
    except ImportError:
        raise BnnhwError("export: writing ONNX needs the onnx package; pip install 'bnnhw[qonnx]'") from None
    return _Writer(net).model()


class _Writer:
    """Nodes and constants so far; every stream is a tensor [1, C, rows, columns]."""

    def __init__(self, net: Network) -> None:
        self.net = net
        self.nodes: list[Any] = []
        self.constants: dict[str, NDArray] = {}
        self.streams: dict[str, str] = {}

    def model(self) -> bytes:
        """All of it."""
        from onnx import TensorProto, helper, numpy_helper

        self.streams[PORT] = self.port()
        for layer in self.net.layers:
            self.streams[layer.name] = self.layer(layer, *(self.streams[name] for name in self.net.inputs_of(layer)))
        last = self.net.layers[-1]
        self.node("Cast", [self.streams[last.name]], "global_out", to=TensorProto.DOUBLE)
        graph = helper.make_graph(
            self.nodes, self.net.name,
            [helper.make_tensor_value_info("global_in", TensorProto.FLOAT, [1, *self.net.port.shape])],
            [helper.make_tensor_value_info("global_out", TensorProto.DOUBLE, [1, *last.out_shape])],
            [numpy_helper.from_array(value, name) for name, value in self.constants.items()],
        )  # fmt: skip
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(QONNX, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR, producer_name="bnnhw").SerializeToString()

    def node(self, kind: str, inputs: list[str], output: str, domain: str = "", **attributes: Any) -> str:
        """One more node; its output."""
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [output], output, domain=domain, **attributes))
        return output

    def constant(self, name: str, value: Any, kind: type = np.float32) -> str:
        """A constant's name."""
        self.constants[name] = np.asarray(value, kind)
        return name

    def binary(self, kind: str, x: str, value: Any, name: str, of: type = np.float32) -> str:
        """An operator with a constant."""
        return self.node(kind, [x, self.constant(f"{name}_constant", value, of)], name)

    def port(self) -> str:
        """Raw frames as the values of the network's input."""
        port, code = self.net.port, self.net.x
        if port.steps is not None:
            assert isinstance(code, Encoding)
            return self.counted("global_in", "input", np.array([port.steps], np.int64), code)
        if isinstance(code, Integers) or port.raw == "bipolar":
            return "global_in"
        raw = np.arange(port.ends[0], port.ends[1] + 1)
        if (code.values == raw).all():
            return "global_in"
        step = int(code.values[1] - code.values[0])
        return self.binary("Add", self.binary("Mul", "global_in", step, "input_scaled"), int(code.values[0]) - step * int(raw[0]), "input")

    # Layers.

    @singledispatchmethod
    def layer(self, layer: Layer, *xs: str) -> str:
        """The tensor that a layer gives."""
        raise AssertionError(layer)

    @layer.register
    def _(self, layer: MatVec, x: str) -> str:
        if layer.partial is not None:
            raise BnnhwError(f"layer {layer.name!r}: narrows partial sums, which no ONNX operator does; train without partial")
        w = layer.window
        values = layer.weights.values.reshape(-1, *w.kernel, w.group_channels).transpose(0, 3, 1, 2)
        total = self.product(layer.name, x, values, w, layer.x, w.groups)
        return self.head(layer.name, layer.head, total, layer.out_shape, w, layer.dot_range)

    @layer.register
    def _(self, layer: Gather, x: str) -> str:
        w = layer.window
        values = np.zeros((len(layer.index), w.fan_in), np.int64)
        for place, sign in zip(layer.index.T, layer.sign.T, strict=True):
            np.add.at(values, (np.arange(len(values)), place), sign)
        total = self.product(layer.name, x, values.reshape(-1, *w.kernel, w.shape[0]).transpose(0, 3, 1, 2), w, layer.x, 1)
        return self.head(layer.name, layer.head, total, layer.out_shape, w, layer.total_range)

    @layer.register
    def _(self, layer: Requantise, x: str) -> str:
        ends = (np.full(layer.shape[0], layer.x.low), np.full(layer.shape[0], layer.x.high))
        return self.head(layer.name, layer.head, x, layer.shape, None, ends)

    @layer.register
    def _(self, layer: Pool, x: str) -> str:
        w = layer.window
        return self.node(
            "MaxPool",
            [self.padded(layer.name, x, w, layer.x.low)],
            layer.name,
            kernel_shape=list(w.kernel),
            strides=list(w.stride),
            dilations=list(w.dilation),
        )

    @layer.register
    def _(self, layer: SumPool, x: str) -> str:
        w = layer.window
        return self.product(layer.name, x, np.ones((w.shape[0], 1, *w.kernel), np.int64), w, layer.x, w.shape[0], margin=0)

    @layer.register
    def _(self, layer: Add, *xs: str) -> str:
        ends = layer.out
        self.check(layer.name, max(abs(ends.low), abs(ends.high)))
        moved = [self.binary("Mul", x, 1 << s, f"{layer.name}_{n}") if s else x for n, (x, s) in enumerate(zip(xs, layer.shifts, strict=True))]
        return self.node("Add", moved, layer.name)

    @layer.register
    def _(self, layer: Multiply, *xs: str) -> str:
        self.check(layer.name, max(abs(layer.out.low), abs(layer.out.high)))
        return self.node("Mul", list(xs), layer.name)

    @layer.register
    def _(self, layer: Concat, *xs: str) -> str:
        return self.node("Concat", list(xs), layer.name, axis=1)

    @layer.register
    def _(self, layer: Table, x: str) -> str:
        from onnx import TensorProto

        at = self.node("Cast", [self.binary("Sub", x, layer.x.low, f"{layer.name}_from")], f"{layer.name}_at", to=TensorProto.INT64)
        return self.node("Gather", [self.constant(f"{layer.name}_entries", layer.entries), at], layer.name)

    # Their parts.

    def check(self, name: str, most: int, limit: int = EXACT) -> None:
        """Refuse numbers that floating point rounds."""
        if most >= limit:
            raise BnnhwError(f"layer {name!r}: reaches {most}, float{32 if limit == EXACT else 64} is exact below {limit}; narrow its inputs")

    def padded(self, name: str, x: str, w: Window, value: int) -> str:
        """The map with a margin."""
        if not any(w.pad):
            return x
        top, left, bottom, right = w.pad
        pads = self.constant(f"{name}_pads", [0, 0, top, left, 0, 0, bottom, right], np.int64)
        return self.node("Pad", [x, pads, self.constant(f"{name}_margin", value)], f"{name}_padded", mode="constant")

    def product(self, name: str, x: str, weights: NDArray[np.int64], w: Window, code: Format, groups: int, margin: int | None = None) -> str:
        """A convolution with weights [O, C, kernel rows, kernel columns]."""
        level = int(code.values[w.pad_level]) if isinstance(code, Encoding) else w.pad_level
        value = level if margin is None else margin
        most = max(abs(code.low), abs(code.high), abs(value) if any(w.pad) else 0)
        self.check(name, int(np.abs(weights).reshape(len(weights), -1).sum(1).max()) * most)
        inputs = [self.padded(name, x, w, value), self.constant(f"{name}_weights", weights)]
        shape: dict[str, Any] = {"kernel_shape": list(w.kernel), "strides": list(w.stride), "dilations": list(w.dilation), "group": groups}
        return self.node("Conv", inputs, f"{name}_sums", **shape)

    def head(self, name: str, head: Head, x: str, shape: Shape, w: Window | None, ends: tuple[NDArray, NDArray]) -> str:
        """Thresholds, or an affine in a fixed-point format."""
        if isinstance(head, Sums):
            return self.affine(name, head, x, w, ends)
        values = head.values
        if head.flip is not None:
            sign = np.where(head.flip, -1, 1)
            x = self.binary("Mul", x, sign.reshape(1, -1, 1, 1), f"{name}_signed")
            values = np.where(head.flip[:, None], 1 - values, values)
        if len(values) == 1 or w is None:
            return self.counted(x, name, values[0], head.code)
        rows = values[w.class_map.ravel()].transpose(1, 0, 2).reshape(-1, values.shape[2])
        line = self.node("Reshape", [x, self.constant(f"{name}_flat", [1, -1], np.int64)], f"{name}_line")
        found = self.counted(line, f"{name}_levels", rows, head.code)
        return self.node("Reshape", [found, self.constant(f"{name}_shape", [1, *shape], np.int64)], name)

    def counted(self, x: str, name: str, thresholds: NDArray[np.int64], code: Encoding) -> str:
        """Values of the levels: one count where they are evenly spaced, else one for each step."""
        steps = np.diff(code.values)
        limits = np.clip(thresholds, -EXACT, EXACT)
        if (steps == steps[0]).all():
            return self.thresholds(x, name, limits, int(steps[0]), code.low)
        parts = [self.thresholds(x, f"{name}_step{k}", limits[:, k : k + 1], int(step), 0 if k else code.low) for k, step in enumerate(steps)]
        return self.node("Sum", parts, name)

    def thresholds(self, x: str, name: str, limits: NDArray[np.int64], scale: int, bias: int) -> str:
        """scale * (number of limits not above x) + bias."""
        given = self.constant(f"{name}_thresholds", limits)
        kept = {"out_dtype": "INT32", "out_scale": float(scale), "out_bias": float(bias)}
        return self.node("MultiThreshold", [x, given], name, QONNX, **kept)

    def affine(self, name: str, head: Sums, x: str, w: Window | None, ends: tuple[NDArray, NDArray]) -> str:
        """scale * x + bias in float64, and its format."""
        from onnx import TensorProto

        low, high = head.exact_range(*ends)
        self.check(name, max(abs(low), abs(high), int(np.abs(head.bias).max())), WIDEST)
        wide = self.node("Cast", [x], f"{name}_wide", to=TensorProto.DOUBLE)
        scaled = self.binary("Mul", wide, head.scale.reshape(1, -1, 1, 1), f"{name}_scaled", np.float64)
        bias = head.bias[0].reshape(1, -1, 1, 1) if len(head.bias) == 1 or w is None else head.bias[w.class_map].transpose(2, 0, 1)[None]
        found = self.binary("Add", scaled, bias, f"{name}_biased", np.float64)
        if head.fixed is not None:
            found = self.fixed(name, head.fixed, found)
        out = head.integers(*ends)
        if max(abs(out.low), abs(out.high)) < EXACT:
            return self.node("Cast", [found], name, to=TensorProto.FLOAT)
        if name != self.net.layers[-1].name:
            self.check(name, max(abs(out.low), abs(out.high)))
        return found

    def fixed(self, name: str, fixed: Fixed, x: str) -> str:
        """A shift to the right, and what overflow says."""
        shifted = self.node("Floor", [self.binary("Mul", x, 2.0**-fixed.shift, f"{name}_moved", np.float64)], f"{name}_shifted") if fixed.shift else x
        ends = [self.constant(f"{name}_{what}", end, np.float64) for what, end in (("low", fixed.low), ("high", fixed.high))]
        if fixed.overflow == "saturate":
            return self.node("Clip", [shifted, *ends], f"{name}_clipped")
        if fixed.overflow == "zero":
            beyond = self.node(
                "Or",
                [self.node("Less", [shifted, ends[0]], f"{name}_under"), self.node("Greater", [shifted, ends[1]], f"{name}_over")],
                f"{name}_beyond",
            )
            return self.node("Where", [beyond, self.constant(f"{name}_zero", 0, np.float64), shifted], f"{name}_kept")
        count = fixed.high - fixed.low + 1
        turns = self.node(
            "Floor",
            [self.binary("Mul", self.node("Sub", [shifted, ends[0]], f"{name}_above"), 1 / count, f"{name}_part", np.float64)],
            f"{name}_turns",
        )
        return self.node("Sub", [shifted, self.binary("Mul", turns, count, f"{name}_whole", np.float64)], f"{name}_wrapped")
