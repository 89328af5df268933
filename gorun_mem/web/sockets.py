"""The page's listener: hypercorn's protocol over trio's listeners, its connections bounded.

hypercorn serves a connection; how many there are, how long one may take to read what is sent and
when all have to end is seen to here: `hypercorn.trio.serve` shields what it sends from being
cancelled, so a browser that does not read could keep the service from ending.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Final, cast

import trio
from hypercorn.config import Config as HypercornConfig
from hypercorn.protocol import ProtocolWrapper
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from hypercorn.utils import wrap_app

from gorun_mem.web.guard import App

CONNECTIONS_MAX: Final = 256
STALL_S: Final = 30.0
"""A browser that takes nothing of what is sent for so long is hung up on."""
_FULL: Final = (
    b"HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"
    b'{"error":"too many connections","hint":"close a tab"}'
)


class _Bounded:
    """A socket's stream whose sends end, one way or the other.

    Args:
        stream: the socket's.
        stall_s: how long one send may take, in seconds.
    """

    def __init__(self, stream: trio.SocketStream, stall_s: float) -> None:
        self._stream = stream
        self._stall_s = stall_s
        self.socket = stream.socket

    async def send_all(self, data: bytes) -> None:
        """Send; a reader that stalls is a broken stream."""
        with trio.move_on_after(self._stall_s) as scope:
            await self._stream.send_all(data)
        if scope.cancelled_caught:
            self.abort()
            raise trio.BrokenResourceError("the browser does not read")

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """What comes."""
        return bytes(await self._stream.receive_some(max_bytes))

    async def send_eof(self) -> None:
        """No more is sent."""
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """End."""
        await self._stream.aclose()

    def abort(self) -> None:
        """End now; whoever sends or receives is told."""
        self.socket.close()


class _Http1(H11Protocol):
    """HTTP/1.1 that stays it.

    hypercorn lets any client change to HTTP/2 in clear, before anybody has looked at its request: a
    hundred requests at once on one connection, and a compression of headers of its own. No browser
    asks for that, and there is no setting against it.
    """

    async def _check_protocol(self, event: object) -> None:
        """An `Upgrade: h2c` is passed over, as a server may that does not know it."""


class _Server(TCPServer):
    """hypercorn's server of one connection, with `_Http1`."""

    @property
    def protocol(self) -> ProtocolWrapper:
        """What reads the connection."""
        return self._protocol

    @protocol.setter
    def protocol(self, made: ProtocolWrapper) -> None:
        self._protocol = made
        made.protocol = _Http1(
            made.app, made.config, made.context, made.task_group, made.state, made.ssl,
            made.client, made.server, made.send,
        )  # fmt: skip


class PageServer:
    """Serves one application.

    Args:
        app: the application, guard included.
        on_fault: told of an error of ours in one connection, which concerns no other.
        connections: at most so many at once.
        stall_s: see STALL_S.
    """

    def __init__(
        self,
        app: App,
        on_fault: Callable[[BaseException], None],
        connections: int = CONNECTIONS_MAX,
        stall_s: float = STALL_S,
    ) -> None:
        self._on_fault = on_fault
        self._config = HypercornConfig()
        self._config.accesslog = None
        self._config.errorlog = None
        self._config.include_server_header = False
        self._config.keep_alive_timeout = 20
        self._config.h11_max_incomplete_size = 64 * 1024
        self._config.websocket_max_message_size = 1024
        self._app = wrap_app(cast(Any, app), 0, "asgi")
        self._most = connections
        self._stall_s = stall_s
        self._open: set[_Bounded] = set()
        self.refused = 0

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._open)

    async def run(
        self,
        listeners: list[trio.SocketListener],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until cancelled."""
        context = WorkerContext(None)

        async def handle(stream: trio.SocketStream) -> None:
            if len(self._open) >= self._most:
                self.refused += 1
                with trio.move_on_after(1), contextlib.suppress(trio.BrokenResourceError):
                    await stream.send_all(_FULL)
                return
            bounded = _Bounded(stream, self._stall_s)
            self._open.add(bounded)
            try:
                state = ConnectionState(cast(Any, {}))
                server = _Server(self._app, self._config, context, state, cast(Any, bounded))
                await server.run()
            except Exception as error:
                self._on_fault(error)
            finally:
                self._open.discard(bounded)

        async with trio.open_nursery() as nursery:
            serving = trio.serve_listeners
            nursery.start_soon(serving, handle, listeners)
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                for bounded in list(self._open):
                    bounded.abort()
