"""Host drivers without hardware: Python's and C's bytes are those of the ports; a simulated DMA and wrong input."""

from __future__ import annotations

import ctypes
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import bnnhw
from bnnhw import golden
from bnnhw.emit.host import emit_host
from bnnhw.ir.encoding import Integers
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.integer import Network
from bnnhw.ir.layout import pack_frames, pack_outputs
from bnnhw.ir.pipeline import pipeline
from bnnhw.ir.store import network_bytes
from bnnhw.lower import lower
from bnnhw.schedule import fully_folded
from bnnhw.verify.frames import random_frames
from support.ports import PORTS, behind, direct
from support.random_nets import random_case, random_design

STRICT = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror", "-O1"]
SHIM = """
#define _POSIX_C_SOURCE 200809L
#include "bnnhw_host.h"
static struct bnnhw_device shimmed;
uint32_t (*bnnhw_get)(unsigned, unsigned);
void (*bnnhw_set)(unsigned, unsigned, uint32_t);
#define BNNHW_GET(registers, at) ((void)(registers), bnnhw_get((registers) == shimmed.control, (at)))
#define BNNHW_SET(registers, at, value) ((void)(registers), bnnhw_set((registers) == shimmed.control, (at), (value)))
#include "bnnhw_host.c"
#include "layout.h"
const struct bnnhw_layout *shown(void) { return &bnnhw_layout; }
int opened(const char *file) {
  const struct bnnhw_places places = {.mem = file, .dma = 0, .control = 0x1000, .buffer = 0x2000};
  const int error = bnnhw_open(&shimmed, &bnnhw_layout, &places);
  shimmed.patience = 0.2;
  return error;
}
int ran(const void *frame, int64_t *outputs) { return bnnhw_run(&shimmed, frame, outputs); }
int updated(const char *file) { return bnnhw_update(&shimmed, file); }
"""
EINVAL, EIO, ENODEV, ENOTSUP, ETIMEDOUT, EBADMSG = 22, 5, 19, 95, 110, 74


