"""What counts for the watchdog is an M's own time."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from gorun_mem import Config, M, World, scenario
from gorun_mem.explore.target import Target
from gorun_mem.explore.worker import Worker
from tests.machine.machine_workloads import HOSTS, logged

LIMIT_S = 0.2


def busy(seconds: float) -> None:
    """Run for that long, as Python code does that awaits nothing."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


async def several(other: Any) -> None:
    """Four Ms that take their time, none too long."""

    async def one(m: M) -> None:
        busy(LIMIT_S / 2)
        await m.pause()

    async with other.open_ms() as ms:
        for _ in range(4):
            ms.start_soon(one)


@pytest.mark.parametrize("host", HOSTS)
def test_a_world_aside_may_take_its_time(host: str) -> None:
    """Twice the limit and more, and a World aside that has one aside itself."""

    @scenario()
    async def compares(world: World) -> None:
        async def nested(other: Any) -> None:
            other.aside(several)

        world.aside(several)
        world.aside(nested)

    assert logged(compares, host, watch_s=LIMIT_S).outcome.ok


@pytest.mark.parametrize("host", HOSTS)
def test_an_m_aside_is_watched(host: str) -> None:
    """A loop there is found and named, the line too."""

    async def loops(other: Any) -> None:
        while True:
            pass

    @scenario()
    async def compares(world: World) -> None:
        world.aside(loops)

    log = logged(compares, host, watch_s=LIMIT_S)
    assert log.outcome.verdict == "no_progress"
    assert "M0 (loops) has run for 0.2 s" in str(log.outcome.error)
    assert "test_watchdog.py" in str(log.outcome.error)


@pytest.mark.parametrize("host", HOSTS)
def test_own_time_adds_up_around_worlds_aside(host: str) -> None:
    """Having Worlds run aside for ever is a loop without an await like any other."""

    async def short(other: Any) -> None:
        pass

    @scenario()
    async def for_ever(world: World) -> None:
        while True:
            world.aside(short)
            busy(LIMIT_S / 20)

    log = logged(for_ever, host, watch_s=LIMIT_S)
    assert log.outcome.verdict == "no_progress"
    assert "M0 (for_ever)" in str(log.outcome.error)


def test_0_is_for_ever() -> None:
    """No watchdog then."""

    @scenario()
    async def long(world: World) -> None:
        busy(2 * LIMIT_S)

    assert logged(long, watch_s=0).outcome.ok
    assert logged(long, watch_s=LIMIT_S).outcome.verdict == "no_progress"


def test_a_search_is_watched_too_whoever_calls_it() -> None:
    """Who loops is found though nothing but the search's own code lies between it and a test.

    Of a compiled host there is no frame; the one that stands for it is not compiled.
    """

    async def main(world: World) -> None:
        async def loops(m: M) -> None:
            await m.pause()
            until = time.monotonic() + 30
            while time.monotonic() < until:
                pass

        async with world.open_ms() as ms:
            ms.start_soon(loops)

    worker = Worker(Target.of(main, Config(ms=1)), steps_max=1000)
    worker.watch_s = 0.3
    with worker.watchdog() as watchdog:
        found = worker.draw("random", 0, 1).found
    assert [one.signature.kind for one in found] == ["no_progress"]
    assert Path(__file__).name in watchdog.finding
