"""What breaks tools between a trained network and its hardware; one test a trap, on hand-made networks."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bnnhw.golden import run
from bnnhw.ir.encoding import Encoding
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.hardware import popcount_form, popcount_thresholds
from bnnhw.ir.heads import Thresholds
from bnnhw.ir.integer import Network
from bnnhw.ir.layers import MatVec
from bnnhw.ir.topology import Topology
from bnnhw.ir.trained import TrainedNetwork
from bnnhw.lower import Lowered, lower
from bnnhw.lower.response import fused_multiply_add


def make(
    layers: list[dict[str, Any]], tensors: dict[str, Any], shape: list[int], kind: str = "bipolar", preprocess: Any = "none", drop: bool = True
) -> Lowered:
    """Lower a description."""
    top = Topology.model_validate({"bnnhw": 1, "name": "n", "input": {"shape": shape, "type": kind, "preprocess": preprocess}, "layers": layers})
    return lower(TrainedNetwork(top, {k: np.asarray(v) for k, v in tensors.items()}), drop)


def dense(out: int, name: str = "d", **more: Any) -> dict[str, Any]:
    return {"type": "dense", "name": name, "out": out, **more}


def sign(zero_to: int = 1) -> dict[str, Any]:
    return {"type": "sign", "zero_to": zero_to}


NORM = {"type": "batchnorm", "name": "b", "eps": 1e-5}


def norm(gamma: Any, beta: Any, mean: Any, var: Any, name: str = "b") -> dict[str, NDArray]:
    values = {"weight": gamma, "bias": beta, "running_mean": mean, "running_var": var}
    return {f"{name}.{k}": np.array(v, np.float32) for k, v in values.items()}


def every_bipolar(n: int) -> NDArray[np.int8]:
    """All 2**n frames of -1 and +1."""
    return (2 * ((np.arange(1 << n)[:, None] >> np.arange(n)) & 1) - 1).astype(np.int8)


def outputs(net: Network, frames: NDArray) -> NDArray[np.int64]:
    return run(net, frames).outputs.reshape(len(frames), -1)


@pytest.mark.parametrize("zero_to", [-1, 1])
def test_trap_1_sign_of_zero_is_what_the_description_says(zero_to: int) -> None:
    net = make([dense(1), sign(zero_to)], {"d.weight": [[1, -1, 1, 1]]}, [4]).network
    x = every_bipolar(4)
    total = x @ np.array([1, -1, 1, 1])
    assert (total == 0).any()
    assert (outputs(net, x)[:, 0] == np.where(total == 0, zero_to, np.sign(total))).all()


def test_trap_1_latent_zero_weights_are_refused_unless_their_sign_is_given() -> None:
    tensors = {"d.weight": np.array([[0.5, 0.0]], np.float32)}
    with pytest.raises(BnnhwError, match=r"layer 'd': 'd.weight' holds 1 weights that are exactly 0"):
        make([dense(1, weights="latent"), sign()], tensors, [2])
    net = make([dense(1, weights="latent", zero_to=-1)], tensors, [2]).network
    assert outputs(net, np.array([[1, 1]], np.int8)).tolist() == [[0]]


def test_trap_2_negative_zero_is_zero() -> None:
    tensors = {"d.weight": np.array([[-0.0, 1.0]], np.float32)}
    assert outputs(make([dense(1, weights="latent", zero_to=-1)], tensors, [2]).network, np.array([[1, 1]], np.int8)).tolist() == [[0]]


@pytest.mark.parametrize("gamma", [-2.0, -1e-3, 1e-3, 2.0])
@pytest.mark.parametrize("n", [4, 5])
def test_traps_3_5_6_7_thresholds_against_every_input(gamma: float, n: int) -> None:
    w = np.array([[1, -1, 1, 1, -1][:n]])
    x = every_bipolar(n)
    total = (x @ w[0]).astype(np.float32)
    for mean in (-7.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 7.0):
        net = make([dense(1), NORM, sign()], {"d.weight": w, **norm([gamma], [0.0], [mean], [1.0])}, [n]).network
        a = np.float32(1) / np.sqrt(np.float32(1.0) + np.float32(1e-5)) * np.float32(gamma)
        b = np.float32(-float(mean) * float(a))
        want = np.where(total.astype(float) * float(a) + float(b) >= 0, 1, -1)
        assert (outputs(net, x)[:, 0] == want).all(), (gamma, mean)


@pytest.mark.parametrize(("beta", "zero_to", "fires"), [(0.5, 1, 1), (-0.5, 1, -1), (0.0, 1, 1), (0.0, -1, -1)])
def test_trap_4_gamma_zero_is_a_constant_channel(beta: float, zero_to: int, fires: int) -> None:
    net = make([dense(1), NORM, sign(zero_to)], {"d.weight": [[1, 1, -1]], **norm([0.0], [beta], [3.0], [1.0])}, [3]).network
    assert (outputs(net, every_bipolar(3)) == fires).all()


@pytest.mark.parametrize("pad_value", [-1, 0, 1])
@pytest.mark.parametrize("kind", ["bipolar", "2x-1", "2p-255", "x/255", "mean"])
def test_traps_8_9_padding_by_number(pad_value: int, kind: str, rng: np.random.Generator) -> None:
    preprocess: Any = {"bipolar": "none", "mean": {"mean": [0.4, 0.6], "std": 0.25}}.get(kind, kind)
    layers = [{"type": "conv", "name": "c", "out": 3, "kernel": 3, "pad": [1, 2, 2, 1], "pad_value": pad_value}, NORM, sign()]
    w = rng.choice([-1, 1], (3, 2, 3, 3))
    scale = {"2p-255": 255.0}.get(kind, 1.0)
    parameters = norm([1.0, -1.0, 0.5], [0.123, 0.217, -0.331], np.array([0.51, 1.03, -0.97]) * scale, np.ones(3) * scale**2)
    net = make(layers, {"c.weight": w, **parameters}, [2, 4, 3], "bipolar" if kind == "bipolar" else "uint8", preprocess).network
    raw = rng.choice([-1, 1], (20, 2, 4, 3)).astype(np.int8) if kind == "bipolar" else rng.integers(0, 256, (20, 2, 4, 3), dtype=np.uint8)
    x = raw.astype(np.float64)
    real = {"bipolar": x, "2x-1": x / 127.5 - 1, "2p-255": 2 * x - 255, "x/255": x / 255}.get(kind)
    if real is None:
        real = (x / 255 - np.array([0.4, 0.6])[:, None, None]) / 0.25
    padded = np.pad(real, ((0, 0), (0, 0), (1, 2), (2, 1)), constant_values=pad_value)
    view = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    z = np.einsum("nchwij,ocij->nohw", view, w.astype(np.float64))
    g, b, m, v = (p.astype(np.float64)[:, None, None] for p in parameters.values())
    y = (z - m) / np.sqrt(v + 1e-5) * g + b
    assert np.abs(y).min() > 1e-5
    assert (run(net, raw).outputs == np.where(y >= 0, 1, -1)).all()


def test_trap_9_padding_with_a_level_needs_one_set_of_thresholds() -> None:
    for pad_value, classes in ((-1, 1), (1, 1), (0, 9)):
        layers = [{"type": "conv", "name": "c", "out": 2, "kernel": 3, "pad": 1, "pad_value": pad_value}, sign()]
        head = make(layers, {"c.weight": np.ones((2, 1, 3, 3))}, [1, 5, 5]).network["c"].head
        assert isinstance(head, Thresholds) and len(head.values) == classes


@pytest.mark.parametrize("gamma", [-1.0, 1.0])
@pytest.mark.parametrize("before", [True, False])
def test_trap_11_max_pool_on_either_side_of_a_falling_batch_norm(gamma: float, before: bool, rng: np.random.Generator) -> None:
    pool = {"type": "maxpool", "name": "p", "kernel": 2, "pad": [1, 0, 0, 1]}
    middle = [pool, NORM, sign()] if before else [NORM, sign(), pool]
    layers = [{"type": "conv", "name": "c", "out": 2, "kernel": 2}, *middle, dense(3)]
    w, w2 = rng.choice([-1, 1], (2, 3, 2, 2)), rng.choice([-1, 1], (3, 2 * 2 * 2))
    net = make(layers, {"c.weight": w, "d.weight": w2, **norm([gamma, -0.5], [0.3, 0.1], [0.0, 1.0], [4.0, 9.0])}, [3, 4, 4]).network
    x = rng.choice([-1, 1], (30, 3, 4, 4)).astype(np.int8)
    z = np.einsum("nchwij,ocij->nohw", np.lib.stride_tricks.sliding_window_view(x.astype(float), (2, 2), axis=(2, 3)), w.astype(float))

    def pooled(v: NDArray) -> NDArray:
        v = np.pad(v, ((0, 0), (0, 0), (1, 0), (0, 1)), constant_values=-np.inf)
        return np.lib.stride_tricks.sliding_window_view(v, (2, 2), axis=(2, 3))[:, :, ::2, ::2].max((4, 5))

    def fired(v: NDArray) -> NDArray:
        y = (v - np.array([0.0, 1.0])[:, None, None]) / np.sqrt(np.array([4.0, 9.0]) + 1e-5)[:, None, None]
        y = y * np.array([gamma, -0.5])[:, None, None] + np.array([0.3, 0.1])[:, None, None]
        assert np.abs(y).min() > 1e-3
        return np.where(y >= 0, 1.0, -1.0)

    bits = fired(pooled(z)) if before else pooled(fired(z))
    assert (outputs(net, x) == bits.reshape(30, -1) @ w2.T).all()


def test_traps_13_14_15_the_threshold_follows_pytorch_and_not_algebra() -> None:
    """Parameters put the threshold at an integer to the last bit; exact arithmetic and float32 then part."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    channels, k = 4000, 5
    gamma, mean = rng.normal(size=channels).astype(np.float32), (rng.normal(size=channels) * 3).astype(np.float32)
    var = (rng.random(channels) + 0.1).astype(np.float32)
    beta = (-(1 - mean.astype(np.float64)) * gamma / np.sqrt(var.astype(np.float64) + 1e-5)).astype(np.float32)
    norm1 = torch.nn.BatchNorm1d(channels, eps=1e-5).eval()
    norm1.load_state_dict(
        {n: torch.from_numpy(v) for n, v in zip(("weight", "bias", "running_mean", "running_var"), (gamma, beta, mean, var), strict=True)},
        strict=False,
    )
    frames = np.array([[1] * ones + [-1] * (k - ones) for ones in range(k + 1)], np.int8)
    total = frames.sum(1, dtype=np.int64)
    with torch.no_grad():
        in32 = norm1(torch.from_numpy(np.repeat(total[:, None], channels, 1)).float()).numpy() >= 0
    in64 = (total[:, None] - mean.astype(np.float64)) / np.sqrt(var.astype(np.float64) + 1e-5) * gamma + beta >= 0
    assert (in32 != in64).any(0).sum() > 100, "the sample holds no case where float32 and float64 part"
    net = make([dense(channels), NORM, sign()], {"d.weight": np.ones((channels, k)), **norm(gamma, beta, mean, var)}, [k]).network
    assert (outputs(net, frames) == np.where(in32, 1, -1)).all()


