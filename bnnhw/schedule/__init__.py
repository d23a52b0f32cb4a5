"""Chooses PE, SIMD, buffers and ports for a wanted interval, and completes designs that users give."""

from bnnhw.schedule.designs import complete, read_design, write_design
from bnnhw.schedule.folding import fold_for_interval, fully_folded

__all__ = ["complete", "fold_for_interval", "fully_folded", "read_design", "write_design"]
