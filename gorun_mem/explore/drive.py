"""One run of a search: the trampoline and the engine in one loop.

The other hosts let the engine find the M whose operation is through, return, and resume it. Here
the two are one loop over the same state, with the same order of everything that a program can see,
at half the cost: an M that goes on keeps its place among the runnable ones. What is decided is put
on the engine's tape. A schedule found here replays on the other hosts, which tests hold to the
letter.

Where a run reaches its bound of steps it may be that the strategy was unfair, as one that lets an M
spin for ever: so it goes on at random, which is fair, for as long again. Only what does not end
then is without progress.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from gorun_mem.explore.failure import Detector, Finding, Signature, signature_of
from gorun_mem.machine.coroutine import ENDED, ForeignAwait, resume, unwind, where
from gorun_mem.machine.forgotten import Listener, noting_origins
from gorun_mem.machine.lifecycle import Lifecycle
from gorun_mem.machine.outcome import NoProgress
from gorun_mem.machine.world import World
from gorun_mem.runtime.op import MORE, PARKED, MLike, Op
from gorun_mem.step.engine import BREATH, Engine, Strategy
from gorun_mem.step.schedule import Schedule, Step
from gorun_mem.step.strategies.random import RandomWalk
from gorun_mem.step.strategies.replay import Diverged, OnDivergence, Replay
from gorun_mem.step.strategies.searching import NonDeterminism, Redundant, Searching
from gorun_mem.step.strategies.transcribe import Transcriber
from gorun_mem.step.task import State, Task

if TYPE_CHECKING:
    from gorun_mem.explore.target import Target
    from gorun_mem.machine.m import M

RUNNABLE: Final = State.RUNNABLE

STEPS_MAX: Final = 20_000
"""Steps after which a run of a search counts as without progress, unless its target says more."""

LOTS: Final = frozenset({"spinbit.tail_wake", "spinbit.sample"})
"""Data choices of which Go asks only whether they are 0: two values stand for all."""

OF_THE_SEARCH: Final = (Redundant, NonDeterminism)
"""What a strategy raises in the middle of a run; no doing of the program's."""


class OutOfTime(BaseException):
    """The search's time is up; raised in the middle of a run."""


class OutOfSteps(Exception):
    """A run of an exhaustive search has reached its bound of steps."""


class Uncontrolled(ForeignAwait):
    """An M awaited what no schedule controls, trio itself for one.

    Args:
        text: for people.
        place: where, as "file:line".
    """

    def __init__(self, text: str, place: str) -> None:
        super().__init__(text)
        self.place = place


