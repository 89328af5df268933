"""The user's own files on their way to another machine, where they are found under other names.

Only files that the user has named go: a scenario's script does, and what it imports beside itself
does not, so that has to be installed there.
"""

from __future__ import annotations

import atexit
import hashlib
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from gorun_mem.files.reading import read_input
from gorun_mem.scripts import UserFileError, is_file, split

BYTES_MAX: Final = 256 << 20
"""No file that is sent is larger."""
_NAME_MAX: Final = 1024
"""Longer text is no file's name."""

_here: dict[str, str] = {}
"""Where the files of each hash lie in this process."""


class SentFile(NamedTuple):
    """A file.

    Args:
        name: as the user named it, without ":Class".
        data: its content.
        sha256: of that.
    """

    name: str
    data: bytes
    sha256: str


def sent_files(names: Iterable[object]) -> tuple[SentFile, ...]:
    """The files among what the user has named.

    Args:
        names: as they were given, "FILE.py:Class" too; what is no file is left out.

    Raises:
        UserFileError: one cannot be read.
    """
    found: dict[str, SentFile] = {}
    for one in names:
        name = _path_in(one)
        if name and name not in found:
            try:
                data = read_input(name, BYTES_MAX)
            except OSError as error:
                raise UserFileError(f"{name}: {error.strerror or error}") from None
            found[name] = SentFile(name, data, hashlib.sha256(data).hexdigest())
    return tuple(found.values())


def unpacked(files: Iterable[SentFile]) -> dict[str, str]:
    """Where they lie now, by the names that the user gave them; until this process ends.

    Raises:
        UserFileError: one is not what was sent.
    """
    places = {}
    for file in files:
        if hashlib.sha256(file.data).hexdigest() != file.sha256:
            raise UserFileError(f"{file.name} has changed on its way")
        if file.sha256 not in _here:
            folder = Path(tempfile.mkdtemp(prefix="gorun-mem-"))
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            path = folder / Path(file.name).name
            path.write_bytes(file.data)
            _here[file.sha256] = str(path)
        places[file.name] = _here[file.sha256]
    return places


def moved(value: Any, places: Mapping[str, str]) -> Any:
    """`value` with the names of files as they are in this process.

    Args:
        value: text, and what is made of it: mappings, lists, calls that were begun.
        places: of `unpacked`.
    """
    if isinstance(value, str):
        where, name = split(value) if ".py:" in value else (value, "")
        place = places.get(where)
        return value if place is None else f"{place}:{name}" if name else place
    if isinstance(value, Mapping):
        return {name: moved(one, places) for name, one in value.items()}
    if type(value) in (tuple, list):
        return type(value)(moved(one, places) for one in value)
    if isinstance(value, partial):
        return partial(value.func, *moved(value.args, places), **moved(value.keywords, places))
    return value


def _path_in(value: object) -> str:
    """The name of the file that `value` names, "" for none."""
    if not isinstance(value, str | Path) or not 0 < len(str(value)) < _NAME_MAX:
        return ""
    name = split(str(value))[0] if is_file(str(value)) else str(value)
    try:
        return name if Path(name).is_file() else ""
    except (OSError, ValueError):
        return ""
