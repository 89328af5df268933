"""The semaphore that every M has: semacreate, semasleep and semawakeup of os_plan9.go.

Plan 9 keeps the count in the M's own memory (`waitsemacount`) and lets an M sleep in the kernel
while it is 0. A wakeup that comes before the sleep is not lost: it waits in the count. semacreate
does nothing there, nor here.

A sleep is one step that takes a wakeup or puts the M to sleep. An M that was woken takes its wakeup
in a step of its own, as the kernel does when it runs the process again. An interrupted semacquire
goes round its loop and is left out: it changes nothing that anyone could see.

The time of a timed sleep is rounded to ms, 1 at least. Up to 1.25 a time of more than 2^31 - 1 ms
was cut to that; from 1.26 it is taken modulo 2^32 (source only).
"""

from __future__ import annotations

from typing import Final

from gorun_mem.runtime.op import MLike

_MS: Final = 1_000_000
_INT32_MAX: Final = (1 << 31) - 1


def sema_acquire(m: MLike) -> bool:
    """Take a wakeup of `m`, or put `m` to sleep: then the step returns PARKED.

    Returns:
        Whether there was one.
    """
    go = m.go
    if go.waitsema > 0:
        go.waitsema -= 1
        go.asleep = False
        return True
    go.asleep = True
    return False


def sema_wakeup(by: MLike, target: MLike) -> None:
    """Send `target` a wakeup; Go's semawakeup."""
    go = target.go
    go.waitsema += 1
    if go.asleep:
        go.asleep = False
        by.sched.unpark(target)


def sema_timeout_ns(ns: int, wraps: bool) -> int:
    """How long semasleep(ns) sleeps, in ns: what tsemacquire is given.

    Args:
        ns: what was asked for, at least 0.
        wraps: `Behaviour.semasleep_wraps` of the release.
    """
    ms = ns // _MS
    ms = (ms + _INT32_MAX + 1) % (1 << 32) - _INT32_MAX - 1 if wraps else min(ms, _INT32_MAX)
    return (ms or 1) * _MS
