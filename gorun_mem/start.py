"""Where the program starts, and ends: what Ctrl-C does before there is a verb, and after it.

Importing takes most of the first tenths of a second, and nothing is lost by ending in it; a
KeyboardInterrupt out of an import, or out of the interpreter's own end, is a traceback for nobody.
Between, the verb has Python's own handler, which trio's runs and searches put theirs over.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # `signal` takes milliseconds more
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

INTERRUPTED = 130


def main() -> int:
    """The command line; answers with an exit code."""
    end_at_interrupt()
    from gorun_mem.cli import main as run

    try:
        return run()
    finally:
        end_at_interrupt()


def end_at_interrupt() -> None:
    """From now on Ctrl-C ends the process at once; not where it is ignored, as under nohup."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def raise_interrupts() -> None:
    """From now on Ctrl-C is a KeyboardInterrupt, after `end_at_interrupt`."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(number: int, frame: FrameType | None) -> None:
    try:
        os.write(2, b"gorun-mem: interrupted\n")
    except OSError:
        pass
    os._exit(INTERRUPTED)
