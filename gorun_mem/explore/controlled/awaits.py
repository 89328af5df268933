"""The operations of tasks of trio: to go on from where they stand."""

from __future__ import annotations

from typing import Any, Final

from gorun_mem.explore.controlled.naming import Await
from gorun_mem.explore.controlled.seam import TrioTask
from gorun_mem.machine.m import M
from gorun_mem.machine.outcome import HeldBy
from gorun_mem.runtime.errors import IllegalUse
from gorun_mem.runtime.op import MLike, Op

START: Final = "Task.start"
_UNASKED: Final = Await("", "", None, "", "")


class Going(Op):
    """A task can go on, and does so where the schedule says.

    What it will touch until its next await nobody knows: it is the program's own code. What it is
    named by is what it waited for.

    Args:
        host: knows the names.
        task: trio's.
    """

    __slots__ = ("_await", "_host", "_name", "task")

    def __init__(self, host: Any, task: TrioTask) -> None:
        self.awaited = True
        self._host = host
        self._await = _UNASKED
        self._name = ""
        self.task = task

    @property
    def at(self) -> Await:
        """Where the task stands; asked for only while it does."""
        found = self._await
        if found is _UNASKED:
            found = self._await = self._host.where(self.task)
        return found

    @property
    def kind(self) -> str:  # type: ignore[override]
        """What of trio's was awaited."""
        return self.at.kind

    @property
    def obj(self) -> str:  # type: ignore[override]
        """What it was awaited of."""
        name = self._name
        if not name:
            name = self._name = self._host.name_of(self.at)
        return name

    @property
    def place(self) -> str:
        """Where, as "file:line"."""
        return self.at.place

    @property
    def source(self) -> str:
        """That line."""
        return self.at.source

    def step(self, m: MLike) -> object:
        """Nothing but to be chosen."""
        return None


class Waiting(Going):
    """A task goes on once somebody has let it."""

    __slots__ = ()

    def begin(self, m: MLike) -> bool:
        """Whether somebody has already."""
        return self.task._next_send_fn is not None

    @property
    def stands_by(self) -> bool:  # type: ignore[override]
        """Whether it waits for tasks of its own to end."""
        return self.at.kind == "Nursery.exit"

    def account(self, m: Any) -> tuple[str, HeldBy | None, tuple[str, ...]]:
        """For the report of a deadlock: what is waited for where, who holds that, what `m` holds.

        Args:
            m: the M that waits.
        """
        at = self.at
        text = f"{at.kind} {at.what}"
        owner = self._host.m_of(getattr(at.thing, "_owner", None))
        held_by = HeldBy(owner.id, owner.name, owner.since_ns) if owner is not None else None
        return f"{text} at {at.place}" if at.place else text, held_by, self._host.held_by(m)


def under_a_lock(m: M, place: str) -> IllegalUse:
    """What an M is told that awaits trio where it would be cancelled under a lock."""
    return IllegalUse(
        f"M{m.id} ({m.name}) awaits trio itself at {place} while it holds a runtime lock: "
        "give the lock back first, or sleep in virtual time with m.sleep()"
    )
