"""The table of docs/zoo.md, written again: `python benchmarks/zoo.py` trains nothing. Needs PyTorch, scikit-learn, MNIST and CIFAR-10.

Accuracy is of PyTorch and of the integer network, on the same images; hardware is as the search finds it, LUTs and block RAMs as estimated for Xilinx' 7 series.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

from bnnhw import data, frontend  # noqa: E402
from bnnhw.data import Split  # noqa: E402
from bnnhw.estimate.arithmetic import versions  # noqa: E402
from bnnhw.estimate.resources import estimate  # noqa: E402
from bnnhw.golden import run  # noqa: E402
from bnnhw.ir.pipeline import pipeline  # noqa: E402
from bnnhw.ir.trained import TrainedNetwork  # noqa: E402
from bnnhw.lower import lower  # noqa: E402
from bnnhw.nn.model import build  # noqa: E402
from bnnhw.nn.train import prepare  # noqa: E402
from bnnhw.schedule import Folder  # noqa: E402

PAGE = ROOT / "docs" / "zoo.md"
START, END = "<!-- table -->", "<!-- end of table -->"
RATES = (1_000, 100_000)
"""Frames a second at 100 MHz; a network that does not reach one has the fastest that it reaches."""
BATCH = 250


def images(name: str) -> Split:
    """Test images; of CIFAR-10 those that are at hand without loss."""
    return data.cifar10_lossless_test() if name == "cifar10" else data.load_split(name, "test")


def accuracies(trained: TrainedNetwork, split: Split) -> tuple[float, float, int]:
    """Percent of PyTorch and of the integer network, and outputs that differ."""
    model, net = build(trained.topology), lower(trained).network
    state = model.state_dict()
    model.load_state_dict({k: torch.from_numpy(np.asarray(trained.tensors[k], np.float32)) if k in trained.tensors else v for k, v in state.items()})
    model.eval()
    right, different = [0, 0], 0
    with torch.no_grad():
        for at in range(0, len(split.x), BATCH):
            x, y = split.x[at : at + BATCH], split.y[at : at + BATCH]
            sums = model(prepare(trained.topology.input, x)).flatten(1).numpy()
            mine = run(net, x)
            different += int((mine.outputs.reshape(sums.shape) != sums).sum())
            right[0] += int((sums.argmax(1) == y).sum())
            right[1] += int((mine.labels == y).sum())
    return 100 * right[0] / len(split.x), 100 * right[1] / len(split.x), different


def row(name: str) -> str:
    """One line of the table."""
    trained = frontend.load(name)
    net = lower(trained).network
    assert trained.topology.train is not None
    split = images(trained.topology.train.data)
    framework, integer, different = accuracies(trained, split)
    assert framework == integer and different == 0, name
    folder, found = Folder(net, "xc7", 100.0), []
    for rate in RATES:
        design = folder.least(max(int(1e8 / rate), folder.shortest()))
        chain = pipeline(net, design)
        cells = estimate(chain, "xc7").whole
        found.append(f"{chain.interval:,} | {cells.luts:,} | {cells.block_rams:g}")
    energy = versions(net)[-1]
    error = 100 * np.sqrt(integer / 100 * (1 - integer / 100) / len(split.x))
    return f"| `{name}` | {integer:.2f} | {error:.2f} | {net.weight_bits:,} | {energy.on_chip_pj / 1e6:.3g} | {' | '.join(found)} |"


def main() -> None:
    """Write the table between its marks."""
    lines = [
        "| network | accuracy, % | standard error | weight bits | µJ a frame | cycles, 1,000 frames/s | LUTs | block RAMs | cycles, 100,000 frames/s | LUTs | block RAMs |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name in frontend.zoo_names():
        lines.append(row(name))
        print(lines[-1], flush=True)
    text = PAGE.read_text()
    before, after = text.split(START)[0], text.split(END)[1]
    PAGE.write_text(before + START + "\n" + "\n".join(lines) + "\n" + END + after)


if __name__ == "__main__":
    main()
