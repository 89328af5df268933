"""The wheel that users install: compiled, and in every answer what the source is."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from tests import ROOT
from tests.compiled.environments import copy_of_the_tests, python

RUN_AGAIN = {
    "the engine": ("runtime/mutex", "step", "machine"),
    "searches": ("explore",),
    "the analysis": ("analysis",),
    "commands": (
        "scenarios/test_same_log.py", "scenarios/test_scenario_claims.py",
        "cli/test_explore_interrupted.py",
    ),
}  # fmt: skip
"""Tests whose subject is compiled. Of a folder's, not these:"""

TOO_DYNAMIC = (
    "explore/test_broken_search.py", "explore/states/test_programs.py",
    "step/strategies/test_many_ms.py",
    "explore/test_exhaustive_search.py", "explore/states/test_mutants.py",
    "runtime/mutex/test_exhaustive.py", "explore/test_positions.py",
    "analysis/test_statistics_from_events.py", "explore/kit/test_kit_classes.py",
    "explore/kit/test_kit_searches.py", "explore/kit/test_kit_spinning.py",
)  # fmt: skip
"""They take attributes away, put functions in the place of methods, make classes of compiled ones,
or read what compiled objects hold: pure Python lets them."""

NOT_COMPILED = (
    "explore/controlled", "explore/test_cluster.py", "explore/test_failure_report.py",
    "explore/test_kernels_explained.py", "explore/test_two_readers.py",
    "explore/test_what_matters.py", "explore/kernels/test_bench_kernels.py",
    "step/strategies/test_user_strategies.py",
)  # fmt: skip
"""Trio's own loop under control, processes of a cluster, what reports say, Hypothesis: nothing of
that is compiled, and the searches that they begin with are in the tests that are run."""

PROGRAMS = "250"
"""So many random programs against brute force, where the source has more: the rules are the
same, and what a compiler can break in them breaks in the first hundreds."""


def test_logs_are_the_same_bytes(installed: Path, tmp_path: Path) -> None:
    """A run logs in the wheel what it logs in the source, under each lock."""
    done = python("-m", "gorun_mem", "--version", path=installed, cwd=tmp_path)
    assert "(compiled)" in done.stdout, done
    for scenario in ("memlock_storm", "arena_at_break", "lifo_starvation"):
        for mutex in ("sema", "futex", "spinbit", "queue"):
            logs = [log_of(scenario, mutex, path, tmp_path) for path in (installed, ROOT)]
            assert logs[0] == logs[1], (scenario, mutex)
            assert logs[0].count(b"\n") > 20


@pytest.mark.parametrize("part", RUN_AGAIN)
def test_the_wheel_answers_as_the_source(part: str, installed: Path, tmp_path: Path) -> None:
    """The tests of what is compiled pass on the wheel."""
    copied = copy_of_the_tests(tmp_path)
    tests = ["-m", "pytest", "-q", "-p", "no:cacheprovider"]
    tests += [f"{copied}/{name}" for name in RUN_AGAIN[part]]
    for name in (*TOO_DYNAMIC, *NOT_COMPILED):
        assert (copied / name).exists(), name
        tests += ["--ignore", f"{copied}/{name}"]
    done = python(*tests, path=installed, cwd=tmp_path, GORUN_MEM_PROGRAMS=PROGRAMS)
    assert done.returncode == 0, done.stdout[-5000:]


WITHOUT_DOCS = """
import gorun_mem
import gorun_mem.locks, gorun_mem.policies, gorun_mem.sync

for module in (gorun_mem, gorun_mem.sync, gorun_mem.locks, gorun_mem.policies):
    for name in module.__all__:
        value = getattr(module, name)
        if isinstance(value, type):
            parts = {f"{name}.{key}": part for key, part in vars(value).items() if key[0] != "_"}
            for where, part in {name: value, **parts}.items():
                if (callable(part) or isinstance(part, property)) and not part.__doc__:
                    print(where)
"""


def test_what_is_public_explains_itself(installed: Path, tmp_path: Path) -> None:
    """Public classes and their methods keep their docstrings in the wheel."""
    done = python("-c", WITHOUT_DOCS, path=installed, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


DOCSTRINGS = """
import importlib, inspect, json, sys

given = "__class_getitem__", "__dict__", "__init_subclass__", "__weakref__"  # by Python
found = {}
for name in sys.argv[1:]:
    module = importlib.import_module(name)
    found[name] = module
    for key, value in vars(module).items():
        if getattr(value, "__module__", None) == name:
            found[f"{name}.{key}"] = value
            for inner, part in vars(value).items() if isinstance(value, type) else ():
                if inner not in given:
                    found[f"{name}.{key}.{inner}"] = part
kinds = type, property, classmethod, staticmethod
said = {
    key: inspect.cleandoc(value.__doc__)
    for key, value in found.items()
    if value.__doc__ and (
        inspect.ismodule(value) or inspect.isroutine(value)
        or inspect.isgetsetdescriptor(value) or isinstance(value, kinds)
    )
}
json.dump(said, sys.stdout)
"""


def test_what_is_compiled_says_what_its_source_says(installed: Path, tmp_path: Path) -> None:
    """Each module, class, function, method and property that is compiled has the docstring of its
    source, to the letter; but for `__call__`, of which Python's slot has its own."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    paths = project["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]["modules"]
    modules = [path.removesuffix(".py").replace("/", ".") for path in paths]
    source, wheel = (
        json.loads(python("-c", DOCSTRINGS, *modules, path=path, cwd=tmp_path).stdout)
        for path in (ROOT, installed)
    )
    source = {key: text for key, text in source.items() if not key.endswith(".__call__")}
    assert len(source) > 10 * len(modules)
    assert {key: wheel.get(key) for key in source} == source


WITHOUT_SIGNATURES = """
import inspect
import gorun_mem
import gorun_mem.locks, gorun_mem.policies, gorun_mem.sync

for module in (gorun_mem, gorun_mem.sync, gorun_mem.locks, gorun_mem.policies):
    for name in module.__all__:
        value = getattr(module, name)
        if not isinstance(value, type) and not inspect.isroutine(value):
            continue
        if isinstance(value, type) and issubclass(value, BaseException | str):
            continue
        parts = {name: value}
        if isinstance(value, type):
            public = [key for key in dir(value) if key[0] != "_"]
            parts |= {f"{name}.{key}": getattr(value, key) for key in public}
        for where, part in parts.items():
            if callable(part):
                try:
                    inspect.signature(part)
                except (TypeError, ValueError):
                    print(where)
"""


def test_what_is_public_says_what_it_takes(installed: Path, tmp_path: Path) -> None:
    """`help` of World, M, the kit, locks and policies shows each method's arguments."""
    done = python("-c", WITHOUT_SIGNATURES, path=installed, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def log_of(scenario: str, mutex: str, path: Path, folder: Path) -> bytes:
    """The log of a run of the package in `path`."""
    log = folder / "run.jsonl"
    run = ["-m", "gorun_mem", "run", scenario, "--mutex", mutex, "--seed", "5", "--log", log]
    done = python(*run, path=path, cwd=folder)  # type: ignore[arg-type]
    assert done.returncode == 0, done.stderr
    return log.read_bytes()
