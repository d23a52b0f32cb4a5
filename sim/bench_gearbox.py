"""Stream width converter: beats of a vector regrouped, plane by plane."""

from __future__ import annotations

import random
from math import ceil

from bnnhw.ir.instances import Stream, Wire
from bnnhw.ir.wiring import Wiring
from sim.corners import Corner, pack, unpack
from sim.streams import Traffic, stream_tests


def corner(elements: int, n_in: int, n_out: int, planes: int = 1, elem: int = 1) -> Corner:
    """Parameters for vectors of `elements`."""
    chain = Wiring()
    chain.gearbox("", "", Wire("", Stream(elements, elements, n_in, planes, elem)), elements, n_out, elements)
    return Corner({k: int(v) for k, v in chain.instances[-1].parameters.items()})


CORNERS = {
    "same_1": corner(1, 1, 1),
    "widen_1_2": corner(6, 1, 2),
    "narrow_2_1": corner(7, 2, 1),
    "prime_7_5": corner(35, 7, 5),
    "prime_5_7_tail": corner(23, 5, 7, planes=2),
    "grain_6_4": corner(17, 6, 4, planes=3),
    "short_vector": corner(3, 8, 16),
    "cut_8_3": corner(5, 8, 3, elem=2),
    "wide_31_32": corner(100, 31, 32),
    "wide_33_64": corner(130, 33, 64),
    "wide_127_8": corner(127, 127, 8),
    "sums_4_1": corner(10, 4, 1, elem=16),
}


def traffic(name: str, rng: random.Random) -> Traffic:
    """Six vectors; lanes beyond a vector's end are garbage on the way in, zeros on the way out."""
    c = CORNERS[name]
    planes, bits, n_in, n_out = c["PLANES"], c["ELEM_W"], c["N_IN"], c["N_OUT"]
    elements = (c["N_BEATS"] - 1) * n_in + c["N_TAIL"]
    beats_out = ceil(elements / n_out)
    sent, expected = [], []
    for _ in range(6):
        beats = [rng.getrandbits(planes * n_in * bits) for _ in range(c["N_BEATS"])]
        sent += beats
        per_plane = []
        for p in range(planes):
            held = [e for beat in beats for e in unpack(unpack(beat, planes, n_in * bits)[p], n_in, bits)][:elements]
            held += [0] * (beats_out * n_out - elements)
            per_plane.append([pack(held[i : i + n_out], bits) for i in range(0, len(held), n_out)])
        expected += [pack(beat, n_out * bits) for beat in zip(*per_plane, strict=True)]
    return Traffic({"s": sent}, {"m": expected}, (beats_out, max(c["N_BEATS"], beats_out)))


carries, restarts = stream_tests(CORNERS, traffic)
