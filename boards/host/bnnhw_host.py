"""Host driver of a generated network: packs frames, runs them on the FPGA or on the golden model, unpacks what comes back.

    from bnnhw_host import Accelerator

    net = Accelerator("build/my_net")                     # the golden model, on any machine with bnnhw
    net = Accelerator("my_net", "bitstream/system.bit")   # on a PYNQ board, from a copy of the folder
    net = Accelerator("my_net", serial="/dev/ttyUSB1")    # a board at a serial line
    labels = net.classify(frames)                         # [N, channels, rows, columns], or of the same size a frame
    net.update("update.bin")                              # weights of `bnnhw update`, where layers are writable

Needs NumPy; on a board pynq, elsewhere bnnhw. Layouts are those of host/layout.json, from which the Verilog's streams come as well.
"""

from __future__ import annotations

import contextlib
import json
import struct
import time
from pathlib import Path

import numpy as np

MAGIC, VERSION = 0x554E4E42, 1
"""Head of an update file."""
IDENTITY, HOLD, STATUS, FRAMES, MEMORY, DATA, WORD = range(0, 28, 4)
"""Registers, see rtl/bnn_control.v."""
IDLE, WRONG_FRAME = 1, 2
"""Bits of STATUS."""
DMA, CONTROL = "axi_dma_0", "accelerator"
"""Cells of the block design."""
PATIENCE = 5.0
"""Seconds in which the network must have become idle, or given a frame."""


class HostError(Exception):
    """What a caller can mend, in one line."""


class Layout:
    """Bytes of frames and outputs at the ports."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as f:
            described = json.load(f)
        if described.get("bnnhw_layout") != 1:
            raise HostError(f"{path}: is no layout that this driver knows; generate it again")
        self.network, self.label, self.classes = described["network"], described["label"], described["classes"]
        self.input, self.output, self.control = described["input"], described["output"], described["control"]
        codes = self.input["codes"]
        self._codes = None if codes is None else np.array([-1 if code is None else code for code in codes], np.int64)

    def pack(self, frames):
        """[N, bytes] of raw frames [N, ...] of whole numbers. Errors: HostError."""
        x, (channels, rows, columns) = self._rounded(np.asarray(frames)), self.input["shape"]
        size, kind, low, high = channels * rows * columns, self.input["type"], self.input["low"], self.input["high"]
        if x.ndim < 2 or x[:1].size != (size if len(x) else 0):
            raise HostError(f"frames of shape {x.shape} do not fit the input; give [N, {channels}, {rows}, {columns}]")
        values = x.reshape(len(x), channels, rows * columns).transpose(0, 2, 1).reshape(len(x), size).astype(np.int64)
        inside = (values >= low) & (values <= high)
        found = values if self._codes is None else self._codes[np.where(inside, values - low, 0)]
        if not inside.all() or (self._codes is not None and (found < 0).any()):
            raise HostError(f"frames hold values from {x.min()} to {x.max()}, the input is {kind}, {low} to {high}; check the preprocessing")
        return _packed(found, self.input["bits"])

    def _rounded(self, x):
        """Integers as they are; real numbers in the input's unit, to the nearest, where it has one."""
        kind, real = self.input["type"], self.input["real"]
        if np.issubdtype(x.dtype, np.integer):
            return x
        if real is None or not np.issubdtype(x.dtype, np.floating):
            raise HostError(f"frames of type {x.dtype} are not {kind}; quantise them first")
        scaled = (x.astype(np.float64) - real[1]) / real[0]
        if not np.isfinite(scaled).all():
            raise HostError("frames hold NaN or infinity; mend the data")
        return np.where(scaled >= 0, 1, -1) if kind == "bipolar" else np.clip(np.rint(scaled), self.input["low"], self.input["high"]).astype(np.int64)

    def unpack_input(self, raw):
        """Raw frames [N, channels, rows, columns] that `pack` makes these bytes [N, bytes] of."""
        channels, rows, columns = self.input["shape"]
        bits, low = self.input["bits"], self.input["low"]
        found = _unpacked(raw, bits, channels * rows * columns)
        if self._codes is not None:
            found = (np.array([np.argmax(self._codes == code) for code in range(1 << bits)]) + low)[found]
        elif low < 0:
            found -= (found >> (bits - 1)) << bits
        return found.reshape(len(raw), rows, columns, channels).transpose(0, 3, 1, 2)

    def unpack(self, raw):
        """[N, outputs, rows, columns] numbers of the output port's bytes [N, bytes]."""
        channels, rows, columns = self.output["shape"]
        raw, bits = np.asarray(raw, np.uint8), self.output["bits"]
        if raw.ndim != 2 or raw.shape[1] != self.output["bytes"]:
            raise HostError(f"output frames of shape {raw.shape} are not of {self.output['bytes']} bytes; read whole frames")
        codes = _unpacked(raw, bits, channels * rows * columns)
        if self.output["values"] is None:
            codes -= (codes >> (bits - 1)) << bits
        else:
            codes = np.array(self.output["values"], np.int64)[codes]
        return codes.reshape(len(raw), rows, columns, channels).transpose(0, 3, 1, 2)

    def labels(self, outputs):
        """[N] classes of outputs [N, ...]: the first largest, or the highest that is set."""
        flat = outputs.reshape(len(outputs), -1)
        if self.label == "highest_bit":
            flat = np.where(flat > 0, np.arange(flat.shape[1]) + 1, 0)
        return flat.argmax(1)


