"""Every release of trio that a search takes: the same tests pass under each."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from gorun_mem.explore.controlled.versions import SUPPORTED
from tests import ROOT

SHOWN = "import trio; print(trio.__version__)"
HERE = ".".join(trio.__version__.split(".")[:2])
"""The release that the tests beside this one run under as it is."""


def test_the_release_that_is_installed_is_one() -> None:
    """So its tests, which are run here anyway, are no others than those below."""
    assert HERE in SUPPORTED


@pytest.mark.installs
@pytest.mark.parametrize("minor", [minor for minor in SUPPORTED if minor != HERE])
def test_a_release_that_is_named_passes_them(minor: str, tmp_path: Path) -> None:
    """The model's outcomes and schedules, and those of that trio's own loop."""
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(tmp_path)]
    installed = subprocess.run([*pip, f"trio=={minor}.*"], capture_output=True, text=True)
    if installed.returncode:
        pytest.skip(f"trio {minor} cannot be had: {installed.stderr.strip()[-200:]}")
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "GORUN_MEM_TRIO_PROGRAMS": "15"}

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            env=environment, cwd=ROOT, capture_output=True, text=True, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert run("-c", SHOWN).startswith(f"{minor}.")
    assert " passed" in run("-m", "pytest", "-q", "tests/explore/controlled/test_every_order.py")
