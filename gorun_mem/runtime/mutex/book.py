"""The book of one lock: who waits, how often and how long, and who was passed by.

One definition for everybody who counts a lock: a mutex holds a `LockBook` and tells it of waits,
acquisitions and releases; the analysis feeds a `LockQueue` from the events of a log; the service
counts into a tally of bounded size.

    busy period   from the first M that comes to wait until nobody waits
    convoy        a busy period in which an M comes to wait after the hold that formed the queue has
                  ended: the queue outlasts what made it
    bypass        an acquisition by an M that came later, one that never waited included

So of Ms that wait for one long hold and then go one after another, the queue is a busy period and
no convoy; where they come back to its end before it is through, it feeds itself and is one.

A lock that is free and that nobody waits for is not told of: the tuple that its release adds to the
tally is all that such a hold costs.

Source: M. Blasgen, J. Gray, M. Mitoma, T. Price, "The Convoy Phenomenon", Operating Systems Review
13(2), 1979.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final, Generic, NamedTuple, TypeVar

from mypy_extensions import mypyc_attr

from gorun_mem.runtime.mutex.statistics import BusySpan, Distribution, LockStatistics, Share
from gorun_mem.runtime.wide import times

FOLD_AT: Final = 4096
"""How many fresh records to keep before they are folded."""

K = TypeVar("K", int, str)

Open = tuple[int, str, int]
"""A wait or a hold that has not ended: (m, site, how long in ns so far)."""

Summed = tuple[Distribution, Distribution, Distribution, dict[int, Share], dict[str, Share]]
"""Waits over all acquisitions, waits that were some, holds, shares by M and by site."""
NOBODY: Final = -1
"""The M that a release has woken, where it is none: M 0 is the scenario."""
W = TypeVar("W")
"""What waits: an operation, or the event that told of it."""


class QueueFigures(NamedTuple):
    """What the metrics of a lock say of its queue; see `gorun_mem.analysis.metrics`."""

    bypasses_max: int = 0
    queue_depth_max: int = 0
    convoys: int = 0
    convoy_longest_ns: int = 0
    convoy_longest_acquisitions: int = 0
    busy_periods: int = 0
    busy_longest_ns: int = 0
    busy_longest_acquisitions: int = 0


@mypyc_attr(allow_interpreted_subclasses=True)
class LockQueue(Generic[W]):
    """The Ms that wait for a lock, in the order they came.

    Attributes:
        waiting: M -> what waits, how many were there before it, acquisitions before.
        acquired: acquisitions while somebody waited.
        depth_max: most Ms waiting at once.
        busy_periods: how often the first came.
        convoys: busy periods that were convoys.
        is_convoy: whether the latest busy period is one.
    """

    __slots__ = (
        "_longest", "_longest_convoy", "_since", "acquired", "busy_periods", "convoys",
        "depth_max", "is_convoy", "waiting",
    )  # fmt: skip

    def __init__(self) -> None:
        self.waiting: dict[int, tuple[W, int, int]] = {}
        self.acquired = self.depth_max = self.busy_periods = self.convoys = 0
        self.is_convoy = False
        self._longest: tuple[int, int] = (0, 0)
        self._longest_convoy: tuple[int, int] = (0, 0)
        self._since: tuple[int, int] = (0, 0)

    def enqueue(self, m: int, what: W, now_ns: int, held: bool) -> None:
        """An M begins to wait.

        Args:
            m: its number.
            what: what waits.
            now_ns: when.
            held: whether somebody has the lock.
        """
        waiting = self.waiting
        before = len(waiting)
        if not before:
            self.busy_periods += 1
            self._since = (now_ns, self.acquired)
            self.is_convoy = False
        elif not self.is_convoy and (self.acquired > self._since[1] or not held):
            self.is_convoy = True  # the hold that the first ran into has ended
            self.convoys += 1
        waiting[m] = (what, before, self.acquired)
        if before >= self.depth_max:
            self.depth_max = before + 1

    def dequeue(self, m: int, now_ns: int) -> None:
        """An M that waited has the lock."""
        self.acquired += 1
        waiting = self.waiting
        if waiting.pop(m, None) is not None and not waiting:
            # A convoy is a busy period: one that is not the longest convoy is neither.
            longest = self._longest_convoy if self.is_convoy else self._longest
            if now_ns - self._since[0] >= longest[0]:
                self._longest, self._longest_convoy = self._longest_at(now_ns)

    def bypassed(self, m: int) -> int:
        """How often M `m` was passed by so far; 0 where it does not wait.

        All acquisitions since it came are by Ms that came later, but for those of the Ms that
        waited before it and have the lock by now.
        """
        entry = self.waiting.get(m)
        if entry is None:
            return 0
        ahead = 0
        for other in self.waiting:
            if other == m:
                break
            ahead += 1
        return self.acquired - entry[2] - (entry[1] - ahead)

    def bypasses_max(self) -> int:
        """The most bypasses of an M that waits."""
        return max([
            0,
            *[
                self.acquired - acquired_before - (ahead - earlier)
                for earlier, (_, ahead, acquired_before) in enumerate(self.waiting.values())
            ],
        ])  # fmt: skip

    def _longest_at(self, now_ns: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """The longest busy period and convoy, with the one that ends now."""
        since_ns, before = self._since
        found = (now_ns - since_ns, self.acquired - before)
        longest = max(self._longest, found)
        return longest, max(self._longest_convoy, found) if self.is_convoy else self._longest_convoy

    def figures_at(self, now_ns: int, bypasses_max: int) -> QueueFigures:
        """As of `now_ns`; what has not ended lasts until then.

        Args:
            now_ns: when.
            bypasses_max: the most that an M suffered which has the lock by now.
        """
        longest, convoy = self._longest, self._longest_convoy
        if self.waiting:
            longest, convoy = self._longest_at(now_ns)
            bypasses_max = max(bypasses_max, self.bypasses_max())
        return QueueFigures(
            bypasses_max, self.depth_max, self.convoys, *convoy, self.busy_periods, *longest
        )


@mypyc_attr(allow_interpreted_subclasses=True)
class LockTally:
    """Counts acquisitions and holds as they end; cheap to feed, read seldom.

    Records are appended to lists and folded into counters when a list is long: folding identical
    tuples costs a fraction of updating half a dozen counters at each unlock.
    """

    __slots__ = ("_holds", "_waits", "fresh_holds", "fresh_waits")

    def __init__(self) -> None:
        self.fresh_holds: list[tuple[int, str, int]] = []
        """(m, site, hold_ns) of holds that ended."""
        self.fresh_waits: list[tuple[int, str, int, int, int, int]] = []
        """(m, site, wait_ns, spins, sleeps, bypassed) of contended acquisitions."""
        self._holds: Counter[tuple[int, str, int]] = Counter()
        self._waits: Counter[tuple[int, str, int, int, int, int]] = Counter()

    def fold(self) -> None:
        """Move the fresh records into the counters."""
        self._holds.update(self.fresh_holds)
        self.fresh_holds.clear()
        self._waits.update(self.fresh_waits)
        self.fresh_waits.clear()

    def summary(self, running: Iterable[tuple[int, str]]) -> Summed:
        """Waits over all, waits over contended, holds, shares by M and by site.

        Args:
            running: (m, site) of holds that have not ended.
        """
        self.fold()
        holds: Counter[int] = Counter()
        waits: Counter[int] = Counter()
        by_m: dict[int, list[int]] = {}
        by_site: dict[str, list[int]] = {}
        for (m, site, hold_ns), n in self._holds.items():
            holds[hold_ns] += n
            _share(by_m, m, n, 0, 0, times(hold_ns, n))
            _share(by_site, site, n, 0, 0, times(hold_ns, n))
        for m, site in running:
            _share(by_m, m, 1, 0, 0, 0)
            _share(by_site, site, 1, 0, 0, 0)
        for (m, site, wait_ns, _, _, _), n in self._waits.items():
            waits[wait_ns] += n
            _share(by_m, m, 0, n, times(wait_ns, n), 0)
            _share(by_site, site, 0, n, times(wait_ns, n), 0)
        contended = Distribution.of(waits)
        waits[0] += sum(sums[0] for sums in by_m.values()) - contended.count
        return (
            Distribution.of(waits),
            contended,
            Distribution.of(holds),
            {m: Share(*sums) for m, sums in sorted(by_m.items())},
            {site: Share(*sums) for site, sums in sorted(by_site.items())},
        )

    def totals(self) -> tuple[int, int, int]:
        """Spins and sleeps of all who got the lock, and the most bypasses that one suffered."""
        self.fold()
        spins = sleeps = bypassed_max = 0
        for (_, _, _, spun, slept, bypassed), n in self._waits.items():
            spins += times(spun, n)
            sleeps += times(slept, n)
            bypassed_max = max(bypassed_max, bypassed)
        return spins, sleeps, bypassed_max


def with_open(ended: Summed, holds: Iterable[Open], waits: Iterable[Open]) -> Summed:
    """What was counted, and what has not ended as long as it has lasted.

    Args:
        ended: by `LockTally.summary`, which has the acquisitions of `holds` already.
        holds: who holds the lock.
        waits: who waits for it.
    """
    all_waits, contended, all_holds, by_m, by_site = ended
    for m, site, ns in holds:
        all_holds = _and(all_holds, ns)
        _add_to(by_m, m, 0, 0, ns)
        _add_to(by_site, site, 0, 0, ns)
    for m, site, ns in waits:
        all_waits, contended = _and(all_waits, ns), _and(contended, ns)
        _add_to(by_m, m, 1, ns, 0)
        _add_to(by_site, site, 1, ns, 0)
    return (
        all_waits, contended, all_holds, dict(sorted(by_m.items())), dict(sorted(by_site.items())),
    )  # fmt: skip


def _and(values: Distribution, one: int) -> Distribution:
    counts = Counter(dict(values.values))
    counts[one] += 1
    return Distribution.of(counts)


def _add_to(shares: dict[K, Share], key: K, contended: int, wait_ns: int, hold_ns: int) -> None:
    had = shares.get(key, Share())
    shares[key] = Share(
        had.acquisitions, had.contended + contended, had.wait_ns + wait_ns, had.hold_ns + hold_ns
    )


def _share(shares: dict[K, list[int]], key: K, *amounts: int) -> None:
    sums = shares.setdefault(key, [0, 0, 0, 0])
    for i, amount in enumerate(amounts):
        sums[i] += amount


@mypyc_attr(allow_interpreted_subclasses=True)
class LockBook(LockQueue[W]):
    """All that is counted of one lock.

    Args:
        tally: what counts waits and holds; an exact one where not given.

    Attributes:
        handoffs: acquisitions by the very M that the release before had woken.
        woken: the M that the latest release woke, until somebody has the lock again.
    """

    __slots__ = ("_waits", "handoffs", "holds", "tally", "woken")

    def __init__(self, tally: LockTally | None = None) -> None:
        super().__init__()
        self.handoffs = 0
        self.woken = NOBODY
        self.count_with(LockTally() if tally is None else tally)

    def count_with(self, tally: LockTally) -> None:
        """Count with `tally` from here on, for example one of bounded size."""
        self.tally = tally
        self.holds = tally.fresh_holds
        self._waits = tally.fresh_waits

    def wait(self, m: int, what: W, now_ns: int, held: bool) -> None:
        """An M begins to wait; see `LockQueue.enqueue`."""
        self.enqueue(m, what, now_ns, held)

    def bypass(self) -> None:
        """An M that never waited has the lock, while others wait."""
        self.acquired += 1
        self.woken = NOBODY

    def acquire(
        self, m: int, site: str, since_ns: int, now_ns: int, spins: int, sleeps: int
    ) -> int:
        """An M that waited has the lock; returns how often it was passed by.

        Args:
            m: its number.
            site: the Go function that takes the lock.
            since_ns: since when it waited.
            now_ns: when it has the lock.
            spins: how often it spun.
            sleeps: how often it slept.
        """
        bypassed = self.bypassed(m)
        self.dequeue(m, now_ns)
        self._waits.append((m, site, now_ns - since_ns, spins, sleeps, bypassed))
        if self.woken == m:
            self.handoffs += 1
        self.woken = NOBODY
        return bypassed

    def release(self, m: int, site: str, hold_ns: int) -> None:
        """An M gave the lock back.

        Args:
            m: its number.
            site: the Go function that took it.
            hold_ns: how long it had it.
        """
        holds = self.holds
        holds.append((m, site, hold_ns))
        if len(holds) >= FOLD_AT:
            self.tally.fold()

    def statistics(
        self, name: str, mutex: str, now_ns: int, holds: list[Open], waits: list[Open]
    ) -> LockStatistics:
        """What was counted so far; costs a pass over the distinct records.

        Args:
            name: the lock's.
            mutex: its algorithm.
            now_ns: up to when a busy period counts that has not ended.
            holds: those that have not ended.
            waits: those that have not ended.
        """
        tally = self.tally
        ended = tally.summary([(m, site) for m, site, _ in holds])
        all_waits, contended, held, by_m, by_site = with_open(ended, holds, waits)
        spins, sleeps, bypasses = tally.totals()
        queue = self.figures_at(now_ns, bypasses)
        return LockStatistics(
            name=name,
            mutex=mutex,
            acquisitions=held.count,
            contended=contended.count,
            wait_ns=all_waits,
            contended_wait_ns=contended,
            hold_ns=held,
            spins=spins,
            sleeps=sleeps,
            bypasses_max=queue.bypasses_max,
            queue_depth_max=queue.queue_depth_max,
            busy_periods=queue.busy_periods,
            busy_longest=BusySpan(queue.busy_longest_ns, queue.busy_longest_acquisitions),
            convoys=queue.convoys,
            convoy_longest=BusySpan(queue.convoy_longest_ns, queue.convoy_longest_acquisitions),
            handoffs=self.handoffs,
            waiting=len(self.waiting),
            held=bool(holds),
            by_m=by_m,
            by_site=by_site,
        )
