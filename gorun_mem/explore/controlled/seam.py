"""Where a search takes hold of trio: its run queue, its deadlines, its I/O.

trio's `Runner` does what it always does: it starts tasks, ends them, delivers cancellations. What
it holds in `runq`, `deadlines`, `io_manager` and `entry_queue` is ours. So a task that can go on is
told to the host, which lets a strategy decide when; a deadline is kept until the strategy lets it
pass; and what would reach out of the program is refused by name.

    runner.reschedule(task)       -> runq.append(task)        -> the task's M can go on
    CancelScope(deadline=...)     -> deadlines.add(...)       -> the clock has one more thing to do
    socket.recv, process.wait     -> io_manager.wait_...      -> uncontrolled
    to_thread, from_thread, ...   -> runner.current_trio_token() -> uncontrolled

trio's own loop (`unrolled_run`) does not run. What it does for one step of one task is in
`host.TrioHosting.resume`, line for line; tests hold the two to the same results.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from math import inf
from typing import Any, Final, NoReturn

import trio
from trio._core import _run
from trio._core._instrumentation import Instruments
from trio._core._run import GLOBAL_RUN_CONTEXT, CancelScope, CancelStatus, Runner

TrioTask = trio.lowlevel.Task
Refuse = Callable[[str, str], NoReturn]
"""Called with what was done and what to do instead; ends the run."""

CONTEXT: Final = GLOBAL_RUN_CONTEXT
LIBRARY: Final[Any] = vars(_run)["sniffio_library"]
"""What says which library's tasks run in this thread."""

STREAMS: Final = "inject the stream: trio.testing.memory_stream_pair()"
_ADVICE: Final = {
    "wait_readable": ("waits for a socket or file to be readable", STREAMS),
    "wait_writable": ("waits for a socket or file to be writable", STREAMS),
    "notify_closing": ("closes a socket or file that is waited for", STREAMS),
    "wait_kevent": ("waits for the kernel", STREAMS),
    "monitor_kevent": ("waits for the kernel", STREAMS),
    "wait_overlapped": ("waits for the kernel", STREAMS),
    "write_overlapped": ("waits for the kernel", STREAMS),
    "readinto_overlapped": ("waits for the kernel", STREAMS),
    "register_with_iocp": ("waits for the kernel", STREAMS),
}
THREADS: Final = (
    "uses threads, a subprocess, files or signals",
    "inject what runs there: pass an async function in, and in the test one without a thread",
)


class Nothing:
    """What a checkpoint comes to: an outcome of None that may be looked at more than once."""

    __slots__ = ()

    def unwrap(self) -> None:
        """None."""


NOTHING: Final[Any] = Nothing()


class RunQueue(deque[TrioTask]):
    """In the place of trio's run queue: tells the host who can go on.

    Args:
        wake: told of each.
    """

    def __init__(self, wake: Callable[[TrioTask], None]) -> None:
        super().__init__()
        self._wake = wake

    def append(self, task: TrioTask) -> None:
        """`task` can go on."""
        self._wake(task)


class Deadlines:
    """In the place of trio's heap of deadlines, which a scope's address orders where two are due.

    Attributes:
        scopes: by each scope that has a deadline, when that is and which it is in order.
    """

    __slots__ = ("_number", "scopes")

    def __init__(self) -> None:
        self.scopes: dict[CancelScope, tuple[float, int]] = {}
        self._number = 0

    def add(self, deadline: float, cancel_scope: CancelScope) -> None:
        """A scope has got a deadline."""
        self._number += 1
        self.scopes[cancel_scope] = (deadline, self._number)

    def remove(self, deadline: float, cancel_scope: CancelScope) -> None:
        """It has none any more."""
        self.scopes.pop(cancel_scope, None)

    def next_deadline(self) -> float:
        """The first; infinity if there is none."""
        return min(self.scopes.values())[0] if self.scopes else inf

    def first(self) -> list[CancelScope]:
        """Those whose deadline is the first, in the order in which they were given it."""
        at = self.next_deadline()
        found = [(number, scope) for scope, (when, number) in self.scopes.items() if when == at]
        return [scope for _, scope in sorted(found, key=_by_number)]


