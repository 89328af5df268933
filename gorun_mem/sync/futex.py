"""A word that Ms sleep on; futex(2), and futexsleep and futexwakeup of os_linux.go."""

from __future__ import annotations

from typing import Final

from mypy_extensions import mypyc_attr

from gorun_mem.runtime.errors import IllegalUse
from gorun_mem.runtime.mutex.futex_queue import FutexQueue
from gorun_mem.runtime.op import PARKED, MLike, Op
from gorun_mem.sync.base import Shared
from gorun_mem.sync.words import Word, WordOp

WAKE_ALL: Final = 1 << 30
"""How many to wake where all are meant; INT_MAX of futex(2)."""


def check_timeout(about: Shared, timeout_ns: int | None) -> None:
    """Refuse a time that is none.

    Raises:
        IllegalUse: it is negative, or no whole number.
    """
    if timeout_ns is not None and (type(timeout_ns) is not int or timeout_ns < 0):
        raise IllegalUse(
            f"timeout_ns = {timeout_ns!r} of {about.name}: give whole ns from 0, or None for ever"
        )


@mypyc_attr(allow_interpreted_subclasses=True)
class _FutexWait(WordOp):
    __slots__ = ("_asleep", "_expected", "_since", "_timeout_ns", "reads_only")
    abandonable = True

    def __init__(self, word: FutexWord, expected: int, timeout_ns: int | None) -> None:
        super().__init__("futexsleep", word)
        self._expected = expected
        self._timeout_ns = timeout_ns
        self._since = -1
        self.reads_only = False

    def step(self, m: MLike) -> object:
        """Sleep if the word is as expected; wake up."""
        word = self.word
        assert isinstance(word, FutexWord)
        word.operations += 1
        now = m.sched.now_ns
        if self._since >= 0:
            word.waited(now - self._since)
            if word.sleepers.leave(m):
                word.timeouts += 1
                return False
            return True
        if word.value != self._expected:
            word.failed += 1
            return False
        if m.sched.spurious and m.sched.choice(m, 2, "futex.spurious"):
            return True
        word.sleepers.sleep(m, 0, 0)
        word.waits += 1
        self._since = now
        if self._timeout_ns is None:
            self.reads_only = True  # all that is left is to come back from the kernel
        else:
            m.sched.sleep_until(m, now + self._timeout_ns)
        return PARKED

    def withdrawn(self, m: MLike) -> None:
        """It sleeps no more."""
        word = self.word
        assert isinstance(word, FutexWord)
        word.sleepers.leave(m)


class _FutexWake(WordOp):
    __slots__ = ("_n", "woken")

    def __init__(self, word: FutexWord, n: int) -> None:
        super().__init__("futexwakeup", word)
        self._n = n
        self.woken: list[MLike] = []

    def step(self, m: MLike) -> object:
        """Wake the first who sleep."""
        word = self.word
        assert isinstance(word, FutexWord)
        word.operations += 1
        self.woken = word.sleepers.wakeup(m, self._n)
        return len(self.woken)


@mypyc_attr(allow_interpreted_subclasses=True)
class FutexWord(Word):
    """A word that Ms sleep on until they are woken; the first to sleep is the first woken.

    Args:
        name: for reports.
        value: what it holds at first.
        line: the cache line that it lies on; one of its own if "".
    """

    __slots__ = ("sleepers",)

    def __init__(self, name: str, value: int = 0, *, line: str = "") -> None:
        super().__init__(name, value, line=line)
        self.sleepers = FutexQueue()

    def __repr__(self) -> str:
        return f"<FutexWord {self.obj} = {self.value!r}, {self.waiting} asleep>"

    @property
    def waiting(self) -> int:
        """How many Ms sleep on it."""
        return len(self.sleepers.sleepers)

    def wait(self, expected: int, timeout_ns: int | None = None) -> Op:
        """Sleep if it holds `expected`, looked at and done in one step.

        Args:
            expected: what it is to hold.
            timeout_ns: how long to sleep at most; None: until woken.

        Returns:
            Whether it was woken; False where the word holds something else, or the time is up.
            As the kernel may wake for no reason (`faults=("spurious",)`), look at the word again.

        Raises:
            IllegalUse: `timeout_ns` is negative.
        """
        check_timeout(self, timeout_ns)
        return _FutexWait(self, expected, timeout_ns)

    def wake(self, n: int = 1) -> Op:
        """Wake up to `n` of those who sleep; how many it woke."""
        return _FutexWake(self, n)

    def snapshot(self) -> tuple[object, ...]:
        """What it holds, and who sleeps."""
        return (self.value, *[m.id for m in self.sleepers.sleepers])
