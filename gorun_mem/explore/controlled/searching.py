"""Runs of a search under which trio is controlled."""

from __future__ import annotations

from typing import Any, Final

from gorun_mem.explore.controlled.engine import TrioEngine
from gorun_mem.explore.controlled.host import ControlledTrio
from gorun_mem.explore.controlled.seam import first_of
from gorun_mem.explore.drive import OF_THE_SEARCH, broken_off, raised
from gorun_mem.explore.foreign import of_asyncio
from gorun_mem.machine.coroutine import ForeignAwait, where
from gorun_mem.machine.driver import Driver
from gorun_mem.step.strategies.replay import Diverged
from gorun_mem.step.task import Task


class SearchingTrio(ControlledTrio):
    """Runs one World of a search: what the strategy raises is none of the program's doing."""

    def _raised(self, task: Task, error: BaseException) -> None:
        raised(self._driver, task, error)

    def _broken_off(self, error: Exception) -> None:
        current = self._engine.current
        broken_off(self._driver, error, self._coro_of(current) if current is not None else None)

    def _is_fatal(self, error: BaseException) -> bool:
        return isinstance(first_of(error), (*OF_THE_SEARCH, Diverged)) or super()._is_fatal(error)

    def _foreign(self, task: Task, coro: Any) -> ForeignAwait:
        return of_asyncio(task, where(coro))


engine_for: Final = TrioEngine
"""The engine of a run."""


def host_for(driver: Driver) -> SearchingTrio:
    """The host of the run whose Ms `driver` has."""
    engine: Any = driver.engine
    host = SearchingTrio(driver, engine.faults)
    engine.host = host
    return host