class ExploringEngine(Engine):
    """An engine that puts what is decided on a tape.

    Attributes:
        tape: ids of the Ms taken where there were several, and values of data choices, in order.
        woken: Ms made runnable by the step under way, for strategies that ask who woke whom.
        unfair: the run has reached its bound of steps.
    """

    def __init__(self, strategy: Strategy, target: Target, steps_max: int = STEPS_MAX) -> None:
        cpus = target.config.cpus
        super().__init__(strategy, cpus=cpus, steps_max=steps_max, table=target.costs)
        self.tape: list[int] = []
        self.woken: list[Task] = []
        self.unfair = False
        self.timed = False
        self._label = getattr(strategy, "label", None)

    def choice(self, m: MLike, n: int, label: str) -> int:
        """A data choice of the strategy's, put on the tape."""
        if n < 2:
            return 0
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
        super().sleep_until(m, t_ns)


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
    """
    transcriber = Transcriber(strategy) if transcribe else None
    engine = ExploringEngine(transcriber or strategy, target, steps_max)
    world = target.world(engine)
    if on_world is not None:
        on_world(world)
    for detector in detectors:
        detector.begin(world)
    if transcribe:
        with noting_origins():
            execute(world, target.start(world), breathe, detectors)
    else:
        execute(world, target.start(world), breathe, detectors)
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
    done = run_once(
        target, strategy, detectors=detectors, transcribe=True, steps_max=2 * steps_max,
        on_world=on_world,
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


def execute(
    world: World,
    main: Any,
    breathe: Callable[[], None] | None = None,
    detectors: Sequence[Detector] = (),
) -> None:
    """Run `main` and every M that it starts until `main` ends or something fails.

    Args:
        world: whose engine is an `ExploringEngine`.
        main: the program's coroutine.
        breathe: called now and then; what it raises goes through.
        detectors: look at every step.

    Raises:
        Redundant, NonDeterminism, OutOfSteps: the strategy, or the bound, broke the run off.
    """
    coros: dict[int, Any] = {0: main}
    driver = world.driver
    with Listener(driver, lambda m: coros.get(m.id)):
        try:
            _loop(driver, coros, breathe, detectors)
        except Diverged as error:
            driver.failed(driver.main, error)
        finally:
            driver.engine.running = None
            if coros:
                driver.stop()
                for coro in coros.values():
                    unwind(coro)


def _loop(
    driver: Lifecycle,
    coros: dict[int, Any],
    breathe: Callable[[], None] | None,
    detectors: Sequence[Detector],
) -> None:
    """The loop of `execute`; long, for a call per step would cost a fifth of it."""
    engine = driver.engine
    assert isinstance(engine, ExploringEngine)
    strategy: Any = engine.strategy
    next_task = strategy.next_task
    every_step = getattr(strategy, "every_step", False)
    executed = getattr(strategy, "executed", None)
    looks = [detector.step for detector in detectors]
    watched = executed is not None or bool(looks)
    runnable, timers, tape = engine.runnable, engine._timers, engine.tape
    costs = engine.costs
    other = costs["other"]
    steps = 0
    limit = min(BREATH, engine.steps_max)
    result: Any = None
    task: Task = driver.start()
    while True:
        # The coroutine of `task` runs to its next operation.
        engine.running = task
        coro = coros.get(task.id)
        try:
            if coro is None:
                coro = coros[task.id] = driver.begin(cast("M", task))
            awaited = resume(coro, result)
            asks_first = awaited is not ENDED and awaited.asks_first
        except (KeyboardInterrupt, *OF_THE_SEARCH):
            raise
        except BaseException as error:
            if coro is not None and coro.cr_frame is not None:  # what it yielded is no operation
                driver.failed(task, _uncontrolled(task, coro))
                return
            coros.pop(task.id, None)
            task.op = None
            driver.failed(task, error)
            return
        if driver.stopped:  # it has forgotten to await what it made
            return
        if awaited is ENDED:
            del coros[task.id]
            driver.ended(cast("M", task))
            if not task.id:
                return
        else:
            task.op = awaited
            if not asks_first or awaited.begin(task):
                if task.state is not RUNNABLE:
                    engine._enable(task)
            else:
                if task.state is RUNNABLE:
                    engine._remove(task)
                engine._park(task)
        # Steps, until an operation is through.
        while True:
            if timers:
                engine._fire_timers()
            n = len(runnable)
            if steps >= limit and n:
                limit = _at_limit(engine, breathe)
                if not limit:
                    driver.failed(driver.main, NoProgress(f"no end after {steps:,} steps"))
                    return
                next_task = engine.strategy.next_task
            if n > 1:
                task = next_task(runnable, engine.current)
                tape.append(task.id)
            elif n:
                task = next_task(runnable, engine.current) if every_step else runnable[0]
            else:
                driver.deadlocked()
                return
            steps += 1
            engine.current = task
            pending = task.op
            op: Op = pending
            kind = pending.kind
            try:
                if watched:
                    obj, reads = pending.obj, pending.reads_only
                    result = pending.step(task)
                    if executed is not None:
                        executed(task, kind, obj, reads)
                    for look in looks:
                        look(task, pending, kind, obj, reads, result)
                else:
                    result = op.step(task)
            except OF_THE_SEARCH:
                raise
            except Exception as error:
                engine.steps = steps
                driver.step_failed(error)
                return
            engine.steps = steps
            task.steps += 1
            engine.clock_ns += costs.get(kind, other)
            if result is MORE:
                continue
            if result is not PARKED:
                break
            engine._remove(task)
            engine._park(task)


def _at_limit(engine: ExploringEngine, breathe: Callable[[], None] | None) -> int:
    """Take a breath, or see to a run that does not end; the next limit, 0 to give up.

    Raises:
        OutOfSteps: in a search that goes by a tree of choices, where chance has no place.
    """
    if breathe is not None:
        breathe()
    bound = engine.steps_max
    if engine.steps < bound:
        return min(engine.steps + BREATH, bound)
    outer: Any = engine.strategy
    inner = outer.inner if isinstance(outer, Transcriber) else outer
    if not isinstance(inner, Searching):
        return 0
    if inner.exhaustive:
        raise OutOfSteps
    fair = RandomWalk(engine.steps)
    if isinstance(outer, Transcriber):
        outer.inner = fair
    else:
        engine.strategy = fair
    engine.unfair = True
    engine.steps_max = 2 * bound
    return min(engine.steps + BREATH, engine.steps_max)


def _uncontrolled(task: Task, coro: Any) -> Uncontrolled:
    place = where(coro)
    return Uncontrolled(f"M{task.id} ({task.name}) awaits what is no operation, at {place}", place)
