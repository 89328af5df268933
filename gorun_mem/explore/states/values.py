"""What a state is made of: values of words and registers, so written that Ms can be renumbered.

A state must be hashable, must not hold on to what the next step changes, and must show where it
speaks of an M, for states that differ in the numbers of the Ms alone are one. An M is written down
as its place; an int is an M's address where it looks like one (`runtime.m.m_address`), and an M's
number where a search has found that it is. Whether that guess was right is not believed:
`tables` makes every step once for each numbering of the Ms and compares.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from gorun_mem.runtime.m import M_SHIFT
from gorun_mem.runtime.mutex.machine import MutexOp
from gorun_mem.runtime.op import MLike

_SCALARS: Final = (int, str, bool, float, bytes, type(None), Enum)
_FLAGS: Final = (1 << M_SHIFT) - 1


class Unreadable(ValueError):
    """A lock keeps something of which a search cannot tell whether two of it are the same."""


@dataclass(frozen=True, slots=True)
class Place:
    """An M within a state, by its place from 0."""

    at: int


@dataclass(frozen=True, slots=True)
class Pack:
    """What a container holds."""

    kind: str
    items: Any


OP: Final = Pack("operation", ())
"""An operation that a lock keeps for its statistics."""


def declared(cls: type) -> dict[str, None]:
    """The attributes that a class and its bases declare, compiled or not, bases first."""
    names: dict[str, None] = {}
    for base in reversed(cls.__mro__):
        slots = vars(base).get("__mypyc_attrs__") or vars(base).get("__slots__", ())
        names.update(dict.fromkeys((slots,) if isinstance(slots, str) else slots))
    return names


def written(value: Any) -> Any:
    """A value of a word or register as it stands in a state.

    Raises:
        Unreadable: it is of a kind that cannot be compared.
    """
    if type(value) in (int, bool, str) or value is None or isinstance(value, _SCALARS):
        return value
    if isinstance(value, MLike):
        return Place(value.id - 1)
    if isinstance(value, MutexOp):
        return OP
    if isinstance(value, (tuple, list, deque)):
        items = tuple([written(one) for one in value])
        return items if type(value) is tuple else Pack(type(value).__name__, items)
    if isinstance(value, dict):
        return Pack("dict", tuple([(written(k), written(v)) for k, v in value.items()]))
    if isinstance(value, (set, frozenset)):
        return Pack(type(value).__name__, frozenset([written(one) for one in value]))
    raise Unreadable(
        f"a {type(value).__name__} is no number, text, M, or tuple, list, dict, set or deque of "
        "such: keep it out of the words and registers of a lock that is to be verified"
    )


_MAKERS: Final[dict[str, Callable[[Any], Any]]] = {
    "list": list, "deque": deque, "set": set, "frozenset": frozenset,
}  # fmt: skip


def read(value: Any, ms: Sequence[MLike], op: Callable[[], MutexOp]) -> Any:
    """The value that `written` made `value` of.

    Args:
        value: as in a state.
        ms: the Ms by place.
        op: makes what stands for an operation.
    """
    kind = type(value)
    if kind is int or kind is bool or value is None:
        return value
    if kind is Place:
        return ms[value.at]
    if kind is tuple:
        return tuple([read(one, ms, op) for one in value])
    if kind is not Pack:
        return value
    if value is OP:
        return op()
    if value.kind == "dict":
        return {read(k, ms, op): read(v, ms, op) for k, v in value.items}
    return _MAKERS[value.kind]([read(one, ms, op) for one in value.items])


def renumbered(value: Any, to: Sequence[int]) -> Any:
    """A value once the M at each place `i` is at `to[i]`."""
    kind = type(value)
    if kind is int:
        number = value >> M_SHIFT
        if 0 < number <= len(to):
            return (to[number - 1] + 1) << M_SHIFT | value & _FLAGS
        return value
    if kind is Place:
        return Place(to[value.at])
    if kind is tuple:
        return tuple([renumbered(one, to) for one in value])
    if kind is Pack:
        made = [renumbered(one, to) for one in value.items]
        return Pack(value.kind, frozenset(made) if type(value.items) is frozenset else tuple(made))
    return value


def renumbered_number(value: Any, to: Sequence[int], added: int) -> Any:
    """The same of a word that holds the number of an M and something added to it."""
    if type(value) is int and 0 < value - added <= len(to):
        return to[value - added - 1] + 1 + added
    return renumbered(value, to)


def anonymous(value: Any) -> Any:
    """A value without the numbers of the Ms that it speaks of: the same in every numbering."""
    kind = type(value)
    if kind is int:
        return (1 << M_SHIFT) | value & _FLAGS if value >> M_SHIFT > 0 else value
    if kind is Place:
        return "M"
    if kind is tuple:
        return tuple([anonymous(one) for one in value])
    if kind is Pack:
        made = [anonymous(one) for one in value.items]
        return (
            value.kind,
            tuple(sorted(map(repr, made))) if value.kind.endswith("set") else tuple(made),
        )
    return value


def number_role(before: Any, after: Any, to: Sequence[int]) -> int | None:
    """What is added to the number of an M so that renumbering leads from `before` to `after`."""
    if type(before) is not int or type(after) is not int:
        return None
    for added in (0, 1, -1, 2):
        place = before - added - 1
        if 0 <= place < len(to) and to[place] + 1 + added == after:
            return added
    return None
