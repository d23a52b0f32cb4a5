"""Boards: what an FPGA has, as files that are small and easy to add."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from bnnhw.ir.design import MOST_DMA_BITS
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.text import first_problem, read_yaml
from bnnhw.tools.targets import TARGETS

MOST_MHZ = 10_000
"""Of any clock."""
Count = Annotated[int, Field(ge=0)]


def _known(target: str) -> str:
    if target not in TARGETS:
        raise ValueError(f"{target[:60]!r} is not known; give one of {', '.join(TARGETS)}")
    return target


class Board(BaseModel):
    """A board and its FPGA. Block RAMs are in the family's unit (see `Cells`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    bnnhw_board: Literal[1]
    title: Annotated[str, Field(pattern=r"^[\w .,:+/()-]{1,60}$")]
    part: Annotated[str, Field(pattern=r"^[\w/.-]{1,60}$")]
    target: Annotated[str, AfterValidator(_known)]
    clock_mhz: Annotated[float, Field(gt=0, le=MOST_MHZ)]
    """Of the oscillator, or of the clock that its processor gives by default."""
    luts: Count
    flip_flops: Count
    block_rams: Count
    dsps: Count
    system: Literal["zynq7", "zynqmp", "uart"] | None = None
    """What the network is built into: a block design with this processor and a DMA, or a UART; None where there is no script for it."""
    board_parts: tuple[Annotated[str, Field(pattern=r"^[\w.:*-]{1,100}$")], ...] = ()
    """Patterns of the names of Vivado's board files, the first that is installed counts."""

    @property
    def most_port_bits(self) -> float:
        """Bits of a beat, at most, that the network's ports may have on it."""
        return MOST_DMA_BITS if self.has_dma else inf

    @property
    def has_dma(self) -> bool:
        """Whether the network is in a block design, behind a DMA."""
        return self.system in ("zynq7", "zynqmp")


def board(folder: Path, name: str) -> Board:
    """The board of that name in a folder of boards, or in a file of that path. Errors: BnnhwError."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else folder / name / "board.yaml"
    if not path.is_file():
        known = sorted(p.parent.name for p in folder.glob("*/board.yaml"))
        raise BnnhwError(f"board {name[:60]!r} is not known; give one of {', '.join(known)}, or a file of your own")
    try:
        return Board.model_validate(read_yaml(path))
    except ValidationError as e:
        raise BnnhwError(f"board {str(path)!r}: {first_problem(e, 'board')}; see boards/arty_a7_35/board.yaml") from None
