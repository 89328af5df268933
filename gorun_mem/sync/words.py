"""Words that Ms share: `Word`, of which every access is atomic, and `Cell`, which is plain memory.

An access is one step. It costs what the cost table says, and the transfer of the word's cache line
where another CPU has that.

Where memory is TSO (`memory="tso"`), what amd64 makes of each decides:

    Cell.store, Word.store_release     MOV: into the M's store buffer, and by a later step to memory
    Cell.load, Word.load               MOV: the M's own latest store from the buffer, else memory
    Word.store                         XCHG, as atomic.Store of Go is there: a fence
    swap, cas, add, fetch_or, fetch_and   LOCK-prefixed: fences, cas also where it fails
    fence()                            MFENCE: a fence and nothing else

A fence is not made before the buffer is empty. A cell's `value`, read without an operation, is what
memory holds.
"""

from __future__ import annotations

from typing import Any

from mypy_extensions import mypyc_attr

from gorun_mem.runtime.errors import IllegalUse
from gorun_mem.runtime.op import Late, MLike, Op
from gorun_mem.sync.base import KitObject


@mypyc_attr(allow_interpreted_subclasses=True)
class WordOp(Op):
    """One access to a word.

    Args:
        kind: of the access.
        word: which.
    """

    __slots__ = ("word",)
    abandonable = False

    def __init__(self, kind: str, word: Variable) -> None:
        self.kind = kind
        self.obj = word.obj
        self.word = word


class _Load(WordOp):
    __slots__ = ()
    reads_only = True

    def step(self, m: MLike) -> object:
        """Read it."""
        word = self.word
        word.operations += 1
        buffer = m.buffer
        if buffer is not None:
            own = buffer.newest(word)
            if own is not None:
                return own.value
        return word.value


class _Store(WordOp):
    __slots__ = ("_value",)

    def __init__(self, kind: str, word: Variable, value: Any) -> None:
        super().__init__(kind, word)
        self._value = value

    def step(self, m: MLike) -> object:
        """Write it."""
        word = self.word
        word.operations += 1
        word.value = self._value
        return None


class LateStore(_Store):
    """A store that goes into its M's store buffer, where it has one."""

    __slots__ = ()
    buffers = True

    @property
    def stored(self) -> Any:
        """What it stores."""
        return self._value

    def step(self, m: MLike) -> object:
        """Write it, into the store buffer where there is one."""
        word = self.word
        word.operations += 1
        buffer = m.buffer
        if buffer is None:
            word.value = self._value
        else:
            buffer.put(Late(word, word.obj, self._value, word.hold))
        return None


class Fence(Op):
    """An M's stores are in memory before it goes on."""

    __slots__ = ()
    kind = "fence"
    reads_only = True

    def __init__(self, obj: str = "memory") -> None:
        self.obj = obj

    def step(self, m: MLike) -> object:
        """Nothing but to be made."""
        return None


def fence() -> Op:
    """MFENCE: not made before all stores of the M that awaits it are in memory."""
    return Fence()


class _Swap(_Store):
    __slots__ = ()

    def step(self, m: MLike) -> object:
        """Write it; what was there."""
        word = self.word
        before = word.value
        word.operations += 1
        word.value = self._value
        return before


class _CompareAndSwap(WordOp):
    __slots__ = ("_new", "_old")

    def __init__(self, word: Variable, old: Any, new: Any) -> None:
        super().__init__("atomic.cas", word)
        self._old = old
        self._new = new

    def step(self, m: MLike) -> object:
        """Compare, and write if it fits."""
        word = self.word
        word.operations += 1
        if word.value != self._old:
            word.failed += 1
            return False
        word.value = self._new
        return True


class _Arithmetic(_Store):
    __slots__ = ()

    def unfit(self) -> IllegalUse:
        """The word and the value are not both numbers."""
        return IllegalUse(
            f"{self.kind} {self.obj} of {self._value!r}, where it holds {self.word.value!r}: both "
            "have to be whole numbers"
        )


