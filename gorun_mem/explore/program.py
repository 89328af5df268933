"""What small programs to explore are made of: a lock, a shared variable, an event.

Each access is one operation of one step that says what it touches, so a search sees exactly the
interleavings there are. The lock is not one of Go's: an M that wants it while it is held is not
enabled, so waiting costs no step. Two Ms with S critical sections each have exactly C(2S, S) runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from mypy_extensions import mypyc_attr

from gorun_mem.runtime.errors import IllegalUse
from gorun_mem.runtime.op import MLike, Op

_ACQUIRE: Final = frozenset({"acquire"})
_WAIT: Final = frozenset({"wait"})
_NOTHING: Final[frozenset[str]] = frozenset()


class _Load(Op):
    """The value of a variable."""

    __slots__ = ("_cell",)
    kind = "load"
    reads_only = True

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self.obj = cell.name

    def step(self, m: MLike) -> object:
        """Read it."""
        return self._cell.value


class _Store(Op):
    """A variable's new value."""

    __slots__ = ("_cell", "_value")
    kind = "store"

    def __init__(self, cell: Cell, value: Any) -> None:
        self._cell = cell
        self._value = value
        self.obj = cell.name

    def step(self, m: MLike) -> object:
        """Write it."""
        self._cell.value = self._value
        return None


class _Add(Op):
    """Addition to a variable."""

    __slots__ = ("_cell", "_n")
    kind = "atomic.add"

    def __init__(self, cell: Cell, n: int) -> None:
        self._cell = cell
        self._n = n
        self.obj = cell.name

    def step(self, m: MLike) -> object:
        """Read, add and write."""
        cell = self._cell
        cell.value = value = cell.value + self._n
        return value


class _CompareAndSwap(Op):
    """A variable's new value if it has a certain old one."""

    __slots__ = ("_cell", "_new", "_old")
    kind = "atomic.cas"

    def __init__(self, cell: Cell, old: Any, new: Any) -> None:
        self._cell = cell
        self._old = old
        self._new = new
        self.obj = cell.name

    def step(self, m: MLike) -> object:
        """Compare, and write if it fits."""
        if self._cell.value != self._old:
            return False
        self._cell.value = self._new
        return True


class _Access(Op):
    """One access to a lock or an event."""

    __slots__ = ("_effect", "_owner")

    def __init__(self, kind: str, owner: Lock | Event, effect: Callable[[MLike], object]) -> None:
        self.kind = kind
        self.obj = owner.name
        self._owner: Any = owner
        self._effect = effect

    def admits(self) -> frozenset[str]:
        """What the owner lets go now."""
        admits: frozenset[str] = self._owner.admits
        return admits

    def step(self, m: MLike) -> object:
        """Make the access."""
        return self._effect(m)


@mypyc_attr(allow_interpreted_subclasses=True)
class Cell:
    """A variable that several Ms share.

    Args:
        name: for reports; the object of its operations.
        value: what it holds at first.
    """

    __slots__ = ("name", "value")

    def __init__(self, name: str, value: Any = 0) -> None:
        self.name = name
        self.value = value

    def __repr__(self) -> str:
        return f"<Cell {self.name} = {self.value!r}>"

    def load(self) -> Op:
        """Its value."""
        return _Load(self)

    def store(self, value: Any) -> Op:
        """Let it hold `value`."""
        return _Store(self, value)

    def add(self, n: int) -> Op:
        """Add `n` in one step; the sum."""
        return _Add(self, n)

    def compare_and_swap(self, old: Any, new: Any) -> Op:
        """Let it hold `new` if it holds `old`; whether it did."""
        return _CompareAndSwap(self, old, new)


class _Wait(Op):
    """An operation that is enabled only while its owner says so."""

    __slots__ = ("_owner",)
    abandonable = False

    def __init__(self, kind: str, owner: Lock | Event) -> None:
        self.kind = kind
        self.obj = owner.name
        self._owner: Any = owner

    def admits(self) -> frozenset[str]:
        """What the owner lets go now."""
        admits: frozenset[str] = self._owner.admits
        return admits

    def begin(self, m: MLike) -> bool:
        """Enabled iff the owner lets `m` go."""
        return bool(self._owner._asks(m))

    def step(self, m: MLike) -> object:
        """Go."""
        return self._owner._goes(m)


class Lock:
    """A lock whose next owner the schedule chooses.

    Args:
        name: for reports; the object of its operations.
    """

    __slots__ = ("_wanted", "name", "owner")

    def __init__(self, name: str) -> None:
        self.name = name
        self.owner: MLike | None = None
        self._wanted: dict[int, MLike] = {}

    def __repr__(self) -> str:
        return f"<Lock {self.name} {f'held by M{self.owner.id}' if self.owner else 'free'}>"

    @property
    def admits(self) -> frozenset[str]:
        """What may go now, of the operations that wait."""
        return _NOTHING if self.owner else _ACQUIRE

    def acquire(self) -> Op:
        """Take it; enabled while it is free."""
        return _Wait("acquire", self)

    def release(self) -> Op:
        """Give it back.

        Raises:
            IllegalUse: the M that gives it back does not hold it.
        """
        return _Access("release", self, self._release)

    def _asks(self, m: MLike) -> bool:
        self._wanted[m.id] = m
        return self.owner is None

    def _goes(self, m: MLike) -> None:
        self.owner = m
        del self._wanted[m.id]
        for other in self._wanted.values():
            other.sched.disable(other)

    def _release(self, m: MLike) -> None:
        if self.owner is not m:
            holder = f"M{self.owner.id} holds it" if self.owner else "nobody holds it"
            raise IllegalUse(f"release of {self.name} by M{m.id}: {holder}")
        self.owner = None
        for other in self._wanted.values():
            other.sched.unpark(other)


class Event:
    """Something that Ms wait for, and that stays once it has happened until it is cleared.

    Args:
        name: for reports; the object of its operations.
    """

    __slots__ = ("_waiting", "happened", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.happened = False
        self._waiting: dict[int, MLike] = {}

    @property
    def admits(self) -> frozenset[str]:
        """What may go now, of the operations that wait."""
        return _WAIT if self.happened else _NOTHING

    def wait(self) -> Op:
        """Enabled once it has happened."""
        return _Wait("wait", self)

    def set(self) -> Op:
        """Let it happen: all who wait may go on."""
        return _Access("set", self, self._set)

    def clear(self) -> Op:
        """Let it not have happened."""
        return _Access("clear", self, self._clear)

    def _asks(self, m: MLike) -> bool:
        self._waiting[m.id] = m
        return self.happened

    def _goes(self, m: MLike) -> None:
        del self._waiting[m.id]

    def _set(self, m: MLike) -> None:
        self.happened = True
        for other in self._waiting.values():
            other.sched.unpark(other)

    def _clear(self, m: MLike) -> None:
        self.happened = False
        for other in self._waiting.values():
            other.sched.disable(other)
