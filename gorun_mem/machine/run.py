"""One run of a scenario from `run.start` to `run.end`, on either host.

Whatever ends the run, the log ends with `run.end` and the statistics can be asked. Nothing here
prints; the command line, the tests and the service say what they make of the `Run`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gorun_mem._near import no_such
from gorun_mem._notebook import facts
from gorun_mem.events.errors import LogError
from gorun_mem.machine.config import Config, ConfigError
from gorun_mem.machine.forgotten import noting_origins
from gorun_mem.machine.interrupts import interrupts
from gorun_mem.machine.outcome import (
    DeadlockFound,
    NoProgress,
    Outcome,
    RunStopped,
    Verdict,
    in_words,
)
from gorun_mem.machine.scenario import Scenario
from gorun_mem.machine.statistics import WorldStatistics
from gorun_mem.machine.watchdog import LIMIT_S, Watchdog
from gorun_mem.machine.world import World
from gorun_mem.machine.world_base import Result
from gorun_mem.runtime.errors import (
    Deadlock,
    EmulatedFailure,
    Fault,
    Hang,
    OutOfMemory,
    Throw,
)
from gorun_mem.runtime.pages import pages_of
from gorun_mem.step.engine import STEPS_MAX

if TYPE_CHECKING:
    from gorun_mem.events.recorder import Recorder
    from gorun_mem.events.run_events import RunFacts
    from gorun_mem.machine.config import Host
    from gorun_mem.machine.driver import Driver
    from gorun_mem.machine.trampoline import Trampoline
    from gorun_mem.step.engine import Engine


@dataclass(frozen=True, slots=True)
class Run:
    """A run that has ended.

    Args:
        scenario: what ran.
        options: the scenario's options, defaults filled in.
        world: the World as the run left it.
        outcome: how it ended.
    """

    scenario: Scenario
    options: dict[str, Any]
    world: World
    outcome: Outcome

    @property
    def statistics(self) -> WorldStatistics:
        """What was counted."""
        return self.world.statistics()

    @property
    def results(self) -> dict[str, Result]:
        """What the scenario found, by name, in the order in which it said so."""
        return self.world.results

    @property
    def token(self) -> str:
        """Names the schedule."""
        return schedule_token(self.world.config)

    def _repr_html_(self) -> str:
        """A notebook's view: how it ended, under which settings, and what was counted."""
        outcome, settings, config = self.outcome, self.world.settings, self.world.config
        told = facts(
            self.scenario.label,
            [
                ("ended", outcome.verdict),
                *([("error", str(outcome.error))] if outcome.error is not None else []),
                *[(f"stuck M{one.m}", str(one)) for one in outcome.stuck],
                ("release", settings.release.name),
                ("platform", settings.platform.name),
                ("mutex", settings.mutex),
                ("strategy", config.strategy),
                ("seed", str(config.seed)),
                *[(f"option {name}", str(value)) for name, value in self.options.items()],
                *[(f"result {name}", str(value)) for name, value in self.results.items()],
            ],
        )
        return told + self.statistics._repr_html_()


def schedule_token(config: Config) -> str:
    """A name for the schedule that `config` leads to: its token, or the strategy and its seed."""
    return config.schedule or f"{config.strategy}:{config.seed}"


def start_facts(world: World, scenario: Scenario, options: Mapping[str, Any], ms: int) -> RunFacts:
    """What `run.start` says of a World and of what runs in it.

    Args:
        world: as it is when the run begins.
        scenario: what runs.
        options: the scenario's options by name.
        ms: how many Ms it is asked for.
    """
    settings, config, runtime = world.settings, world.config, world.runtime
    return {
        "release": settings.release.name,
        "platform": settings.platform.name,
        "mutex": settings.mutex,
        "policy": config.policy_name,
        "what_if": settings.what_if,
        "phys_page_size": runtime.phys_page_size,
        "heap_arena_bytes": runtime.release.heap_sizes(settings.platform).arena,
        "data_end": config.data_end,
        "initial_pages": pages_of(runtime.os.top),
        "max_pages": config.max_pages,
        "ms": ms,
        "cpus": config.cpus,
        "strategy": config.strategy,
        "granularity": config.granularity,
        "seed": config.seed,
        "scenario": scenario.label,
        "scenario_sha256": scenario.sha256,
        "options": options,
        "cost_table_sha256": config.costs.sha256,
    }


