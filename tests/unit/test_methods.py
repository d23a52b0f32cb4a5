"""Laws of quantisation methods: training equals the integers of evaluation, gradients flow, and what each paper claims."""

from __future__ import annotations

import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

import bnnhw
from bnnhw import data, frontend
from bnnhw.golden import run
from bnnhw.ir import methods as m
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.specs import Levels
from bnnhw.ir.topology import Topology
from bnnhw.lower import lower
from bnnhw.nn.common import column, half_up, power_of_two
from bnnhw.nn.layers import LevelsLayer
from bnnhw.nn.methods.activations import HwgqActivation, ImpqActivation, half_gaussian_levels
from bnnhw.nn.methods.bases import fit, nearest, qem
from bnnhw.nn.methods.build import activation_quantiser, weight_quantiser
from bnnhw.nn.methods.common import portion, reduced_scales
from bnnhw.nn.methods.norm import EPS, ShiftBatchNorm
from bnnhw.nn.model import build, load_parameters
from bnnhw.nn.quantiser import ActivationQuantiser, WeightQuantiser
from bnnhw.nn.train import prepare

WEIGHTS = TypeAdapter(m.WeightMethod)
ACTIVATIONS = TypeAdapter(m.ActivationMethod)
SHAPE = (5, 3, 2, 3)

EXACT = [
    {"method": "sign"},
    {"method": "bwn"},
    {"method": "bwn", "per_tensor": True},
    {"method": "twn"},
    {"method": "twn", "per_tensor": True},
    *({"method": "dorefa", "bits": k} for k in (1, 2, 3, 8)),
    {"method": "bwnh"},
    {"method": "gxnor"},
    {"method": "fan_in", "n": 1},
    *(
        {"method": "fixed", "integer_bits": 1, "fraction_bits": 3, "rounding": r, "overflow": o}
        for r in ("nearest", "truncate")
        for o in ("saturate", "zero", "wrap")
    ),
    *({"method": "uniform", "bits": k} for k in (2, 4, 8)),
    *({"method": "log", "bits": k} for k in (2, 3, 4)),
    *({"method": "static", "bits": k} for k in (2, 5, 8)),
]
"""Training's weights are those of evaluation."""
GROWING = [
    *({"method": "inq", "bits": k} for k in (2, 3, 5)),
    {"method": "inq", "partition": "random"},
    {"method": "elq", "target": "binary"},
    {"method": "elq"},
    {"method": "sq"},
]
"""Those of training become those of evaluation by the last epoch."""
ROUNDED = [
    {"method": "ttq"},
    *({"method": "lq", "bits": k} for k in (1, 2, 3, 4)),
    *({"method": "abc", "bases": k} for k in (1, 2, 3, 5, 8)),
    {"method": "abc", "per_tensor": True},
]
"""Real scales in training, integers of a few bits in evaluation."""
RANDOM = [{"method": "sign", "stochastic": True}, {"method": "fixed", "integer_bits": 1, "fraction_bits": 3, "rounding": "stochastic"}]

LEVELS = [
    {"method": "stochastic_sign"},
    *({"method": "uint", "bits": k} for k in (1, 2, 5, 8)),
    *({"method": "pact", "bits": k, "alpha": 1.7} for k in (1, 2, 4, 8)),
    *({"method": "hwgq", "bits": k, "uniform": u} for k in (1, 2, 3, 4) for u in (True, False)),
    *({"method": "hwgq", "uniform": False, "bits": 4, "scale_bits": s} for s in (5, 8)),
    *({"method": "lq", "bits": k} for k in (1, 2, 3)),
    {"method": "lq", "bits": 3, "scale_bits": 1},
    *({"method": "abc", "bases": k} for k in (1, 2, 3, 8)),
    {"method": "ternary"},
    *({"method": "fixed", "integer_bits": 2, "fraction_bits": 2, "signed": s, "rounding": r} for s in (True, False) for r in ("nearest", "truncate")),
    *({"method": "uniform_relu", "bits": k, "relu": r} for k in (2, 4, 6) for r in (True, False)),
    *({"method": "log", "bits": k, "fsr": f} for k in (2, 3) for f in (-1, 0, 2)),
]


def name(spec: dict[str, Any]) -> str:
    return "-".join(str(v) for v in spec.values())


def weights(spec: dict[str, Any], shape: tuple[int, ...] = SHAPE) -> WeightQuantiser:
    return weight_quantiser(WEIGHTS.validate_python(spec), shape, "conv1")


def activation(spec: dict[str, Any], channels: int = 1) -> ActivationQuantiser:
    return activation_quantiser(ACTIVATIONS.validate_python(spec), "act1", channels)


def real(q: WeightQuantiser, w: Tensor) -> Tensor:
    form = q.integers(w)
    assert form.values.dtype == torch.int64 and form.values.shape == w.shape and form.values.abs().max() < 2**8
    assert form.unit.dtype == torch.float32 and form.unit.shape == (len(w),)
    if form.planes is not None:
        assert torch.equal(form.planes.values(), form.values)
    return column(form.unit, w) * form.values


def start(q: WeightQuantiser, w: Tensor, epochs: int = 8) -> None:
    with torch.no_grad():
        q.before_epoch(w, 0, epochs)


@pytest.fixture(autouse=True)
def seed(request: pytest.FixtureRequest) -> None:
    torch.manual_seed(zlib.crc32(request.node.nodeid.encode()))


@pytest.fixture
def w() -> nn.Parameter:
    return nn.Parameter(torch.randn(SHAPE) * 0.6)


# weights: what all have in common


@pytest.mark.parametrize("spec", EXACT, ids=name)
def test_training_uses_the_weights_of_evaluation(spec: dict[str, Any], w: nn.Parameter) -> None:
    q = weights(spec)
    assert torch.equal(q(w), real(q, w))
    start(q, w)
    assert torch.equal(q(w), real(q, w))
    assert torch.equal(q.eval()(w), real(q, w))


@pytest.mark.parametrize("spec", GROWING, ids=name)
def test_the_last_epoch_trains_with_the_weights_of_evaluation(spec: dict[str, Any], w: nn.Parameter) -> None:
    q = weights(spec)
    for epoch in range(8):
        with torch.no_grad():
            q.before_epoch(w, epoch, 8)
            w += 0.05 * torch.randn_like(w)
            q.after_step(w)
        assert torch.equal(q(w), real(q, w)) == (epoch >= 6)
    q.eval()
    assert torch.equal(q(w), real(q, w))


@pytest.mark.parametrize("spec", ROUNDED, ids=name)
def test_integer_scales_are_within_half_a_unit(spec: dict[str, Any], w: nn.Parameter) -> None:
    q = weights(spec)
    for _ in range(3):
        trained = q(w)
        form = q.integers(w)
        planes = 1 if form.planes is None else len(form.planes.scale)
        assert ((trained - real(q, w)).abs() <= column(form.unit, w) * planes * 0.5001).all()
    assert torch.equal(q.eval()(w), trained)


