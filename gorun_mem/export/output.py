"""The file that an export goes to: there as a whole, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from gorun_mem.files.writing import whole_file


class ExportError(Exception):
    """An export that cannot be made; the message is a sentence for people."""


def unwritable(path: Path, error: OSError) -> ExportError:
    """What to say of a file that cannot be written."""
    reason = error.strerror or type(error).__name__
    return ExportError(f"cannot write {path}: {reason}; name another file with -o")


@contextmanager
def named_output(path: Path) -> Iterator[Path]:
    """A name to write to; the file has its own name once all is written.

    Raises:
        ExportError: it cannot be written.
    """
    try:
        with whole_file(path) as name:
            yield name
    except OSError as error:
        raise unwritable(path, error) from None


@contextmanager
def open_output(path: Path) -> Iterator[IO[bytes]]:
    """The same as a binary file.

    Raises:
        ExportError: it cannot be written.
    """
    with named_output(path) as name, name.open("wb") as file:
        yield file
