"""The wheel that users install: compiled, and in every answer what the source is."""

from __future__ import annotations

from pathlib import Path

from tests import ROOT
from tests.compiled.environments import copy_of_the_tests, python

RUN_AGAIN = (
    "runtime/mutex", "step", "machine", "explore", "cli/test_explore_command.py",
    "cli/test_explore_interrupted.py", "scenarios",
)  # fmt: skip
"""Folders of tests whose subject is compiled."""

TOO_DYNAMIC = (
    "explore/test_broken_search.py", "explore/states/test_programs.py",
    "step/strategies/test_many_ms.py",
    "explore/test_exhaustive_search.py", "explore/states/test_mutants.py",
    "runtime/mutex/test_exhaustive.py",
)  # fmt: skip
"""They take attributes away, put functions in the place of methods, or read what compiled objects
hold: pure Python lets them."""


def test_the_wheel_answers_as_the_source(installed: Path, tmp_path: Path) -> None:
    """The tests of what is compiled pass on the wheel, and logs are the same bytes."""
    done = python("-m", "gorun_mem", "--version", path=installed, cwd=tmp_path)
    assert "(compiled)" in done.stdout, done
    for scenario in ("memlock_storm", "arena_at_break", "lifo_starvation"):
        for mutex in ("sema", "futex", "spinbit", "queue"):
            logs = [log_of(scenario, mutex, path, tmp_path) for path in (installed, ROOT)]
            assert logs[0] == logs[1], (scenario, mutex)
            assert logs[0].count(b"\n") > 20
    copied = copy_of_the_tests(tmp_path)
    tests = ["-m", "pytest", "-q", "-p", "no:cacheprovider", *(copied / name for name in RUN_AGAIN)]
    for name in TOO_DYNAMIC:
        tests += ["--ignore", copied / name]
    done = python(*tests, path=installed, cwd=tmp_path)  # type: ignore[arg-type]
    assert done.returncode == 0, done.stdout[-5000:]


WITHOUT_DOCS = """
import gorun_mem

for name in gorun_mem.__all__:
    value = getattr(gorun_mem, name)
    if isinstance(value, type):
        parts = {f"{name}.{key}": part for key, part in vars(value).items() if key[0] != "_"}
        for where, part in {name: value, **parts}.items():
            if (callable(part) or isinstance(part, property)) and not part.__doc__:
                print(where)
"""


def test_what_is_public_explains_itself(installed: Path, tmp_path: Path) -> None:
    """Public classes and their methods keep their docstrings in the wheel. `Op` does not: mypyc
    drops them, and every step of every M is one of an Op."""
    done = python("-c", WITHOUT_DOCS, path=installed, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [name for name in done.stdout.split() if name.partition(".")[0] != "Op"] == []


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
