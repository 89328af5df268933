"""One run of a scenario from `run.start` to `run.end`, on either host.

Whatever ends the run, the log ends with `run.end` and the statistics can be asked. Nothing here
prints; the command line, the tests and the service say what they make of the `Run`.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any

from gorun_mem.machine.config import Config, ConfigError
from gorun_mem.machine.outcome import DeadlockFound, NoProgress, Outcome, RunStopped, Verdict
from gorun_mem.machine.scenario import Scenario
from gorun_mem.machine.watchdog import LIMIT_S, LoopWithoutAwait, Watchdog
from gorun_mem.machine.world import World, WorldStatistics
from gorun_mem.runtime.errors import Deadlock, EmulatedFailure, Fault, Hang, Throw

if TYPE_CHECKING:
    from gorun_mem.events.recorder import Recorder
    from gorun_mem.machine.config import Host


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
    def token(self) -> str:
        """Names the schedule."""
        return schedule_token(self.world.config)


def schedule_token(config: Config) -> str:
    """A name for the schedule that `config` leads to: the strategy and its seed."""
    return f"{config.strategy}:{config.seed}"


class _Execution:
    """A run under way: what both hosts share."""

    def __init__(
        self,
        scenario: Scenario,
        config: Config,
        options: Mapping[str, Any],
        recorder: Recorder | None,
    ) -> None:
        self.scenario = scenario
        self.options = scenario.check(options)
        self.recorder = recorder
        self.world = World(config, recorder=recorder, name=scenario.name)
        self.uncontrolled: tuple[str, ...] = ()

    def start(self) -> Any:
        """Write `run.start`; the scenario's coroutine."""
        if self.recorder is not None:
            self._write_start(self.recorder)
        return self.scenario.program(self.world, **self.options)

    def _write_start(self, recorder: Recorder) -> None:
        world, config = self.world, self.world.config
        settings, runtime = world.settings, world.runtime
        recorder.run_start(
            release=settings.release.name,
            platform=settings.platform.name,
            mutex=settings.mutex,
            what_if=settings.what_if,
            phys_page_size=runtime.phys_page_size,
            heap_arena_bytes=settings.release.heap_sizes(settings.platform).arena,
            data_end=config.data_end,
            initial_pages=runtime.os.pages,
            max_pages=config.max_pages,
            ms=config.ms,
            cpus=config.cpus,
            strategy=config.strategy,
            granularity=config.granularity,
            seed=config.seed,
            scenario=self.scenario.name,
            scenario_sha256=self.scenario.sha256,
            options=self.options,
            cost_table_sha256=config.costs.sha256,
            trace_sha256=self.scenario.trace_sha256(self.options),
        )

    def end(self, cut: Verdict | None = None) -> Run:
        """Write `run.end`; the run.

        Args:
            cut: "interrupted" or "cancelled" where that ended the run.
        """
        world = self.world
        error = world.failure
        verdict = cut or ("internal" if world.internal else _verdict(error))
        outcome = Outcome(
            verdict=verdict,
            error=error,
            failed_m=world.failed_m,
            stuck=world.stuck_at_end,
            steps=world.engine.steps,
            time_ns=world.engine.now_ns,
            uncontrolled=self.uncontrolled,
        )
        if self.recorder is not None:
            self._write_end(self.recorder, outcome)
        return Run(self.scenario, self.options, world, outcome)

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
) -> Run:
    """Run a scenario without trio.

    Args:
        scenario: what to run.
        config: the World's settings.
        options: the scenario's options by name.
        recorder: who logs; its log is flushed at the end, not closed.
        watch_s: how long an M may run without an await, in seconds; 0 for ever.
        on_breath: called now and then with the World, for a progress display.

    Raises:
        ConfigError and its like: the settings are wrong; nothing ran.
    """
    from gorun_mem.machine.trampoline import drive

    execution = _Execution(scenario, config, options or {}, recorder)
    cut: Verdict | None = None
    with _interrupts() as interrupted, Watchdog(execution.world, watch_s) as watchdog:

        def breathe() -> None:
            if interrupted.is_set():
                raise KeyboardInterrupt
            _tick(execution, on_breath)

        try:
            drive(execution.world, execution.start(), breathe)
        except KeyboardInterrupt:
            cut = "interrupted"
        _name_the_loop(execution.world, watchdog)
    return execution.end(cut)


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
    import trio

    from gorun_mem.machine.trio_host import TrioHost

    execution = _Execution(scenario, config, options or {}, recorder)
    with Watchdog(execution.world, watch_s) as watchdog:
        host = TrioHost(execution.world, lambda: _tick(execution, on_breath))
        try:
            await host.run(execution.start())
        except KeyboardInterrupt:
            execution.uncontrolled = tuple(host.uncontrolled)
            return execution.end("interrupted")
        except (trio.Cancelled, BaseExceptionGroup):
            execution.uncontrolled = tuple(host.uncontrolled)
            execution.end("cancelled")
            raise
        execution.uncontrolled = tuple(host.uncontrolled)
        _name_the_loop(execution.world, watchdog)
    return execution.end()


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
        raise ConfigError(f"no host {host!r}: there are trio and trampoline")
    import trio

    async def in_trio() -> Run:
        return await run_on_trio(
            scenario, settings, options, recorder=recorder, watch_s=watch_s, on_breath=on_breath
        )

    return trio.run(in_trio, restrict_keyboard_interrupt_to_checkpoints=True)


def _verdict(error: BaseException | None) -> Verdict:
    if error is None:
        return "ok"
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


def _name_the_loop(world: World, watchdog: Watchdog) -> None:
    """Put the watchdog's words in place of the bare exception it raised."""
    if isinstance(world.failure, LoopWithoutAwait):
        world.failure = NoProgress(watchdog.finding)


def _tick(execution: _Execution, on_breath: Callable[[World], None] | None) -> None:
    if execution.recorder is not None:
        execution.recorder.tick()
    if on_breath is not None:
        on_breath(execution.world)


@contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """Note Ctrl-C in place of raising it at any line; a second one is raised."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def on_sigint(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:
        yield asked
        return
    signal.signal(signal.SIGINT, on_sigint)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


__all__ = [
    "EmulatedFailure",
    "Run",
    "RunStopped",
    "run",
    "run_on_trampoline",
    "run_on_trio",
    "schedule_token",
]
