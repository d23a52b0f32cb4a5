"""Verilog of a design: the generated top, its memory files and a copy of the library."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from pathlib import Path

import jinja2

from bnnhw.emit.memories import hex_words
from bnnhw.emit.names import identifiers
from bnnhw.emit.netlists import dots, module, popcounts, unrolled
from bnnhw.emit.resources import resource_folder
from bnnhw.ir.contents import words
from bnnhw.ir.design import Design
from bnnhw.ir.instances import Instance, Pipeline, Stream
from bnnhw.ir.integer import PORT, Network
from bnnhw.ir.layers import MatVec
from bnnhw.ir.pipeline import pipeline, word_bits
from bnnhw.ir.text import read_text
from bnnhw.lutmap.netlist import Netlist

MATVEC, POPCOUNT, DOT, UNROLLED, LUTS = "bnn_matvec", "bnn_popcount", "bnn_dot", "unrolled\0", "luts\0"
NETLISTS = "LOGIC"
"""Parameter of instances whose popcounts are netlists; it is none of their module's."""
NODES = ("bnn_luts", "bnn_lut_pairs", "bnn_carry_sum", "bnn_carry_count", "bnn_stage")
"""Modules of which netlists are made."""
AXI = ("tdata", "tkeep", "tlast", "tvalid", "tready")
AXI_LITE = {
    "awaddr": 12, "awvalid": 1, "awready": -1, "wdata": 32, "wstrb": 4, "wvalid": 1, "wready": -1, "bresp": -2, "bvalid": -1, "bready": 1,
    "araddr": 12, "arvalid": 1, "arready": -1, "rdata": -32, "rresp": -2, "rvalid": -1, "rready": 1,
}  # fmt: skip
"""Bits of the control port's signals, negative where they leave."""
WRITTEN = ("bnn_matvec", "bnn_threshold", "bnn_affine")
"""Modules whose memories may be written at run time."""


@dataclass(frozen=True)
class Naming:
    """Identifiers in the generated files."""

    module: str
    layers: dict[str, str]
    """The user's layer names to identifiers."""
    modules: dict[str, str]
    """Modules of this design beside the top: MATVEC, POPCOUNT and DOT, and for each layer, by its name behind UNROLLED and LUTS."""

    def of(self, instance: Instance) -> str:
        """The identifier of an instance."""
        if instance.layer == PORT:
            return instance.name
        return self.layers[instance.layer] + instance.name.removeprefix(instance.layer)

    def memory(self, instance: Instance) -> str:
        """Path of an instance's memory file from the output folder."""
        assert instance.memory is not None
        return f"mem/{self.module}_{self.layers[instance.layer]}_{instance.memory.value}.mem"

    def module_of(self, instance: Instance) -> str:
        """The Verilog module of an instance: the library's, its copy with the popcounts of this design, or one of its own."""
        if instance.product is not None:
            return self.modules[UNROLLED + instance.layer]
        return self.modules[MATVEC] if NETLISTS in instance.parameters else instance.module


def naming(net: Network) -> Naming:
    """Identifiers for a network, its layers and the modules of its own."""
    taken = ("bench", *(Path(name).stem for name in library()), *(path.stem for path in resource_folder("hls").glob("*.hpp")))
    module = identifiers([net.name], reserved=taken)[net.name]
    own = {MATVEC: "matvec", POPCOUNT: "popcount", DOT: "dot"}
    for layer in net.layers:
        own |= {UNROLLED + layer.name: layer.name, LUTS + layer.name: f"{layer.name} luts"}
    modules, used = dict[str, str](), [module]
    for key, name in own.items():
        full = f"{module} {name}"
        modules[key] = identifiers([full], reserved=(*taken, *used))[full]
        used.append(modules[key])
    return Naming(module, identifiers(layer.name for layer in net.layers), modules)


def emit_verilog(net: Network, design: Design) -> dict[str, str]:
    """{path: text} of the complete design: `rtl/*.v` and `mem/*.mem`. The same inputs give the same text."""
    chain, names = pipeline(net, design), naming(net)
    files = {f"rtl/{name}": text for name, text in library().items()}
    files[f"rtl/{names.module}.v"] = _top(net, chain, names)
    files |= _popcounts(chain, names) | _unrolled(chain, names)
    for i in chain.instances:
        if i.memory:
            files[names.memory(i)] = hex_words(words(net[i.layer], design[i.layer], i))
    return files


def file_names(net: Network, design: Design) -> list[str]:
    """Paths of what `emit_verilog` gives."""
    names = naming(net)
    chain = pipeline(net, design)
    memories = [names.memory(i) for i in chain.instances if i.memory]
    return [*(f"rtl/{name}" for name in library()), f"rtl/{names.module}.v", *_popcounts(chain, names), *_unrolled(chain, names), *memories]


