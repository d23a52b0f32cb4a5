"""The clock that a design might reach, as a range: levels of logic by a model fitted on synthesised modules, delays by published tables.

Nothing is placed here: the delay of a net is a range, and so is every result. `docs/timing.md` says what follows from that.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, reduce
from math import ceil, log, log2, sqrt
from pathlib import Path
from typing import Any

from bnnhw.estimate.features import Features, Parameters, Terms, features, features_of, netlist_of
from bnnhw.estimate.memories import Style
from bnnhw.estimate.resources import cost, weighed
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.instances import Instance, Pipeline
from bnnhw.lutmap.cost import LUT_INPUTS
from bnnhw.lutmap.dot import of_matvec
from bnnhw.tools.targets import TARGETS

PATHS = Path(__file__).parent / "data" / "paths.json"
KINDS = ("luts", "muxes", "carries", "fanout")
"""What is fitted of a path; of the fan-out the base-2 logarithm."""
BITS = "bits"
"""End of the terms that count for carry cells alone."""
WIDTH = "width"
"""The term that counts for fan-out alone."""
FREE_FANOUT = 4
"""Cells that a net drives at its plain delay."""


@dataclass(frozen=True)
class Span:
    """A quantity whose value is not known: nanoseconds, MHz or levels."""

    low: float
    typical: float
    high: float

    def __add__(self, other: Span) -> Span:
        return Span(self.low + other.low, self.typical + other.typical, self.high + other.high)

    def __mul__(self, n: Span | float) -> Span:
        by = n if isinstance(n, Span) else Span(n, n, n)
        return Span(self.low * by.low, self.typical * by.typical, self.high * by.high)

    def __or__(self, other: Span) -> Span:
        """The greater of both."""
        return Span(max(self.low, other.low), max(self.typical, other.typical), max(self.high, other.high))


NONE = Span(0, 0, 0)


@dataclass(frozen=True)
class Delay:
    """A published delay, or one that we assume, in nanoseconds."""

    ns: Span
    source: str
    """Where it is from; what begins with ASSUMED is ours."""


ASSUMED = "assumption"


def _ns(low: float, typical: float, high: float, source: str) -> Delay:
    return Delay(Span(low, typical, high), source)


@dataclass(frozen=True)
class Delays:
    """The delays of one speed grade of a family."""

    grade: str
    register: Delay
    """Clock to output and set-up, the latter also of an enable or reset."""
    lut: Delay
    """Mean over a path: its inputs differ."""
    net: Delay
    """Mean over a path of what lies between two cells."""
    fanout: Delay
    """More on a net for each doubling of the cells that it drives beyond FREE_FANOUT."""
    chain: Delay
    """Into a carry chain and out of it, with the net in front where carry cells hold LUTs of their own."""
    carry: Delay
    """A carry cell on the way."""
    mux: Delay
    """A dedicated multiplexer behind LUTs."""
    block_ram: Delay
    """Clock to output of a block memory without output register, and set-up."""
    dsp: Delay
    """Through a multiplier without registers."""


YOSYS = "Yosys 0.70 cell models"
DELAYS = {
    "xc7": Delays(
        "Artix-7, -1",
        _ns(0.303, 0.412, 0.707, f"{YOSYS} (prjxray): FDRE clock to Q 0.303, set-up of D 0, CE 0.109, R 0.404"),
        _ns(0.2, 0.35, 0.5, f"{YOSYS} (prjxray): LUT6 0.127 to 0.642 by input; Vivado's arcs 0.124 (f4pga-arch-defs issue 293)"),
        _ns(0.35, 0.55, 0.85, f"{ASSUMED}: placement decides; 0.35 to 0.85"),
        _ns(0.03, 0.1, 0.3, f"{ASSUMED}: 0.03 to 0.3"),
        _ns(0.6, 0.75, 0.9, f"{YOSYS} (prjxray): CARRY4 S to CO 0.378 to 0.528, CI to O 0.222 to 0.334"),
        _ns(0.114, 0.114, 0.114, f"{YOSYS} (prjxray): CARRY4 CI to CO[3], 4 bits"),
        _ns(0.22, 0.3, 0.47, f"{YOSYS} (prjxray): MUXF7 0.217 to 0.296, and 0.174 out of the slice"),
        _ns(2.454, 2.8, 3.19, f"{YOSYS} (prjxray): RAMB36E1 clock to output 2.454, set-up 0.36 to 0.737"),
        _ns(2.823, 3.3, 3.806, f"{YOSYS} (prjxray): DSP48E1 A to P, with and without the pre-adder"),
    ),
    "xcup": Delays(
        "Zynq UltraScale+, -1",
        _ns(0.1, 0.16, 0.25, f"{ASSUMED}: 0.1 to 0.25"),
        _ns(0.05, 0.1, 0.14, f"{ASSUMED}: Vivado reports 0.031 to 0.090 in unnamed grades (verilog-axi issue 67, RapidWright pull request 1273)"),
        _ns(0.15, 0.3, 0.5, f"{ASSUMED}: Vivado reports 0.091 to 0.397 in unnamed grades (the same)"),
        _ns(0.02, 0.06, 0.2, f"{ASSUMED}: 0.02 to 0.2"),
        _ns(0.2, 0.3, 0.4, f"{ASSUMED}: 0.2 to 0.4"),
        _ns(0.02, 0.04, 0.06, f"{ASSUMED}: 0.02 to 0.06"),
        _ns(0.06, 0.1, 0.15, f"{ASSUMED}: 0.06 to 0.15"),
        _ns(1.0, 1.3, 1.7, f"{ASSUMED}: 1 to 1.7"),
        _ns(1.2, 1.8, 2.4, f"{ASSUMED}: 1.2 to 2.4"),
    ),
    "ecp5": Delays(
        "ECP5, -6",
        _ns(0.43, 0.525, 0.949, "Project Trellis, cell timings -6: clock to Q 0.43 to 0.525, set-up of DI and CE 0, LSR 0.424"),
        _ns(0.2, 0.236, 0.236, "Project Trellis, cell timings -6: SLOGICB A to F"),
        _ns(0.72, 0.96, 1.44, "nextpnr ecp5 estimateDelay, -6: 0.72 in place and 0.24 a tile, here 1 and 3 tiles; nextpnr issue 354 has 0.3 to 2.0"),
        _ns(0.05, 0.15, 0.35, f"{ASSUMED}: 0.05 to 0.35"),
        _ns(0.9, 1.8, 2.6, "Project Trellis, cell timings -6: SCCU2C A to FCO 0.447, FCI to F 0.443 to 0.474; and a net"),
        _ns(0.062, 0.071, 0.071, "Project Trellis, cell timings -6: SCCU2C FCI to FCO, 2 bits"),
        _ns(0.165, 0.2, 0.256, "Project Trellis, cell timings -6: SLOGICB FXA to OFX1 0.189 to 0.242, M0 0.256, LUT to OFX0 0.165 more than to F"),
        _ns(5.5, 5.8, 6.1, "Project Trellis, cell timings -6: DP16KD without output register 5.54 to 5.83, set-up 0.134 to 0.34"),
        _ns(1.92, 2.54, 4.0, f"{ASSUMED}: 1.92 to 2.54 stands in a converter's test for MULT18X18D without registers, the grade unnamed"),
    ),
    "ice40": Delays(
        "iCE40 UP5K",
        _ns(1.391, 1.391, 1.921, f"{YOSYS} (icestorm): SB_DFF clock to Q 1.391, set-up of D within the LUT, of a reset 0.53"),
        _ns(1.0, 1.2, 1.285, f"{YOSYS} (icestorm): SB_LUT4 I3 0.874, I1 1.232, I0 1.285"),
        _ns(1.761, 2.65, 3.43, "nextpnr ice40 predictDelay: 1.761 between neighbours, else 2.389 and 0.131 a tile, here 2 and 8"),
        _ns(0.0, 0.2, 0.6, f"{ASSUMED}: 0 to 0.6; a net that is made global takes 4.8 to 6.1 (nextpnr pull request 157)"),
        _ns(0.358, 0.609, 0.675, f"{YOSYS} (icestorm): SB_CARRY I1 and I0 to CO; the LUT behind counts as one"),
        _ns(0.278, 0.278, 0.31, f"{YOSYS} (icestorm): SB_CARRY CI to CO, 1 bit; more between tiles"),
        _ns(0, 0, 0, "has none"),
        _ns(1.36, 1.56, 1.7, f"{YOSYS} (icestorm): SB_RAM40_4K clock to output 1.179, set-up 0.185 to 0.517"),
        _ns(6.0, 9.0, 12.0, f"{ASSUMED}: 6 to 12"),
    ),
    "gowin": Delays(
        "GW1N, C6/I5",
        _ns(1.056, 1.236, 1.236, f"{YOSYS} (apicula, grade unnamed): DFF clock to Q 0.48 to 0.66, set-up 0.576"),
        _ns(0.902, 1.184, 1.486, f"{YOSYS} (apicula, grade unnamed): LUT4 by input"),
        _ns(0.4, 0.8, 1.3, f"{ASSUMED}: nextpnr reports 0.3 to 0.9 near by (riocore issue 2)"),
        _ns(0.05, 0.15, 0.4, f"{ASSUMED}: 0.05 to 0.4"),
        _ns(2.1, 2.9, 3.8, f"{YOSYS} (apicula, grade unnamed): ALU I0 to COUT 1.01 to 1.38, CIN to SUM 0.811; and a net"),
        _ns(0.049, 0.082, 0.082, f"{YOSYS} (apicula, grade unnamed): ALU CIN to COUT, 1 bit"),
        _ns(0.16, 0.255, 0.723, f"{YOSYS} (apicula, grade unnamed): MUX2_LUT5 to 8 by input"),
        _ns(2.5, 3.5, 5.0, f"{ASSUMED}: 2.5 to 5"),
        _ns(4.0, 6.0, 9.0, f"{ASSUMED}: 4 to 9"),
    ),
}  # fmt: skip
"""By target. Worst process, voltage and temperature where the source says which."""


@dataclass(frozen=True)
class Levels:
    """What lies between two registers."""

    luts: float = 0
    muxes: float = 0
    carries: float = 0
    fanout: float = 0
    """Base-2 logarithm of the most cells that a net drives."""
    spread: float = 0
    """LUT levels by which nine of ten modules are at most off."""
    memory: bool = False
    """Whether it begins at a block memory."""
    dsp: bool = False
    """Whether a multiplier lies on it."""

    def levels(self) -> Span:
        """LUTs."""
        return Span(max(0.0, self.luts - self.spread), self.luts, self.luts + self.spread)


@dataclass(frozen=True)
class Stage:
    """One of a module's candidates for the longest path: what its length depends on."""

    terms: Terms
    memory: bool = False
    dsp: bool = False


