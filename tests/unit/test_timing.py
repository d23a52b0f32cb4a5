"""The timing model: its data, that more logic is never faster, paths through several instances, its page and its messages."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bnnhw import frontend, schedule
from bnnhw.estimate.timing import DELAYS, PATHS, STAGES, Delay, PartTiming, TimedDesign, fits, markdown, paths, timing
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.instances import Instance, Pipeline, Stream, Wire
from bnnhw.ir.pipeline import pipeline
from bnnhw.lower import lower
from bnnhw.tools.targets import TARGETS

ROOT = Path(__file__).parents[2]
FITTED = list(fits())
STREAM = Stream(8, 8, 8)
MATVEC: dict[str, int | str] = {
    "PE": 4, "SIMD": 8, "PLANES": 1, "N_TURNS": 1, "GATE": 0, "N_BEATS": 2, "N_WORDS": 16, "COUNT_W": 4, "SUM_W": 8, "COEFFS": "8'h1",
    "TURN_W": 1, "BEAT_W": 1, "ADDR_W": 4,
}  # fmt: skip
THRESHOLD: dict[str, int | str] = {
    "PE": 4, "N_FOLDS": 1, "N_WORDS": 1, "OUT_ROWS": 1, "OUT_COLS": 1, "ADDR_W": 1, "INDEX_W": 1, "N_CLASSES": 1, "SUM_W": 8, "LIMIT_W": 8,
    "N_LIMITS": 1, "FLIPS": 0, "PLANES": 1,
}  # fmt: skip
POOL: dict[str, int | str] = {"LANES": 4, "PLANES": 1, "ORDER": 0, "RANK_W": 1, "RANKS": 0, "N_TAPS": 4, "TAP_W": 2}
FIFO: dict[str, int | str] = {"DATA_W": 8, "N_WORDS": 2, "ADDR_W": 1}
PLANES: dict[str, int | str] = {"LANES": 4, "PLANES": 1, "ELEM_W": 1}


def instance(module: str, name: str, parameters: dict[str, int | str], *reads: str) -> Instance:
    """An instance that reads these."""
    return Instance(module, name, "l", parameters, tuple(Wire(r, STREAM) for r in reads), STREAM, 8)


def a_layer(simd: int = 8) -> Pipeline:
    """A queue, a layer with thresholds and pooling, and a queue."""
    count = {"SIMD": simd, "COUNT_W": simd.bit_length(), "SUM_W": simd.bit_length() + 4}
    return Pipeline(
        (
            instance("bnn_fifo", "in", FIFO),
            instance("bnn_matvec", "product", MATVEC | count, "in"),
            instance("bnn_threshold", "head", THRESHOLD, "product"),
            instance("bnn_planes", "planes", PLANES, "head"),
            instance("bnn_pool", "pool", POOL, "planes"),
            instance("bnn_fifo", "out", FIFO, "pool"),
        )
    )


def candidates(chain: Pipeline, target: str) -> list[list[PartTiming]]:
    """Per instance, all paths that were weighed."""
    design = TimedDesign(chain, target)
    return [list(design.candidates(i)) for i in chain.instances]


def replace_source(i: Instance, source: str) -> Instance:
    """The instance behind another one."""
    return replace(i, reads=(Wire(source, STREAM),))


@pytest.fixture(scope="module")
def digits() -> Pipeline:
    net = lower(frontend.load("digits_mlp")).network
    return pipeline(net, schedule.fold_for_interval(net, 10_000, 100.0))


def test_every_swept_target_has_formulas_of_every_module_and_delays() -> None:
    swept = {name for name in TARGETS if (PATHS.parent / f"{name}.csv").is_file()}
    assert swept <= set(FITTED) <= set(DELAYS) == set(TARGETS)
    for target in set(FITTED) - {"xcup"}:  # of which only some instances are swept
        assert set(fits()[target]) == set(STAGES)


@pytest.mark.parametrize("delays", DELAYS.values(), ids=DELAYS)
def test_delays_are_ranges_with_sources(delays: object) -> None:
    for delay in vars(delays).values():
        if isinstance(delay, Delay):
            assert 0 <= delay.ns.low <= delay.ns.typical <= delay.ns.high
            assert delay.source


@pytest.mark.parametrize("target", FITTED)
def test_more_inputs_of_a_beat_are_never_fewer_levels(target: str) -> None:
    levels, delays = [], []
    for simd in range(1, 300):
        chain = a_layer(simd)
        levels.append(paths(chain.instances[1], target)["count"].luts)
        delays.append(timing(chain, target, 100.0).delay_ns)
    assert levels == sorted(levels) and levels[-1] > levels[0]
    for kind in ("low", "typical", "high"):
        found = [getattr(d, kind) for d in delays]
        assert found == sorted(found)


@pytest.mark.parametrize("target", FITTED)
def test_wider_limits_are_never_faster(target: str) -> None:
    found = [timing(Pipeline((instance("bnn_threshold", "t", THRESHOLD | {"SUM_W": w, "LIMIT_W": w}),)), target, 100.0) for w in range(2, 30)]
    delays = [t.delay_ns.typical for t in found]
    assert delays == sorted(delays)


@pytest.mark.parametrize("target", FITTED)
def test_slack_is_what_the_period_leaves(digits: Pipeline, target: str) -> None:
    t = timing(digits, target, 80.0)
    delay, fmax, slack = t.delay_ns, t.fmax_mhz, t.slack_ns
    assert delay.low < delay.typical < delay.high
    assert fmax.low == pytest.approx(1000 / delay.high) and fmax.high == pytest.approx(1000 / delay.low)
    assert slack.low == pytest.approx(12.5 - delay.high) and slack.typical == pytest.approx(12.5 - delay.typical)
    assert timing(digits, target, fmax.typical).slack_ns.typical == pytest.approx(0)
    assert timing(digits, target, fmax.low).slack_ns.low == pytest.approx(0)


@pytest.mark.parametrize("target", FITTED)
def test_the_limiting_instance_is_named(digits: Pipeline, target: str) -> None:
    t = timing(digits, target, 100.0)
    assert [p.name for p in t.parts] == [i.name for i in digits.instances]
    assert t.limit.delay_ns.typical == t.delay_ns.typical
    slow = [replace(i, parameters=i.parameters | {"SIMD": 4096, "COUNT_W": 13}) if i.name == "fc2_matvec" else i for i in digits.instances]
    limit = timing(Pipeline(tuple(slow)), target, 100.0).limit
    assert (limit.name, limit.module, limit.layer, limit.kind) == ("fc2_matvec", "bnn_matvec", "fc2", "own")


@pytest.mark.parametrize("target", FITTED)
def test_ready_passes_the_instances_up_to_a_queue(target: str) -> None:
    chain = a_layer()
    first, product = (next(p for p in found if p.kind == "ready") for found in candidates(chain, target)[:2])
    assert first.through == ("product", "head", "planes", "pool", "out")
    assert product.through == ("head", "planes", "pool", "out")
    assert first.levels.high > product.levels.high
    queued = Pipeline((*chain.instances[:2], instance("bnn_fifo", "between", FIFO, "product"), replace_source(chain.instances[2], "between")))
    cut = next(p for p in candidates(queued, target)[1] if p.kind == "ready")
    assert cut.through == ("between",)
    assert cut.delay_ns.typical < product.delay_ns.typical


def test_a_result_in_logic_goes_on_through_its_readers_logic() -> None:
    head = candidates(a_layer(), "ice40")[2]
    own, joined = (max((p for p in head if p.kind == kind), key=lambda p: p.delay_ns.typical) for kind in ("own", "data"))
    assert joined.through == ("planes", "pool")
    assert joined.levels.typical > own.levels.typical
    assert joined.delay_ns.typical > own.delay_ns.typical


def test_a_block_memory_in_front_takes_its_time() -> None:
    replays = [instance("bnn_replay", "r", {"DATA_W": 512, "N_WORDS": n, "N_PASSES": 4, "ADDR_W": 12, "PASS_W": 2}) for n in (1, 1000)]
    small, large = (candidates(Pipeline((r, instance("bnn_matvec", "m", MATVEC, "r"))), "ecp5")[0] for r in replays)
    joined = [next(p for p in found if p.kind == "data").delay_ns.typical for found in (small, large)]
    assert joined[1] - joined[0] == pytest.approx(DELAYS["ecp5"].block_ram.ns.typical - DELAYS["ecp5"].register.ns.typical)


def test_plain_data_for_a_script(digits: Pipeline) -> None:
    found = json.loads(json.dumps(timing(digits, "ice40", 12.0).as_dict()))
    assert found["grade"] == "iCE40 UP5K"
    assert found["limit"] in [m["name"] for m in found["modules"]]
    assert set(found["fmax_mhz"]) == set(found["slack_ns"]) == {"low", "typical", "high"}


@pytest.mark.parametrize(
    ("target", "clock", "message"),
    [
        ("spartan", 100.0, "target 'spartan' is not known; give one of xc7, xcup, ecp5, ice40, gowin"),
        ("ice40", 0.0, "timing: a clock of 0 MHz cannot be; give a positive one"),
        ("ice40", float("nan"), "timing: a clock of nan MHz cannot be; give a positive one"),
    ],
)
def test_mistakes_are_said_in_one_line(digits: Pipeline, target: str, clock: float, message: str) -> None:
    with pytest.raises(BnnhwError) as e:
        timing(digits, target, clock)
    assert str(e.value) == message


def test_the_page_has_the_tables_of_the_code() -> None:
    assert (ROOT / "docs" / "timing.md").read_text().endswith(markdown())
