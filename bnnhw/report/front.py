"""The plot of an exploration: LUTs against frames a second, the front of each family of FPGAs as a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bnnhw.ir.errors import BnnhwError

Places = Sequence[tuple[float, float]]
"""(LUTs, frames a second) of points."""


def draw_front(title: str, points: Mapping[str, Places], best: Mapping[str, Places], file: Path) -> bool:
    """Draw the points and fronts of each family into an `.svg`; False where matplotlib is missing. Errors: BnnhwError."""
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError:
        return False
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for n, (target, places) in enumerate(points.items()):
        axes.plot(*zip(*places, strict=True), ".", color=f"C{n}", alpha=0.35)
        axes.plot(*zip(*best[target], strict=True), "o-", color=f"C{n}", label=target, drawstyle="steps-post", markersize=4)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("LUTs")
    axes.set_ylabel("frames/s")
    axes.set_title(title)
    axes.legend()
    axes.grid(alpha=0.3)
    try:
        with rc_context({"svg.hashsalt": "bnnhw"}):
            figure.savefig(file, metadata={"Date": None})
    except OSError as e:
        raise BnnhwError(f"plot {str(file)!r}: cannot be written ({e.strerror}); choose another --out") from None
    return True
