"""What the analysis says of locks, against the locks' own books and against brute force."""

from __future__ import annotations

import io
import math
from itertools import pairwise
from typing import Any

import pytest

from gorun_mem.analysis.contention import Contention
from gorun_mem.analysis.stream import analyse, feed
from gorun_mem.events.capture import capture_events
from gorun_mem.runtime.sink import Waited
from tests.analysis.make_logs import run_events, run_log, storm, toy_events, toy_log

MUTEXES = ["sema", "futex", "spinbit", "queue"]


def contention_of(events: Any) -> Contention:
    found = Contention()
    feed(events, [found])
    return found


def named(events: Any, name: str, lock: str) -> list[Any]:
    return [e for e in events if e.name == name and e.lock == lock]


def waits_of(events: Any, lock: str) -> list[tuple[int, int, int]]:
    """(m, from, to) of every wait, unfinished ones to the log's end."""
    open_: dict[int, int] = {}
    found = []
    for e in events:
        if e.name == "lock.wait" and e.lock == lock:
            open_[e.m] = e.t_ns
        elif e.name == "lock.acquire" and e.lock == lock and e.m in open_:
            found.append((e.m, open_.pop(e.m), e.t_ns))
    return found + [(m, t, events[-1].t_ns) for m, t in open_.items()]


def holds_of(events: Any, lock: str) -> list[tuple[int, str, int, int]]:
    """(m, site, from, to) of every hold, the last one to the log's end."""
    found, since = [], None
    for e in events:
        if e.name == "lock.acquire" and e.lock == lock:
            since = (e.m, e.site, e.t_ns)
        elif e.name == "lock.release" and e.lock == lock and since:
            found.append((*since, e.t_ns))
            since = None
    return found + ([(*since, events[-1].t_ns)] if since else [])


def nearest_rank(values: list[int], percent: float) -> int:
    values = sorted(values)
    return values[max(1, math.ceil(len(values) * percent / 100)) - 1] if values else 0


def overlap(a: int, b: int, c: int, d: int) -> int:
    return max(0, min(b, d) - max(a, c))


@pytest.mark.parametrize("seed", range(12))
def test_percentiles_and_shares_against_sorting(seed: int) -> None:
    """Waits, holds and spins, of all, of each M and of each site, are those of sorted lists."""
    events = toy_events(seed)
    for name, lock in contention_of(events).locks.items():
        acquired, released = (
            named(events, "lock.acquire", name),
            named(events, "lock.release", name),
        )
        end = events[-1].t_ns
        open_ = {(m, t): end - t for m, t in lock.waiting.items()}
        waits = [*(e.wait_ns for e in acquired), *open_.values()]
        holding = [end - lock.holding[1]] if lock.holding else []
        holds = [*(e.hold_ns for e in released), *holding]
        wanted = {e.m: e for e in named(events, "lock.wait", name)}  # the last of each M
        for percent in (50, 90, 99):
            assert lock.wait_ns.percentile(percent) == nearest_rank(waits, percent)
            assert lock.hold_ns.percentile(percent) == nearest_rank(holds, percent)
        assert (lock.wait_ns.max, lock.hold_ns.max) == (max(waits), max(holds, default=0))
        assert (lock.acquisitions, lock.contended) == (
            len(acquired),
            sum(e.contended for e in acquired) + len(open_),
        )
        assert lock.spins == sum(e.spins for e in acquired)
        assert lock.sleeps == sum(e.sleeps for e in acquired)
        for key, parts in (("m", lock.by_m), ("site", lock.by_site)):
            for value, part in parts.items():
                mine = [e for e in acquired if getattr(e, key) == value]
                still = [ns for (m, _), ns in open_.items() if getattr(wanted[m], key) == value]
                mine_ns = [*(e.wait_ns for e in mine), *still]
                assert part.wait_ns.p50 == nearest_rank(mine_ns, 50)
                assert part.share.acquisitions == len(mine)
                assert part.share.wait_ns == sum(mine_ns)
                held = sum(e.hold_ns for e in released if getattr(e, key) == value)
                if lock.holding and getattr(lock.holding[0], key) == value:
                    held += holding[0]
                assert part.share.hold_ns == held


