"""When each beat of the first frame moves, cycle by cycle as the RTL moves it, and from that the first output's latency.

A stream has two arrays over its beats: the cycle from which a beat is offered, and the cycle in which it is taken. Each module
says when it takes its inputs and offers its outputs, given when these are offered and taken by its neighbours; that is evaluated
along the pipeline, forward and back, until nothing changes. Time is causal, so what is then found is what happens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bnnhw.ir.encoding import I64
from bnnhw.ir.instances import Instance, Pipeline

NEVER = -(1 << 40)
"""Before every cycle: what is not waited for."""
STAGES = 3
"""Registers of `bnn_matvec`, without those in its popcounts, and `bnn_gather` from a beat to its sum, which move together."""


@dataclass
class Beats:
    """Cycles of the first frame's beats on one stream."""

    offered: I64
    """From this cycle on, or from the one after the beat before was taken where that is later."""
    taken: I64
    """In this cycle, the same or a later one."""


Streams = dict[tuple[str, int | None], Beats]
"""By instance and branch, where it is a fork."""
Found = tuple[list[I64], list[I64]]
"""When each input is taken and each output offered."""
RECURRENT = {"bnn_window", "bnn_replay", "bnn_matvec", "bnn_gather", "bnn_unrolled"}
"""Modules that are evaluated from their own cycles too."""
MOST_BEATS = 1 << 25
"""Of a frame on all streams, up to which they are followed: half a gigabyte."""
MOST_WORK = 1 << 28
"""Evaluations of a beat, after which the search gives up: some seconds. Forks whose readers limit them in turn need many."""
FIXED_WORK = 5000
"""What one evaluation of a module takes beside its beats."""


def latency(chain: Pipeline) -> int | None:
    """Cycles from the first input beat to the first output beat, out of reset, when neither side stalls.

    None for what would take too much memory or time: frames of more than MOST_BEATS, more than MOST_WORK, a deadlock.
    """
    if sum(i.m.beats * max(1, i.branches) for i in chain.instances) > MOST_BEATS:
        return None
    times = beat_times(chain)
    return None if times is None else int(times[chain.instances[-1].name, None].taken[0])


def beat_times(chain: Pipeline) -> Streams | None:
    """Cycles of the first frame's beats on all streams, the first input beat taken in cycle 0; None after MOST_WORK."""
    streams: Streams = {}
    for i in chain.instances:
        for branch in _branches(i):
            zero = np.zeros(i.m.beats, np.int64)
            streams[i.name, branch] = Beats(zero, zero)
    readers: dict[str, list[str]] = {i.name: [] for i in chain.instances}
    for i in chain.instances:
        for wire in i.reads:
            readers[wire.source].append(i.name)
    due, work = set(readers), 0
    while due:
        for order in (chain.instances, chain.instances[::-1]):
            for i in order:
                if i.name in due:
                    work += FIXED_WORK + i.m.beats + sum(w.stream.beats for w in i.reads)
                    if work > MOST_WORK:
                        return None
                    due.discard(i.name)
                    due |= _update(i, streams, readers[i.name])
    return streams


def _branches(i: Instance) -> tuple[int | None, ...]:
    return tuple(range(i.branches)) if i.branches else (None,)


def _update(i: Instance, streams: Streams, readers: list[str]) -> set[str]:
    """Evaluate one module anew; the modules to which that makes a difference. What nobody reads is taken as it is offered."""
    ins, outs = [streams[w.source, w.branch] for w in i.reads], [streams[i.name, b] for b in _branches(i)]
    taken, offered = MODULES[i.module](i, ins, outs)
    due = {w.source for w, x, t in zip(i.reads, ins, taken, strict=True) if not np.array_equal(x.taken, t)}
    if any(not np.array_equal(o.offered, t) for o, t in zip(outs, offered, strict=True)):
        due |= set(readers)
    if due and i.module in RECURRENT:
        due.add(i.name)
    for x, t in zip(ins, taken, strict=True):
        x.taken = t
    for o, t in zip(outs, offered, strict=True):
        o.offered = t
        if not readers:
            o.taken = t
    return due


