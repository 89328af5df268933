"""A search as the page shows it: the document of `explore --json`, bounded.

`gorun_mem.web.offline` puts it into a file. A failure may have thousands of steps; those around the
step that it opens at, and the last ones, are kept.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final

FAILURES_MAX: Final = 8
STEPS_MAX: Final = 400
"""Steps of a schedule that are shown."""


def document(explored: Mapping[str, Any]) -> dict[str, Any]:
    """What the page shows, as JSON has it.

    Args:
        explored: as `explore --json` has it.
    """
    failures = explored["failures"]
    return {
        "kind": "exploration",
        "title": f"{explored['explore']} explored",
        "again": _again(explored),
        "left_out": max(0, len(failures) - FAILURES_MAX),
        "found": {**explored, "failures": [_failure(one) for one in failures[:FAILURES_MAX]]},
    }


def of_schedule(name: str, again: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """What the page shows of one schedule, as JSON has it.

    Args:
        name: of the program.
        again: the command that follows the schedule once more.
        told: what there is to say of it, as `Retold.document` has it.
    """
    return {"kind": "schedule", "title": f"{name}: one schedule", "again": again, **failing(told)}


def failing(told: Mapping[str, Any]) -> dict[str, Any]:
    """What the page shows of a failure beside other things: all of it, or why there is nothing.

    Args:
        told: what there is to say, as `Retold.document` has it.
    """
    failure = told["failure"]
    return {**told, "failure": _failure(failure) if failure is not None else None}


def _again(explored: Mapping[str, Any]) -> str:
    """The command that searches once more, but for bounds and what may go wrong."""
    about = explored["about"]
    words = ["gorun-mem", "explore", str(about.get("scenario", explored["explore"]))]
    for name, value in about.get("config", {}).items():
        words.append(f"--{name.replace('_', '-')}={value}")
    for name, value in about.get("options", {}).items():
        words += ["--set", f"{name}={value}"]
    words += ["--strategy", explored["strategy"]]
    return shlex.join(words)


def _failure(one: Mapping[str, Any]) -> dict[str, Any]:
    kept = {**one, "steps": shown(one["steps"], one["opens_at"])}
    passing = one["passing"]
    if passing is not None:
        kept["passing"] = {**passing, "steps": shown(passing["steps"], passing["parts_at"])}
    return kept


def shown(steps: Sequence[Any], opens_at: int) -> list[Any]:
    """At most `STEPS_MAX` of the steps: around the one that is looked at first, and the last.

    Args:
        steps: all of them, in order.
        opens_at: the number of that step, from 1; 0 for none.
    """
    if len(steps) <= STEPS_MAX:
        return list(steps)
    part = STEPS_MAX // 3
    low = max(0, min((opens_at or 1) - 1 - part, len(steps) - STEPS_MAX))
    high = low + 2 * part
    return [*steps[low:high], *steps[max(high, len(steps) - part) :]]
