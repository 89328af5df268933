"""The recorder's methods, made from the event types.

An event type says what its fields are, which levels it has and what it counts as; this module makes
of it the function that a recorder calls to have one written, and the cheaper function where the
log's level leaves it out: one that keeps the books only, or does nothing. A new event is a new
type; where `gorun_mem.runtime.sink.Sink` has a method of that name, for those who report it often,
and its arguments are not the fields in their order, this module cannot be imported.

Seven events have a few lines of their own, in `gorun_mem.events.handmade`.

The functions are closures: what a call needs is then in the closure, and a level is a choice of
functions instead of a test in each of them. Every event costs its construction and nothing else.

Rejected: functions made from source text, which spares the tuple of `*fields` everywhere (80 ns of
270) and nobody can step into; a subclass for each level, which a recorder would have to change into
when a subscriber joins.
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

from msgspec import UNSET

from gorun_mem.events.base import ENVELOPE, LogEvent
from gorun_mem.events.books import NO_CALL, Books, OpenCall
from gorun_mem.events.handmade import BOOKS_ONLY, HAND_MADE, Emit, Maker, Method, host_grow
from gorun_mem.events.types import EVENT_TYPES, MemGrow, MemReturn, RunEnd, RunStart
from gorun_mem.runtime.call import Call, LayerState
from gorun_mem.runtime.sink import Sink

LogLevel: TypeAlias = Literal["debug", "info", "canonical"]
LOG_LEVELS: Final[tuple[LogLevel, ...]] = ("debug", "info", "canonical")


def own_fields(kind: type[LogEvent]) -> tuple[str, ...]:
    """The fields of an event without the envelope's."""
    return tuple(name for name in kind.__struct_fields__ if name not in ENVELOPE)


def _arguments(kind: type[LogEvent]) -> tuple[str, ...]:
    """What `Sink`'s method for an event must be given, by the event's type."""
    first = ("m",) if kind.of_an_m else ("site",) if kind.site_given else ()
    return (*first, *own_fields(kind))


def _argument_count(kind: type[LogEvent]) -> int:
    """How many it is given; one that is made by hand computes fields, or takes several in one."""
    if kind in HAND_MADE:
        made: int = getattr(Sink, method_name(kind)).__code__.co_argcount
        return made - 1
    return len(_arguments(kind))


def check_report(event: str, kind: type[LogEvent] | None, given: int) -> None:
    """Whether `Sink.report` may be given that.

    Args:
        event: the name.
        kind: the event of that name, None where there is none.
        given: how many values its fields are given.

    Raises:
        TypeError: no event has that name, or it has another number of fields, or is made by hand.
    """
    if kind is None:
        raise TypeError(f"report({event!r}): no event of gorun_mem.events.types has that name")
    wanted = _arguments(kind)
    if kind in HAND_MADE:
        raise TypeError(f"report({event!r}): use the sink's {method_name(kind)}")
    if given != len(wanted):
        raise TypeError(f"report({event!r}) takes {', '.join(wanted)}; {given} values were given")


def method_name(kind: type[LogEvent]) -> str:
    """The recorder's method for an event: its name with an underscore for the dot."""
    return str(kind.__struct_config__.tag).replace(".", "_")


def passes(event: LogEvent, level: LogLevel) -> bool:
    """Whether a log of that level has the event."""
    return event.level in _levels_in(type(event), level)


def may_pass(kind: type[LogEvent], level: LogLevel) -> bool:
    """Whether a log of that level may have an event of that type."""
    return bool(_levels_in(kind, level))


def _levels_in(kind: type[LogEvent], level: LogLevel) -> tuple[str, ...]:
    """Those of a type's levels that a log of that level has."""
    if level == "debug" or (level == "canonical" and kind.canonical):
        return kind.levels
    below = ("debug",) if level == "info" else ("debug", "info", "warning")
    return tuple(one for one in kind.levels if one not in below)


def method(kind: type[LogEvent], level: LogLevel, recorder: Books, emit: Emit) -> Method:
    """The method of a recorder for one type of event.

    Args:
        kind: the type.
        level: of what is written.
        recorder: whose books it keeps.
        emit: takes what is written.
    """
    written = _levels_in(kind, level)
    if not written:
        return _unwritten(kind, recorder)
    write = HAND_MADE.get(kind, _maker(kind))(kind, recorder, emit)
    if written == kind.levels:
        return write
    books = _unwritten(kind, recorder)
    if kind is MemReturn:

        def write_failed_call(call: Call, state: LayerState) -> None:
            (books if call.ok else write)(call, state)

        return write_failed_call
    at = _OK_AT.get(kind) or own_fields(kind).index("ok")

    def write_failures(*fields: Any) -> None:
        (books if fields[at] else write)(*fields)

    return write_failures


def _maker(kind: type[LogEvent]) -> Maker:
    return _about_an_m if kind.of_an_m else _two_levels if len(kind.levels) > 1 else _simple


