"""What the size of each library module depends on: counts of gates, registers and memories from its parameters alone.

A resource model is a weight for each of these names, per module and family of FPGAs; `benchmarks/fit.py` finds them.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from math import ceil, log2
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bnnhw.estimate.memories import Kind, Memory, Style, memory
from bnnhw.ir.design import MemoryStyle
from bnnhw.ir.encoding import I64, signed_bits
from bnnhw.ir.hardware import Gate
from bnnhw.ir.instances import Instance
from bnnhw.ir.wiring import entries
from bnnhw.lutmap.cost import LUT_INPUTS, Wide, luts
from bnnhw.lutmap.dot import of_matvec
from bnnhw.lutmap.layer import unrolled_stages
from bnnhw.lutmap.netlist import ONE, ZERO, Netlist

Parameters = Mapping[str, int | str]
Terms = dict[str, float]
N = TypeVar("N", int, I64)


@dataclass(frozen=True)
class Features:
    """Terms of the sums of LUTs and flip-flops; block memories, LUTs of memories and DSPs as they are."""

    luts: Terms = field(default_factory=dict)
    flip_flops: Terms = field(default_factory=dict)
    memories: tuple[Memory, ...] = ()
    muxes: int = 0
    """LUTs between the banks of memories."""
    dsps: int = 0
    netlists: int = 0
    """LUTs of popcounts that are netlists."""
    rom_luts: float = 0
    """LUTs of read-only memories in logic."""

    @property
    def own_luts(self) -> float:
        """LUTs that need no weight: those of memories and netlists."""
        return self.muxes + self.netlists + self.rom_luts + sum(m.luts for m in self.memories)

    @property
    def variant(self) -> str:
        """Instances with DSPs have weights of their own."""
        return "dsp" if self.dsps else "logic"

    @property
    def other_variant(self) -> str:
        """The one to fall back to where the sweep had none of this."""
        return "logic" if self.dsps else "dsp"


@dataclass
class _Size:
    """Features of one module in the making."""

    target: str
    luts: Terms = field(default_factory=lambda: {"one": 1.0})
    flip_flops: Terms = field(default_factory=lambda: {"one": 1.0})
    memories: list[Memory] = field(default_factory=list)
    muxes: int = 0
    dsps: int = 0
    netlists: int = 0
    rom_luts: float = 0
    varying: int | None = None
    """Bits of the words of a head's memory that are not the same in all; None where they are like random ones."""

    def counter(self, name: str, count: int, bits: int) -> None:
        """A counter up to `count`, which is no register where that is 1."""
        if count > 1:
            self.luts[name] = self.flip_flops[name] = bits

    def register(self, bits: float) -> None:
        """Flip-flops of the data path."""
        self.flip_flops["data"] = self.flip_flops.get("data", 0) + bits

    def gates(self, **terms: float) -> None:
        """Logic."""
        for name, n in terms.items():
            self.luts[name] = self.luts.get(name, 0) + n

    def rom(self, width: int, words: int, style: MemoryStyle = MemoryStyle.AUTO) -> bool:
        """A read-only memory, of which tools leave out the columns that are constant; False where all are."""
        width = width if self.varying is None else self.varying
        if words == 1 or not width:
            return False
        found = memory(self.target, width, words, Kind.ROM, style)
        self.memories.append(found)
        if found.style is Style.LOGIC:
            columns = distinct(width, words)
            self.flip_flops["rom"] = columns
            self.rom_luts += columns * float(rom_luts(words, self.target, columns))
        elif found.banks > 1:
            self.muxes += width * mux_luts(found.banks, self.target)
            self.register((found.banks - 1).bit_length())
        return True

    def words(self, width: int, p: Mapping[str, int], style: MemoryStyle = MemoryStyle.AUTO) -> bool:
        """A memory of a module's words, read-only unless they are written at run time; whether its contents are not known."""
        if not p.get("WRITABLE"):
            return self.rom(width, p["N_WORDS"], style)
        self.ram(width, p["N_WORDS"], style=style)
        return True

    def ram(self, width: int, words: int, kind: Kind = Kind.RAM, style: MemoryStyle = MemoryStyle.AUTO) -> None:
        """A written memory."""
        found = memory(self.target, width, words, kind, style)
        self.memories.append(found)
        self.muxes += width * mux_luts(found.banks, self.target)
        if found.style is Style.LOGIC:
            self.flip_flops["cells"] = width * words
            self.gates(cells=width * words, words=words)
        if kind is Kind.RAM:
            if found.style is Style.BLOCK:
                self.flip_flops["block"] = self.luts["block"] = 1
                self.flip_flops["block_width"] = self.luts["block_width"] = width
                self.flip_flops["block_address"] = self.luts["block_address"] = (words - 1).bit_length()
            else:
                self.flip_flops["read"] = width


