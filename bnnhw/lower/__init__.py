"""Passes from the trained network to the integer network, one file each."""

from bnnhw.lower.pipeline import Lowered, lower
from bnnhw.lower.writable import marked

__all__ = ["Lowered", "lower", "marked"]
