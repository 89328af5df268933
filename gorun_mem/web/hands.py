"""Ms of the service that are driven from the page.

Each is a connection of the line protocol over a stream in memory: it has the same operations,
limits and ends as one over a socket, and the service does not know the difference. Anybody who may
use the page may drive any of them; what was asked and answered last can be seen by all.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

import trio

from gorun_mem.service.language import NotARequest, parse_request
from gorun_mem.web.guard import Refused

if TYPE_CHECKING:
    from gorun_mem.service.server import Server

HANDS_MAX: Final = 64
WAIT_S: Final = 10.0
"""How long a call is waited for; then it goes on, and its answer is among the M's answers."""
_KEPT: Final = 30
_NOT_HERE: Final = frozenset({"watch", "auth", "quit"})


class _Inside(trio.abc.Stream):
    """The server's end of a stream in memory."""

    def __init__(self, hand: Hand) -> None:
        self._hand = hand
        self._send, self._receive = trio.open_memory_channel[bytes](64)

    def feed(self, line: bytes) -> None:
        """What the client sends."""
        self._send.send_nowait(line)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """What the server answers."""
        await trio.lowlevel.checkpoint()
        self._hand.hear(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        """It never blocks."""
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """What the client has sent."""
        try:
            return await self._receive.receive()
        except trio.EndOfChannel:
            return b""

    async def aclose(self) -> None:
        """The client sends no more."""
        self._send.close()
        await trio.lowlevel.checkpoint()


class Hand:
    """One M.

    Attributes:
        m: its id; 0 until it has been greeted.
        name: for people.
        asking: the operation that it is in, "" for none.
        answers: the latest (operation, result), oldest first.
        over: why it has ended, "" while it lives.
        last: the latest answer.
        work: what it does by itself: the size of the blocks and calls a second; None for nothing.
    """

    def __init__(self, name: str, work: tuple[int, float] | None = None) -> None:
        self.m = 0
        self.name = name
        self.asking = ""
        self.answers: deque[tuple[str, str]] = deque(maxlen=_KEPT)
        self.over = ""
        self.work = work
        self.stream = _Inside(self)
        self.greeted = trio.Event()
        self.ended = trio.Event()
        self.last = ""
        self._rest = b""
        self._answered = trio.Event()

    def hear(self, data: bytes) -> None:
        """Lines of the server."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._take(line.decode("utf-8", "replace"))

    def _take(self, line: str) -> None:
        if line.startswith("hello "):
            word = line.rpartition(" ")[2]
            if word.startswith("M"):
                self.m = int(word[1:])
                self.greeted.set()
        elif line.startswith("end "):
            self.over = line[4:]
            self.greeted.set()
        elif self.asking:
            if not self.work:
                self.answers.append((self.asking, line))
            self.last = line
            self.asking = ""
            self._answered.set()

    async def call(self, op: str, wait_s: float = WAIT_S) -> str | None:
        """Ask one operation; its answer, or None where it takes longer than `wait_s`.

        Raises:
            Refused: it is no operation, or the M is in another or has ended.
        """
        if self.over:
            raise Refused(404, f"M{self.m} has ended: {self.over}", "start another: POST /api/ms")
        if self.asking:
            raise Refused(
                409, f"M{self.m} is in {self.asking!r}", "an M does one thing at a time; wait"
            )
        self.asking = op
        self._answered = answered = trio.Event()
        try:
            self.stream.feed(op.encode() + b"\n")
        except trio.ClosedResourceError:
            self.asking = ""
            raise Refused(404, f"M{self.m} is about to end", "start another") from None
        with trio.move_on_after(wait_s):
            await answered.wait()
            return self.last
        return None

    def end(self, why: str) -> None:
        """The connection is over."""
        self.over = self.over or why
        self.greeted.set()
        self._answered.set()
        self.last = f"end {self.over}"
        self.ended.set()

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "m": self.m,
            "name": self.name,
            "asking": self.asking,
            "answers": [list(pair) for pair in self.answers],
            "work": {"size": self.work[0], "per_s": self.work[1]} if self.work else None,
        }


class Hands:
    """The Ms that the page drives.

    Args:
        server: the service.
        nursery: where they live.
    """

    def __init__(self, server: Server, nursery: trio.Nursery) -> None:
        self._server = server
        self._nursery = nursery
        self._mask = server.world.settings.platform.word_mask
        self.by_m: dict[int, Hand] = {}

    async def start(self, name: str, work: tuple[int, float] | None = None) -> Hand:
        """A new M.

        Raises:
            Refused: there are as many as there may be, or the service has ended.
        """
        if len(self.by_m) >= HANDS_MAX:
            raise Refused(429, f"the page drives {HANDS_MAX} Ms, as many as may be", "end one")
        hand = Hand(name or "by hand", work)
        self._nursery.start_soon(self._live, hand)
        token = self._server.settings.token
        if token is not None:
            hand.stream.feed(b"auth " + token + b"\n")
        await hand.greeted.wait()
        if hand.over:
            raise Refused(409, f"no M can be started: {hand.over}", "see the service's terminal")
        self.by_m[hand.m] = hand
        if work is not None:
            self._nursery.start_soon(self._work, hand)
        return hand

    def of(self, m: int) -> Hand:
        """The M with that id.

        Raises:
            Refused: the page drives none.
        """
        try:
            return self.by_m[m]
        except KeyError:
            raise Refused(
                404, f"the page drives no M{m}", "GET /api/ms lists those there are"
            ) from None

    async def stop(self, m: int) -> None:
        """Let an M end: what it is in is finished first, unless that waits for ever."""
        hand = self.of(m)
        hand.work = None
        await hand.stream.aclose()
        with trio.move_on_after(1):
            await hand.ended.wait()

    async def call(self, m: int, op: str) -> str | None:
        """See `Hand.call`."""
        hand = self.of(m)
        try:
            request = parse_request(op, self._mask)
        except NotARequest as error:
            raise Refused(400, str(error), "GET /api/openapi.json describes the operations") from (
                None
            )
        if request is None or request.name in _NOT_HERE or not op.isprintable():
            raise Refused(400, f"{op[:40]!r} is no operation of an M", "write one, as alloc 65536")
        if hand.work is not None:
            raise Refused(409, f"M{m} works by itself", "end it, or start an M by hand")
        return await hand.call(op)

    async def _live(self, hand: Hand) -> None:
        try:
            await self._server.handle(hand.stream)  # which tells its faults itself
        finally:
            self.by_m.pop(hand.m, None)
            hand.end("its connection was closed")

    async def _work(self, hand: Hand) -> None:
        """Allocate and free a block, again and again."""
        try:
            await self._churn(hand)
        except Refused:
            pass  # it was ended meanwhile

    async def _churn(self, hand: Hand) -> None:
        at = trio.current_time()
        while not hand.over and hand.work is not None:
            size, per_s = hand.work
            answer = await hand.call(f"alloc {size}", 3600)
            if answer is not None and answer.isdigit() and answer != "0" and not hand.over:
                await hand.call(f"free {answer} {size}", 3600)
            at = max(at + 2 / per_s, trio.current_time() - 0.1)
            await trio.sleep_until(at)
