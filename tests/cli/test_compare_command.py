"""`gorun-mem compare`, as it is typed."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from tests.cli.run_scripts import Command
from tests.readme import TEXT, section


@pytest.fixture
def compare(gorun_mem: Command) -> Command:
    """Runs `gorun-mem compare`."""
    return lambda *args: gorun_mem("compare", *args)


STORM = (
    "memlock_storm", "--set", "rounds=8", "--costs", "laptop-68578", "--mutex", "sema",
    "--mutex", "queue",
)  # fmt: skip
"""A load on which the two differ in every run."""


def test_a_table_with_medians_intervals_and_what_differs(compare: Command) -> None:
    """A row a side, the change with its interval where it is one, = where all is alike."""
    said = compare(*STORM, "--metric", "time_ns", "--metric", "calls", "--seeds", "10")
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert lines[0] == (
        "memlock_storm: 10 runs on each of 2 sides, the same seeds (0 to 9) and so the same loads"
    )
    time = lines.index(next(x for x in lines if "time_ns" in x))
    sema, queue = lines[time + 1], lines[time + 2]
    assert sema.split()[0] == "sema"
    assert "|" in sema
    assert "#" in sema
    assert queue.split()[0] == "queue"
    assert "%" in queue
    assert "(+" in queue
    assert "0.004" in queue
    calls = lines.index(next(x for x in lines if x.split()[:1] == ["calls"]))
    assert lines[calls + 2].split()[-3:-1] == ["=", "1.000"]
    assert "Wilcoxon" in said.out
    assert "Holm for 2 comparisons" in said.out
    assert said.err == ""
    assert max(map(len, lines)) <= 160


def test_json_has_all_of_it(compare: Command) -> None:
    """One document on stdout, with every value, and what to run to see a side."""
    said = compare(*STORM, "--seeds", "4", "--json", "--metric", "time_ns")
    document = json.loads(said.out)
    assert document["paired"] is True
    assert [side["name"] for side in document["sides"]] == ["sema", "queue"]
    assert document["sides"][1]["run"] == (
        "gorun-mem run memlock_storm --mutex queue --set rounds=8 --costs laptop-68578"
    )
    sema, queue = document["metrics"]["time_ns"]
    assert len(sema["values"]) == len(queue["values"]) == 4
    assert "p" not in sema
    assert queue["p"] == queue["p_adjusted"] == 0.125
    assert queue["differs"] is False
    assert document["can_tell"] is False
    assert document["runs_needed"] == 8  # 2 / 2 ** 8 is below 0.01
    assert "it takes 8 on each side that end well (--seeds 8)" in said.err


def test_what_run_says_of_one_seed_is_among_the_values(compare: Command) -> None:
    """The value of seed 3 is that of `run --seed 3`, whatever the number of processes."""
    from gorun_mem.machine.library import find
    from gorun_mem.step.costs import CostTable
    from gorun_mem.sweep.runs import RunJob, measure_of

    document = json.loads(compare(*STORM, "--seeds", "4", "--json", "--jobs", "2").out)
    costs = CostTable.find("laptop-68578")
    settings = {"mutex": "queue", "seed": 3, "costs": costs}
    job = RunJob("memlock_storm", settings, {"rounds": 8})
    alone = measure_of(find("memlock_storm"), job)
    for name, sides in document["metrics"].items():
        assert sides[1]["values"][3] == alone.metrics[name]


def test_fail_on_is_the_exit_code(compare: Command) -> None:
    """1 where the change holds and is a difference; 0 where it is none or less."""
    enough = (*STORM, "--seeds", "9", "--metric", "time_ns")
    failed = compare(*enough, "--fail-on", "time_ns>+20%")
    assert failed.code == 1
    assert "--fail-on 'time_ns>+20%' holds of queue" in failed.err
    assert compare(*enough, "--fail-on", "time_ns>+2000%").code == 0
    assert compare(*STORM, "--seeds", "3", "--fail-on", "time_ns>+20%").code == 0
    assert compare(*STORM, "--seeds", "3", "--fail-on", "steps>1").code == 1


def test_a_lock_beside_itself_gets_other_seeds(compare: Command) -> None:
    """And says which."""
    said = compare("memlock_storm", "--mutex", "sema", "--mutex", "sema", "--seeds", "2",
                   "--set", "rounds=3")  # fmt: skip
    assert "each with seeds of its own (0 to 1, 2 to 3)" in said.out
    assert "sema (2)" in said.out


def test_options_releases_and_tables_can_be_compared(compare: Command, home: Path) -> None:
    """Every option of `run`, and --set by its key; what has one value is the same on each side."""
    (home / "slow.toml").write_text("[ns]\nfutexwakeup = 90000\n")
    (home / "usual.toml").write_text("")
    said = compare("memlock_storm", "--costs", "usual.toml", "--costs", "slow.toml", "--set",
                   "rounds=4", "--seeds", "2", "--json")  # fmt: skip
    document = json.loads(said.out)
    assert [side["name"] for side in document["sides"]] == ["usual", "slow"]
    said = compare("memlock_storm", "--set", "rounds=2", "--set", "rounds=4", "--ms", "2",
                   "--release", "go1.22", "--release", "go1.26", "--seeds", "1",
                   "--json")  # fmt: skip
    names = [side["name"] for side in json.loads(said.out)["sides"]]
    assert names == [
        "release go1.22, rounds=2", "release go1.22, rounds=4",
        "release go1.26, rounds=2", "release go1.26, rounds=4",
    ]  # fmt: skip


def test_runs_that_fail_are_named_with_a_command(compare: Command) -> None:
    """And decide the exit code."""
    said = compare("leaked_lock", "--release", "go1.24.3", "--release", "go1.24.5", "--seeds", "2",
                   "--metric", "time_ns")  # fmt: skip
    assert said.code == 3
    assert "no run ended well" in said.out
    assert "gorun-mem run leaked_lock --release go1.24.3 --seed 1" in said.err


def test_the_page(compare: Command, home: Path) -> None:
    """Has what the terminal has; a folder that is not there is told."""
    asked = (*STORM, "--seeds", "3", "--metric", "time_ns")
    said = compare(*asked, "--html", "c.html")
    assert said.code == 0
    assert "memlock_storm: 3 runs on each of 2 sides" in (home / "c.html").read_text()
    lost = compare(*asked, "--html", "no/c.html")
    assert (lost.code, lost.out) == (2, "")
    assert "--html no/c.html: there is no folder no; make it first" in lost.err
    full = compare(*asked, "--html", "/dev/full")
    assert (full.code, full.out) == (2, said.out)
    assert "--html /dev/full cannot be written" in full.err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("memlock_storm",), "give an option twice"),
        (("memlock_storm", "--mutex", "sema", "--mutex", "smea"), "did you mean sema"),
        ((*STORM, "--metric", "lock.memlock.wait.p99"), "did you mean"),
        ((*STORM, "--metric", "result.nothing", "--seeds", "1"), "no metric"),
        ((*STORM, "--fail-on", "time_ns"), "is no expression"),
        ((*STORM, "--set", "rouns=3"), "did you mean rounds"),
        (("storm", "--mutex", "sema", "--mutex", "queue"), "no scenario"),
    ],
)
def test_mistakes_are_told(compare: Command, args: tuple[str, ...], said: str) -> None:
    """With exit code 2 and a hint."""
    answer = compare(*args)
    assert answer.code == 2
    assert said in answer.err
    assert answer.out == ""


def test_the_readme_says_what_is_said(gorun_mem: Command) -> None:
    """Its commands run; the table of the first is the picture on the first screen."""
    _, commands, *_ = section("What does it cost").split("```")
    lines = [line for line in commands.splitlines() if line.startswith("gorun-mem")]
    said = [gorun_mem(*shlex.split(line, comments=True)[1:]) for line in lines]
    assert [each.code for each in said] == [0, 0, 0]
    assert f"$ {lines[0]}\n" in TEXT
