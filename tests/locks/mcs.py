"""The queue lock of Mellor-Crummey and Scott: each M waits on a word of its own.

Source: "Algorithms for Scalable Synchronization on Shared-Memory Multiprocessors", ACM TOCS 1991.
"""

from __future__ import annotations

from gorun_mem import M
from gorun_mem.locks import Mutex
from gorun_mem.sync import Word


class MCSLock(Mutex):
    """A list of Ms that wait; 0 is nobody."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.tail = Word("tail", 0)
        self.next: dict[int, Word] = {}
        self.locked: dict[int, Word] = {}

    def nodes(self, m: M) -> None:
        """The node of an M, made when it comes for the first time."""
        if m.id not in self.next:
            self.next[m.id] = Word(f"next{m.id}", 0)
            self.locked[m.id] = Word(f"locked{m.id}", 0)

    async def lock(self, m: M) -> None:
        """Join the list; wait for the one before."""
        self.nodes(m)
        await self.next[m.id].store(0)
        await self.locked[m.id].store(1)
        before = await self.tail.swap(m.id)
        if before:
            await self.next[before].store(m.id)
            while await self.locked[m.id].load():
                await m.pause()

    async def unlock(self, m: M) -> None:
        """Let the next in; nobody, where none has come."""
        if not await self.next[m.id].load():
            if await self.tail.cas(m.id, 0):
                return
            while not await self.next[m.id].load():
                await m.pause()
        await self.locked[await self.next[m.id].load()].store(0)


class BrokenMCSLock(MCSLock):
    """An unlock that takes a next that is not there yet for nobody."""

    async def unlock(self, m: M) -> None:
        """Let the next in, if it is there."""
        after = await self.next[m.id].load()
        if after:
            await self.locked[after].store(0)
        else:
            await self.tail.cas(m.id, 0)
