"""Reads logs: whole ones, cut ones and damaged ones.

A run that was killed leaves a cut gzip member or zstd frame and perhaps half a line at the end; a
copied or edited log may hold anything. Nothing of that is fatal: what can be read is read, the rest
is counted and the first hundred places are named.

Two speeds: `read_events` decodes each line into its type, `read_raw` hands out the lines' bytes.
Typed reading decodes all whole lines of a block in one call and goes back to line by line only
where that fails: a fifth faster.

Control characters in strings are escaped on the way: a log may come from anywhere, and what is made
of it goes to terminals and pages.

Rejected: telling the compression by the file's name, because logs are renamed and piped;
`gzip.open`, which raises at a cut member before it gives out what it has.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, Generic, NamedTuple, TypeAlias, TypeVar

import msgspec

from gorun_mem._near import near_file
from gorun_mem.events.errors import LogError
from gorun_mem.events.parts import parts_in, without_start
from gorun_mem.events.types import AnyEvent, LogEvent, RunEnd
from gorun_mem.files.packed import Damaged, unpacked
from gorun_mem.files.reading import open_input
from gorun_mem.files.text import printable_json

Source: TypeAlias = str | os.PathLike[str] | BinaryIO
T = TypeVar("T")

LINE_BYTES_MAX: Final = 64 * 1024 * 1024
"""A longer line is damage: the memory that a reader takes has a bound."""

UNENDING_BYTES: Final = 4 * LINE_BYTES_MAX
"""A line that is longer has no end, as in a pipe or device that never gives a newline."""

NAMED_DAMAGE_MAX: Final = 100
"""Damaged lines that are named; the others are only counted."""

_RUN_END: Final = b'{"event":"run.end",'
_NOT_AN_EVENT: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Damage(NamedTuple):
    """A place that could not be read.

    Args:
        line: its number from 1.
        reason: why.
    """

    line: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


class LogReader(Generic[T]):
    """Iterates over a log; what it says about the log is complete when the iteration is.

    Args:
        source: a file's name, or a binary file object.

    Attributes:
        lines: lines seen, blank and damaged ones included.
        damaged: how many of them could not be read.
        damage: the first hundred of those.
        broken: why the file cannot be read to its end; empty if it can.
        cut: whether the log does not end with a whole `run.end`.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self.lines = 0
        self.damaged = 0
        self.damage: list[Damage] = []
        self.broken = ""
        self.cut = True

    def __iter__(self) -> Iterator[T]:
        self.lines = self.damaged = 0
        self.damage = []
        self.broken = ""
        self.cut = True
        return self._take(self._blocks())

    def _take(self, blocks: Iterator[bytes]) -> Iterator[T]:
        """Make items of blocks of whole lines."""
        raise NotImplementedError

    def _blocks(self) -> Iterator[bytes]:
        """Blocks of whole lines; the last may lack its newline."""
        rest: list[bytes | memoryview] = []
        size = 0
        skipping = False
        for data in self._data():
            end = data.rfind(b"\n") + 1
            if end:
                # Of a line that was too long its newline is left, so that the lines keep numbers.
                start = data.index(b"\n") if skipping else 0
                rest.append(memoryview(data)[start:end])
                yield printable_json(b"".join(rest))
                rest, size, skipping = [], 0, False
            size += len(data) - end
            if not skipping:
                rest.append(data[end:])
                if size > LINE_BYTES_MAX:
                    self._note(self.lines + 1, f"longer than {LINE_BYTES_MAX} bytes")
                    rest, skipping = [], True
            if size > UNENDING_BYTES:
                self.broken = f"line {self.lines + 1} has no end within {UNENDING_BYTES} bytes"
                break
        self.lines += skipping  # its end is the file's, and no newline counts it
        last = b"".join(rest)
        if last.strip():
            yield printable_json(last)

    def _data(self) -> Iterator[bytes]:
        """The log's bytes, decompressed, as far as they go."""
        try:
            yield from _decompressed(self._source)
        except Damaged as damage:
            if not damage.truncated:
                self.broken = damage.reason

    def _note(self, line: int, reason: str) -> None:
        """Count a damaged line and name it if there is room."""
        self.damaged += 1
        if len(self.damage) < NAMED_DAMAGE_MAX:
            self.damage.append(Damage(line, reason))

    def describe_damage(self) -> str:
        """What is wrong with the log, in one line for people; empty if nothing is."""
        parts = []
        if self.damaged:
            parts.append(f"{self.damaged} of {self.lines} lines damaged (first: {self.damage[0]})")
        if self.broken:
            parts.append(self.broken)
        if self.cut:
            parts.append("the log was cut: it has no run.end")
        return "; ".join(parts)


