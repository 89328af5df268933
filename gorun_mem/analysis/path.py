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
from dataclasses import dataclass, field
from typing import Any, Final

PATH_MAX: Final = 1 << 18
_MS_MAX: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the path.

    Args:
        kind: "run" or "handoff".
        m: the M that runs; in a handoff the M that gets the lock.
        start_ns: when it begins.
        end_ns: when it ends.
        held_ns: of it with a runtime lock held; 0 in a handoff.
        lock: in a handoff the lock; in a run the one whose release ends it, "" for none.
        site: in a handoff the Go function that waited.
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


class _Node:
    """An M from one contended acquisition, or from its start, on."""

    __slots__ = ("before", "depth", "held_before_ns", "lock", "m", "site", "start_ns")

    def __init__(self, m: int, start_ns: int, before: _Mark | None) -> None:
        self.m = m
        self.start_ns = start_ns
        self.before = before
        self.depth: int = before.node.depth + 1 if before is not None else 0
        self.held_before_ns = 0
        self.lock = ""
        self.site = ""


class _Mark:
    """A moment in the life of an M that others may come to depend on."""

    __slots__ = ("held_ns", "node", "t_ns")

    def __init__(self, node: _Node, t_ns: int, held_ns: int) -> None:
        self.node = node
        self.t_ns = t_ns
        self.held_ns = held_ns


class _MState:
    __slots__ = ("depth", "held_ns", "last_ns", "node", "since_ns")

    def __init__(self, node: _Node) -> None:
        self.node = node
        self.held_ns = 0
        self.depth = 0
        self.since_ns = 0
        self.last_ns = node.start_ns

    def held_at(self, now: int) -> int:
        return self.held_ns + (now - self.since_ns if self.depth else 0)


@dataclass(slots=True)
class PathFinder:
    """Learns from acquisitions, releases and starts.

    Attributes:
        last_ns: the latest time seen.
    """

    last_ns: int = 0
    _ms: dict[int, _MState] = field(default_factory=dict)
    _truncated: bool = False

    def start(self, event: Any) -> None:
        """m.start."""
        m, now = event.m, event.t_ns
        parent = self._ms.get(event.by_m)
        if parent is None:
            # The scenario, or an M that the log does not show the start of: the run's begin.
            parent = self._ms.setdefault(event.by_m, _MState(_Node(event.by_m, 0, None)))
        mark = _Mark(parent.node, now, parent.held_at(now))
        if m != event.by_m and len(self._ms) < _MS_MAX:
            self._ms[m] = _MState(_Node(m, now, mark))
        self._see(m, now)

    def exit(self, event: Any) -> None:
        """m.exit."""
        self._see(event.m, event.t_ns)

    def acquired(self, m: int, now: int) -> None:
        """M `m` has a lock from now on."""
        state = self._ms.get(m) or self._state(m)
        if not state.depth:
            state.since_ns = now
        state.depth += 1
        state.last_ns = now

    def waited(self, event: Any, released: tuple[int, _Mark] | None) -> None:
        """An acquisition that had to wait; called before `acquired`.

        Args:
            event: lock.acquire.
            released: when the lock was given back last, and by a hold of which M's chain.
        """
        m, now = event.m, event.t_ns
        state = self._ms.get(m) or self._state(m)
        if released is None or released[0] < now - event.wait_ns or released[0] > now:
            return
        mark = released[1]
        if mark.node.m == m:
            return
        node = _Node(m, now, mark)
        node.held_before_ns = state.held_at(now)
        node.lock = event.lock
        node.site = event.site if isinstance(event.site, str) else ""
        state.node = node
        if node.depth >= PATH_MAX:
            self._let_go(node)

    def released(self, m: int, now: int) -> _Mark:
        """M `m` gave a lock back; what the next owner is to be told."""
        state = self._ms.get(m) or self._state(m)
        state.last_ns = now
        mark = _Mark(state.node, now, state.held_at(now))
        if state.depth:
            state.depth -= 1
            if not state.depth:
                state.held_ns += now - state.since_ns
        return mark

    def find(self, end_ns: int) -> CriticalPath:
        """The path that leads to the M that was last to do something."""
        if not self._ms:
            return CriticalPath()
        last = max(self._ms.items(), key=lambda item: (item[1].last_ns, -item[0]))[1]
        mark: _Mark | None = _Mark(last.node, last.last_ns, last.held_at(last.last_ns))
        segments = []
        lock = ""
        while mark is not None:
            node = mark.node
            held = max(0, mark.held_ns - node.held_before_ns)
            segments.append(Segment("run", node.m, node.start_ns, mark.t_ns, held, lock))
            lock = node.lock
            before = node.before
            if before is not None and node.lock:
                segments.append(
                    Segment("handoff", node.m, before.t_ns, node.start_ns, 0, lock, node.site)
                )
            mark = before
        kept = [one for one in reversed(segments) if one.length_ns or one.kind == "handoff"]
        return CriticalPath(tuple(kept), self._truncated)

    def _see(self, m: int, now: int) -> None:
        state = self._ms.get(m) or self._state(m)
        state.last_ns = now
        if now > self.last_ns:
            self.last_ns = now

    def _state(self, m: int) -> _MState:
        """An M whose start is not in the log: from the run's begin."""
        state = _MState(_Node(m, 0, None))
        if len(self._ms) < _MS_MAX:
            self._ms[m] = state
        return state

    def _let_go(self, node: _Node) -> None:
        """Cut a chain that is too long at its middle."""
        self._truncated = True
        keep = PATH_MAX // 2
        cut = node
        for _ in range(keep):
            if cut.before is None:
                return
            cut = cut.before.node
        cut.before = None
        above = node
        depths = []
        while above is not cut and above.before is not None:
            depths.append(above)
            above = above.before.node
        cut.depth = 0
        for depth, one in enumerate(reversed(depths), 1):
            one.depth = depth
