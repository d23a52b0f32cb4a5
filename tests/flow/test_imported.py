"""Published and trained foreign models on the whole way: reader, golden, RTL; and the integer network back in QONNX' executor."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import bnnhw
from bnnhw import data, frontend
from bnnhw.emit.qonnx import qonnx_bytes
from bnnhw.frontend.brevitas_net import EXPORTERS, export_qonnx
from bnnhw.frontend.onnx_run import run_onnx
from bnnhw.golden import run
from bnnhw.imports import check, onnx_model
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.integer import Network
from bnnhw.lower import lower
from bnnhw.schedule import fold_for_interval
from bnnhw.verify.csim import CSimulation
from bnnhw.verify.frames import Frames, random_frames
from bnnhw.verify.rtl import Simulation
from support import random_integer
from support.ports import PORTS, behind, direct
from support.published import lfc

warnings.filterwarnings("ignore", module="onnxruntime")
TFC = {"TFC_1W1A": 9296, "TFC_2W2A": 9660}
TINY = ("tiny_default_torchscript", "tiny_default_dynamo")


def saved(folder: Path, name: str) -> dict[str, NDArray]:
    with np.load(folder / f"{name}_expected.npz") as z:
        return {key: z[key] for key in z.files}


def mnist(data_folder: Path) -> NDArray[np.uint8]:
    return data.load_split("mnist", "test").x


@pytest.mark.parametrize("name", TFC)
def test_tfc_gives_all_saved_labels_and_tensors(name: str, models_folder: Path, data_folder: Path) -> None:
    model, expected, x = onnx_model(models_folder / f"{name}.onnx"), saved(models_folder, name), mnist(data_folder)
    trained = model.recognised.trained
    labels = run(lower(trained).network, x).labels
    assert (labels == expected["argmax"]).all()
    assert (labels == expected["labels"]).sum() == TFC[name]
    net = lower(trained, drop=False).network
    trace = run(net, x[:64], trace=True)
    for at, layer in enumerate(net.layers[:-1]):
        kind = "BipolarQuant" if name == "TFC_1W1A" else "Quant"
        values = layer.out.values[trace.layers[layer.name]].reshape(64, -1)  # type: ignore[union-attr]
        assert (values == expected[f"t:{kind}_{at + 5}"]).all()
    assert (trace.outputs.reshape(64, -1) == expected["t:MatMul_3"]).all()


@pytest.mark.parametrize("name", TINY)
def test_tiny_gives_all_saved_labels_and_tensors(name: str, models_folder: Path, data_folder: Path) -> None:
    """Of both exporters, 2,000 labels of Brevitas and 64 of QONNX' executor."""
    model, expected = onnx_model(models_folder / f"{name}.onnx"), saved(models_folder, "tiny_default")
    x = np.rint(expected["input"] * 255).astype(np.uint8)
    found = check(model, 64, Frames(x, None, "saved"), 0)
    assert found.equal, found.parted
    net = lower(model.recognised.trained).network
    assert (run(net, x).labels == expected["logits_qonnx"].argmax(1)).all()
    assert (run(net, mnist(data_folder)[:2000]).labels == expected["logits_all"].argmax(1)).all()


def test_jet_tagging_gives_all_saved_labels_and_tensors(models_folder: Path, tmp_path: Path) -> None:
    """Float features that are multiples of 2**-10, through a port of 16 bits, in golden, RTL and C++."""
    path, expected = models_folder / "qkeras_jettagging.onnx", saved(models_folder, "qkeras_jettagging")
    found = check(onnx_model(path, "fixed<16,6>"), 64, Frames(expected["input"], None, "saved"), 0)
    assert found.equal, found.parted
    made = bnnhw.generate(path, tmp_path / "d", input_as="fixed<16,6>", fps=300_000, backend="both")
    assert (run(made.network, expected["input"]).labels == expected["output"].argmax(1)).all()
    for level in ("csim", "rtl"):
        report = bnnhw.verify(tmp_path / "d", frames=10, level=level, data=expected["input"])
        assert report.passed, level


def test_qonnx_models_in_c_simulation(models_folder: Path, data_folder: Path, tmp_path: Path) -> None:
    nets = [lower(onnx_model(models_folder / f"{name}.onnx").recognised.trained).network for name in (*TFC, TINY[0])]
    x = mnist(data_folder)[:50]
    runs = CSimulation([(net, fold_for_interval(net, 20_000, 100.0)) for net in nets], tmp_path).run([x] * len(nets))
    for net, seen in zip(nets, runs, strict=True):
        assert not seen.problems
        assert (seen.outputs == run(net, x).outputs).all()