def _log(n: float) -> float:
    return log2(max(1.0, n))


def _width(name: str, bits: float) -> Terms:
    """Terms of arithmetic on so many bits: carry cells by each bit, LUTs by its logarithm."""
    return {name: _log(bits), f"{name}_{BITS}": bits}


class _Module:
    """What the stages of an instance are found from."""

    def __init__(self, parameters: Parameters, found: Features, target: str) -> None:
        self.p = {k: v for k, v in parameters.items() if isinstance(v, int)}
        self.block = any(m.style is Style.BLOCK for m in found.memories)
        self.logic = any(m.style is Style.LOGIC for m in found.memories)
        self.dsp = found.dsps > 0
        self.inputs = LUT_INPUTS[target]
        self.parameters = parameters

    def words(self, count: int, width: float) -> dict[str, Stage]:
        """A read-only memory in logic, from the address to its register."""
        deep = {"one": 1.0, "words": _log(1 + _log(count / 2**self.inputs)), WIDTH: _log(width)}
        return {"words": Stage(deep)} if self.logic and count > 1 else {}


def _matvec(m: _Module) -> dict[str, Stage]:
    p = m.p
    if "LOGIC" in m.parameters:
        counted: Terms = {"one": 1.0, "levels": of_matvec(m.parameters).levels}
    else:
        counted = {"one": 1.0, "simd": _log(p["SIMD"]), **_width("count", p["COUNT_W"])}
    count = Stage(counted | {WIDTH: _log(p["PE"] * p["PLANES"])}, m.block)
    adds: Terms = {"one": 1.0, "planes": 0.0 if "JOINT" in p else _log(p["PLANES"]), **_width("sum", p["SUM_W"]), WIDTH: _log(p["PE"])}
    if p["N_TURNS"] > 1 and not m.dsp:
        adds["factor"] = _log(p["COUNT_W"] + 1)
    return {"count": count, "sum": Stage(adds, dsp=m.dsp)} | m.words(p["N_WORDS"], p["PE"] * p["SIMD"])


