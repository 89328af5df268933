"""Stores that were late where it mattered, in a failing run of memory TSO."""

from __future__ import annotations

from typing import Final

from gorun_mem.explore.failure import Failure
from gorun_mem.explore.seen import SeenRun
from gorun_mem.runtime.kinds import FLUSH, named

LATE: Final = named(lambda kind: kind.late)
SAID_MAX: Final = 2


def late_stores(failure: Failure, seen: SeenRun) -> list[str]:
    """A sentence for each load that found memory as it was before a store of another M which had
    been made and was late; the latest last, and of one store only the first such load."""
    steps = seen.steps
    if failure.settings.get("memory") != "tso" and not any(step.kind == FLUSH for step in steps):
        return []
    said: list[str] = []
    for made, store in enumerate(steps):
        if store.kind not in LATE or not store.m:  # M 0's are in memory at once while it is alone
            continue
        reached = _reaches(seen, made)
        for at in range(made + 1, len(steps) if reached is None else reached):
            other = steps[at]
            if other.obj == store.obj and other.reads and other.m != store.m:
                until = "" if reached is None else f" until step {reached + 1}"
                said.append(
                    f"{seen.name(at)} does not see {seen.name(made)}, which is in M{store.m}'s "
                    f"store buffer{until}"
                )
                break
    return said[-SAID_MAX:]


def _reaches(seen: SeenRun, made: int) -> int | None:
    """The step by which the store made at step `made` reaches memory; None: it never does."""
    steps, store = seen.steps, seen.steps[made]
    before = sum(s.m == store.m and s.kind in LATE and s.obj == store.obj for s in steps[:made])
    for at, step in enumerate(steps):
        if step.kind == FLUSH and step.m == store.m and step.obj == store.obj:
            if not before:
                return at if at > made else None
            before -= 1
    return None
