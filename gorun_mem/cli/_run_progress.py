"""A line on the terminal while a run is under way."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from gorun_mem.cli._output import console, is_interactive

if TYPE_CHECKING:
    from rich.status import Status

    from gorun_mem.machine.world import World

PROGRESS_AFTER_S: Final = 1.0
PROGRESS_EVERY_S: Final = 0.1


class RunProgress:
    """Shows a terminal how far a long run is."""

    def __init__(self) -> None:
        self.wanted = is_interactive()
        self._start = time.monotonic()
        self._next = self._start + PROGRESS_AFTER_S
        self._status: Status | None = None

    def __enter__(self) -> RunProgress:
        return self

    def __exit__(self, *error: object) -> None:
        if self._status is not None:
            self._status.stop()

    def show(self, world: World) -> None:
        """Say how far `world` is, if it is time to."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + PROGRESS_EVERY_S
        if self._status is None:
            self._status = console().status("")
            self._status.start()
        self._status.update(_progress_line(world, now - self._start))


def _progress_line(world: World, seconds: float) -> str:
    from gorun_mem.report.units import ns
    from gorun_mem.runtime.pages import pages_of

    engine, os_layer = world.engine, world.runtime.os
    pages = pages_of(os_layer.top)
    return (
        f"{engine.steps:,} steps ({engine.steps / max(seconds, 0.001):,.0f}/s), "
        f"{max(engine.alive - 1, 0)} Ms alive, {ns(engine.now_ns)} virtual, {pages:,} pages"
    )
