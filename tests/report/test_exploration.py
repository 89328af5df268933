"""A search as the page's document: bounded, and with the commands that make it again."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from gorun_mem import cli
from gorun_mem.report.exploration import FAILURES_MAX, STEPS_MAX, document, shown
from gorun_mem.web.offline import page


@pytest.fixture(scope="module")
def explored(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The document in the file that `explore --html` writes."""
    target = tmp_path_factory.mktemp("explored") / "explored.html"
    words = ["explore", "lessons/unlock_skips_wake", "--seed", "3", "--html", str(target)]
    assert cli.main(words) == 1
    data = re.search(r'id="data">(.*?)</script>', target.read_text("utf-8"), re.S)
    assert data is not None
    found: dict[str, Any] = json.loads(data[1])
    return found


def test_the_file_has_the_failure_and_its_token(
    explored: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Lanes, what matters, the nearest schedule that passes; either token replays as the file says,
    and the search that it names finds the same."""
    assert explored["kind"] == "exploration"
    (failure,) = explored["found"]["failures"]
    assert failure["matters"]
    assert [step["step"] for step in failure["steps"]] == list(range(1, 1 + len(failure["steps"])))
    assert cli.main(shlex.split(failure["replay_short"])[1:]) == 1
    assert failure["signature"].removeprefix("deadlock: ") in capsys.readouterr().out
    assert cli.main(shlex.split(failure["passing"]["replay"])[1:]) == 0
    capsys.readouterr()
    assert shlex.split(explored["again"])[:3] == [
        "gorun-mem",
        "explore",
        "lessons/unlock_skips_wake",
    ]
    assert "--seed=3" in explored["again"]
    assert cli.main([*shlex.split(explored["again"])[1:], "--json"]) == 1
    again = json.loads(capsys.readouterr().out)
    assert again["failures"][0]["token"] == failure["token"]


def test_a_search_that_finds_nothing_is_written_too(tmp_path: Path) -> None:
    """With its verdict."""
    target = tmp_path / "nothing.html"
    assert cli.main(["explore", "lessons/unlock_skips_wake", "--set", "fixed=true", "--html",
                     str(target)]) == 0  # fmt: skip
    assert '"verdict":"exhausted"' in target.read_text("utf-8")


def test_where_it_cannot_be_written_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2, with the file and why."""
    target = tmp_path / "no such folder" / "x.html"
    assert cli.main(["explore", "lessons/ab_ba", "--html", str(target)]) == 2
    assert "x.html" in capsys.readouterr().err


@pytest.mark.parametrize("opens_at", [0, 1, 300, 10_000, 20_000])
def test_the_steps_that_are_kept(opens_at: int) -> None:
    """Around the one that is looked at first, and the last, in order and each once."""
    steps = list(range(1, 20_001))
    kept = shown(steps, opens_at)
    assert kept == sorted(set(kept))
    assert STEPS_MAX - 3 < len(kept) <= STEPS_MAX
    assert kept[-1] == 20_000
    assert max(opens_at, 1) in kept
    assert shown(steps[:STEPS_MAX], opens_at) == steps[:STEPS_MAX]


def test_the_file_has_a_bound(explored: dict[str, Any]) -> None:
    """Many failures of many steps stay below 1.5 MB, and it is said how many are left out."""
    found = explored["found"]
    (failure,) = found["failures"]
    step = {**failure["steps"][1], "place": "a_rather_long_name_of_a_file.py:12345"}
    steps = [{**step, "step": n} for n in range(1, 20_001)]
    passing = {**failure["passing"], "steps": steps}
    long = {**failure, "steps": steps, "passing": passing}
    made = document({**found, "failures": [long] * 30})
    assert made["left_out"] == 30 - FAILURES_MAX
    assert len(page(made)) < 1_500_000