@dataclass(frozen=True)
class Multiplier:
    """A family's DSP, and for which products Yosys takes it."""

    a: int
    """Most bits of a signed factor."""
    b: int
    factor: int = 2
    """Fewest bits of a factor."""
    product: int = 0
    """Fewest bits of a product."""
    coefficients: bool = False
    """Whether popcounts are multiplied with their constant coefficients in it."""


MULTIPLIERS = {
    "xc7": Multiplier(25, 18, product=9), "xcup": Multiplier(27, 18, product=9), "ecp5": Multiplier(18, 18, coefficients=True),
    "ice40": Multiplier(16, 16, product=11), "gowin": Multiplier(18, 18, factor=4, coefficients=True),
}  # fmt: skip


def multipliers(target: str, a: int, b: int, y: int) -> int:
    """DSPs of one product of signed numbers of a and b bits, of which y bits are used."""
    m = MULTIPLIERS[target]
    a, b = max(a, b), min(a, b)
    if a > m.a:  # its high bits are a product of their own
        return multipliers(target, m.a, b, y) + multipliers(target, a - m.a, b, y - m.a + 1)
    if b > m.b:
        return multipliers(target, a, m.b, y) + multipliers(target, a, b - m.b, y - m.b + 1)
    return int(min(a, b) >= m.factor and min(y, a + b) >= m.product)


def mux_luts(inputs: int, target: str) -> int:
    """LUTs of one bit of a multiplexer: a LUT6 chooses among four, of more Yosys makes a little more than needed.

    Behind a LUT4's two, ECP5 and Gowin have multiplexers of their own.
    """
    if target in ("ecp5", "gowin"):
        return ceil(inputs / 2) if inputs > 1 else 0
    if target == "ice40":
        return inputs - 1
    return min(inputs - 1, 1) if inputs <= 4 else round(0.6 * (inputs - 1))


ALIKE = 24
"""Words up to which columns of a memory may well be equal."""


ROMS = Path(__file__).parent / "data" / "roms.csv"
"""What families make of columns of random bits."""


@lru_cache
def _columns(target: str) -> dict[float, tuple[list[int], list[float]]]:
    """By the number of columns beside each other in powers of two, words of those that were measured, and LUTs of one."""
    with ROMS.open() as f:
        rows = [(log2(int(row["columns"])), int(row["words"]), float(row["luts"])) for row in csv.DictReader(f) if row["target"] == target]
    return {
        beside: ([w for b, w, _ in rows if b == beside], [luts for b, _, luts in rows if b == beside]) for beside in sorted({b for b, *_ in rows})
    }


@lru_cache(maxsize=1 << 12)
def _column(words: int, target: str) -> tuple[list[float], list[float]]:
    """LUTs of a column, by the columns beside each other in powers of two; beyond the words that were measured, in proportion to them."""
    each = [float(np.interp(words, measured, luts)) * max(1.0, words / measured[-1]) for measured, luts in _columns(target).values()]
    return list(_columns(target)), each


def rom_luts(words: int, target: str, columns: float | I64) -> NDArray[np.float64]:
    """LUTs of a column of a read-only memory of so many columns, of which wide ones share more."""
    return np.asarray(np.interp(np.log2(np.maximum(1, columns)), *_column(words, target)))


