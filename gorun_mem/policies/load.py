"""Finds a policy: by its name in the package, or as FILE.py:Class."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Final

from gorun_mem._near import no_such
from gorun_mem.policies.base import Policy
from gorun_mem.scripts import UserFileError, find_class, is_file

POLICIES: Final[dict[str, str]] = {
    "first_fit": "FirstFit",
    "best_fit": "BestFit",
    "next_fit": "NextFit",
    "last_fit": "LastFit",
    "segregated": "Segregated",
    "buddy": "Buddy",
    "merge_break": "MergeBreak",
    "grow_mib": "GrowMiB",
    "arena_512k": "Arena512K",
    "whole_memory": "WholeMemory",
}
"""Name, which is its module's too, and class; the first is Go's own."""
OWN: Final = "first_fit"
NEEDS: Final = "gorun_mem.policies.Policy"


class UnknownPolicy(ValueError):
    """There is no such policy, or its class is none; the message says what to do."""


def load_policy(reference: str) -> type[Policy]:
    """The class of a policy.

    Args:
        reference: a name of `POLICIES`, or "FILE.py:Class".

    Raises:
        UnknownPolicy: there is none, or it lacks a method.
    """
    if reference in POLICIES:
        module = import_module(f"gorun_mem.policies.{reference}")
        known: type[Policy] = getattr(module, POLICIES[reference])
        return known
    if not is_file(reference):
        said = no_such("policy", reference, POLICIES)
        raise UnknownPolicy(f"{said}; your own is FILE.py:Class")
    try:
        found = find_class(reference, "policy", _is_policy, NEEDS)
    except UserFileError as error:
        raise UnknownPolicy(str(error)) from None
    lacking = sorted(getattr(found, "__abstractmethods__", ()))
    if lacking:
        raise UnknownPolicy(f"{reference}: {found.__name__} has no {', '.join(lacking)}")
    return found


def _is_policy(cls: type) -> bool:
    return issubclass(cls, Policy) and not (inspect.isabstract(cls) and cls is Policy)
