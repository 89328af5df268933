"""Lost wakeups: an M that sleeps for ever although it was woken, or what it waits for is so.

Looked for where a run ended in a deadlock. An M sleeps in vain if

- it waits for a lock that nobody holds,
- its note is marked as woken, or its semaphore has a wakeup,
- somebody sent the wakeup before it went to sleep, and nothing kept it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from gorun_mem.explore.detectors.watch import in_words, wanted_lock, watch
from gorun_mem.explore.failure import Finding
from gorun_mem.machine.outcome import DeadlockFound
from gorun_mem.runtime.kinds import says_wakeup
from gorun_mem.runtime.mutex.machine import LockOp
from gorun_mem.runtime.mutex.note import WOKEN, Note
from gorun_mem.runtime.op import MORE, Op
from gorun_mem.step.task import State, Task

if TYPE_CHECKING:
    from gorun_mem.machine.world import World


def is_wakeup(kind: str, op: object) -> bool:
    """Whether an access is one by which an M wakes others.

    Args:
        kind: of the access.
        op: the operation, None where it is not known: notewakeup, which only marks the note where
            nobody sleeps on it, is told by that.
    """
    return says_wakeup(kind) or _marks_note(op)


def _marks_note(op: object) -> bool:
    return isinstance(getattr(op, "mutex", None), Note) and "Wakeup" in type(op).__name__


class LostWakeups:
    """Finds Ms that nobody will wake any more though somebody should have; kind "wakeup.lost"."""

    name = "lost_wakeups"
    usual: ClassVar[int] = 30
    screened = True

    def begin(self, world: World) -> None:
        """Forget the run before."""
        self._watch = watch(world)
        self._wakes: dict[str, tuple[int, int]] = {}

    def step(self, task: Task, op: Op, kind: str, obj: str, reads: bool, result: object) -> None:
        """Note who holds what, and wakeups by what they are sent to."""
        self._watch.lock_event(task, op, kind, obj, result)
        if says_wakeup(kind):
            self._wakes[obj] = (task.id, self._watch.step)
        elif result is not MORE and _marks_note(op):
            note: Any = op
            self._wakes[note.mutex.key_obj] = (task.id, self._watch.step)

    def end(self, world: World) -> Sequence[Finding]:
        """Who sleeps in vain."""
        if not isinstance(world.failure, DeadlockFound):
            return ()
        holders = {hold.lock for holds in self._watch.holds.values() for hold in holds}
        found = []
        for task in world.engine.tasks:
            if task.state is State.PARKED and task.op is not None:
                why = self._why(task, task.op, holders)
                if why:
                    found.append(self._finding(task, task.op, why))
        return tuple(found)

    def _why(self, task: Task, op: Any, holders: set[str]) -> str:
        lock = wanted_lock(op)
        if lock:
            if isinstance(op, LockOp) and op.mutex.owner is None and lock not in holders:
                return f"nobody holds {lock}"
            return ""
        if task.go.waitsema > 0:
            return "its semaphore has a wakeup"
        about = getattr(op, "mutex", None)
        if isinstance(about, Note) and about.key == WOKEN:
            return f"{about.name} is marked as woken"
        obj = about.key_obj if isinstance(about, Note) else op.obj
        if obj in self._wakes:
            m, step = self._wakes[obj]
            return f"M{m} sent the wakeup at step {step}"
        return ""

    def _finding(self, task: Task, op: Op, why: str) -> Finding:
        place = in_words(self._watch.place(task.id))
        text = (
            f"lost wakeup: M{task.id} ({task.name}) sleeps for ever in {op.kind} {op.obj} at "
            f"{place}, although {why}"
        )
        obj = op.mutex.name if isinstance(op, LockOp) else op.obj
        return Finding("wakeup.lost", obj, place, text, (task.id,))
