"""A schedule stopped after a step: where every M is, who holds what, what the memory looks like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gorun_mem.explore.drive import run_once
from gorun_mem.explore.target import Target
from gorun_mem.step.schedule import Schedule, Step
from gorun_mem.step.strategies.replay import OnDivergence, Replay
from gorun_mem.step.task import State, Task

if TYPE_CHECKING:
    from gorun_mem.machine.world import World


class _Here(Exception):
    """The step is reached."""


@dataclass(frozen=True, slots=True)
class StoppedM:
    """One M.

    Args:
        m: its id.
        name: its name.
        state: "may go", "waits" or "ended".
        about_to: kind and object of its pending operation, "" if it has none.
        holds: the locks that it holds.
        late: what its store buffer has, the oldest first, as "flag = 1".
    """

    m: int
    name: str
    state: str
    about_to: str
    holds: tuple[str, ...]
    late: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = f"M{self.m} ({self.name}) {self.state}"
        if self.about_to:
            text += f": {self.about_to}"
        if self.holds:
            text += f", holds {', '.join(self.holds)}"
        return f"{text}, not in memory yet: {', '.join(self.late)}" if self.late else text


@dataclass(frozen=True, slots=True)
class StoppedRun:
    """A run stopped between two steps.

    Args:
        step: steps made.
        last: the step made last, as "M1 store bloc"; "" before the first.
        next: the step that the schedule makes next.
        time_ns: virtual time.
        ms: the Ms.
        memory: the words of the memory layer, and the free list; empty where it cannot be read.
    """

    step: int
    last: str
    next: str
    time_ns: int
    ms: tuple[StoppedM, ...]
    memory: dict[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "step": self.step,
            "last": self.last,
            "next": self.next,
            "t_ns": self.time_ns,
            "ms": [
                {
                    "m": view.m,
                    "name": view.name,
                    "state": view.state,
                    "about_to": view.about_to,
                    "holds": list(view.holds),
                    "late": list(view.late),
                }
                for view in self.ms
            ],
            "memory": self.memory,
        }


class _Stopping(Replay):
    """A replay that ends after a number of steps."""

    def __init__(self, schedule: Schedule, step: int, on_divergence: OnDivergence) -> None:
        super().__init__(schedule, on_divergence=on_divergence)
        self._stop_after = step
        self.world: World | None = None
        self.last = ""
        self.view: StoppedRun | None = None

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        """Whom the tape names, or the end."""
        made = self.steps
        task = super().next_task(runnable, current)
        step = str(Step(task.id, task.op.kind, task.op.obj))
        if made == self._stop_after:
            assert self.world is not None
            self.view = _view(self.world, made, self.last, step)
            raise _Here
        self.last = step
        return task


def stop_after(
    target: Target, schedule: Schedule, step: int, on_divergence: OnDivergence = "stop"
) -> StoppedRun | int:
    """Run a schedule and stop after `step` steps; where the run ends before, how many it made.

    Args:
        target: the program.
        schedule: what to follow.
        step: how many steps to make.
        on_divergence: see `Replay`.
    """
    strategy = _Stopping(schedule, step, on_divergence)

    def on_world(world: World) -> None:
        strategy.world = world

    try:
        run_once(target, strategy, steps_max=step + 1, on_world=on_world)
    except _Here:
        pass
    return strategy.steps if strategy.view is None else strategy.view


def _view(world: World, step: int, last: str, following: str) -> StoppedRun:
    holds: dict[int, list[str]] = {}
    for name, mutex in world.driver.mutexes.items():  # `mutexes` would boot the runtime
        if mutex.holder is not None:
            holds.setdefault(mutex.holder.m, []).append(name)
    ms = tuple(
        _m_view(task, tuple(holds.get(task.id, ())))
        for task in world.engine.tasks
        if task.id or task.state is not State.DONE
    )
    return StoppedRun(step, last, following, world.engine.now_ns, ms, _memory(world))


def _m_view(task: Task, holds: tuple[str, ...]) -> StoppedM:
    states = {State.RUNNABLE: "may go", State.DONE: "ended"}
    op = task.op
    about_to = f"{op.kind} {op.obj}" if op is not None and task.state is not State.DONE else ""
    stores = task.buffer.late if task.buffer is not None else ()
    late = tuple([f"{one.obj} = {one.value!r}" for one in stores])
    return StoppedM(task.id, task.name, states.get(task.state, "waits"), about_to, holds, late)


def _memory(world: World) -> dict[str, Any]:
    if not world.is_booted:
        return {}  # nothing has touched it
    snapshot = world.snapshot_or_none()
    if snapshot is None:
        return {}
    return {
        "bloc": snapshot.bloc,
        "bloc_max": snapshot.bloc_max,
        "pages": snapshot.pages,
        "free_bytes": snapshot.free_bytes,
        "free": [list(block) for block in snapshot.free],
    }
