"""The Ms of a search by numbers that are the same in every run of it and in every process.

An M's id goes by the order in which Ms are started, which is what a schedule may change. So an M
goes by who started it and as which of his; a store buffer goes by its M.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from gorun_mem.step.strategies.wakeup import buffer_of
from gorun_mem.step.task import BUFFERS, State

CHILD_BITS: Final = 20
"""Of an M's number, those that say which of its starter's it is."""


class MNumbers:
    """The numbers of the Ms of one run after another.

    Attributes:
        of: the number of an M by its id in the run, and of its store buffer.
    """

    def __init__(self) -> None:
        self.of: dict[int, int] = {}
        self._known: dict[str, int] = {}
        self._met = 0
        self._renamed = False

    def begin(self) -> None:
        """Another run begins."""
        self.of = {}
        self._met = 0
        self._renamed = False

    def meet(self, engine: Any) -> None:
        """Number the Ms that have been started."""
        tasks, of = engine.tasks, self.of
        while self._met < len(tasks):
            task = tasks[self._met]
            self._met += 1
            number = 0
            if task.id:
                number = self._known.get(task.origin, 0)
                if not number:
                    number = self._known[task.origin] = number_of(task.origin)
                self._renamed |= number != task.id
            of[task.id] = number
            if engine.buffered:
                of[BUFFERS + task.id] = buffer_of(number)

    def joined(self, engine: Any, join: Any) -> list[int]:
        """The Ms that `join` has waited for, all of whose steps come before."""
        ms = [
            self.of[task.id]
            for task in engine.tasks
            if task.state is State.DONE and getattr(task, "join", None) is join
        ]
        return [*ms, *map(buffer_of, ms)] if engine.buffered else ms

    def own(self, obj: str) -> str:
        """The name of an object where it is an M's own: by the M's number, not by its id."""
        if self._renamed and obj.startswith("m"):
            number, dot, rest = obj[1:].partition(".")
            if dot and number.isdecimal() and len(number) < 10:
                return f"m{self.of.get(int(number), number)}.{rest}"
        return obj


def number_of(origin: str) -> int:
    """The number of an M by its origin (`Task.origin`), the same in every run and process."""
    first, *path = origin.split(".")
    number = 0 if first == "0" else int(hashlib.sha256(first.encode()).hexdigest(), 16)
    for step in path:
        number = (number << CHILD_BITS) + int(step)
    return number
