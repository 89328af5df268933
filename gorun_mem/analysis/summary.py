"""What a run came to, summed up from its canonical events, one after another.

`Summary` is fed events: by the recorder while a run goes on, or from a log afterwards; the figures
are the same. It looks at run.start, run.end, mem.return, lock.release and the errors and passes
over everything else, so logs of every level but `info` give the same summary. Its memory does not
grow with the log.

Who waited when is put together from the releases: each says how long its holder had waited and who
waits now. From that bypasses and convoys follow without `lock.acquire`. An M that begins to wait
between a release and the next acquisition, which Go's sema mutex allows, is seen one release later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from msgspec import UNSET

from gorun_mem.analysis.metrics import PERCENTILES, RESULT, Metrics
from gorun_mem.analysis.values import Values
from gorun_mem.events.types import (
    DeadlockFound,
    Event,
    LockRelease,
    LockThrow,
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


@dataclass(slots=True)
class Calls:
    """The calls of one function that returned.

    Attributes:
        count: how many.
        failed: those that did not give what was asked for.
        bytes: sum of the sizes asked for.
        paths: how the answers came about -> how often.
    """

    count: int = 0
    failed: int = 0
    bytes: int = 0
    paths: dict[str, int] = field(default_factory=dict)


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


@dataclass(slots=True)
class Share:
    """What one M had of a lock.

    Attributes:
        contended: acquisitions that began with a wait.
        hold_ns: how long it held, summed.
        bypasses_max: most acquisitions by later comers during one wait.
        waits: of all its acquisitions.
    """

    contended: int = 0
    hold_ns: int = 0
    bypasses_max: int = 0
    waits: Values = field(default_factory=lambda: Values(_M_DISTINCT_MAX))

    @property
    def acquisitions(self) -> int:
        """Holds that ended."""
        return self.waits.count


class LockSummary:
    """What the releases of one lock say.

    Attributes:
        name: the lock's.
        waits: of all acquisitions; one that did not wait counts 0.
        holds: how long it was held.
        contended, spins, sleeps, blocked_ns: sums.
        shares: by M.
        bypasses_max, queue_depth_max, convoys, convoy_longest_ns, convoy_longest_acquisitions: see
            `gorun_mem.analysis.metrics`.
    """

    __slots__ = (
        "_bypassed", "_convoy_acquisitions", "_convoy_since_ns", "_waiting", "blocked_ns",
        "bypasses_max", "contended", "convoy_longest_acquisitions", "convoy_longest_ns", "convoys",
        "holds", "name", "queue_depth_max", "shares", "sleeps", "spins", "waits",
    )  # fmt: skip

    def __init__(self, name: str) -> None:
        self.name = name
        self.waits = Values()
        self.holds = Values()
        self.contended = self.spins = self.sleeps = self.blocked_ns = 0
        self.shares: dict[int, Share] = {}
        self.bypasses_max = self.queue_depth_max = self.convoys = 0
        self.convoy_longest_ns = self.convoy_longest_acquisitions = 0
        self._waiting: tuple[int, ...] = ()  # as of the last release, in the order they came
        self._bypassed: dict[int, int] = {}
        self._convoy_since_ns = -1  # -1: nobody waits
        self._convoy_acquisitions = 0

    @property
    def acquisitions(self) -> int:
        """Holds that ended."""
        return self.waits.count

    def add(self, event: LockRelease) -> None:
        """Take in one release, and the acquisition before it."""
        m, wait_ns, hold_ns = event.m, event.wait_ns, event.hold_ns
        self.waits.add(wait_ns)
        self.holds.add(hold_ns)
        share = self.shares.get(m)
        if share is None:
            share = self.shares[m] = Share()
        share.waits.add(wait_ns)
        share.hold_ns += hold_ns
        if event.contended or self._waiting:
            self._acquired_among_others(event, share)
        self._waiting = waiting = event.waiters
        if waiting:
            self.blocked_ns += event.blocked_ns
            if len(waiting) > self.queue_depth_max:
                self.queue_depth_max = len(waiting)

    def _acquired_among_others(self, event: LockRelease, share: Share) -> None:
        m, waiting, bypassed = event.m, self._waiting, self._bypassed
        acquired_ns = event.t_ns - event.hold_ns
        for other in waiting:
            if other == m:
                break
            bypassed[other] = bypassed.get(other, 0) + 1
        if event.contended:
            self.contended += 1
            self.spins += event.spins
            self.sleeps += event.sleeps
            share.contended += 1
            self._note_bypasses(share, bypassed.pop(m, 0))
            since_ns = acquired_ns - event.wait_ns
            if self._convoy_since_ns < 0 or since_ns < self._convoy_since_ns:
                self._convoy_since_ns = since_ns
        self._convoy_acquisitions += 1
        if len(waiting) == (m in waiting):
            self._end_convoy(acquired_ns)

    def _note_bypasses(self, share: Share, bypasses: int) -> None:
        share.bypasses_max = max(share.bypasses_max, bypasses)
        self.bypasses_max = max(self.bypasses_max, bypasses)

    def _end_convoy(self, now_ns: int) -> None:
        self.convoys += 1
        found = (now_ns - self._convoy_since_ns, self._convoy_acquisitions)
        if found > (self.convoy_longest_ns, self.convoy_longest_acquisitions):
            self.convoy_longest_ns, self.convoy_longest_acquisitions = found
        self._convoy_since_ns = -1
        self._convoy_acquisitions = 0

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
        bypasses = max([self.bypasses_max, *self._bypassed.values()])
        found: Metrics = {
            "acquisitions": self.acquisitions,
            "contended": self.contended,
            "wait_ns": self.waits.total,
            "hold_ns": self.holds.total,
            "blocked_ns": self.blocked_ns,
            "spins": self.spins,
            "sleeps": self.sleeps,
            "bypasses_max": bypasses,
            "queue_depth_max": self.queue_depth_max,
            "convoys": self.convoys,
            "convoy_longest_ns": self.convoy_longest_ns,
            "convoy_longest_acquisitions": self.convoy_longest_acquisitions,
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
        calls: by function.
        locks: by name.
        last: the last return of a call of the OS layer, None before the first.
        slowest: the longest waits, longest first.
        errors: error events, at most `ERRORS_MAX`.
        errors_seen: how many there were.
        grows_refused: growths that were refused.
        runs: how many runs the events are of; only those of the first are summed up.
    """

    def __init__(self, *, whole: bool = False) -> None:
        self.start: RunStart | None = None
        self.end: RunEnd | None = None
        self.calls: dict[str, Calls] = {}
        self.locks: dict[str, LockSummary] = {}
        self.last: MemReturn | None = None
        self.slowest: list[Wait] = []
        self.errors: list[Event] = []
        self.errors_seen = 0
        self.grows_refused = 0
        self.runs = 0
        self.events = 0
        self.t_ns = 0
        self.search_steps = self.cleared_bytes = 0
        self.free_bytes_max = self.free_blocks_max = 0
        self._whole = whole
        self._slow_ns = 0
        self._take: dict[type[Event], Callable[[Any], None]] = {
            RunStart: self._on_start,
            RunEnd: self._on_end,
            MemReturn: self._on_return,
            LockRelease: self._on_release,
            MemGrow: self._on_grow,
            MemCheck: self._on_check,
            LockThrow: self._on_error,
            RaceFound: self._on_error,
            DeadlockFound: self._on_error,
        }

    @classmethod
    def of(cls, events: Iterable[Event]) -> Summary:
        """The summary of a log's events."""
        summary = cls()
        for event in events:
            summary.events += 1
            summary.feed(event)
        return summary

    @property
    def wanted(self) -> tuple[type[Event], ...]:
        """The types of event that are looked at."""
        return tuple(self._take)

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
        self.t_ns = event.t_ns

    def _on_return(self, event: MemReturn) -> None:
        self.last = event
        self.t_ns = event.t_ns
        calls = self.calls.get(event.fn)
        if calls is None:
            calls = self.calls[event.fn] = Calls()
        calls.count += 1
        calls.bytes += event.n
        if not event.ok:
            calls.failed += 1
        path = event.path
        calls.paths[path] = calls.paths.get(path, 0) + 1
        self.search_steps += event.search_steps
        self.cleared_bytes += event.cleared_bytes
        if event.free_bytes > self.free_bytes_max:
            self.free_bytes_max = event.free_bytes
        if event.free_blocks > self.free_blocks_max:
            self.free_blocks_max = event.free_blocks

    def _on_release(self, event: LockRelease) -> None:
        self.t_ns = event.t_ns
        lock = self.locks.get(event.lock)
        if lock is None:
            lock = self.locks[event.lock] = LockSummary(event.lock)
        lock.add(event)
        if event.wait_ns > self._slow_ns:
            self._note_slow(event)

    def _note_slow(self, event: LockRelease) -> None:
        since_ns = event.t_ns - event.hold_ns - event.wait_ns
        site = event.site if event.site is not UNSET else ""
        self.slowest.append(Wait(event.wait_ns, since_ns, event.m, event.lock, site, event.seq))
        self.slowest.sort(key=lambda wait: (-wait.wait_ns, wait.since_ns, wait.seq))
        del self.slowest[SLOWEST:]
        if len(self.slowest) == SLOWEST:
            self._slow_ns = self.slowest[-1].wait_ns

    def _on_grow(self, event: MemGrow) -> None:
        if not event.ok:
            self.grows_refused += 1

    def _on_check(self, event: MemCheck) -> None:
        if not event.ok:
            self._on_error(event)

    def _on_error(self, event: Event) -> None:
        self.errors_seen += 1
        if len(self.errors) < ERRORS_MAX:
            self.errors.append(event)

    # What it comes to.

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
        return self._took("hint")

    @property
    def hint_misses(self) -> int:
        """Arena hints dropped; in a cut log, reservations that missed."""
        return self.end.hint_misses if self.end is not None else self._took("hint_miss")

    @property
    def final_pages(self) -> int:
        """Pages of 64 KiB at the end."""
        if self.end is not None:
            return self.end.final_pages
        if self.last is None:
            return 0
        return self.last.pages or -(-self.last.bloc_max // WASM_PAGE)

    @property
    def results(self) -> dict[str, Option]:
        """What the scenario found."""
        if self.end is None or self.end.results is UNSET:
            return {}
        return self.end.results

    def _took(self, path: str) -> int:
        return sum(calls.paths.get(path, 0) for calls in self.calls.values())

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
        last = self.last
        found: Metrics = {
            "calls": sum(calls.count for calls in self.calls.values()),
            "calls_failed": sum(calls.failed for calls in self.calls.values()),
            "hint_hits": self.hint_hits,
            "hint_misses": self.hint_misses,
            "search_steps": self.search_steps,
            "cleared_bytes": self.cleared_bytes,
            "free_bytes": last.free_bytes if last is not None else 0,
            "free_blocks": last.free_blocks if last is not None else 0,
            "free_largest": last.free_largest if last is not None else 0,
            "free_bytes_max": self.free_bytes_max,
            "free_blocks_max": self.free_blocks_max,
        }
        if last is not None:
            found |= {"bloc": last.bloc, "bloc_max": last.bloc_max}
        return found

    def _lock_metrics(self) -> Metrics:
        found: Metrics = {}
        if self.end is None:
            found["lock_wait_ns"] = sum(lock.waits.total for lock in self.locks.values())
        waits: dict[int, int] = {}
        for lock in self.locks.values():
            for value, times in lock.waits.distribution().values:
                waits[value] = waits.get(value, 0) + times
        of_all = Distribution.of(waits)
        for name in PERCENTILES:
            found[f"lock_wait_ns.{name}"] = getattr(of_all, name)
        found["lock_wait_ns.max"] = max((lock.waits.max for lock in self.locks.values()), default=0)
        for lock in self.locks.values():
            found |= {f"lock.{lock.name}.{name}": value for name, value in lock.metrics().items()}
        return found
