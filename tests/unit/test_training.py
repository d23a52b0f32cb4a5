"""The one training loop: its recipe, its memory, what it learns from a teacher, and what becomes of it in hardware."""

from __future__ import annotations

import copy
import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import bnnhw
from bnnhw import data
from bnnhw.ir.layers import MatVec
from bnnhw.ir.topology import Topology
from bnnhw.nn import layers as n
from bnnhw.nn import train as loop
from bnnhw.nn.compress.prune import shrink, structured_keep
from bnnhw.nn.distil import Teacher, attention
from bnnhw.nn.model import build
from support.training import agreed, conv, dense, describe, evaluated, learn, levels, model_of, norm, sign

BWN = {"method": "bwn"}
REAL = {"method": "real"}
PLAIN = [dense("fc1", 16), norm("b1"), sign("s1"), dense("fc2", 10)]
GRADED = [dense("fc1", 16), norm("b1"), levels("a1"), dense("fc2", 16), norm("b2"), levels("a2"), dense("fc3", 10)]
MAPS = [conv("c1", 8, stride=2), norm("b1"), sign("s1"), conv("c2", 8, pad=1), norm("b2"), sign("s2"), dense("fc", 10)]
UINT = {"method": "uint", "bits": 3}


@pytest.fixture(autouse=True)
def _read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The images are the same in every test."""
    monkeypatch.setattr(data, "_digits", _digits)


_digits = functools.cache(data._digits)


def trainer(folder: Path, layers: list[dict[str, Any]], quantisers: dict[str, Any] | None = None, **recipe: Any) -> loop.Trainer:
    net = Topology.model_validate(describe(layers, quantisers, **recipe))
    assert net.train is not None
    return loop.Trainer(net, folder, net.train)


def batch(count: int = 50) -> tuple[torch.Tensor, torch.Tensor]:
    images = data.load_split("digits", "train")
    spec = Topology.model_validate(describe(PLAIN)).input
    return loop.prepare(spec, images.x[:count]), torch.from_numpy(images.y[:count]).long()


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def same(a: Any, b: Any) -> bool:
    """Whether two checkpoints hold the same, but for times."""
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(k == "seconds" or same(v, b[k]) for k, v in a.items())
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def checkpoint(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "checkpoint.pt", weights_only=True)


# the recipe


@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
@pytest.mark.parametrize("schedule", ["cosine", "step", "constant"])
def test_every_optimiser_and_schedule_learns(optimiser: str, schedule: str, tmp_path: Path) -> None:
    lr = 0.02 if optimiser == "adam" else 0.2
    metrics = learn(tmp_path / "t", describe(PLAIN, {"weights": BWN}, optimiser=optimiser, schedule=schedule, epochs=5, lr=lr))
    losses = [line["loss"] for line in lines(tmp_path / "t")]
    assert losses[-1] < 0.7 * losses[0] and metrics["test_accuracy"] > 60
    assert metrics["test_accuracy"] == lines(tmp_path / "t")[-1]["test_accuracy"]
    agreed(tmp_path / "t")


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [("cosine", {200: 1 / 2, 400: 0}), ("step", {199: 1, 200: 0.1, 299: 0.1, 300: 0.01}), ("constant", {200: 1, 400: 1})],
)
def test_rates_rise_then_follow_their_schedule(schedule: str, expected: dict[int, float], tmp_path: Path) -> None:
    made = trainer(tmp_path, PLAIN, schedule=schedule, epochs=4, batch=14, lr=0.5)
    assert made.steps_per_epoch * 4 == 408
    rate = loop._rate(made.spec, 400)
    rise = 1 if schedule != "cosine" else 0.5 * (1 + np.cos(np.pi * 49 / 400))
    assert rate(0) == pytest.approx(0.01) and rate(49) == pytest.approx(rise / 2)
    assert {i: rate(i) for i in expected} == pytest.approx(expected, abs=1e-12)
    assert made.optimiser.param_groups[0]["lr"] == pytest.approx(0.5 / 100)


def test_the_first_loss_has_the_stated_penalties(tmp_path: Path) -> None:
    x, y = batch()
    losses, weights = {}, {}
    for name, recipe in {"none": {}, "l1": {"l1": 0.01}, "l2": {"l2": 0.03}, "both": {"l1": 0.01, "l2": 0.03}}.items():
        made = trainer(tmp_path, PLAIN, {"weights": BWN}, **recipe)
        weights = {name: p.weight.detach().clone() for name, p in made.model.products.items()}
        made.model.train()
        losses[name] = made.step(x, y)
    l1 = 0.01 * sum(float(w.abs().sum()) for w in weights.values())
    l2 = 0.03 * sum(float(w.square().sum()) for w in weights.values())
    assert losses == pytest.approx({"none": losses["none"], "l1": losses["none"] + l1, "l2": losses["none"] + l2, "both": losses["none"] + l1 + l2})


def test_weight_decay_pulls_every_parameter_towards_0(tmp_path: Path) -> None:
    x, y = batch()
    after = []
    for decay in (0.0, 0.1):
        made = trainer(tmp_path, PLAIN, {"weights": BWN}, optimiser="sgd", weight_decay=decay, lr=0.5)
        before = made.model.fc1.weight.detach().clone()
        made.model.train()
        made.step(x, y)
        after.append(made.model.fc1.weight.detach())
    first_rate = 0.5 / loop.RISE
    assert torch.allclose(after[1] - after[0], -first_rate * 0.1 * before, atol=1e-7) and not torch.equal(after[0], after[1])
    adam = trainer(tmp_path, PLAIN, weight_decay=0.1).optimiser
    assert isinstance(adam, torch.optim.Adam) and adam.param_groups[0]["weight_decay"] == 0.1


def test_dropout_spares_the_first_layer_and_shrinks_with_pruning(tmp_path: Path) -> None:
    layers = copy.deepcopy(GRADED)
    layers[3]["quantiser"] = {"method": "prune", "sparsity": 0.75, "steps": 1}
    made = trainer(tmp_path, layers, {"activations": UINT}, dropout=0.4, epochs=2)
    made.epoch(1, lambda: None)
    rates = {name: p.dropout for name, p in made.model.products.items()}
    assert rates == pytest.approx({"fc1": 0, "fc2": 0.4 * 0.25**0.5, "fc3": 0.4})
    x, _ = batch()
    made.model.train()
    assert not torch.equal(made.model.real(x)["fc3"], made.model.real(x)["fc3"])
    made.model.eval()
    assert torch.equal(made.model(x), made.model(x))
    behind_maps = trainer(tmp_path, [{"type": "flatten", "name": "f"}, *PLAIN], dropout=0.4)
    behind_maps._dropout()
    assert behind_maps.model.fc1.dropout == 0 and behind_maps.model.fc2.dropout == 0.4


# its memory

WEIGHTS: dict[str, dict[str, Any]] = {
    "sign": {"method": "sign"}, "stochastic signs": {"method": "sign", "stochastic": True}, "bwn": BWN, "twn": {"method": "twn"},
    "ttq": {"method": "ttq"}, "dorefa": {"method": "dorefa", "gradient_bits": 4}, "lq": {"method": "lq"}, "abc": {"method": "abc"},
    "inq": {"method": "inq", "partition": "random"}, "bwnh": {"method": "bwnh", "iterations": 2}, "sq": {"method": "sq"}, "elq": {"method": "elq"},
    "gxnor": {"method": "gxnor"}, "fixed": {"method": "fixed", "integer_bits": 1, "fraction_bits": 5, "rounding": "stochastic"},
    "prune": {"method": "prune", "sparsity": 0.6}, "structured": {"method": "prune_structured", "sparsity": 0.5},
    "kmeans": {"method": "kmeans", "n": 4}, "rows": {"method": "kmeans_rows", "n": 6, "size": 2}, "hashed": {"method": "hashed", "buckets": 20},
    "impq": {"method": "impq"}, "product": {"method": "product", "size": 2, "n": 4}, "factor": {"method": "factor", "rank": 8},
    "lowrank": {"method": "lowrank", "rank": 6},
}  # fmt: skip
ACTIVATIONS: dict[str, dict[str, Any]] = {
    "stochastic levels": {"method": "stochastic_sign"}, "pact": {"method": "pact"}, "lq levels": {"method": "lq"}, "abc levels": {"method": "abc"},
    "ternary": {"method": "ternary"}, "uniform": {"method": "uniform_relu"}, "impq levels": {"method": "impq"},
}  # fmt: skip
CUT: dict[str, dict[str, Any]] = (
    {name: {"weights": spec, "first": BWN, "activations": UINT} for name, spec in WEIGHTS.items()}
    | {name: {"weights": BWN, "activations": spec} for name, spec in ACTIVATIONS.items()}
)  # fmt: skip
RECIPES: dict[str, dict[str, Any]] = {
    "sgd": {"optimiser": "sgd", "lr": 0.1}, "dropout": {"dropout": 0.3}, "augmented": {"augment": True, "shift": 1},
    "step": {"schedule": "step", "weight_decay": 1e-3, "l1": 1e-5},
}  # fmt: skip


@pytest.mark.parametrize("case", [*CUT, *RECIPES])
def test_a_run_that_was_cut_off_ends_as_if_it_had_not_been(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layers = copy.deepcopy(GRADED)
    layers[-1]["quantiser"] = BWN
    described = describe(layers, CUT.get(case, {"weights": BWN, "activations": UINT}), **{"epochs": 4, "batch": 200} | RECIPES.get(case, {}))
    learn(tmp_path / "whole", described)
    epoch = loop.Trainer.epoch

    def cut(self: loop.Trainer, number: int, advance: Any) -> None:
        epoch(self, number, advance)
        if number == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop.Trainer, "epoch", cut)
        learn(tmp_path / "cut", described)
    with open(tmp_path / "cut" / "metrics.jsonl", "a") as f:
        f.write('{"epoch": 3}\n')  # of an epoch whose checkpoint was not written any more
    torch.manual_seed(7)
    learn(tmp_path / "cut", described)
    assert same(checkpoint(tmp_path / "whole"), checkpoint(tmp_path / "cut"))
    assert same(lines(tmp_path / "whole"), lines(tmp_path / "cut")) and len(lines(tmp_path / "cut")) == 4
    for name in ("network.yaml", "trained.yaml"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes()
    agreed(tmp_path / "cut")


def test_metrics_have_a_line_an_epoch(tmp_path: Path) -> None:
    described = describe(PLAIN, epochs=3)
    for options in ({}, {"resume": True}, {"resume": False}):
        learn(tmp_path / "t", described, **options)
        assert [line["epoch"] for line in lines(tmp_path / "t")] == [1, 2, 3]
        assert all(line.keys() == {"epoch", "loss", "test_accuracy", "seconds"} for line in lines(tmp_path / "t"))
    assert learn(tmp_path / "t", describe(PLAIN, epochs=5))["epoch"] == 5
    assert [line["epoch"] for line in lines(tmp_path / "t")] == [1, 2, 3, 4, 5]


def test_the_seed_decides(tmp_path: Path) -> None:
    states = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        torch.manual_seed(len(name))
        learn(tmp_path / name, describe(PLAIN, {"weights": {"method": "sign", "stochastic": True}}, seed=seed, epochs=1))
        states.append(checkpoint(tmp_path / name)["model"])
    assert same(states[0], states[1]) and not same(states[0], states[2])


def test_start_takes_the_parameters_that_match(tmp_path: Path) -> None:
    learn(tmp_path / "first", describe(PLAIN))
    old = checkpoint(tmp_path / "first")["model"]
    wider = [*PLAIN[:3], dense("mid", 12), norm("b2"), sign("s2"), dense("fc2", 10)]
    fresh = trainer(tmp_path, wider).model.state_dict()
    started = trainer(tmp_path, wider, start=str(tmp_path / "first")).model.state_dict()
    taken = {k for k in started if k in old and old[k].shape == started[k].shape}
    assert {"fc1.weight", "b1.running_mean", "b1.weight"} <= taken and "fc2.weight" not in taken and "mid.weight" not in taken
    assert all(torch.equal(started[k], old[k] if k in taken else fresh[k]) for k in started)


# post-training quantisation, stochastic quantisers, formats


@pytest.mark.parametrize("layers", [GRADED, [conv("c1", 6, stride=2), norm("b1"), levels("a1"), dense("fc", 10)]], ids=["dense", "conv"])
def test_calibration_changes_nothing_but_the_ranges_of_activations(layers: list[dict[str, Any]], tmp_path: Path) -> None:
    real = learn(tmp_path / "real", describe(layers, {"weights": REAL, "activations": {**REAL, "function": "relu"}}, epochs=5))
    assert not (tmp_path / "real" / "network.yaml").exists()
    static = {"weights": {"method": "static", "bits": 8}, "activations": {"method": "uniform_relu", "bits": 6}}
    metrics = learn(tmp_path / "static", describe(layers, static, start=str(tmp_path / "real"), calibrate=10))
    before, after = (checkpoint(tmp_path / name)["model"] for name in ("real", "static"))
    assert all(torch.equal(after[k], before[k]) for k in before) and before.keys() < after.keys()
    ranges = {k: float(v) for k, v in after.items() if k not in before}
    assert {k.split(".")[-1] for k in ranges} == {"least", "largest"} and all(np.isfinite(v) for v in ranges.values())
    assert all(v > 0 for k, v in ranges.items() if k.endswith("largest"))
    assert len(lines(tmp_path / "static")) == 1 and abs(metrics["test_accuracy"] - real["test_accuracy"]) < 3
    agreed(tmp_path / "static")


STOCHASTIC = {
    "weights": ({"weights": {"method": "sign", "stochastic": True}, "activations": UINT}, "fc3"),
    "activations": ({"weights": BWN, "activations": {"method": "stochastic_sign"}}, "a1"),
    "rounding": ({"weights": {"method": "fixed", "integer_bits": 1, "fraction_bits": 4, "rounding": "stochastic"}, "activations": UINT}, "fc3"),
    "partial": ({"weights": {"method": "sq", "steps": [0.5, 1.0]}, "activations": UINT}, "fc3"),
}


@pytest.mark.parametrize("case", STOCHASTIC)
def test_stochastic_quantisers_evaluate_deterministically(case: str, tmp_path: Path) -> None:
    quantisers, layer = STOCHASTIC[case]
    learn(tmp_path / "t", describe(GRADED, quantisers))
    images = data.load_split("digits", "test").x
    assert (evaluated(tmp_path / "t", images) == evaluated(tmp_path / "t", images)).all()
    agreed(tmp_path / "t")
    model, (x, _) = model_of(tmp_path / "t").train(), batch()
    if case == "partial":
        model.before_epoch(0, 2)
    assert not torch.equal(model.real(x)[layer], model.real(x)[layer])


def test_shift_based_batch_norm_is_exact_in_hardware(tmp_path: Path) -> None:
    layers = [conv("c1", 6, stride=2), norm("b1", shift=True), sign("s1"), dense("f1", 12), norm("b2", shift=True), levels("a2"), dense("f2", 10)]
    learn(tmp_path / "t", describe(layers, {"activations": UINT}))
    agreed(tmp_path / "t")
    stored = np.load(tmp_path / "t" / "weights.npz")
    for name in ("b1", "b2"):
        factors = np.abs(stored[f"{name}.weight"])
        assert (np.exp2(np.rint(np.log2(factors))) == factors).all()


def test_first_and_last_policies_reach_their_layers() -> None:
    def kinds(layers: list[dict[str, Any]], quantisers: dict[str, Any]) -> dict[str, str]:
        model = build(Topology.model_validate(describe(layers, quantisers)))
        found = {k: type(p.quantiser).__name__ for k, p in model.products.items()}
        return found | {k: type(m.quantiser).__name__ for k, m in model.named_children() if isinstance(m, n.LevelsLayer)}

    policy = {"first": {"method": "dorefa", "bits": 8}, "weights": {"method": "twn"}, "last": {"method": "static"}, "activations": UINT}
    assert kinds(GRADED, policy) == {
        "fc1": "DorefaWeights", "fc2": "TwnWeights", "fc3": "StaticWeights", "a1": "UintActivation", "a2": "UintActivation",
    }  # fmt: skip
    own = copy.deepcopy(GRADED)
    own[0]["quantiser"], own[2]["quantiser"] = BWN, {"method": "ternary"}
    assert kinds(own, policy) | {"fc1": "BwnWeights", "a1": "TernaryActivation"} == kinds(own, policy)
    assert kinds(MAPS, {"first": BWN}) == {"c1": "BwnWeights", "c2": "SignWeights", "fc": "SignWeights"}
    assert kinds(MAPS, {"last": BWN}) == {"c1": "SignWeights", "c2": "SignWeights", "fc": "BwnWeights"}
    assert kinds([dense("fc", 10)], policy) == {"fc": "DorefaWeights"}


@pytest.mark.parametrize("method", ["bwn", "twn", "abc"])
@pytest.mark.parametrize("per_tensor", [True, False])
def test_scales_are_per_tensor_or_per_channel(method: str, per_tensor: bool, tmp_path: Path) -> None:
    learn(tmp_path / "t", describe(MAPS, {"weights": {"method": method, "per_tensor": per_tensor}}))
    for product in model_of(tmp_path / "t").products.values():
        assert (len(product.integers().unit.unique()) == 1) == per_tensor
    tensors = np.load(tmp_path / "t" / "weights.npz").files
    assert ("fc_scale.multiplier" in tensors) != per_tensor  # only scales of their own change which output is largest
    agreed(tmp_path / "t")


# teachers


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real network."""
    folder = tmp_path_factory.mktemp("teacher")
    learn(folder, describe(MAPS_OF_LEVELS, {"weights": REAL, "activations": REAL}, epochs=8, lr=0.01))
    return folder


