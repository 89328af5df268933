"""An M that keeps its CPU for ever while another could go is found; one that yields is not."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from gorun_mem.explore import explore
from gorun_mem.explore.detectors import DEFAULT_DETECTORS
from gorun_mem.explore.drive import replay
from gorun_mem.explore.target import Target
from gorun_mem.machine.config import Config
from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.step.schedule import Schedule
from gorun_mem.sync import Lock, Word

Main = Callable[[World], Coroutine[Any, Any, None]]


def waiting(yields: bool, tries: int = 1 << 30, swaps: bool = False) -> Main:
    """An M waits for what another says; it looks so often, and yields in between or not."""

    async def main(world: World) -> None:
        said = Word("said")

        async def wait(m: M) -> None:
            for _ in range(tries):
                if await (said.cas(1, 1) if swaps else said.load()):
                    return
                if yields:
                    await m.pause()

        async def say(m: M) -> None:
            await said.store(1)

        async with world.open_ms() as ms:
            ms.start_soon(wait)
            ms.start_soon(say)

    return main


def forever(yields: bool, swaps: bool = False) -> Main:
    """The same by a loop that counts nothing."""

    async def main(world: World) -> None:
        said = Word("said")

        async def wait(m: M) -> None:
            while not await (said.cas(1, 1) if swaps else said.load()):
                if yields:
                    await m.pause()

        async def say(m: M) -> None:
            await said.store(1)

        async with world.open_ms() as ms:
            ms.start_soon(wait)
            ms.start_soon(say)

    return main


def trying(yields: bool) -> Main:
    """An M tries for a lock again and again: a round of two steps."""

    async def main(world: World) -> None:
        lock, tried = Lock("lock"), Word("tried")

        async def hold(m: M) -> None:
            async with lock:
                await m.pause()

        async def grab(m: M) -> None:
            while not await lock.try_acquire():
                await tried.load()
                if yields:
                    await m.pause()
            await lock.release()

        async with world.open_ms() as ms:
            ms.start_soon(hold)
            ms.start_soon(grab)

    return main


@pytest.mark.parametrize("make", [forever, lambda yields: forever(yields, True), trying])
def test_who_keeps_the_cpu_is_found_and_who_yields_is_not(make: Callable[[bool], Main]) -> None:
    """With a token that shows it again; the twin that yields is exhausted."""
    found = explore(make(False), strategy="states", detectors=DEFAULT_DETECTORS, shrink=False)
    assert found.outcome == "failed"
    assert found.failure is not None
    assert found.failure.signature.kind == "no_yield"
    assert "never yields" in found.failure.text
    again = replay(
        Target.of(make(False), Config(ms=2)),
        Schedule.from_token(found.failure.token),
        detectors=[one() for one in DEFAULT_DETECTORS],
    )
    assert again.signature == found.failure.signature
    twin = explore(make(True), strategy="states", detectors=DEFAULT_DETECTORS)
    assert twin.outcome == "exhausted", twin.sentence


def test_who_looks_some_times_and_gives_up_keeps_nothing() -> None:
    """Each look is another state: no state comes back."""
    main = waiting(yields=False, tries=100)
    found = explore(main, strategy="states", detectors=DEFAULT_DETECTORS)
    assert found.outcome == "exhausted", found.sentence


def test_nobody_is_told_who_does_not_ask() -> None:
    """Without the detector it is no failure."""
    assert explore(forever(False), strategy="states").outcome == "exhausted"


@pytest.mark.parametrize("mutex", ["sema", "spinbit", "futex"])
def test_the_locks_of_go_are_good_samaritans(mutex: str) -> None:
    """Their spins have an end."""

    async def main(world: World) -> None:
        lock = world.mutex("p")

        async def take(m: M) -> None:
            await m.lock(lock)
            await m.unlock(lock)

        async with world.open_ms() as ms:
            ms.start_soon(take)
            ms.start_soon(take)

    config = Config(ms=2, mutex=mutex, cpus=4)
    found = explore(main, config=config, strategy="states", detectors=DEFAULT_DETECTORS)
    assert found.outcome == "exhausted", found.sentence


@pytest.mark.parametrize("strategy", ["pct", "auto", "dfs"])
def test_other_searches_take_nobody_for_one_that_keeps_its_cpu(strategy: str) -> None:
    """They cannot tell who would give up from who would not."""
    main = waiting(yields=False, tries=100)
    found = explore(main, strategy=strategy, detectors=DEFAULT_DETECTORS, budget=300)
    assert found.failure is None
