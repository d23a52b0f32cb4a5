"""Named arrays from `.npz`, `.safetensors` and `.pt` files, without running anything they hold."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.packed import unpack_signs

MAX_BYTES = 4 << 30


def read_tensors(path: Path) -> dict[str, NDArray]:
    """Every array of the file by name; BnnhwError for files that are missing, damaged, too large or unsafe."""
    readers = {".npz": _npz, ".safetensors": _safetensors, ".pt": _pt, ".pth": _pt}
    reader = readers.get(path.suffix)
    if reader is None:
        raise BnnhwError(f"weights {str(path)!r}: unknown kind {path.suffix!r}; give {', '.join(readers)}")
    if not path.is_file():
        raise BnnhwError(f"weights {str(path)!r}: no such file; mend 'weights:' or pass --weights")
    if path.stat().st_size > MAX_BYTES:
        raise BnnhwError(f"weights {str(path)!r}: larger than {MAX_BYTES} bytes; split the file")
    try:
        return unpack_signs(reader(path), str(path))
    except BnnhwError:
        raise
    except Exception as e:  # damaged files raise whatever their parser trips over
        reason = str(e).splitlines()[0][:120] if str(e) else type(e).__name__
        raise BnnhwError(f"weights {str(path)!r}: damaged or not a {path.suffix} file ({reason}); save it again") from None


def _npz(path: Path) -> dict[str, NDArray]:
    with zipfile.ZipFile(path) as z:
        size = sum(info.file_size for info in z.infolist())
        if size > MAX_BYTES:
            raise BnnhwError(f"weights {str(path)!r}: unpacks to {size} bytes, at most {MAX_BYTES} are read; split the file")
    with np.load(path, allow_pickle=False) as z:
        return {name: z[name] for name in z.files if z[name].dtype.kind in "biuf"}


def _safetensors(path: Path) -> dict[str, NDArray]:
    from safetensors.numpy import load_file

    return dict(load_file(path))


def _pt(path: Path) -> dict[str, NDArray]:
    try:
        import torch
    except ImportError:
        raise BnnhwError(f"weights {str(path)!r}: reading .pt needs torch; pip install 'bnnhw[train]' or save as .npz") from None
    data: Any = torch.load(path, map_location="cpu", weights_only=True)
    data = data.get("state_dict", data.get("model", data)) if isinstance(data, dict) else data
    if not isinstance(data, dict):
        raise BnnhwError(f"weights {str(path)!r}: holds a {type(data).__name__}, not a state_dict; save model.state_dict()")
    return {str(k): v.detach().float().numpy() for k, v in data.items() if isinstance(v, torch.Tensor)}
