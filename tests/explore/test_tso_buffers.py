"""What a store buffer does, seen from programs."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from gorun_mem.explore.search import explore
from gorun_mem.machine.config import Config, ConfigError
from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.sync import Cell, Event, Lock, Semaphore, Word, fence
from tests.explore.test_tso_programs import both, search

# What a buffer does.


def outcomes(program: Callable[[World, set[Any]], Coroutine[Any, Any, None]], strategy: str) -> Any:
    """What all runs under tso have seen."""
    seen: set[Any] = set()

    async def main(world: World) -> None:
        await program(world, seen)

    found = explore(
        main, config=Config(ms=2), memory="tso", strategy=strategy, budget=400_000, canary=False
    )
    assert found.verdict == "exhausted", found.reason
    return seen


STRATEGIES = pytest.mark.parametrize("strategy", ["exhaustive", "dfs"])


@STRATEGIES
def test_an_m_ends_when_its_stores_are_in_memory(strategy: str) -> None:
    """Whoever has waited for it sees them; an M that looks before may not."""

    async def program(world: World, seen: set[Any]) -> None:
        x, y = Word("x"), Word("y")
        looked = []

        async def storing(m: M) -> None:
            await x.store_release(1)
            await y.store_release(1)

        async def looking(m: M) -> None:
            looked.append((await y.load(), await x.load()))

        async with world.open_ms() as ms:
            ms.start_soon(storing)
            ms.start_soon(looking)
        assert (x.value, y.value) == (1, 1)
        assert await x.load() == 1
        seen.add(looked[0])

    assert outcomes(program, strategy) == {(0, 0), (0, 1), (1, 1)}


@STRATEGIES
def test_an_m_begins_after_what_its_starter_stored(strategy: str) -> None:
    """Starting an M is a fence for the new one, and for nobody else."""

    async def program(world: World, seen: set[Any]) -> None:
        x, looked = Word("x"), [9, 9]

        async def child(m: M) -> None:
            looked[0] = await x.load()

        async def starter(m: M) -> None:
            await x.store_release(1)
            async with world.open_ms() as inner:
                inner.start_soon(child)

        async def other(m: M) -> None:
            looked[1] = await x.load()

        async with world.open_ms() as ms:
            ms.start_soon(starter)
            ms.start_soon(other)
        seen.add(tuple(looked))

    assert outcomes(program, strategy) == {(1, 0), (1, 1)}


@STRATEGIES
def test_what_is_stored_alone_is_in_memory(strategy: str) -> None:
    """Before anybody was started and after all were waited for, `value` is what was stored."""

    async def program(world: World, seen: set[Any]) -> None:
        cell = Cell("cell")
        await cell.store(1)
        assert cell.value == 1

        async def child(m: M) -> None:
            seen.add(await cell.load())
            await cell.store(2)

        async with world.open_ms() as ms:
            ms.start_soon(child)
        assert cell.value == 2
        await cell.store(3)
        assert cell.value == 3

    assert outcomes(program, strategy) == {1}


@STRATEGIES
def test_locks_semaphores_events_and_sleeps_are_fences(strategy: str) -> None:
    """What was stored before is seen after by whoever was let in."""

    async def program(world: World, seen: set[Any]) -> None:
        x, y, z = Word("x"), Word("y"), Word("z")
        event, semaphore, lock = Event("event"), Semaphore("semaphore", 0), Lock("lock")

        async def one(m: M) -> None:
            await x.store_release(1)
            await event.set()
            await y.store_release(1)
            await semaphore.release()
            async with lock:
                await z.store_release(1)

        async def other(m: M) -> None:
            await event.wait()
            first = await x.load()
            await semaphore.acquire()
            second = await y.load()
            async with lock:
                third = await z.load()
            seen.add((first, second, third))

        async with world.open_ms() as ms:
            ms.start_soon(one)
            ms.start_soon(other)

    assert outcomes(program, strategy) == {(1, 1, 0), (1, 1, 1)}


@STRATEGIES
def test_user_memory_is_buffered_word_by_word(strategy: str) -> None:
    """An M sees its own bytes at once, those of a store to an overlapping word too."""

    async def program(world: World, seen: set[Any]) -> None:
        addr = await world.main.sys_alloc(65536)
        looked: list[int] = []

        async def storing(m: M) -> None:
            await m.store(addr, 0x1111111111111111)
            assert await m.load(addr) == 0x1111111111111111
            assert await m.load(addr + 4) == 0x11111111

        async def looking(m: M) -> None:
            looked.append(await m.load(addr))

        async with world.open_ms() as ms:
            ms.start_soon(storing)
            ms.start_soon(looking)
        seen.add(looked[0])

    assert outcomes(program, strategy) == {0, 0x1111111111111111}


def test_a_deadlock_is_judged_with_empty_buffers() -> None:
    """A store that is late wakes nobody up too late: who spins on it gets it."""

    async def main(world: World) -> None:
        flag, go = Word("flag"), Event("go")

        async def storing(m: M) -> None:
            await flag.store_release(1)
            await go.wait()

        async def spinning(m: M) -> None:
            while not await flag.load():
                await m.pause()
            await go.set()

        async with world.open_ms() as ms:
            ms.start_soon(storing)
            ms.start_soon(spinning)

    assert search(main).verdict == "exhausted"
    assert search(main, strategy="random", budget=300).verdict == "survived"


@pytest.mark.parametrize("strategy", ["exhaustive", "auto", "pos"])
def test_no_detector_is_alarmed_where_all_is_ordered(strategy: str) -> None:
    """Cells under a lock, published by a flag, and handed over by an event: no race, no leak."""

    async def main(world: World) -> None:
        cell, flag, lock = Cell("cell"), Word("flag"), Lock("lock")
        other, done = Cell("other"), Event("done")

        async def one(m: M) -> None:
            async with lock:
                await cell.store(await cell.load() + 1)
            await other.store(1)
            await flag.store_release(1)

        async def two(m: M) -> None:
            async with lock:
                await cell.store(await cell.load() + 1)
            if await flag.load():
                assert await other.load() == 1
            await done.set()

        async with world.open_ms() as ms:
            ms.start_soon(one)
            ms.start_soon(two)
        assert cell.value == 2

    found = search(main, strategy=strategy, budget=2_000)
    assert found.ok, found.sentence


def test_a_race_that_only_a_late_release_shows_is_found() -> None:
    """A release is published when it reaches memory: an M that has read the flag before is not
    ordered after it, whatever the M with the buffer has done."""

    async def main(world: World) -> None:
        data, flag = Cell("data"), Word("flag")

        async def one(m: M) -> None:
            await data.store(1)
            await flag.store_release(1)

        async def two(m: M) -> None:
            await flag.load()
            await data.load()

        async with world.open_ms() as ms:
            ms.start_soon(one)
            ms.start_soon(two)

    found = search(main)
    assert found.failure is not None
    assert found.failure.signature.kind == "race"


def test_the_kinds_of_fence_are_said() -> None:
    """MFENCE between keeps a store and a load apart."""

    async def main(world: World) -> None:
        x, y, seen = Cell("x"), Cell("y"), [1, 1]

        async def one(m: M, me: int) -> None:
            mine, other = (x, y) if me else (y, x)
            await mine.store(1)
            await fence()
            seen[me] = await other.load()

        await both(world, one)
        assert seen != [0, 0]

    config = Config(ms=2, memory="tso")
    found = explore(main, config=config, strategy="exhaustive", budget=1_000, canary=False)
    assert found.verdict == "exhausted"


def test_what_awaits_trio_is_refused() -> None:
    """Its tasks have no store buffers."""
    import trio

    async def main() -> None:
        await trio.sleep(0)

    async def of_a_world(world: World) -> None:
        await trio.sleep(0)

    for program in (main, of_a_world):
        with pytest.raises(ConfigError, match="no store buffer"):
            explore(program, memory="tso", strategy="random", budget=3)