def driver() -> ModuleType:
    """The Python driver, as a host has it."""
    path = Path(__file__).parents[2] / "boards" / "host" / "bnnhw_host.py"
    spec = importlib.util.spec_from_file_location("bnnhw_host", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


host = driver()


def written(net: Network, design: Any, folder: Path) -> Path:
    """A folder with what a host needs."""
    for path, text in emit_host(net, design).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    (folder / "network.npz").write_bytes(network_bytes(net))
    return folder


def compiled(folder: Path) -> ctypes.CDLL:
    """The C driver with the layout of a folder."""
    (folder / "shim.c").write_text(SHIM)
    command = ["gcc", *STRICT, "-shared", "-fPIC", f"-I{folder / 'host'}", "shim.c", "-o", "driver.so"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    library = ctypes.CDLL(str(folder / "driver.so"))
    library.shown.restype = ctypes.c_void_p
    return library


def test_the_c_driver_compiles_without_a_warning(tmp_path: Path) -> None:
    folder = bnnhw.generate("digits_mlp", tmp_path / "d").folder / "host"
    for compiler, standard in (("gcc", "c11"), ("g++", "c++17")):
        flags = [flag for flag in STRICT if not flag.startswith("-std")]
        (folder / "use.c").write_text('#include "bnnhw_host.h"\nint main(void) { return sizeof(struct bnnhw_layout) == 0; }\n')
        files = ["use.c"] + ["bnnhw_host.c"] * (compiler == "gcc")
        done = subprocess.run([compiler, f"-std={standard}", *flags, "-c", *files], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0 and not done.stderr, done.stderr


@pytest.mark.parametrize("seed", range(60))
def test_bytes_of_the_drivers_are_those_of_the_ports(seed: int, tmp_path: Path) -> None:
    net = lower(random_case(seed).trained).network
    design = random_design(net, seed)
    chain, x = pipeline(net, design), random_frames(net.port, 4, seed)
    accelerator = host.Accelerator(written(net, design, tmp_path))
    layout = accelerator.layout
    port = pack_frames(net, chain.source, x).reshape(len(x), -1)
    packed = layout.pack(x)
    assert np.array_equal(packed, port[:, : packed.shape[1]]) and not port[:, packed.shape[1] :].any()
    assert np.array_equal(net.port.levels(layout.unpack_input(packed)), net.port.levels(x))
    want = golden.run(net, x, trace=True)
    out = pack_outputs(net, chain.sink, want.layers[net.layers[-1].name]).reshape(len(x), -1)[:, : layout.output["bytes"]]
    assert np.array_equal(layout.unpack(out), want.outputs)
    assert np.array_equal(accelerator.run(x), want.outputs)
    assert np.array_equal(accelerator.classify(x), net.labels(want.outputs))
    if seed % 6 == 0:
        c_bytes(tmp_path, x, packed, out, want.outputs, net.labels(want.outputs))


@pytest.mark.parametrize("name", PORTS)
def test_bytes_of_every_kind_of_port(name: str, tmp_path: Path) -> None:
    net, _ = behind(name)
    design = fully_folded(net, 100.0)
    chain, x = pipeline(net, design), random_frames(net.port, 20, 1)
    assert np.array_equal(golden.run(net, x).outputs.reshape(20, 4), direct(name, x))
    accelerator = host.Accelerator(written(net, design, tmp_path))
    packed = accelerator.layout.pack(x)
    port = pack_frames(net, chain.source, x).reshape(len(x), -1)
    assert np.array_equal(packed, port[:, : packed.shape[1]]) and not port[:, packed.shape[1] :].any()
    assert np.array_equal(accelerator.run(x).reshape(20, 4), direct(name, x))
    want = golden.run(net, x, trace=True)
    out = pack_outputs(net, chain.sink, want.layers["fc"]).reshape(len(x), -1)[:, : accelerator.layout.output["bytes"]]
    c_bytes(tmp_path, x, packed, out, want.outputs, want.labels)
    for wrong in (net.port.ends[0] - 1, net.port.ends[1] + 1):
        with pytest.raises(host.HostError, match="frames hold values"):
            accelerator.layout.pack(np.full((1, 2, 3, 3), wrong))
        with pytest.raises(BnnhwError, match="frames hold values"):
            net.port.levels(np.full((1, 2, 3, 3), wrong))
    if net.port.real is None:
        return
    unit, offset = net.port.real
    real = np.random.default_rng(2).normal(0, 3, (20, 2, 3, 3))
    rounded = np.clip(np.rint((real - offset) / unit), *net.port.ends).astype(np.int64)
    assert np.array_equal(net.port.rounded(real), rounded)
    assert np.array_equal(accelerator.layout.pack(real), accelerator.layout.pack(rounded))
    with pytest.raises(BnnhwError, match="NaN or infinity"):
        net.port.levels(real * np.nan)


def c_bytes(folder: Path, x: Any, packed: Any, raw: Any, outputs: Any, labels: Any) -> None:
    """The same in C."""
    c = compiled(folder)
    layout = ctypes.c_void_p(c.shown())
    for n, frame in enumerate(x):
        made = np.full(packed.shape[1], 0xA5, np.uint8)
        assert c.bnnhw_pack(layout, np.ascontiguousarray(frame).ctypes.data_as(ctypes.c_void_p), made.ctypes.data_as(ctypes.c_void_p)) == 0
        assert np.array_equal(made, packed[n])
        found, given = np.zeros(outputs[n].size, np.int64), np.ascontiguousarray(raw[n])
        c.bnnhw_unpack(layout, given.ctypes.data_as(ctypes.c_void_p), found.ctypes.data_as(ctypes.c_void_p))
        assert np.array_equal(found, outputs[n].ravel())
        assert c.bnnhw_label(layout, found.ctypes.data_as(ctypes.c_void_p)) == labels[n]


class Emulated:
    """A DMA and a network behind it, as a driver's registers see them; memory is the file."""

    def __init__(self, memory: Path, accelerator: Any) -> None:
        self.memory, self.accelerator, self.registers = memory, accelerator, {0x04: 1, 0x34: 1}
        self.words: list[tuple[int, int]] = []
        self.fault = 0

    def get(self, control: int, at: int) -> int:
        """A register as it is read."""
        if control:
            return {0: self.accelerator.layout.control["identity"], 8: 1}.get(at, 0)
        return int(self.registers.get(at, 0))

    def set(self, control: int, at: int, value: int) -> None:
        """A register as it is written."""
        if control:
            self.words.append((at, value))
            return
        if at in (0x00, 0x30):
            if value & 4:
                self.registers = {0x04: 1, 0x34: 1}
            elif value & 1:
                self.registers[at + 4] = self.registers.get(at + 4, 0) & ~1
        elif at in (0x04, 0x34):
            self.registers[at] &= ~(value & 0x7000)
        else:
            self.registers[at] = value
        if at == 0x28:
            assert self.registers[0x58], "frames go in before there is a place for what comes out"
            self.move()

    def move(self) -> None:
        """A frame through the network."""
        if self.fault == EIO:
            self.registers[0x04] |= 0x10
        if self.fault:
            return
        with self.memory.open("r+b") as f:
            f.seek(self.registers[0x18])
            packed = np.frombuffer(f.read(self.registers[0x28]), np.uint8)
            out = self.accelerator.device.run(packed[None])[0].tobytes()
            assert len(out) == self.registers[0x58]
            f.seek(self.registers[0x48])
            f.write(out)
        self.registers[0x04] |= 0x1002
        self.registers[0x34] |= 0x1002


def connected(c: ctypes.CDLL, emulated: Emulated) -> tuple[Any, Any]:
    """Registers of the C driver are the emulated ones; the callbacks, to be kept."""
    get = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_uint, ctypes.c_uint)(emulated.get)
    put = ctypes.CFUNCTYPE(None, ctypes.c_uint, ctypes.c_uint, ctypes.c_uint32)(emulated.set)
    ctypes.c_void_p.in_dll(c, "bnnhw_get").value = ctypes.cast(get, ctypes.c_void_p).value
    ctypes.c_void_p.in_dll(c, "bnnhw_set").value = ctypes.cast(put, ctypes.c_void_p).value
    return get, put


def test_the_c_driver_moves_frames_by_a_dma(tmp_path: Path) -> None:
    folder = bnnhw.generate("digits_cnn", tmp_path / "d").folder
    accelerator, memory = host.Accelerator(folder), tmp_path / "memory"
    memory.write_bytes(bytes(0x4000))
    c, emulated = compiled(folder), Emulated(memory, accelerator)
    keep = connected(c, emulated)
    assert c.opened(str(tmp_path / "nothing").encode()) == -2
    assert c.opened(str(memory).encode()) == 0
    frames = random_frames(bnnhw.api.open_generated(folder).network.port, 3, 1)
    out = np.zeros(10, np.int64)

    def run(frame: Any) -> int:
        return int(c.ran(np.ascontiguousarray(frame).ctypes.data_as(ctypes.c_void_p), out.ctypes.data_as(ctypes.c_void_p)))

    for frame in frames:
        assert run(frame) == 0
        assert np.array_equal(out, accelerator.run(frame[None]).ravel())
    for fault in (EIO, ETIMEDOUT):
        emulated.fault = fault
        assert run(frames[0]) == -fault
    emulated.fault = 0
    assert run(frames[0]) == 0, "an error must not be the end"
    assert c.updated(b"nothing") == -ENOTSUP
    assert keep


def test_the_c_driver_writes_what_the_python_driver_writes(tmp_path: Path) -> None:
    folder = bnnhw.generate("digits_mlp", tmp_path / "d", writable=["fc2"], fps=20_000).folder
    made = bnnhw.update(folder, "digits_mlp", tmp_path / "new").folder / "host" / "update.bin"
    accelerator, memory = host.Accelerator(folder), tmp_path / "memory"
    memory.write_bytes(bytes(0x4000))
    c, emulated = compiled(folder), Emulated(memory, accelerator)
    keep = connected(c, emulated)
    accelerator.layout.control["identity"] ^= 1
    assert c.opened(str(memory).encode()) == -ENODEV
    accelerator.layout.control["identity"] ^= 1
    assert c.opened(str(memory).encode()) == 0
    assert c.updated(str(made).encode()) == 0
    by_c = emulated.words

    class Recorded:
        def __init__(self) -> None:
            self.words: list[tuple[int, int]] = []

        def read(self, register: int) -> int:
            return 1

        def write(self, register: int, value: int) -> None:
            self.words.append((register, int(value)))

    recorded = Recorded()
    host.Accelerator(folder, device=recorded).update(made)
    assert by_c == recorded.words and len(by_c) > 100
    assert by_c[0] == (4, 1) and by_c[-1] == (4, 0)
    raw = made.read_bytes()
    fewer = raw[:12] + (1).to_bytes(4, "little") + raw[16 : 16 + 12 + 4 * int.from_bytes(raw[20:24], "little") * int.from_bytes(raw[24:28], "little")]
    cuts = [raw[:end] for end in (4, 12, 16, 20, 24, len(raw) - 4)]
    for wrong in (b"", b"x" * 40, raw[:8] + bytes(4) + raw[12:], raw[:20] + bytes(4) + raw[24:], fewer, raw + bytes(4), *cuts):
        (tmp_path / "wrong.bin").write_bytes(wrong)
        assert c.updated(str(tmp_path / "wrong.bin").encode()) == -EBADMSG
        with pytest.raises(host.HostError, match=r"is no update|is for another design|does not hold \d+ words for|holds more than this"):
            host.Accelerator(folder, device=recorded).update(tmp_path / "wrong.bin")
    assert keep


def test_an_update_without_registers_is_refused(tmp_path: Path) -> None:
    folder = bnnhw.generate("digits_mlp", tmp_path / "d", writable=["fc2"], fps=20_000).folder
    made = bnnhw.update(folder, "digits_mlp", tmp_path / "new").folder / "host" / "update.bin"
    with pytest.raises(host.HostError, match=r"^the golden model has no registers; give a bitstream$"):
        host.Accelerator(folder).update(made)
    with pytest.raises(host.HostError, match="cannot be read"):
        host.Accelerator(folder).update(tmp_path / "nothing")


def test_the_python_driver_refuses_wrong_frames(tmp_path: Path) -> None:
    folder = bnnhw.generate("digits_cnn", tmp_path / "d").folder
    accelerator = host.Accelerator(folder)
    shape = accelerator.layout.input["shape"]
    for frames, message in (
        (np.zeros((2, 3, 3), np.uint8), r"^frames of shape \(2, 3, 3\) do not fit the input; give \[N, 1, 8, 8\]$"),
        (np.zeros((2, *shape), np.float32), r"^frames of type float32 are not uint8; quantise them first$"),
        (np.full((2, *shape), 256), r"^frames hold values from 256 to 256, the input is uint8, 0 to 255; check the preprocessing$"),
        (np.full((2, *shape), -1), r"^frames hold values from -1 to -1, the input is uint8, 0 to 255; check the preprocessing$"),
    ):
        with pytest.raises(host.HostError, match=message):
            accelerator.run(frames)
    assert accelerator.run(np.zeros((0, *shape), np.uint8)).shape == (0, 10, 1, 1)
    with pytest.raises(host.HostError, match="no layer of it is writable; generate it with --writable"):
        accelerator.update("nothing")
    (folder / "host" / "layout.json").write_text("{}")
    with pytest.raises(host.HostError, match="is no layout that this driver knows"):
        host.Accelerator(folder)


def test_the_networks_have_every_kind_of_port() -> None:
    """Those whose bytes are compared above."""
    nets = [lower(random_case(seed).trained).network for seed in range(60)]
    assert {net.port.raw for net in nets} == {"uint8", "int8", "bipolar"}
    assert {isinstance(net.layers[-1].out, Integers) for net in nets} == {True, False}


class Channel:
    """A way of PYNQ's DMA: done when both ways were started."""

    def __init__(self, board: PynqBoard) -> None:
        self.board, self.buffer, self.error, self.waited = board, None, False, 0

    @property
    def idle(self) -> bool:
        """Whether the transfer is done."""
        return self.buffer is None

    def transfer(self, buffer: Any) -> None:
        """Start it."""
        self.buffer = buffer
        self.board.move()

    def wait(self) -> None:
        """For the driver, which must not wait for what may never end."""
        assert self.idle
        self.waited += 1

    def start(self) -> None:
        """Again, after a reset."""
        self.buffer, self.error = None, False


class PynqBoard:
    """What stands for the module `pynq`, with a golden model behind the DMA."""

    def __init__(self, folder: Path) -> None:
        self.golden = host.Accelerator(folder)
        self.sendchannel, self.recvchannel = Channel(self), Channel(self)
        self.axi_dma_0, self.mmio, self.ip_dict = self, self, {"accelerator": {"phys_addr": 0x40010000}}
        self.written: list[tuple[int, int]] = []
        self.dead = False

    def Overlay(self, bitstream: str) -> PynqBoard:
        """The overlay with its cells."""
        assert bitstream.endswith(".bit")
        return self

    def MMIO(self, address: int, size: int) -> PynqBoard:
        """Registers of the network."""
        assert (address, size) == (0x40010000, 4096)
        return self

    @staticmethod
    def allocate(shape: tuple[int, ...], dtype: Any) -> Any:
        """A buffer."""
        return np.zeros(shape, dtype)

    def move(self) -> None:
        """A frame, when both ways are started."""
        sent, received = self.sendchannel.buffer, self.recvchannel.buffer
        if sent is None:
            return
        assert received is not None, "frames go in before there is a place for what comes out"
        if self.dead:
            self.recvchannel.error = True
            return
        received[:] = self.golden.device.run(sent[None])[0]
        self.sendchannel.buffer = self.recvchannel.buffer = None

    def read(self, register: int) -> int:
        """The identity, or that the network is idle."""
        return int(self.golden.layout.control["identity"]) if register == host.IDENTITY else host.IDLE

    def write(self, register: int, value: int) -> None:
        """What is written."""
        self.written.append((register, value))


def test_the_python_driver_moves_frames_by_pynq(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = bnnhw.generate("digits_mlp", tmp_path / "d", writable=["fc2"], fps=20_000).folder
    board = PynqBoard(folder)
    monkeypatch.setitem(sys.modules, "pynq", board)  # type: ignore[arg-type]
    accelerator = host.Accelerator(folder, "system.bit")
    frames = random_frames(bnnhw.api.open_generated(folder).network.port, 3, 1)
    assert np.array_equal(accelerator.run(frames), board.golden.run(frames))
    assert board.sendchannel.waited == board.recvchannel.waited == 3
    board.dead = True
    with pytest.raises(host.HostError, match="the DMA reports an error"):
        accelerator.run(frames)
    assert board.written == [(0, 4)], "the DMA was not reset"
    board.dead, board.written = False, []
    assert np.array_equal(accelerator.run(frames), board.golden.run(frames))
    accelerator.update(bnnhw.update(folder, "digits_mlp", tmp_path / "new").folder / "host" / "update.bin")
    assert board.written[0] == (host.HOLD, 1) and board.written[-1] == (host.HOLD, 0) and len(board.written) > 100
    board.golden.layout.control["identity"] ^= 1
    with pytest.raises(host.HostError, match="is not of this folder's design; build the bitstream again"):
        host.Accelerator(folder, "system.bit")
