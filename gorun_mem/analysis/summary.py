"""What a run came to, summed up from its canonical events, one after another.

`Summary` is fed events: by the recorder while a run goes on, or from a log afterwards; the figures
are the same. run.start, run.end, mem.return, lock.release and the errors are enough, so logs of
every level but `info` have a summary. Only who waits for a lock is better known from lock.wait and
lock.acquire where the log has them (see `gorun_mem.analysis.waiting`). Its memory does not grow
with the log.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from msgspec import UNSET

from gorun_mem.analysis.calls import Calls, CallSums
from gorun_mem.analysis.metrics import PERCENTILES, RESULT, Metrics
from gorun_mem.analysis.stream import Handler
from gorun_mem.analysis.values import Values, percentiles
from gorun_mem.analysis.waiting import QueueFigures, ReleaseQueue, WaitQueue
from gorun_mem.events.types import (
    HOST_SITE,
    DeadlockFound,
    Event,
    LockAcquire,
    LockRelease,
    LockThrow,
    LockWait,
    MemCheck,
    MemGrow,
    MemReturn,
    Option,
    RaceFound,
    RunEnd,
    RunStart,
)
from gorun_mem.runtime.mutex.statistics import Distribution, jain

SLOWEST: Final = 5
"""Waits that are named."""

ERRORS_MAX: Final = 20
"""Error events that are kept; the others are counted."""

MEMLOCK: Final = "memlock"
WASM_PAGE: Final = 64 * 1024
_M_DISTINCT_MAX: Final = 1 << 12
"""Distinct waits counted of one M: there may be thousands of Ms."""


@dataclass(frozen=True, slots=True)
class Wait:
    """One wait for a lock.

    Args:
        wait_ns: how long it was.
        since_ns: when it began.
        m: who waited.
        lock: for what.
        site: the Go function that gave the lock back; it had asked for it too.
        seq: the line of the log that says so.
    """

    wait_ns: int
    since_ns: int
    m: int
    lock: str
    site: str
    seq: int


class SlowestWaits:
    """The longest waits for locks.

    Attributes:
        waits: longest first, the earlier of equal ones first; at most `SLOWEST`.
        least_ns: a wait that is not longer is none of them.
    """

    def __init__(self) -> None:
        self.waits: list[Wait] = []
        self.least_ns = 0

    def note(self, event: LockRelease) -> None:
        """Keep the wait that `event` tells of, which was longer than `least_ns`."""
        since_ns = event.t_ns - event.hold_ns - event.wait_ns
        site = event.site if event.site is not UNSET else ""
        waits = self.waits
        waits.append(Wait(event.wait_ns, since_ns, event.m, event.lock, site, event.seq))
        waits.sort(key=lambda wait: (-wait.wait_ns, wait.since_ns, wait.seq))
        del waits[SLOWEST:]
        if len(waits) == SLOWEST:
            self.least_ns = waits[-1].wait_ns


class Share:
    """What one M had of a lock.

    Args:
        waits: of all its acquisitions.
        contended: acquisitions that began with a wait.
        hold_ns: how long it held, summed.
    """

    __slots__ = ("contended", "hold_ns", "waits")

    def __init__(self, waits: Values | None = None, contended: int = 0, hold_ns: int = 0) -> None:
        self.waits = Values(_M_DISTINCT_MAX) if waits is None else waits
        self.contended = contended
        self.hold_ns = hold_ns

    @classmethod
    def of(cls, waits: Distribution, contended: int, hold_ns: int) -> Share:
        """The same, counted by somebody else."""
        return cls(Values.of(waits, _M_DISTINCT_MAX), contended, hold_ns)

    @property
    def acquisitions(self) -> int:
        """Holds that ended."""
        return self.waits.count


class LockSummary:
    """What the log says of one lock, short.

    Attributes:
        name: the lock's.
        waits: of all acquisitions; one that did not wait counts 0.
        holds: how long it was held.
        contended, spins, sleeps, blocked_ns: sums.
        shares: by M.
        line: who waits; None where the log has neither waits nor acquisitions.
        releases: the same as far as the releases tell; looked at only then.
    """

    __slots__ = (
        "blocked_ns", "contended", "holds", "line", "name", "releases", "shares", "sleeps", "spins",
        "waits",
    )  # fmt: skip

    def __init__(self, name: str) -> None:
        self.name = name
        self.waits = Values()
        self.holds = Values()
        self.contended = self.spins = self.sleeps = self.blocked_ns = 0
        self.shares: dict[int, Share] = {}
        self.line: WaitQueue | None = None
        self.releases = ReleaseQueue()

    @property
    def acquisitions(self) -> int:
        """Holds that ended."""
        return self.waits.count

    def wait(self, event: LockWait) -> None:
        """Take in that an M begins to wait."""
        line = self.line
        if line is None:
            line = self.line = WaitQueue()
        line.wait(event.m, event.t_ns)

    def acquire(self, event: LockAcquire) -> None:
        """Take in what an acquisition says of the queue; the rest is told by its release."""
        line = self.line
        if line is None:
            line = self.line = WaitQueue()
        if line.waiting:
            line.acquire(event)

    def release(self, event: LockRelease) -> None:
        """Take in one release, and the acquisition before it."""
        m, wait_ns, hold_ns = event.m, event.wait_ns, event.hold_ns
        self.waits.add(wait_ns)
        self.holds.add(hold_ns)
        share = self.shares.get(m)
        if share is None:
            share = self.shares[m] = Share()
        share.waits.add(wait_ns)
        share.hold_ns += hold_ns
        if event.contended:
            self.contended += 1
            self.spins += event.spins
            self.sleeps += event.sleeps
            share.contended += 1
        if event.waiters:
            self.blocked_ns += event.blocked_ns
        if self.line is None and (event.contended or event.waiters or self.releases.waiting):
            self.releases.release(event)

    @property
    def queue(self) -> QueueFigures:
        """Who waited: how many, how long without a break, passed by how often."""
        return self.line.figures() if self.line is not None else self.releases.figures()

    def bypasses_max(self, m: int) -> int:
        """Most acquisitions by later comers during one wait of `m` that has ended."""
        return (self.line or self.releases).bypasses_of.get(m, 0)

    @property
    def fairness(self) -> float:
        """Jain's index over the Ms' acquisitions."""
        return jain(share.acquisitions for share in self.shares.values())

    @property
    def fairness_waits(self) -> float:
        """Jain's index over the Ms' waits."""
        return jain(share.waits.total for share in self.shares.values())

    def metrics(self) -> Metrics:
        """By name without the lock's."""
        found: Metrics = {
            "acquisitions": self.acquisitions,
            "contended": self.contended,
            "wait_ns": self.waits.total,
            "hold_ns": self.holds.total,
            "blocked_ns": self.blocked_ns,
            "spins": self.spins,
            "sleeps": self.sleeps,
            **self.queue._asdict(),
            "fairness": round(self.fairness, 6),
            "fairness_waits": round(self.fairness_waits, 6),
        }
        found |= {f"wait_ns.{name}": value for name, value in self.waits.figures().items()}
        found |= {f"hold_ns.{name}": value for name, value in self.holds.figures().items()}
        return found


