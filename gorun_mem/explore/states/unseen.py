"""What a search of states does not know, as a program sees it: how often and how long.

Different ways lead to one state, so what was counted on the way is none of its. A program may be
handed it all the same, as most do who report it at their end; an `Unseen` stands for it, and for
whatever is taken out of it or reckoned with it. Only where the program wants to know what it is, to
go by it, `Counts` is raised.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, NoReturn

from gorun_mem.machine.statistics import MemorySnapshot
from gorun_mem.machine.world import World
from gorun_mem.step.strategies.searching import Incomparable

COUNTING: Final = frozenset({
    "now_ns", "clock_ns", "time_ns", "since_ns", "wait_since_ns", "wait_ns", "wait_ns_max",
    "unlogged_wait_ns", "bypassed", "spins", "sleeps", "steps", "operations", "waits", "timeouts",
    "failed", "live_bytes_max", "engine",
})  # fmt: skip
"""Attributes by which a program comes to counts and times without asking the World for them."""


class Counts(Incomparable):
    """The program goes by what is counted; the message says by what, and where."""


Tell = Callable[[str], NoReturn]
"""Raises `Counts`; takes what the program wants to know."""


class Unseen:
    """A count, or what is made of some."""

    __slots__ = ("_tell", "_what")

    def __init__(self, what: str, tell: Tell) -> None:
        self._what = what
        self._tell = tell

    def __getattr__(self, name: str) -> Unseen:
        return Unseen(f"{self._what}.{name}", self._tell)

    def __call__(self, *args: object, **named: object) -> Unseen:
        """What it is called to tell."""
        return Unseen(f"{self._what}({', '.join(map(repr, args))})", self._tell)

    def __getitem__(self, key: object) -> Unseen:
        return Unseen(f"{self._what}[{key!r}]", self._tell)


def _reckons(self: Unseen, *others: object) -> Unseen:
    """What is reckoned with it is not known either."""
    return Unseen(self._what, self._tell)


def _tells(self: Unseen, *others: object) -> NoReturn:
    self._tell(self._what)


_RECKONING: Final = (
    "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "divmod", "radd", "rsub", "rmul",
    "rtruediv", "rfloordiv", "rmod", "rpow", "neg", "pos", "abs", "round",
)  # fmt: skip
_TELLING: Final = (
    "bool", "eq", "ne", "lt", "le", "gt", "ge", "hash", "int", "float", "index", "iter", "len",
    "contains", "str", "repr", "format",
)  # fmt: skip
for _name in _RECKONING:
    setattr(Unseen, f"__{_name}__", _reckons)
for _name in _TELLING:
    setattr(Unseen, f"__{_name}__", _tells)


class UncountedWorld(World):
    """A World that does not say what it has counted.

    Attributes:
        tell: raises; see `Tell`.
    """

    __slots__ = ("tell",)

    tell: Tell

    def statistics(self) -> Any:
        """Nothing that may be gone by."""
        return Unseen("world.statistics()", self.tell)

    def lock_statistics(self) -> Any:
        """Likewise."""
        return Unseen("world.lock_statistics()", self.tell)

    def snapshot(self) -> MemorySnapshot:
        """The memory, but for the numbers of the calls that it was got with."""
        found = super().snapshot()
        unseen: Any = Unseen("world.snapshot().live", self.tell)
        live: Sequence[tuple[int, int, Any]] = [(low, n, unseen) for low, n, _ in found.live]
        return replace(found, live=tuple(live))
