"""Any names become legal, unique identifiers."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bnnhw.emit.names import MAX_LENGTH, RESERVED, identifiers
from bnnhw.emit.verilog import library, naming
from bnnhw.ir.encoding import Encoding
from bnnhw.ir.heads import Thresholds
from bnnhw.ir.integer import InputPort, Network
from bnnhw.ir.layers import MatVec
from bnnhw.ir.weights import Weights
from bnnhw.ir.window import Window

NASTY = [
    "always",
    "Always",
    "../../etc/passwd",
    'a"b',
    "a'b",
    "x[3]",
    "$display",
    "new\nline",
    "größe",
    "名前",
    "9lives",
    "_",
    "__",
    "",
    "a" * 10_000,
    "a" * 10_001,
    "a b",
    "a_b",
    "A_B",
]


def legal(found: dict[str, str]) -> None:
    for identifier in found.values():
        assert re.fullmatch(r"[a-z](?:_?[a-z0-9])*", identifier) and len(identifier) <= MAX_LENGTH
        assert identifier not in RESERVED
    assert len(set(found.values())) == len(found)


@given(st.lists(st.text() | st.sampled_from(NASTY), unique=True, max_size=30))
def test_identifiers_are_legal_and_distinct(names: list[str]) -> None:
    found = identifiers(names)
    assert list(found) == names
    legal(found)


def test_nasty_names() -> None:
    found = identifiers(NASTY)
    legal(found)
    assert found["../../etc/passwd"] == "etc_passwd"
    assert found["x[3]"] == "x_3"


def test_plain_names_stay() -> None:
    assert identifiers(["conv1", "fc_2"]) == {"conv1": "conv1", "fc_2": "fc_2"}


def test_modules_of_a_design_are_distinct_whatever_its_layers_are_called() -> None:
    """Also where a layer is named like the netlist of another, or like what every design has."""
    w = Weights.binary(np.ones((8, 8), np.int64))
    head = Thresholds(np.zeros((1, 8, 1), np.int64), Encoding.bipolar())
    window = Window.dense((8, 1, 1))
    called = ("fc", "fc luts", "fc_luts", "matvec", "popcount", "dot", "net", "bnn_luts")
    layers = tuple(MatVec(name, Encoding.bipolar(), window, w, head) for name in called)
    net = Network("net", InputPort((8, 1, 1), "bipolar"), Encoding.bipolar(), layers)
    names = naming(net)
    modules = [names.module, *names.modules.values(), *(Path(name).stem for name in library())]
    assert len(set(modules)) == len(modules)