def distinct(columns: int, words: int) -> float:
    """Expected number of different columns that are no constant, among `columns` random ones of `words` bits."""
    if words > ALIKE:
        return columns
    functions = 2**words - 2
    return functions * (1 - (1 - 1 / (functions + 2)) ** columns)


TABLES = Path(__file__).parent / "data" / "tables.csv"
"""What families make of tables with more inputs than their LUTs."""
SHORT = 16
"""Bits up to which a popcount's cost for each may differ from that of more."""


def plain_popcount(gate: Gate, lanes: int, stored: bool) -> Terms:
    """What a popcount depends on that is no netlist, with weights from a memory or constant ones."""
    kind = "free" if not stored else "masked" if gate is Gate.MASKED else "gate"
    if lanes == 1:
        return {f"{kind}_single": 1}
    bits, width = lanes if stored or gate is Gate.XNOR else lanes / 2, lanes.bit_length()  # of weights that are constant and 0, nothing is left
    found = {"bits": min(bits, SHORT), "more": max(0.0, bits - SHORT), "carries": max(0.0, bits - width), "width": width}
    return {f"{kind}_{name}": n for name, n in found.items()}


def features_of(i: Instance, target: str) -> Features:
    """Features of an instance for the family named `target`."""
    return features(i.module, i.parameters, target, i.varying)


def netlist_of(i: Instance) -> Netlist:
    """The netlist of an unrolled product."""
    assert i.product is not None
    return unrolled_stages(i.product, str(i.parameters["LOGIC"]), int(i.parameters["LATENCY"]) - 1)


@lru_cache
def wide(target: str) -> Wide:
    """LUTs of tables that have more inputs than the family's LUTs, as measured."""
    if not TABLES.is_file():
        return {}
    with TABLES.open() as f:
        return {(int(row["inputs"]), int(row["table"], 16)): int(row["luts"]) for row in csv.DictReader(f) if row["target"] == target}


def digits(n: int) -> int:
    """Non-zero digits of a number in the form that has fewest: additions that a product with it takes."""
    count = 0
    while n:
        if n & 1:
            n -= 2 - (n & 3)
            count += 1
        n >>= 1
    return count


SHAPE_OF_COUNT = ("SIMD", "GATE", "LOGIC", "LATENCY")
"""Parameters of a product that its popcounts' netlist depends on."""
SHAPE_OF_JOINT = (*SHAPE_OF_COUNT, "JOINT", "PLANES", "SUM_W", "COEFFS")
"""Likewise of a joint sum."""


def _matvec(p: Mapping[str, int], raw: Parameters, s: _Size) -> None:
    pe, simd, planes, turns, count_w, sum_w = p["PE"], p["SIMD"], p["PLANES"], p["N_TURNS"], p["COUNT_W"], p["SUM_W"]
    joint = "JOINT" in raw
    units = pe if joint else pe * planes
    stored = s.words(pe * simd * (2 if p["GATE"] == 2 else 1), p, _style(raw))
    latency = p.get("LATENCY", 0)
    leaving = count_w
    if "LOGIC" in raw:
        shape = tuple((name, raw[name]) for name in (SHAPE_OF_JOINT if joint else SHAPE_OF_COUNT) if name in raw)
        counted_luts, counted_registers, sum_bits = counted(shape, s.target)
        s.netlists = units * counted_luts
        s.register(units * counted_registers)
        leaving = sum_bits if joint else count_w
    else:
        s.gates(**{name: units * n for name, n in plain_popcount(Gate(p["GATE"]), simd, stored).items()})
        s.register(units * latency * count_w)
    s.register(3 * latency)
    s.gates(units=units)
    if p["N_BEATS"] * turns > 1:
        s.gates(**{"count_up" if simd * planes == 1 else "accumulate": pe * sum_w})
    if not joint:
        gates, dsps = weighted_counts(s.target, entries(raw["COEFFS"], sum_w, turns * planes), turns, count_w, sum_w)
        s.gates(**{name: pe * n for name, n in gates.items()})
        s.dsps = pe * dsps
    s.counter("beat", p["N_BEATS"], p["BEAT_W"])
    s.counter("address", p["N_WORDS"], p["ADDR_W"])
    s.counter("turn", turns, p["TURN_W"])
    s.register(planes * simd + units * leaving + pe * sum_w)