class OpenRun:
    """A run under way, for whoever drives its World: between `start` and `end` the log is open.

    Both hosts of this package are driven so, and the service's.

    Args:
        scenario: what runs.
        config: the World's settings, as far as the scenario does not say them.
        options: the scenario's options by name.
        recorder: who logs; nobody if None.
        engine: makes the steps; the one that the settings ask for if None.

    Attributes:
        world: the World, whose M 0 is to run what `start` returns.
        uncontrolled: where an M awaited what no schedule decides, as "file:line" or in words.

    Raises:
        ConfigError and its like: the settings are wrong.
    """

    def __init__(
        self,
        scenario: Scenario,
        config: Config,
        options: Mapping[str, Any],
        recorder: Recorder | None,
        engine: Engine | None = None,
    ) -> None:
        self.scenario = scenario
        self.options = scenario.check(options)
        self.recorder = recorder
        config = scenario.configured(config, self.options)
        self.world = World(config, recorder=recorder, name=scenario.name, engine=engine)
        self.uncontrolled: tuple[str, ...] = ()

    def start(self) -> Coroutine[Any, Any, Any]:
        """Write `run.start`; the scenario's coroutine, for M 0."""
        if self.recorder is not None:
            self._write_start(self.recorder)
        return self.scenario.program(self.world, **self.options)

    def _write_start(self, recorder: Recorder) -> None:
        config = self.world.config
        start = start_facts(self.world, self.scenario, self.options, config.ms)
        start |= {
            "trace_sha256": self.scenario.trace_sha256(self.options),
            "mem_debug": config.mem_debug,
            "faithful": config.faithful,
            "wrong_order": config.wrong_order,
            "memory": config.memory if self.world.engine.buffered else "",
            "steps_max": config.steps_max if config.steps_max != STEPS_MAX else 0,
            "schedule": config.schedule,
        }
        recorder.run_start(**start)

    def end(self, cut: Verdict | None = None) -> Run:
        """Write `run.end`; the run.

        Args:
            cut: "interrupted" or "cancelled" where that ended the run, unless it had failed before.

        Raises:
            LogError: the log cannot be written.
        """
        world = self.world
        error = world.failure
        if isinstance(error, LogError):
            raise error
        verdict = "internal" if world.driver.internal else _verdict(error)
        if error is None and cut is not None:
            verdict = cut
        outcome = Outcome(
            verdict=verdict,
            error=error,
            failed_m=world.driver.failed_m,
            stuck=world.driver.stuck_at_end,
            steps=world.engine.steps,
            time_ns=world.engine.now_ns,
            uncontrolled=self.uncontrolled,
        )
        if self.recorder is not None:
            self._write_end(self.recorder, outcome)
        return Run(self.scenario, self.options, world, outcome)

    def give_up(self) -> None:
        """End the log as well as may be: what drives the run has failed."""
        try:
            self.end("cancelled")
        except LogError:
            pass

    def _write_end(self, recorder: Recorder, outcome: Outcome) -> None:
        world = self.world
        snapshot = world.snapshot_or_none()
        recorder.m = 0
        if snapshot is not None:
            recorder.freelist_snapshot(snapshot.free, "end" if outcome.ok else "failure")
        recorder.run_end(
            outcome.verdict,
            final_pages=snapshot.pages if snapshot is not None else 0,
            steps=outcome.steps,
            error_type=outcome.error_type,
            token=schedule_token(world.config),
            uncontrolled=bool(outcome.uncontrolled),
            stuck=tuple(str(stuck) for stuck in outcome.stuck),
            error=in_words(outcome.error, self.scenario.file) if outcome.error else "",
            failed_m=outcome.failed_m,
            uncontrolled_at=outcome.uncontrolled,
            results=world.results,
            open_wait_ns=sum(
                mutex.unlogged_wait_ns(outcome.time_ns) for mutex in world.mutexes.values()
            ),
        )
        recorder.flush()