@pytest.mark.parametrize("seed", range(12))
def test_blame_is_the_overlap_of_waits_and_holds(seed: int) -> None:
    """Each holder is charged what its holds and the gaps behind them overlap with the waits."""
    events = toy_events(seed)
    for name, lock in contention_of(events).locks.items():
        holds, waits = holds_of(events, name), waits_of(events, name)
        charged: dict[tuple[int, str], list[int]] = {}
        for index, (m, site, low, high) in enumerate(holds):
            sums = charged.setdefault((m, site), [0, 0])
            gap_end = holds[index + 1][2] if index + 1 < len(holds) else events[-1].t_ns
            for _, since, until in waits:
                sums[0] += overlap(low, high, since, until)
                sums[1] += overlap(high, gap_end, since, until)
        got = {(b.m, b.site): [b.held_ns, b.handoff_ns] for b in lock.direct if b.total_ns}
        assert got == {key: sums for key, sums in charged.items() if any(sums)}
        total = sum(until - since for _, since, until in waits)
        assert sum(b.total_ns for b in lock.direct) == total
        assert sum(b.total_ns for b in lock.blame) == total == lock.wait_ns.total


@pytest.mark.parametrize("seed", range(12))
def test_queue_and_convoys_are_the_union_of_waits(seed: int) -> None:
    """Busy periods are the maximal times with a waiter, convoys those to which an M comes after the
    hold that formed them; and each depth lasted as long as counted."""
    events = toy_events(seed)
    for name, lock in contention_of(events).locks.items():
        depth: dict[int, int] = {}
        spans: list[list[Any]] = []
        now, last = 0, 0
        holder = formed_by = None
        waiting: set[int] = set()
        deepest = 0
        for e in events:
            if e.name == "lock.wait" and e.lock == name:
                depth[now] = depth.get(now, 0) + e.t_ns - last
                if not waiting:
                    spans.append([e.t_ns, -1, 0, False])
                    formed_by = holder
                elif holder is None or holder is not formed_by:
                    spans[-1][3] = True
                waiting.add(e.m)
            elif e.name == "lock.acquire" and e.lock == name:
                depth[now] = depth.get(now, 0) + e.t_ns - last
                if waiting:
                    spans[-1][2] += 1
                waiting.discard(e.m)
                if spans and spans[-1][1] < 0 and not waiting:
                    spans[-1][1] = e.t_ns
                holder = e
            else:
                if e.name == "lock.release" and e.lock == name:
                    holder = None
                continue
            now, last = len(waiting), e.t_ns
            deepest = max(deepest, now)
        end = events[-1].t_ns
        depth[now] = depth.get(now, 0) + end - last
        for longest, number, chosen in (
            (lock.busy_longest, lock.busy_periods, spans),
            (lock.convoys_longest, lock.convoys, [span for span in spans if span[3]]),
        ):
            lengths = sorted(
                ((to if to >= 0 else end) - since, n) for since, to, n, _ in chosen
            )[::-1][: len(longest)]  # fmt: skip
            assert number == len(chosen)
            assert [(c.length_ns, c.acquisitions) for c in longest] == lengths
        assert {d: ns for d, ns in lock.queue.ns_at.items() if ns} == {
            d: ns for d, ns in depth.items() if ns
        }
        assert lock.queue.max == deepest == max([0, *(peak for _, peak in lock.queue.rows())])
        waits = waits_of(events, name)
        for busy in lock.busy_longest:
            inside = sum(overlap(busy.start_ns, busy.end_ns, s, u) for _, s, u in waits)
            assert busy.wait_ns == inside == sum(b.total_ns for b in busy.causes)
            assert 0 <= busy.outlasted_ns <= busy.length_ns


@pytest.mark.parametrize("seed", range(8))
def test_bypasses_of_those_who_wait_still(seed: int) -> None:
    """Nobody who waits at the end is left out of the most bypasses."""
    events = toy_events(seed, steps=150, ms=8, locks=1)
    lock = contention_of(events).locks["memlock"]
    passed: dict[int, int] = {}
    most = 0
    for e in events:
        if e.name == "lock.wait":
            passed[e.m] = 0
        elif e.name == "lock.acquire":
            for m in passed:
                if m == e.m:
                    break
                passed[m] += 1
            most = max([most, *passed.values()])
            passed.pop(e.m, None)
    assert lock.bypasses_max == most
    assert set(lock.waiting) == set(passed)


