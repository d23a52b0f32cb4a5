"""The integer network in one file: a NumPy archive with its structure as JSON. The same network gives the same bytes."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnhw.ir.encoding import Alphabet, Encoding
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.integer import InputPort, Layer, MatVec, Network, Pool, Sums, Thresholds, Weights, Window

FORMAT = 1
MAX_BYTES = 4 << 30


def network_bytes(net: Network) -> bytes:
    """The file's bytes."""
    arrays: dict[str, NDArray] = {}
    layers = [_describe(n, layer, arrays) for n, layer in enumerate(net.layers)]
    head = {
        "format": FORMAT, "name": net.name, "port": asdict(net.port), "x": _encoding(net.x), "label": net.label, "classes": net.classes, "layers": layers,
    }  # fmt: skip
    arrays["network"] = np.frombuffer(json.dumps(head, sort_keys=True).encode(), np.uint8)
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)  # type: ignore[arg-type]
    return out.getvalue()


def _encoding(e: Encoding) -> dict[str, Any]:
    return {"alphabet": e.alphabet.name, "offset": e.offset, "scale": e.scale, "codebook": e.codebook}


def _describe(n: int, layer: Layer, arrays: dict[str, NDArray]) -> dict[str, Any]:
    data: dict[str, Any] = {"name": layer.name, "x": _encoding(layer.x), "window": asdict(layer.window)}
    if isinstance(layer, Pool):
        return {"kind": "pool", **data}
    w = layer.weights
    arrays[f"{n}.bits"], arrays[f"{n}.scale"] = np.packbits(w.bits), w.scale
    if w.mask is not None:
        arrays[f"{n}.mask"] = np.packbits(w.mask)
    data |= {"kind": "matvec", "alphabet": w.alphabet.name, "planes": w.bits.shape}
    if isinstance(layer.head, Thresholds):
        arrays[f"{n}.thresholds"] = layer.head.values
        return {**data, "code": _encoding(layer.head.code)}
    arrays[f"{n}.head_scale"], arrays[f"{n}.bias"] = layer.head.scale, layer.head.bias
    return {**data, "fraction_bits": layer.head.fraction_bits}


def read_network(path: Path) -> Network:
    """The network of a file that `network_bytes` made; BnnhwError for any other."""
    try:
        with zipfile.ZipFile(path) as z:
            if sum(i.file_size for i in z.infolist()) > MAX_BYTES:
                raise BnnhwError(f"{path}: unpacks to more than {MAX_BYTES} bytes; it is no network of this tool")
        with np.load(path, allow_pickle=False) as z:
            head = json.loads(z["network"].tobytes())
            if head["format"] != FORMAT:
                raise BnnhwError(f"{path}: has format {head['format']}, this version reads {FORMAT}; generate it again")
            for name in z.files:
                if z[name].dtype.kind not in "iu":
                    raise BnnhwError(f"{path}: {name!r} holds {z[name].dtype}, no whole numbers; generate it again")
            if head["port"]["raw"] not in ("uint8", "int8", "bipolar") or head["label"] not in ("argmax", "highest_bit"):
                raise BnnhwError(f"{path}: has an input or label that this version does not know; generate it again")
            layers = tuple(_layer(n, data, z) for n, data in enumerate(head["layers"]))
        port = InputPort(**{**head["port"], "shape": tuple(head["port"]["shape"])})
        classes = tuple(head["classes"]) if head["classes"] else None
        return Network(head["name"], port, _read_encoding(head["x"]), layers, head["label"], classes)
    except BnnhwError:
        raise
    except OSError as e:
        raise BnnhwError(f"{path}: cannot be read ({e.strerror or e}); generate it again") from None
    except Exception as e:  # a damaged archive raises whatever its parser trips over
        raise BnnhwError(f"{path}: damaged or no integer network ({type(e).__name__}); generate it again") from None


def _read_encoding(data: dict[str, Any]) -> Encoding:
    codebook = tuple(tuple(bits) for bits in data["codebook"])
    return Encoding(Alphabet[data["alphabet"]], data["offset"], tuple(data["scale"]), codebook)


def _layer(n: int, data: dict[str, Any], z: Any) -> Layer:
    geometry: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data["window"].items()}
    window = Window(**geometry)
    x = _read_encoding(data["x"])
    if data["kind"] == "pool":
        return Pool(data["name"], x, window)
    shape = tuple(data["planes"])
    count = int(np.prod(shape))

    def planes(name: str) -> NDArray[np.uint8]:
        return np.unpackbits(z[name], count=count).reshape(shape)

    mask = planes(f"{n}.mask") if f"{n}.mask" in z.files else None
    weights = Weights(Alphabet[data["alphabet"]], planes(f"{n}.bits"), z[f"{n}.scale"], mask)
    if "code" in data:
        head: Thresholds | Sums = Thresholds(z[f"{n}.thresholds"], _read_encoding(data["code"]))
    else:
        head = Sums(z[f"{n}.head_scale"], z[f"{n}.bias"], data["fraction_bits"])
    return MatVec(data["name"], x, window, weights, head)
