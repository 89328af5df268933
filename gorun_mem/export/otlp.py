"""A log as OpenTelemetry's traces and metrics, in the JSON of OTLP's file exporter.

Each line is one object, `{"resourceSpans": ...}` or, last, `{"resourceMetrics": ...}`; the
`otlpjsonfile` receiver of a Collector takes the file. One trace is one run: its span, in it a span
for each M, in that one for each call of the OS layer, and in these the waits and the holds of
locks; a call ends with its hold, which is after its mem.return. Growths, hint misses, throws and
deadlocks are events of the span they happen in. Metrics are each lock's acquisitions and
distributions of waits and holds, and the memory's figures as the run left them.

Of a log without the beginnings, as --log-level canonical writes, spans are made from the durations
that ends repeat. What is open at the end is closed there and says so.

Virtual time begins at `otlp_metrics.EPOCH_NS`, for a time of 0 is none in OTLP. Ids follow from
the run's and from the log's order: the same log gives the same file.

Source: opentelemetry-proto 1.x, trace.proto and metrics.proto; the OTLP/JSON encoding (ids in hex,
64-bit integers as text).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import IO, Any, Final

import msgspec

from gorun_mem._version import VERSION
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
from gorun_mem.export.otlp_metrics import EPOCH_NS, INT_MAX, OtlpMetrics, attributes, time_of

SPANS_A_LINE: Final = 512
SPAN_EVENTS_MAX: Final = 128
OPEN_MAX: Final = 1 << 16
_SKIPPED: Final = frozenset({"level", "seq", "t_ns", "m", "g", "timestamp", "op"})
_INTERNAL: Final = 1
_ERROR: Final = 2


class OtlpTrace(Accumulator):
    """Writes spans as log events come, metrics at the end.

    Args:
        write: takes pieces of the file.

    Attributes:
        written: spans so far.
    """

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self.written = 0
        self._write = write
        self._encode = msgspec.json.Encoder().encode
        self._ready: list[dict[str, Any]] = []
        self._trace = sha256(b"").hexdigest()[:32]
        self._resource: dict[str, Any] = _resource({})
        self._numbered = 0
        self._now = 0
        self._open: dict[tuple[str, Any, Any], dict[str, Any]] = {}
        self._ms: dict[int, str] = {}
        self._calls: dict[Any, str] = {}
        self._returned: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {}
        self._metrics = OtlpMetrics()
        self._root: dict[str, Any] | None = None

    def handlers(self) -> Mapping[type[LogEvent], Handler]:
        """All that a span, an event of one or a metric is made of."""
        marks = (ArenaHintMiss, ArenaReserve, DeadlockEvent, LockThrow, RaceFound)
        return {
            RunStart: self._start,
            RunEnd: self._end,
            MStart: self._m_start,
            MExit: self._m_exit,
            MemCall: self._call,
            MemReturn: self._return,
            MemGrow: self._grow,
            MemCheck: self._check,
            LockWait: self._wait,
            LockAcquire: self._acquire,
            LockRelease: self._release,
            **dict.fromkeys(marks, self._mark),
        }

    # Spans.

    def _begin(
        self, key: tuple[str, Any, Any], name: str, parent: str, facts: dict[str, Any], ago: int = 0
    ) -> dict[str, Any]:
        """Open a span that began `ago` ns before now."""
        self._numbered += 1
        span = {
            "traceId": self._trace,
            "spanId": f"{self._numbered:016x}",
            "name": name,
            "kind": _INTERNAL,
            "startTimeUnixNano": time_of(max(self._now - ago, 0)),
            "attributes": attributes(facts),
        }
        if parent:
            span["parentSpanId"] = parent
        if len(self._open) < OPEN_MAX:
            self._open[key] = span
        return span

    def _finish_span(
        self, span: dict[str, Any], facts: Mapping[str, Any], error: str = "", ago: int = 0
    ) -> None:
        span["endTimeUnixNano"] = time_of(max(self._now - ago, 0))
        span["attributes"] += attributes(facts)
        if error:
            span["status"] = {"code": _ERROR, "message": error}
        self._ready.append(span)
        self.written += 1
        if len(self._ready) >= SPANS_A_LINE:
            self._flush()

    def _flush(self) -> None:
        if self._ready:
            scope = {"scope": _SCOPE, "spans": self._ready}
            line = {"resourceSpans": [{"resource": self._resource, "scopeSpans": [scope]}]}
            self._write(self._encode(line) + b"\n")
            self._ready = []

    def _at(self, event: LogEvent) -> None:
        """Go on to an event's time, which never goes back."""
        self._now = max(self._now, min(event.t_ns, INT_MAX - EPOCH_NS))

    def _root_id(self) -> str:
        if self._root is None:
            self._root = self._begin(("run", 0, 0), "run", "", {}, ago=self._now)
        return str(self._root["spanId"])

    def _parent(self, event: LogEvent) -> str:
        """The call that an event belongs to, or else its M, or else the run."""
        op = getattr(event, "op", msgspec.UNSET)
        return self._calls.get(op) or self._ms.get(event.m) or self._root_id()

    # Events of the log.

    def _start(self, event: RunStart) -> None:
        if self._root is not None:  # a log of two runs
            self._close_all()
        self._trace = sha256(event.run_id.encode()).hexdigest()[:32]
        facts = {
            name: getattr(event, name)
            for name in (
                "run_id", "release", "platform", "mutex", "strategy", "seed", "ms", "cpus",
                "granularity", "scenario",
            )
        }  # fmt: skip
        self._resource = _resource(facts)
        self._at(event)
        self._root = self._begin(("run", 0, 0), f"run {event.scenario}", "", {})

    def _end(self, event: RunEnd) -> None:
        self._at(event)
        facts = {"outcome": event.outcome, "steps": event.steps, "seq": event.seq}
        self._root_id()
        self._close_all(facts, "" if event.outcome == "ok" else event.outcome)

    def _m_start(self, event: MStart) -> None:
        self._at(event)
        facts = {"m": event.m, "by_m": event.by_m, "seq": event.seq}
        span = self._begin(("m", event.m, 0), f"M{event.m}", self._root_id(), facts)
        self._ms[event.m] = span["spanId"]

    def _m_exit(self, event: MExit) -> None:
        self._at(event)
        span = self._open.pop(("m", event.m, 0), None)
        self._ms.pop(event.m, None)
        if span is not None:
            self._finish_span(span, {})

    def _call(self, event: MemCall) -> None:
        self._at(event)
        facts = {"m": event.m, "n": event.n, "v": event.v, "seq": event.seq}
        parent = self._ms.get(event.m) or self._root_id()
        span = self._begin(("call", event.m, event.op), event.fn, parent, facts)
        self._calls[event.op] = span["spanId"]

    def _return(self, event: MemReturn) -> None:
        self._at(event)
        self._metrics.answer(event)
        span = self._open.pop(("call", event.m, event.op), None)
        if span is None:
            facts: dict[str, Any] = {"m": event.m, "n": event.n, "v": event.v, "seq": event.seq}
            parent = self._ms.get(event.m) or self._root_id()
            key = ("call", event.m, event.op)
            span = self._begin(key, event.fn, parent, facts, event.dur_ns)
            self._open.pop(key, None)
        self._calls.pop(event.op, None)
        answer = {"p": event.p, "path": event.path, "ok": event.ok}
        error = "" if event.ok else str(event.path)
        if self._has_holds(span["spanId"]):
            self._returned[span["spanId"]] = (span, answer, error)
        else:
            self._finish_span(span, answer, error)

    def _has_holds(self, call: str) -> bool:
        """Whether a lock that was taken in a call is held still."""
        return any(
            one.get("parentSpanId") == call and one["name"].startswith("hold ")
            for one in self._open.values()
        )

    def _wait(self, event: LockWait) -> None:
        self._at(event)
        facts: dict[str, Any] = {
            "m": event.m, "lock": event.lock, "owner_m": event.owner_m,
            "queue_depth": event.queue_depth, "seq": event.seq,
        }  # fmt: skip
        key = ("wait", event.m, event.lock)
        self._begin(key, f"wait {event.lock}", self._parent(event), facts)

    def _acquire(self, event: LockAcquire) -> None:
        self._at(event)
        lock, parent = event.lock, self._parent(event)
        span = self._open.pop(("wait", event.m, lock), None)
        if span is not None:
            took = {"wait_ns": event.wait_ns, "spins": event.spins, "sleeps": event.sleeps}
            self._finish_span(span, took)
        facts = {"m": event.m, "lock": lock, "contended": event.contended, "seq": event.seq}
        self._begin(("hold", event.m, lock), f"hold {lock}", parent, facts)

    def _release(self, event: LockRelease) -> None:
        self._at(event)
        key = ("hold", event.m, event.lock)
        self._metrics.release(event)
        span = self._open.pop(key, None)
        if span is None:
            span = self._made(event)
        self._finish_span(span, {"hold_ns": event.hold_ns, "waiters": len(event.waiters)})
        parent = span.get("parentSpanId", "")
        if parent in self._returned and not self._has_holds(parent):
            self._finish_span(*self._returned.pop(parent))

    def _made(self, event: LockRelease) -> dict[str, Any]:
        """The hold that a release ends, and its wait, of a log that has releases only."""
        facts = {"m": event.m, "lock": event.lock, "contended": event.contended, "seq": event.seq}
        parent, key = self._parent(event), ("hold", event.m, event.lock)
        if event.contended:
            ago = event.hold_ns + event.wait_ns
            name = f"wait {event.lock}"
            wait = self._begin(key, name, parent, {"m": event.m, "lock": event.lock}, ago)
            self._finish_span(wait, {"wait_ns": event.wait_ns}, "", event.hold_ns)
        span = self._begin(key, f"hold {event.lock}", parent, facts, event.hold_ns)
        self._open.pop(key, None)
        return span

    def _grow(self, event: MemGrow) -> None:
        self._metrics.grow(event)
        self._mark(event)

    def _check(self, event: MemCheck) -> None:
        if not event.ok:
            self._mark(event)

    def _mark(self, event: LogEvent) -> None:
        """An event of the span around it."""
        self._at(event)
        wanted = self._parent(event)
        found = [self._open.get(("call", event.m, getattr(event, "op", None)))]
        found += [self._open.get(("m", event.m, 0)), self._root]
        span = next((one for one in found if one is not None and one["spanId"] == wanted), None)
        if span is None:
            return
        facts = {
            name: value
            for name in event.__struct_fields__
            if name not in _SKIPPED and (value := getattr(event, name)) is not msgspec.UNSET
        }
        events = span.setdefault("events", [])
        if len(events) >= SPAN_EVENTS_MAX:
            span["droppedEventsCount"] = span.get("droppedEventsCount", 0) + 1
            return
        events.append(
            {
                "timeUnixNano": time_of(self._now),
                "name": event.name,
                "attributes": attributes(facts),
            }
        )

    # The end.

    def _close_all(self, facts: Mapping[str, Any] | None = None, error: str = "") -> None:
        """End what is open, the run last."""
        root, self._root = self._root, None
        for returned in self._returned.values():
            self._finish_span(*returned)
        self._returned.clear()
        for span in list(self._open.values()):
            if span is not root:
                self._finish_span(span, {"unfinished": True})
        if root is not None:
            self._finish_span(root, facts or {"unfinished": True}, error)
        self._open.clear()
        self._ms.clear()
        self._calls.clear()

    def finish(self) -> None:
        """Close what is open at the end; write the metrics."""
        self._close_all()
        self._flush()
        scope = {"scope": _SCOPE, "metrics": self._metrics.metrics(self._now)}
        line = {"resourceMetrics": [{"resource": self._resource, "scopeMetrics": [scope]}]}
        self._write(self._encode(line) + b"\n")


_SCOPE: Final = {"name": "gorun_mem", "version": VERSION}


def _resource(facts: Mapping[str, Any]) -> dict[str, Any]:
    service = [
        {"key": "service.name", "value": {"stringValue": "gorun_mem"}},
        {"key": "service.version", "value": {"stringValue": VERSION}},
    ]
    return {"attributes": service + attributes(facts)}


def write_otlp(
    source: Source, file: IO[bytes], progress: Progress | None = None
) -> tuple[LogCondition, int]:
    """Write a log's traces and metrics.

    Args:
        source: the log.
        file: where to.
        progress: called with lines read.

    Returns:
        The log's condition, and how many spans were written.

    Raises:
        LogError: the log cannot be read.
    """
    trace = OtlpTrace(file.write)
    condition = analyse(source, [trace], progress)
    return condition, trace.written
