"""Registers at AXI4-Lite, driven by cocotbext-axi: what is read, which words are written where, and what is refused."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp

from bnnhw.ir.hardware import index_bits
from sim.corners import Corner, pack, unpack
from sim.streams import cycles_of, for_corners, rng_for

Write = Callable[[int, int], Awaitable[bool]]
Read = Callable[[int], Awaitable[int | None]]
IDENTITY, HOLD, STATUS, FRAMES, MEMORY, DATA, WORD = range(0, 28, 4)
CORNERS = {
    f"memories_{n}_bits_{bits}": Corner(
        {
            "N_MEMORIES": n,
            "DATA_W": bits,
            "ADDR_W": address,
            "MEMORY_W": index_bits(n),
            "IDENTITY": 0x8BAD0000 + n,
            "WORDS": pack([max(1, (1 << address) - 3 * k) for k in range(n)], address + 1),
        }
    )
    for n, bits, address in ((1, 32, 1), (2, 64, 4), (3, 96, 9), (7, 640, 12), (8, 32, 16))
}


def pauses(rng: random.Random, mode: str) -> Iterator[bool]:
    """Stalls of a channel."""
    while True:
        yield mode == "random" and rng.random() < 0.5


async def words_go_where_they_should(corner: str, rng: random.Random, write: Write, read: Read) -> list[tuple[int, int, int]]:
    """Words to memories and addresses that there are, which must be all that is written, and to others."""
    c = CORNERS[corner]
    expected = []
    for _ in range(12):
        memory = rng.randrange(c["N_MEMORIES"])
        words = unpack(c["WORDS"], c["N_MEMORIES"], c["ADDR_W"] + 1)[memory]
        address = rng.choice((0, words - 1, rng.randrange(words)))
        parts = [rng.getrandbits(32) for _ in range(c["DATA_W"] // 32)]
        assert await write(MEMORY, memory) and await read(MEMORY) == memory
        for part in parts:
            assert await write(DATA, part)
        for beyond in (words, 1 << 31, (1 << c["ADDR_W"]) + address):
            assert not await write(WORD, beyond), f"{corner}: a word was written to {beyond} of {words}"
        for beyond in (c["N_MEMORIES"], 1 << c["MEMORY_W"], 1 << 31):
            assert not await write(MEMORY, beyond), f"{corner}: memory {beyond} was accepted"
        assert await read(MEMORY) == memory
        assert await write(WORD, address)
        expected.append((1 << memory, address, sum(part << 32 * n for n, part in enumerate(parts))))
    return expected


@cocotb.test(timeout_time=1_000_000, timeout_unit="step")
@cocotb.parametrize(mode=("none", "random"))
async def reads_and_writes(dut: Any, mode: str) -> None:
    async def job(corner: str) -> None:
        c, rng = CORNERS[corner], rng_for(f"{corner}/{mode}")
        signal = {name: getattr(dut, f"{corner}_{name}") for name in ("rst", "hold", "idle", "err", "frames", "w_en", "w_addr", "w_data")}
        for name in ("idle", "err", "frames"):
            signal[name].value = 0
        signal["rst"].value = 1
        master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, f"{corner}_s_axi"), dut.clk, signal["rst"])
        for n, channel in enumerate((*vars(master.write_if).values(), *vars(master.read_if).values())):
            if hasattr(channel, "set_pause_generator"):
                channel.set_pause_generator(pauses(rng_for(f"{corner}/{mode}/{n}"), mode))
        await cycles_of(dut.clk, 3)
        signal["rst"].value = 0
        done: list[tuple[int, int, int]] = []

        async def watch() -> None:
            while True:
                await RisingEdge(dut.clk)
                enabled = int(signal["w_en"].value)
                if enabled:
                    done.append((enabled, int(signal["w_addr"].value), int(signal["w_data"].value)))

        watching = cocotb.start_soon(watch())

        async def write(at: int, value: int, size: int = 4) -> bool:
            answer = await master.write(at, value.to_bytes(4, "little")[:size])
            return bool(answer.resp == AxiResp.OKAY)

        async def read(at: int) -> int | None:
            answer = await master.read(at, 4)
            return int.from_bytes(answer.data, "little") if answer.resp == AxiResp.OKAY else None

        assert await read(IDENTITY) == c["IDENTITY"]
        assert (await read(HOLD), await read(STATUS), await read(MEMORY), await read(FRAMES)) == (0, 0, 0, 0)
        assert await write(HOLD, 1) and signal["hold"].value == 1 and await read(HOLD) == 1
        signal["err"].value, signal["frames"].value = 1, 0xFEDCBA98
        await cycles_of(dut.clk, 1)
        assert await read(STATUS) == 2 and await read(FRAMES) == 0xFEDCBA98
        assert not await write(WORD, 0), f"{corner}: a word was written while frames are inside"
        assert not done
        signal["idle"].value = 1
        await cycles_of(dut.clk, 1)
        assert await read(STATUS) == 3
        expected = await words_go_where_they_should(corner, rng, write, read)
        assert done == expected, f"{corner}: other words were written"
        for at in (IDENTITY, STATUS, FRAMES, WORD + 4, 0x800, 0xFFC):
            assert not await write(at, 1), f"{corner}: a write of {at:#x} was accepted"
        for at in (DATA, WORD, WORD + 4, 0xFFC):
            assert await read(at) is None, f"{corner}: {at:#x} can be read"
        assert not await write(HOLD, 0, size=1) and signal["hold"].value == 1, f"{corner}: a part of a register was written"
        assert done == expected
        assert await write(HOLD, 0) and signal["hold"].value == 0
        watching.cancel()

    await for_corners(dut, CORNERS, job)