def test_fused_multiply_add_rounds_once(rng: np.random.Generator) -> None:
    x, y = (rng.normal(size=200_000).astype(np.float32) for _ in range(2))
    z = (-x.astype(np.float64) * y * (1 + rng.choice([0, 1e-7, 1e-3], x.size))).astype(np.float32)
    near_half = np.float32(1) + np.float32(2**-23)
    x[0], y[0], z[0] = near_half, near_half, np.float32(2**24)
    exact = [Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c)) for a, b, c in zip(x[:3000], y[:3000], z[:3000], strict=True)]
    got = fused_multiply_add(x[:3000], y[:3000], z[:3000])
    for value, rounded in zip(exact, got, strict=True):
        for other in (np.nextafter(rounded, np.float32(np.inf)), np.nextafter(rounded, np.float32(-np.inf))):
            assert abs(Fraction(float(rounded)) - value) <= abs(Fraction(float(other)) - value)


def test_trap_15_inexact_networks_list_decisions_in_doubt() -> None:
    layers = [dense(2), NORM, sign()]
    tensors = {"d.weight": np.ones((2, 3)), **norm([1.0, 1.0], [0.0, 0.0], [300 / 255, 1.2345], [1.0, 1.0])}
    close = make(layers, tensors, [3], "uint8", "x/255").close
    assert [(c.layer, c.channel) for c in close] == [("d", 0)]
    assert close[0].distance < close[0].bound
    assert not make(layers, tensors, [3], "uint8", "none").close


