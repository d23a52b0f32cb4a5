"""Methods, joins and tensors that make no sense: one line that names layer, rule, value and remedy; exit code 2; nothing written."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

import bnnhw
from bnnhw.cli import main

Tensors = dict[str, NDArray]

GOOD: dict[str, Any] = {
    "bnnhw": 1, "name": "n", "weights": "w.npz", "input": {"shape": [2, 4, 4], "type": "bipolar"},
    "layers": [
        {"type": "conv", "name": "g", "out": 2, "kernel": 3, "pad": 1, "pad_value": -1, "partial": {"taps": 6, "bits": 6}},
        {"type": "sign", "name": "h", "zero_to": 1},
        {"type": "conv", "name": "c", "out": 4, "kernel": 3, "pad": 1, "weights": "planes"},
        {"type": "scale", "name": "u"},
        {"type": "batchnorm", "name": "b", "eps": 1e-5},
        {"type": "levels", "name": "a"},
        {"type": "conv", "name": "k", "out": 4, "kernel": 1, "weights": "integers"},
        {"type": "fixed", "name": "x", "bits": 6},
        {"type": "table", "name": "t"},
        {"type": "multiply", "name": "m", "inputs": ["x", "t"]},
        {"type": "add", "name": "j", "inputs": ["m", "x"]},
        {"type": "sign", "name": "s", "zero_to": 1},
        {"type": "dense", "name": "d", "out": 4, "weights": "factored"},
        {"type": "levels", "name": "e", "bipolar": True},
        {"type": "dense", "name": "l", "out": 2, "weights": "lookup"},
    ],
}  # fmt: skip
PLACE = {layer["name"]: n for n, layer in enumerate(GOOD["layers"])}


def tensors() -> Tensors:
    rng = np.random.default_rng(0)
    norm = {"weight": np.ones(4), "bias": np.zeros(4), "running_mean": np.zeros(4), "running_var": np.ones(4)}
    return {f"b.{k}": v.astype(np.float32) for k, v in norm.items()} | {
        "g.weight": rng.choice([-1, 1], (2, 2, 3, 3)), "c.bits": rng.integers(0, 2, (2, 4, 2, 3, 3)), "c.mask": rng.integers(0, 2, (2, 4, 2, 3, 3)), "c.scale": np.array([[1, 2, 3, 4]] * 2),
        "u.alpha": np.full(4, 0.5, np.float32), "a.thresholds": np.array([-2, 3.5]), "a.values": np.array([0, 1, 3]),
        "k.weight": rng.integers(-7, 8, (4, 4, 1, 1)),
        "x.multiplier": np.array([3, 4, 5, 6]), "x.addend": np.arange(4), "x.shift": np.array([2]),
        "t.entries": np.arange(64), "t.low": np.array([-32]),
        "d.inner": rng.integers(-1, 2, (3, 64)), "d.middle": np.array([1, 2, 3]), "d.outer": rng.integers(-1, 2, (4, 3)),
        "e.thresholds": np.array([0, 2, 4.0]), "e.values": np.array([-3, -1, 1, 3]), "e.bits": np.array([[0, 1, 0, 1], [0, 0, 1, 1]]), "e.scale": np.array([1, 2]),
        "l.table": rng.integers(-1, 2, (6, 2, 1, 1)), "l.index": rng.integers(0, 6, (2, 5)), "l.sign": rng.integers(-1, 2, (2, 5)),
    }  # fmt: skip


Call = Callable[..., tuple[int, str]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """The command line: exit code and what stderr says."""

    def run(*arguments: str | Path) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["bnnhw", *map(str, arguments)])
        capsys.readouterr()
        code: Any = 0
        try:
            main()
        except SystemExit as e:
            code = e.code
        return code or 0, capsys.readouterr().err

    return run


@pytest.fixture
def refused(tmp_path: Path, call: Call) -> Callable[..., str]:
    """Runs a verb that must fail with one line and leave nothing behind; the line without the path in front."""

    def run(verb: str, description: dict[str, Any], weights: Tensors | None = None, *more: str) -> str:
        (tmp_path / "n.yaml").write_text(yaml.safe_dump(description))
        if weights is not None:
            np.savez(tmp_path / "w.npz", **weights)  # type: ignore[arg-type]
        before = sorted(tmp_path.rglob("*"))
        code, said = call(verb, "--net", tmp_path / "n.yaml", "--out", tmp_path / "out", *more)
        assert (code, said.count("\n")) == (2, 1), said
        assert "unexpected" not in said and len(said) < 600, said
        assert sorted(tmp_path.rglob("*")) == before
        return said.removeprefix("bnnhw: ").replace(f"{tmp_path}/n.yaml: ", "").replace(f"{tmp_path}/", "")

    return run


def layer(at: str, /, **values: Any) -> Callable[[dict[str, Any], Tensors], None]:
    return lambda d, t: d["layers"][PLACE[at]].update(values)


def tensor(name: str, value: Any) -> Callable[[dict[str, Any], Tensors], None]:
    """Replaces a tensor, or its first element."""
    return lambda d, t: t.update({name: value if isinstance(value, np.ndarray) else np.array([value, *t[name].ravel()[1:]]).reshape(t[name].shape)})


def without(*names: str) -> Callable[[dict[str, Any], Tensors], None]:
    return lambda d, t: d.update(layers=[x for x in d["layers"] if x["name"] not in names])


def only_to(name: str, *more: dict[str, Any]) -> Callable[[dict[str, Any], Tensors], None]:
    def change(d: dict[str, Any], t: Tensors) -> None:
        d["layers"] = [*d["layers"][: PLACE[name] + 1], *more]
        kept = {x["name"] for x in d["layers"]}
        for key in [k for k in t if k.split(".")[0] not in kept]:
            del t[key]

    return change


def inserted(before: str, *more: dict[str, Any]) -> Callable[[dict[str, Any], Tensors], None]:
    return lambda d, t: d["layers"].__setitem__(slice(PLACE[before], PLACE[before]), more)


BIG = 1 << 50
AT = {name: f"layer {name!r}: layers.{n}.{x['type']}." for (name, n), x in zip(PLACE.items(), GOOD["layers"], strict=True)}
GENERATE: dict[str, tuple[Callable[[dict[str, Any], Tensors], None], str]] = {
    # scales
    "scale alpha of 0": (tensor("u.alpha", 0.0), "layer 'u': channel 0 has the scale 0, so no input changes it; retrain or mend the file"),
    "scale alpha NaN": (tensor("u.alpha", np.nan), "layer 'c': 'u.alpha' holds NaN or infinity; retrain or mend the file"),
    "multiplier too large": (tensor("x.multiplier", BIG), "layer 'x': 'x.multiplier' holds 1125899906842624, at most 70368744177663 fits; use fewer bits"),
    "multiplier times sums too large": (lambda d, t: t.update({"x.multiplier": np.full(4, 1 << 45), "k.weight": np.full((4, 4, 1, 1), 1 << 20)}), "layer 'x': multiplied sums reach 4.43e+20, which overflows 62 bits; use smaller multipliers"),
    "multiplier not whole": (tensor("x.multiplier", 1.5), "layer 'x': 'x.multiplier' must hold integers, it holds 1.5; round them over a scale"),
    "multiplier NaN": (tensor("x.multiplier", np.nan), "layer 'x': 'x.multiplier' holds NaN or infinity"),
    "addend too large": (tensor("x.addend", -BIG), "layer 'x': 'x.addend' holds -1125899906842624, at most 70368744177663 fits; use fewer bits"),
    "shift below 0": (tensor("x.shift", -1), "layer 'x': 'x.shift' is -1, a shift is 0 to 40; export it again"),
    "shift of half a bit": (tensor("x.shift", 1.5), "layer 'x': 'x.shift' must hold integers, it holds 1.5; round them over a scale"),
    "shift too far": (tensor("x.shift", 64), "layer 'x': 'x.shift' is 64, a shift is 0 to 40; export it again"),
    "planes scale NaN": (tensor("c.scale", np.nan), "layer 'c': 'c.scale' holds NaN or infinity; retrain or mend the file"),
    "planes scale not whole": (tensor("c.scale", 0.5), "layer 'c': 'c.scale' must hold integers, it holds 0.5; round them over a scale"),
    "planes scale of 0": (tensor("c.scale", np.array([[1, 0, 1, 1]] * 2)), "layer 'c': every plane of output 1 has the scale 0, so no input changes it; retrain, or remove the output"),
    "planes scale too large": (tensor("c.scale", 1 << 25), "layer 'c': 'c.scale' holds 33554432, at most 16777216 fits; use fewer bits"),
    "planes scale of another number": (tensor("c.scale", np.ones((3, 4))), "layer 'c': 'c.scale' has shape (3, 4), not (2, 4); check the layer's sizes"),
    "planes mask of another number": (tensor("c.mask", np.ones((1, 4, 2, 3, 3))), "layer 'c': 'c.mask' has shape (1, 4, 2, 3, 3), not (2, 4, 2, 3, 3)"),
    "no planes": (tensor("c.bits", np.zeros((0, 4, 2, 3, 3))), "layer 'c': weights file has no planes 'c.bits'; store bits [P, O, ...]"),
    "planes that are none": (tensor("c.bits", np.zeros(3)), "layer 'c': weights file has no planes 'c.bits'; store bits [P, O, ...]"),
    "plane bits that are none": (tensor("c.bits", 0.3), "layer 'c': 'c.bits' must hold bits, 0 or 1, it holds 0.3; export it again"),
    "plane mask of no bits": (tensor("c.mask", 2), "layer 'c': 'c.mask' must hold bits, 0 or 1, it holds 2; export it again"),
    "weights not whole": (tensor("k.weight", 0.25), "layer 'k': 'k.weight' must hold integers, it holds 0.25; round them over a scale"),
    "weights too large": (tensor("k.weight", 1e300), "layer 'k': 'k.weight' holds 1e+300, at most 16777216 fits; use fewer bits"),
    # levels
    "thresholds that fall": (tensor("a.thresholds", np.array([3, 2.5])), "layer 'a': its thresholds fall from 3 to 2.5; sort them along the last axis"),
    "thresholds NaN": (tensor("a.thresholds", np.nan), "layer 'a': 'a.thresholds' holds NaN or infinity"),
    "too few thresholds": (tensor("a.thresholds", np.ones(1)), "layer 'a': 'a.thresholds' has shape (1,), not (2,)"),
    "values that do not rise": (tensor("a.values", np.array([0, 2, 2])), "layer 'a': its values must rise strictly, 2 follows 2; sort them and drop equal ones"),
    "values not whole": (tensor("a.values", np.array([0, 0.5, 2])), "layer 'a': 'a.values' must hold integers, it holds 0.5; round them over a scale"),
    "values too large": (tensor("a.values", np.array([0, 1, 1e200])), "layer 'a': 'a.values' holds 1e+200, at most 16777216 fits; use fewer bits"),
    "a single level": (tensor("a.values", np.zeros(1)), "layer 'a': 1 levels cannot be; give 2 to 256"),
    "too many levels": (tensor("a.values", np.arange(257)), "layer 'a': 257 levels cannot be; give 2 to 256"),
    "values of two dimensions": (tensor("a.values", np.ones((3, 2))), "layer 'a': 'a.values' has shape (3, 2), not (3,)"),
    "level planes of other values": (tensor("e.scale", np.array([2, 1])), "layer 'e': its planes give [-3, 1, -1, 3], its values are [-3, -1, 1, 3]; export it again"),
    "level planes NaN": (tensor("e.scale", np.nan), "layer 'e': 'e.scale' holds NaN or infinity"),
    "level planes not whole": (tensor("e.scale", 1.5), "layer 'e': 'e.scale' must hold integers, it holds 1.5; round them over a scale"),
    "level planes of other size": (tensor("e.bits", np.ones((2, 3))), "layer 'e': 'e.bits' has shape (2, 3), not (2, 4)"),
    "level planes that are none": (tensor("e.bits", np.array(1)), "layer 'e': 'e.bits' has shape (), not (1, 4); check the layer's sizes"),
    "level bits that are none": (tensor("e.bits", 2), "layer 'e': 'e.bits' must hold bits, 0 or 1, it holds 2; export it again"),
    # tables
    "table too short": (tensor("t.entries", np.arange(50)), "layer 't': its input runs from -30 to 31, the entries from -32 to 17; export the table again"),
    "table too late": (tensor("t.low", -29), "layer 't': its input runs from -30 to 31, the entries from -29 to 34; export the table again"),
    "table of nothing": (tensor("t.entries", np.zeros(0)), "layer 't': its input runs from -30 to 31, the entries from -32 to -33; export"),
    "entries not whole": (tensor("t.entries", 0.5), "layer 't': 't.entries' must hold integers, it holds 0.5; round them over a scale"),
    "entries too large": (tensor("t.entries", 1e300), "layer 't': 't.entries' holds 1e+300, at most 16777216 fits; use fewer bits"),
    "low not whole": (tensor("t.low", -32.5), "layer 't': 't.low' must hold integers, it holds -32.5; round them over a scale"),
    "a table of levels": (layer("t", inputs=["a"]), "layer 't': table takes integers, 'c' gives levels; put a fixed layer before it"),
    "a table of wide numbers": (layer("x", bits=20), "layer 't': its input runs from"),
    # joins
    "an add of levels": (layer("j", inputs=["a", "x"]), "layer 'j': add takes integers, 'c' gives levels; put a fixed layer before it"),
    "a multiply of levels": (layer("m", inputs=["a", "t"]), "layer 'm': multiply takes integers, 'c' gives levels; put a fixed layer before it"),
    "a concat of different encodings": (layer("j", type="concat", inputs=["a", "x"]), "layer 'j': its inputs have different encodings, 2 and 6 bits; concatenate before the activation"),
    "a multiply of shapes that do not spread": (inserted("m", {"type": "avgpool", "name": "p", "inputs": ["t"], "kernel": 2}, {"type": "multiply", "name": "q", "inputs": ["x", "p"]}), "layer 'q': (4, 2, 2) does not spread over (4, 4, 4); give one channel, one pixel or the same shape"),
    "an add of shapes": (inserted("m", {"type": "avgpool", "name": "p", "inputs": ["t"]}, {"type": "add", "name": "q", "inputs": ["x", "p"]}), "layer 'q': its inputs are (4, 4, 4) and (4, 1, 1); make them the same shape"),
    "a concat of maps": (inserted("m", {"type": "avgpool", "name": "p", "inputs": ["t"]}, {"type": "concat", "name": "q", "inputs": ["x", "p"]}), "layer 'q': its inputs have maps of (4, 4) and (1, 1); make them the same size"),
    "an unknown input": (layer("j", inputs=["m", "y"]), "layer 'j': its input 'y' is no layer before it; name one that is"),
    "a later input": (layer("m", inputs=["x", "j"]), "layer 'm': its input 'j' is no layer before it; name one that is"),
    "a layer that reads itself": (layer("t", inputs=["t"]), "layer 't': its input 't' is no layer before it; name one that is"),
    "a join with one input": (layer("j", inputs=["m"]), "layer 'j': add takes 2 inputs, given 1; list as many under 'inputs'"),
    "a join with none": (lambda d, t: d["layers"][PLACE["j"]].pop("inputs"), "layer 'j': add takes 2 inputs, given 0; list as many under 'inputs'"),
    "a join with three": (layer("j", inputs=["m", "x", "t"]), "layer 'j': add takes 2 inputs, given 3"),
    "a conv with two": (layer("k", inputs=["a", "a"]), "layer 'k': conv takes 1 input, given 2"),
    "a layer named input": (layer("j", name="input"), "layer 'input': the name stands for the network's input; rename it"),
    "an input in mid-block": (layer("j", inputs=["m", "u"]), "layer 'a': reads 'u', real numbers that others read too; put a fixed layer behind its sums"),
    "shifts below 0": (layer("j", shifts=[0, -1]), AT["j"] + "shifts.1: Input should be greater than or equal to 0 (given: -1)"),
    "an unread layer": (layer("j", inputs=["x", "x"]), "layer 'm': nothing reads its output; remove it or make it the last"),
    # partial sums
    "partial taps that do not divide": (layer("g", partial={"taps": 4, "bits": 6}), "layer 'g': partial sums of 4 inputs do not divide its fan-in 18; choose a divisor"),
    "partial sums of a margin of no level": (layer("g", pad_value=0), "layer 'g': partial sums need a margin of levels and whole inputs; set pad_value to a level"),
    "partial sums of 1 bit": (layer("g", partial={"taps": 6, "bits": 1}), AT["g"] + "partial.bits: Input should be greater than or equal to 2 (given: 1)"),
    "partial sums of two steps": (layer("d", partial={"taps": 8, "bits": 6}), "layer 'd': partial sums of factored weights are not generated; remove partial"),
    # two steps
    "factors that do not chain": (tensor("d.outer", np.ones((4, 2))), "layer 'd': factors (4, 2), 3 and (3, 64) do not chain; export them again"),
    "factors of another fan-in": (tensor("d.inner", np.ones((3, 63))), "layer 'd': factors (4, 3), 3 and (3, 63) do not chain; export them again"),
    "factors of other outputs": (tensor("d.outer", np.ones((5, 3))), "layer 'd': factors (5, 3), 3 and (3, 64) do not chain; export them again"),
    "no middle": (lambda d, t: t.pop("d.middle"), "layer 'd': weights file has no 'd.middle' of 1 dimensions; export it again"),
    "factors not whole": (tensor("d.middle", 0.5), "layer 'd': 'd.middle' must hold integers, it holds 0.5; round them over a scale"),
    "factors NaN": (tensor("d.middle", np.nan), "layer 'd': 'd.middle' holds NaN or infinity"),
    "a table of other channels": (tensor("l.table", np.ones((6, 3, 1, 1))), "layer 'l': a table (6, 3, 1, 1) does not fit 4 channels under (1, 1); export it again"),
    "lookups beyond the table": (tensor("l.index", 6), "layer 'l': lookups (2, 5) do not fit 6 products; export them again"),
    "lookups of other outputs": (tensor("l.index", np.ones((3, 5), int)), "layer 'l': lookups (3, 5) do not fit 6 products; export them again"),
    "signs of lookups": (tensor("l.sign", 2), "layer 'l': signs of lookups are -1, 0 or 1, 2 is among them; export them again"),
    "two steps in groups": (lambda d, t: (d["layers"][PLACE["k"]].update(weights="factored", groups=2), t.pop("k.weight")), "layer 'k': factored weights in groups are not generated; use groups: 1"),
    # ends
    "ends in real numbers of a stream": (only_to("j", {"type": "batchnorm", "name": "z", "eps": 0.1, "tensors": {}}), "layer 'z': the network ends in real numbers of a stream; end with a fixed layer"),
    "ends in a join": (only_to("j"), "layer 'j': a network ends in a layer with a head, this is of kind Add; add a sign or a fixed layer"),
    "ends in a table": (only_to("t"), "layer 't': a network ends in a layer with a head, this is of kind Table; add a sign or a fixed layer"),
    "ends in levels": (only_to("a"), "layer 'c': a network ends in sums or single bits, this gives levels of 2; end with a dense layer"),
    # methods
    "real weights": (layer("k", quantiser={"method": "real"}), "layer 'k': real weights have no hardware form; train on from them with a quantiser"),
    "real activations": (layer("a", quantiser={"method": "real"}), "layer 'a': real activations have no hardware form; train on from them with a quantiser"),
    "real weights for all": (lambda d, t: d.update(quantisers={"weights": {"method": "real"}}), "layer 'g': real weights have no hardware form; train on from them with a quantiser"),
    "an unknown storage": (layer("k", weights="floats"), AT["k"] + "weights: Input should be 'signs', 'latent', 'integers', 'planes', 'factored' or 'lookup' (given: 'floats')"),
}  # fmt: skip


def test_the_good_one_is_good(tmp_path: Path, call: Call) -> None:
    (tmp_path / "n.yaml").write_text(yaml.safe_dump(GOOD))
    np.savez(tmp_path / "w.npz", **tensors())  # type: ignore[arg-type]
    assert call("generate", "--net", tmp_path / "n.yaml", "--out", tmp_path / "out") == (0, "")


@pytest.mark.parametrize("case", GENERATE)
def test_generate_refuses(case: str, refused: Callable[..., str]) -> None:
    change, expected = GENERATE[case]
    description, weights = copy.deepcopy(GOOD), tensors()
    change(description, weights)
    said = refused("generate", description, weights)
    assert expected in said, said


DESIGNS: dict[str, tuple[str, dict[str, Any] | None, str]] = {
    "more planes than there are": ("c", {"planes": 5}, "layer 'c': planes 5 cannot be; give 1 to 2"),
    "planes of a binary layer": ("g", {"planes": 2}, "layer 'g': planes 2 cannot be; give 1 to 1"),
    "no plane": ("c", {"planes": 0}, "layers.c.planes: Input should be greater than or equal to 1 (given: 0); see docs/design-file.md"),
    "planes of a sign": ("s", {"planes": 2}, "layer 's': planes 2 has no meaning for a layer of kind Requantise; remove it"),
    "pe of a table": ("t", {"pe": 2}, "layer 't': pe 2 has no meaning for a layer of kind Table; remove it"),
    "simd of lookups": ("l", {"simd": 2}, "layer 'l': simd 2 has no meaning for a layer of kind Gather; remove it"),
    "a single queue": ("j", {"queues": [200]}, "layer 'j': 1 queues for 2 inputs; give one each where there are two"),
    "three queues": ("j", {"queues": [200] * 3}, "layer 'j': 3 queues for 2 inputs; give one each where there are two"),
    "queues of a product": ("k", {"queues": [200]}, "layer 'k': 1 queues for 1 inputs; give one each where there are two"),
    "a queue of one word": ("j", {"queues": [200, 1]}, "layer 'j': queues 1 cannot be; give 2 to 1048576"),
    "queues that deadlock": ("j", {"queues": [108, 139]}, "layer 'j': queues of [108, 139] words can deadlock its branches; give [108, 140], or none to have them chosen"),
    "a fifo of one word": ("k", {"fifo": 1}, "layer 'k': fifo 1 cannot be; give 2 to 1048576"),
    "an unknown key": ("k", {"lanse": 1}, "layers.k.lanse: Extra inputs are not permitted (given: 1); see docs/design-file.md"),
    "an unknown layer": ("y", {"pe": 1}, "network 'n' has no layer 'y'; its layers are g, c, k, t, m, j, s, d_inner, d, l_table, l"),
    "a missing layer": ("k", None, "layer 'k' is missing; give its pe and simd"),
}  # fmt: skip


@pytest.fixture(scope="module")
def designed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the good network and its design as `d`."""
    folder = tmp_path_factory.mktemp("designed")
    (folder / "n.yaml").write_text(yaml.safe_dump(GOOD))
    np.savez(folder / "w.npz", **tensors())  # type: ignore[arg-type]
    bnnhw.generate(folder / "n.yaml", folder / "d", fully_folded=True)
    return folder


