"""What has not ended counts: waits, holds and queues that are open where a log ends."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import pytest

from gorun_mem import M, World, scenario
from gorun_mem.analysis.diff import compare
from gorun_mem.analysis.metrics import parse_expression
from gorun_mem.analysis.summary import Summary
from gorun_mem.analysis.whole import LogAnalysis
from gorun_mem.events import read_events
from gorun_mem.report.document import document
from gorun_mem.report.sections import render as render_sections
from gorun_mem.report.sections import sections
from gorun_mem.report.terminal import render
from tests.analysis.make_logs import run_events, run_log, storm, toy_events, toy_log

MUTEXES = ["sema", "futex", "spinbit", "queue"]


@scenario(ms=3, platform="plan9/amd64")
async def stuck(world: World) -> None:
    """One M never gives the lock back; two wait for ever."""
    lock = world.mutex("L")

    async def hog(m: M) -> None:
        await m.lock(lock)
        while True:
            await m.compute(1_000_000)

    async def victim(m: M) -> None:
        await m.sleep(10_000)
        await m.lock(lock)
        await m.unlock(lock)

    async with world.open_ms() as ms:
        for program in (hog, victim, victim):
            ms.start_soon(program)


@pytest.mark.parametrize("mutex", MUTEXES)
@pytest.mark.parametrize("strategy", ["timing", "random"])
def test_a_hang_is_not_uncontended(mutex: str, strategy: str) -> None:
    """Two Ms that wait for ever are two contended waits, as long as the run; the lock's own
    statistics, the run's summary, the report of the log and the full pass say the same."""
    config = stuck.config(mutex=mutex, strategy=strategy, steps_max=4000, seed=2)
    done, log = run_log(stuck, config)
    assert done.outcome.verdict == "no_progress"
    counted = done.statistics.lock("L")
    summary, found = Summary.of(read_events(io.BytesIO(log))), LogAnalysis.read(io.BytesIO(log))
    lock, whole = summary.locks["L"], found.contention.locks["L"]
    assert summary.metrics() == found.metrics
    assert (counted.acquisitions, counted.contended, counted.waiting, counted.held) == (
        1,
        2,
        2,
        True,
    )
    assert counted.at_least
    for waits, holds in (
        (lock.waits.distribution(), lock.holds.distribution()), (whole.wait_ns, whole.hold_ns),
    ):  # fmt: skip
        assert waits == counted.wait_ns
        assert holds == counted.hold_ns
    assert (lock.acquisitions, lock.contended) == (whole.acquisitions, whole.contended) == (1, 2)
    end = done.outcome.time_ns
    assert whole.open.hold is not None
    assert counted.hold_ns.total == end - whole.open.hold.since_ns
    if strategy == "timing":
        assert counted.wait_ns.total > 1.9 * end > 1_000_000
    assert {m: part.share for m, part in whole.by_m.items()} == counted.by_m
    assert {site: part.share for site, part in whole.by_site.items()} == counted.by_site
    assert found.end is not None
    assert found.end.lock_wait_ns == counted.wait_ns.total == summary.metrics()["lock_wait_ns"]
    queue = lock.queue
    assert (queue.busy_periods, queue.convoys) == (counted.busy_periods, counted.convoys) == (1, 0)
    assert queue.busy_longest_ns == counted.busy_longest.length_ns
    assert whole.busy_longest[0].length_ns == counted.busy_longest.length_ns
    assert not whole.busy_longest[0].ended
    assert whole.blame[0].m == 1
    assert whole.blame[0].total_ns == counted.wait_ns.total


def test_lower_bounds_are_marked() -> None:
    """People read "at least" and ">=", programs the list of metrics that are lower bounds; a run
    that ended has none."""
    _, log = run_log(stuck, stuck.config(steps_max=4000, mutex="queue"))
    summary, found = Summary.of(read_events(io.BytesIO(log))), LogAnalysis.read(io.BytesIO(log))
    text = render(summary)
    assert "wait at least" in text
    assert "hold at least" in text
    assert "M1 holds it in hog since 0, for at least" in text
    assert "M2 waits in victim since" in text
    assert ">= " in render_sections(sections(found, ["contention", "convoys", "holds"]))
    bounds = document(summary)["at_least"]
    assert {"lock_wait_ns", "lock.L.wait_ns.p99", "lock.L.hold_ns.max"} <= set(bounds)
    assert "lock.memlock.wait_ns" not in bounds
    assert set(bounds) <= set(summary.metrics())
    assert parse_expression("lock.L.wait_ns.max > 1000000").holds(summary.metrics())
    assert parse_expression("lock.L.waiting == 2").holds(summary.metrics())
    ended = Summary.of(run_events(storm)[1])
    assert ended.metrics()["lock.memlock.contended"] > 0
    assert ended.at_least() == []
    assert "at least" not in render(ended)


