"""Files that a verb is told to write: looked at before the work, written in one way.

What takes minutes is not lost to a mistyped name: `check_output` refuses it first, and one that
would overwrite what the same command reads, or writes elsewhere. A disk that is full shows only
while writing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from gorun_mem.cli._exit import BadInput


def check_output(option: str, path: str | Path | None, reads: Iterable[object] = ()) -> None:
    """Whether a file can be written there, before work that may take long.

    Args:
        option: the option that names it, for the message.
        path: the file; None and "-" are no file.
        reads: files that the command reads, beside those that its line names.

    Raises:
        BadInput: there is no such folder, it is a folder itself, it may not be written, or it is
            the file of another option too, or one that is read.
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
    if target.exists() and not target.is_file():
        return  # a device or a pipe takes what it is given, and keeps nothing
    for name, other in (*_named(option), *(("", read) for read in reads)):
        if _is_same(target, other):
            what = f"what {name} names" if name else "what is read"
            raise BadInput(f"{option} {shown} would overwrite {what}: name another file")


def _named(option: str) -> Iterator[tuple[str, object]]:
    """Files that the command line names elsewhere, and by what."""
    ctx = click.get_current_context(silent=True)
    if ctx is None:
        return
    for param in ctx.command.params:
        if option in param.opts:
            continue
        argument = param.human_readable_name.strip("[].")
        name = param.opts[0] if isinstance(param, click.Option) else argument
        value = ctx.params.get(param.name or "")
        for one in value if isinstance(value, tuple) else (value,):
            yield name, Path(one) if param.metavar == "FILE" and isinstance(one, str) else one


def _is_same(path: Path, other: object) -> bool:
    """Whether `other` names the file at `path`, perhaps with what it has, as in FILE.py:NAME.

    Text that has neither a dot nor a folder is a name that is known here, of a scenario or a lock.
    """
    if not isinstance(other, str | Path):
        return False
    text = os.fspath(other)
    name = text.partition(":")[0] if isinstance(other, str) else text
    if isinstance(other, str) and "." not in name and os.sep not in name:
        return False
    try:
        return os.path.samefile(path, name)
    except FileNotFoundError:
        return bool(name) and os.path.realpath(path) == os.path.realpath(name)
    except (OSError, ValueError):
        return False


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
