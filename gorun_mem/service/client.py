"""A client of the service, over a blocking socket: what `connect`, the benchmark and tests speak.

Every request has one line of answer, in order, so a client may send many before it reads. It must
read what it has asked for: the server holds back requests of a client whose answers wait unread.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Final

from gorun_mem.service.address import Address

BATCH: Final = 256
"""Requests sent before their answers are read; far less than what a socket's buffer takes."""
ANSWER_BYTES_MAX: Final = 1 << 30


class ServiceError(Exception):
    """The service cannot be reached, or the connection has ended; the message says why.

    Args:
        message: the fact and what to do.
        ended: the server's last line, "" where it said none.
    """

    def __init__(self, message: str, ended: str = "") -> None:
        super().__init__(message)
        self.ended = ended


class Client:
    """A connection to a service.

    Args:
        address: where it listens.
        token: what to say first where it asks for that.
        timeout_s: how long to wait for a line, in seconds; None for ever.

    Attributes:
        greeting: the server's first line, once it is an M.

    Raises:
        ServiceError: it cannot be reached, or does not let us in.
    """

    def __init__(
        self, address: Address, token: str | None = None, *, timeout_s: float | None = None
    ) -> None:
        self.address = address
        self._sock = _connect(address, timeout_s)
        self._buffer = b""
        self._at = 0
        self.greeting = self.read_line()
        if not self.greeting.startswith("hello gorun_mem/1"):
            raise ServiceError(f"{address} is no gorun-mem service: it said {self.greeting!r:.80}")
        if self.greeting.endswith("say auth TOKEN first"):
            if token is None:
                raise ServiceError(f"{address} wants a token: name its file with --token-file")
            self.send([f"auth {token}"])
            self.greeting = self.read_line()

    @property
    def m(self) -> int:
        """The M that this connection is."""
        return int(self.greeting.rpartition("M")[2])

    def ask(self, request: str) -> str:
        """The answer to one request."""
        self.send([request])
        return self.read_line()

    def ask_all(self, requests: Iterable[str]) -> Iterator[str]:
        """The answers to many requests, sent in batches."""
        batch: list[str] = []
        for request in requests:
            batch.append(request)
            if len(batch) == BATCH:
                yield from self._ask_batch(batch)
                batch = []
        yield from self._ask_batch(batch)

    def _ask_batch(self, batch: list[str]) -> Iterator[str]:
        if batch:
            self.send(batch)
            for _ in batch:
                yield self.read_line()

    def send(self, requests: Iterable[str]) -> None:
        """Send requests without waiting for their answers.

        Raises:
            ServiceError: the connection has ended.
        """
        data = "".join(f"{request}\n" for request in requests).encode()
        try:
            self._sock.sendall(data)
        except OSError as error:
            raise self._broken(error) from None

    def read_line(self) -> str:
        """The next line of the server's.

        Raises:
            ServiceError: the connection has ended; `ended` is what the server said last.
        """
        line = self._read_raw()
        if line.startswith("end "):
            raise ServiceError(f"{self.address} has ended the connection: {line[4:]}", line)
        return line

    def _read_raw(self) -> str:
        end = self._buffer.find(b"\n", self._at)
        pieces = []
        while end < 0:
            pieces.append(self._buffer[self._at :])
            self._at = 0
            try:
                self._buffer = self._sock.recv(1 << 16)
            except OSError as error:
                raise self._broken(error) from None
            if not self._buffer:
                raise ServiceError(f"{self.address} has closed the connection")
            end = self._buffer.find(b"\n")
        line = b"".join(pieces) + self._buffer[self._at : end]
        self._at = end + 1
        return line.decode("utf-8", "replace")

    def _broken(self, error: OSError) -> ServiceError:
        reason = error.strerror or str(error)
        ended = "" if isinstance(error, TimeoutError) else self._last_words()
        return ServiceError(f"{self.address}: {ended[4:] or reason}", ended)

    def _last_words(self) -> str:
        """What the server had said when sending failed: why it ended."""
        try:
            data = self._buffer[self._at :]
            while more := self._sock.recv(1 << 16):
                data += more
        except OSError:
            pass
        lines = [line for line in data.decode("utf-8", "replace").split("\n") if line]
        return lines[-1] if lines and lines[-1].startswith("end ") else ""

    def close(self) -> None:
        """End the connection."""
        self._sock.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _connect(address: Address, timeout_s: float | None) -> socket.socket:
    try:
        if address.path:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                sock.settimeout(timeout_s)
                sock.connect(os.fsencode(address.path))
            except BaseException:
                sock.close()
                raise
            return sock
        sock = socket.create_connection((address.host, address.port), timeout_s)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock
    except OSError as error:
        reason = error.strerror or str(error)
        raise ServiceError(
            f"no service at {address}: {reason}; start one with gorun-mem serve --listen {address}"
        ) from None
