"""What the page shows of a living World: sampled once, encoded once, sent to every browser.

A sample is taken between two turns of the service, where nothing moves. Between two of them every
M has done whole calls, so of who waits for whom a sample alone would show nothing; therefore the
page also hears the log's lock events, as many as `EVENTS_MAX` from each sample on, and then listens
no more until the next: a whole stretch of virtual time, seen event by event, at a cost that has a
bound. Where the Ms are slow that is every event there is; where they are fast the page says that it
leaves some out.

Nobody waits for a browser: each has room for one sample, and one that comes too late for it is
counted as missed. How often a sample is taken follows from how many look on (`pace_s`).

Rejected: the full event stream to each browser, which the page had in a first draft: every call of
every M is then encoded and sent, and the service goes at half its speed with one browser.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec
import trio

from gorun_mem.runtime.mutex.statistics import Distribution
from gorun_mem.step.task import State
from gorun_mem.web.stream import KEEP_ALIVE_S, sse

if TYPE_CHECKING:
    from gorun_mem.events.types import LogEvent
    from gorun_mem.runtime.mutex import StateMutex
    from gorun_mem.service.server import Server
    from gorun_mem.web.hands import Hands

EVENTS_MAX: Final = 500
"""Events that are heard from one sample to the next; a lock has three in a call."""
PACE_S: Final = 0.1
VIEWER_S: Final = 0.02
"""What each browser adds to the time between two samples: sending one costs some 0.2 ms, so all of
them together stay near 1 % of the loop."""
MS_SHOWN: Final = 64
RANGES_SHOWN: Final = 600
WINDOW_S: Final = 5.0
"""Waits are summed up over so many of the last seconds."""

_LOCK_EVENTS: Final = {"lock.wait": 0, "lock.acquire": 1, "lock.release": 2}


def pace_s(viewers: int) -> float:
    """Seconds between two samples."""
    return PACE_S + VIEWER_S * viewers


class Viewer:
    """One browser.

    Attributes:
        missed: samples that it was too slow for, since it was last told.
    """

    def __init__(self) -> None:
        self.missed = 0
        self._waiting: bytes | None = None
        self._came = trio.Event()

    def put(self, sample: bytes) -> None:
        """Give it a sample; the one that it has not taken is lost."""
        if self._waiting is not None:
            self.missed += 1
        self._waiting = sample
        self._came.set()

    async def next(self) -> bytes:
        """What is to be sent next, as server-sent events."""
        with trio.move_on_after(KEEP_ALIVE_S):
            await self._came.wait()
        self._came = trio.Event()
        sample, self._waiting = self._waiting, None
        told = b""
        if self.missed:
            told = sse("missed", b'{"missed":%d}' % self.missed)
            self.missed = 0
        return told + (sse("live", sample) if sample is not None else b": nothing new\n\n")


class _Burst:
    """The lock events of a stretch of virtual time."""

    def __init__(self, server: Server) -> None:
        self._recorder = server.recorder
        self._unsubscribe: Callable[[], None] | None = None
        self._left = 0
        self._heard: list[tuple[int, int, int, str, int]] = []
        self._gap = True

    def begin(self) -> None:
        """Listen to so many more."""
        self._left = EVENTS_MAX
        if self._unsubscribe is None:
            self._gap = True
            self._unsubscribe = self._recorder.subscribe(self._hear)

    def end(self) -> None:
        """Listen no more."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None

    def _hear(self, event: LogEvent) -> None:
        self._left -= 1
        kind = _LOCK_EVENTS.get(str(event.__struct_config__.tag))
        if kind is not None:
            told: Any = event
            ns = 0 if kind == 0 else told.wait_ns if kind == 1 else told.hold_ns
            self._heard.append((kind, event.t_ns, event.m, told.lock, ns))
        if self._left <= 0:
            self.end()

    def take(self) -> dict[str, Any]:
        """What was heard; `gap`: between this and what was heard before some were left out."""
        heard, self._heard = self._heard, []
        gap, self._gap = self._gap, False
        return {"gap": gap, "events": heard}


