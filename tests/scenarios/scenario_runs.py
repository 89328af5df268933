"""Run a scenario of the library and keep everything that it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gorun_mem import Run, Scenario, run
from gorun_mem.events import CapturedEvents, MemorySink, Recorder, capture_events
from gorun_mem.events.log import json_logger
from gorun_mem.machine.config import Host
from gorun_mem.machine.library import find

HOSTS: tuple[Host, ...] = ("trampoline", "trio")


@dataclass(frozen=True)
class Logged:
    """A run, its events and its log as written."""

    run: Run
    events: CapturedEvents
    log: bytes

    @property
    def exit_code(self) -> int:
        return self.run.outcome.exit_code

    @property
    def results(self) -> dict[str, Any]:
        return dict(self.run.results)

    def named(self, name: str) -> list[Any]:
        return self.events.named(name)

    def after(self, seq: int, name: str) -> list[Any]:
        """The events called `name` that come after `seq`."""
        return [event for event in self.named(name) if event.seq > seq]


def logged(
    scenario: str | Scenario, host: Host = "trampoline", config: Any = None, **options: Any
) -> Logged:
    """Run a scenario, by name or itself.

    Args:
        scenario: what to run.
        host: which host.
        config: changes of its settings, a dict.
        options: its options.
    """
    if isinstance(scenario, str):
        scenario = find(scenario)
    sink = MemorySink()
    recorder = Recorder(json_logger(sink))
    with capture_events(recorder) as events:
        done = run(
            scenario, scenario.config(**(config or {})), options, host=host, recorder=recorder
        )
    return Logged(done, events, sink.data)
