"""What each module of a design, and the whole of it, costs in a family of FPGAs."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bnnhw.emit.verilog import Naming, emit_verilog, naming, parameter_texts
from bnnhw.estimate.parts import Part, by_layer, total
from bnnhw.ir.design import Design
from bnnhw.ir.instances import Instance
from bnnhw.ir.integer import Network
from bnnhw.ir.pipeline import pipeline
from bnnhw.lutmap.cost import check_family
from bnnhw.lutmap.fabric import FABRICS
from bnnhw.tools import yosys
from bnnhw.tools.targets import Cells

MEMORY = "mem/contents.mem"
"""Path of a module's memory file: the same contents are the same synthesis, whatever the layer's name."""


@dataclass(frozen=True)
class Synthesis:
    """What a design costs."""

    target: str
    tool: str
    modules: tuple[Part, ...]
    """In the order of the pipeline; empty where only the whole was asked for."""
    whole: Cells | None
    """Of the flattened top: what crosses the modules' borders is optimised in it. None where only modules were asked for."""

    def layers(self) -> dict[str, Cells]:
        """Totals by layer, in order, and of PORTS."""
        return by_layer(self.modules)

    def total(self) -> Cells:
        """Sum of the modules."""
        return total(self.modules)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for a script."""
        layers = [{"name": name, **asdict(cells)} for name, cells in self.layers().items()]
        modules = [{"name": m.name, "module": m.module, **asdict(m.cells)} for m in self.modules]
        whole = None if self.whole is None else asdict(self.whole)
        return {"target": self.target, "tool": self.tool, "layers": layers, "modules": modules, "whole": whole}


def synthesise(
    net: Network,
    design: Design,
    target: str,
    *,
    files: Mapping[str, str] | None = None,
    modules: bool = True,
    whole: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Synthesis:
    """Synthesise for the family named `target`, several modules at a time.

    `files`: {path: text} of the design's Verilog and memories where they are not those that `emit` gives.
    `progress`: (done, of all). Errors: ToolError; BnnhwError where the design's logic is of another family.
    """
    family, chain, names = yosys.target_of(target), pipeline(net, design), naming(net)
    check_family(FABRICS[design.logic.of_netlists], target)
    given = files or emit_verilog(net, design)
    jobs: dict[object, Callable[[Path], Cells]] = {}
    """By what is synthesised: equal modules with equal parameters and memories once."""
    key_of: dict[str, object] = {}
    if whole:
        jobs[names.module] = partial(yosys.synthesise, given, names.module, family)
    for i in chain.parts if modules else ():
        own, parameters = sources(given, i, names)
        key_of[i.name] = (names.module_of(i), tuple(parameters.items()), own.get(MEMORY))
        jobs[key_of[i.name]] = partial(yosys.synthesise, own, names.module_of(i), family, parameters=parameters)
    found: dict[object, Cells] = {}
    with tempfile.TemporaryDirectory(prefix="bnnhw-") as work, ThreadPoolExecutor(os.cpu_count()) as pool:
        running = {pool.submit(job, Path(work) / str(n)): key for n, (key, job) in enumerate(jobs.items())}
        try:
            for future in as_completed(running):
                found[running[future]] = future.result()
                if progress:
                    progress(len(found), len(jobs))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    rows = tuple(Part(i.name, i.layer, i.module, found[key_of[i.name]]) for i in chain.parts if i.name in key_of)
    return Synthesis(target, yosys.version(), rows, found.get(names.module))


def sources(files: Mapping[str, str], i: Instance, names: Naming) -> tuple[dict[str, str], dict[str, str]]:
    """Files that a module alone needs, and its parameters as Verilog text."""
    own, new, parameters = dict[str, str](), {names.module_of(i)}, dict(parameter_texts(i))
    while new:
        own |= {f"rtl/{name}.v": files[f"rtl/{name}.v"] for name in new}
        texts = [files[f"rtl/{name}.v"] for name in new]
        named = {name for text in texts for name in re.findall(r"\bbnn_\w+", text) + re.findall(r"\w+", re.sub(r"//.*", "", text))}
        new = {name for name in named if f"rtl/{name}.v" in files and f"rtl/{name}.v" not in own}
    if i.memory is not None:
        own[MEMORY] = files[names.memory(i)]
        parameters["FILE"] = f'"{MEMORY}"'
    return own, parameters
