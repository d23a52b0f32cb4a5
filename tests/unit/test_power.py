"""FPGA power: computed by hand on small designs, what is refused, the table of coefficients, the published boards."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bnnhw.cli import app
from bnnhw.estimate.power import FAMILIES, MEANING, PORTS, Coefficient, Family, Range, accesses, power, rate, table
from bnnhw.ir.activity import Activities, Activity, MemoryUse, Toggling
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.integer import PORT
from bnnhw.tools.targets import TARGETS, Cells

ROOT = Path(__file__).parents[2]
ONE = Activity("l_matvec", "l", Toggling(10, 500), Toggling(40, 1000), (MemoryUse("u_weights", 64, 8, 100, 0), MemoryUse("u_ring", 64, 24, 20, 60)))
END = Activity("input_fifo", PORT, Toggling(4, 0), Toggling(0, 0))
FOUND = Activities(100, 2, (END, ONE))
CELLS = {"l_matvec": Cells(luts=20, flip_flops=12, carries=3, block_rams=1.5, dsps=2), "input_fifo": Cells(flip_flops=5)}


def test_a_design_computed_by_hand() -> None:
    found = power("xc7", FOUND, CELLS, interval_cycles=50, clock_mhz=100)
    f = FAMILIES["xc7"]
    assert [x.name for x in found.layers] == [PORTS, "l"]
    ports, layer = found.layers
    assert (ports.logic.typical, ports.memory.typical, ports.dsp.typical) == (0, 0, 0)
    assert ports.clock.typical == pytest.approx(5 * f.clock.value * 50e-6)
    nets, registers = 1000 / (40 * 100), 500 / (10 * 100)
    toggles = nets * f.glitches.value * (20 * (f.lut.value + f.net.value) + 3 * f.carry.value) + registers * 12 * (f.flip_flop.value + f.net.value)
    assert layer.logic.typical == pytest.approx(toggles * 50e-6)
    assert layer.clock.typical == pytest.approx(12 * f.clock.value * 50e-6)
    reads, writes = (512 * 100 + 1536 * 20) / (2048 * 100), 1536 * 60 / (2048 * 100)
    assert layer.memory.typical == pytest.approx(1.5 * (reads * f.read.value + writes * f.write.value) * 50e-6)
    assert layer.dsp.typical == pytest.approx(2 * 2 * nets * f.dsp.value * 50e-6)
    assert found.frames_per_second == 2e6
    assert found.static_uj.typical == pytest.approx(f.static.value / 2e6 * 1e6)
    assert found.frame_uj.typical == pytest.approx(found.dynamic_uj.typical + found.static_uj.typical)
    assert found.watts.typical == pytest.approx(found.frame_uj.typical * 2)
    assert found.frames_per_joule.typical == pytest.approx(2e6 / found.watts.typical)
    for r in (found.watts, found.frame_uj, found.frames_per_joule, layer.total):
        assert 0 < r.low < r.typical < r.high
    assert json.loads(json.dumps(found.as_dict()))["frame_uj"]["typical"] == found.frame_uj.typical


def test_a_frame_that_takes_twice_as_long_takes_twice_the_energy_and_the_same_power() -> None:
    once, twice = (power("ecp5", FOUND, CELLS, interval_cycles=n, clock_mhz=50) for n in (1000, 2000))
    assert twice.frame_uj.typical == pytest.approx(2 * once.frame_uj.typical)
    assert twice.watts.typical == pytest.approx(once.watts.typical)


def test_static_power_of_another_device_takes_the_place_of_the_family_s() -> None:
    other = Coefficient(1.0, 0.5, 2.0, "of a larger device")
    found = power("ice40", FOUND, CELLS, interval_cycles=10, clock_mhz=12, static=other)
    assert found.static_watts == Range(0.5, 1.0, 2.0)


def test_rates_and_accesses() -> None:
    assert rate(Toggling(), 7) == 0
    assert rate(Toggling(4, 14), 7) == 0.5
    assert accesses(ONE, 100) == (0.4, 0.45)
    assert accesses(END, 100) == (1.0, 0.0)


def test_ranges_add_scale_and_invert() -> None:
    assert Range(1, 2, 4) + Range(1, 1, 1) == Range(2, 3, 5)
    assert Range(1, 2, 4) * 0.5 == Range(0.5, 1, 2)
    assert Range(1, 2, 4) * Range(1, 3, 5) == Range(1, 6, 20)
    assert Range(1, 2, 4).inverse() == Range(0.25, 0.5, 1)


def test_every_family_has_every_coefficient_with_a_source_and_a_range_around_it() -> None:
    assert list(FAMILIES) == list(TARGETS)
    assert [f.name for f in fields(Family) if f.name != "device"] == list(MEANING)
    for family in FAMILIES.values():
        for name in MEANING:
            c = getattr(family, name)
            assert 0 <= c.low <= c.value <= c.high and c.low < c.high and c.source


def test_the_document_holds_the_coefficients_as_they_are() -> None:
    assert table() in (ROOT / "docs" / "power.md").read_text()


@pytest.mark.parametrize(
    ("target", "found", "cells", "interval", "clock", "message"),
    [
        ("spartan", FOUND, CELLS, 1, 1, "power: target 'spartan' is not known; give one of xc7, xcup, ecp5, ice40, gowin"),
        ("xc7", FOUND, CELLS, 0, 1, "power: a frame every 0 cycles at 1 MHz cannot be; give 1 or more, and a clock up to 10000 MHz"),
        ("xc7", FOUND, CELLS, 1, -1, "power: a frame every 1 cycles at -1 MHz cannot be; give 1 or more, and a clock up to 10000 MHz"),
        ("xc7", FOUND, CELLS, 1, float("nan"), "power: a frame every 1 cycles at nan MHz cannot be; give 1 or more, and a clock up to 10000 MHz"),
        ("xc7", Activities(0, 0, (ONE,)), CELLS, 1, 1, "power: no cycles were counted; simulate at least one frame"),
        ("xc7", FOUND, {"input_fifo": Cells()}, 1, 1, "power: the cells of 'l_matvec' are not given; synthesise its module"),
    ],
)
def test_what_cannot_be_is_refused(target: str, found: Activities, cells: dict[str, Cells], interval: int, clock: float, message: str) -> None:
    with pytest.raises(BnnhwError) as e:
        power(target, found, cells, interval_cycles=interval, clock_mhz=clock)
    assert str(e.value) == message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["d", "--target", "spartan"], "power: target 'spartan' is not known; give one of xc7, xcup, ecp5, ice40, gowin"),
        (["d", "--frames", "0"], "power: 0 frames, seed 1, 3000000 cycles cannot be; give 1 to 100000 frames, a seed from 0, cycles from 1"),
        (["d", "--seed", "-1"], "power: 4 frames, seed -1, 3000000 cycles cannot be; give 1 to 100000 frames, a seed from 0, cycles from 1"),
        (["d", "--cycles", "0"], "power: 4 frames, seed 1, 0 cycles cannot be; give 1 to 100000 frames, a seed from 0, cycles from 1"),
        (["no-such-folder"], "'no-such-folder': no network.npz in it; give a folder that bnnhw generate wrote"),
    ],
)
def test_mistakes_are_said_in_one_line(arguments: list[str], message: str) -> None:
    done = CliRunner().invoke(app, ["power", *arguments])
    assert isinstance(done.exception, BnnhwError) and str(done.exception) == message
