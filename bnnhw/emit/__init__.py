"""Files of a design: (network, design) -> {path: text}."""

from bnnhw.emit.verilog import emit_verilog, naming

__all__ = ["emit_verilog", "naming"]
