"""How events pass through structlog: a wrapper class for typed events and two chains.

structlog's stock loggers build a dict for each event, copy the context into it and hand it from
processor to processor: 4 to 5 us. Here the wrapper class passes the typed event itself through the
same chain of processors and to the same kind of logger, and the last processor of the JSON chain is
msgspec's encoder. A chain that starts with `as_event_dict` takes structlog's own processors from
there on; the console chain does.

Rejected: `bind`, because every field of an event is part of the format and nothing else is.

Importing this module imports structlog; `gorun_mem.events.recorder` does without.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, MutableMapping
from datetime import UTC, datetime
from typing import Any, TextIO, cast

import msgspec
import structlog
from msgspec import UNSET

from gorun_mem.events.parts import PartsBound, PartsSink
from gorun_mem.events.sinks import FileSink, LineSink
from gorun_mem.events.types import EVENT_TYPES, LogEvent

Processor = Callable[[Any, str, Any], Any]
"""As structlog's, except that the first of a chain is given an `LogEvent`."""


class EncodeJSON:
    """The last processor of the JSON chain: an event becomes the bytes of its line."""

    __slots__ = ("encode", "encode_lines")

    def __init__(self) -> None:
        encoder = msgspec.json.Encoder()
        self.encode = encoder.encode
        self.encode_lines = encoder.encode_lines

    def __call__(self, logger: Any, name: str, event: Any) -> bytes:
        """The line of `event`."""
        return self.encode(event)


class EventLogger(structlog.BoundLoggerBase):
    """The wrapper class: `emit` runs the chain over one typed event.

    Attributes:
        emit: passes one event through the chain and to the logger; raises LogError where the sink
            cannot take it.
    """

    emit: Callable[[LogEvent], None]

    def __init__(self, logger: Any, processors: Iterable[Any], context: Any) -> None:
        if context:
            raise TypeError(f"typed events take no bound values: {', '.join(context)}")
        steps: tuple[Processor, ...] = tuple(processors)
        super().__init__(logger, steps, context)
        self._msg: Callable[[Any], None] = getattr(logger, "write", logger.msg)
        only = steps[0] if len(steps) == 1 else None
        self.emit = self._run_chain
        if isinstance(only, EncodeJSON):
            # The usual chain is nothing but the encoder: a file's sink does that for many at once.
            take_events = getattr(logger, "take_events", None)
            self.emit = (
                take_events(only.encode_lines)
                if take_events is not None
                else _encode_and_write(only.encode, self._msg)
            )

    def _run_chain(self, event: LogEvent) -> None:
        """Pass one event through all processors and to the logger."""
        value: Any = event
        try:
            for step in self._processors:
                value = step(self._logger, event.level, value)
        except structlog.DropEvent:
            return
        self._msg(value)

    def flush(self) -> None:
        """Bring what was emitted to where a reader finds it."""
        flush = getattr(self._logger, "flush", None)
        if flush is not None:
            flush()

    def close(self) -> None:
        """Flush and end the sink."""
        close = getattr(self._logger, "close", None)
        if close is not None:
            close()


def _encode_and_write(
    encode: Callable[[Any], bytes], write: Callable[[bytes], None]
) -> Callable[[LogEvent], None]:
    def emit(event: LogEvent) -> None:
        write(encode(event))

    return emit


def stamp_wall_clock(logger: Any, name: str, event: LogEvent) -> LogEvent:
    """Give an event its `timestamp`: now, ISO 8601 in UTC with microseconds."""
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    msgspec.structs.force_setattr(event, "timestamp", now)
    return event


def as_event_dict(logger: Any, name: str, event: LogEvent) -> MutableMapping[str, Any]:
    """Make of an event what structlog's own processors take."""
    found: dict[str, Any] = {"event": event.name}
    for field in event.__struct_fields__:
        value = getattr(event, field)
        if value is not UNSET:
            found[field] = value
    return found


def _address_fields() -> frozenset[str]:
    """The names of the fields that hold addresses."""
    return frozenset(
        field.name
        for kind in EVENT_TYPES
        for field in msgspec.inspect.type_info(kind).fields  # type: ignore[attr-defined]
        if (getattr(field.type, "extra_json_schema", None) or {}).get("x-address")
    )


class ForPeople:
    """Makes an event dict fit for a console: hexadecimal addresses, the M as logger."""

    def __init__(self) -> None:
        self._addresses = _address_fields()

    def __call__(
        self, logger: Any, name: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """The same event for people."""
        event.setdefault("timestamp", f"{event.pop('t_ns') / 1000:12.3f}us")
        event.pop("t_ns", None)
        event["logger"] = f"M{event.pop('m')}"
        for field in self._addresses & event.keys():
            event[field] = _Raw(f"{event[field]:#x}")
        if event["event"] == "freelist.snapshot":
            event["blocks"] = _Raw(" ".join(f"{addr:#x}+{size}" for addr, size in event["blocks"]))
        return event


class _Raw(str):
    """A string that a console shows without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def json_logger(sink: LineSink, *, wall_clock: bool = False) -> EventLogger:
    """A logger that writes JSON Lines.

    Args:
        sink: where the lines go.
        wall_clock: give each event a `timestamp`; the log is then not the same bytes again.
    """
    steps: list[Processor] = [stamp_wall_clock] if wall_clock else []
    return _wrap(sink, [*steps, EncodeJSON()])


def console_logger(
    stream: TextIO | None = None, *, colors: bool | None = None, wall_clock: bool = False
) -> EventLogger:
    """A logger that writes lines for people, in structlog's console style.

    Args:
        stream: standard error as it is now if None: standard output stays for results.
        colors: whether to colour; by default on a terminal, unless NO_COLOR is set.
        wall_clock: show the time of day in place of the virtual time.
    """
    out = stream if stream is not None else sys.stderr
    if colors is None:
        colors = out.isatty() and not os.environ.get("NO_COLOR")
    # The first argument, the width of the event's name, has had two names.
    render = structlog.dev.ConsoleRenderer(17, colors=colors, sort_keys=False)
    steps: list[Any] = [stamp_wall_clock] if wall_clock else []
    return _wrap(structlog.PrintLogger(out), [*steps, as_event_dict, ForPeople(), render])


def open_log(
    target: str | os.PathLike[str],
    *,
    wall_clock: bool = False,
    exclusive: bool = False,
    bound: PartsBound | None = None,
) -> EventLogger:
    """The logger that `--log TARGET` asks for.

    Args:
        target: a file, compressed by the end of its name; "-" for a console.
        wall_clock: give each event a `timestamp`.
        exclusive: refuse a file that exists.
        bound: go over to a new file now and then, and keep as much (see `parts`).

    Raises:
        LogError: the file cannot be opened.
    """
    if os.fspath(target) == "-":
        return console_logger(wall_clock=wall_clock)
    if bound is not None:
        return json_logger(PartsSink(target, bound), wall_clock=wall_clock)
    return json_logger(FileSink(target, exclusive=exclusive), wall_clock=wall_clock)


def _wrap(logger: Any, processors: list[Any]) -> EventLogger:
    """Have structlog put a chain together."""
    proxy = structlog.wrap_logger(logger, processors=processors, wrapper_class=EventLogger)
    return cast(EventLogger, proxy.bind())
