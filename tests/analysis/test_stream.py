"""The pass over a log: damage, cuts, foreign lines, and exactness of what is counted."""

from __future__ import annotations

import gzip
import io
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from gorun_mem.analysis.accumulator import Accumulator
from gorun_mem.analysis.diff import as_document, compare
from gorun_mem.analysis.exact import ExactValues, Gathered, Series
from gorun_mem.analysis.queues import Peaks
from gorun_mem.analysis.stream import LogCondition, analyse, feed
from gorun_mem.analysis.whole import LogAnalysis
from gorun_mem.cli._common import write_json
from gorun_mem.events import LogError
from gorun_mem.events.types import LockAcquire, LockRelease, LogEvent
from gorun_mem.export.chrome import write_chrome
from gorun_mem.export.pprof import write_profile
from gorun_mem.runtime.mutex.statistics import Distribution
from tests.analysis.make_logs import heap, run_log, storm, toy_events, toy_log


class Seen(Accumulator):
    """Counts what it is given."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.finished = self.tidied = 0

    def handlers(self) -> Any:
        return {LockAcquire: self._note, LockRelease: self._note}

    def _note(self, event: LogEvent) -> None:
        self.names.append(event.name)

    def tidy(self) -> None:
        self.tidied += 1

    def finish(self) -> None:
        self.finished += 1


def condition_of(log: bytes) -> LogCondition:
    return analyse(io.BytesIO(log), [])


def test_each_accumulator_gets_what_it_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    """All wanted events, in order, once each; the others never; finish once."""
    monkeypatch.setattr("gorun_mem.analysis.stream.TIDY_EVENTS", 10)
    events = toy_events(1)
    one, two = Seen(), Seen()
    calls: list[int] = []
    condition = analyse(io.BytesIO(toy_log(1)), [one, two], calls.append)
    wanted = [e.name for e in events if e.name in ("lock.acquire", "lock.release")]
    assert one.names == two.names == wanted
    assert (one.finished, two.finished) == (1, 1)
    assert one.tidied > 0
    assert sum(calls) == condition.lines == len(events)
    assert condition.whole


def test_by_hand_and_from_a_list_it_is_the_same() -> None:
    """`take` and `feed` give an accumulator what `analyse` gives it."""
    events = toy_events(2)
    by_hand, fed = Seen(), Seen()
    for event in events:
        by_hand.take(event)
    feed(events, [fed])
    assert by_hand.names == fed.names != []


def test_damage_and_foreign_lines_are_told_apart() -> None:
    """What is no JSON and what is JSON of somebody else's are counted and named by line."""
    lines = toy_log(3, steps=40).splitlines(keepends=True)
    lines[10:10] = [b"{broken\n", b'{"hello": "world"}\n', b"\xff\xfe\n", b"[]\n"]
    found = condition_of(b"".join(lines))
    assert (found.broken_lines, found.foreign_lines) == (2, 2)
    assert [one.line for one in found.damage] == [11, 12, 13, 14]
    assert found.lines == len(lines)
    assert found.events == len(lines) - 4
    assert any("2 of" in remark for remark in found.remarks())
    assert not found.cut


def test_missing_and_swapped_events_are_counted() -> None:
    """Gaps in seq are missing events; steps back are disorder."""
    lines = toy_log(3, steps=40).splitlines(keepends=True)
    found = condition_of(b"".join(lines[:10] + lines[13:]))
    assert (found.missing, found.disordered) == (3, 0)
    lines[20], lines[21] = lines[21], lines[20]
    found = condition_of(b"".join(lines))
    assert found.disordered == 1