def _by_number(one: tuple[int, CancelScope]) -> int:
    return one[0]


class RefusedIO:
    """In the place of trio's I/O and of its queue for other threads.

    Args:
        refuse: ends the run.
    """

    __slots__ = ("_refuse",)

    def __init__(self, refuse: Refuse) -> None:
        self._refuse = refuse

    def __getattr__(self, name: str) -> Any:
        def refused(*args: object, **named: object) -> NoReturn:
            self._refuse(*_ADVICE.get(name, THREADS))

        return refused

    def run_sync_soon(
        self, sync_fn: Callable[..., object], *args: object, idempotent: bool = False
    ) -> None:
        """Only trio calls it, from this thread: an async generator was dropped half way."""
        sync_fn(*args)

    def statistics(self) -> None:
        """Nothing is waited for."""

    def size(self) -> int:
        """Nothing is queued."""
        return 0


class ControlledRunner(Runner):
    """trio's runner of one run of a search.

    Attributes:
        refused: what is refused.
        dues: the same as `deadlines`.
    """

    refused: RefusedIO
    dues: Deadlines

    def current_trio_token(self) -> NoReturn:
        """Refused: it is for other threads."""
        self.refused.threads()
        raise AssertionError  # it does not return


def new_runner(
    clock: trio.abc.Clock, wake: Callable[[TrioTask], None], refuse: Refuse
) -> ControlledRunner:
    """A runner for one run.

    Args:
        clock: what the program takes for the time.
        wake: told of each task that can go on.
        refuse: ends the run.
    """
    refused, dues = RefusedIO(refuse), Deadlines()
    ours: Any = {
        "io_manager": refused,
        "entry_queue": refused,
        "ki_manager": None,
        "runq": RunQueue(wake),
        "waiting_for_idle": {},
        "deadlines": dues,
        "system_context": copy_context(),
    }
    runner = ControlledRunner(
        clock=clock, instruments=Instruments(()), strict_exception_groups=True, **ours
    )
    runner.refused, runner.dues = refused, dues
    return runner


def without_ours(error: BaseException) -> BaseException:
    """`error` without the frame of this module."""
    back = error.__traceback__
    return error.with_traceback(back.tb_next if back is not None else None)


def first_of(error: BaseException) -> BaseException:
    """What a nursery's group has to say: the exception that came first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def open_scope(trio_task: TrioTask) -> CancelScope:
    """Let a task be in a new scope, which is never left."""
    scope = CancelScope()
    scope._has_been_entered = True
    scope._cancel_status = CancelStatus(scope=scope, parent=trio_task._cancel_status)
    trio_task._activate_cancel_status(scope._cancel_status)
    return scope


def dissolve(runner: ControlledRunner, root: TrioTask) -> None:
    """Part from a runner whose run is over, and let its parts go each by itself."""
    ours: Any = runner
    ours.runq = ours.io_manager = ours.entry_queue = ours.refused = None
    ours.init_task = ours.main_task = ours.system_nursery = None
    runner.tasks.clear()
    root._child_nurseries.clear()
    root._activate_cancel_status(None)


def scope_around(trio_task: TrioTask) -> CancelScope:
    """A scope around all that a task does, which is not left before it ends."""
    outer = trio_task._cancel_status
    while outer._parent is not None and outer._parent._parent is not None:
        outer = outer._parent
    scope = CancelScope()
    status = CancelStatus(scope=scope, parent=outer.parent)
    scope._has_been_entered = True
    scope._cancel_status = status
    if trio_task._cancel_status is outer:
        trio_task._activate_cancel_status(status)
    else:
        outer.parent = status
    return scope
