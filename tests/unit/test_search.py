"""The folding search finds what trying every design finds, and prices a design as its pipeline is priced."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, replace
from functools import lru_cache
from itertools import product
from math import ceil, inf, prod
from operator import add, mul
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bnnhw import frontend
from bnnhw.estimate.memories import LUT_RAMS
from bnnhw.estimate.power import expected_picojoules
from bnnhw.estimate.resources import Cost, cost, estimate, model, sums
from bnnhw.ir import design as d
from bnnhw.ir.encoding import Encoding
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.heads import Sums, Thresholds
from bnnhw.ir.instances import Instance, Pipeline
from bnnhw.ir.integer import PORT, InputPort, Network
from bnnhw.ir.layers import Gather, Layer, MatVec, Windowed
from bnnhw.ir.pipeline import pipeline
from bnnhw.ir.weights import Weights
from bnnhw.ir.window import Window
from bnnhw.lower import lower
from bnnhw.request import DEFAULT_UTILISATION, choose_design
from bnnhw.schedule import board, fold_for_interval, fully_folded, search
from bnnhw.schedule.choices import Choices
from bnnhw.schedule.folding import input_lanes, output_lanes
from bnnhw.schedule.goals import SHARES, Budget, Folder
from bnnhw.schedule.queues import Waits, words_of_pixel
from bnnhw.schedule.stages import LOGIC, LUT_LEVELS, may_have_lines, most_registers, with_joint, with_registers
from bnnhw.tools.targets import TARGETS as FAMILIES
from support.practical import practical_network
from support.random_integer import random_network

ROOT = Path(__file__).parents[2]
ICEBREAKER = (ROOT / "boards" / "icebreaker" / "board.yaml").read_text()
TARGETS = ("xc7", "ice40")
MOST = 1500
"""Designs of a network that are all tried."""
SPEEDS = (1, 2, 5, 12)
"""How much faster than fully folded."""


@lru_cache
def digits() -> Network:
    """A network of the zoo."""
    return lower(frontend.load("digits_mlp")).network


def every_folding(layer: Layer) -> list[d.Folding]:
    """All foldings of a layer, also those with lanes to spare."""
    plain = d.Folding(layer.name)
    if isinstance(layer, MatVec | Gather):
        rows = range(1, layer.out_shape[0] // layer.window.groups + 1)
        if isinstance(layer, Gather):
            made = [replace(plain, pe=pe) for pe in rows]
        else:
            k = layer.window.fan_in // d.segments(layer)
            planes, inputs = range(1, layer.weights.planes + 1), range(layer.x.planes)
            made = [replace(plain, pe=a, simd=b, planes=p, input_planes=q) for a, b, p, q in product(rows, range(1, k + 1), planes, inputs)]
            made += [d.unrolled(layer, plain)] if d.unrolled_obstacle(layer) is None else []
    else:
        made = [plain]
    if not (d.windowed(layer) or d.elementwise(layer)):
        return made
    lanes = [n for n in range(1, d.lane_channels(layer) + 1) if d.lane_channels(layer) % n == 0]
    words = {n: d.buffer_words(layer, n) if isinstance(layer, Windowed) else 0 for n in lanes}
    found = [replace(f, lanes=n, buffer_words=words[n]) for f in made for n in lanes if not d.line_buffered(layer, f)]
    return found + [replace(f, lanes=layer.sources[0][0][0]) for f in made if d.line_buffered(layer, f)]


SEEDS = (34, 38, 40, 62, 86, 89, 95, 100, 116, 132, 811)
"""Random networks of several layers whose designs are few enough to try them all; the last three have joins."""


@lru_cache
def network(seed: int) -> Network:
    """The network of a seed, which is a small one."""
    net = random_network(seed)
    assert len(net.layers) > 1 and 20 < prod(len(every_folding(layer)) for layer in net.layers) <= MOST
    return net


def tried(net: Network, interval: int, target: str) -> Iterator[d.Design]:
    """Every design of at most that interval for a family, with the registers and queues that belong to it."""
    logic = LOGIC[target]
    waits = Waits(net, most_registers(net, logic, LUT_LEVELS), (), may_have_lines(net))
    for foldings in product(*(every_folding(layer) for layer in net.layers)):
        of = {f.name: f for f in foldings}
        words = {name: net.port.shape[0] if name == PORT else words_of_pixel(net[name], of[name]) for name in (PORT, *of)}
        queues = {x.name: waits.words(x, tuple(words[name] for name in net.inputs_of(x))) for x in net.layers if len(net.inputs_of(x)) > 1}
        layers = tuple(replace(f, queue_words=queues.get(f.name, ())) for f in foldings)
        design = with_registers(
            net, with_joint(net, d.Design(net.name, 100.0, input_lanes(net, interval), output_lanes(net, interval), layers, logic))
        )
        if pipeline(net, design).interval <= interval:
            yield design


Costs = tuple[float, ...]
"""LUTs, flip-flops, block RAMs, DSPs."""
MEMORIES = ("bnn_matvec", "bnn_window", "bnn_line_buffer", "bnn_replay")
WEIGHTS: dict[str, Costs] = {"luts": (1, 0, 0, 0), "area": (1, 0, SHARES["xc7"][0], SHARES["xc7"][1])}


def of_instance(i: Instance, target: str) -> set[Costs]:
    """An instance with its memory in every style."""
    styles: list[dict[str, int | str]] = [{}]
    if i.module in MEMORIES:
        styles += [{"STYLE": '"block"'}]
        styles += [{"STYLE": '"distributed"'}] if i.module == "bnn_matvec" or LUT_RAMS[target] else []
    return {astuple(cost(replace(i, parameters=i.parameters | style), target)) for style in styles}


def of_design(chain: Pipeline, target: str) -> set[Costs]:
    """A design with its memories in every mixture of styles, less those that are worse in all."""
    found: set[Costs] = {(0.0, 0.0, 0.0, 0.0)}
    for i in chain.instances:
        sums = {tuple(map(add, a, b)) for a, b in product(found, of_instance(i, target))}
        found = {a for a in sums if not any(b != a and all(x <= y for x, y in zip(b, a, strict=True)) for b in sums)}
    return found


def weighed(costs: Costs, weights: Costs) -> float:
    """The weighted sum."""
    return sum(map(mul, costs, weights))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("minimised", WEIGHTS)
def test_least_is_least_of_all(seed: int, minimised: str) -> None:
    net, weights = network(seed), WEIGHTS[minimised]
    slowest = pipeline(net, fully_folded(net, 100.0)).interval
    for target, speed in product(TARGETS if minimised == "luts" else ("xc7",), SPEEDS):
        interval = max(1, slowest // speed)
        each = (min(weighed(c, weights) for c in of_design(pipeline(net, design), target)) for design in tried(net, interval, target))
        least = min(each, default=inf)
        if least == inf:
            with pytest.raises(BnnhwError, match="cannot be reached, the best is"):
                Folder(net, target, 100.0, minimised).least(interval)
            continue
        found = pipeline(net, Folder(net, target, 100.0, minimised).least(interval))
        assert found.interval <= interval
        assert weighed(astuple(sums(found, target)), weights) == pytest.approx(least, rel=1e-9)


@pytest.mark.parametrize(("seed", "labels"), [*((seed, search.MOST_LABELS) for seed in SEEDS), *((seed, 1) for seed in SEEDS[::2])])
def test_fastest_within_a_budget_is_fastest_of_all(seed: int, labels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With few labels the designs are searched in ever smaller parts."""
    monkeypatch.setattr(search, "MOST_LABELS", labels)
    net, whole = network(seed), model("xc7").whole["luts"]
    smallest = sums(pipeline(net, Folder(net, "xc7", 100.0, "luts").least(10**9)), "xc7")
    budget = Budget(luts=smallest.luts * 1.2 * whole, block_rams=smallest.block_rams, dsps=smallest.dsps)
    found = pipeline(net, Folder(net, "xc7", 100.0, "luts", budget).fastest())

    def least(interval: int) -> float:
        costs = (c for design in tried(net, interval, "xc7") for c in of_design(pipeline(net, design), "xc7"))
        allowed = (
            luts for luts, _, block_rams, dsps in costs if luts * whole <= budget.luts and block_rams <= budget.block_rams and dsps <= budget.dsps
        )
        return min(allowed, default=inf)

    costs = sums(found, "xc7")
    assert costs.luts * whole <= budget.luts and costs.block_rams <= budget.block_rams and costs.dsps <= budget.dsps
    assert least(found.interval) <= costs.luts + 1e-9
    assert found.interval == 1 or least(found.interval - 1) == inf


