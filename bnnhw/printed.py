"""Results of the verbs as tables and lines on a terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from bnnhw.estimate.arithmetic import TABLE, Version
from bnnhw.estimate.power import FAMILIES, Power, Range
from bnnhw.estimate.resources import Estimate
from bnnhw.estimate.timing import Timing
from bnnhw.explore import Exploration
from bnnhw.report.compared import Compared
from bnnhw.synth import Synthesis
from bnnhw.tools.targets import TARGETS, Cells
from bnnhw.verify.imported import ImportCheck
from bnnhw.verify.ladder import Report

COUNTED = {"luts": "LUTs", "flip_flops": "flip-flops"}
SHOWN_FAILURES = 10
"""Failed points that explore prints."""
TABLE_WIDTH = 120  # where the output is no terminal
out = Console(highlight=False, markup=False, soft_wrap=True, width=None if sys.stdout.isatty() else TABLE_WIDTH)


def print_estimate(found: Estimate, timed: Timing, real: Cells | None) -> None:
    table = Table(title=f"{TARGETS[found.target].title} as by {found.tool}", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("layer", "LUTs", "flip-flops", "block RAMs", "DSPs"):
        table.add_column(name, justify="left" if name == "layer" else "right", no_wrap=True)
    rows = [*found.layers().items(), ("whole, flattened", found.whole)] + ([("report", real)] if real else [])
    for name, cells in rows:
        table.add_row(name, f"{cells.luts:,}", f"{cells.flip_flops:,}", f"{cells.block_rams:g}", f"{cells.dsps:,}")
    if real:
        pairs = [(getattr(found.whole, kind), getattr(real, kind)) for kind in ("luts", "flip_flops", "block_rams", "dsps")]
        table.add_row("estimate is", *(f"{100 * (a - b) / b:+.0f}%" if b else "" for a, b in pairs))
    out.print(table)
    checked = [f"{title} within {100 * found.errors[kind][0]:.0f}%" for kind, title in COUNTED.items() if kind in found.errors]
    if checked:
        worst = max(most for _, most in found.errors.values())
        out.print(f"Of nine in ten designs that were synthesised to check: {', '.join(checked)}; of all: {100 * worst:.0f}% (docs/estimates.md)")
    f, slack = timed.fmax_mhz, timed.slack_ns
    out.print(f"Clock: {f.low:.0f} to {f.high:.0f} MHz (delays of {timed.grade}, unplaced; typical {f.typical:.0f}), limited by {timed.limit.name}")
    out.print(f"Slack at {timed.clock_mhz:g} MHz: {slack.low:+.1f} to {slack.high:+.1f} ns")


def print_compared(found: Compared) -> None:
    table = Table(title="Estimate / vendor", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("layer", "LUTs", "flip-flops", "block RAMs", "DSPs"):
        table.add_column(name, justify="left" if name == "layer" else "right", no_wrap=True)
    kinds = ("luts", "flip_flops", "block_rams", "dsps")
    each = [(name, cells, found.layers.get(name)) for name, cells in found.estimate.layers().items()]
    each += [("whole", found.estimate.whole, found.cells)] + ([("whole, HLS", found.estimate.whole, found.csynth.cells)] if found.csynth else [])
    for name, ours, theirs in each:
        pairs = ((getattr(ours, kind), None if theirs is None else getattr(theirs, kind)) for kind in kinds)
        table.add_row(name, *(f"{a:,g} / {'-' if b is None else f'{b:,g}'}{f' ({100 * (a - b) / b:+.0f}%)' if b else ''}" for a, b in pairs))
    out.print(table)
    f = found.timing.fmax_mhz
    out.print(f"Clock: estimated {f.low:.0f} to {f.high:.0f} MHz" + _clock_of(found))
    cycles = f"Cycles: interval {found.interval_cycles:,}, first output after {found.latency_cycles or 0:,} in the Verilog"
    if found.csynth:
        cycles += f"; of the C++ interval {_bounds(found.csynth.interval)}, latency {_bounds(found.csynth.latency)}"
    out.print(cycles)
    if found.watts:
        w = found.watts
        out.print(
            f"Power: {w.total:.3f} W, {w.dynamic:.3f} of them dynamic (confidence {w.confidence}); bnnhw power estimates that of the network alone"
        )
    for path, kind in found.files.items():
        out.print(f"  {kind}: {path}")


def _clock_of(found: Compared) -> str:
    """What the vendor says of the clock."""
    told = ""
    if found.timed and found.timed.slack_ns is None:
        told += "; no constraints in Vivado"
    elif found.timed:
        t = found.timed
        fmax = "" if t.fmax_mhz is None else f"{t.fmax_mhz:.0f} MHz, "
        told += f"; Vivado {fmax}slack {t.slack_ns:+.3f} ns, {'met' if t.met else 'NOT met'}"
    if found.csynth:
        told += f"; HLS estimates {found.csynth.estimated_ns:g} ns of {found.csynth.target_ns:g}"
    return told


def _bounds(pair: tuple[int | None, int | None]) -> str:
    """Cycles from least to most, where known."""
    least, most = ("not known" if n is None else f"{n:,}" for n in pair)
    return least if least == most else f"{least} to {most}"


def print_synthesis(found: Synthesis) -> None:
    table = Table(title=f"{TARGETS[found.target].title} by {found.tool}", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("layer", "LUTs", "flip-flops", "carries", "block RAMs", "DSPs"):
        table.add_column(name, justify="left" if name == "layer" else "right", no_wrap=True)
    rows = list(found.layers().items()) + ([("all modules", found.total())] if found.modules else [])
    rows += [("whole, flattened", found.whole)] if found.whole else []
    for name, cells in rows:
        table.add_row(name, f"{cells.luts:,}", f"{cells.flip_flops:,}", f"{cells.carries:,}", f"{cells.block_rams:g}", f"{cells.dsps:,}")
    out.print(table)


def milliwatts(v: Version, rate: float | None) -> dict[str, float]:
    """At `rate` frames a second, with all weights on chip and in DRAM; nothing without a rate."""
    return {} if rate is None else {"on_chip_mw": v.on_chip_pj * rate / 1e9, "off_chip_mw": v.off_chip_pj * rate / 1e9}


def print_power(found: Power) -> None:
    table = Table(title=f"{TARGETS[found.target].title}: microjoules a frame", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("layer", "logic", "clock", "memory", "DSPs", "dynamic", "low", "high"):
        table.add_column(name, justify="left" if name == "layer" else "right", no_wrap=True)
    rows = [(x.name, [f"{part.typical:.4g}" for part in (x.logic, x.clock, x.memory, x.dsp)], x.total) for x in found.layers]
    rows += [("clock network", [""] * 4, found.network), (f"static, {FAMILIES[found.target].device}", [""] * 4, found.static_uj)]
    for name, parts, total in [*rows, ("all", [""] * 4, found.frame_uj)]:
        table.add_row(name, *parts, *(f"{x:.4g}" for x in (total.typical, total.low, total.high)))
    out.print(table)
    out.print(
        f"{_ranged(found.watts, 1e3)} mW at {found.frames_per_second:,.1f} frames/s and {found.clock_mhz:g} MHz, "
        f"static {_ranged(found.static_watts, 1e3)} mW; {_ranged(found.frames_per_joule)} frames/s/W"
    )
    whole = f"{found.counted_frames} whole frame{'' if found.counted_frames == 1 else 's'}"
    out.print(
        f"Toggles counted in {found.counted_cycles:,} cycles, {whole}; the range is that of the coefficients, many of them assumptions: docs/power.md"
    )


def _ranged(x: Range, by: float = 1) -> str:
    """Typical, and from what to what."""
    return f"{x.typical * by:.4g} ({x.low * by:.4g} to {x.high * by:.4g})"


def print_energy(found: tuple[Version, ...], rate: float | None) -> None:
    table = Table(title="Arithmetic energy of a frame (45 nm)", box=box.SIMPLE_HEAD, pad_edge=False)
    columns = ["format", "weight bits", "on chip µJ", "weights in DRAM µJ", "of float32"] + (["on chip mW", "in DRAM mW"] if rate else [])
    for name in columns:
        table.add_column(name, justify="left" if name == "format" else "right", no_wrap=True)
    for v in found:
        row = [v.name, f"{v.weight_bits:,}", f"{v.on_chip_pj / 1e6:.4g}", f"{v.off_chip_pj / 1e6:.4g}", f"1/{found[0].on_chip_pj / v.on_chip_pj:.0f}"]
        table.add_row(*row, *(f"{mw:.4g}" for mw in milliwatts(v, rate).values()))
    out.print(table)
    for source in dict.fromkeys(e.source for e in TABLE.values()):
        assumed = next((e for e in TABLE.values() if e.source == source and e.assumed), None)
        ours = f"; our assumption, {assumed.assumed[0]:.2g} to {assumed.assumed[1]:.2g} pJ" if assumed and assumed.assumed else ""
        out.print(f"  {source}{ours}")


def print_exploration(made: Exploration, folder: str) -> None:
    if made.front:
        table = Table(title="Fewest LUTs for most frames/s", box=box.SIMPLE_HEAD, pad_edge=False)
        for name in ("target", "asked for", "LUTs", "frames/s", "cycles"):
            table.add_column(name, justify="left" if name in ("target", "asked for") else "right", no_wrap=True)
        for r in made.front:
            asked = ", ".join(f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in r.point.request)
            table.add_row(r.point.target, asked, f"{r.values['luts']:,}", f"{r.values['frames_per_second']:,.1f}", f"{r.values['interval_cycles']:,}")
        out.print(table)
    for o in made.failed[:SHOWN_FAILURES]:
        out.print(f"failed: {o.point}: {o.reason}")
    if len(made.failed) > SHOWN_FAILURES:
        out.print(f"and {len(made.failed) - SHOWN_FAILURES} more, listed in points.csv")
    kept = len(made.outcomes) - made.evaluated
    out.print(f"{len(made.outcomes)} points: {made.evaluated} evaluated, {kept} kept from before, {len(made.failed)} failed")
    out.print(
        f"Wrote {folder}: points.csv has all points, pareto.csv the best" + (", pareto.svg the plot." if Path(folder, "pareto.svg").exists() else ".")
    )


def print_layers(report: dict[str, Any]) -> None:
    table = Table(title=f"{report['network']}: {report['weight_bits']:,} weight bits", box=box.SIMPLE_HEAD, pad_edge=False)
    for name, justify in (("layer", "left"), ("kind", "left"), ("input", "right"), ("output", "right"), ("weights", "right"), ("planes", "right"),
                          ("sum bits", "right"), ("borders", "right"), ("PE", "right"), ("SIMD", "right"), ("cycles", "right")):  # fmt: skip
        table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for row in report["layers"]:
        shapes = ["x".join(map(str, row[k])) for k in ("input", "output")]
        bits = f"{row['weight_bits']:,}" if "weight_bits" in row else ""
        planes = f"{row['weight_planes']}x{row['input_planes']}" if row.get("weight_planes", 1) > 1 else str(row.get("input_planes", ""))
        unrolled = row.get("implementation") == "unrolled"
        units = ["all", "all"] if unrolled else [str(row.get(k, "")) for k in ("pe", "simd")]
        rest = [planes, *(str(row.get(k, "")) for k in ("sum_bits", "border_classes")), *units]
        table.add_row(row["name"], row["kind"], *shapes, bits, *rest, f"{row['cycles']:,}")
    out.print(table)
    out.print(
        f"One frame every {report['interval_cycles']:,} cycles: {report['frames_per_second']:,.1f} frames/s at {report['clock_mhz']:g} MHz, "
        f"limited by {report['limited_by']}"
    )
    if report.get("latency_cycles") is not None:
        out.print(f"First output {report['latency_cycles']:,} cycles after a frame's first input")


def print_report(report: Report) -> None:
    for rung in report.rungs:
        verdict = "equal" if rung.passed else "DIFFERENT"
        out.print(f"{rung.name:>9}: {verdict} to golden, {rung.frames} frame{'' if rung.frames == 1 else 's'} ({rung.source})")
        if rung.difference:
            out.print(f"           {rung.difference}")
        for problem in rung.problems:
            out.print(f"           {problem}")
        if rung.latency_cycles is not None:
            interval = f", interval {rung.interval_cycles:,}" if rung.interval_cycles else ""
            first = "" if report.predicted_latency is None else f"{report.predicted_latency:,}, "
            predicted = f"predicted without stalls: {first}interval {report.predicted_interval:,}"
            out.print(f"           cycles: first output after {rung.latency_cycles:,}{interval} ({predicted})")
        if rung.queues:
            full, most = sum(q.most == q.words for q in rung.queues), max(rung.queues, key=lambda q: q.most)
            held = f"most words: {most.most:,} of {most.words:,}, in {most.name}"
            out.print(f"           queues: {full} of {len(rung.queues)} were full at some time; {held} (--json tells how full each was)")
    named = report.classes or [str(i) for i in range(max(report.labels) + 1)]
    shown = ", ".join(named[i] for i in report.labels[:16]) + (", ..." if len(report.labels) > 16 else "")
    out.print(f"   labels: {shown}")
    if report.accuracy is not None:
        out.print(f" accuracy: {report.accuracy:.2f}% of {len(report.labels)} frames")


def print_import(found: ImportCheck, title: str) -> None:
    """A comparison of a foreign model with its integer network."""
    table = Table(title=f"{title} in its framework and in integers, {found.frames} frames ({found.source})", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("node", "integer layer", "numbers", "different"):
        table.add_column(name, justify="left" if "n" in name[:3] and name != "numbers" else "right", no_wrap=True)
    for one in found.layers:
        table.add_row(one.node, one.layer or "input", f"{one.elements:,}", f"{one.different:,}" if one.different else "equal")
    out.print(table)
    out.print(f"Labels: {found.labels_equal} of {found.frames} equal")
    if found.parted is not None and found.parted.first is not None:
        at, layer = found.parted.first, found.parted
        where = f"frame {at.frame}, element {list(at.place)}, channel {at.channel}: framework {at.framework:g}, integers {at.golden:g}"
        why = "; this channel decides within the float32 error of the framework's own sums" if layer.in_doubt else ""
        out.print(f"They first part behind {layer.node!r}: {where}{why}")
