"""Netlists: they are proved to count, equal direct sums, are as large and as deep as they say."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from bnnhw import frontend
from bnnhw.ir.design import check_unrolled
from bnnhw.ir.encoding import Encoding
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.hardware import Gate, gives_numbers
from bnnhw.ir.heads import Sums, Thresholds
from bnnhw.ir.layers import MatVec
from bnnhw.ir.weights import Weights
from bnnhw.ir.window import Window
from bnnhw.lower import lower
from bnnhw.lutmap import cost
from bnnhw.lutmap.builder import Builder
from bnnhw.lutmap.dot import dot
from bnnhw.lutmap.dot import least_luts as least_dot
from bnnhw.lutmap.fabric import CARRY, FABRICS, LUT4, LUT6, Fabric
from bnnhw.lutmap.heap import add_up, counters, luts, reached, weighted_tables
from bnnhw.lutmap.layer import predicted_luts, unrolled, unrolled_stages
from bnnhw.lutmap.netlist import ONE, ZERO, Adder, CarryCount, Luts, Netlist, Register, evaluate, literal
from bnnhw.lutmap.popcount import least_luts, popcount, popcount_stages
from bnnhw.lutmap.proof import Unproved, prove_count
from bnnhw.lutmap.share import Sharing
from bnnhw.lutmap.stages import pipelined, stages_for
from support.random_integer import random_network

WIDTHS = (*range(1, 71), 100, 127, 128, 129, 255, 256, 257, 511, 512, 513, 784, 1152)


def rng_of(*name: object) -> np.random.Generator:
    """Random numbers that depend on the name only."""
    return np.random.default_rng(zlib.crc32(repr(name).encode()))


def values(bits: NDArray[np.uint8]) -> NDArray[np.int64]:
    """[N] numbers of bits [N, bits], low bit first."""
    return (bits.astype(np.int64) << np.arange(bits.shape[1])).sum(1)


@pytest.mark.parametrize("fabric", FABRICS.values(), ids=FABRICS)
@pytest.mark.parametrize("gate", list(Gate), ids=lambda g: g.name)
def test_popcounts_are_proved(gate: Gate, fabric: Fabric) -> None:
    for lanes in WIDTHS:
        net = popcount(lanes, gate, fabric)
        prove_count(net, lanes, gate)
        prove_count(popcount_stages(lanes, gate, fabric, 2), lanes, gate)
        assert all(len(node.inputs) <= fabric.lut_inputs for node in net.nodes if isinstance(node, Luts))


def mutants(net: Netlist) -> Iterator[Netlist]:
    """Netlists of which one node is wrong: a table, an input, or a bit that goes elsewhere."""
    for n, node in enumerate(net.nodes):
        if isinstance(node, Luts):
            wrong = [Luts(node.inputs, (node.tables[0] ^ 1, *node.tables[1:])), Luts((node.inputs[0], *node.inputs[:-1]), node.tables)]
            if len(node.tables) > 1:
                wrong.append(Luts(node.inputs, node.tables[::-1]))
        elif isinstance(node, Adder):
            wrong = [Adder(node.a[::-1], node.b, node.carry)] if node.a[0] != node.a[-1] else []
        elif isinstance(node, CarryCount):
            wrong = [replace(node, inverted=1), replace(node, counted=(node.entering[0], *node.counted[1:]))]
        for other in wrong:
            yield Netlist(net.n_inputs, (*net.nodes[:n], other, *net.nodes[n + 1 :]), net.outputs)


@pytest.mark.parametrize("fabric", FABRICS.values(), ids=FABRICS)
def test_the_proof_finds_every_wrong_node(fabric: Fabric) -> None:
    count = 0
    for wrong in mutants(popcount(37, Gate.XNOR, fabric)):
        with pytest.raises((Unproved, KeyError)):
            prove_count(wrong, 37, Gate.XNOR)
        count += 1
    assert count > 30


def hits(x: NDArray[np.uint8], lanes: int, gate: Gate) -> NDArray[np.int64]:
    """[N] lanes that count."""
    a, w, m = x[:, :lanes], x[:, lanes : 2 * lanes], x[:, 2 * lanes :]
    return ((a == w) if gate is Gate.XNOR else (a & w) if gate is Gate.AND else m & (a == w)).sum(1)


@pytest.mark.parametrize("fabric", FABRICS.values(), ids=FABRICS)
@pytest.mark.parametrize("gate", list(Gate), ids=lambda g: g.name)
def test_popcounts_count(gate: Gate, fabric: Fabric) -> None:
    for lanes in (1, 2, 3, 5, 8, 64, 65, 200):
        net = popcount(lanes, gate, fabric)
        x = rng_of(lanes, gate).integers(0, 2, (500, net.n_inputs)).astype(np.uint8)
        x[0], x[1] = 0, 1
        for registers in (0, 1, 3):
            assert (values(evaluate(pipelined(net, registers), x)) == hits(x, lanes, gate)).all()


INT8 = (1, 2, 4, 8, 16, 32, 64, -128)
DOTS = (
    (1, (1, -2), 3),
    (2, (3, -5, 0), 6),
    (3, INT8, 12),
    (4, (2, 4, 8), 7),
    (9, INT8, 13),
    (7, (13, -11, 7), 5),
    (27, INT8, 20),
    (2, (1, -2, 0, 0), 2),
    (28, (23, 37, 10, 37), 16),
)
"""Lanes, coefficients and bits of joint sums; some wrap."""


@pytest.mark.parametrize("fabric", FABRICS.values(), ids=FABRICS)
@pytest.mark.parametrize("gate", list(Gate), ids=lambda g: g.name)
def test_joint_sums_are_those_of_the_planes(gate: Gate, fabric: Fabric) -> None:
    """For every input where there are few."""
    for lanes, coeffs, bits in DOTS:
        net = dot(lanes, coeffs, gate, bits, fabric)
        every = net.n_inputs <= 14
        x = np.arange(1 << net.n_inputs)[:, None] >> np.arange(net.n_inputs) & 1 if every else rng_of(lanes, gate).integers(0, 2, (500, net.n_inputs))
        x = x.astype(np.uint8)
        x[0], x[1] = 0, 1
        planes = np.split(x[:, : lanes * len(coeffs)], len(coeffs), axis=1)
        weights = x[:, lanes * len(coeffs) :]
        expected = sum(
            c * hits(np.concatenate([plane, weights], axis=1), lanes, gate).astype(np.int64) for c, plane in zip(coeffs, planes, strict=True)
        )
        for registers in (0, 1, 3):
            assert (values(evaluate(pipelined(net, registers), x)) == expected % (1 << bits)).all()
        assert least_dot(lanes, coeffs, gate, bits, fabric) <= net.luts


def test_popcounts_are_near_their_bound() -> None:
    for fabric, target in ((LUT6, "xc7"), (CARRY, "xc7"), (LUT4, "ice40")):
        for lanes, gate in product(WIDTHS[1:], Gate):
            used, least = cost.luts(popcount(lanes, gate, fabric), target, {}), least_luts(lanes, gate, fabric)
            most = {LUT6: 1.05, CARRY: 1.1, LUT4: 2.0}[fabric]  # full adders of LUT4 save half a bit a LUT
            assert least <= used and (gate is Gate.MASKED or used <= most * least + 7)


@pytest.mark.parametrize(("lanes", "fabric", "most"), [(64, LUT6, 1.40), (512, LUT6, 1.32), (64, CARRY, 1.06), (512, CARRY, 1.02)])
def test_popcounts_are_small(lanes: int, fabric: Fabric, most: float) -> None:
    assert cost.luts(popcount(lanes, Gate.XNOR, fabric), "xc7", {}) / lanes <= most


def test_carry_chains_are_of_xilinx() -> None:
    with pytest.raises(BnnhwError, match="logic 'carry' is for xc7 and xcup, not for target 'ecp5'; use logic: lut4"):
        cost.luts(popcount(64, Gate.XNOR, CARRY), "ecp5", {})


def test_counters_by_every_value() -> None:
    for fabric in (LUT6, LUT4):
        for above, here in counters(fabric):
            weights = (1,) * here + (2,) * above
            for inverted in range(1 << len(weights)):
                tables = weighted_tables(weights, inverted)
                for value in range(1 << len(weights)):
                    total = sum(w * ((value ^ inverted) >> k & 1) for k, w in enumerate(weights))
                    assert sum((t >> value & 1) << n for n, t in enumerate(tables)) == total


@pytest.mark.parametrize("logic", FABRICS)
def test_registers_cut_the_levels(logic: str) -> None:
    for lanes in (16, 64, 300):
        net = popcount(lanes, Gate.XNOR, FABRICS[logic])
        for levels in (1, 2, 3, 4, 100):
            cut = pipelined(net, stages_for(net, levels))
            assert cut.levels <= levels
            assert sum(isinstance(n, Register) for n in cut.nodes) == stages_for(net, levels)


def test_constants_need_no_registers() -> None:
    build = Builder(3, LUT6)
    assert not pipelined(build.netlist([ONE, ZERO]), 4).nodes


def test_sums_and_limits_of_any_heaps() -> None:
    rng = rng_of("heaps")
    for _ in range(150):
        fabric = (LUT6, LUT4, CARRY)[int(rng.integers(3))]
        heights = rng.integers(0, 9, int(rng.integers(1, 6)))
        build = Builder(max(1, int(heights.sum())), fabric)
        nets = iter(build.inputs)
        columns = [[literal(next(nets)) ^ int(rng.integers(2)) for _ in range(h)] for h in heights]
        x = rng.integers(0, 2, (300, build.n_inputs)).astype(np.uint8)
        total = sum(
            ((x[:, (b >> 1) - 2] ^ (b & 1)).astype(np.int64) << n for n, column in enumerate(columns) for b in column), np.zeros(300, np.int64)
        )
        limits = [int(v) for v in rng.integers(-1, total.max() + 3, int(rng.integers(1, 4)))]
        net = build.netlist(reached(build, columns, limits, fabric))
        assert (evaluate(net, x) == (total[:, None] >= np.array(limits))).all()
        build = Builder(build.n_inputs, fabric)
        net = build.netlist([build.plain(b) for b in add_up(build, columns, fabric)])
        assert (values(evaluate(net, x)) == total).all() if net.outputs else (total == 0).all()


def dense(weights: NDArray[np.int64], limits: NDArray[np.int64]) -> MatVec:
    """A dense layer of +-1 inputs with a threshold each."""
    head = Thresholds(limits[None, :, None], Encoding.bipolar())
    return MatVec("fc", Encoding.bipolar(), Window.dense((weights.shape[1], 1, 1)), Weights.of_values(weights), head)


@pytest.mark.parametrize("logic", FABRICS)
def test_small_neurons_on_every_input(logic: str) -> None:
    """Every input of neurons of up to 16, binary, ternary and of several bits, at every limit that makes a difference."""
    for k in (1, 2, 5, 9, 12, 16):
        rng = rng_of("neurons", k)
        x = (np.arange(1 << k)[:, None] >> np.arange(k) & 1).astype(np.uint8)
        rows = [rng.choice(symbols, k) for symbols in ((-1, 1), (-1, 1), (-1, 0, 1), (-3, -1, 2, 5))]
        weights = np.array([row if row.any() else np.ones(k, int) for row in rows], np.int64)
        for step in range(4):
            limits = np.array([rng.integers(-abs(row).sum() - 1, abs(row).sum() + 2) for row in weights], np.int64)
            net = unrolled(dense(weights, limits), logic)
            assert (evaluate(net, x) == ((2 * x.astype(np.int64) - 1) @ weights.T >= limits)).all(), (k, step)


HOW = [
    Sharing(),
    Sharing(references=0),
    Sharing(references=3),
    Sharing(group=1),
    Sharing(group=3, again=False),
    Sharing(merge=False),
    Sharing(constants=False),
]


@pytest.mark.parametrize(("logic", "how"), [*(("lut6", how) for how in HOW), ("lut4", Sharing()), ("carry", Sharing())], ids=str)
@pytest.mark.parametrize("density", [1.0, 0.5, 0.1])
def test_layers_near_their_limits(density: float, logic: str, how: Sharing) -> None:
    """On vectors of each neuron, of which half have a sum within 2 of its limit."""
    rng = rng_of("layers", density)
    weights = rng.choice([-1, 1], (40, 96)) * (rng.random((40, 96)) < density)
    weights[weights.any(1) == 0, 0] = 1
    drawn = rng.integers(0, 2, (4000, 96)).astype(np.uint8)
    total = (2 * drawn.astype(np.int64) - 1) @ weights.T
    limits = total[rng.integers(0, 4000, 40), np.arange(40)]
    near = abs(total - limits) <= 2
    tried = np.array([[*rng.choice(np.flatnonzero(column), 50), *rng.integers(0, 4000, 50)] for column in near.T])
    assert (near[tried, np.arange(40)[:, None]].mean(1) >= 0.5).all()
    net = unrolled(dense(weights, limits), logic, how)
    assert (evaluate(net, drawn[tried.ravel()]) == (total >= limits)[tried.ravel()]).all()


def test_layers_of_random_networks() -> None:
    """Products of any encodings: levels with thresholds, totals with sums."""
    count = 0
    for seed in range(12):
        for layer in random_network(seed, "net").layers:
            if not isinstance(layer, MatVec) or layer.window.groups > 1 or len(layer.head.per_class) > 1 or layer.partial is not None:
                continue
            rng, k = rng_of("products", seed, layer.name), layer.window.fan_in
            if isinstance(layer.x, Encoding):
                levels = rng.integers(0, layer.x.levels, (100, k))
                numbers, bits = np.array(layer.x.values)[levels], np.array(layer.x.codebook)[levels]
            else:
                numbers = rng.integers(layer.x.low, layer.x.high + 1, (100, k))
                bits = numbers[..., None] >> np.arange(layer.x.bits) & 1
            given, total = bits.transpose(0, 2, 1).reshape(100, -1).astype(np.uint8), numbers.astype(np.int64) @ layer.weights.values.T
            for logic, registers in (("lut6", 0), ("lut4", 2), ("carry", 1)):
                found = evaluate(unrolled_stages(layer, logic, registers), given)
                if isinstance(layer.head, Sums):
                    width, wanted = found.shape[1] // total.shape[1], layer.head.out(total, layer.head.bias[0]) if gives_numbers(layer) else total
                    assert (values(found.reshape(-1, width)).reshape(total.shape) == wanted & ((1 << width) - 1)).all()
                else:
                    wanted = np.array(layer.head.code.codebook)[layer.head.level(total, layer.head.values[0])]
                    assert (found == wanted.transpose(0, 2, 1).reshape(100, -1)).all()
            count += 1
    assert count > 12


@pytest.mark.parametrize(
    ("shape", "density", "most"),
    [((256, 64), 1.0, 0.48), ((256, 256), 1.0, 0.44), ((256, 64), 0.5, 0.50)],
    ids=["256x64", "256x256", "256x64 half zeros"],
)
def test_portable_layers_are_small(shape: tuple[int, int], density: float, most: float) -> None:
    """LUTs of a synapse, on random weights."""
    rng = rng_of("small", shape, density)
    weights = rng.choice([-1, 1], shape[::-1]) * (rng.random(shape[::-1]) < density)
    net = unrolled(dense(weights, rng.integers(-9, 10, shape[1])), "lut6")
    assert sum(len(n.tables) if isinstance(n, Luts) else len(n.a) for n in net.nodes) / weights.size <= most  # type: ignore[union-attr]


@pytest.mark.parametrize("logic", FABRICS)
def test_predictions_are_near(logic: str) -> None:
    """LUTs that are predicted of layers large enough for it, random ones and a trained one of 8-bit inputs."""
    rng = rng_of("predicted")
    shapes = ((256, 64, 1.0), (1024, 16, 0.5), (1024, 64, 1.0), (512, 64, 0.1))
    layers = [dense(rng.choice([-1, 1], (o, k)) * (rng.random((o, k)) < density), rng.integers(-9, 10, o)) for k, o, density in shapes]
    trained = lower(frontend.load("digits_mlp")).network["fc1"]
    assert isinstance(trained, MatVec)
    for layer in (*layers, trained):
        ratio = cost.luts(unrolled(layer, logic), "ice40" if logic == "lut4" else "xc7", {}) / predicted_luts(layer, logic)
        assert 0.7 < ratio < 1.25, (layer.weights.values.shape, ratio)


def test_several_references_are_taken_where_they_pay() -> None:
    """A trained first layer, of many neurons of few inputs; in a layer of few neurons there is one."""
    layer = lower(frontend.load("bnn_cifar10")).network["conv1"]
    few = lower(frontend.load("digits_mlp")).network["fc3"]
    assert isinstance(layer, MatVec) and isinstance(few, MatVec)
    assert luts_of(unrolled(layer, "lut6")) < 0.8 * luts_of(unrolled(layer, "lut6", Sharing(references=1)))
    assert luts_of(unrolled(few, "lut6")) == luts_of(unrolled(few, "lut6", Sharing(references=1)))


def test_what_cannot_fire_costs_nothing() -> None:
    weights = np.ones((3, 20), np.int64)
    net = unrolled(dense(weights, np.array([-20, 21, 22])), "lut6")
    assert not net.nodes and (evaluate(net, np.zeros((1, 20), np.uint8)) == [[1, 0, 0]]).all()


def test_equal_neurons_are_one() -> None:
    weights = np.repeat(rng_of("equal").choice([-1, 1], (1, 30)), 4, 0)
    one = unrolled(dense(weights[:1], np.array([2])), "lut6", Sharing(references=0))
    four = unrolled(dense(weights, np.array([2] * 4)), "lut6", Sharing(references=0))
    assert luts_of(four) <= luts_of(one) + 3 and len(set(four.outputs)) == 1


def luts_of(net: Netlist) -> int:
    """LUTs of tables."""
    return sum(len(n.tables) for n in net.nodes if isinstance(n, Luts))


def test_plans_are_no_more_than_a_lut_a_bit() -> None:
    for bits in range(3, 400):
        assert bits - bits.bit_length() <= luts((bits,), LUT6) <= bits + 3


def test_layers_in_groups_see_their_own_channels() -> None:
    rng = rng_of("groups")
    window, values = Window((6, 5, 5), (2, 2), groups=3), rng.choice([-1, 1], (9, 8))
    head = Thresholds(np.zeros((1, 9, 1), np.int64), Encoding.bipolar())
    layer = MatVec("c", Encoding.bipolar(), window, Weights.of_values(values), head)
    x = rng.choice([-1, 1], (4, 6))
    seen = (layer.window_weights @ x.ravel()).tolist()
    assert seen == [int(values[o] @ x[:, o // 3 * 2 : o // 3 * 2 + 2].ravel()) for o in range(9)]
    wide = replace(layer, window=replace(window, pad=(2, 2, 2, 2)))
    with pytest.raises(BnnhwError, match="layer 'c': its windows are in groups, and their margin wider than their reach, it cannot be unrolled"):
        check_unrolled(wide)
