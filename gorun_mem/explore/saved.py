"""Where the schedules of failures are saved, and what `last` means: beside the logs of runs.

The folder is `schedules` beside `runs` (see `gorun_mem.events.home`); names start with the time in
UTC, and the newest 20 stay.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Final

from gorun_mem.events.errors import LogError
from gorun_mem.events.home import LAST, runs_dir
from gorun_mem.explore.failure import Failure
from gorun_mem.step.schedule import Schedule, ScheduleError
from gorun_mem.step.schedule import load as load_schedule

FILES_MAX: Final = 20
SUFFIX: Final = ".schedule"


def save(failure: Failure, name: str, path: Path | None = None) -> Path:
    """Write the schedule of a failure.

    Args:
        failure: what was found.
        name: of the program.
        path: the file; one in the folder if None.

    Raises:
        ScheduleError: it cannot be written.
    """
    try:
        if path is None:
            path = _new_path(name)
        failure.schedule.write(path, failure.steps, failure=str(failure.signature))
    except LogError as error:
        raise ScheduleError(str(error)) from None
    except OSError as error:
        raise ScheduleError(f"{path}: cannot be written: {error.strerror or error}") from None
    if path.parent == _folder_or_none():
        _prune(path.parent)
    return path


def load(reference: str) -> Schedule:
    """The schedule that a command line names: `last`, a file or a token.

    Raises:
        ScheduleError: it is none.
    """
    if reference != LAST:
        return load_schedule(reference)
    folder = _folder_or_none()
    saved = _saved_in(folder) if folder is not None else []
    if not saved:
        raise ScheduleError("no schedule was saved yet: gorun-mem explore saves those that fail")
    return Schedule.read(saved[-1])


def _new_path(name: str) -> Path:
    folder = runs_dir().parent / "schedules"
    folder.mkdir(parents=True, exist_ok=True)
    now = time.time_ns()
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now // 10**9))
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_")[:60] or "schedule"
    return folder / f"{stamp}.{now // 1000 % 10**6:06d}Z-{plain}{SUFFIX}"


def _folder_or_none() -> Path | None:
    try:
        return runs_dir().parent / "schedules"
    except LogError:
        return None


def _saved_in(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.name.endswith(SUFFIX))
    except OSError:
        return []


def _prune(folder: Path) -> None:
    """Remove the oldest beyond those that stay; another search may be doing the same."""
    for path in _saved_in(folder)[:-FILES_MAX]:
        path.unlink(missing_ok=True)
