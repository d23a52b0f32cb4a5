"""Trains, checks and synthesises every method of `methods.yaml`, and writes the table of docs/methods.md.

`python benchmarks/methods.py [--only NAME ...]`; what is done lies in build/methods and is not done again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from rich.progress import Progress

import bnnhw
from bnnhw import data, frontend
from bnnhw.golden import run
from bnnhw.ir.topology import Topology
from bnnhw.lower import lower
from bnnhw.nn.model import build, load_parameters
from bnnhw.nn.train import prepare
from bnnhw.tools import yosys

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "methods"
PAGE = ROOT / "docs" / "methods.md"
BEGIN, END = "<!-- table: begin -->\n", "<!-- table: end -->\n"
INTERVAL_FPS = 12_000
"""At 100 MHz: at most 8,333 cycles a frame."""
INPUTS = {"digits": [1, 8, 8], "mnist": [1, 28, 28]}
RTL_FRAMES = 32


def methods() -> list[dict[str, Any]]:
    """The entries of methods.yaml with the common recipe filled in."""
    file = yaml.safe_load((Path(__file__).parent / "methods.yaml").read_text())
    return [{**m, "train": file["common"] | m.get("train", {})} for m in file["methods"]]


def description(method: dict[str, Any], dataset: str, **train: Any) -> dict[str, Any]:
    """The network of a method for a data set, as plain data of a YAML file."""
    recipe = {"data": dataset, **method["train"]}
    if dataset == "digits":
        recipe |= {"batch": 50, "epochs": 3 * recipe["epochs"]}
    recipe |= train
    quantisers = {k: method[k] for k in ("weights", "first", "last", "activations") if k in method}
    return {
        "bnnhw": 1, "name": method["name"], "input": {"shape": INPUTS[dataset], "type": "uint8", "preprocess": "2p-255"},
        "layers": method.get("replace") or chain(method), "quantisers": quantisers, "train": recipe,
    }  # fmt: skip


def chain(method: dict[str, Any]) -> list[dict[str, Any]]:
    """256-256-10 with batch norm and activation behind each but the last."""
    layers: list[dict[str, Any]] = []
    for n, out in enumerate((256, 256), 1):
        partial = {"partial": method["partial"]} if "partial" in method and n > 1 else {}
        layers.append({"type": "dense", "name": f"fc{n}", "out": out, **partial})
        layers.append({"type": "batchnorm", "name": f"bn{n}", "eps": 1e-5, **({"shift": True} if method.get("shift_norm") else {})})
        levels = "activations" in method
        layers.append({"type": "levels", "name": f"act{n}"} if levels else {"type": "sign", "name": f"act{n}", "zero_to": 1})
    return [*layers, {"type": "dense", "name": "fc3", "out": 10}]


def trained(method: dict[str, Any], dataset: str, folder: Path, **train: Any) -> Path:
    """Train into `folder`; the description that `generate` reads."""
    if method.get("after_real"):
        real = {**method, "weights": {"method": "real"}, "activations": {"method": "real", "function": "relu"}}
        trained({**real, "after_real": False}, dataset, folder / "real", **train)
        train |= {"start": str(folder / "real"), "calibrate": 20}
    folder.mkdir(parents=True, exist_ok=True)
    plain = json.loads(json.dumps(description(method, dataset, **train)))
    (folder / "net.yaml").write_text(yaml.safe_dump(plain, sort_keys=False))
    bnnhw.train(folder / "net.yaml", folder, quiet=True)
    return folder / "network.yaml"


def accuracies(folder: Path, dataset: str) -> dict[str, float]:
    """Percent of the test images: with real scales, in PyTorch's evaluation, in the integer network; the last two must be equal."""
    test = data.load_split(dataset, "test")
    net = Topology.model_validate(yaml.safe_load((folder / "trained.yaml").read_text()))
    model = build(net)
    load_parameters(model, folder)
    model.eval()
    with torch.no_grad():
        real, integer = [], []
        for i in range(0, len(test.x), 500):
            x = prepare(net.input, test.x[i : i + 500])
            real.append(model.real(x)[net.layers[-1].name].flatten(1).argmax(1).numpy())
            integer.append(model(x).flatten(1).numpy())
    sums = np.concatenate(integer)
    golden = run(lower(frontend.load(folder / "network.yaml")).network, test.x)
    assert (golden.outputs.reshape(sums.shape) == sums).all(), f"{folder}: golden differs from PyTorch"
    labels = {"real": np.concatenate(real), "pytorch": sums.argmax(1), "integer": golden.labels}
    return {k: round(100 * float((v == test.y).mean()), 2) for k, v in labels.items()}


def measured(method: dict[str, Any]) -> dict[str, Any]:
    """Everything of one method's row."""
    folder = BUILD / method["name"]
    file = folder / "result.json"
    if file.is_file():
        return json.loads(file.read_text())
    found: dict[str, Any] = {"yosys": yosys.version()}
    for dataset in ("digits", "mnist"):
        described = trained(method, dataset, folder / dataset)
        found[dataset] = accuracies(described.parent, dataset)
    shutil.rmtree(folder / "design", ignore_errors=True)
    made = bnnhw.generate(folder / "mnist" / "network.yaml", folder / "design", fps=INTERVAL_FPS)
    report = bnnhw.verify(folder / "design", frames=RTL_FRAMES, data="mnist")
    assert report.passed, report
    found["cycles"] = report.rungs[-1].interval_cycles
    assert found["cycles"] == made.pipeline.interval
    found["weight_bits"] = made.network.weight_bits
    found |= asdict(bnnhw.synth(folder / "design", "xc7", modules=False).whole)
    file.write_text(json.dumps(found, indent=1) + "\n")
    return found


def put_table(page: Path, lines: str) -> None:
    """Replace what stands between BEGIN and END of a page."""
    before, rest = page.read_text().split(BEGIN)
    _, after = rest.split(END)
    page.write_text(f"{before}{BEGIN}{lines}{END}{after}")


def row(method: dict[str, Any], found: dict[str, Any]) -> str:
    """A line of the table."""
    cells = [method["title"], method["source"], method["bits"]]
    for dataset in ("digits", "mnist"):
        a = found[dataset]
        cost = a["integer"] - a["real"]
        cells += [f"{a['integer']:.2f}", f"{cost:+.2f}" if cost else "0"]
    cells += [f"{found['cycles']:,}", f"{found['luts']:,}", f"{found['dsps']}", f"{found['block_rams']:g}", f"{found['weight_bits']:,}"]
    return f"| {' | '.join(cells)} |\n"


def main() -> None:
    """Measure what is missing, then write the table of what is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", help="names of methods.yaml to measure")
    wanted = parser.parse_args().only
    listed = [m for m in methods() if not wanted or m["name"] in wanted]
    failed = []
    with Progress() as progress:
        task = progress.add_task("methods", total=len(listed))
        for method in listed:
            try:
                found = measured(method)
                progress.console.print(f"{method['name']}: digits {found['digits']}, MNIST {found['mnist']}, {found['luts']} LUTs")
            except Exception as e:  # one method's fault must not lose the others' hours
                failed.append(method["name"])
                progress.console.print(f"{method['name']}: {type(e).__name__}: {e}")
            progress.advance(task)
    done = [(m, BUILD / m["name"] / "result.json") for m in methods()]
    rows = "".join(row(m, json.loads(f.read_text())) for m, f in done if f.is_file())
    head = "| method | source | bits | digits % | cost | MNIST % | cost | cycles | LUTs | DSP | BRAM36 | weight bits |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n"
    put_table(PAGE, head + rows)
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
