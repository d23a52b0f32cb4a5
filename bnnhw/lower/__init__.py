"""Passes from the trained network to the integer network, one file each."""

from bnnhw.lower.pipeline import Lowered, lower

__all__ = ["Lowered", "lower"]
