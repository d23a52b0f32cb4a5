"""docs/own-quantiser.md as it stands: a quantiser outside the package, trained, generated and bit-exact; and what goes wrong."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import bnnhw
from bnnhw import data, frontend
from bnnhw.golden import run
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.topology import Topology
from bnnhw.lower import lower

torch = pytest.importorskip("torch")

from bnnhw.nn.model import build, load_parameters  # noqa: E402
from bnnhw.nn.quantiser import ActivationQuantiser, IntegerWeights, Levels, Own, Planes, WeightQuantiser  # noqa: E402
from bnnhw.nn.train import prepare  # noqa: E402

PAGE = Path(__file__).parents[2] / "docs" / "own-quantiser.md"
MOST_LINES = 40


def block(language: str) -> str:
    """The page's one block of a language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return found


def test_the_page_runs_as_it_stands(tmp_path: Path) -> None:
    code = block("python")
    assert len(code.splitlines()) < MOST_LINES
    (tmp_path / "learned_ternary.py").write_text(code)
    (tmp_path / "net.yaml").write_text(block("yaml"))
    done = subprocess.run(
        [sys.executable, "learned_ternary.py"], cwd=tmp_path, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    description = yaml.safe_load((tmp_path / "trained" / "network.yaml").read_text())
    assert [layer["weights"] for layer in description["layers"] if layer["type"] == "dense"] == ["integers", "integers"]
    with np.load(tmp_path / "trained" / "weights.npz") as stored:
        assert set(np.unique(stored["fc1.weight"])) == {-1, 0, 1}
    kept = torch.load(tmp_path / "trained" / "checkpoint.pt", weights_only=True)["model"]["fc1.quantiser.t"]
    assert len(kept.unique()) > 1, "no threshold was learned"
    assert float(re.search(r"'test_accuracy': ([\d.]+)", done.stdout)[1]) > 80


class Asymmetric(WeightQuantiser):
    """-1, 0, +2 times half the mean magnitude."""

    def __init__(self, shape: tuple[int, ...], layer: str) -> None:
        super().__init__()

    def forward(self, w: Any) -> Any:
        found = self.integers(w.detach())
        return w + (found.unit.reshape(-1, *[1] * (w.dim() - 1)) * found.values - w).detach()

    def integers(self, w: Any) -> IntegerWeights:
        unit = w.abs().flatten(1).mean(1) / 2
        x = w / unit.reshape(-1, *[1] * (w.dim() - 1))
        return IntegerWeights(2 * (x > 1).long() - (x < -1).long(), unit)


class Uneven(ActivationQuantiser):
    """-2, 0, 1 and 5 times a quarter."""

    def __init__(self, shape: tuple[int, ...], layer: str) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Any) -> Any:
        found = self.levels()
        y = found.unit * found.values[torch.bucketize(x.detach().contiguous(), found.thresholds, right=True)]
        return x.clamp(-0.5, 1.25) + (y - x.clamp(-0.5, 1.25)).detach()

    def levels(self) -> Levels:
        return Levels(torch.tensor([-0.25, 0.125, 0.75]), torch.tensor([-2, 0, 1, 5]), 0.25)


def described(**train: Any) -> dict[str, Any]:
    """A convolution, levels and a dense layer, for digits."""
    return {
        "bnnhw": 1, "name": "own", "input": {"shape": [1, 8, 8], "type": "uint8", "preprocess": "2p-255"},
        "layers": [
            {"type": "conv", "name": "c1", "out": 6, "kernel": 3, "pad": 1, "stride": 2}, {"type": "batchnorm", "name": "b1", "eps": 1e-5},
            {"type": "levels", "name": "a1"}, {"type": "dense", "name": "fc", "out": 10},
        ],
        "quantisers": {"weights": {"method": "real"}},
        "train": {"data": "digits", "epochs": 2, "batch": 50, **train},
    }  # fmt: skip


OWN: Own = {"c1": Asymmetric, "a1": Uneven, "fc": Asymmetric}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    (folder / "net.yaml").write_text(yaml.safe_dump(described()))
    bnnhw.train(folder / "net.yaml", folder, quiet=True, own=OWN)
    return folder


def test_own_weights_and_levels_of_a_convolution_go_before_the_described_methods(trained: Path) -> None:
    images = data.load_split("digits", "test").x
    net = Topology.model_validate(yaml.safe_load((trained / "trained.yaml").read_text()))
    model = build(net, OWN)
    load_parameters(model, trained)
    assert model.a1.quantiser.shape == (6, 4, 4) and not model.is_real
    with torch.no_grad():
        sums = model.eval()(prepare(net.input, images)).flatten(1).numpy()
    integer = lower(frontend.load(trained / "network.yaml")).network
    assert (run(integer, images).outputs.reshape(sums.shape) == sums).all() and len(np.unique(sums)) > 10
    assert set(np.unique(integer["c1"].weights.values)) == {-1, 0, 2}
    assert integer["c1"].out.values.tolist() == [-2, 0, 1, 5]
    assert bnnhw.generate(trained / "network.yaml", trained / "design", fps=10_000).pipeline.interval <= 10_000
    report = bnnhw.verify(trained / "design", frames=4, data="digits")
    assert report.passed, report.rungs


