"""The user's own defaults in tests: those that `gorun-mem --show-config` shows.

pytest's own options come before them, and so do marks and what a test gives.
"""

from __future__ import annotations

from os.path import relpath
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from gorun_mem.files.defaults import UserDefault

_set: Final = pytest.StashKey["dict[str, UserDefault]"]()
_defaults: Final = pytest.StashKey["dict[str, Any]"]()


def read(config: pytest.Config) -> None:
    """Read what is set, at the start; nothing of it is converted yet.

    Raises:
        UsageError: a default is none.
    """
    from gorun_mem.files.defaults import DefaultsError, load

    try:
        config.stash[_set] = load()
    except DefaultsError as error:
        raise pytest.UsageError(str(error)) from None


def header(config: pytest.Config) -> str | None:
    """Which hold, and where they come from; None where none is set."""
    found = config.stash[_set].values()
    said = [f"{one.key} = {one.value} ({_origin(one)})" for one in found]
    return f"gorun_mem: {', '.join(said)}" if said else None


def _origin(one: UserDefault) -> str:
    return f"${one.where}" if one.origin == "environment" else relpath(one.where)


def user_defaults(config: pytest.Config) -> dict[str, Any]:
    """The user's own defaults, by the names of `Config` and of `explore`; {} where none is set.

    Raises:
        UsageError: one has a value that cannot be.
    """
    if _defaults not in config.stash:
        found: dict[str, Any] = {}
        if config.stash[_set]:
            from gorun_mem.cli import gorun_mem
            from gorun_mem.cli.defaults import settings

            try:
                found = settings(gorun_mem)
            except ValueError as error:
                raise pytest.UsageError(str(error)) from None
        config.stash[_defaults] = found
    return config.stash[_defaults]


def of_worlds(config: pytest.Config) -> dict[str, Any]:
    """Those of the defaults that are settings of a World."""
    from gorun_mem import Config

    found = user_defaults(config)
    return {name: value for name, value in found.items() if name in Config.__dataclass_fields__}
