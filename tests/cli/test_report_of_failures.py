"""`report` of a failure, from its log, its schedule's file or its token: what `explore` said."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from gorun_mem.step.schedule import Schedule
from tests.cli.run_scripts import LOST, Command, write

MENDED = LOST.replace(
    "value = await cell.load()\n        await cell.store(value + 1)", "await cell.add(1)"
)
OF_THE_SEARCH = ("found", "strategy", "run")
"""What is said of a failure that only the search which found it knows."""


def _of_the_schedule(failure: dict[str, Any]) -> dict[str, Any]:
    """The account without what only a search knows."""
    told = {name: value for name, value in failure.items() if name not in OF_THE_SEARCH}
    told["settings"] = {name: v for name, v in told["settings"].items() if name != "seed"}
    return told


@pytest.mark.parametrize(
    "program",
    [
        "lessons/unlock_skips_wake", "lessons/ab_ba", "lessons/split_coalesce",
        "lessons/over_admission", "leaked_lock",
    ],
)  # fmt: skip
def test_a_log_and_a_schedule_tell_what_the_search_told(
    gorun_mem: Command, home: Path, program: str
) -> None:
    """What matters, each step, who waits, the memory, the nearest schedule that passes: equal."""
    said = gorun_mem(
        "explore", program, "--ms", "2", "--save", "x.schedule", "--log", "x.jsonl", "--json"
    )
    searched = said.document["failures"][0]
    assert searched["matters"]
    assert searched["passing"] or searched["no_passing"] or program == "leaked_lock"
    for where in ("x.jsonl", "x.schedule", searched["token"]):
        told = gorun_mem("report", where, "--json").document
        assert told["no_failure"] == []
        assert _of_the_schedule(told["failure"]) == _of_the_schedule(searched)
        text = gorun_mem("report", where)
        assert text.code == 0
        assert "What matters:" in text.out
        assert searched["replay"] in text.out or searched["replay_short"] in text.out


@pytest.mark.parametrize("where", ["lost.jsonl", "lost.schedule"])
def test_the_file_has_all_of_it(gorun_mem: Command, home: Path, where: str) -> None:
    """`report --html` has the lanes and the sentence on the nearest schedule that passes inside."""
    write(home, LOST, "lost.py")
    found = gorun_mem(
        "explore", "lost.py", "--save", "lost.schedule", "--log", "lost.jsonl", "--json"
    ).document
    passing = found["failures"][0]["passing"]["sentence"]
    said = gorun_mem("report", where, "--html", "x.html", "--code", "lost.py")
    assert said.code == 0
    page = (home / "x.html").read_text()
    assert passing in page
    assert found["failures"][0]["signature"] in page


def test_code_runs_only_where_that_is_said(gorun_mem: Command, home: Path) -> None:
    """A log names a file as its program: that is data, and the report says what lets it run."""
    write(home, LOST, "lost.py")
    gorun_mem("explore", "lost.py", "--save", "x.schedule", "--log", "x.jsonl")
    (home / "lost.py").write_text("raise SystemExit('it was run')\n")
    said = gorun_mem("report", "x.jsonl")
    assert said.code == 0
    assert "--code lost.py" in said.out
    assert "What matters:" not in said.out
    refused = gorun_mem("report", "x.schedule")
    assert refused.code == 2
    assert "gorun-mem report x.schedule --code lost.py" in refused.err


def test_a_program_that_has_changed_is_said_to_have(gorun_mem: Command, home: Path) -> None:
    """The schedule does not fit it any more, and what is said of it would be of another program."""
    write(home, LOST, "lost.py")
    gorun_mem("explore", "lost.py", "--save", "x.schedule", "--log", "x.jsonl")
    (home / "lost.py").write_text(MENDED)
    for where in ("x.jsonl", "x.schedule"):
        said = gorun_mem("report", where, "--code", "lost.py")
        assert said.code == 0
        assert "lost has changed since the schedule was made" in said.out
        assert "not the one of the schedule any more" in said.out
        assert "gorun-mem explore lost.py" in said.out
        assert "What matters:" not in said.out
    (home / "lost.py").unlink()
    gone = gorun_mem("report", "x.jsonl", "--code", "lost.py")
    assert gone.code == 0
    assert "lost.py" in gone.out.partition("note ")[2]


def test_a_run_without_a_schedule_says_how_to_get_one(gorun_mem: Command, home: Path) -> None:
    """A run under clocks keeps none: the command that the report names finds the failure."""
    assert gorun_mem("run", "leaked_lock", "--ms", "2", "--log", "x.jsonl").code == 3
    said = gorun_mem("report", "x.jsonl")
    line = next(line for line in said.out.splitlines() if line.startswith("note "))
    assert "keeps no schedule" in line
    command = shlex.split(line.partition(": gorun-mem ")[2])
    assert gorun_mem(*command, "--budget", "200").code == 1


def test_a_run_that_ended_well_has_nothing_to_explain(gorun_mem: Command, home: Path) -> None:
    """No note, no failure; of a schedule that passes it is said that it does."""
    gorun_mem("run", "memlock_storm", "--set", "rounds=2", "--log", "x.jsonl")
    told = gorun_mem("report", "x.jsonl", "--json").document
    assert (told["failure"], told["no_failure"]) == (None, [])
    found = gorun_mem("explore", "lessons/unlock_skips_wake", "--json").document
    passing = found["failures"][0]["passing"]["token"]
    assert "ends well" in gorun_mem("report", passing).out


def test_schedules_of_others_are_sent_where_they_belong(gorun_mem: Command, home: Path) -> None:
    """A test's goes to pytest, a damaged one is said to be; each with exit code 2."""
    token = Schedule((1,), (), {"test": "tests/test_a.py::test_b"}).token()
    said = gorun_mem("report", token)
    assert said.code == 2
    assert "pytest tests/test_a.py::test_b --explore-token" in said.err
    (home / "x.schedule").write_text('{"schedule": 2, "token": "AAAA"}\n')
    assert gorun_mem("report", "x.schedule").code == 2
    assert gorun_mem("report", "none.schedule").code == 2
