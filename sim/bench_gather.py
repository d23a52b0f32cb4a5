"""Sums of looked-up numbers of a vector, with their signs, some left out."""

from __future__ import annotations

import random

from bnnhw.ir.encoding import signed_bits
from bnnhw.ir.hardware import index_bits
from sim.corners import Corner, numbers, pack, unpack
from sim.streams import Traffic, stream_tests


def corner(name: str, pe: int, in_w: int, elements: int, *, terms: int, folds: int) -> Corner:
    """A corner with random lookups, whose sum bits just hold every sum."""
    rng = random.Random(name)
    most = terms << (in_w - 1)
    index_w = index_bits(elements)
    memory = [
        pack([rng.randrange(elements) | rng.choice((0, 1, 1, 2, 3, 3)) << index_w for _ in range(pe)], index_w + 2) for _ in range(folds * terms)
    ]
    return Corner({
        "PE": pe, "IN_W": in_w, "SUM_W": max(signed_bits(-most, most), in_w), "N_ELEMENTS": elements, "N_TERMS": terms, "N_WORDS": folds * terms,
        "INDEX_W": index_w, "TERM_W": index_bits(terms), "ADDR_W": index_bits(folds * terms), "FILL_W": index_bits(2 * elements + 1),
    }, memory)  # fmt: skip


CORNERS = {
    "one": corner("one", 1, 1, 1, terms=1, folds=1),
    "one_number": corner("one_number", 2, 3, 1, terms=3, folds=2),
    "two": corner("two", 2, 2, 2, terms=2, folds=2),
    "two_one": corner("two_one", 1, 4, 2, terms=1, folds=1),
    "balanced": corner("balanced", 1, 8, 6, terms=3, folds=2),
    "prime": corner("prime", 3, 5, 7, terms=5, folds=3),
    "elements_8": corner("elements_8", 1, 7, 8, terms=9, folds=1),
    "elements_9": corner("elements_9", 4, 8, 9, terms=2, folds=2),
    "elements_15": corner("elements_15", 1, 9, 15, terms=1, folds=16),
    "elements_16": corner("elements_16", 2, 16, 16, terms=7, folds=2),
    "elements_17": corner("elements_17", 5, 3, 17, terms=17, folds=1),
    "elements_65": corner("elements_65", 1, 6, 65, terms=4, folds=3),
    "wide_65": corner("wide_65", 2, 65, 5, terms=3, folds=1),
    "pe_33": corner("pe_33", 33, 2, 4, terms=4, folds=2),
}


def traffic(name: str, rng: random.Random) -> Traffic:
    """Eight vectors."""
    c = CORNERS[name]
    index_w, terms = c["INDEX_W"], c["N_TERMS"]
    lookups = [unpack(word, c["PE"], index_w + 2) for word in c.memory]
    sent, expected = [], []
    for _ in range(8):
        vector = numbers(rng, c["N_ELEMENTS"], c["IN_W"])
        sent += [pack([x], c["IN_W"]) for x in vector]
        for fold in range(0, len(lookups), terms):
            sums = [0] * c["PE"]
            for word in lookups[fold : fold + terms]:
                for p, lookup in enumerate(word):
                    index, use, minus = lookup % (1 << index_w), lookup >> index_w & 1, lookup >> (index_w + 1)
                    sums[p] += vector[index] * use * (-1 if minus else 1)
            expected.append(pack(sums, c["SUM_W"]))
    rate = c["N_WORDS"] // terms, max(c["N_ELEMENTS"], c["N_WORDS"])
    return Traffic({"s": sent}, {"m": expected}, rate, settle=1)


carries, restarts = stream_tests(CORNERS, traffic)
