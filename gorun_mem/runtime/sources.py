"""Which of Go's sources were read, and in what each release's memory and lock files differ.

`python -m tests.runtime.go_sources GOROOT...` compares them again.
"""

from __future__ import annotations

from typing import Final

READ: Final[dict[str, str]] = {
    "go1.21.13": "the first that was read",
    "go1.22.10": "no bitmap in heapArena; a lock rank more; waits for locks are timed",
    "go1.23.1": "three lock ranks more, others moved",
    "go1.23.2": "",
    "go1.23.3": "",
    "go1.23.4": "a lock rank more before sweep",
    "go1.23.9": "",
    "go1.24.3": "sbrk by blocMax, sysReserveAlignedSbrk, spinbit mutexes, notes of js without "
    "maps, a lock rank more",
    "go1.24.11": "sysReserveAlignedSbrk gives memlock back; limits of user-arena spans",
    "go1.25.0": "lists of user arenas, marks in heapArena, names of mappings, a sampled spinbit "
    "unlock trades for the stack lock, no tristate mutexes, four lock ranks more",
    "go1.25.1": "",
    "go1.25.2": "",
    "go1.25.3": "",
    "go1.25.4": "",
    "go1.25.5": "",
    "go1.26.0": "arenas of 512 KiB on wasm, bodies on the system stack, semasleep's time in int32, "
    "two lock ranks more",
    "go1.26.1": "",
    "go1.26.2": "",
    "go1.26.3": "sysUnreserve; sysReserveAligned in mem.go",
    "go1.26.4": "",
    "go1.26.5": "",
    "go1.26.6": "",
    "go1.27.0": "a nil sysFreeOS returns at once, locks are counted in 16s, a lock rank more",
    "go1.27.1": "",
    "go1.27.2": "",
    "go1.27.3": "",
}
"""Release whose source was read -> in what its memory and lock files differ from those of the
release above it; "" where all are the same text."""


def source_of(name: str) -> str:
    """How the memory and lock files of the patch release `name` stand to another's, in words."""
    if name not in READ:
        return "not compared file by file"
    read = list(READ)
    up_to_it = read[: read.index(name) + 1]
    *_, changed = (other for other in up_to_it if READ[other])
    if changed != name:
        return f"equal to {changed} in all memory and lock files"
    beside = f", beside {up_to_it[-2]}" if len(up_to_it) > 1 else ""
    return READ[name] + beside
