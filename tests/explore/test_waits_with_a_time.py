"""Waits that have a time, in an exhaustive search: what it says of them holds."""

from __future__ import annotations

import os
from typing import Any

import pytest

from gorun_mem.explore.search import explore
from gorun_mem.machine.config import Config
from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.sync import Event, Lock, Word
from tests.explore.brute_force import TooMany
from tests.explore.waiting import Plan, drawn, every_end, searched, target_of

PROGRAMS = int(os.environ.get("GORUN_MEM_PROGRAMS", 60))
"""Of each kind; 1,500 were held against brute force once."""
MOST = 250

KINDS: dict[str, tuple[str, tuple[int | None, ...], tuple[str, ...]]] = {
    "no time": ("sc", (0, 0, None), ()),
    "no time, tso": ("tso", (0, 0, None), ()),
    "at any moment": ("sc", (500, None), ("timeout",)),
    "at any moment, tso": ("tso", (500, None), ("timeout",)),
    "at their time": ("sc", (1, 500, 500, None), ()),
}


@pytest.mark.parametrize("kind", KINDS)
def test_random_programs_that_wait_end_as_in_every_order(kind: str) -> None:
    """Programs of waits with a time, equal ones among them: an exhaustive search sees each end that
    brute force does, and no other."""
    memory, times, faults = KINDS[kind]
    compared = seed = several = 0
    while compared < PROGRAMS:
        plan = drawn(seed, times)
        seed += 1
        try:
            eager = kind != "at their time"
            ends = every_end(target_of(plan, memory, faults), MOST, eager)
        except TooMany:
            continue
        batch, found = searched(target_of(plan, memory, faults))
        assert batch.complete, (seed, plan)
        assert batch.keeps_time <= (kind == "at their time"), (seed, plan)
        assert found == ends, (seed, plan)
        compared += 1
        several += len(ends) > 1
    assert several > PROGRAMS // 10


def test_a_wait_that_goes_in_at_once_has_its_time_all_the_same() -> None:
    """Where an M comes to its wait early it may run out; a tree that takes steps to commute has it
    come when it can go in, so that no timer is ever set there."""
    plan: Plan = ((("signal", None), ("lock", None), ("lock", None)), (("lock", 500),))
    ends = every_end(target_of(plan, "sc", ()), 1_000, eager=False)
    batch, found = searched(target_of(plan, "sc", ()))
    assert batch.keeps_time
    assert found == ends
    assert len(ends) == 2


async def two_ways(world: World) -> None:
    """Whether the sleeper sees the store depends on when it has begun to sleep."""
    word, seen = Word("x"), list[int]()

    async def works(m: M) -> None:
        await m.compute(2_000)
        await word.store(1)

    async def sleeps(m: M) -> None:
        await m.sleep(1_000)
        seen.append(await word.load())

    async with world.open_ms() as ms:
        ms.start_soon(works)
        ms.start_soon(sleeps)
    assert seen == [1]


def test_a_search_of_a_program_that_sleeps_tries_every_order() -> None:
    """The load before the store is there only where the sleep has begun before the work, which it
    shares nothing with but the time."""
    found = explore(two_ways, strategy="exhaustive", budget=1_000, canary=False)
    assert found.verdict == "failed"


async def sleeps_seldom(world: World) -> None:
    """An M sleeps in one schedule of many."""
    words = [Word(f"x{number}") for number in range(3)]

    async def looks(m: M) -> None:
        if all([await word.load() == 1 for word in words]):
            await m.sleep(100)

    async def stores(m: M, word: Word) -> None:
        for _ in range(3):
            await word.add(3)
        await word.store(1)
        await word.store(2)

    async with world.open_ms() as ms:
        ms.start_soon(looks)
        for word in words:
            ms.start_soon(stores, word)


