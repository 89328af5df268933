"""Whole programs under memory TSO: what fails without fences, and what does not fail."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

import pytest

from gorun_mem.explore.detectors import DEFAULT_DETECTORS
from gorun_mem.explore.drive import replay
from gorun_mem.explore.search import explore
from gorun_mem.explore.target import Target
from gorun_mem.explore.verdict import Exploration
from gorun_mem.machine.config import Config, ConfigError
from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.step.schedule import Schedule
from gorun_mem.sync import Cell, Event, FutexWord, Lock, Semaphore, Word, fence

Main = Callable[[World], Coroutine[Any, Any, None]]


def search(program: Main, memory: str = "tso", **settings: Any) -> Exploration:
    """An exhaustive search with the default detectors."""
    settings = {"strategy": "exhaustive", "budget": 20_000, "canary": False, **settings}
    config = settings.pop("config", None) or Config(ms=2)
    return explore(program, config=config, memory=memory, detectors=DEFAULT_DETECTORS, **settings)


def _store(fenced: bool) -> Callable[[Word, int], Any]:
    return lambda word, value: word.store(value) if fenced else word.store_release(value)


async def both(world: World, program: Callable[..., Coroutine[Any, Any, None]]) -> None:
    """Two Ms, told which they are."""
    async with world.open_ms() as ms:
        for me in range(2):
            ms.start_soon(program, me)


class Inside:
    """Who is in a critical section."""

    def __init__(self) -> None:
        self.word = Word("inside")

    async def visit(self) -> None:
        """Go in and out; fails if another is there."""
        if await self.word.add(1) > 1:
            raise AssertionError("two Ms are inside")
        await self.word.add(-1)


def store_buffering(fenced: bool) -> Main:
    """Two Ms that store to one word and load the other: both see the old."""

    async def main(world: World) -> None:
        x, y, seen = Word("x"), Word("y"), [1, 1]

        async def one(m: M, me: int) -> None:
            mine, other = (x, y) if me else (y, x)
            await _store(fenced)(mine, 1)
            seen[me] = await other.load()

        await both(world, one)
        assert seen != [0, 0]

    return main


def dekker(fenced: bool) -> Main:
    """Dekker's algorithm."""

    async def main(world: World) -> None:
        want, turn, inside = [Word("want0"), Word("want1")], Word("turn"), Inside()
        store = _store(fenced)

        async def one(m: M, me: int) -> None:
            other = 1 - me
            await store(want[me], 1)
            while await want[other].load():
                if await turn.load() != me:
                    await store(want[me], 0)
                    while await turn.load() != me:
                        await m.pause()
                    await store(want[me], 1)
                await m.pause()
            await inside.visit()
            await store(turn, other)
            await store(want[me], 0)

        await both(world, one)

    return main


def peterson(fenced: bool) -> Main:
    """Peterson's algorithm."""

    async def main(world: World) -> None:
        want, turn, inside = [Word("want0"), Word("want1")], Word("turn"), Inside()
        store = _store(fenced)

        async def one(m: M, me: int) -> None:
            await store(want[me], 1)
            await store(turn, 1 - me)
            while await want[1 - me].load() and await turn.load() != me:
                await m.pause()
            await inside.visit()
            await want[me].store_release(0)

        await both(world, one)

    return main


def two_words(fenced: bool) -> Main:
    """A lock word and a count of sleepers in another."""

    async def main(world: World) -> None:
        key, sleepers, inside = FutexWord("key"), Word("sleepers"), Inside()

        async def one(m: M, me: int) -> None:
            while not await key.cas(0, 1):
                await sleepers.add(1)
                await key.wait(1)
                await sleepers.add(-1)
            await inside.visit()
            await _store(fenced)(key, 0)
            if await sleepers.load():
                await key.wake(1)

        await both(world, one)

    return main


@pytest.mark.parametrize("program", [store_buffering, dekker, peterson, two_words])
def test_without_fences_it_fails_under_tso_alone(program: Callable[[bool], Main]) -> None:
    """Found by `auto` and by an exhaustive search; fenced, or without buffers, nothing is."""
    for strategy in ("auto", "exhaustive"):
        found = search(program(False), strategy=strategy)
        assert found.verdict == "failed", strategy
        assert "total store order" in found.sentence
    kind = "deadlock" if program is two_words else "AssertionError"
    assert found.failure is not None
    assert found.failure.signature.kind == kind
    assert search(program(False), "sc").verdict == "exhausted"
    assert search(program(True), "tso").verdict == "exhausted"