def _head(m: _Module, reached: Stage) -> dict[str, Stage]:
    p = m.p
    found = {"result": reached} | m.words(p["N_WORDS"], p["PE"])
    if p["N_CLASSES"] > 1:
        found["border"] = Stage({"one": 1.0, "rows": _log(p["OUT_ROWS"] + p["OUT_COLS"]), "words": _log(p["N_WORDS"]), WIDTH: 0.0})
    return found


def _threshold(m: _Module) -> dict[str, Stage]:
    p = m.p
    return _head(m, Stage({"one": 1.0, **_width("limit", p["LIMIT_W"]), "limits": _log(p["N_LIMITS"]), WIDTH: _log(p["PE"])}, m.block))


def _affine(m: _Module) -> dict[str, Stage]:
    p = m.p
    terms: Terms = {"one": 1.0, **_width("exact", p["EXACT_W"]), "narrow": float(p["OVERFLOW"] < 2), WIDTH: _log(p["PE"])}
    if not m.dsp:
        terms["factor"] = _log(p["SCALE_W"] + 1)
    return _head(m, Stage(terms, m.block, m.dsp))


def _accumulate(m: _Module) -> dict[str, Stage]:
    p = m.p
    terms: Terms = {"one": 1.0, **_width("out", p["OUT_W"]), "lanes": _log(p["N_LANES"]), WIDTH: _log(p["PE"] * p["OUT_W"])}
    if not m.dsp:
        terms["factor"] = float(p["N_PARTS"] > 1) * p["SCALE_W"]
    return {"sum": Stage(terms, dsp=m.dsp)}


