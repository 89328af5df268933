"""How often each call of the OS layer was made, and what the free list came to after them.

The sums that the summary of a run has, and every report: taken once, by whoever reads the log.
"""

from __future__ import annotations

from collections.abc import Mapping

from gorun_mem.analysis.accumulator import Accumulator, Handler
from gorun_mem.events.types import LogEvent, MemReturn


class Calls:
    """The calls of one function that returned.

    Attributes:
        failed: those that did not give what was asked for.
        bytes: sum of the sizes asked for.
        paths: how the answers came about -> how often.
    """

    __slots__ = ("bytes", "failed", "paths")

    def __init__(self) -> None:
        self.failed = 0
        self.bytes = 0
        self.paths: dict[str, int] = {}

    @property
    def count(self) -> int:
        """How many."""
        return sum(self.paths.values())


class CallSums(Accumulator):
    """Sums over the calls that returned.

    Attributes:
        by_fn: by function.
        last: the last return, None before the first.
        search_steps: free-list headers looked at.
        cleared_bytes: bytes set to zero.
        free_bytes_max: most bytes on the free list after a call.
        free_blocks_max: most blocks on it after a call.
    """

    def __init__(self) -> None:
        self.by_fn: dict[str, Calls] = {}
        self.last: MemReturn | None = None
        self.search_steps = self.cleared_bytes = 0
        self.free_bytes_max = self.free_blocks_max = 0

    def handlers(self) -> Mapping[type[LogEvent], Handler]:
        """Every return."""
        return {MemReturn: self.add}

    def add(self, event: MemReturn) -> None:
        """Take in one return."""
        calls = self.by_fn.get(event.fn)
        if calls is None:
            calls = self.by_fn[event.fn] = Calls()
        path, paths = event.path, calls.paths
        paths[path] = paths.get(path, 0) + 1
        calls.bytes += event.n
        if not event.ok:
            calls.failed += 1
        self.search_steps += event.search_steps
        self.cleared_bytes += event.cleared_bytes
        if event.free_bytes > self.free_bytes_max:
            self.free_bytes_max = event.free_bytes
        if event.free_blocks > self.free_blocks_max:
            self.free_blocks_max = event.free_blocks
        self.last = event

    def took(self, path: str) -> int:
        """Calls whose answer came about by `path`."""
        return sum(calls.paths.get(path, 0) for calls in self.by_fn.values())
