"""Memory files for `$readmemh`."""

from __future__ import annotations

import numpy as np

from bnnhw.ir.encoding import U8


def hex_words(bits: U8) -> str:
    """One line a word for bits [words, width], the first bit of a word being its lowest."""
    packed = np.packbits(bits, axis=1, bitorder="little")[:, ::-1]
    digits = (bits.shape[1] + 3) // 4
    text, step = packed.tobytes().hex(), 2 * packed.shape[1]
    lines = [text[i + step - digits : i + step] for i in range(0, len(text), step)]
    return "\n".join(lines) + "\n"
