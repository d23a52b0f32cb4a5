"""Passes from the trained network to the integer network, one file each."""

from bnnhw.lower.blocks import ends_of_blocks
from bnnhw.lower.pipeline import Lowered, lower
from bnnhw.lower.writable import marked

__all__ = ["Lowered", "ends_of_blocks", "lower", "marked"]
