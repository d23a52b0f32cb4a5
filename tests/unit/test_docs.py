"""The documents name what the code has: keys with their defaults, methods, sources, modules; links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path
from types import UnionType
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from bnnhw.ir import compressions, methods
from bnnhw.ir import specs as s
from bnnhw.ir.recipe import Distillation, TrainSpec
from bnnhw.ir.topology import Quantisers
from bnnhw.schedule.designs import _Layer

ROOT = Path(__file__).parents[2]
NETWORK, DESIGN, METHODS = ((ROOT / "docs" / f"{name}.md").read_text() for name in ("network", "design-file", "methods"))
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "rtl" / "README.md"]


def models(union: Any) -> list[type[BaseModel]]:
    """The models of an annotated union."""
    (kinds, *_) = get_args(union)
    return list(get_args(kinds)) if isinstance(kinds, UnionType) or get_args(kinds) else [kinds]


def row(page: str, first: str) -> str:
    """The table row whose first cell names `first`."""
    found = [line for line in page.splitlines() if line.startswith("|") and f"`{first}`" in line.split("|")[1]]
    assert found, f"no row of {first!r}"
    return " ".join(found)


def keys(model: type[BaseModel], *but: str) -> dict[str, Any]:
    """Keys of a model and their defaults."""
    return {name: field.default for name, field in model.model_fields.items() if name not in but}


@pytest.mark.parametrize("layer", models(s.LayerSpec), ids=lambda m: m.__name__)
def test_every_layer_is_described_with_its_keys(layer: type[BaseModel]) -> None:
    kind = layer.model_fields["type"].default
    described = row(NETWORK, kind) + (row(NETWORK, "dense") if kind == "conv" else "")
    for key, default in keys(layer, "type", "name", "tensors", "inputs").items():
        assert f"`{key}`" in described, f"{kind}: {key}"
        if isinstance(default, bool | int | str) and default is not PydanticUndefined:
            shown = str(default).lower() if isinstance(default, bool) else str(default)
            assert re.search(rf"`{key}`[^|]*\({re.escape(shown)}\)", described), f"{kind}: {key} ({shown})"


def test_every_key_of_the_training_section_is_described() -> None:
    for key in keys(TrainSpec):
        row(NETWORK, key)
    for model in (Distillation, Quantisers, s.PartialSums):
        for key in keys(model):
            assert re.search(rf"{{[^}}]*\b{key}\b", NETWORK), key


@pytest.mark.parametrize(
    ("union", "place"),
    [
        (methods.WeightMethod, "| weights | keys"),
        (compressions.CompressionMethod, "| weights | keys"),
        (methods.ActivationMethod, "| activations | keys"),
    ],
    ids=["weights", "compression", "activations"],
)
def test_every_method_is_listed_with_its_keys_and_told_of(union: Any, place: str) -> None:
    table = NETWORK[NETWORK.index(place) :].split("\n\n")[0]
    for model in models(union):
        method = model.model_fields["method"].default
        described = row(table, method)
        for key in keys(model, "method"):
            only_saturates = (method, key, place) == ("fixed", "overflow", "| activations | keys")
            assert f"`{key}`" in described or only_saturates or "as `inq`" in described, f"{method}: {key}"
        assert f"`{method}`" in METHODS, method


def test_every_stored_form_of_weights_is_described() -> None:
    for form, parameters in s.STORED_AS.items():
        described = row(NETWORK, form)
        assert all(f"`{p}`" in described for p in parameters), form


def test_every_key_of_the_design_file_is_described() -> None:
    for key in keys(_Layer):
        row(DESIGN, key)


def test_the_sources_of_energies_are_listed() -> None:
    listed = (ROOT / "docs" / "sources.md").read_text()
    assert all(name in listed for name in ("Horowitz", "GlitchLess", "tinyvision.ai", "UG440"))


def test_every_module_is_in_the_librarys_table() -> None:
    named = set(re.findall(r"`(bnn_\w+)`", (ROOT / "rtl" / "README.md").read_text()))
    assert named == {p.stem for p in (ROOT / "rtl").glob("bnn_*.v")}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
        assert target.startswith("http") or (page.parent / target).exists(), target
