"""bnnhw: trained binarized networks in, bit-exact hardware out.

`generate`, `verify`, `info`, `estimate`, `synth`, `power`, `energy`, `explore` and `train` are the verbs of the command line; `BnnhwError` is what a
mistake in their input raises.
"""

from bnnhw.api import Generated, __version__, energy, estimate, explore, generate, info, power, synth, train, verify
from bnnhw.ir.errors import BnnhwError

__all__ = ["BnnhwError", "Generated", "__version__", "energy", "estimate", "explore", "generate", "info", "power", "synth", "train", "verify"]
