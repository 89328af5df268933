"""Programs that the tests of the search explore."""

from __future__ import annotations

import multiprocessing
import os
import random
import time

from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.sync import Lock, Word


async def lost_update(world: World) -> None:
    """Two Ms add to one variable; an addition may be lost."""
    cell = Word("bloc")

    async def add(m: M) -> None:
        value = await cell.load()
        await cell.store(value + 1)

    async with world.open_ms() as ms:
        ms.start_soon(add)
        ms.start_soon(add)
    assert cell.value == 2, "an addition was lost"


async def kept_update(world: World) -> None:
    """The same under a lock: nothing is lost."""
    cell, lock = Word("bloc"), Lock("L")

    async def add(m: M) -> None:
        await lock.acquire()
        value = await cell.load()
        await cell.store(value + 1)
        await lock.release()

    async with world.open_ms() as ms:
        ms.start_soon(add)
        ms.start_soon(add)
    assert cell.value == 2, "an addition was lost"


async def crossed(world: World) -> None:
    """Two locks taken in two orders."""
    a, b = Lock("a"), Lock("b")

    async def take(m: M, first: Lock, then: Lock) -> None:
        await first.acquire()
        await then.acquire()
        await then.release()
        await first.release()

    async with world.open_ms() as ms:
        ms.start_soon(take, a, b)
        ms.start_soon(take, b, a)


async def two_bugs(world: World) -> None:
    """Either of two assertions may fail, at places of their own."""
    a, b = Word("a"), Word("b")

    async def one(m: M) -> None:
        await a.store(1)
        await b.store(1)

    async def other(m: M) -> None:
        if await b.load():
            assert not await a.load(), "saw both"
        assert not await a.load(), "saw a"

    async with world.open_ms() as ms:
        ms.start_soon(one)
        ms.start_soon(other)


async def many(world: World) -> None:
    """More schedules than can be run, none of which fails."""
    lock = Lock("L")

    async def take(m: M) -> None:
        for _ in range(6):
            await lock.acquire()
            await lock.release()

    async with world.open_ms() as ms:
        for _ in range(4):
            ms.start_soon(take)


async def rare(world: World) -> None:
    """One order of many: the reader goes after two additions, and then last."""
    cell = Word("x")

    async def writer(m: M) -> None:
        for _ in range(3):
            await cell.add(1)

    async def reader(m: M) -> None:
        first = await cell.load()
        then = await cell.load()
        assert (first, then) != (2, 6), "saw 2 and then 6"

    async with world.open_ms() as ms:
        ms.start_soon(writer)
        ms.start_soon(writer)
        ms.start_soon(reader)


async def by_chance(world: World) -> None:
    """Draws from a generator that no schedule knows."""
    cell = Word("x")

    async def add(m: M) -> None:
        for _ in range(random.randrange(1, 40)):
            await cell.add(1)

    async with world.open_ms() as ms:
        ms.start_soon(add)
        ms.start_soon(add)


async def spins(world: World) -> None:
    """One M looks again and again for what the other does not do."""
    cell = Word("x")

    async def wait(m: M) -> None:
        while not await cell.load():
            await m.pause()

    async def other(m: M) -> None:
        await cell.load()

    async with world.open_ms() as ms:
        ms.start_soon(wait)
        ms.start_soon(other)


async def slow(world: World) -> None:
    """Takes real time: 5 ms a run."""
    await kept_update(world)
    time.sleep(0.005)  # noqa: ASYNC251 - the time is real


async def foreign(world: World) -> None:
    """Awaits what is no operation."""
    import asyncio

    async def sleep(m: M) -> None:
        await asyncio.sleep(0)

    async with world.open_ms() as ms:
        ms.start_soon(sleep)


async def gives_up(world: World) -> None:
    """One M polls a flag 20 times at most, and fails unless it stood at the first look."""
    ready = Word("ready", False)

    async def poll(m: M) -> None:
        looks = 1
        while not await ready.load() and looks <= 20:
            await m.pause()
            looks += 1
        assert looks == 1, "the flag did not stand at the first look"

    async def work(m: M) -> None:
        await ready.store(True)

    async with world.open_ms() as ms:
        ms.start_soon(poll)
        ms.start_soon(work)


async def exits_in_a_child(world: World) -> None:
    """Ends the process that it runs in, unless that is the first one."""
    if multiprocessing.parent_process() is not None:
        os._exit(3)
    await many(world)
