"""Peterson's lock for two Ms, by loads and stores alone.

Source: G. Peterson, "Myths about the Mutual Exclusion Problem", IPL 1981.
"""

from __future__ import annotations

from gorun_mem import M
from gorun_mem.locks import Mutex
from gorun_mem.sync import Word


class PetersonLock(Mutex):
    """Say that one wants it, let the other go first, and wait."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.wants = [Word("wants0", 0), Word("wants1", 0)]
        self.turn = Word("turn", 0)

    async def lock(self, m: M) -> None:
        """Ms are told apart by odd and even."""
        me, other = m.id % 2, 1 - m.id % 2
        await self.wants[me].store(1)
        await self.turn.store(other)
        while await self.wants[other].load() and await self.turn.load() == other:
            await m.pause()

    async def unlock(self, m: M) -> None:
        """Want it no more."""
        await self.wants[m.id % 2].store(0)


class BrokenPetersonLock(PetersonLock):
    """The turn is given before one says that one wants it."""

    async def lock(self, m: M) -> None:
        """The two stores are exchanged."""
        me, other = m.id % 2, 1 - m.id % 2
        await self.turn.store(other)
        await self.wants[me].store(1)
        while await self.wants[other].load() and await self.turn.load() == other:
            await m.pause()
