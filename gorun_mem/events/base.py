"""What every event of the log has: the envelope, and what a type says besides its fields.

Every line carries the envelope (`LogEvent`): the event's dotted name, its level, its place in the
order, the virtual time and the M. Fields that do not apply are left out of the line; they read as
`UNSET`. Addresses and sizes are ints in bytes, 0 is nil, M 0 is the scenario itself or nobody.

Rejected: leaving out every field that has its default (`omit_defaults`), because a reader of
Parquet or jq could then not tell "no" from "not said"; a free `extra` mapping, because what is not
in the table is not part of the format; the envelope's last fields by keyword, because a call that
passes both a tuple and keywords costs twice one that passes a tuple.
"""

from __future__ import annotations

import sys
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Final,
    Literal,
    TypeAlias,
    TypeVar,
    cast,
    get_origin,
)

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

SCHEMA: Final = "gorun_mem/1"
"""The format's name and version, as `run.start` says it."""

Level: TypeAlias = Literal["debug", "info", "warning", "error"]
Option: TypeAlias = str | int | float | bool | None


def doc(text: str) -> Meta:
    """What a field means, for the schema."""
    return Meta(description=text)


def address(text: str) -> Meta:
    """What an address field means; consoles print such a field in hexadecimal."""
    return Meta(description=text, extra_json_schema={"x-address": True})


ENVELOPE_END: Final[dict[str, Any]] = {
    "op": Annotated[int | UnsetType, doc("id of the sys* call that this happened in")],
    "site": Annotated[str | UnsetType, doc("Go function, such as runtime.sysAllocOS")],
    "g": Annotated[int | UnsetType, doc("goroutine id")],
    "timestamp": Annotated[str | UnsetType, doc("wall clock, ISO 8601 in UTC")],
}
"""The part of the envelope that is written only where it applies."""


class LogEvent(Struct, frozen=True, gc=False, tag_field="event"):
    """What every event says.

    A subclass adds its own fields, those that may not apply last; `@event` puts `op`, `site`, `g`
    and `timestamp` after them.
    """

    levels: ClassVar[tuple[Level, ...]] = ("debug",)
    """The levels this event can have; of two, the second where its `ok` is False."""
    canonical: ClassVar[bool] = False
    """Whether a canonical log has it; it has every error."""
    of_an_m: ClassVar[bool] = False
    """Whether `m` is the M that it is about, and not the one that runs."""
    in_a_call: ClassVar[bool] = True
    """Whether it belongs to the sys* call that its M is in."""
    site_given: ClassVar[bool] = False
    """Whether its `site` is said by who reports it, and not the call's."""
    adds_to: ClassVar[str] = ""
    """The sum of `run.end` that counts it."""

    level: Level
    seq: Annotated[int, doc("place in the log from 1, without gaps: the linearisation order")]
    t_ns: Annotated[int, doc("virtual time in ns")]
    m: Annotated[int, doc("M that did it, 0 for none")]

    if TYPE_CHECKING:

        @property
        def op(self) -> int | UnsetType: ...  # noqa: D102  ENVELOPE_END says it
        @property
        def site(self) -> str | UnsetType: ...  # noqa: D102
        @property
        def g(self) -> int | UnsetType: ...  # noqa: D102
        @property
        def timestamp(self) -> str | UnsetType: ...  # noqa: D102

    @property
    def name(self) -> str:
        """The dotted name, such as `lock.acquire`."""
        return str(self.__struct_config__.tag)


_SAID: Final = {"__doc__", *LogEvent.__annotations__} - {*LogEvent.__struct_fields__}
"""What a type says besides its fields."""

E = TypeVar("E", bound=LogEvent)

declared: Final[list[type[LogEvent]]] = []
"""The events that `@event` has made so far, in their order."""


def event(kind: type[E]) -> type[E]:
    """End the fields of an event with those of the envelope that may not apply.

    In a line they come last. A base class's fields would come first, or by keyword only; a
    metaclass that adds them makes every event a third slower to build.

    Raises:
        TypeError: it does not say what it or one of its fields means, or when it is of which level.
    """
    if not kind.__doc__ and sys.flags.optimize < 2:  # -OO takes them away
        raise TypeError(f"event {kind.__name__} has no docstring: the schema needs one")
    if len(kind.levels) > 1 and "ok" not in kind.__struct_fields__ and kind.__name__ != "RunEnd":
        raise TypeError(f"event {kind.__name__} has two levels and no `ok` to choose by")
    fields: list[Any] = []
    for field in msgspec.structs.fields(kind):
        if field.name not in LogEvent.__struct_fields__:
            if not _is_explained(field):
                raise TypeError(f"event {kind.__name__}: {field.name} needs a doc(...)")
            default = () if field.required else (field.default,)
            fields.append((field.name, kind.__annotations__[field.name], *default))
    fields += [(name, type_, UNSET) for name, type_ in ENVELOPE_END.items()]
    said = {name: value for name, value in vars(kind).items() if name in _SAID}
    made: Any = msgspec.defstruct(
        kind.__name__, fields, bases=(LogEvent,), module=kind.__module__, namespace=said,
        frozen=True, gc=False, tag_field="event", tag=kind.__struct_config__.tag,
    )  # fmt: skip
    declared.append(made)
    return cast(type[E], made)


def _is_explained(field: msgspec.structs.FieldInfo) -> bool:
    """Whether a field says what it means, or its name or its values do."""
    notes = getattr(field.type, "__metadata__", ())
    described = any(isinstance(note, Meta) and note.description for note in notes)
    return described or field.name == "ok" or get_origin(field.type) is Literal


ENVELOPE: Final = frozenset({*LogEvent.__struct_fields__, *ENVELOPE_END})
"""The fields that every event has besides its own."""
