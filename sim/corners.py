"""Parameter corners of a library module, and one Verilog wrapper that holds them all.

Building costs far more than simulating, so a module's corners share one build.
"""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bnnhw.ir.hardware import index_bits

RTL = Path(__file__).resolve().parent.parent / "rtl"
TEXTS = {"FILE", "STYLE"}
"""Parameters that are text: the memory file, and how tools build a memory."""


@dataclass(frozen=True)
class Corner:
    """Parameters of one instance, and the words of its memory where it has one."""

    parameters: dict[str, int]
    memory: Sequence[int] = ()
    start: Sequence[int] = ()
    """Words of its memory file, where those of `memory` are written later."""

    def __getitem__(self, parameter: str) -> int:
        return self.parameters[parameter]


def words(name: str, count: int, bits: int) -> list[int]:
    """Random words that depend on `name` only, so that the memory file and the model agree."""
    rng = random.Random(zlib.crc32(name.encode()))
    return [rng.getrandbits(bits) for _ in range(count)]


def pack(values: Sequence[int], bits: int) -> int:
    """Values side by side, the first in the low bits; negative ones in two's complement."""
    return sum((v & ((1 << bits) - 1)) << (i * bits) for i, v in enumerate(values))


def written(corner: Corner) -> Corner:
    """The corner with a memory that begins with other words, and is written."""
    return Corner(corner.parameters | {"WRITABLE": 1}, corner.memory, [*corner.memory[1:], corner.memory[0] ^ 1])


def unpack(word: int, count: int, bits: int) -> list[int]:
    """The `count` unsigned values in a word."""
    return [(word >> (i * bits)) & ((1 << bits) - 1) for i in range(count)]


def signed(value: int, bits: int) -> int:
    """A two's complement number."""
    return value - ((value >> (bits - 1)) << bits)


def numbers(rng: random.Random, count: int, bits: int) -> list[int]:
    """Random two's complement numbers; some are the ends of their range, 0 or -1."""
    ends = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1, 0, -1)
    return [signed(rng.getrandbits(bits), bits) if rng.random() < 0.5 else rng.choice(ends) for _ in range(count)]


@dataclass(frozen=True)
class Folds:
    """Which parameters a head's beats use: `folds` words a pixel, chosen by the classes of its row and column."""

    folds: int
    rows: tuple[int, ...] = (0,)
    columns: tuple[int, ...] = (0,)

    @property
    def words(self) -> int:
        """Parameter words."""
        return self.folds * (max(self.rows) + 1) * (max(self.columns) + 1)

    @property
    def addresses(self) -> list[int]:
        """Word of every beat of a frame."""
        across = max(self.columns) + 1
        return [(r * across + c) * self.folds + f for r in self.rows for c in self.columns for f in range(self.folds)]

    @property
    def parameters(self) -> dict[str, int]:
        """Parameters of bnn_fold_address."""
        bits, across = index_bits(self.words), max(self.columns) + 1
        return {
            "N_FOLDS": self.folds, "OUT_ROWS": len(self.rows), "OUT_COLS": len(self.columns), "ADDR_W": bits,
            "INDEX_W": index_bits(max(len(self.rows), len(self.columns)) + 1), "N_CLASSES": self.words // self.folds,
            "ROW_BASE": pack([r * across * self.folds for r in self.rows], bits), "COL_BASE": pack([c * self.folds for c in self.columns], bits),
        }  # fmt: skip


def ports(module: str, parameters: dict[str, int]) -> list[tuple[str, str, int | None]]:
    """(direction, name, bits) of a module's ports under the given parameters, which must be all but TEXTS; no bits where it is no vector."""
    text = (RTL / f"{module}.v").read_text()
    declared = set(re.findall(r"^ +parameter (?:\[.*?\] )?(\w+)", text, re.M)) - TEXTS
    assert declared == set(parameters), f"{module}: parameters {sorted(declared ^ set(parameters))} differ from its header"
    found = []
    for direction, top, name in re.findall(r"^ +(input|output) (?:wire|reg) +(?:\[(.+?):0\] )?(\w+),?$", text, re.M):
        # The widths are sums, products and choices; Verilog's division of whole numbers is Python's //.
        python = re.sub(r"\((.+?)\?(.+?):(.+?)\)", r"(\2 if \1 else \3)", top.replace("/", "//"))
        bits = int(eval(python, {"__builtins__": {}}, dict(parameters))) + 1 if top else None
        found.append((direction, name, bits))
    assert found, f"{module}: no ports found"
    return found


def wrapper(module: str, corners: dict[str, Corner], folder: Path) -> Path:
    """Write `bench.v`, one instance per corner with its ports prefixed, and the memory files; the path of the former."""
    outer, inner = ["    input wire clk"], []
    for name, corner in corners.items():
        values = {k: f"{v.bit_length()}'h{v:x}" if v >= 1 << 31 else str(v) for k, v in corner.parameters.items()}
        if corner.memory:
            values["FILE"] = f'"{name}.mem"'
            (folder / f"{name}.mem").write_text("".join(f"{word:x}\n" for word in corner.start or corner.memory))
        connections = []
        for direction, port, bits in ports(module, corner.parameters):
            stream, _, signal = port.rpartition("_")
            outside = "clk" if port == "clk" else f"{name}_{port}"
            if signal in ("valid", "ready") and bits is not None:
                # One port for each reader of a fork: the simulator's interface writes whole vectors only.
                readers = [f"{name}_{stream}{i}_{signal}" for i in range(bits)]
                outside = "{" + ", ".join(reversed(readers)) + "}"
                outer += [f"    {direction} wire {reader}" for reader in readers]
            elif port != "clk":
                outer.append(f"    {direction} wire [{bits - 1}:0] {outside}" if bits and bits > 1 else f"    {direction} wire {outside}")
            connections.append(f"      .{port}({outside})")
        listed = ",\n".join(f"      .{k}({v})" for k, v in values.items())
        header = f"  {module} #(\n{listed}\n  )" if values else f"  {module}"
        inner.append(f"{header} u_{name} (\n" + ",\n".join(connections) + "\n  );")
    path = folder / "bench.v"
    path.write_text("module bench (\n" + ",\n".join(outer) + "\n);\n" + "\n".join(inner) + "\nendmodule\n")
    return path
