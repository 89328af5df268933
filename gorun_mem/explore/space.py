"""What the first runs tell of the program: its profile, the size of its space, what was covered.

The number of schedules is estimated after Knuth: on a random walk down the tree of decisions the
product of the numbers of branches at each is an unbiased estimate of the number of leaves. Its
spread is wide, so it says no more than the order of magnitude.

Source: D. Knuth, "Estimating the Efficiency of Backtrack Programs", Mathematics of Computation 29,
1975.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import exp, fsum, log

from gorun_mem.explore.drive import Execution
from gorun_mem.step.schedule import Step
from gorun_mem.step.strategies.searching import Profile

LOG_MAX = 700.0
"""exp of more is no float."""


def profile_of(runs: Sequence[Execution]) -> Profile:
    """What `runs`, which were transcribed, show of the program."""
    decisions = 0
    steps: dict[str, int] = {}
    objects: dict[str, dict[str, int]] = {}
    changed: set[str] = set()
    for execution in runs:
        run, origins = execution.named_steps, execution.origins
        decisions = max(decisions, sum(1 for step in run if len(step.enabled) > 1))
        made: dict[str, int] = {}
        on: dict[str, dict[str, int]] = {}
        for step in run:
            m = origins[step.m]
            made[m] = made.get(m, 0) + 1
            counts = on.setdefault(step.obj, {})
            counts[m] = counts.get(m, 0) + 1
            if not step.reads:
                changed.add(step.obj)
        _raise_to(steps, made)
        for obj, counts in on.items():
            _raise_to(objects.setdefault(obj, {}), counts)
    shared = {o: c for o, c in objects.items() if len(c) > 1 and o in changed and o != "m"}
    return Profile(decisions, steps, shared)


def _raise_to(most: dict[str, int], counts: dict[str, int]) -> None:
    for m, count in counts.items():
        most[m] = max(most.get(m, 0), count)


def branches_log(run: Iterable[Step]) -> float:
    """The logarithm of the product of the numbers of branches along a random walk."""
    total = 0.0
    for step in run:
        total += log(len(step.enabled)) if len(step.enabled) > 1 else 0.0
        for _, n, _ in step.choices:
            total += log(n) if n > 1 else 0.0
    return total


def estimate(logs: Sequence[float]) -> float:
    """The mean of the products whose logarithms are given; infinite beyond what a float holds."""
    if not logs:
        return 0.0
    if max(logs) > LOG_MAX:
        return float("inf")
    return fsum(exp(value) for value in logs) / len(logs)


def handovers(run: Sequence[Step]) -> set[tuple[str, str]]:
    """Pairs of steps on one object that two Ms made one after the other, one of them a change.

    What a search has covered: an interleaving bug is an unexpected pair of these.
    """
    last: dict[str, Step] = {}
    pairs: set[tuple[str, str]] = set()
    for step in run:
        before = last.get(step.obj)
        if before is not None and before.m != step.m and not (before.reads and step.reads):
            pairs.add((before.name, step.name))
        last[step.obj] = step
    return pairs