@pytest.mark.parametrize("spec", EXACT + GROWING + ROUNDED + RANDOM, ids=name)
def test_gradients_reach_weights_and_learned_scales(spec: dict[str, Any], w: nn.Parameter) -> None:
    q = weights(spec)
    start(q, w)
    q(w).square().sum().backward()
    assert torch.isfinite(w.grad).all() and w.grad.abs().max() > 0
    for parameter in q.parameters():
        assert parameter.grad.abs().min() > 0


@pytest.mark.parametrize("spec", EXACT + GROWING + ROUNDED + RANDOM, ids=name)
def test_the_state_dict_holds_all(spec: dict[str, Any], w: nn.Parameter) -> None:
    q, other = weights(spec), weights(spec)
    start(q, w)
    q(w)
    other.load_state_dict(q.state_dict())
    torch.manual_seed(1)
    moved = w.detach() + 0.1
    assert torch.equal(real(q, moved), real(other, moved)) and torch.equal(real(q, moved), real(q, moved))


@pytest.mark.parametrize("spec", EXACT + GROWING + ROUNDED + RANDOM, ids=name)
def test_bad_weights_are_named(spec: dict[str, Any], w: nn.Parameter) -> None:
    q = weights(spec)
    with pytest.raises(BnnhwError, match=r"^layer 'conv1': some weight must differ from 0, all 90 are 0; initialise the layer anew$"):
        q.integers(torch.zeros(SHAPE))
    bad = w.detach().clone()
    bad[1, 0, 0, :2] = torch.tensor([math.nan, math.inf])
    with pytest.raises(BnnhwError, match=r"^layer 'conv1': weights must be finite, 2 of 90 are NaN or infinite; lower the learning rate$"):
        q.integers(bad)


@pytest.mark.parametrize("method", ["bwn", "twn", "lq", "abc", "bwnh", "sq", "uniform", "static"])
def test_an_output_without_weights_is_named(method: str, w: nn.Parameter) -> None:
    dead = w.detach().clone()
    dead[3] = 0
    assert torch.isfinite(weights({"method": method})(dead)).all()
    with pytest.raises(
        BnnhwError,
        match=r"^layer 'conv1': every output needs a finite scale other than 0, output 3 has 0; lower the weight decay or change the seed$",
    ):
        weights({"method": method}).integers(dead)


@pytest.mark.parametrize("spec", [{"method": "gxnor"}, {"method": "fixed", "integer_bits": 2, "fraction_bits": 1}], ids=name)
def test_weights_below_the_format_are_named(spec: dict[str, Any], w: nn.Parameter) -> None:
    with pytest.raises(
        BnnhwError, match=r"^layer 'conv1': some weight must differ from 0, all 90 quantise to 0; scale the weights up or choose a finer format$"
    ):
        weights(spec).integers(w / 100)


@pytest.mark.parametrize("spec", EXACT + GROWING + ROUNDED, ids=name)
def test_a_single_tap_and_a_dense_layer(spec: dict[str, Any]) -> None:
    for shape in ((1, 1), (7, 11)):
        q, w = weights(spec, shape), nn.Parameter(torch.rand(shape) * 0.3 + 0.6)
        start(q, w)
        assert torch.isfinite(q(w)).all()
        real(q, w)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"method": "ttq", "t": 0}, "greater than 0"),
        ({"method": "ttq", "t": 1}, "less than 1"),
        ({"method": "ttq", "t": math.nan}, "finite"),
        ({"method": "abc", "bases": 0}, "greater than or equal to 1"),
        ({"method": "abc", "bases": 9}, "less than or equal to 8"),
        ({"method": "abc", "bases": 8, "scale_bits": 6}, "8 planes of 6-bit scales exceed integers of 255; use scale_bits 5"),
        ({"method": "lq", "bits": 5}, "less than or equal to 4"),
        ({"method": "lq", "bits": 0}, "greater than or equal to 1"),
        ({"method": "dorefa", "bits": 0}, "greater than or equal to 1"),
        ({"method": "dorefa", "bits": 9}, "less than or equal to 8"),
        ({"method": "dorefa", "gradient_bits": 0}, "greater than or equal to 1"),
        ({"method": "inq", "bits": 6}, "less than or equal to 5"),
        ({"method": "inq", "steps": [0.5, 0.5, 1]}, "rise from above 0 to 1"),
        ({"method": "inq", "steps": [0.5, 0.9]}, "end with 1.0"),
        ({"method": "sq", "steps": []}, "at least 1 item"),
        ({"method": "elq", "perturbation": 1}, "less than 1"),
        ({"method": "fixed", "integer_bits": 4, "fraction_bits": 5}, "<4,5> has 9 bits; choose 2 to 8 in all"),
        ({"method": "fixed", "integer_bits": 0, "fraction_bits": 5}, "greater than or equal to 1"),
        ({"method": "fixed", "integer_bits": 1, "fraction_bits": 0}, "has 1 bits"),
        ({"method": "uniform", "bits": 1}, "greater than or equal to 2"),
        ({"method": "log", "bits": 5}, "less than or equal to 4"),
        ({"method": "static", "bits": 9}, "less than or equal to 8"),
        ({"method": "sign", "t": 0.5}, "Extra inputs"),
        ({"method": "magic"}, "does not match any of the expected tags"),
    ],
    ids=lambda x: name(x) if isinstance(x, dict) else "",
)
def test_the_schema_refuses_weight_parameters(spec: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words.replace("(", r"\(")):
        WEIGHTS.validate_python(spec)


# weights: the papers


def test_signs_of_zero_clipping_and_the_gradient_window() -> None:
    q, w = weights({"method": "sign"}, (1, 5)), nn.Parameter(torch.tensor([[-2.0, -0.0, 0.0, 0.5, 1.5]]))
    y = q(w)
    y.sum().backward()
    assert y.tolist() == [[-1, 1, 1, 1, 1]] and w.grad.tolist() == [[0, 1, 1, 1, 0]]
    with torch.no_grad():
        q.after_step(w)
    assert w.tolist() == [[-1, 0, 0, 0.5, 1]]


def test_stochastic_signs_follow_the_hard_sigmoid() -> None:
    q = weights({"method": "sign", "stochastic": True}, (5, 20_000))
    w = torch.tensor([-1.5, -0.5, 0.0, 0.5, 1.0])[:, None].expand(5, 20_000)
    share = (q(w) == 1).float().mean(1)
    assert share[0] == 0 and share[4] == 1
    assert torch.allclose(share[1:4], torch.tensor([0.25, 0.5, 0.75]), atol=0.02)
    assert (q.eval()(w)[:, 0] == torch.tensor([-1.0, -1, 1, 1, 1])).all()


