"""A run as a value: what to run goes in, what it came to comes out; both can be pickled."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from gorun_mem.analysis.metrics import Metrics
from gorun_mem.analysis.summary import Summary
from gorun_mem.events.recorder import Recorder
from gorun_mem.machine.config import Config, DoesNotFit
from gorun_mem.machine.library import find
from gorun_mem.machine.outcome import in_words
from gorun_mem.machine.run import run
from gorun_mem.machine.scenario import Scenario


@dataclass(frozen=True, slots=True)
class RunJob:
    """A run to be made.

    Args:
        scenario: what to run, by name or path.
        settings: fields of `Config` that differ from the scenario's; the seed is one.
        options: the scenario's options.
    """

    scenario: str
    settings: Mapping[str, Any]
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Measured:
    """What a run came to.

    Args:
        outcome: how it ended, as in `run.end`; "not_instantiable" where it could not begin.
        exit_code: what `gorun-mem run` would have exited with.
        metrics: as `run --json` has them.
        error: what ended it badly, "" where nothing did.
        wall_s: seconds of real time.
    """

    outcome: str
    exit_code: int
    metrics: Metrics = field(default_factory=dict)
    error: str = ""
    wall_s: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether the run ended well."""
        return self.outcome == "ok"


def measure(job: RunJob) -> Measured:
    """Make a run of a scenario that is found by its name.

    Raises:
        ScenarioError, ConfigError and their like: there is no such scenario, or it does not run
            with these settings.
        KeyboardInterrupt: Ctrl-C.
    """
    return measure_of(_found(job.scenario), job)


@lru_cache(maxsize=8)
def _found(reference: str) -> Scenario:
    return find(reference)


def measure_of(scenario: Scenario, job: RunJob) -> Measured:
    """Make a run of `scenario`, whatever `job` calls it."""
    config: Config = scenario.config(**job.settings)
    summary = Summary(whole=True)
    recorder = Recorder(None)
    recorder.subscribe(summary.feed)
    start = time.perf_counter()
    try:
        done = run(scenario, config, job.options, recorder=recorder)
    except DoesNotFit as error:
        return Measured("not_instantiable", 2, error=str(error))
    outcome = done.outcome
    if outcome.verdict == "interrupted":
        raise KeyboardInterrupt
    return Measured(
        outcome.verdict,
        outcome.exit_code,
        summary.metrics(),
        "" if outcome.error is None else in_words(outcome.error, scenario.file),
        time.perf_counter() - start,
    )
