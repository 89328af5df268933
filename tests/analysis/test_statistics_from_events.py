"""Contention statistics against the same figures recomputed from the captured events."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from gorun_mem.events.capture import capture_events
from gorun_mem.events.recorder import Recorder
from gorun_mem.machine.config import Config
from gorun_mem.machine.m import M
from gorun_mem.machine.run import Run, run
from gorun_mem.machine.scenario import scenario
from gorun_mem.machine.world import World
from gorun_mem.runtime.mutex import sema, spinbit
from gorun_mem.runtime.mutex.futex_queue import FutexQueue
from gorun_mem.runtime.mutex.statistics import LockStatistics
from tests.analysis import brute

MUTEXES = ("queue", "sema", "futex", "spinbit")


@scenario(ms=4)
async def mixture(world: World, *, rounds: int = 40, stop_at: int = 0) -> None:
    """Ms take two locks, at several sites, one inside the other now and then, with all kinds of
    pauses; after `stop_at` holds one M ends the run, with locks held and waited for."""
    outer, inner = world.mutex("outer"), world.mutex("inner")
    holds = itertools.count(1)

    async def worker(m: M) -> None:
        for _ in range(rounds):
            lock, site = (outer, inner)[m.randrange(2)], f"runtime.f{m.randrange(3)}"
            await m.lock(lock, site)
            if next(holds) == stop_at:
                raise ValueError("enough")
            await m.compute(m.choice(0, 30, 700, 9000))
            if lock is outer and m.randrange(3) == 0:
                await m.lock(inner, "runtime.nested")
                await m.compute(m.randrange(500))
                await m.unlock(inner, "runtime.nested")
            await m.unlock(lock, site)
            await think(m)

    async def think(m: M) -> None:
        kind = m.randrange(8)
        if kind == 0:
            await m.sleep(m.randrange(20_000))
        elif kind == 1:
            await m.pause()
        elif kind < 5:
            await m.compute(m.randrange(4000))

    async with world.open_ms() as ms:
        for _ in range(world.ms):
            ms.start_soon(worker)


@contextmanager
def probes(trace: list[Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Note each wakeup that a lock sends in `trace`, whether or not its M is asleep already."""
    real_sema, real_futex = sema.sema_wakeup, FutexQueue.wakeup  # type: ignore[attr-defined]

    def sema_wakeup(by: Any, target: Any) -> None:
        trace.append(brute.Woken(by.id, target.id))
        real_sema(by, target)

    def wakeup(self: FutexQueue, by: Any, count: int) -> Any:
        woken = real_futex(self, by, count)
        trace.extend(brute.Woken(by.id, m.id) for m in woken)
        return woken

    with monkeypatch.context() as patch:
        patch.setattr(sema, "sema_wakeup", sema_wakeup)
        patch.setattr(spinbit, "sema_wakeup", sema_wakeup)
        patch.setattr(FutexQueue, "wakeup", wakeup)
        yield


def traced(monkeypatch: pytest.MonkeyPatch, config: Config, **options: int) -> tuple[Run, Any]:
    """A run of `mixture` and its trace."""
    trace: list[Any] = []
    with probes(trace, monkeypatch):
        recorder = Recorder()
        recorder.subscribe(trace.append)
        done = run(mixture, config, options, recorder=recorder)
    return done, trace


def plain(statistics: LockStatistics) -> dict[str, Any]:
    """What the mutex itself counted, in the shape of `brute.statistics`."""
    figures: dict[str, Any] = {
        name: getattr(statistics, name)
        for name in (
            "acquisitions", "contended", "spins", "sleeps", "bypasses_max", "queue_depth_max",
            "busy_periods", "convoys", "handoffs", "waiting", "fairness_acquisitions",
            "fairness_waits", "starvation",
        )
    }  # fmt: skip
    for name in ("wait_ns", "contended_wait_ns", "hold_ns"):
        values = getattr(statistics, name)
        figures[name] = {
            key: getattr(values, key)
            for key in ("count", "total", "min", "max", "p50", "p90", "p99")
        }
    for name in ("busy_longest", "convoy_longest"):
        longest = getattr(statistics, name)
        figures[name] = (longest.length_ns, longest.acquisitions)
    for name in ("by_m", "by_site"):
        figures[name] = {
            key: (share.acquisitions, share.contended, share.wait_ns, share.hold_ns)
            for key, share in getattr(statistics, name).items()
        }
    return figures


