"""Whose doing waits are: against a reference that goes through a run ns by ns."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from gorun_mem import M, World, scenario
from gorun_mem.analysis.contention import Contention
from gorun_mem.analysis.locks import LockReport
from gorun_mem.analysis.stream import feed
from gorun_mem.events.capture import capture_events
from gorun_mem.runtime.sink import Waited
from gorun_mem.step.costs import MECHANISMS, CostTable
from tests.analysis.make_logs import run_events

EXACT = CostTable(without=tuple(MECHANISMS))
"""Nothing varies, so that times can be had by hand."""

LOCKS = ("a", "b", "c")


class Tangle:
    """Ms that take locks in any order, circles too, and sleep with locks in their hands."""

    def __init__(self, seed: int, recorder: Any, *, ms: int = 5, steps: int = 120) -> None:
        self.r = random.Random(seed)
        self.rec = recorder
        self.t = 0
        recorder.now = lambda: self.t
        self.ms, self.steps = ms, steps
        self.holder: dict[str, int] = {}
        self.since: dict[str, int] = {}
        self.cost: dict[str, Waited] = {}
        self.waits: dict[int, tuple[str, int]] = {}
        self.asleep: set[int] = set()

    def drive(self) -> None:
        for m in range(1, self.ms + 1):
            self.rec.m_start(m)
        for _ in range(self.steps):
            self.t += self.r.choice((0, 0, 1, 1, 2, 5))
            self.step(self.r.randrange(1, self.ms + 1))
        self.t += 3
        self.rec.m = 0
        self.rec.run_end("ok", final_pages=0, steps=0)

    def held(self, m: int) -> list[str]:
        return [lock for lock, holder in self.holder.items() if holder == m]

    def step(self, m: int) -> None:
        self.rec.m = m
        if m in self.waits:
            lock, since = self.waits[m]
            if lock not in self.holder:
                del self.waits[m]
                self.acquire(m, lock, self.t - since, True)
        elif m in self.asleep:
            self.asleep.discard(m)
            self.rec.m_unpark(m)
        else:
            self.act(m)

    def act(self, m: int) -> None:
        held = self.held(m)
        roll = self.r.random()
        if held and roll < 0.45:
            self.release(m, self.r.choice(held))
        elif roll < 0.6:
            self.asleep.add(m)
            self.rec.m_park(m, "sleep timer")
        else:
            lock = self.r.choice(LOCKS)
            if lock not in self.holder:
                self.acquire(m, lock, 0, False)
            elif lock not in held or self.r.random() < 0.05:  # seldom one that it holds itself
                self.rec.lock_wait(lock, f"w{m}", self.holder[lock], 0, 0, (), tuple(held))
                self.waits[m] = (lock, self.t)

    def acquire(self, m: int, lock: str, wait_ns: int, contended: bool) -> None:
        self.holder[lock], self.since[lock] = m, self.t
        self.cost[lock] = waited = Waited(contended, wait_ns, 0, 0)
        self.rec.lock_acquire(lock, f"w{m}", waited, 0, 0, 0)

    def release(self, m: int, lock: str) -> None:
        del self.holder[lock]
        hold_ns = self.t - self.since[lock]
        self.rec.lock_release(lock, f"w{m}", hold_ns, self.cost[lock], 0, (), 0)


def tangle(seed: int) -> list[Any]:
    with capture_events() as events:
        Tangle(seed, events.recorder).drive()
    return list(events)


def by_the_ns(
    events: list[Any], low: int = 0
) -> tuple[dict[str, Counter[Any]], dict[Any, list[int]]]:
    """The reference: lock -> (kind, lock held, m) -> ns; hold (lock, seq) -> [blocked, off] ns.

    Nothing is carried over but who holds, who held last, who waits and who sleeps. What was before
    `low` is not charged.
    """
    holder: dict[str, Any] = {}
    last: dict[str, int] = {}
    wants: dict[int, str] = {}
    asleep: set[int] = set()
    charged: dict[str, Counter[Any]] = {lock: Counter() for lock in LOCKS}
    holds: dict[Any, list[int]] = {}
    end = events[-1].t_ns
    queue = list(events)
    for now in range(end):
        while queue and queue[0].t_ns <= now:
            e = queue.pop(0)
            if e.name == "lock.wait":
                wants[e.m] = e.lock
            elif e.name == "lock.acquire":
                wants.pop(e.m, None)
                holder[e.lock] = e
                holds[e.lock, e.seq] = [0, 0]
            elif e.name == "lock.release":
                last[e.lock] = e.m
                del holder[e.lock]
            elif e.name == "m.park":
                asleep.add(e.m)
            elif e.name == "m.unpark":
                asleep.discard(e.m)
        if now < low:
            continue
        for lock, e in holder.items():
            holds[lock, e.seq][0] += e.m in wants
            holds[lock, e.seq][1] += e.m in asleep
        for lock in wants.values():
            charged[lock][root(lock, holder, last, wants, asleep)] += 1
    return charged, holds


def root(lock: str, holder: Any, last: Any, wants: Any, asleep: Any) -> tuple[str, str, int]:
    chain = [lock]
    while True:
        at = chain[-1]
        if at not in holder:
            return "handoff", at, last[at]
        m = holder[at].m
        if m in asleep:
            return "off", at, m
        if m not in wants:
            return "held", at, m
        if wants[m] in chain:
            circle = chain[chain.index(wants[m]) :]
            m, at = min((holder[name].m, name) for name in circle)
            return "circle", at, m
        chain.append(wants[m])


def charges(lock: LockReport) -> Counter[Any]:
    found: Counter[Any] = Counter()
    for one in lock.blame:
        for kind, ns in (
            ("held", one.held_ns), ("off", one.off_cpu_ns), ("circle", one.circle_ns),
            ("handoff", one.handoff_ns),
        ):  # fmt: skip
            found[kind, one.lock, one.m] += ns
    return +found


def found_in(events: list[Any]) -> Contention:
    contention = Contention()
    feed(events, [contention])
    return contention


def test_blame_is_that_of_the_reference() -> None:
    """Each ns of each wait is charged to the end of its chain, at random, circles and all; and the
    sums are those of the waits."""
    kinds: Counter[str] = Counter()
    beyond = 0
    for seed in range(250):
        events = tangle(seed)
        charged, _ = by_the_ns(events)
        found = found_in(events)
        for name, lock in found.locks.items():
            assert charges(lock) == +charged[name], (seed, name)
            assert sum(one.total_ns for one in lock.blame) == lock.wait_ns.total
            beyond += any(one.lock != name for one in lock.blame)
            for kind, _, _ in charged[name]:
                kinds[kind] += 1
            for busy in lock.busy_longest:
                assert busy.wait_ns == sum(one.total_ns for one in busy.causes)
            if len(lock.busy_longest) == lock.busy_periods:
                assert sum(busy.wait_ns for busy in lock.busy_longest) == lock.wait_ns.total
    assert min(kinds[kind] for kind in ("held", "off", "circle", "handoff")) > 50
    assert beyond > 100


def test_holds_are_split_as_the_reference_has_it() -> None:
    """Of each hold, blocked and off CPU are the ns for which its M waited and slept."""
    blocked = off_cpu = 0
    for seed in range(120):
        events = tangle(seed)
        _, holds = by_the_ns(events)
        acquired = {}
        wanted = {}
        for e in events:
            if e.name == "lock.acquire":
                acquired[e.lock] = e
            elif e.name == "lock.release" and e.hold_ns:
                wanted[e.seq] = holds[e.lock, acquired.pop(e.lock).seq]
            elif e.name == "lock.release":
                del acquired[e.lock]  # a hold of 0 ns is none of the longest
        wanted |= {e.seq: holds[e.lock, e.seq] for e in acquired.values()}
        found = found_in(events)
        longest = found.holds.found()
        assert len(longest) == min(50, len(wanted))
        for one in longest:
            assert [one.blocked_ns, one.off_cpu_ns] == wanted[one.seq], (seed, one)
            assert one.running_ns >= 0
            blocked += one.blocked_ns
            off_cpu += one.off_cpu_ns
        for lock in found.locks.values():
            mine = [one for one in longest if one.lock == lock.name]
            if len(longest) == len(wanted):
                parts = lock.by_m.values()
                assert sum(part.blocked_ns for part in parts) == sum(h.blocked_ns for h in mine)
                assert sum(part.off_cpu_ns for part in parts) == sum(h.off_cpu_ns for h in mine)
    assert min(blocked, off_cpu) > 1000


@scenario(ms=3, mutex="queue", platform="plan9/amd64", costs=EXACT)
async def chain(world: World) -> None:
    """M3 waits for L1, whose holder M2 waits for L2, whose holder M1 computes."""
    l1, l2 = world.mutex("L1"), world.mutex("L2")

    async def slow(m: M) -> None:
        await m.sleep(1_000)
        await m.lock(l2, "slow_io")
        await m.compute(200_000)
        await m.unlock(l2)

    async def middle(m: M) -> None:
        await m.sleep(11_000)
        await m.lock(l1)
        await m.lock(l2)
        await m.compute(1_000)
        await m.unlock(l2)
        await m.unlock(l1)

    async def victim(m: M) -> None:
        await m.sleep(21_000)
        await m.lock(l1)
        await m.compute(1_000)
        await m.unlock(l1)

    async with world.open_ms() as ms:
        for program in (slow, middle, victim):
            ms.start_soon(program)


def test_the_root_of_a_chain_never_touches_the_lock() -> None:
    """Nearly all that M3 waits for L1 is M1's doing, who never takes L1; the holder M2 was blocked
    for nearly all of its hold. Sites are what the Ms are for where the program names none."""
    _, events = run_events(chain)
    found = found_in(events)
    first = found.locks["L1"].blame[0]
    assert (first.m, first.site, first.lock) == (1, "slow_io", "L2")
    assert 175_000 < first.held_ns < 185_000
    assert 0.95 < first.total_ns / found.locks["L1"].wait_ns.total < 1
    assert found.locks["L1"].direct[0].m == 2
    longest, second = found.holds.found()[:2]
    assert (longest.m, longest.lock, longest.blocked_ns, longest.off_cpu_ns) == (1, "L2", 0, 0)
    assert (second.m, second.lock, second.site) == (2, "L1", "middle")
    assert second.blocked_ns == found.locks["L2"].wait_ns.total > 0.95 * second.hold_ns
    assert set(found.locks["L1"].by_site) == {"middle", "victim"}
    assert all(segment.site for segment in found.path.segments)


@scenario(ms=3, mutex="queue", platform="plan9/amd64", costs=EXACT)
async def attribution(world: World) -> None:
    """One long hold, two waiters with a short one each."""
    lock = world.mutex("lock")

    async def work(m: M, start: int, hold: int, site: str) -> None:
        await m.sleep(start)
        await m.lock(lock, site)
        await m.compute(hold)
        await m.unlock(lock, site)

    async with world.open_ms() as ms:
        ms.start_soon(work, 1_000, 100_000, "A_long")
        ms.start_soon(work, 11_000, 5_000, "B_short")
        ms.start_soon(work, 21_000, 5_000, "C_short")


def test_blame_by_hand() -> None:
    """A holds 100 us; B comes after 10, C after 20, and C waits for B's 5 too: A 170, B 5, C 0 us,
    but for what the lock's own code takes. One queue that drains is busy, and no convoy."""
    found = found_in(run_events(attribution)[1])
    blame = {one.site: one.held_ns for one in found.locks["lock"].blame}
    assert set(blame) == {"A_long", "B_short"}
    assert abs(blame["A_long"] - 170_000) < 2_000
    assert abs(blame["B_short"] - 5_000) < 100
    assert (found.locks["lock"].busy_periods, found.locks["lock"].convoys) == (1, 0)


