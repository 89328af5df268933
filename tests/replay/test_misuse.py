"""What the real code does with programs that misuse it, answered by the real code."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from gorun_mem.cli import main
from tests import DATA

SCRIPTS = sorted((DATA / "ops" / "misuse").glob("*.txt.gz"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name.removesuffix(".txt.gz"))
def test_misuse_ends_as_it_does_in_go(script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Double, overlapping, unaligned and empty frees, scribbled headers, sizes that wrap: every
    answer up to the throw, fault or endless walk is Go's."""
    assert main(["ops", "--check", str(script)]) == 0, capsys.readouterr().out


def test_every_ending_is_among_them() -> None:
    """All four throws of memCheck, self deadlock, a fault and a hang occur in the scripts."""
    endings = set()
    for script in SCRIPTS:
        with gzip.open(script, "rt") as lines:
            endings.add(list(lines)[-1].split(" => ")[1].strip().rstrip("0123456789 "))
    assert {
        "throw mem: infinite loop",
        "throw mem: unordered list",
        "throw mem: overlapping blocks",
        "throw mem: uninitialised memory",
        "throw self deadlock",
        "fault",
        "hang state",
    } <= endings