def test_trap_15_a_std_of_one_pixel_is_not_exact() -> None:
    """(x - 0) / (1/255) is p only on paper: PyTorch's float32 inputs differ from it."""
    tensors = {"d.weight": np.ones((1, 3)), **norm([1.0], [0.0], [300.0], [1.0])}
    assert make([dense(1), NORM, sign()], tensors, [3], "uint8", {"mean": 0.0, "std": 1 / 255}).close
    assert not make([dense(1), NORM, sign()], tensors, [3], "uint8", "none").close


def test_highest_bit_takes_bits() -> None:
    top = Topology.model_validate({"bnnhw": 1, "name": "n", "label": "highest_bit", "input": {"shape": [2], "type": "bipolar"}, "layers": [dense(2)]})
    with pytest.raises(BnnhwError, match="label highest_bit takes bits, it ends in sums"):
        lower(TrainedNetwork(top, {"d.weight": np.ones((2, 2))}))


def test_trap_16_eps_matters() -> None:
    tensors = {"d.weight": np.ones((1, 3)), **norm([1.0], [-30.0], [0.0], [1e-4])}
    x = np.ones((1, 3), np.int8)
    signs = {eps: int(outputs(make([dense(1), {**NORM, "eps": eps}, sign()], tensors, [3]).network, x)[0, 0]) for eps in (1e-5, 1e-1)}
    assert signs == {1e-5: 1, 1e-1: -1}


