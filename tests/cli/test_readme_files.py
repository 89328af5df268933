"""The README's section on files from elsewhere: its commands do what they say."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from gorun_mem.cli import main
from tests.cli.test_explore_command import LOST
from tests.readme import section


def test_the_commands_of_the_readme(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The schedule that a search saved is replayed with its --code, and SQL asks the last log."""
    lines = section("Files from elsewhere").partition("```sh\n")[2].partition("```")[0].splitlines()
    monkeypatch.setenv("GORUN_MEM_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    Path("lost.py").write_text(LOST)
    main(["explore", "lost.py", "--no-detectors"])
    main(["run", "memlock_storm"])
    assert "--code lost.py" in capsys.readouterr().out
    codes = [main(shlex.split(line, comments=True)[1:]) for line in lines]
    assert codes == [1, 0], capsys.readouterr()
