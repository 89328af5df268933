"""What somebody meets who has just installed it."""

from __future__ import annotations

import re
import shlex

import pytest

from gorun_mem.cli._group import TO_TRY
from tests.cli.run_scripts import Command


@pytest.mark.parametrize("columns", ["60", "80", "200"])
def test_alone_it_says_three_things_to_try(
    gorun_mem: Command, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    """Three commands, each a line to be pasted, and where the rest is."""
    monkeypatch.setenv("COLUMNS", columns)
    said = gorun_mem()
    assert (said.code, said.err) == (0, "")
    found = re.findall(r"^  (gorun-mem .*?)(?:  .*)?$", said.out, re.MULTILINE)
    assert found == list(TO_TRY)
    assert len(found) == 3
    assert "gorun-mem --help" in said.out
    assert "gorun-mem explain" in said.out
    assert max(map(len, said.out.splitlines())) <= int(columns)


@pytest.mark.parametrize("command", TO_TRY)
def test_what_is_to_be_tried_works(gorun_mem: Command, command: str) -> None:
    """Without a file or a word more."""
    said = gorun_mem(*shlex.split(command)[1:])
    assert said.code in (0, 1)
    assert said.out


def test_run_alone_runs_the_usual_scenario(gorun_mem: Command) -> None:
    """With options too."""
    assert gorun_mem("run").out.startswith("memlock_storm ended well")
    said = gorun_mem("run", "--ms", "2")
    assert "2 Ms on 4 CPUs" in said.out
    assert "again   gorun-mem run memlock_storm --ms 2 --seed 0" in said.out
