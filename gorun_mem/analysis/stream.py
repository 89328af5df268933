"""One pass over a log that feeds any number of accumulators.

The reader decodes a block of lines at once; each event then goes to the handlers that want its
type, looked up in one dict. Of events that nobody wants only the number is decoded: their lines
must be JSON with the name of an event, and their other fields are not looked at.

What is only asked for at the end (distributions, shares) is made when somebody asks.

Memory does not grow with the log: an accumulator keeps counted values and rings of fixed size, and
says in its own docstring what bounds it. Damage is no failure: what can be read is analysed, and
`LogCondition` counts and names the rest.

Rejected: looking at the event's name in the bytes and not decoding what is not wanted, because
splitting the lines costs most of what it saves, and damaged lines go unnoticed. Structs with only
the fields that are read, because they take as long to decode, and each handler would have a list of
fields to keep in step. Threads: the work is Python's.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, reduce
from operator import or_
from typing import Any, Final, TypeAlias

import msgspec

from gorun_mem.analysis.accumulator import Accumulator, Numbers, dispatch, dispatch_table
from gorun_mem.events.errors import LogError
from gorun_mem.events.reader import Damage, EventReader, Source
from gorun_mem.events.types import EVENT_TYPES, LogEvent, RunEnd, RunStart

Progress: TypeAlias = Callable[[int], object]

TIDY_EVENTS: Final = 4096
"""After so many events accumulators may fold what they collected; a block has some hundred."""

_NO_JSON: Final = ("JSON is malformed", "Input data was truncated", "not UTF-8", "nested", "longer")


@dataclass(frozen=True, slots=True)
class LogCondition:
    """What state a log is in.

    Args:
        name: the file's name.
        lines: lines seen.
        events: events among them.
        broken_lines: lines that are no JSON.
        foreign_lines: lines that are JSON but none of this program's events.
        damage: the first hundred of both kinds.
        missing: events that the jumps in `seq` say are not there.
        disordered: events whose `seq` is not above the one before.
        unreadable: why the file cannot be read to its end; empty if it can.
        cut: it does not end with run.end.
        headless: it does not begin with run.start.
        runs: run.start events in it; a log holds one.
        unloaded: events that a table of them lacks, for a number in them needs more than 64 bits.
    """

    name: str
    lines: int = 0
    events: int = 0
    broken_lines: int = 0
    foreign_lines: int = 0
    damage: tuple[Damage, ...] = ()
    missing: int = 0
    disordered: int = 0
    unreadable: str = ""
    cut: bool = False
    headless: bool = False
    runs: int = 1
    unloaded: int = 0

    @property
    def whole(self) -> bool:
        """Nothing is missing or wrong."""
        return not self.remarks()

    def remarks(self) -> list[str]:
        """What is wrong, each in a sentence; empty where nothing is."""
        said = []
        if self.unloaded:
            said.append(
                f"{self.unloaded} of {self.events} events could not be loaded: a number needs more "
                "than 64 bits"
            )
        if self.broken_lines:
            said.append(f"{self.broken_lines} of {self.lines} lines are not JSON")
        if self.foreign_lines:
            said.append(f"{self.foreign_lines} of {self.lines} lines are no events of gorun-mem")
        if self.damage:
            said.append(f"the first damaged line: {self.damage[0]}")
        if self.missing:
            said.append(f"{self.missing} events are missing by their numbers")
        if self.disordered:
            said.append(f"{self.disordered} events are out of order")
        if self.unreadable:
            said.append(self.unreadable)
        if self.headless:
            said.append("the log does not begin with run.start")
        if self.runs > 1:
            said.append(f"the log holds {self.runs} runs; figures are of all together")
        if self.cut:
            said.append("the log was cut: it has no run.end, and figures are those up to the cut")
        return said

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "log": self.name,
            "lines": self.lines,
            "events": self.events,
            "broken_lines": self.broken_lines,
            "foreign_lines": self.foreign_lines,
            "damage": [{"line": one.line, "reason": one.reason} for one in self.damage],
            "missing": self.missing,
            "disordered": self.disordered,
            "unreadable": self.unreadable,
            "cut": self.cut,
            "headless": self.headless,
            "runs": self.runs,
            "remarks": self.remarks(),
        }


@lru_cache
def _decoder(wanted: frozenset[type[LogEvent]]) -> msgspec.json.Decoder[Any]:
    """A decoder of whole events for the types wanted, and of numbers only for the others."""
    kinds: list[Any] = [
        kind
        if kind in wanted
        else msgspec.defstruct(
            kind.__name__,
            [("seq", int)],
            bases=(Skimmed,),
            tag_field="event",
            tag=kind.__struct_config__.tag,
            gc=False,
            frozen=True,
        )
        for kind in EVENT_TYPES
    ]
    return msgspec.json.Decoder(reduce(or_, kinds))


class Skimmed(msgspec.Struct, gc=False, frozen=True):
    """An event of a type that nobody wants: it has its `seq`, and its other fields are not read."""


class _Timed(msgspec.Struct, gc=False, frozen=True):
    """An event of which only number and time are looked at."""

    seq: int
    t_ns: int


_TIMES: Final = msgspec.json.Decoder(_Timed)


class BatchReader(EventReader):
    """A log as lists of typed events, some hundred each, and what condition it is in.

    Args:
        source: a file's name, or a binary file object.
        wanted: the types of event to decode as a whole, the others come as `Skimmed`; None for all.

    Attributes:
        numbers: of the events that were seen.
    """

    def __init__(self, source: Source, wanted: Iterable[type[LogEvent]] | None = None) -> None:
        super().__init__(source)
        if wanted is not None:
            self._decoder = _decoder(frozenset(wanted) | {RunStart, RunEnd})
        self.events = 0
        self.numbers = Numbers()
        self.foreign = 0
        self.runs = 0
        self.headless = True
        self._tail = b""
        self._last: LogEvent | None = None

    def batches(self) -> Iterator[list[LogEvent]]:
        """The events of the log; to be iterated over once.

        Raises:
            LogError: the file cannot be read.
        """
        for batch in self.unnumbered():
            self.numbers.see_all(batch)
            yield batch

    def unnumbered(self) -> Iterator[list[LogEvent]]:
        """The same, for who has `numbers` see those of the events."""
        for block in self._blocks():
            batch = self._events(block)
            if batch:
                self._look_over(batch)
                self._tail, self._last = block, batch[-1]
                yield batch

    @property
    def last_ns(self) -> int:
        """Time of the last event, one that nobody wanted too; 0 where there is none."""
        if self._last is None or not isinstance(self._last, Skimmed):
            return self._last.t_ns if self._last is not None else 0
        for line in reversed(self._tail.splitlines()):
            try:
                found = _TIMES.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue
            if found.seq == self._last.seq:
                return found.t_ns
        return 0

    def begin(self, event: RunStart) -> None:
        """Count a run; for whoever iterates over the batches to call."""
        self.runs += 1

    def _look_over(self, batch: list[LogEvent]) -> None:
        """Count a batch."""
        if not self.events:
            self.headless = not isinstance(batch[0], RunStart)
        self.events += len(batch)
        self.cut = type(batch[-1]) is not RunEnd

    def _note(self, line: int, reason: str) -> None:
        if not reason.startswith(_NO_JSON):
            self.foreign += 1
        super()._note(line, reason)

    def condition(self) -> LogCondition:
        """What was found; complete when the iteration is."""
        return LogCondition(
            name=source_name(self._source),
            lines=self.lines,
            events=self.events,
            broken_lines=self.damaged - self.foreign,
            foreign_lines=self.foreign,
            damage=tuple(self.damage),
            missing=self.numbers.missing,
            disordered=self.numbers.disordered,
            unreadable=self.broken,
            cut=self.cut,
            headless=self.headless,
            runs=self.runs,
        )


def analyse(
    source: Source, accumulators: Sequence[Accumulator], progress: Progress | None = None
) -> LogCondition:
    """Feed the events of a log to `accumulators` and finish them.

    Args:
        source: a file's name, or a binary file object; plain, gzip or zstd by its first bytes.
        accumulators: get each event in the order given, so one may rely on those before it.
        progress: called some times a second with how many lines were read since the last call.

    Raises:
        LogError: the file cannot be read, or there is no event in it.
    """
    table = dispatch_table(accumulators)
    reader = BatchReader(source, [kind for kind, handlers in table.items() if handlers])
    table[RunStart] = (*table[RunStart], reader.begin)
    tidies = [a.tidy for a in accumulators if type(a).tidy is not Accumulator.tidy]
    lines = untidied = 0
    with paused_gc():
        for batch in reader.unnumbered():
            untidied += len(batch)
            dispatch(batch, table, reader.numbers)
            batch.clear()  # what the next block is decoded to takes their place in the caches
            if untidied >= TIDY_EVENTS:
                untidied = 0
                for tidy in tidies:
                    tidy()
            if progress is not None:
                progress(reader.lines - lines)
                lines = reader.lines
        refuse_if_empty(reader)
        for accumulator in accumulators:
            accumulator.last_ns = reader.last_ns
            accumulator.finish()
    return reader.condition()


def feed(events: Iterable[LogEvent], accumulators: Sequence[Accumulator]) -> None:
    """The same for events that are in memory already."""
    batch = list(events)
    last_ns = batch[-1].t_ns if batch else 0
    dispatch(batch, dispatch_table(accumulators), Numbers())
    for accumulator in accumulators:
        accumulator.last_ns = last_ns
        accumulator.finish()


def refuse_if_empty(reader: BatchReader) -> None:
    """Say what is wrong with a file that holds no event.

    Raises:
        LogError: it does.
    """
    if reader.events:
        return
    why = "it is empty" if not reader.lines else "it holds no event of gorun-mem"
    if reader.broken:
        why = reader.broken
    elif reader.damage:
        why += f" (first: {reader.damage[0]})"
    advice = "name a log that `gorun-mem run --log FILE` wrote"
    raise LogError("analyse", source_name(reader._source), why, advice)


def source_name(source: Source) -> str:
    """What a log is called."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    return str(getattr(source, "name", "<stream>"))


@contextmanager
def paused_gc() -> Iterator[None]:
    """No cycle is made here, and looking for some costs a tenth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
