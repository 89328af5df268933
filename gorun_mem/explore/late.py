"""Stores that were late where it mattered, in a failing run of memory TSO."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gorun_mem.runtime.kinds import FLUSH, named
from gorun_mem.step.schedule import Step
from gorun_mem.step.task import BUFFERS

LATE: Final = named(lambda kind: kind.late)


def late_stores(steps: Sequence[Step]) -> list[str]:
    """A sentence for each load of an M that found memory as it was before a store of another that
    had been made and was late; the latest last.

    Of one store only the first such load is named.
    """
    if not any(step.m >= BUFFERS for step in steps):
        return []
    said: list[str] = []
    for made, store in enumerate(steps):
        if store.kind not in LATE or not store.m:  # M 0's are in memory at once while it is alone
            continue
        reached = _reaches(steps, made)
        for at in range(made + 1, len(steps) if reached is None else reached):
            other = steps[at]
            if other.obj == store.obj and other.reads and other.m != store.m:
                until = "" if reached is None else f" until step {reached + 1}"
                said.append(
                    f"M{other.m}'s {other.name} (step {at + 1}) does not see M{store.m}'s "
                    f"{store.name} (step {made + 1}), which is in M{store.m}'s store buffer{until}"
                )
                break
    return said


def _reaches(steps: Sequence[Step], made: int) -> int | None:
    """The step by which the store made at step `made` reaches memory; None: it never does."""
    store = steps[made]
    before = sum(s.m == store.m and s.kind in LATE and s.obj == store.obj for s in steps[:made])
    for at, step in enumerate(steps):
        if step.kind == FLUSH and step.owner == store.m and step.obj == store.obj:
            if not before:
                return at if at > made else None
            before -= 1
    return None
