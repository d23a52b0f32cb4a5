"""Folders that are written whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from bnnhw.ir.errors import BnnhwError


def named(folder: str | Path) -> Path:
    """A folder to write to; BnnhwError for an empty name, which would be the current one."""
    if not str(folder):
        raise BnnhwError("output '': names no folder; give --out a name, a dot for the current folder")
    return Path(folder)


def check_free(folder: Path) -> None:
    """Refuse a folder that holds something: BnnhwError."""
    taken = folder.is_symlink() or folder.exists()
    if taken and (not folder.is_dir() or any(folder.iterdir())):
        raise BnnhwError(f"output {str(folder)!r}: exists and is not an empty folder; remove it or choose another --out")


def write(folder: Path, files: dict[str, str | bytes]) -> None:
    """All files or none: written beside the target, then renamed."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name[:40]}-", dir=folder.parent))
    except OSError as e:
        raise BnnhwError(f"output {str(folder)!r}: cannot be written ({e.strerror}); choose another --out") from None
    try:
        partial.chmod(0o755)
        for path, content in files.items():
            target = partial / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content if isinstance(content, bytes) else content.encode())
        if folder.is_dir():  # empty, and perhaps somebody's working folder
            for child in partial.iterdir():
                os.replace(child, folder / child.name)
        else:
            os.replace(partial, folder)
    except OSError as e:
        raise BnnhwError(f"output {str(folder)!r}: cannot be written ({e.strerror}); choose another --out") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
