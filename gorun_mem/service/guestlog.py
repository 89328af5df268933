"""The log of a stretch of a service's run, as if a run began and ended there.

Every event of the World is in it, whoever's it is, numbered and timed from its beginning on; so a
report of it shows a guest among those it met. What had begun before has no beginning in it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from msgspec.structs import replace

from gorun_mem.events.errors import LogError
from gorun_mem.events.log import EventLogger, open_log
from gorun_mem.events.recorder import Recorder
from gorun_mem.machine.run import start_facts
from gorun_mem.runtime.pages import pages_of

if TYPE_CHECKING:
    from gorun_mem.events.types import LogEvent
    from gorun_mem.machine.scenario import Scenario
    from gorun_mem.machine.world import World

EVENTS_MAX: Final = 1_000_000
"""A log that grows longer ends there, and says so by having no end."""


class Logged(Protocol):
    """What is said of a guest in its log's first and last line."""

    scenario: Scenario
    options: dict[str, Any]
    ms_asked: int
    outcome: Any
    error: str
    failed_m: int
    results: dict[str, Any]


class GuestLog:
    """It.

    Args:
        path: the file.
        heard: the recorder of the service.

    Attributes:
        is_whole: whether every event could be written.
    """

    def __init__(self, path: str, heard: Recorder) -> None:
        self.path = path
        self.is_whole = True
        self._heard = heard
        self._logger: EventLogger | None = None
        self._recorder = Recorder()
        self._from_ns = 0
        self._unsubscribe: Callable[[], None] = lambda: None

    def begin(self, world: World, guest: Logged) -> None:
        """Write run.start, and then whatever happens.

        Raises:
            LogError: the file cannot be opened.
        """
        self._logger = open_log(self.path)
        recorder = self._recorder = Recorder(self._logger)
        recorder.run_start(**start_facts(world, guest.scenario, guest.options, guest.ms_asked))
        self._from_ns = world.engine.now_ns
        self._unsubscribe = self._heard.subscribe(self._hear)

    def _hear(self, event: LogEvent) -> None:
        recorder = self._recorder
        if recorder.seq >= EVENTS_MAX:
            self._cut()
            return
        recorder.seq = seq = recorder.seq + 1
        assert self._logger is not None
        try:
            self._logger.emit(replace(event, seq=seq, t_ns=max(0, event.t_ns - self._from_ns)))
        except LogError:
            self._cut()

    def _cut(self) -> None:
        self._unsubscribe()
        self.is_whole = False

    def end(self, world: World, guest: Logged) -> None:
        """Write run.end, unless the log was cut."""
        self._unsubscribe()
        if self._logger is None:
            return
        with contextlib.suppress(LogError):
            if self.is_whole:
                self._write_end(world, guest)
            self._logger.close()

    def _write_end(self, world: World, guest: Logged) -> None:
        recorder, outcome = self._recorder, guest.outcome
        recorder.now = lambda: max(0, world.engine.now_ns - self._from_ns)
        verdict: Any = outcome
        recorder.run_end(
            verdict,
            final_pages=pages_of(world.runtime.os.top),
            steps=world.engine.steps,
            error_type=guest.error.partition(":")[0] if outcome == "failed" else "",
            error=guest.error,
            failed_m=guest.failed_m,
            uncontrolled=True,
            uncontrolled_at=("the World of a service, which clients use meanwhile",),
            results=guest.results,
        )
