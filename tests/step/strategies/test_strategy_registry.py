"""The one list of strategies."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import gorun_mem.step.strategies as package
from gorun_mem.step.strategies import (
    STRATEGIES,
    drawing,
    for_runs,
    for_searches,
    make_strategy,
    searching_class,
    trees,
)
from gorun_mem.step.strategies.entry import StrategyEntry
from gorun_mem.step.strategies.round_robin import RoundRobin
from gorun_mem.step.strategies.searching import Searching

HELPING = {
    "descent", "entry", "lasso", "numbers", "past", "random_walk", "replay", "returning",
    "searching", "seeded", "subtree", "transcribe", "wakeup",
}  # fmt: skip
"""Files of the folder that have no strategy to be asked for by their name."""


def test_an_incomplete_strategy_cannot_be_made() -> None:
    """What it does and whom it follows must be said, and one of the two classes given."""
    with pytest.raises(TypeError, match="missing"):
        StrategyEntry(about="in turn", run=RoundRobin)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="has no class"):
        StrategyEntry(about="in turn", source="")


def test_every_file_has_a_strategy_or_is_known_to_help() -> None:
    """A file that says nothing of its strategy has one that nobody can ask for."""
    files = {path.stem for path in Path(package.__file__).parent.glob("*.py")} - {"__init__"}
    assert files - HELPING == set(STRATEGIES)


def test_a_file_is_a_strategy_and_nothing_else_has_to_name_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Laid into the folder it is asked for by its name at once, and listed with the others."""
    (tmp_path / "highest.py").write_text(HIGHEST)
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    monkeypatch.setattr(package.STRATEGIES, "_found", {})
    for listed in (for_runs, drawing, trees):
        listed.cache_clear()
    try:
        assert make_strategy("highest", 1).name == "highest"
        assert set(for_runs()) == {"highest", "random", "round_robin", "run_to_block", "timing"}
    finally:
        for listed in (for_runs, drawing, trees):
            listed.cache_clear()
        sys.modules.pop(f"{package.__name__}.highest", None)


HIGHEST = """
from gorun_mem.step.strategies.entry import StrategyEntry
from gorun_mem.step.strategies.seeded import Seeded


class Highest(Seeded):
    name = "highest"

    def next_task(self, runnable, current):
        return max(runnable, key=lambda task: task.id)


STRATEGY = StrategyEntry(about="the M with the highest id", source="", run=Highest)
"""


@pytest.mark.parametrize("name", for_runs())
def test_a_run_can_have_it(name: str) -> None:
    """The class exists, is made with a seed and calls itself what the list calls it."""
    assert make_strategy(name, 3).name == name


@pytest.mark.parametrize("name", [*drawing(), *trees()])
def test_a_search_can_have_it(name: str) -> None:
    """The class exists, and knows of itself what the list says of it."""
    found = searching_class(name)
    assert issubclass(found, Searching)
    assert found.name == name
    assert name in for_searches()
