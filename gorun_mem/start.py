"""Where the program starts, and ends."""

from __future__ import annotations

import sys

from gorun_mem._interrupts import end_at_interrupt, lose_no_interrupt


def main() -> int:
    """The command line; answers with an exit code."""
    end_at_interrupt()
    sys.unraisablehook = lose_no_interrupt
    from gorun_mem.cli import main as run

    try:
        return run()
    finally:
        end_at_interrupt()
