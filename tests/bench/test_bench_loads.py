"""The loads that `bench compiled` measures by."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib

import pytest

from gorun_mem.bench import loads
from gorun_mem.runtime.behaviour import NEWEST, release
from gorun_mem.runtime.mutex import make
from tests import ROOT

UNSEEN = {"gorun_mem.runtime.fnv_halves"}
"""In pure Python another module does what it does."""


@pytest.fixture(scope="module")
def touches() -> dict[str, dict[str, int]]:
    """What the loads call, in a Python of their own: they leave nothing behind in this one."""
    command = [sys.executable, "-m", "gorun_mem.bench.loads", "--touches"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    found: dict[str, dict[str, int]] = json.loads(done.stdout)
    return found


def test_each_load_runs(touches: dict[str, dict[str, int]]) -> None:
    """Each calls thousands of functions of the package."""
    assert list(touches) == list(loads.LOADS)
    assert min(sum(calls.values()) for calls in touches.values()) > 10_000


def test_each_compiled_module_is_run_by_a_load(touches: dict[str, dict[str, int]]) -> None:
    """What no load runs would seem to gain nothing."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    paths = project["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]["modules"]
    modules = {path.removesuffix(".py").replace("/", ".") for path in paths}
    seen = {module for calls in touches.values() for module in calls}
    assert modules - seen <= UNSEEN


def test_touches_are_of_functions_and_of_bases() -> None:
    """A method that a class inherits concerns the class's module as well as the base's."""
    mutex = make("js", release(NEWEST))
    calls = loads.CallsByModule()
    sys.settrace(calls.note)
    try:
        mutex.lock()
    finally:
        sys.settrace(None)
    found = calls.by_module()
    assert {"gorun_mem.runtime.mutex.js", "gorun_mem.runtime.mutex.base"} <= set(found)


def test_seconds_are_of_the_loads_that_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each load is run so many turns, and its least time counts."""
    times = iter([0.0, 5.0, 5.0, 7.0])
    ran: list[str] = []
    monkeypatch.setattr(
        loads, "LOADS", {"x": lambda: ran.append("x"), "y": lambda: ran.append("y")}
    )
    monkeypatch.setattr(loads, "TURNS", 2)
    monkeypatch.setattr("time.process_time", lambda: next(times))
    monkeypatch.setattr(sys, "argv", ["loads", "x"])
    assert loads.seconds() == {"x": 2.0}
    assert ran == ["x", "x"]
