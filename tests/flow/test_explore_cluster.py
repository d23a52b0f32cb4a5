"""Exploration for real: each evaluation once, processes and a Dask cluster with workers that die."""

from __future__ import annotations

import logging
import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

import bnnhw
from bnnhw import frontend
from bnnhw.explore import Exploration, evaluate_all, grid
from bnnhw.explore.points import Point
from bnnhw.ir.store import network_bytes
from bnnhw.lower import lower
from support.explored import AT_ONCE, DEADLY, REFUSED, SLOWLY, STUCK, choose

CLOCKS = [100.0 + n for n in range(8)]


@pytest.fixture(scope="module")
def network() -> bytes:
    """A small integer network's file."""
    return network_bytes(lower(frontend.load("digits_mlp", None)).network)


@pytest.fixture
def points(tmp_path: Path) -> tuple[Point, ...]:
    """Two that fail, one of them with its worker, and nine that do not; each leaves a trace in a folder."""
    traces = tmp_path / "traces"
    traces.mkdir()
    return grid({"clock_mhz": [*CLOCKS[:3], STUCK, CLOCKS[3], REFUSED, DEADLY, *CLOCKS[4:]]}, [str(traces)])


@contextmanager
def killer(points: tuple[Point, ...]) -> Iterator[None]:
    """Kills the worker that evaluates the stuck point."""
    ended = Event()

    def kill() -> None:
        while not ended.wait(0.02):
            for trace in Path(points[0].target).glob(f"{STUCK:g}.*"):
                os.kill(int(trace.suffix[1:]), signal.SIGKILL)
                return

    thread = Thread(target=kill)
    thread.start()
    yield
    ended.set()
    thread.join()


def check(found: Exploration, points: tuple[Point, ...], network: bytes, folder: Path) -> None:
    """The same results as of one process without accidents; the killed worker's point was evaluated twice."""
    alone = tuple(p for p in points if dict(p.request)["clock_mhz"] != DEADLY)
    want = evaluate_all(network, alone, folder, evaluation=AT_ONCE, choose=choose, jobs=1).outcomes
    assert tuple(o for o in found.outcomes if o.point in alone) == want
    deadly, refused = sorted(found.failed, key=lambda f: dict(f.point.request)["clock_mhz"])
    assert refused.reason == "clock: 666 MHz cannot be reached; give less"
    assert "died, also when it was tried alone" in deadly.reason and deadly.reason.endswith("it may need more memory")
    started = Counter(p.stem for p in Path(points[0].target).iterdir())
    assert set(started) == {f"{c:g}" for c in [*CLOCKS, REFUSED, STUCK]} and started[f"{STUCK:g}"] > 1


def test_a_pool_of_processes_survives_its_workers(points: tuple[Point, ...], network: bytes, tmp_path: Path) -> None:
    with killer(points):
        found = evaluate_all(network, points, tmp_path / "out", evaluation=SLOWLY, choose=choose, jobs=2)
    check(found, points, network, tmp_path / "alone")


@pytest.fixture
def cluster() -> Iterator[str]:
    """Address of a scheduler with two workers, processes of one thread each."""
    distributed = pytest.importorskip("distributed")
    import dask

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1, "distributed.deploy.lost-worker-timeout": "1h"}),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=logging.CRITICAL) as local,
    ):
        yield local.scheduler_address


def test_a_dask_cluster_survives_its_workers(cluster: str, points: tuple[Point, ...], network: bytes, tmp_path: Path) -> None:
    address = cluster.replace("tcp://", "dask://")
    with killer(points):
        found = evaluate_all(network, points, tmp_path / "out", evaluation=SLOWLY, choose=choose, cluster=address)
    check(found, points, network, tmp_path / "alone")
    whole = [p for p in points if dict(p.request)["clock_mhz"] in CLOCKS]
    assert evaluate_all(network, whole, tmp_path / "out", evaluation=SLOWLY, choose=choose, cluster=address).evaluated == 0


def test_designs_are_synthesised(tmp_path: Path) -> None:
    found = bnnhw.explore("digits_mlp", tmp_path, evaluate="synth", targets=["ice40"], fps=[5_000.0], jobs=1)
    (result,) = found.front
    bnnhw.generate("digits_mlp", tmp_path / "d", fps=5_000, target="ice40")
    assert result.values["luts"] == bnnhw.synth(tmp_path / "d", "ice40", modules=False).whole.luts > 0


def test_designs_are_simulated(tmp_path: Path) -> None:
    (result,) = bnnhw.explore("digits_mlp", tmp_path, evaluate="simulate", fps=[5_000.0], jobs=1).outcomes
    predicted = bnnhw.info("digits_mlp", fps=5_000)
    assert result.point.target == ""
    assert {k: result.values[k] for k in ("interval_cycles", "latency_cycles")} == {k: predicted[k] for k in ("interval_cycles", "latency_cycles")}
    assert result.values["equal_frames"] == 3
