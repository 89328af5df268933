"""What matters of a deadlock: the wait that began it, the signal that nobody heard, a lock kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gorun_mem.explore.detectors.lost_wakeups import is_wakeup
from gorun_mem.explore.failure import Failure
from gorun_mem.explore.seen import SeenRun
from gorun_mem.explore.step_values import woken_by
from gorun_mem.explore.waits import WaitEdge, cycle_of, edges_of
from gorun_mem.step.schedule import Step


def why_stuck(failure: Failure, seen: SeenRun) -> Iterator[str]:
    """The sentences, for a failure that is a deadlock; none for another."""
    if failure.signature.kind != "deadlock":
        return
    edges = edges_of(failure)
    cycle = cycle_of(edges)
    if cycle:
        yield _began(cycle, seen)
        return
    for stuck in failure.stuck:
        if stuck.m not in edges and not stuck.holds:
            yield from _asleep(seen, stuck.m, stuck.waits_for)
    for edge in edges.values():
        yield _kept(edge, seen)


# A cycle.


def _began(cycle: Sequence[WaitEdge], seen: SeenRun) -> str:
    """Which wait of a cycle was the first, and which the last."""
    latest = {step.m: i for i, step in enumerate(seen.steps)}
    in_order = sorted(cycle, key=lambda edge: (seen.wait_of(edge.m)[0], latest.get(edge.m, -1)))
    first, last = in_order[0], in_order[-1]
    if first is last:
        since = seen.since(first.m)
        return f"M{first.m} waits to {first.waits_for} {since}, and holds it itself{first.where}"
    return (
        f"M{first.m}'s wait to {first.waits_for}, {seen.since(first.m)}, begins the "
        f"cycle: M{first.holder} holds it{first.where}; M{last.m}'s wait to {last.waits_for}, "
        f"{seen.since(last.m)}, closes it: M{last.holder} holds that{last.where}"
    )


# A lock that is kept.


def _kept(edge: WaitEdge, seen: SeenRun) -> str:
    """Who took the lock at which step, and does not give it back."""
    at = seen.held_at_end().get(edge.lock)
    waits = f"M{edge.m} waits to {edge.waits_for} {seen.since(edge.m)}"
    ended = "has ended without giving" if not seen.pending(edge.holder) else "does not give"
    if seen.sights is None:
        ended = "does not give"
    if at is None:
        return f"{waits}: M{edge.holder} holds it{edge.where} and {ended} it back"
    site = edge.where if edge.where.startswith(" in ") else ""
    return f"{seen.name(at)} takes {edge.lock}{site}, and M{edge.holder} {ended} it back; {waits}"


# A sleep that nobody ends.


def _asleep(seen: SeenRun, m: int, waits_for: str) -> Iterator[str]:
    """What was to wake `m`, which sleeps for ever, and did not."""
    steps = seen.steps
    begins, made = seen.wait_of(m)
    about = {steps[i].obj for i in made} | {waits_for.partition(" ")[2], _object_of(waits_for)}
    slept: float = made[-1] if made else begins
    if made:
        sleeps = f"M{m} goes to sleep at step {made[-1] + 1}"
    else:
        sleeps = f"M{m} waits to {waits_for} {seen.since(m)}"
    woken = {i: woken_by(steps, i) for i in _signals(seen, m, about)}
    before = max((i for i in range(int(slept)) if m in woken_by(steps, i)), default=-1)
    missed = [i for i in woken if before < i < slept and not woken[i]]
    others = [i for i in woken if i > before and woken[i]]
    late = [i for i in woken if i > slept and not woken[i]]
    if missed:
        at = missed[-1]
        wiped = next((i for i in range(at + 1, int(slept) + 1) if _wipes(steps[i], about)), None)
        taken = f", {seen.name(wiped)} takes it back" if wiped is not None else ""
        yield f"{seen.name(at)} finds nobody asleep{taken}; {sleeps}, and nobody wakes it"
    elif others or late:
        at = (others or late)[-1]
        whom = " and ".join(f"M{other}" for other in sorted(woken[at])) or "nobody"
        yield f"{seen.name(at)} wakes {whom}, not M{m}; {sleeps}, and nobody wakes it"
    else:
        changes = [i for i, s in enumerate(steps) if s.m != m and s.obj in about and not s.reads]
        last = f": the last to change it is {seen.name(changes[-1])}" if changes else ""
        yield f"{sleeps}, and no step signals what it waits for{last}"


def _signals(seen: SeenRun, m: int, about: set[str]) -> Iterator[int]:
    """The steps by which others wake whoever sleeps on one of the objects `about`."""
    for i, step in enumerate(seen.steps):
        if step.m != m and step.obj in about and is_wakeup(step.kind, seen.op(i)):
            yield i


def _object_of(waits_for: str) -> str:
    """The object at the end of "sleep on waiters"."""
    return waits_for.rpartition(" ")[2]


def _wipes(step: Step, about: set[str]) -> bool:
    return step.obj in about and step.kind in ("clear", "store", "atomic.store", "unset")