def run_on_trampoline(
    scenario: Scenario,
    config: Config,
    options: Mapping[str, Any] | None = None,
    *,
    recorder: Recorder | None = None,
    watch_s: float = LIMIT_S,
    on_breath: Callable[[World], None] | None = None,
    engine: Engine | None = None,
    host: Callable[[Driver, Callable[[], None]], Trampoline] | None = None,
) -> Run:
    """Run a scenario without trio.

    Args:
        scenario: what to run.
        config: the World's settings.
        options: the scenario's options by name.
        recorder: who logs; its log is flushed at the end, not closed.
        watch_s: how long an M may run without an await, in seconds; 0 for ever.
        on_breath: called now and then with the World, for a progress display.
        engine: makes the steps; the one that the settings ask for if None.
        host: makes the trampoline for that engine, if not the usual one.

    Raises:
        ConfigError and its like: the settings are wrong; nothing ran.
    """
    from gorun_mem.machine.trampoline import Trampoline

    execution = OpenRun(scenario, config, options or {}, recorder, engine)
    world = execution.world
    cut: Verdict | None = None
    watching = Watchdog(world.engine, watch_s)
    with (
        noting_origins(),
        interrupts(world.engine.breathe_soon) as interrupted,
        watching as watchdog,
    ):

        def breathe() -> None:
            if interrupted.is_set():
                raise KeyboardInterrupt
            _tick(execution, on_breath)

        try:
            (host or Trampoline)(world.driver, breathe).run(execution.start())
        except KeyboardInterrupt:
            cut = "interrupted"
        except BaseException:
            execution.give_up()
            raise
        watchdog.explain(world.driver)
    run = execution.end(cut)
    if cut is None and interrupted.is_set():
        raise KeyboardInterrupt  # it came when the run was as good as over
    return run


async def run_on_trio(
    scenario: Scenario,
    config: Config,
    options: Mapping[str, Any] | None = None,
    *,
    recorder: Recorder | None = None,
    watch_s: float = LIMIT_S,
    on_breath: Callable[[World], None] | None = None,
) -> Run:
    """Run a scenario in the trio that is running; arguments as in `run_on_trampoline`.

    Cancellation goes through once `run.end` is written; so does KeyboardInterrupt.
    """
    execution = OpenRun(scenario, config, options or {}, recorder)
    run, cut = await _in_trio(execution, watch_s, on_breath)
    if cut is not None:
        raise cut
    return run


async def _in_trio(
    execution: OpenRun, watch_s: float, on_breath: Callable[[World], None] | None
) -> tuple[Run, BaseException | None]:
    """The run, and the cancellation or interrupt that cut it short."""
    from gorun_mem.machine.trio_host import TrioHost, is_cancellation

    world = execution.world
    cut: BaseException | None = None
    with noting_origins(), Watchdog(world.engine, watch_s) as watchdog:
        host = TrioHost(world.driver, lambda: _tick(execution, on_breath))
        try:
            await host.run(execution.start())
        except BaseException as error:
            cut = error
        execution.uncontrolled = tuple(host.uncontrolled)
        watchdog.explain(world.driver)
    if isinstance(world.failure, KeyboardInterrupt):
        cut = world.failure
    if cut is None:
        return execution.end(), None
    if isinstance(cut, KeyboardInterrupt):
        return execution.end("interrupted"), cut
    if not is_cancellation(cut):
        execution.give_up()
        raise cut
    return execution.end("cancelled"), cut


def run(
    scenario: Scenario,
    config: Config | None = None,
    options: Mapping[str, Any] | None = None,
    *,
    host: Host = "trampoline",
    recorder: Recorder | None = None,
    watch_s: float = LIMIT_S,
    on_breath: Callable[[World], None] | None = None,
) -> Run:
    """Run a scenario on either host, from synchronous code; arguments as in `run_on_trampoline`.

    Args:
        host: "trio" or "trampoline".
    """
    settings = config or scenario.config()
    if host == "trampoline":
        return run_on_trampoline(
            scenario, settings, options, recorder=recorder, watch_s=watch_s, on_breath=on_breath
        )
    if host != "trio":
        raise ConfigError(no_such("host", str(host), ("trio", "trampoline")))
    import trio

    execution = OpenRun(scenario, settings, options or {}, recorder)
    ended, cut = trio.run(
        _in_trio, execution, watch_s, on_breath, restrict_keyboard_interrupt_to_checkpoints=True
    )
    if cut is not None and not isinstance(cut, KeyboardInterrupt):
        raise cut
    return ended


def _verdict(error: BaseException | None) -> Verdict:
    if error is None:
        return "ok"
    if isinstance(error, OutOfMemory):
        return "out_of_memory"
    if isinstance(error, Throw):
        return "throw"
    if isinstance(error, Fault):
        return "fault"
    if isinstance(error, DeadlockFound | Deadlock):
        return "deadlock"
    if isinstance(error, NoProgress | Hang):
        return "no_progress"
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return "failed"


def _tick(execution: OpenRun, on_breath: Callable[[World], None] | None) -> None:
    if execution.recorder is not None:
        execution.recorder.tick()
    if on_breath is not None:
        on_breath(execution.world)


__all__ = [
    "EmulatedFailure",
    "OpenRun",
    "Run",
    "RunStopped",
    "run",
    "run_on_trampoline",
    "run_on_trio",
    "schedule_token",
]
