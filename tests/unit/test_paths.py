"""Levels on the longest path of a mapped netlist."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bnnhw.synth.paths import Levels, longest_path


def cell(kind: str, inputs: dict[str, int | str], outputs: dict[str, int]) -> dict[str, Any]:
    """A cell of single bits as Yosys' JSON has it."""
    return {
        "type": kind,
        "port_directions": dict.fromkeys(inputs, "input") | dict.fromkeys(outputs, "output"),
        "connections": {port: [bit] for port, bit in (inputs | outputs).items()},
    }


@pytest.mark.parametrize("output", [3, 4], ids=["O5", "O6"])
def test_a_path_goes_through_luts_of_two_outputs(output: int) -> None:
    """From either output to the next, whose constant input counts for nothing."""
    cells = {
        "first": cell("LUT6_2", {"I0": 2, "I5": "1"}, {"O5": 3, "O6": 4}),
        "second": cell("LUT6_2", {"I0": output, "I5": "1"}, {"O5": 5, "O6": 6}),
        "third": cell("LUT1", {"I0": 6}, {"O": 7}),
        "register": cell("FDRE", {"D": 7}, {"Q": 8}),
    }
    assert longest_path(json.dumps({"modules": {"top": {"cells": cells}}})) == Levels(luts=3, fanout=1)
