"""What a book says of a lock (book.py), exactly.

Go itself keeps only a sampled total of mutex wait time (`/sync/mutex/wait/total:seconds`); here
every acquisition counts. Distributions are histograms of distinct values, which are few in virtual
time, so percentiles are exact and not estimated from buckets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gorun_mem._notebook import table


@dataclass(frozen=True, slots=True)
class Distribution:
    """Exact figures over a multiset of ns values.

    Args:
        values: (value, how often), ascending.
    """

    values: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, histogram: Mapping[int, int]) -> Distribution:
        """The distribution of `histogram`, value -> how often."""
        return cls(tuple(sorted((v, n) for v, n in histogram.items() if n)))

    @property
    def count(self) -> int:
        """How many values."""
        return sum([n for _, n in self.values])

    @property
    def total(self) -> int:
        """Their sum."""
        return sum([v * n for v, n in self.values])

    @property
    def min(self) -> int:
        """The least, 0 where there is none."""
        return self.values[0][0] if self.values else 0

    @property
    def max(self) -> int:
        """The greatest, 0 where there is none."""
        return self.values[-1][0] if self.values else 0

    @property
    def mean(self) -> float:
        """The arithmetic mean, 0.0 where there is none."""
        return self.total / self.count if self.values else 0.0

    def percentile(self, percent: float) -> int:
        """The least value that at least `percent` of the values do not exceed (nearest rank)."""
        count = self.count
        if not count:
            return 0
        # Scaled to integers: 99.9 of 1000 values is the 999th, which float rounding would miss.
        rank = max(1, -(-count * round(percent * 1000) // 100_000))
        seen = 0
        for value, times in self.values:
            seen += times
            if seen >= rank:
                return value
        return self.max

    @property
    def p50(self) -> int:
        """The median, nearest rank."""
        return self.percentile(50)

    @property
    def p90(self) -> int:
        """The 90th percentile."""
        return self.percentile(90)

    @property
    def p99(self) -> int:
        """The 99th percentile."""
        return self.percentile(99)


@dataclass(frozen=True, slots=True)
class Share:
    """What one M, or one site, had of a lock.

    Args:
        acquisitions: how often it got the lock.
        contended: how many of these had to wait.
        wait_ns: how long it waited, summed.
        hold_ns: how long it held, summed over finished holds.
    """

    acquisitions: int = 0
    contended: int = 0
    wait_ns: int = 0
    hold_ns: int = 0


@dataclass(frozen=True, slots=True)
class BusySpan:
    """How long a busy period was: a maximal time in which at least one M waited.

    It is a convoy where an M came to wait after the hold had ended that formed the queue: the queue
    outlasts what made it.

    Args:
        length_ns: how long it lasted.
        acquisitions: how often the lock was got in it.

    Source: M. Blasgen, J. Gray, M. Mitoma, T. Price, "The Convoy Phenomenon", Operating Systems
    Review 13(2), 1979.
    """

    length_ns: int = 0
    acquisitions: int = 0


@dataclass(frozen=True, slots=True)
class LockStatistics:
    """What `StateMutex.statistics()` returns.

    A wait or a hold that has not ended counts as long as it has lasted; then `at_least` is true,
    and the times are lower bounds.

    Args:
        name: the lock's name.
        mutex: the algorithm.
        acquisitions: how often it was got, a hold that has not ended included.
        contended: how often an M had to wait, one that waits now among them.
        wait_ns: waits over all acquisitions, an uncontended one counting as 0, and those of now.
        contended_wait_ns: waits that were some.
        hold_ns: holds.
        spins: procyields and osyields made by Ms that waited and have the lock.
        sleeps: how often an M that waited went to sleep before it had the lock.
        bypasses_max: the most Ms that, coming later, got the lock before one M.
        queue_depth_max: the most Ms waiting at once.
        busy_periods: how many times the lock went from no M waiting to one.
        busy_longest: the longest of these.
        convoys: how many of them were convoys.
        convoy_longest: the longest convoy.
        handoffs: acquisitions by the very M that the release before had woken.
        waiting: Ms that wait now.
        held: whether an M holds it now.
        by_m: shares by M.
        by_site: shares by the Go function that took the lock.
    """

    name: str
    mutex: str
    acquisitions: int
    contended: int
    wait_ns: Distribution
    contended_wait_ns: Distribution
    hold_ns: Distribution
    spins: int
    sleeps: int
    bypasses_max: int
    queue_depth_max: int
    busy_periods: int
    busy_longest: BusySpan
    convoys: int
    convoy_longest: BusySpan
    handoffs: int
    waiting: int
    held: bool
    by_m: Mapping[int, Share] = field(default_factory=dict)
    by_site: Mapping[str, Share] = field(default_factory=dict)

    @property
    def at_least(self) -> bool:
        """Whether times are lower bounds, for some wait or hold has not ended."""
        return self.held or self.waiting > 0

    @property
    def fairness_acquisitions(self) -> float:
        """Jain's index over the Ms' acquisitions: 1.0 all alike, 1/n one M had all."""
        return jain(share.acquisitions for share in self.by_m.values())

    @property
    def fairness_waits(self) -> float:
        """Jain's index over the Ms' summed waits."""
        return jain(share.wait_ns for share in self.by_m.values())

    @property
    def starvation(self) -> float:
        """The longest wait as a multiple of the median contended wait; 1.0 where nobody waited.

        Infinite where the median is 0 and some M waited longer.
        """
        longest, median = self.contended_wait_ns.max, self.contended_wait_ns.p50
        if not longest:
            return 1.0
        return longest / median if median else float("inf")

    def _repr_html_(self) -> str:
        """A notebook's view: the lock, then its shares by M."""
        by_m = [
            (f"M{m}", share.acquisitions, share.contended, share.wait_ns, share.hold_ns)
            for m, share in sorted(self.by_m.items())
        ]
        head = ("M", "acquisitions", "contended", "wait ns", "hold ns")
        return lock_table([self]) + table(f"lock {self.name}, by M", head, by_m)


