"""SURW: uniform over the orders of a few interesting steps, a random walk for the rest.

Each run calls the steps on one shared object interesting, drawn from those known. It fixes which M
is to make the next interesting step, in proportion to how many are left to each, and lets no other
M make one before; who goes otherwise is a random walk. What an M will start counts with it until
then (see `Shares`): if that M is the one fixed when it starts another, one of the two is drawn.

Who is held back may be whom the M that was fixed waits for, spinning. So when Ms have yielded or
spun more than `PATIENCE` times with no interesting step made, it is drawn anew who makes the next,
of those that are about to.

Source: H. Zhao et al., "Selectively Uniform Concurrency Testing", ASPLOS 2025.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final

from gorun_mem.step.engine import Engine
from gorun_mem.step.strategies.entry import StrategyEntry
from gorun_mem.step.strategies.searching import FEW, WAITS, Profile, Searching, Shares
from gorun_mem.step.task import State, Task

PATIENCE: Final = 16
"""How often Ms may yield or spin between two interesting steps before another may make the next."""


class Surw(Searching):
    """Selectively uniform random walk.

    Invariants:
        1. `_others` has each M that can go with a step that is not interesting, but those in the
           engine's `fresh` and `_last`; also some that cannot go any more. Only once there were
           more than FEW.
        2. `_inside` has the ids of those in `_others`.
    """

    name = "surw"
    every_step = True
    follows = True

    def __init__(self) -> None:
        super().__init__()
        self._obj = ""
        self._shares = Shares({})
        self._chosen: Task | None = None
        self._last: Task | None = None
        self._others: list[Task] = []
        self._inside: set[int] = set()
        self._are_many = False
        self._waits = 0

    def begin(self, random: Random, profile: Profile) -> bool:
        """Draw the object whose steps are interesting."""
        self._random = random
        objects = sorted(profile.objects)
        self._obj = objects[int(random.random() * len(objects))] if objects else ""
        self._shares = Shares(profile.objects.get(self._obj, {}))
        self._chosen = self._last = None
        self._others = []
        self._inside = set()
        self._are_many = False
        self._waits = 0
        return True

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        """Any whose step is not interesting, or the M that is to make the next that is."""
        engine = runnable[0].sched
        assert isinstance(engine, Engine)
        if len(engine.tasks) > self._shares.met:
            self._meet(engine)
        if self._chosen is None:
            self._chosen = self._shares.draw(self._random, runnable, 0)
        if self._are_many or len(runnable) > FEW:
            task = self._one_of_many(runnable, engine)
        else:
            task = self._one_of_few(runnable)
        if task.op.obj == self._obj:
            self._shares.left[task.id] -= 1
            self._chosen = None
            self._waits = 0
        elif task.op.kind in WAITS:
            self._waits += 1
            if self._waits > PATIENCE:
                self._let_another(runnable)
        return task

    def _let_another(self, runnable: Sequence[Task]) -> None:
        """Let one of those go next that are held back, if there are any."""
        self._waits = 0
        held = [task for task in runnable if task.op.obj == self._obj]
        if held:
            self._chosen = self._shares.draw(self._random, held, 1)

    def _one_of_few(self, runnable: Sequence[Task]) -> Task:
        obj, chosen = self._obj, self._chosen
        may = [task for task in runnable if task is chosen or task.op.obj != obj]
        if not may:  # the M that was chosen cannot go: somebody here must
            return self._shares.draw(self._random, runnable, 0)
        return may[0] if len(may) == 1 else may[int(self._random.random() * len(may))]

    def _one_of_many(self, runnable: Sequence[Task], engine: Engine) -> Task:
        if not self._are_many:
            self._are_many = True
            engine.fresh.clear()
            engine.fresh += runnable
        others, inside, obj, chosen = self._others, self._inside, self._obj, self._chosen
        if self._last is not None:
            engine.fresh.append(self._last)
        for task in engine.fresh:
            if task.state is State.RUNNABLE and task.op.obj != obj and task.id not in inside:
                inside.add(task.id)
                others.append(task)
        engine.fresh.clear()
        is_able = chosen is not None and chosen.state is State.RUNNABLE and chosen.op.obj == obj
        while others or is_able:
            at = int(self._random.random() * (len(others) + is_able))
            if at == len(others):
                break
            task = others[at]
            others[at] = others[-1]
            others.pop()
            inside.discard(task.id)
            if task.state is State.RUNNABLE:
                self._last = task
                return task
        if not is_able or chosen is None:  # somebody here must
            chosen = self._shares.draw(self._random, runnable, 0)
        self._last = chosen
        return chosen

    def _meet(self, engine: Engine) -> None:
        """Take in new Ms; the next interesting step may be one of those that `chosen` started."""
        new, chosen = self._shares.meet(engine), self._chosen
        if chosen is not None:
            family = [task for task in new if task.starter == chosen.id]
            if family:
                self._chosen = self._shares.draw(self._random, [chosen, *family], 0)


STRATEGY: Final = StrategyEntry(
    about="every order of the steps on one object about as likely",
    source="H. Zhao et al., ASPLOS 2025",
    search=Surw,
)
