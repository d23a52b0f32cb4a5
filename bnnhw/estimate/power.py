"""Power of a design on an FPGA: measured toggles and counted cells, times energies of one toggle, cycle or access in a family.

It says what one design takes on one family of FPGAs; the arithmetic energy of number formats is another model, and the two are
never mixed. Energies that nobody publishes are assumptions with a range; low and high take all coefficients at the same end.

The rules, for each instance: its flip-flops toggle as often, on average, as the register bits that its Verilog has, and its lookup
tables and carries as often as its nets, besides glitches; every toggle of a flip-flop or lookup table is one of a routed net too;
its clock runs always; an access of one of its memories is one of all block RAMs that hold it; a DSP block computes as often as
nets toggle, where every second bit toggles at random data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from bnnhw.estimate.resources import Cost
from bnnhw.ir.activity import Activities, Activity, Toggling
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.integer import PORT
from bnnhw.tools.targets import TARGETS, Cells

PORTS = "ports"
"""What tables call the modules at the ends, which belong to no layer."""
PICO_IN_MICRO = 1e-6
TOGGLING = 0.125
"""Toggles of a bit and cycle where none were counted: the rate that vendors' estimators assume."""
MOST_MHZ = 10_000


@dataclass(frozen=True)
class Range:
    """A figure with the least and the greatest that it may be."""

    low: float = 0.0
    typical: float = 0.0
    high: float = 0.0

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.typical + other.typical, self.high + other.high)

    def __mul__(self, by: float | Range) -> Range:
        b = by if isinstance(by, Range) else Range(by, by, by)
        return Range(self.low * b.low, self.typical * b.typical, self.high * b.high)

    def inverse(self) -> Range:
        """One over it; its low comes from the high."""
        return Range(1 / self.high, 1 / self.typical, 1 / self.low)


@dataclass(frozen=True)
class Coefficient:
    """Picojoules, a factor, or watts, as its place in `Family` says."""

    value: float
    low: float
    high: float
    source: str
    assumed: bool = False
    """Whether the value is an assumption; the source is then its reason."""

    @property
    def range(self) -> Range:
        """For calculating."""
        return Range(self.low, self.value, self.high)


@dataclass(frozen=True)
class Family:
    """What a family of FPGAs takes."""

    device: str
    """Whose static power is given."""
    lut: Coefficient
    flip_flop: Coefficient
    net: Coefficient
    carry: Coefficient
    clock: Coefficient
    clock_network: Coefficient
    read: Coefficient
    write: Coefficient
    dsp: Coefficient
    glitches: Coefficient
    static: Coefficient


MEANING = {
    "lut": "pJ, toggle of a lookup table's output", "flip_flop": "pJ, toggle of a flip-flop", "net": "pJ, toggle of a routed net",
    "carry": "pJ, toggle of a carry cell", "clock": "pJ, flip-flop and cycle, with its part of the clock tree",
    "clock_network": "pJ, cycle of the whole clock network besides", "read": "pJ, read of a block RAM", "write": "pJ, write of a block RAM",
    "dsp": "pJ, operation of a DSP block", "glitches": "toggles of lookup tables with glitches, of each without",
    "static": "W, static, of the device",
}  # fmt: skip
"""Of each coefficient, with its unit."""

A35T = (
    "AMD's estimator for an XC7A35T system (CFU Playground with partial reconfiguration) at 100 MHz (4,311 LUTs, 6,608 flip-flops, 5.5 block RAMs: slice logic 8, signals 10, clocks 43, "
    "block RAM 7, static 62 mW) at its default toggle rate of 12.5% (UG440)"
)
Z045 = "AMD's estimator for an XC7Z045 design at 50 MHz (3,342 clocked cells: clocks 5 mW; static 219 mW)"
U50 = (
    "AMD's estimator for an Alveo U50 design (Cyansemi RegEx demo) at 180 MHz (475,034 LUTs, 665,852 flip-flops, 1,062,891 nets, 17,768 CARRY8, 412.5 block RAMs: "
    "1.235, 0.137, 3.132, 0.029, 1.532 W, clocks 2.464 W) at the default toggle rate of 12.5% (UG440)"
)
UP5K = "tinyvision.ai, iCE40 Power Testing (iCE40UP5K, core current at 1.219 V, measured)"
SHARE = f"{UP5K}: 35.7 pJ a cycle for 184 logic cells of an 8x8 multiplier, shared out over LUTs and nets"
GLITCHES = Coefficient(
    1.46, 1.0, 2.0, "Lamoureux et al., GlitchLess, TVLSI 2008: without 87% of the glitches 17% less power, 62% of it dynamic; high: Czajkowski 2008, up to twice"
)  # fmt: skip


