"""Finds a lock: by its name in the package, as FILE.py:Class, or by the class itself."""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import Final

from gorun_mem.locks.coroutine import Mutex, adapted
from gorun_mem.runtime.errors import said
from gorun_mem.runtime.mutex import MUTEXES, StateMutex, UnknownMutex, class_of
from gorun_mem.scripts import UserFileError, find_class, line_of, split
from gorun_mem.scripts.classes import ClassName, FileCache, class_name, file_of

NEEDS: Final = "gorun_mem.locks.Mutex (coroutines) or gorun_mem.locks.StateMutex (states)"


class MutexFileError(UnknownMutex):
    """A lock of the user's that cannot be used; the message has file, line and what to do."""


_OF_FILES: Final = FileCache[type[StateMutex]]()


def load_mutex(mutex: str | type) -> type[StateMutex]:
    """The class of a lock.

    Args:
        mutex: a name of `MUTEXES`, "FILE.py:Class" (the class may be left out where the file has
            one), or a class that derives from `Mutex` or `StateMutex`.

    Raises:
        UnknownMutex: there is none of that name.
        MutexFileError: the file or the class cannot be used; the message says where and why.
    """
    if isinstance(mutex, type):
        return _checked(mutex, file_of(mutex))
    if isinstance(mutex, ClassName):
        named: type[StateMutex] = mutex.cls
        return named
    where, _ = split(mutex)
    if mutex not in MUTEXES and (where.endswith(".py") or os.sep in where):
        return _OF_FILES.get(mutex, lambda: _of_file(mutex))
    return class_of(mutex)


def name_of(mutex: str | type) -> str:
    """What to call a lock in settings: a name or reference as it is, a class by its file.

    Raises:
        MutexFileError: the class is no lock.
    """
    if not isinstance(mutex, type):
        return mutex
    cls = load_mutex(mutex)
    if MUTEXES.get(cls.algorithm) is cls:
        return cls.algorithm
    return class_name(mutex, cls)


def _of_file(reference: str) -> type[StateMutex]:
    try:
        found = find_class(reference, "lock", _is_lock, NEEDS)
    except UserFileError as error:
        raise MutexFileError(str(error)) from None
    return _checked(found, str(Path(split(reference)[0]).resolve()))


def _is_lock(cls: type) -> bool:
    return issubclass(cls, Mutex | StateMutex)


def _checked(cls: type, file: str) -> type[StateMutex]:
    """The runtime lock of a class, if one can be made.

    Raises:
        MutexFileError: what it lacks.
    """
    at = f"{file}:{_line_of_class(cls)}: " if file else ""
    if issubclass(cls, Mutex):
        for name in ("lock", "unlock", "try_lock"):
            method = getattr(cls, name, None)
            if method is not None and method is getattr(Mutex, name, None):
                raise MutexFileError(f"{at}{cls.__name__} has no {name}: {_write(name)}")
            if method is not None and not inspect.iscoroutinefunction(method):
                raise MutexFileError(
                    f"{at}{cls.__name__}.{name} is no async function: {_write(name)}"
                )
        lock: type[StateMutex] = adapted(cls)
    elif issubclass(cls, StateMutex):
        for name in ("lock_op", "unlock_op"):
            if not hasattr(cls, name):
                raise MutexFileError(
                    f"{at}{cls.__name__} has no {name}: name the class of its states, as in "
                    f"`{name} = My{name.title().replace('_', '')}`"
                )
        lock = cls
    else:
        raise MutexFileError(f"{at}{cls.__name__} is no lock: derive it from {NEEDS}")
    try:
        made = lock("check")
        made.lock()
        made.unlock()
    except Exception as error:
        line = line_of(Path(file), error) if file else 0
        place = f"{file}:{line}: " if line else at
        raise MutexFileError(
            f"{place}{cls.__name__} cannot be made: {type(error).__name__}: {said(error)}"
        ) from None
    return lock


def _write(name: str) -> str:
    return f"write `async def {name}(self, m)`"


def _line_of_class(cls: type) -> int:
    try:
        return inspect.getsourcelines(cls)[1]
    except (TypeError, OSError):
        codes = [getattr(value, "__code__", None) for value in vars(cls).values()]
        return min([code.co_firstlineno for code in codes if code is not None], default=0)
