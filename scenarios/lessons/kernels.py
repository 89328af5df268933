"""Lessons: the smallest programs with the bugs that concurrent allocators and locks have.

Each is a scenario of its own, with the bug, or without it by `--set fixed=true`:

    gorun-mem scenarios --lessons
    gorun-mem explore lessons/lost_wakeup
    gorun-mem explore lessons/lost_wakeup --set fixed=true

The programs are in gorun_mem/explore/kernels, some dozen lines each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gorun_mem import World
from gorun_mem.explore.kernels import KERNELS, Kernel
from gorun_mem.machine.config import Config
from gorun_mem.machine.scenario import Scenario

LOOK_FOR: Final[dict[str, tuple[str, str]]] = {
    "lost-update": ("lost_update", "two loads of bloc with no store between: the second is old"),
    "check-then-grow": ("check_then_grow", "both Ms' looks at bloc_max before either has grown"),
    "double-allocation": ("double_allocation", "two finds of one block before the first unlink"),
    "split-coalesce": ("split_coalesce", "the other M's steps between reading and writing a size"),
    "free-list-aba": ("free_list_aba", "a head that was changed and changed back under a swap"),
    "write-after-free": ("write_after_free", "the store after the free, and who finds it"),
    "double-free": ("double_free", "two Ms that both saw the last reference"),
    "overlapping-free": ("overlapping_free", "two frees whose ranges share a page"),
    "missed-note-wakeup": ("missed_note_wakeup", "the clear that comes after the wakeup"),
    "sleeping-stored": ("lost_wakeup", "the store of SLEEPING over what the unlock had written"),
    "unlock-skips-wake": ("unlock_skips_wake", "the look at the word before the waiter's swap"),
    "wake-one": ("wake_one", "two that sleep, and one wakeup"),
    "double-unlock": ("double_unlock", "the way out that unlocks what was unlocked before"),
    "foreign-unlock": ("foreign_unlock", "who holds the lock when another gives it back"),
    "self-deadlock": ("self_deadlock", "one M, twice, in the list of who waits for whom"),
    "ab-ba": ("ab_ba", "two holders that each want what the other has"),
    "lock-cycle": ("lock_cycle", "the circle: each M holds a lock and waits for the next"),
    "rank-inversion": ("rank_inversion", "a lock taken under memlock, though nothing hangs"),
    "recursive-read": ("recursive_read", "the writer that comes between two reads of one M"),
    "writer-starvation": ("writer_starvation", "readers that go in after the writer is announced"),
    "over-admission": ("over_admission", "two Ms whose looks at the count both allow them in"),
    "leaked-lock": ("leaked_lock", "the call that returned with memlock held, before the hang"),
    "wrong-lock": ("wrong_lock", "two locks, each held, around one variable"),
    "two-stage": ("two_stage", "the look between the first store and the second"),
    "reorder-4": ("reorder_4", "one store of a pair seen and the other not"),
    "store-buffering": (
        "store_buffering",
        "a load of the other's flag while that store is still in its buffer",
    ),
    "long-way-20": ("long_way", "the other M's first step, which comes after twenty of this one"),
}
"""Kernel -> the name of its lesson, and what to look for in the failing schedule."""


def _lesson(name: str, look_for: str, kernel: Kernel) -> Scenario:
    def configure(config: Config, options: Mapping[str, Any]) -> Config:
        twin = kernel.fixed_config
        if twin is None or not options["fixed"]:
            return config
        return config.but(release=twin.release)

    async def lesson(world: World, *, fixed: bool = False) -> None:
        await (kernel.fixed if fixed else kernel.program)(world)

    lesson.__name__ = lesson.__qualname__ = name
    lesson.__doc__ = (
        f"{kernel.shows[0].upper()}{kernel.shows[1:]}.\n\n"
        f"In the failing schedule, look for {look_for}.\n\nKnown from: {kernel.source}."
    )
    return Scenario(lesson, kernel.config, configure)


globals().update(
    {name: _lesson(name, look_for, KERNELS[key]) for key, (name, look_for) in LOOK_FOR.items()}
)