def _assumed(value: float, low: float, high: float, reason: str) -> Coefficient:
    return Coefficient(value, low, high, reason, True)


FROM_U50 = "scaled from UltraScale+ by voltage squared and node, 2.4"
FROM_UP5K = "scaled from iCE40 UltraPlus by voltage squared (1.1 V), longer lines"
FROM_55 = "scaled from iCE40 UltraPlus by node (55 nm)"
FAMILIES = {
    "xc7": Family(
        "XC7Z020",
        lut=Coefficient(0.148, 0.1, 0.45, f"{A35T}; high: inner toggle rates of such estimates are lower"),
        flip_flop=_assumed(0.022, 0.01, 0.05, FROM_U50),
        net=Coefficient(0.073, 0.05, 0.3, f"{A35T}; high: as lut, and longer lines of large devices"),
        carry=_assumed(0.087, 0.04, 0.2, f"{FROM_U50}, half a CARRY8"),
        clock=Coefficient(0.03, 0.015, 0.065, f"{Z045}; high: XC7A35T, 43 mW"),
        clock_network=_assumed(0, 0, 50, "in the figure of the flip-flops"),
        read=Coefficient(12.7, 7, 30, f"{A35T}, an access a cycle; high: fewer"),
        write=Coefficient(12.7, 7, 30, f"{A35T}, an access a cycle; high: fewer"),
        dsp=_assumed(8, 3, 15, "scaled from iCE40 UltraPlus by voltage squared and node, 0.49"),
        glitches=GLITCHES,
        static=Coefficient(0.113, 0.062, 0.219, "AMD's estimator for an XC7Z020 (CVA6 softcore contest, Zybo Z7-20); low XC7A35T, high XC7Z045"),
    ),
    "xcup": Family(
        "a small Zynq UltraScale+",
        lut=Coefficient(0.116, 0.08, 0.35, f"{U50}; high: inner toggle rates of such estimates are lower"),
        flip_flop=Coefficient(0.009, 0.005, 0.03, U50),
        net=Coefficient(0.131, 0.06, 0.4, f"{U50}; high: as lut"),
        carry=Coefficient(0.036, 0.018, 0.11, f"{U50}, half a CARRY8"),
        clock=Coefficient(0.0206, 0.01, 0.04, f"{U50}; other parts of it run faster"),
        clock_network=_assumed(0, 0, 50, "in the figure of the flip-flops"),
        read=Coefficient(20.6, 8, 30, f"{U50}, an access a cycle"),
        write=Coefficient(20.6, 8, 30, f"{U50}, an access a cycle"),
        dsp=_assumed(5, 2, 10, "scaled from iCE40 UltraPlus by voltage squared and node, 0.2"),
        glitches=GLITCHES,
        static=_assumed(0.35, 0.2, 2.6, "several times a 7 series device of the size; high: Alveo U50, AMD's estimator"),
    ),
    "ecp5": Family(
        "LFE5U-25F",
        lut=_assumed(0.13, 0.06, 0.5, FROM_UP5K),
        flip_flop=_assumed(0.02, 0.008, 0.05, FROM_UP5K),
        net=_assumed(0.2, 0.08, 0.6, FROM_UP5K),
        carry=_assumed(0.05, 0.02, 0.15, f"{FROM_UP5K}, of two bits"),
        clock=_assumed(0.02, 0.005, 0.06, "between iCE40 UltraPlus and 7 series"),
        clock_network=_assumed(100, 50, 300, "twice iCE40 UltraPlus, the device has five times its cells"),
        read=_assumed(12, 5, 30, "as a block RAM of 36 kbit in 28 nm: half the size, 40 nm"),
        write=_assumed(12, 5, 30, "as a read"),
        dsp=_assumed(15, 5, 25, FROM_UP5K),
        glitches=GLITCHES,
        static=_assumed(0.085, 0.03, 0.25, "77 mA at 1.1 V, taken for the standby current of the smallest devices; high: the largest"),
    ),
    "ice40": Family(
        "iCE40UP5K",
        lut=Coefficient(0.15, 0.07, 0.4, SHARE),
        flip_flop=_assumed(0.02, 0.01, 0.05, "an eighth of a lookup table's, as in UltraScale+ at the most"),
        net=Coefficient(0.2, 0.1, 0.5, SHARE),
        carry=_assumed(0.03, 0.01, 0.1, "a fifth of a lookup table's"),
        clock=Coefficient(0.009, 0.003, 0.0144, f"{UP5K}: 28 to 224 counter bits at 12 MHz, 14.4 fJ a bit and cycle with its toggles"),
        clock_network=Coefficient(52.5, 50, 55, f"{UP5K}: 12 MHz against a halted clock, 521 uA"),
        read=_assumed(5, 2, 12, "a tenth of the size of a block RAM in 28 nm, in 40 nm at 1.2 V"),
        write=_assumed(5, 2, 12, "as a read"),
        dsp=Coefficient(22, 15, 24, f"{UP5K}: an 8x8 multiplication every cycle at 12 MHz, 237 uA with 48 logic cells"),
        glitches=GLITCHES,
        static=Coefficient(104e-6, 90e-6, 230e-6, f"{UP5K}: a blank design; low: data sheet, 75 uA at 1.2 V; high: in reset"),
    ),
    "gowin": Family(
        "GW1NR-9",
        lut=_assumed(0.2, 0.08, 0.6, FROM_55),
        flip_flop=_assumed(0.03, 0.01, 0.08, FROM_55),
        net=_assumed(0.28, 0.1, 0.8, FROM_55),
        carry=_assumed(0.04, 0.015, 0.15, FROM_55),
        clock=_assumed(0.015, 0.005, 0.05, FROM_55),
        clock_network=_assumed(70, 30, 200, FROM_55),
        read=_assumed(15, 6, 40, "as a block RAM of 36 kbit in 28 nm: half the size, 55 nm"),
        write=_assumed(15, 6, 40, "as a read"),
        dsp=_assumed(25, 10, 40, FROM_55),
        glitches=GLITCHES,
        static=_assumed(0.012, 0.004, 0.08, "10 mA at 1.2 V, between iCE40 and ECP5"),
    ),
}
"""By the name of the target."""


