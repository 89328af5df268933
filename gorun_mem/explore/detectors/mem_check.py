"""memCheck and the ledger: is the free list in order, and is nothing of it handed out?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from gorun_mem.explore.failure import Finding
from gorun_mem.runtime.errors import EmulatedFailure, Throw
from gorun_mem.runtime.mutex.machine import UnlockOp
from gorun_mem.runtime.op import MORE, PARKED, Op
from gorun_mem.step.task import Task

if TYPE_CHECKING:
    from gorun_mem.machine.world import World


class FreeListCheck:
    """Finds a corrupt free list at the end of a run; kind "memory.check".

    Args:
        each_release: look at the end of every critical section of memlock, too, so that the step is
            known; a walk of the list each.
    """

    name = "mem_check"
    usual: ClassVar[int] = 20

    def __init__(self, each_release: bool = False) -> None:
        self._each_release = self.looks = each_release

    def begin(self, world: World) -> None:
        """Forget the run before."""
        self._world: Any = world
        self._finding: Finding | None = None

    def step(self, task: Task, op: Op, kind: str, obj: str, reads: bool, result: object) -> None:
        """Look at the list when memlock is given back, if asked to."""
        if not self._each_release or self._finding is not None:
            return
        if not isinstance(op, UnlockOp) or result is MORE or result is PARKED:
            return
        if op.mutex.name == "memlock":
            self._look(task.id, self._world.engine.steps, op.site)

    def end(self, world: World) -> Sequence[Finding]:
        """Look at the list unless the run has failed."""
        if self._finding is None and world.failure is None and world.is_booted:
            self._look(0, 0, "")
        return () if self._finding is None else (self._finding,)

    def _look(self, m: int, step: int, site: str) -> None:
        try:
            self._world.check()
        except EmulatedFailure as error:
            message = error.message if isinstance(error, Throw) else type(error).__name__
            printed = "; ".join(error.printed) if isinstance(error, Throw) else str(error)
            when = f"after M{m} left {site}" if m else "at the end"
            text = f"the free list is corrupt {when}: {message} ({printed})"
            self._finding = Finding("memory.check", message, site, text, (m,) if m else (), step)
