"""A log as CSV: a line for each event, a column for each field of any.

A field that an event does not have is empty; lists are JSON. The first line has the names, the
envelope's first. It needs no other package, as Parquet does.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import IO, Any

import msgspec

from gorun_mem.analysis.accumulator import Accumulator, Handler
from gorun_mem.analysis.stream import LogCondition, Progress, analyse
from gorun_mem.events.reader import Source
from gorun_mem.events.types import EVENT_TYPES, LogEvent
from gorun_mem.export.tables import columns


class CsvLines(Accumulator):
    """Writes events as lines.

    Args:
        file: where to.

    Attributes:
        written: lines so far, the first not counted.
    """

    def __init__(self, file: IO[str]) -> None:
        self.written = 0
        self._columns = list(columns())
        self._writer = csv.writer(file, lineterminator="\n")
        self._writer.writerow(self._columns)

    def handlers(self) -> Mapping[type[LogEvent], Handler]:
        """Every event."""
        return dict.fromkeys(EVENT_TYPES, self._line)

    def _line(self, event: LogEvent) -> None:
        fields: dict[str, Any] = msgspec.to_builtins(event)
        self._writer.writerow([_cell(fields.get(name)) for name in self._columns])
        self.written += 1


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple | dict):
        return msgspec.json.encode(value).decode()
    return value


def write_csv(
    source: Source, file: IO[bytes], progress: Progress | None = None
) -> tuple[LogCondition, int]:
    """Write a log's events as CSV.

    Args:
        source: the log.
        file: where to.
        progress: called with lines read.

    Returns:
        The log's condition, and how many events were written.

    Raises:
        LogError: the log cannot be read.
    """
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    lines = CsvLines(text)
    condition = analyse(source, [lines], progress)
    text.detach()
    return condition, lines.written
