"""A lock of one's own as coroutines: `Mutex`, and what makes a runtime lock of it.

    class TicketLock(Mutex):
        def __init__(self, name):
            super().__init__(name)
            self.next, self.serving = Word("next"), Word("serving")

        async def lock(self, m):
            ticket = await self.next.add(1) - 1
            while await self.serving.load() != ticket:
                await m.pause()

        async def unlock(self, m):
            await self.serving.add(1)

To the runtime it is a lock as every other: each call is one operation, whose accesses are those
that the coroutine awaits, one a step; it has ranks, statistics and events, and whoever waits in it
is seen to wait for the lock.

    lock      access ... access   enter        enter and leave are steps of no cost that all change
    unlock    leave   access ... access        the lock's object: the critical section lies between

So a search sees the order of critical sections even where the words do not make one; a lock that
lets two Ms in is found out by `enter`. An M waits from the first access on that does not get it the
lock while somebody has it, waits for it or is giving it back. What a lock holds begins at `enter`
and ends at `leave`.
"""

from __future__ import annotations

from collections.abc import Coroutine
from functools import partial
from typing import Any, ClassVar, Final

from gorun_mem.runtime.errors import IllegalUse
from gorun_mem.runtime.kinds import named
from gorun_mem.runtime.mutex.base import StateMutex
from gorun_mem.runtime.mutex.machine import LockOp, UnlockOp
from gorun_mem.runtime.mutex.settings import LockSettings
from gorun_mem.runtime.op import INSIDE, MORE, PARKED, Mark, MLike, Op
from gorun_mem.sync.base import KitObject, enter_scope, leave_scope

SPINS: Final = named(lambda kind: kind.waits)
"""Kinds of access by which an M waits on its CPU."""
UNLOCKED: Final = "unlock of unlocked lock"


class Mutex:
    """A lock of one's own, as coroutines over the kit (`gorun_mem.sync`).

    Derive from it, and hand the class to `World(mutex=...)` or name it as `--mutex FILE.py:Class`.
    What `__init__` makes of the kit belongs to this lock: "next" is then called "memlock:next".

    Args:
        name: the lock's name in the log, such as "memlock".
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        words = ", ".join(
            f"{key}={value.value!r}" for key, value in vars(self).items() if hasattr(value, "value")
        )
        return f"<{type(self).__name__} {self.name}{': ' if words else ''}{words}>"

    async def lock(self, m: Any) -> None:
        """Take it; the M that calls has it when this returns.

        Args:
            m: the M, with `m.id`, `m.pause()`, `m.compute(ns)`, `m.sleep(ns)` and the like.
        """
        raise NotImplementedError

    async def unlock(self, m: Any) -> None:
        """Give it back."""
        raise NotImplementedError

    # try_lock(self, m) -> bool is there where the class has one.


class _Driven:
    """What the three operations have in common: the coroutine, one access a step.

    Attributes:
        coro: the user's coroutine.
        inner: the operation that it awaits; None where it has ended, or has not begun.
        error: what it raised, to be raised where the M awaits.
        value: what it returned.
        fresh: no access has been made.
    """

    abandonable = False  # half a lock is none

    mutex: Any
    site: str
    coro: Coroutine[Any, Any, Any] | None
    inner: Op | None
    error: BaseException | None
    value: Any
    fresh: bool
    marks: str
    awaited: bool
    pc: str
    orders: Any

    def __init__(self, mutex: CoroutineMutex) -> None:
        self.mutex = mutex
        self.site = ""
        self.reset()

    def reset(self) -> None:
        """Nothing is under way."""
        self.coro = self.inner = self.error = self.value = None
        self.fresh = True
        self.orders = None

    @property
    def kind(self) -> str:
        """Of the next access, or of the beginning or end of the critical section."""
        inner = self.inner
        return self.marks if inner is None else inner.kind

    @property
    def obj(self) -> str:
        """What that touches: of a beginning or an end, the lock."""
        inner = self.inner
        key: str = self.mutex.key_obj
        return key if inner is None else inner.obj

    @property
    def reads_only(self) -> bool:
        """Whether it changes nothing."""
        inner = self.inner
        return inner is not None and inner.reads_only

    def go_on(self, m: MLike, value: object) -> bool | None:
        """Let the coroutine go on with `value`; whether its next access may be made, None: none."""
        coro = self.coro
        assert coro is not None
        mutex = self.mutex
        before = enter_scope(mutex.prefix, mutex.made)
        INSIDE.append((m, coro))
        try:
            inner = coro.send(value)
        except StopIteration as stop:
            self.inner = None
            self.value = stop.value
            return None
        except BaseException as error:
            self.inner = None
            self.error = error
            return None
        finally:
            INSIDE.pop()
            leave_scope(before)
        if not isinstance(inner, Op):
            self.inner = None
            self.error = IllegalUse(
                f"lock {mutex.name} awaits what is no operation at {self.where()}: await the "
                "kit's words and the methods of m"
            )
            coro.close()
            return None
        self.inner = inner
        self.pc = inner.kind
        return not inner.asks_first or inner.begin(m)

    def mark(self, kind: str) -> None:
        """The next step is the beginning or the end of the critical section."""
        self.marks = self.pc = kind

    def access(self, m: MLike, inner: Op) -> object:
        """Make one access of the coroutine's; MORE, PARKED, or None where it has ended."""
        self.fresh = False
        result = inner.step(m)
        self.orders = inner.orders
        if result is MORE or result is PARKED:
            return result
        able = self.go_on(m, result)
        return None if able is None else MORE if able else PARKED

    def where(self) -> str:
        """The line of the coroutine that the M is at, as "file:line"."""
        coro: Any = self.coro
        place = ""
        while coro is not None and getattr(coro, "cr_frame", None) is not None:
            package = coro.cr_frame.f_globals.get("__name__", "").partition(".")[0]
            if package not in ("gorun_mem", "trio"):
                place = f"{coro.cr_code.co_filename}:{coro.cr_frame.f_lineno}"
            coro = coro.cr_await
        return place

    def acting(self) -> Op:
        """Whose access is next."""
        inner = self.inner
        return self if inner is None else inner.acting()  # type: ignore[return-value]

    def admits(self) -> frozenset[str] | None:
        """What the object of the next access lets go."""
        return None if self.inner is None else self.inner.admits()

    def __await__(self) -> Any:
        self.awaited = True
        try:
            value = yield self
        except BaseException as cut:
            self.unwind(cut)
            raise
        error, self.error = self.error, None
        if error is not None:
            raise error
        return value

    def unwind(self, cut: BaseException) -> None:
        """The run is over: end the coroutine, and what it does meanwhile does not count."""
        coro, self.coro = self.coro, None
        if coro is not None and self.inner is not None:
            for end in (partial(coro.throw, cut), coro.close):
                try:
                    end()
                except BaseException:
                    pass


