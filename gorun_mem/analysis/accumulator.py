"""What learns from a log; `gorun_mem.analysis.stream` feeds it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from msgspec.structs import astuple
from mypy_extensions import mypyc_attr

from gorun_mem.events.types import EVENT_TYPES, LogEvent

Handler: TypeAlias = Callable[[Any], object]
Fields: TypeAlias = tuple[Any, ...]
"""An event's fields, in the order of its type."""


def place(kind: type[LogEvent], name: str) -> int:
    """Where among the fields of an event one is."""
    names: tuple[str, ...] = kind.__struct_fields__
    return names.index(name)


class ByFields:
    """A handler of events with many fields: these are taken out once for all who want the event.

    To take all costs as much as to ask for one or two by name.

    Args:
        handle: gets an event and its fields.
    """

    def __init__(self, *handle: Callable[[Any, Fields], object]) -> None:
        self.handlers = handle

    def __call__(self, event: Any) -> None:
        """Hand on an event."""
        self.hand_on(event)

    def hand_on(self, event: Any) -> None:
        """The same; a call from compiled code."""
        fields: Fields = astuple(event)
        for handle in self.handlers:
            handle(event, fields)


@mypyc_attr(allow_interpreted_subclasses=True)
class Accumulator:
    """What learns from a log, one event at a time.

    A subclass says in `handlers` which events it wants, and offers what it learnt as attributes or
    by a method once `finish` was called.

    Attributes:
        last_ns: time of the log's last event, wanted or not; set before `finish` is called.
    """

    last_ns: int = 0

    def handlers(self) -> Mapping[type[LogEvent], Handler]:
        """What to call with each event of a type; events of other types are not wanted."""
        raise NotImplementedError

    def take(self, event: LogEvent) -> None:
        """Take one event, wanted or not; for feeding by hand."""
        handler = self.handlers().get(type(event))
        if handler is not None:
            handler(event)

    def tidy(self) -> None:
        """Called now and then, some thousand events apart: time to fold what was collected."""

    def finish(self) -> None:
        """Called after the last event."""


def dispatch_table(
    accumulators: Iterable[Accumulator],
) -> dict[type[LogEvent], tuple[Handler, ...]]:
    """Type of event -> who wants it, in the order of `accumulators`."""
    table: dict[type[LogEvent], tuple[Handler, ...]] = dict.fromkeys(EVENT_TYPES, ())
    for accumulator in accumulators:
        for kind, handler in accumulator.handlers().items():
            before = table[kind]
            last = before[-1] if before else None
            if isinstance(last, ByFields) and isinstance(handler, ByFields):
                before, handler = before[:-1], ByFields(*last.handlers, *handler.handlers)
            table[kind] = (*before, handler)
    return table


def dispatch(events: list[LogEvent], table: dict[type[LogEvent], tuple[Handler, ...]]) -> None:
    """Hand each event to those who want its type.

    Args:
        events: in the order of the log.
        table: as `dispatch_table` has it; nobody wants a type that is not in it.
    """
    for event in events:
        handlers = table.get(type(event))
        if handlers is not None:
            for handle in handlers:
                if isinstance(handle, ByFields):
                    handle.hand_on(event)
                else:
                    handle(event)


def in_sequence(events: list[LogEvent], seq: int) -> bool:
    """Whether the numbers of `events` go up by one from `seq`, that of the event before them."""
    for event in events:
        seq += 1
        if event.seq != seq:
            return False
    return True
