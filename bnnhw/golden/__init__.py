"""NumPy executor of the integer network: the reference that every other form must equal."""

from bnnhw.golden.executor import Trace, run

__all__ = ["Trace", "run"]
