"""One run of a search, on the trampoline.

The loop is everybody's (`step.loop`). What is decided is put on the engine's tape, and an M that
goes on keeps its place among the runnable ones, which spares taking it out and putting it back. A
schedule found here replays on the other hosts, which tests hold to the letter.

Where a run reaches its bound of steps it may be that the strategy was unfair, as one that lets an M
spin for ever: so it goes on at random, which is fair, for as long again. Only what does not end
then is without progress.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from mypy_extensions import mypyc_attr

from gorun_mem.explore.failure import Detector, Finding, Signature, signature_of
from gorun_mem.explore.foreign import AwaitsTrio, Uncontrolled, seen_as, uncontrolled
from gorun_mem.explore.screen import Screen
from gorun_mem.machine.coroutine import ForeignAwait, awaits
from gorun_mem.machine.driver import Driver
from gorun_mem.machine.forgotten import noting_origins
from gorun_mem.machine.trampoline import Trampoline
from gorun_mem.machine.world import World
from gorun_mem.runtime.mutex.spinbit import LOTS
from gorun_mem.runtime.op import MLike, Op
from gorun_mem.step.engine import BREATH, Engine, StepsExceeded, Strategy
from gorun_mem.step.schedule import Schedule, Step
from gorun_mem.step.strategies.random import RandomWalk
from gorun_mem.step.strategies.replay import Diverged, OnDivergence, Replay
from gorun_mem.step.strategies.searching import (
    Incomparable,
    NonDeterminism,
    Redundant,
    Searching,
)
from gorun_mem.step.strategies.states import States
from gorun_mem.step.strategies.transcribe import Transcriber
from gorun_mem.step.task import State, Task
from gorun_mem.sync.words import Fence

if TYPE_CHECKING:
    from gorun_mem.explore.target import Target

STEPS_MAX: Final = 20_000
"""Steps after which a run of a search counts as without progress, unless its target says more."""

_HOSTS: Final = {
    "trio": "gorun_mem.explore.controlled.searching",
    "tso": "gorun_mem.explore.buffers",
}
"""By name of a host or memory, the module that has its `engine_for` and `host_for`; see
`run_once`."""


OF_THE_SEARCH: Final = (Redundant, NonDeterminism, Incomparable, AwaitsTrio)
"""What a strategy or a host raises in the middle of a run; no doing of the program's."""


class OutOfTime(BaseException):
    """The search's time is up; raised in the middle of a run."""


class OutOfSteps(Exception):
    """A run of an exhaustive search has reached its bound of steps."""


@mypyc_attr(allow_interpreted_subclasses=True)
class ExploringEngine(Engine):
    """An engine that puts what is decided on a tape, and in which an M that goes on keeps its place
    among the runnable ones.

    Args:
        strategy: who goes next.
        target: whose costs and CPUs.
        steps_max: bound of steps.
        detectors: told of each step.
        breathe: called now and then.
        screen: told of each step likewise.

    Attributes:
        tape: ids of the Ms taken where there were several, and values of data choices, in order.
        woken: Ms made runnable by the step under way, for strategies that ask who woke whom.
        unfair: the run has reached its bound of steps.
        timed: an M has slept for a time.
        draws: data choices made.
    """

    def __init__(
        self,
        strategy: Strategy,
        target: Target,
        steps_max: int = STEPS_MAX,
        detectors: Sequence[Detector] = (),
        breathe: Callable[[], None] | None = None,
        screen: Screen | None = None,
    ) -> None:
        cpus = target.config.cpus
        super().__init__(strategy, cpus=cpus, steps_max=steps_max, table=target.costs)
        self.tape: list[int] = []
        self.woken: list[Task] = []
        self.unfair = False
        self.timed = False
        self.draws = 0
        self._breathe = breathe
        self._early = "timeout" in target.config.faults
        self._label = getattr(strategy, "label", None)
        self._every_step: bool = getattr(strategy, "every_step", False)
        self._executed = getattr(strategy, "executed", None)
        self._follows: bool = getattr(strategy, "follows", False)
        self._screen = screen
        self._looks = [d.step for d in detectors if getattr(d, "looks", True)]
        self.watched = self._executed is not None or screen is not None or bool(self._looks)

    # What operations ask.

    def choice(self, m: MLike, n: int, label: str) -> int:
        """A data choice of the strategy's, put on the tape."""
        if n < 2:
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
        """Unpark `m` at `t_ns`, unless somebody does before."""
        self.timed = True
        if self._early and self.choice(m, 2, "timeout"):
            t_ns = self.now_ns
        super().sleep_until(m, t_ns)

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


class Execution:
    """One run.

    Args:
        world: as the run left it.
        signature: of the failure; None where the run ended well.
        findings: of the detectors.
        tape: ids of the Ms taken and values drawn (`ExploringEngine.tape`).
        steps: accesses made.
        foreign: where an M awaited what is no operation, as "file:line"; "" where none did.
        transcriber: tape and steps with names, where that was asked for.
        divergence: where a replay departed from its schedule, "" where it did not.
    """

    __slots__ = (
        "divergence", "findings", "foreign", "signature", "steps", "tape", "transcriber", "world",
    )  # fmt: skip

    def __init__(
        self,
        world: World,
        signature: Signature | None,
        findings: tuple[Finding, ...],
        tape: list[int],
        steps: int,
        foreign: str,
        transcriber: Transcriber | None = None,
        divergence: str = "",
    ) -> None:
        self.world = world
        self.signature = signature
        self.findings = findings
        self.tape = tape
        self.steps = steps
        self.foreign = foreign
        self.transcriber = transcriber
        self.divergence = divergence

    @property
    def origins(self) -> dict[int, str]:
        """Where each M comes from, by id."""
        engine: Any = self.world.engine
        return {one.id: one.origin for one in engine.everybody()}

    @property
    def named_steps(self) -> tuple[Step, ...]:
        """The steps, where the run was transcribed."""
        return self.transcriber.steps if self.transcriber is not None else ()


