"""Channels and `select`, as Go has them; chan.go and select.go.

An operation on a channel is one step, or two where it has to wait: to join the queue, and to go on
when another has served it. Queues are first come, first served, and a value goes from hand to hand
where somebody waits. A `select` joins the queues of all its channels at once, and whoever serves it
there takes it out of the others. So to a search all channels are one object, but for those that are
made with alone=True and never stand in a select.

    a, b = Chan("a"), Chan("b", 2)
    await b.send("x")
    value, ok = await b.recv()
    chosen = await select(a.recv(), b.send("y"), default=True)      # case, value, ok

What is ordered before what is the memory model's: a send before its receive has come back, the
k-th receive before the (k+C)-th send has, a close before what is received because of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Any

from gorun_mem.runtime.errors import IllegalUse, Throw
from gorun_mem.runtime.kinds import RESUME
from gorun_mem.runtime.op import PARKED, MLike, Op, Orders
from gorun_mem.sync.base import KitObject
from gorun_mem.sync.gate import check_timeout

CLOSED_SEND = "send on closed channel"
CLOSED_CLOSE = "close of closed channel"


class _WaitTurn:
    """An operation that waits in queues until one of them serves it.

    Attributes:
        m: whose it is.
        served: the place that was; None so far.
        places: one in each queue.
    """

    __slots__ = ("m", "places", "served")

    def __init__(self, m: MLike) -> None:
        self.m = m
        self.served: _Place | None = None
        self.places: list[_Place] = []

    def leave(self) -> None:
        """It waits no more."""
        for place in self.places:
            queue = place.chan.senders if place.sends else place.chan.receivers
            if place in queue:
                queue.remove(place)


class _Place:
    """A place in the queue of a channel.

    Attributes:
        turn: whose.
        chan: where.
        index: of the case of a select; 0.
        sends: it waits to send `value`; else to receive one, which is put there.
        ok: what was received was sent.
        closed: it was served by the channel's being closed.
        name: what it is published under that it has come; with a " served" behind, that it was
            served.
    """

    __slots__ = ("chan", "closed", "index", "name", "ok", "sends", "turn", "value")

    def __init__(self, turn: _WaitTurn, chan: Chan, index: int, sends: bool, value: Any) -> None:
        self.turn = turn
        self.chan = chan
        self.index = index
        self.sends = sends
        self.value = value
        self.ok = False
        self.closed = False
        chan.places += 1
        self.name = f"{chan.name} place {chan.places}"
        turn.places.append(self)
        (chan.senders if sends else chan.receivers).append(self)

    def serve(self) -> None:
        """It has what it waited for."""
        turn = self.turn
        turn.served = self
        turn.leave()
        turn.m.sched.unpark(turn.m)


class _ChanOp(Op):
    """What operations on one channel, and on several, have in common."""

    def __init__(self, verb: str, chans: Sequence[Chan], timeout_ns: int | None) -> None:
        self.name = f"{'pipe' if chans and chans[0].alone else 'chan'}.{verb}"
        self.obj = " ".join([chan.obj for chan in chans])
        self.chans = chans
        self.timeout_ns = timeout_ns
        self.turn: _WaitTurn | None = None
        self.since_ns = -1
        self.orders: Orders | None = None

    @property
    def is_served(self) -> bool:
        """Another has ended its wait."""
        return self.turn is not None and self.turn.served is not None

    @property
    def kind(self) -> str:  # type: ignore[override]
        """What it is, or to come back from the wait."""
        return RESUME if self.is_served else self.name

    @property
    def abandonable(self) -> bool:  # type: ignore[override]
        """Not where it has been served: a value would be lost."""
        return not self.is_served

    def __repr__(self) -> str:
        return f"<{self.kind} {self.obj}>"

    def wait(self, m: MLike, turn: _WaitTurn) -> object:
        """Sleep until it is served, or time is up."""
        self.turn = turn
        self.since_ns = m.sched.now_ns
        for chan in self.chans:
            chan.waits += 1
        if self.timeout_ns is not None:
            m.sched.sleep_until(m, self.since_ns + self.timeout_ns)
        self.orders = ((), tuple([place.name for place in turn.places]))
        return PARKED

    def woken(self, m: MLike) -> _Place | None:
        """Who served it; None: time is up.

        Raises:
            Throw: it waited to send, and the channel was closed.
        """
        turn = self.turn
        assert turn is not None
        self._end_wait(m)
        served = turn.served
        if served is None:
            turn.leave()
            for chan in self.chans:
                chan.timeouts += 1
            self.orders = ((), ())
            return None
        self.orders = ((f"{served.name} served",), ())
        if served.closed and served.sends:
            raise Throw(CLOSED_SEND, chan=served.chan.name, m=m.id, site=m.name)
        return served

    def withdrawn(self, m: MLike) -> None:
        """It is cancelled before it was served."""
        if self.turn is not None:
            self._end_wait(m)
            self.turn.leave()

    def _end_wait(self, m: MLike) -> None:
        for chan in self.chans:
            chan.waited(m.sched.now_ns - self.since_ns)


class SendOp(_ChanOp):
    """Send on a channel; a case of a `select`."""

    sends = True

    def __init__(self, chan: Chan, value: Any, timeout_ns: int | None) -> None:
        super().__init__("send", [chan], timeout_ns)
        self.chan = chan
        self.value = value

    def is_ready(self) -> bool:
        """Whether it need not wait."""
        chan = self.chan
        return chan.closed or bool(chan.receivers) or len(chan.buffer) < chan.capacity

    def make(self, m: MLike) -> Any:
        """Send, which need not wait; True.

        Raises:
            Throw: the channel is closed, in Go's words.
        """
        chan = self.chan
        if chan.closed:
            raise Throw(CLOSED_SEND, chan=chan.name, m=m.id, site=m.name)
        if chan.receivers:
            place = chan.receivers[0]
            place.value, place.ok = self.value, True
            place.serve()
            self.orders = ((place.name,), (f"{place.name} served",))
        else:
            self.orders = chan.put(self.value, ())
        return True

    def step(self, m: MLike) -> object:
        """Send, or wait to; False where time is up."""
        if self.turn is not None:
            return self.woken(m) is not None
        chan = self.chan
        chan.operations += 1
        if self.is_ready():
            return self.make(m)
        turn = _WaitTurn(m)
        _Place(turn, chan, 0, True, self.value)
        return self.wait(m, turn)


class RecvOp(_ChanOp):
    """Receive from a channel; a case of a `select`."""

    sends = False
    value: Any = None

    def __init__(self, chan: Chan, timeout_ns: int | None) -> None:
        super().__init__("recv", [chan], timeout_ns)
        self.chan = chan

    def is_ready(self) -> bool:
        """Whether it need not wait."""
        chan = self.chan
        return bool(chan.buffer) or bool(chan.senders) or chan.closed

    def make(self, m: MLike) -> tuple[Any, bool]:
        """Receive, which need not wait."""
        chan = self.chan
        if chan.buffer:
            value, acquires, releases = chan.take()
            if chan.senders:  # the buffer was full: the first of them has room now
                place = chan.senders[0]
                place.serve()
                sent = chan.put(place.value, (place.name,))
                acquires += sent[0]
                releases += (*sent[1], f"{place.name} served")
            self.orders = (acquires, releases)
            return value, True
        if chan.senders:
            place = chan.senders[0]
            place.serve()
            self.orders = ((place.name,), (f"{place.name} served",))
            return place.value, True
        self.orders = ((f"{chan.name} closed",), ())
        return None, False

    def step(self, m: MLike) -> object:
        """Receive, or wait to."""
        if self.turn is not None:
            place = self.woken(m)
            return (None, False) if place is None else (place.value, place.ok)
        chan = self.chan
        chan.operations += 1
        if self.is_ready():
            return self.make(m)
        turn = _WaitTurn(m)
        _Place(turn, chan, 0, False, None)
        return self.wait(m, turn)


class _CloseOp(_ChanOp):
    def __init__(self, chan: Chan) -> None:
        super().__init__("close", [chan], None)
        self.chan = chan

    @property
    def abandonable(self) -> bool:  # type: ignore[override]
        """It never waits."""
        return False

    def step(self, m: MLike) -> object:
        """Close it, and serve all who wait."""
        chan = self.chan
        chan.operations += 1
        if chan.closed:
            raise Throw(CLOSED_CLOSE, chan=chan.name, m=m.id, site=m.name)
        chan.closed = True
        names = [f"{chan.name} closed"]
        while chan.receivers or chan.senders:
            place = (chan.receivers or chan.senders)[0]
            place.closed = True
            names.append(f"{place.name} served")
            place.serve()
        self.orders = ((), tuple(names))
        return None


class Chan(KitObject):
    """A channel of Go's.

    Args:
        name: for reports; the object of its operations.
        capacity: how many values it buffers; 0: a send waits until somebody receives.
        alone: it stands in no `select`, so a search need not try its operations in every order
            with those of other channels.
        line: the cache line that it lies on; one of its own if "".

    Attributes:
        closed: it is.
        buffer: the values in it.
        senders: who waits to send, first come first.
        receivers: who waits to receive.

    Raises:
        IllegalUse: `capacity` is negative.
    """

    def __init__(
        self, name: str, capacity: int = 0, *, alone: bool = False, line: str = ""
    ) -> None:
        super().__init__(name, line)
        self.alone = alone
        if type(capacity) is not int or capacity < 0:
            raise IllegalUse(f"Chan({name!r}, {capacity!r}): a capacity is a whole number from 0")
        self.capacity = capacity
        self.closed = False
        self.buffer: deque[tuple[Any, int]] = deque()
        self.senders: list[_Place] = []
        self.receivers: list[_Place] = []
        self.places = 0
        self._sent = 0

    def __repr__(self) -> str:
        words = [f"{len(self.buffer)} of {self.capacity}"]
        for verb, queue in (("send", self.senders), ("receive", self.receivers)):
            if queue:
                words.append(f"{', '.join(f'M{p.turn.m.id}' for p in queue)} waiting to {verb}")
        if self.closed:
            words.append("closed")
        return f"<Chan {self.obj} {', '.join(words)}>"

    def __len__(self) -> int:
        return len(self.buffer)

    def __bool__(self) -> bool:
        return True

    @property
    def waiting(self) -> int:
        """How many Ms wait, those in a select included."""
        return len(self.senders) + len(self.receivers)

    def send(self, value: Any, timeout_ns: int | None = None) -> SendOp:
        """Send `value`.

        Args:
            value: what.
            timeout_ns: how long to wait at most; None: for ever.

        Returns:
            True; False where the time is up: then nothing was sent.

        Raises:
            Throw: the channel is closed, or is while it waits, in Go's words.
            IllegalUse: `timeout_ns` is negative.
        """
        check_timeout(self, timeout_ns)
        return SendOp(self, value, timeout_ns)

    def recv(self, timeout_ns: int | None = None) -> RecvOp:
        """Receive a value.

        Args:
            timeout_ns: how long to wait at most; None: for ever.

        Returns:
            The value and True; None and False where the channel is closed and empty, or the time
            is up (`closed` says which).

        Raises:
            IllegalUse: `timeout_ns` is negative.
        """
        check_timeout(self, timeout_ns)
        return RecvOp(self, timeout_ns)

    def close(self) -> Op:
        """Close it: who waits to receive goes on with nothing, who waits to send throws.

        Raises:
            Throw: it is closed, in Go's words.
        """
        return _CloseOp(self)

    async def __aiter__(self) -> AsyncIterator[Any]:
        """The values, until it is closed and empty; Go's range."""
        while True:
            value, ok = await self.recv()
            if not ok:
                return
            yield value

    def snapshot(self) -> tuple[object, ...]:
        """What it holds, who waits, whether it is closed."""
        return (
            tuple([value for value, _ in self.buffer]),
            tuple([(place.turn.m.id, place.value) for place in self.senders]),
            tuple([place.turn.m.id for place in self.receivers]),
            self.closed,
        )

    # What its operations do.

    def put(self, value: Any, acquired: tuple[str, ...]) -> Orders:
        """Put a value into the buffer; what that is ordered with."""
        self._sent += 1
        number = self._sent
        self.buffer.append((value, number))
        room = (f"{self.name} received {number - self.capacity}",)
        return ((*acquired, *room), (f"{self.name} sent {number}",))

    def take(self) -> tuple[Any, tuple[str, ...], tuple[str, ...]]:
        """Take the first out of the buffer; the value, and what that is ordered with."""
        value, number = self.buffer.popleft()
        return value, (f"{self.name} sent {number}",), (f"{self.name} received {number}",)
