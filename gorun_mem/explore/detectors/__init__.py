"""Detectors: what looks at each run of a search for what does not end the run by itself.

    found = explore(program, detectors=DEFAULT_DETECTORS)

Each is one file, which says what it finds, and is found by the file's name; `gorun-mem explain
detectors` lists them. Each knows one run at a time; what several of them need of a run (where an M
is, who holds what) is in `watch.py`, kept once a World.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Final

from gorun_mem.explore.failure import Detector
from gorun_mem.runtime.by_file import ByFile

MakeDetector = Callable[[], Detector]


def _detector_in(name: str, module: ModuleType) -> MakeDetector | None:
    """The detector that is called as the module that it is in; None where the module only helps.

    Raises:
        TypeError: it lacks a method.
    """
    for found in vars(module).values():
        if not isinstance(found, type) or found.__module__ != module.__name__:
            continue
        if not hasattr(found, "end") or getattr(found(), "name", "") != name:
            continue
        lacking = [method for method in ("begin", "step") if not hasattr(found, method)]
        if lacking:
            raise TypeError(f"detector {name}: {found.__name__} has no {' and no '.join(lacking)}")
        made: MakeDetector = found
        return made
    return None


DETECTORS: Final = ByFile(__name__, _detector_in, lambda name: rf'^    name = "{name}"$')
"""Every detector, by name: its class."""


def _usual(made: MakeDetector) -> int:
    place: int = getattr(made, "usual", 0)
    return place


DEFAULT_DETECTORS: Final[tuple[MakeDetector, ...]] = tuple(
    sorted(filter(_usual, DETECTORS.values()), key=_usual)
)
"""What a search looks with unless it is told otherwise; what ends a program comes first."""
