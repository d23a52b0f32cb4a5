"""Laws of weights in two steps: what is stored stands for the values, hardware's two layers equal one, training meets evaluation."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from bnnhw import golden
from bnnhw.ir import compressions as c
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.layers import MatVec
from bnnhw.ir.pipeline import pipeline
from bnnhw.ir.topology import Topology
from bnnhw.ir.trained import TrainedNetwork
from bnnhw.lower import lower
from bnnhw.lower.factors import two_steps
from bnnhw.lower.source import source
from bnnhw.lower.weights import ordered
from bnnhw.nn.compress.build import compression_quantiser
from bnnhw.nn.compress.two_steps import FactoredWeights, LowRankWeights, ProductWeights, SharedKernelWeights
from bnnhw.nn.quantiser import IntegerWeights, WeightQuantiser
from bnnhw.report.layers import layer_rows
from bnnhw.schedule import fully_folded

KERNELS = [{"method": "kernels"}, {"method": "kernels", "n": 2}]
ANY_SHAPE = [
    {"method": "product", "size": 2, "n": 4},
    {"method": "product", "size": 4, "n": 3, "bits": 2, "start": 0},
    {"method": "factor", "rank": 5},
    {"method": "factor", "rank": 8, "scale_bits": 1, "iterations": 0},
    {"method": "lowrank", "rank": 3},
    {"method": "lowrank", "rank": 1, "bits": 8},
    {"method": "lowrank", "energy": 0.8, "bits": 2},
]
CONV, POINT, DENSE = (6, 4, 2, 3), (6, 4, 1, 1), (6, 12)
CASES = [*itertools.product(ANY_SHAPE + KERNELS, (CONV, POINT)), *itertools.product(ANY_SHAPE, (DENSE,))]


def spec_of(given: dict[str, Any]) -> c.CompressionMethod:
    return TypeAdapter(c.CompressionMethod).validate_python(given)


def normal(rng: np.random.Generator, *shape: int) -> Tensor:
    return torch.from_numpy(rng.standard_normal(shape)).float()


def real(found: IntegerWeights) -> Tensor:
    return found.values * found.unit.reshape(-1, *[1] * (found.values.dim() - 1))


def network(
    layers: list[dict[str, Any]], tensors: dict[str, NDArray], found: IntegerWeights, whole: bool, kind: str, shape: list[int]
) -> TrainedNetwork:
    """A network whose layer "c" has the weights `found`: whole, or in two steps."""
    assert found.two_steps is not None
    stored = "integers" if whole else found.two_steps.kind
    given = {"weight": found.values} if whole else found.two_steps.tensors
    described = [layer | {"weights": stored} if layer["name"] == "c" else layer for layer in layers]
    top = Topology.model_validate({"bnnhw": 1, "name": "net", "input": {"shape": shape, "type": kind}, "layers": described})
    return TrainedNetwork(top, tensors | {f"c.{name}": value.numpy() for name, value in given.items()})


def product_layer(shape: tuple[int, ...], **more: Any) -> dict[str, Any]:
    layer = {"type": "conv", "kernel": list(shape[2:])} if len(shape) == 4 else {"type": "dense"}
    return layer | {"name": "c", "out": shape[0]} | more


def frames(rng: np.random.Generator, kind: str, shape: list[int]) -> NDArray[np.integer]:
    low, high = {"uint8": (0, 256), "int8": (-128, 128), "bipolar": (0, 2)}[kind]
    raw = rng.integers(low, high, (16, *shape))
    return (2 * raw - 1).astype(np.int8) if kind == "bipolar" else raw.astype(kind)


def norm(rng: np.random.Generator, name: str, channels: int, spread: float) -> dict[str, NDArray]:
    """A batch norm around 0, so that no channel is constant."""
    values = {"weight": rng.normal(0, 1, channels), "bias": np.zeros(channels), "running_mean": rng.normal(0, 0.1, channels) * spread}
    return {f"{name}.{k}": v.astype(np.float32) for k, v in (values | {"running_var": np.full(channels, spread**2)}).items()}


@pytest.mark.parametrize(("given", "shape"), CASES, ids=str)
def test_what_is_stored_stands_for_the_values(given: dict[str, Any], shape: tuple[int, ...], rng: np.random.Generator) -> None:
    found = compression_quantiser(spec_of(given), shape, "c").integers(normal(rng, *shape))
    size = [shape[1], 5, 4] if len(shape) == 4 else [shape[1]]
    layers = [product_layer(shape)]
    whole, split = (network(layers, {}, found, w, "bipolar", size) for w in (True, False))
    plain = lower(whole).network["c"]
    assert isinstance(plain, MatVec)
    (layer,) = split.topology.layers
    stands_for = two_steps(split, layer, plain.window, source(split.topology.input), ()).values  # type: ignore[arg-type]
    assert np.array_equal(stands_for, ordered(found.values.numpy(), plain.window))
    assert found.values.dtype == torch.int64 and found.values.shape == shape and found.values.any()
    assert found.unit.dtype == torch.float32 and found.unit.shape == shape[:1] and (found.unit > 0).all()
    assert found.two_steps is not None and all(t.dtype == torch.int64 for t in found.two_steps.tensors.values())


@pytest.mark.parametrize("kind", ["uint8", "int8", "bipolar"])
@pytest.mark.parametrize(("given", "shape"), CASES, ids=str)
def test_two_layers_equal_one(given: dict[str, Any], shape: tuple[int, ...], kind: str, rng: np.random.Generator) -> None:
    """Padded with 0 where that is a level of the input, with and without an activation behind, and hidden where the input has both signs."""
    found = compression_quantiser(spec_of(given), shape, "c").integers(normal(rng, *shape))
    conv, spread = len(shape) == 4, float(found.values.abs().flatten(1).sum(1).max()) / 3
    in_size = [shape[1], 5, 4] if conv else [shape[1]]
    more = {"stride": [2, 1], "dilation": [1, 2] if shape[3] == 1 else 1} if conv else {}
    if conv and kind != "bipolar":
        more["pad"] = [1, 0, 2, 1]
    only = [product_layer(shape, **more)]
    behind = [
        {"type": "batchnorm", "name": "b", "eps": 1e-5},
        {"type": "sign", "name": "s", "zero_to": 1},
        {"type": "dense", "name": "d", "out": 3},
    ]
    before = [
        {"type": "conv", "name": "a", "out": shape[1], "kernel": 1} if conv else {"type": "dense", "name": "a", "out": shape[1]},
        {"type": "batchnorm", "name": "an", "eps": 1e-5},
        {"type": "sign", "name": "as", "zero_to": 1},
    ]
    hidden = [product_layer(shape, **{k: v for k, v in more.items() if k != "pad"})]
    nets = [(only, in_size), (only + behind, in_size)]
    if kind != "uint8":
        nets.append((before + hidden + behind, [7, *in_size[1:]]))
    for layers, size in nets:
        tensors = norm(rng, "b", shape[0], spread * (1 if kind == "bipolar" or layers[0]["name"] == "a" else 100))
        tensors |= norm(rng, "an", shape[1], 2 if kind == "bipolar" else 200)
        tensors["a.weight"] = rng.choice([-1, 1], (shape[1], 7, 1, 1) if conv else (shape[1], 7)).astype(np.int8)
        pixels = np.prod(list(network(layers, {}, found, True, kind, size).topology.shape_of().values())[-2])
        tensors["d.weight"] = rng.choice([-1, 1], (3, int(pixels))).astype(np.int8)
        x = frames(rng, kind, size)
        one, two = (golden.run(lower(network(layers, tensors, found, w, kind, size)).network, x).outputs for w in (True, False))
        assert np.array_equal(one, two) and (layers is not only or len(np.unique(one)) > 1)


@pytest.mark.parametrize("tail", ["sums", "norm", "fixed"])
@pytest.mark.parametrize("pad_value", [-1, 1])
@pytest.mark.parametrize("given", [g for g in ANY_SHAPE if g["method"] != "product"] + KERNELS, ids=str)
def test_two_layers_equal_one_under_a_margin(given: dict[str, Any], pad_value: int, tail: str, rng: np.random.Generator) -> None:
    """Padded with a level of the input; behind constant channels too, which lowering removes."""
    found = compression_quantiser(spec_of(given), CONV, "c").integers(normal(rng, *CONV))
    spread = float(found.values.abs().flatten(1).sum(1).max()) / 3
    tails = {
        "sums": [],
        "norm": [{"type": "batchnorm", "name": "b", "eps": 1e-5}, {"type": "sign", "name": "s", "zero_to": 1}],
        "fixed": [{"type": "fixed", "name": "f", "bits": 10}],
    }
    before = [{"type": "conv", "name": "a", "out": 4, "kernel": 1}, {"type": "batchnorm", "name": "an", "eps": 1e-5}]
    before += [{"type": "sign", "name": "as", "zero_to": 1}]
    conv = product_layer(CONV, pad=[1, 0, 2, 1], pad_value=pad_value)
    behind = tails[tail] + ([{"type": "dense", "name": "d", "out": 3}] if tail != "sums" else [])
    constant = norm(rng, "an", 4, 2)
    constant["an.bias"][1:3] = 100, -100
    for layers, extra in (([conv, *behind], {}), ([*before, conv, *behind], constant)):
        tensors = extra | norm(rng, "b", 6, spread) | {"a.weight": rng.choice([-1, 1], (4, 4, 1, 1)).astype(np.int8)}
        tensors |= {"f.multiplier": np.full(6, 3), "f.addend": np.arange(6), "f.shift": np.array(2)}
        tensors["d.weight"] = rng.choice([-1, 1], (3, 6 * 7 * 3)).astype(np.int8)
        x = frames(rng, "bipolar", [4, 5, 4])
        one, two = (golden.run(lower(network(layers, tensors, found, w, "bipolar", [4, 5, 4])).network, x).outputs for w in (True, False))
        assert np.array_equal(one, two)


@pytest.mark.parametrize("given", [g for g in ANY_SHAPE if g["method"] != "product"], ids=str)
def test_factors_of_a_dense_layer_see_a_whole_map(given: dict[str, Any], rng: np.random.Generator) -> None:
    found = compression_quantiser(spec_of(given), DENSE, "c").integers(normal(rng, *DENSE))
    x = frames(rng, "int8", [2, 3, 2])
    one, two = (golden.run(lower(network([product_layer(DENSE)], {}, found, w, "int8", [2, 3, 2])).network, x).outputs for w in (True, False))
    assert np.array_equal(one, two)


@pytest.mark.parametrize("pad_value", [-1, 0, 1])
def test_integers_are_padded_with_the_number(pad_value: int, rng: np.random.Generator) -> None:
    first, second = normal(rng, 4, 2, 1, 1).sign(), normal(rng, *CONV)
    pairs = [compression_quantiser(spec_of(given), CONV, "c").integers(second) for given in ({"method": "lowrank", "rank": 2}, *KERNELS)]
    x = frames(rng, "int8", [2, 4, 4])
    layers = [{"type": "conv", "name": "a", "out": 4, "kernel": 1}, {"type": "fixed", "name": "f", "bits": 12}]
    layers += [product_layer(CONV, pad=1, pad_value=pad_value)]
    tensors = {"a.weight": first.numpy(), "f.multiplier": np.ones(4), "f.addend": np.zeros(4), "f.shift": np.array(0)}
    seen = F.conv2d(torch.from_numpy(x).double(), first.double()).clamp(-2048, 2047)
    for found in pairs:
        wanted = F.conv2d(F.pad(seen, (1, 1, 1, 1), value=pad_value), found.values.double()).long().numpy()
        for whole in (True, False):
            assert np.array_equal(golden.run(lower(network(layers, tensors, found, whole, "int8", [2, 4, 4])).network, x).outputs, wanted)


def trained(spec: c.CompressionMethod, w0: Tensor, epochs: int = 8, steps: int = 6) -> tuple[WeightQuantiser, nn.Parameter, list[float]]:
    """A quantiser and its latent weights after `epochs` towards a teacher's outputs, and the loss of every step."""
    torch.manual_seed(1)
    quantiser, w = compression_quantiser(spec, tuple(w0.shape), "c"), nn.Parameter(w0.clone())
    x, teacher = torch.randn(64, w0[0].numel()), torch.randn(w0[0].numel(), len(w0))
    optimiser = torch.optim.Adam([w, *quantiser.parameters()], 0.01)
    losses = []
    for epoch in range(epochs):
        with torch.no_grad():
            quantiser.before_epoch(w, epoch, epochs)
        copy = compression_quantiser(spec, tuple(w0.shape), "c")
        copy.load_state_dict(quantiser.state_dict())
        assert torch.equal(copy(w), quantiser(w)) and torch.equal(copy.integers(w).values, quantiser.integers(w).values)
        for _ in range(steps):
            optimiser.zero_grad()
            loss = F.mse_loss(x @ quantiser(w).flatten(1).T, x @ teacher)
            loss.backward()
            optimiser.step()
            with torch.no_grad():
                quantiser.after_step(w)
            losses.append(float(loss.detach()))
    return quantiser, w, losses