class CoroutineLock(_Driven, LockOp):  # type: ignore[override]
    """A call of `Mutex.lock`."""

    def reset(self) -> None:
        """Nothing is under way."""
        super().reset()
        self.waits = False
        self.mark("enter")

    def make(self, m: MLike) -> Coroutine[Any, Any, Any]:
        """The user's coroutine."""
        made: Coroutine[Any, Any, Any] = self.mutex.user.lock(m)
        return made

    def begin(self, m: MLike) -> bool:
        """Let the coroutine come to its first access."""
        self.coro = self.make(m)
        able = self.go_on(m, None)
        if able is None:
            self.mark("enter")
        return able is not False

    def step(self, m: MLike) -> object:
        """Make its next access; enter, when it has ended."""
        mutex: CoroutineMutex = self.mutex
        if self.fresh and (m.locks < 0 or mutex.ranks is not None):
            self.check(m)
        inner = self.inner
        if inner is None:
            return self.enter(m)
        spins = self.waits and inner.kind in SPINS
        result = self.access(m, inner)
        if result is None:
            return self.ended(m)
        if not self.waits and mutex.is_wanted:
            self.waits = True
            mutex.waits(m, self)
        elif self.waits:
            self.spins += spins
        if result is PARKED and self.waits:
            self.sleeps += 1
        return result

    def ended(self, m: MLike) -> object:
        """The coroutine has ended: one step more, to enter."""
        if self.error is not None:
            return self.give_up(m)
        self.mutex.entering += 1
        self.mark("enter")
        return MORE

    def enter(self, m: MLike) -> object:
        """The lock is taken."""
        if self.error is not None:
            return self.give_up(m)
        mutex: CoroutineMutex = self.mutex
        mutex.entering -= not self.fresh
        mutex.acquired(m, self)
        if mutex.waited is not self:
            self.reset()
            mutex.lock_ops.append(self)
        return None

    def give_up(self, m: MLike) -> object:
        """The lock is not taken: its code has failed, or it was only tried."""
        mutex: CoroutineMutex = self.mutex
        if self.waits:
            del mutex.book.waiting[m.id]
            m.locks -= mutex.locks_delta
        return None


