"""Foreign models: random QONNX models and PyTorch modules equal their own framework, tensor by tensor; what cannot be imported is told in one line."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import bnnhw
from bnnhw.frontend.onnx_net import read_onnx
from bnnhw.imports import check, onnx_model
from bnnhw.ir.errors import BnnhwError
from bnnhw.lower import lower
from support.foreign import MODES, QONNX, Drawn, Model

warnings.filterwarnings("ignore", module="onnxruntime")


def written(model: Model, path: Path, *outputs: str) -> Path:
    path.write_bytes(model.bytes(*outputs))
    return path


def assert_drawn_are_equal(seeds: range, folder: Path) -> None:
    """Every tensor and every label; at most one in ten may have no hardware form."""
    refused, tensors = 0, 0
    for seed in seeds:
        drawn = Drawn(seed)
        try:
            model = onnx_model(written(drawn, folder / "model.onnx", drawn.now), drawn.input_as)
        except BnnhwError:
            refused += 1
            continue
        found = check(model, 6, None, seed)
        assert found.equal, (seed, found.labels_equal, found.parted)
        tensors += len(found.layers)
    assert refused <= len(seeds) / 10
    assert tensors > 3 * len(seeds)


@pytest.mark.parametrize("start", range(0, 60, 15))
def test_random_models_equal_qonnx_executor(start: int, tmp_path: Path) -> None:
    assert_drawn_are_equal(range(start, start + 15), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("start", range(1000, 3000, 200))
def test_many_random_models_equal_qonnx_executor(start: int, tmp_path: Path) -> None:
    assert_drawn_are_equal(range(start, start + 200), tmp_path)


# QONNX, case by case: small models whose sums are exact in float32.


def dense(m: Model, x: str, weights: Any) -> str:
    """A dense layer of 2-bit weights [O, K]."""
    return m.node("Gemm", x, m.quant(m.constant(weights), 1.0, 3), transB=1)


def equal(m: Model, out: str, tmp_path: Path, input_as: str | None = "fixed<6,4>") -> None:
    found = check(onnx_model(written(m, tmp_path / "m.onnx", out), input_as), 64, None, 1)
    assert found.equal, (found.labels_equal, found.parted)
    assert found.layers


WEIGHTS = [[1, -1, 2, 0], [3, 1, -2, 1], [-1, -1, 1, 1]]
LAST = [[1, 2, -1], [-1, 1, 1], [2, -2, 1]]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("narrow", [0, 1])
def test_every_rounding(mode: str, signed: int, narrow: int, tmp_path: Path) -> None:
    m = Model((4,))
    x = m.quant(dense(m, "x", WEIGHTS), 0.5, 3, signed=signed, narrow=narrow, rounding_mode=mode, zero=1)
    equal(m, dense(m, x, LAST), tmp_path)


@pytest.mark.parametrize("mode", ["FLOOR", "CEIL", "ROUND"])
def test_trunc_of_both_versions(mode: str, tmp_path: Path) -> None:
    m = Model((4,))
    sums = dense(m, "x", WEIGHTS)
    x = m.node("Trunc", sums, *(m.constant(v) for v in (0.25, 0.0, 9.0, 4.0)), domain=QONNX, rounding_mode=mode)
    equal(m, dense(m, x, LAST), tmp_path)
    m = Model((4,))
    sums = dense(m, "x", WEIGHTS)
    x = m.node("Trunc", sums, *(m.constant(v) for v in (0.25, 0.0, 9.0, 4.0, 4.0)), domain=QONNX, rounding_mode=mode, signed=1, narrow=0)
    graph = read_onnx(written(m, tmp_path / "v2.onnx", dense(m, x, LAST)))
    assert any(type(n.operation).__name__ == "Truncate" and n.operation.ends == (-8, 7) for n in graph.nodes)


def test_larq_signs_and_comparisons(tmp_path: Path) -> None:
    """sign(sign(x) + 0.1), where(x >= c), and sign, whose 0 stays 0."""
    for how in ("larq", "where", "greater", "sign"):
        m = Model((4,))
        x = dense(m, "x", WEIGHTS)
        match how:
            case "larq":
                x = m.node("Sign", m.node("Add", m.node("Sign", x), m.constant(0.125)))
            case "where":
                x = m.node("Where", m.node("GreaterOrEqual", x, m.constant(0.5)), m.constant(1.0), m.constant(-1.0))
            case "greater":
                x = m.node("Sub", m.node("Mul", m.node("Cast", m.node("Greater", x, m.constant(0.5)), to=1), m.constant(2.0)), m.constant(1.0))
            case "sign":
                x = m.node("Sign", x)
        equal(m, dense(m, x, LAST), tmp_path)


def test_channels_last_as_keras_exports_it(tmp_path: Path) -> None:
    m = Model((4, 4, 2))
    x = m.node("Transpose", "x", perm=[0, 3, 1, 2])
    w = m.quant(m.constant(np.random.default_rng(0).normal(0, 1, (3, 2, 3, 3))), 0.5, 3)
    x = m.bipolar(m.node("Conv", x, w, pads=[1, 1, 1, 1], kernel_shape=[3, 3]))
    x = m.node("Transpose", m.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]), perm=[0, 2, 3, 1])
    x = m.node("Reshape", x, m.constant([1, -1], np.int64))
    w = m.bipolar(m.constant(np.random.default_rng(1).normal(0, 1, (12, 3))))
    m.shape = (1, 2, 4, 4)
    m.nodes[0].attribute[0].ints[:] = [0, 1, 2, 3]
    equal(m, m.node("MatMul", x, w), tmp_path, "none")


@pytest.mark.parametrize("value", [-1.0, 0.0, 1.0])
def test_margins_of_pad_nodes(value: float, tmp_path: Path) -> None:
    m = Model((1, 5, 5))
    x = m.bipolar(m.node("Sub", "x", m.constant(100.0)))
    x = m.node("Pad", x, m.constant([0, 0, 1, 2, 0, 0, 1, 0], np.int64), m.constant(value))
    w = m.bipolar(m.constant(np.random.default_rng(0).normal(0, 1, (2, 1, 3, 3))))
    x = m.bipolar(m.node("Conv", x, w, kernel_shape=[3, 3]))
    equal(m, dense(m, m.node("Flatten", x), np.random.default_rng(1).integers(-3, 4, (3, 50))), tmp_path, "none")


def test_pixels_with_an_offset_and_margins(tmp_path: Path) -> None:
    """The margin is 0 behind the normalisation, which is no pixel."""
    m = Model((2, 5, 5))
    x = m.node("Mul", m.node("Sub", "x", m.constant(96.5)), m.constant(0.25))
    w = m.quant(m.constant(np.random.default_rng(0).normal(0, 1, (2, 2, 3, 3))), 0.5, 3)
    x = m.bipolar(m.node("Conv", x, w, kernel_shape=[3, 3], pads=[1, 1, 1, 1]))
    equal(m, dense(m, m.node("Flatten", x), np.random.default_rng(1).integers(-3, 4, (3, 50))), tmp_path, "none")


def test_frames_of_real_numbers_are_rounded_at_the_port(tmp_path: Path) -> None:
    m = Model((4,))
    path = written(m, tmp_path / "m.onnx", dense(m, m.bipolar(dense(m, "x", WEIGHTS)), LAST))
    x = np.random.default_rng(0).normal(0, 2, (20, 4)).astype(np.float32)
    made = bnnhw.generate(path, tmp_path / "d", input_as="fixed<8,4>")
    port = made.network.port
    assert (port.raw, port.ends, port.real) == ("int8", (-128, 127), (1 / 16, 0.0))
    assert (port.levels(x).ravel().astype(int) - 128 == np.clip(np.rint(x * 16), -128, 127).ravel()).all()
    assert bnnhw.verify(tmp_path / "d", frames=20, level="golden", data=x).passed
    found = bnnhw.import_check(path, frames=20, data=np.rint(x * 16) / 16, input_as="fixed<8,4>")
    assert found.equal


def test_a_doubt_is_listed(tmp_path: Path) -> None:
    """A threshold that lies on an integer, with a scale that float32 rounds."""
    m = Model((4,))
    w = m.bipolar(m.constant([[1.0, -1, 1, 1]]), 0.1)
    x = m.bipolar(m.node("Gemm", m.quant("x", 1.0, 2), w, m.constant([-0.1]), transB=1))
    w = m.bipolar(m.constant([[1.0], [-1]]))
    model = onnx_model(written(m, tmp_path / "m.onnx", m.node("Gemm", x, w, transB=1)))
    close = lower(model.recognised.trained).close
    assert [(c.layer, c.channel) for c in close] == [("bipolarquant3", 0)] or len(close) == 1
    assert close[0].distance < close[0].bound


# What an independent review found wrong, each once.


@pytest.mark.parametrize(("shift", "value"), [(100.5, 0.0), (123.675, 0.0), (100.0, 0.25)])
def test_margins_between_integers(shift: float, value: float, tmp_path: Path) -> None:
    m = Model((1, 4, 4))
    x = m.node("Pad", m.node("Sub", "x", m.constant(shift)), m.constant([0, 0, 1, 1, 0, 0, 1, 1], np.int64), m.constant(value))
    w = m.quant(m.constant(np.random.default_rng(0).integers(-3, 4, (3, 1, 3, 3))), 1.0, 3)
    x = m.quant(m.node("Conv", x, w, kernel_shape=[3, 3]), 8.0, 4)
    equal(m, dense(m, m.node("Flatten", x), np.random.default_rng(1).integers(-3, 4, (3, 48))), tmp_path, "none")


@pytest.mark.parametrize("kind", ["Conv", "MaxPool", "AveragePool"])
def test_a_map_that_is_reshaped_into_another_is_refused(kind: str, tmp_path: Path) -> None:
    m = Model((4, 2, 4))
    x = m.node("Reshape", m.bipolar(m.node("Conv", "x", m.bipolar(m.constant(np.ones((4, 4, 1, 1)))))), m.constant([1, 4, 4, 2], np.int64))
    given = [m.bipolar(m.constant(np.ones((2, 4, 2, 2))))] if kind == "Conv" else []
    refused(written(m, tmp_path / "m.onnx", m.node(kind, x, *given, kernel_shape=[2, 2])), "transposed or reshaped into none", "none")


def test_one_signed_bit_with_a_zero_point(tmp_path: Path) -> None:
    m = Model((4,))
    equal(m, dense(m, m.quant(dense(m, "x", WEIGHTS), 0.5, 1, zero=1), LAST), tmp_path)


def test_lines_and_vectors_keep_their_rank(tmp_path: Path) -> None:
    """1-D convolutions, constants for their channels, products of their pixels; joined vectors."""
    m = Model((2, 6))
    w = m.quant(m.constant(np.random.default_rng(0).integers(-3, 4, (3, 2, 3))), 1.0, 3)
    x = m.node("Mul", m.node("Conv", "x", w, kernel_shape=[3]), m.constant(np.array([1.0, -2, 0.5]).reshape(1, 3, 1)))
    x = m.node("Transpose", m.node("MaxPool", m.quant(x, 2.0, 3), kernel_shape=[2], strides=[2]), perm=[0, 2, 1])
    x = m.bipolar(m.node("MatMul", x, m.quant(m.constant(np.random.default_rng(1).integers(-3, 4, (3, 2))), 1.0, 3)))
    equal(m, dense(m, m.node("Flatten", x), np.random.default_rng(2).integers(-3, 4, (3, 4))), tmp_path, "none")
    m = Model((4,))
    both = m.node("Concat", m.bipolar(dense(m, "x", WEIGHTS)), m.bipolar(dense(m, "x", WEIGHTS[::-1])), axis=1)
    equal(m, dense(m, both, np.random.default_rng(3).integers(-3, 4, (3, 6))), tmp_path)


def test_clips_behind_a_rounding(tmp_path: Path) -> None:
    m = Model((4,))
    x = m.node(
        "Clip",
        m.node("Add", m.node("Round", m.node("Mul", dense(m, "x", WEIGHTS), m.constant(0.25))), m.constant(2.0)),
        m.constant(0.0),
        m.constant(3.0),
    )
    equal(m, dense(m, x, LAST), tmp_path)


@pytest.mark.parametrize(
    ("end", "match"),
    [
        (lambda m, x: m.node("TopK", x, m.constant([1], np.int64), outputs=2, largest=0), "TopK .* the label is the first largest"),
        (lambda m, x: m.node("ArgMax", x), "ArgMax .* along axis 0"),
        (lambda m, x: m.node("Pad", x, m.constant([0, 0, 0, 1], np.int64), m.constant(100.0)), "ends in a margin"),
        (lambda m, x: dense(m, m.node("Cast", x, to=6), LAST), "turns numbers into integers"),
    ],
)
def test_ends_with_another_meaning_are_refused(end: Callable[[Model, str], str], match: str, tmp_path: Path) -> None:
    m = Model((4,))
    refused(written(m, tmp_path / "m.onnx", end(m, dense(m, "x", WEIGHTS))), match, "fixed<4,4>")


def test_several_outputs_are_refused(tmp_path: Path) -> None:
    m = Model((4,))
    a, b = dense(m, "x", WEIGHTS), dense(m, "x", WEIGHTS)
    refused(written(m, tmp_path / "m.onnx", a, b), "1 inputs and 2 outputs", "fixed<4,4>")


def test_numbers_out_of_all_bounds_are_told(tmp_path: Path) -> None:
    m, path = Model((1, 4, 4)), tmp_path / "m.onnx"
    refused(written(m, path, m.quant("x", 1e-9, 32, signed=0)), "4294967296 levels, at most 256")
    for wrong in ("mean=1e99999999,std=1", "mean=1e400,std=1"):
        refused(path, "is no kind of frames", wrong)
    m = Model((4,))
    numbers = [m.constant(v) for v in (np.full(3, 1e-30), np.ones(3), np.zeros(3), np.ones(3))]
    equal(m, dense(m, m.bipolar(m.node("BatchNormalization", dense(m, "x", WEIGHTS), *numbers)), LAST), tmp_path)
    m = Model((4,))
    refused(
        written(m, path, dense(m, m.node("Mul", dense(m, "x", WEIGHTS), m.node("Div", m.constant(1.0), m.constant(0.0))), LAST)),
        "infinite",
        "fixed<4,4>",
    )


def test_a_batch_of_any_size_is_taken_one_by_one(tmp_path: Path) -> None:
    m = Model((4,))
    m.shape = (8, 4)
    equal(m, dense(m, m.bipolar(dense(m, "x", WEIGHTS)), LAST), tmp_path)


def test_exact_ties_are_no_doubt(tmp_path: Path) -> None:
    m = Model((4,))
    model = onnx_model(written(m, tmp_path / "m.onnx", dense(m, m.quant(dense(m, "x", WEIGHTS), 0.5, 3), LAST)), "fixed<4,4>")
    assert lower(model.recognised.trained).close == ()


# PyTorch.

torch = pytest.importorskip("torch")
nn, F = torch.nn, torch.nn.functional


class SignFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return torch.where(x >= 0, 1.0, -1.0)

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g


class BinarizeConv2d(nn.Conv2d):  # type: ignore[misc]
    def forward(self, x: Any) -> Any:
        alpha = self.weight.abs().mean((1, 2, 3), keepdim=True)
        return F.conv2d(x, alpha * SignFunction.apply(self.weight), self.bias, self.stride, self.padding, self.dilation, self.groups)


class BinarizeLinear(nn.Linear):  # type: ignore[misc]
    def forward(self, x: Any) -> Any:
        return F.linear(x, (self.weight.sign() - self.weight).detach() + self.weight, self.bias)


class TwoBits(nn.Module):  # type: ignore[misc]
    """DoReFa, by hand."""

    def forward(self, x: Any) -> Any:
        q = torch.round(torch.clamp(x, 0, 1) * 3) / 3
        return x + (q - x).detach()


class Residual(nn.Module):  # type: ignore[misc]
    """Bi-Real blocks: real shortcuts around binary convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = BinarizeConv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.act = TwoBits()

    def forward(self, x: Any) -> Any:
        quantised = self.act(x)
        y = self.bn1(self.conv1(quantised))
        y += quantised
        return y


