"""bnnhw: trained binarized networks in, bit-exact hardware out.

`generate`, `verify`, `import_check`, `info`, `estimate`, `synth`, `power`, `energy`, `explore`, `export_qonnx`, `update` and `train` are the verbs of the command line, `compare`
is its `report`; `from_torch` and `from_brevitas` make of a model what `generate` takes; `BnnhwError` is what a mistake in their input raises.
"""

from bnnhw.api import (
    Generated,
    __version__,
    compare,
    energy,
    estimate,
    explore,
    export_qonnx,
    generate,
    import_check,
    info,
    power,
    synth,
    train,
    update,
    verify,
)
from bnnhw.imports import from_brevitas, from_torch
from bnnhw.ir.errors import BnnhwError

__all__ = [
    "BnnhwError",
    "Generated",
    "__version__",
    "compare",
    "energy",
    "estimate",
    "explore",
    "export_qonnx",
    "from_brevitas",
    "from_torch",
    "generate",
    "import_check",
    "info",
    "power",
    "synth",
    "train",
    "update",
    "verify",
]