class Live:
    """Samples a World while somebody looks on.

    Args:
        server: the service.
        hands: the Ms that the page drives.
    """

    def __init__(self, server: Server, hands: Hands) -> None:
        self._server = server
        self._hands = hands
        self._viewers: list[Viewer] = []
        self._somebody = trio.Event()
        self._burst = _Burst(server)
        self._rates: deque[tuple[float, int]] = deque(maxlen=64)
        self._waits: dict[str, deque[tuple[float, Counter[int]]]] = {}
        self._encode = msgspec.json.Encoder().encode

    @property
    def viewers(self) -> int:
        """How many browsers look on."""
        return len(self._viewers)

    async def watch(self) -> AsyncIterator[bytes]:
        """What one browser is sent."""
        viewer = Viewer()
        self._viewers.append(viewer)
        self._somebody.set()
        viewer.put(self._encode(self.sample()))
        try:
            while True:
                yield await viewer.next()
        finally:
            self._viewers.remove(viewer)

    async def run(self) -> None:
        """Sample, for ever."""
        try:
            while True:
                if not self._viewers:
                    self._burst.end()
                    self._somebody = trio.Event()
                    await self._somebody.wait()
                self._burst.begin()
                await trio.sleep(pace_s(len(self._viewers)))
                sample = self._encode(self.sample())
                for viewer in self._viewers:
                    viewer.put(sample)
        finally:
            self._burst.end()

    def sample(self) -> dict[str, Any]:
        """The World as it is now."""
        server = self._server
        world, now = server.world, time.monotonic()
        counted = server.answers.figures()
        self._rates.append((now, server.answers.calls))
        while now - self._rates[0][0] > 2 and len(self._rates) > 2:
            self._rates.popleft()
        (_, calls), span = self._rates[0], now - self._rates[0][0]
        pace = server.host.pace
        return {
            **counted,
            "calls_per_s": round((server.answers.calls - calls) / span, 1) if span > 0.05 else None,
            "hint_misses": server.recorder.hint_misses,
            "paused": pace.paused,
            "ns_per_s": pace.ns_per_s,
            "viewers": len(self._viewers),
            "connections": len(server.connections),
            "ended": server.draining or (str(world.failure) if world.failure else ""),
            "ms": self._ms(),
            "ms_in_all": len(server.speakers),
            "locks": [self._lock(lock, now) for lock in world.mutexes.values()],
            "burst": self._burst.take(),
            "map": self.memory_map(),
        }

    def _ms(self) -> list[dict[str, Any]]:
        world, server = self._server.world, self._server
        holds: dict[int, list[str]] = {}
        waits: dict[int, tuple[str, int]] = {}
        for name, lock in world.mutexes.items():
            for holder in lock.holders:
                holds.setdefault(holder.m, []).append(name)
            for waiter in lock.waiters:
                waits[waiter.m] = (name, waiter.since_ns)
        found = []
        for task in world.engine.tasks:
            if not task.id or task.state is State.DONE:
                continue
            hand = self._hands.by_m.get(task.id)
            request = server.asking.get(task.id)
            wait = waits.get(task.id)
            found.append(
                {
                    "m": task.id,
                    "name": hand.name if hand is not None else task.name,
                    "hand": hand is not None and hand.work is None,
                    "works": hand is not None and hand.work is not None,
                    "asking": hand.asking
                    if hand is not None and hand.asking
                    else request.name
                    if request is not None
                    else "",
                    "holds": holds.get(task.id, []),
                    "waits": wait[0] if wait else "",
                    "since_ns": wait[1] if wait else 0,
                }
            )
        found.sort(key=lambda one: (not one["hand"], not (one["holds"] or one["waits"]), one["m"]))
        return found[:MS_SHOWN]

    def _lock(self, lock: StateMutex, now: float) -> dict[str, Any]:
        holder = lock.holder
        tally = self._server.tallies[lock.name]
        counted, waits = tally.counts(), tally.waits()
        history = self._waits.setdefault(lock.name, deque(maxlen=128))
        history.append((now, waits))
        while now - history[0][0] > WINDOW_S and len(history) > 2:
            history.popleft()
        recent = Distribution.of(waits - history[0][1])
        return {
            "name": lock.name,
            "mutex": lock.algorithm,
            "word": lock.key,
            "holder": holder.m if holder else 0,
            "site": holder.site if holder else "",
            "since_ns": holder.since_ns if holder else 0,
            "waiters": [[one.m, one.since_ns, one.spins, one.sleeps] for one in lock.waiters],
            "acquisitions": counted[0],
            "contended": counted[1],
            "recent": {
                "contended": recent.count,
                "p50": recent.p50,
                "p90": recent.p90,
                "p99": recent.p99,
                "max": recent.max,
            },
        }

    def memory_map(self) -> dict[str, Any]:
        """The memory from the program's data to the break: what is free, what is handed out."""
        os = self._server.world.runtime.os
        freelist, ledger = os.freelist, os.ledger
        blocks = freelist.count if freelist is not None else 0
        free = freelist.blocks() if freelist is not None and blocks <= RANGES_SHOWN else []
        ranges = ledger.range_count if ledger is not None else 0
        return {
            "data_end": self._server.world.runtime.data_end,
            "bloc": os.bloc,
            "bloc_max": os.bloc_max,
            "top": os.top,
            "free": free,
            "live": ledger.first_ranges(RANGES_SHOWN) if ledger is not None else [],
            "left_out": max(0, ranges - RANGES_SHOWN) + (blocks if not free else 0),
        }
