"""A log as columns that a canvas can draw, and as pages of lines.

One pass, at the speed of the file: lines are told apart by their first bytes and decoded, in lists,
only where they are drawn. A release says all of an acquisition (`lock.release` repeats what it
cost), so canonical logs have lanes too. Two intervals come of each, a wait and a hold; they go to a
file as plain columns, which the browser maps as typed arrays:

    begin float64 | end float64 | lane uint16 | kind uint8 (0 wait, 1 hold) | lock uint8

Begin and end are in virtual ns, exact below 2^53.
"""

from __future__ import annotations

import os
import tempfile
from array import array
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import islice
from typing import Any, Final

import msgspec
from msgspec import Struct

from gorun_mem.events.reader import read_raw
from gorun_mem.web.guard import Refused

LANES_MAX: Final = 256
LOCKS_MAX: Final = 255
INTERVALS_MAX: Final = 4_000_000
POINTS_MAX: Final = 2000
MARKS_MAX: Final = 400
_BATCH: Final = 65536
_PREFIX: Final = b'{"event":"'


class _ReleaseLine(Struct, gc=False):
    t_ns: int
    m: int
    lock: str
    hold_ns: int
    wait_ns: int


class _WaitLine(Struct, gc=False):
    t_ns: int
    m: int
    lock: str


class _ReturnLine(Struct, gc=False):
    t_ns: int
    pages: int
    bloc: int
    free_bytes: int
    free_blocks: int


class _MarkLine(Struct, gc=False):
    event: str
    t_ns: int
    m: int


class _NamedLine(Struct, gc=False):
    m: int
    reason: str = ""


_NOT_AN_EVENT: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_MARKS: Final = (b"mem.grow", b"arena.hint_miss", b"deadlock.found", b"race.found", b"lock.throw")
_MARKED: Final = frozenset(name.decode() for name in _MARKS)


class _Columns:
    """What is gathered of a log."""

    def __init__(self) -> None:
        self.begin, self.end = array("d"), array("d")
        self.lane, self.kind, self.lock = array("H"), array("B"), array("B")
        self.lanes: dict[int, int] = {}
        self.locks: dict[str, int] = {}
        self.asked: dict[tuple[int, str], int] = {}
        self.got: dict[tuple[int, str], int] = {}
        self.gave: dict[tuple[int, str], int] = {}
        self.points: list[_ReturnLine] = []
        self.marks: list[_MarkLine] = []
        self.names: dict[int, str] = {}
        self.left_out = 0
        self.last_ns = 0

    def releases(self, found: list[_ReleaseLine]) -> None:
        """Waits and holds."""
        lanes, locks = self.lanes, self.locks
        begin, end, lane, kind, lock = self.begin, self.end, self.lane, self.kind, self.lock
        for one in found:
            row = lanes.setdefault(one.m, len(lanes))
            number = locks.setdefault(one.lock, len(locks))
            if row >= LANES_MAX or number >= LOCKS_MAX or len(begin) >= INTERVALS_MAX:
                self.left_out += 1
                continue
            since = one.t_ns - one.hold_ns
            if one.wait_ns:
                begin.append(since - one.wait_ns)
                end.append(since)
                lane.append(row)
                kind.append(0)
                lock.append(number)
            begin.append(since)
            end.append(one.t_ns)
            lane.append(row)
            kind.append(1)
            lock.append(number)
            self.gave[one.m, one.lock] = one.t_ns
        if found:
            self.last_ns = max(self.last_ns, found[-1].t_ns)

    def waits(self, found: list[_WaitLine]) -> None:
        """Waits that may not have an end."""
        self.asked.update(((one.m, one.lock), one.t_ns) for one in found)

    def acquires(self, found: list[_WaitLine]) -> None:
        """Holds that may not have an end."""
        self.got.update(((one.m, one.lock), one.t_ns) for one in found)

    def mark(self, found: list[_MarkLine]) -> None:
        """Moments that are shown."""
        self.marks += [one for one in found if one.event in _MARKED]

    def returns(self, found: list[_ReturnLine]) -> None:
        """The memory after a call; thinned out where there are many."""
        self.points += found
        if found:
            self.last_ns = max(self.last_ns, found[-1].t_ns)
        if len(self.points) > 64 * POINTS_MAX:
            self.points = thinned(self.points, 32 * POINTS_MAX)

    def close(self, last_ns: int) -> None:
        """The run is over: who waits waits until then; lanes are in the order of the Ms."""
        open_ones = [
            *((who, t, 0) for who, t in self.asked.items() if t > self.got.get(who, -1)),
            *((who, t, 1) for who, t in self.got.items() if t > self.gave.get(who, -1)),
        ]
        for (m, name), since, kind in open_ones:
            row = self.lanes.setdefault(m, len(self.lanes))
            number = self.locks.setdefault(name, len(self.locks))
            if row < LANES_MAX and number < LOCKS_MAX:
                self.begin.append(since)
                self.end.append(max(last_ns, since))
                self.lane.append(row)
                self.kind.append(kind)
                self.lock.append(number)
        ordered = sorted(list(self.lanes)[:LANES_MAX])
        place = {self.lanes[m]: row for row, m in enumerate(ordered)}
        self.lane = array("H", [place[row] for row in self.lane])
        self.lanes = {m: row for row, m in enumerate(ordered)}


