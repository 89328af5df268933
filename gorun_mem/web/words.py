"""The words of locks, bit by bit, with Go's names for the bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from gorun_mem.runtime.m import m_number
from gorun_mem.runtime.mutex import futex, sema, spinbit

if TYPE_CHECKING:
    from gorun_mem.runtime.mutex import StateMutex

Bits = list[dict[str, Any]]


def bits_of(mutex: StateMutex) -> Bits:
    """What the lock's word says: (name, value, whether it is set), the lowest bits first."""
    for cls in type(mutex).__mro__:
        read = _READ.get(str(getattr(cls, "algorithm", "")))
        if read is not None:
            return read(mutex.key)
    return []


def _bit(name: str, is_set: bool, value: str = "") -> dict[str, Any]:
    return {"name": name, "set": bool(is_set), "value": value}


def _sema(key: int) -> Bits:
    waiting = key & ~sema.LOCKED
    return [
        _bit("locked", key & sema.LOCKED != 0),
        _bit("waits first", waiting != 0, f"M{m_number(waiting)}" if waiting else ""),
    ]


def _futex(key: int) -> Bits:
    return [
        _bit("mutex_unlocked", key == futex.UNLOCKED),
        _bit("mutex_locked", key == futex.LOCKED),
        _bit("mutex_sleeping", key == futex.SLEEPING),
    ]


def _spinbit(key: int) -> Bits:
    waiting = key & ~spinbit.FLAGS
    return [
        _bit("mutexLocked", key & spinbit.LOCKED != 0),
        _bit("mutexSleeping", key & spinbit.SLEEPING != 0),
        _bit("mutexSpinning", key & spinbit.SPINNING != 0),
        _bit("mutexStackLocked", key & spinbit.STACK_LOCKED != 0),
        _bit("top of the stack", waiting != 0, f"M{m_number(waiting)}" if waiting else ""),
    ]


_READ: Final[dict[str, Callable[[int], Bits]]] = {
    "sema": _sema,
    "futex": _futex,
    "spinbit": _spinbit,
}
