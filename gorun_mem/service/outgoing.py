"""What goes to a client: a turn's answers in one write, the rest and a watcher's events by a task.

How the parts of a connection go together stands in `gorun_mem.service.connection`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

import trio

from gorun_mem.service.broken import let_go
from gorun_mem.service.incoming import READ_BYTES, Stream
from gorun_mem.service.watch import PACE_S, Filter, Watcher

if TYPE_CHECKING:
    from gorun_mem.service.settings import Limits


class Sender(Protocol):
    """Whose answers go out.

    Attributes:
        active: set when the client has read something.
        gone: the client cannot be reached any more.
    """

    active: bool
    gone: bool

    def lose(self) -> None:
        """The client is gone."""

    def is_read(self) -> None:
        """What waited has been sent: the M may have been held back."""


class Outgoing:
    """Sends lines.

    Args:
        stream: to the client.
        fd: its file descriptor, -1 where it has none.
        limits: what bounds a client.
        dirty: the server's list of those that have answers to be sent after the turn.
        sender: is told of the end.

    Attributes:
        watcher: the queue of events, once the client has said watch.
        waiting_bytes: answers that the client has not taken.
        queue_bytes: how many may wait before the client is to read first.
    """

    def __init__(
        self, stream: Stream, fd: int, limits: Limits, dirty: list[Outgoing], sender: Sender
    ) -> None:
        self.watcher: Watcher | None = None
        self._stream = stream
        self._fd = fd
        self.queue_bytes = limits.queue_bytes
        self._dirty_ones = dirty
        self._sender = sender
        self._lines: list[str] = []
        self._dirty = False
        self._pending: list[bytes] = []
        self._sending = False
        self.waiting_bytes = 0
        self._wake_writer = trio.Event()
        self._progress = trio.lowlevel.ParkingLot()

    def put(self, text: str) -> None:
        """Queue a line; it is sent when the turn is over."""
        self._lines.append(text)
        self.waiting_bytes += len(text) + 1
        if not self._dirty:
            self._dirty = True
            self._dirty_ones.append(self)

    def flush(self) -> None:
        """Send what is queued, or leave it to the writer."""
        self._dirty = False
        if not self._lines:
            return
        self._lines.append("")
        data = "\n".join(self._lines).encode()
        self._lines.clear()
        if self._sender.gone:
            self.waiting_bytes = 0
            return
        if self._fd >= 0 and not self._pending and not self._sending:
            try:
                sent = os.write(self._fd, data)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._sender.lose()
                return
            if sent == len(data):
                self.waiting_bytes = 0
                return
            data = data[sent:]
            self.waiting_bytes = len(data)
        self._pending.append(data)
        self._wake_writer.set()

    async def write(self) -> None:
        """Send what the socket did not take at once, and a watcher's events; a task."""
        try:
            while True:
                await self._wake_writer.wait()
                self._wake_writer = trio.Event()
                if self.watcher is not None:
                    await trio.sleep(PACE_S)
                    if events := self.watcher.take():
                        self._pending.append(events)
                await self._send_pending()
                self._progress.unpark_all()
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            let_go(error)
            self._sender.lose()

    async def _send_pending(self) -> None:
        self._sending = True
        while self._pending:
            data = b"".join(self._pending)
            self._pending.clear()
            for start in range(0, len(data), READ_BYTES):
                await self._stream.send_all(data[start : start + READ_BYTES])
                self._sender.active = True
            self.waiting_bytes -= min(self.waiting_bytes, len(data))
        self._sending = False
        self._sender.is_read()

    async def all_sent(self) -> None:
        """Wait until nothing is left to be sent."""
        if self.watcher is not None:
            self._wake_writer.set()
        while self._has_unsent() and not self._sender.gone:
            await self._progress.park()

    def _has_unsent(self) -> bool:
        watched = self.watcher is not None and self.watcher.waiting
        return bool(self._pending or self._sending or watched)

    def watch(self, wanted: Filter) -> Watcher:
        """Send events from now on; the queue that they are to be put into."""
        self.flush()
        self.watcher = Watcher(wanted, self.queue_bytes, self._wake_up_writer)
        return self.watcher

    def _wake_up_writer(self) -> None:
        self._wake_writer.set()

    @property
    def is_full(self) -> bool:
        """Whether the client is to read first what was answered, and the socket takes no more."""
        if self.waiting_bytes > self.queue_bytes and not self._sender.gone:
            self.flush()
        return self.waiting_bytes > self.queue_bytes and not self._sender.gone

    @property
    def is_sending(self) -> bool:
        """Whether the client has not yet taken what is being sent."""
        return self._sending

    @property
    def is_taken(self) -> bool:
        """Whether the client takes what is sent."""
        return not self._sending and not self._pending

    def drop(self) -> None:
        """The client cannot be reached: forget what waits."""
        self._pending.clear()
        self.waiting_bytes = 0
        self._progress.unpark_all()

    def end(self) -> None:
        """The stream is no more, and the sender is let go of."""
        self._fd = -1
        self._sender = _Gone()


class _Gone:
    """In place of a sender that has ended: what an M still answers goes nowhere.

    A client must not be kept by what it has made: a service makes hundreds of thousands, and the
    collector, which looks for circles, comes seldom.
    """

    active = False
    gone = True

    def lose(self) -> None:
        """It is."""

    def is_read(self) -> None:
        """Nobody waits."""
