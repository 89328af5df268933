"""The queue lock of Craig, Landin and Hagersten: each M waits on the node of the one before.

Source: T. Craig, "Building FIFO and Priority-Queueing Spin Locks from Atomic Swap", 1993.
"""

from __future__ import annotations

from gorun_mem import M
from gorun_mem.locks import Mutex
from gorun_mem.sync import Word


class CLHLock(Mutex):
    """A node is a word that says whether its M has or wants the lock."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.nodes = [Word("node0", 0)]
        self.tail = Word("tail", 0)
        self.mine: dict[int, int] = {}
        self.before: dict[int, int] = {}

    def node(self, m: M) -> int:
        """The node of an M."""
        if m.id not in self.mine:
            self.mine[m.id] = len(self.nodes)
            self.nodes.append(Word(f"node{len(self.nodes)}", 0))
        return self.mine[m.id]

    async def lock(self, m: M) -> None:
        """Join behind the tail, and wait until that one has left."""
        node = self.node(m)
        await self.nodes[node].store(1)
        before = self.before[m.id] = await self.tail.swap(node)
        while await self.nodes[before].load():
            await m.pause()

    async def unlock(self, m: M) -> None:
        """Leave; the node of the one before is one's own from now on."""
        await self.nodes[self.mine[m.id]].store(0)
        self.mine[m.id] = self.before[m.id]


class BrokenCLHLock(CLHLock):
    """The node is used again while the next one still waits on it."""

    async def unlock(self, m: M) -> None:
        """Leave, and keep one's node."""
        await self.nodes[self.mine[m.id]].store(0)
