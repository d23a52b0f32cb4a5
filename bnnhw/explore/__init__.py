"""Exploration: many designs of a network evaluated in parallel, kept by content, and the best of them."""

from bnnhw.explore.evaluate import EVALUATIONS, FAMILIES
from bnnhw.explore.front import places
from bnnhw.explore.points import Point, Value, grid
from bnnhw.explore.run import Exploration, Progress, evaluate_all

__all__ = ["EVALUATIONS", "FAMILIES", "Exploration", "Point", "Progress", "Value", "evaluate_all", "grid", "places"]