def compare(done: Run, trace: Any) -> dict[str, brute.Book]:
    """Assert that both agree on every figure of both locks."""
    books = brute.books(trace)
    for name, book in books.items():
        assert plain(done.statistics.lock(name)) == brute.statistics(book), name
    return books


@pytest.mark.parametrize("strategy", ["timing", "random"])
@pytest.mark.parametrize("mutex", MUTEXES)
def test_every_figure_equals_the_recomputed_one(
    mutex: str, strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waits, holds, shares, bypasses, depths, convoys, handoffs and fairness of random runs are
    what the events come to, for 1 to 8 Ms on 1 to 4 CPUs."""
    seen = {"contended": 0, "handoffs": 0, "busy": 0, "convoys": 0, "bypassed": 0, "deep": 0}
    for seed, (ms, cpus) in enumerate(itertools.product((1, 2, 3, 5, 8), (1, 2, 4))):
        release = ("go1.24", "go1.26")[seed % 2]
        config = Config(
            mutex=mutex, strategy=strategy, seed=seed, ms=ms, cpus=cpus, release=release
        )
        done, trace = traced(monkeypatch, config)
        assert done.outcome.ok
        for book in compare(done, trace).values():
            assert not book.waiting
            assert book.holding is None
            seen["contended"] += len(book.contended)
            seen["handoffs"] += book.handoffs
            seen["convoys"] += sum(convoy for _, _, convoy in book.busy)
            seen["busy"] += len(book.busy)
            seen["bypassed"] += sum(book.bypasses)
            seen["deep"] = max([seen["deep"], *(depth for _, depth in book.depths)])
    # What is compared has happened; the queue alone lets nobody pass.
    assert min(seen["contended"], seen["busy"]) > 100
    assert seen["busy"] - 20 > seen["convoys"] > 20
    assert seen["handoffs"] > 10
    assert seen["deep"] >= 5
    assert (seen["bypassed"] == 0) == (mutex == "queue")


@pytest.mark.parametrize("mutex", MUTEXES)
def test_a_run_that_is_cut_off_is_counted_so_far(
    mutex: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where an M ends the run, holds and waits under way count up to its end."""
    held = waiting = 0
    for seed in range(12):
        config = Config(mutex=mutex, seed=seed, ms=6, cpus=1 + seed % 4)
        done, trace = traced(monkeypatch, config, stop_at=10 + 9 * seed)
        assert done.outcome.verdict == "failed"
        assert any(lock.at_least for lock in done.statistics.locks.values())
        for book in compare(done, trace).values():
            held += book.holding is not None
            waiting += len(book.waiting)
    assert held >= 12
    assert waiting > 5


def test_depth_over_time_integrates_to_the_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue's depth over time, integrated, is what all Ms waited together: no event is late."""
    for mutex, strategy in itertools.product(MUTEXES, ("timing", "random")):
        config = Config(mutex=mutex, strategy=strategy, seed=3, ms=6, cpus=3)
        _, trace = traced(monkeypatch, config)
        for book in brute.books(trace).values():
            steps = itertools.pairwise(book.depths)
            area = sum(depth * (after - t_ns) for (t_ns, depth), (after, _) in steps)
            assert area == sum(ns for _, _, ns in book.contended)
            assert book.depths[-1][1] == 0


def test_the_comparison_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event that is lost, moved or of another M is noticed by a figure that differs."""
    done, trace = traced(monkeypatch, Config(mutex="sema", seed=1, ms=6, cpus=2))
    compare(done, trace)
    waits = [i for i, event in enumerate(trace) if type(event).__name__ == "LockWait"]
    for damage in (lambda i: trace[:i] + trace[i + 1 :], lambda i: [*trace[: i + 1], *trace[i:]]):
        for i in (waits[0], waits[len(waits) // 2], waits[-1]):
            with pytest.raises(AssertionError):
                compare(done, damage(i))


def test_statistics_are_the_same_with_and_without_a_log() -> None:
    """Nobody listening changes no figure: the book does not lean on the log."""
    for mutex, seed in itertools.product(MUTEXES, range(4)):
        config = Config(mutex=mutex, seed=seed, ms=5, cpus=3)
        with capture_events(recorder := Recorder()):
            logged = run(mixture, config, recorder=recorder)
        silent = run(mixture, config)
        assert silent.statistics == logged.statistics
