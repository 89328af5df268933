"""What there is to run and to choose from: scenarios with their options, lessons, strategies."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gorun_mem.scripts import is_file
from gorun_mem.step.strategies import drawing, for_runs
from gorun_mem.web.guard import Refused

if TYPE_CHECKING:
    from gorun_mem.explore.kernels import Kernel
    from gorun_mem.explore.target import Target
    from gorun_mem.machine.scenario import Option, Scenario
    from gorun_mem.web.documents import RunSettings

_POLICY_SIZES: Final = "64KiB..64MiB"
"""Sizes that a form offers, each twice the one before."""
LESSONS: Final = "lessons/"
"""What the names of lessons begin with."""
PLAYING: Final = tuple(dict.fromkeys(n for n in (*for_runs(), *drawing()) if n != "timing"))
"""Strategies that play on; timing needs clocks, which a schedule by hand does without."""


def library() -> dict[str, Any]:
    """All of it, as JSON."""
    from gorun_mem.machine.library import find, names
    from gorun_mem.machine.scenario import ScenarioError
    from gorun_mem.report.terms import TERMS
    from gorun_mem.runtime.behaviour import KNOWN, PLATFORMS
    from gorun_mem.runtime.mutex import MUTEXES
    from gorun_mem.step.strategies import STRATEGIES, for_searches

    scenarios = []
    for name in names():
        try:
            scenarios.append(_scenario(find(name)))
        except ScenarioError:
            continue
    return {
        "scenarios": scenarios,
        "lessons": lessons(),
        "strategies": {
            "run": list(for_runs()),
            "play": list(PLAYING),
            "search": list(for_searches()),
            "about": {name: entry.about for name, entry in STRATEGIES.items()},
        },
        "mutexes": list(MUTEXES),
        "policies": policies(),
        "releases": list(KNOWN),
        "platforms": list(PLATFORMS),
        "terms": TERMS,
    }


def _scenario(scenario: Scenario) -> dict[str, Any]:
    return {
        "name": scenario.label,
        "summary": scenario.summary,
        "description": inspect.cleandoc(scenario.__doc__ or ""),
        "ms": scenario.defaults.ms,
        "mutex": scenario.defaults.mutex,
        "release": scenario.defaults.release,
        "platform": scenario.defaults.platform,
        "options": [_option(one) for one in scenario.options.values() if one.type is not Path],
    }


def _option(option: Option) -> dict[str, Any]:
    plain = isinstance(option.default, bool | int | float | str)
    return {
        "name": option.name,
        "type": option.type_name,
        "default": option.default if plain else str(option.default),
        "help": option.help,
        "low": option.low,
        "high": option.high,
    }


def policies() -> list[dict[str, Any]]:
    """The policies of the allocator that come along: Go's own, then others, some with sizes."""
    from gorun_mem.policies import POLICIES, spread_policies

    found = []
    for policy in spread_policies("all"):
        name, _, size = policy.partition(":")
        made = POLICIES[name]
        sizes = spread_policies(f"{name}:{_POLICY_SIZES}") if size else []
        found.append(
            {
                "name": name,
                "about": inspect.cleandoc(made.__doc__ or "").partition("\n")[0],
                "sizes": [one.partition(":")[2] for one in sizes],
                "size": size,
            }
        )
    return found


def lessons() -> list[dict[str, Any]]:
    """The lessons: small programs with a bug that is to be brought out."""
    return [_lesson(name, kernel) for name, kernel in _kernels().items()]


def _kernels() -> dict[str, Kernel]:
    """The kernel that each lesson runs, by the lesson's name."""
    from gorun_mem.machine.library import find
    from gorun_mem.machine.library import lessons as there

    found = {name: inspect.getclosurevars(find(name).function).nonlocals for name in there()}
    return {name: captured["kernel"] for name, captured in found.items()}


def lesson_of(function: str) -> tuple[str, bool]:
    """The lesson that a kernel's function is, and whether it is the twin; "" where it is none."""
    for name, kernel in _kernels().items():
        for program, fixed in ((kernel.program, False), (kernel.fixed, True)):
            if function == f"{program.__module__}:{getattr(program, '__qualname__', '')}":
                return name, fixed
    return "", False


def _lesson(name: str, kernel: Kernel) -> dict[str, Any]:
    return {
        "name": name,
        "title": name.removeprefix(LESSONS).replace("_", " "),
        "number": kernel.number,
        "goal": _GOALS.get(kernel.kind, "Make the run fail") + f": {kernel.shows}.",
        "hint": inspect.cleandoc(kernel.program.__doc__ or ""),
        "source": kernel.source,
        "ms": kernel.config.ms,
    }


_GOALS: Final = {
    "deadlock": "Make an M sleep for ever",
    "AssertionError": "Make the last check fail",
    "throw": "Make the runtime throw",
    "illegal_use": "Make the program do what no program may",
    "lock.rank": "Make the locks be taken out of order",
}


def target_of(
    name: str, options: dict[str, Any], settings: RunSettings, fixed: bool = False
) -> Target:
    """What a name stands for: a scenario of the library or a lesson, never a path.

    Raises:
        Refused: there is none, or options or settings do not fit it.
    """
    from gorun_mem.explore.target import Target
    from gorun_mem.machine.config import ConfigError
    from gorun_mem.machine.library import find, names
    from gorun_mem.machine.library import lessons as there
    from gorun_mem.machine.scenario import ScenarioError
    from gorun_mem.policies import UnknownPolicy
    from gorun_mem.runtime.behaviour import UnknownRelease
    from gorun_mem.runtime.mutex import UnknownMutex

    _check_no_files(settings)
    changes = {n: getattr(settings, n) for n in ("ms", "cpus", "seed", *_NAMES, "max_pages")}
    try:
        if name not in names() and name not in there():
            raise Refused(404, f"no scenario {name!r}", "GET /api/library lists those there are")
        scenario = find(name)
        check_options(scenario, options)
        twin = {"fixed": True} if fixed else {}
        return Target.of(scenario, scenario.config(**changes), {**options, **twin})
    except (ConfigError, ScenarioError, UnknownMutex, UnknownPolicy, UnknownRelease) as error:
        raise Refused(400, str(error), f"GET /api/library has the options of {name}") from None


_NAMES: Final = ("release", "platform", "mutex", "policy")


def _check_no_files(settings: RunSettings) -> None:
    """Refuse settings that name a class of a file, which would be run: see `check_options`.

    Raises:
        Refused: one does.
    """
    for name in ("mutex", "policy"):
        value = getattr(settings, name)
        if value is not None and is_file(value):
            raise Refused(
                400, f"{name} {value!r} is of a file, which the page does not run",
                "use the command line",
            )  # fmt: skip


def check_options(scenario: Scenario, options: dict[str, Any]) -> None:
    """Refuse options that name files: who uses the page may not read or run the server's.

    Raises:
        Refused: one does.
    """
    for name, value in options.items():
        words = value.split(",") if isinstance(value, str) else []
        is_path = name in scenario.options and scenario.options[name].type is Path
        if is_path or any(is_file(word.strip()) for word in words):
            raise Refused(
                400, f"{name} names a file, which the page cannot", "use the command line"
            )
