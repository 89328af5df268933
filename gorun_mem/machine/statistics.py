"""What a World tells of itself: its memory at one moment, and what was counted."""

from __future__ import annotations

from dataclasses import dataclass

from gorun_mem._near import no_such
from gorun_mem._notebook import facts
from gorun_mem.runtime.mutex import LockStatistics
from gorun_mem.runtime.mutex.statistics import lock_table


@dataclass(frozen=True, slots=True)
class MemorySnapshot:
    """The memory at one moment.

    Args:
        pages: pages of 64 KiB; on Plan 9 what the system's break comes to.
        bloc: the runtime's break.
        bloc_max: the system's break.
        free: (address, size) of each block of the free list, in order.
        live: (address, size, owner) of each range that is handed out, in order.
        grows: growths asked for.
        grows_refused: growths refused.
    """

    pages: int
    bloc: int
    bloc_max: int
    free: tuple[tuple[int, int], ...]
    live: tuple[tuple[int, int, str], ...]
    grows: int
    grows_refused: int

    @property
    def free_bytes(self) -> int:
        """Bytes on the free list."""
        return sum(size for _, size in self.free)

    @property
    def free_largest(self) -> int:
        """Size of the largest free block."""
        return max((size for _, size in self.free), default=0)

    @property
    def live_bytes(self) -> int:
        """Bytes handed out."""
        return sum(size for _, size, _ in self.live)

    def _repr_html_(self) -> str:
        """A notebook's view."""
        return facts(
            "memory",
            [
                ("pages", self.pages),
                ("bloc", self.bloc),
                ("blocMax", self.bloc_max),
                ("bytes handed out", self.live_bytes),
                ("bytes free", self.free_bytes),
                ("free blocks", len(self.free)),
                ("largest free block", self.free_largest),
                ("growths", self.grows),
                ("growths refused", self.grows_refused),
            ],
        )


@dataclass(frozen=True, slots=True)
class WorldStatistics:
    """What was counted while the World ran.

    Args:
        locks: statistics of each lock by name.
        steps: accesses made.
        time_ns: virtual time.
        ms: Ms that were started.
        memory: the memory as it is now.
    """

    locks: dict[str, LockStatistics]
    steps: int
    time_ns: int
    ms: int
    memory: MemorySnapshot

    def lock(self, name: str) -> LockStatistics:
        """Statistics of the lock called `name`.

        Raises:
            KeyError: there is no such lock; the message lists those there are.
        """
        try:
            return self.locks[name]
        except KeyError:
            raise KeyError(no_such("lock", name, self.locks, there="the locks are")) from None

    def _repr_html_(self) -> str:
        """A notebook's view: what was counted, the locks, the memory."""
        counted = facts(
            "run", [("steps", self.steps), ("virtual time ns", self.time_ns), ("Ms", self.ms)]
        )
        return counted + lock_table(self.locks.values()) + self.memory._repr_html_()
