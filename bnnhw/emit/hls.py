"""HLS C++ of a design: the generated top with its parameters and memories, and a copy of the library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from operator import itemgetter

import numpy as np

from bnnhw.emit.resources import resource_folder
from bnnhw.emit.verilog import Naming, environment, naming, titles
from bnnhw.ir import design as d
from bnnhw.ir.contents import words
from bnnhw.ir.encoding import U8
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.instances import Instance, Pipeline, Wire
from bnnhw.ir.integer import Network
from bnnhw.ir.layers import Layer, MatVec
from bnnhw.ir.pipeline import pipeline
from bnnhw.ir.wiring import entries

WIDE = ("LOW", "HIGH", "START", "PAD_BITS")
"""Parameters that may have more bits than an int."""
MOST = 4096
"""Bits of a beat that Vitis HLS takes."""
QUEUE = "bnn_fifo"
"""Module that is no function here: streams have a depth."""
NEEDLESS = ("JOINT", "LOGIC", "LATENCY", "STYLE", "FILL_W", "BEAT_W", "TURN_W", "PASS_W", "PART_W", "TAP_W", "TERM_W", "POS_W", "GRAIN")
"""Parameters that only Verilog needs."""
WIDEST = 1024
"""Bits of an `ap_uint` unless AP_INT_MAX_W says more."""
DEEP = 2
"""Beats that a stream holds unless more are asked for."""


def emit_hls(net: Network, design: d.Design) -> dict[str, str]:
    """{path: text} of the complete C++ in `hls/`: library, top, header and memories. The same inputs give the same text."""
    written = next((layer.name for layer in net.layers if isinstance(layer, MatVec) and layer.writable), None)
    if written is not None:
        raise BnnhwError(f"layer {written!r}: is writable, which the HLS C++ has no layers for; give --backend verilog")
    design = folded_out(net, design)
    chain, names = pipeline(net, design), naming(net)
    contents = {i.name: words(net[i.layer], design[i.layer], i) for i in chain.instances if i.memory}
    files = {f"hls/{name}": text for name, text in library().items()}
    files |= {f"hls/{_file(i, names)}": word_rows(contents[i.name]) for i in chain.instances if i.memory}
    top = _top(net, chain, names, {name: bits.shape for name, bits in contents.items()})
    for ending in ("cpp", "hpp"):
        files[f"hls/{names.module}.{ending}"] = environment().get_template(f"top.{ending}.j2").render(top)
    return files


@lru_cache
def library() -> dict[str, str]:
    """{file name: text} of the C++ library."""
    return {p.name: p.read_text() for p in sorted(resource_folder("hls").glob("*.hpp"))}


def emit_csim(designs: Sequence[tuple[Network, d.Design]]) -> dict[str, str]:
    """{path: text} of what the C simulation's main includes to run these networks, whose names must differ."""
    duts = []
    for net, design in designs:
        chain, sides = pipeline(net, folded_out(net, design)), ports(net, design)
        beats = (chain.source.beats, chain.sink.beats, sides["keep_in"], sides["keep_out"])
        duts.append({"module": naming(net).module, "widths": f"{sides['input_bits']}, {sides['output_bits']}", "ports": ", ".join(map(str, beats))})
    widest = max(_widest(pipeline(net, folded_out(net, design))) for net, design in designs)
    return {f"csim/duts.{ending}": environment().get_template(f"csim.{ending}.j2").render(duts=duts, widest=widest) for ending in ("hpp", "inc")}


def ports(net: Network, design: d.Design) -> dict[str, int]:
    """Bits of the ports' beats, and bytes of a frame's last beat that are kept."""
    chain = pipeline(net, folded_out(net, design))
    keep_in, keep_out = (int(i.parameters["KEEP"]).bit_count() for i in (chain.instances[0], chain.instances[-1]))
    return {"input_bits": chain.source.width, "output_bits": chain.sink.width, "keep_in": keep_in, "keep_out": keep_out}


def folded_out(net: Network, design: d.Design) -> d.Design:
    """The design with its unrolled products folded with all PE and SIMD, which a compiler unrolls from constants."""
    return replace(design, layers=tuple(_folded(layer, f) for layer, f in zip(net.layers, design.layers, strict=True)))


