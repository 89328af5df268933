"""Other environments to run the package in."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


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
    done = subprocess.run([made, *install, *names], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return made