MAPS_OF_LEVELS = [conv("c1", 12, stride=2), norm("b1"), levels("s1"), conv("c2", 12, pad=1), norm("b2"), levels("s2"), dense("fc", 10)]
STUDENTS = {
    "signs": (MAPS, None, "b2"),
    "levels": (MAPS_OF_LEVELS, {"weights": {"method": "ttq"}, "activations": UINT}, "b2"),
    "residual": (
        [
            conv("c1", 8, stride=2), {"type": "fixed", "name": "r", "bits": 8, "fraction": 4, "norm": True}, sign("s1"), conv("c2", 8, pad=1),
            {"type": "fixed", "name": "x", "bits": 8, "fraction": 4, "norm": True}, {"type": "add", "name": "j", "inputs": ["r", "x"]},
            sign("s2"), dense("fc", 10),
        ], {"weights": BWN}, "j",
    ),
}  # fmt: skip


def attended(student: Path, teacher: Path, layer: str) -> float:
    """Squared distance of a student's attention from its teacher's, mean over the test images."""
    model, guide = model_of(student), model_of(teacher)
    x = loop.prepare(guide.topology.input, data.load_split("digits", "test").x)
    with torch.no_grad():
        return float((attention(model.real(x)[layer]) - attention(guide.real(x)["b2"])).square().sum(1).mean())


