"""Kernel 26: a store that is late."""

from __future__ import annotations

from typing import Final

from gorun_mem.explore.kernels.entry import Kernel
from gorun_mem.machine.config import Config
from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.sync import Word


async def _two_flags(world: World, fixed: bool) -> None:
    flags = [Word("flag1"), Word("flag2")]
    inside = Word("inside")

    async def visitor(m: M, me: int) -> None:
        mine, other = flags[me], flags[1 - me]
        await (mine.store(1) if fixed else mine.store_release(1))
        if await other.load():
            return  # the other may be inside
        if await inside.add(1) > 1:
            raise AssertionError("two Ms are inside")
        await inside.add(-1)

    async with world.open_ms() as ms:
        for me in range(2):
            ms.start_soon(visitor, me)


async def store_buffering(world: World) -> None:
    """Each of two Ms raises its flag and looks for the other's, with no fence between."""
    await _two_flags(world, False)


async def store_buffering_fixed(world: World) -> None:
    """The flag is raised by an exchange, which is a fence."""
    await _two_flags(world, True)


KERNELS: Final = (
    Kernel(
        26, "store-buffering", store_buffering, store_buffering_fixed,
        shows="two Ms are where one may be, for their stores are late",
        look_for="a load of the other's flag while that store is still in its buffer",
        source="Dekker; x86-TSO (CACM 2010)", kind="AssertionError",
        config=Config(ms=2, memory="tso"),
    ),
)  # fmt: skip
