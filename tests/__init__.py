"""The tests, laid out as the package is; where the things lie that they look at."""

import signal
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
"""The repository."""

PACKAGE: Final = ROOT / "gorun_mem"
DATA: Final = ROOT / "tests" / "data"
TRACES: Final = DATA / "traces"
"""Recordings of real Go programs."""


def heed_interrupts() -> None:
    """For a child that is to be sent Ctrl-C: a worker of pytest-xdist ignores it, and a child would
    inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
