"""Kernel 25: programs that tell strategies apart.

`reorder` needs many Ms at one place at once. `long_way`, a bug of depth 1, needs one M to go a long
way before another makes its first step: a random walk has 1 chance in 2^20, PCT of depth 1 has 1
in 2. It stands for figure 5 of the paper on PCT, a race to an end after a way of some length.
"""

from __future__ import annotations

from typing import Final

from gorun_mem.explore.kernels.entry import Kernel
from gorun_mem.explore.kernels.parts import holding
from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.sync import Event, Lock, Word

SETTERS: Final = 4
WAY: Final = 20
"""Steps of the long way."""


async def _set_both(world: World, fixed: bool) -> None:
    a, b = Word("a"), Word("b")
    lock = Lock("lock")

    async def setter(m: M) -> None:
        async with holding(lock, fixed):
            await a.store(1)
            await b.store(-1)

    async def checker(m: M) -> None:
        async with holding(lock, fixed):
            seen = (await a.load(), await b.load())
        if seen not in ((0, 0), (1, -1)):
            raise AssertionError(f"a and b were seen as {seen}")

    async with world.open_ms() as ms:
        for _ in range(SETTERS):
            ms.start_soon(setter)
        ms.start_soon(checker)


async def reorder(world: World) -> None:
    """Four Ms set two variables one after the other and one looks between."""
    await _set_both(world, False)


async def reorder_fixed(world: World) -> None:
    """All under a lock."""
    await _set_both(world, True)


async def _use_after_the_way(world: World, fixed: bool) -> None:
    pointer = Word("pointer", None)
    ready = Event("ready")
    way = Word("way")

    async def user(m: M) -> None:
        for _ in range(WAY):
            await way.add(1)
        if fixed:
            await ready.wait()
        if await pointer.load() is None:
            raise AssertionError("used before it was set")

    async def setter(m: M) -> None:
        await pointer.store(1)
        await ready.set()

    async with world.open_ms() as ms:
        ms.start_soon(setter)
        ms.start_soon(user)


async def long_way(world: World) -> None:
    """An M makes 20 steps and uses what another sets in its first."""
    await _use_after_the_way(world, False)


async def long_way_fixed(world: World) -> None:
    """It waits until that is set."""
    await _use_after_the_way(world, True)


KERNELS: Final = (
    Kernel(
        25, "reorder-4", reorder, reorder_fixed,
        shows="one of two stores by four Ms is seen",
        look_for="one store of a pair seen and the other not", source="SCTBench",
        kind="AssertionError",
    ),
    Kernel(
        25, "long-way-20", long_way, long_way_fixed,
        shows="something is used before it is set, 20 steps later",
        look_for="the other M's first step, which comes after twenty of this one",
        source="Burckhardt et al., ASPLOS 2010", kind="AssertionError", lesson="long_way",
    ),
)  # fmt: skip
