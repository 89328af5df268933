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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A name to write to; the file has its own name once all is written.

    Raises:
        OSError: it cannot be written; `filename` is `path`.
    """
    try:
        target, mode = _looked_at(path)
        part = target if mode is not None and not stat.S_ISREG(mode) else _part(target, mode)
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
