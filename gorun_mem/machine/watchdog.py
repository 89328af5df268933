"""Finds an M that runs without awaiting anything, and says which and where.

Neither host can take the CPU back from Python code that loops. A thread looks now and then whether
the same M is still in the same stretch of code; after `limit_s` it notes the M and the line and
raises `LoopWithoutAwait` in the thread that runs it.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from gorun_mem.machine.world import World

LIMIT_S: Final = 5.0
_OWN: Final = ("/gorun_mem/machine/", "/gorun_mem/sched/", "/trio/", "/gorun_mem/runtime/")


class LoopWithoutAwait(Exception):
    """An M kept running without awaiting anything.

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
        while not self._end.wait(self._limit_s / 2):
            now = (engine.running, engine.steps)
            if engine.running is not None and now == seen:
                self._report(engine.running)
                return
            seen = now

    def _report(self, m: Any) -> None:
        frame = sys._current_frames().get(self._thread_id)
        place = _place(frame)
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
    """The innermost line outside this package, as "file:line"; None where the host itself runs."""
    while frame is not None:
        name = frame.f_code.co_filename
        if not any(own in name.replace("\\", "/") for own in _OWN):
            if name.endswith(("/threading.py", "/selectors.py")):
                return None
            return f"{name}:{frame.f_lineno}"
        if "/trio/" in name.replace("\\", "/"):
            return None
        frame = frame.f_back
    return None
