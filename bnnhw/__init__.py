"""bnnhw: trained binarized networks in, bit-exact hardware out.

`generate`, `verify`, `info`, `estimate`, `synth`, `power`, `energy`, `explore`, `update` and `train` are the verbs of the command line, `compare`
is its `report`; `BnnhwError` is what a mistake in their input raises.
"""

from bnnhw.api import Generated, __version__, compare, energy, estimate, explore, generate, info, power, synth, train, update, verify
from bnnhw.ir.errors import BnnhwError

__all__ = [
    "BnnhwError",
    "Generated",
    "__version__",
    "compare",
    "energy",
    "estimate",
    "explore",
    "generate",
    "info",
    "power",
    "synth",
    "train",
    "update",
    "verify",
]