@pytest.mark.parametrize("case", DESIGNS)
def test_design_files_are_refused(case: str, designed: Path, tmp_path: Path, call: Call) -> None:
    name, change, expected = DESIGNS[case]
    design = yaml.safe_load((designed / "d" / "design.yaml").read_text())
    if change is None:
        del design["layers"][name]
    else:
        design["layers"].setdefault(name, {}).update(change)
    (tmp_path / "d.yaml").write_text(yaml.safe_dump(design))
    code, said = call("generate", "--net", designed / "n.yaml", "--out", tmp_path / "out", "--design", tmp_path / "d.yaml")
    assert (code, said.count("\n")) == (2, 1) and expected in said, said
    assert [p.name for p in tmp_path.iterdir()] == ["d.yaml"]


LEARN: dict[str, Any] = {
    "bnnhw": 1, "name": "n", "input": {"shape": [1, 8, 8], "type": "uint8", "preprocess": "2p-255"},
    "layers": [
        {"type": "conv", "name": "c", "out": 4, "kernel": 3, "stride": 2},
        {"type": "batchnorm", "name": "b", "eps": 1e-5},
        {"type": "levels", "name": "a", "quantiser": {"method": "uint"}},
        {"type": "conv", "name": "k", "out": 4, "kernel": 1, "quantiser": {"method": "ttq"}},
        {"type": "fixed", "name": "x", "bits": 6, "fraction": 3, "norm": True},
        {"type": "sign", "name": "s", "zero_to": 1, "inputs": ["x"]},
        {"type": "conv", "name": "m", "out": 4, "kernel": 3, "pad": 1, "quantiser": {"method": "bwn"}},
        {"type": "fixed", "name": "y", "bits": 6, "fraction": 3, "norm": True},
        {"type": "add", "name": "j", "inputs": ["x", "y"]},
        {"type": "sign", "name": "z", "zero_to": 1},
        {"type": "dense", "name": "d", "out": 10},
    ],
    "train": {"data": "digits", "epochs": 1, "batch": 200},
}  # fmt: skip
SPOT = {layer["name"]: n for n, layer in enumerate(LEARN["layers"])}
Change = Callable[[dict[str, Any]], Any]