def test_a_failure_is_shrunk_and_its_token_has_the_memory() -> None:
    """Store buffering in its shortest form; the token alone leads there."""
    found = search(store_buffering(False), strategy="random")
    failure = found.failure
    assert failure is not None
    kinds = [step.kind for step in failure.steps]
    assert kinds.count("flush") == 2
    assert len(failure.steps) <= 12
    schedule = Schedule.from_token(failure.token)
    assert schedule.about["config"]["memory"] == "tso"
    target = Target.of(store_buffering(False), Config(ms=2), memory="tso")
    again = replay(target, schedule)
    assert not again.divergence
    assert again.signature == failure.signature


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


# Programs by chance, over all that can hold an M back.


def _drawn(random: Random) -> tuple[tuple[tuple[str, str], ...], ...]:
    def one() -> tuple[str, str]:
        what = random.choice(
            ("store", "store", "load", "load", "add", "lock", "set", "wait", "start", "up", "down")
        )
        return what, random.choice("xy")

    return tuple([
        tuple([one() for _ in range(random.randint(1, 3))]) for _ in range(2)
    ])  # fmt: skip


def _program(plan: Any) -> Callable[[World, set[Any]], Coroutine[Any, Any, None]]:
    async def main(world: World, ends: set[Any]) -> None:
        words = {name: Word(name) for name in "xy"}
        event, lock, semaphore = Event("event"), Lock("lock"), Semaphore("semaphore", 0)
        seen: dict[str, list[int]] = {}

        async def child(m: M, name: str, word: str) -> None:
            seen[name] = [await words[word].load()]
            await words[word].store_release(7)

        async def run(m: M, name: str, code: Any) -> None:
            mine = seen[name] = []
            for at, (what, on) in enumerate(code):
                word = words[on]
                if what == "store":
                    await word.store_release(at + 1)
                elif what == "load":
                    mine.append(await word.load())
                elif what == "add":
                    mine.append(await word.add(1))
                elif what == "lock":
                    async with lock:
                        mine.append(await word.load())
                        await word.store_release(at + 4)
                elif what == "set":
                    await event.set()
                elif what == "wait":
                    await event.wait()
                elif what == "up":
                    await semaphore.release()
                elif what == "down":
                    await semaphore.acquire()
                else:
                    async with world.open_ms() as inner:
                        inner.start_soon(child, f"{name}.{at}", on)

        async with world.open_ms() as ms:
            for number, code in enumerate(plan):
                ms.start_soon(run, str(number), code)
            await event.set()  # so that nobody waits for ever
            await semaphore.release(1 + sum(what == "down" for code in plan for what, _ in code))
        values = tuple([word.value for word in words.values()])
        ends.add((values, tuple(sorted((k, tuple(v)) for k, v in seen.items()))))

    return main


@pytest.mark.parametrize("batch", range(3))
def test_programs_with_locks_and_events_end_as_in_every_order(batch: int) -> None:
    """The ends that a reduced search sees are those that a search of every order sees."""
    compared = 0
    for seed in range(batch * 20, batch * 20 + 20):
        plan = _drawn(Random(seed))
        results = []
        for strategy, budget in (("dfs", 2_000), ("exhaustive", 2_000)):
            ends: set[Any] = set()

            async def main(world: World, ends: set[Any] = ends, plan: Any = plan) -> None:
                await _program(plan)(world, ends)

            found = explore(
                main, config=Config(ms=2), memory="tso", strategy=strategy, budget=budget,
                canary=False,
            )  # fmt: skip
            if found.verdict == "inconclusive":
                break
            assert found.verdict == "exhausted", (seed, found.sentence)
            results.append(ends)
        else:
            compared += 1
            assert results[0] == results[1], (seed, plan)
    assert compared >= 4


def test_the_default_is_sequentially_consistent() -> None:
    """And another target of the same program has the other memory."""
    target = Target.of(store_buffering(False), Config(ms=2))
    assert target.config.memory == "sc"
    assert explore(target, strategy="exhaustive", canary=False).verdict == "exhausted"
    assert explore(target, memory="tso", strategy="exhaustive", canary=False).verdict == "failed"
    with pytest.raises(ConfigError, match="it is sc"):
        explore(target, memory="pso")


def test_a_heap_of_a_scenario_lives_under_tso() -> None:
    """The allocator's calls are fences: memlock_storm survives, memory and all."""
    from gorun_mem.machine.library import find

    scenario = find("memlock_storm")
    found = explore(
        scenario, config=scenario.config().but(ms=2), options={"rounds": 1}, memory="tso",
        strategy="pos", budget=150, detectors=DEFAULT_DETECTORS, canary=False,
    )  # fmt: skip
    assert found.verdict == "survived", found.sentence