def _packed(codes, bits):
    """[N, bytes] of codes [N, elements] of so many bits, the first in the low bits."""
    each = (codes[:, :, None] >> np.arange(bits)) & 1
    return np.packbits(each.astype(np.uint8).reshape(len(codes), codes.shape[1] * bits), axis=1, bitorder="little")


def _unpacked(raw, bits, elements):
    """[N, elements] codes of bytes [N, bytes]."""
    each = np.unpackbits(raw, axis=1, count=elements * bits, bitorder="little").reshape(len(raw), elements, bits)
    return (each.astype(np.int64) << np.arange(bits)).sum(2)


class GoldenDevice:
    """The golden model in place of an FPGA: the same bytes in, the same bytes out."""

    def __init__(self, folder, layout):
        try:
            from bnnhw.golden import run
            from bnnhw.ir.store import read_network
        except ImportError:
            raise HostError("no bitstream is given, and bnnhw, which has the golden model, is not installed; pip install bnnhw") from None
        self._run, self._layout, self._net = run, layout, read_network(Path(folder) / "network.npz")

    def run(self, packed):
        """Output bytes [N, bytes] of input bytes [N, bytes]."""
        trace = self._run(self._net, self._layout.unpack_input(packed))
        values = trace.outputs.transpose(0, 2, 3, 1).reshape(len(packed), -1).astype(np.int64)
        known = self._layout.output["values"]
        return _packed(values if known is None else np.searchsorted(known, values), self._layout.output["bits"])

    def read(self, register):
        """There is no register."""
        raise HostError("the golden model has no registers; give a bitstream")

    def write(self, register, value):
        """There is no register."""
        self.read(register)


class PynqDevice:
    """A bitstream of `vivado_board.tcl` under PYNQ: a DMA and, where layers are writable, registers. A transfer a frame."""

    def __init__(self, bitstream, layout):
        import pynq

        self._layout, self._overlay = layout, pynq.Overlay(str(bitstream))
        self._dma = getattr(self._overlay, DMA)
        self._in = pynq.allocate((layout.input["bytes"],), np.uint8)
        self._out = pynq.allocate((layout.output["bytes"],), np.uint8)
        self._control = None
        if layout.control is not None:
            where = self._overlay.ip_dict[CONTROL]
            self._control = pynq.MMIO(where["phys_addr"], 4096)
            if self.read(IDENTITY) != layout.control["identity"]:
                raise HostError(f"{bitstream}: is not of this folder's design; build the bitstream again")

    def run(self, packed):
        """Output bytes [N, bytes] of input bytes [N, bytes]."""
        found = np.empty((len(packed), self._layout.output["bytes"]), np.uint8)
        for n, frame in enumerate(packed):
            self._in[:] = frame
            self._dma.recvchannel.transfer(self._out)
            self._dma.sendchannel.transfer(self._in)
            self._wait()
            found[n] = self._out
        return found

    def _wait(self):
        """Until both ways are done; what goes wrong resets the DMA."""
        until, channels = time.monotonic() + PATIENCE, (self._dma.sendchannel, self._dma.recvchannel)
        while not all(channel.idle for channel in channels):
            if any(channel.error for channel in channels) or time.monotonic() > until:
                self._dma.mmio.write(0, 4)  # a reset, of both
                for channel in channels:
                    channel.start()
                raise HostError("the DMA reports an error, or no output came; is the bitstream that of this folder?")
        for channel in channels:  # makes what was received seen
            channel.wait()

    def read(self, register):
        """A register of the network."""
        return self._control.read(register)

    def write(self, register, value):
        """Set a register of the network."""
        self._control.write(register, int(value))


