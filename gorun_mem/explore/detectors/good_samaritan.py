"""An M that keeps its CPU: it goes round for ever and never yields, while another could go.

On one CPU nobody else would get on. A good samaritan yields, or sleeps, in each round in which it
comes to nothing; then a fair scheduler lets the others go. Searches of states know of such a round
from the states that come back in it, and make a run that goes round it `ROUNDS` times to show it;
nothing else is taken for one, for a program that looks some times and then gives up looks the same.

Source: M. Musuvathi, S. Qadeer, "Fair Stateless Model Checking", PLDI 2008.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

from gorun_mem.explore.detectors.watch import in_words, watch
from gorun_mem.explore.failure import Finding
from gorun_mem.runtime.kinds import kind_of
from gorun_mem.runtime.op import MORE, PARKED, Op
from gorun_mem.step.strategies.replay import Order, Picks, Replay
from gorun_mem.step.strategies.states import Thence
from gorun_mem.step.task import Task

if TYPE_CHECKING:
    from gorun_mem.machine.world import World

ROUNDS: Final = 32
"""How often a round is made in a run that shows it."""
_MADE: Final = (Thence, Order, Picks, Replay)
"""Strategies of runs that are made to show what is known, or made again."""
PERIOD_MAX: Final = 64
"""Steps of a longer round are not looked for."""


class GoodSamaritan:
    """Finds runs in which an M goes round by itself and does not yield; kind "no_yield"."""

    name = "good_samaritan"
    usual: ClassVar[int] = 100
    screened = "made"

    def begin(self, world: World) -> None:
        """Forget the run before."""
        self._watch = watch(world)
        self._engine: Any = world.engine
        self._m = -1
        self._steps: list[tuple[str, str]] = []
        self._place = ""
        self._found: Finding | None = None
        strategy: Any = world.engine.strategy
        self._asked = isinstance(getattr(strategy, "inner", strategy), _MADE)

    def step(self, task: Task, op: Op, kind: str, obj: str, reads: bool, result: object) -> None:
        """Note the step; whether it is one of a row in which one M keeps its CPU."""
        if not self._asked or self._found is not None:
            return
        alone = len(self._engine.runnable) < 2
        if alone or task.id != self._m or kind_of(kind).yields or result is PARKED:
            self._m = -1 if alone or kind_of(kind).yields else task.id
            self._steps.clear()
            if self._m < 0:
                return
        if result is not MORE:
            self._place = in_words(self._watch.place(task.id))
        self._steps.append((kind, obj))
        if len(self._steps) >= ROUNDS and not len(self._steps) % ROUNDS:
            self._look(task)

    def _look(self, task: Task) -> None:
        steps = self._steps
        for period in range(1, min(PERIOD_MAX, len(steps) // ROUNDS) + 1):
            row = steps[-period * ROUNDS :]
            if row[period:] == row[:-period]:
                round_ = row[-period:]
                what = ", ".join(f"{kind} {obj}" for kind, obj in round_)
                objs = sorted({obj for kind, obj in round_ if not kind_of(kind).local})
                text = (
                    f"M{task.id} keeps its CPU: it goes round for ever ({what}) at {self._place} "
                    "and never yields, while another M could go; let it pause, or sleep, in each "
                    "round"
                )
                self._found = Finding(
                    "no_yield", ", ".join(objs), "", text, (task.id,), self._engine.steps
                )
                return

    def end(self, world: World) -> Sequence[Finding]:
        """The first such round."""
        return (self._found,) if self._found is not None else ()