def _gearbox(m: _Module) -> dict[str, Stage]:
    p = m.p
    grains_in, grains_out = p["N_IN"] // p["GRAIN"], p["N_OUT"] // p["GRAIN"]
    choices = min(grains_in, grains_out + 1)
    width = p["GRAIN"] * p["ELEM_W"] * p["PLANES"] * (grains_in + grains_out)
    return {"landing": Stage({"one": 1.0, "choices": sqrt(choices), **_width("fill", p["FILL_W"]), WIDTH: _log(width)})}


def _window(m: _Module) -> dict[str, Stage]:
    p = m.p
    counters = sum(p[n] > 1 for n in ("N_WORDS", "KERNEL_X", "KERNEL_Y", "N_GROUPS", "OUT_COLS", "OUT_ROWS"))
    return {"position": Stage({"one": 1.0, **_width("position", p["POS_W"]), "counters": counters, WIDTH: _log(p["POS_W"] * counters)})}


def _line_buffer(m: _Module) -> dict[str, Stage]:
    p = m.p
    return {"position": Stage({"one": 1.0, **_width("index", p["INDEX_W"]), WIDTH: _log(p["LANES"] * p["PLANES"] * p["KERNEL_Y"])}, m.block)}


def _pool(m: _Module) -> dict[str, Stage]:
    p = m.p
    ranks = p["RANK_W"] << p["PLANES"] if p["ORDER"] == 2 else 1
    return {"compare": Stage({"one": 1.0, "planes": _log(p["PLANES"]), "ranks": _log(ranks), WIDTH: _log(p["LANES"] * p["PLANES"])})}


