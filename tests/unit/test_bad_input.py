"""Mistakes in descriptions, weights and options: one line that names thing, rule, value and remedy; exit code 2."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import bnnhw
from bnnhw import cli, frontend, printed
from bnnhw.frontend.tensors import read_tensors
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.packed import pack_signs
from bnnhw.lower import lower
from bnnhw.verify.ladder import Queue, Report, Rung

GOOD: dict[str, Any] = {
    "bnnhw": 1,
    "name": "n",
    "weights": "w.npz",
    "input": {"shape": [2, 4, 4], "type": "bipolar"},
    "layers": [
        {"type": "conv", "name": "c", "out": 3, "kernel": 3},
        {"type": "batchnorm", "name": "b", "eps": 1e-5},
        {"type": "sign", "zero_to": 1},
        {"type": "dense", "name": "d", "out": 2},
    ],
}


def tensors() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    norm = {"weight": np.ones(3), "bias": np.zeros(3), "running_mean": np.zeros(3), "running_var": np.ones(3)}
    signs = {"c.weight": rng.choice([-1, 1], (3, 2, 3, 3)).astype(np.int8), "d.weight": rng.choice([-1, 1], (2, 12)).astype(np.int8)}
    return signs | {f"b.{k}": v.astype(np.float32) for k, v in norm.items()}


def write(folder: Path, change: Any = None, weights: dict[str, np.ndarray] | None = None) -> Path:
    data = yaml.safe_load(yaml.safe_dump(GOOD))
    if change:
        change(data)
    np.savez(folder / "w.npz", **(tensors() if weights is None else weights))  # type: ignore[arg-type]
    (folder / "n.yaml").write_text(yaml.safe_dump(data))
    return folder / "n.yaml"


def message(path: Path) -> str:
    with pytest.raises(BnnhwError) as e:
        lower(frontend.load(path))
    assert "\n" not in str(e.value)
    return str(e.value)


def layer(n: int, **values: Any) -> Any:
    return lambda data: data["layers"][n].update(values)


def test_the_good_one_is_good(tmp_path: Path) -> None:
    assert lower(frontend.load(write(tmp_path))).network.weight_bits == 54 + 24


DESCRIPTIONS = {
    "unknown layer": (layer(0, type="convolution"), "layers.0: Input tag 'convolution' found using 'type' does not match"),
    "unknown key": (layer(0, kernle=3), "kernle: Extra inputs are not permitted (given: 3)"),
    "kernel of zero": (layer(0, kernel=0), "kernel.0: Input should be greater than or equal to 1 (given: 0)"),
    "kernel too large": (layer(0, kernel=5), "layer 'c': a 5x5 kernel does not fit a map of 4x4; pad more or use a smaller kernel"),
    "groups": (layer(0, groups=2), "layer 'c': 3 outputs do not divide into groups: 2; choose a divisor"),
    "no eps": (lambda d: d["layers"][1].pop("eps"), "layers.1.batchnorm.eps: Field required"),
    "no zero_to": (lambda d: d["layers"][2].pop("zero_to"), "layers.2.sign.zero_to: Field required"),
    "zero_to 0": (layer(2, zero_to=0), "layers.2.sign.zero_to: Input should be -1 or 1 (given: 0)"),
    "two of a name": (layer(3, name="c"), "two layers are named 'c'; names must differ"),
    "no layers": (lambda d: d.update(layers=[]), "layers: Tuple should have at least 1 item"),
    "future schema": (lambda d: d.update(bnnhw=2), "bnnhw: Input should be 1 (given: 2)"),
    "two numbers": (lambda d: d["input"].update(shape=[4, 4]), "shape has 2 numbers; give [features] or [channels, rows, columns]"),
    "preprocess int8": (lambda d: d["input"].update(type="int8", preprocess="2x-1"), "preprocess applies to uint8 pixels, the type is int8"),
    "sign first": (lambda d: d["layers"].insert(0, {"type": "sign", "zero_to": 1}), "sign stands before the first conv or dense; start with one"),
    "no sign between": (lambda d: d["layers"].pop(2), "layer 'd': its input, from 'c', is not binary; put a sign between them"),
    "two norms": (lambda d: d["layers"].insert(2, {"type": "batchnorm", "name": "b2", "eps": 0.1}), "layer 'b2': batchnorm must stand between"),
    "two signs": (lambda d: d["layers"].insert(3, {"type": "sign", "zero_to": 1}), "its input is binary already; remove it"),
    "pool of sums": (lambda d: d["layers"].append({"type": "maxpool", "kernel": 1}), "a max pool of sums ends the network"),
    "pool padded too far": (lambda d: d["layers"].insert(3, {"type": "maxpool", "kernel": 2, "pad": 2}), "exceeds half of the kernel"),
    "classes": (lambda d: d.update(classes=["a"]), "network 'n': 1 classes are named, it has 2 outputs; name each once"),
    "a list": (lambda d: d.update(input=[]), "input: Input should be keys with values"),
}


@pytest.mark.parametrize("case", DESCRIPTIONS)
def test_descriptions(case: str, tmp_path: Path) -> None:
    change, expected = DESCRIPTIONS[case]
    assert expected in message(write(tmp_path, change))


WEIGHTS = {
    "missing": (lambda t: t.pop("d.weight"), "layer 'd': weights file has no 'd.weight'; it holds b.bias, b.running_mean"),
    "shape": (lambda t: t.update({"d.weight": np.ones((2, 13), np.int8)}), "layer 'd': 'd.weight' has shape (2, 13), not (2, 12)"),
    "surplus": (lambda t: t.update({"d.bias": np.ones(2)}), "layer 'd': w.npz holds 'd.bias', which the description does not use"),
    "NaN": (lambda t: t["b.bias"].fill(np.nan), "layer 'c': 'b.bias' holds NaN or infinity"),
    "floats for signs": (lambda t: t.update({"d.weight": np.full((2, 12), 0.3)}), "'d.weight' must hold -1 and +1, it holds 0.3; binarise it"),
    "negative variance": (lambda t: t["b.running_var"].fill(-1), "layer 'b': running_var has a negative value"),
    "strings": (lambda t: t.update({"d.weight": np.full((2, 12), "x")}), "layer 'd': weights file has no 'd.weight'"),
    "complex": (lambda t: t.update({"d.weight": np.full((2, 12), 1j)}), "layer 'd': weights file has no 'd.weight'"),
}


@pytest.mark.parametrize("case", WEIGHTS)
def test_weights(case: str, tmp_path: Path) -> None:
    change, expected = WEIGHTS[case]
    weights = tensors()
    change(weights)
    assert expected in message(write(tmp_path, weights=weights))


LEVELS = {
    "falling": ([0.0, 2.0, 1.0], "layer 's': its thresholds fall from 2 to 1; sort them along the last axis"),
    "falling in a channel": ([[0, 1, 1], [0, 0, 0], [3, 1, 1]], "layer 's': its thresholds of channel 2 fall from 3 to 1; sort them"),
    "a channel too few": ([[0, 1, 1], [0, 0, 0]], "layer 's': 's.thresholds' has shape (2, 3), not (3, 3); check the layer's sizes"),
    "one too many": ([0, 1, 2, 3], "layer 's': 's.thresholds' has shape (4,), not (3,); check the layer's sizes"),
    "three axes": ([[[0, 1, 2]]], "layer 's': 's.thresholds' has shape (1, 1, 3), not (3,); check the layer's sizes"),
}


@pytest.mark.parametrize("case", LEVELS)
def test_levels(case: str, tmp_path: Path) -> None:
    thresholds, expected = LEVELS[case]
    weights = tensors() | {"s.thresholds": np.array(thresholds, np.float32), "s.values": np.arange(4)}
    assert expected in message(write(tmp_path, lambda d: d["layers"].__setitem__(2, {"type": "levels", "name": "s"}), weights))


def test_truncated_npz(tmp_path: Path) -> None:
    path = write(tmp_path)
    whole = (tmp_path / "w.npz").read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 5):
        (tmp_path / "w.npz").write_bytes(whole[:size])
        assert "damaged or not a .npz file" in message(path)


def test_pickles_are_never_loaded(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "exploded",))

    np.savez(tmp_path / "w.npz", a=np.array([Bomb()], dtype=object))
    with pytest.raises(BnnhwError, match="damaged"):
        read_tensors(tmp_path / "w.npz")
    torch = pytest.importorskip("torch")
    torch.save({"a": Bomb()}, tmp_path / "w.pt")
    with pytest.raises(BnnhwError, match="damaged"):
        read_tensors(tmp_path / "w.pt")
    assert not (tmp_path / "exploded").exists()


def test_a_zip_that_unpacks_beyond_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "w.npz", a=np.zeros(1 << 20, np.uint8))
    monkeypatch.setattr("bnnhw.frontend.tensors.MAX_BYTES", 1 << 19)
    with pytest.raises(BnnhwError, match="unpacks to 1048704 bytes, at most 524288 are read"):
        read_tensors(tmp_path / "w.npz")


def test_other_containers(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file(tensors(), tmp_path / "w.safetensors")
    path = write(tmp_path, lambda d: d.update(weights="w.safetensors"))
    plain = lower(frontend.load(write(tmp_path))).network
    path = write(tmp_path, lambda d: d.update(weights="w.safetensors"))
    assert (lower(frontend.load(path)).network["d"].weights.bits == plain["d"].weights.bits).all()  # type: ignore[union-attr]
    torch = pytest.importorskip("torch")
    torch.save({"state_dict": {k: torch.from_numpy(v) for k, v in tensors().items()}}, tmp_path / "w.pt")
    path = write(tmp_path, lambda d: d.update(weights="w.pt"))
    assert (lower(frontend.load(path)).network["d"].weights.bits == plain["d"].weights.bits).all()  # type: ignore[union-attr]


def test_packed_signs_round_trip(tmp_path: Path, rng: np.random.Generator) -> None:
    signs = rng.choice([-1, 1], (3, 5, 7)).astype(np.int8)
    packed = pack_signs("x", signs)
    np.savez(tmp_path / "w.npz", **packed)  # type: ignore[arg-type]
    assert (read_tensors(tmp_path / "w.npz")["x"] == signs).all()
    np.savez(tmp_path / "w.npz", **{**packed, "x#shape": packed["x#shape"] + 1})  # type: ignore[arg-type]
    with pytest.raises(BnnhwError, match="'x#bits' does not agree with its shape"):
        read_tensors(tmp_path / "w.npz")


YAMLS = {
    "bomb": "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
    "tabs": "a:\n\t- b",
    "deep": "[" * 5000,
    "binary": "\x00\x01",
    "empty": "",
    "twice": "bnnhw: 1\nbnnhw: 1\n",
    "number": "3",
    "python": "!!python/object/apply:os.system ['true']",
    "bad date": "a: 2020-13-99\n",
}


@pytest.mark.parametrize("case", YAMLS)
def test_yaml_that_is_none(case: str, tmp_path: Path) -> None:
    (tmp_path / "n.yaml").write_text(YAMLS[case])
    message(tmp_path / "n.yaml")


def test_a_yaml_bomb_is_refused_before_it_grows(tmp_path: Path) -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    (tmp_path / "n.yaml").write_text("\n".join(lines))
    assert "aliases are not allowed" in message(tmp_path / "n.yaml")
    (tmp_path / "d.yaml").write_text("\n".join(lines))
    with pytest.raises(BnnhwError, match="aliases are not allowed"):
        bnnhw.info("digits_mlp", design=tmp_path / "d.yaml")


def test_markup_in_names_is_text(tmp_path: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        data.update(name="x[/b]y")
        data["layers"][0].update(name="a[/q][red]", tensors={"weight": "c.weight"})

    done = run("generate", "--net", str(write(tmp_path, change)), "--out", str(tmp_path / "o[b]"))
    assert done.returncode == 0, done.stderr
    assert "x[/b]y" in done.stdout and "a[/q][red]" in done.stdout and "o[b]" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("verify", "DIR", "--seed=-1", "--level", "golden"),
        ("verify", "DIR", "--frames", "10000000000000000000", "--level", "golden"),
        ("info", "n" * 300),
        ("generate", "--net", "digits_mlp", "--out", "o" * 300),
        ("info", "digits_mlp", "--fps", "1e-320"),
        ("info", "digits_mlp", "--fps", "nan"),
        ("info", "digits_mlp", "--fps", "inf"),
        ("train", "--net", "digits_mlp", "--out", "FILE"),
        ("info", "digits_mlp", "--fps", "abc"),
        ("generate", "--net", "digits_mlp"),
        ("generate", "--net", "digits_mlp", "--out", ""),
        ("train", "--net", "digits_mlp", "--out", ""),
        ("info", "digits_mlp", "--foo"),
        ("foo",),
    ],
    ids=lambda a: " ".join(a)[:40],
)
def test_odd_arguments_give_one_line(arguments: tuple[str, ...], tmp_path: Path) -> None:
    bnnhw.generate("digits_mlp", tmp_path / "d")
    (tmp_path / "file").touch()
    done = run(*({"DIR": str(tmp_path / "d"), "FILE": str(tmp_path / "file")}.get(a, a) for a in arguments))
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "Traceback" not in done.stderr, done.stderr


def test_what_the_parser_refuses_is_said_with_the_verbs_help() -> None:
    assert run("info", "digits_mlp", "--foo").stderr == "bnnhw: No such option: --foo (Possible options: --fps); see bnnhw info --help\n"
    assert run("foo").stderr == "bnnhw: No such command 'foo'; see bnnhw --help\n"
    assert run().stdout == run("--help").stdout != ""


@pytest.mark.parametrize(
    ("verb", "options", "surplus"),
    [
        (bnnhw.estimate, {"fps": 1e12, "clock_mhz": -5.0, "max_luts": 1.0, "target": "ecp5"}, "--fps, --clock, --max-luts"),
        (bnnhw.estimate, {"design": Path("nofile"), "weights": "w.npz"}, "--weights, --design"),
        (bnnhw.info, {"fully_folded": True, "utilisation": 0.5, "progress": None}, "--fully-folded, --utilisation"),
        (bnnhw.info, {"target": "nope"}, "--target"),
        (bnnhw.energy, {"weights": "w.npz"}, "--weights"),
    ],
)
def test_a_generated_folder_has_its_network_and_design(verb: Any, options: dict[str, Any], surplus: str, tmp_path: Path) -> None:
    bnnhw.generate("digits_mlp", tmp_path / "d")
    with pytest.raises(BnnhwError) as e:
        verb(tmp_path / "d", **options)
    assert str(e.value) == f"{str(tmp_path / 'd')!r}: has its own network and design; remove {surplus}"


def test_a_folder_that_lacks_files_is_not_simulated(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    bnnhw.generate("digits_mlp", folder)
    (folder / "rtl" / "bnn_fifo.v").write_bytes(b"\xff")
    with pytest.raises(BnnhwError, match=r"bnn_fifo.v: cannot be read \(not UTF-8\); give a readable UTF-8 file"):
        bnnhw.synth(folder, "xc7")
    shutil.rmtree(folder / "mem")
    for verb in (bnnhw.verify, partial(bnnhw.synth, target="xc7"), partial(bnnhw.power, target="xc7")):
        with pytest.raises(BnnhwError, match=r"'.*d': no mem/digits_mlp_fc1_head.mem and \d more in it; generate it again"):
            verb(folder)
    assert bnnhw.verify(folder, level="golden").passed


def test_the_fullest_queue_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    rung = Rung("rtl", 1, "random", None, queues=(Queue("a_fifo", 2, 2), Queue("b_fifo", 1024, 600)))
    printed.print_report(Report((rung,), (0,), None, 1))
    assert "queues: 1 of 2 were full at some time; most words: 600 of 1,024, in b_fifo (" in capsys.readouterr().out


def test_saved_outputs_and_labels_are_checked(tmp_path: Path) -> None:
    bnnhw.generate("digits_mlp", tmp_path / "d")
    file = tmp_path / "d" / "expected.npz"
    with np.load(file) as z:
        saved = {k: z[k] for k in z.files}
    np.savez(file, **{**saved, "labels": (saved["labels"] + 1) % 10})
    report = bnnhw.verify(tmp_path / "d", level="golden")
    assert not report.passed and "label" in report.rungs[0].problems[0]
    np.savez(file, **{**saved, "outputs": saved["outputs"] + (np.arange(16) == 7)[:, None]})
    difference = bnnhw.verify(tmp_path / "d", level="golden").rungs[0].difference
    assert difference is not None and (difference.frame, difference.channel) == (7, 0)
    np.savez(file, **{**saved, "outputs": saved["outputs"][:, :5]})
    with pytest.raises(BnnhwError, match="outputs"):
        bnnhw.verify(tmp_path / "d", level="golden")


def test_a_large_yaml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "n.yaml").write_text("#" * (1 << 21))
    assert "larger than" in message(tmp_path / "n.yaml")


_leaf = (
    st.none()
    | st.booleans()
    | st.integers(-3, 300)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["conv", "dense", "sign", "uint8", "x/255"])
)
_tree = st.recursive(
    _leaf,
    lambda t: st.lists(t, max_size=4) | st.dictionaries(st.sampled_from(["type", "name", "out", "kernel", "pad", "shape", "eps"]), t, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(sorted(GOOD)), _tree), st.integers(0, 4))
def test_fuzzed_descriptions_give_one_line_or_work(tmp_path: Path, change: dict[str, Any], place: int) -> None:
    def apply(data: dict[str, Any]) -> None:
        if place < 4 and "layers" in change:
            data["layers"][place] = change["layers"]
        else:
            data.update(change)

    path = write(tmp_path, apply)
    try:
        lower(frontend.load(path))
    except BnnhwError as e:
        assert "\n" not in str(e) and len(str(e)) < 1000


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200), st.integers(0, 3000), st.sampled_from([".npz", ".safetensors", ".pt"]))
def test_fuzzed_weights_files_give_one_line(tmp_path: Path, noise: bytes, at: int, kind: str) -> None:
    np.savez(tmp_path / "w.npz", **tensors())  # type: ignore[arg-type]
    whole = (tmp_path / "w.npz").read_bytes()
    damaged = tmp_path / f"damaged{kind}"
    damaged.write_bytes(whole[:at] + noise + whole[at + len(noise) :])
    try:
        read_tensors(damaged)
    except BnnhwError as e:
        assert "\n" not in str(e)


def test_names_cannot_leave_the_output_folder(tmp_path: Path) -> None:
    nasty = ["../../escape", "module", "a'b\"c", "x[1]", "$finish", "line\nbreak", "größe", "x" * 199]
    layers: list[dict[str, Any]] = []
    weights: dict[str, np.ndarray] = {}
    for i, name in enumerate(nasty):
        layers += [{"type": "dense", "name": name, "out": 3, "tensors": {"weight": f"w{i}"}}, {"type": "sign", "name": f"s{i}", "zero_to": 1}]
        weights[f"w{i}"] = np.ones((3, 4 if i == 0 else 3), np.int8)

    def change(data: dict[str, Any]) -> None:
        data.update(name="../up", layers=layers, input={"shape": [4], "type": "bipolar"})

    path = write(tmp_path, change, weights)
    before = {p for p in tmp_path.rglob("*")}
    bnnhw.generate(path, tmp_path / "out" / "design")
    new = {p for p in tmp_path.rglob("*")} - before
    assert all((tmp_path / "out") in (p, *p.parents) for p in new)
    report = json.loads((tmp_path / "out" / "design" / "report.json").read_text())
    assert report["module"] == "up" and report["identifiers"]["../../escape"] == "escape"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", "from bnnhw.cli import main; main()", *arguments], capture_output=True, text=True, check=False)


def test_exit_codes_and_nothing_half_written(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    (tmp_path / "file").touch()
    cases = [
        (["generate", "--net", "nosuch", "--out", str(tmp_path / "a")], "neither a file nor one of the zoo"),
        (["generate", "--net", "digits_mlp", "--out", str(tmp_path / "full")], "exists and is not an empty folder"),
        (["generate", "--net", "digits_mlp", "--out", str(tmp_path / "file")], "exists and is not an empty folder"),
        (["generate", "--net", "digits_mlp", "--out", str(tmp_path / "file" / "x")], "cannot be written"),
        (["generate", "--net", "digits_mlp", "--out", str(tmp_path / "a"), "--fps", "1e12"], "cannot be reached"),
        (["generate", "--net", "digits_mlp", "--out", str(tmp_path / "a"), "--fps", "-1"], "give a finite rate of at least 1e-06"),
        (["generate", "--net", "digits_mlp", "--out", str(tmp_path / "a"), "--fully-folded", "--target", "nope"], "target 'nope' is not known"),
        (["generate", "--net", "digits_mlp", "--out", str(tmp_path / "a"), "--fps", "1", "--fully-folded"], "exclude each other"),
        (["generate", "--net", "digits_mlp", "--out", str(tmp_path / "a"), "--target", "ecp5", "--primitives"], "those of xc7 and xcup, not of ecp5"),
        (["generate", "--net", "digits_mlp", "--out", str(tmp_path / "a"), "--fully-folded", "--primitives"], "write logic: carry into the design"),
        (["generate", "--net", "digits_mlp", "--out", str(tmp_path / "a"), "--design", "nosuch"], "cannot be read"),
        (["generate", "--net", "digits_mlp", "--out", str(tmp_path / "a"), "--weights", "nosuch.npz"], "no such file"),
        (["verify", str(tmp_path)], "give a folder that bnnhw generate wrote"),
        (["info", "nosuch"], "neither a file nor one of the zoo"),
    ]
    before = sorted(tmp_path.rglob("*"))
    for arguments, expected in cases:
        done = run(*arguments)
        assert done.returncode == 2, arguments
        assert expected in done.stderr and done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(28, "No space left on device", "out/net.v"), "bnnhw: out/net.v: No space left on device; choose another path\n"),
        (OSError(28, "No space left on device"), "bnnhw: No space left on device; mend that and try again\n"),
        (OSError("odd\nstate"), "bnnhw: odd state; mend that and try again\n"),
        (OSError(), "bnnhw: OSError; mend that and try again\n"),
    ],
)
def test_what_the_system_refuses_is_said_in_one_line(
    error: OSError, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as e:
        cli.main()
    assert e.value.code == 2
    assert capsys.readouterr().err == line


def test_verify_options(tmp_path: Path) -> None:
    bnnhw.generate("digits_mlp", tmp_path / "d")
    for options, expected in (
        ({"frames": 0}, "0 frames cannot be compared"),
        ({"level": "silicon"}, "level 'silicon' is not known; give one of golden, csim, rtl"),
        ({"stalls": "many"}, "stalls 'many' is not known"),
        ({"data": "nosuch.npz"}, "cannot be read as .npz"),
        ({"data": np.zeros((1, 3), np.uint8)}, "frames of shape (3,) do not fit the input (64, 1, 1)"),
        ({"data": np.zeros((1, 64))}, "frames of type float64 are not uint8"),
    ):
        with pytest.raises(BnnhwError) as e:
            bnnhw.verify(tmp_path / "d", **{"level": "golden", **options})  # type: ignore[arg-type]
        assert expected in str(e.value)
    (tmp_path / "d" / "network.npz").write_bytes(b"PK")
    with pytest.raises(BnnhwError, match="damaged or no integer network"):
        bnnhw.verify(tmp_path / "d", level="golden")
