"""What a failure says to a person, and the exit code it becomes.

A person who made a mistake gets one sentence on stderr. The traceback of a fault of ours is saved
to a file that the sentence names, and shown only with `--debug`.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Iterator, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Final

import click

from gorun_mem._near import near_file
from gorun_mem.cli._output import show
from gorun_mem.cli._stdout import silence

FAULTS_KEPT: Final = 20


class ExitCode(IntEnum):
    """The exit codes that every verb shares."""

    CLEAN = 0
    FAILED = 1
    """A throw, a fault, an assertion or a difference."""
    USAGE = 2
    """The command line or the input is wrong."""
    HANG = 3
    """A hang, a deadlock, or no progress."""
    INTERNAL = 4
    """A fault of this program."""
    INCONCLUSIVE = 5
    """A search that ran out of budget."""
    INTERRUPTED = 130


_WEIGHT: Final = (
    ExitCode.CLEAN,
    ExitCode.INCONCLUSIVE,
    ExitCode.FAILED,
    ExitCode.HANG,
    ExitCode.USAGE,
    ExitCode.INTERNAL,
    ExitCode.INTERRUPTED,
)


class BadInput(click.ClickException):
    """What the user gave cannot be used: exit 2, the message and no more.

    Args:
        message: the fact, the values, the next step.
    """

    exit_code = ExitCode.USAGE


def worst(codes: Sequence[int]) -> int:
    """The exit code of several files: the highest of 4, 2, 1, 0 in that order of weight."""
    return max(codes, key=lambda code: _WEIGHT.index(ExitCode(code)), default=ExitCode.CLEAN)


def explain_failure(error: BaseException, prog: str, args: Sequence[str]) -> int:
    """Say on stderr what went wrong, in a sentence, and return the exit code.

    Args:
        error: what reached the top.
        prog: the program's name, which begins the sentence.
        args: the command line, for the file that the traceback is saved in.
    """
    try:
        if sys.stdout is not None:
            sys.stdout.flush()  # answers come before the sentence about them
    except (OSError, ValueError):
        silence()
    leaf = max(map(_interrupt_of, _leaves(error)), key=lambda e: _WEIGHT.index(_classify(e)[0]))
    code, message = _classify(leaf)
    if code is ExitCode.INTERNAL and not isinstance(leaf, (OSError, MemoryError)):
        message = internal_fault(leaf, prog, args)
    if message:
        say(message if "\n" in message else f"{_command_path(leaf, prog)}: {message}")
    return code


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The failures in a nursery's group, or the one itself."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _interrupt_of(error: BaseException) -> BaseException:
    """Ctrl-C where that is what an error was made of, as a class that is being made does; else it.

    Only what Python raises "from" another counts: what failed while a run that was interrupted
    was put in order is a fault.
    """
    cause = error.__cause__
    while cause is not None:
        if isinstance(cause, KeyboardInterrupt):
            return cause
        cause = cause.__cause__
    return error


def _classify(error: BaseException) -> tuple[ExitCode, str]:
    """The exit code of `error` and what it says; the message of a fault of ours is made later."""
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return ExitCode.INTERRUPTED, "interrupted"
    if isinstance(error, SystemExit):
        return _from_system_exit(error)
    if isinstance(error, click.ClickException):
        return ExitCode.USAGE, _click_message(error)
    if isinstance(error, OSError):
        return _from_os_error(error)
    if isinstance(error, MemoryError):
        return ExitCode.INTERNAL, "this machine has not enough memory for that run"
    return _from_package(error)


def _from_system_exit(error: SystemExit) -> tuple[ExitCode, str]:
    if not error.code:
        return ExitCode.CLEAN, ""
    if isinstance(error.code, int):
        return (ExitCode(error.code) if error.code in list(ExitCode) else ExitCode.FAILED), ""
    return ExitCode.FAILED, error.code


def _from_os_error(error: OSError) -> tuple[ExitCode, str]:
    """A file that was named is the user's to put right; a write that fails is not."""
    reason = error.strerror or str(error)
    if error.filename is not None:
        named = click.format_filename(error.filename)
        near = near_file(error.filename) if isinstance(error, FileNotFoundError) else ""
        return ExitCode.USAGE, f"{named}: {reason}{f': did you mean {near}?' if near else ''}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF):
        return ExitCode.INTERNAL, f"the output could not be written: {reason}"
    return ExitCode.INTERNAL, reason


def _from_package(error: BaseException) -> tuple[ExitCode, str]:
    # Imported here: a clean start needs none of them.
    from gorun_mem.events.errors import LogError
    from gorun_mem.runtime.behaviour import UnknownRelease
    from gorun_mem.runtime.errors import Deadlock, EmulatedFailure, Hang

    if isinstance(error, (UnknownRelease, LogError)):
        return ExitCode.USAGE, str(error)
    if isinstance(error, (Deadlock, Hang)):
        return ExitCode.HANG, str(error)
    if isinstance(error, EmulatedFailure):
        return ExitCode.FAILED, str(error)
    return ExitCode.INTERNAL, ""


def _click_message(error: click.ClickException) -> str:
    if type(error).__name__ == "NoArgsIsHelpError":  # not in every click that we accept
        return error.format_message()
    from gorun_mem.cli._mistakes import click_message

    return click_message(error)


def _command_path(error: BaseException, prog: str) -> str:
    ctx = getattr(error, "ctx", None)
    return ctx.command_path if isinstance(ctx, click.Context) else prog


def _debugging(args: Sequence[str]) -> bool:
    return "--debug" in args or bool(os.environ.get("GORUN_MEM_DEBUG"))


def internal_fault(error: BaseException, prog: str, args: Sequence[str]) -> str:
    """The sentence about a fault of ours, whose traceback is saved, or shown when asked for."""
    from gorun_mem.runtime.errors import said

    name = type(error).__name__
    first = next(iter(said(error).splitlines()), "")
    fault = f"internal fault, {name}: {first}" if first else f"internal fault, {name}"
    if _debugging(args):
        import traceback

        say("".join(traceback.format_exception(error)).rstrip())
        return fault
    saved = save_fault(error, args)
    where = f"the traceback is in {saved}" if saved else "the traceback could not be saved"
    return f"{fault}; {where}, and {prog} --debug ... shows it"


def save_fault(error: BaseException, args: Sequence[str]) -> Path | None:
    """Write the traceback of a fault of ours to a file of its own; None where that fails.

    The newest 20 are kept.
    """
    import traceback

    text = "".join(traceback.format_exception(error))
    folder = home() / "faults"
    path = folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(f"arguments: {list(args)!r}\n\n{text}", encoding="utf-8", errors="replace")
        for old in sorted(folder.glob("*.txt"))[:-FAULTS_KEPT]:
            old.unlink(missing_ok=True)
    except OSError:
        return None
    return path


def home() -> Path:
    """Where logs and faults go: $GORUN_MEM_HOME, or a folder in the user's state directory."""
    named = os.environ.get("GORUN_MEM_HOME")
    if named:
        return Path(named)
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path("~/.local/state").expanduser()) / "gorun_mem"


def say(text: str) -> None:
    """A line on stderr, which may be closed: then nobody listens."""
    try:
        show(text, err=True)
    except (OSError, ValueError):
        pass
