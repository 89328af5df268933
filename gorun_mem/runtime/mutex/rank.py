"""The order in which runtime locks may be taken; lockrank.go and lockrank_on.go.

An ordinary build of Go checks nothing; one with GOEXPERIMENT=staticlockranking throws when an M
takes a lock whose rank does not come after that of the lock it took last. memlock is never given a
rank (no lockInit), so it is a leaf: it may be taken under any lock but another leaf, and none under
it.

Here are the ranks of the locks that stand around the memory layer; "LEAF" is every other. Between
1.21 and 1.27 only the numbers moved, not what may be held over what; they moved within 1.23 too,
where 1.23.4 put strongFromWeakQueue before sweep. 1.19's table lists immediate
pairs and not their transitive closure, and has no userArenaState. 1.20 is given 1.21's table (no
source at hand).

Simplified: ranks without a mutex (acquireLockRankAndM), assertLockHeld and the stopped world.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from gorun_mem._near import no_such
from gorun_mem.runtime.errors import Throw

if TYPE_CHECKING:
    from gorun_mem.runtime.op import MLike

RankMode = Literal["off", "report", "throw"]

LEAF: Final = "LEAF"
LEAF_NUMBER: Final = 1000
"""lockRankLeafRank."""
HELD_MAX: Final = 10
"""How many locks an M may hold at once under rank checks: the length of `m.locksHeld`."""


class UnknownRank(ValueError):
    """No rank of that name; the message lists what there is."""


@dataclass(frozen=True, slots=True)
class Rank:
    """A rank and what may be held when a lock of it is taken.

    Args:
        numbers: its number in each of `TABLES`; 0: not there.
        over: ranks of which one may have been taken last, by the closure of 1.21 on.
        over_119: the same in 1.19's table.
    """

    numbers: tuple[int, ...]
    over: frozenset[str]
    over_119: frozenset[str]


TABLES: Final = (
    "go1.19", "go1.21", "go1.22", "go1.23", "go1.23.4", "go1.24", "go1.25", "go1.26", "go1.27",
)  # fmt: skip
"""The tables with numbers of their own, oldest first, each by the first release that has it; which
one a release has is `Behaviour.lock_ranks`."""
_PAIRS: Final = "go1.19"
"""The table that lists immediate pairs."""


def _rank(numbers: tuple[int, ...], over: str, old: str) -> Rank:
    return Rank(numbers, frozenset(over.split()), frozenset(old.split()))


_OLD_TOP: Final = "sysmon scavenge sweep sched"
_TOP: Final = f"{_OLD_TOP} userArenaState"
_HEAP: Final = f"{_TOP} spanSetSpine mspanSpecial gcBitsArenas stackpool stackLarge wbufSpans"

RANKS: Final = {
    "sysmon": _rank((1, 1, 1, 1, 1, 1, 1, 1, 1), "", ""),
    "scavenge": _rank((2, 2, 2, 2, 2, 2, 2, 2, 2), "sysmon", "sysmon"),
    "sweep": _rank((7, 7, 7, 7, 8, 8, 11, 11, 11), "", ""),
    "sched": _rank(
        (9, 16, 17, 20, 21, 21, 25, 25, 25), "sysmon scavenge sweep", "sysmon scavenge sweep"
    ),
    "userArenaState": _rank((0, 27, 28, 31, 32, 33, 37, 37, 38), "", ""),
    "spanSetSpine": _rank(
        (31, 31, 32, 35, 36, 37, 41, 41, 42), _TOP, "sysmon scavenge sweep sched"
    ),
    "mspanSpecial": _rank(
        (19, 32, 33, 36, 37, 38, 42, 42, 43), _TOP, "sysmon scavenge sweep sched"
    ),
    "gcBitsArenas": _rank(
        (24, 33, 34, 38, 39, 40, 44, 44, 45), f"{_TOP} mspanSpecial", "sysmon scavenge sched"
    ),
    "stackpool": _rank(
        (33, 39, 40, 44, 45, 46, 50, 50, 51),
        f"{_TOP} spanSetSpine mspanSpecial gcBitsArenas",
        "sysmon scavenge sweep sched spanSetSpine gcBitsArenas",
    ),
    "stackLarge": _rank(
        (34, 40, 41, 45, 46, 47, 51, 51, 52),
        f"{_TOP} spanSetSpine mspanSpecial gcBitsArenas",
        "sysmon sched spanSetSpine gcBitsArenas",
    ),
    "wbufSpans": _rank(
        (37, 42, 43, 47, 48, 49, 53, 53, 54),
        f"{_TOP} spanSetSpine mspanSpecial gcBitsArenas",
        "sysmon scavenge sweep sched mspanSpecial",
    ),
    "mheap": _rank(
        (38, 43, 44, 48, 49, 50, 54, 56, 57),
        _HEAP,
        "sysmon scavenge sweep sched spanSetSpine mspanSpecial gcBitsArenas stackpool stackLarge "
        "wbufSpans",
    ),
    "mheapSpecial": _rank((39, 44, 45, 49, 50, 51, 55, 57, 58), f"{_HEAP} mheap", _OLD_TOP),
    "globalAlloc": _rank(
        (40, 45, 46, 50, 51, 52, 56, 58, 59),
        f"{_HEAP} mheap mheapSpecial",
        "spanSetSpine mheap mheapSpecial",
    ),
}
"""Rank -> what may be held over it; LEAF is not in it."""


def check_rank_name(name: str) -> None:
    """Refuse a rank that is not in the table.

    Raises:
        UnknownRank: there is no such rank.
    """
    if name != LEAF and name not in RANKS:
        known = [*RANKS, LEAF]
        raise UnknownRank(no_such("lock rank", name, known, cutoff=0.3, there="the ranks are"))


class Ranked(Protocol):
    """A lock, as far as its rank is checked."""

    name: str
    rank: str

    def throw(self, m: MLike, op: Any, text: str, *printed: str, error_type: str = "") -> Throw:
        """Go's `throw(text)`, logged; the caller raises it."""


