"""Constant layers against naive Verilog and da4ml's, all through the same Yosys script: `python benchmarks/peers.py [name ...]`.

Needs `pip install -c constraints.txt '.[bench]'`. Each is LUT6 of a weight in Xilinx' 7 series, and the seconds that the
generator took; Yosys is given ten minutes.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from da4ml.cmvm import solve
from da4ml.codegen import RTLModel
from lutmap import random_layer
from rich.console import Console
from rich.table import Table

from bnnhw.emit import emit_netlist
from bnnhw.ir.heads import Sums
from bnnhw.ir.layers import MatVec
from bnnhw.lutmap.layer import unrolled
from bnnhw.tools import yosys
from bnnhw.tools.targets import TARGETS
from bnnhw.tools.verilator import ToolError

SHAPES = {
    "64x64": (64, 64, 1.0), "256x64": (256, 64, 1.0), "256x256": (256, 256, 1.0), "256x64, half zeros": (256, 64, 0.5),
    "256x64, 90% zeros": (256, 64, 0.1),
}  # fmt: skip
LIMIT = 600
"""Seconds for each."""


def sums(layer: MatVec) -> MatVec:
    """The same layer with its sums as outputs."""
    ones = np.ones(layer.weights.outputs, np.int64)
    return replace(layer, head=Sums(ones, 0 * ones[None]))


def naive(layer: MatVec) -> dict[str, str]:
    """What one writes: each output a sum of its inputs' signs, or its comparison."""
    inputs, outputs = layer.window.fan_in, layer.weights.outputs
    low, high = layer.dot_range
    bits = max(-int(low.min()), int(high.max())).bit_length() + 1
    lines = [f"module naive(input [{inputs - 1}:0] x, output [{outputs * bits - 1}:0] y);"]
    for o, row in enumerate(layer.weights.values):
        terms = " ".join(f"{'+' if w > 0 else '-'} (x[{k}] ? {bits}'sd1 : -{bits}'sd1)" for k, w in enumerate(row) if w)
        lines.append(f"  assign y[{o * bits}+:{bits}] = {bits}'sd0 {terms};")
    return {"naive.v": "\n".join([*lines, "endmodule\n"])}


def da4ml(layer: MatVec) -> dict[str, str]:
    """Its Verilog of the same sums of bits."""
    kernel = layer.weights.values.T.astype(np.float32)
    with tempfile.TemporaryDirectory() as work:
        RTLModel(solve(kernel, qintervals=[(0.0, 1.0, 1.0)] * len(kernel)), "da4ml", work).write()
        found = [*Path(work).glob("src/*.v"), *Path(work).glob("src/static/*.v")]
        return {f"{path.stem}.v": path.read_text() for path in found if path.stem not in ("da4ml_wrapper", "lookup_table")}


def ours(layer: MatVec) -> dict[str, str]:
    """Sums of the same weights."""
    return emit_netlist(unrolled(sums(layer), "lut6"), "ours")


def ours_thresholded(layer: MatVec) -> dict[str, str]:
    """A bit an output."""
    return emit_netlist(unrolled(layer, "lut6"), "ours_thresholded")


def ours_with_primitives(layer: MatVec) -> dict[str, str]:
    """The same of Xilinx' primitives."""
    return emit_netlist(unrolled(layer, "carry"), "ours_with_primitives")


MAKERS: tuple[Callable[[MatVec], dict[str, str]], ...] = (naive, da4ml, ours, ours_thresholded, ours_with_primitives)


def measured(make: Callable[[MatVec], dict[str, str]], layer: MatVec) -> str:
    """LUTs of a weight, and seconds."""
    start = time.perf_counter()
    files = make(layer)
    made = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as work:
        try:
            cells = yosys.synthesise(files, make.__name__, TARGETS["xc7"], Path(work))
        except ToolError as e:
            return f"none: {str(e).partition(';')[0]}"
    return f"{cells.luts / layer.weights.values.size:.3f} ({made:.1f} s)"


def main(names: list[str]) -> None:
    """Print the table, of the named shapes where some are named."""
    yosys.TIMEOUT = LIMIT
    heads = ("naive, sums", "da4ml, sums", "bnnhw, sums", "bnnhw, thresholded", "the same, primitives")
    table = Table("layer", *heads, title="LUT6 of a weight in Yosys (seconds to generate)")
    for name in names or SHAPES:
        inputs, outputs, density = SHAPES[name]
        layer = random_layer(inputs, outputs, density)
        table.add_row(name, *(measured(make, layer) for make in MAKERS))
        Console().print(table)


if __name__ == "__main__":
    main(sys.argv[1:])
