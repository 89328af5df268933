"""What there is to run and to choose from: scenarios with their options, lessons, strategies."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gorun_mem.step.strategies import DRAWING, RUNNING
from gorun_mem.web.guard import Refused

if TYPE_CHECKING:
    from gorun_mem.explore.target import Target
    from gorun_mem.machine.scenario import Option, Scenario
    from gorun_mem.web.documents import RunSettings

LESSONS: Final = "lessons/"
"""What the names of lessons begin with."""
PLAYING: Final = tuple(dict.fromkeys(n for n in (*RUNNING, *DRAWING) if n != "timing"))
"""Strategies that play on; timing needs clocks, which a schedule by hand does without."""


def library() -> dict[str, Any]:
    """All of it, as JSON."""
    from gorun_mem.machine.library import find, names
    from gorun_mem.machine.scenario import ScenarioError
    from gorun_mem.report.terms import TERMS
    from gorun_mem.runtime.behaviour import KNOWN, PLATFORMS
    from gorun_mem.runtime.mutex import MUTEXES
    from gorun_mem.step.strategies import SEARCHING, STRATEGIES

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
            "run": list(RUNNING),
            "play": list(PLAYING),
            "search": list(SEARCHING),
            "about": {entry.name: entry.about for entry in STRATEGIES.values()},
        },
        "mutexes": list(MUTEXES),
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


def lessons() -> list[dict[str, Any]]:
    """The lessons: small programs with a bug that is to be brought out."""
    from gorun_mem.explore.kernels import KERNELS

    return [
        {
            "name": f"{LESSONS}{name}",
            "title": name.replace("-", " "),
            "number": kernel.number,
            "goal": _GOALS.get(kernel.kind, "Make the run fail") + f": {kernel.shows}.",
            "hint": inspect.cleandoc(kernel.program.__doc__ or ""),
            "source": kernel.source,
            "ms": kernel.config.ms,
        }
        for name, kernel in KERNELS.items()
    ]


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
    from gorun_mem.machine.scenario import ScenarioError
    from gorun_mem.runtime.behaviour import UnknownRelease
    from gorun_mem.runtime.mutex import UnknownMutex

    changes = {n: getattr(settings, n) for n in ("ms", "cpus", "seed", *_NAMES, "max_pages")}
    try:
        if name.startswith(LESSONS):
            kernel = _lesson(name)
            config = (kernel.fixed_config if fixed else None) or kernel.config
            return Target.of(kernel.fixed if fixed else kernel.program, config.but(**changes))
        if name not in names():
            raise Refused(404, f"no scenario {name!r}", "GET /api/library lists those there are")
        scenario = find(name)
        check_options(scenario, options)
        return Target.of(scenario, scenario.config(**changes), options)
    except (ConfigError, ScenarioError, UnknownMutex, UnknownRelease) as error:
        raise Refused(400, str(error), f"GET /api/library has the options of {name}") from None


_NAMES: Final = ("release", "platform", "mutex")


def _lesson(name: str) -> Any:
    from gorun_mem.explore.kernels import KERNELS

    kernel = KERNELS.get(name.removeprefix(LESSONS))
    if kernel is None:
        raise Refused(404, f"no lesson {name!r}", "GET /api/library lists those there are")
    return kernel


def check_options(scenario: Scenario, options: dict[str, Any]) -> None:
    """Refuse options that name files: who uses the page may not read the server's.

    Raises:
        Refused: one does.
    """
    for name in options:
        if name in scenario.options and scenario.options[name].type is Path:
            raise Refused(
                400, f"{name} names a file, which the page cannot", "use the command line"
            )
