"""A log in parts: what a service writes, for a run that does not end fills any disk.

The file that was named is the part that is being written. When it is large or old enough it gets a
number, as `world.000001.jsonl.zst` beside `world.jsonl.zst`, and a new one begins. All parts
together are bounded: the oldest are removed. Every part begins with the run's own `run.start`, so
it can be read by itself; a folder that holds one log is read as the whole of it.

Rejected: a part for each hour only, which no size bounds; one file that is cut at its front, which
no file system does for compressed data.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gorun_mem.events.errors import LogError
from gorun_mem.events.sinks import FileSink, codec_for

PARTS: Final = 8
"""How many parts the bound is shared by."""
LOOK_EVERY: Final = 256
"""Lines between two looks at the file's size; where it takes events, when its buffer is full."""
_NAME: Final = re.compile(r"(?P<stem>.+?)(\.(?P<number>\d{6}))?(?P<suffix>\.jsonl(\.gz|\.zst)?)")


@dataclass(frozen=True, slots=True)
class PartsBound:
    """How much of a log is kept.

    Args:
        bytes_max: in all parts together.
        age_s: when a part is closed though it is not full, in seconds.
        removed: told of each part that had to go.
    """

    bytes_max: int
    age_s: float = 86_400.0
    removed: Callable[[Path], None] | None = None


class PartsSink:
    """A sink over one `FileSink` after the other.

    Args:
        path: of the part that is being written; what it held is lost.
        bound: how much is kept.

    Raises:
        LogError: the file cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str], bound: PartsBound) -> None:
        self.path = os.fspath(path)
        self._bound = bound
        self._part_max = max(bound.bytes_max // PARTS, 1)
        self._closed: list[tuple[Path, int]] = []
        self._number = 0
        self._looked = 0
        self._first: Any = None
        self._has_more = False
        self._lines: list[Any] = []
        self._encode_lines: Callable[[list[Any]], bytes] | None = None
        self._codec = codec_for(self.path, threaded=True)
        self._open()

    def _open(self) -> None:
        self._file = FileSink(self.path, lines=self._lines, codec=self._codec)
        self._begun = time.monotonic()
        if self._encode_lines is not None:
            self._file.take_events(self._encode)

    def write(self, line: bytes) -> None:
        """Take one line, without its newline.

        Raises:
            LogError: it cannot be written.
        """
        if self._first is None:
            self._first = line
        self._looked += 1
        if self._looked >= LOOK_EVERY:
            self._look()
        self._file.write(line)

    def msg(self, line: bytes) -> None:
        """Take one line, as structlog's loggers do."""
        self.write(line)

    def take_events(self, encode_lines: Callable[[list[Any]], bytes]) -> Callable[[Any], None]:
        """Change over to events in place of lines; as `FileSink` has it.

        What takes an event is the same for all parts: they have one buffer.
        """
        self._encode_lines = encode_lines
        return self._file.take_events(self._encode, self._spill)

    def _encode(self, events: list[Any]) -> bytes:
        """The lines of events, of which the very first is kept."""
        if self._first is None:
            self._first = events[0]
        if len(events) > 1 or events[0] is not self._first:
            self._has_more = True
        assert self._encode_lines is not None
        return self._encode_lines(events)

    def _spill(self) -> None:
        """The buffer is full."""
        self._file.spill()
        self._look()

    def flush(self) -> None:
        """Write out all lines; go over to a new part where it is time.

        Raises:
            LogError: they could not be written.
        """
        self._file.flush()
        if self._has_more:  # a part that has only the run's first line can wait
            self._look()

    def close(self) -> None:
        """Write out all lines and end the last part.

        Raises:
            LogError: not all lines are in the file, and nobody was told so before.
        """
        self._file.close()

    def _look(self) -> None:
        self._looked = 0
        full = self._file.written >= self._part_max
        if full or time.monotonic() - self._begun >= self._bound.age_s:
            self._next_part()

    def _next_part(self) -> None:
        """Give the part its number, make room, and begin the next with the run's first line."""
        self._file.close()
        self._number += 1
        try:
            done = numbered(Path(self.path), self._number)
            os.replace(self.path, done)
            self._closed.append((done, self._file.written))
            self._make_room()
        except OSError as error:
            raise LogError.of("begin the next part of", self.path, error) from None
        self._codec.begin()
        self._open()
        self._has_more = False
        if self._encode_lines is not None:
            self._lines.append(self._first)
        else:
            self._file.write(self._first)

    def _make_room(self) -> None:
        most = self._bound.bytes_max - self._part_max
        while len(self._closed) > 1 and sum(size for _, size in self._closed) > most:
            path, _ = self._closed.pop(0)
            path.unlink(missing_ok=True)
            if self._bound.removed is not None:
                self._bound.removed(path)

    def __repr__(self) -> str:
        return f"<PartsSink {self.path} after {self._number} parts>"


def numbered(path: Path, number: int) -> Path:
    """The name of a part that is full."""
    found = _NAME.fullmatch(path.name)
    if found is None:
        return path.with_name(f"{path.name}.{number:06d}")
    return path.with_name(f"{found['stem']}.{number:06d}{found['suffix']}")


def parts_in(folder: Path) -> list[Path]:
    """The parts of the one log in a folder, oldest first.

    Raises:
        LogError: there is none, or there are several.
        OSError: the folder cannot be read.
    """
    logs: dict[str, list[tuple[float, Path]]] = {}
    for path in folder.iterdir():
        found = _NAME.fullmatch(path.name)
        if found is not None and path.is_file():
            number = int(found["number"]) if found["number"] else float("inf")
            logs.setdefault(found["stem"] + found["suffix"], []).append((number, path))
    if len(logs) > 1:
        names = ", ".join(sorted(logs)[:5])
        raise LogError("read log", folder, f"it holds {len(logs)} logs", f"name one: {names}")
    if not logs:
        raise LogError("read log", folder, "the folder holds no log", "name a file")
    (found_parts,) = logs.values()
    return [path for _, path in sorted(found_parts)]


def without_start(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The bytes of a later part without the `run.start` that it repeats."""
    head = b""
    for piece in pieces:
        head += piece
        if b"\n" in head or len(head) > 1 << 20:
            break
    if head.startswith(b'{"event":"run.start"'):
        head = head.partition(b"\n")[2]
    if head:
        yield head
    yield from pieces
