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


def command(*arguments: str | Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """Exit code and what stderr says."""
    monkeypatch.setattr(sys, "argv", ["bnnhw", *map(str, arguments)])
    capsys.readouterr()
    code: Any = 0
    try:
        main()
    except SystemExit as e:
        code = e.code
    return code or 0, capsys.readouterr().err


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs a verb that must fail with one line and leave nothing behind; the line without the path in front."""

    def run(verb: str, description: dict[str, Any], weights: Tensors | None = None, *more: str) -> str:
        (tmp_path / "n.yaml").write_text(yaml.safe_dump(description))
        if weights is not None:
            np.savez(tmp_path / "w.npz", **weights)  # type: ignore[arg-type]
        before = sorted(tmp_path.rglob("*"))
        code, said = command(verb, "--net", tmp_path / "n.yaml", "--out", tmp_path / "out", *more, capsys=capsys, monkeypatch=monkeypatch)
        assert (code, said.count("\n")) == (2, 1), said
        assert "unexpected" not in said and "Error" not in said and len(said) < 600, said
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
    "scale alpha of 0": (tensor("u.alpha", 0.0), "layer 'u': channel 0 has the scale 0, scales are positive; retrain or mend the file"),
    "scale alpha below 0": (tensor("u.alpha", -2.0), "layer 'u': channel 0 has the scale -2, scales are positive; retrain or mend the file"),
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


def test_the_good_one_is_good(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "n.yaml").write_text(yaml.safe_dump(GOOD))
    np.savez(tmp_path / "w.npz", **tensors())  # type: ignore[arg-type]
    code, said = command("generate", "--net", tmp_path / "n.yaml", "--out", tmp_path / "out", capsys=capsys, monkeypatch=monkeypatch)
    assert (code, said) == (0, "")


@pytest.mark.parametrize("case", GENERATE)
def test_generate_refuses(case: str, refused: Callable[..., str]) -> None:
    change, expected = GENERATE[case]
    description, weights = copy.deepcopy(GOOD), tensors()
    change(description, weights)
    said = refused("generate", description, weights)
    assert expected in said, said
