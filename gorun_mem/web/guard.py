"""Who may ask the page's server, and how much: the outermost layer of the application.

A page on loopback can be reached by every page that the same browser shows. So the Host must be one
that this server goes by (a name that somebody else's DNS points here is not), the Origin, where
there is one, must be the page's own, and what changes something must be JSON. Off loopback every
call of the API needs the token besides; the page's own files, which are public, do not, for no
browser could ask for the token without them.

A body is read here, in whole, before the application sees it: it has a bound in bytes and one in
seconds. Each answer carries a Content-Security-Policy that lets the page load its own files only.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import trio

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_BYTES_MAX: Final = 128 * 1024
BODY_S_MAX: Final = 5.0
CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_CHANGES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class Refused(Exception):
    """A request that is not served.

    Args:
        status: HTTP's.
        error: the fact.
        hint: what to do.
        closes: nothing more is read of the connection.
    """

    def __init__(self, status: int, error: str, hint: str = "", *, closes: bool = False) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.hint = hint
        self.closes = closes

    def document(self) -> bytes:
        """As JSON."""
        return msgspec.json.encode({"error": self.error, "hint": self.hint})


@dataclass(frozen=True, slots=True)
class Rules:
    """Who may ask.

    Args:
        port: where the server listens.
        names: host names that it goes by, beside localhost and addresses.
        token: what a call of the API must carry, None where none is needed.
        private: only this machine can reach it.
    """

    port: int
    names: frozenset[str] = field(default_factory=frozenset)
    token: bytes | None = None
    private: bool = True

    def check(self, scope: Scope) -> None:
        """Let a request pass.

        Raises:
            Refused: it may not.
        """
        headers = scope["headers"]
        host = _one(headers, b"host")
        if host is None or not self._is_ours(host):
            raise Refused(
                400,
                f"this server does not go by the name {_printed(host)}",
                f"open it as http://127.0.0.1:{self.port}/",
            )
        origin = _one(headers, b"origin")
        if origin is not None and origin != b"http://" + host:
            raise Refused(
                400, f"a page of {_printed(origin)} may not ask here", "use the server's own page"
            )
        site = _one(headers, b"sec-fetch-site")
        if site not in (None, b"same-origin", b"none"):
            raise Refused(400, "another site's page may not ask here", "open the page itself")
        if self.token is not None and scope["path"].startswith("/api"):
            self._check_token(_one(headers, b"authorization"))
        if scope["method"] in _CHANGES:
            _check_type(scope["method"], headers)

    def _is_ours(self, host: bytes) -> bool:
        try:
            name, port = _split(host.decode("ascii").lower())
        except ValueError:
            return False
        if port != self.port:
            return False
        if name == "localhost" or name in self.names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not self.private

    def _check_token(self, said: bytes | None) -> None:
        assert self.token is not None
        scheme, _, token = (said or b"").partition(b" ")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(token.strip(), self.token):
            raise Refused(
                401,
                "the token is missing or wrong",
                "send the header Authorization: Bearer TOKEN, with the token of --token-file",
            )


class Guard:
    """The application behind its rules.

    Args:
        app: the application.
        rules: who may ask; a function, for the port is known late.
        on_fault: told of an error of ours.
        body_s: how long a body may take, in seconds.
    """

    def __init__(
        self,
        app: App,
        rules: Callable[[], Rules],
        on_fault: Callable[[BaseException], None],
        body_s: float = BODY_S_MAX,
    ) -> None:
        self._app = app
        self._rules = rules
        self._on_fault = on_fault
        self._body_s = body_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1003})
            return
        answer = _GuardedAnswer(send)
        try:
            self._rules().check(scope)
            body = await self._body(scope, receive)
            await self._app(scope, _given(body, receive), answer)
        except Refused as refusal:
            await answer.refuse(refusal)
        except Exception as error:
            self._on_fault(error)
            await answer.refuse(Refused(500, "internal fault", "it is in the server's terminal"))

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """All of the body.

        Raises:
            Refused: it is too long, or does not come.
        """
        declared = _one(scope["headers"], b"content-length")
        if declared is not None and _one(scope["headers"], b"transfer-encoding") is not None:
            # A proxy before this server may go by the other one: what it takes for the body would
            # be a request here that it never saw.
            raise Refused(400, "a length and chunks are two ends", "send one of them", closes=True)
        if declared is not None and (
            not declared.isdigit() or len(declared) > 18 or int(declared) > BODY_BYTES_MAX
        ):
            raise _too_large()
        parts: list[bytes] = []
        size = 0
        with trio.move_on_after(self._body_s):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise Refused(400, "the connection was closed in the body")
                part = message.get("body", b"")
                size += len(part)
                if size > BODY_BYTES_MAX:
                    raise _too_large()
                parts.append(part)
                if not message.get("more_body", False):
                    return b"".join(parts)
        raise Refused(400, f"the body did not come within {self._body_s:g} s", "send it in one go")


class _GuardedAnswer:
    """Sends an answer with the headers that all have."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._begun = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._begun = True
            given = list(message.get("headers", ()))
            there = {name.lower() for name, _ in given}
            given += [pair for pair in _HEADERS if pair[0] not in there]
            for name, value in ((b"content-security-policy", CSP), (b"cache-control", "no-store")):
                if name not in there:
                    given.append((name, value.encode()))
            message["headers"] = given
        await self._send(message)

    async def refuse(self, refusal: Refused) -> None:
        """Answer that it is not served; nothing where an answer was begun."""
        if self._begun:
            return
        headers = [(b"content-type", b"application/json")]
        if refusal.status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        if refusal.closes:
            headers.append((b"connection", b"close"))
        start = {"type": "http.response.start", "status": refusal.status, "headers": headers}
        await self(start)
        await self({"type": "http.response.body", "body": refusal.document()})


def _given(body: bytes, receive: Receive) -> Receive:
    """What the application receives: the body that was read, then whatever comes."""
    first = True

    async def receive_next() -> Message:
        nonlocal first
        if first:
            first = False
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return receive_next


def _one(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """A header's value; None where there is none.

    Raises:
        Refused: it is there twice with different values.
    """
    values = {value for key, value in headers if key == name}
    if len(values) > 1:
        raise Refused(400, f"the header {name.decode()} is there twice")
    return values.pop() if values else None


def _check_type(method: str, headers: Iterable[tuple[bytes, bytes]]) -> None:
    """A form of another page can send anything but this."""
    kind = (_one(headers, b"content-type") or b"").partition(b";")[0].strip().lower()
    if kind != b"application/json" and not (method == "DELETE" and not kind):
        raise Refused(
            400, f"{method} takes JSON, not {_printed(kind)}", "Content-Type: application/json"
        )


def _split(host: str) -> tuple[str, int]:
    """Name and port.

    Raises:
        ValueError: it is no host.
    """
    if host.startswith("["):
        name, bracket, rest = host[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(host)
        port = rest[1:]
    else:
        name, _, port = host.partition(":")
    if port and not (port.isascii() and port.isdigit() and len(port) < 6):
        raise ValueError(host)
    return name, int(port or 80)


def _printed(value: bytes | None) -> str:
    return repr((value or b"")[:60].decode("ascii", "replace"))


def _too_large() -> Refused:
    return Refused(413, f"a body has at most {BODY_BYTES_MAX:,} bytes", "send less")
