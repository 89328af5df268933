"""Marks a file as one that is being written; the mark ends with its process, however that ends."""

from __future__ import annotations

import os
import sys
from typing import Final

_LOCKS: Final = sys.platform != "win32"
if sys.platform != "win32":
    import fcntl


def hold(fd: int) -> None:
    """Mark an open file, until it is closed."""
    if _LOCKS:
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            pass  # a device, or a file system without locks


def is_held(path: str | os.PathLike[str]) -> bool:
    """Whether a process has the file open that marked it."""
    if not _LOCKS:
        return False
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(fd)
    return False