def read_verilog(folder: Path) -> dict[str, str]:
    """{path: text} of the Verilog and memories in a generated folder. Errors: BnnhwError for what is no text."""
    return {str(p.relative_to(folder)): read_text(p) for part in ("rtl/*.v", "mem/*.mem") for p in sorted(folder.glob(part))}


@lru_cache
def library() -> dict[str, str]:
    """{file name: text} of the Verilog library."""
    return {p.name: p.read_text() for p in sorted(resource_folder("rtl").glob("*.v"))}


@lru_cache
def environment() -> jinja2.Environment:
    """Jinja over `templates/`, strict about undefined names."""
    loader = jinja2.FileSystemLoader(resource_folder("templates"))
    return jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)


def titles(net: Network, chain: Pipeline) -> dict[str, str]:
    """What the heads of generated tops say."""
    s, m = chain.source, chain.sink
    return {
        "note": f"{net.weight_bits} weight bits in {sum(isinstance(x, MatVec) for x in net.layers)} layers.",
        "input_note": f"{s.elements} elements of {s.elem_bits} bits a frame, {s.lanes} a beat, channel fastest, then column, row.",
        "output_note": f"{m.elements} elements of {m.elem_bits} bits a frame, {m.lanes} a beat, two's complement if wider than 1.",
        "network_file": "network.npz",
    }


def _top(net: Network, chain: Pipeline, names: Naming) -> str:
    s, m = chain.source, chain.sink
    made = {i.name: names.of(i) for i in chain.instances}
    instances = [_instance(i, made, names, chain) for i in chain.instances]
    written, lite = [], []
    if chain.control is not None:
        instances.append(_control(chain.control))
        written = [{f"{name.lower()}_msb": int(chain.control.parameters[name]) - 1 for name in ("N_MEMORIES", "ADDR_W", "DATA_W")}]
        lite = [
            {"name": name, "direction": "input" if bits > 0 else "output", "range": "" if abs(bits) == 1 else f"[{abs(bits) - 1}:0] "}
            for name, bits in AXI_LITE.items()
        ]
    return (
        environment()
        .get_template("top.v.j2")
        .render(
            **titles(net, chain),
            interval=chain.interval,
            module=names.module,
            s_msb=s.width - 1,
            s_keep_msb=s.width // 8 - 1,
            m_msb=m.width - 1,
            m_keep_msb=m.width // 8 - 1,
            instances=instances,
            control=lite,
            written=written,
        )
    )


def _popcounts(chain: Pipeline, names: Naming) -> dict[str, str]:
    """{path: text} of the popcounts and joint sums that are netlists, of the modules that choose among them, and of the product's copy with these.

    A copy under the network's name, so that designs with other popcounts can stand beside each other.
    """
    found, render = {POPCOUNT: popcounts(chain), DOT: dots(chain)}, environment().get_template
    made = {name: choices for name, choices in found.items() if choices}
    if not made:
        return {}
    matvec = library()[f"{MATVEC}.v"]
    for name in (MATVEC, *made):
        matvec = re.sub(rf"\b{name}\b", names.modules[name], matvec)
    files = {f"rtl/{names.modules[MATVEC]}.v": matvec}
    for name, choices in made.items():
        template = render(f"{name.removeprefix('bnn_')}.v.j2")
        files[f"rtl/{names.modules[name]}.v"] = template.render(network=names.module, module=names.modules[name], choices=choices)
        files |= {f"rtl/{p['module']}.v": render("netlist.v.j2").render(net=p["netlist"]) for p in choices}
    return files


def emit_netlist(net: Netlist, top: str) -> dict[str, str]:
    """{path: text} of a netlist alone, as the module `top` with its inputs `x` and outputs `y`, and of what it needs of the library."""
    text = environment().get_template("netlist.v.j2").render(net=module(net, top, "A netlist alone.", [("x", net.n_inputs)], "y"))
    return {f"rtl/{name}.v": library()[f"{name}.v"] for name in NODES if f" {name} #(" in text} | {f"rtl/{top}.v": text}


