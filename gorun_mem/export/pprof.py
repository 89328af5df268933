"""Lock contention as profiles that `go tool pprof` reads.

Two profiles, as Go has two:

    mutex   who made others wait: each hold at the end of a chain of waits is charged what was
            waited because of it, as Go's mutex profile charges unlocks (mprof.go, mutexevent).
            Nothing is sampled here, and the parts sum to the total wait.
    block   who waited: each wait by the place that wanted the lock.

Waits that the log does not end are in both, as long as they lasted.

A stack is the lock's function, then the Go function that took the lock; labels `lock` and `m` tell
which lock and which M. Values are contentions/count and delay/nanoseconds; for mutex a contention
is a hold in which somebody waited.

The encoder writes the few kinds of message that profile.proto has, by hand: a varint, a length, a
tag. The file is gzip without a time, so the same log gives the same bytes.

Source: github.com/google/pprof, proto/profile.proto.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import IO, Final, Literal

from gorun_mem.analysis.accumulator import Accumulator, Handler
from gorun_mem.analysis.contention import Contention
from gorun_mem.analysis.stream import LogCondition, Progress, analyse
from gorun_mem.analysis.waiting import site_of
from gorun_mem.events.reader import Source
from gorun_mem.events.types import Event, LockAcquire, LockRelease, RunStart

ProfileKind = Literal["mutex", "block"]

KEYS_MAX: Final = 1 << 16
OTHERS: Final = "(others)"
UNKNOWN: Final = "(unknown)"


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of a profile.

    Args:
        stack: function names, the leaf first.
        lock: the lock.
        m: the M.
        count: contentions.
        delay_ns: virtual ns.
    """

    stack: tuple[str, ...]
    lock: str
    m: int
    count: int
    delay_ns: int


class WaitSites(Accumulator):
    """Waits by lock, M and the place that wanted the lock.

    An acquisition says it all; where a log has only releases, these repeat it.

    Args:
        contention: knows which waits have not ended.
    """

    def __init__(self, contention: Contention) -> None:
        self._contention = contention
        self._acquired: dict[tuple[str, int, str], list[int]] = {}
        self._released: dict[tuple[str, int, str], list[int]] = {}

    def handlers(self) -> Mapping[type[Event], Handler]:
        """Acquisitions and releases."""
        return {LockAcquire: self._acquire, LockRelease: self._release}

    def _acquire(self, event: LockAcquire) -> None:
        if event.contended:
            _count(self._acquired, event.lock, event.m, site_of(event), event.wait_ns)

    def _release(self, event: LockRelease) -> None:
        if event.contended:
            _count(self._released, event.lock, event.m, site_of(event), event.wait_ns)

    def samples(self) -> list[Sample]:
        """One for each lock, M and place."""
        found = {key: list(sums) for key, sums in (self._acquired or self._released).items()}
        for lock in self._contention.locks.values():
            for one in lock.open.waits:
                _count(found, lock.name, one.m, one.site, one.ns)
        return [
            Sample(("runtime.lock", site or UNKNOWN), lock, m, count, ns)
            for (lock, m, site), (count, ns) in sorted(found.items())
        ]


def _count(
    sums: dict[tuple[str, int, str], list[int]], lock: str, m: int, site: str, wait_ns: int
) -> None:
    key = (lock, m, site)
    if key not in sums and len(sums) >= KEYS_MAX:
        key = (OTHERS, 0, OTHERS)
    entry = sums.setdefault(key, [0, 0])
    entry[0] += 1
    entry[1] += wait_ns


def blame_samples(contention: Contention) -> list[Sample]:
    """One for each lock and each M and place whose holds made others wait for it."""
    return [
        Sample(
            ("runtime.unlock", blame.site or UNKNOWN), lock.name, blame.m, blame.holds,
            blame.total_ns,
        )
        for lock in contention.locks.values()
        for blame in lock.blame
    ]  # fmt: skip