def lock_table(locks: Iterable[LockStatistics]) -> str:
    """Locks as a table of HTML, a row each."""
    head = (
        "lock", "mutex", "acquisitions", "contended", "wait p50 ns", "wait p99 ns", "wait max ns",
        "hold p50 ns", "bypasses max", "convoys", "fairness",
    )  # fmt: skip
    rows = [
        (
            of.name, of.mutex, of.acquisitions, of.contended, of.wait_ns.p50, of.wait_ns.p99,
            of.wait_ns.max, of.hold_ns.p50, of.bypasses_max, of.convoys,
            round(of.fairness_acquisitions, 3),
        )
        for of in locks
    ]  # fmt: skip
    return table("locks", head, rows)


def jain(amounts: Iterable[int]) -> float:
    """Jain's fairness index, (sum x)^2 / (n * sum x^2); 1.0 where there is nothing to share.

    Source: R. Jain, D. Chiu, W. Hawe, "A Quantitative Measure of Fairness and Discrimination",
    DEC-TR-301, 1984.
    """
    values = list(amounts)
    squares = sum(x * x for x in values)
    return sum(values) ** 2 / (len(values) * squares) if squares else 1.0


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock.

    Args:
        m: number of the M.
        site: the Go function that took it.
        since_ns: when.
    """

    m: int
    site: str
    since_ns: int


@dataclass(frozen=True, slots=True)
class Waiter:
    """Who waits for a lock.

    Args:
        m: number of the M.
        site: the Go function that wants it.
        since_ns: since when.
        state: where in the algorithm the M is, such as "sleep".
        spins: procyields and osyields so far.
        sleeps: sleeps so far.
        bypassed: how many Ms that came later got the lock first.
    """

    m: int
    site: str
    since_ns: int
    state: str
    spins: int
    sleeps: int
    bypassed: int
