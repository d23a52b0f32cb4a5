"""Verilog of a design: the generated top, its memory files and a copy of the library."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import jinja2

from bnnhw.emit.memories import memory_text
from bnnhw.emit.names import identifiers
from bnnhw.emit.resources import resource_folder
from bnnhw.ir.design import Design
from bnnhw.ir.instances import Instance, Pipeline, Stream
from bnnhw.ir.integer import PORT, Network
from bnnhw.ir.layers import MatVec
from bnnhw.ir.pipeline import pipeline

AXI = ("tdata", "tkeep", "tlast", "tvalid", "tready")


@dataclass(frozen=True)
class Naming:
    """Identifiers in the generated files."""

    module: str
    layers: dict[str, str]
    """The user's layer names to identifiers."""

    def of(self, instance: Instance) -> str:
        """The identifier of an instance."""
        if instance.layer == PORT:
            return instance.name
        return self.layers[instance.layer] + instance.name.removeprefix(instance.layer)

    def memory(self, instance: Instance) -> str:
        """Path of an instance's memory file from the output folder."""
        assert instance.memory is not None
        return f"mem/{self.module}_{self.layers[instance.layer]}_{instance.memory.value}.mem"


def naming(net: Network) -> Naming:
    """Identifiers for a network and its layers."""
    module = identifiers([net.name], reserved=("bench", *(Path(name).stem for name in library())))[net.name]
    return Naming(module, identifiers(layer.name for layer in net.layers))


def emit_verilog(net: Network, design: Design) -> dict[str, str]:
    """{path: text} of the complete design: `rtl/*.v` and `mem/*.mem`. The same inputs give the same text."""
    chain, names = pipeline(net, design), naming(net)
    files = {f"rtl/{name}": text for name, text in library().items()}
    files[f"rtl/{names.module}.v"] = _top(net, chain, names)
    for i in chain.instances:
        if i.memory:
            files[names.memory(i)] = memory_text(net[i.layer], design[i.layer], i)
    return files


def file_names(net: Network, design: Design) -> list[str]:
    """Paths of what `emit_verilog` gives."""
    names = naming(net)
    memories = [names.memory(i) for i in pipeline(net, design).instances if i.memory]
    return [*(f"rtl/{name}" for name in library()), f"rtl/{names.module}.v", *memories]


def read_verilog(folder: Path) -> dict[str, str]:
    """{path: text} of the Verilog and memories in a generated folder."""
    return {str(p.relative_to(folder)): p.read_text() for part in ("rtl/*.v", "mem/*.mem") for p in sorted(folder.glob(part))}


@lru_cache
def library() -> dict[str, str]:
    """{file name: text} of the Verilog library."""
    return {p.name: p.read_text() for p in sorted(resource_folder("rtl").glob("*.v"))}


@lru_cache
def environment() -> jinja2.Environment:
    """Jinja over `templates/`, strict about undefined names."""
    loader = jinja2.FileSystemLoader(resource_folder("templates"))
    return jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)


def _top(net: Network, chain: Pipeline, names: Naming) -> str:
    s, m = chain.source, chain.sink
    made = {i.name: names.of(i) for i in chain.instances}
    instances = [_instance(i, made, names) for i in chain.instances]
    return (
        environment()
        .get_template("top.v.j2")
        .render(
            title=f"Network {names.module}: {net.weight_bits} weight bits in {sum(isinstance(x, MatVec) for x in net.layers)} layers.",
            input_note=f"{s.elements} elements of {s.elem_bits} bits a frame, {s.lanes} a beat, channel fastest, then column, row.",
            output_note=f"{m.elements} elements of {m.elem_bits} bits a frame, {m.lanes} a beat, two's complement if wider than 1.",
            interval=chain.interval,
            network_file="network.npz",
            module=names.module,
            s_msb=s.width - 1,
            s_keep_msb=s.width // 8 - 1,
            m_msb=m.width - 1,
            m_keep_msb=m.width // 8 - 1,
            instances=instances,
        )
    )


def _instance(i: Instance, made: dict[str, str], names: Naming) -> dict[str, object]:
    """Finished strings of one instance; `made` are the identifiers of all."""
    name = made[i.name]
    parameters = parameter_texts(i)
    if i.memory:
        parameters.append(("FILE", f'"{names.memory(i)}"'))
    ports = [] if i.module == "bnn_planes" else [("clk", "aclk"), ("rst", "rst")]
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
    return {"module": i.module, "name": f"u_{name}", "wires": wires, "parameters": _listed(parameters), "ports": _listed(ports)}


def parameter_texts(i: Instance) -> list[tuple[str, str]]:
    """Names and Verilog values of an instance's parameters, without its memory file."""
    return [(k, _sized(k, v, i)) for k, v in i.parameters.items()]


def _range(s: Stream) -> str:
    return f"[{s.width - 1}:0] "


def _sized(name: str, value: int | str, i: Instance) -> str:
    """Literals of vector parameters carry their width, as linters want."""
    widths = {"KEEP": i.m.width // 8, "PAD_BITS": i.parameters.get("PLANES", 1)}
    return f"{widths[name]}'h{value:x}" if name in widths else str(value)


def _listed(pairs: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": k, "value": v, "comma": "," if n < len(pairs) - 1 else ""} for n, (k, v) in enumerate(pairs)]
