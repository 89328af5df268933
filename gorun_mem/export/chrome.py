"""A log as a Chrome trace, which https://ui.perfetto.dev opens.

One track an M, with nested slices: the call of the OS layer, in it the wait for the lock, then the
hold. A call's slice ends when it gives its lock back, which is after its mem.return. Arrows go from
a release to the acquisition that it made possible, where somebody was waiting and another M got the
lock: one that takes its own lock again hands nothing over. Counter tracks show
each lock's queue, the break, bloc_max, the memory's top and the free bytes; growths, hint misses,
throws and deadlocks are marks.

Locks need not be given back in the order in which they were taken, and slices of a track must nest:
where a hold ends beneath another slice, that one is closed and opened again at the same time, with
`continued` among its arguments.

Times are in microseconds with three digits, so every ns is kept. A time that goes back, as only a
damaged log has, is taken for the one before.

Begin and end events are written in the order of the log; "complete" events with a duration were
rejected, for then the order of slices that begin together is left to the viewer. An arrow's start
must stand at the release, before it is known whether there is an arrow: its place in what is not
yet written is kept free until the next acquisition, for at most `HELD_MAX` trace events.

Source: the Trace LogEvent Format of the Chromium project.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import IO, Any, Final, NamedTuple

import msgspec

from gorun_mem.analysis.accumulator import Accumulator, Handler
from gorun_mem.analysis.stream import LogCondition, Progress, analyse
from gorun_mem.events.reader import Source
from gorun_mem.events.types import (
    ArenaHintMiss,
    ArenaReserve,
    DeadlockEvent,
    LockAcquire,
    LockRelease,
    LockThrow,
    LockWait,
    LogEvent,
    MemCall,
    MemCheck,
    MemGrow,
    MemReturn,
    MExit,
    MStart,
    RaceFound,
    RunEnd,
    RunStart,
)
from gorun_mem.runtime.pages import top_of

FLUSH_AT: Final = 4096
HELD_MAX: Final = 1 << 16
TRACKS_MAX: Final = 1 << 16
PID: Final = 1


class _Slice:
    """A slice that is open on an M's track."""

    __slots__ = ("args", "key", "name", "returned")

    def __init__(self, key: tuple[str, Any], name: str, args: dict[str, Any]) -> None:
        self.key = key
        self.name = name
        self.args = args
        self.returned: dict[str, Any] | None = None


class _Passing(NamedTuple):
    """A lock that was given back while Ms waited.

    Args:
        m: by whom.
        ts: when.
        place: kept free for the start of an arrow, among all pieces of the file.
    """

    m: int
    ts: float
    place: int


