"""Host drivers against the simulated RTL; new weights for running hardware."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import bnnhw
from bnnhw import frontend
from bnnhw.ir.trained import TrainedNetwork
from bnnhw.verify.frames import random_frames
from sim.corners import wrapper
from sim.runner import SIMULATORS, simulate, simulator_environment

FRAMES = 12


def changed(net: TrainedNetwork, layers: tuple[str, ...], seed: int = 1) -> TrainedNetwork:
    """The network with other signs of the weights of some layers, and other batch norms behind them."""
    rng, tensors = np.random.default_rng(seed), dict(net.tensors)
    names = [layer.name for layer in net.topology.layers]
    for layer in layers:
        for key, value in net.tensors.items():
            if key == f"{layer}.weight":
                tensors[key] = value * rng.choice([-1, 1], value.shape).astype(value.dtype)
        behind = next((n for n in names[names.index(layer) + 1 :] if f"{n}.running_mean" in tensors), None)
        if behind is not None and names.index(behind) - names.index(layer) <= 2:
            mean = tensors[f"{behind}.running_mean"]
            tensors[f"{behind}.running_mean"] = (mean + rng.normal(0, 3, mean.shape)).astype(mean.dtype)
    return replace(net, tensors=tensors)


CASES = {"digits_mlp": ("fc1", "fc2", "fc3"), "digits_cnn": ("conv2", "fc1")}


@pytest.mark.parametrize("name", CASES)
def test_an_update_is_the_same_hardware_with_other_memories(name: str, tmp_path: Path) -> None:
    net, written = frontend.load(name), CASES[name]
    old = bnnhw.generate(net, tmp_path / "old", writable=written, fps=50_000)
    new = bnnhw.update(tmp_path / "old", changed(net, written), tmp_path / "new")
    assert {i.layer for i in old.pipeline.written} == set(written)
    for path in sorted((tmp_path / "old" / "rtl").iterdir()):
        assert path.read_bytes() == (new.folder / "rtl" / path.name).read_bytes()
    differing = [p.name for p in sorted((tmp_path / "old" / "mem").iterdir()) if p.read_bytes() != (new.folder / "mem" / p.name).read_bytes()]
    assert {f"{name}_{layer}_weights.mem" for layer in written} <= set(differing), differing
    assert set(differing) <= {f"{name}_{layer}_{memory}.mem" for layer in written for memory in ("weights", "head")}, differing
    for folder in (old.folder, new.folder):
        report = bnnhw.verify(folder, frames=20, stalls="random")
        assert report.passed, report
    x = random_frames(old.network.port, 20, 1)
    assert not np.array_equal(bnnhw.golden.run(old.network, x).outputs, bnnhw.golden.run(new.network, x).outputs)


@pytest.mark.parametrize(("name", "sim"), [("digits_mlp", sim) for sim in SIMULATORS] + [("digits_cnn", "verilator")])
def test_the_driver_runs_and_updates_simulated_hardware(name: str, sim: str, tmp_path: Path) -> None:
    environment, net, written = simulator_environment(sim, "cocotbext.axi"), frontend.load(name), CASES[name]
    old = bnnhw.generate(net, tmp_path / "old", writable=written, fps=50_000)
    bnnhw.update(tmp_path / "old", changed(net, written), tmp_path / "new")
    bnnhw.update(tmp_path / "old", net, tmp_path / "original")
    assert old.pipeline.interval < 3000, "too slow for Icarus"
    np.save(tmp_path / "frames.npy", random_frames(old.network.port, FRAMES, seed=2))
    case = {
        "folder": str(old.folder),
        "changed": str(tmp_path / "new"),
        "original": str(tmp_path / "original"),
        "interval": old.pipeline.interval,
        "frames": str(tmp_path / "frames.npy"),
    }
    sources = sorted((old.folder / "rtl").glob("*.v"))
    only = None if sim == "verilator" else "update_with_frames_in_flight/mode=none"
    told = {"HOST_CASE": json.dumps(case)}
    simulate("sim.bench_host", sources, name, sim, folder=tmp_path, run_in=old.folder, environment=environment, told=told, only=only)


MUTANTS = [
    ("bnn_hold", "wire between = take ? last : beat_q == 0 && !m_valid;", "wire between = 1'b1;"),
    ("bnn_control", "idle && there)", "there)"),
    ("bnn_hold", "entered_q == frames", "1'b1"),
    ("bnn_hold", "assign m_valid = s_valid && !held_q;", "assign m_valid = s_valid;"),
    ("bnn_hold", "if (last) entered_q", "entered_q"),
    ("bnn_control", "{s_axi_wdata, word_q[DATA_W-1:32]}", "{word_q[DATA_W-33:0], s_axi_wdata}"),
    ("bnn_control", "memory_q} == n;", "memory_q} >= n;"),
    ("bnn_control", "bvalid_q <= write || (bvalid_q && !s_axi_bready);", "bvalid_q <= write;"),
    ("bnn_control", "wire write = s_axi_awvalid && s_axi_wvalid", "wire write = s_axi_awvalid"),
    ("bnn_control", "bad_write_q <= !good", "bad_write_q <= 1'b0"),
    ("bnn_ram", "if (w_en) mem[w_addr]", "mem[w_addr]"),
]


@pytest.mark.parametrize(
    ("module", "old", "new"), [pytest.param(*m, marks=[] if n < 2 else [pytest.mark.slow], id=f"{m[0]}-{n}") for n, m in enumerate(MUTANTS)]
)
def test_mutants_of_hold_and_control_are_caught(module: str, old: str, new: str, tmp_path: Path) -> None:
    """By the module's bench or by the driver at the whole network."""
    environment, net, written = simulator_environment("verilator", "cocotbext.axi"), frontend.load("digits_mlp"), CASES["digits_mlp"]
    made = bnnhw.generate(net, tmp_path / "old", writable=written, fps=50_000)
    for name, other in (("new", changed(net, written)), ("original", net)):
        bnnhw.update(tmp_path / "old", other, tmp_path / name)
    np.save(tmp_path / "frames.npy", random_frames(made.network.port, FRAMES, seed=2))
    folders = {"folder": str(made.folder), "changed": str(tmp_path / "new"), "original": str(tmp_path / "original")}
    told = {"HOST_CASE": json.dumps({**folders, "interval": made.pipeline.interval, "frames": str(tmp_path / "frames.npy")})}
    file = made.folder / "rtl" / f"{module}.v"
    assert file.read_text().count(old) == 1, old
    file.write_text(file.read_text().replace(old, new))
    rtl = sorted((made.folder / "rtl").glob("*.v"))

    def network() -> None:
        simulate(
            "sim.bench_host", rtl, "digits_mlp", "verilator", folder=tmp_path / "network", run_in=made.folder, environment=environment, told=told
        )

    def alone() -> None:
        bench = importlib.import_module(f"sim.{module.replace('bnn', 'bench', 1)}")
        top = wrapper(module, bench.CORNERS, tmp_path / "alone")
        simulate(bench.__name__, [*rtl, top], "bench", "verilator", folder=tmp_path / "alone", run_in=tmp_path / "alone", environment=environment)

    for name in ("network", "alone"):
        (tmp_path / name).mkdir()
    with pytest.raises(AssertionError):
        alone()
        network()


