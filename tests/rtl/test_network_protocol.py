"""A generated network at its AXI4-Stream ports: stalls, resets and wrong frames; exact against golden."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bnnhw import api, golden, schedule
from bnnhw.emit import naming
from bnnhw.ir.instances import Stream
from bnnhw.ir.integer import Network
from bnnhw.ir.layout import pack, pack_frames
from bnnhw.verify.frames import random_frames
from sim.runner import SIMULATORS, simulate, simulator_environment

FPS = 50_000


def frame_bytes(stream: Stream, beats: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """[N, bytes] that tkeep marks, from beats [N, beats, bytes]."""
    return beats.reshape(len(beats), -1)[:, : (stream.elements * stream.elem_bits + 7) // 8]


def outputs(net: Network, sink: Stream, frames: NDArray[np.integer]) -> NDArray[np.uint8]:
    """[N, bytes] that must leave for raw `frames`."""
    sums = golden.run(net, frames).outputs.transpose(0, 2, 3, 1).reshape(len(frames), -1)
    return frame_bytes(sink, pack(sink, sums))


@pytest.mark.parametrize("sim", SIMULATORS)
def test_network_protocol(sim: str, tmp_path: Path) -> None:
    environment = simulator_environment(sim, "cocotbext.axi")
    chosen = api.generate("digits_cnn", tmp_path / "narrow", fps=FPS)
    # Lanes that divide neither the input's nor the output's elements, so that both last beats are short.
    odd = replace(chosen.design, input_lanes=3, output_lanes=4)
    (tmp_path / "design.yaml").write_text(schedule.write_design(chosen.network, odd))
    g = api.generate("digits_cnn", tmp_path / "generated", design=tmp_path / "design.yaml")
    chain, net = g.pipeline, g.network
    assert chain.interval < 10_000, "too slow for Icarus"
    frames = random_frames(net.port, 4 if sim == "verilator" else 1, seed=1)
    source = frame_bytes(chain.source, pack_frames(net, chain.source, frames))
    # A short frame is filled up with zero bits, which are black pixels here.
    half = source[:1, : source.shape[1] // 2]
    filled = frames[:1].copy()
    filled.reshape(-1)[half.shape[1] :] = 0
    np.savez(
        tmp_path / "traffic.npz", inputs=source, outputs=outputs(net, chain.sink, frames), short_input=half[0],
        short_output=outputs(net, chain.sink, filled)[0], interval=chain.interval,
    )  # fmt: skip
    told = {"TRAFFIC": str(tmp_path / "traffic.npz")}
    only = None if sim == "verilator" else r"frames_back_to_back/mode=random"
    sources, top = sorted((g.folder / "rtl").glob("*.v")), naming(net).module
    simulate("sim.bench_network", sources, top, sim, folder=tmp_path, run_in=g.folder, environment=environment, told=told, only=only)