def test_traps_17_18_always_and_never_keep_their_thresholds() -> None:
    net = make([dense(3), NORM, sign()], {"d.weight": np.ones((3, 4)), **norm([1, 1, 1], [0, 0, 0], [-99, 99, 0], [1, 1, 1])}, [4]).network
    layer = net["d"]
    assert isinstance(layer, MatVec) and isinstance(layer.head, Thresholds)
    assert layer.head.values.ravel().tolist() == [-4, 5, 0]
    form = popcount_form(layer)
    limits = popcount_thresholds(layer.head, form).ravel()
    assert limits.tolist() == [0, 5, 2]
    assert 2 ** (form.sum_bits - 1) > limits.max()


def test_trap_18_constant_channels_go_and_their_constant_stays(rng: np.random.Generator) -> None:
    layers = [
        {"type": "conv", "name": "c", "out": 4, "kernel": 1}, NORM, sign(), {"type": "maxpool", "name": "p", "kernel": 2, "stride": 1},
        {"type": "conv", "name": "c2", "out": 2, "kernel": 3, "pad": 1}, {**NORM, "name": "b2"}, sign(), dense(2),
    ]  # fmt: skip
    tensors = {
        "c.weight": rng.choice([-1, 1], (4, 2, 1, 1)), **norm([1, 0, 1, 0], [0, 1, 0, -1], [0, 0, -50, 0], [1] * 4),
        "c2.weight": rng.choice([-1, 1], (2, 4, 3, 3)), **norm([1, 1], [0.5, 0.2], [1, 2], [9, 9], "b2"), "d.weight": rng.choice([-1, 1], (2, 18)),
    }  # fmt: skip
    lowered = make(layers, tensors, [2, 4, 4])
    assert lowered.dropped == {"c": 3}
    assert lowered.network["c2"].window.shape == (1, 3, 3)
    x = rng.choice([-1, 1], (40, 2, 4, 4)).astype(np.int8)
    whole = make(layers, tensors, [2, 4, 4], drop=False).network
    assert whole["c2"].window.shape == (4, 3, 3)
    got, want = run(lowered.network, x, trace=True), run(whole, x, trace=True)
    assert (got.outputs == want.outputs).all()
    assert (got.layers["c2"] == want.layers["c2"]).all() and len(np.unique(want.layers["c2"])) == 2


