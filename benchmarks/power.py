"""Published power of binarized networks on boards against the model's: `python benchmarks/power.py [--synth] [name ...]`.

A published design is not ours: its lookup tables and block RAMs are taken as published, as many flip-flops as lookup tables where
none are given, and toggles as our Verilog of the same network has at the same interval, averaged over the whole. With --synth our
own design is synthesised too (tens of minutes for the largest) and its power printed beside. MNIST, CIFAR-10 and the weights of
BNN-PYNQ are looked for where the tests look for them; SFC has random weights.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from bnnhw import data, frontend  # noqa: E402
from bnnhw.estimate.power import Z045, Coefficient, Power, power  # noqa: E402
from bnnhw.ir.activity import Activities, Activity, Toggling  # noqa: E402
from bnnhw.ir.design import Logic  # noqa: E402
from bnnhw.ir.integer import Network  # noqa: E402
from bnnhw.ir.pipeline import pipeline  # noqa: E402
from bnnhw.lower import lower  # noqa: E402
from bnnhw.schedule import fold_for_interval  # noqa: E402
from bnnhw.synth import synthesise  # noqa: E402
from bnnhw.tools.targets import Cells  # noqa: E402
from bnnhw.verify.toggles import count_toggles  # noqa: E402
from support.boards import sfc  # noqa: E402
from support.published import cifar_int8, cnv, lfc, mnist_test  # noqa: E402

ZC706 = Coefficient(0.219, 0.15, 0.35, Z045)
MOST_CYCLES = 200_000
FINN = "Umuroglu et al., FINN, FPGA 2017, table 3 (ZC706, chip)"
ZHAO = "Zhao et al., FPGA 2017 (ZedBoard, whole board)"


@dataclass(frozen=True)
class Published:
    """A design as published."""

    name: str
    source: str
    network: str
    clock_mhz: float
    frames_per_second: float
    watts: float
    cells: Cells
    static: Coefficient | None = None
    count_at: int | None = None
    """Interval at which toggles are counted, where the published one would take too long."""

    @property
    def interval(self) -> int:
        """Cycles from frame to frame."""
        return int(self.clock_mhz * 1e6 / self.frames_per_second)


def _finn(name: str, network: str, fps: float, watts: float, luts: int, block_rams: float) -> Published:
    return Published(name, FINN, network, 200, fps, watts, Cells(luts=luts, flip_flops=luts, block_rams=block_rams), ZC706)


BOARDS = (
    _finn("SFC-max", "sfc", 12_361e3, 7.3, 91_131, 4.5),
    _finn("LFC-max", "lfc", 1_561e3, 8.8, 82_988, 396),
    _finn("CNV-max", "cnv", 21_900, 3.6, 46_253, 186),
    _finn("SFC-fix", "sfc", 12_200, 0.4, 5_155, 16),
    _finn("LFC-fix", "lfc", 12_200, 0.8, 5_636, 114.5),
    _finn("CNV-fix", "cnv", 11_600, 2.3, 29_274, 152.5),
    Published("Zhao", ZHAO, "bnn_cifar10", 143, 168, 4.7, Cells(luts=46_900, flip_flops=46_134, block_rams=94, dsps=3), count_at=60_000),
)


def models() -> Path:
    """Folder of the published networks."""
    return Path(os.environ.get("BNNHW_MODELS", ROOT.parent / "shared" / "models"))


def mnist() -> NDArray[np.uint8]:
    """Eight test images."""
    return mnist_test(data.data_folder() or Path())[:8].reshape(8, -1, 1, 1)


NETWORKS: dict[str, Callable[[], tuple[Network, NDArray[np.integer]]]] = {
    "sfc": lambda: (sfc(), np.where(mnist() >= 128, 1, -1).astype(np.int8)),
    "lfc": lambda: (lfc(models()), mnist()),
    "cnv": lambda: (cnv(models()), cifar_int8(data.load_split("cifar10", "test").x[:2])),
    "bnn_cifar10": lambda: (lower(frontend.load("bnn_cifar10")).network, data.load_split("cifar10", "test").x[:2]),
}


def together(found: Activities) -> Activities:
    """As if the design were one instance."""
    parts = found.instances
    registers, nets = ([getattr(i, kind) for i in parts] for kind in ("registers", "nets"))
    memories = tuple(m for i in parts for m in i.memories)
    whole = Activity("all", "all", *(Toggling(sum(t.bits for t in x), sum(t.toggles for t in x)) for x in (registers, nets)), memories)
    return Activities(found.cycles, found.frames, (whole,))


def report(board: Published, own: bool) -> None:
    """One line, two with our own design."""
    net, frames = NETWORKS[board.network]()
    design = fold_for_interval(
        net, board.count_at or board.interval, board.clock_mhz, Logic.PLAIN
    )  # netlists of so many lanes were not compiled after 25 minutes
    found = count_toggles(net, design, frames, most_cycles=MOST_CYCLES)
    how = {"interval_cycles": board.interval, "clock_mhz": board.clock_mhz, "static": board.static}
    whole = together(found)
    (one,) = whole.instances
    rates = [t.toggles / (t.bits * found.cycles) for t in (one.registers, one.nets)]
    show(board, "published cells", power("xc7", whole, {"all": board.cells}, **how), rates)
    if own and board.count_at is None:
        cells = {m.name: m.cells for m in synthesise(net, design, "xc7", whole=False).modules}
        how["interval_cycles"] = pipeline(net, design).interval
        show(board, f"our {sum(cells.values(), Cells()).luts:,} LUTs", power("xc7", found, cells, **how), rates)


def show(board: Published, cells: str, found: Power, rates: list[float]) -> None:
    """Published and modelled, with the deviation."""
    w, off = found.watts, found.watts.typical / board.watts - 1
    print(
        f"{board.name:8} {cells:18} published {board.watts:4.1f} W, modelled {w.typical:5.2f} ({w.low:.2f} to {w.high:.2f}) W, "
        f"deviation {off:+.0%}; {found.frame_uj.typical:.4g} uJ a frame, {found.frames_per_joule.typical:,.0f} frames/s/W; "
        f"toggles a cycle: register bit {rates[0]:.3f}, net {rates[1]:.3f}",
        flush=True,
    )


def main() -> None:
    """Print all, or those named."""
    own, wanted = "--synth" in sys.argv, [a for a in sys.argv[1:] if not a.startswith("-")]
    print("\n".join(dict.fromkeys(b.source for b in BOARDS)))
    for board in BOARDS:
        if not wanted or board.name in wanted:
            report(board, own)


if __name__ == "__main__":
    main()
