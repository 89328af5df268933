"""Leaks: locks that nobody gives back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from gorun_mem.explore.detectors.watch import HoldsWatched, in_words
from gorun_mem.explore.failure import Finding
from gorun_mem.step.task import State

if TYPE_CHECKING:
    from gorun_mem.machine.world import World


class LeakedLocks(HoldsWatched):
    """Finds locks whose M has ended, or which are held when the program has; kind "lock.leaked"."""

    name = "leaked_locks"
    usual: ClassVar[int] = 80
    screened = True

    def end(self, world: World) -> Sequence[Finding]:
        """Locks of Ms that have ended; M 0 counts where the program came to its end."""
        ended = {task.id for task in world.engine.tasks if task.state is State.DONE}
        if world.failure is None:
            ended.add(0)
        return tuple(
            Finding(
                "lock.leaked",
                hold.lock,
                in_words(hold.place),
                f"M{hold.m} ended with {hold.lock}, which it took at {in_words(hold.place)} (step "
                f"{hold.step}); give it back on every way out",
                (hold.m,),
                hold.step,
            )
            for m in sorted(ended)
            for hold in self._watch.holds.get(m, ())
        )
