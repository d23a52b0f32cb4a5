"""Builds and runs a cocotb bench on Verilator or Icarus, for pytest."""

from __future__ import annotations

import importlib
import os
import shutil
import time
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from unittest import mock

import pytest

from bnnhw.tools import verilator
from sim.corners import RTL, wrapper

SIMULATORS = ("verilator", "icarus")


def simulator_environment(sim: str, package: str = "cocotb") -> dict[str, str]:
    """The process environment for `sim`; skips the test where it or the Python package is missing, but fails in CI."""
    problem = ""
    environment = dict(os.environ)
    try:
        importlib.import_module(package)
    except ImportError:
        problem = f"{package} is not installed; pip install 'bnnhw[test]'"
    if sim == "icarus" and not shutil.which("iverilog"):
        problem = "iverilog is not installed"
    elif sim == "verilator":
        try:
            environment = verilator.find().environment
        except verilator.ToolError as e:
            problem = str(e)
    if problem and os.environ.get("CI") == "true":
        pytest.fail(problem)
    if problem:
        pytest.skip(problem)
    return environment


def run_bench(module: str, sim: str, folder: Path) -> None:
    """Build all corners of bnn_<module> into one model and run every test of sim/bench_<module>.py on it."""
    environment = simulator_environment(sim)
    corners = importlib.import_module(f"sim.bench_{module}").CORNERS
    top = wrapper(f"bnn_{module}", corners, folder)
    simulate(f"sim.bench_{module}", [*sorted(RTL.glob("*.v")), top], "bench", sim, folder=folder, run_in=folder, environment=environment)


def simulate(
    bench: str,
    sources: Sequence[Path],
    top: str,
    sim: str,
    *,
    folder: Path,
    run_in: Path,
    environment: Mapping[str, str],
    told: Mapping[str, str] | None = None,
    only: str | None = None,
) -> None:
    """Build `sources` in `folder` and run the bench with the working folder `run_in`; the test fails with the log's end.

    `told`: further environment variables for the bench. `only`: regular expression of the bench's tests to run.
    """
    from cocotb_tools.runner import get_results, get_runner

    # Registers start with random contents in Verilator (and unknown in Icarus), so that a missing reset shows.
    arguments = ["--x-initial", "unique", "-Wno-fatal", "--output-split", "0"] if sim == "verilator" else ["-g2005"]
    plusargs = ["+verilator+rand+reset+2", "+verilator+seed+1"] if sim == "verilator" else []
    log, results = folder / "log.txt", folder / "results.xml"
    # Short runs do not repay an optimising C++ compiler.
    flags = f"{environment.get('MAKEFLAGS', '')} OPT_FAST=-O0 OPT_SLOW=-O0 OPT_GLOBAL=-O0"
    with mock.patch.dict(os.environ, {**environment, "MAKEFLAGS": flags.strip()}):
        try:
            runner = get_runner(sim)
            build = folder / "build"
            if sim == "verilator":
                _seed_runtime(build)
            runner.build(sources=sources, hdl_toplevel=top, build_dir=build, build_args=arguments, log_file=log, always=True)
            if sim == "verilator":
                _keep_runtime(build)
            runner.test(
                test_module=bench, hdl_toplevel=top, test_dir=run_in, results_xml=str(results), plusargs=plusargs, log_file=log,
                extra_env={"COCOTB_ANSI_OUTPUT": "0", **(told or {})}, test_filter=only,
            )  # fmt: skip
        except (Exception, SystemExit) as e:  # the runner exits where a tool or a test fails
            raise AssertionError(f"{bench} on {sim}: {e!r}\n{_end_of(log)}") from None
    count, failed = get_results(results)
    assert count > 0, f"{bench} on {sim}: no test was run"
    assert failed == 0, f"{bench} on {sim}:\n{_end_of(log)}"


def _runtime_cache() -> Path:
    v = verilator.find()
    key = zlib.crc32(f"{v.version} {v.root} {os.environ.get('MAKEFLAGS')}".encode())
    return verilator.cache_folder() / f"cocotb-{key:08x}"


def _seed_runtime(build: Path) -> None:
    """Put Verilator's own objects from an earlier build where make looks for them: they are most of a small build's time."""
    build.mkdir(parents=True, exist_ok=True)
    ahead = time.time() + 3600  # newer than the makefile that Verilator is about to write
    for path in _runtime_cache().glob("*.o"):
        shutil.copy(path, build / path.name)
        os.utime(build / path.name, (ahead, ahead))


def _keep_runtime(build: Path) -> None:
    """Keep those objects, which do not depend on the design, for later builds."""
    cache = _runtime_cache()
    cache.mkdir(exist_ok=True)
    for path in build.glob("verilated*.o"):
        if not (cache / path.name).exists():
            partial = cache / f"{path.name}.{os.getpid()}"
            shutil.copy(path, partial)
            os.replace(partial, cache / path.name)


def _end_of(log: Path) -> str:
    """The lines that name an error, then the end of the log."""
    text = log.read_text(errors="replace") if log.exists() else "(no log)"
    errors = [line.strip() for line in text.splitlines() if "rror:" in line]
    return "\n".join(errors[:20]) + "\n...\n" + text[-3000:]
