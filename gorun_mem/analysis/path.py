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

Found in one pass: each M keeps the chain that leads to it as a list whose nodes are shared, so the
memory is one node for each contended acquisition that some living chain has. At `PATH_MAX` nodes in
a chain the oldest are let go and `truncated` says so.

Source: the definition for parallel programs of C.-Q. Yang and B. P. Miller, "Critical Path Analysis
for the Execution of Parallel and Distributed Programs", ICDCS 1988, with locks as the only edges.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

PATH_MAX: Final = 1 << 19
_MS_MAX: Final = 1 << 16


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


class PathNode:
    """An M from one contended acquisition, or from its start, on.

    Args:
        m: the M.
        start_ns: when.
        held_ns: for how long it had held locks before.
        lock: what it waited for, "" for a start.
        site: who waited.
        before: what it depends on, None for what was there from the begin.
        depth: nodes before it.
    """

    __slots__ = ("before", "depth", "held_ns", "lock", "m", "site", "start_ns")

    def __init__(
        self,
        m: int,
        start_ns: int = 0,
        held_ns: int = 0,
        lock: str = "",
        site: str = "",
        before: Mark | None = None,
        depth: int = 0,
    ) -> None:
        self.m = m
        self.start_ns = start_ns
        self.held_ns = held_ns
        self.lock = lock
        self.site = site
        self.before = before
        self.depth = depth


Mark: TypeAlias = tuple[int, PathNode, int, str]
"""A moment in the life of an M that others may come to depend on: when, its node then, how long it
had held locks by then, and the site of the hold that ended."""


class PathOfM:
    """An M while the log is read.

    Attributes:
        node: where its chain ends.
        held_ns: for how long it held locks, holds that have ended.
        since_ns: since when it holds the first of these.
        last_ns: when it last did something.
        locks: the locks that it holds, in the order taken.
        name: what it is for.
    """

    __slots__ = ("held_ns", "last_ns", "locks", "name", "node", "since_ns")

    def __init__(self, node: PathNode) -> None:
        self.node = node
        self.held_ns = 0
        self.since_ns = 0
        self.last_ns = node.start_ns
        self.locks: list[str] = []
        self.name = f"M{node.m}" if node.m else "scenario"

    def held_at(self, now: int) -> int:
        """For how long it held locks up to `now`."""
        return self.held_ns + (now - self.since_ns if self.locks else 0)


class PathFinder:
    """Learns from acquisitions, releases and starts.

    Args:
        begin_ns: where the path begins.

    Attributes:
        ms: the Ms; who reads lock events keeps their holds (see `Contention`).
        last_ns: the latest start or end of an M, or hold that did not end.
    """

    def __init__(self, begin_ns: int = 0) -> None:
        self.ms: dict[int, PathOfM] = {}
        self.last_ns = 0
        self._begin_ns = begin_ns
        self._truncated = False

    def state(self, m: int) -> PathOfM:
        """M `m`; one whose start is not in the log is there from the run's begin."""
        state = self.ms.get(m)
        if state is None:
            state = PathOfM(PathNode(m, self._begin_ns))
            if len(self.ms) < _MS_MAX:
                self.ms[m] = state
        return state

    def start(self, event: Any) -> None:
        """m.start."""
        m, now = event.m, event.t_ns
        parent = self.state(event.by_m)  # the scenario too: it is there from the begin
        mark = (now, parent.node, parent.held_at(now), parent.name)
        if m != event.by_m and len(self.ms) < _MS_MAX:
            self.ms[m] = PathOfM(PathNode(m, now, before=mark, depth=parent.node.depth + 1))
            if isinstance(event.reason, str):
                self.ms[m].name = event.reason
        self.see(m, now)

    def name(self, m: int) -> str:
        """What `m` is for, in the words of its m.start; "" for no M."""
        return self.state(m).name if m else ""

    def exit(self, event: Any) -> None:
        """m.exit."""
        self.see(event.m, event.t_ns)

    def see(self, m: int, now: int) -> None:
        """`m` did something."""
        state = self.state(m)
        state.last_ns = max(state.last_ns, now)
        self.last_ns = max(self.last_ns, now)

    def waited(self, state: PathOfM, event: Any, released: Mark | None) -> None:
        """An acquisition that had to wait.

        Args:
            state: its M, not yet with the lock.
            event: lock.acquire.
            released: how the lock was given back last.
        """
        m, now = event.m, event.t_ns
        if released is None or not now - event.wait_ns <= released[0] <= now:
            return
        before = released[1]
        if before.m == m:
            return
        site = event.site
        state.node = PathNode(
            m, now, state.held_at(now), event.lock, site if isinstance(site, str) else "", released,
            before.depth + 1,
        )  # fmt: skip
        if before.depth + 1 >= PATH_MAX:
            self._let_go(state)

    def find(self) -> CriticalPath:
        """The path that leads to the M that was last to do something."""
        if not self.ms:
            return CriticalPath()
        last = max(self.ms.items(), key=lambda item: (item[1].last_ns, -item[0]))[1]
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
        return CriticalPath(tuple(segments), self._truncated)

    def _let_go(self, state: PathOfM) -> None:
        """Of a chain that is too long, keep the later half."""
        self._truncated = True
        kept = []
        node = state.node
        for _ in range(PATH_MAX // 2):
            if node.before is None:
                break
            kept.append(node)
            node = node.before[1]
        fresh = PathNode(node.m, node.start_ns, node.held_ns, node.lock, node.site)
        for node in reversed(kept):
            assert node.before is not None
            mark = (node.before[0], fresh, node.before[2], node.before[3])
            fresh = PathNode(
                node.m, node.start_ns, node.held_ns, node.lock, node.site, mark, fresh.depth + 1
            )
        state.node = fresh
