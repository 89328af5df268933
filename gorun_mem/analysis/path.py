"""What leads to where each M is, while a log is read: the chains of which one is the critical path.

`gorun_mem.analysis.criticalpath` says what that is. Each M keeps the chain that leads to it as a
list whose nodes are shared, so the memory is one node for each contended acquisition that some
living chain has. At `PATH_MAX` nodes in a chain the oldest are let go and `truncated` says so.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

PATH_MAX: Final = 1 << 19
_MS_MAX: Final = 1 << 16


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
        truncated: whether the oldest of a chain was let go.
    """

    def __init__(self, begin_ns: int = 0) -> None:
        self.ms: dict[int, PathOfM] = {}
        self.last_ns = 0
        self._begin_ns = begin_ns
        self.truncated = False

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

    def waited(
        self,
        state: PathOfM,
        m: int,
        now: int,
        wait_ns: int,
        lock: str,
        site: object,
        released: Mark | None,
    ) -> None:
        """An acquisition that had to wait.

        Args:
            state: its M, not yet with the lock.
            m: likewise.
            now: when.
            wait_ns: how long it waited.
            lock: for what.
            site: the Go function that took it; no string where that is not said.
            released: how the lock was given back last.
        """
        if released is None or not now - wait_ns <= released[0] <= now:
            return
        before = released[1]
        if before.m == m:
            return
        state.node = PathNode(
            m, now, state.held_at(now), lock, site if isinstance(site, str) else "", released,
            before.depth + 1,
        )  # fmt: skip
        if before.depth + 1 >= PATH_MAX:
            self._let_go(state)

    def _let_go(self, state: PathOfM) -> None:
        """Of a chain that is too long, keep the later half."""
        self.truncated = True
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
