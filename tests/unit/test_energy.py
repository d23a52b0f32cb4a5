"""Arithmetic energy: counted by hand on small layers, and the mistakes of its command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import bnnhw
from bnnhw.cli import app
from bnnhw.estimate.arithmetic import TABLE, Work, dram_watts, versions, work
from bnnhw.ir.encoding import Encoding, Integers
from bnnhw.ir.heads import Thresholds
from bnnhw.ir.integer import InputPort, Network
from bnnhw.ir.layers import Add, Gather, MatVec, SumPool
from bnnhw.ir.weights import Weights
from bnnhw.ir.window import Window
from support.random_integer import random_network


def one_layer(x: Encoding, raw: str, window: Window, outputs: int) -> Network:
    """A binary layer with one threshold an output."""
    weights = Weights.binary(np.ones((outputs, window.fan_in), np.int64))
    layer = MatVec("l", x, window, weights, Thresholds(np.zeros((1, outputs, 1), np.int64), Encoding.bipolar()))
    return Network("n", InputPort(window.shape, raw), x, (layer,))


def test_a_dense_layer_counted_by_hand() -> None:
    net = one_layer(Encoding.bipolar(), "bipolar", Window.dense((8, 1, 1)), 2)
    found = {v.name: v.layers[0] for v in versions(net)}
    real = found["float32"]
    assert real.products == 16
    assert real.operations_pj == pytest.approx(16 * (3.7 + 0.9) + 2 * (3.7 + 0.9))
    assert real.on_chip_pj == pytest.approx(16 * 5 + 8 * 1 + 2 * 5)
    assert real.dram_pj == pytest.approx(16 * 640)
    assert found["ternary weights, int8"].operations_pj == pytest.approx(16 * 0.05 + 2 * (3.1 + 0.1))
    binary = found["binary"]
    assert binary.operations_pj == pytest.approx(16 * 0.03 / 8 + 2 * 0.05)
    assert binary.on_chip_pj == pytest.approx((16 * 5 + 8 * 1 + 2 * 5) / 32)
    assert found["this network"] == binary


def test_a_convolution_reads_its_weights_for_every_window_and_dram_once() -> None:
    net = one_layer(Encoding.uint(8), "uint8", Window((3, 4, 4), (3, 3)), 5)
    int8 = {v.name: v.layers[0] for v in versions(net)}["int8"]
    assert int8.products == 5 * 27 * 4
    assert int8.on_chip_pj == pytest.approx((5 * 27 * 4 * 5 + 4 * 27 * 1 + 5 * 4 * 5) / 4)
    assert int8.dram_pj == pytest.approx(5 * 27 * 640 / 4)


def test_lookups_are_read_for_every_window_and_joins_read_both_inputs() -> None:
    numbers = Integers(-4, 3)
    index, sign = np.array([[0, 2, 1]]), np.ones((1, 3), np.int8)
    head = Thresholds(np.zeros((1, 1, 1), np.int64), Encoding.bipolar())
    assert work(Gather("g", numbers, Window((3, 2, 5), (1, 1)), index, sign, head)) == Work(0, 0, 10, 30, 10, 30)
    assert work(Add("a", (numbers, numbers), (2, 3, 1), (0, 0), ("x", "y"))) == Work(input_reads=12, additions=6)
    assert work(SumPool("s", numbers, Window((2, 4, 4), (2, 2), (2, 2), groups=2))) == Work(input_reads=32, additions=24)


def test_pixels_of_a_binary_network_are_added_and_as_planes_multiplied_bit_by_bit() -> None:
    net = one_layer(Encoding.uint(8), "uint8", Window.dense((8, 1, 1)), 2)
    found = {v.name: v.layers[0] for v in versions(net)}
    assert found["binary"].operations_pj == pytest.approx(16 * 0.05 + 2 * 0.05)
    assert found["this network"].operations_pj == pytest.approx(16 * 8 * 0.03 / 8 + 2 * 0.05)


@pytest.mark.parametrize("seed", range(60))
def test_networks_of_any_layers_cost_something_in_every_format(seed: int) -> None:
    for v in versions(random_network(seed)):
        assert all(x.on_chip_pj > 0 for x in v.layers)
        assert 0 < v.on_chip_pj < v.off_chip_pj


def test_reading_a_billion_parameters_twenty_times_a_second() -> None:
    assert dram_watts(1e9, 20) == pytest.approx(12.8)
    assert dram_watts(1e9, 20, 1) == pytest.approx(0.4)
    assert "12.8 W" in CliRunner().invoke(app, ["energy", "--params", "1e9", "--rate", "20"]).output


def test_every_energy_has_a_source_and_assumptions_a_range_around_them() -> None:
    for energy in TABLE.values():
        assert energy.source
        assert energy.assumed is None or energy.assumed[0] < energy.pj < energy.assumed[1]


def test_the_command_prints_the_table_and_draws_it(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    done = CliRunner().invoke(app, ["energy", "digits_mlp", "--json", "--plot", str(tmp_path / "e.svg")])
    rows = json.loads(done.output)
    assert [r["name"] for r in rows] == ["float32", "float16", "int8", "ternary weights, int8", "binary", "this network"]
    assert rows[-1]["weight_bits"] == bnnhw.info("digits_mlp")["weight_bits"]
    text = (tmp_path / "e.svg").read_text()
    assert "<svg" in text
    CliRunner().invoke(app, ["energy", "digits_mlp", "--json", "--plot", str(tmp_path / "e.svg")])
    assert (tmp_path / "e.svg").read_text() == text


def test_a_rate_gives_the_powers_also_in_json() -> None:
    plain, rated = (json.loads(CliRunner().invoke(app, ["energy", "digits_mlp", "--json", *rate]).output) for rate in ([], ["--rate", "2000"]))
    for without, row in zip(plain, rated, strict=True):
        powers = {"on_chip_mw": row["on_chip_pj"] * 2000 / 1e9, "off_chip_mw": row["off_chip_pj"] * 2000 / 1e9}
        assert row == without | powers


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "energy: a network or --params is needed, not both; give one"),
        (["digits_mlp", "--params", "3"], "energy: a network or --params is needed, not both; give one"),
        (["--params", "3"], "energy: --params says nothing of how often they are read; give --rate"),
        (["--params", "3", "--rate", "2", "--plot", "e.svg"], "energy: --plot e.svg is of a network, --params has none; leave it out"),
        (["--params", "3", "--rate", "2", "--weights", "w.npz"], "energy: --weights w.npz is of a network, --params has none; leave it out"),
        (["digits_mlp", "--bits", "8"], "energy: --bits 8 is of --params, a network has its own; leave it out"),
        (["--params", "0", "--rate", "2"], "energy: 0 parameters of 32 bits cannot be; give 1 to 1e+18 parameters of 1 to 1024 bits"),
        (["--params", "nan", "--rate", "2"], "energy: nan parameters of 32 bits cannot be; give 1 to 1e+18 parameters of 1 to 1024 bits"),
        (["--params", "1e300", "--rate", "2"], "energy: 1e+300 parameters of 32 bits cannot be; give 1 to 1e+18 parameters of 1 to 1024 bits"),
        (["--params", "3", "--rate", "1e300"], "energy: a rate of 1e+300 a second cannot be; give 1e-06 to 1e+12"),
        (["digits_mlp", "--rate", "1e300"], "energy: a rate of 1e+300 a second cannot be; give 1e-06 to 1e+12"),
        (["digits_mlp", "--rate", "inf"], "energy: a rate of inf a second cannot be; give 1e-06 to 1e+12"),
        (["digits_mlp", "--rate", "-1"], "energy: a rate of -1 a second cannot be; give 1e-06 to 1e+12"),
        (["digits_mlp", "--plot", "e.bmp"], "plot 'e.bmp': no kind of picture; end its name in .svg, .png, .pdf"),
        (["digits_mlp", "--plot", "no/such/e.svg"], "plot 'no/such/e.svg': cannot be written (No such file or directory); choose another path"),
    ],
)
def test_mistakes_are_said_in_one_line(arguments: list[str], message: str) -> None:
    assert str(CliRunner().invoke(app, ["energy", *arguments]).exception) == message
