"""What a schedule shows when it is run again: what each step came to, who waits at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gorun_mem.explore.detectors.watch import in_words, watch
from gorun_mem.explore.step_values import value_of
from gorun_mem.machine.ops import Join
from gorun_mem.runtime.op import MORE, PARKED
from gorun_mem.step.task import State

if TYPE_CHECKING:
    from gorun_mem.machine.world import World


class Sights:
    """A detector that keeps what each step came to, and in which operation each M waits at the end.

    Attributes:
        results: of the steps, what `step` of their operations returned.
        ops: of the steps, the operations.
        values: of the steps, what they came to in a word (`step_values`).
        waiting: by id of an M that waits, the numbers of the steps, from 0, that it made in the
            operation which is not through.
        locks: of the steps, the lock that was taken (True) or given back (False), None for none.
        places: of the steps, the program's line that makes them, as "file:line"; "" where it is not
            known.
        failed: the id of a task of trio's own that raised what the run failed with; None if none.
        pending: by id of an M that has not ended, kind and object of the step that it would make.
    """

    name = "sights"
    flushes = True

    def begin(self, world: World) -> None:
        """A run begins."""
        self.results: list[object] = []
        self.ops: list[Any] = []
        self.values: list[str] = []
        self.waiting: dict[int, list[int]] = {}
        self.pending: dict[int, str] = {}
        self.locks: list[tuple[str, bool] | None] = []
        self.places: list[str] = []
        self.failed: int | None = None
        self._watch = watch(world)
        self._under_way: dict[int, list[int]] = {}

    def step(self, task: Any, op: Any, kind: str, obj: str, reads: bool, result: object) -> None:
        """Keep it; one object may serve many operations, one after another."""
        made = self._under_way.setdefault(task.id, [])
        made.append(len(self.ops))
        if result is not MORE and result is not PARKED:
            del self._under_way[task.id]
        self.ops.append(op)
        self.results.append(result)
        self.values.append(value_of(op, kind, obj, reads, result))
        event = self._watch.lock_event(task, op, kind, obj, result)
        self.locks.append(None if event is None else (event[0].lock, event[1]))
        self.places.append(self._place(task.id))

    def _place(self, m: int) -> str:
        place = self._watch.place(m) if m else ""
        return in_words(place) if not isinstance(place, str) else ""

    def end(self, world: World) -> tuple[()]:
        """Keep who waits; nothing is found that the run did not find itself."""
        if len(self.ops) < world.engine.steps:  # the last one failed in the middle
            self.ops.append(None)
            self.results.append(None)
            self.values.append("")
            self.locks.append(None)
            self.places.append("")
        for task in world.engine.tasks:
            if world.failure is not None and getattr(task, "raised", None) is world.failure:
                self.failed = task.id
            if task.state is State.DONE or task.op is None:
                continue
            if task.state is State.PARKED and not isinstance(task.op, Join):
                self.waiting[task.id] = self._under_way.get(task.id, [])
            self.pending[task.id] = f"{task.op.kind} {task.op.obj}"
        return ()
