"""README.md's pictures and findings: what it shows is what its commands print."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import ROOT
from tests.cli.run_scripts import Command, Said
from tests.readme import TEXT, section

PICTURES = re.findall(r"^```console\n\$ gorun-mem (.*)\n((?:.*\n)*?)```$", TEXT, re.MULTILINE)


@pytest.mark.parametrize(("command", "picture"), PICTURES, ids=[one[0] for one in PICTURES])
def test_a_picture_is_what_its_command_prints(
    gorun_mem: Command, monkeypatch: pytest.MonkeyPatch, command: str, picture: str
) -> None:
    """Line by line and in that order; "..." stands for lines that are left out."""
    monkeypatch.setenv("COLUMNS", "100")
    printed = iter(gorun_mem(*shlex.split(command)).out.splitlines())
    for line in picture.splitlines():
        if line != "...":
            assert line in printed, line


def test_the_first_screen_has_four_pictures() -> None:
    """A run, a failure, a prediction and a comparison, each with the way to its chapter."""
    first = TEXT.partition("\n## ")[0]
    verbs = [command.split()[0] for command, _ in PICTURES if f"$ gorun-mem {command}" in first]
    assert verbs == ["run", "explore", "predict", "compare"]
    headings = re.findall(r"^## (.*)$", TEXT, re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 ]", "", one.lower()).replace(" ", "-") for one in headings}
    assert set(re.findall(r"\]\(#([^)]*)\)", first)) <= anchors


RUN_HERE = ("Is it exact?", "Every schedule", "A convoy, and a lost wakeup", "Commands")
"""Sections whose commands no other test runs."""
FAILS = ("--mutex none", "lost_wakeup  ", "store_buffering  ", "final_pages>+5%")
"""In commands that are to end with 1: a search that finds something, a run that got worse."""
LINES = [
    line
    for title in RUN_HERE
    for block in re.findall(r"^```sh\n(.*?)^```", section(title), re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
    if "--strategy states" not in line  # tests/explore/states runs it
]


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Said]:
    """Runs a line by bash beside the tests' data and two logs, the second of which takes more."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "tests").symlink_to(ROOT / "tests")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = os.environ | {"PATH": path, "GORUN_MEM_HOME": str(folder / "home"), "COLUMNS": "100"}

    def run(line: str) -> Said:
        done = subprocess.run(
            ["bash", "-c", line], cwd=folder, env=env, capture_output=True, text=True, check=False
        )
        return Said(done.returncode, done.stdout, done.stderr)

    run("gorun-mem run memlock_storm")  # is the last
    run("gorun-mem run memlock_storm --ms 2 --log A.jsonl.zst")
    run("gorun-mem run memlock_storm --ms 8 --log B.jsonl.zst")
    return run


@pytest.mark.parametrize("line", LINES)
def test_a_line_of_a_chapter_runs(shell: Callable[[str], Said], line: str) -> None:
    """And ends as it is to."""
    said = shell(line)
    assert said.code == any(word in line for word in FAILS), said


def test_what_a_search_says(shell: Callable[[str], Said]) -> None:
    """The first block of the chapter is of its first command."""
    command, shown = re.split(r"^```.*\n", section("Every schedule"), flags=re.MULTILINE)[1:4:2]
    printed = shell(command).out.splitlines()
    assert [line for line in shown.splitlines() if line.strip() != "..."] == [
        line for line in printed if line in shown.splitlines()
    ]


def test_it_is_not_longer_than_people_read() -> None:
    """Whoever adds a paragraph takes one away."""
    assert TEXT.count("\n") <= 740


FOUND = section("What it has found")


def finding(word: str) -> list[str]:
    """The arguments of the command of a finding."""
    (line,) = [one for one in re.findall(r"`([^`]*gorun-mem [^`]*)`", FOUND) if word in one]
    return shlex.split(line.partition("gorun-mem ")[2])


def test_the_lock_that_go_loses(gorun_mem: Command) -> None:
    """In the first schedule."""
    assert "found by random in run 1" in gorun_mem(*finding("leaked_lock")).out


def test_pages_of_the_host(gorun_mem: Command, tmp_path: Path) -> None:
    """What Go hands out from 1.24 on has the host's two pages in it; before, it is behind them."""
    script = tmp_path / "host.txt"
    script.write_text("hostgrow 2\nalloc 4194304\n")
    words = finding("hostgrow")
    words.remove("--echo")
    host, mine = map(int, gorun_mem(*words, str(script)).out.split())
    assert mine <= host * 65536 < (host + 2) * 65536 <= mine + 4194304
    words[words.index("go1.24.11")] = "go1.23.9"
    host, mine = map(int, gorun_mem(*words, str(script)).out.split())
    assert mine >= (host + 2) * 65536


def test_arenas_and_metadata_in_turn(gorun_mem: Command) -> None:
    """The pattern is named where it begins."""
    said = gorun_mem(*finding("arena_at_break")).out
    assert "A|B|A|B" in said.partition("go1.25 to go1.26")[2]


def test_waits_of_spinbit(gorun_mem: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulated and measured, as the text has them."""
    monkeypatch.setenv("COLUMNS", "100")
    said = gorun_mem(*finding("mutex_shootout")).out
    (row,) = re.findall(r"^ +16 +p99 +(.*)$", said, re.MULTILINE)
    sema, sema_real, futex, futex_real, spinbit, spinbit_real = (
        round(float(x)) for x in row.split()
    )
    text = " ".join(FOUND.split())
    assert f"is {spinbit_real} us, where sema has {sema_real} and futex {futex_real}" in text
    assert f"simulated it is {spinbit}, {sema} and {futex}" in text


def test_what_an_upgrade_brings(gorun_mem: Command) -> None:
    """Pages of the smallest program."""
    said = gorun_mem(*finding("hello-go1.24.11")).out
    pages = dict(re.findall(r"^ *(go1\.\d+)\S* +(\d+) ", said, re.MULTILINE))
    assert "from 407 pages to 128" in FOUND
    assert "go1.26 to 48" in " ".join(FOUND.split())
    assert [pages[name] for name in ("go1.23", "go1.24", "go1.26")] == ["407", "128", "48"]
