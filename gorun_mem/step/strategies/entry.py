"""What a strategy's file says of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gorun_mem.step.engine import Strategy
    from gorun_mem.step.strategies.searching import Searching


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyEntry:
    """A strategy as it is asked for by name.

    Args:
        about: what it does, in half a sentence, for help texts.
        source: the paper that it follows, "" for none.
        run: makes the one that a run takes, of a seed; None where it has none.
        search: the class of the one that a search takes; None where it has none.
        tree: it counts off all schedules, in place of drawing some.

    Raises:
        ValueError: neither a run nor a search can have it.
    """

    about: str
    source: str
    run: Callable[[int], Strategy] | None = None
    search: type[Searching] | None = None
    tree: bool = False

    def __post_init__(self) -> None:
        """Refuse an entry that leads nowhere."""
        if self.run is None and self.search is None:
            raise ValueError(f"a strategy has no class ({self.about}): give run or search")