@pytest.mark.parametrize("mutex", MUTEXES)
@pytest.mark.parametrize("strategy", ["timing", "random"])
def test_agrees_with_the_locks_own_statistics(mutex: str, strategy: str) -> None:
    """On real runs every figure that the lock itself kept comes out of the log again."""
    done, events = run_events(storm, storm.config(ms=5, mutex=mutex, strategy=strategy, cpus=3))
    found = contention_of(events)
    for name, kept in done.statistics.locks.items():
        if not kept.acquisitions:
            assert name not in found.locks
            continue
        lock = found.locks[name]
        for field in (
            "acquisitions", "contended", "wait_ns", "contended_wait_ns", "hold_ns", "spins",
            "sleeps", "bypasses_max", "convoys", "busy_periods", "fairness_acquisitions",
            "fairness_waits", "starvation",
        ):  # fmt: skip
            assert getattr(lock, field) == getattr(kept, field), field
        assert {m: part.share for m, part in lock.by_m.items()} == kept.by_m
        assert {site: part.share for site, part in lock.by_site.items()} == kept.by_site
        assert lock.queue.max == kept.queue_depth_max
        for longest, kept_longest in (
            (lock.convoys_longest, kept.convoy_longest), (lock.busy_longest, kept.busy_longest),
        ):  # fmt: skip
            assert [one.length_ns for one in longest[:1]] == [kept_longest.length_ns] * bool(
                longest
            )
        assert lock.handoffs == sum(n * times for n, times in lock.handoff_chains.items())
    assert sum(lock.wait_ns.total for lock in found.locks.values()) == events[-1].lock_wait_ns
    assert found.locks["memlock"].contended > 0


@pytest.mark.parametrize("mutex", ["queue", "sema", "spinbit"])
def test_handoffs_are_the_wakeups_that_came_true(mutex: str) -> None:
    """An acquisition by the M that was woken is a handoff; under a FIFO queue each wait is one."""
    done, events = run_events(storm, storm.config(ms=6, mutex=mutex, cpus=6), work=0)
    lock = contention_of(events).locks["memlock"]
    kept = done.statistics.lock("memlock")
    assert lock.handoffs == kept.handoffs
    if mutex == "queue":
        assert lock.handoffs == lock.contended > 0
        assert lock.handoff_chain_max > 1


@pytest.mark.parametrize("seed", range(6))
def test_canonical_logs_give_the_same_sums(seed: int) -> None:
    """From releases alone: waits, holds, shares, and blame of holders; less where some are open."""
    full = contention_of(toy_events(seed))
    thin = Contention()
    analyse(io.BytesIO(toy_log(seed, "canonical")), [thin])
    for name, lock in thin.locks.items():
        whole = full.locks[name]
        assert lock.detail == "releases"
        assert whole.detail == "full"
        running = 1 if whole.holding else 0
        assert lock.acquisitions == whole.acquisitions - running
        assert lock.wait_ns.total <= whole.wait_ns.total
        assert lock.hold_ns.total <= whole.hold_ns.total
        if not whole.open:
            assert lock.hold_ns == whole.hold_ns
            assert lock.wait_ns == whole.wait_ns
            assert {(b.m, b.site): b.held_ns for b in lock.blame} == {
                (b.m, b.site): b.held_ns for b in whole.direct if b.held_ns
            }


@pytest.mark.parametrize("seed", range(10))
def test_critical_path_covers_the_run(seed: int) -> None:
    """The path's parts join without gaps, from the beginning to the last thing that happened."""
    events = toy_events(seed)
    path = contention_of(events).path
    assert path.segments[0].start_ns == 0
    for before, after in pairwise(path.segments):
        assert before.end_ns == after.start_ns
    last = max(
        (e for e in events if e.name in ("lock.acquire", "lock.release", "m.start", "m.exit")),
        key=lambda e: e.t_ns,
    )
    assert path.length_ns == last.t_ns == path.run_ns + path.handoff_ns
    holds = {
        m: [(low, high) for name in ("memlock", "lock1") for m2, _, low, high in
            holds_of(events, name) if m2 == m]
        for m in range(1, 6)
    }  # fmt: skip
    for one in path.segments:
        assert 0 <= one.held_ns <= one.length_ns
        if one.kind == "run" and one.m:
            assert one.held_ns == union_within(holds[one.m], one.start_ns, one.end_ns)
        if one.kind == "handoff":
            acquired = [
                e for e in named(events, "lock.acquire", one.lock)
                if (e.m, e.t_ns) == (one.m, one.end_ns) and e.contended
            ]  # fmt: skip
            released = [
                e for e in named(events, "lock.release", one.lock) if e.t_ns == one.start_ns
            ]
            assert acquired
            assert released
            assert any(e.t_ns - e.wait_ns <= one.start_ns for e in acquired)


def union_within(spans: list[tuple[int, int]], low: int, high: int) -> int:
    total, reached = 0, low
    for start, end in sorted(spans):
        start, end = max(start, reached), min(end, high)
        if end > start:
            total += end - start
            reached = end
    return total