def weighted_counts(target: str, coeffs: list[int], turns: int, count_w: int, sum_w: int) -> tuple[Terms, int]:
    """Gates and DSPs of a PE's sum of popcounts, each times the coefficient of its plane, of which there are others in every turn."""
    planes = len(coeffs) // turns
    if turns > 1:
        varied = sum(not _shift(coeffs[q::planes]) for q in range(planes))
        return {"products": varied * count_w * sum_w, "product_sums": (planes - 1) * sum_w}, varied * multipliers(target, sum_w, count_w, sum_w)
    adds = sum(digits(c) for c in coeffs)
    gates: Terms = {"adds": max(0, adds - 1) * count_w, "sums": max(0, adds - 1), "add_width": sum_w * (adds > 1)}
    if not MULTIPLIERS[target].coefficients:
        return gates, 0
    return gates, sum(multipliers(target, count_w, signed_bits(c, c), sum_w) for c in coeffs if not _shift([c]))


@lru_cache(maxsize=1 << 12)
def counted(shape: tuple[tuple[str, int | str], ...], target: str) -> tuple[int, int, int]:
    """LUTs and flip-flops of the netlist of a popcount or joint sum of this shape, and the bits that leave it."""
    net = of_matvec(dict(shape))
    return luts(net, target, wide(target)), net.flip_flops, len({*net.outputs} - {ZERO, ONE})


def _style(raw: Parameters) -> MemoryStyle:
    return MemoryStyle(str(raw["STYLE"]).strip('"')) if "STYLE" in raw else MemoryStyle.AUTO


def _shift(factors: list[int]) -> bool:
    """Whether a product with these is wires only: one constant power of two, or 0."""
    return len(set(factors)) == 1 and abs(factors[0]) & (abs(factors[0]) - 1) == 0 and factors[0] >= 0


def _fold_address(p: Mapping[str, int], s: _Size) -> None:
    s.counter("fold", p["N_FOLDS"], p["ADDR_W"])
    if p["N_CLASSES"] > 1:
        s.gates(border=p["INDEX_W"], border_address=p["ADDR_W"], border_table=p["ADDR_W"] * (p["OUT_ROWS"] + p["OUT_COLS"]))
        s.flip_flops["border"] = 2 * p["INDEX_W"]


def _threshold(p: Mapping[str, int], raw: Parameters, s: _Size) -> None:
    pe, limits = p["PE"], p["N_LIMITS"]
    stored = s.words(pe * (limits * p["LIMIT_W"] + p["FLIPS"]), p)
    _fold_address(p, s)
    inputs = LUT_INPUTS[s.target]
    compared = "compare" if stored else "compare_constant" if p["LIMIT_W"] > inputs else "compare_few"
    s.gates(**{compared: pe * limits * p["LIMIT_W"]}, codes=pe * (limits - 1) * p["PLANES"], rows=pe)
    s.register(pe * p["SUM_W"])


def _affine(p: Mapping[str, int], raw: Parameters, s: _Size) -> None:
    pe, width = p["PE"], p["EXACT_W"]
    scales, biases = p["SCALE_W"] if p["SCALE_W"] > 2 else 0, p["BIAS_W"] if p["BIAS_W"] > 1 else 0  # else they are 1, or 0, throughout
    if scales + biases:
        s.words(pe * (scales + biases), p)
    _fold_address(p, s)
    used = min(width, p["SHIFT"] + p["WRAP_W"]) if p["OVERFLOW"] == 2 else width
    s.dsps = pe * multipliers(s.target, p["SUM_W"], p["SCALE_W"], used)
    s.gates(bias=pe * width * bool(biases), product=pe * used * scales)
    s.register(pe * p["SUM_W"])
    if p["OVERFLOW"] < 2:
        s.gates(narrow=pe * (width + p["OUT_W"]))


