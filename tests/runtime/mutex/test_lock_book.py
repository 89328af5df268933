"""Who had a lock, who waited, for how long: events, statistics and what a report may ask."""

from __future__ import annotations

from math import comb
from typing import Any

import pytest

from gorun_mem.runtime.errors import Fault, Throw
from gorun_mem.runtime.mutex import Share, StateMutex, make
from gorun_mem.runtime.mutex.any_ import ChoiceMutex
from gorun_mem.runtime.mutex.statistics import BusySpan, Distribution, jain
from gorun_mem.runtime.sink import Waited
from tests.runtime.mutex.hand_driven import Hand, HandM, Notes

CONTENDED = ["queue", "sema", "futex", "spinbit"]


def cast(
    name: str, ms: int, release: str = "go1.26", **options: int
) -> tuple[Hand, StateMutex, list[HandM]]:
    hand = Hand()
    return hand, make(name, release, **options), [HandM(i + 1, hand) for i in range(ms)]  # type: ignore[arg-type]


@pytest.mark.parametrize("name", CONTENDED)
def test_holder_and_waiters_can_be_asked(name: str) -> None:
    """A deadlock report finds who holds the lock, where, since when, and who waits since when."""
    hand, mutex, (first, second) = cast(name, 2)
    hand.clock_ns = 10
    first.run(mutex.lock("runtime.sysAllocOS"))
    hand.clock_ns = 25
    second.run(mutex.lock("runtime.sysFreeOS"))
    assert second.parked
    holder, (waiter,) = mutex.holder, mutex.waiters
    assert holder is not None
    assert (holder.m, holder.site, holder.since_ns) == (1, "runtime.sysAllocOS", 10)
    assert (waiter.m, waiter.site, waiter.since_ns) == (2, "runtime.sysFreeOS", 25)
    assert waiter.sleeps == 1
    assert repr(mutex) == f"<{name} mutex memlock: held by M1 since 10 ns, 1 waiting>"
    assert first.go.held == [mutex]


@pytest.mark.parametrize("name", CONTENDED)
def test_events_of_a_contended_hold(name: str) -> None:
    """lock.wait, lock.release and lock.acquire carry the times, depths and names of the schema."""
    hand, mutex, (first, second) = cast(name, 2)
    notes = Notes()
    mutex.sink = notes  # type: ignore[assignment]
    first.go.op_id = 41
    hand.clock_ns = 100
    first.run(mutex.lock("a"))
    hand.clock_ns = 130
    second.run(mutex.lock("b"))
    hand.clock_ns = 150
    first.run(mutex.unlock("a"))
    hand.clock_ns = 190
    second.run()
    hand.clock_ns = 200
    second.run(mutex.unlock("b"))
    spins = 0 if name == "queue" else 5
    next_m = 2 if name in ("queue", "sema") else 0
    assert notes.events == [
        ("lock_acquire", "memlock", "a", Waited(False, 0, 0, 0), 0, 0, 0),
        ("lock_wait", "memlock", "b", 1, 41, 0, (), ()),
        ("lock_release", "memlock", "a", 50, Waited(False, 0, 0, 0), 20, (2,), next_m),
        ("lock_acquire", "memlock", "b", Waited(True, 60, spins, 1), 0, 0, 1),
        ("lock_release", "memlock", "b", 10, Waited(True, 60, spins, 1), 0, (), 0),
    ]


def test_held_locks_of_a_waiter() -> None:
    """lock.wait names the locks that the waiting M holds, in the order taken."""
    _, mutex, (first, second) = cast("queue", 2)
    outer = [make("queue", "go1.26", lock_name=name) for name in ("mheap", "globalAlloc")]
    notes = Notes()
    mutex.sink = notes  # type: ignore[assignment]
    first.run(mutex.lock())
    for lock in outer:
        second.run(lock.lock())
    second.run(mutex.lock())
    assert notes.events[-1][-1] == ("mheap", "globalAlloc")


