"""Where the program starts, and ends."""

from __future__ import annotations

import sys

from gorun_mem._interrupts import (
    INTERRUPTED,
    die_of_signal,
    end_as_interrupted,
    end_at_interrupt,
    lose_no_interrupt,
)


def main() -> int:
    """The command line; answers with an exit code."""
    end_at_interrupt()
    end_as_interrupted()
    sys.unraisablehook = lose_no_interrupt
    from gorun_mem.cli import main as run

    try:
        code = run()
    except KeyboardInterrupt:  # it came between the verb's end and this
        code = INTERRUPTED
    finally:
        end_at_interrupt()
    die_of_signal()
    return code
