"""Detectors: what looks at each run of a search for what does not end the run by itself.

    found = explore(program, detectors=DEFAULT_DETECTORS)

    Races          race             two accesses that nothing orders (happens-before)
    LockOrder      lock.order       locks taken in orders that can deadlock, though they did not
    LockRanks      lock.rank        a runtime lock taken against Go's lock ranking
    LeakedLocks    lock.leaked      a lock that is held when its M, or the run, has ended
    LeakedMemory   memory.leaked    memory that is handed out at the end (not by default)
    FreeListCheck       memory.check     the free list is corrupt, by memCheck and the ledger
    MemorySafety   memory.double_alloc, memory.use_after_free, memory.double_free, memory.overlap (a
                   part was freed before), memory.stray
    LostWakeups    wakeup.lost      an M sleeps although it was woken, or may go on
    Bypasses       starvation       others got a lock past an M that waits (not by default)
    FairCycle      livelock         Ms go round for ever though everybody goes: see `fair_cycle`
    GoodSamaritan  no_yield         an M goes round and never lets another have its CPU
    Livelock       no_progress      who went round when the run reached its bound
    Deadlocks      deadlock         who waits for whom in a circle, where and since when

The last two tell more of a run that has failed anyway. Each detector knows one run at a time; what
several of them need of a run (where an M is, who holds what) is in `watch.py`, kept once a World.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gorun_mem.explore.detectors.bypasses import Bypasses
from gorun_mem.explore.detectors.deadlocks import Deadlocks
from gorun_mem.explore.detectors.fair_cycle import FairCycle
from gorun_mem.explore.detectors.good_samaritan import GoodSamaritan
from gorun_mem.explore.detectors.leaks import LeakedLocks, LeakedMemory
from gorun_mem.explore.detectors.livelock import Livelock
from gorun_mem.explore.detectors.lock_order import LockOrder
from gorun_mem.explore.detectors.lock_ranks import LockRanks
from gorun_mem.explore.detectors.mem_check import FreeListCheck
from gorun_mem.explore.detectors.memory_safety import MemorySafety
from gorun_mem.explore.detectors.races import Races
from gorun_mem.explore.detectors.wakeups import LostWakeups
from gorun_mem.explore.failure import Detector

__all__ = [
    "DEFAULT_DETECTORS",
    "Bypasses",
    "Deadlocks",
    "FairCycle",
    "FreeListCheck",
    "GoodSamaritan",
    "LeakedLocks",
    "LeakedMemory",
    "Livelock",
    "LockOrder",
    "LockRanks",
    "LostWakeups",
    "MemorySafety",
    "Races",
]

DEFAULT_DETECTORS: Final[tuple[Callable[[], Detector], ...]] = (
    MemorySafety,
    FreeListCheck,
    LostWakeups,
    Deadlocks,
    Races,
    LockOrder,
    LockRanks,
    LeakedLocks,
    FairCycle,
    GoodSamaritan,
    Livelock,
)
"""What a search looks with unless it is told otherwise; what ends a program comes first."""