def test_bypasses_convoy_and_handoffs() -> None:
    """M2 waits while M3, M1 and M3 get the lock before it: three bypasses in one busy period.

    M2 spins between its looks; the others each find the lock free at tnext_m first swap.
    """
    hand, mutex, (first, second, third) = cast("futex", 3)
    first.run(mutex.lock("a"))
    hand.clock_ns = 10
    second.begin(mutex.lock("b")).step()
    for m in (third, first, third):
        hand.clock_ns += 5
        (first if mutex.owner is first else third).run(mutex.unlock())
        m.run(mutex.lock("c"))
    assert mutex.waiters[0].bypassed == 3
    hand.clock_ns = 40
    third.run(mutex.unlock())
    second.run()
    second.run(mutex.unlock())
    stats = mutex.statistics()
    assert (stats.bypasses_max, stats.queue_depth_max, stats.handoffs) == (3, 1, 0)
    assert (stats.busy_periods, stats.busy_longest) == (1, BusySpan(30, 4))
    assert (stats.convoys, stats.convoy_longest) == (0, BusySpan())  # nobody came later
    assert stats.by_m == {1: Share(2, 0, 0, 20), 2: Share(1, 1, 30, 0), 3: Share(2, 0, 0, 20)}
    assert stats.by_site["c"] == Share(3, 0, 0, 25)
    assert (stats.wait_ns.count, stats.wait_ns.p50, stats.wait_ns.max) == (5, 0, 30)
    assert stats.contended_wait_ns.p50 == 30
    assert stats.fairness_acquisitions == pytest.approx(25 / (3 * 9))
    assert stats.fairness_waits == pytest.approx(1 / 3)


@pytest.mark.parametrize("name", CONTENDED)
def test_handoff_is_counted(name: str) -> None:
    """An M that the release woke and that gets the lock next counts as a handoff."""
    _, mutex, (first, second) = cast(name, 2)
    first.run(mutex.lock())
    second.run(mutex.lock())
    first.run(mutex.unlock())
    second.run()
    second.run(mutex.unlock())
    stats = mutex.statistics()
    assert (stats.handoffs, stats.sleeps, stats.contended, stats.acquisitions) == (1, 1, 1, 2)


def test_queue_is_first_come_first_served() -> None:
    """Three Ms that wait get the queue lock in the order they came; nobody is bypassed."""
    _, mutex, ms = cast("queue", 4)
    order = []
    for m in ms:
        m.run(mutex.lock())
    for m in ms:
        m.run()
        assert mutex.holder is not None
        order.append(mutex.holder.m)
        m.run(mutex.unlock())
    assert order == [1, 2, 3, 4]
    assert mutex.statistics().bypasses_max == 0


@pytest.mark.parametrize("name", ["sema", "spinbit"])
def test_sleepers_are_woken_last_first(name: str) -> None:
    """Go's list of sleepers is a stack: of M2, M3 and M4 the last to sleep is woken first."""
    hand, mutex, ms = cast(name, 4)
    for m in ms:
        m.run(mutex.lock())
    hand.draws = [1]
    ms[0].run(mutex.unlock())
    assert [m.parked for m in ms] == [False, True, True, False]


def test_spinbit_wakes_the_bottom_once_in_16() -> None:
    """When the lot falls on it, a spinbit release wakes the M that sleeps longest.

    Its first try to take it off the stack fails, as Go goes on with the word from before it had
    the stack lock; the M woken from the bottom may spin without the spinning bit.
    """
    hand, mutex, ms = cast("spinbit", 4)
    for m in ms:
        m.run(mutex.lock())
    hand.draws = [0]
    ms[0].kinds.clear()
    ms[0].run(mutex.unlock())
    assert [m.parked for m in ms] == [False, False, True, True]
    assert hand.labels == ["spinbit.tail_wake"]
    assert hand.charged == [("stack.walk", 2)]
    assert ms[0].kinds == [
        ("atomic.xchg8", "memlock.key"),
        ("atomic.load", "memlock.key"),
        ("atomic.cas", "memlock.key"),
        ("stack.walk", "memlock.key"),
        ("atomic.cas", "memlock.key"),
        ("atomic.load", "memlock.key"),
        ("atomic.cas", "memlock.key"),
        ("semawakeup", "m2.waitsema"),
    ]
    ms[1].step()
    unlocking: Any = ms[1].op
    assert unlocking.at_tail


