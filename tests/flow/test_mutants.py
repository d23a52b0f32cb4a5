"""One-line edits of the RTL and of lowering that the comparisons must catch: tests that cannot fail prove nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bnnhw.emit import emit_verilog
from bnnhw.golden import run
from bnnhw.ir.pipeline import pipeline
from bnnhw.lower import lower
from bnnhw.tools.verilator import ToolError
from bnnhw.verify.rtl import Simulation
from support.drawn import ANY_SEEDS, SEEDS
from support.random_integer import random_frames, random_network
from support.random_nets import random_case, random_design

ROOT = Path(__file__).parents[2]
RTL = [
    ("bnn_threshold", "$signed(sum) >= $signed(limit)", "$signed(sum) > $signed(limit)"),
    ("bnn_threshold", "$signed(limit)) ^ flip;", "$signed(limit));"),
    ("bnn_threshold", "START[q] ^ (", "("),
    ("bnn_threshold", "(^(reached & toggles))", "(|(reached & toggles))"),
    ("bnn_threshold", "(b<SUM_W?b : SUM_W-1)", "(b<SUM_W?b : 0)"),
    ("bnn_fold_address", "+ COL_BASE[col_q*ADDR_W+:ADDR_W]", ""),
    ("bnn_popcount", "assign hits = weight ~^ x;", "assign hits = weight ^ x;"),
    ("bnn_popcount", "assign hits = weight & x;", "assign hits = weight | x;"),
    ("bnn_popcount", "weight[N_BITS+:N_BITS] & (weight[0+:N_BITS] ~^ x)", "weight[0+:N_BITS] ~^ x"),
    ("bnn_matvec", "first2_q[LATENCY] ? partial : sum_q + partial", "sum_q + partial"),
    ("bnn_matvec", "assign partial = dot_q;", "assign partial = dot;"),
    ("bnn_matvec", "if (advance && valid2_q[LATENCY]) sum_q", "if (advance) sum_q"),
    ("bnn_matvec", "coeff * {{SUM_W", "{{SUM_W"),
    ("bnn_matvec", "turn} == t)", "turn} == 0)"),
    ("bnn_pool", "greater = next > held", "greater = next < held"),
    ("bnn_pool", "RANKS[next*RANK_W+:RANK_W] > RANKS[held*RANK_W+:RANK_W]", "next > held"),
    ("bnn_pool", "$signed(next) > $signed(held)", "next > held"),
    ("bnn_pool", "tap_q == 0 || ", ""),
    ("bnn_window", "margin_q ? margin : held", "held"),
    ("bnn_window", "on_map ? at_q < written_q :", "on_map ? 1'b1 :"),
    ("bnn_window", "base_q <= base_q + FRAME[ADDR_W-1:0];", "base_q <= base_q;"),
    ("bnn_window", "occupied < RING", "1'b1"),
    ("bnn_line_buffer", "off ? blank : above", "1'b0 ? blank : above"),
    ("bnn_line_buffer", "margin ? blank : s_data", "s_data"),
    ("bnn_line_buffer", "y_q <= LINE", "y_q < LINE"),
    ("bnn_line_buffer", "(FIRST_Y == 0 || y_q >= FIRST_Y[INDEX_W-1:0])", "1'b1"),
    ("bnn_line_buffer", "if (push) window_q <= shifted;", "window_q <= shifted;"),
    ("bnn_line_buffer", "assign s_ready = advance && !margin;", "assign s_ready = advance;"),
    ("bnn_replay", "if (release_vector) half_q <= !half_q;", ""),
    ("bnn_replay", "{1'b0, word_q} < held_q", "1'b1"),
    ("bnn_frame", "s_tdata & wanted", "s_tdata"),
    ("bnn_gearbox", "last ? FILL_LAST : FILL_IN", "FILL_IN"),
    ("bnn_gearbox", "pop ? held_q >> OUT_W : held_q", "held_q >> OUT_W"),
    ("bnn_gearbox", "more ? next_q : beat", "beat"),
    ("bnn_gearbox", "(rst || (pop && !put))", "rst"),
    ("bnn_gearbox", "apart_q <= kept == FILL_OUT;", "apart_q <= 1'b0;"),
    ("bnn_gearbox", "if (!apart_q) held_q", "held_q"),
    ("bnn_gearbox", "pop && !apart_q ? held_q[STEP_W+:STEP_W] : held_q[STEP_W-1:0]", "held_q[STEP_W-1:0]"),
    ("bnn_fifo", "assign s_ready = count_q != FULL;", "assign s_ready = 1'b1;"),
    ("bnn_planes", "s_data[i*ELEM_W+q]", "s_data[i*ELEM_W+PLANES-1-q]"),
    ("bnn_pad", "{element[S_ELEM_W-1]}", "{1'b0}"),
    ("bnn_affine", "sum * scale + bias", "sum + bias"),
    ("bnn_affine", "exact >>> SHIFT", "exact"),
    ("bnn_affine", "kept > $signed(HIGH)", "kept > HIGH"),
    ("bnn_affine", "OVERFLOW == 0 ? LOW[OUT_W-1:0] : {OUT_W{1'b0}}", "LOW[OUT_W-1:0]"),
    ("bnn_affine", "kept[b<WRAP_W?b : WRAP_W-1]", "kept[b]"),
    ("bnn_affine", "below ? low : above ? high : kept[OUT_W-1:0]", "kept[OUT_W-1:0]"),
    ("bnn_accumulate", "part_q == 0 ? {OUT_W{1'b0}} : sum_q", "sum_q"),
    ("bnn_accumulate", "SCALES[part_q*PART_SCALES_W+:PART_SCALES_W]", "SCALES[0+:PART_SCALES_W]"),
    ("bnn_accumulate", "number * scale", "number"),
    ("bnn_fork", "s_ready ? {N_OUT{1'b0}} : served", "{N_OUT{1'b0}}"),
    ("bnn_add", "(b << B_SHIFT)", "b"),
    ("bnn_multiply", "B_SHARED == 1 ? 0 : i * B_W", "0"),
    ("bnn_table", "s_data[i*IN_W+:IN_W]", "s_data[0+:IN_W]"),
    ("bnn_concat", "from_b ? b : a", "from_b ? a : b"),
    ("bnn_gather", "if (release_vector) half_q <= !half_q;", ""),
    ("bnn_gather", "minus_q ? -wide : wide", "wide"),
    ("bnn_gather", "use_q ? (minus_q", "1'b1 ? (minus_q"),
    ("bnn_last", "assign m_tlast = beat_q == LAST;", "assign m_tlast = beat_q == 0;"),
    ("bnn_pipe", "!valid_q[LATENCY-1] || m_ready", "1'b1"),
    ("bnn_pipe", "valid_q[0] <= s_valid;", "valid_q[0] <= 1'b1;"),
    ("bnn_stage", "if (en) held_q", "held_q"),
    ("bnn_luts", "TABLES[k<<N_IN+:1<<N_IN]", "TABLES[0+:1<<N_IN]"),
    ("bnn_carry_sum", " + {{N_BITS{1'b0}}, carry}", ""),
    ("bnn_carry_count", "x ^ INVERTED", "x"),
    ("bnn_carry_count", "TWO == 1 ? {1'b0, bits[3], 1'b0}", "1'b0 ? {1'b0, bits[3], 1'b0}"),
    ("bnn_lut_pairs", "TABLES[k<<N_IN+:1<<N_IN]", "TABLES[0+:1<<N_IN]"),
]

PYTHON = [
    ("lower/response.py", "lambda y, k: y >= 0", "lambda y, k: y > 0"),
    ("lower/response.py", "a < 0, reach", "a > 0, reach"),
    ("lower/response.py", "kind(1) / deviation * gamma", "deviation * gamma"),
    ("lower/pipeline.py", "falling = act.falling ^ inverted", "falling = act.falling"),
    ("lower/pipeline.py", "plain = plain.negated(columns)", "pass"),
    ("lower/pipeline.py", "limits + extra()[..., None]", "limits - extra()[..., None]"),
    ("lower/weights.py", "planes.transpose(0, 1, 3, 4, 2)", "planes.transpose(0, 1, 4, 3, 2)"),
    ("lower/constants.py", "values - given[..., None]", "values + given[..., None]"),
    ("lower/constants.py", "outside = by_tap.sum(2) * layer.x.values[window.pad_level]", "outside = 0 * by_tap.sum(2)"),
    ("ir/heads.py", "level += (total >= rows[..., k]) if", "level += (total > rows[..., k]) if"),
    ("ir/heads.py", "(total >= rows[..., k]) ^ self.flip", "(total >= rows[..., k])"),
    ("ir/heads.py", "x = x >> self.shift", "x = -(-x >> self.shift)"),
    ("ir/heads.py", "np.where((x < self.low) | (x > self.high), 0, x)", "np.where(x > self.high, 0, x)"),
    ("ir/weights.py", "scale[-1] = -scale[-1]", "pass"),
    ("golden/executor.py", "<< layer.shifts[1]", "<< layer.shifts[0]"),
    ("golden/dots.py", "np.subtract(w.fan_in,", "np.subtract(w.fan_in + 1,"),
    ("golden/windows.py", "constant_values=window.pad_level", "constant_values=0"),
]


EVERY = 3
"""One mutant of so many is in every run; the others are slow."""


def sampled(edits: list[tuple[str, str, str]]) -> list[Any]:
    """Parameters of a test of all edits."""
    marks = ([] if n % EVERY == 0 else [pytest.mark.slow] for n in range(len(edits)))
    return [pytest.param(edit, id=f"{edit[0]}-{n}", marks=m) for (n, edit), m in zip(enumerate(edits), marks, strict=True)]


INNER = {
    "bnn_hold",  # with mutants of its own, as the next
    "bnn_control",
    "bnn_popcount",
    "bnn_dot",
    "bnn_ram",
    "bnn_rom",
    "bnn_reset",
    "bnn_fold_address",
    "bnn_head_rom",
    "bnn_pipe",
    "bnn_stage",
    "bnn_luts",
    "bnn_carry_sum",
    "bnn_lut_pairs",
    "bnn_carry_count",
}
"""Modules that stand inside others only."""


@pytest.fixture(scope="module")
def designs() -> list:
    """Networks that together use every module, with frames and golden's outputs."""
    made = []
    for seed in SEEDS:
        case = random_case(seed, f"net{seed}", 4)
        net = lower(case.trained).network
        draws = (random_design(net, n) for n in range(seed, seed + 10_000_000, 1_000_003))
        design = next(x for x in draws if pipeline(net, x).interval < 20_000)
        made.append((net, design, case.frames, run(net, case.frames, trace=True)))
    for seed in ANY_SEEDS:
        net = random_network(seed, f"any{seed}")
        draws = (random_design(net, n) for n in range(seed, seed + 10_000_000, 1_000_003))
        frames = random_frames(net, seed, 4)
        made.append((net, next(x for x in draws if pipeline(net, x).interval < 3_000), frames, run(net, frames, trace=True)))
    return made


