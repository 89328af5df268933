"""In which order locks are taken, and whether two Ms could deadlock over it.

Go fixes the order by rank (lockrank.go) and checks it in builds made for that. Here the order is
what the run did: an edge from a lock that an M holds to one that it takes or waits for. Locks on a
circle of edges can deadlock under some schedule, though this run may have ended well. (Not where a
further lock, taken first each time, keeps the Ms apart: `Cycle.guarded_by` names such a lock.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

EDGES_MAX: Final = 1 << 12
"""Edges that are kept: circles are looked for from each of them."""


@dataclass(frozen=True, slots=True)
class OrderEdge:
    """`wanted` was taken, or waited for, while `held` was held.

    Args:
        held: a lock's name.
        wanted: another's.
        count: how often.
        seq: the first event that showed it.
        m: that event's M.
        site: that event's Go function.
    """

    held: str
    wanted: str
    count: int
    seq: int
    m: int
    site: str


@dataclass(frozen=True, slots=True)
class Cycle:
    """Locks that are taken in a circle.

    Args:
        locks: in order; the last is followed by the first.
        edges: the edges that make it.
        guarded_by: a lock that was held each time one of the edges was walked, "" for none.
    """

    locks: tuple[str, ...]
    edges: tuple[OrderEdge, ...]
    guarded_by: str = ""


class _Seen:
    __slots__ = ("count", "guards", "m", "seq", "site")

    def __init__(self, event: Any, guards: set[str]) -> None:
        self.count = 0
        self.seq = event.seq
        self.m = event.m
        self.site = event.site if isinstance(event.site, str) else ""
        self.guards = guards


class OrderGraph:
    """Learns the order from acquisitions, releases and waits."""

    def __init__(self) -> None:
        self._edges: dict[tuple[str, str], _Seen] = {}

    def wanted(self, held: Iterable[str], event: Any) -> None:
        """An M waits for `event.lock` with `held` in its hands."""
        held = tuple(held)
        for name in held:
            self._note(name, held, event, 0)

    def acquired(self, held: Iterable[str], event: Any) -> None:
        """An M has `event.lock` too, beside `held`."""
        held = tuple(held)
        for name in held:
            self._note(name, held, event, 1)

    def _note(self, name: str, held: Iterable[str], event: Any, times: int) -> None:
        lock = event.lock
        if name == lock:
            return
        guards = {other for other in held if other not in (name, lock)}
        seen = self._edges.get((name, lock))
        if seen is None:
            if len(self._edges) >= EDGES_MAX:
                return
            seen = self._edges[name, lock] = _Seen(event, guards)
        seen.count += times
        seen.guards &= guards

    def edges(self) -> tuple[OrderEdge, ...]:
        """All edges, by name; a count of 0 is a wait that never ended."""
        return tuple(
            OrderEdge(held, wanted, seen.count, seen.seq, seen.m, seen.site)
            for (held, wanted), seen in sorted(self._edges.items())
        )

    def cycles(self) -> tuple[Cycle, ...]:
        """A shortest circle through each edge that lies on one, each circle once."""
        follows: dict[str, list[str]] = {}
        for held, wanted in sorted(self._edges):
            follows.setdefault(held, []).append(wanted)
        found: dict[tuple[str, ...], Cycle] = {}
        known = {(edge.held, edge.wanted): edge for edge in self.edges()}
        for held, wanted in sorted(self._edges):
            way = _shortest(follows, wanted, held)
            if way is None:
                continue
            first = way.index(min(way))
            locks = tuple(way[first:] + way[:first])
            if locks not in found:
                found[locks] = self._cycle(locks, known)
        return tuple(found.values())

    def _cycle(self, locks: tuple[str, ...], known: Mapping[tuple[str, str], OrderEdge]) -> Cycle:
        pairs = list(zip(locks, (*locks[1:], locks[0]), strict=True))
        guards = set.intersection(*(self._edges[pair].guards for pair in pairs))
        return Cycle(locks, tuple(known[pair] for pair in pairs), min(guards, default=""))


def _shortest(follows: Mapping[str, list[str]], start: str, goal: str) -> list[str] | None:
    """The locks from `start` to `goal` along edges, both included; None where no way leads."""
    came_from: dict[str, str] = {start: start}
    queue = [start]
    for name in queue:
        if name == goal:
            way = [name]
            while name != start:
                name = came_from[name]
                way.append(name)
            return way[::-1]
        for other in follows.get(name, ()):
            if other not in came_from:
                came_from[other] = name
                queue.append(other)
    return None
