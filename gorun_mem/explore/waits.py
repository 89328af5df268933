"""Who waited for whom when a run ended: the edges of a deadlock, and the cycle that they make.

Who holds a lock is known by the mutex's own book, or, of a plain lock, by the steps that took it
and gave it back. Of other waits (an event, a queue, a word) nobody can say who was to end them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gorun_mem.explore.failure import Failure
from gorun_mem.machine.outcome import Stuck
from gorun_mem.step.schedule import Step

_SHOWN_MAX: Final = 5


@dataclass(frozen=True, slots=True)
class WaitEdge:
    """One M waits for a lock that another holds, or it itself.

    Args:
        m: who waits.
        waits_for: the operation and its object, such as "acquire memlock".
        holder: id of the M that holds the lock.
        where: where it took it or since which step, with a space before; "" where not known.
    """

    m: int
    waits_for: str
    holder: int
    where: str

    @property
    def lock(self) -> str:
        """The lock's name."""
        return self.waits_for.partition(" ")[2]

    def __str__(self) -> str:
        return f"M{self.m} waits to {self.waits_for}, which M{self.holder} holds{self.where}"


def edges_of(failure: Failure) -> dict[int, WaitEdge]:
    """By each M that waits for a lock: for which, and who holds it."""
    return {edge.m: edge for edge in _edges(failure)}


def _edges(failure: Failure) -> Iterator[WaitEdge]:
    holders = _holders(failure.steps)
    for stuck in failure.stuck:
        kind, _, obj = stuck.waits_for.partition(" ")
        holder = holders.get(obj) if kind == "acquire" else None
        if holder is not None:
            yield WaitEdge(stuck.m, stuck.waits_for, holder[0], f" since step {holder[1]}")
        elif stuck.held_by is not None:
            where = f" in {stuck.held_by.site}" if stuck.held_by.site else ""
            yield WaitEdge(stuck.m, stuck.waits_for, stuck.held_by.m, where)


def _holders(steps: Sequence[Step]) -> dict[str, tuple[int, int]]:
    """Who holds each plain lock at the end, and since which step."""
    held: dict[str, tuple[int, int]] = {}
    for number, step in enumerate(steps, 1):
        if step.kind == "acquire":
            held[step.obj] = (step.m, number)
        elif step.kind == "release":
            held.pop(step.obj, None)
    return held


def cycle_of(edges: Mapping[int, WaitEdge]) -> list[WaitEdge]:
    """A cycle of waiting Ms, from its lowest M on; empty where there is none."""
    for start in sorted(edges):
        path: list[int] = []
        at = start
        while at in edges and at not in path:
            path.append(at)
            at = edges[at].holder
        if at == start and path:
            return [edges[m] for m in path]
    return []


def lines_of(failure: Failure) -> list[str]:
    """The cycle, or who waits for what, line by line; none where the failure is another."""
    if failure.signature.kind not in ("deadlock", "no_progress") or not failure.stuck:
        return []
    edges = edges_of(failure)
    cycle = cycle_of(edges)
    if cycle:
        order = " -> ".join(f"M{edge.m}" for edge in (*cycle, cycle[0]))
        return [f"The cycle: {order}", *(f"  {edge}" for edge in cycle)]
    waits = [f"  {edges.get(one.m) or _waiter(one)}" for one in failure.stuck[:_SHOWN_MAX]]
    return ["No cycle of locks whose holders are known:", *waits]


def _waiter(stuck: Stuck) -> str:
    text = f"M{stuck.m} ({stuck.name}) waits to {stuck.waits_for}"
    if stuck.holds:
        return f"{text} while it holds {', '.join(stuck.holds)}"
    return f"{text}, and nobody is left to end that"
