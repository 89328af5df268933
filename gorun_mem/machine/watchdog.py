"""Finds an M that runs without awaiting anything, and says which and where.

Neither host can take the CPU back from Python code that loops. A thread looks now and then whether
the same M is still in the same stretch of code; after `limit_s` it notes the M and the line and
raises `LoopWithoutAwait` in the thread that runs it.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from gorun_mem.machine.world import World

LIMIT_S: Final = 5.0
_LOOKS: Final = 8
"""How often it looks within the limit."""
_HOSTS: Final = (
    "gorun_mem.machine.coroutine",
    "gorun_mem.machine.run",
    "gorun_mem.machine.trampoline",
    "gorun_mem.machine.trio_host",
    "gorun_mem.explore.search",
)
"""What resumes Ms, or calls what does: a compiled host has no frame of its own."""


class LoopWithoutAwait(BaseException):
    """An M kept running without awaiting anything; no Exception, which its loop may catch.

    Raised by the watchdog with no arguments; `Watchdog.finding` has the words.
    """


class Watchdog:
    """Watches one World while it runs; a context manager.

    Args:
        world: what to watch.
        limit_s: how long an M may run without an await, in seconds of real time; 0 for ever.

    Attributes:
        finding: who was found where, "" if nobody was.
    """

    def __init__(self, world: World, limit_s: float = LIMIT_S) -> None:
        self._world = world
        self._limit_s = limit_s
        self._thread_id = threading.get_ident()
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        self.finding = ""

    def __enter__(self) -> Watchdog:
        if self._limit_s > 0:
            self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        engine = self._world.engine
        seen: tuple[object, int] = (None, -1)
        since = time.monotonic()
        while not self._end.wait(self._limit_s / _LOOKS):
            now = (engine.running, engine.steps)
            if engine.running is None or now != seen:
                seen, since = now, time.monotonic()
            elif time.monotonic() - since >= self._limit_s:
                self._report(engine.current)
                seen = (None, -1)  # it may catch what is raised: look again

    def _report(self, m: Any) -> None:
        place = _place(sys._current_frames().get(self._thread_id))
        if place is None:
            return
        self.finding = (
            f"M{m.id} ({m.name}) has run for {self._limit_s:g} s without awaiting anything, at "
            f"{place}; await an operation in the loop, such as m.pause()"
        )
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(self._thread_id), ctypes.py_object(LoopWithoutAwait)
        )


def _place(frame: FrameType | None) -> str | None:
    """The innermost line outside this package, as "file:line"; None where no M runs."""
    place = None
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module in _HOSTS:
            return place
        if place is None and not module.startswith("gorun_mem."):
            place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        frame = frame.f_back
    return None
