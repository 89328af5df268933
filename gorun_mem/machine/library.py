"""Finds scenarios: by name in the library that comes with the package, or by a script's path.

The library is the project's `scenarios` folder, which a wheel carries as `gorun_mem/scenarios`. It
is a folder of scripts and no package (see `gorun_mem.scripts`).

Rejected: entry points, for a scenario is a file to copy.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from gorun_mem._near import nearest, no_such
from gorun_mem.machine.config import Config
from gorun_mem.machine.scenario import Scenario, ScenarioError
from gorun_mem.scripts import UserFileError, run_script, split

if TYPE_CHECKING:
    from gorun_mem.machine.world import World

LESSONS: Final = "lessons/"
"""What the name of a lesson begins with."""
_LESSONS_SCRIPT: Final = "lessons/kernels.py"
_PACKAGE: Final = Path(__file__).resolve().parents[1]


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


def lessons() -> list[str]:
    """The names of the library's lessons, in the order of the script that has them."""
    folder = library_folder()
    if folder is None:
        return []
    return [LESSONS + name for name in load(folder / _LESSONS_SCRIPT)]


def is_lesson(reference: str) -> bool:
    """Whether it names a lesson of the library, and no file."""
    return reference.startswith(LESSONS) and not reference.endswith(".py")


def find(reference: str) -> Scenario:
    """The scenario that a command line names.

    Args:
        reference: a name of the library, "lessons/NAME" for a lesson, or the path of a .py file;
            ":name" behind either picks one of several scenarios in the file, or an async function
            that takes nothing.

    Raises:
        ScenarioError: there is none, or the script cannot be used.
    """
    where, wanted = split(reference)
    if is_lesson(where):
        return _lesson(where)
    if not where.endswith(".py"):
        if os.sep not in where:
            return _pick(_of_library(where), wanted, where, library=True)
        if not Path(where).exists() and nearest(where, lessons(), 0.8):
            return _lesson(where)  # says which
    return _pick(Path(where), wanted, where, library=False)


def load(path: Path) -> dict[str, Scenario]:
    """The scenarios that a script defines, by name; those that it imports are not its own.

    Raises:
        ScenarioError: it cannot be read or does not run.
    """
    return _scenarios_of(_run(path))


def _run(path: Path) -> ModuleType:
    try:
        return run_script(path, "scenario")
    except UserFileError as error:
        raise ScenarioError(str(error)) from None


def _scenarios_of(module: ModuleType) -> dict[str, Scenario]:
    found = (value for value in vars(module).values() if isinstance(value, Scenario))
    return {scenario.name: scenario for scenario in found if scenario.__module__ == module.__name__}


def _lesson(label: str) -> Scenario:
    known = lessons()
    if label not in known:
        lists = "gorun-mem scenarios --lessons lists them"
        raise ScenarioError(no_such("lesson", label, known, lists=lists))
    folder = library_folder()
    assert folder is not None
    scenario = load(folder / _LESSONS_SCRIPT)[label.removeprefix(LESSONS)]
    scenario.label = label
    return scenario


def _of_library(name: str) -> Path:
    folder = library_folder()
    known = names()
    if folder is not None and name in known:
        return folder / f"{name}.py"
    hint = f"did you mean ./{name}.py?" if Path(f"{name}.py").is_file() else ""
    if name == LESSONS.rstrip("/"):
        hint = "gorun-mem scenarios --lessons lists those;"
    lists = "" if known else "no scenario is installed"
    said = no_such("scenario", name, known, hint=hint, there="the scenarios are", lists=lists)
    raise ScenarioError(f"{said}; a path ends with .py")


def _of_trio(function: Callable[[], Coroutine[Any, Any, Any]], label: str) -> Scenario:
    """A program of trio's, which takes no World, as a scenario."""

    async def alone(world: World) -> None:
        await function()

    alone.__name__, alone.__doc__, alone.__module__ = (
        function.__name__,
        function.__doc__,
        function.__module__,
    )
    scenario = Scenario(alone, Config())
    scenario.label, scenario.file = label, function.__code__.co_filename
    vars(alone)["__wrapped__"] = function  # whose source it is
    return scenario


def _pick(path: Path, wanted: str, where: str, *, library: bool) -> Scenario:
    """One of the scenarios in a script."""
    module = _run(path)
    found = _scenarios_of(module)
    function = getattr(module, wanted, None) if wanted not in found else None
    if inspect.iscoroutinefunction(function) and not inspect.signature(function).parameters:
        return _of_trio(function, f"{where}:{wanted}")
    if not found:
        raise ScenarioError(
            f"{path} defines no scenario: put @scenario() of gorun_mem before an async function, "
            "or name one that takes nothing and awaits trio, as in explore FILE.py:main"
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