@dataclass(frozen=True)
class LayerPower:
    """Microjoules of a layer and frame."""

    name: str
    logic: Range
    """Toggles of lookup tables, carries, flip-flops and nets."""
    clock: Range
    memory: Range
    dsp: Range

    @property
    def total(self) -> Range:
        """All of it."""
        return self.logic + self.clock + self.memory + self.dsp

    def __add__(self, other: LayerPower) -> LayerPower:
        return LayerPower(self.name, self.logic + other.logic, self.clock + other.clock, self.memory + other.memory, self.dsp + other.dsp)


@dataclass(frozen=True)
class Power:
    """What a design takes while frames follow each other without a stall."""

    target: str
    interval_cycles: int
    clock_mhz: float
    layers: tuple[LayerPower, ...]
    """In the order of the pipeline."""
    network: Range
    """Microjoules of the clock network besides the layers, a frame."""
    static_watts: Range
    counted_cycles: int
    """In which toggles were counted."""
    counted_frames: int
    """Whole frames in them."""

    @property
    def frames_per_second(self) -> float:
        """At the interval."""
        return self.clock_mhz * 1e6 / self.interval_cycles

    @property
    def dynamic_uj(self) -> Range:
        """Microjoules a frame, without static power."""
        return sum((x.total for x in self.layers), self.network)

    @property
    def static_uj(self) -> Range:
        """Static power over the time from frame to frame."""
        return self.static_watts * (1e6 / self.frames_per_second)

    @property
    def frame_uj(self) -> Range:
        """Microjoules a frame."""
        return self.dynamic_uj + self.static_uj

    @property
    def watts(self) -> Range:
        """Of the chip's programmable logic."""
        return self.frame_uj * (self.frames_per_second * 1e-6)

    @property
    def frames_per_joule(self) -> Range:
        """Frames a second for a watt."""
        return self.frame_uj.inverse() * 1e6

    def as_dict(self) -> dict[str, Any]:
        """Plain data for a script."""
        totals = ("frames_per_second", "dynamic_uj", "static_uj", "frame_uj", "watts", "frames_per_joule")
        found = {name: getattr(self, name) for name in totals}
        return {**asdict(self), **{name: asdict(x) if isinstance(x, Range) else x for name, x in found.items()}}