@pytest.mark.parametrize(("given", "shape"), [case for case in CASES if case[1] != POINT], ids=str)
def test_integers_are_what_training_saw(given: dict[str, Any], shape: tuple[int, ...], rng: np.random.Generator) -> None:
    spec, w0 = spec_of(given), normal(rng, *shape)
    quantiser, w, losses = trained(spec, w0)
    found, seen = quantiser.integers(w), quantiser(w).detach()
    error = (real(found) - seen).abs()
    match quantiser:
        case ProductWeights():
            assert (error <= 0.501 * found.unit[0]).all()
        case SharedKernelWeights():
            assert (error == 0).all() and (found.values.abs() == 1).all() and (w.abs() <= 1).all()
        case FactoredWeights():
            terms = (quantiser.x.float().abs() @ quantiser.y.float().abs()).reshape(shape)
            assert (error <= 0.501 * found.unit[0] * terms + 1e-5).all()
        case LowRankWeights():
            assert torch.allclose(real(found), seen, atol=1e-4)
    cut = int(spec.start * 8) * 6 if isinstance(spec, c.Product | c.Kernels | c.Factorise | c.LowRank) else 0
    assert min(losses[-3:]) < losses[cut]
    again, w2, _ = trained(spec, w0)
    assert torch.equal(w2, w) and torch.equal(again.integers(w2).values, found.values)