def _unrolled(chain: Pipeline, names: Naming) -> dict[str, str]:
    """{path: text} of the unrolled products, each with its netlist."""
    found, render = dict[str, str](), environment().get_template
    for i in chain.instances:
        if i.product is not None:
            (wire,) = i.reads
            name, netlist = names.module_of(i), names.modules[LUTS + i.layer]
            found[f"rtl/{name}.v"] = render("unrolled.v.j2").render(
                layer=names.layers[i.layer], network=names.module, module=name, netlist=netlist, latency=i.parameters["LATENCY"],
                s_msb=wire.stream.width - 1, m_msb=i.m.width - 1, m_bits=i.m.width,
            )  # fmt: skip
            found[f"rtl/{netlist}.v"] = render("netlist.v.j2").render(net=unrolled(i, netlist))
    return found


CLOCKLESS = ("bnn_planes", "bnn_pad")
"""Modules without a clock."""


def _control(i: Instance) -> dict[str, object]:
    """Finished strings of the registers by which memories are written."""
    ports = [("clk", "aclk"), ("rst", "rst"), *((f"s_axi_{name}", f"s_axi_{name}") for name in AXI_LITE)]
    ports += [("hold", "hold"), ("idle", "idle"), ("err", "err_frame"), ("frames", "frames_left")]
    ports += [("w_en", "w_enable"), ("w_addr", "w_address"), ("w_data", "w_word")]
    return {"module": i.module, "name": f"u_{i.name}", "wires": [], "parameters": _listed(parameter_texts(i)), "ports": _listed(ports)}


def _write_ports(i: Instance, chain: Pipeline) -> list[tuple[str, str]]:
    """How the memory of an instance is written, if ever."""
    bits, address = word_bits(i), int(i.parameters["ADDR_W"])
    if not i.writable:
        return [("w_en", "1'b0"), ("w_addr", f"{address}'d0"), ("w_data", f"{bits}'d0")]
    assert chain.control is not None
    spare = int(chain.control.parameters["DATA_W"]) - 32 * ceil(bits / 32)
    number = chain.written.index(i)
    return [("w_en", f"w_enable[{number}]"), ("w_addr", f"w_address[{address - 1}:0]"), ("w_data", f"w_word[{spare + bits - 1}:{spare}]")]


def _instance(i: Instance, made: dict[str, str], names: Naming, chain: Pipeline) -> dict[str, object]:
    """Finished strings of one instance; `made` are the identifiers of all."""
    name = made[i.name]
    parameters = parameter_texts(i)
    if i.memory:
        parameters.append(("FILE", f'"{names.memory(i)}"'))
    ports = [] if i.module in CLOCKLESS else [("clk", "aclk"), ("rst", "rst")]
    for side, wire in zip(("s",) if len(i.reads) < 2 else ("a", "b"), i.reads, strict=False):
        source, branch = made[wire.source], "" if wire.branch is None else f"[{wire.branch}]"
        ports += [(f"{side}_data", f"{source}_data"), (f"{side}_valid", f"{source}_valid{branch}"), (f"{side}_ready", f"{source}_ready{branch}")]
    m = [("m_data", f"{name}_data"), ("m_valid", f"{name}_valid"), ("m_ready", f"{name}_ready")]
    many = f"[{i.branches - 1}:0] " if i.branches else ""
    wires = [f"{_range(i.m)}{name}_data", f"{many}{name}_valid", f"{many}{name}_ready"]
    if i.module == "bnn_frame":
        ports += [(f"s_{p}", f"s_axis_{p}") for p in AXI] + m + [("err", "err_frame")]
    elif i.module == "bnn_last":
        ports += [(f"m_{p}", f"m_axis_{p}") for p in AXI]
        wires = []
    else:
        ports += m
    if i.module in WRITTEN:
        ports += _write_ports(i, chain)
    if i.module == "bnn_hold":
        ports += [("hold", "hold"), ("left", "m_axis_tvalid && m_axis_tready && m_axis_tlast"), ("idle", "idle"), ("frames", "frames_left")]
    return {"module": names.module_of(i), "name": f"u_{name}", "wires": wires, "parameters": _listed(parameters), "ports": _listed(ports)}


def parameter_texts(i: Instance) -> list[tuple[str, str]]:
    """Names and Verilog values of an instance's parameters, without its memory file."""
    return [(k, _sized(k, v, i)) for k, v in i.parameters.items() if k != NETLISTS]


def _range(s: Stream) -> str:
    return f"[{s.width - 1}:0] "


def _sized(name: str, value: int | str, i: Instance) -> str:
    """Literals of vector parameters carry their width, as linters want."""
    widths = {"KEEP": i.m.width // 8, "PAD_BITS": i.parameters.get("PLANES", 1), "IDENTITY": 32}
    return f"{widths[name]}'h{value:x}" if name in widths else str(value)


def _listed(pairs: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": k, "value": v, "comma": "," if n < len(pairs) - 1 else ""} for n, (k, v) in enumerate(pairs)]
