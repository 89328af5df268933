"""Which trio a search can take the place of.

A search uses trio's own tasks, nurseries, cancel scopes, locks and channels; in the place of trio's
loop, its run queue, its deadlines and its I/O it has its own (see `seam`). These are not public, so
each minor release was tried, and an unknown one is refused rather than trusted.
"""

from __future__ import annotations

import re
from typing import Final

import trio

from gorun_mem.machine.config import ConfigError

SUPPORTED: Final = (
    "0.27", "0.28", "0.29", "0.30", "0.31", "0.32", "0.33", "0.34", "0.35",
)  # fmt: skip
"""The minor releases with which the tests of this package have passed."""
_MINOR: Final = re.compile(r"\d+\.\d+")


def check_version(version: str = trio.__version__) -> None:
    """Whether trio's scheduler is known.

    Raises:
        ConfigError: it is not.
    """
    minor = _MINOR.match(version)
    if minor is None or minor[0] not in SUPPORTED:
        raise ConfigError(
            f"trio {version} is not known here: a search takes the place of trio's scheduler, "
            f"which was tried with {SUPPORTED[0]} to {SUPPORTED[-1]}; install one of these, as in "
            f"pip install 'trio=={SUPPORTED[-1]}.*'"
        )
