"""Operations as state machines: what lock, unlock and the calls on a note are made of.

Go's `lock2`, `unlock2` and the like are loops around single atomic accesses. Here each is an
operation whose states are methods, one for every access that another M could see; `step` runs the
method of the state it is in. A machine is data: `snapshot` is a hashable tuple of the state's name
and the registers, `restore` sets them, so a search may visit each state of several Ms once.

Rejected: a coroutine per operation (a switch for each access, and no snapshot).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Final, TypeVar

from mypy_extensions import mypyc_attr

from gorun_mem.runtime.errors import Throw
from gorun_mem.runtime.kinds import KINDS
from gorun_mem.runtime.m import m_number
from gorun_mem.runtime.mutex.rank import RankChecks
from gorun_mem.runtime.op import MORE, MLike, Op

KEY: Final = "key"
"""The access is to the lock's own words."""
CPU: Final = "cpu"
"""The access is to nothing shared: the M spins or yields."""
SEMA: Final = "waitsema"
"""The access is to the M's own semaphore."""
WAKEE: Final = "wakee"
"""The access is to the semaphore of the M at address `wakem`."""
PROFILE_RATE: Final = "mutexprofilerate"
"""The access is to the word of runtime.SetMutexProfileFraction."""

Step = TypeVar("Step", bound=Callable[..., object])


State = tuple[str, Callable[[Any, MLike], object], str, str, bool]
"""Its name; the method that makes its access; the kind of access; what it touches; whether it
changes nothing that another M can see."""

_MARKED: Final[dict[object, tuple[str, str, bool]]] = {}
_STATES: Final[dict[type, dict[str, State]]] = {}


class _Names(dict[int, str]):
    """The name of an access to what is one M's own, by the M's number; made at first use."""

    MOST: Final = 4096
    """How many to keep: where Ms come and go without end, their numbers have none either."""

    def __init__(self, on: str) -> None:
        super().__init__()
        self.on = on

    def __missing__(self, number: int) -> str:
        if len(self) >= self.MOST:
            self.clear()
        name = self[number] = f"m{number}.{self.on}"
        return name


_SPINS: Final = _Names(CPU)
_SLEEPS: Final = _Names(SEMA)


def state(kind: str, on: str = KEY, *, reads: bool = False) -> Callable[[Step], Step]:
    """Mark a method of a `MutexOp` as a state that makes one access.

    Args:
        kind: the access, such as "atomic.cas".
        on: what it touches: KEY, CPU, SEMA, WAKEE or PROFILE_RATE.
        reads: it changes nothing that another M can see, which most kinds say by themselves.

    Raises:
        KeyError: there is no such kind.
    """
    reads = reads or KINDS[kind].reads

    def mark(method: Step) -> Step:
        _MARKED[method] = (kind, on, reads)
        return method

    return mark


def states_of(cls: type) -> dict[str, State]:
    """The states of an operation by name; one that overrides a state keeps its access unless it
    says otherwise.

    Gathered when the first operation is made.
    """
    states = _STATES.get(cls)
    if states is None:
        states = {}
        for base in reversed(cls.__mro__):
            for name, method in vars(base).items():
                access = _MARKED.get(method) if callable(method) else None
                if access is not None:
                    states[name] = (name, method, *access)
                elif name in states:
                    states[name] = (name, method, *states[name][2:])
        _STATES[cls] = states
    return states


@mypyc_attr(allow_interpreted_subclasses=True)
class MutexOp(Op):
    """A lock or unlock under way, or an operation on a note.

    Args:
        mutex: the lock, or note, that it works on.
    """

    __slots__ = ("first", "key_obj", "mutex", "pc", "reads_only", "run", "site", "states")

    FIRST: ClassVar[str]
    """The state it starts in."""
    REGISTERS: ClassVar[tuple[str, ...]] = ()
    """Attributes that hold what Go keeps in local variables, set when FIRST is left."""

    def __init__(self, mutex: Any) -> None:
        self.mutex = mutex
        self.key_obj: str = mutex.key_obj
        self.site = ""
        cls: Any = type(self)
        self.states = states_of(cls)
        self.first: str = cls.FIRST
        self.reset()
        self.first = self.pc  # the very object that `pc` is then

    def reset(self) -> None:
        """Go to the first state."""
        self.pc, self.run, self.kind, on, self.reads_only = self.states[self.first]
        self.obj = self.key_obj if on == KEY else on

    def step(self, m: MLike) -> object:
        """Make the access of the state the machine is in."""
        return self.run(self, m)

    def goto(self, m: MLike, pc: str) -> Any:
        """Let the next step be state `pc`; returns MORE, for the caller to return."""
        self.pc, self.run, self.kind, on, self.reads_only = self.states[pc]
        if on == KEY:
            self.obj = self.key_obj
        elif on == WAKEE:
            self.obj = _SLEEPS[m_number(self.wakem)]  # type: ignore[attr-defined]
        elif on == CPU:
            self.obj = _SPINS[m.id]
        else:
            self.obj = _SLEEPS[m.id] if on == SEMA else PROFILE_RATE
        return MORE

    def claims(self) -> int:
        """Which bits of the lock's `claimed` are its M's in this state, by what it believes."""
        return 0

    def snapshot(self) -> tuple[object, ...]:
        """The state's name and the registers; hashable."""
        pc = self.pc
        if pc == self.first:
            return (pc,)
        cls: Any = type(self)
        return (pc, *[getattr(self, name) for name in cls.REGISTERS])

    def restore(self, m: MLike, snapshot: tuple[object, ...]) -> None:
        """Go back to what `snapshot` returned."""
        cls: Any = type(self)
        for name, value in zip(cls.REGISTERS, snapshot[1:], strict=False):
            setattr(self, name, value)
        pc = snapshot[0]
        assert isinstance(pc, str)
        self.goto(m, pc)


