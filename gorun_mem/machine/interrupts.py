"""Ctrl-C while Ms run: the first is noted, to be seen to between steps or runs; the second goes
through."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interrupts(on_first: Callable[[], None] | None = None) -> Iterator[threading.Event]:
    """Set by the first Ctrl-C, in place of raising it at any line; the second is raised.

    Where another thread calls, or somebody handles Ctrl-C already, it is left to them.

    Args:
        on_first: called when the first has come.
    """
    asked = threading.Event()

    def on_sigint(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        if on_first is not None:
            on_first()

    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield asked
        return
    signal.signal(signal.SIGINT, on_sigint)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def ending_signals() -> tuple[signal.Signals, ...]:
    """What ends a service: Ctrl-C, SIGTERM, and that its terminal has gone; not under nohup."""
    ends = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        ends.append(signal.SIGHUP)
    return tuple(ends)
