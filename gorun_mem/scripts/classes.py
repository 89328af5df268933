"""A user's classes: found in a file once, and named as settings, logs and tokens name them."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

from gorun_mem.runtime.errors import said
from gorun_mem.scripts import UserFileError, line_of, split

T = TypeVar("T")


class ClassName(str):
    """What a class is called in settings, logs and tokens, with the class itself at hand.

    Text to everybody else: another process finds the class by it where it is "FILE.py:Class".
    """

    __slots__ = ("cls",)
    cls: Any

    def __reduce__(self) -> tuple[Any, ...]:
        return str, (str(self),)


def class_name(cls: type, found: type) -> ClassName:
    """The name of a class: its file and it, or it alone where it has no file.

    Args:
        cls: the user's.
        found: what is to be at hand by the name.
    """
    file = file_of(cls)
    named = ClassName(f"{_shown(file)}:{cls.__qualname__}" if file else cls.__qualname__)
    named.cls = found
    return named


def file_of(cls: type) -> str:
    """The file that a class was written in, "" where that is not known."""
    for value in vars(cls).values():
        code = getattr(value, "__code__", None)
        if code is not None and not code.co_filename.startswith("<"):
            return str(code.co_filename)
    try:
        return inspect.getfile(cls)
    except (TypeError, OSError):
        return ""


def check_whole(cls: type, reference: str) -> None:
    """Whether a class has all that its base leaves to it.

    Raises:
        UserFileError: it lacks some of it.
    """
    lacking = sorted(getattr(cls, "__abstractmethods__", ()))
    if lacking:
        raise UserFileError(f"{reference}: {cls.__name__} has no {', '.join(lacking)}")


def instance_of(
    cls: type[Any], reference: str, own: tuple[type[BaseException], ...] = (Exception,)
) -> Any:
    """One of a class that takes nothing.

    Args:
        cls: the user's.
        reference: what it was named as.
        own: what is the class's own doing if it comes out of it.

    Raises:
        UserFileError: it cannot be made; with the line.
    """
    try:
        return cls()
    except own as error:
        line = line_of(Path(file_of(cls)).resolve(), error)
        at = f", line {line}" if line else ""
        raise UserFileError(
            f"{reference}: {cls.__name__} cannot be made: {type(error).__name__}: {said(error)}{at}"
        ) from None


class FileCache(Generic[T]):
    """What was made of files, as long as they stay as they are: a search asks a thousand times."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[tuple[int, int], T]] = {}

    def get(self, reference: str, make: Callable[[], T]) -> T:
        """What `make` makes of a reference, made again where its file has changed.

        Args:
            reference: "FILE.py" or "FILE.py:Class".
            make: called with nothing; what it raises goes through.
        """
        where, wanted = split(reference)
        try:
            status = os.stat(where)
            key = (os.path.realpath(where), wanted)
        except (OSError, ValueError):
            return make()  # which says what is wrong with it
        version = (status.st_mtime_ns, status.st_size)
        known = self._known.get(key)
        if known is not None and known[0] == version:
            return known[1]
        made = make()
        self._known[key] = (version, made)
        return made


def _shown(file: str) -> str:
    """A path as short as it can be said from here."""
    try:
        return os.path.relpath(file) if Path(file).is_relative_to(Path.cwd()) else file
    except (ValueError, OSError):
        return file