@pytest.mark.parametrize("packed", [False, True])
def test_a_cut_log_is_analysed_and_said_to_be_cut(packed: bool) -> None:
    """Up to the cut the figures are those of the events that are there."""
    log = toy_log(4, steps=3000)
    data = gzip.compress(log) if packed else log
    found = LogAnalysis.read(io.BytesIO(data[: len(data) * 2 // 3]))
    assert found.condition.cut
    assert any("cut" in remark for remark in found.condition.remarks())
    count = found.condition.events
    assert 100 < count < len(log.splitlines())
    whole = LogAnalysis.of(toy_events(4, steps=3000)[:count])
    assert found.contention.locks.keys() == whole.contention.locks.keys()
    for name, lock in found.contention.locks.items():
        assert lock.wait_ns == whole.contention.locks[name].wait_ns
    assert found.memory.end.held == whole.memory.end.held


def test_headless_and_double_logs_are_said() -> None:
    """A log without its first line, and two logs in one file."""
    log = toy_log(5, steps=30)
    assert condition_of(log[log.index(b"\n") + 1 :]).headless
    assert condition_of(log + log).runs == 2


@pytest.mark.parametrize("content", [b"", b"\n\n", b"nonsense\n", b'{"a": 1}\n', b"\x1f\x8bxx"])
def test_what_holds_no_event_is_an_error(content: bytes, tmp_path: Path) -> None:
    """One sentence with the file's name and what to do."""
    path = tmp_path / "some.log"
    path.write_bytes(content)
    with pytest.raises(LogError, match=r"some.log.*gorun-mem run"):
        LogAnalysis.read(path)


# Mutations.

HUGE = [b"-1", b"0", b"9223372036854775807", b"18446744073709551615", b"1" + b"0" * 30]
HUGE += [
    b"1" + b"0" * 330,
    b"-" + b"9" * 40,
    b"1e400",
    b"1.5",
    b'"x"',
    b"null",
    b"[]",
    b"{}",
    b"true",
]
FOREIGN = [
    b'{"event":"lock.acquire"}\n',
    b"null\n",
    b"[" * 5000 + b"\n",
    b'{"level":"info"}\n',
    b"\n",
]


def mutate(log: bytes, r: random.Random) -> bytes:
    kind = r.randrange(7)
    if kind == 0:
        return log[: r.randrange(len(log))]
    if kind == 1:
        data = bytearray(log)
        for _ in range(r.choice([1, 3, 30])):
            data[r.randrange(len(data))] = r.randrange(256)
        return bytes(data)
    lines = log.splitlines(keepends=True)
    if kind == 2:
        for _ in range(r.choice([1, 5, 50])):
            a, b = r.randrange(len(lines)), r.randrange(len(lines))
            lines[a], lines[b] = lines[b], lines[a]
    elif kind == 3:
        for _ in range(r.choice([1, 4])):
            lines.insert(r.randrange(len(lines)), r.choice(FOREIGN))
    elif kind == 4:
        for _ in range(r.choice([1, 5, 40])):
            at = r.randrange(len(lines))
            numbers = list(re.finditer(rb":-?\d+", lines[at]))
            if numbers:
                spot = r.choice(numbers)
                value = b":" + r.choice(HUGE)
                lines[at] = lines[at][: spot.start()] + value + lines[at][spot.end() :]
    elif kind == 5:
        for _ in range(r.choice([1, 5, 40])):
            del lines[r.randrange(len(lines))]
    else:
        packed = bytearray(gzip.compress(log, 1))
        packed[r.randrange(len(packed))] ^= 1 << r.randrange(8)
        return bytes(packed[: r.randrange(20, len(packed))])
    return b"".join(lines)


def ask_everything(found: LogAnalysis) -> None:
    """Every figure that is worked out when it is asked for."""
    memory, fragmentation, contention = found.memory, found.fragmentation, found.contention
    assert all(isinstance(text, str) for text in found.condition.remarks())
    assert found.condition.as_dict()["events"] == found.condition.events
    end = memory.end
    assert end.static + end.held_bytes + end.free + end.slack + end.never_used + end.lost == end.top
    assert memory.budget(30).pages == 30
    for value in (memory.causes, memory.reasons(), memory.discard(), memory.peak.pages):
        repr(value)
    assert {g.verdict for g in memory.growths} <= {"fragmentation", "memory"}
    assert {f.verdict for f in fragmentation.failures} <= {"fragmentation", "memory"}
    for _, point in fragmentation.points():
        repr((point.external, point.sawicki))
    for lock in contention.locks.values():
        assert lock.wait_ns.p99 >= lock.wait_ns.p50
        repr((lock.starvation, lock.fairness_waits, lock.queue.mean, lock.spins))
    repr((contention.cycles(), contention.edges()))
    repr((contention.path.by_m, contention.path.held_ns))
    assert found.metrics


@pytest.mark.parametrize("part", range(8))
def test_mutated_logs_give_a_report_or_a_clear_error(part: int) -> None:
    """2,000 logs cut, flipped, shuffled, with foreign lines, absurd numbers and wrong types."""
    bases = [
        toy_log(1, steps=60, locks=2),
        run_log(storm, storm.config(ms=3), rounds=2)[1],
        run_log(heap, heap.config(release="go1.26"), rounds=3)[1],
    ]
    r = random.Random(part)
    outcomes: Counter[str] = Counter()
    for _ in range(250):
        log = mutate(r.choice(bases), r)
        try:
            found = LogAnalysis.read(io.BytesIO(log))
        except LogError as error:
            outcomes["refused" if "gorun-mem run" in str(error) else "unclear"] += 1
            continue
        ask_everything(found)
        outcomes["whole" if found.condition.whole else "remarked"] += 1
        write_chrome(io.BytesIO(log), io.BytesIO())
        write_profile(io.BytesIO(log), "mutex", io.BytesIO())
    assert outcomes["remarked"] > 100
    assert not outcomes["unclear"]


def test_a_mutated_log_can_be_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`diff` of a log with itself mutated ends with rows, and its document is JSON."""
    base = toy_log(1, steps=60)
    whole = tmp_path / "whole"
    whole.write_bytes(base)
    r = random.Random(1)
    compared = 0
    for number in range(60):
        path = tmp_path / str(number)
        path.write_bytes(mutate(base, r))
        try:
            found = compare(whole, path)
        except LogError:
            continue
        write_json(as_document(found))
        compared += 1
    assert compared > 40
    capsys.readouterr()


# What values and series are made of.


@pytest.mark.parametrize("distinct_max", [4, 100, 100_000])
def test_exact_values_are_exact_beyond_their_bound(distinct_max: int) -> None:
    """Counted or kept one by one, the distribution is that of the list; 64 bits and more."""
    r = random.Random(distinct_max)
    values = [r.choice([0, 1, r.randrange(50), r.randrange(1 << 40)]) for _ in range(3000)]
    values += [1 << 70, -(1 << 65)]
    found, second = ExactValues(distinct_max), ExactValues(distinct_max)
    for index, value in enumerate(values):
        (found if index % 2 else second).fresh.append(value)
        if index % 97 == 0:
            found.fold(10)
    assert Gathered((found, second)).distribution() == Distribution.of(Counter(values))
    assert Gathered((found,)).distribution() == found.distribution()
    assert found.count + second.count == len(values)
    assert found.total + second.total == sum(values)


@pytest.mark.parametrize("seed", range(5))
def test_series_keep_the_last_of_each_stretch(seed: int) -> None:
    """However long the run gets, each kept value is the last before its stretch ends."""
    r = random.Random(seed)
    series: Series[int] = Series(16)
    t, all_ = 0, []
    for index in range(500):
        t += r.choice([0, 1, 7, r.randrange(10 ** r.randrange(1, 7))])
        all_.append((t, index))
        series.put(t, index)
    rows = list(series)
    assert len(rows) <= 16
    assert rows[-1][1] == 499
    starts = [start for start, _ in rows]
    assert starts == sorted(set(starts))
    for (start, value), upper in zip(rows, [*starts[1:], t + 1], strict=True):
        inside = [v for when, v in all_ if start <= when < upper]
        assert value == inside[-1]


@pytest.mark.parametrize("seed", range(5))
def test_peaks_miss_none(seed: int) -> None:
    """The greatest of each stretch, carried over or reached, is that of a long list."""
    r = random.Random(seed)
    peaks = Peaks(8)
    t, value = 0, 0
    steps = [(0, 0)]
    for _ in range(300):
        t += r.choice([0, 1, r.randrange(100)])
        value = max(0, value + r.choice([-1, 1, 1, -2]))
        steps.append((t, value))
        peaks.step(t, value)
    rows = peaks.rows()
    assert len(rows) <= 8
    assert max(peak for _, peak in rows) == max(v for _, v in steps) == peaks.max
    width = peaks._width
    for start, peak in rows:
        inside = [v for when, v in steps if start <= when < start + width]
        before = [v for when, v in steps if when < start]
        assert peak == max(inside + before[-1:]), start
