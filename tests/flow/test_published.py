"""Published networks that nobody here trained: golden gives every label, RTL the sums."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bnnhw.golden import run
from bnnhw.ir.design import Design
from bnnhw.ir.integer import Network
from bnnhw.ir.pipeline import pipeline
from bnnhw.schedule import complete
from bnnhw.verify.rtl import Simulation
from support.published import CNV_FOLDING, LFC_FOLDING, cifar_test, cnv, design_data, lfc, mnist_test


@pytest.fixture(scope="module")
def expected(models_folder: Path) -> dict[str, np.ndarray]:
    with np.load(models_folder / "bnnpynq_expected.npz") as z:
        return {k: z[k] for k in z.files}


@pytest.fixture(scope="module")
def cifar(data_folder: Path) -> np.ndarray:
    """Test images in the order of the expected labels: class by class."""
    del data_folder
    return cifar_test()


def folded(net: Network, folding: dict[str, tuple[int, ...]]) -> Design:
    return complete(net, design_data(net, folding), "published folding")


def test_lfc_golden_gives_all_labels_and_traces(models_folder: Path, data_folder: Path, expected: dict[str, np.ndarray]) -> None:
    net, images = lfc(models_folder), mnist_test(data_folder)
    assert (run(net, images).labels == expected["lfcW1A1/all_labels"]).all()
    some = run(net, images[expected["lfcW1A1/trace_index"]], trace=True)
    for i in range(3):
        assert (2 * some.layers[f"L{i}"].reshape(4, -1).astype(int) - 1 == expected[f"lfcW1A1/trace_L{i}"]).all()
    bits = run(net, images[expected["lfcW1A1/index"]]).outputs.reshape(100, 10)
    assert (bits == expected["lfcW1A1/bits"]).all()


def test_lfc_rtl_gives_the_first_hundred(models_folder: Path, data_folder: Path, expected: dict[str, np.ndarray], tmp_path: Path) -> None:
    net = lfc(models_folder)
    design = folded(net, LFC_FOLDING)
    frames = mnist_test(data_folder)[expected["lfcW1A1/index"]]
    (seen,) = Simulation([(net, design)], tmp_path).run([frames])
    assert (seen.outputs.reshape(100, 10) == expected["lfcW1A1/bits"]).all()
    assert set(seen.intervals[5:]) == {pipeline(net, design).interval} == {512}


def test_cnv_golden_gives_all_labels_sums_and_traces(models_folder: Path, cifar: np.ndarray, expected: dict[str, np.ndarray]) -> None:
    net = cnv(models_folder)
    assert (run(net, cifar).labels == expected["cnvW1A1/all_labels"]).all()
    assert (run(net, cifar[expected["cnvW1A1/index"]]).outputs.reshape(100, 10) == expected["cnvW1A1/acc"]).all()
    some = run(net, cifar[expected["cnvW1A1/trace_index"]], trace=True)
    for i, name in enumerate(("L0", "P1", "L2", "P3", "L4", "L5", "L6", "L7")):
        want = expected[f"cnvW1A1/trace_L{i}"]
        assert (2 * some.layers[name].reshape(want.shape).astype(int) - 1 == want).all()


def test_cnv_rtl_gives_the_first_hundred(models_folder: Path, cifar: np.ndarray, expected: dict[str, np.ndarray], tmp_path: Path) -> None:
    net = cnv(models_folder)
    design = folded(net, CNV_FOLDING)
    (seen,) = Simulation([(net, design)], tmp_path).run([cifar[expected["cnvW1A1/index"]]])
    assert (seen.outputs.reshape(100, 10) == expected["cnvW1A1/acc"]).all()
    assert set(seen.intervals[5:]) == {pipeline(net, design).interval}
    assert pipeline(net, design).interval <= 32_768


@pytest.mark.slow
def test_lfc_rtl_gives_all_labels(models_folder: Path, data_folder: Path, expected: dict[str, np.ndarray], tmp_path: Path) -> None:
    net = lfc(models_folder)
    (seen,) = Simulation([(net, folded(net, LFC_FOLDING))], tmp_path, optimise=3).run([mnist_test(data_folder)])
    assert (net.labels(seen.outputs) == expected["lfcW1A1/all_labels"]).all()


@pytest.mark.slow
def test_cnv_rtl_gives_all_labels(models_folder: Path, cifar: np.ndarray, expected: dict[str, np.ndarray], tmp_path: Path) -> None:
    net = cnv(models_folder)
    (seen,) = Simulation([(net, folded(net, CNV_FOLDING))], tmp_path, optimise=3).run([cifar])
    assert (net.labels(seen.outputs) == expected["cnvW1A1/all_labels"]).all()
    assert (seen.outputs == run(net, cifar).outputs).all()
