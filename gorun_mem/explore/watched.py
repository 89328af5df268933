"""The engine of whichever World of a search runs, as a watchdog sees it."""

from __future__ import annotations

from typing import Any


class Watched:
    """Stands for the engine of whichever World runs, so one watchdog sees to a whole search."""

    def __init__(self) -> None:
        self.now: Any = None

    @property
    def running(self) -> Any:
        """The M whose coroutine runs."""
        return None if self.now is None else self.now.running

    @property
    def current(self) -> Any:
        """The M that made the last step."""
        return None if self.now is None else self.now.current

    @property
    def steps(self) -> int:
        """Steps of the run."""
        return 0 if self.now is None else self.now.steps

    def watch(self, world: Any) -> None:
        """`world` is about to run."""
        self.now = world.engine