class CoroutineTry(CoroutineLock):
    """A call of `Mutex.try_lock`."""

    def make(self, m: MLike) -> Coroutine[Any, Any, Any]:
        """The user's coroutine."""
        made: Coroutine[Any, Any, Any] = self.mutex.user.try_lock(m)
        return made

    def ended(self, m: MLike) -> object:
        """The coroutine has ended: one step more, to enter, if it has the lock."""
        if self.error is None and self.value:
            return super().ended(m)
        self.give_up(m)
        return False

    def enter(self, m: MLike) -> object:
        """The lock is taken, if it was."""
        if self.error is not None or not self.value:
            self.give_up(m)
            return False
        self.mutex.entering -= not self.fresh
        self.mutex.acquired(m, self)
        return True


class CoroutineUnlock(_Driven, UnlockOp):  # type: ignore[override]
    """A call of `Mutex.unlock`."""

    def reset(self) -> None:
        """Nothing is under way."""
        super().reset()
        self.mark("leave")

    def step(self, m: MLike) -> object:
        """Leave; then make the coroutine's accesses."""
        mutex: CoroutineMutex = self.mutex
        inner = self.inner
        if inner is None:
            self.leave(m)
            self.coro = mutex.user.unlock(m)
            able = self.go_on(m, None)
            result: object = None if able is None else MORE if able else PARKED
        else:
            result = self.access(m, inner)
            for woken in getattr(inner, "woken", ()):
                mutex.woke(woken.id, self)
        if isinstance(result, Mark):
            return result
        mutex.leaving -= 1
        m.locks = locks = m.locks - mutex.locks_delta
        if locks < 0:
            self.miscounted(m)
        if self.error is None:
            self.reset()
            mutex.unlock_ops.append(self)
        return None

    def leave(self, m: MLike) -> None:
        """The critical section has ended.

        Raises:
            Throw: nobody has the lock.
        """
        mutex: CoroutineMutex = self.mutex
        if mutex.ranks is not None:
            mutex.ranks.before_unlock(m, mutex, self)
        if mutex.owner is None:
            raise mutex.throw(m, self, UNLOCKED)
        self.fresh = False
        mutex.leaving += 1
        mutex.released(m, self)


class CoroutineMutex(StateMutex):
    """A runtime lock made of a `Mutex`; `adapted` derives one for each class.

    Attributes:
        user: the user's lock.
        prefix: what the names of its words begin with.
        made: what it has made of the kit, in order.
        entering: how many Ms have made all accesses of taking it, and have not entered.
        leaving: how many are giving it back.
    """

    __slots__ = ("entering", "leaving", "made", "prefix", "user")
    lock_op = CoroutineLock
    unlock_op = CoroutineUnlock
    user_class: ClassVar[type[Mutex]] = Mutex

    def prepare(self, settings: LockSettings) -> None:
        """Make the user's lock."""
        self.entering = self.leaving = 0
        self.prefix = f"{self.name}:"
        self.made: list[KitObject] = []
        before = enter_scope(self.prefix, self.made)
        try:
            self.user = self.user_class(self.name)
        finally:
            leave_scope(before)

    @property
    def is_wanted(self) -> bool:
        """Whether an M that comes now, and does not get it at once, waits for others."""
        return bool(self.owner is not None or self.entering or self.leaving or self.book.waiting)

    def snapshot(self) -> tuple[object, ...]:
        """What the objects of the kit hold that the lock has made."""
        return tuple([one.snapshot() for one in self.made])

    def restore(self, snapshot: tuple[object, ...]) -> None:
        """Not possible: what its coroutines hold cannot be set."""
        raise IllegalUse(f"lock {self.name} is made of coroutines: run it anew to come to a state")


_ADAPTED: Final[dict[type[Mutex], type[CoroutineMutex]]] = {}


def adapted(cls: type[Mutex]) -> type[CoroutineMutex]:
    """The runtime lock that a user's class makes; always the same one for a class."""
    made = _ADAPTED.get(cls)
    if made is None:
        tries = callable(getattr(cls, "try_lock", None))
        made = _ADAPTED[cls] = type(
            cls.__name__,
            (CoroutineMutex,),
            {
                "__slots__": (),
                "__doc__": cls.__doc__,
                "__module__": cls.__module__,
                "algorithm": cls.__name__,
                "user_class": cls,
                "try_op": CoroutineTry if tries else None,
            },
        )
    return made