class ChromeTrace(Accumulator):
    """Writes trace events as log events come.

    Args:
        write: takes pieces of the file.

    Attributes:
        written: trace events so far.
    """

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self.written = 0
        self._write = write
        self._encode = msgspec.json.Encoder().encode
        self._out: list[bytes] = []
        self._flushed = 0
        self._flush_at = FLUSH_AT
        self._now = 0
        self._tracks: dict[int, list[_Slice]] = {}
        self._waiting: dict[str, int] = {}
        self._passing: dict[str, _Passing] = {}
        self._flows = 0
        self._counters: dict[str, int] = {}
        self._wasm = True
        self._header = False

    def handlers(self) -> Mapping[type[LogEvent], Handler]:
        """All that a track, an arrow, a counter or a mark is made of."""
        return {
            RunStart: self._start,
            RunEnd: self._end,
            MStart: self._m_start,
            MExit: self._m_exit,
            MemCall: self._call,
            MemReturn: self._return,
            LockWait: self._wait,
            LockAcquire: self._acquire,
            LockRelease: self._release,
            LockThrow: self._mark,
            MemGrow: self._mark,
            MemCheck: self._check,
            ArenaHintMiss: self._mark,
            ArenaReserve: self._mark,
            RaceFound: self._mark,
            DeadlockEvent: self._mark,
        }

    # Writing.

    def _emit(self, event: dict[str, Any]) -> None:
        out = self._out
        if not self._header:
            self._header = True
            out.append(b'{"displayTimeUnit":"ns","traceEvents":[\n')
        else:
            out.append(b",\n")
        out.append(self._encode(event))
        self.written += 1
        if len(out) >= self._flush_at:
            self._flush()
            self._flush_at = len(out) + FLUSH_AT

    def _flush(self) -> None:
        """Write what has no place that is kept free behind it."""
        out = self._out
        free = min([one.place for one in self._passing.values()], default=self._flushed + len(out))
        ready = free - self._flushed
        if len(out) - ready > HELD_MAX:  # nobody took the lock: those arrows are given up
            self._passing.clear()
            ready = len(out)
        self._write(b"".join(out[:ready]))
        del out[:ready]
        self._flushed += ready

    def _at(self, event: LogEvent) -> float:
        """The event's time in microseconds; never before the one before."""
        if event.t_ns > self._now:
            self._now = event.t_ns
        return self._us()

    def _us(self) -> float:
        try:
            return self._now / 1000
        except OverflowError:  # a damaged log's time
            self._now = 0
            return 0.0

    def _track(self, m: int) -> list[_Slice]:
        track = self._tracks.get(m)
        if track is None:
            if len(self._tracks) >= TRACKS_MAX:
                return self._tracks.setdefault(-1, [])
            track = self._tracks[m] = []
            name = f"M{m}" if m else "scenario"
            for what, args in (
                ("thread_name", {"name": name}),
                ("thread_sort_index", {"sort_index": m}),
            ):
                self._emit({"ph": "M", "pid": PID, "tid": m, "name": what, "args": args})
        return track

    def _begin(self, m: int, ts: float, category: str, slice_: _Slice) -> None:
        self._track(m).append(slice_)
        self._emit(
            {
                "ph": "B", "pid": PID, "tid": m, "ts": ts, "cat": category, "name": slice_.name,
                "args": slice_.args,
            }
        )  # fmt: skip

    def _close(self, m: int, ts: float, args: dict[str, Any] | None = None) -> _Slice:
        """End the innermost slice of a track."""
        slice_ = self._track(m).pop()
        event = {"ph": "E", "pid": PID, "tid": m, "ts": ts, "name": slice_.name}
        if args:
            event["args"] = args
        self._emit(event)
        return slice_

    def _finish_slice(
        self, m: int, ts: float, key: tuple[str, Any], args: dict[str, Any] | None = None
    ) -> bool:
        """End the slice with this key, opening again what lies above it; False without one."""
        track = self._track(m)
        if not any(slice_.key == key for slice_ in track):
            return False
        above = []
        while track[-1].key != key:
            above.append(self._close(m, ts))
        self._close(m, ts, args)
        for slice_ in reversed(above):
            slice_.args = {**slice_.args, "continued": True}
            self._begin(m, ts, slice_.key[0], slice_)
        while track and track[-1].returned is not None:  # its call had said its result already
            self._close(m, ts, track[-1].returned)
        return True

    def _counter(self, ts: float, name: str, value: int) -> None:
        if self._counters.get(name) == value:
            return
        if name not in self._counters and len(self._counters) >= TRACKS_MAX:
            return
        self._counters[name] = value
        self._emit(
            {"ph": "C", "pid": PID, "tid": 0, "ts": ts, "name": name, "args": {"value": value}}
        )

    # Events.

    def _start(self, event: RunStart) -> None:
        self._wasm = not event.platform.startswith("plan9")
        name = f"{event.scenario}: {event.release} {event.platform}, mutex {event.mutex}"
        if event.policy:
            name += f", policy {event.policy}"
        self._emit(
            {"ph": "M", "pid": PID, "tid": 0, "name": "process_name", "args": {"name": name}}
        )
        self._track(0)

    def _m_start(self, event: MStart) -> None:
        self._track(event.m)
        ts = self._at(event)
        self._instant(event.m, ts, "m.start", {"by_m": event.by_m})

    def _m_exit(self, event: MExit) -> None:
        self._instant(event.m, self._at(event), "m.exit", {})

    def _call(self, event: MemCall) -> None:
        args: dict[str, Any] = {"n": event.n, "seq": event.seq}
        if event.v:
            args["v"] = hex(event.v)
        if isinstance(event.purpose, str):
            args["purpose"] = event.purpose
        slice_ = _Slice(("call", event.op), event.fn, args)
        self._begin(event.m, self._at(event), "call", slice_)

    def _return(self, event: MemReturn) -> None:
        ts = self._at(event)
        m = event.m
        result = {"p": hex(event.p), "path": event.path, "ok": event.ok}
        key = ("call", event.op)
        track = self._track(m)
        if track and track[-1].key == key:
            self._finish_slice(m, ts, key, result)
        else:
            for slice_ in track:
                if slice_.key == key:
                    slice_.returned = result
        top = top_of(event.pages, event.bloc_max, self._wasm)
        self._counter(ts, "memory top", top)
        self._counter(ts, "bloc", event.bloc)
        self._counter(ts, "bloc_max", event.bloc_max)
        self._counter(ts, "free bytes", event.free_bytes)

    def _wait(self, event: LockWait) -> None:
        ts = self._at(event)
        lock = event.lock
        args = {"owner": f"M{event.owner_m}", "queue_depth": event.queue_depth, "seq": event.seq}
        self._begin(event.m, ts, "wait", _Slice(("wait", lock), f"wait {lock}", args))
        self._waiting[lock] = waiting = self._waiting.get(lock, 0) + 1
        self._counter(ts, f"queue {lock}", waiting)

    def _acquire(self, event: LockAcquire) -> None:
        ts = self._at(event)
        lock, m = event.lock, event.m
        if event.contended:
            done = {"wait_ns": event.wait_ns, "spins": event.spins, "sleeps": event.sleeps}
            if self._finish_slice(m, ts, ("wait", lock), done):
                self._waiting[lock] -= 1
                self._counter(ts, f"queue {lock}", self._waiting[lock])
        site = event.site if isinstance(event.site, str) else ""
        args = {"site": site, "contended": event.contended, "seq": event.seq}
        self._begin(m, ts, "hold", _Slice(("hold", lock), f"hold {lock}", args))
        passing = self._passing.pop(lock, None)
        if passing is not None and passing.m != m:
            self._flows += 1
            start = self._arrow("s", self._flows, passing.m, passing.ts)
            self._out[passing.place - self._flushed] = b",\n" + self._encode(start)
            self.written += 1
            self._emit(self._arrow("f", self._flows, m, ts))

    def _release(self, event: LockRelease) -> None:
        ts = self._at(event)
        lock, m = event.lock, event.m
        if self._waiting.get(lock) and any(s.key == ("hold", lock) for s in self._track(m)):
            self._passing[lock] = _Passing(m, ts, self._flushed + len(self._out))
            self._out.append(b"")
        done = {"hold_ns": event.hold_ns, "waiters": len(event.waiters)}
        self._finish_slice(m, ts, ("hold", lock), done)

    def _arrow(self, phase: str, number: int, m: int, ts: float) -> dict[str, Any]:
        event: dict[str, Any] = {
            "ph": phase, "pid": PID, "tid": m, "ts": ts, "cat": "handoff", "name": "handoff",
            "id": number,
        }  # fmt: skip
        if phase == "f":
            event["bp"] = "e"  # to the slice around it, not to the next one
        return event

    def _check(self, event: MemCheck) -> None:
        if not event.ok:
            self._mark(event)

    def _mark(self, event: LogEvent) -> None:
        skipped = {"level", "seq", "t_ns", "m", "g", "timestamp", "op"}
        args: dict[str, Any] = {"seq": event.seq}
        for name in event.__struct_fields__:
            value = getattr(event, name)
            if name not in skipped and value is not msgspec.UNSET:
                args[name] = value
        self._track(event.m)
        self._instant(event.m, self._at(event), event.name, args)

    def _instant(self, m: int, ts: float, name: str, args: dict[str, Any]) -> None:
        self._emit(
            {"ph": "i", "s": "t", "pid": PID, "tid": m, "ts": ts, "name": name, "args": args}
        )

    def _end(self, event: RunEnd) -> None:
        ts = self._at(event)
        self._instant(0, ts, "run.end", {"outcome": event.outcome})

    def finish(self) -> None:
        """Close what is open at the end, and the file."""
        ts = self._us()
        self._passing.clear()  # nobody had these any more
        for m, track in self._tracks.items():
            while track:
                self._close(m, ts, {"unfinished": True})
        if not self._header:
            self._out.append(b'{"displayTimeUnit":"ns","traceEvents":[')
        self._out.append(b"\n]}\n")
        self._flush()


def write_chrome(
    source: Source, file: IO[bytes], progress: Progress | None = None
) -> tuple[LogCondition, int]:
    """Write the trace of a log.

    Args:
        source: the log.
        file: where to.
        progress: called with lines read.

    Returns:
        The log's condition, and how many trace events were written.

    Raises:
        LogError: the log cannot be read.
    """
    trace = ChromeTrace(file.write)
    condition = analyse(source, [trace], progress)
    return condition, trace.written
