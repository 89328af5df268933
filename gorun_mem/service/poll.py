"""One task that reads all plain sockets.

trio's way, a task per connection that waits for its socket, costs a system call to arm the socket
again, a switch of tasks and a dozen calls for each read. Here all sockets are in one epoll of their
own, armed for good; one task waits for that epoll and reads whatever is ready. The connection's own
task sleeps until its end. Only Linux has epoll; elsewhere, and for other streams, each connection's
task reads.
"""

from __future__ import annotations

import select
import sys
from collections.abc import Callable

import trio


class Poller:
    """Calls back when a socket can be read."""

    def __init__(self) -> None:
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._epoll = select.epoll()

    @classmethod
    def make(cls) -> Poller | None:
        """One, where the system has epoll."""
        return cls() if sys.platform == "linux" else None

    async def run(self) -> None:
        """Call back until cancelled."""
        try:
            while True:
                await trio.lowlevel.wait_readable(self._epoll.fileno())
                for fd, _ in self._epoll.poll(0):
                    callback = self._callbacks.get(fd)  # one before it may have ended this one
                    if callback is not None:
                        callback()
        finally:
            self._epoll.close()

    def watch(self, fd: int, callback: Callable[[], None]) -> None:
        """Call `callback` whenever `fd` can be read, or has come to its end."""
        self._callbacks[fd] = callback
        self._epoll.register(fd, select.EPOLLIN)

    def unwatch(self, fd: int) -> None:
        """Call no more; nothing where `fd` is not watched."""
        if self._callbacks.pop(fd, None) is not None and not self._epoll.closed:
            self._epoll.unregister(fd)
