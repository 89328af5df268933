"""What Python objects hold, written down so that two states can be compared.

Two things that are written alike do the same from here on. For that everything is written which a
coroutine can come to: where each of its frames stands, the variables, the values that it is in the
middle of, what these hold in turn, what functions have closed over, and the globals that their code
names. An object that several ways lead to is written once and then by its number, so that one list
seen by two Ms is not taken for two lists that are alike. Numbers are told from truths, and a dict
from one that was filled in another order.

What tells people something alone, as how often a word was read, is left out (`_COUNTED`): of the
package's own classes only, for of others nobody knows what they are for. What cannot be read, such
as an open file, is `Unreadable`.
"""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable
from enum import Enum
from types import (
    AsyncGeneratorType,
    BuiltinFunctionType,
    CellType,
    CodeType,
    CoroutineType,
    FrameType,
    FunctionType,
    GeneratorType,
    MemberDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    NoneType,
)
from typing import Any, Final

from gorun_mem.explore.states.values import Unreadable

COUNTED: Final = frozenset({
    "failed", "operations", "timeouts", "wait_ns", "wait_ns_max", "waits", "awaited", "orders",
    "spins", "sleeps", "site", "states", "run", "sched", "wait_since_ns", "book", "_waited_ns",
})  # fmt: skip
"""Attributes that tell people something, or that are the same in all states."""
SINCE: Final = frozenset({"since_ns", "_since_ns", "_since", "_deadline_ns"})
"""Attributes that hold a time, or -1; where no M sleeps for a time it only counts which."""
PACKAGE: Final = "gorun_mem."
_COMPILED_AWAIT: Final = ("__await__", "__aenter__", "__aexit__")
"""How mypyc's types begin for the awaits of operations and locks: each yields once, so that where
it stands needs not be known."""
_PLAIN: Final = frozenset({int, str, bytes, NoneType})
_CONTAINERS: Final = (list, dict, set, deque, bytearray)
_IN_BETWEEN: Final = (FrameType, CodeType)

_AGAIN: Final = object()
"""In front of the number of an object that was written before."""

How = Callable[[Any], Any]


def is_package(cls: type) -> bool:
    """Whether a class is one of the package's own."""
    return cls.__module__.startswith(PACKAGE)


