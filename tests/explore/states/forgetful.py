"""Searches of states that forget a part of the state, or a part of what follows from one."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, cast

from gorun_mem.explore.states.contents import Contents
from gorun_mem.explore.states.program import ProgramContents
from gorun_mem.explore.states.whole import ProgramStates
from gorun_mem.runtime.mutex.base import StateMutex
from gorun_mem.step.strategies.states import TakenState
from gorun_mem.step.task import Task

Forgets = type[ProgramContents] | type[ProgramStates]


def _without(found: Any, *names: str) -> Any:
    """A tuple without the attributes of these names, wherever they are in it."""
    if not isinstance(found, tuple):
        return found
    if len(found) == 2 and found[0] in names and isinstance(found[0], str):
        return (found[0],)
    return tuple([_without(one, *names) for one in found])


def _cut(index: int, what: str) -> type[ProgramContents]:
    """One that forgets a part of an M."""

    def of_task(self: ProgramContents, task: Any) -> Hashable:
        found = list(cast(tuple[Any, ...], ProgramContents.of_task(self, task)))
        if len(found) > index:
            found[index] = None
        return tuple(found)

    return type(what, (ProgramContents,), {"of_task": of_task, "__doc__": what})


def _attribute(*names: str) -> type[ProgramContents]:
    """One that forgets attributes."""

    def of_attribute(self: ProgramContents, name: str, value: Any) -> Any:
        return None if name in names else ProgramContents.of_attribute(self, name, value)

    return type("_".join(names), (ProgramContents,), {"of_attribute": of_attribute})


class Position(ProgramContents):
    """Where a coroutine stands."""

    def of_coroutine(self, coro: Any) -> Any:
        found = super().of_coroutine(coro)
        return (*found[:2], *found[3:]) if len(found) > 3 else found


class Values(ProgramContents):
    """What a coroutine holds, but for the coroutines that it awaits."""

    def of_coroutine(self, coro: Any) -> Any:
        found = super().of_coroutine(coro)
        held = [one for one in found[4:] if isinstance(one, tuple) and one[:1] == ("at",)]
        return (*found[:4], *held)


class Stack(ProgramContents):
    """How far a coroutine is in a loop."""

    def how(self, kind: type) -> Any:
        return (type, False) if kind.__name__.endswith("_iterator") else super().how(kind)


class Names(ProgramContents):
    """Which variables are set."""

    def of_coroutine(self, coro: Any) -> Any:
        found = super().of_coroutine(coro)
        return (*found[:3], *found[4:])


class Closures(ProgramContents):
    """What functions have closed over."""

    def of_function(self, value: Any) -> Any:
        return super().of_function(value)[:2]


class Globals(ProgramContents):
    """What the globals hold."""

    def _of_code(self) -> Hashable:
        return ()


class Aliases(ProgramContents):
    """Whether two objects are one."""

    def of(self, value: Any) -> Any:
        if isinstance(value, list):
            return ("list", *[self.of(one) for one in value])
        return super().of(value)


class Truths(ProgramContents):
    """Whether a value is a number or a truth."""

    def of(self, value: Any) -> Any:
        return int(value) if isinstance(value, bool) else super().of(value)


class Clock(ProgramContents):
    """Clock and timers."""

    def _of_time(self, driver: Any) -> Hashable:
        return ()


class LockWords(ProgramContents):
    """The words of the runtime's locks, and who has them."""

    def of_mutex(self, mutex: StateMutex) -> Hashable:
        return ("lock", mutex.name)


class Frames(ProgramContents):
    """What was written to memory."""

    def of_runtime(self, runtime: Any) -> Hashable:
        return cast(tuple[Any, ...], super().of_runtime(runtime))[1:]


class Layer(ProgramContents):
    """All of the runtime but what is in memory."""

    def of_runtime(self, runtime: Any) -> Hashable:
        return cast(tuple[Any, ...], super().of_runtime(runtime))[:1]


class Items(ProgramContents):
    """What lists and dicts hold."""

    def how(self, kind: type) -> Any:
        return (len, True) if kind in (list, dict) else super().how(kind)


class Looks(ProgramContents):
    """That the program looks at what is counted."""

    def met(self, code: Any, names: dict[str, Any]) -> None:
        self._tell = lambda what: None
        super().met(code, names)


class OneM(ProgramStates):
    """That another M might have gone."""

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        before = len(self._path)
        task = super().next_task(runnable, current)
        if len(self._path) > before:
            self._path[-1].left.clear()
        return task


class OneValue(ProgramStates):
    """That another value might have been drawn."""

    def choice(self, n: int) -> int:
        before = len(self._path)
        value = super().choice(n)
        if len(self._path) > before:
            self._path[-1] = TakenState(-1, 0, [])
        return value


class Unheeded(ProgramStates):
    """That there are states from which no end can be reached."""

    def not_ending(self) -> int:
        return -1


MUTANTS: dict[str, Forgets] = {
    "position": Position,
    "variables": Values,
    "names": Names,
    "stack": Stack,
    "closures": Closures,
    "globals": Globals,
    "aliases": Aliases,
    "truths": Truths,
    "clock": Clock,
    "lock words": LockWords,
    "memory": Frames,
    "layer": Layer,
    "items": Items,
    "looks": Looks,
    "program": _cut(11, "program"),
    "values": _attribute("value"),
    "owner": _attribute("owner"),
    "event": _attribute("happened"),
    "tickets": _attribute("called", "tickets"),
    "sleepers": _attribute("sleepers", "asleep"),
    "buffer": _attribute("buffer"),
    "one M": OneM,
    "one value": OneValue,
    "lost": Unheeded,
}


def making(forgets: Forgets) -> Any:
    """Makes the search that forgets."""
    if issubclass(forgets, Contents):
        return lambda by_counts: ProgramStates(by_counts, contents=forgets)
    return forgets
