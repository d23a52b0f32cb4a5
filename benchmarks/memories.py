"""What Yosys makes of memories: `python benchmarks/memories.py` rewrites the tables that the estimate is tested with, and built on.

Memories of the library, of many widths and depths, are mapped in one run for each family, and read-only ones in logic
synthesised; half an hour.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from rich.progress import track  # noqa: E402
from sweep import DATA, write  # noqa: E402

from bnnhw.tools import yosys  # noqa: E402
from bnnhw.tools.targets import TARGETS  # noqa: E402

WIDTHS = (1, 2, 3, 4, 5, 8, 9, 10, 16, 18, 19, 32, 36, 37, 64, 72, 73, 100, 128, 144, 200, 256, 300)
WORDS = (2, 3, 4, 8, 10, 16, 20, 32, 40, 64, 100, 128, 200, 256, 300, 512, 700, 1024, 1500, 2048, 4096, 5000, 8192, 16384, 20000)
COLUMN_WORDS = (16, 20, 24, 28, 32, 40, 48, 64, 80, 96, 128, 160, 200, 256, 320, 400, 512)
COLUMNS = (4, 16, 64, 256)
"""Of the memories in logic, side by side: those of wide ones share more."""
LOGIC_BITS = 40_000
"""Of a memory in logic, at most."""
BITS = {"rom": 120_000, "ram": 40_000}
"""Of a memory, at most."""
XILINX = "-logic-cost-rom 0.015625 -lib +/xilinx/brams_xc4v.txt -D HAS_SIZE_36 -D HAS_MIXWIDTH_SDP -no-auto-huge"
MAPPING = {
    "xc7": f"{XILINX} -lib +/xilinx/lutrams_xc5v.txt -D HAS_CASCADE",
    "xcup": f"{XILINX} -lib +/xilinx/lutrams_xcu.txt -D HAS_ADDRCE -lib +/xilinx/urams.txt",
    "ecp5": "-lib +/lattice/lutrams_trellis.txt -lib +/lattice/brams_16kd.txt",
    "ice40": "-lib +/ice40/brams.txt -lib +/ice40/spram.txt -no-auto-huge",
    "gowin": "-lib +/gowin/lutrams.txt -lib +/gowin/brams.txt",
}
"""How the synth commands of Yosys 0.70 call memory_libmap."""
OPTIMISED = "proc; opt_expr; opt_clean; opt -nodffe -nosdff; wreduce; peepopt; opt_clean; opt_expr -full; opt -full"
TEXT = {
    "rom": "module {name}(input clk, en, input [{a}:0] addr, output reg [{w}:0] q); reg [{w}:0] mem[0:{last}];"
    ' initial $readmemh("{name}.mem", mem); always @(posedge clk) if (en) q <= mem[addr]; endmodule\n',
    "ram": "module {name}(input clk, w_en, r_en, input [{a}:0] w_addr, r_addr, input [{w}:0] w_data, output reg [{w}:0] q); reg [{w}:0] mem[0:{last}];"
    " always @(posedge clk) begin if (w_en) mem[w_addr] <= w_data; if (r_en) q <= mem[r_addr]; end endmodule\n",
}
"""What bnn_rom and bnn_ram are for one width and depth."""
BLOCK = {"HALF": 0.5, "FULL": 1.0, "CASCADE": 2.0}
"""Xilinx' modes in blocks of 36 kbit."""
LUTS = {"XILINX_LUTRAM_SDP": {"xc7": 4, "xcup": 8}, "TRELLIS_DPR16X4": {"ecp5": 4}, "GOWIN_LUTRAM": {"gowin": 4}}
SINGLE = {5: 2, 6: 2, 7: 4, 8: 8}
"""LUTs of a bit of a dual-port RAM, by address bits."""


def memories() -> Iterator[tuple[str, int, int]]:
    """Kind, width and words."""
    for kind, most in BITS.items():
        yield from ((kind, w, n) for w in WIDTHS for n in WORDS if w * n <= most)


def module(kind: str, width: int, words: int, folder: Path) -> str:
    """One memory; a ROM of random bits."""
    name, bits = f"{kind}_{width}_{words}", max(1, (words - 1).bit_length())
    if kind == "rom":
        rng = random.Random(name)
        (folder / f"{name}.mem").write_text("\n".join(f"{rng.getrandbits(width):x}" for _ in range(words)))
    return TEXT[kind].format(name=name, a=bits - 1, w=width - 1, last=words - 1)


def counted(cells: dict[str, dict], target: str) -> tuple[float, int]:
    """Block RAMs, and LUTs that hold bits."""
    blocks, luts = 0.0, 0
    for cell in cells.values():
        kind = cell["type"].strip("$_")
        mode, bits = (cell["parameters"].get(f"OPTION_{name}") for name in ("MODE", "ABITS"))
        if kind in LUTS:
            luts += LUTS[kind][target]
        elif kind == "XILINX_LUTRAM_DP":
            luts += SINGLE[int(bits, 2)]
        elif cell["type"].startswith("$__"):
            blocks += BLOCK.get(mode, 1)
    return blocks, luts


def column_luts(target: str, words: int, columns: int) -> float:
    """LUTs of each column of a read-only memory of random bits in logic."""
    rng, file = random.Random(words), "mem/rom.mem"
    files = {"rtl/bnn_rom.v": (ROOT / "rtl" / "bnn_rom.v").read_text(), file: "".join(f"{rng.getrandbits(columns):x}\n" for _ in range(words))}
    bits = max(1, (words - 1).bit_length())
    parameters = {"DATA_W": str(columns), "N_WORDS": str(words), "ADDR_W": str(bits), "STYLE": '"distributed"', "FILE": f'"{file}"'}
    with tempfile.TemporaryDirectory() as work:
        return yosys.synthesise(files, "bnn_rom", TARGETS[target], Path(work), parameters=parameters).luts / columns


def main(names: list[str]) -> None:
    """Map for the named targets, all by default."""
    rows = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        shapes = [(words, columns) for words in COLUMN_WORDS for columns in COLUMNS if words * columns <= LOGIC_BITS]
        jobs = [(target, *shape) for target in names or MAPPING for shape in shapes]
        luts = list(track(pool.map(lambda job: column_luts(*job), jobs), "columns", len(jobs)))
    write(DATA / "roms.csv", ("target", "words", "columns", "luts"), [(*job, f"{n:g}") for job, n in zip(jobs, luts, strict=True)])
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        (folder / "all.v").write_text("".join(module(*m, folder) for m in memories()))
        for target in names or MAPPING:
            yosys.run(f"read_verilog all.v; {OPTIMISED}; memory -nomap; opt_clean; memory_libmap {MAPPING[target]}; write_json all.json", folder)
            modules = json.loads((folder / "all.json").read_text())["modules"]
            rows += [(target, *m, *(f"{x:g}" for x in counted(modules["_".join(map(str, m))]["cells"], target))) for m in memories()]
            print(target, flush=True)
    write(DATA / "memories.csv", ("target", "kind", "width", "words", "block_rams", "luts"), rows)


if __name__ == "__main__":
    main(sys.argv[1:])
