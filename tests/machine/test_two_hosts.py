"""Both hosts run the same schedule and write the same log; nothing else is decided by a host."""

from __future__ import annotations

import re
from typing import Any

import pytest

from gorun_mem import Config, DeadlockFound, M, NoProgress, World, run, scenario
from gorun_mem.machine.config import ConfigError, resolve
from gorun_mem.machine.coroutine import ForeignAwait
from gorun_mem.step.costs import MECHANISMS, CostTable
from gorun_mem.step.strategies import for_runs
from tests.machine.machine_workloads import (
    HOSTS,
    MUTEXES,
    assert_ended,
    config_for,
    logged,
    storm,
    varied,
)

BASIC = ("timing", "random", "round_robin", "run_to_block")


def test_the_basic_strategies_are_there() -> None:
    """The strategies that are compared here exist."""
    assert set(BASIC) <= set(for_runs())


@pytest.mark.parametrize("mutex", MUTEXES)
@pytest.mark.parametrize("strategy", BASIC)
def test_same_events_on_both_hosts(mutex: str, strategy: str) -> None:
    """Same scenario, strategy and seed: the same events in the same order, times included."""
    distinct = set()
    for seed in range(6):
        for workload in (storm, varied):
            settings = config_for(mutex, strategy=strategy, seed=seed, cpus=1 + seed % 3)
            one, other = (logged(workload, host, **settings) for host in HOSTS)
            # Without a mutex Ms may corrupt the list, which is then the same corruption on both.
            assert mutex == "none" or one.outcome.ok, one.outcome.error
            assert one.events == other.events
            assert one.outcome.verdict == other.outcome.verdict
            assert one.outcome.steps == other.outcome.steps
            assert not other.outcome.uncontrolled
            assert_ended(one.events, one.outcome.verdict)
            distinct.add(tuple(e.name for e in one.events))
    assert len(distinct) > 2  # different seeds and workloads do differ


@pytest.mark.parametrize("mutex", ["js", "wasip1"])
def test_one_m_on_wasm(mutex: str) -> None:
    """The mutexes that know one M run it on both hosts alike."""
    platform = {"js": "js/wasm", "wasip1": "wasip1/wasm"}[mutex]
    logs = [logged(storm, host, ms=1, mutex=mutex, platform=platform) for host in HOSTS]
    assert logs[0].outcome.ok
    assert logs[0].events == logs[1].events


@pytest.mark.parametrize("strategy", BASIC)
def test_the_same_run_twice_is_the_same_log(strategy: str) -> None:
    """A run is a function of its settings, on one host as between them."""
    first, second = (logged(storm, strategy=strategy, seed=5) for _ in range(2))
    assert first.events == second.events


@pytest.mark.parametrize("host", HOSTS)
def test_a_deadlock_names_everyone(host: str) -> None:
    """A deadlock is exit code 3; its report says who waits for what, since when, who holds it."""

    @scenario(ms=2, strategy="round_robin")
    async def embrace(world: World) -> None:
        first, second = world.mutex("first"), world.mutex("second")

        async def worker(m: M, one: Any, other: Any) -> None:
            await m.lock(one, "take one")
            await m.pause()
            await m.lock(other, "take other")

        async with world.open_ms() as ms:
            ms.start_soon(worker, first, second, name="left")
            ms.start_soon(worker, second, first, name="right")

    for mutex in ("queue", "sema", "spinbit"):
        log = logged(embrace, host, **config_for(mutex))
        outcome = log.outcome
        assert isinstance(outcome.error, DeadlockFound)
        assert outcome.exit_code == 3
        left, right = outcome.stuck
        assert (left.waits_for, left.holds) == ("acquire second", ("first",))
        assert (right.waits_for, right.holds) == ("acquire first", ("second",))
        assert re.fullmatch(
            r"M1 \(left\) waits to acquire second since [\d,]+ ns, held by M2 in take one since "
            r"[\d,]+ ns, while it holds first",
            str(left),
        )
        assert str(left) in str(outcome.error)
        assert str(right) in str(outcome.error)
        assert_ended(log.events, "deadlock")
        (found,) = log.events.named("deadlock.found")
        assert found.who == (str(left), str(right))
        assert set(found.where.split(", ")) == {"first", "second"}
        assert log.events[-1].stuck == found.who


