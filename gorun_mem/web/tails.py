"""The log's tail for any number of browsers: heard once, encoded once.

However many look on, the recorder has one subscriber for what is of level info and above, and one
more while somebody wants everything; each event is encoded at most once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Final

import msgspec
import trio

from gorun_mem.service.watch import PACE_S, Filter, Watcher
from gorun_mem.web.stream import KEEP_ALIVE_S, sse

if TYPE_CHECKING:
    from gorun_mem.events.methods import LogLevel
    from gorun_mem.events.recorder import Recorder
    from gorun_mem.events.types import LogEvent

LEVELS: Final = ("debug", "info", "warning", "error")


class Tail(Watcher):
    """One browser's queue.

    Args:
        wanted: which events.
        level: of these, that level and above.
        bytes_max: how much may wait.
    """

    def __init__(self, wanted: Filter, level: str, bytes_max: int) -> None:
        super().__init__(wanted, bytes_max, self._come)
        self.passing = frozenset(LEVELS[LEVELS.index(level) :])
        self._came = trio.Event()

    def _come(self) -> None:
        self._came.set()

    async def next(self) -> bytes:
        """What is to be sent next, as server-sent events; how many were missed among it."""
        with trio.move_on_after(KEEP_ALIVE_S):
            await self._came.wait()
        self._came = trio.Event()
        await trio.sleep(PACE_S)
        return b"".join(sse("log", line) for line in self.take().splitlines()) or b": nothing\n\n"


class Tails:
    """The browsers that watch one recorder's log.

    Args:
        recorder: whose.
        bytes_max: how much may wait for one browser.
    """

    def __init__(self, recorder: Recorder, bytes_max: int) -> None:
        self._recorder = recorder
        self._bytes_max = bytes_max
        self._encode = msgspec.json.Encoder().encode
        self._tails: dict[LogLevel, list[Tail]] = {"debug": [], "info": []}
        self._unsubscribe: dict[LogLevel, Callable[[], None]] = {}

    async def watch(self, wanted: Filter, level: str) -> AsyncIterator[bytes]:
        """What one browser is sent, from now on."""
        tail = Tail(wanted, level, self._bytes_max)
        heard: LogLevel = "debug" if level == "debug" else "info"
        tails = self._tails[heard]
        tails.append(tail)
        if heard not in self._unsubscribe:
            self._unsubscribe[heard] = self._recorder.subscribe(self._feeder(tails), heard)
        try:
            yield b": begins\n\n"
            while True:
                yield await tail.next()
        finally:
            tails.remove(tail)
            if not tails:
                self._unsubscribe.pop(heard)()

    def _feeder(self, tails: list[Tail]) -> Callable[[LogEvent], None]:
        encode = self._encode

        def feed(event: LogEvent) -> None:
            line: bytes | None = None
            for tail in tails:
                if event.level in tail.passing and tail.wanted.wants(event):
                    if line is None:
                        line = encode(event)
                    tail.offer(line)

        return feed