def thinned(points: Sequence[_ReturnLine], most: int) -> list[_ReturnLine]:
    """At most some `most` of the points: of each stretch the first, and the highest of pages and
    of free bytes."""
    if len(points) <= most:
        return list(points)
    step = -(-len(points) * 3 // most)
    kept: list[_ReturnLine] = []
    for at in range(0, len(points), step):
        stretch = points[at : at + step]
        several = {
            id(one): one
            for one in (
                stretch[0],
                max(stretch, key=lambda one: one.pages),
                max(stretch, key=lambda one: one.free_bytes),
            )
        }
        kept += sorted(several.values(), key=lambda one: one.t_ns)
    return kept


class _Sorter:
    """Tells the lines apart, and decodes those that somebody wants in lists.

    Attributes:
        by_head: lines that wait to be decoded, by the first `HEAD` bytes of the event's name.
    """

    HEAD: Final = slice(len(_PREFIX), len(_PREFIX) + 8)

    def __init__(self) -> None:
        self.by_head: dict[bytes, list[bytes]] = {}
        self._takers: list[tuple[list[bytes], Any, Callable[[list[Any]], None]]] = []
        self.damaged = 0

    def on(self, name: bytes, kind: Any, take: Callable[[list[Any]], None]) -> None:
        """Hand the events of a name, and of others that begin like it, to `take`."""
        waiting = self.by_head[(name + b'"')[:8]] = []
        self._takers.append((waiting, msgspec.json.Decoder(list[kind]), take))

    def flush(self) -> None:
        """Hand over what waits."""
        for waiting, decoder, take in self._takers:
            if not waiting:
                continue
            try:
                found = decoder.decode(b"[" + b",".join(waiting) + b"]")
            except _NOT_AN_EVENT:
                found = []
                for line in waiting:
                    try:
                        found += decoder.decode(b"[" + line + b"]")
                    except _NOT_AN_EVENT:
                        self.damaged += 1
            waiting.clear()
            take(found)


def _named_lines(log: str) -> Iterator[tuple[bytes, bytes]]:
    """The event's name and the line, of each line that has one where it belongs."""
    at = len(_PREFIX)
    for line in read_raw(log):
        if line.startswith(_PREFIX):
            yield line[at : line.find(b'"', at)], line


def lanes(log: str, folder: str) -> dict[str, Any]:
    """Columns of a log, in a file beside others in `folder`, and what they mean.

    Raises:
        LogError: the file cannot be read.
        Refused: it holds no event.
    """
    columns, sorter = _Columns(), _Sorter()
    start: dict[str, Any] = {}
    end: dict[str, Any] = {}
    sorter.on(b"lock.release", _ReleaseLine, columns.releases)
    sorter.on(b"lock.wait", _WaitLine, columns.waits)
    sorter.on(b"lock.acquire", _WaitLine, columns.acquires)
    sorter.on(b"mem.return", _ReturnLine, columns.returns)
    sorter.on(
        b"m.start", _NamedLine, lambda all: columns.names.update({o.m: o.reason for o in all})
    )
    for name in _MARKS:
        sorter.on(name, _MarkLine, columns.mark)
    sorter.on(b"run.start", dict[str, Any], lambda all: start.update(all[0] if all else {}))
    sorter.on(b"run.end", dict[str, Any], lambda all: end.update(all[-1] if all else {}))
    events = 0
    reader, head, waiting = iter(read_raw(log)), _Sorter.HEAD, sorter.by_head.get
    while chunk := list(islice(reader, _BATCH)):
        for line in chunk:
            lines = waiting(line[head])
            if lines is not None:
                lines.append(line)
        events += sum([line.startswith(_PREFIX) for line in chunk])
        sorter.flush()
    if not events:
        raise Refused(400, f"{log} holds no event", "is it an event log?")
    last_ns = max(columns.last_ns, _int(end.get("t_ns")))
    columns.close(last_ns)
    points = thinned(columns.points, POINTS_MAX)
    marks = columns.marks
    every = max(1, -(-len(marks) // MARKS_MAX))
    return {
        "events": events,
        "damaged": sorter.damaged,
        "start": start,
        "end": end,
        "last_ns": last_ns,
        "intervals": len(columns.begin),
        "left_out": columns.left_out,
        "lanes": [{"m": m, "name": columns.names.get(m, "")} for m in columns.lanes],
        "locks": list(columns.locks)[:LOCKS_MAX],
        "memory": [[p.t_ns, p.pages, p.bloc, p.free_bytes, p.free_blocks] for p in points],
        "marks": [[one.event, one.t_ns, one.m] for one in marks[::every]],
        "marks_in_all": len(marks),
        "file": _write(columns, folder),
    }


def _write(columns: _Columns, folder: str) -> str:
    """The columns' file; its name is all that is told."""
    handle, path = tempfile.mkstemp(".columns", "log-", folder)
    with os.fdopen(handle, "wb") as file:
        for column in (columns.begin, columns.end, columns.lane, columns.kind, columns.lock):
            file.write(column.tobytes())
    return os.path.basename(path)


def _int(value: Any) -> int:
    return value if type(value) is int and 0 <= value < 1 << 62 else 0


def events(log: str, start: int, limit: int, filter: str, ms: list[int]) -> dict[str, Any]:
    """Lines of a log, as they are.

    Args:
        log: the file.
        start: from this `seq` on; a negative one counts from the end.
        limit: at most so many.
        filter: globs of event names with commas between; "" for all.
        ms: of these Ms only; [] for all.
    """
    globs = [glob for glob in filter.split(",") if glob]
    wanted: dict[bytes, bool] = {}
    of_ms = [b'"m":%d,' % m for m in ms]
    found: list[bytes] = []
    matched = 0
    from_end = start < 0
    for name, line in _named_lines(log):
        want = wanted.get(name)
        if want is None:
            text = name.decode("utf-8", "replace")
            want = wanted[name] = not globs or any(fnmatchcase(text, glob) for glob in globs)
        if not want or (of_ms and not any(part in line for part in of_ms)):
            continue
        if not from_end:
            if _seq(line) < start:
                continue
            if matched >= limit:
                return {"events": _decoded(found), "more": True}
        matched += 1
        found.append(line)
        if from_end and len(found) > 4 * limit:
            del found[:-limit]
    return {"events": _decoded(found[-limit:] if from_end else found), "more": False}


def _seq(line: bytes) -> int:
    at = line.find(b'"seq":')
    digits = line[at + 6 : at + 26].partition(b",")[0]
    return int(digits) if at > 0 and digits.isdigit() else 0


def _decoded(lines: list[bytes]) -> list[Any]:
    decoded = []
    for line in lines:
        try:
            decoded.append(msgspec.json.decode(line))
        except _NOT_AN_EVENT:
            decoded.append({"event": "damaged", "text": line[:200].decode("utf-8", "replace")})
    return decoded
