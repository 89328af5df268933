"""How a search goes about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gorun_mem.machine.config import ConfigError
from gorun_mem.step.strategies import for_searches

JOBS_MAX: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSettings:
    """How to search.

    Args:
        strategy: one of `for_searches()`.
        seed: of everything that is drawn.
        budget: schedules to run at most, None for no bound.
        time_s: seconds of real time to search for at most, None for no bound.
        jobs: processes to search in.
        bound: of "dfs": departures from run-to-block at most.
        steps_max: steps after which a run counts as without progress.
        failures_max: failures of different signatures to find before stopping.
        canary: look for the planted bug first.
        watch_s: how long an M may run without an await, in seconds of real time; 0 for ever.
        cluster: address of a Dask scheduler whose workers search; "" for none.

    Raises:
        ConfigError: one of them cannot be so.
    """

    strategy: str
    seed: int
    budget: int | None
    time_s: float | None
    jobs: int
    bound: int | None
    steps_max: int
    failures_max: int
    canary: bool
    watch_s: float
    cluster: str = ""

    def __post_init__(self) -> None:
        if self.strategy not in for_searches():
            known = ", ".join(for_searches())
            raise ConfigError(f"no strategy {self.strategy!r}: a search has {known}")
        for name, value, low in (
            ("budget", self.budget, 1),
            ("bound", self.bound, 0),
            ("steps_max", self.steps_max, 1),
            ("failures_max", self.failures_max, 1),
        ):
            if value is not None and value < low:
                raise ConfigError(f"{name} = {value}: must be at least {low}")
        if self.time_s is not None and not self.time_s > 0:
            raise ConfigError(f"time_s = {self.time_s}: must be above 0 seconds")
        if not 1 <= self.jobs <= JOBS_MAX:
            raise ConfigError(f"jobs = {self.jobs}: must be from 1 to {JOBS_MAX}")
        if self.cluster and self.jobs > 1:
            raise ConfigError(
                f"jobs = {self.jobs} and a cluster: the cluster has its own; give one of the two"
            )
        if self.bound is not None and self.strategy != "dfs":
            raise ConfigError(
                f"bound = {self.bound}: only strategy dfs has a bound, not {self.strategy}"
            )
