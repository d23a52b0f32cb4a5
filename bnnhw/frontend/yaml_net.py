"""A YAML network description (schema in `bnnhw.ir.topology`) plus its weights file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bnnhw.frontend.tensors import read_tensors
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.text import brief, first_problem, read_yaml
from bnnhw.ir.topology import Topology
from bnnhw.ir.trained import TrainedNetwork

ZOO = Path(__file__).parents[1] / "zoo"
RECIPES = ZOO / "recipes"


def zoo_names() -> list[str]:
    """Names that `--net` takes besides paths."""
    return sorted(p.stem for p in ZOO.glob("*.yaml"))


def recipe_names() -> list[str]:
    """Names of networks without weights, for `bnnhw train`."""
    return sorted(p.stem for p in RECIPES.glob("*.yaml"))


def find_net(net: str | Path) -> Path:
    """Path of a network description: a file, or the name of a network of the zoo with or without `.yaml`."""
    path = Path(net)
    if path.is_file():
        return path
    name = str(net).removesuffix(".yaml")
    if name in zoo_names():
        return ZOO / f"{name}.yaml"
    if name in recipe_names():
        return RECIPES / f"{name}.yaml"
    raise BnnhwError(f"network {str(net)[:200]!r}: neither a file nor one of the zoo ({', '.join(zoo_names())})")


def read_topology(net: str | Path) -> tuple[Topology, Path]:
    """Validated description of `net` and the path it was read from."""
    path = find_net(net)
    data = read_yaml(path)
    try:
        return Topology.model_validate(data), path
    except ValidationError as e:
        raise BnnhwError(f"{path}: {_first_problem(e, data)}") from None


def _first_problem(e: ValidationError, data: Any) -> str:
    """One line for the first of pydantic's findings, with the layer's name and the place as the user wrote it."""
    layer = ""
    match e.errors(include_url=False)[0]["loc"]:
        case ("layers", int(n), *_) if isinstance(data["layers"][n], dict) and "name" in data["layers"][n]:
            layer = f"layer {brief(data['layers'][n]['name'])}: "
    return f"{layer}{first_problem(e, 'description')}; see docs/network.md"


def load(net: str | Path, weights: str | Path | None = None) -> TrainedNetwork:
    """The trained network of a YAML file (or zoo name) and its weights file.

    `weights` overrides the file that the description names, which is relative to it.
    """
    topology, path = read_topology(net)
    if weights is None and path.parent == RECIPES:
        raise BnnhwError(
            f"network {path.stem!r}: is a recipe without weights; bnnhw train --net {path.stem} --out FOLDER, then --net FOLDER/network.yaml"
        )
    if weights is None and topology.weights is None:
        raise BnnhwError(f"{path}: names no weights file; add 'weights:' or pass --weights")
    file = Path(weights) if weights is not None else path.parent / str(topology.weights)
    tensors = read_tensors(file)
    _refuse_surplus(topology, tensors, file)
    return TrainedNetwork(topology, tensors)


def expected_file(net: str | Path) -> Path | None:
    """File with the framework's outputs that a description names; BnnhwError where it is missing."""
    topology, path = read_topology(net)
    if topology.expected is None:
        return None
    file = path.parent / topology.expected
    if not file.is_file():
        raise BnnhwError(f"{path}: expected {topology.expected!r} is no file; mend or remove the key")
    return file


def _refuse_surplus(net: Topology, tensors: dict[str, Any], file: Path) -> None:
    """Parameters under a described layer's name that the description does not use are a mistake in one of them."""
    for layer in net.layers:
        known = {layer.tensor_name(p) for p in layer.stored}
        for name in tensors:
            if name.startswith(f"{layer.name}.") and name not in known and "." not in name[len(layer.name) + 1 :]:
                raise BnnhwError(f"layer {layer.name!r}: {file.name} holds {name!r}, which the description does not use; set the key or remove it")
