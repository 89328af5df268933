"""Histories: operations that were called and returned, and whether some order of them explains it.

A history is linearizable (M. Herlihy, J. Wing, "Linearizability: A Correctness Condition for
Concurrent Objects", TOPLAS 1990) iff each operation can be given one moment between its call and
its return such that a sequential model, asked in the order of these moments, gives what the
operations gave. An operation that has not returned may have taken effect or not.

The search is that of J. Wing and C. Gong, "Testing and Verifying Concurrent Objects", JPDC 1993:
from a state of the model any operation under way may be next. Two sequences that have taken the
same operations to the same state are tried once, as G. Lowe has it ("Testing for Linearizability",
CCPE 2017). `Linearizer` makes the search while the history grows, so that what a return rules out
is gone: it keeps where the model may stand, not the history. A violation is thus found at the first
return that nothing explains. `furthest` makes the search again over the operations that overlap,
to say which orders were tried and where each of them ends.
"""

from __future__ import annotations

import copy
import pickle
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gorun_mem.runtime.errors import EmulatedFailure
from gorun_mem.step.schedule import Step
from gorun_mem.step.strategies.wakeup import CALLS

CALL: Final = "op.call"
"""The kind of a step by which an operation begins; RETURN of the one by which it ends."""
RETURN: Final = "op.return"
MODELS_MAX: Final = 50_000
"""States of models that are kept with what operations do to them; then they are made again."""
EARLIER_MAX: Final = 4
"""Operations before those that overlap that are kept, to be shown."""
ORDERS_MAX: Final = 100_000
"""Steps of the search for what to say of a violation."""

Frozen = Any
"""A value as something that can be hashed and compared."""


class CannotYet(Exception):
    """Raised by a method of a model: in this state the operation would still be waiting."""


class NotLinearizable(EmulatedFailure):
    """No order of an object's operations gives what they gave.

    Args:
        obj: the object's name.
        called: the operation whose return nothing explains.
        timeline: who was in which operation when, and the orders tried, in lines.
    """

    error_type = "not_linearizable"

    def __init__(self, obj: str, called: Called, timeline: tuple[str, ...]) -> None:
        super().__init__(obj)
        self.obj = obj
        self.called = called
        self.timeline = timeline

    def __str__(self) -> str:
        return "\n".join([self.sentence, *self.timeline])

    @property
    def sentence(self) -> str:
        """The fact in a line."""
        called = self.called
        return f"{self.obj} is not linearizable: M{called.m} {called} {called.gave}"


@dataclass(frozen=True, slots=True)
class Gave:
    """What an operation came to.

    Args:
        value: its result, or the class of what it raised.
        raised: which of these.
    """

    value: Any
    raised: bool = False

    def __str__(self) -> str:
        return f"raises {self.value.__name__}" if self.raised else f"-> {short(self.value)}"

    def is_like(self, other: Gave) -> bool:
        """Whether the two are the same."""
        return self.raised is other.raised and bool(self.value == other.value)


class Called:
    """An operation of a history.

    Args:
        name: of the method.
        args: positional arguments, and `kwargs` those by name.

    Attributes:
        m: id of the M that called.
        call_at: number of the step that called it; `return_at` of the one that returned, 0 before.
        gave: what it came to; None before.
        order: numbers of call and return among the events of the history, from 0; the latter is
            -1 before.
    """

    __slots__ = ("args", "call_at", "gave", "kwargs", "m", "name", "order", "return_at")

    def __init__(self, name: str, args: tuple[Any, ...] = (), kwargs: Any = None) -> None:
        self.name = name
        self.args = args
        self.kwargs: dict[str, Any] = kwargs or {}
        self.m = 0
        self.call_at = self.return_at = 0
        self.gave: Gave | None = None
        self.order = (0, -1)

    def __str__(self) -> str:
        parts = [short(arg) for arg in self.args]
        parts += [f"{name}={short(value)}" for name, value in self.kwargs.items()]
        return f"{self.name}({', '.join(parts)})"

    def __repr__(self) -> str:
        return f"<{self} by M{self.m} {self.gave or 'under way'}>"

    def returned_before(self, other: Called) -> bool:
        """Whether it had returned when `other` was called."""
        return -1 < self.order[1] < other.order[0]


def objects_with_a_model(steps: Iterable[Step]) -> tuple[str, ...]:
    """The names of the objects whose operations are among the steps."""
    calls = {step.obj.removeprefix(CALLS) for step in steps if step.kind == CALL}
    return tuple(sorted(calls))


