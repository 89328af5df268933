"""The file that an export goes to: there as a whole, or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


class ExportError(Exception):
    """An export that cannot be made; the message is a sentence for people."""


def unwritable(path: Path, error: OSError) -> ExportError:
    """What to say of a file that cannot be written."""
    reason = error.strerror or type(error).__name__
    return ExportError(f"cannot write {path}: {reason}; name another file with -o")


@contextmanager
def named_output(path: Path) -> Iterator[Path]:
    """A name to write to; the file has its own name once all is written.

    A pipe or a device is written to as it is.

    Raises:
        ExportError: it cannot be written.
    """
    if path.is_dir():
        raise ExportError(f"cannot write {path}: it is a folder; name a file with -o")
    direct = path.exists() and not path.is_file()
    # Beside it, so that the rename stays within one file system.
    part = path if direct else path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        if not direct:
            part.replace(path)
    except OSError as error:
        _drop(part, direct)
        raise unwritable(path, error) from None
    except BaseException:
        _drop(part, direct)
        raise


def _drop(part: Path, direct: bool) -> None:
    if not direct:
        try:
            part.unlink(missing_ok=True)
        except OSError:
            pass  # it could not be made in the first place


@contextmanager
def open_output(path: Path) -> Iterator[IO[bytes]]:
    """The same as a binary file.

    Raises:
        ExportError: it cannot be written.
    """
    with named_output(path) as name, name.open("wb") as file:
        yield file