class _Start(Accumulator):
    """What the run was, and how long."""

    def __init__(self) -> None:
        self.start: RunStart | None = None

    def handlers(self) -> Mapping[type[Event], Handler]:
        return {RunStart: self._take}

    def _take(self, event: RunStart) -> None:
        self.start = self.start or event


def write_profile(
    source: Source, kind: ProfileKind, file: IO[bytes], progress: Progress | None = None
) -> tuple[LogCondition, int]:
    """Write the profile of a log.

    Args:
        source: the log.
        kind: which profile.
        file: where to.
        progress: called with lines read.

    Returns:
        The log's condition, and how many samples were written.

    Raises:
        LogError: the log cannot be read.
    """
    contention, start = Contention(), _Start()
    sites = WaitSites(contention)
    condition = analyse(source, [contention, sites, start], progress)
    samples = blame_samples(contention) if kind == "mutex" else sites.samples()
    comments = [f"gorun_mem {kind} profile in virtual time, nothing sampled"]
    if start.start is not None:
        run = start.start
        comments.append(
            f"{run.scenario}: {run.release} {run.platform}, mutex {run.mutex}, run {run.run_id}"
        )
    comments += condition.remarks()
    data = encode_profile(samples, contention.end_ns, comments)
    file.write(gzip.compress(data, 6, mtime=0))
    return condition, len(samples)


# Encoding.


def _varint(value: int) -> bytes:
    """`value` in base 128, low digits first; negative ones as 64 bits."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value) if value else b""


def _message(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _packed(field: int, values: Iterable[int]) -> bytes:
    return _message(field, b"".join(map(_varint, values)))


class _Strings:
    """profile.proto's string table: index 0 is ""."""

    def __init__(self) -> None:
        self._index: dict[str, int] = {"": 0}

    def __getitem__(self, text: str) -> int:
        return self._index.setdefault(text, len(self._index))

    def encode(self) -> bytes:
        return b"".join(
            _message(6, text.encode("utf-8", "backslashreplace")) for text in self._index
        )


def _value_type(strings: _Strings, what: str, unit: str) -> bytes:
    return _number(1, strings[what]) + _number(2, strings[unit])


_INT64_MAX: Final = (1 << 63) - 1


def encode_profile(samples: Iterable[Sample], duration_ns: int, comments: Iterable[str]) -> bytes:
    """A profile.proto Profile, not compressed.

    Args:
        samples: what it holds.
        duration_ns: length of the run.
        comments: shown by `go tool pprof -comments`.
    """
    strings = _Strings()
    functions: dict[str, int] = {}
    body = bytearray()
    body += _message(1, _value_type(strings, "contentions", "count"))
    body += _message(1, _value_type(strings, "delay", "nanoseconds"))
    for sample in samples:
        ids = [functions.setdefault(name, len(functions) + 1) for name in sample.stack]
        labels = (("lock", sample.lock), ("m", f"M{sample.m}" if sample.m else "none"))
        body += _message(
            2,
            _packed(1, ids)
            + _packed(2, (min(sample.count, _INT64_MAX), min(sample.delay_ns, _INT64_MAX)))
            + b"".join(
                _message(3, _number(1, strings[key]) + _number(2, strings[text]))
                for key, text in labels
            ),
        )
    for name, number in functions.items():
        # One location a function, and no addresses: nothing here is machine code.
        body += _message(4, _number(1, number) + _message(4, _number(1, number)))
        text = strings[name]
        body += _message(5, _number(1, number) + _number(2, text) + _number(3, text))
    tail = _number(10, max(0, min(duration_ns, _INT64_MAX)))
    tail += _message(11, _value_type(strings, "contentions", "count")) + _number(12, 1)
    tail += b"".join(_number(13, strings[text]) for text in comments)
    tail += _number(14, strings["delay"])
    return bytes(body) + strings.encode() + tail