@pytest.mark.parametrize("case", STUDENTS)
def test_any_student_follows_its_teachers_attention(case: str, taught: Path, tmp_path: Path) -> None:
    layers, quantisers, layer = STUDENTS[case]
    distil = {"teacher": str(taught), "logits": 0, "attention": 3, "layers": [[layer, "b2"]]}
    for name, given in (("alone", None), ("taught", distil)):
        learn(tmp_path / name, describe(layers, quantisers, epochs=6, distil=given))
        agreed(tmp_path / name)
    assert attended(tmp_path / "taught", taught, layer) < 0.7 * attended(tmp_path / "alone", taught, layer)


@pytest.mark.parametrize("case", STUDENTS)
def test_any_student_follows_its_teachers_outputs(case: str, taught: Path, tmp_path: Path) -> None:
    """A teacher that takes every digit for the next is believed rather than the labels."""
    layers, quantisers, _ = STUDENTS[case]
    state = checkpoint(taught)
    state["model"]["fc.weight"] = state["model"]["fc.weight"].roll(1, 0)
    (tmp_path / "odd").mkdir()
    torch.save(state, tmp_path / "odd" / "checkpoint.pt")
    (tmp_path / "odd" / "trained.yaml").write_bytes((taught / "trained.yaml").read_bytes())
    before = (tmp_path / "odd" / "checkpoint.pt").read_bytes()
    learn(tmp_path / "t", describe(layers, quantisers, epochs=6, distil={"teacher": str(tmp_path / "odd"), "logits": 20, "temperature": 2}))
    test = data.load_split("digits", "test")
    outputs = evaluated(tmp_path / "t", test.x).argmax(1)
    assert (outputs == (test.y + 1) % 10).mean() > 0.6 and (outputs == test.y).mean() < 0.1
    assert (tmp_path / "odd" / "checkpoint.pt").read_bytes() == before


