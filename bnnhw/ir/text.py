"""YAML from users: small, without aliases and without repeated keys, and what is wrong in it."""

from __future__ import annotations

import reprlib
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from bnnhw.ir.errors import BnnhwError

MAX_YAML_BYTES = 1 << 20


class _Loader(yaml.SafeLoader):
    """Plain data only; refuses aliases, which can multiply a small file without bound, and repeated keys."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed; write the value out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = [k.value for k, _ in node.value if isinstance(k, yaml.ScalarNode)]
        if len(keys) != len(set(keys)):
            twice = next(k for k in keys if keys.count(k) > 1)
            raise yaml.YAMLError(f"key {twice[:60]!r} is given twice; keep one")
        return super().construct_mapping(node, deep)


def read_text(path: Path) -> str:
    """What a file says; BnnhwError where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise BnnhwError(f"{str(path)[:300]}: cannot be read ({getattr(e, 'strerror', None) or 'not UTF-8'}); give a readable UTF-8 file") from None


def read_yaml(path: Path) -> Any:
    """Plain data of a small YAML file; BnnhwError if it is none."""
    if path.is_file() and path.stat().st_size > MAX_YAML_BYTES:
        raise BnnhwError(f"{path}: larger than {MAX_YAML_BYTES} bytes; weights go into a file of their own")
    text = read_text(path)
    try:
        return yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, RecursionError, ValueError) as e:
        mark = getattr(e, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        problem = getattr(e, "problem", None) or str(e) or "nested too deeply"
        raise BnnhwError(f"{path}: no valid YAML{where}: {str(problem)[:200]}") from None


def first_problem(e: ValidationError, whole: str) -> str:
    """One line for the first of pydantic's findings, with its place, or the name of the `whole`, and the value that was given."""
    error = e.errors(include_url=False)[0]
    place = ".".join(map(str, error["loc"]))[:200] or whole
    given = f" (given: {brief(error['input'])})" if error["type"] not in ("missing", "value_error") else ""
    said = "Input should be keys with values" if error["type"] == "model_type" else error["msg"].removeprefix("Value error, ")
    return f"{place}: {said}{given}"


def brief(value: Any) -> str:
    """The value as Python writes it, cut where it is long."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = 60
    return short.repr(value)