def _gather(m: _Module) -> dict[str, Stage]:
    p = m.p
    control = Stage({"one": 1.0, **_width("fill", p["FILL_W"]), WIDTH: 0.0})
    return {"control": control, "sum": Stage({"one": 1.0, **_width("sum", p["SUM_W"]), WIDTH: 0.0}, m.block)} | m.words(p["N_WORDS"], p["PE"])


def _multiply(m: _Module) -> dict[str, Stage]:
    p = m.p
    bits = 0 if m.dsp else min(p["A_W"], p["B_W"])
    return {"product": Stage({"one": 1.0, **_width("product", bits), WIDTH: _log(p["LANES"])}, dsp=m.dsp)}


def _table(m: _Module) -> dict[str, Stage]:
    return {"enable": Stage({"one": 1.0, WIDTH: _log(m.p["LANES"])}, m.block)} | m.words(1 << m.p["IN_W"], m.p["OUT_W"])


def _counted(*names: str) -> Callable[[_Module], dict[str, Stage]]:
    """A module whose only arithmetic is of these widths, in bits."""

    def stages(m: _Module) -> dict[str, Stage]:
        terms: Terms = {"one": 1.0, WIDTH: _log(m.p.get("DATA_W", 1))}
        for name in names:
            terms |= _width(name, m.p[name])
        return {"control": Stage(terms, m.block)}

    return stages


STAGES: dict[str, Callable[[_Module], dict[str, Stage]]] = {
    "bnn_matvec": _matvec, "bnn_threshold": _threshold, "bnn_affine": _affine, "bnn_accumulate": _accumulate, "bnn_gearbox": _gearbox,
    "bnn_window": _window, "bnn_pool": _pool, "bnn_gather": _gather, "bnn_multiply": _multiply, "bnn_table": _table,
    "bnn_replay": _counted("ADDR_W", "PASS_W"), "bnn_fifo": _counted("ADDR_W"), "bnn_frame": _counted("BEAT_W"), "bnn_hold": _counted("BEAT_W"), "bnn_control": _counted("ADDR_W"), "bnn_last": _counted("BEAT_W"),
    "bnn_line_buffer": _line_buffer, "bnn_turns": _counted("TURN_W"), "bnn_fork": _counted("N_OUT"), "bnn_add": _counted("OUT_W"), "bnn_concat": _counted("BEAT_W"),
}  # fmt: skip
"""By module; `bnn_planes` and `bnn_pad` are wires."""
THROUGH = {
    "bnn_matvec": 1, "bnn_threshold": 1, "bnn_affine": 1, "bnn_accumulate": 1, "bnn_pool": 1, "bnn_table": 1, "bnn_add": 1, "bnn_concat": 1,
    "bnn_multiply": 1, "bnn_turns": 1, "bnn_fork": 1, "bnn_gearbox": 2, "bnn_gather": 2, "bnn_line_buffer": 1, "bnn_planes": 0, "bnn_pad": 0, "bnn_last": 0, "bnn_frame": 1, "bnn_hold": 1,
}  # fmt: skip
"""LUTs from `m_ready` to `s_ready`; modules that are not named cut the path."""
CUT = {"bnn_fifo": 1, "bnn_replay": 1, "bnn_window": 2}
"""LUTs from a register to `s_ready`."""
WIRES = {"bnn_planes": 0, "bnn_pad": 0, "bnn_fork": 0, "bnn_hold": 0, "bnn_last": 0, "bnn_turns": 1}
"""LUTs through which data pass without a register."""
OPEN = {"bnn_threshold": "result", "bnn_affine": "result", "bnn_fifo": "control"}
"""Modules whose data leave from logic: the stage that ends at the port."""
HELD = {"bnn_replay": 0, "bnn_window": 1, "bnn_table": 0}
"""Modules whose data leave from a memory: LUTs behind it."""
ENTERED = {"bnn_pool": "compare", "bnn_accumulate": "sum", "bnn_add": "control", "bnn_multiply": "product"}
"""Modules whose data enter logic: the stage that begins at the port."""
LANDING = 2
"""LUTs from a gearbox's data to its register."""


