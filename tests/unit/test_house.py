"""The house: who may import whom, what templates may contain, what every RTL file looks like."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import jinja2.nodes
import pytest

from bnnhw.emit.verilog import environment

ROOT = Path(__file__).parents[2]
MAY_IMPORT = {
    "ir": set(),
    "frontend": {"ir"},
    "lower": {"ir"},
    "golden": {"ir"},
    "schedule": {"ir", "estimate", "lutmap", "tools"},
    "lutmap": {"ir"},
    "estimate": {"ir", "lutmap", "tools"},
    "emit": {"ir", "lutmap"},
    "verify": {"ir", "golden", "emit", "lutmap", "tools"},
    "synth": {"ir", "emit", "lutmap", "tools", "estimate"},
    "explore": {"ir", "emit", "schedule", "verify", "synth", "estimate", "tools"},
    "tools": set(),
    "report": {"ir", "golden", "emit", "verify", "schedule", "estimate", "tools"},
    "nn": {"ir", "data"},
    "data": {"ir"},
    "request": {"ir", "schedule", "emit", "estimate"},
    "folders": {"ir"},
    "imports": {"ir", "frontend", "lower", "verify"},
    "api": {
        "ir",
        "frontend",
        "lower",
        "schedule",
        "emit",
        "verify",
        "report",
        "nn",
        "data",
        "synth",
        "estimate",
        "explore",
        "request",
        "folders",
        "imports",
    },
    "cli": {"ir", "api", "tools", "verify", "synth", "estimate", "explore", "report", "request", "imports", "printed"},
    "printed": {"estimate", "explore", "report", "synth", "tools", "verify"},
}
FILES = sorted((ROOT / "bnnhw").rglob("*.py"))


def room(path: Path) -> str:
    """The package or module that a file belongs to."""
    return path.relative_to(ROOT / "bnnhw").parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_follow_the_table(path: Path) -> None:
    here = room(path)
    if here == "__init__":
        return
    for node in ast.walk(ast.parse(path.read_text())):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"bnnhw.{a.name}" for a in node.names] if node.module == "bnnhw" else [node.module]
        for name in names:
            parts = name.split(".")
            if parts[0] == "bnnhw" and parts[1] != here:
                assert parts[1] in MAY_IMPORT[here], f"{path.name} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_only_training_imports_torch_at_the_top(path: Path) -> None:
    heavy = {"torch", "sklearn", "PIL"}
    for node in ast.parse(path.read_text()).body:
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert room(path) == "nn" or path.name == "torch_net.py" or not heavy & {n.split(".")[0] for n in names}


def test_the_generate_path_works_without_torch() -> None:
    program = "import sys; sys.modules['torch'] = None; import bnnhw; print(bnnhw.info('digits_mlp')['interval_cycles'])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", sorted((ROOT / "templates").glob("*")), ids=lambda p: p.name)
def test_templates_hold_names_and_loops_only(path: Path) -> None:
    allowed = (
        jinja2.nodes.Template, jinja2.nodes.Output, jinja2.nodes.TemplateData, jinja2.nodes.For, jinja2.nodes.Name, jinja2.nodes.Getattr,
    )  # fmt: skip

    def walk(node: jinja2.nodes.Node) -> None:
        assert isinstance(node, allowed), f"{path.name}:{node.lineno}: {type(node).__name__}"
        for child in node.iter_child_nodes():
            walk(child)

    walk(environment().parse(path.read_text()))


@pytest.mark.parametrize("path", sorted((ROOT / "rtl").glob("*.v")), ids=lambda p: p.stem)
def test_rtl_files_follow_the_conventions(path: Path) -> None:
    text = path.read_text()
    lines = text.splitlines()
    header = lines.index("`default_nettype none")
    assert 1 <= header <= 5 and all(line.startswith("// ") for line in lines[:header])
    assert lines[-1] == "`default_nettype wire"
    assert re.findall(r"^module (\w+)", text, re.M) == [path.stem]
    for line in re.findall(r"^    parameter .*", text, re.M):
        assert "//" in line, f"{path.name}: no comment on {line.strip()}"
    for n, line in enumerate(lines):
        if "lint_off" in line:  # only of what stands in an attribute alone, and with a reason
            assert "UNUSEDPARAM" in line and "//" in line and "parameter STYLE" in lines[n + 1]
    if path.stem not in ("bnn_rom", "bnn_ram"):
        assert "readmem" not in text


def test_the_repository_names_no_machine() -> None:
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=False)
    if listed.returncode:
        pytest.skip("no git checkout")
    private = re.compile(rb"/(?:work|root|home)/[a-z]")
    for name in listed.stdout.split("\n"):
        path = ROOT / name
        if name and path.is_file() and path.suffix not in (".npz",) and path.name != Path(__file__).name:
            assert not private.search(path.read_bytes()), name
