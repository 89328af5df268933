"""The one list of strategies."""

from __future__ import annotations

from pathlib import Path

import pytest

import gorun_mem.step.strategies as package
from gorun_mem.step.strategies import (
    DRAWING,
    RUNNING,
    SEARCHING,
    STRATEGIES,
    TREES,
    StrategyEntry,
    make_strategy,
    searching_class,
)
from gorun_mem.step.strategies.searching import Searching

SHARED = {
    "__init__",
    "searching",
    "subtree",
    "transcribe",
    "replay",
    "past",
    "descent",
    "numbers",
    "wakeup",
    "seeded",
    "mutant",
    "lasso",
}
"""Files of the folder that are no strategy with an entry of its own."""


def test_an_incomplete_strategy_cannot_be_made() -> None:
    """Every field must be said, and one of the two classes named."""
    with pytest.raises(TypeError, match="missing"):
        StrategyEntry(name="fair", about="in turn", run="fair:Fair")  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="has no class"):
        StrategyEntry(name="fair", about="in turn", source="", run="", search="", tree=False)


def test_every_file_is_listed() -> None:
    """A file in the folder that no entry leads to is a strategy that nobody can ask for."""
    used = {
        where.partition(":")[0]
        for entry in STRATEGIES.values()
        for where in (entry.run, entry.search)
        if where
    }
    files = {path.stem for path in Path(package.__file__).parent.glob("*.py")}
    assert files - SHARED <= used


@pytest.mark.parametrize("name", RUNNING)
def test_a_run_can_have_it(name: str) -> None:
    """The class exists, is made with a seed and calls itself what the list calls it."""
    assert make_strategy(name, 3).name == name


@pytest.mark.parametrize("name", [*DRAWING, *TREES])
def test_a_search_can_have_it(name: str) -> None:
    """The class exists, and knows of itself what the list says of it."""
    found = searching_class(name)
    assert issubclass(found, Searching)
    assert found.name == name
    assert name in SEARCHING
