"""Livelock: who went round, and by which operations, when a run reached its bound of steps."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

from gorun_mem.explore.detectors.watch import in_words, watch
from gorun_mem.explore.failure import Finding
from gorun_mem.machine.outcome import NoProgress
from gorun_mem.runtime.op import Op
from gorun_mem.step.task import Task, who

if TYPE_CHECKING:
    from gorun_mem.machine.world import World

LAST: Final = 256
"""Steps before the bound that are looked at."""


class Livelock:
    """Names the Ms that make steps and no progress; kind "no_progress"."""

    name = "livelock"
    usual: ClassVar[int] = 110
    flushes = True
    screened = True

    def begin(self, world: World) -> None:
        """Forget the run before."""
        self._watch = watch(world)
        self._engine: Any = world.engine
        self._last: deque[tuple[int, str, str]] = deque(maxlen=LAST)

    def step(self, task: Task, op: Op, kind: str, obj: str, reads: bool, result: object) -> None:
        """Note the last steps before the bound."""
        engine = self._engine
        if engine.steps > engine.steps_max - LAST:
            self._last.append((task.id, kind, obj))

    def end(self, world: World) -> Sequence[Finding]:
        """Who made the last steps, if the run did not end by itself."""
        if not isinstance(world.failure, NoProgress) or not self._last:
            return ()
        ms = sorted({m for m, _, _ in self._last})
        each = []
        for m in ms:
            kinds = Counter(f"{kind} {obj}" for who, kind, obj in self._last if who == m)
            often = ", ".join(f"{what} x{n}" for what, n in sorted(kinds.items()))
            each.append(f"{who(m)} at {in_words(self._watch.place(m))} ({often})")
        text = f"of the last {len(self._last)} of {world.engine.steps:,} steps: {'; '.join(each)}"
        objs = sorted({obj for _, _, obj in self._last})
        return (Finding("no_progress", ", ".join(objs), "", text, tuple(ms), world.engine.steps),)
