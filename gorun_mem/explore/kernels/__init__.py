"""Kernels: the smallest programs with the bugs that concurrent allocators and locks have.

Each is an `async def main(world)` and has a twin without the bug. They are what strategies and
detectors are measured by (`gorun-mem bench kernels`), and what to read to see what a bug looks like
here. Most fail by themselves; `sees` names the detector of the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gorun_mem.explore.kernels import allocator, discriminators, locks, memory, wakeups
from gorun_mem.explore.target import Main, Target
from gorun_mem.machine.config import Config

_PCT: Final = "Burckhardt et al., ASPLOS 2010"
_GO: Final = "Go's runtime"
_TWO_MS: Final = Config(ms=2)


@dataclass(frozen=True, slots=True)
class Kernel:
    """One kernel.

    Args:
        number: from 1 to 26; two have 25.
        program: with the bug.
        fixed: the twin.
        shows: what goes wrong.
        source: where the bug is known from.
        kind: of the failure's signature.
        sees: name of the detector without which nothing fails, "" for none.
        config: settings of the program.
        fixed_config: settings of the twin, where they differ.
    """

    number: int
    program: Main
    fixed: Main
    shows: str
    source: str
    kind: str
    sees: str = ""
    config: Config = _TWO_MS
    fixed_config: Config | None = None

    def target(self) -> Target:
        """The program, to be explored."""
        return Target.of(self.program, self.config)

    def twin(self) -> Target:
        """The program without the bug."""
        return Target.of(self.fixed, self.fixed_config or self.config)


_ONE_CPU: Final = Config(ms=2, cpus=1)
_FAITHFUL: Final = Config(ms=2, faithful=True)

KERNELS: Final[dict[str, Kernel]] = {
    "lost-update": Kernel(
        1, allocator.lost_update, allocator.lost_update_fixed,
        "an update of bloc is lost", "mem_sbrk.go without memlock", "AssertionError",
    ),
    "check-then-grow": Kernel(
        2, allocator.check_then_grow, allocator.check_then_grow_fixed,
        "memory grows twice for one blocMax", "mem_sbrk.go without memlock", "AssertionError",
    ),
    "double-allocation": Kernel(
        3, allocator.double_allocation, allocator.double_allocation_fixed,
        "a block is handed out twice", "memAlloc split in two", "AssertionError",
    ),
    "split-coalesce": Kernel(
        4, allocator.split_while_coalescing, allocator.split_while_coalescing_fixed,
        "a page is lost from the free list", "memAlloc and memFree without memlock",
        "AssertionError",
    ),
    "free-list-aba": Kernel(
        5, allocator.free_list_aba, allocator.free_list_aba_fixed,
        "a block is popped while somebody has it", "IBM System/370 Principles of Operation",
        "AssertionError",
    ),
    "write-after-free": Kernel(
        6, allocator.write_after_free, allocator.write_after_free_fixed,
        "memCheck finds a free block that is not zero", _GO, "throw", config=_FAITHFUL,
    ),
    "double-free": Kernel(
        7, allocator.double_free, allocator.double_free_fixed,
        "a block is freed twice", "reference counts", "illegal_use",
    ),
    "overlapping-free": Kernel(
        8, allocator.overlapping_free, allocator.overlapping_free_fixed,
        "a page is freed as the tail of a block and as part of it", "mem.go's callers",
        "illegal_use",
    ),
    "missed-note-wakeup": Kernel(
        9, wakeups.missed_note_wakeup, wakeups.missed_note_wakeup_fixed,
        "a note is cleared after it was woken", "lock_sema.go's contract", "deadlock",
    ),
    "sleeping-stored": Kernel(
        10, wakeups.sleeping_stored, wakeups.futex_fixed,
        "an M sleeps for a lock that is free", "lock_futex.go with a store for a swap", "deadlock",
        config=_ONE_CPU,
    ),
    "unlock-skips-wake": Kernel(
        11, wakeups.unlock_skips_wake, wakeups.futex_fixed,
        "an M sleeps for a lock that is free", "lock_futex.go with a load and a store", "deadlock",
        config=_ONE_CPU,
    ),
    "wake-one": Kernel(
        12, wakeups.wake_one, wakeups.wake_one_fixed,
        "the second of two waiters is not woken", "sync.Cond, Signal for Broadcast", "deadlock",
    ),
    "double-unlock": Kernel(
        13, locks.double_unlock, locks.double_unlock_fixed,
        "an unlocked lock is unlocked", "error paths", "throw",
    ),
    "foreign-unlock": Kernel(
        14, locks.foreign_unlock, locks.foreign_unlock_fixed,
        "a lock is given back by an M that does not hold it", "error paths", "illegal_use",
    ),
    "self-deadlock": Kernel(
        15, locks.self_deadlock, locks.self_deadlock_fixed,
        "an M waits for itself", "allocators that allocate", "deadlock",
    ),
    "ab-ba": Kernel(
        16, locks.ab_ba, locks.ab_ba_fixed,
        "two Ms wait for each other", "Havelund, SPIN 2000", "deadlock",
    ),
    "lock-cycle": Kernel(
        17, locks.lock_cycle, locks.lock_cycle_fixed,
        "four Ms wait in a circle", "Dijkstra's philosophers", "deadlock",
    ),
    "rank-inversion": Kernel(
        18, locks.rank_inversion, locks.rank_inversion_fixed,
        "a lock is taken under a leaf", "lockrank.go", "lock.rank", sees="lock_ranks",
    ),
    "recursive-read": Kernel(
        19, locks.recursive_read, locks.recursive_read_fixed,
        "a reader waits for a writer that waits for it", "sync.RWMutex's contract", "deadlock",
    ),
    "writer-starvation": Kernel(
        20, locks.writer_starvation, locks.writer_starvation_fixed,
        "readers keep passing a writer that waits", "Courtois et al., CACM 1971",
        "AssertionError",
    ),
    "over-admission": Kernel(
        21, wakeups.over_admission, wakeups.over_admission_fixed,
        "two Ms are where one may be", "semaphores without compare-and-swap", "AssertionError",
    ),
    "leaked-lock": Kernel(
        22, locks.leaked_lock, locks.leaked_lock,
        "memlock is never given back", "golang/go#74346", "deadlock",
        config=Config(ms=2, release="go1.24.3", mutex="sema"),
        fixed_config=Config(ms=2, release="go1.24.11", mutex="sema"),
    ),
    "wrong-lock": Kernel(
        23, locks.wrong_lock, locks.wrong_lock_fixed,
        "data is guarded by two locks", "lock sets (Eraser, SOSP 1997)", "AssertionError",
    ),
    "two-stage": Kernel(
        24, locks.two_stage, locks.two_stage_fixed,
        "an invariant over two locks is seen broken", "SCTBench", "AssertionError",
    ),
    "reorder-4": Kernel(
        25, discriminators.reorder, discriminators.reorder_fixed,
        "one of two stores by four Ms is seen", "SCTBench", "AssertionError",
    ),
    "long-way-20": Kernel(
        25, discriminators.long_way, discriminators.long_way_fixed,
        "something is used before it is set, 20 steps later", _PCT, "AssertionError",
    ),
    "store-buffering": Kernel(
        26, memory.store_buffering, memory.store_buffering_fixed,
        "two Ms are where one may be, for their stores are late", "Dekker; x86-TSO (CACM 2010)",
        "AssertionError", config=Config(ms=2, memory="tso"),
    ),
}  # fmt: skip
"""Name -> kernel, by number."""
