"""Exploration: the front, the names of results, what is kept, what fails, and mistakes in one line."""

from __future__ import annotations

import csv
import json
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import bnnhw
from bnnhw.cli import app
from bnnhw.explore import EVALUATIONS, evaluate_all, grid, pools
from bnnhw.explore.front import front
from bnnhw.explore.points import Evaluation, Failed, Point, Result, Setting
from bnnhw.report.front import draw_front
from bnnhw.request import choose_design
from support.explored import AT_ONCE, REFUSED


def rows(path: Path) -> list[dict[str, str]]:
    """Lines of a table."""
    with path.open() as file:
        return list(csv.DictReader(file))


def dominated(r: Result, by: Result) -> bool:
    """Whether `by` is better in one and no worse in the other."""
    a, b = ((x.values["luts"], -x.values["frames_per_second"]) for x in (r, by))
    return r.point.target == by.point.target and b[0] <= a[0] and b[1] <= a[1] and a != b


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from(["xc7", "ice40"]))))
def test_the_front_is_what_no_other_point_betters(drawn: list[tuple[int, int, str]]) -> None:
    results = [Result(str(n), Point((), t), {"luts": luts, "frames_per_second": fps}, "") for n, (luts, fps, t) in enumerate(drawn)]
    unrivalled = [r for r in results if not any(dominated(r, other) for other in results)]
    found = front([*results, Failed("f", Point((), "xc7"), "why")])
    values = [(r.point.target, *r.values.values()) for r in found]
    assert set(values) == {(r.point.target, *r.values.values()) for r in unrivalled} and len(set(values)) == len(values)
    assert all(r in results for r in found)


def test_a_board_brings_its_target(tmp_path: Path, evaluated: list[float]) -> None:
    found = bnnhw.explore("digits_mlp", tmp_path, evaluate="synth", board=["icebreaker", "basys3"], fps=[100.0], jobs=1)
    assert [o.point.target for o in found.outcomes] == ["ice40", "xc7"] and not found.failed


def test_targets_that_do_not_matter_are_one_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EVALUATIONS, "simulate", replace(AT_ONCE, measure=lambda *_: {}, for_target=False))
    (found,) = bnnhw.explore("digits_mlp", tmp_path, evaluate="simulate", targets=["xc7", "ice40"], jobs=1).outcomes
    assert found.point.target == ""


def test_no_more_processes_than_points() -> None:
    for jobs, points, started in ((99999, 3, 3), (99999, 1, 2), (1, 3, 1), (None, 3, -1)):
        with pools.pool_of(None, jobs, points) as options:
            assert options()["n_jobs"] == started


def test_a_name_depends_on_all_that_decides_the_result() -> None:
    point, setting = Point((("fps", 10.0), ("clock_mhz", 100)), "xc7"), Setting(b"net", AT_ONCE, choose_design, "1", "Yosys 1")
    same = Point((("clock_mhz", 100.0), ("fps", 10)), "xc7")
    assert setting.key(point) == setting.key(same)
    others = [
        setting.key(p) for p in (replace(point, target="ice40"), Point((("fps", 10.0),), "xc7"), Point((("fps", 11), ("clock_mhz", 100)), "xc7"))
    ]
    changes: list[dict[str, Any]] = [{"network": b"other"}, {"version": "2"}, {"tool": ""}, {"evaluation": replace(AT_ONCE, name="other")}]
    others += [replace(setting, **change).key(point) for change in changes]
    assert len({setting.key(point), *others}) == 1 + len(others)


