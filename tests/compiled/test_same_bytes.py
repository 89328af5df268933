"""The same command gives the same log, whatever runs it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ROOT
from tests.compiled.environments import environment_of, python

WRITE = Path(__file__).with_name("write_logs.py")
HERE = sys.version_info[:2]
VERSIONS = ((3, 11), (3, 12), (3, 13))
SEEDS = ("1", "2", "3", "4", "5")

Logs = dict[str, bytes]


def logs_in(
    folder: Path, *flags: str, seed: str = "0", path: Path = ROOT, by: str | Path = sys.executable
) -> Logs:
    """The logs that a Python writes, and how its commands ended."""
    folder.mkdir()
    environment = {"PYTHONHASHSEED": seed, "GORUN_MEM_HOME": str(folder / "home")}
    done = python(*flags, WRITE, path=path, cwd=folder, executable=by, **environment)
    assert done.returncode == 0, done.stderr
    logs = {log.name: log.read_bytes() for log in sorted(folder.glob("*.jsonl"))}
    return {**logs, "ends": done.stderr.encode()}


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Logs:
    """Those of the source in this Python."""
    found = logs_in(tmp_path_factory.mktemp("reference") / "logs")
    assert [int(code) for code in re.findall(rb": (\d+)\n", found["ends"])] == [0, 0, 0, 1, 1, 1, 1]
    assert len(found) == 8
    assert min(map(len, found.values())) > 100
    return found


def test_optimised(logs: Logs, tmp_path: Path) -> None:
    """Without asserts (-O) and docstrings (-OO): a scenario's asserts are checked all the same."""
    assert logs_in(tmp_path / "O", "-O") == logs
    assert logs_in(tmp_path / "OO", "-OO") == logs


def test_hash_seeds(logs: Logs, tmp_path: Path) -> None:
    """No set or hash of strings decides anything."""
    for seed in SEEDS:
        assert logs_in(tmp_path / seed, seed=seed) == logs, seed


def test_compiled(logs: Logs, installed: Path, tmp_path: Path) -> None:
    """The wheel's compiled modules, with and without -O."""
    assert logs_in(tmp_path / "plain", path=installed) == logs
    assert logs_in(tmp_path / "O", "-O", path=installed, seed="7") == logs


@pytest.mark.installs
@pytest.mark.parametrize("version", [v for v in VERSIONS if v != HERE])
def test_other_versions_of_python(version: tuple[int, int], logs: Logs, tmp_path: Path) -> None:
    """Each Python that the package is for; one that is not here is named and left out."""
    found = next(interpreters(version), None)
    if found is None:
        pytest.skip(f"no Python {version[0]}.{version[1]} here")
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = [re.split(r"[><=\[]", item)[0] for item in needed]
    by = environment_of(found, tmp_path / "venv", ROOT / "requirements.lock", names)
    assert logs_in(tmp_path / "plain", by=by) == logs
    assert logs_in(tmp_path / "O", "-O", by=by, seed="7") == logs


def interpreters(version: tuple[int, int]) -> Iterator[str]:
    """Pythons of a version: on PATH, or where pyenv keeps them."""
    name = f"{version[0]}.{version[1]}"
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    candidates = [shutil.which(f"python{name}")]
    candidates += [str(path) for path in pyenv.glob(f"{name}.*/bin/python")]
    for candidate in filter(None, candidates):
        ask = [candidate, "-c", "import sys; print(*sys.version_info[:2], sep='.')"]
        done = subprocess.run(ask, capture_output=True, text=True, check=False)
        if done.stdout.strip() == name:  # a shim of pyenv's may stand for nothing
            yield candidate
