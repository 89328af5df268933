"""The futex locks of Drepper's three stages; the third is what glibc came to use.

Source: U. Drepper, "Futexes Are Tricky", 2004, sections 3 to 6.
"""

from __future__ import annotations

from gorun_mem import M
from gorun_mem.locks import Mutex
from gorun_mem.sync import FutexWord


class DrepperLock(Mutex):
    """0 is free, 1 taken, 2 taken and perhaps somebody sleeps: mutex3, with a compare-and-swap."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.val = FutexWord("val", 0)

    async def lock(self, m: M) -> None:
        """Take it, or say that one sleeps, and sleep."""
        if await self.val.cas(0, 1):
            return
        while await self.val.swap(2):
            await self.val.wait(2)

    async def try_lock(self, m: M) -> bool:
        """Take it if it is free."""
        return bool(await self.val.cas(0, 1))

    async def unlock(self, m: M) -> None:
        """Wake one, where somebody may sleep."""
        if await self.val.swap(0) == 2:
            await self.val.wake(1)


class Stage1Lock(DrepperLock):
    """mutex1: the word counts up, and may be woken for nothing for ever; it excludes."""

    async def lock(self, m: M) -> None:
        """Count up; sleep on what was seen."""
        while (seen := await self.val.add(1) - 1) != 0:
            await self.val.wait(seen + 1)

    async def unlock(self, m: M) -> None:
        """Always wake one."""
        await self.val.store(0)
        await self.val.wake(1)


class Stage2Lock(DrepperLock):
    """mutex2: three values, and the slow path says 2 before it sleeps."""

    async def lock(self, m: M) -> None:
        """Take it, or see to it that the word says 2, and sleep."""
        if await self.val.cas(0, 1):
            return
        while True:
            seen = await self.val.load()
            if seen == 2 or (seen == 1 and await self.val.cas(1, 2)):
                await self.val.wait(2)
            if await self.val.cas(0, 2):
                return

    async def unlock(self, m: M) -> None:
        """Wake one, where somebody may sleep."""
        if await self.val.add(-1) != 0:
            await self.val.store(0)
            await self.val.wake(1)


class BrokenDrepperLock(DrepperLock):
    """Whoever was woken takes the lock with 1, and nobody wakes the others who sleep."""

    async def lock(self, m: M) -> None:
        """The word says 1 though others may sleep."""
        while not await self.val.cas(0, 1):
            await self.val.cas(1, 2)
            await self.val.wait(2)
