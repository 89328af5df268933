"""A ticket lock: first come, first served."""

from __future__ import annotations

from gorun_mem import M
from gorun_mem.locks import Mutex
from gorun_mem.sync import Word


class TicketLock(Mutex):
    """Draw a ticket, and wait until it is called."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.next = Word("next")
        self.serving = Word("serving")

    async def lock(self, m: M) -> None:
        """Draw a ticket, and wait until it is called."""
        ticket = await self.next.add(1) - 1
        while await self.serving.load() != ticket:
            await m.pause()

    async def try_lock(self, m: M) -> bool:
        """Draw a ticket only if it is called already."""
        ticket = await self.serving.load()
        return bool(await self.next.cas(ticket, ticket + 1))

    async def unlock(self, m: M) -> None:
        """Call the next ticket."""
        await self.serving.add(1)


class BrokenTicketLock(TicketLock):
    """Two Ms may draw one ticket: it is read and written in two steps."""

    async def lock(self, m: M) -> None:
        """Draw a ticket in two steps."""
        ticket = await self.next.load()
        await self.next.store(ticket + 1)
        while await self.serving.load() != ticket:
            await m.pause()
