"""C simulation of the HLS C++ equals golden: random networks that have every module, the zoo's and published ones; and its ports."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import bnnhw
from bnnhw import data, frontend, golden, schedule
from bnnhw.emit.hls import emit_hls, folded_out, library
from bnnhw.emit.scripts import vitis_script
from bnnhw.emit.verilog import naming
from bnnhw.ir import design as d
from bnnhw.ir.contents import words
from bnnhw.ir.encoding import Encoding, Integers
from bnnhw.ir.heads import Fixed, Sums, Thresholds
from bnnhw.ir.integer import PORT, InputPort, Network
from bnnhw.ir.layers import MatVec, Pool, Requantise
from bnnhw.ir.pipeline import pipeline
from bnnhw.ir.weights import Weights
from bnnhw.ir.window import Window
from bnnhw.lower import lower
from bnnhw.tools import cpp
from bnnhw.tools.verilator import ToolError
from bnnhw.verify.csim import CSimulation, bench_frames
from bnnhw.verify.frames import random_frames as frames_for
from bnnhw.verify.ladder import first_difference
from flow.test_joins import MAKERS, parallel
from support.drawn import ANY_SEEDS, SEEDS, Drawn, designed, integer, trained
from support.published import CNV_FOLDING, LFC_FOLDING, cifar_test, cnv, design_data, lfc, mnist_test

ROOT = Path(__file__).parents[2]
OWN = {"M_BEATS", "KEEP_BYTES", "OVERFLOW_AS"}
"""Parameters that the C++ has and the Verilog has not: beats of a frame, KEEP as a number of bytes, OVERFLOW, which is a macro of C."""
NO_RTL = {"bnn_bits", "bnn_axis", "bnn_testbench"}
"""Headers of what Verilog has by itself, and of the test bench."""
MUTANTS = [
    ("bnn_threshold", "sum >= bnn_get_signed", "sum > bnn_get_signed"),
    ("bnn_threshold", "!= flip;", "!= (flip && false);"),
    ("bnn_threshold", "code[q] = P::START >> q & 1", "code[q] = 0"),
    ("bnn_fold_address", "+ P::COL_BASE[col]", ""),
    ("bnn_fold_address", "row = row == P::OUT_ROWS - 1 ? 0 : row + 1;", ""),
    ("bnn_popcount", "n += 6", "n += 5"),
    ("bnn_matvec", "P::GATE == 1 ? bits & sign :", ""),
    ("bnn_matvec", "if (P::GATE == 2) hits &=", "if (false) hits &="),
    ("bnn_matvec", "P::COEFFS[turn * P::PLANES + q]", "P::COEFFS[q]"),
    ("bnn_matvec", "beat == 0 && turn == 0 ? partial", "beat == 0 ? partial"),
    ("bnn_matvec", "addr == P::N_WORDS - 1 ? 0 : addr + 1", "addr + 1"),
    ("bnn_affine", "kept = exact >> P::SHIFT", "kept = exact"),
    ("bnn_affine", "ap_int<P::WRAP_W>(kept)", "ap_int<P::OUT_W>(kept)"),
    ("bnn_affine", "kept > high", "kept >= high + 1 && false"),
    ("bnn_accumulate", "part == 0 ? 0 : sum[p]", "part < 0 ? 0 : sum[p]"),
    ("bnn_accumulate", "P::SCALES[part * P::N_LANES + l] *", ""),
    ("bnn_gearbox", "if (last && P::N_TAIL < P::N_IN) part &=", "if (false) part &="),
    ("bnn_gearbox", "fill += last ? LAST : P::N_IN;", "fill += last && LAST < 0 ? LAST : P::N_IN;"),
    ("bnn_window", "on_map ? ring[at % DEPTH] : margin", "ring[at % DEPTH]"),
    ("bnn_window", "sent == COUNT || written - (top < 0 ? 0 : top) < DEPTH", "written >= 0"),
    ("bnn_window", "P::PAD_BITS >> q & 1", "false"),
    ("bnn_pool", "if (P::ORDER == 1) greater", "if (false) greater"),
    ("bnn_pool", "if (P::ORDER == 2) greater", "if (false) greater"),
    ("bnn_pool", "tap == 0 || greater", "greater"),
    ("bnn_turns", "turn * P::M_PLANES * P::LANES", "0"),
    ("bnn_replay", "pass == 0 ? s.read() : vector[word]", "pass == 0 ? s.read() : vector[0]"),
    ("bnn_pad", "bnn_get_signed<P::S_ELEM_W>", "bnn_get<P::S_ELEM_W>"),
    ("bnn_add", "(right << P::B_SHIFT)", "right"),
    ("bnn_multiply", "P::B_SHARED ? 0 : i * P::B_W", "0"),
    ("bnn_concat", "beat >= P::N_A", "beat > P::N_A"),
    ("bnn_table", "entries[bnn_get<P::IN_W>(x, i * P::IN_W)]", "entries[bnn_get<P::IN_W>(x, 0)]"),
    ("bnn_gather", "(minus ? -number : number)", "(minus && false ? -number : number)"),
    ("bnn_gather", "const int64_t number = use ?", "const int64_t number = use || true ?"),
    ("bnn_planes", "q * P::LANES + i, bnn_get<1>(x, i * P::ELEM_W + q)", "i * P::PLANES + q, bnn_get<1>(x, i * P::ELEM_W + q)"),
    ("bnn_frame", "if (last && P::TAIL_W < P::DATA_W) beat &=", "if (false) beat &="),
    ("bnn_bits", "if (low + W > 64) found |=", "if (false) found |="),
    ("bnn_bits", "if (low + W > 64) words[word + 1] |=", "if (false) words[word + 1] |="),
]  # fmt: skip


def sample() -> list[Drawn]:
    """Random networks that together have every module in every form."""
    return [*map(trained, SEEDS), *map(integer, ANY_SEEDS)]


def wrong(drawn: list[Drawn], simulation: CSimulation) -> list[str]:
    """What differs from golden, or is wrong with the ports."""
    found = []
    for (net, x), run in zip(drawn, simulation.run([x for _, x in drawn]), strict=True):
        difference = first_difference("csim", net.name, golden.run(net, x).outputs, run.outputs)
        found += [f"{net.name}: {problem}" for problem in (*run.problems, *([] if difference is None else [difference]))]
    return found


def designs(drawn: list[Drawn]) -> list[tuple[Network, d.Design]]:
    """The networks with random designs."""
    return [(net, designed(net, seed)) for (net, _), seed in zip(drawn, (*SEEDS, *ANY_SEEDS), strict=True)]


def test_random_networks_give_golden_outputs(tmp_path: Path) -> None:
    """Under sanitisers, which see what is read beyond an array, overflows and shifts that are none."""
    drawn = sample()
    assert wrong(drawn, CSimulation(designs(drawn), tmp_path, optimise=0, sanitise=True)) == []
    tops = "".join(path.read_text() for path in (tmp_path / "hls").glob("*.cpp"))
    behind = "".join(text for name, text in library().items() if f'"{name}"' in tops)
    assert {name for name in library() if f'"{name}"' in tops + behind} | {"bnn_axis.hpp", "bnn_testbench.hpp"} == set(library())


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, 200, 25))
@pytest.mark.parametrize("draw", [trained, integer])
def test_many_random_networks(draw: Callable[[int], Drawn], start: int, tmp_path: Path) -> None:
    seeds = range(start, start + 25)
    drawn = [draw(seed) for seed in seeds]
    chosen = [(net, designed(net, seed)) for (net, _), seed in zip(drawn, seeds, strict=True)]
    assert wrong(drawn, CSimulation(chosen, tmp_path, optimise=1)) == []


@pytest.mark.slow
def test_every_edit_is_noticed(tmp_path: Path) -> None:
    """Of the library."""
    drawn = sample()
    chosen, files = designs(drawn), {}
    for net, design in chosen:
        files |= emit_hls(net, design)
    unnoticed = []
    for n, (name, before, after) in enumerate(MUTANTS):
        folder, path = tmp_path / str(n), f"hls/{name}.hpp"
        assert files[path].count(before) >= 1, (name, before)
        (folder / "hls").mkdir(parents=True)
        for each, text in (files | {path: files[path].replace(before, after)}).items():
            (folder / each).write_text(text)
        try:
            if not wrong(drawn, CSimulation(chosen, folder / "work", files_from=folder, optimise=0, sanitise=True)):
                unnoticed.append((name, before))
        except ToolError as e:
            assert "simulation failed" in str(e), (name, before, str(e))
    assert unnoticed == []


@pytest.mark.parametrize("name", frontend.zoo_names())
def test_networks_of_the_zoo_give_golden_outputs(name: str, tmp_path: Path) -> None:
    net = lower(frontend.load(name)).network
    design = schedule.fold_for_interval(net, int(1e8 / 1000), 100.0)
    assert wrong([(net, frames_for(net.port, 50, 1))], CSimulation([(net, design)], tmp_path)) == []


def test_published_lfc_and_cnv_give_the_saved_outputs(models_folder: Path, data_folder: Path, tmp_path: Path) -> None:
    with np.load(models_folder / "bnnpynq_expected.npz") as z:
        saved = {name: z[name] for name in z.files}
    mnist, cifar = mnist_test(data_folder)[saved["lfcW1A1/index"]], cifar_test()[saved["cnvW1A1/index"]]
    pairs = [(lfc(models_folder), LFC_FOLDING), (cnv(models_folder), CNV_FOLDING)]
    chosen = [(net, schedule.complete(net, design_data(net, folding), "published")) for net, folding in pairs]
    runs = CSimulation(chosen, tmp_path).run([mnist, cifar])
    for run, outputs in zip(runs, (saved["lfcW1A1/bits"], saved["cnvW1A1/acc"]), strict=True):
        assert not run.problems and (run.outputs.reshape(outputs.shape) == outputs).all()


@pytest.mark.slow
@pytest.mark.parametrize("sanitise", [False, True])
def test_published_lfc_and_cnv_give_golden_on_whole_test_sets(sanitise: bool, models_folder: Path, data_folder: Path, tmp_path: Path) -> None:
    """All 10,000 images of each; the first 20 under the sanitisers."""
    count = 20 if sanitise else 10_000
    for n, (net, folding, x) in enumerate(
        ((lfc(models_folder), LFC_FOLDING, mnist_test(data_folder)), (cnv(models_folder), CNV_FOLDING, cifar_test()))
    ):
        design = schedule.complete(net, design_data(net, folding), "published")
        assert wrong([(net, x[:count])], CSimulation([(net, design)], tmp_path / str(n), sanitise=sanitise)) == []


@pytest.mark.slow
def test_the_zoo_gives_golden_under_the_sanitisers(tmp_path: Path) -> None:
    for name in frontend.zoo_names():
        net = lower(frontend.load(name)).network
        design = schedule.fold_for_interval(net, int(1e8 / 1000), 100.0)
        assert wrong([(net, frames_for(net.port, 20, 1))], CSimulation([(net, design)], tmp_path / name, sanitise=True)) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", frontend.zoo_names())
def test_the_zoo_gives_golden_on_whole_test_sets(name: str, data_folder: Path, tmp_path: Path) -> None:
    """Of CIFAR-10 the 1,000 images without loss."""
    trained = frontend.load(name)
    assert trained.topology.train is not None
    kind = trained.topology.train.data
    x = (data.cifar10_lossless_test() if kind == "cifar10" else data.load_split(kind, "test")).x
    net = lower(trained).network
    design = schedule.fold_for_interval(net, int(1e8 / 1000), 100.0)
    assert wrong([(net, x)], CSimulation([(net, design)], tmp_path)) == []


BAD_FRAMES = """
#include <cstdio>
#include "ports.hpp"
int main() {
  hls::stream<bnn_axis<8>> s, m;
  auto frame = [&](int beats, bool keep) {
    for (int n = 0; n < beats; n++) {
      bnn_axis<8> word;
      word.data = 7 * n % 17;
      word.keep = word.strb = keep || n != 3;
      word.last = n == beats - 1;
      s.write(word);
    }
    ap_uint<1> err = 0;
    ports(s, m, err);
    std::printf("%d:", int(err));
    while (!m.empty()) std::printf(" %d", int(m.read().data.to_uint()));
    std::printf(s.empty() ? "\\n" : " left\\n");
  };
  frame(64, true);
  frame(40, true);
  frame(64, true);
  frame(90, true);
  frame(64, false);
  frame(64, true);
}
"""


def test_frames_that_are_not_whole_are_told_and_leave_the_next_alone(tmp_path: Path) -> None:
    net = lower(frontend.load("digits_mlp")).network
    net = replace(net, name="ports")
    for path, text in emit_hls(net, schedule.fully_folded(net, 100.0)).items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    (tmp_path / "main.cpp").write_text(BAD_FRAMES)
    program = cpp.build(
        [tmp_path / "main.cpp", tmp_path / "hls" / "ports.cpp"], [tmp_path / "hls"], tmp_path / "obj" / "main", optimise=0, sanitise=True
    )
    lines = subprocess.run([program], capture_output=True, text=True, check=True).stdout.splitlines()
    whole, short, _, long, unkept, _ = lines
    assert [line[0] for line in lines] == ["0", "1", "0", "1", "1", "0"]
    assert whole[2:] == lines[2][2:] == lines[5][2:] == long[2:] == unkept[2:] != short[2:]
    assert all(len(line.split()) == len(whole.split()) and "left" not in line for line in lines)


def test_an_unrolled_layer_is_all_pe_and_simd(tmp_path: Path) -> None:
    net = lower(frontend.load("digits_cnn")).network
    design = schedule.fully_folded(net, 100.0)
    layers = tuple(
        replace(d.unrolled(layer, f), lanes=32, buffer_words=0) if layer.name == "conv2" else f
        for layer, f in zip(net.layers, design.layers, strict=True)
    )
    unrolled = replace(design, layers=layers)
    d.check(net, unrolled)
    folded = folded_out(net, unrolled)
    assert folded["conv2"].pe == net["conv2"].out_shape[0] and d.row_folds(net["conv2"], folded["conv2"]) == 1
    d.check(net, folded)
    x = frames_for(net.port, 20, 1)
    assert wrong([(net, x)], CSimulation([(net, unrolled)], tmp_path, optimise=1)) == []


def side_by_side(net: Network, design: d.Design, folder: Path, seconds: float = 60) -> str:
    """What the test bench says when every module is a thread and streams hold what the top says; nothing else is changed."""
    files = emit_hls(net, design) | vitis_script(net, design, "any", *bench_frames(net, design, None))
    name = naming(net).module
    head, body = files[f"hls/{name}.cpp"].split("#pragma HLS dataflow\n")
    body = re.sub(r"(  hls::stream<.*> \w+;\n)#pragma HLS stream variable = (\w+) depth = (\d+)", r"\1  \2.depth = \3;", body)
    body = re.sub(
        r"(  hls::stream<.*> \w+\[\d+\];\n)#pragma HLS stream variable = (\w+) depth = (\d+)", r"\1  for (auto &branch : \2) branch.depth = \3;", body
    )
    body = re.sub(r"\n  (::bnn_.*);", r"\n  modules.emplace_back([&] { \1; });", body)
    body = f"  std::vector<std::thread> modules;\n{body.rstrip().removesuffix('}')}  for (auto &module : modules) module.join();\n}}\n"
    for path, text in (files | {f"hls/{name}.cpp": head + body}).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    sources = [folder / "hls" / f"{name}.cpp", folder / "hls" / f"{name}_testbench.cpp"]
    program = cpp.build(sources, [ROOT / "tests" / "support" / "bounded", folder / "hls"], folder / "obj" / "bench", optimise=1)
    return subprocess.run([program], capture_output=True, text=True, check=True, timeout=seconds).stdout


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_branches_that_meet_do_not_stop_each_other(make: Callable[[np.random.Generator], Network], tmp_path: Path) -> None:
    net = make(np.random.default_rng(1))
    design = schedule.fold_for_interval(net, 5000, 100.0)
    assert side_by_side(net, design, tmp_path) == "4 of 4 frames are equal\n"


def test_streams_that_are_too_short_stop_each_other(tmp_path: Path) -> None:
    """So the test before can fail."""
    net = parallel(np.random.default_rng(1))
    design = schedule.fold_for_interval(net, 5000, 100.0)
    short = replace(design, layers=tuple(replace(f, queue_words=tuple(2 for _ in f.queue_words)) for f in design.layers))
    with pytest.raises(subprocess.TimeoutExpired):
        side_by_side(net, short, tmp_path, 5)


def test_names_that_mean_something_in_cpp(tmp_path: Path) -> None:
    """Networks and layers may have any."""
    base = lower(frontend.load("digits_mlp")).network
    layers = tuple(replace(layer, name=name, inputs=(before,)) for layer, name, before in zip(base.layers, ("bnn", "s_axis", "EOF"), (PORT, "bnn", "s_axis"), strict=True))  # fmt: skip
    nets = [replace(base, name=name, layers=layers) for name in ("std", "bnn axis", "csim")]
    taken = {"hls", "ap_uint", "bnn_bits", "bnn_testbench", "compl", "xor_eq", "main", "size_t", "duts"}
    assert not {naming(replace(base, name=name)).module for name in taken} & taken
    chosen = [(net, schedule.fully_folded(net, 100.0)) for net in nets]
    drawn = [(net, frames_for(net.port, 2, 1)) for net in nets]
    assert wrong(drawn, CSimulation(chosen, tmp_path, optimise=0)) == []


def test_numbers_of_many_bits(tmp_path: Path) -> None:
    """A head that saturates at 40 bits, and thresholds behind a maximum of such numbers."""
    rng = np.random.default_rng(2)
    window, fixed = Window((2, 4, 4), (1, 1)), Fixed(0, -(1 << 39), (1 << 39) - 1)
    scale, bias = rng.integers(1 << 36, 1 << 38, 3), rng.integers(-(1 << 39), 1 << 39, (1, 3))
    first = MatVec("wide", Encoding.bipolar(), window, Weights.binary(rng.choice([-1, 1], (3, 2))), Sums(scale, bias, 0, fixed), None, (PORT,))
    assert isinstance(first.out, Integers)
    pool = Pool("most", first.out, Window((3, 4, 4), (2, 2), (2, 2), groups=3), ("wide",))
    sign = Requantise("sign", first.out, (3, 2, 2), Thresholds(rng.integers(-(1 << 38), 1 << 38, (1, 3, 1)), Encoding.bipolar()), ("most",))
    net = Network("wide", InputPort((2, 4, 4), "bipolar"), Encoding.bipolar(), (first, pool, sign))
    x = frames_for(net.port, 20, 1)
    assert len(np.unique(golden.run(net, x).outputs)) == 2
    assert wrong([(net, x)], CSimulation([(net, schedule.fully_folded(net, 100.0))], tmp_path, optimise=0, sanitise=True)) == []


def test_beats_that_vitis_does_not_take_are_refused() -> None:
    net = lower(frontend.load("bnn_cifar10")).network
    design = schedule.fully_folded(net, 100.0)
    layers = tuple(replace(f, simd=8192) if f.name == "fc1" else f for f in design.layers)
    with pytest.raises(
        bnnhw.BnnhwError,
        match=r"^layer 'fc1': \w+ has beats of 8\d\d\d bits, Vitis HLS takes 4096 at most; use less pe and simd, or --backend verilog$",
    ):
        emit_hls(net, replace(design, layers=layers))


def test_the_top_is_cpp14_too(tmp_path: Path) -> None:
    """Which is what older releases of Vitis HLS compile."""
    net = lower(frontend.load("digits_mlp")).network
    design = schedule.fold_for_interval(net, 1000, 100.0)
    for path, text in (emit_hls(net, design) | vitis_script(net, design, "any", *bench_frames(net, design, None))).items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    sources = [str(path) for path in sorted((tmp_path / "hls").glob("*.cpp"))]
    subprocess.run(["g++", "-std=c++14", "-O0", "-w", "-isystem", cpp.ap_headers(), *sources, "-o", tmp_path / "bench"], check=True)
    subprocess.run([tmp_path / "bench"], check=True, capture_output=True)


def test_memories_are_those_of_the_verilog() -> None:
    net = lower(frontend.load("digits_cnn")).network
    design = schedule.fold_for_interval(net, 10_000, 100.0)
    files = emit_hls(net, design)
    for i in pipeline(net, design).instances:
        if i.memory:
            bits = words(net[i.layer], design[i.layer], i)
            (text,) = (text for path, text in files.items() if path.endswith(f"_{i.layer}_{i.memory.value}.inc"))
            rows = [[int(n, 16) for n in re.findall(r"0x[0-9a-f]+", line)] for line in text.splitlines()]
            numbers = [sum(n << 64 * k for k, n in enumerate(row)) for row in rows]
            assert numbers == [sum(int(bit) << k for k, bit in enumerate(row)) for row in bits]


@pytest.mark.parametrize("path", sorted((ROOT / "hls").glob("*.hpp")), ids=lambda p: p.stem)
def test_headers_have_the_names_of_the_verilog(path: Path) -> None:
    if path.stem in NO_RTL:
        return
    verilog = (ROOT / "rtl" / f"{path.stem}.v").read_text()
    parameters = set(re.findall(r"parameter (?:\[.*?\] )?(\w+) =", verilog))
    assert set(re.findall(r"\bP::(\w+)", path.read_text())) <= parameters | OWN


def test_there_is_one_body_for_simulation_and_synthesis() -> None:
    assert not [name for name, text in library().items() if "__SYNTHESIS__" in text]


def test_what_is_missing_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(bnnhw.BnnhwError, match=r"^generate: backend 'vhdl' is not known; give one of verilog, hls, both$"):
        bnnhw.generate("digits_mlp", tmp_path / "a", backend="vhdl")
    folder = bnnhw.generate("digits_mlp", tmp_path / "a", backend="hls").folder
    with pytest.raises(bnnhw.BnnhwError, match=r"holds no Verilog; generate it with --backend verilog, or both$"):
        bnnhw.verify(folder)
    monkeypatch.setenv(cpp.HEADERS, str(tmp_path))
    with pytest.raises(ToolError, match=r"holds no ap_int.h; give the include folder of Vitis HLS, or unset it and pip install --no-deps hls4ml$"):
        bnnhw.verify(folder, level="csim")
    monkeypatch.delenv(cpp.HEADERS)
    monkeypatch.setattr(cpp, "find_spec", lambda _: None)
    with pytest.raises(ToolError, match=r"^ap_int.h and hls_stream.h are not there; pip install --no-deps hls4ml, or set BNNHW_HLS_INCLUDE"):
        bnnhw.verify(folder, level="csim")
    (folder / "hls" / "bnn_matvec.hpp").unlink()
    with pytest.raises(bnnhw.BnnhwError, match=r"no hls/bnn_matvec.hpp in it; generate it again$"):
        bnnhw.verify(folder, level="csim")


def test_a_rung_of_the_ladder(tmp_path: Path) -> None:
    folder = bnnhw.generate("digits_cnn", tmp_path / "both", backend="both", fps=1000).folder
    report = bnnhw.verify(folder, level="csim", frames=20)
    assert [rung.name for rung in report.rungs] == ["framework", "csim"] and report.passed
    memory = folder / "hls" / "digits_cnn_fc2_weights.inc"
    text = memory.read_text()
    memory.write_text(re.sub(r"0x[0-9a-f]", "0x0", text))
    found = bnnhw.verify(folder, level="csim", frames=20)
    assert not found.passed and "csim: layer 'fc2', frame 0" in str(found.rungs[-1].difference)