def differs(designs: list, folder: Path, edit: tuple[str, str, str] | None) -> bool:
    """Whether RTL with one line changed is refused by the linter, as in CI, or gives anything but golden's layers and outputs."""
    for net, design, _, _ in designs:
        for path, text in emit_verilog(net, design).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
    if edit:
        module, old, new = edit
        file = folder / "rtl" / f"{module}.v"
        assert file.read_text().count(old) == 1, f"{module}.v does not hold {old!r} once"
        file.write_text(file.read_text().replace(old, new))
    try:
        simulation = Simulation([d[:2] for d in designs], folder / "work", files_from=folder, optimise=0)
        runs = [
            (d, r) for s in ("none", "random") for d, r in zip(designs, simulation.run([d[2] for d in designs], stalls=s, taps=True), strict=True)
        ]
    except ToolError:
        return True
    for (_, _, _, want), seen in runs:
        if not np.array_equal(seen.outputs, want.outputs) or seen.bad_protocol:
            return True
        if not all(np.array_equal(seen.layers[name], numbers) for name, numbers in want.layers.items()):
            return True
    return False


def test_the_unchanged_rtl_passes(designs: list, tmp_path: Path) -> None:
    used = {i.module for net, design, _, _ in designs for i in pipeline(net, design).instances}
    assert used == {p.stem for p in (ROOT / "rtl").glob("*.v")} - INNER | {"bnn_unrolled"}
    assert not differs(designs, tmp_path, None)


