"""What an M carries for the runtime locks: the part of `m` of runtime2.go that they use.

Go chains sleeping Ms through fields of the `m` itself, so that a mutex is a single word. Here the
fields live in one small object that every M exposes as `m.go`. A pointer to an M is an int: the
address that `m_address` gives, 2,048 apart as Go's allocation of `m` makes them, so that a mutex
may keep flags in the low bits.

Simplified: `m0`, which Go allocates statically, lies in line with the others, and an address has no
malloc header in front of it (mutexMOffset is 0).
"""

from __future__ import annotations

from typing import Final, Protocol

M_SHIFT: Final = 11
"""An `m` lies in the 2,048-byte size class, which the spinbit mutex relies on."""


def m_address(m_id: int) -> int:
    """The address of M number `m_id`; 0, nil, for M 0."""
    return m_id << M_SHIFT


def m_number(address: int) -> int:
    """The M at `address`, low bits ignored; 0 for nil."""
    return address >> M_SHIFT


class HeldLock(Protocol):
    """A lock, as the M sees it that holds it."""

    name: str
    rank: str


class MState:
    """The fields of Go's `m` that runtime locks, notes and semaphores use."""

    __slots__ = (
        "asleep",
        "blocked",
        "held",
        "nextwaitm",
        "op_id",
        "start_ticks",
        "waitsema",
    )

    def __init__(self) -> None:
        self.nextwaitm = 0
        """Address of the next M on the list of the lock it waits for: `nextwaitm` to 1.23,
        `mWaitList.next` from 1.24."""
        self.start_ticks = 0
        """`mWaitList.startTicks` from 1.25: since when it waits for this holder, in ns."""
        self.waitsema = 0
        """Plan 9's `waitsemacount`: wakeups that were sent and not yet taken."""
        self.asleep = False
        """It sleeps on its semaphore, in the kernel."""
        self.blocked = False
        """`m.blocked`: it sleeps on a note."""
        self.held: list[HeldLock] = []
        """Locks that it holds, in the order taken; `locksHeld` of lockrank_on.go."""
        self.op_id = 0
        """The sys* call it is in, for the log; 0: none."""

    def link(self, next: int) -> None:
        """Write `nextwaitm`."""
        self.nextwaitm = next