def test_updates_that_need_other_hardware_are_refused(tmp_path: Path) -> None:
    net = frontend.load("digits_mlp")
    bnnhw.generate(net, tmp_path / "fixed", fps=1000)
    bnnhw.generate(net, tmp_path / "one", writable=("fc2",), fps=1000)
    for folder, other, message in (
        ("fixed", net, "no layer is writable; generate it with --writable"),
        ("one", changed(net, ("fc1",)), "which cannot be written at run time; train with those layers as they were, or generate it anew"),
        ("one", frontend.load("digits_cnn"), "design"),
    ):
        with pytest.raises(bnnhw.BnnhwError, match=message):
            bnnhw.update(tmp_path / folder, other, tmp_path / "new")
        assert not (tmp_path / "new").exists()
    with pytest.raises(bnnhw.BnnhwError, match=r"^output .*: lies in .*; choose an --out beside it$"):
        bnnhw.update(tmp_path / "one", net, tmp_path / "one" / "inner")
    (tmp_path / "one" / "bitstream").mkdir()
    (tmp_path / "one" / "bitstream" / "system.bit").write_text("of the old weights")
    assert not (bnnhw.update(tmp_path / "one", changed(net, ("fc2",)), tmp_path / "other").folder / "bitstream").exists()
    named = replace(net, topology=net.topology.model_copy(update={"classes": tuple("abcdefghij")}))
    with pytest.raises(bnnhw.BnnhwError, match=r"^update: its input, its outputs' names or how a label follows differ, which hosts have"):
        bnnhw.update(tmp_path / "one", named, tmp_path / "named")
    identities = set()
    for n, layers in enumerate(((), ("fc2",), ("fc1",), ("fc3",))):
        made = bnnhw.generate(changed(net, layers), tmp_path / f"i{n}", writable=("fc2",), fps=1000)
        assert made.pipeline.control
        identities.add(made.pipeline.control.parameters["IDENTITY"])
    assert len(identities) == 3, "fc2 alone is written"
    with pytest.raises(bnnhw.BnnhwError, match=r"^writable: 'fc9' is no layer with weights; give some of fc1, fc2, fc3, or all$"):
        bnnhw.generate(net, tmp_path / "bad", writable=("fc9",))
    with pytest.raises(bnnhw.BnnhwError, match=r"^layer 'fc2': is writable, which the HLS C\+\+ has no layers for; give --backend verilog$"):
        bnnhw.generate(net, tmp_path / "bad", writable=("fc2",), backend="both")
