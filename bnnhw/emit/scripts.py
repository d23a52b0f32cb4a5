"""Scripts for the vendor's tools: Vivado for Verilog, Vitis HLS and its test bench for C++."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bnnhw.emit.hls import braced, ports
from bnnhw.emit.ip import emit_ip, vlnv
from bnnhw.emit.resources import resource_folder
from bnnhw.emit.verilog import Naming, environment, naming
from bnnhw.ir.design import MOST_DMA_BITS, Design, Logic
from bnnhw.ir.encoding import U8
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.hardware import index_bits
from bnnhw.ir.integer import Network
from bnnhw.ir.pipeline import pipeline

BAUD = 1_000_000
"""Of a board's serial line."""
LEAST_CLOCKS, WORST_BAUD = 8, 0.02
"""Clock cycles of a bit at least, and how far it may be from its length."""
BLOCK_DESIGN, CELL, UART_CELL = "system_wrapper", "accelerator", "u_network"
"""The top of boards/zynq/system.tcl, and the network's cells in it and in the top at a serial line."""
CARRIES = {"xc7": 4, "xcup": 8}
"""Bits of a carry primitive, by family."""


def vivado_script(net: Network, design: Design, part: str, family: str) -> dict[str, str]:
    """{path: text} of the script that synthesises, places and routes the Verilog out of context."""
    defines = f" -verilog_define BNNHW_CARRY={CARRIES[family]}" if design.logic is Logic.CARRY else ""
    return {"vivado.tcl": environment().get_template("vivado.tcl.j2").render(_chosen(net, design, part), defines=defines)}


def ip_scripts(net: Network, design: Design, family: str) -> dict[str, str]:
    """{path: text} of the IP's description and of the script that completes it."""
    head = f"`define BNNHW_CARRY {CARRIES[family]}\\n" if design.logic is Logic.CARRY else ""
    script = environment().get_template("vivado_ip.tcl.j2").render(module=naming(net).module, vlnv=vlnv(net), head=head)
    return emit_ip(net, design) | {"vivado_ip.tcl": script}


def board_scripts(net: Network, design: Design, title: str, part: str, system: str, board_parts: Sequence[str]) -> dict[str, str]:
    """{path: text} of the script of the block design with a processor of the kind `system`. Errors: BnnhwError where its DMA does not fit the ports."""
    chain = pipeline(net, design)
    for side, stream in (("input", chain.source), ("output", chain.sink)):
        if stream.width & (stream.width - 1) or stream.width > MOST_DMA_BITS:
            raise BnnhwError(
                f"board {title!r}: the {side} port has beats of {stream.width} bits, its DMA takes powers of two from 8 to {MOST_DMA_BITS}; "
                f"give other {side} lanes in the design file"
            )
    files = {f"board/{name}.tcl": (resource_folder("boards") / "zynq" / f"{name}.tcl").read_text() for name in (system, "system")}
    files["vivado_board.tcl"] = environment().get_template("vivado_board.tcl.j2").render(
        module=naming(net).module, title=title, part=part, board_globs=" ".join(board_parts), clock_mhz=f"{design.clock_mhz:g}", vlnv=vlnv(net),
        s_bytes=chain.source.width // 8, m_bytes=chain.sink.width // 8, has_control=int(chain.control is not None), system=system,
    )  # fmt: skip
    return files


def uart_top(names: Naming) -> str:
    """The module at a serial line."""
    return f"{names.module}_uart"


def uart_files(net: Network, design: Design, title: str, part: str, family: str, board: str, mhz: float) -> dict[str, str]:
    """{path: text} of the top at the serial line of a board without a processor, its constraints and its script. Errors: BnnhwError for another clock."""
    chain, module = pipeline(net, design), naming(net).module
    if design.clock_mhz != mhz:
        raise BnnhwError(
            f"board {title!r}: its oscillator gives {mhz:g} MHz, the design has {design.clock_mhz:g}; leave --clock out, or have clock_mhz: {mhz:g} in the design file"
        )
    clocks = round(mhz * 1e6 / BAUD)
    if clocks < LEAST_CLOCKS or abs(clocks * BAUD / (mhz * 1e6) - 1) > WORST_BAUD:
        raise BnnhwError(
            f"board {title!r}: a clock of {mhz:g} MHz gives no {BAUD} baud within {100 * WORST_BAUD:g}%; give the board another clock_mhz"
        )
    if chain.control is not None:
        raise BnnhwError(f"board {title!r}: its serial line has no way to registers, but layers are writable; generate it without --writable")
    s, m, top = chain.source, chain.sink, uart_top(naming(net))
    frame_in, frame_out = (-(-x.elements * x.elem_bits // 8) for x in (s, m))
    top_text = environment().get_template("uart_top.v.j2").render(
        module=module, title=title, top=top, baud=BAUD, clocks=clocks, n_bytes=frame_in, m_frame=frame_out, frame_w=index_bits(frame_in),
        s_msb=s.width - 1, s_keep_msb=s.width // 8 - 1, s_bytes=s.width // 8, s_index_w=index_bits(s.width // 8),
        m_msb=m.width - 1, m_keep_msb=m.width // 8 - 1, m_bytes=m.width // 8, m_index_w=index_bits(m.width // 8),
    )  # fmt: skip
    folder = resource_folder("boards")
    constraints = (Path(board).parent if board.endswith((".yaml", ".yml")) else folder / board) / "board.xdc"
    if not constraints.is_file():
        raise BnnhwError(f"board {title!r}: there is no {str(constraints)!r} with the pins of its serial line; write it, or remove system: uart")
    defines = f" -verilog_define BNNHW_CARRY={CARRIES[family]}" if design.logic is Logic.CARRY else ""
    script = environment().get_template("vivado_uart.tcl.j2").render(module=module, title=title, part=part, top=top, defines=defines)
    return {
        f"board/{top}.v": top_text, "board/bnn_uart.v": (folder / "uart" / "bnn_uart.v").read_text(),
        "board/board.xdc": constraints.read_text(), "vivado_board.tcl": script,
    }  # fmt: skip


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
