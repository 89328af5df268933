"""The engine of a search: what is decided is put on its tape.

An M that goes on keeps its place among the runnable ones, which spares taking it out and putting it
back.

Where a run reaches its bound of steps it may be that the strategy was unfair, as one that lets an M
spin for ever: so it goes on at random, which is fair, for as long again. Only what does not end
then is without progress.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from mypy_extensions import mypyc_attr

from gorun_mem.explore.failure import Detector
from gorun_mem.explore.screen import Screen
from gorun_mem.runtime.mutex.spinbit import LOTS
from gorun_mem.runtime.op import MLike, Op
from gorun_mem.step.engine import BREATH, Engine, StepsExceeded, Strategy
from gorun_mem.step.strategies.random import RandomWalk
from gorun_mem.step.strategies.searching import Searching
from gorun_mem.step.strategies.transcribe import Transcriber
from gorun_mem.step.task import State, Task

if TYPE_CHECKING:
    from gorun_mem.explore.target import Target

STEPS_MAX: Final = 20_000
"""Steps after which a run of a search counts as without progress, unless its target says more."""


Look = Callable[[Task, Op, str, str, bool, object], None]
"""`Detector.step`."""
Executed = Callable[[Task, str, str, bool], None]
"""`Searching.executed`."""


class OutOfSteps(Exception):
    """A run of an exhaustive search has reached its bound of steps."""


class Supervision:
    """Who watches over runs of a search, and whatever else is the same for each: made once for
    all of them.

    Args:
        target: what is run.
        steps_max: bound of steps.
        detectors: told of each step of an M; of those of store buffers, if they have `flushes`.
        breathe: called now and then; what it raises goes through.
        screen: told of each step likewise.

    Attributes:
        looks: the `step` of those detectors that look at steps.
        cpus: how many Ms run at once.
        costs: what a step costs.
        early: a wait that has a time may end before.
        host: what drives the Ms, or else what their memory is: names of `drive`'s.
    """

    __slots__ = (
        "_strategy",
        "breathe",
        "costs",
        "cpus",
        "detectors",
        "early",
        "every_step",
        "executed",
        "follows",
        "host",
        "label",
        "looks",
        "reduces",
        "screen",
        "steps_max",
        "target",
        "watched",
    )

    def __init__(
        self,
        target: Target,
        steps_max: int = STEPS_MAX,
        detectors: Sequence[Detector] = (),
        breathe: Callable[[], None] | None = None,
        screen: Screen | None = None,
    ) -> None:
        self.target = target
        self.steps_max = steps_max
        self.detectors = detectors
        self.breathe = breathe
        self.screen = screen
        config = target.config
        self.cpus: int = config.cpus
        self.costs: dict[str, float] = target.costs
        self.early = "timeout" in config.faults
        self.host: str = target.host or config.memory
        self.looks: list[Look] = [d.step for d in detectors if getattr(d, "looks", True)]
        self._strategy: Strategy | None = None
        self.label: Callable[[str], None] | None = None
        self.executed: Executed | None = None
        self.every_step = False
        self.follows = False
        self.reduces = False
        self.watched = False

    def ask(self, strategy: Strategy) -> None:
        """What `strategy` wants to know, and to be asked; the same in every run of it."""
        if strategy is self._strategy:
            return
        self._strategy = strategy
        self.label = getattr(strategy, "label", None)
        self.executed = getattr(strategy, "executed", None)
        self.every_step = getattr(strategy, "every_step", False)
        self.follows = getattr(strategy, "follows", False)
        self.reduces = getattr(strategy, "reduces", False)
        self.watched = self.executed is not None or self.screen is not None or bool(self.looks)


@mypyc_attr(allow_interpreted_subclasses=True)
class ExploringEngine(Engine):
    """An engine that puts what is decided on a tape, and in which an M that goes on keeps its place
    among the runnable ones.

    Args:
        strategy: who goes next.
        over: who watches over the run, and what is run.

    Attributes:
        tape: ids of the Ms taken where there were several, and values of data choices, in order.
        woken: Ms made runnable by the step under way, for strategies that ask who woke whom.
        unfair: the run has reached its bound of steps.
        timed: an M has slept for a time, or waited with one, so what comes hangs on the clock.
        keeps_time: one that ends when its time has come, so how long each step takes matters.
        draws: data choices made.
    """

    def __init__(self, strategy: Strategy, over: Supervision) -> None:
        super().__init__(strategy, cpus=over.cpus, steps_max=over.steps_max, table=over.costs)
        over.ask(strategy)
        self.tape: list[int] = []
        self.woken: list[Task] = []
        self.unfair = False
        self.timed = False
        self.keeps_time = False
        self.draws = 0
        self._breathe = over.breathe
        self._early = over.early
        self._always_early = over.reduces
        self._label = over.label
        self._every_step = over.every_step
        self._executed = over.executed
        self._follows = over.follows
        self._screen = over.screen
        self._looks = over.looks
        self.watched = over.watched

    def clear(self) -> None:
        """Drop every M; nothing is to be run any more."""
        super().clear()
        self.woken.clear()

    # What operations ask.

    def choice(self, m: MLike, n: int, label: str) -> int:
        """A data choice of the strategy's, put on the tape; none once the run is over."""
        if n < 2 or self.stopped:
            return 0
        self.draws += 1
        value = self.strategy.choice(2 if label in LOTS else n)
        self.tape.append(value)
        if self._label is not None:
            self._label(label)
        return value

    def unpark(self, m: MLike) -> None:
        """Make a parked M runnable."""
        assert isinstance(m, Task)
        if m.state is State.PARKED:
            self.woken.append(m)
            m.timer = 0
            self._enable(m)

    def sleep_until(self, m: MLike, t_ns: int) -> None:
        """Unpark `m` at `t_ns`, unless somebody does before; nobody is, once the run is over."""
        if self.stopped:
            return
        self.timed = True
        if not self._early:
            self.keeps_time = self.keeps_time or t_ns > self.clock_ns
        elif self.ends_early(m):
            t_ns = self.now_ns
        super().sleep_until(m, t_ns)

    def ends_early(self, m: MLike) -> bool:
        """Whether a wait may end at any moment: the schedule's choice, where that is a fault.

        In a search that takes steps to commute it always may: it need not end before its time.
        Where waits end at their time, this one's counts from when `m` came to it, whether it has
        to wait in this run or goes in at once.
        """
        self.timed = True
        if not self._early:
            self.keeps_time = True
            return False
        if self._always_early:
            self.tape.append(1)
            return True
        return bool(self.choice(m, 2, "timeout"))

    def _enable(self, task: Task) -> None:
        super()._enable(task)
        if self._follows:
            self.fresh.append(task)

    # What the loop asks.

    def _pick(self) -> Task | None:
        runnable = self.runnable
        if self._timers:
            self._fire_timers()
        if not runnable:
            return None
        task = self._decide(runnable)
        self._step_ns = self.costs.get(task.op.kind, self._other_ns)
        return task

    def _decide(self, runnable: list[Task]) -> Task:
        """Who goes next of those that can, on the tape where there were several."""
        n = len(runnable)
        try:
            if self.steps >= self._breath_at:
                self._out_of_breath()
            if n == 1 and not self._every_step:
                task = runnable[0]
            else:
                task = self._next_task(runnable, self.current)
        except Exception:
            self.undecided = True
            raise
        if n > 1:
            self.tape.append(task.id)
        return task

    def _watch(self, task: Task, pending: Any) -> object:
        kind, obj, reads = pending.kind, pending.obj, pending.reads_only
        result = pending.step(task)
        if self._screen is not None:
            self._screen.step(task, pending, kind, obj, reads, result)
        if self._executed is not None:
            self._executed(task, kind, obj, reads)
        for look in self._looks:
            look(task, pending, kind, obj, reads, result)
        return result

    def _through(self, task: Task, result: object) -> None:
        task.result = result
        self.running = task

    def _go_on(self, task: Task, op: Op) -> None:
        self.running = None
        task.op = op
        if op.asks_first and not op.begin(task):
            self._sleep(task)

    def _out_of_breath(self) -> None:
        """Take a breath, or see to a run that does not end.

        Raises:
            StepsExceeded: it is not the strategy's doing.
            OutOfSteps: in a search that goes by a tree of choices, where chance has no place.
        """
        if self._breathe is not None:
            self._breathe()
        bound = self.steps_max
        if self.steps >= bound:
            self._be_fair()
            bound = self.steps_max
        self._breath_at = min(self.steps + BREATH, bound)

    def _be_fair(self) -> None:
        """From here on any M is as likely, for as many steps again."""
        outer: Any = self.strategy
        inner = outer.inner if isinstance(outer, Transcriber) else outer
        if not isinstance(inner, Searching):
            raise StepsExceeded(f"no end after {self.steps:,} steps")
        if inner.exhaustive:
            raise OutOfSteps
        fair = RandomWalk(self.steps)
        if isinstance(outer, Transcriber):
            outer.inner = fair
        else:
            self.follow(fair)
        self.unfair = True
        self.steps_max += self.steps_max
