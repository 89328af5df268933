"""One run of a search, on the trampoline.

The loop is everybody's (`step.loop`), and what is decided is put on the engine's tape (`taped`). A
schedule found here replays on the other hosts, which tests hold to the letter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from gorun_mem.explore.failure import Detector, Finding, Signature, signature_of
from gorun_mem.explore.foreign import AwaitsTrio, Uncontrolled, seen_as, uncontrolled
from gorun_mem.explore.screen import Screen
from gorun_mem.explore.taped import STEPS_MAX, ExploringEngine, Supervision
from gorun_mem.machine.coroutine import ForeignAwait, awaits
from gorun_mem.machine.driver import Driver
from gorun_mem.machine.forgotten import noting_origins
from gorun_mem.machine.trampoline import Trampoline
from gorun_mem.machine.world import World
from gorun_mem.runtime.op import Op
from gorun_mem.step.engine import Strategy
from gorun_mem.step.schedule import Schedule, Step
from gorun_mem.step.strategies.replay import Diverged, OnDivergence, Replay
from gorun_mem.step.strategies.searching import (
    Incomparable,
    NonDeterminism,
    Redundant,
)
from gorun_mem.step.strategies.states import States
from gorun_mem.step.strategies.transcribe import Transcriber
from gorun_mem.step.task import Task
from gorun_mem.sync.words import Fence

if TYPE_CHECKING:
    from gorun_mem.explore.target import Target

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
    over = Supervision(target, steps_max, detectors, breathe, screen)
    return run_under(over, strategy, transcribe, on_world)


def run_under(
    over: Supervision,
    strategy: Strategy,
    transcribe: bool = False,
    on_world: Callable[[World], None] | None = None,
) -> Execution:
    """Run a program once; what is the same for many runs is made before.

    Args:
        over: what is run, and who looks on.
        strategy: who goes next.
        transcribe: write down every step with its name.
        on_world: called with the World before it runs.
    """
    target, detectors, screen = over.target, over.detectors, over.screen
    transcriber = Transcriber(strategy) if transcribe else None
    own = _HOSTS.get(over.host)
    hosts: Any = import_module(own) if own else None
    engine: ExploringEngine = (hosts.engine_for if hosts else ExploringEngine)(
        transcriber or strategy, over
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
    elif error is not None or findings:
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
        broken_off(self._driver, error, self._current())

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


def broken_off(driver: Driver, error: Exception, coro: object) -> None:
    """A step, or who is asked between two, has raised `error`, in a run of a search."""
    if isinstance(error, Diverged):
        driver.failed(driver.main, error)
    elif isinstance(error, OF_THE_SEARCH) or driver.engine.undecided:
        raise error
    else:
        driver.step_failed(error, coro)