def _folded(layer: Layer, f: d.Folding) -> d.Folding:
    if not isinstance(layer, MatVec) or f.implementation is d.Implementation.FOLDED:
        return f
    w = layer.window
    lanes = w.group_channels if d.windowed(layer) else 0
    return replace(
        f, implementation=d.Implementation.FOLDED, pe=layer.out_shape[0] // w.groups, simd=w.fan_in // d.segments(layer),
        planes=layer.weights.planes, input_planes=0, lanes=lanes, buffer_words=d.buffer_words(layer, lanes) if lanes else 0,
    )  # fmt: skip


def hls_names(net: Network, design: d.Design) -> list[str]:
    """Paths of what `emit_hls` gives."""
    names = naming(net)
    memories = [f"hls/{_file(i, names)}" for i in pipeline(net, folded_out(net, design)).instances if i.memory]
    return [*(f"hls/{name}" for name in library()), *memories, *(f"hls/{names.module}.{ending}" for ending in ("cpp", "hpp"))]


def word_rows(bits: U8) -> str:
    """One line a word for bits [words, width]: numbers of 64 bits in braces, the lowest bits first."""
    return "".join(f"{row},\n" for row in braced(np.packbits(bits, axis=1, bitorder="little")))


def braced(raw: U8) -> list[str]:
    """Of bytes [rows, bytes], each row as numbers of 64 bits in braces, the lowest bits first."""
    padded = np.zeros((len(raw), -(-raw.shape[1] // 8) * 8), np.uint8)
    padded[:, : raw.shape[1]] = raw
    return ["{" + ", ".join(f"{n:#x}" for n in row) + "}" for row in padded.view("<u8").tolist()]


def _memory(i: Instance, names: Naming, shape: tuple[int, ...]) -> dict[str, str]:
    """Name, file and shape of an instance's memory of so many words and bits, and what it is to be made of where that is asked for."""
    assert i.memory is not None
    impl = {"": "", '"block"': "bram", '"distributed"': "lutram"}[str(i.parameters.get("STYLE", ""))]
    return {"name": f"{names.of(i)}_{i.memory.value}", "file": _file(i, names), "shape": f"[{shape[0]}][{-(-shape[1] // 64)}]", "impl": impl}


def _file(i: Instance, names: Naming) -> str:
    assert i.memory is not None
    return f"{names.module}_{names.layers[i.layer]}_{i.memory.value}.inc"


@dataclass(frozen=True)
class _Streams:
    """Names and depths of the streams; queues are not instances but depth."""

    chain: Pipeline
    names: Naming

    def of(self, wire: Wire) -> str:
        """The C++ stream that a wire is."""
        source = next(i for i in self.chain.instances if i.name == wire.source)
        if source.module == QUEUE:
            return self.of(source.reads[0])
        return self.names.of(source) + ("" if wire.branch is None else f"[{wire.branch}]")

    def depth(self, i: Instance) -> int:
        """Beats that the stream out of an instance holds: the words of the queues behind it."""
        behind = [q for q in self.chain.instances if q.module == QUEUE and q.reads[0].source == i.name]
        return max([DEEP, *(int(q.parameters["N_WORDS"]) + self.depth(q) - DEEP for q in behind)])


def _top(net: Network, chain: Pipeline, names: Naming, shapes: dict[str, tuple[int, ...]]) -> dict[str, object]:
    """What the templates are filled with; `shapes`: words and bits of the memories, by instance."""
    streams = _Streams(chain, names)
    made = [i for i in chain.instances if i.module != QUEUE]
    widest = _widest(chain)
    memories = {i.name: _memory(i, names, shapes[i.name]) for i in made if i.memory}
    return {
        **titles(net, chain),
        "module": names.module,
        "widest": [widest] if widest > WIDEST else [],
        "headers": sorted({f"{i.module}.hpp" for i in made}),
        "input_bits": chain.source.width,
        "output_bits": chain.sink.width,
        "streams": [
            {"name": names.of(i), "width": i.m.width, "branches": f"[{i.branches}]" if i.branches else "", "depth": streams.depth(i)}
            for i in made if i.module != "bnn_last"
        ],
        "stored": [memory for memory in memories.values() if memory["impl"]],
        "instances": [_instance(i, streams, memories.get(i.name)) for i in made],
    }  # fmt: skip


def _widest(chain: Pipeline) -> int:
    """Bits that the widest number has, rounded up to a power of two. Errors: BnnhwError for more than MOST."""
    each = [(max([_held(i), i.m.width, *(wire.stream.width for wire in i.reads)]), i) for i in chain.instances if i.module != QUEUE]
    bits, at = max(each, key=itemgetter(0))
    if bits > MOST:
        raise BnnhwError(
            f"layer {at.layer!r}: {at.name} has beats of {bits} bits, Vitis HLS takes {MOST} at most; use less pe and simd, or --backend verilog"
        )
    return max(WIDEST, 1 << (bits - 1).bit_length())


def _held(i: Instance) -> int:
    """Bits that a width converter holds in a plane, or a module of turns in all."""
    p = i.parameters
    if i.module == "bnn_gearbox":
        return (int(p["N_IN"]) + int(p["N_OUT"])) * int(p["ELEM_W"])
    return int(p["N_TURNS"]) * int(p["M_PLANES"]) * int(p["LANES"]) if i.module == "bnn_turns" else 0


def _instance(i: Instance, streams: _Streams, memory: dict[str, str] | None) -> dict[str, object]:
    """Finished strings of one instance."""
    name = streams.names.of(i)
    ends = ["s_axis"] if i.module == "bnn_frame" else [streams.of(wire) for wire in i.reads]
    leaves = ["m_axis"] if i.module == "bnn_last" else [name]
    more = ["err_frame"] if i.module == "bnn_frame" else [] if memory is None else [memory["name"]]
    scalars, arrays = _parameters(i)
    return {
        "name": name,
        "module": i.module,
        "scalars": ", ".join(f"{key} = {value}" for key, value in scalars.items() if key not in WIDE),
        "wides": [f"{key} = {value}" for key, value in scalars.items() if key in WIDE],
        "arrays": [{"name": key, "listed": ", ".join(map(str, values))} for key, values in arrays.items()],
        "memories": [] if memory is None else [memory],
        "arguments": ", ".join([*ends, *leaves, *more]),
    }


def _parameters(i: Instance) -> tuple[dict[str, int], dict[str, list[int]]]:
    """Numbers and lists of numbers of an instance's parameters: those of its Verilog module, and beats a frame."""
    p = i.parameters

    def unsigned(name: str, bits: str | int, count: int) -> list[int]:
        width = bits if isinstance(bits, int) else int(p[bits])
        return [n & ((1 << width) - 1) for n in entries(p[name], width, count)]

    scalars = {"M_BEATS": i.m.beats} | {key: value for key, value in p.items() if isinstance(value, int) and key not in NEEDLESS}
    arrays = dict[str, list[int]]()
    if "COEFFS" in p:
        arrays["COEFFS"] = entries(p["COEFFS"], int(p["SUM_W"]), int(p["N_TURNS"]) * int(p["PLANES"]))
    if "SCALES" in p:
        arrays["SCALES"] = entries(p["SCALES"], int(p["SCALE_W"]), int(p["N_PARTS"]) * int(p["N_LANES"]))
    if "TOGGLES" in p:
        arrays["TOGGLES"] = unsigned("TOGGLES", "PLANES", int(p["N_LIMITS"]))
        scalars["START"] = sum(bit << q for q, bit in enumerate(unsigned("START", 1, int(p["PLANES"]))))
    if "RANKS" in p:
        scalars.pop("RANKS", None)
        arrays["RANKS"] = unsigned("RANKS", "RANK_W", 1 << int(p["PLANES"])) if p["ORDER"] == 2 else [0]
    if "N_CLASSES" in p:
        for name, count in (("ROW_BASE", "OUT_ROWS"), ("COL_BASE", "OUT_COLS")):
            arrays[name] = unsigned(name, "ADDR_W", int(p[count])) if name in p else [0]
    if "LOW" in p:
        scalars |= {name: entries(p[name], int(p["EXACT_W"]), 1)[0] for name in ("LOW", "HIGH")}
        scalars["OVERFLOW_AS"] = scalars.pop("OVERFLOW")
    if "KEEP" in p:
        scalars["KEEP_BYTES"] = scalars.pop("KEEP").bit_count()
    return scalars, arrays