def test_a_difference_says_which_side_is_a_lower_bound(tmp_path: Any) -> None:
    """Beside a run that ended, one that hangs waits longer, at least."""
    whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    log = toy_log(3, steps=300)
    whole.write_bytes(log)
    lines = log.splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if b'"lock.wait"' in line and i > 100)
    cut.write_bytes(b"".join(lines[: at + 3]))
    rows = [row for row in compare(whole, cut).rows if row.section == "waits"]
    assert any(row.at_least[1] for row in rows)
    assert all(row.a is not None for row in rows if row.at_least[0])


def waited(events: Sequence[Any], lock: str) -> int:
    """All waits up to the last event, by who came and who went."""
    total: int = 0
    came: dict[int, int] = {}
    end = events[-1].t_ns
    for e in events:
        if e.name == "lock.wait" and e.lock == lock:
            came[e.m] = e.t_ns
        elif e.name == "lock.acquire" and e.lock == lock and e.m in came:
            total += e.t_ns - came.pop(e.m)
    return total + sum(int(end - since) for since in came.values())


@pytest.mark.parametrize("seed", range(3))
def test_a_log_that_is_cut_anywhere_has_all_waits_up_to_the_cut(seed: int) -> None:
    """Wherever a log is cut, summary and full pass agree, and no wait before the cut is lost."""
    log = toy_log(seed, steps=200)
    lines = log.splitlines(keepends=True)
    events = toy_events(seed, steps=200)
    open_seen = 0
    for length in range(10, len(lines), 7):
        part = b"".join(lines[:length])
        summary, found = (
            Summary.of(read_events(io.BytesIO(part))),
            LogAnalysis.read(io.BytesIO(part)),
        )
        assert summary.metrics() == found.metrics, length
        assert summary.at_least() == found.summary.at_least()
        assert render(summary) == render(found.summary)
        for name, lock in found.contention.locks.items():
            total = waited(events[:length], name)
            assert lock.wait_ns.total == total == sum(one.total_ns for one in lock.blame)
            assert summary.metrics()[f"lock.{name}.wait_ns"] == total
            open_seen += bool(lock.open.waits)
    assert open_seen > 5


def test_the_last_moment_is_known_though_nobody_wants_its_event() -> None:
    """A log that ends with an event that no accumulator looks at still lasts until then."""
    lines = toy_log(0, steps=100).splitlines(keepends=True)
    calls = [i for i, line in enumerate(lines) if b'"brk.move"' in line or b'"mem.call"' in line]
    part = lines[: calls[-1] + 1]
    found = LogAnalysis.read(io.BytesIO(b"".join(part)))
    events = toy_events(0, steps=100)[: len(part)]
    assert found.contention.end_ns == events[-1].t_ns


@pytest.mark.parametrize("mutex", MUTEXES)
def test_releases_alone_tell_of_open_waits_what_they_can(mutex: str) -> None:
    """At level canonical, who waited at the last release counts from the first that said so."""

    @scenario(ms=4, platform="plan9/amd64")
    async def late(world: World) -> None:
        lock = world.mutex("L")

        async def work(m: M) -> None:
            for turn in range(4):
                await m.lock(lock)
                await m.compute(10_000)
                while turn == 3:
                    await m.compute(1_000_000)
                await m.unlock(lock)

        async with world.open_ms() as ms:
            for _ in range(world.ms):
                ms.start_soon(work)

    config = late.config(mutex=mutex, steps_max=20_000)
    full = Summary.of(read_events(io.BytesIO(run_log(late, config)[1]))).metrics()
    thin = Summary.of(read_events(io.BytesIO(run_log(late, config, "canonical")[1])))
    metrics = thin.metrics()
    assert metrics["lock_wait_ns"] == full["lock_wait_ns"]  # run.end has it
    for name in ("contended", "wait_ns", "hold_ns", "acquisitions"):
        assert 0 < metrics[f"lock.L.{name}"] <= full[f"lock.L.{name}"], name
