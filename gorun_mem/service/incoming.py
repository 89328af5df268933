"""What comes from a client: bytes, by the server's poller or a task of its own, made lines.

How the parts of a connection go together stands in `gorun_mem.service.connection`.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

import trio

from gorun_mem.service.broken import let_go

if TYPE_CHECKING:
    from gorun_mem.service.poll import Poller
    from gorun_mem.service.settings import Limits

READ_BYTES: Final = 16 * 1024

Stream = trio.abc.Stream


class LineTaker(Protocol):
    """Whose bytes come: what is told of them, and of their end.

    Attributes:
        active: set when something has come.
    """

    active: bool

    @property
    def limits(self) -> Limits:
        """What bounds a client."""

    @property
    def line_max(self) -> int:
        """The longest line that may come now."""

    @property
    def has_ended(self) -> bool:
        """Nothing that comes is of use any more."""

    def take_lines(self, lines: list[bytes], rest: bytes) -> bool:
        """Lines have come, and the beginning of one; whether to read on."""

    def say(self, text: str) -> None:
        """Print a line about the client on the terminal."""

    def hang_up(self) -> None:
        """The client sends no more."""

    def lose(self) -> None:
        """The client is gone."""


class Incoming:
    """Reads a stream into an inbox.

    Args:
        stream: from the client.
        fd: its file descriptor, -1 where it has none (see `descriptor`).
        poller: the server's, None where the system has none.
        connection: takes lines, and is told of the end.

    Attributes:
        inbox: requests that have come and were not begun; the connection puts them there.
        is_full: whether so many wait that it is not read further.
        held_back: how often that was so.
    """

    def __init__(
        self, stream: Stream, fd: int, poller: Poller | None, connection: LineTaker
    ) -> None:
        self.inbox: deque[bytes | str] = deque()
        self.is_full = False
        self.held_back = 0
        self._stream = stream
        self._fd = fd
        self._poller = poller if fd >= 0 else None
        self._connection = connection
        self._limits = connection.limits
        self._half_line = b""
        self._room: trio.Event | None = None

    def begin(self, nursery: trio.Nursery) -> None:
        """Read from now on: by the poller, or by a task in `nursery`."""
        if self._poller is not None:
            self._poller.watch(self._fd, self._read_once)
        else:
            nursery.start_soon(self._read)

    async def _read(self) -> None:
        """Take what comes, where the server's poller does not read the stream."""
        try:
            while data := await self._receive():
                if not self.take(data):
                    return
                if self._holds_back():
                    self._room = trio.Event()
                    await self._room.wait()
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            let_go(error)
            self._connection.lose()
        self._connection.hang_up()

    async def _receive(self) -> bytes:
        if self._fd < 0:
            return bytes(await self._stream.receive_some(READ_BYTES))
        while True:
            await trio.lowlevel.wait_readable(self._fd)
            try:
                return os.read(self._fd, READ_BYTES)
            except BlockingIOError:
                continue

    def _read_once(self) -> None:
        """The poller says that there is something to read."""
        try:
            data = os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self.stop()
            self._connection.lose()
            return
        if not data:
            self.stop()
            self._connection.hang_up()
        elif not self.take(data) or self._holds_back():
            self.stop()

    def stop(self) -> None:
        """Read no further."""
        if self._poller is not None and self._fd >= 0:
            self._poller.unwatch(self._fd)

    def end(self) -> None:
        """The connection has ended: nothing is read any more, whatever room there is."""
        self.stop()
        self._fd = -1
        del self._connection  # which has this: no circle is left behind

    def take(self, data: bytes) -> bool:
        """Put the lines that have come into the inbox; whether to read on.

        Half a line at the end of the file is none: its other half may have been lost.
        """
        self._connection.active = True
        lines = (self._half_line + data if self._half_line else data).split(b"\n")
        self._half_line = rest = lines.pop()
        if lines or len(rest) > self._connection.line_max:
            return self._connection.take_lines(lines, rest)
        return True

    def _holds_back(self) -> bool:
        """Whether so many requests wait that no more are to be read until they are fewer."""
        if len(self.inbox) < self._limits.pipeline:
            return False
        self.is_full = True
        self.held_back += 1
        if self.held_back == 1:
            self._connection.say(
                f"{len(self.inbox):,} requests wait, so it is not read further "
                f"until they are answered (--pipeline-max {self._limits.pipeline:,})"
            )
        return True

    def read_on(self) -> None:
        """There is room for more requests."""
        self.is_full = False
        if self._room is not None:
            self._room.set()
            self._room = None
        elif self._poller is not None and self._fd >= 0 and not self._connection.has_ended:
            self._poller.watch(self._fd, self._read_once)


def descriptor(stream: Stream) -> int:
    """The file descriptor of a plain socket, for reads and writes without trio's checkpoints.

    -1 for other streams, and on systems where sockets are no files.
    """
    if os.name != "posix" or not isinstance(stream, trio.SocketStream):
        return -1
    try:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError:
        pass  # a Unix socket
    return stream.socket.fileno()