@scenario(ms=3, cpus=1, mutex="sema", release="go1.23", platform="plan9/amd64")
async def preempted(world: World) -> None:
    """A holder loses its CPU to an M that computes, while another waits for its lock."""
    lock = world.mutex("lock")
    slice_ns = world.config.costs.time_slice_ns

    async def holder(m: M) -> None:
        await m.lock(lock)
        for _ in range(30):
            await m.compute(slice_ns // 10)
        await m.unlock(lock)

    async def busy(m: M) -> None:
        for _ in range(40):
            await m.compute(slice_ns // 10)

    async def waiter(m: M) -> None:
        await m.sleep(1000)
        await m.lock(lock)
        await m.unlock(lock)

    async with world.open_ms() as ms:
        for program in (holder, busy, waiter):
            ms.start_soon(program)


@pytest.mark.parametrize("cpus", [1, 4])
def test_a_holder_that_lost_its_cpu_is_said_to_be_off_it(cpus: int) -> None:
    """With one CPU the hold takes whole slices more, and that time is said to be off CPU; with a
    CPU for each there is none."""
    done, events = run_events(preempted, preempted.config(cpus=cpus))
    assert done.outcome.ok
    found = found_in(events)
    longest = found.holds.found()[0]
    slice_ns = done.world.config.costs.time_slice_ns
    assert longest.site == "holder"
    assert abs(longest.running_ns - 3 * slice_ns) < slice_ns / 10
    blame = found.locks["lock"].blame[0]
    if cpus == 1:
        assert longest.off_cpu_ns >= 2 * slice_ns
        assert blame.off_cpu_ns >= slice_ns
    else:
        assert longest.off_cpu_ns == blame.off_cpu_ns == 0