def test_stochastic_weights_are_no_fair_coins(w: nn.Parameter) -> None:
    for stochastic, mean in ((False, 0.01), (True, 0.5)):
        w.data = torch.linspace(-0.02, 0.02, 90).reshape(SHAPE)
        start(weights({"method": "sign", "stochastic": stochastic}), w)
        assert float(w.detach().abs().mean()) == pytest.approx(mean, rel=0.02)


def test_bwn_scale_is_optimal_and_its_gradient_is_the_papers(w: nn.Parameter) -> None:
    form = weights({"method": "bwn"}).integers(w)
    assert torch.allclose(form.unit, fit(form.values.flatten(1).float()[..., None], w.detach().flatten(1)).squeeze(1))
    weights({"method": "bwn"})(w).sum().backward()
    assert torch.allclose(w.grad, 1 / 18 + column(form.unit, w) * (w.abs() <= 1))


def test_fan_in_keeps_the_largest_of_each_output_and_lets_others_take_their_place(w: nn.Parameter) -> None:
    quantiser = weights({"method": "fan_in", "n": 4})
    values, rows = quantiser.integers(w).values.flatten(1), w.detach().flatten(1)
    assert (values.abs().sum(1) == 4).all() and torch.equal(values[values != 0].float(), rows[values != 0].sign())
    assert all(row[v != 0].abs().min() >= row[v == 0].abs().max() for row, v in zip(rows, values, strict=True))
    quantiser(w).sum().backward()
    assert w.grad is not None and (w.grad == 1).all()


@pytest.mark.parametrize("per_tensor", [False, True])
def test_twn_threshold_and_least_squares_scale(per_tensor: bool, w: nn.Parameter) -> None:
    form = weights({"method": "twn", "per_tensor": per_tensor}).integers(w)
    rows = w.detach().reshape(1, -1) if per_tensor else w.detach().flatten(1)
    values = form.values.reshape(rows.shape).float()
    assert torch.equal(values != 0, rows.abs() > 0.7 * rows.abs().mean(1, keepdim=True))
    assert torch.allclose(form.unit, fit(values[..., None], rows).squeeze(1))


def test_ttq_gradients_are_the_papers(w: nn.Parameter) -> None:
    q = weights({"method": "ttq", "t": 0.3})
    q(w)
    q.scales.data = torch.tensor([0.9, 0.4])
    g = torch.randn(SHAPE)
    q(w).backward(g)
    delta = 0.3 * w.abs().max()
    up, down = w > delta, w < -delta
    assert torch.allclose(w.grad, g * torch.where(up, 0.9, torch.where(down, 0.4, 1.0)))
    assert torch.allclose(q.scales.grad, torch.stack([g[up].sum(), -g[down].sum()]))
    form = q.integers(w)
    assert form.values.unique().tolist() == [-4, 0, 9] and torch.allclose(form.unit, torch.tensor(0.1))


def test_ttq_scales_stay_positive_and_start_at_the_optimum(w: nn.Parameter) -> None:
    q = weights({"method": "ttq"})
    before = q.integers(w)
    q(w)
    assert torch.equal(before.values, q.integers(w).values)
    up = w > 0.05 * w.abs().max()
    assert torch.allclose(q.scales[0], w[up].mean())
    q.scales.data.fill_(-1)
    with torch.no_grad():
        q.after_step(w)
    assert (q.scales > 0).all()


@pytest.mark.parametrize("bits", [2, 3, 8])
def test_dorefa_values_are_odd_and_the_largest_weight_is_1(bits: int, w: nn.Parameter) -> None:
    form = weights({"method": "dorefa", "bits": bits}).integers(w)
    assert (form.values % 2 == 1).all() and form.values.abs().max() == 2**bits - 1 and (form.unit == torch.tensor(1 / (2**bits - 1))).all()
    t = torch.tanh(w.detach())
    assert ((column(form.unit, w) * form.values - t / t.abs().max()).abs() <= 1.001 / (2**bits - 1)).all()


def test_dorefa_gradient_goes_through_tanh(w: nn.Parameter) -> None:
    q, other = weights({"method": "dorefa", "bits": 3}), w.detach().clone().requires_grad_()
    g = torch.randn(SHAPE)
    q(w).backward(g)
    t = torch.tanh(other)
    (t / t.abs().max()).backward(g)
    assert torch.allclose(w.grad, other.grad)


def test_dorefa_gradients_have_few_levels_and_no_bias() -> None:
    x = torch.randn(2, 4000, requires_grad=True)
    g = torch.stack([torch.linspace(-1, 1, 4000), torch.full((4000,), 0.03)])
    g[1, 0] = 0.1
    y = weights({"method": "dorefa", "gradient_bits": 2}).after_product(x)
    assert torch.equal(y, x) and weights({"method": "dorefa"}).after_product(x) is x
    y.backward(g)
    levels = torch.tensor([-1, -1 / 3, 1 / 3, 1])
    for row, span in zip(x.grad, (1.0, 0.1), strict=True):
        assert ((row[:, None] - span * levels).abs().amin(1) < 1e-6).all()
    assert torch.allclose(x.grad[1, 1:].mean(), torch.tensor(0.03), atol=0.003)


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_qem_lowers_the_error_at_every_step(bits: int) -> None:
    rows = torch.randn(6, 200)
    basis = torch.rand(6, bits)

    def error(basis: Tensor) -> Tensor:
        return (rows - ((nearest(rows, basis).float() * 2 - 1) @ basis[..., None]).squeeze(-1)).square().sum(1)

    for _ in range(5):
        better = qem(rows, basis, 1)
        assert (error(better) <= error(basis) * 1.0001).all()
        basis = better
    levels = torch.cartesian_prod(*[torch.tensor([-1.0, 1])] * bits).reshape(-1, bits) @ basis[0]
    chosen = (nearest(rows, basis)[0].float() * 2 - 1) @ basis[0]
    assert torch.allclose((rows[0] - chosen).abs(), (rows[0][:, None] - levels).abs().amin(1), atol=1e-6)


def test_lq_bases_follow_the_weights_in_training_only(w: nn.Parameter) -> None:
    q = weights({"method": "lq", "bits": 3})
    q(w)
    before = q.basis.clone()
    q.eval()(w * 2)
    assert torch.equal(q.basis, before)
    q.train()(w * 2)
    assert (q.basis.norm(dim=1) > before.norm(dim=1)).all()
    assert q.integers(w).planes.bits.shape == (3, *SHAPE) and q.integers(w).planes.scale.shape == (3, 5)