class SerialDevice:
    """A board with a serial line and the bitstream of `vivado_board.tcl`: bytes of a frame there, bytes of its output back. Needs pyserial."""

    def __init__(self, port, layout, baud=1_000_000):
        import serial

        self._line, self._size = serial.Serial(port, baud, timeout=PATIENCE), layout.output["bytes"]
        self._line.reset_input_buffer()

    def run(self, packed):
        """Output bytes [N, bytes] of input bytes [N, bytes]."""
        return np.array([self._frame(frame.tobytes()) for frame in packed])

    def _frame(self, sent):
        self._line.write(sent)
        found = self._line.read(self._size)
        if len(found) != self._size:
            raise HostError(f"{self._line.port}: {len(found)} of {self._size} bytes came back; press the board's reset and try again")
        return np.frombuffer(found, np.uint8)

    def read(self, register):
        """There is no register."""
        raise HostError("a serial line has no way to registers; use a board with a processor")

    def write(self, register, value):
        """There is no register."""
        self.read(register)


class Accelerator:
    """A network, on a device."""

    def __init__(self, folder, bitstream=None, serial=None, device=None):
        """`folder`: what bnnhw generate wrote, or a copy; `bitstream`: for a PYNQ board; `serial`: a port; the golden model without them; `device`: one's own."""
        self.layout = Layout(Path(folder) / "host" / "layout.json")
        if device is None and serial is not None:
            device = SerialDevice(serial, self.layout)
        if device is None:
            device = GoldenDevice(folder, self.layout) if bitstream is None else PynqDevice(bitstream, self.layout)
        self.device = device

    def run(self, frames):
        """Outputs [N, outputs, rows, columns] of raw frames [N, ...]. Errors: HostError."""
        packed = self.layout.pack(frames)
        if not len(packed):
            return np.zeros((0, *self.layout.output["shape"]), np.int64)
        return self.layout.unpack(self.device.run(packed))

    def classify(self, frames):
        """[N] classes of raw frames [N, ...]."""
        return self.layout.labels(self.run(frames))

    def update(self, file):
        """Write the weights and thresholds of a file of `bnnhw update`: frames inside see the old ones, later ones the new. Errors: HostError."""
        control, device = self.layout.control, self.device
        if control is None:
            raise HostError(f"{self.layout.network}: no layer of it is writable; generate it with --writable")
        records = read_update(file, control)
        try:
            device.write(HOLD, 1)
            until = time.monotonic() + PATIENCE
            while not device.read(STATUS) & IDLE:
                if time.monotonic() > until:
                    raise HostError(f"{self.layout.network}: frames are inside that do not leave; read their outputs first")
            for number, words in records:
                device.write(MEMORY, number)
                for at, parts in enumerate(words):
                    for part in parts:
                        device.write(DATA, part)
                    device.write(WORD, at)
        finally:
            self._go_on()

    def _go_on(self):
        """Let frames in again."""
        with contextlib.suppress(HostError):  # there are no registers, which was told already
            self.device.write(HOLD, 0)


def read_update(file, control):
    """[(memory, [words, parts])] of an update file for the memories of `control`. Errors: HostError."""
    try:
        raw = Path(file).read_bytes()
    except OSError as e:
        raise HostError(f"{file}: cannot be read ({e.strerror}); give a file of bnnhw update") from None
    if len(raw) < 16 or len(raw) % 4 or struct.unpack_from("<II", raw) != (MAGIC, VERSION):
        raise HostError(f"{file}: is no update; give a file of bnnhw update")
    numbers = np.frombuffer(raw, "<u4")
    if numbers[2] != control["identity"]:
        raise HostError(f"{file}: is for another design; make it with bnnhw update from this folder")
    records, at = [], 4
    for number, memory in enumerate(control["memories"]):
        words, parts = memory["words"], -(-memory["bits"] // 32)
        if numbers[at : at + 3].tolist() != [number, words, parts] or len(numbers) < at + 3 + words * parts:
            raise HostError(f"{file}: does not hold {words} words for {memory['name']}; make it again")
        records.append((number, numbers[at + 3 : at + 3 + words * parts].reshape(words, parts)))
        at += 3 + words * parts
    if at != len(numbers) or numbers[3] != len(records):
        raise HostError(f"{file}: holds more than this design's memories; make it again")
    return records