@pytest.mark.parametrize("given", ANY_SHAPE + KERNELS, ids=str)
def test_the_code_is_cut_when_told(given: dict[str, Any], rng: np.random.Generator) -> None:
    quantiser = compression_quantiser(spec_of(given | {"start": 0.5}), CONV, "c")
    w = nn.Parameter(0.4 * normal(rng, *CONV))
    plain = torch.where(w >= 0, 1.0, -1.0) if given["method"] == "kernels" else w
    before = {name: value.clone() for name, value in quantiser.state_dict().items()}
    fresh = quantiser.integers(w)
    assert torch.equal(quantiser.integers(w).values, fresh.values)
    quantiser.before_epoch(w, 3, 8)
    assert torch.equal(quantiser(w), plain)
    assert all(torch.equal(before[name], value) for name, value in quantiser.state_dict().items())
    quantiser.before_epoch(w, 4, 8)
    assert torch.equal(quantiser.integers(w).values, fresh.values) and torch.equal(quantiser.integers(w).unit, fresh.unit)
    if given != KERNELS[0]:
        assert not torch.equal(quantiser(w), plain)


@pytest.mark.parametrize("given", [{"method": "kernels", "n": 2}, {"method": "factor", "rank": 4}, ANY_SHAPE[0], ANY_SHAPE[4]], ids=str)
def test_codes_that_follow_the_weights_stop_at_three_quarters(given: dict[str, Any], rng: np.random.Generator) -> None:
    quantiser = compression_quantiser(spec_of(given), CONV, "c")

    def code_after(epoch: int) -> list[Tensor]:
        quantiser.before_epoch(nn.Parameter(normal(rng, *CONV)), epoch, 8)
        return [value.clone() for value in quantiser.state_dict().values()]

    states = [code_after(epoch) for epoch in (4, 5, 6, 7)]
    same = [all(map(torch.equal, a, b)) for a, b in itertools.pairwise(states)]
    assert same == [given["method"] in ("product", "lowrank"), True, True]
    late = compression_quantiser(spec_of(given | {"start": 0.9}), CONV, "c")
    late.before_epoch(nn.Parameter(normal(rng, *CONV)), 7, 8)
    assert late.state_dict()["started"]


