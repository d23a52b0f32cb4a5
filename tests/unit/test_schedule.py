"""Folding for a rate, design files, and the equality of files that a design regenerates."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np
import pytest

from bnnhw import frontend
from bnnhw.emit import emit_verilog
from bnnhw.estimate.resources import estimate
from bnnhw.ir import design as d
from bnnhw.ir.contents import weight_words
from bnnhw.ir.encoding import Encoding
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.heads import Sums, Thresholds
from bnnhw.ir.instances import Stream
from bnnhw.ir.integer import PORT, InputPort, Network
from bnnhw.ir.layers import MatVec
from bnnhw.ir.layout import pack, unpack
from bnnhw.ir.pipeline import pipeline
from bnnhw.ir.store import network_bytes, read_network
from bnnhw.ir.topology import Topology
from bnnhw.ir.trained import TrainedNetwork
from bnnhw.ir.weights import Weights
from bnnhw.ir.window import Window
from bnnhw.lower import lower
from bnnhw.schedule import Folder, complete, fold_for_interval, fully_folded, latency, read_design, write_design
from bnnhw.schedule.beats import beat_times
from bnnhw.schedule.folding import input_lanes, output_lanes
from bnnhw.schedule.queues import Waits, join_queues, words_of_pixel
from support.published import CNV_FOLDING, LFC_FOLDING, cnv, design_data, lfc
from support.random_integer import random_network
from support.random_nets import random_case, random_design


def product(design: d.Design) -> int:
    """PE * SIMD of all layers."""
    return sum(f.pe * f.simd for f in design.layers)


@pytest.fixture(scope="module")
def digits() -> Network:
    return lower(frontend.load("digits_cnn")).network


def test_cnv_at_the_published_folding(models_folder: Path) -> None:
    net = cnv(models_folder)
    published = complete(net, design_data(net, CNV_FOLDING), "published")
    assert pipeline(net, published).interval <= 32_768
    ours = fold_for_interval(net, 32_768, 100.0)
    assert pipeline(net, ours).interval <= 32_768
    assert product(ours) <= product(published)


def test_lfc_at_the_published_folding(models_folder: Path) -> None:
    net = lfc(models_folder)
    assert pipeline(net, complete(net, design_data(net, LFC_FOLDING), "published")).interval == 512


def test_binarynet_at_the_published_rate() -> None:
    net = lower(frontend.load("bnn_cifar10")).network
    assert pipeline(net, fold_for_interval(net, int(143e6 / 168), 143.0)).interval <= 851_190


def test_frames_of_too_many_beats_are_not_followed() -> None:
    """Their cycles would fill the memory of the machine."""
    net = lower(frontend.load("bnn_cifar10")).network
    assert latency(pipeline(net, fully_folded(net, 100.0))) is None
    assert latency(pipeline(net, fold_for_interval(net, 851_190, 143.0))) == 2_597_387


def test_the_output_takes_what_it_is_offered_whatever_was_believed_before() -> None:
    net = random_network(5158)
    chain = pipeline(net, random_design(net, 5158 * 7 + 2))
    times = beat_times(chain)
    assert times is not None
    assert times["output_pad", None].taken[0] == 595
    assert latency(chain) == times["output_last", None].taken[0]


def test_wide_maps_have_no_table_of_borders_unless_they_need_one() -> None:
    def net(pad: int) -> Network:
        layers = [{"type": "conv", "name": "c", "out": 2, "kernel": [1, 3], "pad": [0, pad]}, {"type": "sign", "zero_to": 1}]
        top = Topology.model_validate({"bnnhw": 1, "name": "n", "input": {"shape": [1, 1, 70_000], "type": "bipolar"}, "layers": layers})
        return lower(TrainedNetwork(top, {"c.weight": np.ones((2, 1, 1, 3))})).network

    emitted = emit_verilog(net(0), fold_for_interval(net(0), 1_000_000, 100.0))
    assert "ROW_BASE" not in emitted["rtl/n.v"]
    with pytest.raises(BnnhwError, match="layer 'c': a padded map of 1x70000 is too large"):
        fold_for_interval(net(1), 1_000_000, 100.0)


@pytest.mark.parametrize("interval", [600, 1000, 5000, 50_000, 1_000_000])
def test_a_reachable_interval_is_reached(digits: Network, interval: int) -> None:
    assert pipeline(digits, fold_for_interval(digits, interval, 100.0)).interval <= interval


def test_an_unreachable_interval_names_the_limit(digits: Network) -> None:
    with pytest.raises(BnnhwError, match=r"an interval of 10 cycles cannot be reached, the best is 576 cycles .* limited by 'conv1_window'"):
        fold_for_interval(digits, 10, 100.0)


def test_fully_folded_is_one_by_one(digits: Network) -> None:
    design = fully_folded(digits, 100.0)
    assert all((f.pe, f.simd) == (1, 1) for f in design.layers)


@pytest.mark.parametrize("seed", range(40))
def test_design_files_and_networks_survive_a_round_trip(seed: int, tmp_path: Path) -> None:
    net = lower(random_case(seed, f"net {seed}: 'x'").trained).network
    design = random_design(net, seed)
    (tmp_path / "d.yaml").write_text(write_design(net, design), encoding="utf-8")
    assert read_design(net, tmp_path / "d.yaml") == design
    (tmp_path / "n.npz").write_bytes(network_bytes(net))
    again = read_network(tmp_path / "n.npz")
    assert network_bytes(again) == network_bytes(net)
    assert emit_verilog(again, design) == emit_verilog(net, design)


def test_every_weight_is_in_the_memory_once(rng: np.random.Generator) -> None:
    for seed in range(30):
        net = lower(random_case(seed).trained).network
        for layer in net.layers:
            if isinstance(layer, MatVec):
                f = random_design(net, seed)[layer.name]
                beats = d.segments(layer) * d.segment_folds(layer, f)  # each is read again for every turn of input planes
                words = weight_words(layer, f).reshape(layer.window.groups, d.row_folds(layer, f), beats, f.pe, f.simd)
                rows = words.transpose(0, 1, 3, 2, 4).reshape(layer.window.groups, -1, words.shape[2] * f.simd)
                kept = rows[:, : layer.weights.outputs // layer.window.groups, : layer.window.fan_in]
                assert (kept.reshape(-1, layer.window.fan_in) == layer.weights.bits[0]).all()
                assert rows.sum() == layer.weights.bits.sum() + rows.size - layer.weights.bits.size


@pytest.mark.parametrize(
    "stream", [Stream(12, 4, 3), Stream(10, 5, 2, 3), Stream(7, 7, 7, 1, 8), Stream(130, 65, 64), Stream(6, 2, 5, 2, 4)], ids=str
)
def test_the_layout_packs_and_unpacks(stream: Stream, rng: np.random.Generator) -> None:
    codes = rng.integers(0, 1 << (stream.planes * stream.elem_bits), (3, stream.elements))
    raw = pack(stream, codes)
    assert raw.shape == (3, stream.beats, (stream.width + 7) // 8)
    assert (unpack(stream, raw) == codes).all()


def test_the_widest_port_takes_a_frame_and_no_more() -> None:
    for seed in range(100):
        net = random_network(seed)
        for lanes, bits, shape in (
            (input_lanes(net, 1), net.x.planes, net.port.shape),
            (output_lanes(net, 1), d.port_bits(net.layers[-1].out), net.layers[-1].out_shape),
        ):
            assert lanes == d.frame_lanes(bits, prod(shape))


def test_too_large_a_layer_is_not_unrolled() -> None:
    net = lower(frontend.load("bnn_cifar10")).network
    layers = {layer.name: {} for layer in net.layers if isinstance(layer, MatVec)} | {"fc1": {"implementation": "unrolled"}}
    said = (
        r"^layer 'fc1': unrolled it takes about \d+ LUTs, over the limit of 400000; use implementation: folded with pe: \d+ and simd: \d+, "
        r"about \d+ LUTs and [\d.]+ block RAMs in xc7 for a window in 64 cycles$"
    )
    with pytest.raises(BnnhwError, match=said):
        complete(net, {"bnnhw_design": 1, "network": "bnn_cifar10", "layers": layers}, "d.yaml")


def test_the_layout_is_plane_major_with_element_0_low() -> None:
    raw = pack(Stream(4, 4, 4, 2), np.array([[1, 0, 3, 2]]))
    assert raw.ravel().tolist() == [0b1100_0101]


FOLDINGS = {
    "pe beyond the rows": ({"conv1": {"pe": 65, "simd": 1}}, "layer 'conv1': pe 65 cannot be; give 1 to 64"),
    "simd beyond the inputs": ({"conv1": {"pe": 1, "simd": 19}}, "layer 'conv1': simd 19 cannot be; give 1 to 18"),
    "lanes that do not divide": ({"conv2": {"pe": 1, "simd": 1, "lanes": 5}}, "layer 'conv2': lanes 5 do not divide 32 channels; give a divisor"),
    "buffer too small": ({"conv2": {"pe": 1, "simd": 32, "lanes": 32, "buffer": 16}}, "buffer 16 must be a power of two of at least 24 words"),
    "buffer no power": ({"conv2": {"pe": 1, "simd": 32, "lanes": 32, "buffer": 33}}, "buffer 33 must be a power of two"),
    "unknown memory": (
        {"fc1": {"pe": 1, "simd": 1, "weight_memory": "ultra"}},
        "layers.fc1.weight_memory: Input should be 'auto', 'block' or 'distributed'",
    ),
    "memory without window": (
        {"fc1": {"pe": 1, "simd": 1, "window_memory": "block"}},
        "layer 'fc1': window_memory 'block' has no meaning for a layer of kind MatVec; remove it",
    ),
    "lanes without window": ({"fc1": {"pe": 1, "simd": 1, "lanes": 1}}, "layer 'fc1': lanes and buffer belong to a sliding window"),
    "no such layer": ({"fc9": {"pe": 1}}, "network 'digits_cnn' has no layer 'fc9'; its layers are conv1, conv2, maxpool4, fc1, fc2"),
    "zero pe": ({"fc1": {"pe": 0}}, "layers.fc1.pe: Input should be greater than or equal to 1"),
    "unknown key": ({"fc1": {"pe": 1, "speed": 9}}, "layers.fc1.speed: Extra inputs are not permitted"),
    "line buffer and short queue": ({"conv2": {"implementation": "unrolled", "fifo": 9}}, "layer 'conv2': fifo 9 cannot be; give 10 to 1048576"),
    "line buffer of few lanes": (
        {"conv2": {"implementation": "unrolled", "lanes": 16}},
        "layer 'conv2': unrolled it has a line buffer of 32 lanes; remove lanes and buffer",
    ),
    "line buffer of words": (
        {"conv2": {"implementation": "unrolled", "buffer": 32}},
        "layer 'conv2': unrolled it has a line buffer of 32 lanes; remove lanes and buffer",
    ),
    "unrolled pool": (
        {"maxpool4": {"implementation": "unrolled"}},
        "layer 'maxpool4': implementation unrolled has no meaning for a layer of kind Pool; remove it",
    ),
    "folded pool": (
        {"maxpool4": {"implementation": "folded"}},
        "layer 'maxpool4': implementation folded has no meaning for a layer of kind Pool; remove it",
    ),
    "unrolled with weights in a memory": (
        {"fc1": {"implementation": "unrolled", "weight_memory": "block"}},
        "layer 'fc1': unrolled it has no memory of weights; remove weight_memory",
    ),
    "unrolled with inputs in a memory": (
        {"fc1": {"implementation": "unrolled", "replay_memory": "block"}},
        "layer 'fc1': unrolled it has no memory that sends inputs again; remove replay_memory",
    ),
    "unrolled with pe": ({"fc1": {"implementation": "unrolled", "pe": 4}}, "layer 'fc1': unrolled it has all of its PE and SIMD; remove pe"),
    "joint sum of one plane": ({"fc1": {"joint": True}}, "layer 'fc1': its input has one plane, it has no joint sum; remove joint"),
    "joint sum in turns": (
        {"conv1": {"joint": True, "input_planes": 1}},
        "layer 'conv1': its 8 input planes come in 8 turns, it has no joint sum; remove joint",
    ),
    "joint sum of one word": (
        {"conv1": {"joint": True, "pe": 32, "simd": 9}},
        "layer 'conv1': its weights are one word, it has no joint sum; remove joint",
    ),
    "joint sum of a pool": ({"maxpool4": {"joint": True}}, "layer 'maxpool4': joint True has no meaning for a layer of kind Pool; remove it"),
    "joint sum unrolled": (
        {"conv1": {"implementation": "unrolled", "joint": True}},
        "layer 'conv1': unrolled it has all of its PE and SIMD; remove joint",
    ),
    "too many registers": ({"fc1": {"registers": 33}}, "layers.fc1.registers: Input should be less than or equal to 32"),
    "registers that are no number": ({"fc1": {"registers": True}}, "layers.fc1.registers: Input should be a valid integer (given: True)"),
    "pe that is no number": ({"fc1": {"pe": True}}, "layers.fc1.pe: Input should be a valid integer (given: True)"),
    "a layer of one word": (
        {"fc1": "unrolled"},
        "layers.fc1: Input should be keys with values (given: 'unrolled'); see docs/design-file.md",
    ),
    "registers of a pool": ({"maxpool4": {"registers": 1}}, "layer 'maxpool4': registers 1 has no meaning for a layer of kind Pool; remove it"),
    "fifo of one": ({"fc1": {"fifo": 1}}, "layer 'fc1': fifo 1 cannot be; give 2 to 1048576"),
}


@pytest.mark.parametrize("case", FOLDINGS)
def test_foldings_that_cannot_exist(digits: Network, case: str) -> None:
    layers, message = FOLDINGS[case]
    data = {n: {} for n in ("conv1", "conv2", "fc1", "fc2")} | layers
    with pytest.raises(BnnhwError) as e:
        complete(digits, {"bnnhw_design": 1, "network": "digits_cnn", "layers": data}, "d.yaml")
    assert message in str(e.value)
    assert "\n" not in str(e.value)


def test_joint_sums_are_chosen_and_can_be_asked_for(digits: Network) -> None:
    def made(**keys: object) -> d.Design:
        layers = {n: {} for n in ("conv1", "conv2", "fc1", "fc2")} | {"conv1": {"simd": 3} | keys}
        return complete(digits, {"bnnhw_design": 1, "network": "digits_cnn", "layers": layers}, "d.yaml")

    assert made()["conv1"].joint and made(joint=True)["conv1"] == made()["conv1"]
    apart = made(joint=False)
    assert not apart["conv1"].joint and "joint: false" in write_design(digits, apart)
    assert not any("JOINT" in i.parameters for i in pipeline(digits, apart).instances)
    with pytest.raises(BnnhwError, match="layer 'conv1': logic is plain, it has no joint sum; remove joint"):
        d.check(digits, replace(made(), logic=d.Logic.PLAIN))


def test_a_frame_a_cycle_of_odd_sizes_is_wires_and_netlists() -> None:
    """Ports have whole bytes; neither they nor sums whose scales are 1 take logic."""
    weights, code = Weights.of_values(np.where(np.arange(21 * 101).reshape(21, 101) % 7 < 3, 1, -1)), Encoding.bipolar()
    for head in (Sums(np.ones(21, np.int64), np.arange(21)[None]), Thresholds(np.zeros((1, 21, 1), np.int64), code)):
        net = Network("net", InputPort((101, 1, 1), "bipolar"), code, (MatVec("fc", code, Window.dense((101, 1, 1)), weights, head),))
        chain = pipeline(net, Folder(net, "xc7", 100.0).least(1))
        assert {i.module for i in chain.instances} - {"bnn_frame", "bnn_last", "bnn_fifo"} == {"bnn_unrolled", "bnn_pad"}
        assert estimate(chain, "xc7").whole.dsps == 0 and chain.interval == 1


def test_a_pool_is_not_unrolled(digits: Network) -> None:
    design = fully_folded(digits, 100.0)
    layers = tuple(replace(f, implementation=d.Implementation.UNROLLED) if f.name == "maxpool4" else f for f in design.layers)
    with pytest.raises(BnnhwError, match="layer 'maxpool4': a layer of kind Pool cannot be unrolled; remove implementation"):
        d.check(digits, replace(design, layers=layers))


def test_queues_of_a_search_are_enough_whatever_comes_by_line_buffers() -> None:
    """Else a design that is found could not be read again."""
    compared = 0
    for seed in range(400):
        net = random_network(seed)
        joins = [layer for layer in net.layers if len(net.inputs_of(layer)) > 1]
        may = [layer.name for layer in net.layers if d.has_lines(layer)]
        if not joins or not may:
            continue
        for layers in (may, may[:1], may[1:], []):
            folded = {f.name: f for f in fully_folded(net, 100.0).layers}
            made = folded | {name: d.unrolled(net[name], folded[name]) for name in layers}  # type: ignore[arg-type]
            needed, waits = join_queues(net, made), Waits(net, {}, (), may)
            for layer in joins:
                words = tuple(net.port.shape[0] if name == PORT else words_of_pixel(net[name], made[name]) for name in net.inputs_of(layer))
                assert all(a >= b for a, b in zip(waits.words(layer, words), needed[layer.name], strict=True)), (seed, layers)
                compared += 1
    assert compared > 50
