"""Chooses PE, SIMD, buffers and ports for a wanted interval, completes designs that users give, and says when their beats move."""

from bnnhw.schedule.beats import latency
from bnnhw.schedule.designs import complete, read_design, write_design
from bnnhw.schedule.folding import fold_for_interval, fully_folded

__all__ = ["complete", "fold_for_interval", "fully_folded", "latency", "read_design", "write_design"]