def test_critical_path_by_hand() -> None:
    """M1 holds to 100; M2 waits from 20, has it from 110 to 150 and ends at 170: M1 is to blame."""
    with capture_events() as events:
        rec = events.recorder
        clock = {"t": 0}
        rec.now = lambda: clock["t"]

        def at(t: int, m: int) -> None:
            clock["t"] = t
            rec.m = m

        rec.m_start(1)
        rec.m_start(2)
        at(10, 1)
        rec.lock_acquire("memlock", "a", Waited(False, 0, 0, 0), 0, 0, 0)
        at(20, 2)
        rec.lock_wait("memlock", "b", 1, 0, 0, (), ())
        at(100, 1)
        rec.lock_release("memlock", "a", 90, Waited(False, 0, 0, 0), 80, (2,), 2)
        at(110, 2)
        rec.lock_acquire("memlock", "b", Waited(True, 90, 4, 1), 0, 0, 1)
        at(150, 2)
        rec.lock_release("memlock", "b", 40, Waited(True, 90, 4, 1), 0, (), 0)
        at(120, 1)
        rec.m_exit(1)
        at(170, 2)
        rec.m_exit(2)
    path = contention_of(events).path
    assert [(s.kind, s.m, s.start_ns, s.end_ns, s.held_ns) for s in path.segments] == [
        ("run", 1, 0, 100, 90),
        ("handoff", 2, 100, 110, 0),
        ("run", 2, 110, 170, 40),
    ]
    assert (path.by_m, path.held_ns, path.handoffs) == ({1: 100, 2: 60}, 130, 1)


def locked(rec: Any, m: int, lock: str) -> None:
    rec.m = m
    rec.lock_acquire(lock, "s", Waited(False, 0, 0, 0), 0, 0, 0)


def unlocked(rec: Any, m: int, lock: str) -> None:
    rec.m = m
    rec.lock_release(lock, "s", 0, Waited(False, 0, 0, 0), 0, (), 0)


def test_lock_order_finds_a_circle_that_did_not_close() -> None:
    """M1 takes a then b, M2 later b then a: no deadlock in this run, and a circle all the same."""
    with capture_events() as events:
        for m, first, second in ((1, "a", "b"), (2, "b", "a")):
            locked(events.recorder, m, first)
            locked(events.recorder, m, second)
            unlocked(events.recorder, m, second)
            unlocked(events.recorder, m, first)
    (cycle,) = contention_of(events).cycles()
    assert cycle.locks == ("a", "b")
    assert [(e.held, e.wanted, e.m) for e in cycle.edges] == [("a", "b", 1), ("b", "a", 2)]
    assert cycle.guarded_by == ""


def test_lock_order_is_silent_where_there_is_none() -> None:
    """Always a then b then c, by several Ms: edges and no circle."""
    with capture_events() as events:
        for m in (1, 2, 3):
            for lock in "abc":
                locked(events.recorder, m, lock)
            for lock in "abc":
                unlocked(events.recorder, m, lock)
    found = contention_of(events)
    assert found.cycles() == ()
    assert [(e.held, e.wanted, e.count) for e in found.edges()] == [
        ("a", "b", 3), ("a", "c", 3), ("b", "c", 3),
    ]  # fmt: skip


def test_a_guarded_circle_names_its_guard() -> None:
    """With g taken before each, a and b in either order cannot deadlock: the circle says so."""
    with capture_events() as events:
        for m, first, second in ((1, "a", "b"), (2, "b", "a")):
            for lock in ("g", first, second):
                locked(events.recorder, m, lock)
            for lock in (second, first, "g"):
                unlocked(events.recorder, m, lock)
    (cycle,) = contention_of(events).cycles()
    assert (cycle.locks, cycle.guarded_by) == (("a", "b"), "g")


def test_a_wait_that_never_ended_closes_a_circle() -> None:
    """In a real deadlock the second locks are never had: the waits' held_locks make the edges."""
    with capture_events() as events:
        rec = events.recorder
        locked(rec, 1, "a")
        locked(rec, 2, "b")
        rec.m = 1
        rec.lock_wait("b", "s", 2, 0, 0, (), ("a",))
        rec.m = 2
        rec.lock_wait("a", "s", 1, 0, 0, (), ("b",))
    found = contention_of(events)
    (cycle,) = found.cycles()
    assert cycle.locks == ("a", "b")
    assert all(edge.count == 0 for edge in cycle.edges)
    holding = found.locks["a"].holding
    assert holding is not None
    assert holding[0].m == 1
    assert set(found.locks["a"].waiting) == {2}


def test_a_log_of_level_info_has_no_locks() -> None:
    """Nothing is made up where the log says nothing."""
    _, log = run_log(storm, level="info")
    found = Contention()
    analyse(io.BytesIO(log), [found])
    assert found.locks == {}
    assert found.path.segments == () or found.path.handoffs == 0
