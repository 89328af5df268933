"""Whose line an error came through: the program's own, or this package's."""

from __future__ import annotations

import sys
import traceback
from types import FrameType
from typing import Final

_NOT_THE_PROGRAM: Final = (
    frozenset({"anyio", "gorun_mem", "outcome", "trio"}) | sys.stdlib_module_names
)
"""Packages through which an error may pass on its way to the program's own line."""
_LIBRARY: Final = ("gorun_mem.explore.kernels.", "gorun_mem.scenarios.")
"""Modules of ours that are programs."""
_PARTS: Final = "gorun_mem.explore.kernels.parts"


def place_of(error: BaseException) -> str:
    """The innermost line of the program itself that `error` came through, as "file:line".

    "" where it came through none: the step of an operation failed, which no coroutine was in.
    """
    found = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        if is_programs(frame):
            name = frame.f_code.co_filename.replace("\\", "/")
            found = f"{name.rpartition('/')[2]}:{line}"
    return found


def is_programs(frame: FrameType) -> bool:
    """Whether a frame is the program's own, and not this library's, trio's or Python's."""
    module = str(frame.f_globals.get("__name__", ""))
    if frame.f_code.co_filename.startswith("<"):  # made by a library, such as a named tuple
        return False
    if module.startswith(_LIBRARY):
        return module != _PARTS
    return module.partition(".")[0] not in _NOT_THE_PROGRAM