def test_a_timer_that_no_walk_has_shown_is_no_exhausted() -> None:
    """What to do instead is said."""
    found = explore(sleeps_seldom, strategy="exhaustive", budget=20_000, canary=False, seed=1)
    assert found.verdict == "inconclusive"
    assert "waits for a time in some of" in found.reason
    assert "--faults timeout" in found.reason


@pytest.mark.parametrize("strategy", ["auto", "exhaustive"])
def test_nobody_says_exhausted_of_too_little(strategy: str) -> None:
    """A program that sleeps, whose failure is in no order that a reduced tree has: `auto` goes on
    drawing, `exhaustive` tries every order."""

    async def late(world: World) -> None:
        event = Event("e")

        async def sleeps(m: M) -> None:
            await m.sleep(1_000)
            await event.set()

        async def waits(m: M) -> None:
            await m.compute(10)
            await event.wait()

        async with world.open_ms() as ms:
            ms.start_soon(sleeps)
            ms.start_soon(waits)

    found = explore(late, strategy=strategy, budget=200, canary=False)
    assert found.verdict == ("exhausted" if strategy == "exhaustive" else "survived")
    free = explore(late, config=Config(ms=2, faults=("timeout",)), strategy=strategy, budget=200,
                   canary=False)  # fmt: skip
    assert free.verdict == "exhausted"


def test_a_time_counts_from_when_the_wait_began() -> None:
    """An M that could have gone in when it came, and cannot when its turn comes, waits until its
    time is up, and not for ever."""
    taken: set[Any] = set()

    async def main(world: World) -> None:
        lock = Lock("L")

        async def tries(m: M) -> None:
            took = await lock.acquire(timeout_ns=1_000)
            taken.add(took)
            if took:
                await lock.release()

        await lock.acquire()
        async with world.open_ms() as ms:
            ms.start_soon(tries)
            await lock.release()
            await lock.acquire()

    found = explore(main, strategy="dfs", budget=1_000, canary=False)
    assert found.verdict == "exhausted", found.sentence
    assert taken == {True, False}


@pytest.mark.parametrize("strategy", ["dfs", "exhaustive", "states"])
@pytest.mark.parametrize("faults", [(), ("timeout",)])
def test_two_states_at_different_times_are_two(strategy: str, faults: tuple[str, ...]) -> None:
    """An M that could go in when it came is kept out later, by when its time may be up or not:
    that hangs on how long another has worked, of which nothing else is left."""
    seen: set[bool] = set()

    async def main(world: World) -> None:
        event, word = Event("E"), Word("x")

        async def waits(m: M) -> None:
            seen.add(await event.wait(500))

        async def works(m: M) -> None:
            await m.compute(await m.choose(0, 1_000))
            await word.load()
            await event.clear()
            await event.set()

        await event.set()
        async with world.open_ms() as ms:
            ms.start_soon(waits)
            ms.start_soon(works)

    found = explore(main, config=Config(ms=2, faults=faults), strategy=strategy, canary=False)
    assert found.outcome == "exhausted"
    assert seen == {True, False}


@pytest.mark.parametrize("strategy", ["dfs", "exhaustive", "states"])
def test_nothing_is_drawn_while_ms_unwind(strategy: str) -> None:
    """What they draw then is no part of the run: it makes the tree no larger."""

    def schedules(draws: bool) -> int:
        async def main(world: World) -> None:
            word = Word("x")

            async def holds(m: M) -> None:
                try:
                    await word.add(1)
                    await Event("never").wait()
                finally:
                    if draws:
                        m.randrange(3)

            async def fails(m: M) -> None:
                raise ValueError(await word.add(1))

            async with world.open_ms() as ms:
                ms.start_soon(holds)
                ms.start_soon(fails)

        found = explore(
            main, strategy=strategy, budget=100, failures_max=10, shrink=False, canary=False
        )
        assert {one.signature.kind for one in found.failures} == {"ValueError"}
        return found.statistics.schedules

    assert schedules(draws=True) == schedules(draws=False)
