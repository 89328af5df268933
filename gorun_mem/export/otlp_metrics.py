"""The metrics of `export.otlp`, and how OTLP's JSON has times and attributes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import Any, Final

from gorun_mem.events.types import LockRelease, MemGrow, MemReturn

EPOCH_NS: Final = 10**18
"""Where virtual time begins: 2001-09-09T01:46:40Z."""
INT_MAX: Final = (1 << 63) - 1
LOCKS_MAX: Final = 1 << 12
BOUNDS_NS: Final = tuple(digit * 10**power for power in range(1, 10) for digit in (1, 2, 5))
_CUMULATIVE: Final = 2


class _Buckets:
    """A histogram with OTLP's bounds: each includes its upper end."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_NS) + 1)
        self.sum = 0

    def add(self, value: int) -> None:
        self.counts[bisect_left(BOUNDS_NS, value)] += 1
        self.sum += value


class _Lock:
    """What metrics say of a lock."""

    def __init__(self) -> None:
        self.acquisitions = 0
        self.contended = 0
        self.waits = _Buckets()
        self.holds = _Buckets()


class OtlpMetrics:
    """Each lock's acquisitions, waits and holds, and the memory as it is left."""

    def __init__(self) -> None:
        self._locks: dict[str, _Lock] = {}
        self._memory: MemReturn | None = None
        self._growths = [0, 0]

    def release(self, event: LockRelease) -> None:
        """A lock was given back."""
        lock = event.lock
        if lock not in self._locks and len(self._locks) >= LOCKS_MAX:
            lock = "..."
        counted = self._locks.setdefault(lock, _Lock())
        counted.acquisitions += 1
        counted.contended += event.contended
        counted.waits.add(event.wait_ns)
        counted.holds.add(event.hold_ns)

    def grow(self, event: MemGrow) -> None:
        """The memory was to grow."""
        self._growths[0] += 1
        self._growths[1] += not event.ok

    def answer(self, event: MemReturn) -> None:
        """A call has ended; the last one's figures count."""
        self._memory = event

    def metrics(self, now_ns: int) -> list[dict[str, Any]]:
        """As OTLP has them.

        Args:
            now_ns: virtual time at the end.
        """
        at = time_of(now_ns)
        grows, refused = self._growths
        found = [
            _sum("memory.growths", "{growth}", {"": grows}, at),
            _sum("memory.growths_refused", "{growth}", {"": refused}, at),
        ]
        if self._memory is not None:
            last = self._memory
            for name, unit, value in (
                ("pages", "{page}", last.pages),
                ("bloc", "By", last.bloc),
                ("free", "By", last.free_bytes),
            ):
                point = {"timeUnixNano": at, "asInt": str(min(value, INT_MAX))}
                found.append(_metric(f"memory.{name}", unit, "gauge", {"dataPoints": [point]}))
        if self._locks:
            locks = self._locks.items()
            unit = "{acquisition}"
            found += [
                _sum("lock.acquisitions", unit, {name: o.acquisitions for name, o in locks}, at),
                _sum("lock.contended", unit, {name: o.contended for name, o in locks}, at),
                _histogram("lock.wait", {name: o.waits for name, o in locks}, at),
                _histogram("lock.hold", {name: o.holds for name, o in locks}, at),
            ]
        return found


def _metric(name: str, unit: str, kind: str, body: dict[str, Any]) -> dict[str, Any]:
    return {"name": f"gorun_mem.{name}", "unit": unit, kind: body}


def _point(lock: str, at: str) -> dict[str, Any]:
    facts = attributes({"lock": lock}) if lock else []
    return {"startTimeUnixNano": time_of(0), "timeUnixNano": at, "attributes": facts}


def _sum(name: str, unit: str, by_lock: Mapping[str, int], at: str) -> dict[str, Any]:
    points = [{**_point(lock, at), "asInt": str(value)} for lock, value in by_lock.items()]
    body = {"dataPoints": points, "aggregationTemporality": _CUMULATIVE, "isMonotonic": True}
    return _metric(name, unit, "sum", body)


def _histogram(name: str, by_lock: Mapping[str, _Buckets], at: str) -> dict[str, Any]:
    points = [
        {
            **_point(lock, at),
            "count": str(sum(of.counts)),
            "sum": of.sum,
            "bucketCounts": [str(count) for count in of.counts],
            "explicitBounds": list(BOUNDS_NS),
        }
        for lock, of in by_lock.items()
    ]
    return _metric(
        name, "ns", "histogram", {"dataPoints": points, "aggregationTemporality": _CUMULATIVE}
    )


def attributes(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Facts as OTLP's attributes, with the project's name before each."""
    return [{"key": f"gorun_mem.{name}", "value": _value(value)} for name, value in facts.items()]


def _value(value: Any) -> dict[str, Any]:
    """A value as OTLP's AnyValue."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int) and -INT_MAX <= value <= INT_MAX:
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list | tuple):
        return {"arrayValue": {"values": [_value(one) for one in value]}}
    return {"stringValue": str(value)}


def time_of(t_ns: int) -> str:
    """A virtual time as OTLP has times."""
    return str(EPOCH_NS + t_ns)
