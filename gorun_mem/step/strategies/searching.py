"""What the strategies that search have in common: they are told of each run before it begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar, Final

from mypy_extensions import mypyc_attr

from gorun_mem.runtime.kinds import named
from gorun_mem.step.task import Task

WAITS: Final = named(lambda kind: kind.waits)
"""Kinds of operation by which an M says that it waits for others to go on."""


Path = tuple[int, ...]
"""Names an M in every run: () the scenario itself, (2,) the second M that it started, (2, 1) the
first that this one started. Ids depend on who is first to start one."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What the first runs of a search have shown.

    Args:
        decisions: the most steps in one run at which two Ms or more could go.
        steps: steps that an M made, by its path; the most of all runs.
        objects: objects that two Ms or more touched, and at least one changed: steps on the object
            by each M's path.
    """

    decisions: int = 0
    steps: Mapping[Path, int] = field(default_factory=dict)
    objects: Mapping[str, Mapping[Path, int]] = field(default_factory=dict)

    def __reduce__(self) -> tuple[Any, ...]:
        """For another process: a frozen class, once compiled, cannot be filled in by field."""
        return Profile, (self.decisions, self.steps, self.objects)


class Lineage:
    """Who is who in a run: the paths of its Ms as they come.

    Attributes:
        known: how many Ms have a path; they have the ids below.
    """

    def __init__(self) -> None:
        self.known = 0
        self._paths: list[Path] = []
        self._children: list[int] = []

    def add(self, starter: int) -> Path:
        """The path of the next M by id.

        Args:
            starter: id of the M that started it; of M 0, which nobody did, any.
        """
        path: Path = ()
        if self.known:
            self._children[starter] += 1
            path = (*self._paths[starter], self._children[starter])
        self._paths.append(path)
        self._children.append(0)
        self.known += 1
        return path

    def path(self, m: int) -> Path:
        """The path of an M that is known."""
        return self._paths[m]


class Shares:
    """What is left to each M of something that is counted, to draw an M in proportion.

    What an M will start counts with the M until it has started it: else whoever starts others is
    taken for an M with little left, and what they do comes late in nearly every run.

    Attributes:
        left: by id of an M what is left to it and to those that it has not started yet.
    """

    def __init__(self, counts: Mapping[Path, int]) -> None:
        self.left: list[int] = []
        self._lineage = Lineage()
        self._whole: dict[Path, int] = {}
        for path, count in counts.items():
            for length in range(len(path) + 1):
                above = path[:length]
                self._whole[above] = self._whole.get(above, 0) + count

    def meet(self, tasks: Sequence[Task]) -> list[Task]:
        """Take in the Ms that are new among all Ms of the run; returns these.

        Args:
            tasks: in the order of their ids, from 0.
        """
        new = list(tasks[len(self.left) :])
        for task in new:
            count = self._whole.get(self._lineage.add(task.starter), 0)
            if self.left:
                self.left[task.starter] -= count
            self.left.append(count)
        return new


class Redundant(Exception):
    """The run that is under way shows nothing new: it is broken off and not counted."""


class NonDeterminism(Exception):
    """The program does not do the same under the same schedule; the message says where."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Searching:
    """A strategy that is used for one run after another.

    Attributes:
        every_step: `next_task` is to be called also where one M only can go.
        executed: called after each step with the M, kind, object and whether it only read; None
            where the strategy does not care.
        exhaustive: `begin` answers False once every schedule was run.
    """

    name: ClassVar[str]
    every_step: ClassVar[bool] = False
    exhaustive: ClassVar[bool] = False
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
