"""What a service says to whoever runs it, without ever waiting for them.

A terminal that is stopped by Ctrl-S, or a pipe that nobody reads any more, blocks who writes to it:
one such line would stop every client. So stderr is opened once more in a way that never waits, and
takes of each line what there is room for. Until there is more, lines wait, and when too many do the
later ones are only counted.

Rejected: a thread that writes, which the interpreter would wait for, or crash over, at its end; to
ask for room alone, for a terminal that has some says so, and waits with the rest of the line; to
let the stderr that there is never wait, for it is that of the shell and of all it has started, too.
"""

from __future__ import annotations

import os
import select
import stat
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import trio

from gorun_mem.files.text import printable
from gorun_mem.report.width import fit, width

WAITING_MAX: Final = 1000
"""Lines that wait; later ones are counted."""
LINE_MAX: Final = 2000
"""Characters of one line."""
AGAIN_S: Final = 0.5
"""How often room is looked for."""
END_S: Final = 1.0
"""How long the last lines are waited for."""
PIECE: Final = getattr(select, "PIPE_BUF", 512)
"""Bytes that a pipe takes at once which says that it has room."""


class Terminal:
    """Says lines on stderr.

    Args:
        take: writes what it can of some bytes without waiting, and says how many those are; as
            `Stderr` does if None.
    """

    def __init__(self, take: Callable[[bytes], int] | None = None) -> None:
        self._take = take or Stderr().take
        self._waiting: deque[bytes] = deque()
        self._lost = 0

    def __repr__(self) -> str:
        return f"<Terminal {len(self._waiting)} lines wait, {self._lost} lost>"

    def say(self, text: str) -> None:
        """Print a line, now or when there is room."""
        if len(self._waiting) >= WAITING_MAX:
            self._lost += 1
        else:
            self._add(text if len(text) <= LINE_MAX else f"{text[:LINE_MAX]} ...")
        self.go_on()

    def _add(self, text: str) -> None:
        columns = width(err=True)
        shown = printable(text if columns is None else fit(text, columns))
        self._waiting.append(f"{shown}\n".encode(errors="backslashreplace"))

    def go_on(self) -> bool:
        """Print what waits and there is room for; whether that is all."""
        while self._waiting:
            line = self._waiting.popleft()
            taken = self._take(line)
            if taken < len(line):
                self._waiting.appendleft(line[taken:])
                if not taken:
                    return False
            elif not self._waiting and self._lost:
                lost, self._lost = self._lost, 0
                self._add(f"{lost:,} lines more were not shown: nobody read them")
        return True

    async def keep_on(self) -> None:
        """Look for room now and then, until cancelled."""
        while True:
            await trio.sleep(AGAIN_S)
            self.go_on()

    def close(self) -> None:
        """Print what waits, if that is read soon."""
        until = time.monotonic() + END_S
        while not self.go_on() and time.monotonic() < until:
            time.sleep(0.01)
        self._waiting.clear()
        self._lost = 0


class Stderr:
    """Stderr, which takes as much as it has room for."""

    def __init__(self) -> None:
        try:
            self._fd = sys.stderr.fileno()
        except (AttributeError, OSError, ValueError):  # there is none, or it is closed or no file
            self._fd = -1
        self._again = opened_again(self._fd)

    def take(self, data: bytes) -> int:
        """Write without waiting; how many bytes that were. What nobody can read counts as written.

        A part of what it has no room for is taken where that is all that can be done.
        """
        try:
            if self._again >= 0:
                return os.write(self._again, data)
            if self._fd >= 0:
                return os.write(self._fd, data[:PIECE]) if has_room(self._fd) else 0
            if sys.stderr is not None:
                sys.stderr.write(data.decode())
        except BlockingIOError:
            return 0
        except (OSError, ValueError):
            pass
        return len(data)

    def __del__(self) -> None:
        if self._again >= 0:
            os.close(self._again)


def opened_again(fd: int) -> int:
    """A terminal or a pipe once more, which never waits; -1 where that is neither, or cannot be.

    A file of its own is not opened once more, for that would begin at its start.
    """
    try:
        mode = os.fstat(fd).st_mode
        if not (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)):
            return -1
        name = os.ttyname(fd) if os.isatty(fd) else f"/proc/self/fd/{fd}"
        return os.open(name, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except (AttributeError, OSError):  # AttributeError: on Windows
        return -1


def has_room(fd: int) -> bool:
    """Whether something can be written without waiting; True where that cannot be asked."""
    if not hasattr(select, "poll"):
        return True
    asked = select.poll()
    asked.register(fd, select.POLLOUT)
    return bool(asked.poll(0))  # one that is closed, too: writing says so at once
