"""Finds what an M makes and never awaits: an operation, or the coroutine of a method.

`m.sys_alloc(n)` without `await` does nothing, and Python says so, if at all, in a warning. Here it
ends the run, at the moment when the thing is dropped: that is in the same statement, or where the
last variable that holds it goes. So it is the same moment in every run of the same schedule, and it
costs a run that forgets nothing one flag for each operation.

An operation tells by its `__del__` (see `gorun_mem.runtime.op`); of a coroutine the interpreter
calls `warnings._warn_unawaited_coroutine`, which has another function in its place while somebody
listens. Rejected: a filter for the warning, which would change those of the user's program, and is
told the text but not the coroutine; to note where each is made, which costs more than to make it.

Not found: what lies in a cycle of references, which goes when the collector comes by.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import get_ident
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol

from gorun_mem.machine.outcome import NeverAwaited
from gorun_mem.runtime.op import FORGOTTEN, INSIDE, Op

if TYPE_CHECKING:
    from gorun_mem.machine.driver import Driver
    from gorun_mem.step.task import Task

_KERNELS: Final = "gorun_mem.explore.kernels"
_HOOK: Final = "_warn_unawaited_coroutine"
_NO_THREAD: Final = 0
_listeners: Final[list[Listening]] = []
_collecting: Final[set[int]] = set()
"""Threads in which the collector is at work."""
_python_warns: Callable[[Any], None] | None = getattr(warnings, _HOOK, None)


class Listening(Protocol):
    """Who is told of what is dropped in a thread.

    Attributes:
        thread: in which its Ms run.
    """

    thread: int

    def dropped(self, thing: Any) -> bool:
        """An operation or a coroutine is dropped; whether an M of its World has done it."""


class Listener:
    """Fails a World when its Ms drop what they have not awaited; a context manager.

    Args:
        driver: of the World whose Ms run, in this thread, while it is entered.
        coro: the coroutine of an M of that World, None if it is not running; where nothing is
            given, whatever runs in the thread counts as the World's M 0.
    """

    __slots__ = ("_coro", "_driver", "thread")

    def __init__(self, driver: Driver, coro: Callable[[Task], Any] | None = None) -> None:
        self._driver = driver
        self._coro = coro
        self.thread = get_ident()

    def __enter__(self) -> Listener:
        listen(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        hear_no_more(self)

    def dropped(self, thing: Any) -> bool:
        """An operation or a coroutine is dropped; whether an M of this World has done it."""
        driver = self._driver
        if self._coro is None:
            return tell(driver, thing, driver.main, None, any_code=True)
        m: Any = driver.engine.running or driver.main
        return tell(driver, thing, m, self._coro(m))


class Nobody(Listener):
    """A listener of no thread; a context manager.

    To be entered around many runs: what tells of the dropped then stays in place from one to the
    next, where each Listener would put it there and take it away again.
    """

    __slots__ = ()

    def __init__(self) -> None:
        self.thread = _NO_THREAD


def listen(one: Listening) -> None:
    """Tell `one` of what is dropped, until `hear_no_more`."""
    if not _listeners:
        _begin()
    _listeners.append(one)


def hear_no_more(one: Listening) -> None:
    """Do not tell `one` any more."""
    _listeners.remove(one)
    if not _listeners:
        _end()


def tell(driver: Driver, thing: Any, m: Any, coro: Any, *, any_code: bool = False) -> bool:
    """Fail a World of which an M has dropped an operation or a coroutine.

    Args:
        driver: of the World.
        thing: what is dropped.
        m: the M that runs.
        coro: its coroutine; None if that does not run.
        any_code: whatever runs in the thread is the M's.

    Returns:
        Whether it was an M of the World.
    """
    if INSIDE and INSIDE[-1][0].sched is driver.engine:
        m, coro = INSIDE[-1]  # of a lock of the user's, inside a step
    if coro is None and not any_code:
        return False
    if driver.stopped:  # it is being unwound
        return True
    if not isinstance(thing, Op):
        what = f"{thing.__qualname__}()"
    elif hasattr(thing, "kind") and hasattr(thing, "obj"):
        what = f"<{thing.kind} {thing.obj}>"
    else:
        return True  # its __init__ has failed, which is what counts
    place = _place(sys._getframe(1), coro)
    made = f"at {place}"
    origin = getattr(thing, "cr_origin", None)
    if origin:
        file, line, _ = origin[0]
        made = f"at {_line(file, line)}"
    elif not place:
        place = _beginning(coro)
        made = f"somewhere in {m.name}, which begins at {place}" if place else f"in {m.name}"
    text = f"{what} was made {made} and never awaited, so it did nothing: write `await` there"
    driver.failed(m, NeverAwaited(text, what, place))
    return True


class _Noting(threading.local):
    """Who wants origins in a thread, and how it was before."""

    users = 0
    before = 0


_noting: Final = _Noting()


@contextmanager
def noting_origins() -> Iterator[None]:
    """Let the interpreter note where each coroutine is made, for the text of what is found.

    It takes half as long again to make one; without, the line where it is dropped is named, which
    mostly is the same.
    """
    if not _noting.users:
        _noting.before = sys.get_coroutine_origin_tracking_depth()
        sys.set_coroutine_origin_tracking_depth(max(_noting.before, 1))
    _noting.users += 1
    try:
        yield
    finally:
        _noting.users -= 1
        if not _noting.users:
            sys.set_coroutine_origin_tracking_depth(_noting.before)


def _begin() -> None:
    FORGOTTEN.append(_dropped)
    gc.callbacks.append(_collects)
    setattr(warnings, _HOOK, _coroutine_dropped)


def _end() -> None:
    FORGOTTEN.clear()
    gc.callbacks.remove(_collects)
    if _python_warns is None:
        delattr(warnings, _HOOK)
    else:
        setattr(warnings, _HOOK, _python_warns)


def _collects(phase: str, info: dict[str, int]) -> None:
    """The collector begins or ends: what it drops was forgotten at another time."""
    if phase == "start":
        _collecting.add(get_ident())
    else:
        _collecting.discard(get_ident())


def _dropped(thing: object) -> bool:
    """Tell whose M runs in this thread; whether there is one."""
    thread = get_ident()
    if thread in _collecting:
        return False
    return any(one.dropped(thing) for one in reversed(_listeners) if one.thread == thread)


def _coroutine_dropped(coro: Any) -> None:
    """Called by the interpreter for a coroutine that goes before it began."""
    if not _dropped(coro) and _python_warns is not None:
        _python_warns(coro)


def _place(frame: FrameType | None, coro: Any) -> str:
    """The innermost line of the program that is running, as "file:line".

    Args:
        frame: where to begin, going outwards.
        coro: the M's coroutine, which it does not leave; None for any code.

    Returns:
        "" if that coroutine does not run any more.
    """
    outermost = getattr(coro, "cr_frame", None)
    found = ""
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if not found and (not module.startswith("gorun_mem.") or module.startswith(_KERNELS)):
            found = _line(frame.f_code.co_filename, frame.f_lineno)
        if frame is outermost or (found and coro is None):
            return found
        frame = frame.f_back
    return ""


def _beginning(coro: Any) -> str:
    code = getattr(coro, "cr_code", None)
    return _line(code.co_filename, code.co_firstlineno) if code is not None else ""


def _line(file: str, number: int) -> str:
    """ "file:line" without the folder: a log is the same wherever the program lies."""
    return f"{os.path.basename(file)}:{number}"
