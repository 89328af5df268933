"""A condition variable; sync.Cond, with the time and the cancellation of POSIX's."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Final, Protocol

from gorun_mem.runtime.kinds import RESUME
from gorun_mem.runtime.op import PARKED, MLike, Op, Orders
from gorun_mem.sync.base import KitObject
from gorun_mem.sync.gate import UNORDERED, Entry, check_timeout

EVERYBODY: Final = 1 << 30


class Locker(Protocol):
    """What a condition variable gives back while it waits; sync.Locker."""

    def acquire(self) -> Awaitable[Any]:
        """Take it."""

    def release(self) -> Awaitable[Any]:
        """Give it back."""


class _Draw(Op):
    """Draw a ticket; notifyListAdd."""

    kind = "cond.add"
    abandonable = False

    def __init__(self, cond: NotifyList) -> None:
        self.cond = cond
        self.obj = cond.obj

    def step(self, m: MLike) -> object:
        """Draw it."""
        cond = self.cond
        cond.operations += 1
        cond.tickets += 1
        cond.called[cond.tickets] = False
        return cond.tickets


class _Sleep(Op):
    """Sleep until the ticket is called; notifyListWait."""

    def __init__(self, cond: NotifyList, ticket: int, timeout_ns: int | None) -> None:
        self.kind = "cond.sleep"
        self.cond = cond
        self.obj = cond.obj
        self.abandonable = True
        cond.sleeps[ticket] = self
        self.ticket = ticket
        self.timeout_ns = timeout_ns
        self.since_ns = -1
        self.orders: Orders | None = UNORDERED

    def step(self, m: MLike) -> object:
        """Go on if it was called, or time is up; sleep else."""
        cond, now = self.cond, m.sched.now_ns
        cond.operations += 1
        called = cond.called[self.ticket]
        if not called and self.since_ns < 0:
            self.since_ns = now
            cond.waits += 1
            cond.asleep[self.ticket] = m
            if self.timeout_ns is not None:
                m.sched.sleep_until(m, now + self.timeout_ns)
            return PARKED
        if self.since_ns >= 0:
            cond.waited(now - self.since_ns)
        self.forget()
        if called:
            self.orders = ((cond.name_of(self.ticket),), ())
        else:
            cond.timeouts += 1
        return called

    def forget(self) -> None:
        """The ticket is used up."""
        del self.cond.called[self.ticket], self.cond.sleeps[self.ticket]
        self.cond.asleep.pop(self.ticket, None)

    def call(self) -> None:
        """Its ticket is called, and it sleeps: all that is left is to go on."""
        self.kind = RESUME
        self.abandonable = False

    def withdrawn(self, m: MLike) -> None:
        """It is cancelled before it was called."""
        if self.since_ns >= 0:
            self.cond.waited(m.sched.now_ns - self.since_ns)
        self.forget()


class _Wake(Op):
    """Call the next tickets; notifyListNotifyOne and notifyListNotifyAll."""

    kind = "cond.wake"
    abandonable = False

    def __init__(self, cond: NotifyList, count: int) -> None:
        self.cond = cond
        self.obj = cond.obj
        self.count = count
        self.orders: Orders | None = None

    def step(self, m: MLike) -> object:
        """Call them."""
        cond = self.cond
        cond.operations += 1
        called = cond.call(self.count)
        self.orders = ((), tuple([cond.name_of(ticket) for ticket in called]))
        return len(called)


class NotifyList(KitObject):
    """Tickets that are drawn, slept on and called; notifyList, which sync.Cond is made of.

    A ticket is drawn while the lock is held and slept on after it was given back, so a call in
    between is not lost. Tickets are called in the order they were drawn.

    Args:
        name: for reports; the object of its operations.
        line: the cache line that it lies on; one of its own if "".

    Attributes:
        tickets: how many were drawn.
        called: by ticket in use, whether it was called.
        asleep: by ticket, who sleeps, and `sleeps` in which operation.
    """

    def __init__(self, name: str, *, line: str = "") -> None:
        super().__init__(name, line)
        self.tickets = 0
        self.called: dict[int, bool] = {}
        self.asleep: dict[int, MLike] = {}
        self.sleeps: dict[int, _Sleep] = {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.obj}{self.words()}>"

    def words(self) -> str:
        """Who sleeps, for a repr."""
        who = ", ".join(f"M{m.id}" for m in self.asleep.values())
        return f", {who} asleep" if who else ""

    @property
    def waiting(self) -> int:
        """How many Ms sleep."""
        return len(self.asleep)

    def add(self) -> Op:
        """Draw a ticket; notifyListAdd."""
        return _Draw(self)

    def sleep(self, ticket: int, timeout_ns: int | None = None) -> Op:
        """Sleep until `ticket` is called, once; notifyListWait.

        Args:
            ticket: of `add`.
            timeout_ns: how long to sleep at most; None: for ever.

        Returns:
            True; False where the time is up.

        Raises:
            IllegalUse: `timeout_ns` is negative.
        """
        check_timeout(self, timeout_ns)
        return _Sleep(self, ticket, timeout_ns)

    def wake(self, count: int) -> Op:
        """Call the next tickets, and say how many; notifyListNotifyOne and notifyListNotifyAll."""
        return _Wake(self, count)

    def snapshot(self) -> tuple[object, ...]:
        """The tickets in use, as how manieth of these, and who sleeps."""
        asleep = self.asleep
        return tuple([
            (called, asleep[ticket].id if ticket in asleep else -1)
            for ticket, called in sorted(self.called.items())
        ])  # fmt: skip

    def name_of(self, ticket: int) -> str:
        """What the call of a ticket is published under."""
        return f"{self.name} ticket {ticket}"

    def call(self, count: int) -> list[int]:
        """Call the next tickets; returns which."""
        called = [ticket for ticket, was in sorted(self.called.items()) if not was][:count]
        for ticket in called:
            self.called[ticket] = True
            sleeper = self.asleep.get(ticket)
            if sleeper is not None:
                self.sleeps[ticket].call()
                sleeper.sched.unpark(sleeper)
        return called


class Cond(NotifyList):
    """Ms that wait, under a lock, for something to become so; sync.Cond.

    A wait draws a ticket, gives the lock back, sleeps until the ticket is called, and takes the
    lock again, each a step. As others may go first, what is waited for has to be looked at again:

        async with lock:
            while not await ready.load():
                await cond.wait()

    Args:
        name: for reports; the object of its operations.
        lock: what guards it: a `Lock`, or anything with `acquire` and `release`.
        line: the cache line that it lies on; one of its own if "".
    """

    def __init__(self, name: str, lock: Locker, *, line: str = "") -> None:
        super().__init__(name, line=line)
        self.lock = lock

    def __repr__(self) -> str:
        return f"<Cond {self.obj} of {self.lock!r}{self.words()}>"

    async def wait(self, timeout_ns: int | None = None) -> bool:
        """Wait to be called; the lock is held before and after.

        An M that is cancelled takes the lock again before it unwinds, as in POSIX.

        Args:
            timeout_ns: how long to sleep at most; None: for ever.

        Returns:
            True; False where the time is up.

        Raises:
            IllegalUse: `timeout_ns` is negative, or another M holds the lock.
            Throw: nobody holds the lock.
        """
        check_timeout(self, timeout_ns)
        ticket = await self.add()
        await self.lock.release()
        try:
            called: bool = await self.sleep(ticket, timeout_ns)
        except GeneratorExit:
            raise
        except BaseException:
            await self._take_again()
            raise
        await self._take_again()
        return called

    async def _take_again(self) -> None:
        taking = self.lock.acquire()
        if isinstance(taking, Entry):
            taking.abandonable = False  # whoever called has to give it back
        await taking

    def signal(self) -> Op:
        """Call whoever has waited longest."""
        return self.wake(1)

    def broadcast(self) -> Op:
        """Call all who wait."""
        return self.wake(EVERYBODY)