@pytest.mark.parametrize("bases", [1, 2, 3, 5])
@pytest.mark.parametrize("per_tensor", [False, True])
def test_abc_scales_solve_least_squares(bases: int, per_tensor: bool, w: nn.Parameter) -> None:
    q = weights({"method": "abc", "bases": bases, "per_tensor": per_tensor})
    bits, scales = q.bases(w.detach())
    rows = w.detach().reshape(1, -1) if per_tensor else w.detach().flatten(1)
    symbols = (bits.float() * 2 - 1).reshape(len(rows), -1, bases)
    for r in range(len(rows)):
        found = symbols[r] @ scales[r]
        best = symbols[r] @ torch.linalg.lstsq(symbols[r], rows[r, :, None], driver="gelsd").solution.squeeze(1)
        assert torch.allclose(found, best, atol=1e-4)
    u = torch.linspace(-1, 1, bases) if bases > 1 else torch.zeros(1)
    first = rows[0] - rows[0].mean()
    assert torch.equal(symbols[0] > 0, first[:, None] + u * rows[0].std(correction=0) >= 0)
    q(w).sum().backward()
    assert torch.allclose(w.grad, column(scales.sum(1), w).expand(SHAPE), atol=1e-5)


@pytest.mark.parametrize("partition", ["magnitude", "random"])
def test_inq_freezes_powers_of_two_for_good(partition: str, w: nn.Parameter) -> None:
    q = weights({"method": "inq", "bits": 4, "partition": partition})
    n1 = math.floor(math.log2(4 * float(w.detach().abs().max()) / 3))
    seen: dict[int, float] = {}
    for epoch in range(8):
        with torch.no_grad():
            largest = w.detach().abs().flatten().sort(descending=True).values
            q.before_epoch(w, epoch, 8)
        if epoch == 0 and partition == "magnitude":
            assert (w.detach().abs().flatten()[~q.frozen.flatten()] <= largest[44]).all()
        assert int(q.frozen.sum()) == round(90 * (0.5, 0.75, 0.875, 1.0)[epoch // 2])
        w.grad = None
        q(w).square().sum().backward()
        assert (w.grad[q.frozen] == 0).all()
        with torch.no_grad():
            w += 0.1 * torch.randn_like(w)
            q.after_step(w)
            flat = w.flatten()
            assert all(float(flat[i]) == v for i, v in seen.items())
            seen |= {int(i): float(flat[i]) for i in q.frozen.flatten().nonzero()}
    assert len(seen) == 90
    assert {abs(v) for v in seen.values()} <= {0.0, *(2.0 ** (n1 - i) for i in range(4))}


def test_inq_quantises_at_the_papers_boundaries() -> None:
    w = torch.tensor([[1.0, 0.76, 0.74, 0.376, 0.374, 0.126, 0.124, -0.3]])
    form = weights({"method": "inq", "bits": 4}, (1, 8)).integers(w)
    assert form.unit.tolist() == [0.125] and form.values.tolist() == [[8, 8, 4, 4, 2, 1, 1, -2]]
    assert weights({"method": "inq", "bits": 2}, (1, 8)).integers(w).values.tolist() == [[1, 1, 1, 0, 0, 0, 0, 0]]


def test_bwnh_is_bwn_without_inputs_and_no_worse_with_them() -> None:
    w = nn.Parameter(torch.randn(8, 20) * 0.5)
    q, plain = weights({"method": "bwnh"}, (8, 20)), weights({"method": "bwn"}, (8, 20))
    assert torch.equal(q.integers(w).values, plain.integers(w).values)
    assert torch.allclose(q.integers(w).unit, plain.integers(w).unit)
    x = torch.randn(300, 5) @ torch.randn(5, 20) + 0.3 * torch.randn(300, 20)
    q.observe(x[:100])
    q.observe(x[100:])
    assert torch.allclose(q.gram, x.T @ x / 300, atol=1e-4)

    def error(form: WeightQuantiser) -> Tensor:
        return (x @ (w.detach() - real(form, w)).T).square().sum(0)

    codes = q.integers(w)
    assert error(q).sum() < 0.5 * error(plain).sum()
    gram, target = q.gram.double(), w.detach().double() @ q.gram.double()
    for k in range(20):
        flipped = codes.values.double()
        flipped[:, k] *= -1
        alpha = codes.unit.double()[:, None]
        cost = [((alpha * b) @ gram * (alpha * b) - 2 * alpha * b * target).sum(1) for b in (codes.values.double(), flipped)]
        assert (cost[0] <= cost[1] + 1e-6).all()
    start(q, w)
    assert torch.equal(q.integers(w).values, codes.values) and torch.equal(q.integers(w).unit, codes.unit)


def test_sq_share_and_odds(w: nn.Parameter) -> None:
    q = weights({"method": "sq"}, (8, 30))
    rows = torch.randn(8, 30)
    rows[0] = torch.where(rows[0] >= 0, 0.5, -0.5)
    rows[1] *= 100 * (torch.rand(30) < 0.1)
    rows[1, 0] = 50
    for epoch, share in ((0, 4), (2, 6), (4, 7), (6, 8)):
        with torch.no_grad():
            q.before_epoch(rows, epoch, 8)
        used = q(rows)
        binary = q.eval()(rows)
        q.train()
        assert sum(torch.equal(used[o], binary[o]) for o in range(8)) == share
        assert all(torch.equal(used[o], binary[o]) or torch.equal(used[o], rows[o]) for o in range(8))
    q.before_epoch(rows, 0, 8)
    odds = q.odds(rows)
    assert odds.argmax() == 0 and odds.argmin() == 1
    drawn = torch.stack([(q(rows) != rows).any(1) for _ in range(300)]).float().mean(0)
    assert drawn[1] < drawn[2:].min()


@pytest.mark.parametrize("target", ["binary", "ternary"])
def test_elq_regularises_the_loss_perturbation_and_the_error(target: str, w: nn.Parameter) -> None:
    q = weights({"method": "elq", "target": target, "perturbation": 0.25, "approximation": 0.5})
    start(q, w)
    g = torch.randn(SHAPE)
    q(w).backward(g)
    error = w.detach() - real(q, w)
    expected = g * (1 + 0.25 * (g * error).sum().sign()) + 0.5 * error
    assert torch.allclose(w.grad[~q.frozen], expected[~q.frozen], atol=1e-6) and (w.grad[q.frozen] == 0).all()
    values = q.integers(w).values.unique().tolist()
    assert values == ([-1, 1] if target == "binary" else [-1, 0, 1])


@pytest.mark.parametrize("target", ["binary", "ternary"])
def test_elq_pulls_free_weights_to_their_levels(target: str, w: nn.Parameter) -> None:
    q = weights({"method": "elq", "target": target, "approximation": 0.5})
    start(q, w)
    before = (w.detach() - real(q, w)).norm()
    for _ in range(10):
        w.grad = None
        (q(w) * 0).sum().backward()
        with torch.no_grad():
            w -= w.grad
            q.after_step(w)
    assert (w.detach() - real(q, w)).norm() < 0.01 * before


def test_fixed_point_rounding_and_overflow() -> None:
    w = torch.tensor([[0.25, 0.3, -0.25, 0.75, 3.0, -3.0, 0.2499999]])

    def values(**more: Any) -> list[int]:
        return weights({"method": "fixed", "integer_bits": 2, "fraction_bits": 1, **more}, (1, 7)).integers(w).values[0].tolist()

    assert values() == [1, 1, 0, 2, 3, -4, 0]
    assert values(rounding="truncate") == [0, 0, -1, 1, 3, -4, 0]
    assert values(overflow="zero") == [1, 1, 0, 2, 0, 0, 0]
    assert values(overflow="wrap") == [1, 1, 0, 2, -2, 2, 0]


def test_stochastic_rounding_has_no_bias() -> None:
    q = weights({"method": "fixed", "integer_bits": 1, "fraction_bits": 2, "rounding": "stochastic"}, (1, 40_000))
    w = torch.full((1, 40_000), 0.3)
    assert set(q(w).unique().tolist()) == {0.25, 0.5} and torch.allclose(q(w).mean(), torch.tensor(0.3), atol=0.005)
    assert (q.eval()(w) == 0.25).all()


def test_saturating_weights_stay_in_range(w: nn.Parameter) -> None:
    q = weights({"method": "fixed", "integer_bits": 1, "fraction_bits": 3})
    with torch.no_grad():
        q.after_step(w.mul_(10))
    assert w.min() == -1 and w.max() == 0.875


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_uniform_step_is_optimal_and_beats_the_static_one(bits: int, w: nn.Parameter) -> None:
    form = weights({"method": "uniform", "bits": bits, "iterations": 20}).integers(w)
    rows, values = w.detach().flatten(1), form.values.flatten(1).float()
    assert torch.allclose(form.unit, fit(values[..., None], rows).squeeze(1), rtol=1e-3)
    static = weights({"method": "static", "bits": bits})
    assert (w - real(weights({"method": "uniform", "bits": bits}), w)).norm() <= (w - real(static, w)).norm() * 1.0001
    assert (static.integers(w).values.flatten(1).abs().amax(1) == 2 ** (bits - 1) - 1).all()


def test_log_weights_are_the_nearest_powers_in_the_logarithm() -> None:
    w = torch.tensor([[1.1, -0.72, 0.70, 0.36, -0.001, 0.0, 0.35]])
    form = weights({"method": "log", "bits": 3}, (1, 7)).integers(w)
    assert form.unit.tolist() == [0.125] and form.values.tolist() == [[8, -8, 4, 4, -1, 0, 2]]


def test_gxnor_weights_are_gated() -> None:
    q, w = weights({"method": "gxnor"}, (1, 5)), nn.Parameter(torch.tensor([[-1.2, -0.6, 0.5, 0.6, 0.0]]))
    q(w).sum().backward()
    assert q(w).tolist() == [[-1, -1, 0, 1, 0]] and w.grad.tolist() == [[0, 1, 1, 1, 1]]


def test_gxnor_weights_start_as_twns(w: nn.Parameter) -> None:
    q, twn = weights({"method": "gxnor"}), weights({"method": "twn", "per_tensor": True}).integers(w).values
    w.data /= 100
    start(q, w)
    assert torch.equal(q.integers(w).values, twn)


# activations: what all have in common


def by_rule(q: ActivationQuantiser, x: Tensor) -> Tensor:
    form = q.levels()
    assert form.thresholds.dtype == torch.float32 and (form.thresholds.diff() > 0).all() and form.unit > 0
    assert form.values.dtype == torch.int64 and (form.values.diff() > 0).all() and form.values.abs().max() < 2**8
    assert len(form.values) == len(form.thresholds) + 1
    if form.planes is not None:
        assert torch.equal(form.planes.values(), form.values) and form.planes.scale.shape == (len(form.planes.bits), 1)
    level = (x[..., None] >= form.thresholds).sum(-1)
    return form.unit * form.values[level]


@pytest.mark.parametrize("spec", LEVELS, ids=name)
def test_training_and_evaluation_compare_alike(spec: dict[str, Any]) -> None:
    q, x = activation(spec), torch.randn(4, 6, 5, 5)
    q(x)
    if spec["method"] != "stochastic_sign":
        y = q(x)
        assert torch.equal(y, by_rule(q, x))
    q.eval()
    edges = q.levels().thresholds
    near = torch.cat([edges, torch.nextafter(edges, edges - 1), torch.nextafter(edges, edges + 1)])
    assert torch.equal(q(near), by_rule(q, near))
    for z in (x, x.to(memory_format=torch.channels_last), x.flatten(1)):
        assert torch.equal(q(z), by_rule(q, z)) and q(z).stride() == z.stride()


@pytest.mark.parametrize("spec", LEVELS, ids=name)
def test_gradients_reach_inputs_and_learned_parameters(spec: dict[str, Any]) -> None:
    q, x = activation(spec), torch.randn(400, requires_grad=True)
    (q(x) * torch.rand(400)).sum().backward()
    assert torch.isfinite(x.grad).all() and x.grad.abs().max() > 0
    for parameter in q.parameters():
        assert parameter.grad.abs().min() > 0


@pytest.mark.parametrize("spec", LEVELS, ids=name)
def test_levels_come_back_from_the_state_dict(spec: dict[str, Any]) -> None:
    q, other, x = activation(spec), activation(spec), torch.randn(100)
    q(x)
    other.load_state_dict(q.state_dict())
    assert torch.equal(by_rule(q, x), by_rule(other, x))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"method": "uint", "bits": 0}, "greater than or equal to 1"),
        ({"method": "uint", "bits": 9}, "less than or equal to 8"),
        ({"method": "pact", "alpha": 0}, "greater than 0"),
        ({"method": "pact", "alpha": math.inf}, "finite"),
        ({"method": "hwgq", "bits": 5}, "less than or equal to 4"),
        ({"method": "lq", "bits": 4}, "less than or equal to 3"),
        ({"method": "lq", "bits": 3, "scale_bits": 7}, "use scale_bits 6"),
        ({"method": "abc", "bases": 0}, "greater than or equal to 1"),
        ({"method": "ternary", "r": 0}, "greater than 0"),
        ({"method": "fixed", "integer_bits": 0, "fraction_bits": 4, "signed": True}, "need an integer bit for the sign"),
        ({"method": "fixed", "integer_bits": 3, "fraction_bits": 4}, "<3,4> has 7 bits; choose 1 to 6 in all"),
        ({"method": "fixed", "integer_bits": 2, "fraction_bits": 2, "overflow": "wrap"}, "does not rise with the input"),
        ({"method": "uniform_relu", "bits": 7}, "less than or equal to 6"),
        ({"method": "log", "bits": 4}, "less than or equal to 3"),
        ({"method": "impq", "widths": [2, 1]}, "widths must rise"),
        ({"method": "impq", "widths": [2, 3], "budget": 2}, r"widths must divide the largest, they are \(2, 3\); choose divisors of 3"),
        ({"method": "impq", "widths": [1, 2, 4], "budget": 4.5}, "lies outside the widths"),
        ({"method": "sign"}, "does not match any of the expected tags"),
    ],
    ids=lambda x: name(x) if isinstance(x, dict) else "",
)
def test_the_schema_refuses_activation_parameters(spec: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ACTIVATIONS.validate_python(spec)


# activations: the papers


def test_stochastic_sign_follows_the_hard_sigmoid() -> None:
    q, x = activation({"method": "stochastic_sign"}), torch.tensor([-1.0, -0.5, 0.5, 2.0])[:, None].expand(4, 20_000)
    share = (q(x) == 1).float().mean(1)
    assert share[0] == 0 and share[3] == 1 and torch.allclose(share[1:3], torch.tensor([0.25, 0.75]), atol=0.02)
    assert q.levels().thresholds.tolist() == [0] and q.levels().values.tolist() == [-1, 1] and q.levels().unit == 1


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_uint_rounds_half_up(bits: int) -> None:
    n, q = 2**bits - 1, activation({"method": "uint", "bits": bits})
    x = torch.rand(2000) * 1.4 - 0.2
    assert torch.allclose(q(x), half_up(x.clamp(0, 1) * n) / n)
    assert torch.equal(q.levels().thresholds, torch.tensor([(j - 0.5) / n for j in range(1, n + 1)]))


def test_pact_clip_learns_from_inputs_above_it() -> None:
    q, x = activation({"method": "pact", "bits": 3, "alpha": 1.5}), torch.tensor([-1.0, 0.2, 1.4, 1.5, 9.0], requires_grad=True)
    y = q(x)
    y.backward(torch.tensor([1.0, 2, 4, 8, 16]))
    assert x.grad.tolist() == [0, 2, 4, 0, 0] and q.alpha.grad == 24
    assert y[-1] == 1.5
    q.alpha.data.fill_(-1)
    by_rule(q, x.detach())
    q.alpha.data.fill_(math.nan)
    with pytest.raises(BnnhwError, match=r"^layer 'act1': the learned clip alpha must be finite, it is nan; lower the learning rate$"):
        q.levels()


@pytest.mark.parametrize(("bits", "step"), [(2, 0.538), (3, 0.3218), (4, 0.185)])
def test_hwgq_steps_are_the_papers(bits: int, step: float) -> None:
    assert activation({"method": "hwgq", "bits": bits}).levels().unit == pytest.approx(step, abs=2e-3)


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_hwgq_levels_are_lloyds(bits: int) -> None:
    q = torch.tensor(half_gaussian_levels(2**bits - 1, False))
    x = torch.randn(2_000_000).abs()
    nearest_level = (x[:, None] - q).abs().argmin(1) if bits < 3 else torch.bucketize(x, (q[1:] + q[:-1]) / 2)
    means = torch.stack([x[nearest_level == i].mean() for i in range(len(q))])
    assert torch.allclose(means, q, atol=0.02)
    free, even = (torch.tensor(half_gaussian_levels(2**bits - 1, u)) for u in (False, True))
    errors = [(x[:50_000, None] - levels).square().amin(1).mean() for levels in (free, even)]
    assert errors[0] <= errors[1] * 1.01
    form = activation({"method": "hwgq", "bits": bits, "uniform": False}).levels()
    assert ((form.values[1:] * form.unit - q).abs() <= form.unit / 2 * 1.001).all() and form.values[0] == 0


def test_hwgq_gradients() -> None:
    x = torch.tensor([-1.0, 0.5, 4.0])
    for gradient, expected in (("relu", [0, 1, 1]), ("clipped_relu", [0, 1, 0]), ("log_tailed_relu", [0, 1, None])):
        q, leaf = activation({"method": "hwgq", "gradient": gradient}), x.clone().requires_grad_()
        assert isinstance(q, HwgqActivation)
        q(leaf).sum().backward()
        tail = 1 / (4.0 - (3 * q.levels().unit - 1))
        assert leaf.grad.tolist() == pytest.approx([tail if e is None else e for e in expected])
    assert q(torch.zeros(1)) == 0


@pytest.mark.parametrize("bits", [1, 2, 3])
def test_lq_activations_learn_a_basis_of_lower_error(bits: int) -> None:
    q = activation({"method": "lq", "bits": bits, "momentum": 0.5})
    x = torch.randn(20_000).abs() * 3
    first = (q.eval()(x) - x).square().mean()
    q.train()
    for _ in range(30):
        q(x)
    q.eval()
    assert (q(x) - x).square().mean() < 0.7 * first
    form = q.levels()
    assert form.values[0] == 0 and not form.planes.bipolar and len(form.values) == 2**bits
    assert torch.allclose(form.thresholds, (form.values[1:] + form.values[:-1]) / 2 * form.unit)


def test_lq_levels_that_coincide_are_one() -> None:
    q = activation({"method": "lq", "bits": 3})
    q.basis.copy_(torch.tensor([1.5, 1.5, 1.5]))
    assert q.levels().values.tolist() == [0, 1, 2, 3] and q.levels().unit == 1.5
    q.basis.copy_(torch.tensor([1.0, 0.001, 2.0]))
    assert q.levels().planes.bits.shape == (2, 4)
    by_rule(q, torch.randn(50))


@pytest.mark.parametrize("bases", [1, 2, 3, 5])
def test_abc_activations_are_the_sum_of_their_bases(bases: int) -> None:
    q, x = activation({"method": "abc", "bases": bases}), torch.randn(500)
    q.shift.data.add_(0.2 * torch.randn(bases))
    q.scale.data.copy_(torch.rand(bases) + 0.2)
    h = (x[:, None] + q.shift.detach()).clamp(0, 1) >= 0.5
    scale, unit = reduced_scales(q.scale.detach(), 5)
    assert torch.allclose(q(x), unit * ((h * 2 - 1) * scale).sum(1).float(), atol=1e-5)
    assert len(q.levels().values) == bases + 1


def test_abc_gradients_are_the_papers() -> None:
    q, x, g = activation({"method": "abc", "bases": 2}), torch.randn(300, requires_grad=True), torch.randn(300)
    q.shift.data, q.scale.data = torch.tensor([0.1, 0.7]), torch.tensor([0.5, 0.25])
    q(x).backward(g)
    at = x.detach()[:, None] + q.shift.detach()
    window, h = (at >= 0) & (at <= 1), (at >= 0.5) * 2.0 - 1
    assert torch.allclose(x.grad, g * (window * q.scale.detach()).sum(1))
    assert torch.allclose(q.shift.grad, (g[:, None] * window * q.scale.detach()).sum(0), atol=1e-4)
    assert torch.allclose(q.scale.grad, (g[:, None] * h).sum(0), atol=1e-4)


def test_abc_scales_stay_positive_and_equal_shifts_are_one_threshold() -> None:
    q = activation({"method": "abc", "bases": 3})
    q.scale.data, q.shift.data = torch.tensor([1.0, -1.0, 0.5]), torch.tensor([0.5, 0.5, 0.1])
    by_rule(q, torch.randn(50))
    assert q.levels().thresholds.tolist() == pytest.approx([0, 0.4])
    q.shift.data[0] = math.nan
    with pytest.raises(BnnhwError, match=r"layer 'act1': the learned shifts must be finite, it is \[nan"):
        q.levels()


def test_ternary_derivative_is_a_rectangle() -> None:
    q, x = activation({"method": "ternary", "r": 0.5, "window": 0.25}), torch.tensor([-0.8, -0.7, 0.0, 0.25, 0.5, 0.8], requires_grad=True)
    y = q(x)
    y.sum().backward()
    assert y.tolist() == [-1, -1, 0, 0, 1, 1] and x.grad.tolist() == [0, 2, 0, 2, 2, 0]


def test_fixed_activations_round_and_saturate() -> None:
    x = torch.tensor([-5.0, -0.125, 0.124, 0.125, 0.99, 9.0])
    unsigned = {"method": "fixed", "integer_bits": 1, "fraction_bits": 2}
    assert activation(unsigned)(x).tolist() == [0, 0, 0, 0.25, 1, 1.75]
    assert activation({**unsigned, "rounding": "truncate"})(x).tolist() == [0, 0, 0, 0, 0.75, 1.75]
    assert activation({**unsigned, "signed": True})(x).tolist() == [-1, 0, 0, 0.25, 0.75, 0.75]


@pytest.mark.parametrize("relu", [True, False])
def test_static_activations_need_a_range_and_cover_it(relu: bool) -> None:
    q = activation({"method": "uniform_relu", "bits": 4, "relu": relu}).eval()
    with pytest.raises(BnnhwError, match=r"^layer 'act1': static levels need an observed range, it is inf to -inf; calibrate on training data$"):
        q.levels()
    q.observe(torch.tensor([-1.0, 0.5]))
    q.observe(torch.tensor([2.0]))
    form, low = q.levels(), 0.0 if relu else -1.0
    assert form.unit == pytest.approx((2 - low) / 15) and len(form.values) == 16
    assert form.values[0] == (0 if relu else -5) and 0 in form.values
    x = torch.linspace(low, 2, 400)
    assert (q(x) - x).abs().max() <= form.unit * 0.501


def test_log_activations_round_in_the_logarithm() -> None:
    q = activation({"method": "log", "bits": 3, "fsr": 1})
    x = torch.tensor([-1.0, 0.02, 0.023, 0.7, 0.72, 1.5, 100])
    assert q(x).tolist() == [0, 0, 0.03125, 0.5, 1, 2, 2]
    assert q.levels().values.tolist() == [0, 1, 2, 4, 8, 16, 32, 64] and q.levels().unit == 2 / 64


# activations: widths of channels

MIXED = [{"method": "impq"}, {"method": "impq", "widths": [1, 2, 8], "budget": 2.5}, {"method": "impq", "widths": [3], "budget": 3}]


def mixed(spec: dict[str, Any], channels: int) -> ImpqActivation:
    """Channels of all widths in turn."""
    q = activation(spec, channels)
    assert isinstance(q, ImpqActivation)
    q.bits.copy_(torch.tensor(q.spec.widths).repeat(channels)[:channels])
    return q


@pytest.mark.parametrize("spec", MIXED, ids=name)
def test_channels_use_levels_of_the_widest(spec: dict[str, Any]) -> None:
    q = mixed(spec, 5)
    form, top = q.levels(), q.spec.widths[-1]
    widest = activation({"method": "uint", "bits": top}).levels()
    assert torch.equal(form.values, widest.values) and form.unit == widest.unit and form.thresholds.shape == (5, 2**top - 1)
    assert form.thresholds.dtype == torch.float32 and (form.thresholds.diff() >= 0).all()
    x = torch.randn(300, 5) + 0.5
    for c, bits in enumerate(q.bits.tolist()):
        own = activation({"method": "uint", "bits": bits})
        assert torch.equal(form.thresholds[c].unique(), own.levels().thresholds)
        assert torch.allclose(q(x)[:, c], own(x[:, c].contiguous()), atol=1e-6)


@pytest.mark.parametrize("spec", MIXED, ids=name)
def test_channels_compare_alike_in_training_and_evaluation(spec: dict[str, Any]) -> None:
    q, x = mixed(spec, 6), torch.randn(4, 6, 5, 5)
    layer, form = LevelsLayer(Levels(name="act1"), q), q.levels()
    edges = form.thresholds.T.contiguous()
    near = torch.cat([edges, torch.nextafter(edges, edges - 1), torch.nextafter(edges, edges + 1)])
    for given in (x, x.to(memory_format=torch.channels_last), torch.randn(7, 6), near):
        z = given.requires_grad_()
        at = form.thresholds.reshape(1, 6, *[1] * (z.dim() - 2), -1)
        level = (z.detach()[..., None] >= at).sum(-1)
        seen = layer.evaluate(z.detach())
        assert torch.equal(layer.train()(z), form.unit * form.values[level]) and torch.equal(seen.values, form.values[level].float())
        assert torch.equal(seen.real(), q.eval()(z)) and q(z).stride() == z.stride()
    assert torch.equal(q(x.flatten(1)), q(x).flatten(1))


def test_channels_pass_gradients_and_feel_them() -> None:
    q, x, g = mixed({"method": "impq"}, 6), torch.randn(4, 6, 3, 3, requires_grad=True), torch.randn(4, 6, 3, 3)
    q.eval()(x).backward(g)
    assert not q.sensitivity.any()
    x.grad = None
    y = q.train()(x)
    y.backward(g)
    assert torch.equal(x.grad, g * ((x >= 0) & (x <= 1)))
    steps = (2**q.bits - 1).reshape(1, -1, 1, 1)
    once = ((y - x.clamp(0, 1)) * steps * g).detach().square().mean((0, 2, 3))
    assert torch.allclose(q.sensitivity, once) and (once > 0).all()
    q(x.detach().requires_grad_()).backward(g)
    assert torch.allclose(q.sensitivity, 2 * once)


@pytest.mark.parametrize(("widths", "budget"), [((1, 2, 4), 2.0), ((1, 2, 4), 1.0), ((2, 8), 3.3), ((1, 2, 4), 4.0)])
def test_channels_keep_their_budget_and_spend_it_where_the_loss_feels_it(widths: tuple[int, ...], budget: float) -> None:
    q, x = activation({"method": "impq", "widths": widths, "budget": budget, "steps": 2}, 20), torch.rand(200, 20, requires_grad=True)
    assert isinstance(q, ImpqActivation)
    (q(x) * torch.arange(20)).sum().backward()
    q.before_epoch(0, 3)
    assert (q.bits == widths[-1]).all()
    q.before_epoch(1, 3)
    half = q.bits.clone()
    q.before_epoch(2, 3)
    assert (q.bits <= half).all() and float(q.bits.float().mean()) <= budget and set(q.bits.tolist()) <= set(widths)
    assert (q.bits.diff() >= 0).all() and (budget in (1, 4) or q.bits[-1] > q.bits[0])
    other = activation({"method": "impq", "widths": widths, "budget": budget}, 20)
    other.load_state_dict(q.state_dict())
    assert torch.equal(other.levels().thresholds, q.levels().thresholds)


def test_channels_refuse_gradients_that_they_cannot_weigh() -> None:
    q, x = activation({"method": "impq"}, 4), torch.rand(9, 4, requires_grad=True)
    q(x).backward(torch.full((9, 4), math.inf))
    with pytest.raises(BnnhwError, match=r"^layer 'act1': a gradient was NaN or infinite, no width follows from it; lower the learning rate$"):
        q.before_epoch(1, 2)


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_networks_of_mixed_widths_are_lowered_exactly(kind: str, tmp_path: Path) -> None:
    first = {"type": "dense", "out": 12} if kind == "dense" else {"type": "conv", "out": 12, "kernel": 3, "pad": 1, "stride": 2}
    layers = [first, {"type": "batchnorm", "eps": 1e-5}, {"type": "levels", "name": "a1"}, {**first, "out": 10}]
    layers += [{"type": "batchnorm", "eps": 1e-5}, {"type": "levels", "name": "a2"}, {"type": "dense", "out": 10}]
    described = {
        "bnnhw": 1, "name": "mixed", "input": {"shape": [1, 8, 8], "type": "uint8", "preprocess": "2p-255"}, "layers": layers,
        "quantisers": {"weights": {"method": "impq"}, "activations": {"method": "impq", "budget": 2.5}},
        "train": {"data": "digits", "epochs": 2, "batch": 50, "lr": 0.01},
    }  # fmt: skip
    (tmp_path / "net.yaml").write_text(yaml.safe_dump(described))
    bnnhw.train(tmp_path / "net.yaml", tmp_path, quiet=True)
    stored, images = np.load(tmp_path / "weights.npz"), data.load_split("digits", "test").x
    assert stored["a1.thresholds"].shape == (12, 15) and stored["a2.thresholds"].shape == (10, 15)
    steps = [len(np.unique(row)) for row in stored["a1.thresholds"]]
    assert set(steps) <= {1, 3, 15} and len(set(steps)) > 1
    net = Topology.model_validate(yaml.safe_load((tmp_path / "trained.yaml").read_text()))
    model = build(net).eval()
    load_parameters(model, tmp_path)
    with torch.no_grad():
        sums = model(prepare(net.input, images)).flatten(1).numpy()
    golden = run(lower(frontend.load(tmp_path / "network.yaml")).network, images)
    assert (golden.outputs.reshape(sums.shape) == sums).all() and len(np.unique(sums)) > 10


# what they share


def test_portions_end_with_the_last_step() -> None:
    steps = (0.5, 0.75, 1.0)
    assert [portion(steps, e, 6) for e in range(6)] == [0.5, 0.5, 0.75, 0.75, 1, 1]
    assert [portion(steps, e, 2) for e in range(2)] == [0.75, 1] and portion(steps, 0, 1) == 1


def test_half_up_and_nearest_powers() -> None:
    assert half_up(torch.tensor([0.5, -0.5, 1.5, 0.49999997, -1.2])).tolist() == [1, 0, 2, 0, -1]
    x = torch.tensor([0.0, 1.0, -3.0, 2.8, 2.9, 1e-20, -(2.0**30)])
    assert power_of_two(x).tolist() == [0, 1, -4, 2, 4, 2.0 ** round(math.log2(1e-20)), -(2.0**30)]


def test_scales_lose_common_factors() -> None:
    integers, unit = reduced_scales(torch.tensor([[0.3, 0.3], [0.7, 0.1], [0.0, 0.2]]), 6)
    assert integers.tolist() == [[1, 1], [7, 1], [0, 1]] and torch.equal(unit, torch.tensor([0.3, 0.7 / 7, 0.2]))


@pytest.mark.parametrize("shape", [(32, 6), (8, 6, 4, 4)])
def test_shift_batch_norm_is_a_batch_norm_of_a_power_of_two(shape: tuple[int, ...]) -> None:
    norm, x = ShiftBatchNorm(6), 5 * torch.randn(shape) + 2
    norm.weight.data = torch.tensor([1.0, -0.6, 3.0, 0.1, 2.0, 0.0])
    norm.bias.data = torch.randn(6)
    for _ in range(100):
        y = norm(x)
    y.square().sum().backward()
    assert all(p.grad.abs().max() > 0 for p in (norm.weight, norm.bias))
    n = norm.eval().as_batch_norm()
    scale = n["weight"] / torch.sqrt(n["running_var"] + EPS)
    assert torch.equal(scale, n["weight"]) and torch.equal(scale, power_of_two(scale)) and (scale[:5] != 0).all() and scale[5] == 0
    plain = (nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d)(6, eps=EPS).eval()
    plain.load_state_dict({**n, "num_batches_tracked": torch.tensor(0)})
    assert torch.equal(plain(x), norm(x))
    assert torch.allclose(norm(x), y, atol=1e-2)
    ratio = scale[:5] * torch.sqrt(norm.running_var[:5]) / norm.weight.detach()[:5]
    assert ((ratio > 0.49) & (ratio < 2.01)).all()
    axes = [0, *range(2, x.dim())]
    assert ((norm.running_var / x.var(axes) - 1).abs() < 0.35).all()
    assert torch.equal(norm(x), F.batch_norm(x, n["running_mean"], n["running_var"], n["weight"], n["bias"], eps=EPS))
