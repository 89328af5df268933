"""What a service says to whoever runs it, without ever waiting for them.

A terminal that is stopped by Ctrl-S, or a pipe that nobody reads any more, blocks who writes to it:
one such line would stop every client. So a line is written only where there is room for it. Until
then lines wait, and when too many do the later ones are only counted.

Rejected: a thread that writes, which the interpreter would wait for, or crash over, at its end.
"""

from __future__ import annotations

import select
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import trio

WAITING_MAX: Final = 1000
"""Lines that wait; later ones are counted."""
LINE_MAX: Final = 2000
"""Characters of one line: with four bytes each still less than a pipe has room for at once."""
AGAIN_S: Final = 0.5
"""How often room is looked for."""
END_S: Final = 1.0
"""How long the last lines are waited for."""


class Terminal:
    """Says lines on stderr.

    Args:
        write: prints one line.
        has_room: whether a line can be written without waiting.
    """

    def __init__(
        self, write: Callable[[str], None], has_room: Callable[[], bool] | None = None
    ) -> None:
        self._write = write
        self._has_room = has_room or stderr_has_room
        self._waiting: deque[str] = deque()
        self._lost = 0

    def __repr__(self) -> str:
        return f"<Terminal {len(self._waiting)} lines wait, {self._lost} lost>"

    def say(self, text: str) -> None:
        """Print a line, now or when there is room."""
        if len(self._waiting) >= WAITING_MAX:
            self._lost += 1
        else:
            self._waiting.append(text if len(text) <= LINE_MAX else f"{text[:LINE_MAX]} ...")
        self.go_on()

    def go_on(self) -> bool:
        """Print what waits and there is room for; whether that is all."""
        while self._waiting or self._lost:
            if not self._has_room():
                return False
            if self._waiting:
                self._write(self._waiting.popleft())
            else:
                lost, self._lost = self._lost, 0
                self._write(f"{lost:,} lines more were not shown: nobody read them")
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


def stderr_has_room() -> bool:
    """Whether a line can be written to stderr without waiting; True where that cannot be asked."""
    if not hasattr(select, "poll") or sys.stderr is None:
        return True
    try:
        asked = select.poll()
        asked.register(sys.stderr.fileno(), select.POLLOUT)
        return bool(asked.poll(0))  # one that is closed, too: writing says so at once
    except (OSError, ValueError):
        return True
