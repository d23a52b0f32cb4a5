"""The figures that the project promises, measured: `python benchmarks/figures.py [name ...]` prints a table.

Machines are shared and noisy: cycles and ratios count, seconds are what this run saw. Parts that need
data, published networks or PyTorch say so and are left out where those are absent.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from bnnhw import data, frontend  # noqa: E402
from bnnhw.estimate.resources import estimate  # noqa: E402
from bnnhw.golden import run  # noqa: E402
from bnnhw.ir.pipeline import pipeline  # noqa: E402
from bnnhw.lower import lower  # noqa: E402
from bnnhw.request import DEFAULT_UTILISATION  # noqa: E402
from bnnhw.schedule import Budget, Folder, board, complete, fold_for_interval  # noqa: E402
from bnnhw.verify.csim import CSimulation  # noqa: E402
from bnnhw.verify.frames import random_frames  # noqa: E402
from bnnhw.verify.rtl import Simulation  # noqa: E402
from support.published import CNV_FOLDING, LFC_FOLDING, cifar_int8, cifar_test, cnv, design_data, lfc, mnist_test  # noqa: E402

Row = tuple[str, str, str]
"""What, what was seen, what is promised."""


def models() -> Path:
    """Folder of the published networks."""
    return Path(os.environ.get("BNNHW_MODELS", ROOT.parent / "shared" / "models"))


def generate_binarynet() -> Iterator[Row]:
    """Time and peak memory of the whole `generate` process."""
    with tempfile.TemporaryDirectory() as out:
        started = time.time()
        command = [sys.executable, "-c", "from bnnhw.cli import main; main()", "generate", "--net", "bnn_cifar10", "--out", f"{out}/d", "--json"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds = time.time() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    yield "generate bnn_cifar10", f"{seconds:.1f} s, {peak:.2f} GB peak", "10 s, 1 GB"


def zoo_intervals() -> Iterator[Row]:
    """Measured against predicted interval, frames back to back."""
    for name in frontend.zoo_names():
        net = lower(frontend.load(name)).network
        interval = 851_190 if net.weight_bits > 1e6 else 20_000
        design = fold_for_interval(net, interval, 143.0)
        with tempfile.TemporaryDirectory() as work:
            (seen,) = Simulation([(net, design)], Path(work), optimise=3).run([random_frames(net.port, 5, 1)])
        yield f"{name}: cycles a frame", f"{sorted(set(seen.intervals[2:]))}", f"predicted {pipeline(net, design).interval:,}"


def foldings() -> Iterator[Row]:
    """Published foldings and what the search finds instead."""
    net = cnv(models())
    published = complete(net, design_data(net, CNV_FOLDING), "published")
    found = fold_for_interval(net, 32_768, 100.0)
    lanes = [sum(f.pe * f.simd for f in d.layers) for d in (published, found)]
    yield "CNV, published folding: cycles", f"{pipeline(net, published).interval:,}", "32,768"
    yield "CNV, found folding: cycles; PE*SIMD", f"{pipeline(net, found).interval:,}; {lanes[1]:,}", f"32,768; {lanes[0]:,}"
    binarynet = lower(frontend.load("bnn_cifar10")).network
    design = fold_for_interval(binarynet, int(143e6 / 168), 143.0)
    yield "BinaryNet, --fps 168 --clock 143: cycles", f"{pipeline(binarynet, design).interval:,}", "851,190"


def searches() -> Iterator[Row]:
    """Processor time of the exact folding search for BinaryNet, each in a process of its own, and the design found."""
    fpga = board(ROOT / "boards", "zc706")
    zc706 = Budget(*(DEFAULT_UTILISATION * n for n in (fpga.luts, fpga.flip_flops, fpga.block_rams, fpga.dsps)))
    asked: tuple[tuple[str, str, Budget, int], ...] = (
        ("168 frames/s at 143 MHz", "area", Budget(), int(143e6 / 168)), ("the same, least LUTs", "luts", Budget(), int(143e6 / 168)),
        ("the same, least block RAMs", "block_rams", Budget(), int(143e6 / 168)), ("the same, least energy", "energy", Budget(), int(143e6 / 168)),
        ("the most frames in 20,000 LUTs", "area", Budget(luts=20_000), 0), ("the most frames in 70% of a ZC706", "area", zc706, 0),
    )  # fmt: skip
    for what, *search in asked:
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            yield f"BinaryNet, {what}", pool.submit(searched, *search).result(), "5 s"


def searched(minimise: str, budget: Budget, interval: int) -> str:
    """The time of one search, with nothing kept from others, and its result."""
    net = lower(frontend.load("bnn_cifar10")).network
    started = time.process_time()
    folder = Folder(net, "xc7", 143.0, minimise, budget)
    design = folder.least(interval) if interval else folder.fastest()
    seconds = time.process_time() - started
    chain = pipeline(net, design)
    cells = estimate(chain, "xc7").whole
    return f"{seconds:.1f} s; {chain.interval:,} cycles, {cells.luts:,} LUTs, {cells.block_rams:g} block RAMs"


def lfc_rtl() -> Iterator[Row]:
    """All MNIST test images through the C++ harness, build included."""
    net, images = lfc(models()), mnist_test(data.data_folder() or Path())
    design = complete(net, design_data(net, LFC_FOLDING), "published")
    started = time.time()
    with tempfile.TemporaryDirectory() as work:
        (seen,) = Simulation([(net, design)], Path(work), optimise=3).run([images])
    seconds = time.time() - started
    equal = bool((seen.outputs == run(net, images).outputs).all())
    yield "LFC, 10,000 images in RTL, build included", f"{seconds:.0f} s, equal: {equal}", "60 s"


def csim() -> Iterator[Row]:
    """The HLS C++ of published networks: seconds of g++, and frames a second on one core."""
    labels = (("LFC", lfc, LFC_FOLDING, mnist_test(data.data_folder() or Path())[:2000]), ("CNV", cnv, CNV_FOLDING, cifar_test()[:200]))
    for name, read, folding, images in labels:
        net = read(models())
        with tempfile.TemporaryDirectory() as work:
            started = time.time()
            simulation = CSimulation([(net, complete(net, design_data(net, folding), "published"))], Path(work))
            compiled = time.time() - started
            started = time.time()
            (seen,) = simulation.run([images])
        rate, equal = len(images) / (time.time() - started), bool((seen.outputs == run(net, images).outputs).all())
        yield f"{name}, C simulation", f"compiled in {compiled:.0f} s, {rate:.0f} frames/s, equal: {equal}", "60 s, 20 frames/s of CNV"


def cnv_rtl() -> Iterator[Row]:
    """CIFAR-10 test images through the C++ harness: 500 of them, and what 10,000 would take."""
    net, images = cnv(models()), cifar_int8(data.load_split("cifar10", "test").x[:500])
    design = complete(net, design_data(net, CNV_FOLDING), "published")
    with tempfile.TemporaryDirectory() as work:
        simulation = Simulation([(net, design)], Path(work), optimise=3)
        started = time.time()
        (seen,) = simulation.run([images])
    seconds = time.time() - started
    equal = bool((seen.outputs == run(net, images).outputs).all())
    yield "CNV, 500 images in RTL", f"{seconds:.0f} s ({seconds * 20 / 60:.1f} min for 10,000), equal: {equal}", "15 min for 10,000"


def golden_against_pytorch() -> Iterator[Row]:
    """Batch 256 of BinaryNet: PyTorch float32 inference over golden, in turns, the best of each."""
    try:
        import torch
    except ImportError:
        return
    from bnnhw.nn.model import build
    from bnnhw.nn.train import prepare

    trained = frontend.load("bnn_cifar10")
    model = build(trained.topology).eval()
    net = lower(trained).network
    frames = random_frames(net.port, 256, 1)
    inputs = prepare(trained.topology.input, frames)
    times: dict[str, list[float]] = {"golden": [], "torch": []}
    run(net, frames[:8])
    for _ in range(4):
        started = time.time()
        run(net, frames)
        times["golden"].append(time.time() - started)
        started = time.time()
        with torch.no_grad():
            model(inputs)
        times["torch"].append(time.time() - started)
    golden, reference = min(times["golden"]), min(times["torch"])
    yield "golden against PyTorch float32, batch 256", f"{reference / golden:.2f}x ({golden:.2f} s, {reference:.2f} s)", "1.0x"


def binarynet_onnx() -> bytes:
    """BinaryNet's 14 million weights as QONNX, real and random, before their quantisers."""
    from support.foreign import Model

    rng, m, x, channels = np.random.default_rng(0), Model((3, 32, 32)), "x", 3

    def block(x: str, product: str, o: int, pool: bool) -> str:
        if pool:
            product = m.node("MaxPool", product, kernel_shape=[2, 2], strides=[2, 2])
        numbers = (rng.normal(0, 1, o), rng.normal(0, 1, o), rng.normal(0, 9, o), rng.random(o) * 99 + 1)
        return m.bipolar(m.node("BatchNormalization", product, *map(m.constant, numbers), epsilon=1e-4))

    for n, o in enumerate((128, 128, 256, 256, 512, 512)):
        w = m.bipolar(m.constant(rng.normal(0, 1, (o, channels, 3, 3))))
        x, channels = block(x, m.node("Conv", x, w, pads=[1] * 4, kernel_shape=[3, 3]), o, n % 2 == 1), o
    x, size = m.node("Flatten", x), 512 * 16
    for o in (1024, 1024):
        x, size = block(x, m.node("Gemm", x, m.bipolar(m.constant(rng.normal(0, 1, (o, size)))), transB=1), o, False), o
    return m.bytes(m.node("Gemm", x, m.bipolar(m.constant(rng.normal(0, 1, (10, size)))), transB=1))


