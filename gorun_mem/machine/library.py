"""Finds scenarios: by name in the library that comes with the package, or by a script's path.

The library is the project's `scenarios` folder, which a wheel carries as `gorun_mem/scenarios`. It
is a folder of scripts and no package: a script is compiled and run as a module of its own, under a
name that nothing else has, and is out of `sys.modules` again when it has run.

Rejected: `runpy` and the loaders of `importlib`, which leave `__pycache__` beside a user's script
and say in which of their own frames it failed; entry points, for a scenario is a file to copy.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Final

from gorun_mem.files.reading import read_input
from gorun_mem.machine.outcome import said
from gorun_mem.machine.scenario import Scenario, ScenarioError

_PACKAGE: Final = Path(__file__).resolve().parents[1]
SOURCE_BYTES_MAX: Final = 4 << 20
"""No script is larger; a log that was named by mistake may be."""


def library_folder() -> Path | None:
    """The folder of the scenarios that come with the package, None where there is none."""
    packaged = _PACKAGE / "scenarios"
    if packaged.is_dir():
        return packaged
    beside = _PACKAGE.parent / "scenarios"
    # In site-packages a folder of that name would be somebody else's.
    if beside.is_dir() and (_PACKAGE.parent / "pyproject.toml").is_file():
        return beside
    return None


def names() -> list[str]:
    """The names of the library's scenarios, in order."""
    folder = library_folder()
    if folder is None:
        return []
    return sorted(path.stem for path in folder.glob("*.py") if not path.name.startswith("_"))


def find(reference: str) -> Scenario:
    """The scenario that a command line names.

    Args:
        reference: a name of the library, or the path of a .py file; ":name" behind either picks one
            of several scenarios in the file.

    Raises:
        ScenarioError: there is none, or the script cannot be used.
    """
    where, colon, wanted = reference.rpartition(":")
    if not colon or not wanted.isidentifier():
        where, wanted = reference, ""
    if not where.endswith(".py") and os.sep not in where:
        return _pick(_of_library(where), wanted, where, library=True)
    return _pick(Path(where), wanted, where, library=False)


def load(path: Path) -> dict[str, Scenario]:
    """The scenarios that a script defines, by name; those that it imports are not its own.

    Raises:
        ScenarioError: it cannot be read or does not run.
    """
    module = _run(path.resolve(), _read(path))
    found = (value for value in vars(module).values() if isinstance(value, Scenario))
    return {scenario.name: scenario for scenario in found if scenario.__module__ == module.__name__}


def _of_library(name: str) -> Path:
    folder = library_folder()
    known = names()
    if folder is not None and name in known:
        return folder / f"{name}.py"
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    if Path(f"{name}.py").is_file():
        hint = f"did you mean ./{name}.py? "
    else:
        hint = f"did you mean {near[0]}? " if near else ""
    there = f"the scenarios are {', '.join(known)}" if known else "no scenario is installed"
    raise ScenarioError(f"no scenario {name!r}: {hint}{there}; a path ends with .py")


def _pick(path: Path, wanted: str, where: str, *, library: bool) -> Scenario:
    """One of the scenarios in a script."""
    found = load(path)
    if not found:
        raise ScenarioError(
            f"{path} defines no scenario: put @scenario() of gorun_mem before an async function"
        )
    if wanted and wanted not in found:
        raise ScenarioError(f"{path} has no scenario {wanted!r}; it has {', '.join(found)}")
    if not wanted and library and where in found:
        wanted = where
    if not wanted and len(found) > 1:
        raise ScenarioError(
            f"{path} defines {len(found)} scenarios, {', '.join(found)}: say which, as in "
            f"{where}:{next(iter(found))}"
        )
    scenario = found[wanted or next(iter(found))]
    if not library or scenario.name != where:
        scenario.label = where if len(found) == 1 else f"{where}:{scenario.name}"
    return scenario


def _read(path: Path) -> bytes:
    try:
        return read_input(path, SOURCE_BYTES_MAX)
    except FileNotFoundError:
        near = _scripts_beside(path)
        there = f"; scripts there are {', '.join(near)}" if near else ""
        raise ScenarioError(f"no scenario script {path}{there}") from None
    except OSError as error:
        raise ScenarioError(f"scenario script {path}: {error.strerror}") from None


def _scripts_beside(path: Path) -> list[str]:
    try:
        others = [other.name for other in path.parent.glob("*.py")]
    except OSError:
        return []
    return difflib.get_close_matches(path.name, others, n=5, cutoff=0.4)


def _run(path: Path, source: bytes) -> ModuleType:
    """A module of the script at `path`, which has run.

    Raises:
        ScenarioError: it did not run to its end.
    """
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
    module = ModuleType(f"_gorun_mem_script_{path.stem}_{digest}")
    module.__file__ = str(path)
    try:
        # What a scenario asserts is what it is run for: `python -O` is no reason to leave that out.
        code = compile(source, str(path), "exec", dont_inherit=True, optimize=0)
        with _importing_beside(path, module):
            exec(code, module.__dict__)
    except SyntaxError as error:
        raise ScenarioError(_failed(path, error, _line_of_syntax(path, error))) from None
    except SystemExit:
        raise ScenarioError(
            f"scenario script {path} exits when it is imported: put what runs it under "
            'if __name__ == "__main__"'
        ) from None
    except Exception as error:
        raise ScenarioError(_failed(path, error, _line_of(path, error))) from None
    return module


@contextmanager
def _importing_beside(path: Path, module: ModuleType) -> Iterator[None]:
    """Let a script import what lies beside it; afterwards nothing of it stays in `sys.modules`."""
    folder = str(path.parent)
    before: Mapping[str, ModuleType] = dict(sys.modules)
    sys.modules[module.__name__] = module
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)
        for name, loaded in list(sys.modules.items()):
            file = getattr(loaded, "__file__", None) or ""
            if name not in before and file.startswith(folder + os.sep):
                del sys.modules[name]
        sys.modules.pop(module.__name__, None)


def _failed(path: Path, error: BaseException, line: int) -> str:
    what = error.msg if isinstance(error, SyntaxError) else said(error)
    at = f", line {line}" if line else ""
    text = f"{type(error).__name__}: {what}" if what else type(error).__name__
    return f"scenario script {path} does not run: {' '.join(text.split())}{at}"


def _line_of_syntax(path: Path, error: SyntaxError) -> int:
    if error.filename == str(path):
        return error.lineno or 0
    return _line_of(path, error)


def _line_of(path: Path, error: BaseException) -> int:
    """The innermost line of the script that `error` came through."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename == str(path):
            return frame.lineno or 0
    return 0
