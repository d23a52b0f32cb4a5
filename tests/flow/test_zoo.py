"""Every network of the zoo, on every rung; the framework rung from saved outputs, and from PyTorch where it is installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import bnnhw
from bnnhw import data, frontend
from bnnhw.golden import run
from bnnhw.ir.expected import read_expected
from bnnhw.lower import lower

ZOO = frontend.zoo_names()
SMALL = ("digits_mlp", "digits_cnn")


@pytest.mark.parametrize("name", ZOO)
def test_weights_are_small_and_outputs_are_saved(name: str) -> None:
    file = frontend.expected_file(name)
    assert file is not None and len(read_expected(file).frames) == 16
    weights = file.with_name(f"{name}.npz")
    assert weights.stat().st_size < 2_000_000


@pytest.mark.parametrize("name", ZOO)
def test_golden_gives_the_saved_sums_and_labels(name: str) -> None:
    file = frontend.expected_file(name)
    assert file is not None
    expected = read_expected(file)
    got = run(lower(frontend.load(name)).network, expected.frames)
    assert (got.outputs.reshape(expected.outputs.shape) == expected.outputs).all()
    assert (got.labels == expected.labels).all()
    assert len(np.unique(expected.outputs)) > 10


@pytest.mark.parametrize("name", ZOO)
def test_golden_equals_pytorch(name: str, request: pytest.FixtureRequest) -> None:
    """On test images, with a fresh module that holds the shipped weights."""
    torch = pytest.importorskip("torch")
    from bnnhw.nn.model import build
    from bnnhw.nn.train import prepare

    trained = frontend.load(name)
    top = trained.topology
    assert top.train is not None
    if top.train.data != "digits":
        request.getfixturevalue("data_folder")
    count = 360 if name in SMALL else 48
    images = data.load_split(top.train.data, "test").x[:count]
    model = build(top)
    state = model.state_dict()
    model.load_state_dict({k: torch.from_numpy(np.asarray(trained.tensors[k], np.float32)) if k in trained.tensors else v for k, v in state.items()})
    model.eval()
    with torch.no_grad():
        sums = model(prepare(top.input, images)).flatten(1).numpy()
    got = run(lower(trained).network, images)
    assert (got.outputs.reshape(sums.shape) == sums).all()


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("stalls", ["none", "random"])
def test_small_networks_on_every_rung(name: str, stalls: str, tmp_path: Path) -> None:
    made = bnnhw.generate(name, tmp_path / "d", fps=20_000)
    report = bnnhw.verify(tmp_path / "d", frames=16, stalls=stalls)
    assert [r.name for r in report.rungs] == ["framework", "rtl"]
    assert report.passed, report
    if stalls == "none":
        assert report.rungs[1].interval_cycles == report.predicted_interval == made.pipeline.interval
        assert report.rungs[1].latency_cycles == report.predicted_latency


def test_binarynet_one_frame_on_every_rung(tmp_path: Path) -> None:
    bnnhw.generate("bnn_cifar10", tmp_path / "d")
    report = bnnhw.verify(tmp_path / "d", frames=1)
    assert report.passed, report
    assert report.rungs[1].latency_cycles == report.predicted_latency


@pytest.mark.slow
def test_binarynet_interval_and_test_images(tmp_path: Path, data_folder: Path) -> None:
    bnnhw.generate("bnn_cifar10", tmp_path / "d", fps=168, clock_mhz=143)
    report = bnnhw.verify(tmp_path / "d", frames=20, data="cifar10")
    assert report.passed, report
    assert report.rungs[1].interval_cycles == report.predicted_interval <= 851_190


def test_a_change_of_one_word_of_the_generated_files_is_found_and_located(tmp_path: Path) -> None:
    bnnhw.generate("digits_mlp", tmp_path / "d", fps=50_000)
    file = tmp_path / "d" / "mem" / "digits_mlp_fc2_weights.mem"
    text = file.read_text()
    first, rest = text.split("\n", 1)
    file.write_text("".join(f"{15 - int(digit, 16):x}" for digit in first) + "\n" + rest)
    report = bnnhw.verify(tmp_path / "d", frames=16)
    assert not report.passed
    difference = report.rungs[1].difference
    assert difference is not None and difference.layer == "fc2"
    assert str(difference).startswith("rtl: layer 'fc2', frame ")


def test_generating_again_from_the_design_file_gives_the_same_bytes(tmp_path: Path) -> None:
    bnnhw.generate("digits_cnn", tmp_path / "a", fps=3000)
    bnnhw.generate("digits_cnn", tmp_path / "b", design=tmp_path / "a" / "design.yaml")
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(tmp_path / "b") for p in (tmp_path / "b").rglob("*") if p.is_file())
    for f in files:
        assert (tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes(), f


def test_training_gives_files_that_generate_reads(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    metrics = bnnhw.train("digits_mlp", tmp_path / "t", epochs=3, quiet=True)
    assert metrics["test_accuracy"] > 50
    again = bnnhw.train("digits_mlp", tmp_path / "t", epochs=3, quiet=True)
    assert again["test_accuracy"] == metrics["test_accuracy"]
    bnnhw.generate(tmp_path / "t" / "network.yaml", tmp_path / "d")
    assert bnnhw.verify(tmp_path / "d", level="golden").passed
