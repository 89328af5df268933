"""A word that Ms sleep on; futex(2), and futexsleep and futexwakeup of os_linux.go."""

from __future__ import annotations

from mypy_extensions import mypyc_attr

from gorun_mem.runtime.errors import IllegalUse
from gorun_mem.runtime.kinds import RESUME
from gorun_mem.runtime.mutex.futex_queue import FutexQueue
from gorun_mem.runtime.op import PARKED, MLike, Op
from gorun_mem.sync.gate import check_timeout
from gorun_mem.sync.words import Word, WordOp


@mypyc_attr(allow_interpreted_subclasses=True)
class _FutexWait(WordOp):
    __slots__ = ("_asleep", "_expected", "_since", "_timeout_ns", "abandonable")

    def __init__(self, word: FutexWord, expected: int, timeout_ns: int | None) -> None:
        super().__init__("futexsleep", word)
        self._expected = expected
        self._timeout_ns = timeout_ns
        self._since = -1
        self.abandonable = True

    def step(self, m: MLike) -> object:
        """Sleep if the word is as expected; wake up."""
        word = self.word
        assert isinstance(word, FutexWord)
        word.operations += 1
        now = m.sched.now_ns
        if self._since >= 0:
            word.waited(now - self._since)
            if self.kind == RESUME:
                return True
            self._leave(m)
            word.timeouts += 1
            return False
        if word.value != self._expected:
            word.failed += 1
            return False
        if m.sched.spurious and m.sched.choice(m, 2, "futex.spurious"):
            return True
        word.sleepers.sleep(m, 0, 0)
        word.waits += 1
        word.asleep[m.id] = self
        self._since = now
        if self._timeout_ns is not None:
            m.sched.sleep_until(m, now + self._timeout_ns)
        return PARKED

    def withdrawn(self, m: MLike) -> None:
        """It sleeps no more."""
        if self._since >= 0:
            self.word.waited(m.sched.now_ns - self._since)
            self._leave(m)

    def _leave(self, m: MLike) -> None:
        word = self.word
        assert isinstance(word, FutexWord)
        word.sleepers.leave(m)
        del word.asleep[m.id]

    def wake(self) -> None:
        """It was woken, and will come back from the kernel."""
        self.kind = RESUME
        self.abandonable = False


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
        for sleeper in self.woken:
            word.asleep.pop(sleeper.id).wake()
        return len(self.woken)


@mypyc_attr(allow_interpreted_subclasses=True)
class FutexWord(Word):
    """A word that Ms sleep on until they are woken; the first to sleep is the first woken.

    Args:
        name: for reports.
        value: what it holds at first.
        line: the cache line that it lies on; one of its own if "".
    """

    __slots__ = ("asleep", "sleepers")

    def __init__(self, name: str, value: int = 0, *, line: str = "") -> None:
        super().__init__(name, value, line=line)
        self.sleepers = FutexQueue()
        self.asleep: dict[int, _FutexWait] = {}

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
            IllegalUse: `timeout_ns` is negative, or `expected` is no number.
        """
        if not isinstance(expected, int):
            raise IllegalUse(
                f"wait({expected!r}) of {self.name}: give the whole number that it is to hold"
            )
        check_timeout(self, timeout_ns)
        return _FutexWait(self, expected, timeout_ns)

    def wake(self, n: int = 1) -> Op:
        """Wake up to `n` of those who sleep; how many it woke."""
        return _FutexWake(self, n)

    def snapshot(self) -> tuple[object, ...]:
        """What it holds, and who sleeps."""
        return (self.value, *[m.id for m in self.sleepers.sleepers])