class Summary:
    """What the events of one run come to.

    Args:
        whole: all canonical events will be fed, whatever run.start says of the log.

    Attributes:
        start: the first line, None where it is missing.
        end: the last line, None where the log was cut or the run goes on.
        sums: over the calls of the OS layer.
        locks: by name.
        slowest_waits: the longest waits.
        errors: error events, at most `ERRORS_MAX`.
        errors_seen: how many there were.
        grows_refused: growths that were refused.
        runs: how many runs the events are of; only those of the first are summed up.
    """

    def __init__(self, *, whole: bool = False) -> None:
        self.start: RunStart | None = None
        self.end: RunEnd | None = None
        self.sums = CallSums()
        self.locks: dict[str, LockSummary] = {}
        self.slowest_waits = SlowestWaits()
        self.errors: list[Event] = []
        self.errors_seen = 0
        self.grows_refused = 0
        self.runs = 0
        self.events = 0
        self._whole = whole
        self._released_ns = 0
        self._take = {**self.handlers(), **self._lock_handlers()}

    def handlers(self) -> dict[type[Event], Handler]:
        """What to call with each event that is not about a lock."""
        return {
            RunStart: self._on_start,
            RunEnd: self._on_end,
            MemReturn: self.sums.add,
            MemGrow: self._on_grow,
            MemCheck: self._on_check,
            LockThrow: self._on_error,
            RaceFound: self._on_error,
            DeadlockFound: self._on_error,
        }

    def _lock_handlers(self) -> dict[type[Event], Handler]:
        return {
            LockWait: self._on_wait,
            LockAcquire: self._on_acquire,
            LockRelease: self._on_release,
        }

    @classmethod
    def of(cls, events: Iterable[Event]) -> Summary:
        """The summary of a log's events."""
        summary = cls()
        for event in events:
            summary.events += 1
            summary.feed(event)
        return summary

    def feed(self, event: Event) -> None:
        """Take in one event."""
        take = self._take.get(type(event))
        if take is not None:
            take(event)

    # What comes.

    def _on_start(self, event: RunStart) -> None:
        self.runs += 1
        if self.runs == 1 and self.start is None:
            self.start = event
            self.locks[MEMLOCK] = LockSummary(MEMLOCK)  # so that its metrics are always there
        else:
            self._take = {RunStart: self._on_start}  # another run's log behind the first

    def _on_end(self, event: RunEnd) -> None:
        self.end = event

    def _on_wait(self, event: LockWait) -> None:
        (self.locks.get(event.lock) or self._new_lock(event.lock)).wait(event)

    def _on_acquire(self, event: LockAcquire) -> None:
        (self.locks.get(event.lock) or self._new_lock(event.lock)).acquire(event)

    def _on_release(self, event: LockRelease) -> None:
        self._released_ns = event.t_ns
        (self.locks.get(event.lock) or self._new_lock(event.lock)).release(event)
        if event.wait_ns > self.slowest_waits.least_ns:
            self.slowest_waits.note(event)

    def _new_lock(self, name: str) -> LockSummary:
        lock = self.locks[name] = LockSummary(name)
        return lock

    def _on_grow(self, event: MemGrow) -> None:
        if not event.ok and event.site != HOST_SITE:
            self.grows_refused += 1

    def _on_check(self, event: MemCheck) -> None:
        if not event.ok:
            self._on_error(event)

    def _on_error(self, event: Event) -> None:
        self.errors_seen += 1
        if len(self.errors) < ERRORS_MAX:
            self.errors.append(event)

    def take_locks(self, locks: Mapping[str, LockSummary], slowest: SlowestWaits) -> None:
        """Take over what somebody else counted from the same events.

        Args:
            locks: by name.
            slowest: the longest waits.
        """
        self.locks |= locks
        self.slowest_waits = slowest

    # What it comes to.

    @property
    def t_ns(self) -> int:
        """Virtual time at the end; in a cut log that of the last return or release."""
        if self.end is not None:
            return self.end.t_ns
        last = self.sums.last
        return max(self._released_ns, last.t_ns if last is not None else 0)

    @property
    def calls(self) -> Mapping[str, Calls]:
        """Calls of the OS layer that returned, by function."""
        return self.sums.by_fn

    @property
    def slowest(self) -> Sequence[Wait]:
        """The longest waits, longest first."""
        return self.slowest_waits.waits

    @property
    def is_thin(self) -> bool:
        """Whether the log leaves out calls and releases, as one of level info does."""
        return not self._whole and self.start is not None and self.start.log_level is not UNSET

    @property
    def is_exact(self) -> bool:
        """Whether no lock had so many distinct times that they were rounded."""
        return all(lock.waits.exact and lock.holds.exact for lock in self.locks.values())

    @property
    def hint_hits(self) -> int:
        """Reservations that got the address they asked for."""
        return self.sums.took("hint")

    @property
    def hint_misses(self) -> int:
        """Arena hints dropped; in a cut log, reservations that missed."""
        return self.end.hint_misses if self.end is not None else self.sums.took("hint_miss")

    @property
    def final_pages(self) -> int:
        """Pages of 64 KiB at the end."""
        if self.end is not None:
            return self.end.final_pages
        last = self.sums.last
        if last is None:
            return 0
        return last.pages or -(-last.bloc_max // WASM_PAGE)

    @property
    def results(self) -> dict[str, Option]:
        """What the scenario found."""
        if self.end is None or self.end.results is UNSET:
            return {}
        return self.end.results

    def metrics(self) -> Metrics:
        """Every metric that the events tell, by name; what they do not tell is left out."""
        end = self.end
        found: Metrics = {"final_pages": self.final_pages}
        if end is not None:
            found |= {"peak_live_bytes": end.peak_live_bytes, "grows": end.grows}
        found |= {"grows_refused": self.grows_refused, "time_ns": self.t_ns}
        if end is not None:
            found |= {"steps": end.steps, "hint_misses": end.hint_misses}
            found["lock_wait_ns"] = end.lock_wait_ns
        if self.start is not None:
            found["ms"] = self.start.ms
        if not self.is_thin:
            found |= self._memory_metrics()
            found |= self._lock_metrics()
        for name, value in self.results.items():
            if isinstance(value, bool | int | float):
                found[RESULT + name] = int(value) if isinstance(value, bool) else value
        return found

    def _memory_metrics(self) -> Metrics:
        sums, last = self.sums, self.sums.last
        found: Metrics = {
            "calls": sum(calls.count for calls in self.calls.values()),
            "calls_failed": sum(calls.failed for calls in self.calls.values()),
            "hint_hits": self.hint_hits,
            "hint_misses": self.hint_misses,
            "search_steps": sums.search_steps,
            "cleared_bytes": sums.cleared_bytes,
            "free_bytes": last.free_bytes if last is not None else 0,
            "free_blocks": last.free_blocks if last is not None else 0,
            "free_largest": last.free_largest if last is not None else 0,
            "free_bytes_max": sums.free_bytes_max,
            "free_blocks_max": sums.free_blocks_max,
        }
        if last is not None:
            found |= {"bloc": last.bloc, "bloc_max": last.bloc_max}
        return found

    def _lock_metrics(self) -> Metrics:
        found: Metrics = {}
        if self.end is None:
            found["lock_wait_ns"] = sum(lock.waits.total for lock in self.locks.values())
        waits = Counter[int]()
        for lock in self.locks.values():
            waits.update(lock.waits.counts)
        of_all = percentiles(waits, (50, 90, 99))
        longest = max((lock.waits.max for lock in self.locks.values()), default=0)
        for name, value in zip(PERCENTILES, (*of_all, longest), strict=True):
            found[f"lock_wait_ns.{name}"] = value
        for lock in self.locks.values():
            found |= {f"lock.{lock.name}.{name}": value for name, value in lock.metrics().items()}
        return found
