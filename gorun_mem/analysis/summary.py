"""What a run came to, summed up from its canonical events, one after another.

`Summary` is fed events: by the recorder while a run goes on, or from a log afterwards; the figures
are the same. run.start, run.end, mem.return, lock.release and the errors are enough, so logs of
every level but `info` have a summary. Only who waits for a lock is better known from lock.wait and
lock.acquire where the log has them (see `gorun_mem.analysis.waiting`). Its memory does not grow
with the log.

Waits and holds that have not ended count as long as they have lasted, at least; `at_least` names
the metrics that they make lower bounds of.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import UNSET

from gorun_mem.analysis.accumulator import ByFields, Handler
from gorun_mem.analysis.callbooks import Calls, CallSums
from gorun_mem.analysis.locksummary import LockSummary, SlowestWaits, Wait
from gorun_mem.analysis.metrics import PERCENTILES, RESULT, Metrics
from gorun_mem.analysis.values import percentiles_over
from gorun_mem.analysis.waiting import site_of
from gorun_mem.analysis.window import Clip, Window
from gorun_mem.events.types import (
    HOST_SITE,
    DeadlockEvent,
    LockAcquire,
    LockRelease,
    LockThrow,
    LockWait,
    LogEvent,
    MemCheck,
    MemGrow,
    MemReturn,
    Option,
    RaceFound,
    RunEnd,
    RunStart,
)
from gorun_mem.runtime.pages import pages_of

ERRORS_MAX: Final = 20
"""Error events that are kept; the others are counted."""

MEMLOCK: Final = "memlock"


class Summary:
    """What the events of one run come to.

    Args:
        whole: all canonical events will be fed, whatever run.start says of the log.

    Attributes:
        start: the first line, None where it is missing.
        end: the last line, None where the log was cut or the run goes on.
        sums: over the calls of the OS layer.
        slowest_waits: the longest waits that have ended.
        last_ns: time of the last event.
        grows_seen: growths that were asked for.
        window: what of the run's time the figures are of; None for all of it.
        errors: error events, at most `ERRORS_MAX`.
        errors_seen: how many there were.
        grows_refused: growths that were refused.
        runs: how many runs the events are of; only those of the first are summed up.
    """

    def __init__(self, *, whole: bool = False) -> None:
        self.start: RunStart | None = None
        self.end: RunEnd | None = None
        self.sums = CallSums()
        self._locks: dict[str, LockSummary] = {}
        self.slowest_waits = SlowestWaits()
        self.last_ns = 0
        self.errors: list[LogEvent] = []
        self.errors_seen = 0
        self.grows_refused = self.grows_seen = 0
        self.window: Window | None = None
        self.runs = 0
        self.events = 0
        self._whole = whole
        self._take = {**self.handlers(), **self._lock_handlers()}

    def handlers(self) -> dict[type[LogEvent], Handler]:
        """What to call with each event that is not about a lock."""
        return {
            RunStart: self._on_start,
            RunEnd: self._on_end,
            MemReturn: ByFields(self.sums.add),
            MemGrow: self._on_grow,
            MemCheck: self._on_check,
            LockThrow: self._on_error,
            RaceFound: self._on_error,
            DeadlockEvent: self._on_error,
        }

    def _lock_handlers(self) -> dict[type[LogEvent], Handler]:
        return {
            LockWait: self._on_wait,
            LockAcquire: self._on_acquire,
            LockRelease: self._on_release,
        }

    @classmethod
    def of(cls, events: Iterable[LogEvent], window: Window | None = None) -> Summary:
        """The summary of a log's events, or of a window of its time."""
        summary = cls()
        if window is None:
            for event in events:
                summary.events += 1
                summary.feed(event)
            return summary
        summary.window = window
        clip = Clip(window)
        for event in events:
            summary.events += 1
            for cut in clip.take(event):
                summary.feed(cut)
            if isinstance(event, MemReturn) and event.t_ns < window.from_ns:
                summary.note_past(event)
        for cut in clip.begin():
            summary.feed(cut)
        summary.last_ns = clip.end_ns
        return summary

    def note_past(self, event: MemReturn) -> None:
        """Take the state from a call before the window, which counts no more."""
        self.sums.last = event

    def feed(self, event: LogEvent) -> None:
        """Take in one event."""
        take = self._take.get(type(event))
        if take is not None:
            take(event)
        if self.runs < 2 and event.t_ns > self.last_ns:
            self.last_ns = event.t_ns

    # What comes.

    def _on_start(self, event: RunStart) -> None:
        self.runs += 1
        if self.runs == 1 and self.start is None:
            self.start = event
            self._locks[MEMLOCK] = LockSummary(MEMLOCK)  # so that its metrics are always there
        else:
            self._take = {RunStart: self._on_start}  # another run's log behind the first

    def _on_end(self, event: RunEnd) -> None:
        self.end = event

    def _on_wait(self, event: LockWait) -> None:
        (self._locks.get(event.lock) or self._new_lock(event.lock)).wait(event)

    def _on_acquire(self, event: LockAcquire) -> None:
        (self._locks.get(event.lock) or self._new_lock(event.lock)).acquire(event)

    def _on_release(self, event: LockRelease) -> None:
        lock = self._locks.get(event.lock) or self._new_lock(event.lock)
        if event.wait_ns > self.slowest_waits.least_ns:
            self.slowest_waits.note(event, site_of(lock.taken or event))
        lock.release(event)

    def _new_lock(self, name: str) -> LockSummary:
        lock = self._locks[name] = LockSummary(name)
        return lock

    def _on_grow(self, event: MemGrow) -> None:
        if event.site == HOST_SITE:
            return
        self.grows_seen += 1
        if not event.ok:
            self.grows_refused += 1

    def _on_check(self, event: MemCheck) -> None:
        if not event.ok:
            self._on_error(event)

    def _on_error(self, event: LogEvent) -> None:
        self.errors_seen += 1
        if len(self.errors) < ERRORS_MAX:
            self.errors.append(event)

    def take_locks(self, locks: Mapping[str, LockSummary], slowest: SlowestWaits) -> None:
        """Take over what somebody else counted from the same events.

        Args:
            locks: by name.
            slowest: the longest waits.
        """
        self._locks |= locks
        self.slowest_waits = slowest

    # What it comes to.

    @property
    def locks(self) -> dict[str, LockSummary]:
        """By name, with what has not ended; of a log of several runs, the first's."""
        now = self.t_ns if self.window is not None else max(self.t_ns, self.last_ns)
        return {name: lock.as_of(now) for name, lock in self._locks.items()}

    @property
    def t_ns(self) -> int:
        """Virtual time at the end of the run or the window; in a cut log that of the last event."""
        now = self.end.t_ns if self.end is not None else self.last_ns
        if self.window is None or self.window.to_ns is None:
            return now
        return min(now, self.window.to_ns)

    @property
    def calls(self) -> Mapping[str, Calls]:
        """Calls of the OS layer that returned, by function."""
        return self.sums.by_fn

    @property
    def slowest(self) -> Sequence[Wait]:
        """The longest waits, longest first; some may not have ended."""
        return self.slowest_waits.with_open(self.locks.values())

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
        """Arena hints dropped; in a cut log or a window, reservations that missed."""
        end = self.whole_end
        return end.hint_misses if end is not None else self.sums.took("hint_miss")

    @property
    def whole_end(self) -> RunEnd | None:
        """The last line where its sums are those of all that is looked at: not in a window."""
        return self.end if self.window is None else None

    @property
    def final_pages(self) -> int:
        """Pages of 64 KiB at the end."""
        end, last = self.whole_end, self.sums.last
        if end is not None:
            return end.final_pages
        if last is None:
            return self.start.initial_pages if self.start is not None else 0
        return last.pages or pages_of(last.bloc_max)

    @property
    def results(self) -> dict[str, Option]:
        """What the scenario found."""
        if self.end is None or self.end.results is UNSET:
            return {}
        return self.end.results

    def metrics(self) -> Metrics:
        """Every metric that the events tell, by name; what they do not tell is left out."""
        end = self.whole_end
        found: Metrics = {"final_pages": self.final_pages}
        if end is not None:
            found |= {"peak_live_bytes": end.peak_live_bytes, "grows": end.grows}
        elif self.window is not None and not self.is_thin:
            found["grows"] = self.grows_seen
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
        locks = self.locks.values()
        total = sum(lock.waits.total for lock in locks)
        if self.whole_end is not None:  # it knows more where the log has releases only
            total = max(total, self.whole_end.lock_wait_ns)
        found: Metrics = {"lock_wait_ns": total}
        of_all = percentiles_over([lock.waits for lock in locks], (50, 90, 99))
        longest = max((lock.waits.max for lock in locks), default=0)
        for name, value in zip(PERCENTILES, (*of_all, longest), strict=True):
            found[f"lock_wait_ns.{name}"] = value
        for lock in locks:
            found |= {f"lock.{lock.name}.{name}": value for name, value in lock.metrics().items()}
        return found

    def at_least(self) -> list[str]:
        """Names of metrics that are lower bounds, because waits or holds have not ended."""
        if self.is_thin:
            return []
        found: list[str] = []
        locks = self.locks.values()
        if any(lock.open.waits for lock in locks):
            found += ["lock_wait_ns", *(f"lock_wait_ns.{name}" for name in PERCENTILES)]
        for lock in locks:
            found += [f"lock.{lock.name}.{name}" for name in lock.at_least()]
        return found
