"""The least limit of pages at which a program lives.

A run that died of a limit says what its last call needed. With that much it may die of a later
call, so whoever wants to know what would do runs it again: once without a limit, for the pages that
it takes then, and with less for as long as it lives. A call that dies below a limit dies of all
limits up to the one that it needs, so mostly one more run settles it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from gorun_mem.machine.config import Config, DoesNotFit
from gorun_mem.machine.run import run
from gorun_mem.machine.scenario import Scenario
from gorun_mem.runtime.boot import MAX_PAGES
from gorun_mem.runtime.errors import OutOfMemory

RUNS_MAX: Final = 24


class _Try(NamedTuple):
    """A run under a limit.

    Args:
        lives: it came to its end.
        pages: those that it had; where it died, the limit that its last call needs.
    """

    lives: bool
    pages: int


def smallest_limit(
    scenario: Scenario, config: Config, options: Mapping[str, Any] | None = None
) -> int | None:
    """The least `max_pages` at which a scenario that died of its limit comes to its end.

    Args:
        scenario: what died.
        config: its settings.
        options: its options by name.

    Returns:
        Pages of 64 KiB: with them it lives, with one less it was seen to die. None where it does
        not live without a limit either.
    """
    low = config.max_pages
    free = _try(scenario, config, options, MAX_PAGES)
    if not free.lives:
        return None
    high = free.pages
    at = high - 1
    for _ in range(RUNS_MAX):
        if high <= low + 1:
            break
        found = _try(scenario, config, options, at)
        if found.lives:
            high = min(at, found.pages)
        else:
            low = max(at, min(found.pages, high) - 1)
        at = (low + high) // 2
    return high


def _try(scenario: Scenario, config: Config, options: Mapping[str, Any] | None, limit: int) -> _Try:
    try:
        done = run(scenario, config.but(max_pages=limit), options)
    except DoesNotFit as too_large:
        return _Try(False, too_large.needed)
    if done.outcome.ok:
        return _Try(True, done.world.snapshot().pages)
    error = done.outcome.error
    if isinstance(error, OutOfMemory) and error.refusal is not None:
        return _Try(False, error.refusal.needed)
    return _Try(False, limit + 1)
