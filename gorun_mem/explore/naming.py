"""What code a schedule names: a token or a file may come from anybody, and code is run.

A scenario of the library and a lesson are ours; a file, a module's function and a lock, policy or
detector of a file are code of somebody's. Whoever replays a schedule says which of these may run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gorun_mem.machine.library import is_lesson
from gorun_mem.scripts import is_file

_FILES: tuple[str, ...] = ("mutex", "policy")
"""Settings that may name a class of a file."""


def code_of(about: Mapping[str, Any]) -> list[str]:
    """The code that a schedule would run and that is not the library's, as it names it."""
    found = []
    scenario, function = about.get("scenario"), about.get("function")
    if isinstance(scenario, str):
        if is_file(scenario) and not is_lesson(scenario):
            found.append(scenario)
    elif isinstance(function, str) and not _is_lesson(function):
        found.append(function)
    verified = about.get("verify")
    if isinstance(verified, Mapping):
        subject = verified.get("subject")
        if isinstance(subject, str) and is_file(subject):
            found.append(subject)
    options = about.get("options")
    if isinstance(options, Mapping):  # a scenario may take locks by name, several with commas
        words = [word.strip() for text in options.values() for word in str(text).split(",")]
        found += [word for word in words if is_file(word) and ".py" in word]
    config = about.get("config")
    if isinstance(config, Mapping):
        for name in _FILES:
            value = config.get(name)
            if isinstance(value, str) and is_file(value):
                found.append(value)
    detectors = about.get("detectors")
    if isinstance(detectors, list | tuple):
        found += [one for one in map(str, detectors) if is_file(one)]
    return found


def named(about: Mapping[str, Any]) -> str:
    """What a schedule calls its program."""
    return str(about.get("test") or about.get("scenario") or about.get("function") or "")


def _is_lesson(function: str) -> bool:
    from gorun_mem.explore.kernels import KERNELS

    return any(
        function == f"{program.__module__}:{getattr(program, '__qualname__', '')}"
        for kernel in KERNELS.values()
        for program in (kernel.program, kernel.fixed)
    )