def _accumulate(p: Mapping[str, int], raw: Parameters, s: _Size) -> None:
    lanes, parts = p["N_LANES"], p["N_PARTS"]
    scales = entries(raw["SCALES"], p["SCALE_W"], parts * lanes)
    each = [scales[lane::lanes] for lane in range(lanes)]
    varied = [factors for factors in each if len(set(factors)) > 1]
    bits = [signed_bits(factors[0], factors[0]) if len(set(factors)) == 1 else p["SCALE_W"] for factors in each if not _shift(factors)]
    s.dsps = p["PE"] * sum(multipliers(s.target, p["IN_W"], n, p["OUT_W"]) for n in bits)
    s.gates(sums=p["PE"] * lanes * p["OUT_W"], varied=p["PE"] * len(varied) * p["IN_W"] * p["SCALE_W"])
    s.gates(digits=p["PE"] * p["OUT_W"] * sum(digits(factors[0]) - 1 for factors in each if len(set(factors)) == 1 and factors[0]))
    s.register(p["PE"] * p["OUT_W"])
    s.counter("part", parts, p["PART_W"])
    if parts > 1:
        s.gates(first=p["PE"] * p["OUT_W"])


def _window(p: Mapping[str, int], raw: Parameters, s: _Size) -> None:
    bits = p["PLANES"] * p["LANES"]
    counters = sum(p[n] > 1 for n in ("N_WORDS", "KERNEL_X", "KERNEL_Y", "N_GROUPS", "OUT_COLS", "OUT_ROWS"))
    s.gates(counters=counters * p["INDEX_W"], index=p["INDEX_W"], position=p["POS_W"], steps=counters * p["POS_W"], address=p["ADDR_W"])
    padded = p["PAD_X"] or p["PAD_Y"] or (p["OUT_COLS"] - 1) * p["STRIDE_X"] + (p["KERNEL_X"] - 1) * p["DILATION_X"] >= p["COLS"]
    padded = padded or (p["OUT_ROWS"] - 1) * p["STRIDE_Y"] + (p["KERNEL_Y"] - 1) * p["DILATION_Y"] >= p["ROWS"]
    s.gates(margin=bits * bool(padded), padded=float(bool(padded)))
    s.flip_flops |= {"counters": counters * p["INDEX_W"], "index": 2 * p["INDEX_W"], "position": 3 * p["POS_W"], "address": 2 * p["ADDR_W"]}
    s.ram(bits, 1 << p["ADDR_W"], style=_style(raw))


def _line_buffer(p: Mapping[str, int], raw: Parameters, s: _Size) -> None:
    pixel, lines = p["PLANES"] * p["LANES"], (p["KERNEL_Y"] - 1) * p["DILATION_Y"]
    columns = (p["KERNEL_X"] - 1) * p["DILATION_X"] + 1
    phases = (p["STRIDE_X"] > 1) + (p["STRIDE_Y"] > 1)
    entering = pixel * bool(p["TAIL_X"] or p["TAIL_Y"])
    blanked = pixel * lines if p["TAIL_X"] else pixel * min(lines, p["PAD_Y"])
    s.gates(index=2 * p["INDEX_W"], phases=phases * p["INDEX_W"], margin=entering + blanked, padded=float(bool(entering + blanked)))
    s.flip_flops |= {"index": 2 * p["INDEX_W"], "phases": phases * p["INDEX_W"]}
    s.register(pixel * p["KERNEL_Y"] * columns)
    if lines and p["COLS"] > 1:
        s.ram(pixel * lines, p["COLS"], style=_style(raw))
    elif lines:
        s.register(pixel * lines)


UP, DOWN, WIDE_LUT = -1, -2, 6
"""Forms of width converters, beside those of the bits of their fill level up to that of a wide LUT."""


