"""The tests, laid out as the package is; where the things lie that they look at."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
"""The repository."""

PACKAGE: Final = ROOT / "gorun_mem"
DATA: Final = ROOT / "tests" / "data"
TRACES: Final = DATA / "traces"
"""Recordings of real Go programs."""
