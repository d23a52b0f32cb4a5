"""Reports of Vivado and Vitis HLS, in their documented formats with names and numbers of our own, beside estimates; files of other formats."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

import bnnhw
from bnnhw.cli import app
from bnnhw.report.compared import reports_of
from bnnhw.report.vitis import read_csynth
from bnnhw.report.vivado import Timed, Watts, read_hierarchy, read_power, read_timing, read_utilisation
from bnnhw.tools.targets import Cells

SAMPLES = Path(__file__).parents[1] / "support" / "reports"


def test_timing() -> None:
    met = read_timing(SAMPLES / "timing_xc7.rpt")
    assert met.met and met.period_ns == 10.0 and met.slack_ns and met.slack_ns > 0
    assert met.fmax_mhz == pytest.approx(1000 / (10.0 - met.slack_ns))
    failed = read_timing(SAMPLES / "timing_failed_xcup.rpt")
    assert failed.met is False and failed.slack_ns is not None and failed.slack_ns < 0
    assert read_timing(SAMPLES / "timing_unconstrained_xc7.rpt") == Timed(None, None, None)


def test_power() -> None:
    assert read_power(SAMPLES / "power_xc7.rpt") == Watts(0.112, 0.041, 0.071, "Low")
    found = read_power(SAMPLES / "power_xcup.rpt")
    assert found.total == pytest.approx(found.dynamic + found.static, abs=0.002)


def test_hierarchy() -> None:
    for name, luts, flip_flops, block_rams, dsps in (("xc7", 872, 671, 2.5, 2), ("xcup", 1616, 1872, 3.5, 12)):
        found = read_hierarchy(SAMPLES / f"hierarchy_{name}.rpt")
        assert found.top == Cells(luts, flip_flops, 0, block_rams, dsps)
        assert found.name == "digits_cnn" and "u_conv1_matvec" in found.instances and not any(i.startswith("(") for i in found.instances)
    assert found.instances["u_fc_matvec"] == Cells(744, 811, 0, 3, 8)
    old = read_hierarchy(SAMPLES / "hierarchy_xc7_2018.rpt")
    assert old.top.luts > 0 and old.top.dsps >= 0


def test_c_synthesis_as_xml_and_as_text() -> None:
    xml, text = read_csynth(SAMPLES / "csynth.xml"), read_csynth(SAMPLES / "csynth.rpt")
    assert xml == text
    assert (xml.top, xml.target_ns, xml.estimated_ns) == ("digits_cnn", 10.0, 7.216)
    assert (xml.latency, xml.interval, xml.cells) == ((1893, 1893), (785, 785), Cells(2134, 1526, 0, 3.5, 2))
    for old in ("csynth_2018_undef.xml", "csynth_2019_unknown.rpt"):
        found = read_csynth(SAMPLES / old)
        assert found.cells.luts > 0, old
    assert None in found.latency + found.interval, "a ? is not known"
    assert found.cells.dsps >= 0


def test_other_formats_are_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "other.rpt"
    readers = (read_timing, read_power, read_hierarchy, read_utilisation, read_csynth)
    for text in ("", "something else\n", "<html></html>", "<profile>", "<profile></profile>", "| Design Timing Summary\nWNS(ns)\n", "\x00\xff" * 100,
                 "== Vitis HLS Report for 'x'\n", "| Instance | Total LUTs | a | b | c | d | e |\n| x | ? | 1 | 1 | 1 | 1 | 1 |\n"):  # fmt: skip
        file.write_text(text)
        for reader in readers:
            with pytest.raises(bnnhw.BnnhwError) as e:
                reader(file)
            assert "\n" not in str(e.value) and "other.rpt" in str(e.value)
        with pytest.raises(
            bnnhw.BnnhwError,
            match=r"^report .*(is none of utilisation, timing, power or C synthesis; give one of those|has no .*; give the text of .*)$",
        ):
            reports_of(tmp_path, [file])
    with pytest.raises(bnnhw.BnnhwError, match=r"cannot be read \(No such file or directory\)"):
        reports_of(tmp_path, [tmp_path / "nothing"])


def test_every_cut_report_is_read_or_refused(tmp_path: Path) -> None:
    for sample in sorted(SAMPLES.iterdir()):
        text = sample.read_text()
        for end in range(0, len(text), max(1, len(text) // 60)):
            (tmp_path / sample.name).write_text(text[:end])
            try:
                reports_of(tmp_path, [tmp_path / sample.name])
            except bnnhw.BnnhwError as e:
                assert "\n" not in str(e)


def test_of_several_clocks_none_is_taken_for_the_slack(tmp_path: Path) -> None:
    text = (SAMPLES / "timing_xc7.rpt").read_text()
    line = next(x for x in text.splitlines() if "{0.000 5.000}" in x)
    (tmp_path / "two.rpt").write_text(text.replace(line, line + "\nfast   {0.000 1.000}        2.000           500.000"))
    found = read_timing(tmp_path / "two.rpt")
    assert found.period_ns is None and found.fmax_mhz is None and found.slack_ns == read_timing(SAMPLES / "timing_xc7.rpt").slack_ns
    assert Timed(2.0, 3.0, True).fmax_mhz is None


def test_reports_of_another_design_are_refused_and_those_of_a_system_told_apart(tmp_path: Path) -> None:
    other = bnnhw.generate("digits_mlp", tmp_path / "o", fps=1000).folder
    for name in ("hierarchy_xc7.rpt", "timing_xc7.rpt", "power_xc7.rpt", "csynth.xml"):
        with pytest.raises(bnnhw.BnnhwError, match=r"is of design 'digits_cnn', the folder's is 'digits_mlp'; give its own reports$"):
            bnnhw.compare(other, [SAMPLES / name])
    folder = bnnhw.generate("digits_cnn", tmp_path / "d", board="pynq_z1", fps=5000).folder
    lines = (SAMPLES / "hierarchy_xc7.rpt").read_text().replace(": digits_cnn", ": system_wrapper").splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("| digits_cnn "))
    width = lines[at].index("|", 1)
    head = lines[at].replace("| digits_cnn ", "| system_wrapper ", 1)[: width - 4] + lines[at][width:].replace("872", "999")
    inner = [("|   " + line[2:width].replace("digits_cnn", "accelerator") + line[width:]) if line.startswith("| ") else line for line in lines[at:]]
    (tmp_path / "system.rpt").write_text("\n".join([*lines[:at], head, *inner]) + "\n")
    found = bnnhw.compare(folder, [tmp_path / "system.rpt"])
    assert found.cells == Cells(872, 671, 0, 2.5, 2) and "conv1" in found.layers


@pytest.mark.parametrize("damage", ["{", "[]", "{}", None])
def test_a_damaged_folder_is_refused_in_one_line(damage: str | None, tmp_path: Path) -> None:
    folder = bnnhw.generate("digits_mlp", tmp_path / "d", fps=1000, writable=["fc2"]).folder
    (folder / "report.json").unlink()
    if damage is not None:
        (folder / "report.json").write_text(damage)
    for verb in (lambda: bnnhw.compare(folder), lambda: bnnhw.update(folder, "digits_mlp", tmp_path / "new")):
        with pytest.raises(bnnhw.BnnhwError, match=r"report.json': is missing or damaged; generate it again$"):
            verb()
    assert not (tmp_path / "new").exists()


def test_estimates_stand_beside_reports(tmp_path: Path) -> None:
    folder = bnnhw.generate("digits_cnn", tmp_path / "d", board="pynq_z1", fps=5000).folder
    run = CliRunner().invoke
    refused = run(app, ["report", str(folder)])
    assert refused.exit_code != 0 and "holds no report of Vivado or Vitis HLS; run vivado.tcl in it, or give the files" in str(refused.exception)
    (folder / "vivado").mkdir()
    for name in ("timing_xc7.rpt", "power_xc7.rpt", "hierarchy_xc7.rpt"):
        shutil.copy(SAMPLES / name, folder / "vivado" / name)
    (folder / "vitis_digits_cnn" / "solution" / "syn" / "report").mkdir(parents=True)
    shutil.copy(SAMPLES / "csynth.xml", folder / "vitis_digits_cnn" / "solution" / "syn" / "report" / "csynth.xml")
    found = bnnhw.compare(folder)
    assert found.cells == Cells(872, 671, 0, 2.5, 2) and found.timed and found.watts and found.csynth
    assert set(found.layers) == {"conv1", "ports"}, "layers of the report that the design has"
    done = run(app, ["report", str(folder), "--json"])
    told = json.loads(done.stdout)
    assert told["vendor"]["cells"]["luts"] == 872 and told["estimate"]["target"] == "xc7" and len(told["files"]) == 4
    shown = run(app, ["report", str(folder)]).stdout
    for part in ("whole", "/ 872", "Vivado", "Power: 0.112 W", "HLS estimates 7.216 ns of 10", "interval 785"):
        assert part in shown, shown
    only = bnnhw.compare(folder, [SAMPLES / "power_xcup.rpt"])
    assert only.cells is None and only.watts and only.timed is None
    ice = bnnhw.generate("digits_mlp", tmp_path / "ice", board="icebreaker").folder
    with pytest.raises(bnnhw.BnnhwError, match=r"^report: Vivado's are of xc7 and xcup, not of ice40"):
        bnnhw.compare(ice)
