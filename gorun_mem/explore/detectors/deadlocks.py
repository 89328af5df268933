"""Deadlocks: who waits for whom in a circle, where, and since when.

The run has ended as a deadlock anyway; this says what the circle is, also for the locks of the kit,
which are no runtime mutexes and say by themselves who has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from gorun_mem.explore.detectors.watch import Held, HoldsWatched, in_words, wanted_lock
from gorun_mem.explore.failure import Finding
from gorun_mem.machine.outcome import DeadlockFound
from gorun_mem.step.task import State, Task

if TYPE_CHECKING:
    from gorun_mem.machine.world import World


class Deadlocks(HoldsWatched):
    """Names the circle of a deadlock; kind "deadlock"."""

    name = "deadlocks"
    usual: ClassVar[int] = 40
    screened = True

    def end(self, world: World) -> Sequence[Finding]:
        """The circle, or whom all wait for that will not come."""
        if not isinstance(world.failure, DeadlockFound):
            return ()
        owners = {hold.lock: hold for holds in self._watch.holds.values() for hold in holds}
        waits: dict[int, tuple[Task, Held]] = {}
        for task in world.engine.tasks:
            if task.state is State.PARKED:
                hold = self._in_the_way(task) or owners.get(wanted_lock(task.op))
                if hold is not None:
                    waits[task.id] = (task, hold)
        circle = _circle(waits)
        if circle:
            return (self._finding("circle of waiting", circle),)
        orphans = [waits[m] for m in sorted(waits) if waits[m][1].m not in waits]
        return (self._finding("nobody will give the lock back", orphans),) if orphans else ()

    def _in_the_way(self, task: Task) -> Held | None:
        """What keeps `task` waiting, where its operation says so."""
        for m, site, since_ns in task.op.blocked_by():
            obj = task.op.obj
            known = (hold for hold in self._watch.holds.get(m, ()) if hold.lock == obj)
            return next(known, Held(obj, m, site, 0, since_ns))
        return None

    def _finding(self, what: str, waits: Sequence[tuple[Task, Held]]) -> Finding:
        said = "; ".join(
            f"M{task.id} ({task.name}) waits for {hold.lock} since {task.since_ns:,} ns at "
            f"{in_words(self._watch.place(task.id))}, held by M{hold.m} since {hold.ns:,} ns (step "
            f"{hold.step}), taken at {in_words(hold.place)}"
            for task, hold in waits
        )
        locks = " -> ".join(sorted({hold.lock for _, hold in waits}))
        ms = tuple(task.id for task, _ in waits)
        sites = " and ".join(sorted({in_words(hold.place) for _, hold in waits}))
        return Finding("deadlock", locks, sites, f"{what}: {said}", ms)


def _circle(waits: dict[int, tuple[Task, Held]]) -> list[tuple[Task, Held]]:
    """The circle of the lowest M that is in one."""
    for start in sorted(waits):
        path: list[tuple[Task, Held]] = []
        m = start
        while m in waits and len(path) <= len(waits):
            path.append(waits[m])
            m = waits[m][1].m
            if m == start:
                return path
    return []
