"""Lock ranks: a runtime lock taken against the order of lockrank.go, whether or not it deadlocks.

What GOEXPERIMENT=staticlockranking throws for, by the release's table (`runtime/mutex/rank.py`).
The locks that a program makes with `World.mutex` have no rank. Go would let none of them be taken
under another; here only pairs are judged of which one has a rank or is memlock, which Go calls a
leaf: it may be taken under any other, and none under it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from gorun_mem.explore.detectors.watch import in_words, watch
from gorun_mem.explore.failure import Finding
from gorun_mem.runtime.m import HeldLock
from gorun_mem.runtime.mutex.machine import LockOp
from gorun_mem.runtime.mutex.rank import LEAF, RankChecks
from gorun_mem.runtime.op import Op
from gorun_mem.step.task import Task

if TYPE_CHECKING:
    from gorun_mem.machine.world import World

MEMLOCK = "memlock"


class LockRanks:
    """Finds locks taken against their rank; kind "lock.rank"."""

    name = "lock_ranks"
    usual: ClassVar[int] = 70
    screened = True
    midway = True

    def begin(self, world: World) -> None:
        """Forget the run before."""
        self._watch = watch(world)
        self._ranks = RankChecks("report", world.settings.release.behaviour.lock_ranks)
        self._findings: dict[tuple[str, str], Finding] = {}

    def step(self, task: Task, op: Op, kind: str, obj: str, reads: bool, result: object) -> None:
        """Judge a lock that was taken by the one taken before it."""
        event = self._watch.lock_event(task, op, kind, obj, result)
        if event is None or not event[1] or not isinstance(op, LockOp):
            return
        held = task.go.held
        if len(held) < 2:
            return
        last, taken = held[-2], held[-1]
        if not (_is_ranked(last) or _is_ranked(taken)) or (last.name, taken.name) in self._findings:
            return
        if self._ranks.allows(last.rank, taken.rank):
            return
        place = in_words(event[0].place)
        text = (
            f"M{task.id} took {taken.name} (rank {taken.rank}) while it held {last.name} (rank "
            f"{last.rank}), at {place} (step {event[0].step}): Go takes them the other way round"
        )
        obj = f"{last.name} -> {taken.name}"
        ms = (task.id,)
        self._findings[last.name, taken.name] = Finding(
            "lock.rank", obj, place, text, ms, event[0].step
        )

    def end(self, world: World) -> Sequence[Finding]:
        """What was taken in the wrong order."""
        return tuple(self._findings.values())


def _is_ranked(lock: HeldLock) -> bool:
    return lock.rank != LEAF or lock.name == MEMLOCK