@dataclass(frozen=True)
class Fit:
    """The fitted formulas of one module in one family."""

    stages: Mapping[str, Mapping[str, Terms]]
    """By stage and kind, the weight of each term."""
    spread: float
    """LUT levels by which nine of ten instances that were not in the fit are at most off."""
    worst: float
    samples: int


@lru_cache
def fits() -> dict[str, dict[str, Fit]]:
    """The fitted formulas by target and module."""
    return {target: {name: Fit(**fit) for name, fit in modules.items()} for target, modules in json.loads(PATHS.read_text()).items()}


def fit_of(target: str) -> dict[str, Fit]:
    """The formulas of a family; BnnhwError where there is none of that name."""
    if target not in fits() or target not in DELAYS:
        raise BnnhwError(f"target {target!r} is not known; give one of {', '.join(TARGETS)}")
    return fits()[target]


def stages(module: str, parameters: Parameters, target: str, varying: int | None = None) -> dict[str, Stage]:
    """Candidates for the longest path of a module with these parameters; `varying` as in Instance."""
    if module not in STAGES:
        return {}
    return STAGES[module](_Module(parameters, features(module, parameters, target, varying), target))


def paths(i: Instance, target: str) -> dict[str, Levels]:
    """The candidates' levels by the fitted formulas; those of an unrolled product are known."""
    if i.product is not None:
        net = netlist_of(i)
        return {"netlist": Levels(luts=net.levels, carries=net.chains, fanout=_log(net.fanout))}
    fit = fit_of(target).get(i.module)
    if fit is None:
        return {}
    found = {}
    for name, stage in stages(i.module, i.parameters, target, i.varying).items():
        if weights := fit.stages.get(name):
            levels = {kind: weighed(stage.terms, weights[kind]) for kind in KINDS}
            found[name] = Levels(**levels, spread=fit.spread, memory=stage.memory, dsp=stage.dsp)
    return found


@dataclass(frozen=True)
class PartTiming:
    """The slowest path that ends in, or begins in, one instance."""

    name: str
    module: str
    layer: str
    kind: str
    """`own`: within the instance; `ready`: the handshake of those behind it; `data`: its result through the logic of its reader."""
    through: tuple[str, ...]
    """Other instances on the path."""
    levels: Span
    """LUTs."""
    muxes: float
    carries: float
    fanout: float
    """Cells that one net of the path drives."""
    delay_ns: Span


