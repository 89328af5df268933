"""One connection: a trio task that reads, an M that answers, and what bounds both.

    socket --> poller --> inbox --> the M's program --> lines --> flush after the turn --> socket
                 ^ stops at --pipeline      ^ held back at --queue     '-> writer, where the socket
                                                                           does not take all at once

Lines that come are put into the inbox, by the server's poller or by a task of the connection's own
(`Incoming`, `poll`); the M takes them one by one, in the host's turns. Where the stream is a plain
socket the answers of a turn go out in one write at its end, without waking a task; only what the
socket does not take is left to the writer (`Outgoing`).

An end of any kind (quit, end of file, a reset, a limit, the server's own end) only keeps new
requests from the M: the call that it is in is finished first.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

import trio

from gorun_mem.runtime.errors import IllegalUse
from gorun_mem.service.host import RECEIVE, YIELD
from gorun_mem.service.incoming import Incoming, Stream, descriptor
from gorun_mem.service.language import NotARequest, Request, parse_request
from gorun_mem.service.outgoing import Outgoing
from gorun_mem.service.watch import BadFilter, Filter, Watcher

if TYPE_CHECKING:
    from gorun_mem.machine.m import M
    from gorun_mem.machine.world import World
    from gorun_mem.service.answers import Answers
    from gorun_mem.service.host import ServiceHost
    from gorun_mem.service.poll import Poller
    from gorun_mem.service.settings import Limits, Settings
    from gorun_mem.service.watch import Hub

SLICE: Final = 64
"""Requests after which an M lets others go first."""
FLUSH_AT: Final = 64
"""Connections whose answers are sent together: system calls between calls of the World make those
slower by half, for their caches are cold then."""
_PARSED_MAX: Final = 4096
"""Requests whose parse is kept: clients repeat themselves."""


class Service(Protocol):
    """What a connection needs of the server that it is one of.

    Attributes:
        say: prints a line on the terminal.
        speakers: the connection of each M, by id.
        asking: the request that each M is in, by id.
        dirty: who has answers that are to be sent after the turn.
        parsed: requests by their line.
        draining: why no call is begun any more, "" while the service runs.
        failed_auths: clients that said a wrong token.
    """

    settings: Settings
    world: World
    host: ServiceHost
    hub: Hub
    poller: Poller | None
    answers: Answers
    say: Callable[[str], None]
    speakers: dict[int, Connection]
    asking: dict[int, Request]
    dirty: list[Outgoing]
    parsed: dict[bytes | str, Request]
    draining: str
    failed_auths: int

    def flush(self) -> None:
        """Send what has been answered."""

    def is_full(self) -> bool:
        """Whether no more clients can become an M."""

    async def leave(self, connection: Connection, m: M) -> str:
        """An M's last act: see to the memory that it leaves behind; why it ended, for the log."""

    def statistics_line(self, connection: Connection) -> str:
        """What the server and the World have counted, as one line of JSON."""


