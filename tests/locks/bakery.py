"""Lamport's bakery: a number to be served by, without any atomic read and write.

Source: L. Lamport, "A New Solution of Dijkstra's Concurrent Programming Problem", CACM 1974.
"""

from __future__ import annotations

from gorun_mem import M
from gorun_mem.locks import Mutex
from gorun_mem.sync import Word

PLACES = 4


class BakeryLock(Mutex):
    """For `PLACES` Ms, told apart by their numbers."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.choosing = [Word(f"choosing{i}", 0) for i in range(PLACES)]
        self.number = [Word(f"number{i}", 0) for i in range(PLACES)]

    async def draw(self, me: int, others: list[int]) -> int:
        """A number above all that are there."""
        await self.choosing[me].store(1)
        mine: int = 1 + max([await self.number[other].load() for other in others])
        await self.number[me].store(mine)
        await self.choosing[me].store(0)
        return mine

    async def lock(self, m: M) -> None:
        """Draw a number; wait for each who may have a smaller one."""
        me = m.id % PLACES
        others = [other for other in range(PLACES) if other != me]
        mine = await self.draw(me, others)
        for other in others:
            while await self.choosing[other].load():
                await m.pause()
            while await self.number[other].load() > 0 and (
                (await self.number[other].load(), other) < (mine, me)
            ):
                await m.pause()

    async def unlock(self, m: M) -> None:
        """Give the number back."""
        await self.number[m.id % PLACES].store(0)


class BrokenBakeryLock(BakeryLock):
    """Nobody sees that an M is still choosing."""

    async def draw(self, me: int, others: list[int]) -> int:
        """Without saying so."""
        mine: int = 1 + max([await self.number[other].load() for other in others])
        await self.number[me].store(mine)
        return mine
