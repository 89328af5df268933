"""Finds an M that runs without awaiting anything, and says which and where.

Neither host can take the CPU back from Python code that loops. A thread looks now and then whether
the same M is still in the same stretch of code; after `limit_s` it notes the M and the line and
raises `LoopWithoutAwait` in the thread that runs it.

What counts is an M's own time: while it has another World run aside, that World's Ms are watched,
and its own clock stands.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Final, Protocol

from gorun_mem._interrupts import start_thread
from gorun_mem.machine.driver import Driver
from gorun_mem.machine.outcome import NoProgress

LIMIT_S: Final = 5.0
_LOOKS: Final = 8
"""How often it looks within the limit."""
_HOSTS: Final = (
    "gorun_mem.machine.coroutine",
    "gorun_mem.machine.trampoline",
    "gorun_mem.machine.trio_host",
)
"""What resumes Ms, or calls what does (`coroutine.hosting`)."""


_watching: Final[dict[int, list[Watchdog]]] = {}
"""By thread, who watches it."""


class LoopWithoutAwait(BaseException):
    """An M kept running without awaiting anything; no Exception, which its loop may catch.

    Raised by the watchdog with no arguments; `Watchdog.finding` has the words.
    """


class Watchable(Protocol):
    """An engine, as far as the watchdog looks at it."""

    @property
    def running(self) -> Any:
        """The M whose coroutine runs, None between."""

    @property
    def current(self) -> Any:
        """The M that made the last step."""

    @property
    def steps(self) -> int:
        """Accesses made so far."""


class _Stretch:
    """The code that an M of one World runs between two awaits, on a clock of its own."""

    __slots__ = ("_aside_s", "_away_since", "_seen", "_since", "engine")

    def __init__(self, engine: Watchable) -> None:
        self.engine = engine
        self._aside_s = 0.0
        self._away_since = 0.0
        self._seen: tuple[object, int] = (None, -1)
        self._since = 0.0

    def leave(self) -> None:
        """Another World begins to run aside."""
        self._away_since = time.monotonic()

    def come_back(self) -> None:
        """It has ended."""
        self._aside_s += time.monotonic() - self._away_since

    def own_s(self) -> float:
        """How long the M has been in the same stretch, in seconds without what ran aside."""
        now = time.monotonic() - self._aside_s
        seen = (self.engine.running, self.engine.steps)
        if self.engine.running is None or seen != self._seen:
            self._seen, self._since = seen, now
        return now - self._since

    def begin_again(self) -> None:
        """What was raised in it may have been caught: count from here."""
        self._seen = (None, -1)


class Watchdog:
    """Watches one World while it runs; a context manager.

    Args:
        engine: of the World to watch.
        limit_s: how long an M may run without an await, in seconds of real time; 0 for ever.

    Attributes:
        finding: who was found where, "" if nobody was.
    """

    def __init__(self, engine: Watchable, limit_s: float = LIMIT_S) -> None:
        self._stretches = [_Stretch(engine)]
        self._limit_s = limit_s
        self._thread_id = threading.get_ident()
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        self.finding = ""

    def __enter__(self) -> Watchdog:
        if self._limit_s > 0:
            self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
            start_thread(self._thread, self._end.set)
            _watching.setdefault(self._thread_id, []).append(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end.set()
        if self._thread is not None:
            _watching[self._thread_id].remove(self)
            if not _watching[self._thread_id]:
                del _watching[self._thread_id]
            self._thread.join()

    def explain(self, driver: Driver) -> None:
        """Put words in place of the bare exception that was raised in a loop without an await."""
        if isinstance(driver.failure, LoopWithoutAwait):
            driver.failure = NoProgress(self.finding)

    def aside_begins(self, engine: Watchable) -> None:
        """The M that runs has the World of `engine` run aside."""
        self._stretches[-1].leave()
        self._stretches.append(_Stretch(engine))

    def aside_ends(self) -> None:
        """That World has ended, and the M goes on."""
        self._stretches.pop()
        self._stretches[-1].come_back()

    def _watch(self) -> None:
        while not self._end.wait(self._limit_s / _LOOKS):
            stretch = self._stretches[-1]
            if stretch.own_s() >= self._limit_s:
                self._report(stretch.engine.current)
                stretch.begin_again()

    def _report(self, m: Any) -> None:
        place = _place(sys._current_frames().get(self._thread_id))
        if place is None:
            return
        self.finding = (
            f"M{m.id} ({m.name}) has run for {self._limit_s:g} s without awaiting anything, at "
            f"{place}; await an operation in the loop, such as m.pause(), or let it take longer "
            "with --watchdog SECONDS"
        )
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(self._thread_id), ctypes.py_object(LoopWithoutAwait)
        )


@contextmanager
def aside(engine: Watchable) -> Iterator[None]:
    """While the World of `engine` runs aside, its Ms are watched; who waits is not timed."""
    dogs = tuple(_watching.get(threading.get_ident(), ()))
    for dog in dogs:
        dog.aside_begins(engine)
    try:
        yield
    finally:
        for dog in dogs:
            dog.aside_ends()


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