def test_codewords_and_factors_are_trained_and_latent_weights_rest(rng: np.random.Generator) -> None:
    for given in (ANY_SHAPE[0], {"method": "lowrank", "rank": 2}, {"method": "factor", "rank": 3}):
        quantiser, w, grad = compression_quantiser(spec_of(given), DENSE, "c"), nn.Parameter(normal(rng, *DENSE)), normal(rng, *DENSE)
        quantiser.before_epoch(w, 0, 1)
        (quantiser(w) * grad).sum().backward()
        assert all(p.grad is not None and p.grad.any() for p in quantiser.parameters())
        assert (w.grad is None) == (given["method"] != "factor")
        match quantiser:
            case ProductWeights():
                runs = grad.reshape(6, 6, 2)
                summed = torch.zeros(6 * 4, 2).index_add(0, quantiser.rows.flatten(), runs.flatten(0, 1))
                assert torch.allclose(quantiser.codewords.grad.flatten(0, 1), summed, atol=1e-5)
            case FactoredWeights():
                assert torch.equal(w.grad, grad)
                along = ((quantiser.x.float().T @ grad) * quantiser.y.float()).sum(1)
                assert torch.allclose(quantiser.d.grad, along, atol=1e-5)


def test_kernels_gradient_is_clipped(rng: np.random.Generator) -> None:
    quantiser, w, grad = SharedKernelWeights(c.Kernels(n=1), CONV, "c"), nn.Parameter(normal(rng, *CONV)), normal(rng, *CONV)
    for epoch in (0, 1):
        quantiser.before_epoch(w, epoch, 2)
        w.grad = None
        (quantiser(w) * grad).sum().backward()
        assert w.grad is not None and torch.equal(w.grad, grad * (w.abs() <= 1))


