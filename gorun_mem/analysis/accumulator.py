"""What learns from a log; `gorun_mem.analysis.stream` feeds it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

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


class Numbers:
    """How events are numbered, which is from 1 and without gaps.

    Attributes:
        last: the number of the last one.
        missing: how many the jumps say are not there.
        disordered: those whose number is not above the one before.
    """

    __slots__ = ("disordered", "last", "missing")

    def __init__(self) -> None:
        self.last = self.missing = self.disordered = 0

    def see(self, number: int) -> None:
        """The next event has `number`."""
        before = self.last
        self.last = number
        if number <= before:
            self.disordered += 1
        elif number != before + 1:
            self.missing += number - before - 1

    def see_all(self, events: list[LogEvent]) -> None:
        """The same of some events."""
        for event in events:
            self.see(event.seq)


_SEQ: Final = place(LogEvent, "seq")


def dispatch(
    events: list[LogEvent], table: dict[type[LogEvent], tuple[Handler, ...]], numbers: Numbers
) -> None:
    """Hand each event to those who want its type.

    Args:
        events: in the order of the log.
        table: as `dispatch_table` has it; nobody wants a type that is not in it.
        numbers: see those of the events.
    """
    for event in events:
        handlers = table.get(type(event), ())
        first = handlers[0] if len(handlers) == 1 else None
        if isinstance(first, ByFields):
            fields: Fields = astuple(event)
            for handle in first.handlers:
                handle(event, fields)
            number: int = fields[_SEQ]
        else:
            for handler in handlers:
                handler(event)
            number = event.seq
        numbers.see(number)
