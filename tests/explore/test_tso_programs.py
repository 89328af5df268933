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
from gorun_mem.sync import Event, FutexWord, Lock, Semaphore, Word

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
