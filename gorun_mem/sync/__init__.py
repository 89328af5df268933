"""The kit: what Ms share and wait for, to write locks and programs with.

    Word, FutexWord     words of which every access is atomic; one that Ms sleep on
    Cell                plain memory: two accesses that nothing orders are a data race
    fence               what an M stored is in memory before it goes on; matters where memory is TSO
    Lock, RWLock        sync.Mutex, checked; sync.RWMutex, with Go's preference for writers
    Cond                sync.Cond over a Lock, with times
    Semaphore, Event    POSIX's; something that happens and stays so
    Chan, select        Go's channels, buffered or not
    WaitGroup, Once     Go's
    NotifyList          tickets to sleep on, which Cond is made of
    Gate                what those that let Ms in are made of; for objects of one's own

Each is made with a name, and its methods are operations: `await lock.acquire()`. What waits takes a
`timeout_ns` in virtual time and can be cancelled on the trio host; either leaves the object as if
it had not been asked. What goes wrong throws as in Go. Every object has `statistics()`, and a repr
that says who has it and who waits.

A search knows what each access touches, the race detector what it orders, the timing engine what it
costs; two words made with `line="name"` lie on one cache line.
"""

from __future__ import annotations

from gorun_mem.sync.base import KitObject, SyncStatistics, naming
from gorun_mem.sync.chan import Chan
from gorun_mem.sync.cond import Cond, NotifyList
from gorun_mem.sync.counting import Once, Semaphore, WaitGroup
from gorun_mem.sync.futex import FutexWord
from gorun_mem.sync.gate import Effect, Entry, Gate
from gorun_mem.sync.lock import Event, Lock
from gorun_mem.sync.rwlock import RWLock
from gorun_mem.sync.selecting import Selected, select
from gorun_mem.sync.words import Cell, Variable, Word, fence

__all__ = [
    "Cell",
    "Chan",
    "Cond",
    "Effect",
    "Entry",
    "Event",
    "FutexWord",
    "Gate",
    "KitObject",
    "Lock",
    "NotifyList",
    "Once",
    "RWLock",
    "Selected",
    "Semaphore",
    "SyncStatistics",
    "Variable",
    "WaitGroup",
    "Word",
    "fence",
    "naming",
    "select",
]
