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

The file is gzip without a time, so the same log gives the same bytes.
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
from gorun_mem.events.types import LockAcquire, LockRelease, LogEvent, RunStart
from gorun_mem.export.profile import ProfileSample, encode

ProfileKind = Literal["mutex", "block"]

KEYS_MAX: Final = 1 << 16
OTHERS: Final = "(others)"
UNKNOWN: Final = "(unknown)"
_TYPES: Final = (("contentions", "count"), ("delay", "nanoseconds"))


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

    def handlers(self) -> Mapping[type[LogEvent], Handler]:
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

    def handlers(self) -> Mapping[type[LogEvent], Handler]:
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


def encode_profile(samples: Iterable[Sample], duration_ns: int, comments: Iterable[str]) -> bytes:
    """A profile.proto Profile, not compressed.

    Args:
        samples: what it holds.
        duration_ns: length of the run.
        comments: shown by `go tool pprof -comments`.
    """
    general = (
        ProfileSample(
            s.stack,
            (s.count, s.delay_ns),
            (("lock", s.lock), ("m", f"M{s.m}" if s.m else "none")),
        )
        for s in samples
    )
    return encode(_TYPES, general, comments, period=_TYPES[0], duration_ns=duration_ns)
