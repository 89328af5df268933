"""Processes of this machine beside this one, which do what it hands them.

They are spawned and not forked: a watchdog's thread would not come along. They leave Ctrl-C to this
process from their very beginning, and end with it however it ends: SIGKILL too.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any, ParamSpec, TypeVar

from gorun_mem._interrupts import HeldInterrupts

P = ParamSpec("P")
T = TypeVar("T")


class Processes(ProcessPoolExecutor):
    """An executor; one that is dropped lets its processes end.

    Args:
        count: how many processes, the most.
        set_up: called in each process first, with `given`.
        given: pickled for each process.
    """

    def __init__(
        self, count: int, set_up: Callable[..., None] | None = None, given: tuple[Any, ...] = ()
    ) -> None:
        self._count = count
        super().__init__(
            count,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_begin,
            initargs=(set_up, given),
        )

    def submit(self, work: Callable[P, T], /, *args: P.args, **named: P.kwargs) -> Future[T]:
        """See `Executor`: it may start a process, and Ctrl-C in the middle of that is not lost."""
        with HeldInterrupts(deaf=True):
            return super().submit(work, *args, **named)

    def start(self) -> None:
        """Start all processes now: what they set up takes a while."""
        for _ in range(self._count):  # each starts one, while none is idle
            self.submit(_nothing)


def _begin(set_up: Callable[..., None] | None, given: tuple[Any, ...]) -> None:
    """In each process, first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):  # was blocked until here
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    if set_up is not None:
        set_up(*given)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _nothing() -> None:
    """Lets a process begin."""
