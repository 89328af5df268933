"""What the analysis says of a lock: distributions, shares, busy periods, blame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from gorun_mem.analysis.cells import LockUse
from gorun_mem.analysis.exact import share
from gorun_mem.analysis.gathered import TimesOf
from gorun_mem.analysis.queues import Peaks
from gorun_mem.analysis.waiting import NOTHING, Unended
from gorun_mem.runtime.mutex.statistics import Distribution, Share, jain


class Who(NamedTuple):
    """A hold's M and site.

    Args:
        m: M, 0 for nobody known.
        site: the Go function that took the lock.
    """

    m: int
    site: str


@dataclass(frozen=True, slots=True)
class Blame:
    """What one culprit made others wait.

    Args:
        m: the M that held.
        site: the Go function that took the lock.
        held_ns: waited while it held the lock and ran, summed over those who waited.
        handoff_ns: waited after it gave the lock back, until the next had it.
        holds: holds in which somebody waited for it.
        lock: the lock that it held; another than the one waited for where the chain is longer.
        off_cpu_ns: waited while it held the lock and slept, or had lost its CPU.
        circle_ns: waited while it stood in a circle of Ms that wait for each other.
    """

    m: int
    site: str
    held_ns: int
    handoff_ns: int
    holds: int
    lock: str = ""
    off_cpu_ns: int = 0
    circle_ns: int = 0

    @property
    def total_ns(self) -> int:
        """All that is charged to it."""
        return self.held_ns + self.off_cpu_ns + self.circle_ns + self.handoff_ns


@dataclass(frozen=True, slots=True)
class BusyPeriod:
    """A maximal time in which at least one M waited.

    Args:
        start_ns: when the first came.
        end_ns: when the last had the lock, or the log ended.
        start_seq: the event it began with.
        acquisitions: acquisitions in it.
        depth_max: most Ms waiting at once.
        wait_ns: what was waited in it, summed.
        ended: False where the log ends within it.
        convoy: whether Ms came to wait after the hold that formed it had ended.
        formed_ns: when that hold ended; `end_ns` where it has not.
        began_with: the hold that the first ran into.
        causes: blame within it, the greatest first.
    """

    start_ns: int
    end_ns: int
    start_seq: int
    acquisitions: int
    depth_max: int
    wait_ns: int
    ended: bool
    convoy: bool
    formed_ns: int
    began_with: Who
    causes: tuple[Blame, ...]

    @property
    def length_ns(self) -> int:
        """How long it lasted."""
        return self.end_ns - self.start_ns

    @property
    def outlasted_ns(self) -> int:
        """For how long it went on after the hold that formed it."""
        return self.end_ns - self.formed_ns


class Part:
    """What one M, or one site, had of a lock; distributions are put together when asked for.

    Attributes:
        times: waits and holds, those that have not ended too.
        share: sums, as the lock's own statistics have them.
        spins: spin rounds.
        sleeps: times slept.
        blocked_ns: of its holds, it waited for another lock.
        off_cpu_ns: of its holds, it slept or had lost its CPU.
    """

    __slots__ = ("blocked_ns", "off_cpu_ns", "share", "sleeps", "spins", "times")

    def __init__(self, cells: list[LockUse]) -> None:
        self.times = TimesOf(cells)
        self.share = Share(
            acquisitions=sum(cell.acquisitions for cell in cells),
            contended=self.times.contended.count,
            wait_ns=self.times.contended.total,
            hold_ns=self.times.holds.total,
        )
        self.spins = sum(cell.spins.total for cell in cells)
        self.sleeps = sum(cell.sleeps for cell in cells)
        self.blocked_ns = sum(cell.blocked_ns for cell in cells)
        self.off_cpu_ns = sum(cell.idle_ns for cell in cells)

    @property
    def running_ns(self) -> int:
        """Of its holds, it ran."""
        return self.share.hold_ns - self.blocked_ns - self.off_cpu_ns

    @property
    def wait_ns(self) -> Distribution:
        """Waits over all acquisitions, an uncontended one counting as 0, and those still open."""
        return self.times.wait_ns

    @property
    def hold_ns(self) -> Distribution:
        """Holds, one that has not ended as long as it lasted."""
        return self.times.hold_ns

    def __repr__(self) -> str:
        return f"<Part {self.share}>"


@dataclass(frozen=True, slots=True)
class LockReport:
    """All that the log says of one lock.

    What has not ended counts as long as it lasted: `open` has it, and where there is some, times
    are lower bounds.

    Args:
        name: the lock's name.
        detail: "full", or "releases" where the log has only lock.release.
        acquisitions: how often it was got.
        contended: how often an M had to wait for it.
        times: waits, holds, spins and bypasses; distributions are put together when asked for.
        sleeps: times that waiting Ms slept.
        by_m: by M.
        by_site: by the Go function that took the lock.
        queue: Ms waiting over time; `queue.ns_at` has how long each depth lasted.
        bypasses_max: most acquisitions by later Ms before one M had the lock.
        handoffs: acquisitions by the very M that the release before had woken.
        handoff_chain_max: most of these in a row.
        handoff_chains: length of a chain -> how many.
        busy_periods: how often the lock went from nobody waiting to somebody.
        busy_longest: the longest of these, longest first.
        convoys: how many of these were convoys.
        convoys_longest: the longest of these, longest first.
        blame: whose doing the waits were, at the end of each chain of waits; the greatest first.
        direct: who held the lock meanwhile, whatever that M waited for itself.
        open: what has not ended.
        throws: error_type -> how often the lock threw.
    """

    name: str
    detail: str
    acquisitions: int
    contended: int
    times: TimesOf
    sleeps: int
    by_m: Mapping[int, Part]
    by_site: Mapping[str, Part]
    queue: Peaks
    bypasses_max: int
    handoffs: int
    handoff_chain_max: int
    handoff_chains: Mapping[int, int]
    busy_periods: int
    busy_longest: tuple[BusyPeriod, ...]
    convoys: int
    convoys_longest: tuple[BusyPeriod, ...]
    blame: tuple[Blame, ...]
    direct: tuple[Blame, ...]
    open: Unended = NOTHING
    throws: Mapping[str, int] = field(default_factory=dict)

    @property
    def wait_ns(self) -> Distribution:
        """Waits over all acquisitions, an uncontended one counting as 0."""
        return self.times.wait_ns

    @property
    def contended_wait_ns(self) -> Distribution:
        """Waits that were some."""
        return self.times.contended_wait_ns

    @property
    def hold_ns(self) -> Distribution:
        """Holds."""
        return self.times.hold_ns

    @property
    def spin_rounds(self) -> Distribution:
        """Spins over contended acquisitions."""
        return self.times.spin_rounds

    @property
    def bypasses(self) -> Distribution:
        """Bypasses over contended acquisitions."""
        return self.times.bypasses

    @property
    def unfinished_wait_ns(self) -> int:
        """Waited up to the end by Ms that never had the lock; part of `wait_ns`."""
        return self.open.wait_ns

    @property
    def waiting(self) -> Mapping[int, int]:
        """The Ms that wait at the end, with when they began."""
        return {one.m: one.since_ns for one in self.open.waits}

    @property
    def holding(self) -> tuple[Who, int] | None:
        """Who holds it at the end and since when, None where nobody does."""
        hold = self.open.hold
        return None if hold is None else (Who(hold.m, hold.site), hold.since_ns)

    @property
    def spins(self) -> int:
        """Spin rounds of all who had the lock."""
        return self.spin_rounds.total

    @property
    def fairness_acquisitions(self) -> float:
        """Jain's index over the Ms' acquisitions."""
        return jain(part.share.acquisitions for part in self.by_m.values())

    @property
    def fairness_waits(self) -> float:
        """Jain's index over the Ms' summed waits."""
        return jain(part.share.wait_ns for part in self.by_m.values())

    @property
    def starvation(self) -> float:
        """The longest wait as a multiple of the median contended wait; 1.0 where nobody waited."""
        longest, median = self.contended_wait_ns.max, self.contended_wait_ns.p50
        if not longest:
            return 1.0
        return share(longest, median, float("inf"))


def blame_table(blame: Iterable[Blame]) -> tuple[Blame, ...]:
    """Those that are to blame at all, the greatest first."""
    found = (one for one in blame if one.total_ns or one.holds)
    return tuple(sorted(found, key=lambda one: (-one.total_ns, one.m, one.site, one.lock)))