class EventReader(LogReader[LogEvent]):
    """A log as typed events.

    Attributes:
        missing: how many events the jumps in `seq` say are not there.
    """

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.missing = 0
        self._decoder: msgspec.json.Decoder[LogEvent] = msgspec.json.Decoder(AnyEvent)

    def _take(self, blocks: Iterator[bytes]) -> Iterator[LogEvent]:
        self.missing = 0
        seq = 0
        for block in blocks:
            for event in self._events(block):
                if event.seq > seq + 1:
                    self.missing += event.seq - seq - 1
                seq = event.seq
                self.cut = not isinstance(event, RunEnd)
                yield event

    def _events(self, block: bytes) -> list[LogEvent]:
        """The events of whole lines."""
        count = len(block) - len(block.replace(b"\n", b""))  # in a sixth of the time of `count`
        if block.endswith(b"\n"):
            try:
                events = self._decoder.decode_lines(block)
            except _NOT_AN_EVENT:
                events = []
            if len(events) == count:
                self.lines += count
                return events
        return self._line_by_line(block)

    def _line_by_line(self, block: bytes) -> list[LogEvent]:
        """The same where a line is blank, damaged or cut."""
        events = []
        for line in block.removesuffix(b"\n").split(b"\n"):
            self.lines += 1
            if not line.strip():
                continue
            try:
                events.append(self._decoder.decode(line))
            except _NOT_AN_EVENT as error:
                self._note(self.lines, _reason(error))
        return events


class RawReader(LogReader[bytes]):
    """A log as the bytes of its lines, which are not looked into.

    A cut last line is left out and counted as damaged.
    """

    def _take(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        for block in blocks:
            whole = block.endswith(b"\n")
            lines = block.removesuffix(b"\n").split(b"\n")
            if not whole and not _is_json(lines[-1]):
                self._note(self.lines + len(lines), "cut")
                del lines[-1]
                self.lines += 1
            self.lines += len(lines)
            for line in lines:
                if line.strip():
                    self.cut = not line.startswith(_RUN_END)
                    yield line


def read_events(source: Source) -> EventReader:
    """Read a log as typed events.

    Args:
        source: a file's name, or a binary file object; plain, gzip or zstd by its first bytes.

    Raises:
        LogError: while iterating: the file cannot be read.
    """
    return EventReader(source)


def read_raw(source: Source) -> RawReader:
    """Read a log as the bytes of its lines, without newlines.

    Args:
        source: a file's name, or a binary file object; plain, gzip or zstd by its first bytes.

    Raises:
        LogError: while iterating: the file cannot be read.
    """
    return RawReader(source)


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return str(error)


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line)
    except _NOT_AN_EVENT:
        return False
    return True


def _decompressed(source: Source) -> Iterator[bytes]:
    """The bytes of a log, by what its first bytes say it is; of a folder those of all parts."""
    if isinstance(source, str | os.PathLike) and os.path.isdir(source):
        yield from _all_parts(Path(source))
        return
    name = source if isinstance(source, str | os.PathLike) else getattr(source, "name", "<stream>")
    try:
        file = open_input(source) if isinstance(source, str | os.PathLike) else source
        try:
            yield from unpacked(file.read)
        finally:
            if file is not source:
                file.close()
    except OSError as error:
        near = near_file(str(name)) if isinstance(error, FileNotFoundError) else ""
        advice = f"did you mean {near}?" if near else "gorun-mem run SCENARIO --log FILE writes one"
        raise LogError.of("read log", str(name), error, advice) from None


def _all_parts(folder: Path) -> Iterator[bytes]:
    """The bytes of a log in parts; a part that is cut does not hide those behind it."""
    try:
        parts = parts_in(folder)
    except OSError as error:
        raise LogError.of("read log", folder, error) from None
    for number, part in enumerate(parts):
        try:
            pieces = _decompressed(part)
            last = b""
            for last in without_start(pieces) if number else pieces:
                yield last
            if last and not last.endswith(b"\n"):
                yield b"\n"
        except Damaged as damage:
            if not damage.truncated or number == len(parts) - 1:
                raise
            yield b"\n"