@mypyc_attr(allow_interpreted_subclasses=True)
class Lockable:
    """A lock as its operations see it; `StateMutex` is the whole of it."""

    __slots__ = ("lock_ops", "locks_delta", "name", "rank", "ranks", "unlock_ops", "waited")

    name: str
    rank: str
    """Its rank's name."""
    ranks: RankChecks | None
    """What checks the order of locks; None: nothing does."""
    locks_delta: int
    """What a lock adds to `m.locks`."""
    lock_ops: list[LockOp]
    """Operations that are through and in their first state: to be used again."""
    unlock_ops: list[UnlockOp]
    waited: LockOp | None
    """The owner's operation, if it had to wait."""

    def throw(self, m: MLike, op: MutexOp, text: str, *printed: str, error_type: str = "") -> Throw:
        """Go's `throw(text)`, logged; the caller raises it.

        Args:
            m: whose call it is.
            op: the call.
            text: Go's text.
            printed: lines that Go prints before.
            error_type: what the log calls it; the text if empty.
        """
        raise NotImplementedError


@mypyc_attr(allow_interpreted_subclasses=True)
class LockOp(MutexOp):
    """Go's `lock2`."""

    __slots__ = ("sleeps", "spins", "wait_since_ns")

    # Set by StateMutex.waits, not before: a lock that is free needs none of it.
    wait_since_ns: int
    spins: int
    sleeps: int
    LOCK_COUNT: ClassVar = "runtime·lock: lock count"

    def check(self, m: MLike) -> None:
        """What lock and lock2 check first, called only where it may matter: the order of locks,
        where it is checked, and the M's count.

        Raises:
            Throw: the M's count is negative, or the order of locks is wrong.
        """
        mutex: Lockable = self.mutex
        if mutex.ranks is not None:
            mutex.ranks.before_lock(m, mutex, self)
        if m.locks < 0:
            self.miscounted(m)

    def miscounted(self, m: MLike) -> None:
        """The M's count of locks is negative.

        Raises:
            Throw: as lock2 does.
        """
        raise self.mutex.throw(m, self, self.LOCK_COUNT)

    def step(self, m: MLike) -> object:
        """Make the access of the state the machine is in."""
        if self.pc is self.first and (m.locks < 0 or self.mutex.ranks is not None):
            self.check(m)
        result = self.run(self, m)
        if result is None:
            mutex: Lockable = self.mutex
            if mutex.waited is not self:
                if self.pc is not self.first:
                    self.reset()
                mutex.lock_ops.append(self)
        return result


@mypyc_attr(allow_interpreted_subclasses=True)
class TryLockOp(LockOp):
    """Take the lock if that goes without waiting; Go's runtime has none, sync.Mutex.TryLock is one.

    Its states return True, once `mutex.acquired` was told, or False where it is through.
    """

    __slots__ = ()

    def step(self, m: MLike) -> object:
        """Make the access of the state the machine is in."""
        if self.pc is self.first and (m.locks < 0 or self.mutex.ranks is not None):
            self.check(m)
        return self.run(self, m)


@mypyc_attr(allow_interpreted_subclasses=True)
class UnlockOp(MutexOp):
    """Go's `unlock2`."""

    __slots__ = ()
    LOCK_COUNT: ClassVar = "runtime·unlock: lock count"

    def step(self, m: MLike) -> object:
        """Make the access of the state the machine is in; after the last, one lock is held fewer.

        Raises:
            Throw: there was none.
        """
        mutex: Lockable = self.mutex
        if mutex.ranks is not None and self.pc is self.first:
            mutex.ranks.before_unlock(m, mutex, self)
        result = self.run(self, m)
        if result is None:
            m.locks = locks = m.locks - mutex.locks_delta
            if locks < 0:
                self.miscounted(m)
            if self.pc is not self.first:
                self.reset()
            mutex.unlock_ops.append(self)
        return result

    def miscounted(self, m: MLike) -> None:
        """The M's count of locks is negative.

        Raises:
            Throw: as unlock2 does.
        """
        raise self.mutex.throw(m, self, self.LOCK_COUNT)
