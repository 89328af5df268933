"""What Ctrl-C does before there is a verb, and after it; what SIGTERM and SIGHUP do.

Importing takes most of the first tenths of a second, and nothing is lost by ending in it; a
KeyboardInterrupt out of an import, or out of the interpreter's own end, is a traceback for nobody.
Between, the verb has Python's own handler, which trio's runs and searches put theirs over. Where
that strikes while the interpreter calls a finalizer or the collector's callbacks, it is printed and
dropped; here it comes again.

SIGTERM and SIGHUP end a verb as Ctrl-C does, with its log, its processes and its scratch files in
order, and then by the signal.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # `signal` takes milliseconds more
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Thread
    from types import FrameType

INTERRUPTED = 130
AGAIN_S = 0.01
"""How long a callback that was interrupted may take to end."""
PARENT_S = 1.0
"""How often a process looks whether who started it is still there."""

_ended_by = 0


def end_at_interrupt() -> None:
    """From now on Ctrl-C ends the process at once; not where it is ignored, as under nohup."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def raise_interrupts() -> None:
    """From now on Ctrl-C is a KeyboardInterrupt, after `end_at_interrupt`."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def end_as_interrupted() -> None:
    """From now on SIGTERM and SIGHUP are Ctrl-C, until the process dies of them in the end."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _interrupt)


def ended_by() -> int:
    """The signal that ends the process as Ctrl-C does, 0 where there was none."""
    return _ended_by


def die_of_signal() -> None:
    """Die of the signal that ended the verb, if one did: who started it is to know."""
    if _ended_by:
        signal.signal(_ended_by, signal.SIG_DFL)
        os.kill(os.getpid(), _ended_by)


class HeldInterrupts:
    """Ctrl-C waits for the end of the block, and comes then; a context manager.

    Args:
        deaf: a process that begins in the block never hears it.
    """

    def __init__(self, *, deaf: bool = False) -> None:
        self._deaf = deaf
        self._came = False
        self._usual: object = None
        self._mask: set[int] | None = None

    def __enter__(self) -> HeldInterrupts:
        usual = signal.getsignal(signal.SIGINT)
        if callable(usual) and _in_main_thread():
            signal.signal(signal.SIGINT, self._note)
            self._usual = usual
        if self._deaf and hasattr(signal, "pthread_sigmask"):
            self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        return self

    def __exit__(self, *failed: object) -> None:
        if self._mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        if self._usual is not None:
            signal.signal(signal.SIGINT, self._usual)
        if self._came:
            signal.raise_signal(signal.SIGINT)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._came = True


def start_thread(thread: Thread, stop: Callable[[], None]) -> None:
    """Start a thread; `stop` it where Ctrl-C comes out of that, for it may be at work by then."""
    try:
        thread.start()
    except BaseException:
        stop()
        raise


def end_with(parent: int) -> None:
    """End the process once `parent`, which has started it, is there no more."""
    import threading
    import time

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_S)
        os._exit(1)

    threading.Thread(target=look, name="parent", daemon=True).start()


def lose_no_interrupt(dropped: sys.UnraisableHookArgs) -> None:
    """A callback of the interpreter's has failed: an interrupt was meant for all."""
    if dropped.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(dropped)
        return
    import threading

    again = threading.Timer(AGAIN_S, os.kill, (os.getpid(), signal.SIGINT))
    again.daemon = True
    again.start()


def _in_main_thread() -> bool:
    import threading

    return threading.current_thread() is threading.main_thread()


def _interrupt(number: int, frame: FrameType | None) -> None:
    global _ended_by
    _ended_by = number
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        die_of_signal()
    signal.raise_signal(signal.SIGINT)


def end_now() -> None:
    """End the process at once, as interrupted."""
    try:
        os.write(2, b"gorun-mem: interrupted\n")
    except OSError:
        pass
    die_of_signal()
    os._exit(INTERRUPTED)


def _end(number: int, frame: FrameType | None) -> None:
    end_now()
