"""A lock and an event: what the smallest programs are made of."""

from __future__ import annotations

from typing import Final

from mypy_extensions import mypyc_attr

from gorun_mem.runtime.errors import IllegalUse, Throw
from gorun_mem.runtime.op import MLike, Op
from gorun_mem.sync.gate import NOTHING, Entry, Gate

_ACQUIRE: Final = frozenset({"acquire"})
_WAIT: Final = frozenset({"wait"})


@mypyc_attr(allow_interpreted_subclasses=True)
class Lock(Gate):
    """A lock whose next owner the schedule chooses; sync.Mutex, checked as POSIX's ERRORCHECK.

    An M that wants it while it is held is not enabled, so waiting costs no step: two Ms with S
    critical sections each have exactly C(2S, S) runs. `async with lock:` takes it and gives it
    back.

    Args:
        name: for reports; the object of its operations.
        line: the cache line that it lies on; one of its own if "".

    Attributes:
        owner: the M that holds it.
    """

    __slots__ = ("owner", "since_ns")

    def __init__(self, name: str, *, line: str = "") -> None:
        super().__init__(name, line)
        self.owner: MLike | None = None
        self.since_ns = 0

    def __repr__(self) -> str:
        owner = self.owner
        held = f"held by M{owner.id} since {self.since_ns} ns" if owner else "free"
        return f"<Lock {self.obj} {held}{self.words()}>"

    def acquire(self, timeout_ns: int | None = None) -> Op:
        """Take it; enabled while it is free.

        Args:
            timeout_ns: how long to wait at most; None: for ever.

        Returns:
            True; False where the time is up.

        Raises:
            IllegalUse: `timeout_ns` is negative.
        """
        return self.entry("acquire", timeout_ns=timeout_ns)

    def try_acquire(self) -> Op:
        """Take it if it is free; whether it was."""
        return self.change("try", self._try)

    def release(self) -> Op:
        """Give it back.

        Raises:
            Throw: nobody holds it, in Go's words.
            IllegalUse: another M holds it.
        """
        return self.change("release", self._release)

    async def __aenter__(self) -> None:
        await self.acquire()

    async def __aexit__(self, kind: object, error: object, traceback: object) -> None:
        if kind is not GeneratorExit:  # then the run is over, and nothing can be awaited
            await self.release()

    def lets(self, op: Entry) -> bool:
        """While it is free."""
        return self.owner is None

    def goes(self, m: MLike, op: Entry) -> object:
        """`m` has it."""
        self.owner = m
        self.since_ns = m.sched.now_ns
        return True

    def admits(self) -> frozenset[str] | None:
        """Whoever takes it, while it is free."""
        return NOTHING if self.owner is not None else _ACQUIRE

    def held_by(self) -> tuple[tuple[int, str, int], ...]:
        """Its owner."""
        owner = self.owner
        return () if owner is None else ((owner.id, owner.name, self.since_ns),)

    def snapshot(self) -> tuple[object, ...]:
        """Who has it."""
        return (self.owner.id if self.owner is not None else -1,)

    def _try(self, m: MLike) -> bool:
        if self.owner is not None:
            self.failed += 1
            return False
        self.owner = m
        self.since_ns = m.sched.now_ns
        return True

    def _release(self, m: MLike) -> None:
        owner = self.owner
        if owner is None:
            raise Throw("sync: unlock of unlocked mutex", lock=self.name, m=m.id, site=m.name)
        if owner is not m:
            raise IllegalUse(f"release of {self.name} by M{m.id}: M{owner.id} holds it")
        self.owner = None


@mypyc_attr(allow_interpreted_subclasses=True)
class Event(Gate):
    """Something that Ms wait for, and that stays once it has happened until it is cleared.

    Args:
        name: for reports; the object of its operations.
        line: the cache line that it lies on; one of its own if "".

    Attributes:
        happened: it has.
    """

    __slots__ = ("happened",)

    def __init__(self, name: str, *, line: str = "") -> None:
        super().__init__(name, line)
        self.happened = False

    def __repr__(self) -> str:
        return f"<Event {self.obj} {'set' if self.happened else 'not set'}{self.words()}>"

    def wait(self, timeout_ns: int | None = None) -> Op:
        """Enabled once it has happened.

        Args:
            timeout_ns: how long to wait at most; None: for ever.

        Returns:
            True; False where the time is up.

        Raises:
            IllegalUse: `timeout_ns` is negative.
        """
        return self.entry("wait", timeout_ns=timeout_ns)

    def set(self) -> Op:
        """Let it happen: all who wait may go on."""
        return self.change("set", self._set)

    def clear(self) -> Op:
        """Let it not have happened."""
        return self.change("unset", self._clear)

    def lets(self, op: Entry) -> bool:
        """Once it has happened."""
        return self.happened

    def admits(self) -> frozenset[str] | None:
        """Whoever waits, once it has happened."""
        return _WAIT if self.happened else NOTHING

    def snapshot(self) -> tuple[object, ...]:
        """Whether it has happened."""
        return (self.happened,)

    def _set(self, m: MLike) -> None:
        self.happened = True

    def _clear(self, m: MLike) -> None:
        self.happened = False
