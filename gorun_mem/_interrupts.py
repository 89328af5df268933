"""What Ctrl-C does before there is a verb, and after it.

Importing takes most of the first tenths of a second, and nothing is lost by ending in it; a
KeyboardInterrupt out of an import, or out of the interpreter's own end, is a traceback for nobody.
Between, the verb has Python's own handler, which trio's runs and searches put theirs over. Where
that strikes while the interpreter calls a finalizer or the collector's callbacks, it is printed and
dropped; here it comes again.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # `signal` takes milliseconds more
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

INTERRUPTED = 130
AGAIN_S = 0.01
"""How long a callback that was interrupted may take to end."""


def end_at_interrupt() -> None:
    """From now on Ctrl-C ends the process at once; not where it is ignored, as under nohup."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def raise_interrupts() -> None:
    """From now on Ctrl-C is a KeyboardInterrupt, after `end_at_interrupt`."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def lose_no_interrupt(dropped: sys.UnraisableHookArgs) -> None:
    """A callback of the interpreter's has failed: an interrupt was meant for all."""
    if dropped.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(dropped)
        return
    import threading

    again = threading.Timer(AGAIN_S, os.kill, (os.getpid(), signal.SIGINT))
    again.daemon = True
    again.start()


def _end(number: int, frame: FrameType | None) -> None:
    try:
        os.write(2, b"gorun-mem: interrupted\n")
    except OSError:
        pass
    os._exit(INTERRUPTED)
