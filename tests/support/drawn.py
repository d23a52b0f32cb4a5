"""Random networks with frames and designs, as the simulations take them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bnnhw.ir.design import Design
from bnnhw.ir.integer import Network
from bnnhw.ir.pipeline import pipeline
from bnnhw.lower import lower
from support.random_integer import random_frames, random_network
from support.random_nets import random_case, random_design

FRAMES = 6
LONGEST = 60_000
"""Cycles a frame; slower draws are folded less."""
SEEDS = (1, 18, 39, 43, 48, 52, 60)
"""Binary networks that together have every module of theirs, tails, rings that wrap, groups, border classes and real pools."""
ANY_SEEDS = (296, 232, 49, 65567, 59107, 72791, 50, 784, 925, 1023, 2230)
"""Networks of any layers that together have the other modules, gates, flips, formats, orders of codes and folds of planes."""
Drawn = tuple[Network, NDArray[np.integer]]


def trained(seed: int) -> Drawn:
    """A trained binary network, lowered, and its frames."""
    case = random_case(seed, f"net{seed}", FRAMES)
    return lower(case.trained).network, case.frames


def integer(seed: int) -> Drawn:
    """An integer network of any layers, and frames for it."""
    net = random_network(seed, f"any{seed}")
    return net, random_frames(net, seed, FRAMES)


def designed(net: Network, seed: int) -> Design:
    """A random design that is not too slow."""
    draws = (random_design(net, n) for n in range(seed, seed + 10_000_000, 1_000_003))
    return next(x for x in draws if pipeline(net, x).interval < LONGEST)
