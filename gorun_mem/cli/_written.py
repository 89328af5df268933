"""Files that a verb is told to write: looked at before the work, written in one way.

What takes minutes is not lost to a mistyped name: `check_output` refuses it first. A disk that is
full shows only while writing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from gorun_mem.cli._exit import BadInput


def check_output(option: str, path: str | Path | None) -> None:
    """Whether a file can be written there, before work that may take long.

    Args:
        option: the option that names it, for the message.
        path: the file; None and "-" are no file.

    Raises:
        BadInput: there is no such folder, it is a folder itself, or it may not be written.
    """
    from gorun_mem.files.writing import check_writable

    if path is None or os.fspath(path) == "-":
        return
    shown, target = click.format_filename(path), Path(path)
    if target.is_dir():
        raise BadInput(f"{option} {shown} is a folder: name a file in it")
    if not target.parent.is_dir():
        folder = click.format_filename(target.parent)
        raise BadInput(f"{option} {shown}: there is no folder {folder}; make it first")
    try:
        check_writable(target)
    except OSError as error:
        raise BadInput(
            f"{option} {shown} cannot be written: {error.strerror or error}; name another file"
        ) from None


def write_page(document: dict[str, Any], target: Path) -> int:
    """Write a report as a page that needs no network, for `--html`.

    Returns:
        Bytes written.

    Raises:
        BadInput: it cannot be written.
    """
    from gorun_mem.web.offline import write

    try:
        return write(document, target)
    except OSError as error:
        raise BadInput(
            f"--html {click.format_filename(target)} cannot be written: "
            f"{error.strerror or error}; name another file"
        ) from None
