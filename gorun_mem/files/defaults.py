"""Defaults of one's own, read: `[tool.gorun_mem]` in pyproject.toml, and $GORUN_MEM_* over it.

The file is the nearest pyproject.toml, from the current folder upwards, that has the table. An
unknown key of it is refused. A variable is refused where it nearly is one of these; others that
begin so are somebody else's. What becomes of them is the command line's (`gorun_mem.cli.defaults`)
and the pytest plugin's, which reads this at each start, so that it imports next to nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gorun_mem._near import nearest, no_such
from gorun_mem.files.reading import read_input

TABLE: Final = "gorun_mem"
PREFIX: Final = "GORUN_MEM_"
NAMES: Final = (
    "budget", "color", "costs", "cpus", "host", "jobs", "log_level", "max_pages", "ms", "mutex",
    "platform", "release", "seed", "seeds", "time", "watchdog", "width",
)  # fmt: skip
"""What may have a default."""
_OTHERS: Final = frozenset({"GORUN_MEM_HOME", "GORUN_MEM_DEBUG", "GORUN_MEM_PURE"})
"""Variables of the program that are no defaults."""
_FILE_BYTES_MAX: Final = 1 << 20


class DefaultsError(ValueError):
    """What is set is none, or the file cannot be read; the message is for people."""


@dataclass(frozen=True, slots=True)
class UserDefault:
    """A default that somebody set.

    Args:
        key: one of NAMES.
        value: as text.
        origin: "environment" or "pyproject".
        where: the variable, or the file.
    """

    key: str
    value: str
    origin: str
    where: str

    def __str__(self) -> str:
        if self.origin == "environment":
            return f"${self.where}"
        return f"{self.key} in [tool.{TABLE}] of {self.where}"


def load() -> dict[str, UserDefault]:
    """What is set, by key; the environment over the file.

    Raises:
        DefaultsError: a key is none, or the file cannot be read.
    """
    return _from_file() | _from_environment()


def _from_environment() -> dict[str, UserDefault]:
    names = {f"{PREFIX}{key.upper()}": key for key in NAMES}
    found = {}
    for name, value in os.environ.items():
        if not name.startswith(PREFIX) or name in _OTHERS:
            continue
        if name in names:
            found[names[name]] = UserDefault(names[name], value, "environment", name)
            continue
        near = nearest(name.removeprefix(PREFIX).lower(), NAMES, 0.7)
        if near:
            meant = f"{PREFIX}{near.upper()}"
            raise DefaultsError(f"${name} sets nothing: did you mean ${meant}? see --show-config")
    return found


def _from_file() -> dict[str, UserDefault]:
    found = _table()
    if found is None:
        return {}
    path, table = found
    if not isinstance(table, dict):
        raise DefaultsError(f"{path}: tool.{TABLE} is to be a table, as [tool.{TABLE}]")
    settings = {}
    for key, value in table.items():
        if key not in NAMES:
            raise DefaultsError(f"{path}: {no_such('key', key, NAMES, of=f'[tool.{TABLE}]')}")
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise DefaultsError(
                f"{path}: {key} in [tool.{TABLE}] is {value!r}: write one text or number"
            )
        settings[key] = UserDefault(key, str(value), "pyproject", str(path))
    return settings


def _table() -> tuple[Path, Any] | None:
    """The nearest file that has the table, and what is in it."""
    try:
        here = Path.cwd()
    except OSError:  # the folder was removed
        return None
    for folder in (here, *here.parents):
        path = folder / "pyproject.toml"
        try:
            data = read_input(path, _FILE_BYTES_MAX)
        except OSError:
            continue
        if TABLE.encode() not in data:  # reading TOML takes longer than the rest of this
            continue
        from gorun_mem.files.toml import parsed_toml

        try:
            tool = parsed_toml(data).get("tool", {})
        except ValueError as error:
            raise DefaultsError(f"{path}: this is no TOML: {error}") from None
        if isinstance(tool, dict) and TABLE in tool:
            return path, tool[TABLE]
    return None
