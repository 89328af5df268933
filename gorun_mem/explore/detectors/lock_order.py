"""Lock order: orders of taking locks that can deadlock, though in this run they did not.

Whoever takes B while it holds A adds A -> B to a graph. A cycle in it is a potential deadlock if
each of its edges is of another M and no lock was held over all of them: such a gate keeps the Ms
apart. Two locks are AB-BA, more an N-lock cycle.

Simplified: that one M was started after the other had ended is not seen; no program here starts Ms
one after the other with locks in opposite orders.

Source: K. Havelund, "Using Runtime Analysis to Guide Model Checking of Java Programs", SPIN 2000.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

from gorun_mem.explore.detectors.watch import Place, in_words, watch
from gorun_mem.explore.failure import Finding
from gorun_mem.runtime.op import Op
from gorun_mem.step.task import Task

if TYPE_CHECKING:
    from gorun_mem.machine.world import World

TRIES: Final = frozenset({"try", "rw.try_read", "rw.try_write"})
"""Kinds by which a lock is taken if it is free: nobody waits, so nobody waits in a circle."""
CYCLE_MAX: Final = 8
"""Cycles of more locks are not looked for."""


class _Edge(NamedTuple):
    """M `m` took `after` while it held `before`."""

    before: str
    after: str
    m: int
    gates: frozenset[str]
    place: Place
    step: int


class LockOrder:
    """Finds cycles in the order of locks; kind "lock.order"."""

    name = "lock_order"
    usual: ClassVar[int] = 60
    screened = True
    midway = True

    def begin(self, world: World) -> None:
        """Forget the run before."""
        self._watch = watch(world)
        self._edges: dict[str, list[_Edge]] = {}
        self._known: set[tuple[str, str, int, frozenset[str]]] = set()

    def step(self, task: Task, op: Op, kind: str, obj: str, reads: bool, result: object) -> None:
        """Note in which order locks were taken."""
        event = self._watch.lock_event(task, op, kind, obj, result)
        if event is None or not event[1] or kind in TRIES:
            return
        held = self._watch.holds[task.id]
        if len(held) < 2:
            return
        taken = event[0]
        gates = frozenset(hold.lock for hold in held[:-1])
        for hold in held[:-1]:
            key = (hold.lock, taken.lock, task.id, gates)
            if key not in self._known and hold.lock != taken.lock:
                self._known.add(key)
                edge = _Edge(*key, taken.place, taken.step)
                self._edges.setdefault(hold.lock, []).append(edge)

    def end(self, world: World) -> Sequence[Finding]:
        """The cycles of the run, each once."""
        found: dict[str, Finding] = {}
        for start in sorted(self._edges):
            for edge in self._edges[start]:
                if edge.after > start:
                    self._walk((edge,), found)
        return tuple(found.values())

    def _walk(self, path: tuple[_Edge, ...], found: dict[str, Finding]) -> None:
        """Go on from the end of `path`, to locks whose names come after the first's only."""
        first, last = path[0], path[-1]
        for edge in self._edges.get(last.after, ()):
            if any(edge.m == other.m for other in path):
                continue
            if frozenset.intersection(edge.gates, *[other.gates for other in path]):
                continue
            if edge.after == first.before:
                _add(found, (*path, edge))
            elif (
                edge.after > first.before
                and len(path) + 1 < CYCLE_MAX
                and all(edge.after != other.before for other in path)
            ):
                self._walk((*path, edge), found)


def _add(found: dict[str, Finding], cycle: tuple[_Edge, ...]) -> None:
    name = " -> ".join([*[edge.before for edge in cycle], cycle[0].before])
    if name in found:
        return
    each = "; ".join(
        f"M{edge.m} took {edge.after} while it held {edge.before}, at {in_words(edge.place)} "
        f"(step {edge.step})"
        for edge in cycle
    )
    text = f"locks are taken in orders that can deadlock, {name}: {each}"
    sites = " and ".join(sorted({in_words(edge.place) for edge in cycle}))
    ms = tuple(edge.m for edge in cycle)
    found[name] = Finding("lock.order", name, sites, text, ms, cycle[-1].step)
