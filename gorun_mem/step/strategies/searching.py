"""What the strategies that search have in common: they are told of each run before it begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar, Final

from mypy_extensions import mypyc_attr

from gorun_mem.runtime.kinds import named
from gorun_mem.step.engine import Engine
from gorun_mem.step.task import Task, line_of

WAITS: Final = named(lambda kind: kind.waits)
"""Kinds of operation by which an M says that it waits for others to go on."""
FEW: Final = 8
"""Of so many Ms all are looked at, at every step; of more, no strategy does."""
TRIES: Final = 6
"""How often an M of many is drawn before all of them are looked at."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What the first runs of a search have shown.

    Args:
        decisions: the most steps in one run at which two Ms or more could go.
        steps: steps that an M made, by its origin; the most of all runs.
        objects: objects that two Ms or more touched, and at least one changed: steps on the object
            by each M's origin.
    """

    decisions: int = 0
    steps: Mapping[str, int] = field(default_factory=dict)
    objects: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def __reduce__(self) -> tuple[Any, ...]:
        """For another process: a frozen class, once compiled, cannot be filled in by field."""
        return Profile, (self.decisions, self.steps, self.objects)


class Shares:
    """What is left to each M of something that is counted, to draw an M in proportion.

    What an M will start counts with the M until it has started it: else whoever starts others is
    taken for an M with little left, and what they do comes late in nearly every run.

    Attributes:
        left: by id of an M what is left to it and to those that it has not started yet.
        met: how many Ms it knows.
    """

    def __init__(self, counts: Mapping[str, int]) -> None:
        self.left: dict[int, int] = {}
        self.met = 0
        self._most = 0  # nobody has more left
        self._whole: dict[str, int] = {}
        for origin, count in counts.items():
            for above in line_of(origin):
                self._whole[above] = self._whole.get(above, 0) + count

    def meet(self, engine: Engine) -> list[Task]:
        """Take in the Ms that are new in the run, each with its store buffer; returns the Ms."""
        tasks = engine.tasks
        new = tasks[self.met :]
        self.met = len(tasks)
        for task in new:
            self._enter(task)
            if engine.buffered:
                stores: Any = task.buffer
                self._enter(stores.flusher)
        return new

    def _enter(self, task: Task) -> None:
        count = self._whole.get(task.origin, 0)
        if self.left:
            self.left[task.starter] -= count
        self.left[task.id] = count
        self._most = max(self._most, count)

    def draw(self, random: Random, tasks: Sequence[Task], least: int) -> Task:
        """One of `tasks` in proportion to what is left to each; any, where nothing is left.

        Of many, one is drawn and then taken with a chance of its share in the largest; only if none
        of a few was taken are all shares added up. Either way the chances are the same.

        Args:
            random: draws.
            tasks: the Ms.
            least: what an M counts at least.
        """
        left, n = self.left, len(tasks)
        if n > FEW:
            for _ in range(TRIES):
                task = tasks[int(random.random() * n)]
                if random.random() * self._most < max(left[task.id], least):
                    return task
            self._most = max(max(left.values()), least)
        weights = [max(left[task.id], least) for task in tasks]
        total = sum(weights)
        if not total:
            return tasks[int(random.random() * n)]
        drawn = int(random.random() * total)
        for task, weight in zip(tasks, weights, strict=True):
            drawn -= weight
            if drawn < 0:
                return task
        return tasks[-1]


class Redundant(Exception):
    """The run that is under way shows nothing new: it is broken off and not counted."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Incomparable(BaseException):
    """Of the program's states nobody can say which are the same; the message says why.

    No failure of the program's, so nothing of the program's is to catch it.
    """


class NonDeterminism(Exception):
    """The program does not do the same under the same schedule; the message says where."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Searching:
    """A strategy that is used for one run after another.

    Attributes:
        every_step: `next_task` is to be called also where one M only can go.
        follows: it goes by `Engine.fresh`, and is not to walk all runnable Ms at each step.
        executed: called after each step with the M, kind, object and whether it only read; None
            where the strategy does not care.
        exhaustive: `begin` answers False once every schedule was run.
        reduces: it takes steps to commute, whatever time they take.
    """

    name: ClassVar[str]
    every_step: ClassVar[bool] = False
    exhaustive: ClassVar[bool] = False
    reduces: ClassVar[bool] = False
    follows: ClassVar[bool] = False
    executed: Callable[[Task, str, str, bool], None] | None = None

    def __init__(self) -> None:
        self._random = Random(0)

    def begin(self, random: Random, profile: Profile) -> bool:
        """A run is to begin; False if there is nothing left to run.

        Args:
            random: what to draw from in this run.
            profile: what is known of the program.
        """
        self._random = random
        return True

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        """Who goes next."""
        raise NotImplementedError

    def choice(self, n: int) -> int:
        """A data choice: any number below `n`, each as likely."""
        return int(self._random.random() * n)

    def ended(self) -> None:
        """The run is over."""