def test_the_teacher_stays_as_it_was(taught: Path, tmp_path: Path) -> None:
    made = trainer(tmp_path, MAPS, distil={"teacher": str(taught), "attention": 1, "layers": [["b1", "b1"], ["b2", "b2"]]})
    assert isinstance(made.teacher, Teacher)
    before = copy.deepcopy(made.teacher.model.state_dict())
    made.epoch(0, lambda: None)
    after = made.teacher.model.state_dict()
    assert not made.teacher.model.training and not any(p.requires_grad for p in made.teacher.model.parameters())
    assert same(dict(before), dict(after))


def test_real_to_binary_in_three_descriptions(taught: Path, tmp_path: Path) -> None:
    """Martinez 2020: a real teacher; binary activations from it; binary weights as well from that."""
    binary_layers = [sign(layer["name"]) if layer["type"] == "levels" else layer for layer in MAPS_OF_LEVELS]

    def follow(teacher: Path) -> dict[str, Any]:
        return {"teacher": str(teacher), "attention": 5, "layers": [["b1", "b1"], ["b2", "b2"]]}

    half = describe(binary_layers, {"weights": REAL}, start=str(taught), distil=follow(taught), epochs=4, lr=0.01)
    learn(tmp_path / "half", half)
    assert model_of(tmp_path / "half").is_real and not (tmp_path / "half" / "network.yaml").exists()
    whole = describe(binary_layers, {"weights": BWN}, start=str(tmp_path / "half"), distil=follow(tmp_path / "half"), epochs=6, lr=0.01)
    metrics = learn(tmp_path / "whole", whole)
    net = agreed(tmp_path / "whole")
    assert metrics["test_accuracy"] > 80
    assert all(layer.weights.planes == 1 for layer in net.layers if isinstance(layer, MatVec))