def test_a_grid_has_every_combination_once() -> None:
    found = grid({"fps": [1.0, 2.0, 1.0], "clock_mhz": [100.0, 200.0]}, ["xc7", "ice40"])
    assert len(found) == len(set(found)) == 8
    assert str(found[0]) == "fps=1.0 clock_mhz=100.0 xc7"


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Clocks of the designs that were evaluated, in this process."""
    clocks: list[float] = []

    def measure(net: Any, design: Any, target: str) -> dict[str, Any]:
        clocks.append(design.clock_mhz)
        return AT_ONCE.measure(net, design, target)

    monkeypatch.setitem(EVALUATIONS, "synth", replace(AT_ONCE, measure=measure))
    return clocks


def test_what_is_kept_is_not_evaluated_again_and_what_failed_is(tmp_path: Path, evaluated: list[float]) -> None:
    clocks, seen = [100.0, REFUSED, 200.0], []
    first = bnnhw.explore("digits_mlp", tmp_path, evaluate="synth", clock_mhz=clocks, jobs=1, progress=lambda *at: seen.append(at))
    assert evaluated == clocks and first.evaluated == 3 and seen == [(0, 0, 3), (1, 0, 3), (2, 1, 3), (3, 1, 3)]
    assert [f.reason for f in first.failed] == ["clock: 666 MHz cannot be reached; give less"]
    assert [r.values["luts"] for r in first.front] == [800]
    table = rows(tmp_path / "points.csv")
    assert [(r["asked_clock_mhz"], r["luts"], r["failed"]) for r in table] == [
        ("100.0", "900", ""), ("666.0", "", "clock: 666 MHz cannot be reached; give less"), ("200.0", "800", ""),
    ]  # fmt: skip
    assert rows(tmp_path / "pareto.csv") == table[2:]
    assert sorted(p.stem for p in (tmp_path / "results").iterdir()) == sorted(r["result"] for r in table if r["result"])
    evaluated.clear()
    again = bnnhw.explore("digits_mlp", tmp_path, evaluate="synth", clock_mhz=clocks, jobs=1)
    assert evaluated == [REFUSED] and again.outcomes == first.outcomes
    for damaged in ("", "{}", "[]", '{"key": "other"}'):
        (tmp_path / "results" / f"{first.outcomes[0].key}.json").write_text(damaged)
        evaluated.clear()
        assert bnnhw.explore("digits_mlp", tmp_path, evaluate="synth", clock_mhz=clocks[::2], jobs=1).outcomes == first.outcomes[::2]
        assert evaluated == [100]
    evaluated.clear()
    assert bnnhw.explore("digits_mlp", tmp_path, evaluate="synth", clock_mhz=clocks[::2], jobs=1).evaluated == 0 == len(evaluated)


def test_a_result_regenerates_its_design(tmp_path: Path, evaluated: list[float]) -> None:
    (point,) = bnnhw.explore("digits_mlp", tmp_path, evaluate="synth", fps=[20_000.0], jobs=1).front
    (tmp_path / "design.yaml").write_text(json.loads((tmp_path / "results" / f"{point.key}.json").read_text())["design"])
    made = bnnhw.generate("digits_mlp", tmp_path / "d", design=tmp_path / "design.yaml")
    assert made.pipeline.interval == point.values["interval_cycles"]


def test_a_front_goes_from_the_slowest_design_to_the_fastest(tmp_path: Path) -> None:
    found = bnnhw.explore("digits_mlp", tmp_path, front=4, jobs=1)
    rates, luts = ([float(r.values[name]) for r in found.front] for name in ("frames_per_second", "luts"))
    assert len(found.front) == 4 == found.evaluated and not found.failed
    assert rates == sorted(rates) and luts == sorted(luts)
    assert rates[-1] == 1e8 and rates[0] == 1e8 / 8192
    least = bnnhw.info("digits_mlp", fps=rates[0], minimise="luts")
    assert least["interval_cycles"] == found.front[0].values["interval_cycles"] == 8192


def test_the_command_prints_the_front_and_exits_with_1_where_a_point_failed(tmp_path: Path, evaluated: list[float]) -> None:
    arguments = ["explore", "--net", "digits_mlp", "--out", str(tmp_path), "--evaluate", "synth", "--jobs", "1", "--target", "xc7,ice40"]
    result = CliRunner().invoke(app, [*arguments, "--fps", "100,20000", "--clock", "100,666"])
    assert result.exit_code == 1 and result.output.count("failed: ") == 4
    assert "8 points: 8 evaluated, 0 kept from before, 4 failed" in result.output
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert (found["evaluated"], found["failed"], [p["target"] for p in found["points"]]) == (2, 0, ["xc7", "ice40"])


def test_the_plot_is_the_same_each_time_and_left_out_without_matplotlib(
    tmp_path: Path, evaluated: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    plot = tmp_path / "pareto.svg"
    drawn = []
    for _ in range(2):
        bnnhw.explore("digits_mlp", tmp_path, evaluate="synth", jobs=1)
        drawn.append(plot.read_bytes())
    assert drawn[0] == drawn[1] and b"<svg" in drawn[0]
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert not draw_front("", {}, {}, plot)
    bnnhw.explore("digits_mlp", tmp_path, evaluate="synth", jobs=1)
    assert not plot.exists()


def test_a_worker_with_another_version_is_told_of(tmp_path: Path) -> None:
    versions = iter(["Yosys 1", "Yosys 2"])
    changing = Evaluation("test", AT_ONCE.measure, lambda: next(versions))
    found = evaluate_all(b"", grid({}, ["xc7"]), tmp_path, evaluation=changing, choose=choose_design, jobs=1)
    assert [f.reason for f in found.failed] == ["worker: its tool is Yosys 2, that of the command Yosys 1; install the same on both"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--evaluate", "guess"], "explore: evaluation 'guess' is not known; give one of "),
        (["--target", "xc7,virtex2"], "explore: target 'virtex2' is not known; give one of xc7, xcup, ecp5, ice40, gowin"),
        (["--fps", "10,x"], "explore: fps '10,x' are no numbers; give them with commas between"),
        (["--fps", "10,nan"], "folding: nan frames a second cannot be; give a finite rate of at least 1e-06"),
        (["--clock", "100,0"], "folding: a clock of 0 MHz cannot be; give more than 0 and at most 10000"),
        (["--board", "nope"], "board 'nope' is not known; give one of arty_a7_100, "),
        (["--board", "basys3,icebreaker", "--target", "xc7"], "folding: board 'icebreaker' has an FPGA of ice40, not xc7; remove --target"),
        (["--out", ""], "output '': names no folder; give --out a name, a dot for the current folder"),
        (["--front", "1"], "explore: a front of 1 rates cannot be here; give 2 or more, and neither rates nor budgets or boards beside"),
        (
            ["--front", "4", "--fps", "10"],
            "explore: a front of 4 rates cannot be here; give 2 or more, and neither rates nor budgets or boards beside",
        ),
        (["--front", "4", "--board", "zc706"], "explore: a front of 4 rates cannot be here; give 2 or more, and neither rates nor "),
        (["--minimise", "luts,all"], "folding: 'all' cannot be minimised; give one of area, luts, block_rams, energy"),
        (["--jobs", "0"], "explore: 0 jobs evaluate nothing; give at least 1"),
        (["--jobs", "2", "--cluster", "dask://here:1"], "explore: a cluster has as many jobs as it has cores; give --jobs or --cluster"),
        (["--cluster", "here:8786"], "cluster 'here:8786': is no address of a cluster; give dask://host:port or ray://host:port"),
        (["--cluster", "dask://here"], "cluster 'dask://here': is no address of a cluster; give dask://host:port or ray://host:port"),
        (["--cluster", "dask://here:x"], "cluster 'dask://here:x': is no address of a cluster; give dask://host:port or ray://host:port"),
        (["--cluster", "dask://127.0.0.1:1"], "cluster 'dask://127.0.0.1:1': no scheduler answers there (Timed out trying to connect to"),
    ],
)
def test_mistakes_are_said_in_one_line(
    tmp_path: Path, evaluated: list[float], monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.setattr(pools, "TIMEOUT_SECONDS", 0.5)
    result = CliRunner().invoke(app, ["explore", "--net", "digits_mlp", "--out", str(tmp_path / "new"), "--evaluate", "synth", *arguments])
    assert isinstance(result.exception, bnnhw.BnnhwError) and str(result.exception).startswith(message)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("lacking", "cluster", "message"),
    [
        ("joblib", None, r"^explore: needs joblib; pip install 'bnnhw\[explore\]'$"),
        ("distributed", "tcp://here:1", r"^cluster 'tcp://here:1': needs distributed; pip install 'bnnhw\[explore\]'$"),
        ("ray", "ray://here:1", r"^cluster 'ray://here:1': needs ray; pip install 'ray\[default\]'$"),
    ],
)
def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, lacking: str, cluster: str | None, message: str) -> None:
    monkeypatch.setattr(pools, "find_spec", lambda name: None if name == lacking else name)
    with pytest.raises(bnnhw.BnnhwError, match=message):
        pools.pool_of(cluster, None, 1)


def test_a_cluster_that_stays_without_workers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    class Client:
        cores, closed = [{"a": 1}, {}, {"a": 1}, {}, {}], False

        def ncores(self) -> dict[str, int]:
            clock[0] += 400.0
            return self.cores.pop(0)

        def close(self) -> None:
            self.closed = True

    clock, client = [0.0], Client()
    monkeypatch.setattr(pools, "monotonic", lambda: clock[0])
    monkeypatch.setattr(pools, "WATCH_SECONDS", 0)
    pools.watch(client, threading.Event())
    assert client.closed and not client.cores


def test_mistakes_in_python_are_said_in_one_line(tmp_path: Path, evaluated: list[float]) -> None:
    with pytest.raises(bnnhw.BnnhwError, match=r"^explore: folding 'design' is not known; give one of fps, clock_mhz, "):
        bnnhw.explore("digits_mlp", tmp_path, evaluate="synth", design=["d.yaml"])
    with pytest.raises(bnnhw.BnnhwError, match=r"^explore: no value of fps is given; give one or more$"):
        bnnhw.explore("digits_mlp", tmp_path, evaluate="synth", fps=[])
    (tmp_path / "file").touch()
    with pytest.raises(bnnhw.BnnhwError, match=r"cannot be written \(Not a directory|File exists\); choose another --out$"):
        bnnhw.explore("digits_mlp", tmp_path / "file", evaluate="synth", jobs=1)
