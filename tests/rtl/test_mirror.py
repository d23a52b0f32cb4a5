"""Every library module has its bench and its test, and the reverse."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_module_has_a_test_and_the_reverse() -> None:
    modules = {p.stem for p in (ROOT / "rtl").glob("*.v")}
    tests = {p.stem.removeprefix("test_") for p in (ROOT / "tests" / "rtl").glob("test_bnn_*.py")}
    benches = {p.stem.replace("bench_", "bnn_", 1) for p in (ROOT / "sim").glob("bench_*.py")} - {
        "bnn_network",
        "bnn_host",
        "bnn_uart",
    }  # of whole networks
    assert modules, "the library is empty"
    assert tests == modules
    assert benches == modules


def test_every_module_is_named_like_its_file() -> None:
    for path in (ROOT / "rtl").glob("*.v"):
        assert f"\nmodule {path.stem} " in path.read_text(), path.name
