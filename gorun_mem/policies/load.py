"""Finds a policy: by its name in the package, as FILE.py:Class, or by the class itself.

Those that have a size take it behind a colon, as `arena:2MiB`; `arena:64KiB..64MiB` are those from
the one size to the other, each twice as large as the one before.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Final

from gorun_mem._near import no_such
from gorun_mem.policies.base import Policy
from gorun_mem.runtime.errors import said
from gorun_mem.scripts import UserFileError, find_class, is_file, line_of
from gorun_mem.scripts.classes import ClassName, FileCache, class_name, file_of

POLICIES: Final[dict[str, str]] = {
    "first_fit": "FirstFit",
    "best_fit": "BestFit",
    "next_fit": "NextFit",
    "last_fit": "LastFit",
    "segregated": "Segregated",
    "buddy": "Buddy",
    "merge_break": "MergeBreak",
    "align_tight": "AlignTight",
    "grow": "Grow",
    "arena": "Arena",
    "whole_memory": "WholeMemory",
    "ask_size": "AskSize",
}
"""Name, which is its module's too, and class; the first is Go's own."""
OWN: Final = "first_fit"
SIZES: Final[dict[str, str]] = {"grow": "1MiB", "arena": "512KiB"}
"""The size that each of those that have one has where none is given."""
NEEDS: Final = "gorun_mem.policies.Policy"

MakePolicy = Callable[[], Policy]

_SIZE: Final = re.compile(r"(\d{1,12})(|KiB|MiB|GiB)")
_UNITS: Final = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_RANGE_MAX: Final = 32
_OF_FILES: Final = FileCache[type[Policy]]()


class UnknownPolicy(ValueError):
    """There is no such policy, or its class is none; the message says what to do."""


def load_policy(policy: str | type) -> MakePolicy:
    """What makes a policy, anew for each runtime.

    Args:
        policy: a name of `POLICIES`, with ":SIZE" for one of `SIZES`, "FILE.py:Class", or a class
            that derives from `Policy`.

    Raises:
        UnknownPolicy: there is none, it lacks a method, or it cannot be made.
    """
    if isinstance(policy, ClassName):
        policy = policy.cls
    if isinstance(policy, type):
        return _checked(policy, policy.__name__)
    name, colon, size = policy.partition(":")
    if name in POLICIES:
        module = import_module(f"gorun_mem.policies.{name}")
        known: type[Policy] = getattr(module, POLICIES[name])
        return _with_size(known, policy, size) if colon else known
    if not is_file(policy):
        raise UnknownPolicy(f"{no_such('policy', policy, POLICIES)}; your own is FILE.py:Class")
    return _OF_FILES.get(policy, lambda: _of_file(policy))


def policy_name(policy: str | type) -> str:
    """What to call a policy in settings: a name or reference as it is, a class by its file.

    Raises:
        UnknownPolicy: the class is no policy.
    """
    if not isinstance(policy, type):
        return policy
    _checked(policy, policy.__name__)
    for name in POLICIES:
        if load_policy(name) is policy:
            return name
    return class_name(policy, policy)


def spread_policies(reference: str) -> list[str]:
    """The policies that one word of a command line asks for.

    Args:
        reference: "all", NAME:SIZE..SIZE, or what `load_policy` takes.

    Raises:
        UnknownPolicy: a size cannot be read, or the sizes are too many.
    """
    if reference == "all":
        return [f"{name}:{SIZES[name]}" if name in SIZES else name for name in POLICIES]
    name, _, sizes = reference.partition(":")
    first, dots, last = sizes.partition("..")
    if not dots or name not in SIZES:
        return [reference]
    size, most = _size(first, reference), _size(last, reference)
    found: list[str] = []
    while 0 < size <= most:
        found.append(f"{name}:{_written(size)}")
        size *= 2
    if not 0 < len(found) <= _RANGE_MAX:
        raise UnknownPolicy(
            f"{reference}: write two sizes, the smaller first, as {name}:64KiB..4MiB"
        )
    return found


def _with_size(known: type[Policy], reference: str, size: str) -> MakePolicy:
    name = reference.partition(":")[0]
    if name not in SIZES:
        raise UnknownPolicy(f"{reference}: {name} has no size: write {name}")
    make: MakePolicy = partial(known, *[_size(size, reference)])
    try:
        make()
    except ValueError as error:
        raise UnknownPolicy(f"{reference}: {error}") from None
    return make


def _size(text: str, reference: str) -> int:
    found = _SIZE.fullmatch(text)
    if found is None:
        name = reference.partition(":")[0]
        raise UnknownPolicy(f"{reference}: {text!r} is no size: write {name}:{SIZES[name]}")
    return int(found[1]) * _UNITS[found[2]]


def _written(size: int) -> str:
    unit = next((u for u in ("GiB", "MiB", "KiB") if size % _UNITS[u] == 0), "")
    return f"{size // _UNITS[unit]}{unit}"


def _of_file(reference: str) -> type[Policy]:
    try:
        found = find_class(reference, "policy", _is_policy, NEEDS)
    except UserFileError as error:
        raise UnknownPolicy(str(error)) from None
    return _checked(found, reference)


def _checked(cls: type, reference: str) -> type[Policy]:
    """The class, if a policy can be made of it."""
    if not _is_policy(cls):
        raise UnknownPolicy(f"{reference}: {cls.__name__} is no policy: derive it from {NEEDS}")
    lacking = sorted(getattr(cls, "__abstractmethods__", ()))
    if lacking:
        raise UnknownPolicy(f"{reference}: {cls.__name__} has no {', '.join(lacking)}")
    try:
        made = cls()
    except Exception as error:
        line = line_of(Path(file_of(cls)).resolve(), error)
        at = f", line {line}" if line else ""
        raise UnknownPolicy(
            f"{reference}: {cls.__name__} cannot be made: {type(error).__name__}: {said(error)}{at}"
        ) from None
    if not hasattr(made, "steps"):
        raise UnknownPolicy(
            f"{reference}: {cls.__name__}.__init__ does not call super().__init__(): its steps "
            "could not be counted"
        )
    return cls


def _is_policy(cls: type) -> bool:
    return issubclass(cls, Policy) and cls is not Policy