def converter_form(grains_in: N, grains_out: N, fill_w: N) -> I64:
    """Form of a width converter from and to so many grains, or of many. Where all that a bit depends on fits a wide LUT, some mappings are dearer."""
    return np.where(grains_in == 1, UP, np.where(grains_out == 1, DOWN, np.minimum(fill_w, WIDE_LUT)))


def converter_gates(form: int, grains_in: N, grains_out: N, step: N, fill_w: N) -> dict[str, N]:
    """Gates of a converter, or of many of one form, of grains of `step` bits, that grow with its width."""
    if form == UP:
        return {"up": grains_in, "up_step": step, "up_places": grains_out, "up_fill": fill_w}
    if form == DOWN:
        return {"down": grains_out, "down_bits": grains_in * step, "down_step": step, "down_fill": fill_w}
    grains = grains_in + grains_out
    landing = grains_in * (grains_out + 1) * step
    return {f"held_{form}": grains * step, "shifted": grains_in * step, "landing": landing, "grains": grains, "fill": fill_w}


def _gearbox(p: Mapping[str, int], raw: Parameters, s: _Size) -> None:
    grains_in, grains_out = p["N_IN"] // p["GRAIN"], p["N_OUT"] // p["GRAIN"]
    step = p["GRAIN"] * p["ELEM_W"] * p["PLANES"]
    held = (grains_in + grains_out) * step
    form = int(converter_form(grains_in, grains_out, p["FILL_W"]))
    s.gates(**converter_gates(form, grains_in, grains_out, step, p["FILL_W"]))
    if form == UP:
        s.gates(up_short=held if p["N_BEATS"] % grains_out else 0)
    elif form == DOWN:
        s.flip_flops["down"] = 1
    tail = (p["N_IN"] - p["N_TAIL"]) * p["ELEM_W"] * p["PLANES"]
    s.gates(tail=tail if p["N_BEATS"] > 1 else 0)
    s.counter("beat", p["N_BEATS"], p["BEAT_W"])
    s.flip_flops["fill"] = p["FILL_W"]
    s.register(held)


def _replay(p: Mapping[str, int], raw: Parameters, s: _Size) -> None:
    even = p["N_WORDS"] & (p["N_WORDS"] - 1) == 0  # the second half begins at a bit of the address
    s.gates(address=p["ADDR_W"], half=0 if even else p["ADDR_W"])
    s.flip_flops["address"] = p["ADDR_W"]
    s.counter("pass", p["N_PASSES"], p["PASS_W"])
    s.ram(p["DATA_W"], 2 * p["N_WORDS"], style=_style(raw))


def _fifo(p: Mapping[str, int], raw: Parameters, s: _Size) -> None:
    s.gates(address=p["ADDR_W"])
    s.flip_flops["address"] = p["ADDR_W"]
    s.ram(p["DATA_W"], p["N_WORDS"], Kind.QUEUE)


def _pool(p: Mapping[str, int], raw: Parameters, s: _Size) -> None:
    bits = p["LANES"] * p["PLANES"]
    one = "one_bit" if p["PLANES"] == 1 else "bits"
    s.gates(**{one: bits}, ranks=p["LANES"] * (p["RANK_W"] << p["PLANES"]) if p["ORDER"] == 2 else 0)
    s.counter("tap", p["N_TAPS"], p["TAP_W"])
    s.register(bits)


def _frame(p: Mapping[str, int], raw: Parameters, s: _Size) -> None:
    s.gates(data=p["DATA_W"] * (p["N_BEATS"] > 1))
    s.counter("beat", p["N_BEATS"], p["BEAT_W"])


def _hold(p: Mapping[str, int], raw: Parameters, s: _Size) -> None:
    s.counter("beat", p["N_BEATS"], p["BEAT_W"])
    s.gates(units=1)
    s.register(2 * 32 + 1)


def _control(p: Mapping[str, int], raw: Parameters, s: _Size) -> None:
    s.gates(units=1, memories=p["N_MEMORIES"])
    s.register(p["DATA_W"] + p["MEMORY_W"] + 37)


def _last(p: Mapping[str, int], raw: Parameters, s: _Size) -> None:
    s.counter("beat", p["N_BEATS"], p["BEAT_W"])


