"""The manual page: every verb and option, in a form that man and mandoc take."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gorun_mem.cli import VERBS
from tests.cli.run_scripts import Command

IN_CI = bool(os.environ.get("CI"))


def test_it_has_every_verb_and_option(gorun_mem: Command) -> None:
    """By what the help itself says."""
    page = gorun_mem("man").out
    assert page.startswith(".TH GORUN-MEM 1 ")
    for verb in VERBS:
        escaped = verb.replace("-", "\\-")
        assert f".SS gorun\\-mem {escaped} " in page
    for option in ("--mutex X", "--junit FILE", "--fail-on EXPR"):
        assert option.replace("-", "\\-") in page
    assert "\b" not in page
    assert '"page": ".TH' in gorun_mem("man", "--json").out


@pytest.mark.skipif(not (IN_CI or shutil.which("mandoc")), reason="no mandoc here; CI has it")
def test_mandoc_finds_nothing_wrong(gorun_mem: Command, home: Path) -> None:
    """No error and no warning but the date that a page made anew has not."""
    (home / "gorun-mem.1").write_text(gorun_mem("man").out)
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", "gorun-mem.1"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = [line for line in done.stdout.splitlines() if "missing date" not in line]
    assert said == []
    shown = subprocess.run(
        ["mandoc", "-T", "ascii", "-O", "width=78", "gorun-mem.1"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    plain = re.sub(".\x08", "", shown)  # what is bold is struck twice
    assert "gorun-mem run memlock_storm --ms 8 --mutex sema --seed 7" in plain
