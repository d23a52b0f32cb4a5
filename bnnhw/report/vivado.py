"""What Vivado says that a design takes: its utilisation report."""

from __future__ import annotations

import re
from pathlib import Path

from bnnhw.ir.errors import BnnhwError
from bnnhw.tools.targets import Cells

ROWS = {
    "luts": r"(?:Slice|CLB) LUTs\*?",
    "flip_flops": r"(?:Slice|CLB) Registers",
    "block_rams": r"Block RAM Tile",
    "dsps": r"DSPs",
}
"""First column of the report's tables, by kind of cell; the second column counts."""


def read_utilisation(path: Path) -> Cells:
    """Cells in a report of `report_utilization`. Errors: BnnhwError for a file of another format."""
    try:
        text = path.read_text(errors="replace")
    except OSError as e:
        raise BnnhwError(f"report {str(path)[:200]!r}: cannot be read ({e.strerror}); give the file that report_utilization wrote") from None
    found: dict[str, float] = {}
    for kind, name in ROWS.items():
        row = re.search(rf"^\|\s*{name}\s*\|\s*([\d.]+)\s*\|", text, re.MULTILINE)
        if row is None:
            raise BnnhwError(
                f"report {str(path)[:200]!r}: has no row {name.replace('(?:Slice|CLB)', 'Slice or CLB')!r}; give the text of Vivado's report_utilization"
            )
        found[kind] = float(row[1])
    return Cells(int(found["luts"]), int(found["flip_flops"]), 0, found["block_rams"], int(found["dsps"]))