def short(value: object, most: int = 60) -> str:
    """A value in a line."""
    text = hex(value) if isinstance(value, int) and value > 0xFFFF else repr(value)
    return text if len(text) <= most else text[: most - 3] + "..."


# Models.


def freeze(value: Any) -> Frozen:
    """What two values share iff they are alike, and that can be hashed."""
    if value is None or isinstance(value, int | float | str | bytes | type):
        return value
    if isinstance(value, list | tuple | deque):
        return (type(value).__name__, *map(freeze, value))
    if isinstance(value, set | frozenset):
        return ("set", frozenset(map(freeze, value)))
    if isinstance(value, Mapping):
        return ("map", *((freeze(key), freeze(one)) for key, one in value.items()))
    if isinstance(value, bytearray):
        return ("bytes", bytes(value))
    parts = _parts_of(value)
    if parts is not None:
        return (type(value), *((name, freeze(part)) for name, part in parts))
    try:
        return (type(value), pickle.dumps(value))
    except Exception:
        return (type(value), id(value))


def _parts_of(value: object) -> list[tuple[str, Any]] | None:
    """The attributes of an object of Python's, None for any other."""
    found = dict(getattr(value, "__dict__", {}))
    slots = [name for cls in type(value).__mro__ for name in _slots(cls)]
    found |= {name: getattr(value, name) for name in slots if hasattr(value, name)}
    if not found and not hasattr(value, "__dict__") and not slots:
        return None
    return list(found.items())


def _slots(cls: type) -> Iterable[str]:
    slots = vars(cls).get("__slots__", ())
    names = (slots,) if isinstance(slots, str) else slots
    return [name for name in names if name not in ("__dict__", "__weakref__")]


def in_words(model: object) -> str:
    """A model's state for people: by its own repr, or its attributes."""
    if type(model).__repr__ is not object.__repr__:
        return short(model, 80)
    parts = _parts_of(model) or []
    return short_text(", ".join(f"{name}={short(part)}" for name, part in parts), 80) or "empty"


def short_text(text: str, most: int) -> str:
    """`text`, cut."""
    return text if len(text) <= most else text[: most - 3] + "..."


class Models:
    """The states that a sequential model was seen in, and what operations do to them.

    They are the same in every schedule, so one object serves a whole search.

    Args:
        make: makes the model; called with the object whose operations are recorded.
    """

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self._make = make
        self._models: dict[Frozen, Any] = {}
        self._does: dict[tuple[Frozen, Frozen], tuple[Gave, Frozen] | None] = {}

    def first(self, of: object) -> Frozen:
        """The state of a new model for an object."""
        return self._keep(self._make(of))

    def _keep(self, model: Any) -> Frozen:
        state = getattr(model, "state", None)
        key = freeze(state() if callable(state) else model)
        self._models.setdefault(key, model)
        return key

    def model(self, state: Frozen) -> Any:
        """A model in this state; not to be changed."""
        return self._models[state]

    def do(self, state: Frozen, called: Called) -> tuple[Gave, Frozen] | None:
        """What an operation gives in a state, and the state after it; None: it would wait.

        Raises:
            AttributeError: the model has no such method.
        """
        key = (state, (called.name, freeze(called.args), freeze(called.kwargs)))
        try:
            return self._does[key]
        except KeyError:
            pass
        model = copy.deepcopy(self._models[state])
        arguments = copy.deepcopy((called.args, called.kwargs))
        found: tuple[Gave, Frozen] | None
        try:
            gave = Gave(getattr(model, called.name)(*arguments[0], **arguments[1]))
            found = gave, self._keep(model)
        except CannotYet:
            found = None
        except Exception as error:
            if isinstance(error, AttributeError) and not hasattr(model, called.name):
                raise
            found = Gave(type(error), raised=True), self._keep(model)
        self._does[key] = found
        return found

    def trim(self, states: Iterable[Frozen]) -> None:
        """Forget what others than these states do, where there are many."""
        if len(self._models) > MODELS_MAX:
            self._models = {state: self._models[state] for state in states}
            self._does = {}


# The check.

Ahead = frozenset[tuple[int, Frozen]]
"""Operations under way that have taken effect, by their numbers, and what they are to give."""


