"""The integer network in one file: a NumPy archive with its structure as JSON. The same network gives the same bytes."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnhw.ir.encoding import Alphabet, Encoding, Integers
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.heads import Fixed, Partial, Sums, Thresholds
from bnnhw.ir.integer import RAW, InputPort, Network
from bnnhw.ir.layers import Add, Concat, Gather, MatVec, Multiply, Pool, Requantise, SumPool, Table
from bnnhw.ir.weights import Weights
from bnnhw.ir.window import Window

FORMAT = 3
MAX_BYTES = 4 << 30
KINDS: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        Network, InputPort, MatVec, Gather, Requantise, Pool, SumPool, Add, Multiply, Table, Concat,
        Thresholds, Sums, Fixed, Partial, Weights, Window, Encoding, Integers,
    )
}  # fmt: skip


def network_bytes(net: Network) -> bytes:
    """The file's bytes."""
    arrays: dict[str, NDArray] = {}
    head = {"format": FORMAT, "network": _described(net, arrays)}
    arrays["network"] = np.frombuffer(json.dumps(head, sort_keys=True).encode(), np.uint8)
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)  # type: ignore[arg-type]
    return out.getvalue()


def _described(value: Any, arrays: dict[str, NDArray]) -> Any:
    """Plain data for JSON; arrays go aside, planes of bits packed."""
    if is_dataclass(value):
        return {"kind": type(value).__name__, **{f.name: _described(getattr(value, f.name), arrays) for f in fields(value)}}
    if isinstance(value, Enum):
        return {"alphabet": value.name}
    if isinstance(value, np.ndarray):
        name = f"a{len(arrays)}"
        packed = value.dtype in (np.uint8, np.bool_)
        arrays[name] = np.packbits(value) if packed else value
        return {"array": name, "shape": value.shape, "type": value.dtype.str, "packed": packed}
    if isinstance(value, tuple):
        return [_described(v, arrays) for v in value]
    return value


def read_network(path: Path) -> Network:
    """The network of a file that `network_bytes` made; BnnhwError for any other."""
    try:
        with zipfile.ZipFile(path) as z:
            if sum(info.file_size for info in z.infolist()) > MAX_BYTES:
                raise BnnhwError(f"{path}: unpacks to more than {MAX_BYTES} bytes; it is no network of this tool")
        with np.load(path, allow_pickle=False) as z:
            head = json.loads(z["network"].tobytes())
            if head["format"] != FORMAT:
                raise BnnhwError(f"{path}: has format {head['format']}, this version reads {FORMAT}; generate it again")
            for name in z.files:
                if z[name].dtype.kind not in "iu":
                    raise BnnhwError(f"{path}: {name!r} holds {z[name].dtype}, no whole numbers; generate it again")
            described = head["network"]
            if described["port"]["raw"] not in RAW or described["label"] not in ("argmax", "highest_bit"):
                raise BnnhwError(f"{path}: has an input or label that this version does not know; generate it again")
            net = _made(described, z)
        if not isinstance(net, Network):
            raise ValueError("no network")
        return net
    except BnnhwError:
        raise
    except OSError as e:
        raise BnnhwError(f"{path}: cannot be read ({e.strerror or e}); generate it again") from None
    except Exception as e:  # a damaged archive raises whatever its parser trips over
        raise BnnhwError(f"{path}: damaged or no integer network ({type(e).__name__}); generate it again") from None


def _made(data: Any, z: Any) -> Any:
    """What `_described` described."""
    if isinstance(data, list):
        return tuple(_made(v, z) for v in data)
    if not isinstance(data, dict):
        return data
    if "alphabet" in data and len(data) == 1:
        return Alphabet[data["alphabet"]]
    if "array" in data:
        shape = tuple(data["shape"])
        raw = np.unpackbits(z[data["array"]], count=int(np.prod(shape))) if data["packed"] else z[data["array"]]
        return raw.astype(np.dtype(data["type"])).reshape(shape)
    return KINDS[data["kind"]](**{k: _made(v, z) for k, v in data.items() if k != "kind"})
