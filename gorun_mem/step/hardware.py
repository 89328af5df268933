"""What the timing engine knows of the machine: what kinds of step cost, and cache lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gorun_mem.runtime.kinds import named
from gorun_mem.step.task import Task

READS: Final = named(lambda kind: kind.line == "copy")
"""Kinds of access to a shared word for which a copy of its cache line will do."""
WRITES: Final = named(lambda kind: kind.line == "own")
"""Those that need the line for the CPU alone; a compare-and-swap that fails, too."""
YIELDS: Final = named(lambda kind: kind.yields)
"""Kinds of operation after which an M lets others have its CPU."""
SPINS: Final = named(lambda kind: kind.waits)
"""Kinds that vary as spins do."""
CALLS: Final = frozenset(("semasleep", "semawakeup", "futexsleep", "futexwakeup", "notesleep"))
"""Kinds that vary as calls of the kernel do."""


class Price:
    """What a kind of step costs.

    Attributes:
        ns: its cost.
        writes: whether it writes its cache line; None: it needs none.
        yields: others may have the CPU after it.
        spread: by what part of its ns it varies to either side.
        before_ns: how much of it comes before its effect, on top.
    """

    __slots__ = ("before_ns", "ns", "spread", "writes", "yields")

    def __init__(
        self, ns: float, writes: bool | None, yields: bool, spread: float, before_ns: float
    ) -> None:
        self.ns = ns
        self.writes = writes
        self.yields = yields
        self.spread = spread
        self.before_ns = before_ns


def prices(table: Mapping[str, float], spreads: Mapping[str, float]) -> dict[str, Price]:
    """What each kind costs, by a cost table and its spreads."""
    return {
        kind: Price(
            ns,
            True if kind in WRITES else False if kind in READS else None,
            kind in YIELDS,
            spreads["spin"] if kind in SPINS else spreads["call"] if kind in CALLS else 0.0,
            table["futex.look"] if kind == "futexsleep" else 0.0,
        )
        for kind, ns in table.items()
    }


class Line:
    """The cache line of a word that Ms share, as it is after all transfers that were asked for.

    Invariants:
        1. `sole` is -1, or the only CPU whose bit is set in `copies`, and `owner` ran on it;
        2. if `sole` is -1, nobody has written the line since the first copy was made.

    Args:
        name: of the line, which is that of the object where no other lies on it.

    Attributes:
        sole: the CPU that may write the line without asking; -1: none.
        owner: the M that brought it there.
        copies: bit mask of the CPUs that have it.
        written: its owner has written it.
        free_ns: when the last transfer ends; the next one cannot begin before.
    """

    __slots__ = ("copies", "free_ns", "name", "owner", "sole", "written")

    def __init__(self, name: str) -> None:
        self.name = name
        self.sole = -1
        self.owner: Task | None = None
        self.copies = 0
        self.written = False
        self.free_ns = 0.0

    def __repr__(self) -> str:
        return f"<Line of CPU {self.sole} copies {self.copies:b} free at {self.free_ns:.0f} ns>"