class Linearizer:
    """One history, checked as it grows.

    Args:
        models: of the object's model.
        first: the state that it begins in.

    Attributes:
        window: the operations since nothing was under way, in the order of their calls.
        before: how many operations there were before these.
        earlier: the latest of those, `EARLIER_MAX` at most.
        base: the states in which the model may have been before these.
    """

    def __init__(self, models: Models, first: Frozen) -> None:
        self.models = models
        self.window: list[Called] = []
        self.before = 0
        self.earlier: list[Called] = []
        self.base: tuple[Frozen, ...] = (first,)
        self._events = 0
        self._under_way: dict[int, Called] = {}
        self._number_of: dict[int, int] = {}
        self._number = 0
        self._may: set[tuple[Frozen, Ahead]] = {(first, frozenset())}

    def call(self, called: Called) -> None:
        """An operation begins."""
        if not self._under_way:
            self._begin_window()
        self.models.trim((*self.base, *(state for state, _ in self._may)))
        self._number += 1
        self._number_of[id(called)] = self._number
        self._under_way[self._number] = called
        called.order = (self._events, -1)
        self._events += 1
        self.window.append(called)

    def _begin_window(self) -> None:
        self.before += len(self.window)
        self.earlier = [*self.earlier, *self.window][-EARLIER_MAX:]
        self.window = []
        self.base = tuple({state: None for state, _ in self._may})

    def end(self, called: Called, gave: Gave) -> bool:
        """It returns; whether some order explains what it gave, and all before it.

        What does not is a violation; the history is then at its end.
        """
        number = self._number_of.pop(id(called))
        called.gave = gave
        called.order = (called.order[0], self._events)
        self._events += 1
        self._may = self._after(number, gave)
        del self._under_way[number]
        return bool(self._may)

    def _after(self, number: int, gave: Gave) -> set[tuple[Frozen, Ahead]]:
        """Where the model may be, and who has taken effect, if operation `number` gave that."""
        found: set[tuple[Frozen, Ahead]] = set()
        tried = set(self._may)
        left = list(tried)
        while left:
            state, ahead = left.pop()
            taken = dict(ahead)
            if number in taken:
                if taken[number].gave.is_like(gave):
                    found.add((state, frozenset(one for one in ahead if one[0] != number)))
                continue
            for other, called in self._under_way.items():
                done = None if other in taken else self.models.do(state, called)
                if done is None:
                    continue
                after = (done[1], ahead | {(other, _Expected(done[0]))})
                if after not in tried:
                    tried.add(after)
                    left.append(after)
        return found


class _Expected:
    """What an operation under way is to give; to be hashed."""

    __slots__ = ("_key", "gave")

    def __init__(self, gave: Gave) -> None:
        self.gave = gave
        self._key = (gave.raised, freeze(gave.value))

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Expected) and self._key == other._key


# What to say of a violation.


@dataclass(frozen=True, slots=True)
class Tried:
    """An order of some operations that could not be gone on with.

    Args:
        order: the operations, with what the model gave.
        then: those that could have been next, with what the model gives for them; None: it waits.
    """

    order: tuple[tuple[Called, Gave], ...]
    then: tuple[tuple[Called, Gave | None], ...]


def furthest(
    models: Models, states: Sequence[Frozen], window: Sequence[Called]
) -> tuple[list[Tried], int] | None:
    """The orders that explain most of what returned, and how many were tried.

    Args:
        models: of the object's model.
        states: where it may begin.
        window: the operations.

    Returns:
        None where an order explains all.
    """
    tried: list[Tried] = []
    seen: set[tuple[Frozen, frozenset[int]]] = set()
    left: list[tuple[Frozen, tuple[tuple[int, Gave], ...]]] = [(state, ()) for state in states]
    returned = {at for at, called in enumerate(window) if called.gave is not None}
    while left and len(seen) < ORDERS_MAX:
        state, order = left.pop()
        taken = frozenset(at for at, _ in order)
        if (state, taken) in seen:
            continue
        seen.add((state, taken))
        if returned <= taken:
            return None
        wrong: list[tuple[Called, Gave | None]] = []
        goes_on = False
        for at in _next(window, taken):
            called = window[at]
            done = models.do(state, called)
            if done is None or (called.gave is not None and not done[0].is_like(called.gave)):
                wrong.append((called, None if done is None else done[0]))
                continue
            goes_on = True
            left.append((done[1], (*order, (at, done[0]))))
        if not goes_on:
            named = tuple((window[at], gave) for at, gave in order)
            tried.append(Tried(named, tuple(wrong)))
    most = max((_explained(one) for one in tried), default=0)
    return [one for one in tried if _explained(one) == most], len(tried)


def _next(window: Sequence[Called], taken: frozenset[int]) -> list[int]:
    """Which operations may be next: those before which no other has returned that is left."""
    rest = [at for at in range(len(window)) if at not in taken]
    return [
        at for at in rest if not any(window[other].returned_before(window[at]) for other in rest)
    ]


def _explained(tried: Tried) -> int:
    return sum(called.gave is not None for called, _ in tried.order)