def imports() -> Iterator[Row]:
    """Seconds and peak memory of processes that read a model, to the integer network."""
    program = (
        "import sys, time, resource; start = time.time(); from pathlib import Path; from bnnhw.imports import onnx_model; from bnnhw.lower import lower; "
        "lower(onnx_model(Path(sys.argv[1]), sys.argv[2] or None).recognised.trained); "
        "print(time.time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)"
    )
    with tempfile.TemporaryDirectory() as work:
        large = Path(work, "binarynet.onnx")
        large.write_bytes(binarynet_onnx())
        for path in (*sorted(models().glob("*.onnx")), large):
            given = [sys.executable, "-c", program, str(path), "fixed<16,6>" if "jettagging" in path.name else ""]
            seconds, peak = map(float, subprocess.run(given, check=True, capture_output=True, text=True).stdout.split())
            yield f"import of {path.stem}", f"{seconds:.1f} s, {peak:.2f} GB peak", "5 s, 1 GB"


PARTS: dict[str, Callable[[], Iterator[Row]]] = {
    f.__name__: f for f in (generate_binarynet, imports, zoo_intervals, foldings, searches, lfc_rtl, csim, cnv_rtl, golden_against_pytorch)
}


def main() -> None:
    """Run the parts that are named, or all."""
    chosen = sys.argv[1:] or list(PARTS)
    print(f"{'what':<46} {'seen':<44} at least / at most")
    for name in chosen:
        try:
            for what, seen, promised in PARTS[name]():
                print(f"{what:<46} {seen:<44} {promised}", flush=True)
        except (FileNotFoundError, Exception) as e:  # a part that lacks its data must not hide the others
            print(f"{name:<46} not measured: {str(e)[:80]}")


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    main()
