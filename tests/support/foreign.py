"""Random QONNX models whose float32 evaluation has no rounding: scales and batch norms of powers of two."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

QONNX = "qonnx.custom_op.general"
MODES = ("ROUND", "HALF_EVEN", "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN")
EPS = 2.0**-10


class Model:
    """A model in the making; tensors go by their names, with a batch of 1."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, NDArray] = {}
        self.shape = (1, *shape)

    def constant(self, value: Any, kind: Any = np.float32) -> str:
        """A new constant's name."""
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(value, kind)
        return name

    def node(self, kind: str, *inputs: str, domain: str = "", outputs: int = 1, **attributes: Any) -> str:
        """A node's (first) output."""
        name = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(kind, list(inputs), [name, *(f"{name}_{n}" for n in range(1, outputs))], name, domain=domain, **attributes)
        )
        return name

    def quant(self, x: str, scale: Any, bits: int, *, zero: int = 0, **attributes: Any) -> str:
        """A Quant node."""
        given = {"signed": 1, "narrow": 0, "rounding_mode": "ROUND", **attributes}
        return self.node("Quant", x, self.constant(scale), self.constant(zero), self.constant(bits), domain=QONNX, **given)

    def bipolar(self, x: str, scale: float = 1.0) -> str:
        """A BipolarQuant node."""
        return self.node("BipolarQuant", x, self.constant(scale), domain=QONNX)

    def bytes(self, *outputs: str, inputs: int = 1) -> bytes:
        """The model's file."""
        given = [helper.make_tensor_value_info(("x", "y")[n], TensorProto.FLOAT, self.shape) for n in range(inputs)]
        graph = helper.make_graph(
            self.nodes, "model", given,
            [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs],
            [numpy_helper.from_array(v, k) for k, v in self.constants.items()],
        )  # fmt: skip
        opsets = [helper.make_opsetid("", 13), helper.make_opsetid(QONNX, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


class Drawn(Model):
    """A random model: `x` goes through blocks of products, normalisation, activation and pools, with branches."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.flat = self.chance(0.2)
        super().__init__((self.pick(*range(1, 12)),) if self.flat else (self.pick(1, 2, 3), *(int(n) for n in self.rng.integers(3, 8, 2))))
        self.now, self.at = "x", self.shape[1:]
        self.input_as = str(self.rng.choice(["none", "fixed<5,3>", "ufixed<6,6>"]))
        if self.chance(0.5):
            self.input_quantiser()
        for _ in range(self.pick(1, 2, 3)):
            self.block()
        self.end()

    def pick(self, *values: int) -> int:
        return int(self.rng.choice(values))

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def power(self, low: int, high: int, size: Any = None) -> Any:
        """Powers of two."""
        return 2.0 ** self.rng.integers(low, high + 1, size)

    def channels(self, values: NDArray) -> NDArray:
        """One value a channel, to spread over the tensor."""
        return values.reshape(1, -1, *[1] * (len(self.at) - 1))

    def input_quantiser(self) -> None:
        """Affine, then a quantiser to the nearest, as ports have it."""
        if self.chance(0.5):
            self.now = self.node("Sub", self.node("Mul", self.now, self.constant(self.power(-4, 1))), self.constant(self.pick(0, 1, 2)))
        if self.chance(0.4):
            self.now = self.bipolar(self.now, self.power(-2, 2))
        else:
            self.now = self.quant(self.now, self.power(-1, 2), self.pick(2, 3, 4), signed=self.pick(0, 1), narrow=self.pick(0, 1))

    def weights(self, shape: tuple[int, ...]) -> str:
        """Quantised weights [O, ...]."""
        w = self.constant(self.rng.normal(0, 1, shape))
        each = (shape[0], *[1] * (len(shape) - 1))
        scale = self.power(-3, 0, each if self.chance(0.4) else ())
        if self.chance(0.4):
            return self.bipolar(w, scale)
        return self.quant(w, scale, self.pick(2, 3, 4), narrow=self.pick(0, 1), rounding_mode=str(self.rng.choice(MODES)))

    def product(self) -> None:
        """A convolution or a dense layer, in one of the ways in which exporters write them."""
        o = self.pick(1, 2, 3, 4, 6)
        bias = self.constant(np.round(self.rng.normal(0, 4, o)) * 0.25) if self.chance(0.4) else ""
        if len(self.at) == 3 and self.chance(0.8):
            c, *size = self.at
            groups = c if self.chance(0.2) else 1
            o = o * groups
            bias = self.constant(np.round(self.rng.normal(0, 4, o)) * 0.25) if bias else ""
            kernel = [min(self.pick(1, 2, 3), n) for n in size]
            stride, pads = [self.pick(1, 1, 2) for _ in size], [self.pick(0, 0, 1) for _ in range(4)]
            self.now = self.node(
                "Conv", self.now, self.weights((o, c // groups, *kernel)), *([bias] if bias else []), strides=stride, pads=pads, group=groups, kernel_shape=kernel
            )  # fmt: skip
            self.at = (o, *((n + p + q - k) // s + 1 for n, k, s, p, q in zip(size, kernel, stride, pads[:2], pads[2:], strict=True)))
            return
        self.flatten()
        k = self.at[0]
        style = self.pick(0, 1, 2)
        if style == 0:
            self.now = self.node("Gemm", self.now, self.weights((o, k)), *([bias] if bias else []), transB=1)
        else:
            self.now = self.node("MatMul", self.now, self.node("Transpose", self.weights((o, k)), perm=[1, 0]))
            if bias:
                self.now = self.node("Add", self.now, bias)
        self.at = (o,)

    def flatten(self) -> None:
        if len(self.at) > 1:
            self.now = (
                self.node("Flatten", self.now, axis=1) if self.chance(0.5) else self.node("Reshape", self.now, self.constant([1, -1], np.int64))
            )
            self.at = (int(np.prod(self.at)),)

    def norm(self) -> None:
        """A batch norm without rounding."""
        c = self.at[0]
        gamma = self.power(-2, 1, c) * self.rng.choice([1, 1, -1, 0] if self.chance(0.2) else [1, 1, -1], c)
        beta, mean = (np.round(self.rng.normal(0, 8, c)) * 0.25 for _ in range(2))
        var = 4.0 ** self.rng.integers(-1, 3, c) - EPS
        self.now = self.node("BatchNormalization", self.now, *(self.constant(v) for v in (gamma, beta, mean, var)), epsilon=EPS)

    def activation(self) -> None:
        """Perhaps a clip, then a quantiser."""
        if self.chance(0.3):
            self.now = self.node("Relu", self.now)
        elif self.chance(0.3):
            self.now = self.node("Clip", self.now, self.constant(-1.0), self.constant(2.0))
        if self.chance(0.4):
            self.now = self.bipolar(self.now, self.power(-2, 2))
            return
        each = self.channels(self.power(-2, 1, self.at[0])) if self.chance(0.15) else self.power(-2, 2)
        mode, signed = str(self.rng.choice(MODES)), self.pick(0, 1)
        zero = self.pick(0, 0, 0, 1, -1)
        self.now = self.quant(
            self.now, each, self.pick(1, 2, 3, 4) + signed, zero=zero, signed=signed, narrow=self.pick(0, 1) * signed, rounding_mode=mode
        )

    def pool(self, kind: str) -> None:
        size = [min(self.pick(1, 2), n) for n in self.at[1:]]
        self.now = self.node(kind, self.now, kernel_shape=size, strides=size)
        self.at = (self.at[0], *(n // k for n, k in zip(self.at[1:], size, strict=True)))

    def block(self) -> None:
        """A product and what follows it."""
        self.product()
        maps = len(self.at) == 3
        before = maps and self.chance(0.2)
        if before:
            self.pool("MaxPool")
        if self.chance(0.7):
            self.norm()
        if maps and self.chance(0.25) and not before:
            self.branch()
        self.activation()
        if maps and self.chance(0.3):
            self.pool("MaxPool" if self.chance(0.5) else "AveragePool")
            if self.nodes[-1].op_type == "AveragePool":
                self.activation()

    def branch(self) -> None:
        """A sum with a quantised copy, or channels of one behind it."""
        left, at = self.now, self.at
        self.activation()
        right = self.now
        if self.chance(0.5):
            self.now = self.node("Add", left, right) if self.chance(0.5) else self.node("Sub", right, left)
            return
        self.now, self.at = left, at
        self.activation()
        self.now = self.node("Concat", self.now, right, axis=1)
        self.at = (2 * at[0], *at[1:])

    def end(self) -> None:
        """Logits."""
        self.flatten()
        o = self.pick(2, 3, 5)
        self.now = self.node("Gemm", self.now, self.weights((o, self.at[0])), transB=1)
        self.at = (o,)
        if self.chance(0.3):
            self.norm()
        if self.chance(0.3):
            self.now = self.node("Softmax", self.now, axis=1)
