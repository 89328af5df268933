"""Finds a policy: by its name in the package, as FILE.py:Class, or by the class itself.

Those that have a size take it behind a colon, as `arena:2MiB`; `arena:64KiB..64MiB` are those from
the one size to the other, each twice as large as the one before.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Final

from gorun_mem._near import no_such
from gorun_mem.policies.base import Policy
from gorun_mem.runtime.by_file import ByFile
from gorun_mem.scripts import UserFileError, find_class, is_file
from gorun_mem.scripts.classes import ClassName, FileCache, check_whole, class_name, instance_of

OWN: Final = "first_fit"
"""The policy that is Go's own."""
NEEDS: Final = "gorun_mem.policies.Policy"

MakePolicy = Callable[[], Policy]

_SIZE: Final = re.compile(r"(\d{1,12})(|KiB|MiB|GiB)")
_UNITS: Final = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_RANGE_MAX: Final = 32
_OF_FILES: Final = FileCache[type[Policy]]()


class UnknownPolicy(ValueError):
    """There is no such policy, or its class is none; the message says what to do."""


def _class_name(name: str) -> str:
    """What the class of a policy's file is called: BestFit in best_fit.py."""
    return name.title().replace("_", "")


def _policy_in(name: str, module: ModuleType) -> type[Policy] | None:
    """The policy that is called as the module that it is in; None where the module only helps.

    Raises:
        UnknownPolicy: it lacks a method, or it cannot be made.
    """
    found: type[Policy] | None = getattr(module, _class_name(name), None)
    return _checked(found, name) if found is not None else None


POLICIES: Final = ByFile(__package__, _policy_in, lambda name: rf"^class {_class_name(name)}\(")
"""Every policy that comes along, by name: its class."""


def size_of(name: str) -> str:
    """The size that one of `POLICIES` has where none is given; "" for one without a size."""
    from inspect import signature

    parameter = signature(POLICIES[name]).parameters.get("size")
    return _written(parameter.default) if parameter is not None else ""


def load_policy(policy: str | type) -> MakePolicy:
    """What makes a policy, anew for each runtime.

    Args:
        policy: a name of `POLICIES`, with ":SIZE" for one that has a size, "FILE.py:Class", or a
            class that derives from `Policy`.

    Raises:
        UnknownPolicy: there is none, it lacks a method, or it cannot be made.
    """
    if isinstance(policy, ClassName):
        policy = policy.cls
    if isinstance(policy, type):
        return _checked(policy, policy.__name__)
    name, colon, size = policy.partition(":")
    if name in POLICIES:
        return _with_size(POLICIES[name], policy, size) if colon else POLICIES[name]
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
    name = policy.__module__.rpartition(".")[2]
    if POLICIES.get(name) is policy:
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
        others = [name for name in POLICIES if name != OWN]
        usual = {name: size_of(name) for name in (OWN, *others)}
        return [f"{name}:{size}" if size else name for name, size in usual.items()]
    name, _, sizes = reference.partition(":")
    first, dots, last = sizes.partition("..")
    if not dots or name not in POLICIES or not size_of(name):
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
    if not size_of(name):
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
        raise UnknownPolicy(f"{reference}: {text!r} is no size: write {name}:{size_of(name)}")
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
    try:
        check_whole(cls, reference)
        made = instance_of(cls, reference)
    except UserFileError as error:
        raise UnknownPolicy(str(error)) from None
    if not hasattr(made, "steps"):
        raise UnknownPolicy(
            f"{reference}: {cls.__name__}.__init__ does not call super().__init__(): its steps "
            "could not be counted"
        )
    return cls


def _is_policy(cls: type) -> bool:
    return issubclass(cls, Policy) and cls is not Policy
