"""What all runtime mutexes share, and what the author of a lock calls.

A lock's file has its states, which of them is the first, and its registers; all else is here.
Counts of `m.locks`, the order of ranks, operations that are used again, the book of who had the
lock, the log and the construction follow from what the states tell and return.

An author derives three classes. In a file of one's own, `--mutex FILE.py:Class` finds them; a lock
of the package is in `runtime/mutex/NAME.py`, NAME being its `algorithm`, and is found there:

    LockOp      FIRST and the states of taking the lock; REGISTERS, the attributes that they keep
    UnlockOp    the same of giving it back
    StateMutex  lock_op, unlock_op; `algorithm`, a name, where it is not to be the class's own;
                `prepare` where the lock has more words than `key`, and then `snapshot` and
                `restore`; `try_op` where it can be tried (a TryLockOp)

A state is a method under `@state(KIND)` that makes one access to what Ms share: mostly to `key`.
It returns `self.goto(m, "another")`, or `PARKED` for an M that sleeps, or None where the operation
is through. The first state is made once, and begins the operation. The states tell the mutex:

    mutex.waits(m, self)            the lock is taken: `m` begins to wait; once, in the first state
    mutex.acquired(m, self)         `m` has the lock from this access on
    mutex.released(m, self, next)   `m` has given it back; `next` is the M that it goes to, if known
    mutex.woke(number, self)        this release wakes M `number`

and may use `mutex.spin_limit(m)`; `self.spins` and `self.sleeps`, to be counted up; and `raise
mutex.throw(m, self, TEXT)` or `raise mutex.fault(self, ...)`. Where Go says something else of a bad
count of locks, an operation has a LOCK_COUNT or a `miscounted` of its own. What is told is no part
of the algorithm and changes nothing of it.

Where memory is TSO (`--memory tso`) a state is a fence, unless it only loads, spins or yields. One
that is to store as a MOV does has kind "store" or "atomic.store_release" and writes by
`self.store(m, WORD, VALUE)`; a load of such a word is `self.load(m, WORD)`.

Example: a test-and-set lock.

    class TasLock(LockOp):
        __slots__ = ()
        FIRST = "swap"

        @state("atomic.xchg")
        def swap(self, m: MLike) -> object:
            before, self.mutex.key = self.mutex.key, 1
            if before:
                self.mutex.waits(m, self)
                return self.goto(m, "pause")
            self.mutex.acquired(m, self)
            return None

        @state("osyield", CPU)
        def pause(self, m: MLike) -> object:
            self.spins += 1
            return self.goto(m, "again")

        @state("atomic.xchg")
        def again(self, m: MLike) -> object:
            before, self.mutex.key = self.mutex.key, 1
            if before:
                return self.goto(m, "pause")
            self.mutex.acquired(m, self)
            return None

    class TasUnlock(UnlockOp):
        __slots__ = ()
        FIRST = "clear"

        @state("atomic.xchg")
        def clear(self, m: MLike) -> object:
            before, self.mutex.key = self.mutex.key, 0
            if not before:
                raise self.mutex.throw(m, self, "unlock of unlocked lock")
            self.mutex.released(m, self)
            return None

    class TasMutex(StateMutex):
        __slots__ = ()
        algorithm = "tas"
        lock_op = TasLock
        unlock_op = TasUnlock

A lock that is got at the first access and wanted by nobody else pays for a tuple in a list. Times
come from `m.sched.now_ns`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from mypy_extensions import mypyc_attr

from gorun_mem.runtime.errors import Fault, IllegalUse, Throw
from gorun_mem.runtime.m import m_address, m_number
from gorun_mem.runtime.mutex.book import FOLD_AT, LockBook, Open
from gorun_mem.runtime.mutex.machine import Lockable, LockOp, MutexOp, UnlockOp
from gorun_mem.runtime.mutex.settings import USUAL, LockSettings
from gorun_mem.runtime.mutex.statistics import Holder, LockStatistics, Waiter
from gorun_mem.runtime.op import LOOKED_AT, MLike
from gorun_mem.runtime.sink import Waited

if TYPE_CHECKING:
    pass

ACTIVE_SPIN: Final = 4
"""active_spin, mutexActiveSpinCount: procyields before the osyield, the same in every release."""
PASSIVE_SPIN: Final = 1
"""passive_spin, mutexPassiveSpinCount: osyields before sleeping."""


HELD_TWICE: Final = "gorun_mem: two Ms hold one lock"
"""What a lock throws that does not exclude."""


@mypyc_attr(allow_interpreted_subclasses=True)
class StateMutex(Lockable):
    """A runtime mutex; the base of all algorithms.

    Args:
        name: the lock's name in the log, such as "memlock".
        settings: all else.
    """

    __slots__ = (
        "_releaser", "book", "key", "key_obj", "new_unlock", "owner", "owner_site", "prev_owner_m",
        "since_ns", "sink",
    )  # fmt: skip

    algorithm: ClassVar[str] = ""
    """What statistics call it; the class's name where nothing is said."""
    source: ClassVar[str] = ""
    """The file of Go's that it follows, and in which releases; "" for one of our own."""
    platforms: ClassVar[str] = ""
    """What of Go's has it, in words; "" for one of our own."""
    excludes: ClassVar[bool] = True
    """At most one M has it."""
    several_ms: ClassVar[bool] = True
    """Several Ms may share it."""
    lock_op: ClassVar[type[LockOp]]
    unlock_op: ClassVar[type[UnlockOp]]
    try_op: ClassVar[type[LockOp] | None] = None
    bits: ClassVar[dict[str, int]] = {}
    """The bits of `key` by name, for people; what is left is taken for the address of an M."""
    values: ClassVar[dict[int, str]] = {}
    """The values of `key` by name, where it has no bits."""
    claimed: ClassVar[int] = 0
    """Bits of `key` each of which is one M's alone: the M whose operation claims it (`claims`)."""

    def __init_subclass__(cls) -> None:
        """Name the algorithm."""
        if "algorithm" not in vars(cls) and not cls.algorithm:
            cls.algorithm = cls.__name__

    def __init__(self, name: str = "memlock", settings: LockSettings = USUAL) -> None:
        self.name = name
        self.rank = settings.rank
        self.sink = settings.sink
        self.ranks = settings.ranks
        self.locks_delta = settings.behaviour.locks_delta
        self.lock_ops = []
        self.unlock_ops = []
        self.new_unlock: type[UnlockOp] = self.unlock_op
        """What its unlocks are; `prepare` may change it."""
        self.key = 0
        self.key_obj = f"{name}.key"
        self.owner: MLike | None = None
        """Who holds it, None where nobody does."""
        self.owner_site = ""
        """The Go function that took it."""
        self.since_ns = 0
        """When the owner got it."""
        self.waited = None
        self.prev_owner_m = 0
        self._releaser: UnlockOp | None = None  # the latest release, until somebody has the lock
        self.book: LockBook[LockOp] = LockBook()
        """What is counted of it."""
        self.prepare(settings)

    def prepare(self, settings: LockSettings) -> None:
        """Make what the algorithm has besides `key`; the end of the construction."""

    # What the memory layer calls

    def lock(self, site: str = "") -> LockOp:
        """The operation of taking the lock; Go's `lock`.

        Args:
            site: the Go function that calls, such as "runtime.sysAllocOS".
        """
        pool = self.lock_ops
        op = pool.pop() if pool else self.lock_op(self)
        op.awaited = False
        op.site = site
        return op

    def unlock(self, site: str = "") -> UnlockOp:
        """The operation of giving it back; Go's `unlock`."""
        pool = self.unlock_ops
        op = pool.pop() if pool else self.new_unlock(self)
        op.awaited = False
        op.site = site
        return op

    def try_lock(self, site: str = "") -> LockOp:
        """The operation of taking it if that goes without waiting; whether it was taken.

        Raises:
            IllegalUse: the algorithm cannot be tried.
        """
        made = self.try_op
        if made is None:
            raise IllegalUse(
                f"lock {self.name} ({self.algorithm}) has no try_lock: give the class a try_op, a "
                "TryLockOp; a lock that is a coroutine has an `async def try_lock(self, m)`"
            )
        op = made(self)
        op.site = site
        return op

    # What anyone may ask

    @property
    def holders(self) -> tuple[Holder, ...]:
        """Who holds the lock, where and since when: at most one, where the lock excludes."""
        owner = self.owner
        return () if owner is None else (Holder(owner.id, self.owner_site, self.since_ns),)

    @property
    def holder(self) -> Holder | None:
        """Who holds it, the longest of several; None where nobody does."""
        holders = self.holders
        return holders[0] if holders else None

    @property
    def waiters(self) -> tuple[Waiter, ...]:
        """Who waits and since when, in the order they came."""
        book = self.book
        return tuple(
            Waiter(m, op.site, op.wait_since_ns, op.pc, op.spins, op.sleeps, book.bypassed(m))
            for m, (op, _, _) in book.waiting.items()
        )

    def statistics(self, now_ns: int = -1) -> LockStatistics:
        """What was counted so far; costs a pass over the distinct records.

        Args:
            now_ns: up to when waits and holds count that have not ended; -1 is the time of whoever
                holds the lock, or that of the last event of the lock.
        """
        for tell in LOOKED_AT:
            tell(self)
        now = self._now(now_ns)
        holds = [(one.m, one.site, max(0, now - one.since_ns)) for one in self.holders]
        return self.book.statistics(self.name, self.algorithm, now, holds, self._open_waits(now))

    def unlogged_wait_ns(self, now_ns: int) -> int:
        """What was waited of which no release has told: by who waits, and before a hold of now."""
        waited = self.waited
        before = self.since_ns - waited.wait_since_ns if waited is not None else 0
        return before + sum([ns for _, _, ns in self._open_waits(now_ns)])

    def _open_waits(self, now_ns: int) -> list[Open]:
        return [
            (m, op.site, max(0, now_ns - op.wait_since_ns))
            for m, (op, _, _) in self.book.waiting.items()
        ]

    def _now(self, now_ns: int) -> int:
        if now_ns >= 0:
            return now_ns
        if self.owner is not None:
            return self.owner.sched.now_ns
        return max([self.since_ns, *[op.wait_since_ns for op, _, _ in self.book.waiting.values()]])

    def snapshot(self) -> tuple[object, ...]:
        """The words that Ms share; hashable."""
        return (self.key,)

    def restore(self, snapshot: tuple[object, ...]) -> None:
        """Go back to what `snapshot` returned."""
        (self.key,) = snapshot  # type: ignore[assignment]

    def forget(self, m: int) -> None:
        """M `m` has ended and its number is not used again: drop what is kept of it."""

    def in_words(self, key: int) -> str:
        """A value of `key`, for people: the M whose address it has, and its bits by name."""
        if key in self.values:
            return self.values[key]
        names = [name for name, bit in self.bits.items() if key & bit]
        rest = key & ~sum(self.bits.values())
        if rest:
            is_address = bool(self.bits) and rest == m_address(m_number(rest))
            names.insert(0, f"M{m_number(rest)}" if is_address else hex(rest))
        return " ".join(names) or "0"

    def __repr__(self) -> str:
        holder = self.holder
        held = f"held by M{holder.m} since {holder.since_ns} ns" if holder else "free"
        waiting = len(self.book.waiting)
        return f"<{self.algorithm} mutex {self.name}: {held}, {waiting} waiting>"

    # What the algorithms ask

    def spin_limit(self, m: MLike) -> int:
        """How often a waiting M spins before it yields: not at all on a uniprocessor."""
        return ACTIVE_SPIN if m.sched.cpus > 1 else 0

    # What the algorithms tell

    def waits(self, m: MLike, op: LockOp) -> None:
        """`m` found the lock taken and begins to wait."""
        now = m.sched.now_ns
        m.locks += self.locks_delta
        op.site = op.site or m.name
        op.wait_since_ns = now
        op.spins = op.sleeps = 0
        book, owner = self.book, self.owner
        if self.sink is not None:
            waiting = tuple(book.waiting)
            self.sink.lock_wait(
                self.name,
                op.site,
                owner.id if owner else 0,
                owner.go.op_id if owner else 0,
                len(waiting),
                waiting,
                tuple([lock.name for lock in m.go.held]),
            )
        book.wait(m.id, op, now, owner is not None)

    def acquired(self, m: MLike, op: LockOp) -> None:
        """`m` has the lock from this access on.

        Raises:
            Throw: another has it, so the lock does not exclude.
        """
        if self.owner is not None:
            raise self.held_twice(m, op, self.owner)
        self.owner = m
        self.owner_site = op.site = op.site or m.name
        self.since_ns = m.sched.now_ns
        m.go.held.append(self)
        if self.book.waiting or self.sink is not None:
            self._acquired_among_others(m, op)
        else:
            m.locks += self.locks_delta

    def _acquired_among_others(self, m: MLike, op: LockOp) -> None:
        """The rest of `acquired` for one that has waited, or where somebody waits or listens."""
        book, now = self.book, self.since_ns
        wait_ns = spins = sleeps = bypassed = 0
        entry = book.waiting.get(m.id)
        contended = entry is not None and entry[0] is op
        if contended:
            wait_ns, spins, sleeps = now - op.wait_since_ns, op.spins, op.sleeps
            bypassed = book.acquire(m.id, op.site, op.wait_since_ns, now, spins, sleeps)
            self.waited = op
        else:
            m.locks += self.locks_delta
            if book.waiting:
                book.bypass()
        self._releaser = None
        if self.sink is not None:
            self.sink.lock_acquire(
                self.name,
                op.site,
                Waited(contended, wait_ns, spins, sleeps),
                bypassed,
                len(book.waiting),
                self.prev_owner_m,
            )

    def released(self, m: MLike, op: UnlockOp, next_m: int = 0) -> None:
        """`m` gave the lock back with this access.

        Args:
            m: who.
            op: its unlock.
            next_m: the M that it wakes, where this access decides that; 0: none or not known yet.
        """
        owner = self.owner
        if owner is None:  # unlock of an unlocked lock: Go's code throws or faults by itself
            return
        held = owner.go.held
        if held[-1] is self:
            held.pop()
        else:
            held.remove(self)
        hold_ns = m.sched.now_ns - self.since_ns
        self.prev_owner_m = number = owner.id
        holds = self.book.holds  # what LockBook.release does, without the call
        holds.append((number, self.owner_site, hold_ns))
        if len(holds) >= FOLD_AT:
            self.book.tally.fold()
        if self.sink is not None:
            self._log_release(m, op, hold_ns, next_m)
        waited = self.waited
        if waited is not None:
            self.waited = None
            waited.reset()
            self.lock_ops.append(waited)
        self.owner = None
        self._releaser = op

    def _log_release(self, m: MLike, op: UnlockOp, hold_ns: int, next_m: int) -> None:
        waited, since, now, waiting = self.waited, self.since_ns, m.sched.now_ns, self.book.waiting
        blocked_ns = sum([now - max(one.wait_since_ns, since) for one, _, _ in waiting.values()])
        assert self.sink is not None
        self.sink.lock_release(
            self.name,
            op.site or self.owner_site,
            hold_ns,
            Waited(True, since - waited.wait_since_ns, waited.spins, waited.sleeps)
            if waited
            else Waited(False, 0, 0, 0),
            blocked_ns,
            tuple(waiting),
            next_m,
        )

    def woke(self, m_id: int, op: UnlockOp) -> None:
        """The release `op` wakes M `m_id`; no handoff any more if somebody was faster."""
        if self._releaser is op:
            self.book.woken = m_id

    def throw(self, m: MLike, op: MutexOp, text: str, *printed: str, error_type: str = "") -> Throw:
        """Go's `throw(text)`, logged; the caller raises it."""
        owner_m, owner_site = self._log_throw(op, error_type or text)
        context: dict[str, int | str] = {"lock": self.name, "m": m.id, "site": op.site}
        if owner_m:
            context |= {"owner_m": owner_m, "owner_site": owner_site, "since_ns": self.since_ns}
        return Throw(text, *printed, **context)

    def held_twice(self, m: MLike, op: MutexOp, owner: MLike) -> Throw:
        """`m` has got the lock that `owner` has; the caller raises it."""
        text = (
            f"took {self.name} in {op.site or m.name}; M{owner.id} has it in {self.owner_site} "
            f"since {self.since_ns} ns"
        )
        return self.throw(m, op, HELD_TWICE, text)

    def fault(self, op: MutexOp, error_type: str, address: int, detail: str) -> Fault:
        """A stray access of the lock's code, logged; the caller raises it."""
        self._log_throw(op, error_type)
        return Fault(address, detail)

    def _log_throw(self, op: MutexOp, error_type: str) -> tuple[int, str]:
        owner = self.owner
        who = (owner.id, self.owner_site) if owner else (0, "")
        if self.sink is not None:
            self.sink.lock_throw(self.name, op.site, error_type, *who)
        return who
