"""Random trained networks, and a direct evaluation of them that shares no code with lowering or golden."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnhw.ir import design as d
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.integer import Network
from bnnhw.ir.layers import Gather, Layer, MatVec
from bnnhw.ir.topology import Topology
from bnnhw.ir.trained import TrainedNetwork
from bnnhw.lower import lower
from bnnhw.schedule.folding import complete_folding, slowest_product, with_queues


@dataclass
class Case:
    """A random network with frames for it."""

    trained: TrainedNetwork
    frames: NDArray[np.integer]
    real: NDArray[np.float64]
    """The frames after preprocessing."""


def random_case(seed: int, name: str = "net", frames: int = 3) -> Case:
    """The network of a seed; the same seed gives the same network."""
    rng = np.random.default_rng(seed)
    for _ in range(100):
        try:
            case = _case(rng, name, frames)
            lower(case.trained)
            return case
        except BnnhwError:  # a kernel that does not fit, or inverted bits at the output: draw again
            continue
    raise AssertionError(f"seed {seed} gives no network")


def _case(rng: np.random.Generator, name: str, n: int) -> Case:
    flat = rng.random() < 0.15
    shape = [int(rng.integers(1, 70))] if flat else [int(rng.integers(1, 7)), int(rng.integers(1, 9)), int(rng.integers(1, 9))]
    kind, preprocess = _input(rng, shape[0])
    layers: list[dict[str, Any]] = []
    depth = int(rng.integers(1, 4))
    for i in range(depth):
        layers += _block(rng, i, i == depth - 1, flat)
        flat = flat or layers[-1]["type"] == "flatten" or any(x["type"] == "dense" for x in layers)
    topology = Topology.model_validate(
        {"bnnhw": 1, "name": name, "input": {"shape": shape, "type": kind, "preprocess": preprocess}, "layers": layers}
    )
    shapes = list(topology.shape_of().values())
    tensors = _parameters(rng, topology, shapes)
    low, high = {"uint8": (0, 256), "int8": (-128, 128), "bipolar": (0, 2)}[kind]
    raw = rng.integers(low, high, (n, *topology.input.chw))
    raw = (2 * raw - 1).astype(np.int8) if kind == "bipolar" else raw.astype(kind)
    return Case(TrainedNetwork(topology, tensors), raw, _prepare(raw, preprocess))


def _input(rng: np.random.Generator, channels: int) -> tuple[str, Any]:
    kind = str(rng.choice(["uint8", "uint8", "int8", "bipolar"]))
    if kind != "uint8":
        return kind, "none"
    means = [round(float(m), 3) for m in rng.random(channels)]
    options: list[Any] = ["none", "x/255", "2x-1", "2p-255", {"threshold": int(rng.integers(1, 256))}, {"mean": means, "std": 0.25}]
    return kind, options[int(rng.integers(len(options)))]


def _prepare(raw: NDArray[np.integer], preprocess: Any) -> NDArray[np.float64]:
    x = raw.astype(np.float64)
    match preprocess:
        case {"threshold": t}:
            return np.where(x >= t, 1.0, -1.0)
        case {"mean": mean, "std": std}:
            return (x / 255 - np.array(mean)[None, :, None, None]) / std
        case "x/255":
            return x / 255
        case "2x-1":
            return 2 * (x / 255) - 1
        case "2p-255":
            return 2 * x - 255
    return x


def _block(rng: np.random.Generator, i: int, last: bool, flat: bool) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    if flat or rng.random() < 0.25 or (last and rng.random() < 0.5):
        out.append({"type": "dense", "name": f"l{i}", "out": int(rng.integers(1, 20))})
        flat = True
    else:
        groups = int(rng.choice([1, 1, 1, 2, 3]))
        conv: dict[str, Any] = {"type": "conv", "name": f"l{i}", "out": groups * int(rng.integers(1, 8)), "groups": groups}
        conv["kernel"] = [int(k) for k in rng.integers(1, 4, 2)]
        conv["stride"] = [int(k) for k in rng.choice([1, 1, 2, 3, 4], 2)]
        conv["dilation"] = [int(k) for k in rng.choice([1, 1, 2], 2)]
        if rng.random() < 0.6:
            conv["pad"] = [int(k) for k in rng.integers(0, 3, 4)]
            conv["pad_value"] = int(rng.choice([0, 0, 1, -1]))
        out.append(conv)
    matvec = out[0]
    style = rng.choice(["batchnorm", "batchnorm", "batchnorm", "plain", "threshold"])
    if style != "threshold":
        matvec["bias"], matvec["alpha"] = bool(rng.random() < 0.3), bool(rng.random() < 0.3)
    if last and rng.random() < 0.7:
        matvec["bias"], matvec["alpha"] = False, False
        return out
    pool = {"type": "maxpool", "name": f"p{i}", "kernel": [int(k) for k in rng.integers(1, 4, 2)], "stride": [int(k) for k in rng.integers(1, 4, 2)]}
    if rng.random() < 0.3:
        pool["pad"] = [int(rng.integers(0, k // 2 + 1)) for k in pool["kernel"] * 2]
    where = None if flat else rng.choice(["no", "no", "before", "after"])
    if where == "before":
        out.append(pool)
    if style == "batchnorm":
        out.append({"type": "batchnorm", "name": f"b{i}", "eps": float(rng.choice([1e-5, 1e-4, 1e-3]))})
    if style == "threshold":
        out.append({"type": "threshold", "name": f"t{i}", "compare": str(rng.choice([">", ">="]))})
    else:
        out.append({"type": "sign", "name": f"s{i}", "zero_to": int(rng.choice([-1, 1]))})
    if where == "after":
        out.append(pool)
    return out


def _parameters(rng: np.random.Generator, net: Topology, shapes: list[tuple[int, int, int]]) -> dict[str, NDArray]:
    tensors: dict[str, NDArray] = {}
    spread = np.ones(1)
    for layer, (c, rows, columns) in zip(net.layers, shapes, strict=False):
        o = getattr(layer, "out", c)
        if layer.type in ("conv", "dense"):
            size = (o, c // layer.groups, *layer.kernel) if layer.type == "conv" else (o, c * rows * columns)
            tensors[f"{layer.name}.weight"] = rng.choice([-1, 1], size).astype(np.int8)
            first = layer is net.layers[0] and net.input.type != "bipolar" and net.input.preprocess in ("none", "2p-255")
            spread = np.full(o, np.sqrt(np.prod(size[1:])) * (100.0 if first else 1.0))
            if layer.alpha:
                tensors[f"{layer.name}.alpha"] = rng.normal(0.5, 0.6, o).astype(np.float32)
            if layer.bias:
                whole = rng.random() < 0.5
                bias = rng.normal(0, 2, o)
                tensors[f"{layer.name}.bias"] = (np.rint(bias) if whole else bias).astype(np.float32)
        if layer.type == "batchnorm":
            gamma = rng.normal(0, 1, c)
            gamma[rng.random(c) < 0.15] = 0
            values = {"weight": gamma, "bias": rng.normal(0, 0.5, c), "running_mean": rng.normal(0, 0.6, c) * spread}
            whole = rng.random(c) < 0.3  # exact ties
            values["bias"][whole], values["running_mean"][whole] = 0, np.rint(values["running_mean"][whole])
            values["running_var"] = (rng.random(c) + 0.1) * spread**2
            tensors |= {f"{layer.name}.{k}": v.astype(np.float32) for k, v in values.items()}
        if layer.type == "threshold":
            tensors[f"{layer.name}.values"] = np.rint(rng.normal(0, 0.7, (c, 1)) * spread[:, None]).astype(np.int32)
    return tensors


def evaluate(case: Case) -> tuple[NDArray[np.float64], float]:
    """Outputs [N, O, H, W] of the trained network, layer by layer as written, and the smallest |sign input|.

    Sums in float64; batch norm in float32 where they are whole numbers, as PyTorch would.
    """
    x, t = case.real, case.trained.tensors
    closest = np.inf
    exact = case.trained.topology.input.preprocess not in ("x/255", "2x-1") and bool((x == np.rint(x)).all())
    for layer in case.trained.topology.layers:
        name = layer.name
        if layer.type in ("conv", "dense"):
            w = t[f"{name}.weight"].astype(np.float64)
            x = _convolve(x, w, layer) if layer.type == "conv" else (x.reshape(len(x), -1) @ w.T)[:, :, None, None]
            if layer.alpha:
                x = x * t[f"{name}.alpha"].astype(np.float64)[:, None, None]
            if layer.bias:
                x = x + t[f"{name}.bias"].astype(np.float64)[:, None, None]
            exact = bool((x == np.rint(x)).all()) and not layer.alpha and exact
        elif layer.type == "batchnorm":
            kind = np.float32 if exact else np.float64
            g, b, m, v = (t[f"{name}.{k}"].astype(kind)[:, None, None] for k in ("weight", "bias", "running_mean", "running_var"))
            a = kind(1) / np.sqrt(v + kind(layer.eps)) * g
            wide = np.longdouble  # PyTorch's kernel rounds a product and sum once
            b = (b.astype(wide) - m.astype(wide) * a.astype(wide)).astype(kind)
            x = (x.astype(wide) * a.astype(wide) + b.astype(wide)).astype(kind).astype(np.float64)
        elif layer.type == "sign":
            if not exact:
                closest = min(closest, _nearest(x))
            x, exact = np.where((x > 0) | ((x == 0) & (layer.zero_to > 0)), 1.0, -1.0), True
        elif layer.type == "threshold":
            limit = t[f"{name}.values"].astype(np.float64)[:, :, None]
            if not exact:
                closest = min(closest, _nearest(x - limit))
            on = x > limit if layer.compare == ">" else x >= limit
            x, exact = np.where(on, 1.0, 0.0 if layer.output == "unipolar" else -1.0), True
        elif layer.type == "maxpool":
            x = _pool(x, layer)
    return x, closest


def _nearest(x: NDArray[np.float64]) -> float:
    """The smallest magnitude that is not 0: rounding noise, if it is tiny."""
    return float(np.abs(x[x != 0]).min(initial=np.inf))


def _view(x: NDArray[np.float64], kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]) -> NDArray[np.float64]:
    (kh, kw), (sh, sw), (dh, dw) = kernel, stride, dilation
    windows = np.lib.stride_tricks.sliding_window_view(x, (dh * (kh - 1) + 1, dw * (kw - 1) + 1), axis=(2, 3))
    return windows[:, :, ::sh, ::sw, ::dh, ::dw]


def _convolve(x: NDArray[np.float64], w: NDArray[np.float64], layer: Any) -> NDArray[np.float64]:
    top, left, bottom, right = layer.pad
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=layer.pad_value)
    view = _view(padded, layer.kernel, layer.stride, layer.dilation)
    per_in, per_out = x.shape[1] // layer.groups, len(w) // layer.groups
    parts = [np.einsum("nchwij,ocij->nohw", view[:, g * per_in : (g + 1) * per_in], w[g * per_out : (g + 1) * per_out]) for g in range(layer.groups)]
    return np.concatenate(parts, axis=1)


def _pool(x: NDArray[np.float64], layer: Any) -> NDArray[np.float64]:
    top, left, bottom, right = layer.pad
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=-np.inf)
    return _view(padded, layer.kernel, layer.step, (1, 1)).max((4, 5))


UNROLLED = 0.3
"""Part of the products that can be unrolled which are."""
LARGEST = 5000
"""Weights of an unrolled layer, at most."""


JOINT = 0.7
"""Part of the products that can sum their input planes together which do."""


def may_be_joint(layer: Layer, f: d.Folding, logic: d.Logic) -> bool:
    """Whether a layer is a product that can sum its input planes together, in a netlist of reasonable size."""
    return isinstance(layer, MatVec) and d.may_be_joint(layer, f, logic) and f.simd * layer.x.planes <= 256


def random_design(net: Network, seed: int) -> d.Design:
    """A folding at random, mostly of sizes that divide nothing."""
    rng, styles, unrolled = (np.random.default_rng(s) for s in (seed, (seed, 1), (seed, 2)))
    layers = []
    for layer in net.layers:
        f = d.Folding(layer.name, fifo_words=int(rng.integers(2, 5)))
        if isinstance(layer, MatVec | Gather):
            f = replace(f, pe=int(rng.integers(1, layer.out_shape[0] // layer.window.groups + 1)))
        if isinstance(layer, MatVec):
            f = replace(f, simd=int(rng.integers(1, layer.window.fan_in // d.segments(layer) + 1)))
            if layer.weights.planes > 1:
                f = replace(f, planes=int(rng.integers(1, layer.weights.planes + 1)))
            if layer.x.planes > 1 and rng.random() < 0.5:
                f = replace(f, input_planes=int(rng.integers(1, layer.x.planes + 1)))
        if d.elementwise(layer):
            channels = d.lane_channels(layer)
            f = replace(f, lanes=int(rng.choice([n for n in range(1, channels + 1) if channels % n == 0])))
        if isinstance(layer, MatVec):
            weights, again = (d.MemoryStyle(styles.choice(list(d.MemoryStyle))) for _ in range(2))
            f = replace(f, weight_memory=weights, replay_memory=again, registers=int(styles.choice([0, 0, 1, 2, 5])))
        if d.windowed(layer):
            f = replace(f, window_memory=d.MemoryStyle(styles.choice(list(d.MemoryStyle))))
        if isinstance(layer, MatVec) and unrolled.random() < UNROLLED and layer.weights.values.size <= LARGEST and d.unrolled_obstacle(layer) is None:
            f = d.unrolled(layer, replace(f, weight_memory=d.MemoryStyle.AUTO, replay_memory=d.MemoryStyle.AUTO))
        layers.append(f)
    slowest = slowest_product(net, layers)
    layers = [complete_folding(layer, f, slowest) for layer, f in zip(net.layers, layers, strict=True)]
    logic, joint = d.Logic(styles.choice(list(d.Logic))), np.random.default_rng((seed, 3))
    layers = [replace(f, joint=may_be_joint(layer, f, logic) and joint.random() < JOINT) for layer, f in zip(net.layers, layers, strict=True)]
    step = 8 // net.x.planes
    bits = d.port_bits(net.layers[-1].out)
    return with_queues(
        net, d.Design(net.name, 100.0, step * int(rng.integers(1, 4)), max(1, 8 // bits) * int(rng.integers(1, 3)), tuple(layers), logic)
    )