@dataclass(frozen=True)
class Timing:
    """What clock a design might reach, and where it is short of a chosen one."""

    target: str
    grade: str
    clock_mhz: float
    parts: tuple[PartTiming, ...]
    """In the order of the pipeline."""

    @property
    def delay_ns(self) -> Span:
        """Of the slowest path."""
        return reduce(Span.__or__, (part.delay_ns for part in self.parts))

    @property
    def fmax_mhz(self) -> Span:
        """Clock of the whole design: low where every delay is high."""
        d = self.delay_ns
        return Span(1000 / d.high, 1000 / d.typical, 1000 / d.low)

    @property
    def slack_ns(self) -> Span:
        """What the chosen clock's period leaves; negative where it is too short."""
        d, period = self.delay_ns, 1000 / self.clock_mhz
        return Span(period - d.high, period - d.typical, period - d.low)

    @property
    def limit(self) -> PartTiming:
        """The first instance whose typical delay is the greatest."""
        return max(self.parts, key=lambda part: part.delay_ns.typical)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for a script."""
        return {
            "target": self.target, "grade": self.grade, "clock_mhz": self.clock_mhz, "fmax_mhz": asdict(self.fmax_mhz),
            "slack_ns": asdict(self.slack_ns), "limit": self.limit.name, "modules": [asdict(part) for part in self.parts],
        }  # fmt: skip


def timing(chain: Pipeline, target: str, clock_mhz: float) -> Timing:
    """The clock range of a pipeline in the family named `target`, and the slack of `clock_mhz`. Errors: BnnhwError."""
    fit_of(target)
    if not 0 < clock_mhz < float("inf"):
        raise BnnhwError(f"timing: a clock of {clock_mhz:g} MHz cannot be; give a positive one")
    design = TimedDesign(chain, target)
    return Timing(target, DELAYS[target].grade, clock_mhz, tuple(map(design.slowest, chain.instances)))


class TimedDesign:
    """A pipeline in a family: the paths through its instances."""

    def __init__(self, chain: Pipeline, target: str) -> None:
        self.target, self.d = target, DELAYS[target]
        self.by_name = {i.name: i for i in chain.instances}
        self.readers: dict[str, list[Instance]] = {name: [] for name in self.by_name}
        for i in chain.instances:
            for wire in i.reads:
                self.readers[wire.source].append(i)
        self.paths = {i.name: paths(i, target) for i in chain.instances}

    def slowest(self, i: Instance) -> PartTiming:
        """The path that is typically the slowest, with the range of all of them: another may be slower at an end of it."""
        found = list(self.candidates(i))
        delay = reduce(Span.__or__, (part.delay_ns for part in found))
        return replace(max(found, key=lambda part: part.delay_ns.typical), delay_ns=delay)

    def candidates(self, i: Instance) -> Iterator[PartTiming]:
        """Paths in which the instance takes part."""
        own = [self.part(i, "own", (), path) for path in self.paths[i.name].values()]
        yield from own or [self.part(i, "own", (), Levels())]
        yield self.ready(i)
        for reader in self.readers[i.name]:
            if joined := self.joined(i, reader, ()):
                yield joined

    def part(self, i: Instance, kind: str, through: tuple[str, ...], path: Levels, more: Span = NONE) -> PartTiming:
        """The delay of a path with `more` LUTs on it."""
        levels = path.levels() + more
        return PartTiming(i.name, i.module, i.layer, kind, through, levels, path.muxes, path.carries, 2**path.fanout, self.delay(path, levels))

    def delay(self, path: Levels, levels: Span) -> Span:
        """Of a path with this many LUTs."""
        d = self.d
        found = d.block_ram.ns | d.register.ns if path.memory else d.register.ns
        found = found + d.lut.ns * levels + d.net.ns * (levels | Span(1, 1, 1)) + d.mux.ns * path.muxes + d.carry.ns * path.carries
        found = found + d.fanout.ns * max(0.0, path.fanout - log2(FREE_FANOUT)) + d.chain.ns * min(1.0, path.carries)
        return found + d.net.ns + d.dsp.ns if path.dsp else found

    def ready(self, i: Instance) -> PartTiming:
        """The handshake that reaches the instance, and what it enables there."""
        names, levels = self.handshake(i)
        flip_flops = features_of(i, self.target).flip_flops.values() if i.product is None else [cost(i, self.target).flip_flops]
        enabled = Levels(fanout=_log(sum(flip_flops)))
        return self.part(i, "ready", names, enabled, levels + self.steered(i))

    def handshake(self, i: Instance) -> tuple[tuple[str, ...], Span]:
        """Instances behind this one whose ready passes through, and LUTs up to its `m_ready`."""
        longest: tuple[tuple[str, ...], Span] = ((), NONE)
        for reader in self.readers[i.name]:
            names, luts = self.chained(reader)
            inputs = LUT_INPUTS[self.target]
            levels = Span(ceil(log(luts + 1, inputs)), luts / 2, luts) if luts else NONE
            if levels.high >= longest[1].high:
                longest = names, levels
        return longest

    def chained(self, i: Instance) -> tuple[tuple[str, ...], int]:
        """The instances from this one to where its ready comes from a register, and LUTs in a row."""
        if i.module in CUT:
            return (i.name,), CUT[i.module]
        behind = max((self.chained(r) for r in self.readers[i.name]), key=lambda found: found[1], default=((), 0))
        return (i.name, *behind[0]), THROUGH.get(i.module, 1) + behind[1]

    def steered(self, i: Instance) -> Span:
        """LUTs from `m_ready` to the registers of the instance."""
        if i.module in WIRES and i.module != "bnn_turns":
            return Span(1, 1, 1)
        longest = max((path.luts for path in self.paths[i.name].values()), default=1.0)
        if i.module == "bnn_gearbox":
            return Span(LANDING, max(LANDING, longest - 1), longest)
        if i.module in ("bnn_window", "bnn_replay", "bnn_gather"):
            return Span(1, max(1.0, longest / 2), longest)
        return Span(1, 1, 2)

    def leaving(self, i: Instance) -> Levels | None:
        """What lies between the last register and the instance's result; None where that is a register."""
        if i.module in HELD:
            block = any(m.style is Style.BLOCK for m in features_of(i, self.target).memories)
            return Levels(luts=HELD[i.module], memory=block)
        return self.paths[i.name].get(OPEN.get(i.module, ""))

    def joined(self, i: Instance, reader: Instance, between: tuple[str, ...]) -> PartTiming | None:
        """The path from the instance's logic into that of its reader."""
        path = self.leaving(i)
        if path is None:
            return None
        if reader.module in WIRES:
            found = [self.joined(i, r, (*between, reader.name)) for r in self.readers[reader.name]]
            return max((f for f in found if f), key=lambda f: f.delay_ns.typical, default=None)
        wires = sum(WIRES[self.by_name[name].module] for name in between)
        entered = self.paths[reader.name].get(ENTERED.get(reader.module, ""), Levels())
        levels = LANDING if reader.module == "bnn_gearbox" else 0
        more = entered.levels() + Span(1, 1, 1) * (wires + levels)
        both = Levels(
            path.luts, path.muxes + entered.muxes, path.carries + entered.carries, max(path.fanout, entered.fanout), path.spread, path.memory,
            path.dsp or entered.dsp,
        )  # fmt: skip
        return self.part(i, "data", (*between, reader.name), both, more)


