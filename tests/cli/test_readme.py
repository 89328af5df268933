"""README.md's pictures and findings: what it shows is what its commands print."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.cli.run_scripts import Command
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
