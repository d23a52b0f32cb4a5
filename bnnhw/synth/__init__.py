"""Logic synthesis of a design by Yosys: module by module, and whole."""

from bnnhw.synth.design import Synthesis, synthesise

__all__ = ["Synthesis", "synthesise"]
