"""A log for lnav (https://lnav.org), and its format, made from the events' own types.

`lnav -i FORMAT` installs the format; lnav then shows a log, one event a line with what belongs to
it, filters it and asks it in SQL (`;SELECT ... FROM gorun_mem_log`). lnav takes no time of the
first day of 1970, where virtual time begins, for a time; so each event is written with one more,
`at_ns`, which begins at `otlp_metrics.EPOCH_NS`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any, Final

import msgspec

from gorun_mem.analysis.accumulator import Accumulator, Handler
from gorun_mem.analysis.stream import LogCondition, Progress, analyse
from gorun_mem.events.base import ENVELOPE
from gorun_mem.events.reader import Source
from gorun_mem.events.types import EVENT_TYPES, LogEvent
from gorun_mem.export.otlp_metrics import EPOCH_NS
from gorun_mem.export.tables import columns

_KINDS: Final = {"BIGINT": "integer", "UBIGINT": "integer", "DOUBLE": "float", "BOOLEAN": "boolean"}
TIME: Final = "at_ns"
_SHOWN: Final = frozenset({"event", "level", "seq", "t_ns", "m"})
_SQL_WORDS: Final = frozenset({"index", "where"})
"""Names that lnav makes columns of as they are, and that SQL has; as log_* they are only shown."""
_IDENTIFIERS: Final = frozenset({"event", "lock", "m", "op", "fn", "path", "site"})


def make_format() -> dict[str, Any]:
    """The format, as lnav wants it."""
    values: dict[str, dict[str, Any]] = {TIME: {"kind": "integer", "hidden": True}}
    for name, sql in columns().items():
        if name in _SQL_WORDS or name.startswith("log_"):
            continue
        kind = "json" if sql == "JSON" or sql.endswith("[]") else _KINDS.get(sql, "string")
        values[name] = {"kind": kind}
        if name in _IDENTIFIERS:
            values[name]["identifier"] = True
        if name in _SHOWN or name in ENVELOPE:
            values[name]["hidden"] = True  # the line has it, or it is the same for all
    line = [
        {"field": "t_ns", "align": "right", "min-width": 12},
        " ns M",
        {"field": "m", "min-width": 3},
        " ",
        {"field": "event", "min-width": 14},
    ]
    return {
        "$schema": "https://lnav.org/schemas/format-v1.schema.json",
        "gorun_mem_log": {
            "title": "gorun_mem event log",
            "description": "Events of an emulated Go runtime: calls, locks, memory.",
            "json": True,
            "hide-extra": False,
            "timestamp-field": TIME,
            "timestamp-divisor": 1_000_000_000,
            "level-field": "level",
            "opid-field": "op",
            "line-format": line,
            "value": values,
        },
    }


def format_text() -> str:
    """The same as a file."""
    return json.dumps(make_format(), indent=2) + "\n"


class LnavLines(Accumulator):
    """Writes events as lines that lnav takes.

    Args:
        file: where to.

    Attributes:
        written: lines so far.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.written = 0
        self._file = file
        self._encode = msgspec.json.Encoder().encode

    def handlers(self) -> Mapping[type[LogEvent], Handler]:
        """Every event."""
        return dict.fromkeys(EVENT_TYPES, self._line)

    def _line(self, event: LogEvent) -> None:
        fields: dict[str, Any] = {TIME: EPOCH_NS + event.t_ns, **msgspec.to_builtins(event)}
        self._file.write(self._encode(fields) + b"\n")
        self.written += 1


def write_lnav(
    source: Source, file: IO[bytes], progress: Progress | None = None
) -> tuple[LogCondition, int]:
    """Write a log's events for lnav.

    Args:
        source: the log.
        file: where to.
        progress: called with lines read.

    Returns:
        The log's condition, and how many events were written.

    Raises:
        LogError: the log cannot be read.
    """
    lines = LnavLines(file)
    condition = analyse(source, [lines], progress)
    return condition, lines.written