class HandWritten(nn.Module):  # type: ignore[misc]
    """An ordinary forward."""

    def __init__(self) -> None:
        super().__init__()
        self.conv0, self.bn0 = BinarizeConv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.block = Residual()
        self.pool, self.drop, self.relu = nn.MaxPool2d(2), nn.Dropout(), nn.ReLU(inplace=True)
        self.fc = BinarizeLinear(4 * 4 * 4, 5)

    def forward(self, x: Any) -> Any:
        x = self.relu(self.bn0(self.conv0(2 * x - 1)))
        x = self.pool(torch.sign(self.block(x) - 0.25).clamp(-1, 1))
        return F.log_softmax(self.fc(self.drop(x.view(x.size(0), -1))), dim=1)


def settled(module: Any, seed: int = 0) -> Any:
    """With batch norms of random statistics, negative gammas among them."""
    rng = torch.Generator().manual_seed(seed)
    for m in module.modules():
        if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d):
            n = m.num_features
            m.weight.data, m.bias.data = torch.randn(n, generator=rng), torch.randn(n, generator=rng)
            m.running_mean, m.running_var = torch.randn(n, generator=rng), torch.rand(n, generator=rng) * 4 + 0.1
    return module


def sequential() -> Any:
    """nn.Sequential with clamp-then-sign as modules."""

    class Sign(nn.Module):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return SignFunction.apply(F.hardtanh(x))

    return nn.Sequential(
        nn.Flatten(), Sign(), BinarizeLinear(36, 16), nn.BatchNorm1d(16), Sign(), BinarizeLinear(16, 8, bias=False), nn.BatchNorm1d(8), TwoBits(),
        BinarizeLinear(8, 4), nn.BatchNorm1d(4),
    )  # fmt: skip