def errors(given: dict[str, Any], key: str, values: tuple[Any, ...], w: Tensor) -> list[float]:
    found = [compression_quantiser(spec_of(given | {key: v}), tuple(w.shape), "c").integers(w) for v in values]
    target = torch.where(w >= 0, 1.0, -1.0) if given["method"] == "kernels" else w
    return [float((real(f) - target).square().sum()) for f in found]


@pytest.mark.parametrize(
    ("given", "key", "values"),
    [
        ({"method": "product", "size": 2}, "n", (2, 6, 24)),
        ({"method": "product", "size": 2, "n": 48}, "bits", (2, 4, 8)),
        ({"method": "kernels"}, "n", (1, 3, 12)),
        ({"method": "factor", "scale_bits": 8}, "rank", (1, 4, 16, 48)),
        ({"method": "lowrank", "bits": 8}, "rank", (1, 3, 6, 12)),
        ({"method": "lowrank", "bits": 8}, "energy", (0.2, 0.6, 0.99)),
        ({"method": "lowrank", "rank": 12}, "bits", (2, 4, 8)),
    ],
    ids=str,
)
def test_errors_fall_with_size(given: dict[str, Any], key: str, values: tuple[Any, ...], rng: np.random.Generator) -> None:
    found = errors(given, key, values, normal(rng, 12, 4, 2, 2))
    assert all(b < a for a, b in itertools.pairwise(found))


def test_exact_codes_lose_nothing(rng: np.random.Generator) -> None:
    w = normal(rng, 12, 4, 2, 2)
    assert errors({"method": "kernels"}, "n", (None, 12), w) == [0, 0]
    few = torch.from_numpy(rng.choice([-31, 7, 12, 31], (12, 4, 2, 2))) / 16.0
    assert errors({"method": "product", "size": 1}, "n", (48,), few) == [0]
    x, y = torch.tensor([1.0, 0, -1, 1, 1]), torch.tensor([0.0, 1, -1, 1])
    assert errors({"method": "factor"}, "rank", (1, 9), torch.outer(x, y)) == pytest.approx([0, 0])
    assert errors({"method": "lowrank"}, "rank", (1,), torch.outer(x + 2, y)) == pytest.approx([0], abs=0.2)