def test_qonnx_models_in_rtl(models_folder: Path, data_folder: Path, tmp_path: Path) -> None:
    nets = [lower(onnx_model(models_folder / f"{name}.onnx").recognised.trained).network for name in (*TFC, *TINY)]
    x = mnist(data_folder)[:5]
    runs = Simulation([(net, fold_for_interval(net, 8_000, 100.0)) for net in nets], tmp_path).run([x] * len(nets))
    for net, seen in zip(nets, runs, strict=True):
        assert (seen.outputs == run(net, x).outputs).all()


def test_a_larq_network_gives_its_labels(tmp_path: Path) -> None:
    """Exported by tests/support/larq/make.py: channels last, sign(sign(x) + 0.1), margins of ones, batch norms melted into weights."""
    folder = Path(random_integer.__file__).parent / "larq"
    with np.load(folder / "expected.npz") as z:
        frames, labels = z["frames"], z["outputs"].argmax(1)
    found = check(onnx_model(folder / "net.onnx"), 24, Frames(frames, None, "saved"), 0)
    assert found.equal and len(found.layers) == 2, found.parted
    made = bnnhw.generate(folder / "net.onnx", tmp_path / "d", fps=1000)
    assert [type(layer).__name__ for layer in made.network.layers] == ["MatVec", "Pool", "MatVec", "MatVec"]
    assert (run(made.network, frames.reshape(-1, 1, 12, 12)).labels == labels).all()
    assert bnnhw.verify(tmp_path / "d", frames=3).passed


