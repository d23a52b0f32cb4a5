"""The folder of an exploration: a file for each result, and tables of all points and of the best."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bnnhw.explore.points import Outcome, Point, Result
from bnnhw.ir.errors import BnnhwError

RESULTS = "results"


def prepare(folder: Path) -> None:
    """Make the folder, where it is not there. Errors: BnnhwError."""
    try:
        (folder / RESULTS).mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise BnnhwError(f"output {str(folder)!r}: cannot be written ({e.strerror}); choose another --out") from None


def keep(folder: Path, result: Result) -> None:
    """Write the result's file, whole or not at all. Errors: BnnhwError."""
    data = {"key": result.key, **described(result), "design": result.design}
    write(folder / RESULTS / f"{result.key}.json", json.dumps(data, indent=1) + "\n")


def kept(folder: Path, key: str, point: Point) -> Result | None:
    """The result kept under the key; None where there is none, or a damaged one."""
    try:
        data = json.loads((folder / RESULTS / f"{key}.json").read_text())
        if data["key"] != key or not isinstance(data["values"], dict) or not isinstance(data["design"], str):
            return None
        return Result(key, point, data["values"], data["design"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def described(outcome: Outcome) -> dict[str, Any]:
    """Plain data for a script."""
    ended = {"values": dict(outcome.values)} if isinstance(outcome, Result) else {"failed": outcome.reason}
    return {"request": dict(outcome.point.request), "target": outcome.point.target, **ended}


def table(outcomes: Sequence[Outcome]) -> str:
    """CSV: a line a point: what was asked for, what was found, why it failed, the name of its result."""
    asked = dict.fromkeys(name for o in outcomes for name, _ in o.point.request)
    found = dict.fromkeys(name for o in outcomes if isinstance(o, Result) for name in o.values)
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(["target", *(f"asked_{name}" for name in asked), *found, "failed", "result"])
    for o in outcomes:
        request, values = dict(o.point.request), o.values if isinstance(o, Result) else {}
        ended = ["", o.key] if isinstance(o, Result) else [o.reason, ""]
        rows.writerow([o.point.target, *(request.get(name, "") for name in asked), *(values.get(name, "") for name in found), *ended])
    return out.getvalue()


def write(path: Path, text: str) -> None:
    """The whole file or none. Errors: BnnhwError."""
    partial = None
    try:
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".", suffix=".part", delete=False, encoding="utf-8") as file:
            partial = file.name
            file.write(text)
        os.chmod(partial, 0o644)
        os.replace(partial, path)
    except OSError as e:
        if partial is not None:
            Path(partial).unlink(missing_ok=True)
        raise BnnhwError(f"output {str(path)!r}: cannot be written ({e.strerror}); choose another --out") from None
