"""A semaphore, a wait group and what is done once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final

from mypy_extensions import mypyc_attr

from gorun_mem.runtime.errors import IllegalUse, Throw
from gorun_mem.runtime.op import MLike, Op
from gorun_mem.sync.gate import NOTHING, Entry, Gate
from gorun_mem.sync.lock import Lock
from gorun_mem.sync.words import Word

_DOWN: Final = frozenset({"sem.down"})


@mypyc_attr(allow_interpreted_subclasses=True)
class Semaphore(Gate):
    """A counting semaphore; sem_wait, sem_trywait, sem_timedwait and sem_post of POSIX.

    Which of those who wait goes in is the schedule's choice. `async with semaphore:` takes one and
    gives it back.

    Args:
        name: for reports; the object of its operations.
        value: how many may go in at first, from 0.
        line: the cache line that it lies on; one of its own if "".

    Attributes:
        value: how many may go in now.

    Raises:
        IllegalUse: `value` is negative.
    """

    __slots__ = ("value",)

    def __init__(self, name: str, value: int = 1, *, line: str = "") -> None:
        super().__init__(name, line)
        if type(value) is not int or value < 0:
            raise IllegalUse(f"Semaphore({name!r}, {value!r}): a value is a whole number from 0")
        self.value = value

    def __repr__(self) -> str:
        return f"<Semaphore {self.obj} at {self.value}{self.words()}>"

    def acquire(self, timeout_ns: int | None = None) -> Op:
        """Take one; enabled while there is one.

        Args:
            timeout_ns: how long to wait at most; None: for ever.

        Returns:
            True; False where the time is up.

        Raises:
            IllegalUse: `timeout_ns` is negative.
        """
        return self.entry("sem.down", timeout_ns=timeout_ns)

    def try_acquire(self) -> Op:
        """Take one if there is one; whether there was."""
        return self.change("sem.try", self._try)

    def release(self, n: int = 1) -> Op:
        """Give `n` back; anybody may, as in POSIX.

        Raises:
            IllegalUse: `n` is less than 1.
        """
        if type(n) is not int or n < 1:
            raise IllegalUse(f"release({n!r}) of {self.name}: give back a whole number from 1")

        def effect(m: MLike) -> None:
            self.value += n

        return self.change("sem.up", effect)

    async def __aenter__(self) -> None:
        await self.acquire()

    async def __aexit__(self, kind: object, error: object, traceback: object) -> None:
        if kind is not GeneratorExit:  # then the run is over, and nothing can be awaited
            await self.release()

    def lets(self, op: Entry) -> bool:
        """While there is one."""
        return self.value > 0

    def goes(self, m: MLike, op: Entry) -> object:
        """One less."""
        self.value -= 1
        return True

    def admits(self) -> frozenset[str] | None:
        """Whoever takes one, while there is one."""
        return _DOWN if self.value > 0 else NOTHING

    def snapshot(self) -> tuple[object, ...]:
        """How many there are."""
        return (self.value,)

    def _try(self, m: MLike) -> bool:
        if self.value == 0:
            self.failed += 1
            return False
        self.value -= 1
        return True


@mypyc_attr(allow_interpreted_subclasses=True)
class WaitGroup(Gate):
    """Ms that are waited for; sync.WaitGroup.

    Whoever waits when the count comes to zero goes on, whatever is added after that.

    Args:
        name: for reports; the object of its operations.
        line: the cache line that it lies on; one of its own if "".

    Attributes:
        count: how many are still waited for.
    """

    __slots__ = ("count",)

    def __init__(self, name: str, *, line: str = "") -> None:
        super().__init__(name, line)
        self.count = 0

    def __repr__(self) -> str:
        return f"<WaitGroup {self.obj} at {self.count}{self.words()}>"

    def add(self, n: int) -> Op:
        """Wait for `n` more, or fewer.

        Raises:
            Throw: the count is negative then, in Go's words.
        """

        def effect(m: MLike) -> None:
            if self.count + n < 0:
                raise Throw(
                    "sync: negative WaitGroup counter", group=self.name, m=m.id, site=m.name
                )
            self.count += n
            if n and not self.count:
                self.call_in()

        return self.change("group.add", effect)

    def done(self) -> Op:
        """One of them is done; as `add(-1)`."""
        return self.add(-1)

    def wait(self, timeout_ns: int | None = None) -> Op:
        """Go on if nobody is waited for, else when the count comes to zero.

        Args:
            timeout_ns: how long to wait at most; None: for ever.

        Returns:
            True; False where the time is up.

        Raises:
            IllegalUse: `timeout_ns` is negative.
        """
        return self.visit("group.wait", timeout_ns)

    def visits(self, m: MLike) -> bool:
        """While nobody is waited for."""
        return self.count == 0

    def admits(self) -> frozenset[str] | None:
        """There is nothing that waits without a step."""
        return NOTHING

    def snapshot(self) -> tuple[object, ...]:
        """The count."""
        return (self.count,)


class Once:
    """Something that is done by the first who asks, and waited for by the others; sync.Once.

    Made of a `Word` and a `Lock`, as Go's is: a fast look, then the lock.

    Args:
        name: for reports.
    """

    __slots__ = ("done", "lock", "name")

    def __init__(self, name: str) -> None:
        self.done = Word(f"{name}.done", 0)
        self.lock = Lock(f"{name}.lock")
        self.name = name

    def __repr__(self) -> str:
        return f"<Once {self.name} {'done' if self.done.value else 'not done'}>"

    async def do(self, function: Callable[[], Any]) -> None:
        """Call `function`, and await what it returns, if nobody has.

        It counts as done also where it raises, as in Go. A function that comes here again waits
        for itself.

        Args:
            function: a plain function, or an async one.
        """
        if await self.done.load():
            return
        async with self.lock:
            if await self.done.load():
                return
            try:
                made = function()
                if inspect.isawaitable(made):
                    await made
            except GeneratorExit:
                raise
            except BaseException:
                await self.done.store(1)
                raise
            await self.done.store(1)