def run_once(
    target: Target,
    strategy: Strategy,
    *,
    detectors: Sequence[Detector] = (),
    transcribe: bool = False,
    steps_max: int = STEPS_MAX,
    breathe: Callable[[], None] | None = None,
    on_world: Callable[[World], None] | None = None,
    screen: Screen | None = None,
) -> Execution:
    """Run a program once.

    Args:
        target: the program.
        strategy: who goes next.
        detectors: look at the run.
        transcribe: write down every step with its name.
        steps_max: bound of steps.
        breathe: called now and then; what it raises goes through.
        on_world: called with the World before it runs.
        screen: looks at the run, to be asked afterwards.
    """
    transcriber = Transcriber(strategy) if transcribe else None
    own = _HOSTS.get(target.host or target.config.memory)
    hosts: Any = import_module(own) if own else None
    engine: ExploringEngine = (hosts.engine_for if hosts else ExploringEngine)(
        transcriber or strategy, target, steps_max, detectors, breathe, screen
    )
    world = target.world(
        engine, None, strategy.world_class if isinstance(strategy, States) else World
    )
    if on_world is not None:
        on_world(world)
    if screen is not None:
        screen.begin(world)
    for detector in detectors:
        detector.begin(world)
    trampoline: Trampoline = (hosts.host_for if hosts else SearchingTrampoline)(world.driver)
    if transcribe:
        with noting_origins():
            trampoline.run(target.start(world))
    elif isinstance(strategy, States):
        strategy.meet(world, trampoline.coros)
        try:
            trampoline.run(target.start(world))
        except Redundant:
            seen = [one for d in detectors if getattr(d, "midway", False) for one in d.end(world)]
            if not seen:
                raise
            signature = signature_of(world, tuple(seen))
            return Execution(world, signature, tuple(seen), engine.tape, engine.steps, "")
        finally:
            strategy.leave()
    else:
        trampoline.run(target.start(world))
    findings: tuple[Finding, ...] = ()
    for detector in detectors:
        findings += tuple(detector.end(world))
    error = world.failure
    foreign = ""
    signature = None
    if isinstance(error, Uncontrolled):
        foreign = error.place
    else:
        signature = signature_of(world, findings)
    return Execution(world, signature, findings, engine.tape, engine.steps, foreign, transcriber)


def replay(
    target: Target,
    schedule: Schedule,
    *,
    detectors: Sequence[Detector] = (),
    on_divergence: OnDivergence = "stop",
    seed: int = 0,
    steps_max: int = STEPS_MAX,
    on_world: Callable[[World], None] | None = None,
) -> Execution:
    """Run a program by a schedule.

    Args:
        target: the program.
        schedule: who goes next.
        detectors: look at the run.
        on_divergence: what to do where the program does not do what the schedule says.
        seed: of what comes after a divergence.
        steps_max: bound of steps.
        on_world: called with the World before it runs.
    """
    strategy = Replay(schedule, on_divergence=on_divergence, seed=seed)
    # A schedule that reached the bound was found in a run of twice as many steps.
    try:
        done = run_once(
            target, strategy, detectors=detectors, transcribe=True, steps_max=steps_max + steps_max,
            on_world=on_world,
        )  # fmt: skip
    except AwaitsTrio:
        target.control_trio()
        return replay(
            target, schedule, detectors=detectors, on_divergence=on_divergence, seed=seed,
            steps_max=steps_max, on_world=on_world,
        )  # fmt: skip
    return Execution(
        done.world,
        done.signature,
        done.findings,
        done.tape,
        done.steps,
        done.foreign,
        done.transcriber,
        strategy.divergence,
    )


class SearchingTrampoline(Trampoline):
    """Runs one World of a search: what the strategy raises is none of the program's doing.

    Args:
        driver: whose Ms.
    """

    def _last_op(self, task: Task) -> Op | None:
        buffer = task.buffer
        if buffer is None or not buffer.made or buffer.ends:
            return None
        buffer.ends = True
        last: Any = awaits(Fence("the end"))  # as a thread ends
        self._coros[task.id] = last
        op: Op = last.send(None)
        return op

    def _raised(self, task: Task, error: BaseException) -> None:
        raised(self._driver, task, error)

    def _broken_off(self, error: Exception) -> None:
        broken_off(self._driver, error)

    def _foreign(self, task: Task, coro: Any) -> ForeignAwait:
        return uncontrolled(task, coro)


def raised(driver: Driver, task: Task, error: BaseException) -> None:
    """The coroutine of `task` has raised `error`, in a run of a search.

    Raises:
        Redundant, NonDeterminism, AwaitsTrio: it was no doing of the program's.
    """
    if isinstance(error, OF_THE_SEARCH):
        raise error
    task.op = None
    driver.failed(task, seen_as(error, task, driver.engine.entangled))


def broken_off(driver: Driver, error: Exception) -> None:
    """A step, or who is asked between two, has raised `error`, in a run of a search."""
    if isinstance(error, Diverged):
        driver.failed(driver.main, error)
    elif isinstance(error, OF_THE_SEARCH) or driver.engine.undecided:
        raise error
    else:
        driver.step_failed(error)
