"""What lets Ms in or makes them wait: the base of the kit's objects, and of those of one's own.

An M that may not go in is not enabled: it takes no step while it waits, and where several may go in
the schedule says who does. So a search sees no more interleavings than there are.

    class Latch(Gate):                      # opens once, and lets everybody in from then on
        def __init__(self, name):
            super().__init__(name)
            self.is_open = False

        def lets(self, op):
            return self.is_open

        def open(self):
            def effect(m):
                self.is_open = True
            return self.change("set", effect)

        def wait(self, timeout_ns=None):
            return self.entry("wait", timeout_ns=timeout_ns)

`entry` makes an operation that waits, `change` one that does not. After each the gate sees who may
go in: that must follow from its state alone. A gate that remembers who waits has a `visit`. What an
operation's kind orders, costs and wakes is in `gorun_mem.runtime.kinds`.

A wait with a time ends with False when it is up; then nothing has changed. One with no time at all
does not wait: it goes in or comes to nothing, when its turn comes. An M that is cancelled
while it waits (on the trio host) is forgotten, and nothing has changed either. What does not wait
is no point where an M can be cancelled, as in POSIX.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from mypy_extensions import mypyc_attr

from gorun_mem.runtime.errors import IllegalUse
from gorun_mem.runtime.kinds import RESUME
from gorun_mem.runtime.op import PARKED, MLike, Op, Orders
from gorun_mem.sync.base import KitObject

NOTHING: Final[frozenset[str]] = frozenset()
UNORDERED: Final[Orders] = ((), ())
"""Of an access that came to nothing: it is ordered with no other."""


def check_timeout(about: KitObject, timeout_ns: int | None) -> None:
    """Refuse a time that is none.

    Raises:
        IllegalUse: it is negative, or no whole number.
    """
    if timeout_ns is not None and (type(timeout_ns) is not int or timeout_ns < 0):
        raise IllegalUse(
            f"timeout_ns = {timeout_ns!r} of {about.name}: give whole ns from 0, or None for ever"
        )


class Holding:
    """What is held in the block of an `async with`.

    Args:
        take: makes the operation that takes it.
        give: makes the one that gives it back.
    """

    __slots__ = ("_give", "_take")

    def __init__(
        self, take: Callable[[], Awaitable[object]], give: Callable[[], Awaitable[object]]
    ) -> None:
        self._take = take
        self._give = give

    async def __aenter__(self) -> None:
        await self._take()

    async def __aexit__(self, kind: object, error: object, traceback: object) -> None:
        if kind is not GeneratorExit:  # then the run is over, and nothing can be awaited
            await self._give()


@mypyc_attr(allow_interpreted_subclasses=True)
class Entry(Op):
    """An operation that is enabled while its gate lets it in.

    Args:
        kind: of the access.
        gate: which.
        data: what the gate wants to know of it.
        timeout_ns: how long to wait at most; None: for ever.
        orders: what it is ordered with, where its kind does not say it all.

    Attributes:
        since_ns: since when it waits; -1: it did not have to.
        gives_up: it has no time, or may end at any moment: it does not wait.
    """

    __slots__ = (
        "_armed", "_deadline_ns", "_left_ns", "abandonable", "data", "gate", "gives_up", "orders",
        "since_ns", "timeout_ns",
    )  # fmt: skip

    def __init__(
        self,
        kind: str,
        gate: Gate,
        data: object = None,
        timeout_ns: int | None = None,
        orders: Orders | None = None,
    ) -> None:
        self.orders = orders
        self.kind = kind
        self.obj = gate.obj
        self.gate = gate
        self.data = data
        self.timeout_ns = timeout_ns
        self.since_ns = -1
        self.abandonable = True
        self.gives_up = timeout_ns == 0
        self._deadline_ns = -1
        self._left_ns = timeout_ns
        self._armed = False

    def admits(self) -> frozenset[str] | None:
        """What the gate lets in now."""
        return self.gate.admitted()

    def begin(self, m: MLike) -> bool:
        """Enabled iff the gate lets it in."""
        gate, now = self.gate, m.sched.now_ns
        if self.timeout_ns is not None:
            self.gives_up = self.gives_up or m.sched.ends_early(m)
            if self.gives_up:
                return True
            gate.timed = True
            self._deadline_ns = now + self.timeout_ns
        gate.wanted[m.id] = (m, self)
        if gate.lets(self):
            return True
        self.since_ns = now
        gate.waits += 1
        self.stop(m)
        return False

    def stop(self, m: MLike) -> None:
        """`m` may not go in, until its time is up."""
        if self._deadline_ns >= 0 and not self._armed:
            self._armed = True
            m.sched.sleep_until(m, self._deadline_ns)

    def step(self, m: MLike) -> object:
        """Go in; False if the time is up."""
        gate = self.gate
        gate.operations += 1
        gate.wanted.pop(m.id, None)
        if self._deadline_ns >= 0:
            self._left_ns = max(0, self._deadline_ns - m.sched.now_ns)
        if self.since_ns >= 0:
            gate.waited(m.sched.now_ns - self.since_ns)
        if not gate.lets(self):
            gate.timeouts += 1
            self.orders = UNORDERED
            return False
        result = gate.goes(m, self)
        gate.refresh()
        return result

    def withdrawn(self, m: MLike) -> None:
        """`m` is cancelled: it does not wait any more."""
        gate = self.gate
        gate.wanted.pop(m.id, None)
        if self.since_ns >= 0:
            gate.waited(m.sched.now_ns - self.since_ns)

    def left_ns(self) -> int | None:
        """What is left of its time once it is through; None: for ever."""
        return self._left_ns

    def blocked_by(self) -> tuple[tuple[int, str, int], ...]:
        """Who has what it waits for."""
        return self.gate.keeps_out(self)

    def refresh(self, m: MLike) -> None:
        """The gate has changed: let `m` go, or not."""
        if self.gate.lets(self):
            self._armed = False
            m.sched.unpark(m)
            return
        if not self._armed:  # else it waits already, or its time is up and it stays enabled
            m.sched.disable(m)
            self.stop(m)


@mypyc_attr(allow_interpreted_subclasses=True)
class Visit(Op):
    """An operation that goes in if it may, and else waits to be called in by `Gate.call_in`.

    For gates that remember who waits: to come to wait is a step then, which others may go before.

    Args:
        kind: of the access.
        gate: which.
        timeout_ns: how long to wait at most; None: for ever.
        orders: what it is ordered with, where its kind does not say it all.
    """

    __slots__ = ("_since_ns", "abandonable", "gate", "orders", "timeout_ns")

    def __init__(
        self, kind: str, gate: Gate, timeout_ns: int | None, orders: Orders | None
    ) -> None:
        self.kind = kind
        self.obj = gate.obj
        self.gate = gate
        self.timeout_ns = timeout_ns
        self.orders = orders
        self.abandonable = True
        self._since_ns = -1

    def admits(self) -> frozenset[str] | None:
        """What the gate lets in now."""
        return self.gate.admitted()

    def step(self, m: MLike) -> object:
        """Go in, or come to wait; go on, or give up as time is up."""
        gate, now = self.gate, m.sched.now_ns
        gate.operations += 1
        if self._since_ns >= 0:
            gate.waited(now - self._since_ns)
            if self.kind == RESUME:
                return True
            del gate.visitors[m.id]
            gate.timeouts += 1
            self.orders = UNORDERED
            return False
        if gate.visits(m):
            gate.refresh()
            return True
        self._since_ns = now
        gate.waits += 1
        gate.visitors[m.id] = (m, self)
        if self.timeout_ns is not None:
            m.sched.sleep_until(m, now + self.timeout_ns)
        return PARKED

    def call_in(self, m: MLike) -> None:
        """It is in: all that is left to it is to go on."""
        self.kind = RESUME
        self.abandonable = False
        m.sched.unpark(m)

    def withdrawn(self, m: MLike) -> None:
        """`m` is cancelled: it does not wait any more."""
        if self._since_ns >= 0:
            self.gate.waited(m.sched.now_ns - self._since_ns)
            del self.gate.visitors[m.id]

    def blocked_by(self) -> tuple[tuple[int, str, int], ...]:
        """Who has what it waits for."""
        return self.gate.held_by()


@mypyc_attr(allow_interpreted_subclasses=True)
class Effect(Op):
    """An operation on a gate that does not wait.

    Args:
        kind: of the access.
        gate: which.
        effect: makes it; its value is the result, False where it came to nothing.
        orders: what it is ordered with, where its kind does not say it all.
    """

    __slots__ = ("_effect", "gate", "orders")
    abandonable = False

    def __init__(
        self,
        kind: str,
        gate: Gate,
        effect: Callable[[MLike], object],
        orders: Orders | None = None,
    ) -> None:
        self.orders = orders
        self.kind = kind
        self.obj = gate.obj
        self.gate = gate
        self._effect = effect

    def admits(self) -> frozenset[str] | None:
        """What the gate lets in now."""
        return self.gate.admitted()

    def step(self, m: MLike) -> object:
        """Make the access; see who may go in after it."""
        gate = self.gate
        gate.operations += 1
        result = self._effect(m)
        if result is False:
            self.orders = UNORDERED
        gate.refresh()
        return result


@mypyc_attr(allow_interpreted_subclasses=True)
class Gate(KitObject):
    """Something that Ms wait to be let in by.

    Args:
        name: for reports; the object of its operations.
        line: the cache line that it lies on; one of its own if "".

    Attributes:
        wanted: who is about to go in by an `Entry`, by number, in the order they came.
        visitors: who waits in a `Visit`, likewise.
        timed: Ms have waited with a time, so that nobody can say by kind who could have gone.
    """

    __slots__ = ("timed", "visitors", "wanted")

    def __init__(self, name: str, line: str = "") -> None:
        super().__init__(name, line)
        self.wanted: dict[int, tuple[MLike, Entry]] = {}
        self.visitors: dict[int, tuple[MLike, Visit]] = {}
        self.timed = False

    # What a gate says.

    def lets(self, op: Entry) -> bool:
        """Whether the operation may go in now."""
        raise NotImplementedError

    def goes(self, m: MLike, op: Entry) -> object:
        """It goes in: its result."""
        return True

    def visits(self, m: MLike) -> bool:
        """Let a visitor in that may go in now; whether it may."""
        raise NotImplementedError

    def admits(self) -> frozenset[str] | None:
        """Kinds of entry that may go in now; None where the kind alone does not decide that."""
        return None

    def held_by(self) -> tuple[tuple[int, str, int], ...]:
        """Who keeps others out: number, site, since when in ns."""
        return ()

    def keeps_out(self, op: Entry) -> tuple[tuple[int, str, int], ...]:
        """Who keeps this operation out, where that is not everybody who keeps others out."""
        return self.held_by()

    # What is made of that.

    def entry(
        self,
        kind: str,
        data: object = None,
        timeout_ns: int | None = None,
        orders: Orders | None = None,
    ) -> Entry:
        """An operation that waits to be let in.

        Raises:
            IllegalUse: `timeout_ns` is negative.
        """
        if timeout_ns is not None:
            check_timeout(self, timeout_ns)
        return Entry(kind, self, data, timeout_ns, orders)

    def visit(
        self, kind: str, timeout_ns: int | None = None, orders: Orders | None = None
    ) -> Visit:
        """An operation that goes in if it may, and else waits to be called in.

        Raises:
            IllegalUse: `timeout_ns` is negative.
        """
        check_timeout(self, timeout_ns)
        return Visit(kind, self, timeout_ns, orders)

    def call_in(self) -> list[MLike]:
        """Let all visitors go on who wait, as they are in; who they are."""
        called = list(self.visitors.values())
        self.visitors.clear()
        for m, op in called:
            op.call_in(m)
        return [m for m, _ in called]

    def change(
        self, kind: str, effect: Callable[[MLike], object], orders: Orders | None = None
    ) -> Effect:
        """An operation that does not wait."""
        return Effect(kind, self, effect, orders)

    def admitted(self) -> frozenset[str] | None:
        """As `admits`; None where waits may end by time."""
        return None if self.timed else self.admits()

    def refresh(self) -> None:
        """Let those go who may, and those not who may not."""
        for m, op in list(self.wanted.values()):
            op.refresh(m)

    @property
    def waiting(self) -> int:
        """How many Ms wait in it now."""
        return len(self.visitors) + sum([op.since_ns >= 0 for _, op in self.wanted.values()])

    def words(self) -> str:
        """How many wait, for a repr."""
        n = self.waiting
        return f", {n} waiting" if n else ""