def method(name: str, **quantiser: Any) -> Change:
    return lambda d: d["layers"][SPOT[name]].update(quantiser=quantiser)


def keys(at: str, /, **values: Any) -> Change:
    return lambda d: d["layers"][SPOT[at]].update(values)


def recipe(**values: Any) -> Change:
    return lambda d: d["train"].update(values)


def placed(before: str, *more: dict[str, Any]) -> Change:
    return lambda d: d["layers"].__setitem__(slice(SPOT[before], SPOT[before]), more)


def at(name: str, quantiser: str = "") -> str:
    place = f"layers.{SPOT[name]}.{LEARN['layers'][SPOT[name]]['type']}."
    return f"layer {name!r}: {place}quantiser.{quantiser}" if quantiser else f"layer {name!r}: {place}"


OUTSIDE = "Input should be "
TRAIN: dict[str, tuple[Change, str]] = {
    # parameters of methods
    "t of 0": (method("k", method="ttq", t=0), at("k", "ttq.t: ") + OUTSIDE + "greater than 0 (given: 0)"),
    "n = 0": (method("k", method="fan_in", n=0), at("k", "fan_in.n: ") + OUTSIDE + "greater than or equal to 1 (given: 0)"),
    "more inputs than there are": (method("k", method="fan_in", n=999), "layer 'k': an output has 4 inputs, n is 999; give at most as many"),
    "t of 1": (method("k", method="ttq", t=1), at("k", "ttq.t: ") + OUTSIDE + "less than 1 (given: 1)"),
    "t NaN": (method("k", method="ttq", t=float("nan")), at("k", "ttq.t: ") + OUTSIDE + "a finite number (given: nan)"),
    "M = 0": (method("k", method="abc", bases=0), at("k", "abc.bases: ") + OUTSIDE + "greater than or equal to 1 (given: 0)"),
    "N = 0": (method("a", method="abc", bases=0), at("a", "abc.bases: ") + OUTSIDE + "greater than or equal to 1 (given: 0)"),
    "bits that overflow": (method("k", method="lq", bits=4, scale_bits=8), at("k", "lq: ") + "4 planes of 8-bit scales exceed integers of 255; use scale_bits 6"),
    "bits beyond the method": (method("k", method="dorefa", bits=9), at("k", "dorefa.bits: ") + OUTSIDE + "less than or equal to 8 (given: 9)"),
    "a format of 9 bits": (method("k", method="fixed", integer_bits=4, fraction_bits=5), at("k", "fixed: ") + "<4,5> has 9 bits; choose 2 to 8 in all"),
    "a wrap that does not rise": (method("a", method="fixed", integer_bits=2, fraction_bits=1, overflow="wrap"), at("a", "fixed: ") + "overflow 'wrap' does not rise with the input, so thresholds cannot express it; use 'saturate'"),
    "steps that fall": (method("k", method="inq", steps=[0.5, 0.2, 1]), at("k", "inq.steps: ") + "steps (0.5, 0.2, 1.0) must be portions that rise from above 0 to 1; end with 1.0"),
    "an unknown method": (method("k", method="magic"), at("k").rstrip(".") + ".quantiser: Input tag 'magic' found using 'method' does not match any of the expected tags"),
    "an unknown activation": (method("a", method="twn"), at("a").rstrip(".") + ".quantiser: Input tag 'twn' found using 'method'"),
    "no method": (method("k"), at("k").rstrip(".") + ".quantiser: Unable to extract tag using discriminator 'method'"),
    "a key of another method": (method("k", method="twn", t=0.5), at("k", "twn.t: ") + "Extra inputs are not permitted (given: 0.5)"),
    "an unknown method for all": (lambda d: d.update(quantisers={"weights": {"method": "magic"}}), "quantisers.weights: Input tag 'magic'"),
    "t of 0 for all": (lambda d: d.update(quantisers={"last": {"method": "ttq", "t": 0}}), "quantisers.last.ttq.t: Input should be greater than 0 (given: 0)"),
    "more codewords than weights": (method("k", method="kmeans_rows", n=9, size=2), "layer 'k': codewords must be 1 to 8, it is 9; choose one in this range"),
    "runs that do not divide": (method("k", method="product", size=3, n=2), "layer 'k': sub-vectors of 3 weights do not divide 4 input channels"),
    "kernels of a dense layer": (method("d", method="kernels"), "layer 'd': kernels are shared in weights [O, C, kh, kw]"),
    "a rank beyond the matrix": (method("k", method="lowrank", rank=5), "layer 'k': rank must be 1 to 4, it is 5"),
    "a sparsity of 1": (method("k", method="prune", sparsity=1), at("k", "prune.sparsity: ") + OUTSIDE + "less than 1 (given: 1)"),
    "everything pruned": (method("k", method="prune", sensitivity=16, steps=1), "layer 'k': sensitivity 16 prunes every weight; lower it"),
    "a budget below the widths": (method("k", method="impq", budget=0.5), at("k", "impq: ") + "a budget of 0.5 bits lies outside the widths (1, 2, 4); choose one between them"),
    "levels without a method": (lambda d: d["layers"][SPOT["a"]].pop("quantiser"), "layer 'a': levels are trained by a method; name a quantiser"),
    "a threshold": (lambda d: d["layers"].__setitem__(SPOT["z"], {"type": "threshold", "name": "z", "compare": ">"}), "layer 'z': threshold cannot be trained here; use batchnorm and an activation"),
    "stored planes": (keys("k", weights="planes"), "layer 'k': bias, alpha and stored forms of weights are not trained here; name a quantiser"),
    "a bias": (keys("d", bias=True), "layer 'd': bias, alpha and stored forms of weights are not trained here; name a quantiser"),
    "a wrap of unsigned numbers": (keys("x", overflow="wrap", signed=False), at("x").rstrip(".") + ": wrap is for signed numbers; set signed: true or overflow: saturate"),
    "a static range never seen": (lambda d: (method("a", method="uniform_relu")(d), recipe(calibrate=3)(d)), "train: calibrate shows 3 batches to a trained network, none is given; name its folder under 'start'"),
    # what has no hardware form
    "no activation": (lambda d: d["layers"].pop(SPOT["a"]), "layer 'k': takes integers, its input is real behind a batch norm; put a sign, levels or a fixed layer before it"),
    "a fixed layer behind a batch norm": (placed("x", {"type": "batchnorm", "name": "n", "eps": 0.1}), "layer 'x': takes integers, its input is real behind a batch norm"),
    "an add of levels": (keys("j", inputs=["s", "z0"]), "layer 'j': its input 'z0' is no layer before it"),
    "an add of signs": (placed("z", {"type": "sign", "name": "w", "zero_to": 1, "inputs": ["j"]}, {"type": "add", "name": "v", "inputs": ["s", "w"]}), "layer 'v': add takes integers, 's' gives levels; put a fixed layer before it"),
    "an add of units": (placed("j", {"type": "add", "name": "v", "inputs": ["y", "a"]}), "layer 'v': units 0.125 and 0.333333 are no power of two apart; put fixed layers before it"),
    "an add of scales a channel": (keys("j", inputs=["x", "m"]), "layer 'j': its input has a scale of its own in every channel; put a fixed layer or an activation before it"),
    "a concat of encodings": (keys("j", type="concat", inputs=["x", "s"]), "layer 'j': its inputs have different units; put fixed layers of one format before it"),
    "a concat of formats": (lambda d: (keys("y", fraction=2)(d), keys("j", type="concat")(d)), "layer 'j': its inputs have different units"),
    "a multiply of levels": (keys("j", type="multiply", inputs=["x", "s"]), "layer 'j': multiply takes integers, 's' gives levels; put a fixed layer before it"),
    "a multiply of shapes": (placed("j", {"type": "avgpool", "name": "p", "kernel": 2, "stride": 1, "inputs": ["x"]}, {"type": "multiply", "name": "q", "inputs": ["y", "p"]}), "layer 'q': (4, 2, 2) does not spread over (4, 3, 3); give one channel, one pixel or the same shape"),
    "an unread layer": (keys("j", inputs=["x", "x"]), "layer 'm': nothing reads its output; remove it or make it the last"),
    "partial taps that do not divide": (keys("m", partial={"taps": 5, "bits": 4}, pad_value=1), "layer 'm': partial sums of 5 inputs do not divide its fan-in 36; choose a divisor"),
    "partial sums of a bad margin": (keys("m", partial={"taps": 6, "bits": 4}), "layer 'm': partial sums need a margin of levels and whole inputs; set pad_value to a level"),
    "partial sums of planes": (keys("k", partial={"taps": 2, "bits": 4}, quantiser={"method": "dorefa", "bits": 3}), "layer 'k': partial sums are narrowed for one weight plane of scale 1 only, it has 3 of [1, 2, 4]; use binary or ternary weights"),
    "partial sums in groups": (keys("m", partial={"taps": 6, "bits": 4}, pad_value=1, groups=2), "layer 'm': partial sums in groups are not trained; use groups: 1"),
    "factors in groups": (keys("m", quantiser={"method": "lowrank", "rank": 2}, groups=2), "layer 'm': factored weights in groups are not generated; use groups: 1"),
    "a margin between levels": (keys("m", inputs=["a"], pad_value=1), "layer 'm': pads with 1, which is no multiple of its input's unit 0.333333; pad with 0"),
    "a padded pool": (placed("k", {"type": "maxpool", "name": "p", "kernel": 2, "pad": 1}), "layer 'p': training supports max pools without padding; remove pad"),
    "a table of levels": (placed("s", {"type": "table", "name": "t", "function": "abs", "inputs": ["a"]}), "layer 't': a table reads fixed-point numbers; put a fixed layer before it"),
    "a table of wide numbers": (lambda d: (keys("x", bits=40)(d), placed("s", {"type": "table", "name": "t", "function": "abs"})(d)), "layer 't': a table of numbers of 40 bits is too large; give 'x' at most 12 bits"),
    "a table of nothing": (placed("s", {"type": "table", "name": "t"}), "layer 't': names no function to train with; give abs, relu or sigmoid"),
    "ends in real numbers": (lambda d: d["layers"].append({"type": "batchnorm", "name": "n", "eps": 0.1}), "layer 'n': training wants the sums of a conv or dense layer last; remove it"),
    "ends in levels": (lambda d: d["layers"].append({"type": "levels", "name": "n", "quantiser": {"method": "uint"}}), "layer 'n': training wants the sums of a conv or dense layer last"),
    "ends in a join": (lambda d: d["layers"].append({"type": "add", "name": "n", "inputs": ["d", "d"]}), "layer 'n': training wants the sums of a conv or dense layer last"),
    "a name of PyTorch's": (keys("z", name="training"), "layer 'training': a trained layer's name must be an identifier that no attribute of modules has; rename it"),
    # recipes
    "no recipe": (lambda d: d.pop("train"), "network 'n': has no 'train' section; add data and epochs"),
    "a batch of 1": (recipe(batch=1), "train.batch: Input should be greater than or equal to 2 (given: 1)"),
    "a batch beyond the data": (recipe(batch=5000), "train: a batch of 5000 exceeds the 1438 images of digits; give a smaller one"),
    "a seed below 0": (recipe(seed=-1), "train.seed: Input should be greater than or equal to 0 (given: -1)"),
    "dropout of 1": (recipe(dropout=1), "train.dropout: Input should be less than 1 (given: 1)"),
    "an unknown schedule": (recipe(schedule="linear"), "train.schedule: Input should be 'cosine', 'step' or 'constant' (given: 'linear')"),
    "a rate of 0": (recipe(lr=0), "train.lr: Input should be greater than 0 (given: 0)"),
    "a start that is none": (recipe(start="nosuch"), "nosuch: no checkpoint of a training in it (FileNotFoundError); give a folder that bnnhw train wrote"),
    "a teacher that is none": (recipe(distil={"teacher": "nosuch"}), "teacher 'nosuch': no trained.yaml in it; give a folder that bnnhw train wrote"),
    "attention without layers": (recipe(distil={"teacher": "t", "attention": 1}), "train.distil: attention needs pairs of layers, and pairs need a weight; give both or none"),
    "images of another size": (lambda d: d["input"].update(shape=[1, 16, 16]), "input: digits has images of (1, 8, 8), the shape is (1, 16, 16); give that of the images"),
    "bits for pixels": (lambda d: d.update(input={"shape": [1, 8, 8], "type": "bipolar"}), "input: digits is of uint8 pixels, the type is bipolar; use uint8, with preprocess threshold for bits"),
    "a normalisation": (lambda d: d["input"].update(preprocess="x/255"), "input: preprocess x/255 cannot be trained here; use none or 2p-255"),
    "too few outputs": (keys("d", out=9), "train: digits has 10 classes, the network 9 outputs; add outputs"),
}  # fmt: skip