@pytest.mark.parametrize("host", HOSTS)
def test_an_m_that_fails_ends_the_run(host: str) -> None:
    """The exception is kept as it is, the others are unwound, nothing runs afterwards."""
    unwound = []

    @scenario(ms=3, strategy="round_robin")
    async def one_fails(world: World) -> None:
        async def fails(m: M) -> None:
            await m.pause()
            raise ZeroDivisionError("here")

        async def goes_on(m: M) -> None:
            try:
                while True:
                    await m.pause()
            finally:
                unwound.append(m.id)
                world.check()

        async with world.open_ms() as ms:
            ms.start_soon(goes_on)
            ms.start_soon(fails)
            ms.start_soon(goes_on)

    log = logged(one_fails, host)
    assert log.outcome.verdict == "failed"
    assert log.outcome.exit_code == 1
    assert type(log.outcome.error) is ZeroDivisionError
    assert log.outcome.failed_m == 2
    assert sorted(unwound) == [1, 3]
    assert_ended(log.events, "failed")
    # What Ms do while they are unwound is not logged: world.check() above would be.
    assert not log.events.named("mem.check")


@pytest.mark.parametrize("host", HOSTS)
def test_the_scenario_itself_fails(host: str) -> None:
    """An error in the scenario's own code, or at once, is a failed run of M 0."""

    @scenario()
    async def fails(world: World, *, at_once: bool = True) -> None:
        if not at_once:
            async with world.open_ms():
                pass
        raise LookupError("gone")

    for at_once in (True, False):
        log = logged(fails, host, {"at_once": at_once})
        assert (log.outcome.verdict, log.outcome.failed_m) == ("failed", 0)
        assert_ended(log.events, "failed")


@pytest.mark.parametrize("host", HOSTS)
def test_system_exit_in_an_m_is_a_failure(host: str) -> None:
    """sys.exit() in a scenario ends the run, not the program that runs it."""

    @scenario()
    async def exits(world: World) -> None:
        async def worker(m: M) -> None:
            raise SystemExit(7)

        async with world.open_ms() as ms:
            ms.start_soon(worker)

    log = logged(exits, host)
    assert log.outcome.verdict == "failed"
    assert isinstance(log.outcome.error, SystemExit)


@pytest.mark.parametrize("host", HOSTS)
def test_an_m_that_will_not_end(host: str) -> None:
    """One that catches what unwinds it and goes on is closed by force, and the run ends."""

    @scenario(ms=1, strategy="round_robin")
    async def stubborn(world: World) -> None:
        async def never_ends(m: M) -> None:
            while True:
                try:
                    await m.pause()
                except GeneratorExit:
                    raise
                except BaseException:
                    pass

        async def fails(m: M) -> None:
            await m.pause()
            raise ZeroDivisionError

        async with world.open_ms() as ms:
            ms.start_soon(never_ends)
            ms.start_soon(fails)

    log = logged(stubborn, host)
    assert isinstance(log.outcome.error, ZeroDivisionError)
    assert_ended(log.events, "failed")


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("strategy", ["timing", "random"])
def test_steps_max(host: str, strategy: str) -> None:
    """A run that reaches steps_max ends there, with its own verdict and exit code 3."""

    @scenario(ms=2)
    async def endless(world: World) -> None:
        async def worker(m: M) -> None:
            while True:
                await m.pause()

        async with world.open_ms() as ms:
            ms.start_soon(worker)
            ms.start_soon(worker)

    log = logged(endless, host, strategy=strategy, steps_max=777)
    assert isinstance(log.outcome.error, NoProgress)
    assert (log.outcome.verdict, log.outcome.exit_code) == ("no_progress", 3)
    assert log.outcome.steps == 777
    assert "no end after 777 steps" in str(log.outcome.error)
    assert_ended(log.events, "no_progress")


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("swallows", [False, True])
def test_a_loop_without_awaits(host: str, swallows: Any) -> None:
    """The watchdog names the M and the line, even of a loop that catches every Exception."""

    @scenario(ms=2)
    async def loops(world: World) -> None:
        async def spins(m: M) -> None:
            await m.pause()
            n = 0
            while True:
                try:
                    n += 1  # the line
                except Exception:
                    if not swallows:
                        raise

        async def waits(m: M) -> None:
            await m.pause()

        async with world.open_ms() as ms:
            ms.start_soon(waits)
            ms.start_soon(spins, name="spinner")

    log = logged(loops, host, watch_s=0.15)
    assert log.outcome.verdict == "no_progress"
    assert isinstance(log.outcome.error, NoProgress)
    words = str(log.outcome.error)
    assert re.match(r"M2 \(spinner\) has run for 0.15 s without awaiting anything, at ", words)
    found = re.search(r"test_two_hosts\.py:(\d+);", words)
    assert found is not None, words
    line = int(found[1])
    with open(__file__) as file:
        near = file.read().splitlines()[line - 3 : line + 3]
    assert any("# the line" in text for text in near)
    assert_ended(log.events, "no_progress")