def _ramp(at: I64) -> I64:
    """The least x >= at with x[k] >= x[k-1] + 1: one beat a cycle."""
    k = np.arange(len(at))
    return np.maximum.accumulate(at - k) + k


def _before(taken: I64, n: int = 1) -> I64:
    """taken[k - n], NEVER for the first n."""
    return _at(taken, np.arange(len(taken)) - n)


def _at(taken: I64, index: NDArray[np.integer]) -> I64:
    """taken[index], NEVER where index is below 0."""
    return np.where(index < 0, NEVER, taken[np.maximum(index, 0)])


def _source(i: Instance, ins: list[Beats], outs: list[Beats]) -> Found:
    """The guard of the input port, before which the source always has a beat."""
    return [], [np.arange(len(outs[0].taken))]


def _wires(i: Instance, ins: list[Beats], outs: list[Beats]) -> Found:
    return [np.maximum(outs[0].taken, ins[0].offered)], [ins[0].offered]


def _sink(i: Instance, ins: list[Beats], outs: list[Beats]) -> Found:
    """The output port, behind which every beat is taken at once."""
    at = _ramp(ins[0].offered)
    return [at], [at]


def _fork(i: Instance, ins: list[Beats], outs: list[Beats]) -> Found:
    at = np.maximum.reduce([ins[0].offered, *(o.taken for o in outs)])
    return [at], [np.maximum(ins[0].offered, _before(at) + 1)] * len(outs)


def _register(i: Instance, ins: list[Beats], outs: list[Beats]) -> Found:
    """All inputs together into one register, which a beat may enter in the cycle in which the last leaves it."""
    offered = _ramp(np.maximum.reduce([x.offered for x in ins]))
    return [_ramp(np.maximum(offered, _before(outs[0].taken)))] * len(ins), [offered + 1]


def _reduce(ins: list[Beats], outs: list[Beats], beats: int) -> Found:
    """The same, where `beats` beats make one."""
    at = _ramp(np.maximum(ins[0].offered, np.repeat(_before(outs[0].taken), beats)))
    return [at], [at[beats - 1 :: beats] + 1]


def _pool(i: Instance, ins: list[Beats], outs: list[Beats]) -> Found:
    return _reduce(ins, outs, int(i.parameters["N_TAPS"]))


def _accumulate(i: Instance, ins: list[Beats], outs: list[Beats]) -> Found:
    return _reduce(ins, outs, int(i.parameters["N_PARTS"]))


def _fifo(i: Instance, ins: list[Beats], outs: list[Beats]) -> Found:
    at = _ramp(np.maximum(ins[0].offered, _before(outs[0].taken, int(i.parameters["N_WORDS"])) + 1))
    return [at], [at + 1]


def _turns(i: Instance, ins: list[Beats], outs: list[Beats]) -> Found:
    n = int(i.parameters["N_TURNS"])
    return [np.maximum(outs[0].taken[n - 1 :: n], ins[0].offered)], [_ramp(np.repeat(ins[0].offered, n))]


def _concat(i: Instance, ins: list[Beats], outs: list[Beats]) -> Found:
    n_a, n_b = (int(i.parameters[k]) for k in ("N_A", "N_B"))
    both = np.concatenate([ins[0].offered.reshape(-1, n_a), ins[1].offered.reshape(-1, n_b)], 1).ravel()
    at = _ramp(np.maximum(both, _before(outs[0].taken)))
    split = at.reshape(-1, n_a + n_b)
    return [split[:, :n_a].ravel(), split[:, n_a:].ravel()], [_ramp(both) + 1]