def test_accesses_of_a_sema_wait() -> None:
    """A sema lock that is taken spins 4 times 30 procyields, yields once, joins and sleeps."""
    _, mutex, (first, second) = cast("sema", 2, "go1.23")
    first.run(mutex.lock())
    second.run(mutex.lock())
    spin = [("procyield", "m2.cpu"), ("atomic.load", "memlock.key")]
    assert second.kinds == [
        ("atomic.cas", "memlock.key"),
        ("atomic.load", "memlock.key"),
        *spin * 4,
        ("osyield", "m2.cpu"),
        ("atomic.load", "memlock.key"),
        ("atomic.cas", "memlock.key"),
        ("semasleep", "m2.waitsema"),
    ]


@pytest.mark.parametrize("name", ["sema", "futex"])
def test_no_spinning_on_one_cpu(name: str) -> None:
    """On a uniprocessor a waiting M yields once and sleeps, without a procyield."""
    hand, mutex, (first, second) = cast(name, 2)
    hand.cpus = 1
    first.run(mutex.lock())
    second.run(mutex.lock())
    assert [kind for kind, _ in second.kinds if "yield" in kind] == ["osyield"]


def test_sampled_release_takes_the_blame() -> None:
    """From 1.25 a sampled release holds the stack lock until it has measured the waiters.

    M2 began to sleep at 100, M3 at 160; the release at 200 is blamed for the mean of 100 and 40,
    times two. Before 1.25 the rate changes nothing.
    """
    hand, mutex, (first, second, third) = cast("spinbit", 3, profile_rate=5)
    first.run(mutex.lock("holder"))
    hand.clock_ns = 100
    second.run(mutex.lock())
    hand.clock_ns = 160
    third.run(mutex.lock())
    hand.clock_ns = 200
    first.kinds.clear()
    hand.draws = [0, 1]
    first.run(mutex.unlock("holder"))
    assert mutex.profile == {"holder": (1, 140)}  # type: ignore[attr-defined]
    assert [kind for kind, _ in first.kinds] == [
        "atomic.load",
        "atomic.load",
        "atomic.cas",
        "atomic.load",
        "stack.walk",
        "atomic.cas",
        "semawakeup",
    ]
    assert first.kinds[0][1] == "mutexprofilerate"
    assert hand.labels == ["spinbit.sample", "spinbit.tail_wake"]
    assert not third.parked

    hand, older, (first, second) = cast("spinbit", 2, "go1.24", profile_rate=5)
    first.run(older.lock())
    second.run(older.lock())
    first.run(older.unlock())
    assert hand.labels == ["spinbit.tail_wake"]


def test_unlock_of_unlocked() -> None:
    """futex, spinbit and queue throw; sema follows a nil M: a fault."""
    for name in ("futex", "spinbit", "queue"):
        _, mutex, (m,) = cast(name, 1)
        with pytest.raises(Throw, match=r"^throw unlock of unlocked lock$"):
            m.run(mutex.unlock())
    _, mutex, (m,) = cast("sema", 1)
    notes = Notes()
    mutex.sink = notes  # type: ignore[assignment]
    with pytest.raises(Fault, match=r"^fault 0$"):
        m.run(mutex.unlock("x"))
    assert notes.events == [("lock_throw", "memlock", "x", "nil M", 0, "")]
    assert mutex.snapshot() == (0,)


def test_sema_faults_once_it_has_read_the_word() -> None:
    """The nil M is followed with the word just read, before the compare-and-swap: the unlock dies
    in its first access, and the word and the M's count are as they were."""
    _, mutex, (m,) = cast("sema", 1, "go1.23")
    m.begin(mutex.unlock())
    with pytest.raises(Fault):
        m.step()
    assert m.kinds == [("atomic.load", "memlock.key")]
    assert (mutex.snapshot(), m.locks) == ((0,), 0)


