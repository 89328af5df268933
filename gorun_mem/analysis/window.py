"""A window of virtual time: what a report says of a part of a run.

What looks at the window only (locks, calls, the critical path) is fed events that were cut to it:
where it begins, each hold, wait and sleep that is under way begins with it, and where it ends they
have not ended, which counts as anywhere. So the waits and holds of windows side by side, and the
blame for them, add up to those of the whole. Acquisitions do not, for one whose hold reaches into
several windows is one in each; and who gave back a lock before the window, which is on its way
where it begins, is not known.

What needs to know the past (memory, the free list) is fed everything up to the window's end, for
there is no state without it.

From a log of releases only a window has the holds that end in it, cut to its beginning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from gorun_mem.analysis.accumulator import Accumulator, Handler, Numbers, dispatch, dispatch_table
from gorun_mem.events.types import (
    EVENT_TYPES,
    LockAcquire,
    LockRelease,
    LockWait,
    LogEvent,
    MemReturn,
    MExit,
    MPark,
    MStart,
    MUnpark,
    RunEnd,
    RunStart,
)


class Window(NamedTuple):
    """From when to when, in ns of virtual time.

    Args:
        from_ns: the first moment that belongs to it.
        to_ns: the first that does not any more, None where it goes to the log's end.
    """

    from_ns: int = 0
    to_ns: int | None = None


class Clip:
    """Cuts the events of a log to a window.

    Args:
        window: the window.

    Attributes:
        began: whether the window has begun.
        last_ns: time of the last event, whether in the window or not.
    """

    def __init__(self, window: Window) -> None:
        self.window = window
        self.began = False
        self.last_ns = 0
        self._ms: dict[int, MStart] = {}
        self._parked: dict[int, MPark] = {}
        self._held: dict[str, dict[int, LockAcquire]] = {}
        self._waits: dict[str, dict[int, LockWait]] = {}

    def take(self, event: LogEvent) -> Sequence[LogEvent]:
        """What an event is for those who look at the window only; events must come in order."""
        now, (low, high) = event.t_ns, self.window
        self.last_ns = max(self.last_ns, now)
        kind = type(event)
        if kind is RunStart:
            return (event,)
        if kind is RunEnd:
            return (*self.begin(), event)
        if high is not None and now >= high:
            return ()
        found: Sequence[LogEvent] = ()
        if now >= low:
            found = (*self.begin(), self._cut(event))
        self._follow(event)
        return found

    def begin(self) -> Sequence[LogEvent]:
        """What is under way where the window begins; once, and nothing if the log ends before."""
        low = self.window.from_ns
        if self.began or self.last_ns < low:
            return ()
        self.began = True
        if not low:
            return ()
        return [
            *(replace(event, t_ns=low) for event in self._ms.values()),
            *(
                replace(event, t_ns=low, contended=False, wait_ns=0, spins=0, sleeps=0, bypassed=0)
                for holders in self._held.values()
                for event in holders.values()
            ),
            *(
                replace(event, t_ns=low)
                for waits in self._waits.values()
                for event in waits.values()
            ),
            *(replace(event, t_ns=low) for event in self._parked.values()),
        ]

    @property
    def end_ns(self) -> int:
        """Where the window ends, or the log if that is before."""
        high = self.window.to_ns
        return self.last_ns if high is None else min(high, self.last_ns)

    def _cut(self, event: Any) -> LogEvent:
        """Without what was before the window."""
        since_ns = event.t_ns - self.window.from_ns
        cut: LogEvent = event
        if isinstance(event, LockAcquire) and event.wait_ns > since_ns:
            cut = replace(event, wait_ns=since_ns)
        elif isinstance(event, LockRelease) and event.hold_ns + event.wait_ns > since_ns:
            cut = self._cut_release(event, since_ns)
        return cut

    def _cut_release(self, event: LockRelease, since_ns: int) -> LockRelease:
        if event.hold_ns < since_ns:
            return replace(event, wait_ns=min(event.wait_ns, since_ns - event.hold_ns))
        waits = self._waits.get(event.lock, {})
        known = [
            min(event.t_ns - waits[m].t_ns, since_ns) if m in waits else since_ns
            for m in event.waiters
        ]
        return replace(
            event, hold_ns=since_ns, wait_ns=0, contended=False, spins=0, sleeps=0,
            blocked_ns=min(event.blocked_ns, sum(known)),
        )  # fmt: skip

    def _follow(self, event: Any) -> None:
        """Keep what is under way."""
        follow = _FOLLOW.get(type(event))
        if follow is not None:
            follow(self, event)

    def _wait(self, event: LockWait) -> None:
        self._waits.setdefault(event.lock, {})[event.m] = event

    def _acquire(self, event: LockAcquire) -> None:
        self._waits.get(event.lock, {}).pop(event.m, None)
        self._held.setdefault(event.lock, {})[event.m] = event

    def _release(self, event: LockRelease) -> None:
        self._held.get(event.lock, {}).pop(event.m, None)

    def _start(self, event: MStart) -> None:
        self._ms[event.m] = event

    def _exit(self, event: MExit) -> None:
        self._ms.pop(event.m, None)
        self._parked.pop(event.m, None)

    def _park(self, event: MPark) -> None:
        self._parked[event.m] = event

    def _unpark(self, event: MUnpark) -> None:
        self._parked.pop(event.m, None)


_FOLLOW: Mapping[type, Callable[[Clip, Any], None]] = {
    LockWait: Clip._wait,
    LockAcquire: Clip._acquire,
    LockRelease: Clip._release,
    MStart: Clip._start,
    MExit: Clip._exit,
    MPark: Clip._park,
    MUnpark: Clip._unpark,
}


class Windowed(Accumulator):
    """Feeds a window of a log to other accumulators.

    Args:
        window: the window.
        parts: the accumulators, in the order in which they must be fed.
        past: those of them that need all events from the log's beginning.
        past_return: takes each mem.return before the window.
    """

    def __init__(
        self,
        window: Window,
        parts: Sequence[Accumulator],
        past: Iterable[Accumulator],
        past_return: Callable[[MemReturn], None],
    ) -> None:
        self.clip = Clip(window)
        self._parts = parts
        past = list(past)
        self._past = dispatch_table(past)
        self._rest = dispatch_table(part for part in parts if part not in past)
        self._past_return = past_return
        self._numbers = Numbers()  # of what was cut to the window: nobody asks

    def handlers(self) -> Mapping[type[LogEvent], Handler]:
        """Whatever one of them wants, and what says what is under way."""
        return {
            kind: self._take
            for kind in EVENT_TYPES
            if kind in _FOLLOW or self._past[kind] or self._rest[kind]
        }

    def _take(self, event: LogEvent) -> None:
        low, high = self.clip.window
        kind = type(event)
        dispatch(list(self.clip.take(event)), self._rest, self._numbers)
        if high is None or event.t_ns < high or kind is RunEnd:
            for handle in self._past[kind]:
                handle(event)
        if isinstance(event, MemReturn) and event.t_ns < low:
            self._past_return(event)

    def tidy(self) -> None:
        """Pass it on."""
        for part in self._parts:
            part.tidy()

    def finish(self) -> None:
        """The log has ended, and the window with it."""
        clip = self.clip
        clip.last_ns = max(clip.last_ns, self.last_ns)
        dispatch(list(clip.begin()), self._rest, self._numbers)
        for part in self._parts:
            part.last_ns = clip.end_ns
            part.finish()
