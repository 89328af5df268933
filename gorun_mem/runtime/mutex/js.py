"""lock_js.go's mutex: a flag, of which `single` has what is done with it."""

from __future__ import annotations

from typing import ClassVar

from mypy_extensions import mypyc_attr

from gorun_mem.runtime.mutex.base import StateMutex
from gorun_mem.runtime.mutex.single import SingleLock, SingleUnlock


@mypyc_attr(allow_interpreted_subclasses=True)
class JsMutex(StateMutex):
    """The mutex of js/wasm, all releases (`locks` counts in 16s from 1.27)."""

    __slots__ = ()
    algorithm = "js"
    source = "lock_js.go, all releases"
    platforms = "js/wasm"
    several_ms = False
    lock_op = SingleLock
    unlock_op = SingleUnlock
    values: ClassVar[dict[int, str]] = {0: "unlocked", 1: "locked"}
