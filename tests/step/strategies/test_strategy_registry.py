"""The one list of strategies."""

from __future__ import annotations

import subprocess
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
from gorun_mem.step.strategies.entry import Said, StrategyEntry, read
from gorun_mem.step.strategies.round_robin import RoundRobin
from gorun_mem.step.strategies.searching import Searching

HELPING = {
    "descent", "entry", "lasso", "numbers", "past", "random_walk", "replay", "returning",
    "searching", "seeded", "subtree", "transcribe", "wakeup",
}  # fmt: skip
"""Files of the folder that have no strategy to be asked for by their name."""


LISTED = (for_runs, drawing, trees, package._said)


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
    for listed in LISTED:
        listed.cache_clear()
    try:
        assert make_strategy("highest", 1).name == "highest"
        assert set(for_runs()) == {"highest", "random", "round_robin", "run_to_block", "timing"}
    finally:
        for listed in LISTED:
            listed.cache_clear()
        sys.modules.pop(f"{package.__name__}.highest", None)


HIGHEST = """
from gorun_mem.step.strategies.entry import Said, StrategyEntry, read
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


def test_names_are_read_without_importing() -> None:
    """What is read of the text of each file is what its entry says, and no strategy is imported."""
    for name, text in STRATEGIES.texts():
        assert text is not None
        assert read(text) == Said.of(STRATEGIES[name]), name
    asked = (
        "import sys\nfrom gorun_mem.step.strategies import for_searches, for_runs\n"
        "assert 'surw' in for_searches() and 'timing' in for_runs()\n"
        "print(*(name for name in sys.modules if name.startswith('gorun_mem.step.')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=True
    ).stdout.split()
    assert set(done) == {package.__name__, f"{package.__name__}.entry"}


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("STRATEGY: Final = StrategyEntry(about='a', source='', run=A)", Said(run=True)),
        ("STRATEGY = StrategyEntry(about='a', source='', search=A, tree=True)",
         Said(search=True, tree=True)),
        ("STRATEGY = StrategyEntry(about='a', source='', run=None, search=A, tree=False)",
         Said(search=True)),
        ("STRATEGY = StrategyEntry(**FACTS)", None),
        ("STRATEGY = StrategyEntry(about='a', source='', search=A, tree=IS_TREE)", None),
        ("STRATEGY = made()", None),
    ],
)  # fmt: skip
def test_what_is_not_written_out_takes_an_import(entry: str, said: Said | None) -> None:
    """None where the text alone does not tell."""
    assert read(f"class A: ...\n\n\n{entry}\n") == said