def test_factors_keep_their_form_through_training(rng: np.random.Generator) -> None:
    quantiser, w = FactoredWeights(c.Factorise(rank=6, scale_bits=4), CONV, "c"), nn.Parameter(normal(rng, *CONV))
    quantiser.before_epoch(w, 0, 1)
    quantiser.d.data[:3] = torch.tensor([-1.0, 1e-6, 0.5])
    found = quantiser.integers(w)
    assert found.two_steps is not None
    inner, middle, outer = (found.two_steps.tensors[k] for k in ("inner", "middle", "outer"))
    assert inner.shape == (5, *CONV[1:]) and outer.shape == (6, 5) and (middle > 0).all() and middle.max() == 15
    assert inner.abs().max() <= 1 and outer.abs().max() <= 1
    assert torch.equal(outer[:, 0], -quantiser.x[:, 0].long())
    assert torch.equal(torch.einsum("or,r,rchw->ochw", outer, middle, inner), found.values)


def test_energy_chooses_the_rank_and_the_rest_stays_0(rng: np.random.Generator) -> None:
    w0 = normal(rng, 8, 3) @ normal(rng, 3, 10) + 0.01 * normal(rng, 8, 10)
    quantiser, w, _ = trained(c.LowRank(energy=0.99, bits=8), w0)
    assert isinstance(quantiser, LowRankWeights) and quantiser.u.shape == (8, 8)
    assert not quantiser.u[:, 3:].any() and not quantiser.v[3:].any()
    found = quantiser.integers(w).two_steps
    assert found is not None and found.tensors["outer"].shape == (8, 3) and (found.tensors["middle"] == 1).all()


def test_kernels_of_a_channel_are_few_and_shared(rng: np.random.Generator) -> None:
    quantiser, w, _ = trained(c.Kernels(n=3), normal(rng, 20, 4, 3, 3))
    found = quantiser.integers(w)
    assert found.two_steps is not None and found.two_steps.tensors["table"].shape == (12, 1, 3, 3)
    canonical = found.values * found.values[:, :, :1, :1]
    assert all(len(canonical[:, ch].unique(dim=0)) <= 3 for ch in range(4))
    signs = torch.where(w >= 0, 1, -1)
    table = found.two_steps.tensors["table"].reshape(4, 3, 9)
    best = torch.einsum("ock,cnk->ocn", signs.flatten(2), table).abs().amax(2)
    assert torch.equal((found.values * signs).flatten(2).sum(2), best)


@pytest.mark.parametrize("given", ANY_SHAPE + KERNELS, ids=str)
def test_weights_without_a_code_are_refused(given: dict[str, Any], rng: np.random.Generator) -> None:
    quantiser = compression_quantiser(spec_of(given), CONV, "conv1")
    for bad in (torch.zeros(CONV), torch.full(CONV, torch.nan)):
        with pytest.raises(BnnhwError, match=r"layer 'conv1': .*; ") as e:
            quantiser.integers(bad)
        assert "\n" not in str(e.value)
    quantiser.before_epoch(nn.Parameter(normal(rng, *CONV)), 0, 1)
    for parameter in quantiser.parameters():
        parameter.data.fill_(torch.nan)
        with pytest.raises(BnnhwError, match=r"layer 'conv1': .*; "):
            quantiser.integers(normal(rng, *CONV))


@pytest.mark.parametrize(
    "given",
    [
        {"method": "product", "n": 4},
        {"method": "product", "size": 2},
        {"method": "product", "size": 0, "n": 4},
        {"method": "product", "size": 2, "n": 1},
        {"method": "product", "size": 2, "n": 257},
        {"method": "product", "size": 2, "n": 4, "bits": 1},
        {"method": "product", "size": 2, "n": 4, "bits": 9},
        {"method": "product", "size": 2, "n": 4, "seed": -1},
        {"method": "kernels", "n": 0},
        {"method": "kernels", "start": 1},
        {"method": "factor"},
        {"method": "factor", "rank": 0},
        {"method": "factor", "rank": 4, "scale_bits": 0},
        {"method": "factor", "rank": 4, "scale_bits": 9},
        {"method": "factor", "rank": 4, "iterations": -1},
        {"method": "lowrank"},
        {"method": "lowrank", "rank": 4, "energy": 0.9},
        {"method": "lowrank", "rank": 0},
        {"method": "lowrank", "energy": 0},
        {"method": "lowrank", "energy": 1.1},
        {"method": "lowrank", "energy": float("nan")},
        {"method": "lowrank", "rank": 4, "bits": 1},
        {"method": "lowrank", "rank": 4, "scale_bits": 6},
    ],
    ids=str,
)
def test_parameters_out_of_range_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        spec_of(given)


