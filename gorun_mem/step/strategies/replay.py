"""Exactly the schedule of a tape again.

Works with any engine on any host: it goes by the enabled Ms and their pending operations alone.
Each step's name is held against the schedule's, so a program that was changed is told where it
departs. From there on a replay stops, or goes on as a random walk from a seed; or it takes the
plainest way wherever the tape does not fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Literal

from mypy_extensions import mypyc_attr

from gorun_mem.runtime.errors import EmulatedFailure
from gorun_mem.step.schedule import Schedule
from gorun_mem.step.strategies.searching import NonDeterminism
from gorun_mem.step.task import State, Task, who
from gorun_mem.step.token import name_hash

OnDivergence = Literal["stop", "seeded", "default"]


class Diverged(EmulatedFailure):
    """The program does not do what the schedule says; the message names step, expected and got."""

    error_type = "diverged"


@mypyc_attr(allow_interpreted_subclasses=True)
class Replay:
    """Follows a schedule; past its end nobody is preempted and every data choice is 0.

    Args:
        schedule: what to follow.
        on_divergence: "stop" raises Diverged; "seeded" goes on at random from `seed`; "default"
            takes 0 where the tape does not fit and otherwise follows it, which shrinking needs.
        seed: of what comes after a divergence.

    Attributes:
        divergence: where the program first departed from the schedule, "" while it has not.
        steps: steps made.
    """

    name = "replay"
    every_step = True

    def __init__(
        self, schedule: Schedule, *, on_divergence: OnDivergence = "stop", seed: int = 0
    ) -> None:
        self._tape = schedule.tape
        self._names = schedule.names
        self._on_divergence = on_divergence
        self._random = Random(seed)
        self._at = 0
        self._lost = False
        self.divergence = ""
        self.steps = 0

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        """Whom the tape names.

        Raises:
            Diverged: the schedule does not fit, and replay is to stop there.
        """
        task = self._pick(runnable, current)
        number = self.steps
        self.steps = number + 1
        if number < len(self._names) and not self.divergence:
            op = task.op
            assert op is not None
            name, expected = f"{op.kind} {op.obj}", self._names[number]
            if expected != (name if isinstance(expected, str) else name_hash(name)):
                wanted = expected if isinstance(expected, str) else "another operation"
                got = f"step {number + 1}: expected {wanted}, got {name} of {who(task.id)}"
                if self._diverge(got):
                    return self._pick(runnable, current)
        return task

    def choice(self, n: int) -> int:
        """The value on the tape.

        Raises:
            Diverged: the tape has none below `n`, and replay is to stop there.
        """
        if n < 2:
            return 0
        if self._lost:
            return self._random.randrange(n)
        value = self._take()
        if value < n:
            return value
        got = f"step {self.steps}: expected a choice of {value}, got one of {n} values"
        return self._random.randrange(n) if self._diverge(got) else 0

    def _take(self) -> int:
        at = self._at
        self._at = at + 1
        return self._tape[at] if at < len(self._tape) else 0

    def _pick(self, runnable: Sequence[Task], current: Task | None) -> Task:
        if len(runnable) == 1:
            return runnable[0]
        if self._lost:
            return self._random.choice(sorted(runnable, key=_by_id))
        number = self._take()
        if number:
            for task in runnable:
                if task.id == number - 1:
                    return task
            can = ", ".join(who(task.id) for task in sorted(runnable, key=_by_id))
            wanted = who(number - 1)
            if self._diverge(f"step {self.steps + 1}: expected {wanted} to go, {can} can"):
                return self._pick(runnable, current)
        return run_to_block(runnable, current)

    def _diverge(self, what: str) -> bool:
        """Note a divergence; whether the rest is left to the seed."""
        if not self.divergence:
            self.divergence = what
        if self._on_divergence == "stop":
            raise Diverged(what)
        self._lost = self._on_divergence == "seeded"
        return self._lost


class Picks:
    """Follows the numbers of Ms and the data values that an engine has put on its tape.

    Args:
        tape: as `ExploringEngine.tape` has it.

    Raises:
        NonDeterminism: from `next_task` and `choice`, where the program does not allow that.
    """

    name = "picks"

    def __init__(self, tape: Sequence[int]) -> None:
        self._tape = tape
        self._at = 0

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        """Whom the tape names."""
        if len(runnable) == 1:
            return runnable[0]
        wanted = self._take()
        for task in runnable:
            if task.id == wanted:
                return task
        raise NonDeterminism(
            f"decision {self._at}: {who(wanted)} could go before, and now it cannot"
        )

    def choice(self, n: int) -> int:
        """The value on the tape."""
        value = self._take()
        if value >= n:
            raise NonDeterminism(f"decision {self._at} was one of more than {value} values before")
        return value

    def _take(self) -> int:
        at = self._at
        if at >= len(self._tape):
            raise NonDeterminism(f"the run ended after {at} decisions before, and now it goes on")
        self._at = at + 1
        return self._tape[at]


class Order:
    """Lets Ms go in a given order, step by step, and as run-to-block where that does not fit.

    Args:
        ms: ids, one for each step.
        values: of the data choices, in order.
    """

    name = "order"
    every_step = True

    def __init__(self, ms: Sequence[int], values: Sequence[int]) -> None:
        self._ms = iter(ms)
        self._values = iter(values)

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        """Whose turn it is."""
        wanted = next(self._ms, -1)
        for task in runnable:
            if task.id == wanted:
                return task
        return run_to_block(runnable, current)

    def choice(self, n: int) -> int:
        """The next value, 0 where that is none of `n`."""
        value = next(self._values, 0)
        return value if value < n else 0


def run_to_block(runnable: Sequence[Task], current: Task | None) -> Task:
    """Who made the last step if it can go on, else the lowest; what 0 on a tape means."""
    if current is not None and current.state is State.RUNNABLE:
        return current
    return min(runnable, key=_by_id)


def _by_id(task: Task) -> int:
    return task.id
