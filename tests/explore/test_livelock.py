"""Livelocks: Ms that go round and never get on are found; those that only might are not."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from gorun_mem.explore.detectors import DEFAULT_DETECTORS
from gorun_mem.explore.detectors.fair_cycle import FairCycle
from gorun_mem.explore.drive import replay
from gorun_mem.explore.search import explore
from gorun_mem.explore.target import Target
from gorun_mem.machine.config import Config
from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.sync import Lock, Word

Main = Callable[[World], Coroutine[Any, Any, None]]
Meet = Callable[[M, int], Coroutine[Any, Any, None]]


def polite(again: Meet, tries: int = 1 << 30, in_order: bool = False) -> Main:
    """Two Ms want both of two locks, and give the first back where the second is taken.

    Args:
        again: what an M does before it tries again.
        tries: how often it tries.
        in_order: both take the same lock first.
    """

    async def main(world: World) -> None:
        locks = [Lock("a"), Lock("b")]

        async def take_both(m: M, first: int) -> None:
            one, other = locks[first], locks[1 - first]
            for number in range(tries):
                await one.acquire()
                if await other.try_acquire():
                    await other.release()
                    await one.release()
                    return
                await one.release()
                await again(m, number)

        async with world.open_ms() as ms:
            ms.start_soon(take_both, 0)
            ms.start_soon(take_both, 0 if in_order else 1)

    return main


async def at_once(m: M, number: int) -> None:
    """Again at once."""


async def after_a_yield(m: M, number: int) -> None:
    await m.pause()


async def by_chance(m: M, number: int) -> None:
    for _ in range(m.randrange(3)):
        await m.pause()


async def after_a_sleep(m: M, number: int) -> None:
    await m.sleep(1_000 * m.id)


def dekker_without_turn(world: World) -> Coroutine[Any, Any, None]:
    """Each raises its flag, and lowers it again where the other's is up."""

    async def main() -> None:
        flags = [Word("flag0"), Word("flag1")]

        async def enter(m: M, me: int) -> None:
            while True:
                await flags[me].cas(0, 1)
                if not await flags[1 - me].cas(1, 1):
                    await flags[me].cas(1, 0)
                    return
                await flags[me].cas(1, 0)
                await m.pause()

        async with world.open_ms() as ms:
            ms.start_soon(enter, 0)
            ms.start_soon(enter, 1)

    return main()


@pytest.mark.parametrize("detectors", [(), DEFAULT_DETECTORS], ids=["none", "all"])
@pytest.mark.parametrize(
    "main",
    [polite(at_once), polite(after_a_yield), dekker_without_turn],
    ids=["at once", "after a yield", "flags"],
)
def test_two_polite_ms_are_found(main: Main, detectors: Any) -> None:
    """`auto` finds the livelock within 400 schedules with each of 8 seeds, by a lasso."""
    for seed in range(8):
        done = explore(
            Target.of(main, Config(ms=2)), budget=400, seed=seed, detectors=detectors,
            shrink=False, canary=False,
        )  # fmt: skip
        assert done.failure is not None, seed
        assert done.failure.signature.kind == "livelock", done.failure.signature


def test_the_schedule_shows_it_again_and_is_shrunk() -> None:
    """The token replays the livelock, round for round, and says who went round and where."""
    target = Target.of(polite(after_a_yield), Config(ms=2))
    done = explore(target, budget=400, detectors=DEFAULT_DETECTORS)
    assert done.failure is not None
    again = replay(target, done.failure.schedule, detectors=[FairCycle()])
    assert again.signature == done.failure.signature
    assert "M1 (" in done.failure.text
    assert "M2 (" in done.failure.text
    assert "test_livelock.py:" in done.failure.text


@pytest.mark.parametrize(
    "main",
    [
        polite(at_once, in_order=True),
        polite(after_a_yield, tries=3),
        polite(after_a_yield, tries=40),
        polite(by_chance),
        polite(after_a_sleep),
    ],
    ids=["in order", "three tries", "40 tries", "by chance", "after a sleep"],
)
def test_those_that_get_on_raise_no_alarm(main: Main) -> None:
    """Locks in one order, an end to the tries, backing off by chance or by time: no livelock."""
    for seed in range(2):
        done = explore(
            Target.of(main, Config(ms=2)), budget=200, seed=seed, detectors=DEFAULT_DETECTORS,
            canary=False,
        )  # fmt: skip
        found = done.failure.signature.kind if done.failure is not None else ""
        # The locks are taken in both orders, and that is told by itself.
        assert found in ("", "lock.order"), (seed, found)


def test_a_spinning_waiter_alone_is_no_livelock() -> None:
    """An M that spins while the owner could go on is waiting, and the cycle is not fair."""

    async def main(world: World) -> None:
        word = Word("word", 0)

        async def work(m: M) -> None:
            for _ in range(3):
                while not await word.cas(0, 1):
                    await m.pause()
                await word.cas(1, 0)

        async with world.open_ms() as ms:
            ms.start_soon(work)
            ms.start_soon(work)

    for seed in range(2):
        done = explore(
            Target.of(main, Config(ms=2)), budget=400, seed=seed, detectors=DEFAULT_DETECTORS
        )
        assert done.failure is None, done.failure