def _gearbox(i: Instance, ins: list[Beats], outs: list[Beats]) -> Found:
    p = {k: v for k, v in i.parameters.items() if isinstance(v, int)}
    grains_in, grains_out, tail = p["N_IN"] // p["GRAIN"], p["N_OUT"] // p["GRAIN"], -(-p["N_TAIL"] // p["GRAIN"])
    vector = (p["N_BEATS"] - 1) * grains_in + tail
    grains = np.full(len(ins[0].offered), grains_in)
    grains[p["N_BEATS"] - 1 :: p["N_BEATS"]] = tail + -vector % grains_out
    held = np.cumsum(grains)
    # A beat enters beside no more than one output beat, also in the cycle in which another leaves.
    at = _ramp(np.maximum(ins[0].offered, _at(outs[0].taken, -(-(held - grains) // grains_out) - 2)))
    complete = np.searchsorted(held, np.arange(1, len(outs[0].taken) + 1) * grains_out)
    return [at], [_ramp(at[complete] + 1)]


def _memory(ins: list[Beats], outs: list[Beats], needs: I64, waits: I64) -> Found:
    """A memory with an output register: read r waits until word needs[r] is written, word k until read waits[k] has freed its place."""
    read = _ramp(np.maximum(np.maximum(ins[0].taken, ins[0].offered)[needs] + 1, _before(outs[0].taken)))
    at = _ramp(np.maximum(ins[0].offered, _at(read, waits) + 1))
    return [at], [_ramp(at[needs] + 1) + 1]


def _replay(i: Instance, ins: list[Beats], outs: list[Beats]) -> Found:
    words, passes = int(i.parameters["N_WORDS"]), int(i.parameters["N_PASSES"])
    r, k = np.arange(len(outs[0].taken)), np.arange(len(ins[0].taken))
    return _memory(ins, outs, r // (words * passes) * words + r % words, (k // words - 1) * words * passes - 1)


def _window(i: Instance, ins: list[Beats], outs: list[Beats]) -> Found:
    p = {k: v for k, v in i.parameters.items() if isinstance(v, int)}
    pixel = p["N_GROUPS"] * p["N_WORDS"]
    row = p["COLS"] * pixel
    shape = (p["OUT_ROWS"], p["OUT_COLS"], p["N_GROUPS"], p["KERNEL_Y"], p["KERNEL_X"], p["N_WORDS"])
    oy, ox, group, ky, kx, word = np.ogrid[tuple(slice(n) for n in shape)]
    y = oy * p["STRIDE_Y"] - p["PAD_Y"] + ky * p["DILATION_Y"]
    x = ox * p["STRIDE_X"] - p["PAD_X"] + kx * p["DILATION_X"]
    on_map = (y >= 0) & (y < p["ROWS"]) & (x >= 0) & (x < p["COLS"])
    needs = np.where(on_map, y * row + x * pixel + group * p["N_WORDS"] + word, 0).ravel()
    # Words that are free after each row of windows.
    tops = (np.arange(1, p["OUT_ROWS"] + 1) * p["STRIDE_Y"] - p["PAD_Y"]) * row
    freed = np.clip(tops, 0, p["ROWS"] * row)
    freed[-1] = p["ROWS"] * row
    surplus = np.arange(len(ins[0].taken)) + 1 - (1 << p["ADDR_W"])
    waits = np.where(surplus > 0, (np.searchsorted(freed, surplus) + 1) * (len(needs) // p["OUT_ROWS"]) - 1, -1)
    return _memory(ins, outs, needs, waits)


def _line_buffer(i: Instance, ins: list[Beats], outs: list[Beats]) -> Found:
    p = {k: v for k, v in i.parameters.items() if isinstance(v, int)}
    height, width = p["ROWS"] + p["TAIL_Y"], p["COLS"] + p["TAIL_X"]
    y, x = np.divmod(np.arange(height * width), width)
    pixels = (y < p["ROWS"]) & (x < p["COLS"])  # the others are of the margin and wait for nobody
    first_y, first_x = (p[f"DILATION_{a}"] * (p[f"KERNEL_{a}"] - 1) - p[f"PAD_{a}"] for a in "YX")
    oy, ox = np.divmod(np.arange(len(outs[0].taken)), p["OUT_COLS"])
    complete = (first_y + oy * p["STRIDE_Y"]) * width + first_x + ox * p["STRIDE_X"]
    waits = np.full(height * width, NEVER)
    waits[pixels] = ins[0].offered
    at = _ramp(np.maximum(waits, _at(outs[0].taken, np.searchsorted(complete, np.arange(height * width)) - 1)))
    return [at[pixels]], [at[complete] + 1]


def _advancing(at: I64, out: Beats, per_output: int) -> I64:
    """The least x >= at, one a cycle, in which no earlier output that is offered and not taken holds all stages."""
    outputs = np.arange(len(at)) // per_output - 1
    while True:
        at = _ramp(at)
        held_by = np.minimum(np.searchsorted(out.offered, at, "right") - 1, outputs)
        until = _at(out.taken, held_by)
        if not (until > at).any():
            return at
        at = np.maximum(at, until)


def _sums(entered: I64, out: Beats, per_output: int, stages: int = STAGES) -> I64:
    """When the sums of beats that entered the stages are offered: after as many cycles in which the stages move."""
    last = entered[per_output - 1 :: per_output]
    held = out.taken - out.offered
    offered = last + stages
    for n in range(1, stages):
        offered = offered + np.where(_before(out.offered, n) > last, _at(held, np.arange(len(held)) - n), 0)
    return _ramp(offered)


def _matvec(i: Instance, ins: list[Beats], outs: list[Beats]) -> Found:
    beats = int(i.parameters["N_BEATS"]) * int(i.parameters["N_TURNS"])
    at = _advancing(ins[0].offered, outs[0], beats)
    return [at], [_sums(at, outs[0], beats, STAGES + int(i.parameters.get("LATENCY", 0)))]


def _unrolled(i: Instance, ins: list[Beats], outs: list[Beats]) -> Found:
    at = _advancing(ins[0].offered, outs[0], 1)
    return [at], [_sums(at, outs[0], 1, int(i.parameters["LATENCY"]))]


def _gather(i: Instance, ins: list[Beats], outs: list[Beats]) -> Found:
    n, terms, words = (int(i.parameters[k]) for k in ("N_ELEMENTS", "N_TERMS", "N_WORDS"))
    r, k = np.arange(len(outs[0].taken) * terms), np.arange(len(ins[0].taken))
    needs = (r // words + 1) * n - 1
    read = _advancing(np.maximum(ins[0].taken, ins[0].offered)[needs] + 1, outs[0], terms)
    # A vector's place is free once the stages have moved after its last read.
    freed = _at(read, (k // n - 1) * words - 1) + 1
    held_by = np.searchsorted(outs[0].offered, freed, "right") - 1
    at = _ramp(np.maximum.reduce([ins[0].offered, freed, _at(outs[0].taken, held_by)]))
    return [at], [_sums(read, outs[0], terms)]


MODULES: dict[str, Callable[[Instance, list[Beats], list[Beats]], Found]] = {
    "bnn_frame": _source, "bnn_last": _sink, "bnn_hold": _wires, "bnn_planes": _wires, "bnn_pad": _wires, "bnn_fork": _fork, "bnn_fifo": _fifo, "bnn_gearbox": _gearbox,
    "bnn_replay": _replay, "bnn_turns": _turns, "bnn_window": _window, "bnn_matvec": _matvec, "bnn_gather": _gather, "bnn_unrolled": _unrolled,
    "bnn_line_buffer": _line_buffer, "bnn_accumulate": _accumulate, "bnn_pool": _pool, "bnn_concat": _concat, "bnn_threshold": _register, "bnn_affine": _register,
    "bnn_table": _register, "bnn_add": _register, "bnn_multiply": _register,
}  # fmt: skip