@pytest.mark.parametrize(
    ("given", "shape", "message"),
    [
        ({"method": "product", "size": 3, "n": 2}, (6, 8), "sub-vectors of 3 weights do not divide 8 input channels"),
        ({"method": "product", "size": 2, "n": 7}, POINT, "codewords must be 1 to 6, it is 7"),
        ({"method": "kernels", "n": 7}, CONV, "kernels of a channel must be 1 to 6, it is 7"),
        ({"method": "factor", "rank": 73}, DENSE, "rank must be 1 to 72, it is 73"),
        ({"method": "lowrank", "rank": 7}, DENSE, "rank must be 1 to 6, it is 7"),
    ],
    ids=str,
)
def test_rules_that_do_not_fit_the_shape_name_the_layer(given: dict[str, Any], shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(BnnhwError, match=f"layer 'fc1': {message}; choose"):
        compression_quantiser(spec_of(given), shape, "fc1")


def test_kernels_want_a_convolution() -> None:
    message = r"layer 'fc1': kernels are shared in weights \[O, C, kh, kw\], these are \[6, 12\]; use it on a conv layer"
    with pytest.raises(BnnhwError, match=message):
        compression_quantiser(c.Kernels(), DENSE, "fc1")


def test_factors_that_cancel_are_refused() -> None:
    quantiser = LowRankWeights(c.LowRank(rank=2), (3, 4), "fc1")
    quantiser.before_epoch(nn.Parameter(torch.ones(3, 4)), 0, 1)
    quantiser.u.data[:] = torch.tensor([1.0, 0])
    quantiser.v.data[:] = torch.tensor([[0.0], [1]])
    with pytest.raises(BnnhwError, match=r"layer 'fc1': factors of 6 bits round the product to 0; give them more bits"):
        quantiser.integers(torch.ones(3, 4))


def test_stored_steps_that_do_not_fit_are_refused(rng: np.random.Generator) -> None:
    product = compression_quantiser(c.Product(size=2, n=4), DENSE, "c").integers(normal(rng, *DENSE))
    pair = compression_quantiser(c.LowRank(rank=2), CONV, "c").integers(normal(rng, *CONV))
    on_vector, on_map = (network([product_layer(DENSE)], {}, product, False, "int8", size) for size in ([12], [4, 3, 1]))
    lower(on_vector)
    with pytest.raises(BnnhwError, match="layer 'c': looked-up products of a dense layer take a vector, not a map of 3x1; use a conv"):
        lower(on_map)
    whole = network([product_layer(CONV)], {}, pair, False, "int8", [4, 5, 4])
    lower(whole)
    for name, changed in (
        ("c.inner", whole.tensors["c.inner"].swapaxes(2, 3)),
        ("c.inner", whole.tensors["c.inner"].repeat(2, 1)),
        ("c.outer", whole.tensors["c.outer"][:, :1]),
        ("c.middle", whole.tensors["c.middle"][:0]),
    ):
        with pytest.raises(BnnhwError, match=r"layer 'c': .*; export (them|it) again"):
            lower(TrainedNetwork(whole.topology, whole.tensors | {name: changed}))
    for name in ("c.index", "c.table"):
        with pytest.raises(BnnhwError, match=r"layer 'c': .*; export (them|it) again"):
            lower(TrainedNetwork(on_vector.topology, on_vector.tensors | {name: on_vector.tensors[name][:, :0]}))


def test_the_saving_of_shared_kernels_is_reported(rng: np.random.Generator) -> None:
    found = compression_quantiser(spec_of({"method": "kernels", "n": 4}), (32, 3, 3, 3), "c").integers(normal(rng, 32, 3, 3, 3))
    layers = [product_layer((32, 3, 3, 3))]
    net = lower(network(layers, {}, found, False, "bipolar", [3, 6, 6])).network
    row = layer_rows(net, design := fully_folded(net, 100.0), pipeline(net, design))[-1]
    assert row["additions_alone"] == 32 * (27 - 1)
    assert row["additions_shared"] == 3 * 4 * 8 + 32 * 2
