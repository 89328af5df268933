"""The command line in this process, its logs in a folder of the test."""

from __future__ import annotations

from pathlib import Path

import pytest

from gorun_mem import cli
from tests.cli.run_scripts import STORM, Command, Said, write


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's logs go; also the current folder."""
    monkeypatch.setenv("GORUN_MEM_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def gorun_mem(home: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command line."""

    def command(*args: str) -> Said:
        code = cli.main(list(args))
        out, err = capsys.readouterr()
        return Said(code, out, err)

    return command


@pytest.fixture
def storm(home: Path) -> str:
    """The path of a scenario of four Ms."""
    return write(home, STORM)
