"""Where logs go that were given no name, and what `last` means.

The folder is `runs` in `$GORUN_MEM_HOME`, or else in `gorun_mem` under `$XDG_STATE_HOME`, or else
under `~/.local/state`. Names start with the time in UTC, so that they sort by age; the newest 20
stay. Logs are compressed, for a long run's would be hundreds of megabytes.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

from gorun_mem.events.errors import LogError
from gorun_mem.files.marks import is_held

KEEP: Final = 20
"""Logs kept."""

SUFFIX: Final = ".jsonl.zst"

LAST: Final = "last"
"""What stands for the newest log on a command line."""

FRESH_S: Final = 60.0
"""How long an empty file is taken for that of a run that starts."""

_NAME: Final = re.compile(r"\d{8}T\d{6}\.\d{6}Z-.*\.jsonl(\.gz|\.zst)?")
_FOLDER: Final = re.compile(r"\d{8}T\d{6}\.\d{6}Z-[A-Za-z0-9_-]+")

Say: TypeAlias = Callable[[str], None]


def runs_dir() -> Path:
    """The folder of the logs; it may not exist yet.

    Raises:
        LogError: there is no home folder to put it in.
    """
    home = os.environ.get("GORUN_MEM_HOME")
    if home:
        return Path(home) / "runs"
    state = os.environ.get("XDG_STATE_HOME", "")
    if os.path.isabs(state):  # the XDG specification says to ignore others
        return Path(state) / "gorun_mem" / "runs"
    try:
        return Path.home() / ".local" / "state" / "gorun_mem" / "runs"
    except RuntimeError:
        raise LogError(
            "find a folder for", "logs", "this user has no home", "set GORUN_MEM_HOME"
        ) from None


def new_log_path(
    label: str, suffix: str = SUFFIX, *, folder_of_parts: bool = False, say: Say | None = None
) -> Path:
    """Make room for one more log and name it; the file is created, empty, so the name is taken.

    Args:
        label: what was run, for people; what a file name should not have is replaced.
        suffix: `.jsonl`, `.jsonl.gz` or `.jsonl.zst`.
        folder_of_parts: give the log a folder of its own, for it will have parts.
        say: told which logs were removed for it.

    Raises:
        LogError: the folder or the file cannot be made.
    """
    folder = runs_dir()
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", Path(label).stem).strip("_")[:60] or "run"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        while True:
            path = folder / f"{_now()}-{name}"
            try:
                if folder_of_parts:
                    path.mkdir()
                    path /= f"{name}{suffix}"
                else:
                    path = path.with_name(path.name + suffix)
                path.touch(exist_ok=False)
            except FileExistsError:
                continue  # another run in the same microsecond; the next one is free
            break
        for removed in _prune(folder):
            if say is not None:
                say(f"removed {removed}: the newest {KEEP} logs stay (keep one with --log FILE)")
    except OSError as error:
        advice = "set GORUN_MEM_HOME or name a file with --log FILE"
        raise LogError.of("make log in", folder, error, advice) from None
    return path


def logs() -> list[Path]:
    """The logs that are there, oldest first.

    Raises:
        LogError: the folder cannot be read.
    """
    folder = runs_dir()
    try:
        return _logs_in(folder)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise LogError.of("read folder", folder, error) from None


def resolve_log(name: str | os.PathLike[str]) -> Path:
    """The file that a command line means: for `last` the newest log that has begun.

    Of a log in parts it is the folder.

    Raises:
        LogError: `last`, and there is none.
    """
    if os.fspath(name) != LAST:
        return Path(name)
    found = logs()
    if not found:
        raise LogError("find the last log in", runs_dir(), "no runs yet", "try gorun-mem run")
    return next((path for path in reversed(found) if _has_begun(path)), found[-1])


def _logs_in(folder: Path) -> list[Path]:
    """What is named as a log there, oldest first."""
    return sorted(
        path
        for path in folder.iterdir()
        if _NAME.fullmatch(path.name) or (_FOLDER.fullmatch(path.name) and path.is_dir())
    )


def _has_begun(path: Path) -> bool:
    """Whether there is a line in it; a run that starts makes an empty file first."""
    try:
        return any(part.stat().st_size for part in _files_of(path))
    except OSError:
        return False


def _files_of(path: Path) -> list[Path]:
    """The files of a log in parts, else itself: what a link leads to is no part of a log."""
    return list(path.iterdir()) if path.is_dir() and not path.is_symlink() else [path]


def _prune(folder: Path) -> list[Path]:
    """Remove the oldest logs beyond those kept; another run may be doing the same.

    One that is being written stays: its process marks it, and the mark ends with the process. So
    does one that cannot be removed, which is no reason not to run.
    """
    removed = []
    for path in _logs_in(folder)[:-KEEP]:
        try:
            files = _files_of(path)
            if any(is_held(file) or _is_fresh(file) for file in files):
                continue
            for file in files:
                file.unlink(missing_ok=True)
            if path.is_dir():
                path.rmdir()
        except OSError:
            continue
        removed.append(path)
    return removed


def _is_fresh(file: Path) -> bool:
    """Whether a run may be about to open it."""
    found = file.stat()
    return found.st_size == 0 and abs(time.time() - found.st_mtime) < FRESH_S


def _now() -> str:
    """The time in UTC, in characters that sort."""
    ns = time.time_ns()
    seconds, rest = divmod(ns, 1_000_000_000)
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(seconds))}.{rest // 1000:06d}Z"