def test_a_real_network_is_not_generated(taught: Path, tmp_path: Path) -> None:
    with pytest.raises(bnnhw.ir.errors.BnnhwError, match="layer 'c1': real weights have no hardware form; train on from them with a quantiser"):
        bnnhw.generate(taught / "trained.yaml", tmp_path / "d", weights=taught / "checkpoint.pt")
    assert not (tmp_path / "d").exists()


# pruned neurons


@pytest.mark.parametrize("layers", [GRADED, MAPS], ids=["dense", "conv"])
def test_pruned_neurons_are_not_in_hardware(layers: list[dict[str, Any]], tmp_path: Path) -> None:
    half = {"method": "prune_structured", "sparsity": 0.5, "steps": 1}
    learn(tmp_path / "t", describe(layers, {"weights": half, "last": BWN, "activations": UINT}, epochs=3))
    described = {layer["name"]: layer["out"] for layer in layers if "out" in layer}
    net, products = agreed(tmp_path / "t"), list(described)
    for name in products[:-1]:
        assert net[name].out_shape[0] <= described[name] // 2
    assert net[products[-1]].out_shape[0] == 10
    made = bnnhw.generate(tmp_path / "t" / "network.yaml", tmp_path / "d", fully_folded=True)
    report = json.loads((tmp_path / "d" / "report.json").read_text())
    assert made.network.weight_bits < sum(p.weight.numel() for p in model_of(tmp_path / "t").products.values())
    assert set(report["constant_channels_dropped"]) == set(products[:-1])


