"""Standard output whose reader may leave, as in `gorun-mem run ... | head -1`.

A verb goes on to its end then, quietly, so that its exit code still follows what happened; what it
writes goes nowhere. A verb that answers line by line has nothing to go on for: it ends.

Rejected: dying of SIGPIPE, as a filter in C does, which loses the code of a run that has failed and
its `run.end`; catching BrokenPipeError around the verb, which loses the code too.
"""

from __future__ import annotations

import io
import os
import stat
import sys
from typing import TYPE_CHECKING

from gorun_mem.files.text import CleanText

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _Pipe(io.FileIO):
    """A pipe or socket that is standard output.

    Attributes:
        ends: a reader that has left ends the verb, by BrokenPipeError.
    """

    ends = False

    def write(self, data: ReadableBuffer) -> int:
        """Write; to nowhere where nobody reads any more."""
        try:
            return super().write(data)
        except BrokenPipeError:
            silence()
            if self.ends:
                raise
        return memoryview(data).nbytes


class _Unheard(io.FileIO):
    """Standard error: what a full disk or a terminal that has gone does not take is lost, and is no
    failure of the verb."""

    def write(self, data: ReadableBuffer) -> int:
        """Write, or not."""
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def outlive_reader() -> None:
    """Let writes to standard output succeed when its reader has left."""
    out = sys.__stdout__
    if out is None or out is not sys.stdout:
        return
    raw: io.RawIOBase
    if _is_pipe(out.fileno()):
        raw = _Pipe(out.fileno(), "wb", closefd=False)
    else:
        raw = io.FileIO(out.fileno(), "wb", closefd=False)
    sys.stdout = CleanText(
        io.BufferedWriter(raw), out.encoding, out.errors, line_buffering=out.line_buffering
    )


def clean_stderr() -> None:
    """Let nothing through to a terminal but text, and what draws our own bars."""
    err = sys.__stderr__
    if err is None or err is not sys.stderr:
        return
    raw = _Unheard(err.fileno(), "wb", closefd=False)
    stream = CleanText(
        io.BufferedWriter(raw), err.encoding, err.errors, line_buffering=True, write_through=True
    )
    stream.bars = True
    sys.stderr = stream


def end_without_reader() -> None:
    """From now on BrokenPipeError tells that the reader of standard output has left."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if isinstance(raw, _Pipe):
        raw.ends = True


def silence() -> None:
    """Send nowhere what is written to standard output, and what is still buffered for it."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError, AttributeError):
        pass  # stdout is not a file descriptor, so nothing can be flushed to a closed one


def _is_pipe(fd: int) -> bool:
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
