"""Locks of one's own: as coroutines over the kit (`Mutex`), or as states (`StateMutex`).

    gorun-mem run memlock_storm --mutex mylock.py:TicketLock

`Mutex` is the short way, and `gorun_mem.locks.coroutine` has an example of twelve lines.
`StateMutex` is for who follows a lock of Go's access by access: `gorun_mem.runtime.mutex.base` says
what its states may call, with an example. Either is memlock, or any lock of a World, as well as the
locks of the package are, and `load_mutex` is where all of them are found.
"""

from __future__ import annotations

from gorun_mem.locks.coroutine import CoroutineMutex, Mutex, adapted
from gorun_mem.locks.load import MutexFileError, load_mutex, name_of
from gorun_mem.runtime.mutex.base import ACTIVE_SPIN, PASSIVE_SPIN, StateMutex
from gorun_mem.runtime.mutex.futex_queue import FutexQueue
from gorun_mem.runtime.mutex.machine import (
    CPU,
    KEY,
    SEMA,
    WAKEE,
    LockOp,
    TryLockOp,
    UnlockOp,
    state,
)
from gorun_mem.runtime.mutex.settings import LockSettings
from gorun_mem.runtime.op import MORE, PARKED, MLike

__all__ = [
    "ACTIVE_SPIN",
    "CPU",
    "KEY",
    "MORE",
    "PARKED",
    "PASSIVE_SPIN",
    "SEMA",
    "WAKEE",
    "CoroutineMutex",
    "FutexQueue",
    "LockOp",
    "LockSettings",
    "MLike",
    "Mutex",
    "MutexFileError",
    "StateMutex",
    "TryLockOp",
    "UnlockOp",
    "adapted",
    "load_mutex",
    "name_of",
    "state",
]
