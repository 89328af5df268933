"""Opens what a command line names for reading, whatever it turns out to be.

A name may lead to a device without end, a pipe that nobody fills, a folder, a loop of links, or be
none at all. Everything that is wrong with it is an OSError with the reason in words and the name,
as for a file that is not there, so that whoever handles the one handles all.
"""

from __future__ import annotations

import errno
import os
import select
import stat
from io import BufferedReader
from typing import BinaryIO, Final

PIPE_WAIT_S: Final = 5.0
"""How long a pipe may stay without a writer, a first byte, or a reader where it is written to."""


def open_input(path: str | os.PathLike[str]) -> BufferedReader:
    """A file for reading, as bytes and buffered.

    A pipe is waited for, some seconds; of devices only terminals and /dev/null can be read.

    Raises:
        OSError: it cannot be opened, or is nothing that ends.
    """
    name = os.fspath(path)
    try:
        # A pipe without a writer would block in `open` for ever.
        fd = os.open(name, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _CLOEXEC)
    except ValueError as error:
        raise _unusable(name, _words(error)) from None
    try:
        _check(fd, name)
        if hasattr(os, "set_blocking"):
            os.set_blocking(fd, True)
        return open(fd, "rb")
    except BaseException:
        os.close(fd)
        raise


def read_input(path: str | os.PathLike[str], most: int) -> bytes:
    """All of a file.

    Args:
        path: the file.
        most: bytes that it may have; a longer one is refused.

    Raises:
        OSError: it cannot be read, or is too large.
    """
    with open_input(path) as file:
        return read_most(file, most, path)


def read_most(file: BinaryIO, most: int, path: str | os.PathLike[str]) -> bytes:
    """All of an open file; see `read_input`."""
    if os.fstat(file.fileno()).st_size <= most:
        data = file.read(most + 1)
        if len(data) <= most:
            return data
    raise OSError(errno.EFBIG, f"it has more than {most:,} bytes", os.fspath(path))


def is_read_once(path: str | os.PathLike[str]) -> bool:
    """Whether a name leads to a pipe, a terminal or the like: what was read of it is gone."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


_CLOEXEC: Final = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def _check(fd: int, name: str) -> None:
    mode = os.fstat(fd).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
    if stat.S_ISFIFO(mode) and not select.select([fd], [], [], PIPE_WAIT_S)[0]:
        raise _unusable(name, f"a pipe into which nobody has written for {PIPE_WAIT_S:g} s")
    if stat.S_ISBLK(mode) or (stat.S_ISCHR(mode) and not _ends(fd)):
        raise _unusable(name, "a device, which has no end")


def _ends(fd: int) -> bool:
    return os.isatty(fd) or os.path.sameopenfile(fd, _null())


def _null() -> int:
    global _null_fd
    if _null_fd < 0:
        _null_fd = os.open(os.devnull, os.O_RDONLY | _CLOEXEC)
    return _null_fd


_null_fd = -1


def _unusable(name: str, why: str) -> OSError:
    return OSError(errno.EINVAL, why, name)


def _words(error: ValueError) -> str:
    if isinstance(error, UnicodeError):
        return "a name that no file can have: it holds half a character"
    return "a name that no file can have: it holds a zero byte"
