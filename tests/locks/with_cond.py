"""A lock as Python people write it: a flag, a lock around it, and a condition variable."""

from __future__ import annotations

from gorun_mem import M
from gorun_mem.locks import Mutex
from gorun_mem.sync import Cell, Cond, Lock


class CondLock(Mutex):
    """The flag says whether it is taken."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.taken = Cell("taken", False)
        self.guard = Lock("guard")
        self.free = Cond("free", self.guard)

    async def lock(self, m: M) -> None:
        """Wait until it is free."""
        async with self.guard:
            while await self.taken.load():
                await self.free.wait()
            await self.taken.store(True)

    async def unlock(self, m: M) -> None:
        """Let one of those in who wait."""
        async with self.guard:
            await self.taken.store(False)
            await self.free.signal()


class BrokenCondLock(CondLock):
    """An `if` for a `while`: who was called does not look again."""

    async def lock(self, m: M) -> None:
        """Wait once."""
        async with self.guard:
            if await self.taken.load():
                await self.free.wait()
            await self.taken.store(True)


class StaleCondLock(CondLock):
    """It looks at the flag without the guard, so a signal may come before the sleep."""

    async def lock(self, m: M) -> None:
        """Look, then take the guard to sleep."""
        while await self.taken.load():
            async with self.guard:
                await self.free.wait()
        async with self.guard:
            await self.taken.store(True)