def test_trap_20_per_channel_std_is_refused_by_name() -> None:
    with pytest.raises(BnnhwError, match="std differs between channels"):
        make([dense(1)], {"d.weight": np.ones((1, 12))}, [3, 2, 2], "uint8", {"mean": 0.5, "std": [0.2, 0.3, 0.2]})


def test_trap_22_flatten_is_channel_first(rng: np.random.Generator) -> None:
    w = rng.choice([-1, 1], (4, 3 * 2 * 5))
    net = make([{"type": "flatten"}, dense(4)], {"d.weight": w}, [3, 2, 5], "uint8").network
    x = rng.integers(0, 256, (6, 3, 2, 5), dtype=np.uint8)
    assert (outputs(net, x) == x.reshape(6, -1).astype(np.int64) @ w.T).all()


def test_trap_24_argmax_takes_the_first_of_equals() -> None:
    net = make([dense(3)], {"d.weight": [[-1, -1], [1, 1], [1, 1]]}, [2]).network
    result = run(net, np.array([[1, 1], [-1, -1], [1, -1]], np.int8))
    assert result.labels.tolist() == [1, 0, 0]


def test_trap_25_last_scale_per_class_is_kept_and_a_common_one_dropped() -> None:
    w = {"d.weight": np.array([[1, 1], [1, -1]])}
    same = make([dense(2), NORM], {**w, **norm([2, 2], [0, 0], [0, 0], [4, 4])}, [2]).network
    assert outputs(same, np.array([[1, 1]], np.int8)).tolist() == [[2, 0]]
    differ = make([dense(2), NORM], {**w, **norm([-1, 1], [0, 0], [0, 0], [1, 1])}, [2]).network
    assert run(differ, np.array([[1, 1], [1, -1]], np.int8)).labels.tolist() == [1, 1]
    assert differ["d"].head.fraction_bits == 14  # type: ignore[union-attr]


@pytest.mark.parametrize("alpha", [0.7, -0.7, 0.0])
def test_trap_26_alpha_goes_into_the_threshold(alpha: float) -> None:
    tensors = {"d.weight": [[1, 1, -1]], "d.alpha": np.array([alpha], np.float32), **norm([1.0], [0.2], [0.4], [1.0])}
    x = every_bipolar(3)
    z = float(np.float32(alpha)) * (x @ np.array([1, 1, -1]))
    want = np.where((z - float(np.float32(0.4))) / np.sqrt(1 + 1e-5) + float(np.float32(0.2)) >= 0, 1, -1)
    assert (outputs(make([dense(1, alpha=True), NORM, sign()], tensors, [3]).network, x)[:, 0] == want).all()


def test_encoding_of_pixels_at_a_threshold() -> None:
    net = make([dense(1)], {"d.weight": [[1, 1, 1]]}, [3], "uint8", {"threshold": 128}).network
    assert net.x == Encoding.bipolar()
    assert outputs(net, np.array([[127, 128, 255]], np.uint8)).tolist() == [[1]]