class _Add(_Arithmetic):
    __slots__ = ()

    def step(self, m: MLike) -> object:
        """Read, add and write; the sum."""
        word = self.word
        word.operations += 1
        try:
            word.value = value = word.value + self._value
        except TypeError:
            raise self.unfit() from None
        return value


class _Or(_Arithmetic):
    __slots__ = ()

    def step(self, m: MLike) -> object:
        """Set bits; what was there."""
        word = self.word
        before = word.value
        word.operations += 1
        try:
            word.value = before | self._value
        except TypeError:
            raise self.unfit() from None
        return before


class _And(_Arithmetic):
    __slots__ = ()

    def step(self, m: MLike) -> object:
        """Clear bits; what was there."""
        word = self.word
        before = word.value
        word.operations += 1
        try:
            word.value = before & self._value
        except TypeError:
            raise self.unfit() from None
        return before


@mypyc_attr(allow_interpreted_subclasses=True)
class Variable(KitObject):
    """Something that holds a value.

    Args:
        name: for reports.
        value: what it holds at first.
        line: the cache line that it lies on; one of its own if "".
    """

    __slots__ = ("value",)

    def __init__(self, name: str, value: Any = 0, *, line: str = "") -> None:
        super().__init__(name, line)
        self.value = value

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.obj} = {self.value!r}>"

    def hold(self, value: Any) -> None:
        """Let it hold `value`, in memory."""
        self.value = value

    def snapshot(self) -> tuple[object, ...]:
        """What it holds."""
        return (self.value,)


@mypyc_attr(allow_interpreted_subclasses=True)
class Cell(Variable):
    """Plain memory: two accesses that nothing orders, one of them a store, are a data race.

    A store may reach memory late where memory is TSO; see the module.

    Args:
        name: for reports.
        value: what it holds at first.
        line: the cache line that it lies on; one of its own if "".
    """

    __slots__ = ()

    def load(self) -> Op:
        """Its value."""
        return _Load("load", self)

    def store(self, value: Any) -> Op:
        """Let it hold `value`; a plain MOV."""
        return LateStore("store", self, value)


@mypyc_attr(allow_interpreted_subclasses=True)
class Word(Variable):
    """A word of which every access is atomic, and sequentially consistent as in Go's sync/atomic;
    `store_release` alone is not.

    Args:
        name: for reports.
        value: what it holds at first; an int, for the operations on bits and sums.
        line: the cache line that it lies on; one of its own if "".
    """

    __slots__ = ()

    def load(self) -> Op:
        """Its value."""
        return _Load("atomic.load", self)

    def store(self, value: Any) -> Op:
        """Let it hold `value`."""
        return _Store("atomic.store", self, value)

    def store_release(self, value: Any) -> Op:
        """Let it hold `value`, by C's memory_order_release: what the M did before is seen by who
        sees it, but the M's next loads may be made before it is in memory (`memory="tso"`).

        Go has no such store on amd64: there it is for other languages' algorithms.
        """
        return LateStore("atomic.store_release", self, value)

    def swap(self, value: Any) -> Op:
        """Let it hold `value`; what it held before."""
        return _Swap("atomic.xchg", self, value)

    def cas(self, old: Any, new: Any) -> Op:
        """Let it hold `new` if it holds `old`; whether it did."""
        return _CompareAndSwap(self, old, new)

    def add(self, n: int) -> Op:
        """Add `n`; the sum, as atomic.Add has it."""
        return _Add("atomic.add", self, n)

    def fetch_or(self, bits: int) -> Op:
        """Set `bits`; what it held before, as atomic.Or has it."""
        return _Or("atomic.or", self, bits)

    def fetch_and(self, bits: int) -> Op:
        """Keep only `bits`; what it held before, as atomic.And has it."""
        return _And("atomic.and", self, bits)