@pytest.mark.parametrize(("make", "shape", "input_as"), [(HandWritten, (1, 8, 8), "x/255"), (sequential, (1, 6, 6), "2x-1")])
def test_modules_equal_their_forward(make: Callable[[], Any], shape: tuple[int, ...], input_as: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = settled(make())
    module.train()
    found = bnnhw.import_check(module, example_input=torch.rand(2, *shape), frames=40, input_as=input_as)
    assert found.equal, (found.labels_equal, found.parted)
    assert len(found.layers) >= 3
    assert module.training
    trained = bnnhw.from_torch(module, torch.rand(1, *shape), input_as=input_as)
    made = bnnhw.generate(trained, tmp_path / "d")
    assert bnnhw.verify(made.folder, frames=2, level="golden").passed


def test_a_module_that_is_not_recognised_is_explained() -> None:
    class Odd(nn.Module):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return torch.tanh(x)

    class Net(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.features = nn.Sequential(BinarizeLinear(4, 4), Odd())
            self.last = BinarizeLinear(4, 2)

        def forward(self, x: Any) -> Any:
            return self.last(torch.sin(self.features(x)))

    with pytest.raises(BnnhwError, match=r"2 operations are not recognised: module 'features\.1' does tanh .*torch\.tanh\(x\).*; forward does sin"):
        bnnhw.from_torch(Net(), torch.zeros(1, 4), input_as="none")

    class Depends(nn.Module):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return x if x.sum() > 0 else -x

    with pytest.raises(BnnhwError, match=r"^Depends: torch\.export cannot follow forward .*; make forward free of control flow"):
        bnnhw.from_torch(Depends(), torch.zeros(1, 4))
    real = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    with pytest.raises(BnnhwError, match=r"Dense '0': its weights are not quantised; put a Quant"):
        bnnhw.from_torch(real, torch.zeros(1, 4), input_as="none")
    unquantised = nn.Sequential(BinarizeLinear(4, 4), nn.ReLU(), BinarizeLinear(4, 2))
    with pytest.raises(BnnhwError, match=r"Dense '2': its input, from '1', is not quantised; put a quantiser"):
        bnnhw.from_torch(unquantised, torch.zeros(1, 4), input_as="none")


@pytest.mark.parametrize(
    ("forward", "match"),
    [
        (lambda f, x: torch.div(f(x), 2, rounding_mode="floor"), "does div .* has rounding_mode"),
        (lambda f, x: torch.round(f(x), decimals=1), "does round .* has decimals|not recognised"),
        (lambda f, x: torch.rsub(f(x), 1.0, alpha=2), "does rsub .* has"),
        (lambda f, x: torch.sub(torch.sign(f(x)), f(x), alpha=2) + f(x), "has an alpha"),
        (lambda f, x: F.dropout(f(x)), "drops at random"),
        (lambda f, x: f(x).int().float(), "turns numbers into torch.int32"),
        (lambda f, x: torch.topk(f(x), 1, largest=False)[1], "the label is the first largest"),
        (lambda f, x: f(x).argmax(0), "the label is the first largest"),
    ],
)
def test_options_that_change_the_result_are_refused(forward: Callable[[Any, Any], Any], match: str) -> None:
    class Net(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.f = BinarizeLinear(4, 4)

        def forward(self, x: Any) -> Any:
            return forward(self.f, x)

    with pytest.raises(BnnhwError, match=match):
        bnnhw.from_torch(Net(), torch.zeros(1, 4), input_as="none")
    with pytest.raises(BnnhwError, match="half precision"):
        bnnhw.from_torch(BinarizeLinear(4, 4).half(), torch.zeros(1, 4).half(), input_as="none")


def test_changes_in_place_of_what_others_view_are_refused() -> None:
    class Net(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.f, self.drop = BinarizeLinear(4, 4), nn.Dropout(inplace=True)

        def forward(self, x: Any) -> Any:
            y = self.drop(self.f(x))
            z = y.view(1, 4)
            z.relu_()
            return self.f(torch.sign(y + 1))

    with pytest.raises(BnnhwError, match="changes in place what others view"):
        bnnhw.from_torch(Net(), torch.zeros(1, 4), input_as="none")


def test_usual_fake_quantisation_by_hand() -> None:
    """Rounded and then clamped; a ReLU with an upper end; quantised pixels; modules in double precision."""

    class Net(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = BinarizeLinear(16, 8), BinarizeLinear(8, 8), BinarizeLinear(8, 3)

        def forward(self, x: Any) -> Any:
            x = torch.round(torch.clamp(x * 15, 0, 15)) / 15
            x = torch.clamp(torch.round(self.a(x) / 0.5), -2, 1) * 0.5
            return self.c(torch.round(torch.clamp(F.relu(self.b(x)), max=1) * 15) / 15)

    torch.manual_seed(1)
    found = bnnhw.import_check(nn.Sequential(nn.Flatten(), Net()).double(), example_input=torch.rand(1, 1, 4, 4).double(), frames=30)
    assert found.labels_equal == 30
    assert found.parted is None or found.parted.in_doubt, found.parted


# Bad input.


def refused(path: Path, match: str, input_as: str | None = None) -> None:
    with pytest.raises(BnnhwError, match=match) as found:
        onnx_model(path, input_as)
    assert "\n" not in str(found.value)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path, m = tmp_path / "m.onnx", Model((4,))
    good = m.bytes(dense(m, "x", WEIGHTS))
    for wrong in (b"", b"no model", good[: len(good) // 2], good[100:]):
        path.write_bytes(wrong)
        refused(path, "damaged|no node|nothing gives|mend|export")
    refused(tmp_path / "none.onnx", "no such file")


def external(path: Path, location: str) -> None:
    """A model whose weights are said to lie in another file."""
    m = Model((4,))
    model = onnx.load_model_from_string(m.bytes(m.node("MatMul", "x", m.constant(np.ones((4, 2))))))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    path.write_bytes(model.SerializeToString())


def test_data_outside_the_folder_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(np.ones(8, np.float32).tobytes())
    (tmp_path / "sub").mkdir()
    path = tmp_path / "sub" / "m.onnx"
    for location in ("../secret.bin", str(tmp_path / "secret.bin"), "", "missing.bin"):
        external(path, location)
        refused(path, "no file in the model's folder")
    (tmp_path / "sub" / "link.bin").symlink_to(tmp_path / "secret.bin")
    external(path, "link.bin")
    refused(path, "no file in the model's folder")
    (tmp_path / "sub" / "own.bin").write_bytes(np.ones(8, np.float32).tobytes())
    external(path, "own.bin")
    assert onnx_model(path, "fixed<4,4>").recognised.trained.topology.layers[0].out == 2


def test_huge_shapes_and_cycles_are_refused(tmp_path: Path) -> None:
    m, path = Model((4,)), tmp_path / "m.onnx"
    model = onnx.load_model_from_string(m.bytes(m.node("MatMul", "x", m.constant(np.ones((4, 2))))))
    model.graph.initializer[0].dims[:] = [1 << 40, 1 << 40]
    path.write_bytes(model.SerializeToString())
    refused(path, "at most .* numbers are read")
    m = Model((4,))
    big = m.node("ConstantOfShape", m.constant([1 << 20, 1 << 20], np.int64))
    refused(written(m, path, m.node("MatMul", "x", big)), "makes more than")
    m = Model((4,))
    m.nodes += [helper.make_node("Add", ["x", "b"], ["a"], "a"), helper.make_node("Relu", ["a"], ["b"], "b")]
    refused(written(m, path, "b"), "run in a cycle, .*'a'")
    m = Model((1 << 20, 1 << 10, 1 << 10))
    refused(written(m, path, m.node("Relu", "x")), "at most .* numbers are read")


def test_all_unsupported_operators_are_listed_at_once(tmp_path: Path) -> None:
    m = Model((4,))
    x = m.node("Softplus", m.node("Erf", "x"))
    refused(written(m, tmp_path / "m.onnx", dense(m, x, WEIGHTS)), r"2 operators are not supported: Erf 'erf0', Softplus 'softplus1'; replace")


@pytest.mark.parametrize(
    ("build", "match"),
    [
        (lambda m: dense(m, m.node("Relu", dense(m, "x", WEIGHTS)), LAST), r"Dense 'gemm4': its input, from 'relu2', is not quantised; put a quantiser of at most 8 bits"),
        (lambda m: m.node("MatMul", "x", m.constant(np.random.default_rng(0).normal(0, 1, (4, 2)))), r"its weights are not quantised; put a Quant"),
        (lambda m: dense(m, m.quant(dense(m, "x", WEIGHTS), 0.0, 2), LAST), "has the scale 0; scales are positive"),
        (lambda m: dense(m, m.quant(dense(m, "x", WEIGHTS), 0.001, 12), LAST), "levels, at most 256 are generated; use 8 bits"),
        (lambda m: dense(m, m.quant(dense(m, "x", WEIGHTS), 1.0, 0), LAST), "has 0 bits; give 1 to 32"),
        (lambda m: dense(m, m.quant("x", 1.0, 2, rounding_mode="ODD"), WEIGHTS), "rounds by 'ODD'; give one of"),
        (lambda m: dense(m, "x", [[1.0, 2, 3]]), "takes 3 inputs|do not fit"),
        (lambda m: m.node("Mul", dense(m, "x", WEIGHTS), dense(m, "x", WEIGHTS)), "scales must be constants"),
        (lambda m: m.node("Relu", dense(m, "x", WEIGHTS)), "ends in a clip"),
        (lambda m: m.quant("x", 1.0, 2), "no layer"),
    ],
)  # fmt: skip
def test_what_has_no_hardware_form_is_told(build: Callable[[Model], str], match: str, tmp_path: Path) -> None:
    m = Model((4,))
    refused(written(m, tmp_path / "m.onnx", build(m)), match, "fixed<4,4>")


def test_inputs_that_are_not_understood_are_refused(tmp_path: Path) -> None:
    m, path = Model((4,)), tmp_path / "m.onnx"
    written(m, path, dense(m, "x", WEIGHTS))
    refused(path, r"its input is not quantised; say what frames hold with --input")
    for wrong in ("pixels", "fixed<40,2>", "mean=1,std=0", "fixed<8>"):
        refused(path, "is no kind of frames; give none, x/255", wrong)
    m = Model((4,))
    path.write_bytes(m.bytes(dense(m, m.node("Add", "x", "y"), WEIGHTS), inputs=2))
    refused(path, "has 2 inputs")
    with pytest.raises(BnnhwError, match="--input is for ONNX files"):
        bnnhw.info("digits_mlp", input_as="none")


def test_the_command_line_checks_an_import(tmp_path: Path) -> None:
    m, path = Model((4,)), tmp_path / "m.onnx"
    written(m, path, dense(m, m.bipolar(dense(m, "x", WEIGHTS)), LAST))
    command = [sys.executable, "-c", "from bnnhw.cli import main; main()", "import-check", "--net", str(path)]
    done = subprocess.run([*command, "--input", "fixed<4,4>", "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["equal"] is True
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n"), done.stdout) == (2, 1, "")
    path.write_bytes(path.read_bytes()[:50])
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_a_difference_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A threshold moved by one is told with layer, frame, channel and both values."""
    m = Model((4,))
    model = onnx_model(written(m, tmp_path / "m.onnx", dense(m, m.bipolar(dense(m, "x", WEIGHTS)), LAST)), "fixed<4,4>")
    name = next(k for k in model.recognised.trained.tensors if k.endswith("thresholds"))
    model.recognised.trained.tensors[name][1] += 1
    found = check(model, 100, None, 1)
    assert not found.equal
    assert found.parted is not None and found.parted.first is not None
    assert (found.parted.first.channel, found.parted.first.framework, found.parted.first.golden) == (1, 1.0, -1.0)
