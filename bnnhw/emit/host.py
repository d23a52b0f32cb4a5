"""What a host needs: the layout of the ports and of writable memories, drivers in Python and C, and files of new weights."""

from __future__ import annotations

import json
from math import ceil, prod
from typing import Any

import numpy as np

from bnnhw.emit.resources import resource_folder
from bnnhw.emit.verilog import environment, naming
from bnnhw.ir.contents import words
from bnnhw.ir.design import Design
from bnnhw.ir.encoding import U8, Encoding, Integers
from bnnhw.ir.integer import RAW, Network
from bnnhw.ir.layout import level_codes
from bnnhw.ir.pipeline import pipeline, word_bits

MAGIC, VERSION = 0x554E4E42, 1
"""Head of a file of new weights."""
PART = 32
"""Bits that are written at a time."""


def emit_host(net: Network, design: Design) -> dict[str, str]:
    """{path: text} of the folder `host/`."""
    files = {f"host/{p.name}": p.read_text() for p in sorted((resource_folder("boards") / "host").glob("bnnhw_host.*"))}
    described = layout(net, design)
    files["host/layout.json"] = json.dumps(described, indent=1) + "\n"
    files["host/layout.h"] = environment().get_template("layout.h.j2").render(_for_c(described))
    return files


def layout(net: Network, design: Design) -> dict[str, Any]:
    """Bytes of frames and outputs, first element in the low bits, channel fastest, and the memories that are written, as plain data."""
    chain, last = pipeline(net, design), net.layers[-1]
    values = None
    if not isinstance(last.out, Integers):
        by_code = {int(code): int(value) for code, value in zip(level_codes(last.out), last.out.values, strict=True)}
        values = [by_code.get(code, 0) for code in range(1 << last.out.planes)]
    control = None
    if chain.control is not None:
        memories = [{"name": i.name, "words": i.parameters["N_WORDS"], "bits": word_bits(i)} for i in chain.written]
        control = {"identity": int(chain.control.parameters["IDENTITY"]), "memories": memories}
    return {
        "bnnhw_layout": 1, "network": net.name, "module": naming(net).module, "clock_mhz": design.clock_mhz, "interval_cycles": chain.interval,
        "input": {
            "type": net.port.raw, "shape": list(net.port.shape), "low": net.port.ends[0], "high": net.port.ends[1], "codes": _codes(net),
            "real": net.port.real and list(net.port.real),
            "bits": chain.source.elem_bits, "bytes": ceil(chain.source.elements * chain.source.elem_bits / 8),
        },
        "output": {"shape": list(last.out_shape), "bits": chain.sink.elem_bits, "values": values, "bytes": ceil(chain.sink.elements * chain.sink.elem_bits / 8)},
        "label": net.label, "classes": net.classes and list(net.classes), "control": control,
    }  # fmt: skip


def _codes(net: Network) -> list[int | None] | None:
    """The code of every raw value from the least, None for one that is none; None in all where numbers are their own codes."""
    if isinstance(net.x, Integers):
        return None
    assert isinstance(net.x, Encoding)
    (low, high), codes = net.port.ends, level_codes(net.x)
    raw = [n for n in range(low, high + 1) if n or net.port.raw != "bipolar"]
    levels = net.port.levels(np.repeat(np.array(raw, np.int16)[:, None], prod(net.port.shape), 1))[:, 0, 0, 0]
    of_raw = {n: int(codes[level]) for n, level in zip(raw, levels, strict=True)}
    return [of_raw.get(n) for n in range(low, high + 1)]


def _for_c(described: dict[str, Any]) -> dict[str, Any]:
    """The layout for the C header: flat, lists as initialisers."""
    port_in, port_out, control = described["input"], described["output"], described["control"]
    tables = [", ".join(str(-1 if code is None else code) for code in codes) for codes in (port_in["codes"],) if codes is not None]
    memories = control["memories"] if control else []
    return {
        "module": described["module"], "label": int(described["label"] == "highest_bit"), "identity": f"{control['identity']:#010x}" if control else "0",
        "s": {**port_in, "size": prod(port_in["shape"]), "pixels": prod(port_in["shape"][1:]), "channels": port_in["shape"][0],
               "raw_bytes": np.dtype(RAW[port_in["type"]]).itemsize, "tables": tables, "codes_at": "bnnhw_codes" if tables else "NULL"},
        "m": {**port_out, "size": prod(port_out["shape"]), "pixels": prod(port_out["shape"][1:]), "channels": port_out["shape"][0],
                "numbers": ", ".join(map(str, port_out["values"] or [0])), "signed": int(port_out["values"] is None)},
        "n_memories": len(memories), "memories": [{"words": m["words"], "parts": ceil(m["bits"] / PART)} for m in memories] or [{"words": 0, "parts": 0}],
    }  # fmt: skip


def update_bytes(net: Network, design: Design) -> bytes:
    """The file of all writable memories' words: MAGIC, VERSION, identity, count; for each its number, words, parts and the parts, all 32 bits."""
    chain = pipeline(net, design)
    assert chain.control is not None
    head = [MAGIC, VERSION, int(chain.control.parameters["IDENTITY"]), len(chain.written)]
    blocks = [np.array(head, "<u4").tobytes()]
    for n, i in enumerate(chain.written):
        parts = _parts(words(net[i.layer], design[i.layer], i))
        blocks += [np.array([n, *parts.shape], "<u4").tobytes(), parts.tobytes()]
    return b"".join(blocks)


def _parts(bits: U8) -> np.ndarray:
    """[words, parts] of 32 bits, the low ones first, of words [words, bits]."""
    full = np.zeros((len(bits), ceil(bits.shape[1] / PART) * PART), np.uint8)
    full[:, : bits.shape[1]] = bits
    return np.packbits(full, axis=1, bitorder="little").view("<u4")