def _turns(p: Mapping[str, int], raw: Parameters, s: _Size) -> None:
    s.gates(data=p["M_PLANES"] * p["LANES"] * (p["N_TURNS"] - 1), out=p["M_PLANES"] * p["LANES"])
    s.counter("turn", p["N_TURNS"], p["TURN_W"])


def _fork(p: Mapping[str, int], raw: Parameters, s: _Size) -> None:
    s.gates(readers=p["N_OUT"])
    s.flip_flops["readers"] = p["N_OUT"]


def _add(p: Mapping[str, int], raw: Parameters, s: _Size) -> None:
    s.gates(data=p["LANES"] * p["OUT_W"])
    s.register(p["LANES"] * p["OUT_W"])


def _concat(p: Mapping[str, int], raw: Parameters, s: _Size) -> None:
    s.gates(data=p["LANES"] * p["OUT_W"])
    s.counter("beat", p["N_A"] + p["N_B"], p["BEAT_W"])
    s.register(p["LANES"] * p["OUT_W"])


def _multiply(p: Mapping[str, int], raw: Parameters, s: _Size) -> None:
    s.dsps = p["LANES"] * multipliers(s.target, p["A_W"], p["B_W"], p["OUT_W"])
    s.gates(product=p["LANES"] * p["A_W"] * p["B_W"], sums=p["LANES"] * p["OUT_W"])
    s.register(p["LANES"] * p["OUT_W"])


def _table(p: Mapping[str, int], raw: Parameters, s: _Size) -> None:
    for _ in range(p["LANES"]):
        s.rom(p["OUT_W"], 1 << p["IN_W"])
    s.flip_flops["rom"] = s.flip_flops.get("rom", 0) * p["LANES"]


def _gather(p: Mapping[str, int], raw: Parameters, s: _Size) -> None:
    pe = p["PE"]
    s.rom(pe * (p["INDEX_W"] + 2), p["N_WORDS"])
    for _ in range(pe):
        s.ram(p["IN_W"], 2 << p["INDEX_W"])
    for name in ("block", "block_width", "block_address", "read", "cells"):
        for terms in (s.luts, s.flip_flops):
            if name in terms:
                terms[name] *= pe
    s.gates(sums=pe * p["SUM_W"], fill=p["FILL_W"], index=p["INDEX_W"])
    s.counter("address", p["N_WORDS"], p["ADDR_W"])
    s.counter("term", p["N_TERMS"], p["TERM_W"])
    s.flip_flops |= {"fill": p["FILL_W"], "index": p["INDEX_W"]}
    s.register(pe * (p["SUM_W"] + 2))


MODULES: dict[str, Callable[[Mapping[str, int], Parameters, _Size], None]] = {
    "bnn_matvec": _matvec, "bnn_threshold": _threshold, "bnn_affine": _affine, "bnn_accumulate": _accumulate, "bnn_window": _window,
    "bnn_gearbox": _gearbox, "bnn_replay": _replay, "bnn_fifo": _fifo, "bnn_pool": _pool, "bnn_frame": _frame, "bnn_last": _last,
    "bnn_turns": _turns, "bnn_fork": _fork, "bnn_add": _add, "bnn_concat": _concat, "bnn_multiply": _multiply, "bnn_table": _table,
    "bnn_gather": _gather, "bnn_line_buffer": _line_buffer, "bnn_hold": _hold, "bnn_control": _control,
}  # fmt: skip
"""By module; `bnn_planes` and `bnn_pad` are wires."""


def features(module: str, parameters: Parameters, target: str, varying: int | None = None) -> Features:
    """Features of a module with these parameters; `varying` as in Instance."""
    if module not in MODULES:
        return Features()
    size = _Size(target, varying=varying)
    MODULES[module]({k: v for k, v in parameters.items() if isinstance(v, int)}, parameters, size)
    return Features(size.luts, size.flip_flops, tuple(size.memories), size.muxes, size.dsps, size.netlists, size.rom_luts)