@pytest.mark.parametrize("layers", [GRADED, MAPS], ids=["dense", "conv"])
def test_a_shrunk_network_trains_on_and_is_generated(layers: list[dict[str, Any]], tmp_path: Path) -> None:
    policy = {"first": {"method": "prune_structured", "sparsity": 0.5, "steps": 1}, "weights": BWN, "activations": UINT}
    learn(tmp_path / "wide", describe(layers, policy, epochs=3))
    model = model_of(tmp_path / "wide")
    state = model.state_dict()
    (first, pruned), (second, _) = list(model.products.items())[:2]
    keep = structured_keep(pruned.quantiser)
    norms = {k.removeprefix("b1."): v for k, v in state.items() if k.startswith("b1.")}
    weight, norms, following = shrink(state[f"{first}.weight"], norms, state[f"{second}.weight"], keep)
    narrow = copy.deepcopy(layers)
    narrow[0]["out"] = len(keep)
    started = {**state, f"{first}.weight": weight, f"{second}.weight": following, **{f"b1.{k}": v for k, v in norms.items()}}
    (tmp_path / "start").mkdir()
    torch.save({"model": {k: v for k, v in started.items() if "mask" not in k}}, tmp_path / "start" / "checkpoint.pt")
    metrics = learn(tmp_path / "narrow", describe(narrow, {"weights": BWN, "activations": UINT}, start=str(tmp_path / "start"), epochs=5))
    assert metrics["test_accuracy"] > 60
    net = agreed(tmp_path / "narrow")
    assert net[first].out_shape[0] <= len(keep) == layers[0]["out"] // 2
    made = bnnhw.generate(tmp_path / "narrow" / "network.yaml", tmp_path / "d")
    wide = bnnhw.generate(tmp_path / "wide" / "network.yaml", tmp_path / "w")
    assert made.network.weight_bits <= wide.network.weight_bits
    assert yaml.safe_load((tmp_path / "narrow" / "network.yaml").read_text())["layers"][0]["out"] == len(keep)
