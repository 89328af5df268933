"""What counts for the watchdog is an M's own time."""

from __future__ import annotations

import time

import pytest
from machine_workloads import HOSTS, logged

from gorun_mem import scenario

LIMIT_S = 0.2


def busy(seconds):
    """Run for that long, as Python code does that awaits nothing."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


async def several(other):
    """Four Ms that take their time, none too long."""

    async def one(m):
        busy(LIMIT_S / 2)
        await m.pause()

    async with other.open_ms() as ms:
        for _ in range(4):
            ms.start_soon(one)


@pytest.mark.parametrize("host", HOSTS)
def test_a_world_aside_may_take_its_time(host):
    """Twice the limit and more, and a World aside that has one aside itself."""

    @scenario()
    async def compares(world):
        async def nested(other):
            other.aside(several)

        world.aside(several)
        world.aside(nested)

    assert logged(compares, host, watch_s=LIMIT_S).outcome.ok


@pytest.mark.parametrize("host", HOSTS)
def test_an_m_aside_is_watched(host):
    """A loop there is found and named, the line too."""

    async def loops(other):
        while True:
            pass

    @scenario()
    async def compares(world):
        world.aside(loops)

    log = logged(compares, host, watch_s=LIMIT_S)
    assert log.outcome.verdict == "no_progress"
    assert "M0 (loops) has run for 0.2 s" in str(log.outcome.error)
    assert "test_watchdog.py" in str(log.outcome.error)


@pytest.mark.parametrize("host", HOSTS)
def test_own_time_adds_up_around_worlds_aside(host):
    """Having Worlds run aside for ever is a loop without an await like any other."""

    async def short(other):
        pass

    @scenario()
    async def for_ever(world):
        while True:
            world.aside(short)
            busy(LIMIT_S / 20)

    log = logged(for_ever, host, watch_s=LIMIT_S)
    assert log.outcome.verdict == "no_progress"
    assert "M0 (for_ever)" in str(log.outcome.error)


def test_0_is_for_ever():
    """No watchdog then."""

    @scenario()
    async def long(world):
        busy(2 * LIMIT_S)

    assert logged(long, watch_s=0).outcome.ok
    assert logged(long, watch_s=LIMIT_S).outcome.verdict == "no_progress"