def _simple(kind: type[LogEvent], recorder: Books, emit: Emit) -> Method:
    """An event of one level, all of whose fields are always there."""
    (level,) = kind.levels
    call_of = recorder.calls.get if kind.in_a_call else _no_call
    adds_to = kind.adds_to
    make: Any = kind

    def write(*fields: Any) -> None:
        recorder.seq = seq = recorder.seq + 1
        m = recorder.m
        op, site, _, _ = call_of(m, NO_CALL)
        emit(make(level, seq, recorder.now(), m, *fields, op, site))

    def write_and_count(*fields: Any) -> None:
        setattr(recorder, adds_to, getattr(recorder, adds_to) + 1)
        write(*fields)

    def write_six(a: Any, b: Any, c: Any, d: Any, e: Any, f: Any) -> None:
        recorder.seq = seq = recorder.seq + 1
        m = recorder.m
        op, site, _, _ = call_of(m, NO_CALL)
        emit(make(level, seq, recorder.now(), m, a, b, c, d, e, f, op, site))

    def write_seven(a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any) -> None:
        recorder.seq = seq = recorder.seq + 1
        m = recorder.m
        op, site, _, _ = call_of(m, NO_CALL)
        emit(make(level, seq, recorder.now(), m, a, b, c, d, e, f, g, op, site))

    if adds_to:
        return write_and_count
    # What a call does to the free list has six or seven; there the tuple is worth sparing.
    by_count: dict[int, Method] = {6: write_six, 7: write_seven}
    return by_count.get(len(own_fields(kind)), write)


def _two_levels(kind: type[LogEvent], recorder: Books, emit: Emit) -> Method:
    """An event whose level follows from its `ok`; fields that do not apply are 0 or ""."""
    good, bad = kind.levels
    names = own_fields(kind)
    ok_at = names.index("ok")
    required = _required(kind)
    call_of = recorder.calls.get
    count = _unwritten(kind, recorder)
    make: Any = kind

    def write(*fields: Any) -> None:
        recorder.seq = seq = recorder.seq + 1
        count(*fields)
        m = recorder.m
        op, site, _, _ = call_of(m, NO_CALL)
        level = good if fields[ok_at] else bad
        tail = [value or UNSET for value in fields[required:]]
        emit(make(level, seq, recorder.now(), m, *fields[:required], *tail, op, site))

    return write


def _about_an_m(kind: type[LogEvent], recorder: Books, emit: Emit) -> Method:
    """An event about the M that is its first argument, with two fields: 0 or "" if not given."""
    (level,) = kind.levels
    of_nobody = 0 if _required(kind) else UNSET
    call_of = recorder.calls.get if kind.in_a_call else _no_call
    make: Any = kind

    def write(m: int, first: Any = 0, second: Any = 0) -> None:
        recorder.seq = seq = recorder.seq + 1
        op, site, _, _ = call_of(m, NO_CALL)
        emit(
            make(level, seq, recorder.now(), m, first or of_nobody, second or UNSET, op, site)
        )  # fmt: skip

    return write


def _unwritten(kind: type[LogEvent], recorder: Books) -> Method:
    """What is left of an event's method where the event is not written: the books."""
    adds_to = kind.adds_to
    if kind in BOOKS_ONLY:
        return BOOKS_ONLY[kind](recorder)
    if not adds_to:
        return _nothing_of_an_m if kind.of_an_m else _NOTHING[_argument_count(kind)]

    def count(*fields: Any) -> None:
        setattr(recorder, adds_to, getattr(recorder, adds_to) + 1)

    return count


_NOTHING: Final[tuple[Method, ...]] = (
    lambda: None,
    lambda a: None,
    lambda a, b: None,
    lambda a, b, c: None,
    lambda a, b, c, d: None,
    lambda a, b, c, d, e: None,
    lambda a, b, c, d, e, f: None,
    lambda a, b, c, d, e, f, g: None,
)
"""What takes so many arguments and does nothing; a tuple of `*fields` would cost as much again."""


def _nothing_of_an_m(m: int, first: Any = 0, second: Any = 0) -> None:
    """The same of an event about an M."""


def _no_call(m: int, otherwise: OpenCall) -> OpenCall:
    return otherwise


def _required(kind: type[LogEvent]) -> int:
    """How many fields of an event always apply; they come first."""
    absent = kind.__struct_defaults__.count(UNSET)
    return len(kind.__struct_fields__) - absent - _HEAD


_HEAD: Final = 4
"""Fields of the envelope before an event's own: level, seq, t_ns, m."""

_OK_AT: Final[dict[type[LogEvent], int]] = {MemGrow: 3}
"""Where `ok` is among what a method is given that is made by hand."""


REPORTED: Final[tuple[type[LogEvent], ...]] = tuple(
    kind for kind in EVENT_TYPES if kind not in (RunStart, RunEnd)
)
"""The events that are reported through a `Sink`: all but the run's own."""


def check_sink(sink: type, kinds: tuple[type[LogEvent], ...]) -> None:
    """Hold a sink protocol against the event types.

    Raises:
        TypeError: a method has no type, a type that is made by hand no method, or the two do not
            fit.
    """
    methods = {name: value for name, value in vars(sink).items() if name[0] != "_"}
    del methods[host_grow.__name__], methods[Sink.report.__name__]
    for kind in kinds:
        found = methods.pop(method_name(kind), None)
        if found is None and kind in HAND_MADE:
            raise TypeError(f"{sink.__name__} has no {method_name(kind)} for {kind.__name__}")
        if found is None:
            continue
        code = found.__code__
        takes = code.co_varnames[1 : code.co_argcount]
        wanted = _arguments(kind)
        if takes != wanted and kind not in HAND_MADE:
            raise TypeError(f"{sink.__name__}.{found.__name__} takes {takes}, not {wanted}")
    if methods:
        raise TypeError(f"{sink.__name__}.{', '.join(methods)}: no event has that name")


check_sink(Sink, REPORTED)