@pytest.mark.parametrize("name", CONTENDED)
def test_bad_counts(name: str) -> None:
    """A negative `locks` throws on lock; one too many unlocks by an M throws on unlock."""
    _, mutex, (m, other) = cast(name, 2)
    m.locks = -1
    with pytest.raises(Throw, match=r"^throw runtime·lock: lock count$"):
        m.run(mutex.lock())
    m.locks = 0
    m.run(mutex.lock())
    with pytest.raises(Throw, match=r"^throw runtime·unlock: lock count$"):
        other.run(mutex.unlock())


@pytest.mark.parametrize("sections", [1, 2, 3])
def test_choice_has_every_order_once(sections: int) -> None:
    """Two Ms with S critical sections under the choice mutex have exactly C(2S, S) runs."""
    runs = 0
    todo: list[list[int]] = [[]]
    while todo:
        script = todo.pop()
        mutex = ChoiceMutex()
        ms = [HandM(i, Hand()) for i in (1, 2)]
        left = {m.id: 2 * sections for m in ms}
        for m in ms:
            m.begin(mutex.lock())
        for position in range(4 * sections):
            able = [m for m in ms if m.op is not None and not m.parked]
            if position == len(script):
                todo.extend([*script, other] for other in range(1, len(able)))
                script.append(0)
            m = able[script[position]].step()
            left[m.id] -= 1
            if left[m.id]:
                m.begin(mutex.unlock() if left[m.id] % 2 else mutex.lock())
        runs += 1
        assert mutex.statistics().acquisitions == 2 * sections
    assert runs == comb(2 * sections, sections)


def test_snapshots_restore() -> None:
    """A machine put back to a snapshot goes on as it did the first time."""
    _, mutex, (first, second) = cast("sema", 2)
    first.run(mutex.lock())
    second.begin(mutex.lock()).run_to("join")
    op: Any = second.op
    before = op.snapshot(), mutex.snapshot()
    assert hash(before) == hash(before)
    second.step()
    after = op.snapshot(), mutex.snapshot()
    op.restore(second, before[0])
    mutex.restore(before[1])
    assert repr(op) == "<atomic.cas memlock.key>"
    second.step()
    assert (op.snapshot(), mutex.snapshot()) == after


@pytest.mark.parametrize("name", CONTENDED)
def test_every_mutex_restores_its_snapshot(name: str) -> None:
    """Free, held and with Ms that wait: what the Ms share is as it was, hashable and complete."""
    _, mutex, (first, second, third) = cast(name, 3)
    seen = [mutex.snapshot()]
    first.run(mutex.lock())
    seen.append(mutex.snapshot())
    for waiter in (second, third):
        waiter.begin(mutex.lock())
        for _ in range(20):
            if waiter.op is None or waiter.parked:
                break
            waiter.step()
        seen.append(mutex.snapshot())
    assert len({hash(one) for one in seen}) >= 2
    for one in [*seen, *reversed(seen)]:
        mutex.restore(one)
        assert mutex.snapshot() == one


def test_percentiles_are_exact() -> None:
    """Nearest-rank percentiles over a histogram equal those over the sorted list."""
    histogram = {5: 3, 1: 4, 9: 1, 7: 92}
    values = sorted(v for v, n in histogram.items() for _ in range(n))
    distribution = Distribution.of(histogram)
    for percent in (1, 4, 4.5, 7, 7.5, 50, 90, 99, 99.5, 100):
        rank = -(-len(values) * percent // 100)
        assert distribution.percentile(percent) == values[max(1, int(rank)) - 1]
    assert (distribution.count, distribution.total, distribution.max) == (100, 672, 9)
    assert Distribution().p99 == 0
    assert jain([]) == jain([4, 4]) == 1.0
    assert jain([1, 0, 0, 0]) == 0.25
