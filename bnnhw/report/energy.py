"""The plot of arithmetic energies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bnnhw.estimate.arithmetic import Version
from bnnhw.ir.errors import BnnhwError

KINDS = (".svg", ".png", ".pdf")
PARTS = ("operations", "memory on chip", "weights from DRAM")


def draw_energy(name: str, versions: Sequence[Version], file: Path) -> None:
    """Bars of each version's operations and memory accesses, on a logarithmic axis. Errors: BnnhwError."""
    if file.suffix.lower() not in KINDS:
        raise BnnhwError(f"plot {str(file)!r}: no kind of picture; end its name in {', '.join(KINDS)}")
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError:
        raise BnnhwError("a plot needs matplotlib; pip install 'bnnhw[plot]'") from None
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    sums = [[sum(getattr(layer, key) for layer in v.layers) / 1e6 for v in versions] for key in ("operations_pj", "on_chip_pj", "dram_pj")]
    for n, (part, heights) in enumerate(zip(PARTS, sums, strict=True)):
        axes.bar([i + (n - 1) * 0.27 for i in range(len(versions))], heights, 0.25, label=part)
    axes.set_xticks(range(len(versions)), [v.name.replace(", ", ",\n") for v in versions])
    axes.set_yscale("log")
    axes.set_ylabel("µJ a frame")
    axes.set_title(f"{name}: arithmetic energy in 45 nm, published tables")
    axes.legend()
    axes.grid(axis="y", alpha=0.3)
    undated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(file.suffix.lower())
    try:
        with rc_context({"svg.hashsalt": "bnnhw"}):
            figure.savefig(file, metadata=undated)
    except OSError as e:
        raise BnnhwError(f"plot {str(file)!r}: cannot be written ({e.strerror}); choose another path") from None
