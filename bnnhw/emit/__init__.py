"""Files of a design: (network, design) -> {path: text}."""

from bnnhw.emit.verilog import emit_netlist, emit_verilog, naming

__all__ = ["emit_netlist", "emit_verilog", "naming"]
