"""What a recorder knows of the calls that are under way, and the sums that `run.end` states.

The same at every level of the log: an event that is left out of it is still in the books.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from msgspec import UNSET, UnsetType

from gorun_mem.runtime.call import Call, LayerState
from gorun_mem.runtime.pages import PAGE

OpenCall: TypeAlias = "tuple[int | UnsetType, str | UnsetType, int, OpenCall | None]"
"""A sys* call that has not returned: op, site, t_ns at its start, the call that it is nested in."""
NO_CALL: Final[OpenCall] = (UNSET, UNSET, 0, None)


def _standing_still() -> int:
    return 0


class Books:
    """The books of one run.

    Attributes:
        m: id of the M that runs; 0 is the scenario. Set by the driver before each step.
        now: called for the virtual time in ns of that M. Set by the driver.
        seq: lines written so far.
        op: id of the latest sys* call.
        calls: the sys* call that each M is in.
        closed: the one that each M returned from last, its op and site.
        grows, hint_misses, lock_wait_ns, peak_live_bytes: the sums of `run.end`, at any level.
    """

    __slots__ = (
        "_live_bytes",
        "calls",
        "closed",
        "grows",
        "hint_misses",
        "lock_wait_ns",
        "m",
        "now",
        "op",
        "peak_live_bytes",
        "seq",
    )

    def __init__(self) -> None:
        self.m = 0
        self.now: Callable[[], int] = _standing_still
        self.seq = 0
        self.grows = self.hint_misses = self.lock_wait_ns = self.peak_live_bytes = 0
        self._live_bytes = 0
        self.op = 0
        self.calls: dict[int, OpenCall] = {}
        self.closed: dict[int, tuple[int | UnsetType, str | UnsetType]] = {}

    def forget(self, m: int) -> None:
        """M `m` has ended and its number is not used again: drop what is known of its calls."""
        self.calls.pop(m, None)
        self.closed.pop(m, None)

    def close_call(
        self, call: Call, state: LayerState, now: int
    ) -> tuple[int | UnsetType, str | UnsetType, int]:
        """The running M's innermost call of that function returns: its op, site and beginning."""
        m = self.m
        site = "runtime." + call.fn
        opened = self.calls.pop(m, None)
        while opened is not None and opened[1] != site:
            opened = opened[3]  # a call that a throw left open
        if opened is None:
            return UNSET, site, now
        op, _, t_ns, outer = opened
        self.closed[m] = (op, site)
        if outer is not None:
            self.calls[m] = outer
        elif call.ok:
            # Only outermost calls hand out: a nested one's bytes are part of its caller's. A size
            # that wrapped on its way is more than the memory has, and no bytes.
            n = call.n
            top = state.pages * PAGE or state.bloc_max
            if n > top and top:
                return op, site, t_ns
            live = self._live_bytes + (-n if call.fn == "sysFreeOS" else n)
            self._live_bytes = live
            if live > self.peak_live_bytes:
                self.peak_live_bytes = live
        return op, site, t_ns

    def op_of_release(self, m: int, site: str) -> int | UnsetType:
        """The call that took the lock that M `m` gives back at `site`; it may have returned."""
        call = self.calls.get(m, NO_CALL)
        if call[1] != site:
            op, closed_site = self.closed.get(m, (UNSET, UNSET))
            if closed_site == site:
                return op
        return call[0]