@pytest.mark.parametrize("edit", sampled(RTL))
def test_mutants_of_the_rtl_are_caught(designs: list, tmp_path: Path, edit: tuple[str, str, str]) -> None:
    """Network by network, the smallest first: one build of all would take longer than the few that find most mutants."""
    chains = [(pipeline(net, design).instances, d) for d in designs for net, design, *_ in (d,)]
    users = [(len(chain), n, d) for n, (chain, d) in enumerate(chains) if edit[0] in INNER or edit[0] in {i.module for i in chain}]
    assert any(differs([d], tmp_path / str(n), edit) for _, n, d in sorted(users, key=lambda user: user[:2]))


@pytest.mark.parametrize("edit", sampled(PYTHON))
def test_mutants_of_lowering_and_golden_are_caught(tmp_path: Path, edit: tuple[str, str, str]) -> None:
    name, old, new = edit
    shutil.copytree(ROOT / "bnnhw", tmp_path / "bnnhw", ignore=shutil.ignore_patterns("zoo", "__pycache__"))
    file = tmp_path / "bnnhw" / name
    assert old in file.read_text(), f"{name} does not hold {old!r}"
    file.write_text(file.read_text().replace(old, new))
    program = (
        "import sys, numpy, pytest; sys.path[:0] = sys.argv[1:]; from unit import test_random_integer as integer, test_random_networks as networks, test_traps as traps, test_weights as weights; "
        "traps.test_trap_18_constant_channels_go_and_their_constant_stays(numpy.random.default_rng(1), pytest.MonkeyPatch()); [networks.check(s) for s in range(400)]; "
        "[integer.check(s) for s in range(60)]; weights.test_planes_give_the_values()"
    )
    paths = [str(tmp_path), str(ROOT / "tests")]
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, *paths], capture_output=True, text=True, check=False, cwd=tmp_path, env=dict(os.environ)
    )
    assert done.returncode != 0
