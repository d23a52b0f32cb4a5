"""The design file: YAML in and out. A user's file may leave out what the schedule can choose."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bnnhw.estimate.resources import cost
from bnnhw.ir import design as d
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.integer import Network
from bnnhw.ir.layers import Gather, Layer, MatVec
from bnnhw.ir.pipeline import Parts
from bnnhw.ir.text import first_problem, read_yaml
from bnnhw.lutmap.layer import check_size
from bnnhw.schedule.boards import MOST_MHZ
from bnnhw.schedule.folding import complete_folding, fold_layer, input_lanes, output_lanes, slowest_product, with_queues
from bnnhw.schedule.queues import join_queues
from bnnhw.schedule.stages import LOGIC, with_joint, with_registers

LONG_KEY = 120
FOLDED_BEATS = 64
"""Cycles for a window in what is said of the folded form of a layer that is too large to unroll."""
PRODUCT_KEYS = ("implementation", "pe", "simd", "planes", "input_planes", "joint", "registers")
Count = Annotated[int, Field(strict=True, ge=1, le=1 << 24)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Layer(_Strict):
    pe: Count = 1
    simd: Count = 1
    planes: Count | None = None
    input_planes: Count | None = None
    lanes: Count | None = None
    buffer: Count | None = None
    implementation: d.Implementation = d.Implementation.FOLDED
    registers: Annotated[int, Field(strict=True, ge=0, le=d.MOST_REGISTERS)] | None = None
    joint: bool | None = None
    fifo: Count | None = None
    queues: tuple[Count, ...] = ()
    weight_memory: d.MemoryStyle = d.MemoryStyle.AUTO
    window_memory: d.MemoryStyle = d.MemoryStyle.AUTO
    replay_memory: d.MemoryStyle = d.MemoryStyle.AUTO


class _Port(_Strict):
    lanes: Count


class _File(_Strict):
    bnnhw_design: Literal[1]
    network: str
    clock_mhz: Annotated[float, Field(strict=True, gt=0, le=MOST_MHZ)] = 100.0
    input: _Port | None = None
    output: _Port | None = None
    logic: d.Logic | None = None
    layers: dict[str, _Layer]


def complete(net: Network, data: Any, where: str, target: str = "xc7", most_luts: float = inf) -> d.Design:
    """The design that plain `data` of a design file describes, with lanes, buffers and ports chosen where absent.

    Unrolled layers that take more than `most_luts` in the family named `target`, as predicted, are refused before they are built.
    """
    try:
        file = _File.model_validate(data)
    except ValidationError as e:
        raise BnnhwError(f"{where}: {first_problem(e, 'design')}; see docs/design-file.md") from None
    logic = LOGIC[target] if file.logic is None else file.logic
    if file.network != net.name:
        raise BnnhwError(f"{where}: is for network {file.network[:60]!r}, not {net.name!r}; take the design of this network")
    names = [layer.name for layer in net.layers]
    for name in file.layers:
        if name not in names:
            raise BnnhwError(f"{where}: network {net.name!r} has no layer {name[:60]!r}; its layers are {', '.join(names)}")
    given = []
    for layer in net.layers:
        if isinstance(layer, MatVec) and layer.name not in file.layers:
            raise BnnhwError(f"{where}: layer {layer.name!r} is missing; give its pe and simd")
        entry = file.layers.get(layer.name, _Layer())
        _refuse_surplus(layer, entry)
        planes = entry.planes or (layer.weights.planes if isinstance(layer, MatVec) else 1)
        f = d.Folding(
            layer.name, entry.pe, entry.simd, planes, entry.input_planes or 0, entry.lanes or 0, entry.buffer or 0, entry.registers or 0, entry.fifo or 2,
            entry.queues, entry.weight_memory, entry.window_memory, entry.replay_memory, entry.implementation,
        )  # fmt: skip
        if isinstance(layer, MatVec) and entry.implementation is d.Implementation.UNROLLED:
            f = _unrolled(net, layer, entry, f, (target, logic), most_luts)
        given.append(f)
    slowest = slowest_product(net, given)
    design = d.Design(
        net.name,
        file.clock_mhz,
        file.input.lanes if file.input else input_lanes(net, slowest),
        file.output.lanes if file.output else output_lanes(net, slowest),
        tuple(complete_folding(layer, f, slowest) for layer, f in zip(net.layers, given, strict=True)),
        logic,
    )
    d.check(net, with_queues(net, design))
    asked = [file.layers.get(f.name, _Layer()) for f in design.layers]
    chosen = with_joint(net, design).layers
    joint = tuple(replace(c, joint=c.joint and a.registers is None if a.joint is None else a.joint) for c, a in zip(chosen, asked, strict=True))
    d.check(net, with_queues(net, replace(design, layers=joint)))
    chosen = with_registers(net, replace(design, layers=joint)).layers
    design = replace(design, layers=tuple(f if a.registers is not None else c for f, c, a in zip(joint, chosen, asked, strict=True)))
    design = with_queues(net, design)
    d.check(net, design)
    _check_queues(net, design)
    return design


def _unrolled(net: Network, layer: MatVec, entry: _Layer, f: d.Folding, made_of: tuple[str, d.Logic], most_luts: float) -> d.Folding:
    """The folding of an unrolled layer, whose PE and SIMD nobody gives."""
    for key in ("pe", "simd", "planes", "input_planes", "joint"):
        if key in entry.model_fields_set:
            raise BnnhwError(f"layer {layer.name!r}: unrolled it has all of its PE and SIMD; remove {key}")
    check_size(layer, made_of[1].of_netlists, most_luts, lambda: _folded(net, layer, *made_of))
    made = d.unrolled(layer, f)
    return made if entry.fifo is None else replace(made, fifo_words=entry.fifo)


def _folded(net: Network, layer: MatVec, target: str, logic: d.Logic) -> str:
    """What a layer costs folded, so that a window takes FOLDED_BEATS cycles or a little less."""
    w, parts = layer.window, Parts(net, logic)
    f = fold_layer(layer, FOLDED_BEATS * w.out_pixels)
    parts.matvec(layer, f, parts.entering(layer, f.simd))
    cells = [cost(i, target) for i in parts.instances]
    luts, block_rams = sum(c.luts for c in cells), sum(c.block_rams for c in cells)
    return (
        f"with pe: {f.pe} and simd: {f.simd}, about {luts:.0f} LUTs and {block_rams:g} block RAMs in {target} "
        f"for a window in {d.compute_beats(layer, f) // w.out_pixels} cycles"
    )


def _refuse_surplus(layer: Layer, entry: _Layer) -> None:
    own = PRODUCT_KEYS if isinstance(layer, MatVec) else ("pe",) if isinstance(layer, Gather) else ()
    for key in PRODUCT_KEYS:
        if key in entry.model_fields_set and key not in own:
            raise BnnhwError(
                f"layer {layer.name!r}: {key} {getattr(entry, key)} has no meaning for a layer of kind {type(layer).__name__}; remove it"
            )


def _check_queues(net: Network, design: d.Design) -> None:
    """Refuse queues in which the branches of a join could block each other for ever."""
    needed = join_queues(net, {f.name: f for f in design.layers})
    for f in design.layers:
        least = needed.get(f.name, ())
        if any(a < b for a, b in zip(f.queue_words, least, strict=True)):
            raise BnnhwError(
                f"layer {f.name!r}: queues of {list(f.queue_words)} words can deadlock its branches; give {list(least)}, or none to have them chosen"
            )


def read_design(net: Network, path: Path, target: str = "xc7", most_luts: float = inf) -> d.Design:
    """The design in a file; BnnhwError where it does not fit `net`; otherwise as `complete`."""
    return complete(net, read_yaml(path), str(path), target, most_luts)


def write_design(net: Network, design: d.Design) -> str:
    """The design file's text; reading it gives the same design."""
    lines = ["bnnhw_design: 1", f"network: {_scalar(design.network)}", f"clock_mhz: {float(design.clock_mhz)!r}"]
    lines += [f"input: {{lanes: {design.input_lanes}}}", f"output: {{lanes: {design.output_lanes}}}", f"logic: {design.logic}", "layers:"]
    for layer, f in zip(net.layers, design.layers, strict=True):
        unrolled = f.implementation is d.Implementation.UNROLLED
        keys: dict[str, Any] = {"implementation": f.implementation} if unrolled else {"pe": f.pe} if isinstance(layer, MatVec | Gather) else {}
        keys |= {"simd": f.simd} if isinstance(layer, MatVec) and not unrolled else {}
        keys |= {"planes": f.planes} if isinstance(layer, MatVec) and layer.weights.planes > 1 and not unrolled else {}
        keys |= {"input_planes": f.input_planes} if f.input_planes else {}
        keys |= {"joint": str(f.joint).lower()} if isinstance(layer, MatVec) and d.may_be_joint(layer, f, design.logic) else {}
        keys |= {"registers": f.registers} if isinstance(layer, MatVec) else {}
        keys |= {"lanes": f.lanes} if f.lanes and not d.line_buffered(layer, f) else {}
        keys |= {"buffer": f.buffer_words} if f.buffer_words else {}
        keys |= {memory: style for memory in d.MEMORIES if (style := getattr(f, memory)) is not d.MemoryStyle.AUTO}
        keys |= {"fifo": f.fifo_words} | ({"queues": list(f.queue_words)} if f.queue_words else {})
        inner = ", ".join(f"{k}: {v}" for k, v in keys.items())
        key = _scalar(f.name)
        # A key that YAML finds too long for one line is written in its explicit form.
        lines.append(f"  {key}: {{{inner}}}" if len(key) < LONG_KEY else f"  ? {key}\n  : {{{inner}}}")
    return "\n".join(lines) + "\n"


def _scalar(text: str) -> str:
    return yaml.safe_dump(text, default_style='"' if not text.isidentifier() else None, width=10**6, allow_unicode=True).strip().removesuffix("\n...")
