"""Other environments to run the package in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests import ROOT


def python(
    *arguments: str | Path,
    path: Path,
    cwd: Path,
    executable: str | Path = sys.executable,
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """Run a Python that finds the package in `path`."""
    return subprocess.run(
        [executable, *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(path)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def environment_of(interpreter: str, folder: Path, constraints: Path, names: Sequence[str]) -> Path:
    """The Python of a virtual environment of its own, with `names` installed.

    Args:
        interpreter: who makes it.
        folder: where.
        constraints: a file that says which versions.
        names: what is installed, with what that needs.
    """
    subprocess.run([interpreter, "-m", "venv", folder], check=True)
    made = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    install = ["-m", "pip", "install", "-q", "--disable-pip-version-check", "-c", constraints]
    done = subprocess.run([made, *install, *names], capture_output=True, text=True, check=False)  # type: ignore[list-item]
    assert done.returncode == 0, done.stderr
    return made


def copy_of_the_tests(folder: Path) -> Path:
    """A copy of the tests with what they read beside them, but without the package's source.

    Where a folder `tests` lies, pytest looks for packages first: beside the source it would find
    that instead of what is installed.
    """
    ignored = shutil.ignore_patterns("__pycache__", ".pytest_cache")
    shutil.copytree(ROOT / "tests", folder / "tests", ignore=ignored)
    for name in ("README.md", "pyproject.toml", "scenarios"):
        (folder / name).symlink_to(ROOT / name)
    return folder / "tests"
