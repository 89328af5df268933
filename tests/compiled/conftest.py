"""The wheel, and other environments to run the package in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that a wheel of this tree unpacks to."""
    if shutil.which("cc") is None and shutil.which("gcc") is None:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("wheel")
    command = ["pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, ROOT]
    done = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    assert "none-any" not in wheel.name, "not compiled: " + done.stderr
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


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