@pytest.mark.parametrize("host", HOSTS)
def test_a_loop_in_the_scenario_itself(host: str) -> None:
    """The scenario's own code is watched too, from its first line."""

    @scenario()
    async def loops(world: World) -> None:
        while True:
            pass

    log = logged(loops, host, watch_s=0.15)
    assert log.outcome.verdict == "no_progress"
    assert "M0 (loops) has run" in str(log.outcome.error)


def test_the_trampoline_refuses_what_is_no_operation() -> None:
    """An await of something else names M and line, and says which host can do it."""
    import trio

    @scenario()
    async def awaits_trio(world: World) -> None:
        async def worker(m: M) -> None:
            await trio.lowlevel.checkpoint()

        async with world.open_ms() as ms:
            ms.start_soon(worker)

    log = logged(awaits_trio)
    assert isinstance(log.outcome.error, ForeignAwait)
    assert re.fullmatch(
        r"M1 \(worker\) awaits trio itself at .*test_two_hosts.py:\d+: the trampoline host runs "
        r"only operations of ours; run it with --host trio",
        str(log.outcome.error),
    )


def test_unknown_host_and_settings() -> None:
    """Settings that do not go together are refused with names and ranges before anything runs."""
    with pytest.raises(ConfigError, match=r"no host 'tri': did you mean trio\?"):
        run(storm, host="tri")  # type: ignore[arg-type]
    for settings, words in (
        ({"ms": 0}, "ms = 0: must be from 1 to 4096"),
        ({"cpus": 0}, "cpus = 0: must be from 1 to 1024"),
        ({"steps_max": 0}, "steps_max = 0"),
        ({"max_pages": 70000}, "max_pages = 70000: must be from 1 to 65536"),
        ({"mutex": "js", "ms": 2}, "knows one M and there are 2"),
        ({"granularity": "word"}, "granularity 'word'"),
    ):
        with pytest.raises(ConfigError, match=words):
            resolve(Config(**settings))


# The timing strategy, seen from a scenario.


def test_one_cpu_serialises() -> None:
    """Computing on one CPU takes the sum of the times, on many the longest."""

    @scenario(
        ms=4, costs=CostTable({"switch": 0, "wake": 0, "compute": 1}, without=tuple(MECHANISMS))
    )
    async def computes(world: World) -> None:
        async def worker(m: M) -> None:
            await m.compute(1_000_000)

        async with world.open_ms() as ms:
            for _ in range(world.ms):
                ms.start_soon(worker)

    times = {cpus: logged(computes, cpus=cpus).outcome.time_ns for cpus in (1, 2, 4)}
    assert times[1] == pytest.approx(4_000_000, rel=0.01)
    assert times[2] == pytest.approx(2_000_000, rel=0.01)
    assert times[4] == pytest.approx(1_000_000, rel=0.01)


def test_a_preempted_holder_holds_for_a_slice() -> None:
    """A holder that loses its CPU at the end of its slice holds the lock while the others run."""
    steady = CostTable(time_slice_ns=10**7, without=tuple(MECHANISMS))

    @scenario(ms=2, mutex="queue", cpus=1, costs=steady)
    async def preempted(world: World) -> None:
        lock = world.mutex("lock")

        async def holder(m: M) -> None:
            await m.lock(lock)
            for _ in range(4):
                await m.compute(3_000_000)
            await m.unlock(lock)

        async def other(m: M) -> None:
            for _ in range(4):
                await m.compute(3_000_000)

        async with world.open_ms() as ms:
            ms.start_soon(holder)
            ms.start_soon(other)

    alone = logged(preempted, cpus=2).world.statistics().lock("lock").hold_ns.max
    shared = logged(preempted, cpus=1).world.statistics().lock("lock").hold_ns.max
    assert alone == pytest.approx(12_000_000, rel=0.01)
    assert shared >= alone + 10_000_000


def test_virtual_sleep() -> None:
    """A sleep takes its time in the log, and Ms wake in the order of their times."""

    @scenario(ms=3)
    async def sleeps(world: World) -> None:
        woke = []

        async def worker(m: M, ns: int) -> None:
            await m.sleep(ns)
            woke.append((m.id, world.engine.now_ns))

        async with world.open_ms() as ms:
            for ns in (3_000_000, 1_000_000, 2_000_000):
                ms.start_soon(worker, ns)
        assert [m for m, _ in woke] == [2, 3, 1]
        for (_, t_ns), ns in zip(woke, (1_000_000, 2_000_000, 3_000_000), strict=True):
            assert ns <= t_ns < ns + 20_000

    for strategy in ("timing", "random"):
        log = logged(sleeps, strategy=strategy)
        assert log.outcome.ok, log.outcome.error
