"""What Vivado says that a design takes: its utilisation report."""

from __future__ import annotations

import re
from pathlib import Path

from bnnhw.ir.errors import BnnhwError
from bnnhw.schedule import XILINX
from bnnhw.tools.targets import Cells

ROWS = {
    "luts": ("Slice LUTs", "CLB LUTs"),
    "flip_flops": ("Slice Registers", "CLB Registers"),
    "block_rams": ("Block RAM Tile",),
    "dsps": ("DSPs",),
}
"""What may stand in the first column of the report's tables, by kind of cell; the second column counts."""


def check_family(target: str) -> None:
    """Refuse to compare with what Vivado does not make: BnnhwError."""
    if target not in XILINX:
        raise BnnhwError(f"report: Vivado's are of {' and '.join(XILINX)}, not of {target}; remove --against, or give such a --target")


def read_utilisation(path: Path) -> Cells:
    """Cells in a report of `report_utilization`. Errors: BnnhwError for a file of another format."""
    try:
        text = path.read_text(errors="replace")
    except OSError as e:
        raise BnnhwError(f"report {str(path)[:200]!r}: cannot be read ({e.strerror}); give the file that report_utilization wrote") from None
    found: dict[str, float] = {}
    for kind, names in ROWS.items():
        row = re.search(rf"^\|\s*(?:{'|'.join(names)})\*?\s*\|\s*(\d{{1,12}}(?:\.\d+)?)\s*\|", text, re.MULTILINE)
        if row is None:
            raise BnnhwError(
                f"report {str(path)[:200]!r}: has no row {' or '.join(map(repr, names))} with a number; give the text of Vivado's report_utilization"
            )
        found[kind] = float(row[1])
    return Cells(int(found["luts"]), int(found["flip_flops"]), 0, found["block_rams"], int(found["dsps"]))
