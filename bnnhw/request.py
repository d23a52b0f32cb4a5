"""What a design is asked to be, and the design that answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property
from math import inf
from pathlib import Path
from typing import Any

from bnnhw import schedule
from bnnhw.emit.resources import resource_folder
from bnnhw.estimate import resources
from bnnhw.ir.design import Design, Logic
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.integer import Network

DEFAULT_FPS = 100.0
LEAST_FPS = 1e-6
DEFAULT_CLOCK_MHZ = 100.0
DEFAULT_TARGET = "xc7"
DEFAULT_LUT_LEVELS = schedule.LUT_LEVELS
DEFAULT_UTILISATION = 0.7
"""Part of a board's FPGA that a design may take; the rest is left for routing and what else is on it."""
USUAL = {"xc7": "pynq_z2", "xcup": "ultra96_v2"}
"""Boards for whose FPGAs the vendor's scripts are where none is given, by family."""


@dataclass(frozen=True)
class Request:
    """What a design is asked to be: keywords of `choose_design`. Errors: BnnhwError for what cannot be, whatever the network."""

    fps: float | None = None
    clock_mhz: float | None = None
    design: Path | None = None
    fully_folded: bool = False
    target: str | None = None
    """Family whose cells count: that of the board, or xc7, if None."""
    minimise: str = "area"
    lut_levels: int = DEFAULT_LUT_LEVELS
    """LUTs, at most, between the registers of popcounts."""
    primitives: bool = False
    """Whether sums are of Xilinx' primitives."""
    board: str | None = None
    utilisation: float = DEFAULT_UTILISATION
    max_luts: float | None = None
    max_block_rams: float | None = None
    max_dsps: float | None = None

    def __post_init__(self) -> None:
        self._check_values()
        self._check_together()

    @property
    def family(self) -> str:
        """Name of the family of FPGAs."""
        return self.given_board.target if self.given_board else self.target or DEFAULT_TARGET

    @property
    def clock(self) -> float:
        """Clock in MHz of a design that has none of its own."""
        return self.clock_mhz if self.clock_mhz is not None else self.given_board.clock_mhz if self.given_board else DEFAULT_CLOCK_MHZ

    @property
    def part(self) -> str | None:
        """The board's FPGA, or a usual one of the family, where the vendor's tools are scripted."""
        if self.family not in USUAL:
            return None
        return (self.given_board or schedule.board(resource_folder("boards"), USUAL[self.family])).part

    @property
    def budget(self) -> schedule.Budget:
        """What the board has, as far as it may be used, and what is given."""
        has = {f.name: getattr(self.given_board, f.name) * self.utilisation for f in fields(schedule.Budget)} if self.given_board else {}
        return schedule.Budget(**(has | self._limits))

    def folder(self, net: Network) -> schedule.Folder:
        """What finds the design."""
        logic = Logic.CARRY if self.primitives else None
        bits = self.given_board.most_port_bits if self.given_board else inf
        return schedule.Folder(net, self.family, self.clock, self.minimise, self.budget, self.lut_levels, logic, bits)

    @cached_property
    def given_board(self) -> schedule.Board | None:
        """The board, where one is given."""
        return None if self.board is None else schedule.board(resource_folder("boards"), self.board)

    @property
    def _limits(self) -> dict[str, float]:
        given = {"luts": self.max_luts, "block_rams": self.max_block_rams, "dsps": self.max_dsps}
        return {kind: most for kind, most in given.items() if most is not None}

    def _check_values(self) -> None:
        """Refuse what is wrong by itself."""
        if not 0 < self.utilisation <= 1:
            raise BnnhwError(f"folding: a utilisation of {self.utilisation:g} cannot be; give a fraction up to 1")
        for kind, most in self._limits.items():
            if not 0 <= most < inf:
                raise BnnhwError(f"folding: a budget of {most:g} {kind} cannot be; give a finite number from 0")
        if not 0 < self.clock <= schedule.MOST_MHZ:
            raise BnnhwError(f"folding: a clock of {self.clock:g} MHz cannot be; give more than 0 and at most {schedule.MOST_MHZ}")
        if self.fps is not None and not LEAST_FPS <= self.fps < inf:
            raise BnnhwError(f"folding: {self.fps:g} frames a second cannot be; give a finite rate of at least {LEAST_FPS:g}")
        if self.minimise not in schedule.MINIMISED:
            raise BnnhwError(f"folding: {self.minimise!r} cannot be minimised; give one of {', '.join(schedule.MINIMISED)}")
        if self.lut_levels < 1:
            raise BnnhwError(f"folding: {self.lut_levels} LUTs between registers cannot be; give 1 or more")
        resources.model(DEFAULT_TARGET if self.target is None else self.target)  # refuses a target that is not known

    def _check_together(self) -> None:
        """Refuse what contradicts, or has no use beside, the rest."""
        if self.target is not None and self.target != self.family:
            raise BnnhwError(f"folding: board {self.board!r} has an FPGA of {self.family}, not {self.target}; remove --target")
        if sum((self.fps is not None, self.design is not None, self.fully_folded)) > 1:
            raise BnnhwError("folding: --fps, --design and --fully-folded exclude each other; give one")
        if self.design is not None and self.clock_mhz is not None:
            raise BnnhwError("folding: --clock belongs into the design file when --design is given; remove one")
        if self.primitives and self.family not in schedule.XILINX:
            raise BnnhwError(f"folding: --primitives are those of {' and '.join(schedule.XILINX)}, not of {self.family}; remove it")
        folded, minimised = self.design is not None or self.fully_folded, self.minimise != "area"
        for unused, option, why in (
            (self.utilisation != DEFAULT_UTILISATION and self.given_board is None, "--utilisation", "without a board; remove it, or give --board"),
            (self.fully_folded and self.budget.limited, "a budget", "where the folding is given; remove it, or --fully-folded"),
            (folded and self.primitives, "--primitives", "where the folding is given; remove it, or write logic: carry into the design file"),
            (folded and minimised, "--minimise", "where the folding is given; remove it"),
            (folded and self.lut_levels != DEFAULT_LUT_LEVELS, "--lut-levels", "where the folding is given; remove it"),
            (minimised and self.fps is None and self.budget.limited, "--minimise", "beside a budget alone; remove it, or give --fps"),
        ):
            if unused:
                raise BnnhwError(f"folding: {option} has no use {why}")


def choose_design(net: Network, *, progress: Callable[[int, int], None] | None = None, **folding: Any) -> Design:
    """A design from a file, fully folded, or found: the least hardware for `fps`, or the most frames for a budget.

    `folding`: as in `Request`. A budget is what `max_...` allow and `utilisation` of what `board` has; with `fps` or `design` the design must be
    within it as well, as estimated. 100 frames a second if neither is given. Errors: BnnhwError.
    """
    asked = Request(**folding)
    budget, family = asked.budget, asked.family
    if asked.design is not None:
        chosen = schedule.read_design(net, asked.design, family, budget.luts)
        if asked.target is not None and chosen.logic is Logic.CARRY and family not in schedule.XILINX:
            raise BnnhwError(f"folding: the design's logic 'carry' is for {' and '.join(schedule.XILINX)}, not for {family}; use another")
        schedule.check_budget(net, chosen, family, budget)
        return chosen
    if asked.fully_folded:
        return schedule.fully_folded(net, asked.clock)
    folder = asked.folder(net)
    if asked.fps is None and budget.limited:
        return folder.fastest(progress)
    return folder.least(int(asked.clock * 1e6 / (DEFAULT_FPS if asked.fps is None else asked.fps)))