class RankChecks:
    """Checks what lockWithRank and unlockWithRank check.

    Args:
        mode: "report" logs `lock.throw` with error_type "rank", "throw" throws too.
        table: one of TABLES; `Behaviour.lock_ranks` of the release.
    """

    __slots__ = ("_column", "_pairs_only", "mode")

    def __init__(self, mode: RankMode, table: str) -> None:
        self.mode = mode
        self._pairs_only = table == _PAIRS
        self._column = TABLES.index(table)

    def number(self, rank: str) -> int:
        """The number that this release prints for `rank`."""
        return LEAF_NUMBER if rank == LEAF else RANKS[rank].numbers[self._column]

    def allows(self, last: str, rank: str) -> bool:
        """Whether a lock of `rank` may be taken by an M whose last lock is of rank `last`."""
        if self.number(rank) < self.number(last):
            return False
        if rank == LEAF:
            return last != LEAF
        entry = RANKS[rank]
        return last in (entry.over_119 if self._pairs_only else entry.over)

    def before_lock(self, m: MLike, mutex: Ranked, op: object) -> None:
        """Check `mutex` against the locks that `m` holds.

        Raises:
            Throw: in mode "throw", Go's "lock ordering problem", or too many locks held.
        """
        held = m.go.held
        if len(held) >= HELD_MAX:
            self._violation(m, mutex, op, "too many locks held concurrently for rank checking")
        elif held and not self.allows(held[-1].rank, mutex.rank):
            self._violation(m, mutex, op, "lock ordering problem", *self._printed(m, mutex))

    def before_unlock(self, m: MLike, mutex: Ranked, op: object) -> None:
        """Check that `m` holds `mutex`.

        Raises:
            Throw: in mode "throw", Go's "unlock without matching lock acquire".
        """
        if mutex not in m.go.held:
            line = f"{m.id} : {mutex.rank} {self.number(mutex.rank)} {mutex.name}"
            self._violation(m, mutex, op, "unlock without matching lock acquire", line)

    def _printed(self, m: MLike, mutex: Ranked) -> list[str]:
        """The lines before the throw: the M and its locks, the one being taken last."""
        lines = [f"{m.id}  ======"]
        for i, lock in enumerate([*m.go.held, mutex]):
            lines.append(f"{i} : {lock.rank} {self.number(lock.rank)} {lock.name}")
        return lines

    def _violation(self, m: MLike, mutex: Ranked, op: object, text: str, *printed: str) -> None:
        throw: Throw = mutex.throw(m, op, text, *printed, error_type="rank")
        if self.mode == "throw":
            raise throw