def power(
    target: str, activities: Activities, cells: Mapping[str, Cells], *, interval_cycles: int, clock_mhz: float, static: Coefficient | None = None
) -> Power:  # fmt: skip
    """Power of the instances of `activities`, with the cells of each by its name, on the family named `target`.

    `static`: of another device than the family's. Errors: BnnhwError.
    """
    family = family_of(target)
    if interval_cycles < 1 or not 0 < clock_mhz <= MOST_MHZ:
        raise BnnhwError(
            f"power: a frame every {interval_cycles} cycles at {clock_mhz:g} MHz cannot be; give 1 or more, and a clock up to {MOST_MHZ} MHz"
        )
    if activities.cycles < 1:
        raise BnnhwError("power: no cycles were counted; simulate at least one frame")
    missing = [i.name for i in activities.instances if i.name not in cells]
    if missing:
        raise BnnhwError(f"power: the cells of {missing[0]!r} are not given; synthesise its module")
    layers: dict[str, LayerPower] = {}
    for i in activities.instances:
        name = PORTS if i.layer == PORT else i.layer
        found = _instance(family, name, i, activities.cycles, cells[i.name], interval_cycles)
        layers[name] = layers[name] + found if name in layers else found
    network = family.clock_network.range * (interval_cycles * PICO_IN_MICRO)
    leakage = (static or family.static).range
    return Power(target, interval_cycles, clock_mhz, tuple(layers.values()), network, leakage, activities.cycles, activities.frames)


def family_of(target: str) -> Family:
    """The coefficients of the family of that name; BnnhwError with those that are known."""
    if target not in FAMILIES:
        raise BnnhwError(f"power: target {target!r} is not known; give one of {', '.join(FAMILIES)}")
    return FAMILIES[target]


def _instance(family: Family, layer: str, i: Activity, cycles: int, cells: Cells, interval: int) -> LayerPower:
    """Microjoules of one instance and frame."""
    registers, nets = rate(i.registers, cycles), rate(i.nets, cycles)
    toggles = (family.lut.range + family.net.range) * cells.luts + family.carry.range * cells.carries
    logic = toggles * family.glitches.range * nets + (family.flip_flop.range + family.net.range) * (cells.flip_flops * registers)
    reads, writes = accesses(i, cycles)
    memory = (family.read.range * reads + family.write.range * writes) * cells.block_rams
    clock, dsp = family.clock.range * cells.flip_flops, family.dsp.range * (cells.dsps * min(1.0, 2 * nets))
    return LayerPower(layer, *(x * (interval * PICO_IN_MICRO) for x in (logic, clock, memory, dsp)))


def expected_picojoules(target: str, found: Cost, work: int, interval: int) -> float:
    """Dynamic energy of a frame in one instance whose activity nobody measured: TOGGLING in its `work` cycles of `interval`.

    Typical coefficients; for the comparison of foldings, not as a figure.
    """
    return switched_picojoules(target, found, work) + clock_picojoules(target) * found.flip_flops * interval


def clock_picojoules(target: str) -> float:
    """Energy of the clock in a flip-flop and cycle."""
    return family_of(target).clock.value


def switched_picojoules(target: str, found: Cost, work: int) -> float:
    """The part of `expected_picojoules` that depends on the work alone."""
    family = family_of(target)
    logic = (family.lut.value + family.net.value) * found.luts * family.glitches.value
    registers = (family.flip_flop.value + family.net.value) * found.flip_flops
    used = TOGGLING * (logic + registers) + family.read.value * found.block_rams + 2 * TOGGLING * family.dsp.value * found.dsps
    return used * work


def rate(found: Toggling, cycles: int) -> float:
    """Toggles of a bit and cycle."""
    return found.toggles / (found.bits * cycles) if found.bits else 0.0


def accesses(i: Activity, cycles: int) -> tuple[float, float]:
    """Reads and writes of a cycle, averaged over the bits of all memories of the instance; a read a cycle where none was seen."""
    bits = sum(m.bits for m in i.memories)
    if not bits:
        return 1.0, 0.0
    return sum(m.bits * m.reads for m in i.memories) / (bits * cycles), sum(m.bits * m.writes for m in i.memories) / (bits * cycles)


def table() -> str:
    """All coefficients in Markdown, a table for each family."""
    parts = []
    for target, family in FAMILIES.items():
        rows = [f"### `{target}`: {TARGETS[target].title}", "", "| coefficient | value | low to high | source, or assumption |", "|---|---|---|---|"]
        for name in (f.name for f in fields(Family) if f.name != "device"):
            c = getattr(family, name)
            meaning = f"{MEANING[name]} {family.device}" if name == "static" else MEANING[name]
            rows.append(f"| {meaning} | {c.value:g} | {c.low:g} to {c.high:g} | {'assumption: ' if c.assumed else ''}{c.source} |")
        parts.append("\n".join(rows))
    return "\n\n".join(parts)
