"""Chooses PE, SIMD, buffers and ports for a wanted rate or a budget, completes designs that users give, and says when their beats move."""

from bnnhw.lutmap.cost import XILINX
from bnnhw.schedule.beats import latency
from bnnhw.schedule.boards import MOST_MHZ, Board, board
from bnnhw.schedule.designs import complete, read_design, write_design
from bnnhw.schedule.folding import fold_for_interval, fully_folded
from bnnhw.schedule.goals import MINIMISED, Budget, Folder, check_budget
from bnnhw.schedule.stages import LUT_LEVELS

__all__ = [
    "LUT_LEVELS",
    "MINIMISED",
    "MOST_MHZ",
    "XILINX",
    "Board",
    "Budget",
    "Folder",
    "board",
    "check_budget",
    "complete",
    "fold_for_interval",
    "fully_folded",
    "latency",
    "read_design",
    "write_design",
]