class Contents:
    """Writes down what objects hold, all in one numbering.

    Attributes:
        counts: what is counted is written too.
        timed: times are, as somebody sleeps for one.
    """

    def __init__(self) -> None:
        self.counts = False
        self.timed = False
        self._numbers: dict[int, int] = {}
        self._kept: list[Any] = []
        self._how: dict[type, tuple[How, bool]] = {}
        self._plans: dict[type, tuple[tuple[str, ...], bool, bool]] = {}
        self._codes: dict[int, tuple[CodeType, int]] = {}
        self._numbers_of_code: dict[CodeType, int] = {}

    def begin(self) -> None:
        """Another state is to be written."""
        self._numbers.clear()
        self._kept.clear()

    def of(self, value: Any) -> Any:
        """What a value holds, hashable.

        Raises:
            Unreadable: that cannot be told.
        """
        kind = type(value)
        if kind in _PLAIN:
            return value
        entry = self._how.get(kind)
        if entry is None:
            entry = self._how[kind] = self.how(kind)
        how, has_identity = entry
        if has_identity:
            number = self._numbers.get(id(value))
            if number is not None:
                return (_AGAIN, number)
            self._numbers[id(value)] = len(self._numbers)
            self._kept.append(value)  # so that no other object comes to its address
        return how(value)

    def how(self, kind: type) -> tuple[How, bool]:
        """How values of a type are written, and whether it matters which of them one is."""
        for bases, how, has_identity in self._table():
            if issubclass(kind, bases):
                return how, has_identity
        if kind.__name__.startswith(_COMPILED_AWAIT):
            return self._of_compiled_await, True
        return self.of_object, True

    def _table(self) -> tuple[tuple[Any, How, bool], ...]:
        return (
            (bool, _of_truth, False),
            (Enum, _of_enum, False),
            ((float, complex), _of_float, False),
            (range, _of_range, False),
            ((type, ModuleType, CodeType), self.of_named, False),
            (FunctionType, self.of_function, False),
            ((BuiltinFunctionType, MethodType, MethodWrapperType), self._of_bound, False),
            ((CoroutineType, GeneratorType, AsyncGeneratorType), self.of_coroutine, True),
            (CellType, self._of_cell, True),
            (tuple, self._of_tuple, False),
            (frozenset, self._of_set, False),
            (_CONTAINERS, self._of_container, True),
            (BaseException, self._of_error, True),
        )

    # Containers

    def _of_tuple(self, value: tuple[Any, ...]) -> Any:
        return (self.name(type(value)), *[self.of(one) for one in value])

    def _of_set(self, value: Any) -> Any:
        held = [self.of(one) for one in value]
        if all(type(one) in _PLAIN for one in held):
            return ("set", *held)  # in the order in which it is gone through
        return ("set", frozenset(held))

    def _of_container(self, value: Any) -> Any:
        held: Any
        if isinstance(value, dict):
            held = tuple([(self.of(k), self.of(v)) for k, v in value.items()])
        elif isinstance(value, set):
            held = self._of_set(value)
        elif isinstance(value, bytearray):
            held = bytes(value)
        else:
            held = tuple([self.of(one) for one in value])
        kind = type(value)
        if kind in _CONTAINERS:
            return (kind.__name__, held)
        factory = getattr(value, "default_factory", None)
        return (self.name(kind), held, self.of(factory), *self.attributes(value))

    def _of_error(self, value: BaseException) -> Any:
        return (self.name(type(value)), self.of(value.args), *self.attributes(value))

    # Code and classes

    def name(self, cls: type) -> str:
        """A class, by module and name: one made anew in each run is the same."""
        return f"{cls.__module__}.{cls.__qualname__}"

    def of_named(self, value: Any) -> Any:
        """What is the same in all states."""
        return getattr(value, "__qualname__", getattr(value, "co_name", str(value)))

    def code(self, code: CodeType, names: dict[str, Any]) -> int:
        """The number of a piece of code, the same for all that are equal.

        Args:
            code: which.
            names: its globals.
        """
        known = self._codes.get(id(code))
        if known is None:
            number = self._numbers_of_code.setdefault(code, len(self._numbers_of_code))
            known = self._codes[id(code)] = (code, number)
            self.met(code, names)
        return known[1]

    def met(self, code: CodeType, names: dict[str, Any]) -> None:
        """A piece of code was met that was not before."""

    def of_function(self, value: FunctionType) -> Any:
        """What it is, and what it has closed over."""
        closure = value.__closure__ or ()
        more = (value.__defaults__, value.__kwdefaults__)
        held = [self.of(one) for one in (*closure, *more) if one is not None]
        return ("function", self.code(value.__code__, value.__globals__), *held)

    def _of_bound(self, value: Any) -> Any:
        called = getattr(value, "__func__", value)
        name = getattr(called, "__qualname__", getattr(called, "__name__", ""))
        if isinstance(called, FunctionType):
            name = self.of_function(called)
        return ("method", name, self.of(getattr(value, "__self__", None)))

    def _of_cell(self, value: CellType) -> Any:
        try:
            return ("cell", self.of(value.cell_contents))
        except ValueError:
            return ("cell",)

    def _of_compiled_await(self, value: Any) -> Any:
        return ("awaits", *[self.of(one) for one in gc.get_referents(value)])

    def of_coroutine(self, coro: Any) -> Any:
        """Where it stands, its variables, and the values on its stack."""
        frame = _frame_of(coro)
        if frame is None:
            return ("ended",)
        code = frame.f_code
        number = self.code(code, frame.f_globals)
        variables = frame.f_locals
        names = (*code.co_varnames, *code.co_cellvars, *code.co_freevars)
        held = [
            self.of(one)
            for one in gc.get_referents(coro)
            if one is not variables and type(one) not in _IN_BETWEEN
        ]
        # The values of variables come first, of those that are set, and then those on the stack.
        return ("at", number, frame.f_lasti, tuple([name in variables for name in names]), *held)

    # Objects

    def of_object(self, value: Any) -> Any:
        """Its attributes, and what would make it again where it has more than these.

        Raises:
            Unreadable: that cannot be told.
        """
        cls = type(value)
        _, _, is_hidden = self._plan(cls)
        held = self.attributes(value)
        if not is_hidden:
            return (self.name(cls), *held)
        try:
            made = value.__reduce_ex__(2)
        except Exception as error:
            raise Unreadable(
                f"a {cls.__qualname__} cannot be compared ({error}): use numbers, text, "
                "containers, objects of classes written in Python, and the kit's"
            ) from error
        return (self.name(cls), self.of(made), *held)

    def attributes(self, value: Any) -> list[Any]:
        """Name and contents of each attribute of an object."""
        names, has_dict, _ = self._plan(type(value))
        held = [
            (name, self.of_attribute(name, getattr(value, name)))
            for name in names
            if hasattr(value, name)
        ]
        if has_dict:
            skipped = self.skipped(type(value))
            held += [
                (name, self.of_attribute(name, one))
                for name, one in vars(value).items()
                if name not in skipped
            ]
        return held

    def of_attribute(self, name: str, value: Any) -> Any:
        """The contents of an attribute."""
        if name in SINCE and not self.timed and type(value) is int:
            return value >= 0
        return self.of(value)

    def skipped(self, cls: type) -> frozenset[str]:
        """Attributes that are not written."""
        if self.counts or not is_package(cls):
            return frozenset()
        return COUNTED

    def _plan(self, cls: type) -> tuple[tuple[str, ...], bool, bool]:
        """Names of slots to write, whether there is a dict, and whether there is more than that."""
        plan = self._plans.get(cls)
        if plan is not None:
            return plan
        names: dict[str, None] = {}
        is_hidden = False
        for base in reversed(cls.__mro__):
            if base is object:
                continue
            own = vars(base)
            compiled = own.get("__mypyc_attrs__")
            if compiled is None:
                slots = [name for name, one in own.items() if type(one) is MemberDescriptorType]
                fields = len(slots) + ("__dict__" in own) + ("__weakref__" in own)
                below = base.__base__.__basicsize__ if base.__base__ is not None else 0
                is_hidden |= base.__basicsize__ - below > 8 * fields
            else:
                slots = [name for name in compiled if not name.startswith("__")]
            skipped = self.skipped(base)
            names.update(dict.fromkeys([name for name in slots if name not in skipped]))
        has_dict = hasattr(cls, "__dict__") and cls.__dictoffset__ != 0
        plan = self._plans[cls] = (tuple(names), has_dict, is_hidden)
        return plan


def _frame_of(coro: Any) -> Any:
    for name in ("cr_frame", "gi_frame", "ag_frame"):
        frame = getattr(coro, name, None)
        if frame is not None:
            return frame
    return None


def _of_truth(value: bool) -> Any:
    return ("bool", int(value))


def _of_enum(value: Enum) -> Any:
    return (type(value).__qualname__, value.name)


def _of_float(value: complex) -> Any:
    return (type(value).__name__, repr(value))  # nan is one value, and 0.0 is not -0.0


def _of_range(value: range) -> Any:
    return ("range", value.start, value.stop, value.step)
