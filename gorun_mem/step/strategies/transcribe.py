"""Any strategy, its decisions written down as a tape and as steps with their names."""

from __future__ import annotations

from collections.abc import Sequence

from gorun_mem.step.engine import Strategy
from gorun_mem.step.schedule import Schedule, Step, stripped
from gorun_mem.step.strategies.replay import run_to_block
from gorun_mem.step.task import State, Task


class Transcriber:
    """Writes down what another strategy decides.

    Args:
        inner: who decides.

    Attributes:
        tape: the decisions so far, as `gorun_mem.step.schedule` has them.
    """

    every_step = True

    def __init__(self, inner: Strategy) -> None:
        self.name = inner.name
        self.inner = inner
        self.follows: bool = getattr(inner, "follows", False)
        self.tape: list[int] = []
        self._steps: list[tuple[int, str, str, bool, tuple[int, ...], bool]] = []
        self._choices: dict[int, list[tuple[str, int, int]]] = {}

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        """Whom the other strategy takes."""
        task = self.inner.next_task(runnable, current)
        if len(runnable) > 1:
            plain = run_to_block(runnable, current)
            self.tape.append(0 if task is plain else task.id + 1)
        op = task.op
        assert op is not None
        preempts = current is not None and current is not task and current.state is State.RUNNABLE
        enabled = tuple(sorted([other.id for other in runnable]))
        self._steps.append((task.id, op.kind, op.obj, op.reads_only, enabled, preempts))
        return task

    def choice(self, n: int) -> int:
        """What the other strategy draws."""
        if n < 2:
            return 0
        value = self.inner.choice(n)
        self.tape.append(value)
        self._choices.setdefault(len(self._steps), []).append(("", n, value))
        return value

    def label(self, label: str) -> None:
        """Name the data choice that was drawn last."""
        drawn = self._choices[len(self._steps)]
        drawn[-1] = (label, *drawn[-1][1:])

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps so far."""
        choices = self._choices
        return tuple(
            Step(m, kind, obj, reads, enabled, tuple(choices.get(number, ())), preempts)
            for number, (m, kind, obj, reads, enabled, preempts) in enumerate(self._steps, 1)
        )

    def schedule(self, about: dict[str, object] | None = None) -> Schedule:
        """The run so far."""
        names = tuple([f"{step[1]} {step[2]}" for step in self._steps])
        return Schedule(stripped(self.tape), names, about or {})
