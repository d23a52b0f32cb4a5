"""Toggle counts: equal to those of another simulator, signal by signal; what they depend on; the power that comes of them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import bnnhw
from bnnhw.cli import app
from bnnhw.emit.bench import emit_bench
from bnnhw.emit.verilog import emit_verilog
from bnnhw.ir.activity import Activities, MemoryUse
from bnnhw.ir.design import Design
from bnnhw.ir.encoding import I64, Encoding
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.heads import Thresholds
from bnnhw.ir.integer import InputPort, Network
from bnnhw.ir.layers import MatVec
from bnnhw.ir.layout import pack_frames
from bnnhw.ir.pipeline import pipeline
from bnnhw.ir.weights import Weights
from bnnhw.ir.window import Window
from bnnhw.schedule import fold_for_interval
from bnnhw.verify.toggles import WARM, Counter, count_toggles

BENCH = """
module driver;
  reg aclk = 0, aresetn = 0, valid = 0;
  reg [{msb}:0] words[0:{last}];
  reg [{msb}:0] data = 0;
  integer n = 0, cycle = 0;
  wire ready;
  bench b (.aclk(aclk), .aresetn(aresetn), .u0_s_tdata(data), .u0_s_tkeep({{{keep}{{1'b1}}}}), .u0_s_tlast(valid && n % {beats} == {beats} - 1),
      .u0_s_tvalid(valid), .u0_s_tready(ready), .u0_m_tready(valid), .u0_m_tdata(), .u0_m_tkeep(), .u0_m_tlast(), .u0_m_tvalid(), .u0_err_frame());
  initial begin
    $readmemh("words", words);
    $dumpfile("all.vcd");
    $dumpvars;
  end
  always #5 aclk = !aclk;
  always @(posedge aclk) begin
    cycle = cycle + 1;
    if (valid && ready) n = n + 1;
    if (cycle == {cycles}) $finish;
  end
  always @(negedge aclk) begin
    aresetn = cycle >= 4;
    valid = cycle > 4;
    data = words[n % ({last} + 1)];
  end
endmodule
"""
"""Frames over and over; inputs change at the falling edge."""


@pytest.fixture(scope="module")
def small() -> tuple[Network, Design]:
    """Two binary layers, folded."""
    rng = np.random.default_rng(5)

    def layer(name: str, fan_in: int, outputs: int) -> MatVec:
        weights = Weights.binary(rng.choice([-1, 1], (outputs, fan_in)))
        head = Thresholds(rng.integers(-2, 3, (1, outputs, 1)), Encoding.bipolar())
        return MatVec(name, Encoding.bipolar(), Window.dense((fan_in, 1, 1)), weights, head)

    net = Network("small", InputPort((16, 1, 1), "bipolar"), Encoding.bipolar(), (layer("a", 16, 6), layer("b", 6, 8)))
    return net, fold_for_interval(net, 24, 100.0)


@pytest.fixture(scope="module")
def counter(small: tuple[Network, Design], tmp_path_factory: pytest.TempPathFactory) -> Counter:
    return Counter(*small, tmp_path_factory.mktemp("counter"))


def frames_of(net: Network, count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).choice([-1, 1], (count, *net.port.shape)).astype(np.int8)


def counted_by_icarus(net: Network, design: Design, x: np.ndarray, folder: Path) -> tuple[int, dict[tuple[str, str], int]]:
    """Cycles counted and toggles of every signal, from the waves that Icarus writes."""
    chain = pipeline(net, design)
    for path, text in {**emit_verilog(net, design), "sim/bench.v": emit_bench([(net, design)], tapped=False)["sim/bench.v"]}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    beats = pack_frames(net, chain.source, x).reshape(-1, chain.source.width // 8)
    (folder / "words").write_text("\n".join(bytes(b)[::-1].hex() for b in beats))
    cycles = (WARM + len(x) + 4) * chain.interval + 200
    size = {"msb": chain.source.width - 1, "last": len(beats) - 1, "keep": chain.source.width // 8, "beats": chain.source.beats, "cycles": cycles}
    (folder / "driver.v").write_text(BENCH.format(**size))
    sources = [*map(str, sorted((folder / "rtl").glob("*.v"))), "sim/bench.v", "driver.v"]
    subprocess.run(["iverilog", "-g2005", "-s", "driver", "-o", "d.vvp", *sources], cwd=folder, check=True)
    subprocess.run(["vvp", "-n", "d.vvp"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return toggles_of(folder / "all.vcd", WARM * chain.sink.beats, (WARM + len(x)) * chain.sink.beats)


def toggles_of(vcd: Path, first: int, last: int) -> tuple[int, dict[tuple[str, str], int]]:
    """Toggles between the settled values of cycles, from that of output beat `first` to that of `last`."""
    names: dict[str, list[tuple[str, str]]] = {}
    scopes: list[str] = []
    value: dict[str, int] = {}
    before: dict[str, int] = {}
    counts: dict[str, int] = {}
    beats = cycles = 0
    lines = iter(vcd.read_text().split("\n"))
    for line in lines:
        word = line.split()
        if line.startswith("$scope"):
            scopes.append(word[2])
        elif line.startswith("$upscope"):
            scopes.pop()
        elif line.startswith("$var"):
            names.setdefault(word[3], []).append((".".join(scopes), word[4]))
        elif line.startswith("$enddefinitions"):
            break
    code = {name: c for c, all_ in names.items() for name in all_}
    valid, ready = (code["driver.b", f"u0_m_t{w}"] for w in ("valid", "ready"))
    for settled in settled_values(lines, value):
        if beats >= first:
            cycles += 1
            for c in settled:
                counts[c] = counts.get(c, 0) + (value[c] ^ before.get(c, 0)).bit_count()
        before |= {c: value[c] for c in settled}
        beats += value.get(valid, 0) & value.get(ready, 0)
        if beats == last:
            break
    return cycles, {name: counts.get(c, 0) for c, all_ in names.items() for name in all_}


def settled_values(lines: Iterator[str], value: dict[str, int]) -> Iterator[set[str]]:
    """Before each rising edge, at 5, 15, .. the codes that changed since the last one; `value` holds them."""
    changed: set[str] = set()
    for line in lines:
        if line.startswith("#") and int(line[1:]) % 10 == 5:
            yield changed
            changed = set()
        elif line[:1] in "bB01xXzZ" and line:
            digits, name = line[1:].split() if line[0] in "bB" else (line[0], line[1:])
            value[name] = int("".join(d if d in "01" else "0" for d in digits), 2)
            changed.add(name)


def test_every_signal_toggles_as_in_another_simulator(counter: Counter, small: tuple[Network, Design], tmp_path: Path) -> None:
    net, design = small
    x = frames_of(net, 3)
    found = counter.signals(x)
    cycles, toggles = counted_by_icarus(net, design, x, tmp_path)
    assert found.frames == 3 and found.cycles == cycles == 3 * counter.chain.interval
    waves = {(scope.replace("driver.b.", "TOP.bench."), name): n for (scope, name), n in toggles.items()}
    seen = {(s.scope, s.name): s.toggles for s in found.signals}
    arrays = {key for key in seen if key not in waves}
    assert {name for _, name in arrays} <= {"summed"}  # which Icarus does not write
    assert {k: n for k, n in seen.items() if k not in arrays} == {k: n for k, n in waves.items() if k in seen}
    assert sum(seen.values()) > 1000


def test_what_belongs_to_an_instance(counter: Counter, small: tuple[Network, Design]) -> None:
    x = frames_of(small[0], 2)
    found, rows = counter.signals(x), {a.name: a for a in counter.run(x).instances}
    assert list(rows) == [i.name for i in counter.chain.instances]
    fifo = next(i for i in counter.chain.instances if i.module == "bnn_fifo")
    mine = [s for s in found.signals if s.scope == f"TOP.bench.u0.u_{counter.made[fifo.name]}"]
    assert {s.name for s in mine} == {"w_addr_q", "r_addr_q", "count_q", "push", "pop", "s_ready", "m_data", "m_valid"}
    assert rows[fifo.name].registers.toggles == sum(s.toggles for s in mine if s.name.endswith("_q"))
    assert rows[fifo.name].nets.toggles == sum(s.toggles for s in mine if not s.name.endswith("_q"))
    matvec = next(i for i in counter.chain.instances if i.module == "bnn_matvec")
    (weights,) = rows[matvec.name].memories
    words, pe, simd = (int(matvec.parameters[k]) for k in ("N_WORDS", "PE", "SIMD"))
    assert weights == MemoryUse("g_fixed.u_weights", words, pe * simd, 2 * matvec.beats, 0)
    assert not any(s.module == "bnn_popcount" for s in found.signals)


def test_toggles_grow_with_frames_and_with_what_they_hold(counter: Counter, small: tuple[Network, Design]) -> None:
    x = frames_of(small[0], 2)
    once, twice, quiet = counter.run(x), counter.run(np.concatenate([x, x])), counter.run(np.ones_like(x))
    assert (once.frames, twice.frames) == (2, 4) and twice.cycles == 2 * once.cycles

    def all_of(found: Activities) -> I64:
        return np.array([[i.registers.toggles, i.nets.toggles] for i in found.instances])

    assert (all_of(twice) == 2 * all_of(once)).all()
    assert (all_of(quiet).sum(0) < all_of(once).sum(0)).all()


def test_a_limit_of_cycles_ends_the_count_and_progress_is_told(counter: Counter, small: tuple[Network, Design]) -> None:
    told: list[tuple[int, int]] = []
    found = counter.run(frames_of(small[0], 9), most_cycles=5, progress=lambda *at: told.append(at))
    assert (found.cycles, found.frames) == (5, 0)
    assert told and all(done <= of for done, of in told)
    with pytest.raises(BnnhwError, match=r"^toggles: no frames are given; give at least one$"):
        counter.run(frames_of(small[0], 0))
    with pytest.raises(BnnhwError, match=r"^toggles: 0 cycles cannot be counted; give at least 1$"):
        counter.run(frames_of(small[0], 1), most_cycles=0)
    with pytest.raises(BnnhwError, match=r"^frames of shape "):
        count_toggles(*small, np.zeros((2, 3, 1, 1), np.int8))


def test_the_command_says_what_each_layer_takes(tmp_path: Path) -> None:
    bnnhw.generate("digits_mlp", tmp_path / "d", fps=5_000)
    seen: list[str] = []
    found = bnnhw.power(tmp_path / "d", "ice40", frames=2, progress=lambda step, done, of: seen.append(step))
    assert [x.name for x in found.layers] == ["ports", "fc1", "fc2", "fc3"]
    interval = bnnhw.info(tmp_path / "d")["interval_cycles"]
    assert (found.counted_frames, found.counted_cycles, found.interval_cycles) == (2, 2 * interval, interval)
    assert found.frames_per_second == found.clock_mhz * 1e6 / found.interval_cycles
    assert set(seen) == {"count toggles", "synthesise"}
    done = CliRunner().invoke(app, ["power", str(tmp_path / "d"), "--target", "ice40", "--frames", "2", "--json"])
    assert json.loads(done.output) == json.loads(json.dumps(found.as_dict()))
    shown = CliRunner().invoke(app, ["power", str(tmp_path / "d"), "--target", "ice40", "--frames", "2"]).output
    assert all(word in shown for word in ("fc1", "static, iCE40UP5K", "frames/s/W", "2 whole frames"))
