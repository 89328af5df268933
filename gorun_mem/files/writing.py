"""Writes the files that people name: there as a whole, or as they were before.

A regular file is written beside its place and renamed, so that a full disk, a fault or Ctrl-C
leaves nothing half-written. What is no regular file, a device or a pipe, is written to as it is,
and never replaced; a link stays a link, and its target is written. A file that may not be written
is not replaced either, though its folder would allow that.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from gorun_mem.files.reading import PIPE_WAIT_S as PIPE_WAIT_S

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)


def open_for_writing(path: str | os.PathLike[str], flags: int) -> int:
    """What `os.open` answers; a pipe's reader is waited for, some seconds.

    Args:
        path: what is opened.
        flags: beside that it is for writing.

    Raises:
        OSError: it cannot be opened, or nobody reads it.
    """
    flags |= os.O_WRONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
    until = time.monotonic() + PIPE_WAIT_S
    while True:
        try:
            fd = os.open(path, flags, 0o666)
        except OSError as error:
            if error.errno != errno.ENXIO or not stat.S_ISFIFO(os.stat(path).st_mode):
                raise
            if time.monotonic() > until:
                why = f"a pipe that nobody has read for {PIPE_WAIT_S:g} s"
                raise OSError(errno.ENXIO, why, os.fspath(path)) from None
            time.sleep(0.05)
        else:
            if hasattr(os, "set_blocking"):
                os.set_blocking(fd, True)
            return fd


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A name to write to; the file has its own name once all is written.

    Raises:
        OSError: it cannot be written; `filename` is `path`.
    """
    held = -1
    try:
        target, mode = _looked_at(path)
        part = target if mode is not None and not stat.S_ISREG(mode) else _part(target, mode)
        if mode is not None and stat.S_ISFIFO(mode):
            held = open_for_writing(target, 0)  # until the end: its reader takes none for another
    except (OSError, ValueError) as error:
        raise _named(error, path) from None
    try:
        yield part
        if part != target:
            part.replace(target)
    except OSError as error:
        _drop(part, target)
        raise _named(error, path) from None
    except BaseException:
        _drop(part, target)
        raise
    finally:
        if held >= 0:
            os.close(held)


@contextmanager
def open_output(path: Path) -> Iterator[IO[bytes]]:
    """The same as a binary file.

    Raises:
        OSError: it cannot be written; `filename` is `path`.
    """
    with whole_file(path) as name, name.open("wb") as file:
        yield file


def write_output(path: Path, data: bytes) -> None:
    """Write a whole file.

    Raises:
        OSError: it cannot be written, and is as it was before; `filename` is `path`.
    """
    with open_output(path) as file:
        file.write(data)


def check_writable(path: Path) -> None:
    """Whether a file can be written, without writing one.

    Raises:
        OSError: it cannot; `filename` is `path`.
    """
    try:
        target, mode = _looked_at(path)
        if mode is None and not os.access(target.parent, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except (OSError, ValueError) as error:
        raise _named(error, path) from None


def _looked_at(path: Path) -> tuple[Path, int | None]:
    """What a path leads to, which can be written to; its mode, None where nothing is there."""
    target = Path(os.path.realpath(path, strict=os.path.lexists(path) and path.exists()))
    return target, _check(target)


def _check(target: Path) -> int | None:
    """The mode of what is there, None for nothing; it can be written to."""
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder")
    if stat.S_ISREG(mode):
        os.close(os.open(target, os.O_WRONLY))
    return mode


def _part(target: Path, mode: int | None) -> Path:
    """A file beside `target`, so that the rename stays within one file system; `target` itself
    where it is there and its folder takes no other.

    It is always a new one: in a folder that others may write to, what has that name already could
    be a link of theirs to a file of ours.
    """
    stem = f".{target.name[:200]}.{os.getpid()}"
    part = target.with_name(f"{stem}.part")
    try:
        try:
            fd = os.open(part, _NEW, 0o666)
        except FileExistsError:
            part = target.with_name(f"{stem}.{os.urandom(4).hex()}.part")
            fd = os.open(part, _NEW, 0o666)
    except PermissionError:
        if mode is None:
            raise
        return target
    try:
        if mode is not None and hasattr(os, "fchmod"):
            os.fchmod(fd, stat.S_IMODE(mode))
    except OSError:
        pass  # another's file that we may write: the new one is ours
    finally:
        os.close(fd)
    return part


def _drop(part: Path, target: Path) -> None:
    if part != target:
        try:
            part.unlink(missing_ok=True)
        except OSError:
            pass


def _named(error: OSError | ValueError, path: Path) -> OSError:
    if isinstance(error, ValueError):
        return OSError(errno.EINVAL, "no file can have that name", os.fspath(path))
    return OSError(error.errno or errno.EIO, error.strerror or str(error), os.fspath(path))
