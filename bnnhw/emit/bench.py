"""The simulation wrapper of one or many networks: bench, signal bindings for the C++ harness, taps."""

from __future__ import annotations

from collections.abc import Sequence

from bnnhw.emit.verilog import AXI_LITE, environment, naming
from bnnhw.ir.design import Design
from bnnhw.ir.instances import Instance, Pipeline, Stream
from bnnhw.ir.integer import Network
from bnnhw.ir.layout import beat_bytes
from bnnhw.ir.pipeline import pipeline


def emit_bench(designs: Sequence[tuple[Network, Design]], *, tapped: bool = True) -> dict[str, str]:
    """{path: text} of `sim/bench.v`, `sim/duts.inc` and `sim/taps.vlt`; the networks' names must differ.

    `tapped`: whether the layers' outputs can be recorded; a netlist has no layers.
    """
    duts = [_dut(net, design, n, tapped) for n, (net, design) in enumerate(designs)]
    taps = [t for d in duts for t in d["taps"]]
    handshakes = [{"module": module, "wire": wire} for module, wire in dict.fromkeys(pair for d in duts for pair in d["handshakes"])]
    render = environment().get_template
    return {
        "sim/bench.v": render("bench.v.j2").render(duts=duts),
        "sim/duts.inc": render("duts.inc.j2").render(duts=duts),
        "sim/taps.vlt": render("taps.vlt.j2").render(taps=taps, handshakes=handshakes),
    }


def tap_file(module: str, layer: str) -> str:
    """Name of the file that the harness writes for a layer's output."""
    return f"{module}.{layer}.tap"


def _dut(net: Network, design: Design, n: int, tapped: bool) -> dict:
    chain, names = pipeline(net, design), naming(net)
    unit = f"u{n}"
    made, path = {i.name: names.of(i) for i in chain.instances}, f"bench__DOT__{unit}__DOT__{{}}"
    taps = [
        {
            "module": names.module,
            "wire": names.of(i),
            "path": path.format(names.of(i)),
            "file": tap_file(names.module, names.layers[layer]),
            "bytes": beat_bytes(i.m),
            "beats": i.m.beats,
        }
        for layer, i in (chain.taps.items() if tapped else ())
    ]
    fifos = queues_of(chain) if tapped else []
    queues = [{"source": path.format(made[i.reads[0].source]), "branch": i.reads[0].branch or 0, "path": path.format(made[i.name])} for i in fifos]
    watched = [w for i in fifos for w in (made[i.reads[0].source], made[i.name])]
    handshakes = [(names.module, w) for w in [*(t["wire"] for t in taps), *watched]]
    ports = {**_port("s", chain.source), **_port("m", chain.sink)}
    control = AXI_LITE if chain.control else {}
    lite = [{"name": name, "value": f"{bits}'d0" if bits > 0 else f"{unit}_{name}"} for name, bits in control.items()]
    answers = [{"name": f"{unit}_{name}", "msb": -bits - 1} for name, bits in control.items() if bits < 0]
    return {"unit": unit, "lite": lite, "answers": answers, "module": names.module, "taps": taps, "queues": queues, "handshakes": handshakes, **ports}


def queues_of(chain: Pipeline) -> list[Instance]:
    """The queues, in the order in which the harness tells how full they were."""
    return [i for i in chain.instances if i.module == "bnn_fifo"]


def _port(side: str, s: Stream) -> dict[str, int]:
    tail = s.elements - (s.beats - 1) * s.lanes
    return {
        f"{side}_msb": s.width - 1,
        f"{side}_keep_msb": s.width // 8 - 1,
        f"{side}_bytes": s.width // 8,
        f"{side}_beats": s.beats,
        f"{side}_tail": (tail * s.elem_bits + 7) // 8,
    }
