"""Scripts for the vendor's tools: Vivado for Verilog, Vitis HLS and its test bench for C++."""

from __future__ import annotations

from bnnhw.emit.hls import braced, ports
from bnnhw.emit.verilog import environment, naming
from bnnhw.ir.design import Design, Logic
from bnnhw.ir.encoding import U8
from bnnhw.ir.integer import Network

CARRIES = {"xc7": 4, "xcup": 8}
"""Bits of a carry primitive, by family."""


def vivado_script(net: Network, design: Design, part: str, family: str) -> dict[str, str]:
    """{path: text} of the script that synthesises, places and routes the Verilog out of context."""
    defines = f" -verilog_define BNNHW_CARRY={CARRIES[family]}" if design.logic is Logic.CARRY else ""
    return {"vivado.tcl": environment().get_template("vivado.tcl.j2").render(_chosen(net, design, part), defines=defines)}


def vitis_script(net: Network, design: Design, part: str, frames: U8, outputs: U8) -> dict[str, str]:
    """{path: text} of the script that takes the C++ through Vitis HLS, and of its test bench.

    `frames`, `outputs`: [N, beats, bytes] of the ports.
    """
    module = naming(net).module
    bench = environment().get_template("testbench.cpp.j2").render(
        module=module, frames=len(frames), **ports(net, design),
        beats_in=frames.shape[1], words_in=-(-frames.shape[2] // 8), input=[_frame(frame) for frame in frames],
        beats_out=outputs.shape[1], words_out=-(-outputs.shape[2] // 8), output=[_frame(frame) for frame in outputs],
    )  # fmt: skip
    script = environment().get_template("vitis_hls.tcl.j2").render(_chosen(net, design, part))
    return {"hls/vitis_hls.tcl": script, f"hls/{module}_testbench.cpp": bench}


def _chosen(net: Network, design: Design, part: str) -> dict[str, object]:
    return {"module": naming(net).module, "part": part, "clock_ns": f"{1000 / design.clock_mhz:.3f}"}


def _frame(beats: U8) -> str:
    """A frame [beats, bytes] as an initialiser."""
    return "{" + ", ".join(braced(beats)) + "},"
