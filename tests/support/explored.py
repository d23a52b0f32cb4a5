"""Evaluations that cost nothing, for tests of what happens around them; workers import them from here."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from bnnhw.explore.points import Evaluation
from bnnhw.ir.design import Design
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.integer import Network
from bnnhw.request import choose_design

REFUSED, DEADLY, STUCK = 666.0, 13.0, 99.0
"""Clocks in MHz whose points fail, kill the process that evaluates them, and wait to be killed when evaluated first."""


def choose(net: Network, *, target: str, **request: Any) -> Design:
    """The design of a request, whatever the target, which is a folder in these tests."""
    assert Path(target).is_dir()
    return choose_design(net, **request)


def no_tool() -> str:
    """No program is needed."""
    return ""


def at_once(_net: Network, design: Design, _target: str) -> dict[str, Any]:
    """LUTs from nothing but the clock."""
    if design.clock_mhz == REFUSED:
        raise BnnhwError("clock: 666 MHz cannot be reached; give less")
    return {"luts": int(1000 - design.clock_mhz)}


def slowly(net: Network, design: Design, target: str) -> dict[str, Any]:
    """The same after a while, by a process that has left its number in the folder `target`."""
    if design.clock_mhz == DEADLY:
        os.kill(os.getpid(), signal.SIGKILL)
    first = not list(Path(target).glob(f"{design.clock_mhz:g}.*"))
    (Path(target) / f"{design.clock_mhz:g}.{os.getpid()}").touch()
    time.sleep(300 if first and design.clock_mhz == STUCK else 0.1)
    return at_once(net, design, target)


AT_ONCE = Evaluation("test", at_once, no_tool)
SLOWLY = Evaluation("test", slowly, no_tool)
"""Of the same name: what they find is the same."""