def delay_rows() -> list[tuple[str, str, str, str, str]]:
    """The delays as table rows: grade, quantity, low to high, typical, source."""
    rows = []
    for d in DELAYS.values():
        for what, delay in vars(d).items():
            if isinstance(delay, Delay) and delay.ns.high:
                name = what.replace("_", " ")
                rows.append((d.grade, name, f"{delay.ns.low:g} to {delay.ns.high:g}", f"{delay.ns.typical:g}", delay.source))
    return rows


def residual_rows() -> list[tuple[str, ...]]:
    """Spread and worst error of each module's LUT levels by target."""
    modules = [name for name in STAGES if any(name in fit for fit in fits().values())]
    shown = []
    for name in modules:
        found = [fit.get(name) for fit in fits().values()]
        shown.append((name, *(f"{f.spread:.1f}, {f.worst:.1f}" if f else "-" for f in found)))
    return shown


def markdown() -> str:
    """The tables of `docs/timing.md`."""
    head = ["| part | delay | ns | typical | source |", "|---|---|---|---|---|"]
    delays = ["| " + " | ".join(row) + " |" for row in delay_rows()]
    levels = ["| module | " + " | ".join(fits()) + " |", "|---|" + "---|" * len(fits())]
    residuals = [f"| `{row[0]}` | " + " | ".join(row[1:]) + " |" for row in residual_rows()]
    return "\n".join([*head, *delays, "", *levels, *residuals]) + "\n"