class Connection:
    """One client.

    Args:
        server: whose.
        stream: to the client.

    Attributes:
        m: the M that it is, None before it has said the token.
        over: set when nothing more comes from the M, and what waits is to be sent.
        gone: the client cannot be reached any more.
        stranger_until: when it must have said its token, by trio's clock.
        active: whether it has sent or read something since `is_idle` was asked.
        active_at: until when the client is known to have sent or read something, by trio's clock.
        scope: around the connection's tasks.
        outgoing: what goes to the client.
    """

    def __init__(self, server: Service, stream: Stream) -> None:
        self._server = server
        self._limits = server.settings.limits
        fd = descriptor(stream)
        self._incoming = Incoming(stream, fd, server.poller, self)
        self._inbox = self._incoming.inbox
        self._no_more = False
        self.outgoing = Outgoing(stream, fd, self._limits, server.dirty, self)
        self.put = self.outgoing.put
        """Queue a line; it is sent when the turn is over."""
        self._mask = server.world.settings.platform.word_mask
        self.m: M | None = None
        self.over = trio.Event()
        self.gone = False
        self.stranger_until = trio.current_time() + self._limits.auth_s
        self.active_at = trio.current_time()
        self.active = False
        self.scope = trio.CancelScope()

    def __repr__(self) -> str:
        return f"<Connection {self.name} {len(self._inbox)} requests wait>"

    @property
    def limits(self) -> Limits:
        """The server's."""
        return self._limits

    @property
    def line_max(self) -> int:
        """The longest line that may come now: a stranger has only a token to say."""
        return self._limits.line_bytes if self.m is not None else self._limits.auth_bytes

    @property
    def watcher(self) -> Watcher | None:
        """Its queue of events, once it has said watch."""
        return self.outgoing.watcher

    @property
    def held_back(self) -> int:
        """How often it was not read further because too many requests waited."""
        return self._incoming.held_back

    @property
    def name(self) -> str:
        """Who it is, for the terminal."""
        return f"M{self.m.id}" if self.m is not None else "a client that is no M yet"

    def say(self, text: str) -> None:
        """Tell the terminal something about it."""
        self._server.say(f"{self.name}: {text}")

    # The trio tasks.

    async def serve(self) -> None:
        """The connection from its greeting to its end."""
        try:
            with self.scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self.outgoing.write)
                    self._greet()
                    self._incoming.begin(nursery)
                    await self.over.wait()
                    self.outgoing.flush()
                    with trio.move_on_after(self._limits.linger_s):
                        await self.outgoing.all_sent()
                    nursery.cancel_scope.cancel()
        finally:
            self._incoming.end()
            self.outgoing.end()
            self.lose()

    def _greet(self) -> None:
        if self._server.settings.token is None:
            self._become_m()
        else:
            self.put("hello gorun_mem/1: say auth TOKEN first")
            self.outgoing.flush()

    def _become_m(self) -> None:
        server = self._server
        self.m = m = server.host.admit(self._converse, name="connection")
        server.speakers[m.id] = self
        settings = server.world.settings
        self.put(
            f"hello gorun_mem/1 {settings.release.name} {settings.platform.name} "
            f"{settings.mutex} M{m.id}"
        )
        self.outgoing.flush()

    def take_lines(self, lines: list[bytes], rest: bytes) -> bool:
        """Hand lines to the M; whether to read on.

        Args:
            lines: whole lines.
            rest: the line that has not ended.
        """
        most = self.line_max
        too_long = len(rest) > most
        for index, line in enumerate(lines):
            if len(line) > (most if index == 0 else self._limits.line_bytes):
                del lines[index:]
                too_long = True
                break
        if self.m is None and lines:
            self._authenticate(lines.pop(0))
        if self.watcher is not None:
            if any(line.strip() == b"quit" for line in lines):
                self.over.set()
        elif self.m is not None:
            self._inbox.extend(lines)
        if too_long:
            option = " (--line-max)" if self.m is not None else ": say auth TOKEN first"
            self.close(f"a line is longer than {most:,} bytes{option}")
        elif self.m is not None:
            self._server.host.wake(self.m)
        return not too_long and not self.over.is_set()

    def _authenticate(self, line: bytes) -> None:
        """Before it is an M a client may say its token, once."""
        word, _, token = line.strip().partition(b" ")
        expected = self._server.settings.token
        assert expected is not None
        said, admin = token.strip(), self._server.settings.admin_token
        if word == b"auth" and admin is not None and hmac.compare_digest(said, admin):
            self._let_in(admin=True)
            return
        if word == b"auth" and hmac.compare_digest(said, expected):
            self._let_in(admin=False)
            return
        self._server.failed_auths += 1
        self.close("wrong token" if word == b"auth" else "say auth TOKEN first")

    def _let_in(self, *, admin: bool) -> None:
        if self._server.is_full():
            most = self._limits.connections
            self.close(f"{most:,} clients are here, as many as may be (--connections-max)")
            return
        self._become_m()
        if admin and self.m is not None:
            self._server.answers.admins.add(self.m.id)

    # The M.

    async def _converse(self, m: M) -> str:
        """The M's program: answer requests until no more come; why it ended, for the log."""
        server = self._server
        parsed, asking, answers = server.parsed, server.asking, server.answers
        operations = answers.operations
        inbox, incoming, outgoing = self._inbox, self._incoming, self.outgoing
        put = outgoing.put
        left = SLICE
        while True:
            full = outgoing.waiting_bytes > outgoing.queue_bytes and outgoing.is_full
            if full or not inbox or server.draining:
                if self._ended():
                    break
                if len(server.dirty) >= FLUSH_AT:
                    server.flush()
                await RECEIVE
                left = SLICE
                continue
            line = inbox.popleft()
            if incoming.is_full and len(inbox) <= self._limits.pipeline // 2:
                incoming.read_on()
            left -= 1
            if left < 0:
                server.flush()
                await YIELD
                left = SLICE
            request = parsed.get(line)
            if request is None:
                if isinstance(line, str):
                    put(line)
                    inbox.clear()
                    self._no_more = True
                    continue
                request = self._parse(line)
                if request is None:
                    continue
            name = request.name
            if name in _OF_THE_CONNECTION:
                self._do(request)
                continue
            asking[m.id] = request
            operation = operations.get(name)
            try:
                if operation is not None:
                    answer = await operation(m, *request.operands, *request.rest)
                else:
                    answer = answers.inspect(m, name, request.operands)
            except IllegalUse as refusal:
                answer = f"illegal {refusal}"
            del asking[m.id]
            put(answer)
        return await server.leave(self, m)

    def _ended(self) -> bool:
        """Whether the M is to end: no request is left, or none may be begun any more."""
        if self._server.draining:
            left = sum(isinstance(line, bytes) for line in self._inbox)
            unanswered = f"; {left:,} requests were not begun" if left else ""
            self.put(f"end {self._server.draining}{unanswered}")
            return True
        return self._no_more and (not self._inbox or self.gone)

    def _parse(self, line: bytes) -> Request | None:
        """The request of a line; None where there is none to answer, or it is answered already."""
        try:
            request = parse_request(line.decode(), self._mask)
        except UnicodeDecodeError as error:
            self.put(f"error byte {line[error.start]:#04x} is not UTF-8: requests are text")
        except NotARequest as error:
            self.put(f"error {_printable(str(error))}")
        else:
            if request is not None:
                parsed = self._server.parsed
                if len(parsed) >= _PARSED_MAX:
                    parsed.clear()
                parsed[line] = request
            return request
        return None

    def _do(self, request: Request) -> None:
        """What concerns the connection and not the World."""
        if request.name == "quit":
            self._inbox.clear()
            self._no_more = True
            self.put("ok")
        elif request.name == "auth":
            self.put("ok")  # said again, or not needed
        elif request.name == "statistics":
            self.put(self._server.statistics_line(self))
        else:
            self._watch(request.rest)

    def _watch(self, words: tuple[str, ...]) -> None:
        try:
            wanted = Filter(words)
        except BadFilter as error:
            self.put(f"error {_printable(str(error))}")
            return
        self.put("ok")
        self._inbox.clear()
        self._no_more = True
        self._server.hub.add(self.outgoing.watch(wanted))

    # Ends.

    @property
    def has_ended(self) -> bool:
        """Whether no more requests are taken."""
        return self._no_more

    def hang_up(self) -> None:
        """No more requests come."""
        self._no_more = True
        if self.m is None or self.watcher is not None:
            self.over.set()
        else:
            self._server.host.wake(self.m)

    def lose(self) -> None:
        """The client cannot be reached: nothing is sent, and no request is begun any more."""
        self.gone = True
        self.outgoing.drop()
        self._inbox.clear()
        self.hang_up()

    def is_read(self) -> None:
        """What waited has been sent: the M may have been held back."""
        if self.m is not None:
            self._server.host.wake(self.m)

    def close(self, why: str) -> None:
        """Answer what has come, say why, and end."""
        self._no_more = True
        if self.m is None or self.watcher is not None:
            self.put(f"end {why}")
            self.over.set()
        else:
            self._inbox.append(f"end {why}")
            self._server.host.wake(self.m)

    def is_idle(self, now: float) -> bool:
        """Whether the client has neither sent nor read for too long; to be asked regularly.

        A watcher may be silent as long as it reads what is sent.
        """
        if self.active:
            self.active = False
            self.active_at = now
        limit = self._limits.idle_s
        if not limit or now - self.active_at <= limit:
            return False
        return self.watcher is None or self.outgoing.is_sending


_OF_THE_CONNECTION: Final = frozenset({"quit", "auth", "watch", "statistics"})


def _printable(text: str) -> str:
    """One line whatever the client sent."""
    return "".join(c if c.isprintable() else "?" for c in text)
