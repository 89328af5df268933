"""lock_wasip1.go's mutex: a flag, of which `single` has what is done with it."""

from __future__ import annotations

from typing import ClassVar

from mypy_extensions import mypyc_attr

from gorun_mem.runtime.mutex.base import StateMutex
from gorun_mem.runtime.mutex.single import SingleLock, SingleUnlock


@mypyc_attr(allow_interpreted_subclasses=True)
class Wasip1Mutex(StateMutex):
    """The mutex of wasip1/wasm, from 1.21 on (`locks` counts in 16s from 1.27)."""

    __slots__ = ()
    algorithm = "wasip1"
    source = "lock_wasip1.go, from 1.21"
    platforms = "wasip1/wasm"
    several_ms = False
    lock_op = SingleLock
    unlock_op = SingleUnlock
    values: ClassVar[dict[int, str]] = {0: "unlocked", 1: "locked"}
