"""Where the hand-written parts lie: beside the package in a checkout, inside it in a wheel."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).parents[1]


def resource_folder(name: str) -> Path:
    """Folder `rtl`, `templates`, `sim` or another of that level."""
    beside, inside = PACKAGE.parent / name, PACKAGE / "_resources" / name
    return inside if inside.is_dir() else beside