def brevitas_net() -> Any:
    """Convolutions, dense layers, two kinds of quantisers, a residual add of one quantiser's tensors."""
    torch = pytest.importorskip("torch")
    qnn = pytest.importorskip("brevitas.nn")
    from brevitas.core.restrict_val import RestrictValueType
    from brevitas.core.scaling import ScalingImplType
    from brevitas.inject.enum import QuantType

    nn = torch.nn
    binary: dict[str, Any] = {"weight_quant_type": QuantType.BINARY, "weight_scaling_impl_type": ScalingImplType.CONST, "weight_scaling_init": 1.0}

    class Net(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            act: dict[str, Any] = {"quant_type": QuantType.INT, "bit_width": 2, "restrict_scaling_type": RestrictValueType.LOG_FP}
            self.inp = qnn.QuantIdentity(bit_width=8, return_quant_tensor=False, scaling_impl_type=ScalingImplType.CONST, max_val=1.0, min_val=-1.0)
            self.conv1 = qnn.QuantConv2d(1, 6, 3, padding=1, bias=False, weight_bit_width=4)
            self.bn1, self.act1 = nn.BatchNorm2d(6), qnn.QuantReLU(max_val=4.0, **act)
            self.conv2 = qnn.QuantConv2d(6, 6, 3, padding=1, bias=False, **binary)
            self.bn2, self.pool = nn.BatchNorm2d(6), nn.MaxPool2d(2)
            self.act2 = qnn.QuantIdentity(quant_type=QuantType.BINARY, scaling_impl_type=ScalingImplType.CONST, min_val=-1.0, max_val=1.0)
            self.fc = qnn.QuantLinear(6 * 4 * 4, 4, bias=True, weight_bit_width=3)

        def forward(self, x: Any) -> Any:
            x = self.act1(self.bn1(self.conv1(self.inp(x))))
            x = self.act2(self.pool(self.bn2(self.conv2(x))))
            return self.fc(x.flatten(1))

    return torch, Net()


@pytest.fixture(scope="module")
def trained_brevitas() -> Any:
    """Trained for some steps on which quarter of an image is bright."""
    torch, net = brevitas_net()
    torch.manual_seed(0)
    optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(60):
        y = torch.randint(0, 4, (64,))
        x = torch.rand(64, 1, 8, 8) * 0.5
        for n, label in enumerate(y.tolist()):
            x[n, 0, 4 * (label // 2) : 4 * (label // 2) + 4, 4 * (label % 2) : 4 * (label % 2) + 4] += 0.4
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(x), y)
        loss.backward()
        optimiser.step()
    assert loss < 0.5
    return torch, net.eval()


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_a_brevitas_net_is_exported_and_generated(exporter: str, trained_brevitas: Any, tmp_path: Path) -> None:
    torch, net = trained_brevitas
    path = export_qonnx(net, torch.rand(1, 1, 8, 8), tmp_path / "net.onnx", exporter)
    model = onnx_model(path)
    found = check(model, 30, None, 1)
    assert found.labels_equal == 30
    assert found.parted is None or found.parted.in_doubt
    x = random_frames(lower(model.recognised.trained).network.port, 30, 2)
    with torch.no_grad():
        wanted = net(torch.from_numpy(x).float() / 255).argmax(1).numpy()
    trained = bnnhw.from_brevitas(net, torch.rand(1, 1, 8, 8), exporter=exporter)
    made = bnnhw.generate(trained, tmp_path / "d")
    assert (run(made.network, x).labels == wanted).all()
    assert bnnhw.verify(tmp_path / "d", frames=2).passed


# Interop out.


def assert_qonnx_equals(net: Network, frames: NDArray[np.integer], folder: Path) -> None:
    path = folder / "out.onnx"
    path.write_bytes(qonnx_bytes(net))
    outputs, wanted = run_onnx(path, frames.astype(np.float32))["global_out"], run(net, frames).outputs
    assert outputs.shape == wanted.shape
    assert (outputs == wanted).all()


def assert_random_are_equal(seeds: range, folder: Path) -> None:
    refused = 0
    for seed in seeds:
        net = random_integer.random_network(seed)
        try:
            assert_qonnx_equals(net, random_frames(net.port, 2, seed), folder)
        except BnnhwError as e:
            assert "narrows partial sums" in str(e) or "is exact below" in str(e)
            refused += 1
    assert refused < len(seeds) / 3


@pytest.mark.parametrize("start", range(0, 40, 20))
def test_random_networks_run_in_qonnx_executor(start: int, tmp_path: Path) -> None:
    assert_random_are_equal(range(start, start + 20), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("start", range(1000, 2000, 200))
def test_many_random_networks_run_in_qonnx_executor(start: int, tmp_path: Path) -> None:
    assert_random_are_equal(range(start, start + 200), tmp_path)


@pytest.mark.parametrize("name", [n for n in frontend.zoo_names() if n != "bnn_cifar10"])
def test_the_zoo_runs_in_qonnx_executor(name: str, tmp_path: Path) -> None:
    net = lower(frontend.load(name)).network
    assert_qonnx_equals(net, random_frames(net.port, 3, 1), tmp_path)


def test_the_published_lfc_runs_in_qonnx_executor(models_folder: Path, tmp_path: Path) -> None:
    net = lfc(models_folder)
    assert_qonnx_equals(net, random_frames(net.port, 2, 1), tmp_path)


def test_imported_models_go_out_and_come_back(models_folder: Path, tmp_path: Path) -> None:
    """QONNX in, integers, QONNX out: the executor gives the same labels for the same pictures."""
    net = lower(onnx_model(models_folder / f"{TINY[0]}.onnx").recognised.trained).network
    expected = saved(models_folder, "tiny_default")
    x = np.rint(expected["input"][:8] * 255).astype(np.uint8)
    path = bnnhw.export_qonnx(models_folder / f"{TINY[0]}.onnx", tmp_path / "out.onnx")
    outputs = run_onnx(path, x.astype(np.float32))["global_out"]
    assert (outputs == run(net, x).outputs).all()
    assert (outputs.reshape(8, -1).argmax(1) == expected["logits_qonnx"][:8].argmax(1)).all()


# Ports of every kind.


def test_every_kind_of_port_in_rtl_and_c_simulation(tmp_path: Path) -> None:
    nets = [behind(name)[0] for name in PORTS]
    chosen = [(net, fold_for_interval(net, 60, 100.0)) for net in nets]
    frames = [random_frames(net.port, 6, 3) for net in nets]
    rtl = Simulation(chosen, tmp_path / "rtl").run(frames, stalls="random")
    csim = CSimulation(chosen, tmp_path / "csim", optimise=0, sanitise=True).run(frames)
    for name, x, *runs in zip(PORTS, frames, rtl, csim, strict=True):
        for seen in runs:
            assert (seen.outputs.reshape(6, 4) == direct(name, x)).all(), name
