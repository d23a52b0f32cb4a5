"""FPGA families: how Yosys maps to them, and what their cells count as."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

KINDS = ("luts", "flip_flops", "carries", "block_rams", "dsps")
NOTES = ("$scopeinfo",)
"""Cells that only carry names."""


@dataclass(frozen=True)
class Cells:
    """What a netlist is made of."""

    luts: int = 0
    """Lookup tables, also those that serve as memory, shift register or adder."""
    flip_flops: int = 0
    carries: int = 0
    """Carry cells of the family: of 4 bits in Xilinx, 2 in ECP5, 1 elsewhere."""
    block_rams: float = 0
    """In units of the family's block: 36 kbit in Xilinx, 18 in ECP5 and Gowin, 4 in iCE40."""
    dsps: int = 0

    def __add__(self, other: Cells) -> Cells:
        return Cells(*(getattr(self, k) + getattr(other, k) for k in KINDS))

    def without_carries(self) -> dict[str, float]:
        """Plain data where carries were not counted."""
        return {k: getattr(self, k) for k in KINDS if k != "carries"}


@dataclass(frozen=True)
class Target:
    """One FPGA family."""

    name: str
    title: str
    command: str
    """Yosys command that maps, without the top."""
    counted: tuple[tuple[str, str, float], ...]
    """Pattern of cell names, kind, and how many one cell is; a cell may count as several."""
    ignored: str
    """Pattern of cells that are part of others, or cost nothing."""
    models: str
    """File of Yosys' models of the cells."""
    sound_from: tuple[int, int]
    """First version of Yosys that maps no memory and no product wrongly, as far as is known."""
    primitives: str = ""
    """Macro, with its value, with which modules that can be made of the family's primitives are."""
    simulated_with: tuple[str, ...] = ()
    """Verilator's arguments for the models."""

    def cells(self, counts: Mapping[str, int]) -> Cells:
        """Totals of cells by name; ValueError for a cell that this family is not known to have."""
        total = dict.fromkeys(KINDS, 0.0)
        for cell, n in counts.items():
            found = [(kind, each) for pattern, kind, each in self.counted if re.fullmatch(pattern, cell)]
            if not found and not re.fullmatch(self.ignored, cell) and cell not in NOTES:
                raise ValueError(cell)
            for kind, each in found:
                total[kind] += n * each
        return Cells(int(total["luts"]), int(total["flip_flops"]), int(total["carries"]), total["block_rams"], int(total["dsps"]))


XILINX_LUTS = (
    ("LUT[1-6]|LUT6_2|INV|SRL16E|SRLC16E|SRLC32E", "luts", 1),
    ("RAM(32|64)X1D|RAM128X1S", "luts", 2),
    ("RAM32M|RAM64M|RAM128X1D|RAM256X1S", "luts", 4),
    ("RAM32X1S|RAM64X1S", "luts", 1),
    ("RAM32M16|RAM64M8|RAM256X1D|RAM512X1S", "luts", 8),
    ("FD[RSCP]E", "flip_flops", 1),
    ("FD[RSCP]E_1", "flip_flops", 1),
    ("CARRY4", "carries", 1),
    ("CARRY8", "carries", 2),
)
XILINX_FREE = "MUXF[789]|BUFG|GND|VCC"
XILINX_SOUND = (0, 65)  # Yosys #5833: RAM of 72 bits
TARGETS = {
    t.name: t
    for t in (
        Target(
            "xc7", "Xilinx 7 series", "synth_xilinx -family xc7 -flatten -noiopad -noclkbuf",
            (*XILINX_LUTS, ("RAMB36E1", "block_rams", 1), ("RAMB18E1", "block_rams", 0.5), ("DSP48E1", "dsps", 1)), XILINX_FREE, "xilinx/cells_sim.v",
            XILINX_SOUND, "BNNHW_CARRY=4",
        ),
        Target(
            "xcup", "Xilinx UltraScale+", "synth_xilinx -family xcup -flatten -noiopad -noclkbuf",
            (*XILINX_LUTS, ("RAMB36E2", "block_rams", 1), ("RAMB18E2", "block_rams", 0.5), ("DSP48E2", "dsps", 1)), XILINX_FREE, "xilinx/cells_sim.v",
            XILINX_SOUND, "BNNHW_CARRY=8",
        ),
        Target(
            "ecp5", "Lattice ECP5", "synth_ecp5",
            (("LUT4", "luts", 1), ("CCU2C", "luts", 2), ("CCU2C", "carries", 1), ("TRELLIS_DPR16X4", "luts", 4), ("TRELLIS_FF", "flip_flops", 1),
             ("DP16KD|PDPW16KD", "block_rams", 1), ("MULT18X18D", "dsps", 1)),
            "PFUMX|L6MUX21", "ecp5/cells_sim.v", (0, 0),
        ),
        Target(
            "ice40", "Lattice iCE40 UltraPlus", "synth_ice40 -device u -dsp",
            (("SB_LUT4", "luts", 1), ("SB_CARRY", "carries", 1), ("SB_DFF.*", "flip_flops", 1), ("SB_RAM40_4K.*", "block_rams", 1),
             ("SB_MAC16", "dsps", 1)),
            "", "ice40/cells_sim.v",
            (0, 49),  # Yosys #2648: signed products
            simulated_with=("-DNO_ICE40_DEFAULT_ASSIGNMENTS",),  # no default values of ports, which Verilog-2005 does not have
        ),
        Target(
            "gowin", "Gowin LittleBee and Arora", "synth_gowin -noiopads",
            (("LUT[1-4]|INV", "luts", 1), ("ALU", "luts", 1), ("ALU", "carries", 1), ("RAM16SDP4", "luts", 4), ("RAM16SDP2", "luts", 2),
             ("RAM16SDP1", "luts", 1), ("DFF.*", "flip_flops", 1), ("S?DP(X9)?B?|SP(X9)?|pROM(X9)?", "block_rams", 1),
             ("MULT(9X9|18X18|36X36)|MULTADDALU.*|MULTALU.*", "dsps", 1)),
            "MUX2_LUT[5678]|MUX2|GND|VCC|GSR", "gowin/cells_sim.v",
            (0, 64),  # Yosys #5688 from 0.62 on, and words of 18 bits before 0.38
        ),
    )
}  # fmt: skip
"""By the name that users give."""
