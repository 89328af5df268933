"""Locks that clients take and give back by hand: `lock NAME`, `try_lock NAME`, `unlock NAME`.

Any lock of the World may be meant, memlock too; one that is not there yet is made, with the World's
algorithm. Between two requests an M may hold a lock for as long as its client likes, which no call
of the runtime does, so three things differ from the locks inside a call:

    who waits for it     is not deadlocked, as long as its holder waits for its client
    who holds it         may enter no call that would wait for ever for itself, or close a circle
                         of Ms that wait for each other: refused in a strict World
    who goes             gives back what it holds

In a faithful World nothing is refused: what Go does then may end the World.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from gorun_mem.machine.world_base import MEMLOCK
from gorun_mem.runtime.errors import IllegalUse
from gorun_mem.runtime.op import MORE, PARKED, MLike, Op

if TYPE_CHECKING:
    from gorun_mem.machine.m import M
    from gorun_mem.machine.world import World
    from gorun_mem.runtime.mutex import StateMutex

LOCKS_MAX: Final = 64
"""Locks that a World of a service has; each is kept for ever."""
SITE: Final = "by hand"
_OURS: Final = "gorun_mem.runtime.mutex."
"""Where the locks are that get a free lock by their first access; others say how they are tried."""


class _TryLock(Op):
    """Take a lock if it is free, in one step."""

    __slots__ = ("_mutex",)
    kind = "atomic.cas"

    def __init__(self, mutex: StateMutex) -> None:
        self._mutex = mutex
        self.obj = mutex.key_obj

    def step(self, m: MLike) -> object:
        """Whether it was free, and is the M's now.

        Nobody holds it and nobody waits: then the first access of every algorithm gets it.
        """
        mutex = self._mutex
        if mutex.holders or mutex.book.waiting:
            return False
        op = mutex.lock(SITE)
        op.awaited = True
        came_to = op.step(m)
        assert came_to is not MORE
        assert came_to is not PARKED
        return True


class LocksByHand:
    """Locks, as the clients of one World take them.

    Args:
        world: the shared World.
        strict: refuse what no correct program does.
        made: told of each lock that is made.

    Attributes:
        operations: by word, what an M awaits, as `operation(m, name)`.
    """

    def __init__(self, world: World, strict: bool, made: Callable[[StateMutex], None]) -> None:
        self._world = world
        self._strict = strict
        self._made = made
        self._held: dict[str, int] = {}
        self._wants: dict[int, str] = {}
        self.operations = {"lock": self._lock, "try_lock": self._try_lock, "unlock": self._unlock}

    async def _lock(self, m: M, name: str) -> str:
        mutex = self._mutex(name)
        if self._strict:
            self._check(m, f"lock {name}", name)
        self._wants[m.id] = name
        try:
            await m.lock(mutex, SITE)
        finally:
            del self._wants[m.id]
        self._held[name] = m.id
        return "ok"

    async def _try_lock(self, m: M, name: str) -> str:
        mutex = self._mutex(name)
        ours = type(mutex).__module__.startswith(_OURS)
        if not await (_TryLock(mutex) if ours else mutex.try_lock(SITE)):
            return "busy"
        self._held[name] = m.id
        return "ok"

    async def _unlock(self, m: M, name: str) -> str:
        mutex = self._mutex(name)
        if self._strict and all(one.m != m.id for one in mutex.holders):
            holder = mutex.holder
            who = f"M{holder.m} holds it" if holder is not None else "nobody holds it"
            raise IllegalUse(f"unlock {name} by M{m.id}: {who}")
        self._held.pop(name, None)
        await m.unlock(mutex, SITE)
        return "ok"

    def _mutex(self, name: str) -> StateMutex:
        """The lock called `name`, made where there is none.

        Raises:
            IllegalUse: there are as many as there may be.
        """
        there = self._world.mutexes
        if name in there:
            return there[name]
        if len(there) >= LOCKS_MAX:
            raise IllegalUse(f"lock {name}: the World has {LOCKS_MAX} locks, as many as may be")
        mutex = self._world.mutex(name)
        self._made(mutex)
        return mutex

    # Who waits for whom.

    def entering(self, m: M, what: str) -> None:
        """`m` is about to enter a call, which takes memlock.

        Raises:
            IllegalUse: it would wait for ever.
        """
        if self._held and self._strict:
            self._check(m, what, MEMLOCK)

    def _check(self, m: M, what: str, name: str) -> None:
        """Refuse a lock that `m` holds itself, or for which it would wait in a circle."""
        way: list[str] = []
        for holder, lock in self._way_from(name):
            if holder == m.id:
                if not way:
                    raise IllegalUse(f"{what} by M{m.id}: it holds {lock} itself; unlock it first")
                raise IllegalUse(f"{what} by M{m.id}: {'; '.join(way)}, which M{m.id} holds")
            way.append(f"M{holder} holds {lock} and waits for {self._wants.get(holder, MEMLOCK)}")

    def _way_from(self, name: str) -> Iterator[tuple[int, str]]:
        """Who holds a lock, and who holds what that M waits for, and so on."""
        waits = {m: lock for lock, mutex in self._world.mutexes.items() for m in mutex.book.waiting}
        waits |= self._wants
        seen: set[str] = set()
        at: str | None = name
        while at is not None and at not in seen:
            seen.add(at)
            holder = self._world.mutexes[at].holder
            if holder is None:
                return
            yield holder.m, at
            at = waits.get(holder.m)

    def somebody_comes_back(self, idle: Callable[[int], bool]) -> bool:
        """Whether an M that waits for a lock waits, in the end, for one whose client may go on.

        Args:
            idle: whether an M waits for its client.
        """
        return any(
            self._held.get(lock) == holder and idle(holder)
            for name, mutex in self._world.driver.mutexes.items()
            if mutex.book.waiting
            for holder, lock in self._way_from(name)
        )

    async def give_back(self, m: M) -> list[str]:
        """`m` goes: the locks that it held, which are free now."""
        held = [name for name, holder in self._held.items() if holder == m.id]
        for name in held:
            del self._held[name]
            await m.unlock(self._world.mutexes[name], SITE)
        return held