@pytest.mark.parametrize("seed", SEEDS[::2])
def test_least_luts_for_few_block_rams_are_least_of_all(seed: int) -> None:
    net = network(seed)
    interval = pipeline(net, fully_folded(net, 100.0)).interval
    most = sums(pipeline(net, Folder(net, "xc7", 100.0, "luts").least(interval)), "xc7").block_rams
    for block_rams in (0, most / 4, most / 2):
        costs = (c for design in tried(net, interval, "xc7") for c in of_design(pipeline(net, design), "xc7"))
        least = min(luts for luts, _, used, _ in costs if used <= block_rams)
        found = sums(pipeline(net, Folder(net, "xc7", 100.0, "luts", Budget(block_rams=block_rams)).least(interval)), "xc7")
        assert found.block_rams <= block_rams and found.luts == pytest.approx(least, rel=1e-9)


@pytest.mark.parametrize("seed", range(0, 6, 2))
def test_block_rams_are_traded_for_luts(seed: int) -> None:
    net = practical_network(seed)
    interval = max(1, pipeline(net, fully_folded(net, 100.0)).interval // 20)
    few, small = (sums(pipeline(net, Folder(net, "ice40", 100.0, kind).least(interval)), "ice40") for kind in ("block_rams", "luts"))
    assert few.block_rams <= small.block_rams and small.luts <= few.luts
    limited = Folder(net, "ice40", 100.0, budget=Budget(block_rams=few.block_rams)).least(interval)
    assert sums(pipeline(net, limited), "ice40").block_rams == few.block_rams


@pytest.mark.parametrize("seed", SEEDS[::3])
def test_least_energy_is_least_of_all(seed: int) -> None:
    net = network(seed)
    interval = pipeline(net, fully_folded(net, 100.0)).interval

    def energy(i: Instance, found: Costs) -> float:
        return expected_picojoules("ice40", Cost(*found), i.beats, interval)  # type: ignore[arg-type]

    def least(design: d.Design) -> float:
        return sum(min(energy(i, found) for found in of_instance(i, "ice40")) for i in pipeline(net, design).instances)

    chain = pipeline(net, Folder(net, "ice40", 100.0, "energy").least(interval))
    assert sum(energy(i, astuple(cost(i, "ice40"))) for i in chain.instances) == pytest.approx(
        min(map(least, tried(net, interval, "ice40"))), rel=1e-9
    )


def test_what_is_found_costs_what_was_found_in_groups_too() -> None:
    """Streams between layers are those that are built."""
    unrolled = 0
    for seed in (0, 12, 21, 23, 33, 55, 58, 72, 144, 254):
        net = random_network(seed)
        for minimise, interval in (("luts", 30), ("luts", 1 << 20)):
            folder = Folder(net, "xc7", 100.0, minimise)
            found = folder._search.best(folder._weights(minimise, interval), interval)
            if found is None:
                continue
            whole = sums(pipeline(net, folder.least(interval)), "xc7")
            assert found.costs[:4] == pytest.approx([whole.luts, whole.flip_flops, whole.block_rams, whole.dsps], rel=1e-9), seed
            layers = zip(net.layers, folder.least(interval).layers, strict=True)
            unrolled += any(isinstance(x, MatVec) and x.window.groups > 1 and f.implementation is d.Implementation.UNROLLED for x, f in layers)
    assert unrolled > 5


def test_no_other_lanes_between_dense_layers_are_better() -> None:
    """Every PE before a product, and SIMD of it, of as many turns, in a network wide enough that few of them are in the search."""
    rng, code, better = np.random.default_rng(0), Encoding.bipolar(), 0
    weights = [Weights.of_values(rng.choice([-1, 1], shape)) for shape in ((100, 64), (10, 100))]
    heads = (Thresholds(np.zeros((1, 100, 1), np.int64), code), Sums(np.ones(10, np.int64), np.zeros((1, 10), np.int64)))
    windows = (Window.dense((64, 1, 1)), Window.dense((100, 1, 1)))
    layers = (MatVec(f"fc{n}", code, *made) for n, made in enumerate(zip(windows, weights, heads, strict=True)))
    net = Network("net", InputPort((64, 1, 1), "bipolar"), code, tuple(layers))
    folder = Folder(net, "xc7", 100.0)
    for interval in (15, 25, 40):
        best = folder.least(interval)
        first, second = best.layers
        same_pe, same_simd = ([n for n in range(1, 101) if ceil(100 / n) == ceil(100 / most)] for most in (first.pe, second.simd))
        for pe, simd in product(same_pe, same_simd):
            design = with_registers(net, replace(best, layers=(replace(first, pe=pe), replace(second, simd=simd))))
            assert area(net, design) >= area(net, best) * (1 - 1e-9), (interval, pe, simd)
        better += min(same_simd) < second.simd
    assert better


def area(net: Network, design: d.Design) -> float:
    """What `area` minimises."""
    cells = sums(pipeline(net, design), "xc7")
    return cells.luts + cells.block_rams * SHARES["xc7"][0] + cells.dsps * SHARES["xc7"][1]


@pytest.mark.parametrize(("target", "logic"), [*((target, LOGIC[target]) for target in FAMILIES), ("xc7", d.Logic.CARRY)])
def test_no_bound_is_above_the_price(target: str, logic: d.Logic) -> None:
    """What a search leaves out it leaves out by these bounds."""
    rng, priced = np.random.default_rng(1), 0
    for net in (*map(practical_network, range(6)), *map(random_network, range(40))):
        choices = Choices(net, target, LUT_LEVELS, logic)
        for stage in choices.stages:
            last = stage.number.argmax()  # of a product, an unrolled one where there are
            for edge in map(int, {*rng.permutation(np.flatnonzero(~stage.priced))[:12], last}):
                costs, beats = stage.costs[edge].copy(), stage.beats[edge]
                choices.price(stage, edge)
                assert (costs <= stage.costs[edge] * (1 + 1e-9)).all() and beats <= stage.beats[edge], (net.name, stage.layer, stage.fields(edge))
                priced += 1
    assert priced > 1000


def test_of_the_edges_of_a_large_network_few_are_priced() -> None:
    """Seconds for BinaryNet, also where a budget cannot be kept, hang on this."""
    net, asked = lower(frontend.load("bnn_cifar10")).network, board(ROOT / "boards", "zcu104")
    share = 0.5
    refused = Folder(net, "xcup", 200.0, budget=Budget(asked.luts * share, asked.flip_flops * share, asked.block_rams * share, asked.dsps * share))
    with pytest.raises(BnnhwError, match="is within all of the budget"):
        refused.fastest()
    few_block_rams = Folder(net, "xc7", 200.0, budget=Budget(block_rams=140))
    few_block_rams.least(400_000)
    for folder in (refused, few_block_rams):
        stages = folder._search.stages
        assert sum(stage.priced.sum() for stage in stages) < 0.1 * sum(len(stage.priced) for stage in stages)


def test_a_search_keeps_what_it_priced() -> None:
    net = practical_network(4)
    folder = Folder(net, "xc7", 100.0)
    first = folder.least(3000)
    assert folder.least(3000) == first == Folder(net, "xc7", 100.0).least(3000)
    assert cost(pipeline(net, first).instances[0], "xc7") == cost(pipeline(net, first).instances[0], "xc7")


def test_a_search_is_no_dearer_than_the_quick_folding() -> None:
    for seed in range(20, 26):
        net = practical_network(seed)
        interval = max(1, pipeline(net, fully_folded(net, 100.0)).interval // 4)
        quick = sums(pipeline(net, fold_for_interval(net, interval, 100.0)), "xc7").luts
        assert sums(pipeline(net, Folder(net, "xc7", 100.0, "luts").least(interval)), "xc7").luts <= quick + 1e-9


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"board": "arty"}, "board 'arty' is not known; give one of arty_a7_100, "),
        ({"board": "icebreaker", "target": "xc7"}, "board 'icebreaker' has an FPGA of ice40, not xc7; remove --target"),
        ({"target": "spartan"}, "target 'spartan' is not known; give one of xc7, "),
        ({"max_luts": 10}, "10 LUTs are too few, the smallest design of "),
        ({"max_luts": -1}, "a budget of -1 luts cannot be"),
        ({"fps": 1e7, "max_luts": 500}, "500 LUTs are too few, the smallest design of 10 cycles a frame has "),
        ({"utilisation": 2}, "a utilisation of 2 cannot be"),
        ({"lut_levels": 0}, "0 LUTs between registers cannot be; give 1 or more"),
        ({"minimise": "watts"}, "'watts' cannot be minimised; give one of area, luts, block_rams, energy"),
        ({"fully_folded": True, "max_luts": 10}, "a budget has no use where the folding is given"),
        ({"fully_folded": True, "target": "spartan"}, "target 'spartan' is not known; give one of xc7, "),
        ({"fully_folded": True, "minimise": "watts"}, "'watts' cannot be minimised; give one of area, luts, block_rams, energy"),
        ({"fully_folded": True, "lut_levels": 0}, "0 LUTs between registers cannot be; give 1 or more"),
        ({"fully_folded": True, "minimise": "luts"}, "--minimise has no use where the folding is given; remove it"),
        ({"design": Path("d.yaml"), "target": "spartan"}, "target 'spartan' is not known; give one of xc7, "),
        ({"design": Path("d.yaml"), "lut_levels": 2}, "--lut-levels has no use where the folding is given; remove it"),
        ({"target": ""}, "target '' is not known; give one of xc7, "),
        ({"max_luts": inf}, "a budget of inf luts cannot be; give a finite number from 0"),
        ({"utilisation": 0.5}, "--utilisation has no use without a board; remove it, or give --board"),
        ({"minimise": "energy", "max_luts": 5000}, "--minimise has no use beside a budget alone; remove it, or give --fps"),
        ({"fps": 1e-7}, "1e-07 frames a second cannot be; give a finite rate of at least 1e-06"),
        ({"fps": 1e9}, "more than a frame a cycle cannot be reached, the best is 1 cycles (100000000 frames/s at 100 MHz), limited by "),
        ({"clock_mhz": 0}, "a clock of 0 MHz cannot be; give more than 0 and at most 10000"),
        ({"max_luts": 20}, "has 388 in xc7 (most in fc1 133, fc3 113, fc2 97); give a larger budget or board"),
        ({"fps": 1e6, "max_luts": 300}, "(most in fc1 1271, fc2 256, fc3 125); give more, or lower --fps"),
    ],
)
def test_bad_requests_are_refused_in_one_line(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(BnnhwError) as e:
        choose_design(digits(), **asked)
    assert said in str(e.value) and "\n" not in str(e.value)


def test_a_design_file_is_held_against_a_budget(tmp_path: Path) -> None:
    file = tmp_path / "d.yaml"
    file.write_text("bnnhw_design: 1\nnetwork: digits_mlp\nlayers: {fc1: {pe: 2, simd: 8}, fc2: {implementation: unrolled}, fc3: {pe: 1, simd: 8}}\n")
    cells = estimate(pipeline(digits(), choose_design(digits(), design=file)), "xc7").whole
    assert choose_design(digits(), design=file, max_luts=cells.luts) == choose_design(digits(), design=file)
    with pytest.raises(
        BnnhwError,
        match=f"the design is estimated at {cells.luts} LUTs in xc7, over the budget of {cells.luts - 1} \\(most in fc2 2827, fc1 566, fc3 201\\); fold more, or give more; without a design file [0-9]+ frames/s would fit$",
    ):
        choose_design(digits(), design=file, max_luts=cells.luts - 1)
    with pytest.raises(
        BnnhwError, match=r"layer 'fc2': unrolled it takes about \d+ LUTs, over the limit of 2000; use implementation: folded with pe"
    ):
        choose_design(digits(), design=file, max_luts=2000)


def test_a_design_file_without_logic_takes_what_suits_the_target(tmp_path: Path) -> None:
    file = tmp_path / "d.yaml"
    file.write_text("bnnhw_design: 1\nnetwork: digits_mlp\nlayers: {fc1: {pe: 2, simd: 8}, fc2: {implementation: unrolled}, fc3: {pe: 1, simd: 8}}\n")
    chosen = {target: choose_design(digits(), design=file, target=target).logic for target in (None, *FAMILIES)}
    assert chosen == {None: d.Logic.LUT6, **{target: LOGIC[target] for target in FAMILIES}}


def test_the_least_area_at_a_frame_a_cycle_is_unrolled() -> None:
    made = choose_design(digits(), fps=1e8)
    products = [f.implementation for layer, f in zip(digits().layers, made.layers, strict=True) if isinstance(layer, MatVec)]
    assert products == [d.Implementation.UNROLLED] * 3


def test_a_board_file_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(ICEBREAKER)
    assert choose_design(digits(), board=str(file)) == choose_design(digits(), board="icebreaker")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("bnnhw_board: 1\ntitle: x\n", "part: Field required; see boards/arty_a7_35/board.yaml"),
        ("", "board: Input should be keys with values (given: None); see "),
        (ICEBREAKER.replace("luts: 5280", "luts: -5"), "luts: Input should be greater than or equal to 0 (given: -5); see "),
        (ICEBREAKER.replace("clock_mhz: 12", "clock_mhz: .inf"), "clock_mhz: Input should be less than or equal to 10000 (given: inf); see "),
        (ICEBREAKER.replace("clock_mhz: 12", "clock_mhz: 20000"), "clock_mhz: Input should be less than or equal to 10000 (given: 20000); see "),
        (ICEBREAKER.replace("target: ice40", "target: ice"), "target: 'ice' is not known; give one of xc7, xcup, ecp5, ice40, gowin; see "),
    ],
)
def test_a_bad_board_file_is_named_with_its_value(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(BnnhwError) as e:
        choose_design(digits(), board=str(file))
    assert str(e.value).startswith(f"board {str(file)!r}: {said}")


@pytest.mark.parametrize("file", sorted((ROOT / "boards").glob("*/board.yaml")), ids=lambda p: p.parent.name)
def test_every_board_holds_a_small_network(file: Path) -> None:
    found = board(ROOT / "boards", file.parent.name)
    design = choose_design(digits(), board=file.parent.name)
    cells = estimate(pipeline(digits(), design), found.target).whole
    for kind in ("luts", "flip_flops", "block_rams", "dsps"):
        assert getattr(cells, kind) <= DEFAULT_UTILISATION * getattr(found, kind)
    assert design.clock_mhz == found.clock_mhz


def test_primitives_take_fewer_luts() -> None:
    plain, chained = (Folder(digits(), "xc7", 100.0, "luts", logic=logic).least(16) for logic in (None, d.Logic.CARRY))
    assert (plain.logic, chained.logic) == (d.Logic.LUT6, d.Logic.CARRY)
    assert sums(pipeline(digits(), chained), "xc7").luts < 0.8 * sums(pipeline(digits(), plain), "xc7").luts


def test_a_convolution_is_unrolled_where_a_pixel_a_cycle_is_asked_for() -> None:
    net = lower(frontend.load("digits_cnn")).network
    design = Folder(net, "xc7", 100.0).least(100)
    assert [design[name].implementation for name in ("conv1", "conv2")] == [d.Implementation.UNROLLED] * 2
    assert pipeline(net, design).interval == 81  # 8x8 pixels and a margin of one, once for every row and frame
    with pytest.raises(BnnhwError, match=r"an interval of 80 cycles cannot be reached, the best is 81 cycles .* limited by 'conv1_lines'"):
        Folder(net, "xc7", 100.0).least(80)
