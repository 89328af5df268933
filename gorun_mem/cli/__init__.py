"""The command line: `gorun-mem VERB ...`.

`main` is the entry point. What it imports is paid by every verb and by `--help`, so this package
imports click and the standard library alone; a verb's module is imported when that verb is asked
for. Rejected: entry points or a directory scan to find verbs, which cost more time at start-up than
the rest together; the table `VERBS` is one line a verb.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from gorun_mem._interrupts import end_at_interrupt, raise_interrupts
from gorun_mem.cli._exit import ExitCode, explain_failure
from gorun_mem.cli._group import VERBS, gorun_mem
from gorun_mem.cli._stdout import clean_stderr, outlive_reader, silence

__all__ = ["VERBS", "ExitCode", "gorun_mem", "main"]

PROG = "gorun-mem"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and answer with an exit code; never raises.

    A verb returns its exit code, or None for 0, or calls `ctx.exit`.

    Args:
        argv: the arguments without the program's name; None takes them from `sys.argv`.
    """
    args = list(sys.argv[1:] if argv is None else argv)
    _never_fail_to_encode()
    outlive_reader()
    clean_stderr()
    try:
        code = _complete() if _completion_asked() else gorun_mem.run(PROG, args)
        if sys.stdout is not None:
            sys.stdout.flush()  # here, so that a failing write is still ours to explain
        return code
    except BrokenPipeError:
        # The reader of a verb that only answers has what it wanted: `gorun-mem ops FILE | head`.
        silence()
        return ExitCode.CLEAN
    except BaseException as error:
        end_at_interrupt()  # a second Ctrl-C
        try:
            return explain_failure(error, PROG, args)
        finally:
            raise_interrupts()  # to who called


def _never_fail_to_encode() -> None:
    """A file name or a message that the terminal cannot show is escaped instead."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def _completion_asked() -> bool:
    import os

    return "_GORUN_MEM_COMPLETE" in os.environ


def _complete() -> int:
    """Answer the shell's completion hook, which asks through the environment."""
    import os

    from click.shell_completion import shell_complete

    variable = "_GORUN_MEM_COMPLETE"
    return shell_complete(gorun_mem, {}, PROG, variable, os.environ[variable])
