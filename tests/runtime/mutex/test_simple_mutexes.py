"""The mutexes of one-M platforms, the FIFO queue, and no mutex at all."""

from __future__ import annotations

import pytest

from gorun_mem.runtime.errors import Deadlock, Throw
from gorun_mem.runtime.mutex import MUTEXES, UnknownMutex, default_mutex, make
from gorun_mem.runtime.mutex.base import StateMutex
from gorun_mem.step.solo import SoloM, solo


async def pair(mutex: StateMutex, times: int = 1) -> None:
    for _ in range(times):
        await mutex.lock("here")
        await mutex.unlock("here")


@pytest.mark.parametrize("name", MUTEXES)
@pytest.mark.parametrize("release", ["go1.19", "go1.23", "go1.24", "go1.25", "go1.27"])
def test_lone_m_takes_and_gives_back(name: str, release: str) -> None:
    """A lone M gets any mutex of any release without waiting, and `locks` returns to 0."""
    m = SoloM()
    mutex = make(name, release)
    solo(pair(mutex, 5000), m)
    stats = mutex.statistics()
    assert (m.locks, m.go.held, mutex.holder) == (0, [], None)
    assert (stats.acquisitions, stats.contended, stats.hold_ns.count) == (5000, 0, 5000)
    assert stats.by_site["here"].acquisitions == 5000


@pytest.mark.parametrize("name", MUTEXES)
def test_locks_count_in_16s_from_127(name: str) -> None:
    """While held, a lock adds 1 to `m.locks` up to 1.26 and 16 from 1.27."""

    async def take(mutex: StateMutex) -> None:
        await mutex.lock()

    for release, delta in (("go1.26", 1), ("go1.27", 16)):
        m = SoloM()
        solo(take(make(name, release)), m)
        assert m.locks == delta


@pytest.mark.parametrize("name", ["js", "wasip1"])
def test_single_m_throws(name: str) -> None:
    """The one-M mutexes throw Go's three texts, and a refused lock changes nothing."""

    async def twice(mutex: StateMutex) -> None:
        await mutex.lock("first")
        await mutex.lock("second")

    async def only_unlock(mutex: StateMutex) -> None:
        await mutex.unlock()

    m, mutex = SoloM(), make(name, "go1.24.3")
    with pytest.raises(Throw, match=r"^throw self deadlock$") as caught:
        solo(twice(mutex), m)
    assert caught.value.context["owner_site"] == "first"
    assert (m.locks, mutex.snapshot(), mutex.holder is not None) == (1, (1,), True)

    with pytest.raises(Throw, match=r"^throw unlock of unlocked lock$"):
        solo(only_unlock(make(name, "go1.24.3")), SoloM())

    negative = SoloM()
    negative.locks = -1
    with pytest.raises(Throw, match=r"^throw lock count$"):
        solo(twice(make(name, "go1.24.3")), negative)

    bad_count, mutex = SoloM(), make(name, "go1.24.3")
    solo(pair(mutex), bad_count)
    mutex.restore((1,))
    with pytest.raises(Throw, match=r"^throw lock count$"):
        solo(only_unlock(mutex), bad_count)


def test_queue_waits_for_itself() -> None:
    """A lone M that takes the queue lock twice deadlocks: nobody could hand it over."""

    async def twice(mutex: StateMutex) -> None:
        await mutex.lock()
        await mutex.lock()

    with pytest.raises(Deadlock):
        solo(twice(make("queue", "go1.27")), SoloM())


def test_none_lets_everybody_in() -> None:
    """Two Ms are inside `none` at once, and its statistics count both."""
    first, second, mutex = SoloM(1), SoloM(2), make("none", "go1.27")
    mutex.lock("a").step(first)
    second.sched.clock_ns = 7
    mutex.lock("b").step(second)
    assert [h.m for h in mutex.holders] == [1, 2]
    second.sched.clock_ns = 10
    mutex.unlock("b").step(second)
    mutex.unlock("a").step(first)
    stats = mutex.statistics()
    assert stats.by_m[2].hold_ns == 3
    assert (stats.acquisitions, mutex.holder) == (2, None)


def test_default_mutex_follows_release_and_platform() -> None:
    """The defaults are those of formats.md: a flag on wasm, sema to 1.23, spinbit after."""
    assert default_mutex("go1.19", "js/wasm") == "js"
    assert default_mutex("go1.27", "wasip1/wasm", 1) == "wasip1"
    assert default_mutex("go1.23", "plan9/amd64", 4) == "sema"
    assert default_mutex("go1.24.3", "plan9/386", 1) == "spinbit"
    assert default_mutex("go1.21", "js/wasm", 2) == "sema"
    assert default_mutex("go1.25", "js/wasm", 2) == "spinbit"


def test_unknown_mutex_names_the_nearest() -> None:
    """A misspelt mutex is answered with the nearest name and the list."""
    with pytest.raises(UnknownMutex, match=r"no mutex 'spinbt': did you mean spinbit\? .*queue"):
        make("spinbt", "go1.27")
