"""Small convolutional networks for digits with what a plain chain cannot show: branches, joins, pools of integers."""

from __future__ import annotations

from typing import Any

Layers = list[dict[str, Any]]


def _conv(name: str, out: int, kernel: int = 3, **more: Any) -> dict[str, Any]:
    return {"type": "conv", "name": name, "out": out, "kernel": kernel, "pad": kernel // 2, **more}


def _norm(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "batchnorm", "name": name, "eps": 1e-5, **more}


def _sign(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "sign", "name": name, "zero_to": 1, **more}


def _fixed(name: str, bits: int = 8, fraction: int = 4, **more: Any) -> dict[str, Any]:
    return {"type": "fixed", "name": name, "bits": bits, "fraction": fraction, "norm": True, **more}


def _uint(name: str, bits: int = 2) -> dict[str, Any]:
    return {"type": "levels", "name": name, "quantiser": {"method": "uint", "bits": bits}}


def _dense(name: str, out: int, **more: Any) -> dict[str, Any]:
    return {"type": "dense", "name": name, "out": out, **more}


def _join(kind: str, name: str, a: str, b: str) -> dict[str, Any]:
    return {"type": kind, "name": name, "inputs": [a, b]}


BWN = {"quantiser": {"method": "bwn"}}
INT4 = {"quantiser": {"method": "dorefa", "bits": 4}}
STEM: Layers = [_conv("c1", 16), _norm("b1"), _sign("s1")]

NETS: dict[str, Layers] = {
    "xnor_k_map": [
        _conv("c1", 16), _fixed("x"), _norm("b2", inputs=["x"]), _sign("s2"), _conv("c2", 16, **BWN),
        {"type": "table", "name": "magnitude", "function": "abs", "inputs": ["x"]}, _conv("mean", 1, quantiser={"method": "box"}),
        _join("multiply", "scaled", "c2", "mean"), {"type": "maxpool", "name": "pool", "kernel": 2},
        _norm("b3"), _sign("s3"), _dense("fc", 10, **BWN),
    ],
    "bireal_blocks": [
        _conv("c1", 16), _fixed("r0"), _sign("s1", gradient="approx", inputs=["r0"]), _conv("c2", 16, **BWN), _fixed("f2"),
        _join("add", "r1", "r0", "f2"), _sign("s2", gradient="approx", inputs=["r1"]), _conv("c3", 16, **BWN), _fixed("f3", fraction=5),
        _join("add", "r2", "r1", "f3"), _sign("s3", gradient="approx", inputs=["r2"]), _conv("c4", 32, stride=2, **BWN), _fixed("f4"),
        {"type": "avgpool", "name": "halved", "kernel": 2, "inputs": ["r2"]}, _conv("widen", 32, 1, **INT4), _fixed("short"),
        _join("add", "r3", "short", "f4"), {"type": "avgpool", "name": "mean"}, _fixed("last", norm=False), _dense("fc", 10, **INT4),
    ],
    "real_to_binary": [
        _conv("c1", 16), _fixed("r0"), _sign("s1", inputs=["r0"]), _conv("c2", 16, **BWN), _fixed("f2"),
        {"type": "avgpool", "name": "mean", "inputs": ["r0"]}, _dense("g1", 8, **INT4), _norm("gb"), _uint("ga"), _dense("g2", 16, **INT4),
        _fixed("gx", 6, 3), {"type": "table", "name": "gate", "function": "sigmoid", "bits": 6, "fraction": 5},
        _join("multiply", "m", "f2", "gate"), _fixed("narrow", norm=False), _join("add", "r1", "narrow", "r0"), _sign("s2"), _dense("fc", 10, **BWN),
    ],
    "depthwise": [
        *STEM, _conv("depth", 16, groups=16), _norm("b2"), _sign("s2"), _conv("point", 24, 1), _norm("b3"), _uint("a3"),
        {"type": "avgpool", "name": "mean", "kernel": 2}, _norm("b4"), _sign("s4"), _dense("fc", 10),
    ],
    "concat": [
        *STEM, _conv("c2", 8, inputs=["s1"]), _norm("b2"), _sign("s2"), _conv("c3", 24, 1, inputs=["s1"]), _norm("b3"), _sign("s3"),
        _join("concat", "both", "s2", "s3"), {"type": "maxpool", "name": "pool", "kernel": 2}, _dense("fc", 10),
    ],
    "partial_sums": [
        *STEM, _conv("c2", 16, pad_value=-1, partial={"taps": 48, "bits": 4, "shift": 1, "overflow": "wrap"}), _norm("b2"), _sign("s2"),
        _dense("fc", 10, partial={"taps": 64, "bits": 5}),
    ],
    "product_codes": [_conv("c1", 16), _norm("b1"), _uint("a1"), _conv("c2", 16, quantiser={"method": "product", "size": 4, "n": 8}), _norm("b2"), _sign("s2"), _dense("fc", 10)],
    "pools_of_levels": [
        _conv("c1", 16), _norm("b1"), {"type": "levels", "name": "a1", "quantiser": {"method": "lq", "bits": 3}}, {"type": "maxpool", "name": "p1", "kernel": 2},
        _conv("c2", 16, quantiser={"method": "abc"}), {"type": "maxpool", "name": "p2", "kernel": 2}, _norm("b2"),
        {"type": "levels", "name": "a2", "quantiser": {"method": "abc"}}, _dense("fc", 10, quantiser={"method": "lq"}),
    ],
}  # fmt: skip
"""Layers by name."""


def description(name: str, epochs: int) -> dict[str, Any]:
    """A network's description as plain data."""
    return {
        "bnnhw": 1, "name": name, "input": {"shape": [1, 8, 8], "type": "uint8", "preprocess": "2p-255"}, "layers": NETS[name],
        "train": {"data": "digits", "epochs": epochs, "batch": 50, "lr": 0.01},
    }  # fmt: skip
