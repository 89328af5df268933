"""What a strategy's file says of it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

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


class Said(NamedTuple):
    """What an entry says of who may ask for its strategy.

    Args:
        run: a run may.
        search: a search may.
        tree: and has all schedules of it.
    """

    run: bool = False
    search: bool = False
    tree: bool = False

    @classmethod
    def of(cls, entry: StrategyEntry) -> Said:
        """What an imported file's entry says."""
        return cls(entry.run is not None, entry.search is not None, entry.tree)


_BEGINS: Final = "\nSTRATEGY"
_NO: Final = ast.Constant(False)


def read(text: str) -> Said | None:
    """What the text of a file says, without importing it; None where that takes an import.

    Args:
        text: of the file; its entry is the last thing in it, and written out.
    """
    try:
        statement = ast.parse("".join(text.rpartition(_BEGINS)[1:])).body[0]
    except SyntaxError:
        return None
    made = getattr(statement, "value", None)
    if not isinstance(made, ast.Call) or ast.unparse(made.func) != StrategyEntry.__name__:
        return None
    given = {one.arg: one.value for one in made.keywords}
    if None in given or made.args:
        return None
    tree = given.get("tree", _NO)
    if not isinstance(tree, ast.Constant):
        return None
    return Said(_given(given, "run"), _given(given, "search"), bool(tree.value))


def _given(given: Mapping[str | None, ast.expr], name: str) -> bool:
    value = given.get(name, _NO)
    return not (isinstance(value, ast.Constant) and not value.value)