def test_a_checkpoint_remembers_whose_quantisers_it_had(trained: Path, tmp_path: Path) -> None:
    net = Topology.model_validate(described())
    fewer = {name: OWN[name] for name in ("c1", "a1")}
    message = "trained with own quantisers in a1, c1, fc, given for a1, c1; pass the same own as in training"
    with pytest.raises(BnnhwError, match=message):
        load_parameters(build(net, fewer), trained)
    with pytest.raises(BnnhwError, match=message):
        bnnhw.train(trained / "net.yaml", trained, quiet=True, own=fewer)
    plain = described() | {"quantisers": {"activations": {"method": "uint"}}}
    with pytest.raises(BnnhwError, match="given for no layer"):
        load_parameters(build(Topology.model_validate(plain)), trained)
    (tmp_path / "student.yaml").write_text(yaml.safe_dump(plain | {"train": {"data": "digits", "epochs": 1, "distil": {"teacher": str(trained)}}}))
    with pytest.raises(BnnhwError, match="levels are trained by a method"):
        bnnhw.train(tmp_path / "student.yaml", tmp_path / "student", quiet=True)


def test_training_goes_on_from_a_checkpoint_with_own_quantisers(trained: Path) -> None:
    before = (trained / "metrics.jsonl").read_text()
    bnnhw.train(trained / "net.yaml", trained, quiet=True, own=OWN)
    assert (trained / "metrics.jsonl").read_text() == before


def changed(**fields: Any) -> Callable[[tuple[int, ...], str], WeightQuantiser]:
    """An `Asymmetric` whose integers have other fields."""

    def made(shape: tuple[int, ...], layer: str) -> WeightQuantiser:
        q = Asymmetric(shape, layer)
        right = q.integers
        q.integers = lambda w: replace(right(w), **{k: f(right(w)) for k, f in fields.items()})
        return q

    return made


def leveled(*parts: Any) -> Callable[[tuple[int, ...], str], ActivationQuantiser]:
    """An `Uneven` with other levels."""

    def made(shape: tuple[int, ...], layer: str) -> ActivationQuantiser:
        q = Uneven(shape, layer)
        q.levels = lambda: Levels(*parts)
        return q

    return made


def one_plane(bipolar: bool) -> Callable[[IntegerWeights], Planes]:
    return lambda w: Planes(bipolar, (w.values > 0)[None], torch.ones(1, len(w.values), dtype=torch.int64))


RISING, VALUES = torch.tensor([0.0, 1.0]), torch.tensor([0, 1, 2])
WRONG: dict[str, tuple[Own, str]] = {
    "no such layer": ({"b1": Asymmetric}, r"^own quantiser: network 'own' has no conv, dense or levels layer 'b1'; it has c1, a1, fc$"),
    "weights for levels": ({"a1": Asymmetric}, r"^layer 'a1': its own quantiser is of type Asymmetric; derive it from bnnhw.nn.quantiser.ActivationQ"),
    "levels for weights": ({"c1": Uneven}, r"^layer 'c1': its own quantiser is of type Uneven; derive it from bnnhw.nn.quantiser.WeightQuantiser$"),
    "floats": ({"c1": changed(values=lambda w: w.values.float())}, r"^layer 'c1': .*float32 values .*; give int64 values \[6, 1, 3, 3\]"),
    "shape": ({"c1": changed(values=lambda w: w.values.flatten(1))}, r"^layer 'c1': .*values \[6, 9\] and .*; give int64 values \[6, 1, 3, 3\]"),
    "one unit": ({"c1": changed(unit=lambda w: w.unit[:1])}, r"^layer 'c1': .*units \[1\]; give .* float32 units \[6\]$"),
    "unit 0": ({"c1": changed(unit=lambda w: 0 * w.unit)}, r"^layer 'c1': its quantiser gives output 0 the unit 0; every unit must be finite"),
    "unit NaN": ({"c1": changed(unit=lambda w: w.unit * float("nan"))}, r"^layer 'c1': its quantiser gives output 0 the unit nan;"),
    "planes": ({"c1": changed(planes=one_plane(True))}, r"^layer 'c1': its quantiser gives planes that do not add up to its values; leave"),
    "negative": (
        {"c1": changed(values=lambda w: (w.values > 0).long(), planes=one_plane(False), unit=lambda w: -w.unit)},
        r"^layer 'c1': .* output 0 a negative unit beside unipolar planes or two steps; negate its values$",
    ),
    "level count": ({"a1": leveled(RISING, VALUES[:2], 1.0)}, r"^layer 'a1': .*thresholds \[2\] and torch.int64 values \[2\]; give float32 thresh"),
    "falling": ({"a1": leveled(RISING.flip(0), VALUES, 1.0)}, r"^layer 'a1': .*thresholds \[1.0, 0.0\] .* both must be finite and rise"),
    "equal values": ({"a1": leveled(RISING, 0 * VALUES, 1.0)}, r"^layer 'a1': .*values \[0, 0, 0\]; both must be finite and rise, values strictly$"),
    "level unit": ({"a1": leveled(RISING, VALUES, float("nan"))}, r"^layer 'a1': its quantiser gives the unit nan; it must be positive and finite$"),
    "level planes": (
        {"a1": leveled(RISING, VALUES, 1.0, Planes(False, torch.ones(1, 3, dtype=torch.bool), torch.ones(1, 1, dtype=torch.int64)))},
        r"^layer 'a1': its quantiser gives planes that do not add up",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_an_own_quantiser_gets_wrong_is_named(case: str) -> None:
    own, message = WRONG[case]
    net = Topology.model_validate(described())
    with pytest.raises(BnnhwError, match=message):
        build(net, {**OWN, **own}).eval()(torch.ones(1, 1, 8, 8))


def test_names_that_modules_have_are_refused() -> None:
    for name in ("half", "products", "own", "training"):
        layers = [{"type": "dense", "name": name, "out": 10}]
        net = Topology.model_validate({"bnnhw": 1, "name": "n", "input": {"shape": [4], "type": "int8"}, "layers": layers})
        with pytest.raises(
            BnnhwError, match=f"layer '{name}': a trained layer's name must be an identifier that no attribute of modules has; rename it"
        ):
            build(net)
