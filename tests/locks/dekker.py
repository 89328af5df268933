"""Dekker's lock for two Ms, the first by loads and stores alone.

Source: E. Dijkstra, "Over de sequentialiteit van procesbeschrijvingen", EWD 35, 1962.
"""

from __future__ import annotations

from gorun_mem import M
from gorun_mem.locks import Mutex
from gorun_mem.sync import Word


class DekkerLock(Mutex):
    """Where both want it, the one whose turn it is not stands back."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.wants = [Word("wants0", 0), Word("wants1", 0)]
        self.turn = Word("turn", 0)

    async def lock(self, m: M) -> None:
        """Ms are told apart by odd and even."""
        me, other = m.id % 2, 1 - m.id % 2
        await self.wants[me].store(1)
        while await self.wants[other].load():
            if await self.turn.load() == other:
                await self.wants[me].store(0)
                while await self.turn.load() == other:
                    await m.pause()
                await self.wants[me].store(1)
            else:
                await m.pause()

    async def unlock(self, m: M) -> None:
        """It is the other's turn."""
        await self.turn.store(1 - m.id % 2)
        await self.wants[m.id % 2].store(0)


class BrokenDekkerLock(DekkerLock):
    """Whoever stood back goes in without looking again whether the other wants it."""

    async def lock(self, m: M) -> None:
        """One look is missing."""
        me, other = m.id % 2, 1 - m.id % 2
        await self.wants[me].store(1)
        if await self.wants[other].load() and await self.turn.load() == other:
            await self.wants[me].store(0)
            while await self.turn.load() == other:
                await m.pause()
            await self.wants[me].store(1)
