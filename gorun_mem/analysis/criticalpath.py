"""The critical path: the one chain of causes that made the run take as long as it did.

It is found backwards. Begin with the M that was last to do something. It ran since it last had to
wait for a lock; it waited because another M held that lock, so the chain goes on at the moment that
M gave it back, and with that M's past. Where an M began, the chain goes on with the M that started
it. So the path is cut into

    run       an M runs, from getting a lock (or its start) to giving back the one that the next
              step waited for (or the end); `held_ns` of it with a runtime lock in its hands
    handoff   from a release to the acquisition that it made possible: wakeups, spinning, bypasses

and the lengths of all parts sum to the whole run. Shortening a part shortens the run, until another
chain is longer; what is not on the path can be made faster for nothing. Waits for anything but
runtime locks count as running.

A release that lies before the wait began is no cause; then the M counts as running all the time.

Found in one pass: each M keeps the chain that leads to it (`gorun_mem.analysis.path`).

Source: the definition for parallel programs of C.-Q. Yang and B. P. Miller, "Critical Path Analysis
for the Execution of Parallel and Distributed Programs", ICDCS 1988, with locks as the only edges.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from gorun_mem.analysis.path import Mark, PathFinder


class Segment(NamedTuple):
    """A part of the path.

    Args:
        kind: "run" or "handoff".
        m: the M that runs; in a handoff the M that gets the lock.
        start_ns: when it begins.
        end_ns: when it ends.
        held_ns: of it with a runtime lock held; 0 in a handoff.
        lock: in a handoff the lock; in a run the one whose release ends it, "" for none.
        site: in a handoff the Go function that waited; in a run the one that took that lock, or
            what the M is for.
    """

    kind: str
    m: int
    start_ns: int
    end_ns: int
    held_ns: int = 0
    lock: str = ""
    site: str = ""

    @property
    def length_ns(self) -> int:
        """How long it takes."""
        return self.end_ns - self.start_ns


@dataclass(frozen=True, slots=True)
class CriticalPath:
    """The whole path.

    Args:
        segments: in order of time, without gaps.
        truncated: whether its beginning was let go.
    """

    segments: tuple[Segment, ...] = ()
    truncated: bool = False

    @property
    def length_ns(self) -> int:
        """The sum of all parts."""
        return sum(one.length_ns for one in self.segments)

    @property
    def run_ns(self) -> int:
        """Of it, Ms ran."""
        return sum(one.length_ns for one in self.segments if one.kind == "run")

    @property
    def held_ns(self) -> int:
        """Of it, Ms ran with a lock held."""
        return sum(one.held_ns for one in self.segments)

    @property
    def handoff_ns(self) -> int:
        """Of it, locks were on their way."""
        return sum(one.length_ns for one in self.segments if one.kind == "handoff")

    @property
    def handoffs(self) -> int:
        """How often it goes from M to M over a lock."""
        return sum(one.kind == "handoff" for one in self.segments)

    @property
    def by_m(self) -> Mapping[int, int]:
        """M -> ns that it runs on the path, the greatest first."""
        found: dict[int, int] = {}
        for one in self.segments:
            if one.kind == "run":
                found[one.m] = found.get(one.m, 0) + one.length_ns
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def critical_path(finder: PathFinder) -> CriticalPath:
    """The path that leads to the M that was last to do something."""
    if not finder.ms:
        return CriticalPath()
    last = max(finder.ms.items(), key=lambda item: (item[1].last_ns, -item[0]))[1]
    mark: Mark | None = (last.last_ns, last.node, last.held_at(last.last_ns), last.name)
    segments = []
    lock = ""
    while mark is not None:
        t_ns, node, held, site = mark
        m, start_ns = node.m, node.start_ns
        if t_ns != start_ns:
            held = max(0, held - node.held_ns)
            segments.append(Segment("run", m, start_ns, t_ns, held, lock, site))
        lock, mark = node.lock, node.before
        if mark is not None and lock:
            segments.append(Segment("handoff", m, mark[0], start_ns, 0, lock, node.site))
    segments.reverse()
    return CriticalPath(tuple(segments), finder.truncated)