def test_the_trained_one_is_good(tmp_path: Path, call: Call) -> None:
    (tmp_path / "n.yaml").write_text(yaml.safe_dump(LEARN))
    assert call("train", "--net", tmp_path / "n.yaml", "--out", tmp_path / "t", "--json") == (0, "")
    assert call("generate", "--net", tmp_path / "t" / "network.yaml", "--out", tmp_path / "d") == (0, "")


@pytest.mark.parametrize("case", TRAIN)
def test_train_refuses(case: str, refused: Callable[..., str]) -> None:
    change, expected = TRAIN[case]
    description = copy.deepcopy(LEARN)
    change(description)
    said = refused("train", description)
    assert expected in said, said


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the trained network."""
    folder = tmp_path_factory.mktemp("teacher")
    (folder / "n.yaml").write_text(yaml.safe_dump(LEARN))
    bnnhw.train(folder / "n.yaml", folder, quiet=True)
    return folder


DISTIL: dict[str, tuple[Change, str]] = {
    "a layer that the student lacks": (lambda s: s.update(layers=[["u", "b"]]), "distil: the student has no layer 'u'; its layers are c, b, a, k"),
    "a layer that the teacher lacks": (lambda s: s.update(layers=[["b", "u"]]), "has no layer 'u'; its layers are c, b, a, k, x, s, m, y, j, z, d"),
    "maps of other sizes": (lambda s: s.update(layers=[["b", "d"]]), "distil: attention of 'b' has 9 numbers, of the teacher's 'd' 10; pair maps of one size"),
    "a temperature of 0": (lambda s: s.update(temperature=0), "train.distil.temperature: Input should be greater than 0 (given: 0)"),
}  # fmt: skip


@pytest.mark.parametrize("case", DISTIL)
def test_distillation_is_refused(case: str, teacher: Path, refused: Callable[..., str]) -> None:
    change, expected = DISTIL[case]
    distil: dict[str, Any] = {"teacher": str(teacher), "attention": 1, "layers": [["b", "b"]]}
    change(distil)
    assert expected in refused("train", {**LEARN, "train": {**LEARN["train"], "distil": distil}})


def test_teachers_and_checkpoints_that_do_not_fit(teacher: Path, tmp_path: Path, refused: Callable[..., str], call: Call) -> None:
    other = copy.deepcopy(LEARN)
    other["layers"][SPOT["d"]]["out"] = 11
    other["train"]["distil"] = {"teacher": str(teacher)}
    assert "has 10 outputs, the student 11; both must have one a class" in refused("train", other)
    other["input"]["preprocess"] = "none"
    assert "takes (1, 8, 8) 2p-255; student and teacher must have one input" in refused("train", other)
    other["train"] = {**LEARN["train"], "start": str(tmp_path)}
    assert "no checkpoint of a training in it (FileNotFoundError); give a folder" in refused("train", other)
    (tmp_path / "trained.yaml").write_text("layers: 3")
    other["train"] = {**LEARN["train"], "distil": {"teacher": str(tmp_path)}}
    assert "trained.yaml in it is damaged (ValidationError); train it again" in refused("train", other)

    (tmp_path / "n.yaml").write_text(yaml.safe_dump({**LEARN, "layers": LEARN["layers"][SPOT["d"] :]}))
    for checkpoint, kind in (((teacher / "checkpoint.pt").read_bytes(), "RuntimeError"), (b"PK", "")):
        out = tmp_path / f"out{kind}"
        out.mkdir()
        (out / "checkpoint.pt").write_bytes(checkpoint)
        code, said = call("train", "--net", tmp_path / "n.yaml", "--out", out)
        assert (code, said.count("\n")) == (2, 1)
        assert f"its checkpoint is damaged or of another network ({kind}" in said and "; remove it or choose another --out" in said
        assert [p.name for p in out.iterdir()] == ["checkpoint.pt"]
