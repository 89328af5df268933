"""Where a service listens: a TCP address or the path of a Unix socket.

A Unix socket is for its owner alone: its mode is 0600 before anybody can connect. A socket file
that a killed server left is told from a living one by connecting to it.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import trio

PREFIX: Final = "unix:"
BACKLOG: Final = 1024


class AddressError(ValueError):
    """An address that cannot be used; the message says why and what else to do."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen or to connect to.

    Args:
        host: host name or address, "" for a Unix socket.
        port: TCP port.
        path: of the Unix socket, "" for TCP.
    """

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"{PREFIX}{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Address:
        """The address that a command line writes.

        Raises:
            AddressError: it writes none.
        """
        if text.startswith(PREFIX):
            path = text.removeprefix(PREFIX)
            if not path:
                raise AddressError("unix: names no socket: write unix:PATH")
            if "\0" in path or len(os.fsencode(path)) > 100:
                raise AddressError(f"the socket's path {path!r:.60} is too long: at most 100 bytes")
            return cls(path=path)
        _, scheme, rest = text.partition("://")
        if scheme:
            where = rest.partition("/")[0] or "HOST:PORT"
            raise AddressError(f"{text!r:.60} is a URL: write {where}")
        host, colon, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
        if not colon or not host or not (port.isascii() and port.isdigit()) or len(port) > 5:
            raise AddressError(f"{text!r:.60} is no address: write HOST:PORT or unix:PATH")
        if int(port) > 65535:
            raise AddressError(f"{text}: no port {port}, the last one is 65535")
        return cls(host=host, port=int(port))

    def is_private(self) -> bool:
        """Whether only this machine can reach it.

        Raises:
            AddressError: the host cannot be found.
        """
        if self.path:
            return True
        return all(ipaddress.ip_address(one).is_loopback for one in self._resolve())

    def _resolve(self) -> list[str]:
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise AddressError(f"{self}: {getattr(error, 'strerror', None) or error}") from None
        return [str(info[4][0]).partition("%")[0] for info in found]


async def listen(address: Address) -> list[trio.SocketListener]:
    """Listeners on an address.

    Raises:
        AddressError: it is in use, or not ours to use.
    """
    import trio

    try:
        if address.path:
            return [_listen_unix(address.path)]
        return list(await trio.open_tcp_listeners(address.port, host=address.host, backlog=BACKLOG))
    except OSError as error:
        raise AddressError(_why(address, error)) from None


def bound(address: Address, listener: trio.SocketListener) -> Address:
    """The address with the port that was chosen for port 0."""
    if address.path:
        return address
    name = listener.socket.getsockname()
    return Address(host=str(name[0]), port=int(name[1]))


def _why(address: Address, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"{address} is in use: stop what listens there, or name another with --listen"
    reason = error.strerror or str(error)
    return f"cannot listen on {address}: {reason}"


def _listen_unix(path: str) -> trio.SocketListener:
    import trio

    _remove_stale(path)
    sock = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Nobody can connect before `listen`, so nobody can before the mode is right.
        _bind(sock, path)
        os.chmod(path, 0o600)
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return trio.SocketListener(sock)


def _bind(sock: trio.socket.SocketType, path: str) -> None:
    raw = socket.socket(fileno=os.dup(sock.fileno()))
    try:
        raw.bind(path)
    finally:
        raw.close()


def _remove_stale(path: str) -> None:
    """Remove a socket that no server listens on any more; leave anything else."""
    try:
        mode = os.stat(path, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise AddressError(f"{path} exists and is no socket: name another with --listen unix:PATH")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        else:
            raise OSError(errno.EADDRINUSE, "in use")


class SocketFile:
    """The file of a Unix socket, to be removed at the end if it is still ours."""

    def __init__(self, address: Address) -> None:
        self._path = address.path
        self._id = self._identity() if self._path else None

    def _identity(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self._path, follow_symlinks=False)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def remove(self) -> None:
        """Remove it; another server's that has taken its place stays."""
        if self._path and self._id is not None and self._identity() == self._id:
            os.unlink(self._path)
