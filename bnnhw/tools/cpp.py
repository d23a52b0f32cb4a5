"""g++ and the open headers of Vitis HLS' arbitrary-precision types."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

from bnnhw.tools.verilator import ToolError, run

HEADERS = "BNNHW_HLS_INCLUDE"
"""Environment variable: the folder of `ap_int.h` and `hls_stream.h`, such as Vitis HLS' `include`."""
NEEDED = ("ap_int.h", "hls_stream.h")
FLAGS = ("-std=c++17", "-Wall", "-Wextra", "-Wno-unknown-pragmas", "-Wno-uninitialized", "-Wno-maybe-uninitialized")
"""Headers of `ap_int.h` compute with numbers of which they set the bits one by one."""
SANITISED = ("-Werror", "-fsanitize=address,undefined", "-fno-sanitize=shift-base", "-fno-sanitize-recover=all", "-g")
"""The open headers shift negative numbers, which C++20 defines."""


def ap_headers() -> Path:
    """Folder of the headers: what HEADERS names, else of the package hls4ml. ToolError where there are none."""
    given = os.environ.get(HEADERS)
    if given is not None:
        folder = Path(given)
        if missing := [name for name in NEEDED if not (folder / name).is_file()]:
            raise ToolError(
                f"{HEADERS} {given!r} holds no {missing[0]}; give the include folder of Vitis HLS, or unset it and pip install --no-deps hls4ml"
            )
        return folder
    package = find_spec("hls4ml")
    places = [Path(place) / "templates" / "vivado" / "ap_types" for place in (package.submodule_search_locations or [] if package else [])]
    found = next((place for place in places if all((place / name).is_file() for name in NEEDED)), None)
    if found is None:
        raise ToolError(f"ap_int.h and hls_stream.h are not there; pip install --no-deps hls4ml, or set {HEADERS} to the include folder of Vitis HLS")
    return found


def build(sources: Sequence[Path], includes: Sequence[Path], program: Path, *, optimise: int = 2, sanitise: bool = False) -> Path:
    """Compile each of `sources` and link them to `program`. Errors: ToolError."""
    program.parent.mkdir(parents=True, exist_ok=True)
    flags = [*FLAGS, *(SANITISED if sanitise else ()), f"-O{optimise}", "-isystem", str(ap_headers()), *(f"-I{folder}" for folder in includes)]
    objects = [program.parent / f"{n}.o" for n in range(len(sources))]

    def one(source: Path, made: Path) -> None:
        run(["g++", *flags, "-c", str(source), "-o", str(made)], program.parent)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(one, sources, objects))
    run(["g++", *(SANITISED if sanitise else ()), "-o", str(program), *map(str, objects)], program.parent)
    return program
